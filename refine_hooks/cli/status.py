"""``status`` of watches, and ``stop``, ``pause`` and ``mute`` by project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app

_Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="PROJECT...", help="projects, or their output folders or logs", show_default=False, readable=False
    ),
]
_End = Annotated[bool, typer.Option("--end", help="the contrary")]


@app.command(short_help="Say how watches stand.")
def status(
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR|LOG",
            help="a log, or a folder of projects [default: all that is watched on this machine]",
            show_default=False,
            readable=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON list")] = False,
) -> None:
    """Say how watches stand: state, last round and resolution, warnings, rounds that wait, disk. Exits with 4 if one needs you.

    Without a place these are the watches of this machine whose processes you may see: your own, and all for root. With one they
    are those whose logs lie there, on whichever machine they run. stalled: the watch is not heard of, or nothing new has come
    for [watch] stalled_after_s; failed: the newest round could not be measured, or the watch was killed.
    """
    from refine_hooks.cli import _models

    _models.build()
    from refine_hooks.cli._status import statuses, tell

    found = statuses(place)
    tell(found, as_json)
    if any(one.needs_a_person for one in found):
        raise typer.Exit(4)


@app.command(short_help="Stop the watch of a project.")
def stop(
    project: _Places,
    wait: Annotated[float, typer.Option(help="seconds to wait for its round in hand", min=0.0)] = 600.0,
) -> None:
    """Stop the watch of a project after its round in hand, on whichever machine it runs; others of the same process go on."""
    from refine_hooks.cli._status import stop as stop_them

    stop_them(project, wait)


@app.command(short_help="Measure nothing of a project for a while.")
def pause(project: _Places, end: _End = False) -> None:
    """Measure nothing of a project until --end; what its program deletes is still kept, and measured then."""
    from refine_hooks.cli._status import ask

    ask(project, paused=not end)


@app.command(short_help="Send no messages of a project for a while.")
def mute(project: _Places, end: _End = False) -> None:
    """Send no messages of a project until --end; hooks still run, and the report and the metrics go on."""
    from refine_hooks.cli._status import ask

    ask(project, muted=not end)
