"""RELION: refinements whose rounds and half maps lie in job folders, told apart by their names and model tables.

A directory is a project (with ``default_pipeline.star`` or job-type folders) or one job's own folder.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.log.checks import Duplicates
from refine_hooks.model import FscCurve, HalfMaps, ProgramMask, Round
from refine_hooks.particles import ParticlesJob
from refine_hooks.programs._still import State, folder_state, state
from refine_hooks.programs.adapter import Program, Project
from refine_hooks.programs.relion import halves as of_round
from refine_hooks.programs.relion.files import JOB_TYPES, Job, is_job_folder, is_refinement_s, job_folders
from refine_hooks.programs.relion.glance import Glance
from refine_hooks.programs.relion.particles import duplicates, particles
from refine_hooks.programs.relion.postprocess import postprocess_tables
from refine_hooks.programs.relion.rounds import job_rounds
from refine_hooks.programs.relion.spool import capture, spool_folder
from refine_hooks.settings import Settings


class RelionProject(Project):
    """A project or one job."""

    captures = True
    keeps_particles = True
    unfiltered_by = "refine-hooks install relion"

    def watched_folders(self) -> Iterable[tuple[Path, bool]]:
        """The folders of refinements and post-processings; particles lie elsewhere."""
        return self._watched

    def why_unused(self, path: Path) -> str | None:
        """Nothing of the filtered maps of a round that is measured from better ones."""
        return None if is_refinement_s(path.name) else super().why_unused(path)

    def __init__(self, directory: Path, settings: Settings, spool: Path) -> None:
        super().__init__(directory, settings, spool)
        self._glance = Glance(directory, spool, self.memory)
        self._watched = [(directory, False), *((directory / name, True) for name in (*JOB_TYPES, "PostProcess"))]

    def glance(self) -> tuple[State, ...]:
        """See `refine_hooks.programs.relion.glance.Glance`."""
        return self._glance.states()

    def rounds(self) -> Iterable[Round]:
        """Every round and class of every refinement that is on disk now, oldest first within each job."""
        postprocessed = tuple(map(state, postprocess_tables(self.directory)))
        for job in job_folders(self.directory, self.memory):
            kept = spool_folder(self.spool, job.run)

            def seen(job: Job = job, kept: Path = kept) -> tuple[object, ...]:
                return folder_state(job.folder), folder_state(kept), *postprocessed

            yield from self.still.rounds(
                job.folder,
                seen,
                lambda job=job: job_rounds(self.directory, job, self.settings, self.spool),  # type: ignore[misc]
                lambda round_: [self.directory / known.path for known in round_.fingerprint.inputs],
            )

    def capture(self) -> list[Path]:
        """See `refine_hooks.programs.relion.spool.capture`."""
        return capture(self.directory, self.spool)

    def half_maps(self, round_: Round) -> HalfMaps | None:
        """See `refine_hooks.programs.relion.halves.half_maps`."""
        return of_round.half_maps(round_)

    def reported(self, round_: Round) -> list[FscCurve]:
        """RELION's FSC of this round, and the curves of a post-processing of the same half maps."""
        return of_round.reported(round_)

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """The mask that the round was refined under, or that a post-processing of it used."""
        mask = of_round.refinement_mask(round_, halves)
        # A body's mask covers its own part of the particle: it is not judged as one of the whole.
        name = "program_body" if round_.inputs is not None and round_.inputs.kind == "body" else "refinement"
        return {} if mask is None else {name: mask}

    def particles(self, round_: Round) -> ParticlesJob:
        """The particles of the round's own ``data.star``."""
        return particles(round_)

    def names_particles(self, round_: Round) -> bool:
        """Whether the round's own ``data.star`` is there."""
        return round_.inputs is not None and round_.inputs.particles_table.is_file()

    def duplicates(self, round_: Round) -> Duplicates | None:
        """Particles that are in both half sets, by the round's own ``data.star``."""
        return duplicates(round_)

    def viewing_directions(self, round_: Round) -> NDArray[np.float64] | None:
        """Particles per bin, from the particles' table of that round."""
        return of_round.viewing_directions(round_)

    def discard(self, round_: Round) -> None:
        """Remove the kept arrays of a round; RELION's own beside its job are never touched."""
        of_round.discard(round_, self.spool)


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


ADAPTER = Program(recognises, why, RelionProject)
