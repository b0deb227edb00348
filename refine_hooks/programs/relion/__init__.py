"""RELION: refinements whose rounds and half maps lie in job folders, told apart by their names and model tables.

A directory is a project (with ``default_pipeline.star`` or job-type folders) or one job's own folder.
"""

from collections.abc import Iterable
from pathlib import Path

from refine_hooks.log.folder import Store
from refine_hooks.model import Round
from refine_hooks.programs._still import folder_state, state, still
from refine_hooks.programs.adapter import no_further_masks
from refine_hooks.programs.relion.files import JOB_TYPES, Job, is_job_folder, job_folders
from refine_hooks.programs.relion.halves import angular_distribution, discard, half_maps, refinement_mask, reported
from refine_hooks.programs.relion.particles import particles
from refine_hooks.programs.relion.postprocess import postprocess_tables
from refine_hooks.programs.relion.rounds import job_rounds
from refine_hooks.programs.relion.spool import capture, spool_folder
from refine_hooks.settings import Settings

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

further_masks = no_further_masks


def recognises(directory: Path) -> bool:
    """Whether a directory is a RELION project or the folder of one of its refinements."""
    if (directory / "default_pipeline.star").is_file() or is_job_folder(directory):
        return True
    return any(job.folder != directory for job in job_folders(directory))


def why(directory: Path) -> str:
    """What speaks for a RELION project or job, or is missing."""
    jobs = [job.run for job in job_folders(directory) if job.folder != directory]
    if is_job_folder(directory):
        return "the folder of one refinement: it holds *_model.star or *_optimiser.star"
    seen = [name for name in ("default_pipeline.star",) if (directory / name).is_file()] + jobs[:5]
    more = f" and {len(jobs) - 5} more" if len(jobs) > 5 else ""
    lacking = f"no default_pipeline.star, no *_model.star or *_optimiser.star, no job folder in {', '.join(JOB_TYPES)}"
    return f"{', '.join(seen)}{more}" if seen else lacking


def bells(directory: Path) -> Iterable[tuple[Path, bool]]:
    """The folders of refinements and post-processings; particles lie elsewhere."""
    folders = [directory / name for name in (*JOB_TYPES, "PostProcess") if (directory / name).is_dir()]
    return [(directory, False), *((folder, True) for folder in folders)]


def rounds(directory: Path, settings: Settings, store: Store) -> Iterable[Round]:
    """Every round and class of every refinement that is on disk now, oldest first within each job."""
    postprocessed = tuple(map(state, postprocess_tables(directory)))
    for job in job_folders(directory):
        kept = spool_folder(store.spool, job.run)

        def seen(job: Job = job, kept: Path = kept) -> tuple[object, ...]:
            return folder_state(job.folder), folder_state(kept), *postprocessed

        yield from still(
            (directory, job.folder, kept),
            settings,
            seen,
            lambda job=job: job_rounds(directory, job, settings, store),  # type: ignore[misc]
            lambda round_: [directory / known.name for known in round_.stamp.inputs],
        )
