"""``install``: what a user pastes into RELION or cisTEM for the hook; `refine_hooks.cli._install` knows the lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refine_hooks.cli._app import app

if TYPE_CHECKING:
    from refine_hooks.cli._install import Installation


@app.command(short_help="Say what to paste into RELION or cisTEM for the hook.")
def install(
    program: Annotated[Literal["relion", "cistem"], typer.Argument(help="which program", show_default=False)],
    project: Annotated[
        Path | None,
        typer.Argument(help="the project's folder; cisTEM's hook needs it", show_default=False, readable=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="the folder that the watch writes to [default: PROJECT/refine_hooks]", show_default=False),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="say what takes it back, and remove the file")] = False,
) -> None:
    """Check that the hook runs here, and print the lines to paste, each with where.

    For RELION these are the environment of the shell that starts it, written into relion_hook.sh of the output folder where a
    project is named, and an additional argument of the job: with both, unfiltered half maps of every iteration are kept. For
    cisTEM it is the command of a run profile. Nothing of the program's own is changed.
    """
    from refine_hooks.cli import _install
    from refine_hooks.errors import ProjectError
    from refine_hooks.programs import claim

    if program == "cistem" and project is None and not undo:
        raise ProjectError("cisTEM's hook saves into one project: name its folder, refine-hooks install cistem PROJECT")
    if project is not None and (seen := claim(project)[0]) != program:
        raise ProjectError(f"{project}: is a project of {seen}, not of {program}")
    if undo:
        _say(_install.without_relion(project, out) if program == "relion" else _install.without_cistem(), "removed")
        return
    executable = _install.own_executable()
    if program == "relion":
        _say(_install.for_relion(executable, project, out), "written")
    elif project is not None:
        _say(_install.for_cistem(executable, project, out), "written")


def _say(done: Installation, what: str) -> None:
    import logging

    for warning in done.warnings:
        logging.getLogger(__name__).warning(warning)
    if done.file is not None:
        print(f"{what}: {done.file}")
    for where, line in done.steps:
        print(f"{where}:\n    {line}")
