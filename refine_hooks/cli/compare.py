"""``compare``: two logs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import open_log

OneLog = Annotated[
    Path, typer.Argument(help="a log, its folder, or a project that was measured", show_default=False, readable=False)
]


@app.command(short_help="Compare two logs or two rounds.")
def compare(
    a: OneLog,
    b: OneLog,
    key: Annotated[
        str,
        typer.Option(
            "--round", help="RUN/ITERATION/CLASS whose curves are compared [default: the last pair]", show_default=False
        ),
    ] = "",
    with_key: Annotated[
        str, typer.Option("--with", help="the round of B, where its key is another than A's", show_default=False)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the whole comparison as JSON")] = False,
) -> None:
    """Compare two logs: the resolutions of the rounds that belong together, and two rounds' curves shell by shell.

    Rounds belong together that have the same key; where the logs share none, the n-th of each class. Curves of different
    boxes are compared at common frequencies. One round is called better only where the intervals do not overlap.
    """
    from refine_hooks.model import Key
    from refine_hooks.report.compare import compare as compared

    key_a = Key.parse(key) if key else None
    log_a, log_b = open_log(a), open_log(b)
    key_b = Key.parse(with_key) if with_key else None
    if key_a is not None and key_b is None and log_b.summary(key_a) is not None:
        key_b = key_a
    found = compared(log_a, log_b, (str(a), str(b)), (key_a, key_b))
    if as_json:
        print(found.model_dump_json(indent=2))
        return
    from refine_hooks.report.compare_text import show_comparison

    show_comparison(found)
