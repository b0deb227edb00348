"""cryoSPARC: half maps A and B of each iteration in job folders, cleared as intermediate results; a job.json says the rest.

A directory is a project (job folders J1, J2, ...) or one job's own folder.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.log.checks import Duplicates
from refine_hooks.model import FscCurve, HalfMaps, ProgramMask, Round
from refine_hooks.particles import ParticlesJob
from refine_hooks.programs.adapter import Program, Project
from refine_hooks.programs.cryosparc import halves as of_round
from refine_hooks.programs.cryosparc.files import all_job_folders, evidence, job_folders, job_of
from refine_hooks.programs.cryosparc.rounds import capture, rounds


class CryosparcProject(Project):
    """A project or one job."""

    captures = True
    keeps_particles = True

    def watched_folders(self) -> Iterable[tuple[Path, bool]]:
        """The folders of refinements, and the project for new jobs; particles lie in folders below those of other jobs."""
        folders = [job.folder for job in job_folders(self.directory, self.memory)]
        return [(self.directory, False), *((folder, False) for folder in folders if folder != self.directory)]

    def folders_with_maps(self) -> Iterable[Path]:
        """All job folders, whatever the job is."""
        return [self.directory, *all_job_folders(self.directory)]

    def why_unused(self, path: Path) -> str | None:
        """The kind of job, or its name."""
        job = job_of(path.parent, self.memory)
        if not job.table.refines:
            return f"a job of the kind {job.table.type} refines no half maps"
        return super().why_unused(path)

    def rounds(self) -> Iterable[Round]:
        """Every iteration and class of every refinement, those whose files were saved and are gone since included."""
        return rounds(self.directory, self.spool, self.memory)

    def capture(self) -> list[Path]:
        """See `refine_hooks.programs.cryosparc.rounds.capture`."""
        return capture(self.directory, self.spool, self.memory, self.keep_free_bytes)

    def half_maps(self, round_: Round) -> HalfMaps | None:
        """See `refine_hooks.programs.cryosparc.halves.half_maps`."""
        return of_round.half_maps(round_)

    def reported(self, round_: Round) -> list[FscCurve]:
        """See `refine_hooks.programs.cryosparc.halves.reported`."""
        return of_round.reported(round_)

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """See `refine_hooks.programs.cryosparc.halves.masks`."""
        return of_round.masks(round_)

    def particles(self, round_: Round) -> ParticlesJob:
        """See `refine_hooks.programs.cryosparc.halves.particles`."""
        return of_round.particles(round_)

    def duplicates(self, round_: Round) -> Duplicates | None:
        """See `refine_hooks.programs.cryosparc.halves.duplicates`."""
        return of_round.duplicates(round_)

    def viewing_directions(self, round_: Round) -> NDArray[np.float64] | None:
        """See `refine_hooks.programs.cryosparc.halves.viewing_directions`."""
        return of_round.viewing_directions(round_)

    def discard(self, round_: Round) -> None:
        """Remove what was saved of this round."""
        of_round.discard(round_)


def recognises(directory: Path) -> bool:
    """Whether a directory is a cryoSPARC project (job folders with a job.json) or the folder of one job."""
    return bool(evidence(directory))


def why(directory: Path) -> str:
    """The names that speak for cryoSPARC, or are missing."""
    return ", ".join(evidence(directory)) or "no job folders J1, J2, ... with a job.json, and no maps named after a job"


ADAPTER = Program(recognises, why, CryosparcProject)
