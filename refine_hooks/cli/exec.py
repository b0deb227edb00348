"""``exec``: the hook in front of a program of the refinement; `refine_hooks.cli._exec` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app


@app.command("exec", short_help="Save cisTEM's dumps, then run its merge3d.")
def execute(
    project: Annotated[Path, typer.Argument(help="the cisTEM project's folder", show_default=False, readable=False)],
    command: Annotated[list[str], typer.Argument(help="the command to run, after --", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="where everything is written [default: PROJECT/refine_hooks]", show_default=False),
    ] = None,
    wait: Annotated[str, typer.Option(help="seconds to wait for dumps that do not show yet, at most 600")] = "30",
) -> None:
    """Run COMMAND; if it is cisTEM's merge3d, save all dumps first.

    Put it in front of $command in cisTEM's run profile. The command replaces this process: its process id, arguments, output
    and exit code are its own. Whatever goes wrong with saving is written to standard error and never stops the refinement.
    Exit code 127: there is no such command; 126: it may not be run.
    """
    from refine_hooks.cli._exec import save_then_become

    save_then_become(str(project), None if out is None else str(out), wait, command)
