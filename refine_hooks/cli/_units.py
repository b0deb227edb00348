"""What starts a watch without a person: a systemd unit, and a script for Slurm that runs beside a job."""

import glob
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import InputError, ProjectError
from refine_hooks.files.atomic import beside
from refine_hooks.files.folders import make_named
from refine_hooks.log.folder import slug

_MARK = "# Written by refine-hooks install"
_IN_UNITS = str.maketrans({"%": "%%", "$": "$$", "\\": "\\\\", '"': '\\"', "\n": "\\n"})


@dataclass(frozen=True, slots=True)
class Script:
    """A file that starts a watch.

    Attributes:
        text: of the file.
        file: where it belongs.
        steps: what the user does with it, each a word and a command.
        undone: the same, to take it back.
    """

    text: str
    file: Path
    steps: tuple[tuple[str, str], ...]
    undone: tuple[tuple[str, str], ...]

    def write(self, replace: Callable[[str], bool]) -> bool:
        """Write the file; whether it was.

        Args:
            replace: asked whether another text that is there may go.

        Raises:
            StorageError: it cannot be written.
        """
        if self.file.exists() and self.file.read_text(encoding="utf-8", errors="replace") == self.text:
            return True
        if os.path.lexists(self.file) and not replace(f"{self.file} is there already, and is another one. Replace it?"):
            return False
        make_named(self.file.parent)
        with beside(self.file) as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        return True

    def remove(self) -> bool:
        """Remove the file; whether it was there.

        Raises:
            InputError: it is none of ours.
        """
        if not self.file.is_file():
            return False
        if _MARK not in self.file.read_text(encoding="utf-8", errors="replace"):
            raise InputError(f"{self.file}: was not written by refine-hooks; remove it yourself")
        self.file.unlink()
        return True


def for_systemd(executable: Path, places: Sequence[Path], patterns: bool, out: Path | None) -> Script:
    """A unit that watches projects: of this user, of the whole machine for root.

    Raises:
        ProjectError: a place is not there; all of them at once.
    """
    words = [str(executable), "watch", *_options(places, patterns, out)]
    system = os.geteuid() == 0
    name = f"refine-hooks-{_short(places)}.service"
    command = " ".join(f'"{word.translate(_IN_UNITS)}"' for word in words)
    text = f"""{_MARK} service
[Unit]
Description=refine_hooks watches {", ".join(map(str, places)).translate(_IN_UNITS)}

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=10
# The rounds in hand are finished; a second signal would drop them.
KillMode=mixed
TimeoutStopSec=900
Nice=10
IOSchedulingPriority=7
NoNewPrivileges=yes

[Install]
WantedBy={"multi-user" if system else "default"}.target
"""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    folder = Path("/etc/systemd/system") if system else Path(home) / "systemd" / "user"
    systemctl = "systemctl" if system else "systemctl --user"
    linger = () if system else (("so that it runs while you are not logged in", "loginctl enable-linger"),)
    return Script(
        text,
        folder / name,
        (("then", f"{systemctl} daemon-reload && {systemctl} enable --now {name}"), *linger),
        (("before", f"{systemctl} disable --now {name}"),),
    )


def _short(places: Sequence[Path]) -> str:
    """A name for some projects: of the first one's path, what is no wildcard, and how many more there are."""
    parts = [part for part in Path(os.path.abspath(places[0])).parts[1:] if not glob.has_magic(part)]
    more = f"-and-{len(places) - 1}-more" if len(places) > 1 else ""
    return slug("-".join(parts) or "all") + more


def for_slurm(executable: Path, project: Path, out: Path | None, folder: Path) -> Script:
    """A script for sbatch that watches a project while a job runs, and measures what is left when that has ended.

    Raises:
        ProjectError: the project is not there.
    """
    options = " ".join(map(shlex.quote, _options([project], False, out)))
    program = shlex.quote(str(executable))
    text = f"""#!/bin/bash
{_MARK} slurm
#SBATCH --job-name=refine-hooks
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=16G
#SBATCH --time=7-00:00:00
#SBATCH --signal=B:TERM@120
# Runs beside a job and ends with it: sbatch --dependency=after:JOB {shlex.quote(str(folder / "watch.sbatch"))} JOB
set -u
job=${{1:?name the job that it runs beside}}
look_every_s=${{LOOK_EVERY_S:-60}}

{program} watch {options} &
watch=$!
ended=no
trap 'ended=told; kill -TERM "$watch" 2>/dev/null' TERM INT

runs() {{  # a queue that does not answer is no job that has ended
    local said
    if said=$(squeue --noheader --jobs="$job" --format=%T 2>&1); then [ -n "$said" ]; else [[ $said != *"Invalid job id"* ]]; fi
}}

while [ "$ended" = no ]; do
    sleep "$look_every_s" & wait $!
    kill -0 "$watch" 2>/dev/null || {{ wait "$watch"; exit; }}
    [ "$ended" = told ] || runs || ended=job
done
kill -TERM "$watch" 2>/dev/null
while kill -0 "$watch" 2>/dev/null; do wait "$watch"; done
[ "$ended" = told ] || {program} once {options} --reconstruct never
"""
    return Script(
        text,
        folder / "watch.sbatch",
        (
            (
                "beside the job with number JOB",
                f"sbatch --dependency=after:JOB {shlex.quote(str(folder / 'watch.sbatch'))} JOB",
            ),
        ),
        (("end it, if it runs", "scancel --name=refine-hooks"),),
    )


def _options(places: Sequence[Path], patterns: bool, out: Path | None) -> list[str]:
    faults = [f"{place}: {wrong}" for place in places if (wrong := _wrong(place, patterns))]
    if faults:
        raise ProjectError(*faults)
    words = ["--all"] if patterns else []
    words += [os.path.abspath(place) for place in places]
    return [*words, "--out", os.path.abspath(out)] if out is not None else words


def _wrong(place: Path, pattern: bool) -> str:
    """What is wrong with a project, or with a pattern."""
    if not pattern:
        return (
            ""
            if place.is_dir()
            else "is not a folder; name the folder of a refinement project, or a pattern with --all"
        )
    fixed = [part for part in Path(os.path.abspath(place)).parts if not glob.has_magic(part)]
    root = Path(
        *fixed[: next((n for n, part in enumerate(Path(os.path.abspath(place)).parts) if glob.has_magic(part)), None)]
    )
    return "" if root.is_dir() else f"{root} is not a folder"
