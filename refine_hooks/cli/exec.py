"""``exec``: the hook in front of a program of the refinement."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from refine_hooks.cli._app import app

logger = logging.getLogger(__name__)


@app.command("exec", short_help="Save cisTEM's dumps, then run its merge3d.")
def execute(
    project: Annotated[Path, typer.Argument(help="the cisTEM project's folder", show_default=False, readable=False)],
    command: Annotated[list[str], typer.Argument(help="the command to run, after --", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="where everything is written [default: PROJECT/refine_hooks]", show_default=False),
    ] = None,
    wait: Annotated[float, typer.Option(help="seconds to wait for dumps that do not show yet", min=0.0)] = 30.0,
) -> None:
    """Run COMMAND; if it is cisTEM's merge3d, save all dumps first.

    Put it in front of $command in cisTEM's run profile. The command replaces this process: its process id, arguments, output
    and exit code are its own. Whatever goes wrong with saving is told on standard error and never stops the refinement.
    """
    # Nearly every program of a refinement is not merge3d and starts at once, without what saving needs.
    if "merge3d" in " ".join(command):
        _save_before(command, project, out, wait)
    _replace_by(command)


def _save_before(command: list[str], project: Path, out: Path | None, wait_s: float) -> None:
    """Even an installation that is broken must not stop the refinement, so the import is guarded, too."""
    try:
        from refine_hooks.programs.cistem.hook import save_before

        save_before(command, project, out, wait_s)
    except Exception as error:
        logger.warning(f"the dumps are not saved ({type(error).__name__}: {error}); the refinement goes on")


def _replace_by(command: list[str]) -> NoReturn:
    """Become ``command``, with the signals as Python found them; exit as a shell does where there is no such program."""
    import signal

    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606 - the user's own command, without a shell
    except OSError as error:
        logger.warning(f"{command[0]}: cannot be started ({error.strerror})")
        raise typer.Exit(126 if isinstance(error, PermissionError) else 127) from error
