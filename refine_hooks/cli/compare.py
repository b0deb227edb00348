"""``compare``: two logs side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import OldRound, open_log, two_logs_and_rounds

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LOG] [ROUND] [LOG] [ROUND]",
        help="two logs (rounds.jsonl, its folder or a project), each with a round (RUN/ITERATION/CLASS) whose curves are compared "
        "[default: the last pair]; one log or none (the current folder) with two of its rounds",
        show_default=False,
    ),
]


@app.command(short_help="Compare two logs or two rounds.")
def compare(
    words: Words = None,
    old_round: OldRound = "",
    old_with: Annotated[str, typer.Option("--with", hidden=True)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the whole comparison as JSON")] = False,
) -> None:
    """Compare two logs, or two rounds of one: resolutions of rounds that belong together, two rounds' curves shell by shell.

    Rounds belong together that have the same key; where the logs share none, the n-th of each class. Curves of different
    boxes are compared at common frequencies. One round is called better only where the intervals do not overlap.
    """
    from refine_hooks.model import Key
    from refine_hooks.report.compare import compare as compared

    (a, key), (b, with_key) = two_logs_and_rounds(words or [], old_round, old_with)
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
