"""What lies in a RELION project: its job folders, and the files of one job sorted by iteration, half and class.

Only the job folders of refinements are listed, one `os.scandir` each: no folder that may hold particles is ever looked into.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.errors import NotReadyError
from refine_hooks.files.mrc import MrcHeader, read_header
from refine_hooks.programs._reading import Memory

JOB_TYPES = ("Refine3D", "Class3D", "MultiBody", "InitialModel")
_JOB_NAME = re.compile(r"job\d{3,}")
_FILE = re.compile(
    r"(?P<root>.+?)(?:_it(?P<iteration>\d{3,}))?(?:_half(?P<half>[12]))?_"
    r"(?P<what>model\.star|optimiser\.star|sampling\.star|data\.star"
    r"|(?P<kind>class|body)(?P<number>\d{3})(?P<suffix>\.mrc|_unfil\.mrc|_external_reconstruct\.star))"
)
_CONTINUED = re.compile(r"_ct(\d+)$")
_EXIT_FILES = ("RELION_JOB_EXIT_SUCCESS", "RELION_JOB_EXIT_FAILURE", "RELION_JOB_EXIT_ABORTED")


@dataclass(frozen=True, slots=True)
class Job:
    """One job folder.

    Attributes:
        folder: where it is.
        project: the folder that names inside RELION's tables are relative to.
        run: its name in the log, e.g. ``Refine3D/job001``.
        memory: of the project that was opened.
    """

    folder: Path
    project: Path
    run: str
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)


@dataclass(slots=True)
class Iteration:
    """The files of one iteration (``number`` None: the last, un-numbered one); names by (half or 0, what)."""

    root: str
    number: int | None
    files: dict[tuple[int, str], str] = field(default_factory=dict)
    classes: set[tuple[str, int]] = field(default_factory=set)

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return self.root if self.number is None else f"{self.root}_it{self.number:03d}"

    @property
    def series(self) -> str:
        """The root name without ``_ctN``: a continued run is one series."""
        return _CONTINUED.sub("", self.root)

    @property
    def continued_from(self) -> int:
        """The iteration that this part of the series was continued from; -1 for its beginning."""
        found = _CONTINUED.search(self.root)
        return int(found[1]) if found else -1

    def half_pair(self, kind: str, number: int, suffix: str) -> tuple[str, str] | None:
        """Names of the two halves' files of a class or body, None unless both are there."""
        names = tuple(self.files.get((half, f"{kind}{number:03d}{suffix}")) for half in (1, 2))
        return (names[0], names[1]) if names[0] and names[1] else None

    @property
    def split(self) -> bool:
        """Whether there is anything of separate halves."""
        return any(half for half, _ in self.files)


@dataclass(frozen=True, slots=True)
class Listing:
    """A job folder as it is now."""

    iterations: tuple[Iteration, ...]
    ended: bool
    succeeded: bool


def run_name(folder: Path) -> str:
    """A job folder's name in the log: with its type, where the folder above says it."""
    return f"{folder.parent.name}/{folder.name}" if folder.parent.name in JOB_TYPES else folder.name


def is_job_folder(folder: Path) -> bool:
    """Whether a folder itself holds the output of a refinement."""
    try:
        with os.scandir(folder) as entries:
            return any(_marks_a_job(entry.name) for entry in entries)
    except OSError:
        return False


def _marks_a_job(name: str) -> bool:
    found = _FILE.fullmatch(name)
    return found is not None and found["what"] in ("model.star", "optimiser.star")


def is_refinement_s(name: str) -> bool:
    """Whether a refinement gives a file this name."""
    return _FILE.fullmatch(name) is not None


def job_folders(directory: Path, memory: Memory | None = None) -> list[Job]:
    """All refinement jobs of a project, or the one job that ``directory`` itself is, in the order of their numbers."""
    memory = memory or Memory()
    if is_job_folder(directory):  # RELION copies default_pipeline.star into every job
        return [Job(directory, _project_of(directory), run_name(directory), memory)]
    folders = []
    for job_type in JOB_TYPES:
        try:
            with os.scandir(directory / job_type) as entries:
                # Aliases are links beside the jobs: the same job again.
                folders += [
                    Path(e.path) for e in entries if _JOB_NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=True)
                ]
        except OSError:
            continue
    is_job = directory.parent.name in JOB_TYPES and _JOB_NAME.fullmatch(directory.name)
    if folders or ((directory / "default_pipeline.star").is_file() and not is_job):
        return [Job(folder, directory, run_name(folder), memory) for folder in sorted(folders, key=_in_order)]
    return [Job(directory, _project_of(directory), run_name(directory), memory)]


def _project_of(folder: Path) -> Path:
    """The folder that names inside a job's tables are relative to; for ``Runs/NNNNNN_Protocol/extra`` of Scipion its project."""
    if folder.parent.name in JOB_TYPES:
        return folder.parent.parent
    return folder.parents[2] if folder.name == "extra" and folder.parent.parent.name == "Runs" else folder


def _in_order(folder: Path) -> tuple[int, str]:
    return int(folder.name[3:]), folder.parent.name


def list_job(folder: Path) -> Listing:
    """The refinement's files in a job folder, by iteration.

    A listing is no moment: a map and the table after it may both come while names are read, and the table alone be seen. So the
    tables are those of one reading and the maps those of another one after it.
    """
    names = _names(folder)
    exits = set(names) & set(_EXIT_FILES)
    if not exits:
        tables = {name for name in names if name.endswith("_model.star")}
        names = [name for name in _names(folder) if name in tables or not name.endswith("_model.star")]
    iterations: dict[tuple[str, int | None], Iteration] = {}
    for name in names:
        found = _FILE.fullmatch(name)
        if found is None:
            continue
        number = int(found["iteration"]) if found["iteration"] else None
        iteration = iterations.setdefault((found["root"], number), Iteration(found["root"], number))
        iteration.files[int(found["half"] or 0), found["what"]] = name
        if found["kind"]:
            iteration.classes.add((found["kind"], int(found["number"])))
    ordered = sorted(_newest_of_series(iterations.values()), key=lambda i: (i.series, i.number is None, i.number or 0))
    return Listing(tuple(ordered), bool(exits), _EXIT_FILES[0] in exits)


def _newest_of_series(found: Iterable[Iteration]) -> list[Iteration]:
    """Without what a continuation has made anew: ``run_ct5_it006`` stands for ``run_it006``, and a later end for an earlier one."""
    found = list(found)
    kept = []
    for each in found:
        later = [o for o in found if o.series == each.series and o.continued_from > each.continued_from]
        if each.number is None:
            superseded = any(other.number is None for other in later)
        else:
            superseded = any(other.continued_from < each.number for other in later)
        if not superseded:
            kept.append(each)
    return kept


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def whole_header(job: Job, path: Path) -> MrcHeader:
    """The header of a map that is whole: all the bytes that it states are there.

    Raises:
        NotReadyError, MapError: see `refine_hooks.files.mrc.read_header`.
    """
    return job.memory.file(read_header, path)


def written_at(path: Path) -> int:
    """When a file was last written, in ns.

    Raises:
        NotReadyError: it is not there.
    """
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise NotReadyError(f"{path}: is not there") from error


def in_project(job: Job, name: str) -> Path:
    """The file that a name inside one of RELION's tables means."""
    return job.project / name
