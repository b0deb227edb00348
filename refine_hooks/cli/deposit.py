"""``deposit``: one round as EMDB wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import read_log, round_of


@app.command(short_help="Write what EMDB asks for of a round.")
def deposit(
    key: Annotated[str, typer.Argument(metavar="ROUND", help="RUN/ITERATION/CLASS as the tables print it")],
    out: Annotated[Path, typer.Option(help="the folder to write to", show_default=False)],
    log: Annotated[
        Path, typer.Option("--log", help="rounds.jsonl, the folder that holds it, or the project", readable=False)
    ] = Path("."),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace files of an earlier deposit")] = False,
) -> None:
    """Write half maps, mask, FSC XML and a text with the numbers of one round, ready for EMDB.

    Half maps that are not honest (filtered, masked, joined, identical, or changed since) are refused with the reason.
    """
    from refine_hooks.audit import audit
    from refine_hooks.log.file import find_log
    from refine_hooks.report.deposit import prepared, write

    journal = read_log(log)
    record = round_of(journal, key)
    findings = tuple(audit(journal, only=[record.key]))
    ready = prepared(record, find_log(log).absolute().parent, findings)
    for path in write(ready, out, overwrite):
        print(path)
