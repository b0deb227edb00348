"""What a user pastes into a refinement program so that it calls its hook of refine_hooks, and what takes that back."""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.cli._relion import OUT_VARIABLE, PROGRAM_VARIABLE
from refine_hooks.errors import ProjectError

RELION_VARIABLE = "RELION_EXTERNAL_RECONSTRUCT_EXECUTABLE"
RELION_PROGRAM = "relion_external_reconstruct"
_ANSWERS_WITHIN_S = 60.0
_RUN_PROFILE = "in cisTEM under Settings > Run Profiles, in place of the word $command of each command"


@dataclass(frozen=True, slots=True)
class Installation:
    """Lines to be pasted, with a word on where; what is wrong with the machine, and the file that holds the lines.

    Attributes:
        steps: pairs of where a line goes, and the line.
        warnings: what would keep the hook from working.
        file: where the lines were written, or removed from; None where nothing is written.
    """

    steps: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    file: Path | None = None


def own_executable() -> Path:
    """The program ``refine-hooks`` of this installation, checked by running it.

    Raises:
        ProjectError: it is not there or does not run.
    """
    beside = Path(sys.executable).with_name("refine-hooks")
    found = str(beside) if beside.is_file() else shutil.which("refine-hooks")
    if not found:
        raise ProjectError(f"{beside}: is not there, nor a refine-hooks on PATH; install the package with pip")
    try:
        answer = subprocess.run([found, "--version"], capture_output=True, timeout=_ANSWERS_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProjectError(f"{found}: cannot be run ({error}); install the package again") from error
    if answer.returncode:
        raise ProjectError(
            f"{found}: ended with {answer.returncode} when asked for its version; install the package again"
        )
    return Path(found).absolute()


def for_relion(executable: Path, project: Path | None, out: Path | None) -> Installation:
    """The environment of the shell that starts RELION, and the job's additional arguments.

    Args:
        executable: of `own_executable`.
        project: the lines are written into a file of its output folder; None writes nothing.
        out: the output folder of the watch, where it is not the project's own.

    Raises:
        StorageError: the file cannot be written.
    """
    lines = [f"export {RELION_VARIABLE}={shlex.quote(f'{shlex.quote(str(executable))} relion-external-reconstruct')}"]
    if out is not None:
        lines.append(f"export {OUT_VARIABLE}={shlex.quote(str(out.absolute()))}")
    file = _relion_file(project, out)
    if file is not None:
        _write(file, "".join(f"{line}\n" for line in lines))
    shell = "in the shell that starts RELION, or in the script that a queue runs, before relion_refine_mpi"
    steps = [(shell, "\n    ".join(lines))]
    if file is not None:
        steps.append(("or, from the file", f". {shlex.quote(str(file))}"))
    steps.append(("in the job's field 'Additional arguments' (3D auto-refine, tab Running)", "--external_reconstruct"))
    return Installation(tuple(steps), _lacking_for_relion(), file)


def without_relion(project: Path | None, out: Path | None) -> Installation:
    """What takes `for_relion` back; its file is removed."""
    file = _relion_file(project, out)
    gone = file if file is not None and file.is_file() else None
    if gone is not None:
        gone.unlink()
    return Installation(
        (
            ("in that shell", f"unset {RELION_VARIABLE} {OUT_VARIABLE}"),
            ("delete from the job's field 'Additional arguments'", "--external_reconstruct"),
        ),
        file=gone,
    )


def _relion_file(project: Path | None, out: Path | None) -> Path | None:
    from refine_hooks.log.folder import OUT_NAME

    folder = out or (project / OUT_NAME if project is not None else None)
    return None if folder is None else folder.absolute() / "relion_hook.sh"


def _write(file: Path, text: str) -> None:
    from refine_hooks.files.atomic import beside
    from refine_hooks.files.folders import make_named

    make_named(file.parent)
    with beside(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _lacking_for_relion() -> tuple[str, ...]:
    program = os.environ.get(PROGRAM_VARIABLE) or RELION_PROGRAM
    if shutil.which(program):
        return ()
    return (
        f"{program} is not on PATH here: where RELION runs it must be, or be named in {PROGRAM_VARIABLE}, since the hook "
        "leaves the reconstruction to it",
    )


def for_cistem(executable: Path, project: Path, out: Path | None) -> Installation:
    """The command of a run profile, with the hook in front of the program that it starts."""
    at = f" --out {shlex.quote(str(out.absolute()))}" if out is not None else ""
    line = f"{shlex.quote(str(executable))} exec {shlex.quote(str(project.absolute()))}{at} -- $command"
    blank = any(letter.isspace() for letter in f"{executable}{project.absolute()}{at.removeprefix(' --out')}".strip())
    warnings = ("a path with blanks may not survive cisTEM's run profile: use a link without any",) if blank else ()
    return Installation(((_RUN_PROFILE, line),), warnings)


def without_cistem() -> Installation:
    """What takes `for_cistem` back."""
    return Installation(((_RUN_PROFILE, "$command"),))
