"""``demo``: a refinement that needs no data."""

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="a new folder to play in")] = Path("refine_hooks_demo"),
    pace: Annotated[
        float, typer.Option(help="multiplies the pauses of the refinement; 0 plays it as fast as it computes", min=0.0)
    ] = 1.0,
) -> None:
    """Play a small refinement as cisTEM would run it, and watch it; no data needed."""
    from refine_hooks.cli._say import sayer
    from refine_hooks.demo import demonstrate

    demonstrate(directory, sayer(), pace)
    print(f"report: {directory.absolute() / 'refine_hooks' / 'report.html'}")
