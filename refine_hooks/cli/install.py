"""``install``: what starts a watch or a hook from elsewhere; `_install` and `_units` beside this know the lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refine_hooks.cli._app import app

if TYPE_CHECKING:
    from refine_hooks.cli._install import Installation


@app.command(short_help="Say how a watch or a hook is started from elsewhere.")
def install(
    what: Annotated[
        Literal["relion", "cistem", "service", "slurm"],
        typer.Argument(metavar="relion|cistem|service|slurm", help="what starts it", show_default=False),
    ],
    project: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PROJECT]...",
            help="the project's folder; several, or patterns with --all, for service",
            show_default=False,
            readable=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="the folder that the watch writes to [default: PROJECT/refine_hooks]", show_default=False),
    ] = None,
    patterns: Annotated[bool, typer.Option("--all", help="for service: each PROJECT is a pattern")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="put the unit or script in place, instead of printing it")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="say what takes it back, and remove the file")] = False,
) -> None:
    """Check that it runs here, and print what starts it, each line with where it belongs.

    For RELION these are the environment of the shell that starts it, written into relion_hook.sh of the output folder where a
    project is named, and an additional argument of the job: with both, unfiltered half maps of every iteration are kept. For
    cisTEM it is the command of a run profile. Nothing of the program's own is changed.
    service is a systemd unit that watches the projects, slurm a script for sbatch that watches one beside a job and ends with it;
    --write puts them in place, and asks before it replaces anything.
    """
    from refine_hooks.errors import ProjectError

    places = project or []
    if what in ("service", "slurm"):
        if not places or (what == "slurm" and (len(places) > 1 or patterns)):
            raise ProjectError(f"name the project's folder: refine-hooks install {what} PROJECT")
        _starter(what, places, patterns, out, write, undo)
    elif len(places) > 1 or patterns:
        raise ProjectError(f"name one project: refine-hooks install {what} PROJECT")
    else:
        _hook(what, places[0] if places else None, out, undo)


def _hook(program: str, project: Path | None, out: Path | None, undo: bool) -> None:
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


def _starter(what: str, places: list[Path], patterns: bool, out: Path | None, write: bool, undo: bool) -> None:
    import sys

    from refine_hooks.cli import _units
    from refine_hooks.cli._install import own_executable
    from refine_hooks.errors import InputError
    from refine_hooks.log.folder import OUT_NAME

    executable = Path("refine-hooks") if undo else own_executable()
    if what == "service":
        script = _units.for_systemd(executable, places, patterns, out)
    else:
        script = _units.for_slurm(executable, places[0], out, Path(out or places[0] / OUT_NAME).absolute())
    if undo:
        _lines(script.undone)
        print(f"removed: {script.file}" if script.remove() else f"{script.file}: is not there")
    elif not write:
        print(script.text, end="")
        print(f"# belongs into {script.file}; --write puts it there")
    elif script.write(lambda question: sys.stdin.isatty() and typer.confirm(question)):
        print(f"written: {script.file}")
        _lines(script.steps)
    else:
        raise InputError(f"{script.file}: is there already and is another one; nothing was changed. --undo removes it")


def _lines(steps: tuple[tuple[str, str], ...]) -> None:
    for where, line in steps:
        print(f"{where}:\n    {line}")


def _say(done: Installation, what: str) -> None:
    import logging

    for warning in done.warnings:
        logging.getLogger(__name__).warning(warning)
    if done.file is not None:
        print(f"{what}: {done.file}")
    _lines(done.steps)
