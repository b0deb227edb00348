"""``demo``: a refinement that needs no data."""

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app


@app.command(short_help="Play a small refinement and watch it.")
def demo(
    directory: Annotated[Path, typer.Argument(help="a new folder to play in")] = Path("refine_hooks_demo"),
    thread: Annotated[
        bool, typer.Option("--thread", help="end with the story of the last round: a figure and three sentences")
    ] = False,
    pace: Annotated[
        float, typer.Option(help="multiplies the pauses of the refinement; 0 plays it as fast as it computes", min=0.0)
    ] = 1.0,
) -> None:
    """Play a small refinement as cisTEM would run it, and watch it; no data needed."""
    from refine_hooks.cli._progress import progress_shown
    from refine_hooks.demo import demonstrate
    from refine_hooks.log.folder import OUT_NAME

    with progress_shown():
        log = demonstrate(directory, 0.0 if thread else pace)
    out = directory.absolute() / OUT_NAME
    if thread:
        from refine_hooks.report.thread import thread_figure, thread_words

        last = log.rounds[-1]
        thread_figure(last, out / "thread.png")
        print("\n".join(thread_words(last)))
        print(f"figure: {out / 'thread.png'}")
    print(f"report: {out / 'report.html'}")
