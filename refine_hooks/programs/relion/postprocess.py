"""The post-processing jobs of a project, and which of them used a given pair of half maps."""

import os
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.programs.relion.files import Job, in_project
from refine_hooks.programs.relion.tables import PostProcess, read_postprocess


def postprocess_of(job: Job, halves: tuple[Path, Path]) -> PostProcess | None:
    """The newest post-processing (by its job's number) of these very half maps; None when there is none."""
    for path in postprocess_tables(job.project):
        try:
            found = job.memory.file(read_postprocess, path)
        except RefineHooksError:
            continue
        if any(_same(in_project(job, name), half) for name in (found.half1, found.half2) if name for half in halves):
            return found
    return None


def postprocess_tables(project: Path) -> list[Path]:
    """Where the tables of all post-processing jobs are, or will be, the newest job first."""
    folder = project / "PostProcess"
    try:
        with os.scandir(folder) as entries:
            jobs = [e.name for e in entries if e.name.startswith("job") and e.name[3:].isdecimal()]
    except OSError:
        return []
    return [folder / name / "postprocess.star" for name in sorted(jobs, key=lambda n: int(n[3:]), reverse=True)]


def _same(one: Path, other: Path) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)
