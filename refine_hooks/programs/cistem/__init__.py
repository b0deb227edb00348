"""cisTEM: dumps that live for seconds, a database that must not be locked, and half maps that exist nowhere on disk."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.log.checks import Duplicates
from refine_hooks.model import FscCurve, HalfMaps, ProgramMask, Round
from refine_hooks.particles import ParticlesJob
from refine_hooks.programs._still import State
from refine_hooks.programs.adapter import Program, Project
from refine_hooks.programs.cistem import half_maps as saved
from refine_hooks.programs.cistem.capture import capture
from refine_hooks.programs.cistem.database import databases
from refine_hooks.programs.cistem.glance import Glance
from refine_hooks.programs.cistem.particles import duplicates, particles
from refine_hooks.programs.cistem.program_mask import refinement_mask
from refine_hooks.programs.cistem.reported import reported, viewing_directions
from refine_hooks.programs.cistem.rounds import Finished, rounds
from refine_hooks.programs.cistem.startup import capture_startup
from refine_hooks.settings import Settings


class CistemProject(Project):
    """The folder that cisTEM made for a project."""

    captures = True
    keeps_particles = True

    def __init__(self, directory: Path, settings: Settings, spool: Path) -> None:
        super().__init__(directory, settings, spool)
        self._finished = Finished()
        self._glance = Glance(directory, spool)
        self._watched = [(directory / "Scratch", True), (directory, False), (directory / "Assets" / "Volumes", False)]

    def watched_folders(self) -> Iterable[tuple[Path, bool]]:
        """The scratch folders (small, wiped after each round), the database's folder, and where maps are written."""
        return self._watched

    def glance(self) -> tuple[State, ...]:
        """See `refine_hooks.programs.cistem.glance.Glance`."""
        return self._glance.states()

    def rounds(self) -> Iterable[Round]:
        """See `refine_hooks.programs.cistem.rounds.rounds`."""
        return rounds(self, self._finished)

    def capture(self) -> list[Path]:
        """Save all dumps that are there and not yet saved; returns what was newly saved.

        Raises:
            StorageError: the spool cannot be written to.
        """
        given = self.directory, self.spool, self.memory, self.keep_free_bytes
        return capture(*given) + capture_startup(*given)

    def half_maps(self, round_: Round) -> HalfMaps | None:
        """See `refine_hooks.programs.cistem.half_maps.half_maps`."""
        return saved.half_maps(round_, self.settings.program.voxel_size_A)

    def reported(self, round_: Round) -> list[FscCurve]:
        """See `refine_hooks.programs.cistem.reported.reported`."""
        return reported(self.memory, round_)

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """The supplied mask, or the program's automask of the map that the round wrote."""
        return {"refinement": refinement_mask(self.directory, self.memory, round_, halves)}

    def particles(self, round_: Round) -> ParticlesJob:
        """See `refine_hooks.programs.cistem.particles.particles`."""
        return particles(self.directory, self.memory, round_)

    def duplicates(self, round_: Round) -> Duplicates | None:
        """See `refine_hooks.programs.cistem.particles.duplicates`."""
        return duplicates(self.directory, self.memory, round_)

    def viewing_directions(self, round_: Round) -> NDArray[np.float64] | None:
        """See `refine_hooks.programs.cistem.reported.viewing_directions`."""
        return viewing_directions(round_)

    def discard(self, round_: Round) -> None:
        """Remove the dumps saved for this round."""
        saved.discard(round_, self.spool)


def recognises(directory: Path) -> bool:
    """Whether the folder holds a SQLite database beside cisTEM's folder of assets."""
    return (directory / "Assets").is_dir() and bool(databases(directory))


def why(directory: Path) -> str:
    """What speaks for a cisTEM project, or is missing."""
    names = ", ".join(path.name for path in databases(directory))
    assets = (directory / "Assets").is_dir()
    return (
        f"{f'SQLite database {names}' if names else 'no SQLite database *.db'}, {'a' if assets else 'no'} folder Assets"
    )


ADAPTER = Program(recognises, why, CistemProject)
