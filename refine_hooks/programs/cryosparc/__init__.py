"""cryoSPARC: half maps A and B of each iteration in job folders, cleared as intermediate results; a job.json says the rest.

A directory is a project (job folders J1, J2, ...) or one job's own folder.
"""

from collections.abc import Iterable
from pathlib import Path

from refine_hooks.programs.cryosparc.files import evidence, job_folders
from refine_hooks.programs.cryosparc.halves import (
    angular_distribution,
    discard,
    further_masks,
    half_maps,
    particles,
    refinement_mask,
    reported,
)
from refine_hooks.programs.cryosparc.rounds import capture, rounds

__all__ = [
    "angular_distribution",
    "bells",
    "capture",
    "discard",
    "further_masks",
    "half_maps",
    "particles",
    "recognises",
    "refinement_mask",
    "reported",
    "rounds",
    "why",
]


def recognises(directory: Path) -> bool:
    """Whether a directory is a cryoSPARC project (job folders with a job.json) or the folder of one job."""
    return bool(evidence(directory))


def why(directory: Path) -> str:
    """The names that speak for cryoSPARC, or are missing."""
    return ", ".join(evidence(directory)) or "no job folders J1, J2, ... with a job.json, and no maps named after a job"


def bells(directory: Path) -> Iterable[tuple[Path, bool]]:
    """The folders of refinements, and the project for new jobs; particles lie in folders below those of other jobs."""
    return [(directory, False), *((job.folder, False) for job in job_folders(directory) if job.folder != directory)]
