"""What lies in a cryoSPARC project: its job folders, and the maps and masks of one job by class and iteration.

Names since version 4 begin with the job (``J5_004_volume_map_half_A.mrc``), before that with the project, too
(``cryosparc_P1_J5_004_...``). Classes count from 0 (``J6_class_01_00042_volume.mrc``); a reconstruction without refinement has
no iteration in its names.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cryosparc.job import JobTable, over, read_job, running

_JOB_NAME = re.compile(r"J\d+")
_MAP = re.compile(
    r"(?P<stem>(?:cryosparc_)?(?:P\d+_)?(?P<job>J\d+)(?:_class_(?P<class>\d+))?(?:_(?P<iteration>\d{3,}|final))?)"
    r"_(?:volume(?:_map)?|(?P<part>flex|noflex)_map)(?P<what>|_half_[AB]|_mask_refine|_mask_fsc|_mask_fsc_auto)\.mrc"
)
_CURVE = re.compile(
    r".*?J\d+(?:_class_(?P<class>\d+))?_fsc_iteration_(?P<iteration>\d{3,})(?P<tightened>_after\w*)?\.txt"
)
_PROJECT_FILES = ("job_manifest.json", "project.json", "workspaces.json")

MASKS = {"refinement": "_mask_refine", "program_fsc": "_mask_fsc", "program_fsc_auto": "_mask_fsc_auto"}


@dataclass(frozen=True, slots=True)
class Job:
    """One job folder; ``table`` is its job.json, empty where there is none."""

    folder: Path
    run: str
    table: JobTable
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return over(self.folder, self.table, self.memory)

    @property
    def running(self) -> bool:
        """Whether it is known to be running, so that its files may be cleared."""
        return running(self.folder, self.table, self.memory)


Series = tuple[str, int | None]


@dataclass(slots=True)
class Iteration:
    """The files of one class (from 0) of one iteration (None: none in the names; -1: ``final``), by what they are.

    ``part`` tells the two reconstructions of 3D Flex apart: ``flex`` along the deformations, ``noflex`` without them.
    """

    class_index: int | None
    number: int | None
    stem: str
    files: dict[str, str] = field(default_factory=dict)
    part: str = ""

    @property
    def series(self) -> "Series":
        """What its number counts the iterations of."""
        return self.part, self.class_index

    @property
    def halves(self) -> tuple[str, str] | None:
        """The names of both half maps; None unless both are there."""
        first, second = self.files.get("_half_A"), self.files.get("_half_B")
        return (first, second) if first and second else None


@dataclass(slots=True)
class Listing:
    """A job folder as it is now; ``curves`` by (class, iteration, tightened)."""

    iterations: list[Iteration]
    curves: dict[tuple[int | None, int, bool], str]
    particle_tables: frozenset[str]


def job_folders(directory: Path, memory: Memory | None = None) -> list[Job]:
    """The refinements of a project in the order of their numbers, or the one job that ``directory`` itself is."""
    memory = memory or Memory()
    if is_job_folder(directory):
        return [job_of(directory, memory)]
    jobs = [job_of(directory / name, memory) for name in _job_names(directory)]
    return [job for job in jobs if job.table.refines]


def all_job_folders(directory: Path) -> list[Path]:
    """The folders of all jobs of a project, whatever their kind."""
    return [directory / name for name in _job_names(directory)]


def job_of(folder: Path, memory: Memory) -> Job:
    """The job of a folder; its table is empty where there is none."""
    try:
        table = memory.file(read_job, folder / "job.json")
    except RefineHooksError:
        table = JobTable()
    return Job(folder, folder.name, table, memory)


def _job_names(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if _JOB_NAME.fullmatch(entry.name)]
    except OSError:
        return []
    return sorted(names, key=lambda name: int(name[1:]))


def is_job_folder(folder: Path) -> bool:
    """Whether a folder is a job's own: it has a job.json under a job's name, or maps with a job's names."""
    if (folder / "job.json").is_file() and (_JOB_NAME.fullmatch(folder.name) or (folder / "job.log").is_file()):
        return True
    try:
        with os.scandir(folder) as entries:
            return any(_MAP.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def evidence(directory: Path) -> list[str]:
    """The names that make a directory cryoSPARC's; none where it is not."""
    if is_job_folder(directory):
        return ["job.json" if (directory / "job.json").is_file() else "maps named after a job"]
    jobs = _job_names(directory)
    seen = [name for name in _PROJECT_FILES if (directory / name).is_file()]
    with_table = next((name for name in jobs if (directory / name / "job.json").is_file()), None)
    if not jobs or not (seen or with_table):
        return []
    return [*seen, *([f"{with_table}/job.json"] if with_table else []), f"{len(jobs)} job folders"]


def list_job(job: Job) -> Listing:
    """The maps, masks and curves in a job folder."""
    found: dict[tuple[Series, int | None], Iteration] = {}
    curves: dict[tuple[int | None, int, bool], str] = {}
    tables = set()
    for name in _names(job.folder):
        if match := _MAP.fullmatch(name):
            class_index = int(match["class"]) if match["class"] else None
            written = match["iteration"]
            number = None if written is None else -1 if written == "final" else int(written)
            new = Iteration(class_index, number, match["stem"], part=match["part"] or "")
            iteration = found.setdefault((new.series, number), new)
            iteration.files[match["what"]] = name
        elif match := _CURVE.fullmatch(name):
            class_index = int(match["class"]) if match["class"] else None
            curves[class_index, int(match["iteration"]), match["tightened"] is not None] = name
        elif name.endswith("particles.cs"):
            tables.add(name)
    return Listing(sorted(found.values(), key=_in_order), curves, frozenset(tables))


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from [entry.name for entry in entries]
    except OSError:
        return


def _in_order(iteration: Iteration) -> tuple[bool, int, int]:
    return iteration.number == -1, iteration.number or 0, iteration.class_index or 0
