"""``deposit``: one round as EMDB wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import (
    FirstOfTwo,
    LogConfig,
    OldLog,
    SecondOfTwo,
    log_and_round,
    log_settings,
    open_log,
    require_round,
    round_and_findings,
)


@app.command(short_help="Write what EMDB asks for of a round.")
def deposit(
    log: FirstOfTwo = "",
    key: SecondOfTwo = "",
    *,
    out: Annotated[Path, typer.Option(help="the folder to write to", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace files of an earlier deposit")] = False,
    config: LogConfig = None,
    old_log: OldLog = None,
) -> None:
    """Write half maps, mask, FSC XML and a text with the numbers of one round, ready for EMDB.

    Half maps that are not as they were reconstructed (filtered, masked, joined, identical, or changed since) are refused with the
    reason.
    """
    from refine_hooks.report.deposit import prepared, write

    place, key = log_and_round(log, key, old_log)
    require_round(key)
    index = open_log(place, key)
    settings = log_settings(index, config)
    record, findings = round_and_findings(index, key, settings)
    ready = prepared(record, index.path.absolute().parent, tuple(findings))
    for path in write(ready, out, overwrite, int(settings.keep.min_free_GB * 1e9)):
        print(path)
