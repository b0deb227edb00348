"""What an adapter is: a module with the functions of `Adapter`, and the few plain values that they exchange."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from refine_hooks.log.folder import Store
from refine_hooks.model import FscCurve, HalfMaps, InputFile, ProgramMask, Round, Stamp
from refine_hooks.particles import ParticlesJob
from refine_hooks.settings import Settings


class Adapter(Protocol):
    """One refinement program. Functions of a module, or of one value in it: no state, nothing of the project is opened for writing.

    A module may also have ``why(directory) -> str``: what speaks for a directory's being this program's, or against it; and
    ``configured(settings) -> Adapter``: the adapter to use under these settings.
    """

    def recognises(self, directory: Path) -> bool:
        """Whether ``directory`` is this program's. Cheap: a few names, no walk."""

    def bells(self, directory: Path) -> Iterable[tuple[Path, bool]]:
        """Folders whose changes should be looked at once, each with whether to include its sub-folders."""

    def rounds(self, directory: Path, settings: Settings, store: Store) -> Iterable[Round]:
        """Every round and class that is on disk or in the spool now, oldest first; called again and again."""

    def capture(self, directory: Path, spool: Path) -> list[Path]:
        """Save what the program is about to delete; returns what was newly saved. May run in a thread of its own."""

    def half_maps(self, directory: Path, round_: Round, store: Store) -> HalfMaps | None:
        """Find or merge the two half maps; None where the round has none (it is then recorded with the reported curves)."""

    def particles(self, directory: Path, round_: Round) -> ParticlesJob | None:
        """What the round can be reconstructed from; None where the program keeps no particles.

        Raises:
            ParticlesError: they should be there and are not, or cannot be reconstructed; says why.
        """

    def reported(self, directory: Path, round_: Round) -> list[FscCurve]:
        """The program's own curves."""

    def refinement_mask(self, directory: Path, round_: Round, halves: HalfMaps) -> ProgramMask | None:
        """The mask that the refinement used for this round; None where the program uses none."""

    def further_masks(self, directory: Path, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """More masks of the program's own, by the name that they are recorded under, e.g. ``program_fsc``."""

    def angular_distribution(self, directory: Path, round_: Round) -> NDArray[np.float64] | None:
        """Views per bin [theta 0..180, phi 0..360], where the program keeps or implies them."""

    def discard(self, round_: Round, spool: Path) -> None:
        """Remove what `capture` saved for this round, after its half maps are safely on disk."""


FUNCTIONS = tuple(sorted(name for name in vars(Adapter) if not name.startswith("_")))


def project_folder_only(directory: Path) -> Iterable[tuple[Path, bool]]:
    """`Adapter.bells` for a program that writes straight into the project folder."""
    return [(directory, False)]


def nothing_to_capture(directory: Path, spool: Path) -> list[Path]:
    """`Adapter.capture` for a program that deletes nothing."""
    return []


def no_particles(directory: Path, round_: Round) -> ParticlesJob | None:
    """`Adapter.particles` for a program that keeps no particles, or none that can be inserted here."""
    return None


def nothing_reported(directory: Path, round_: Round) -> list[FscCurve]:
    """`Adapter.reported` for a program that keeps no curves."""
    return []


def no_mask_of_its_own(directory: Path, round_: Round, halves: HalfMaps) -> ProgramMask | None:
    """`Adapter.refinement_mask` for a program that refines without a mask, or does not say which."""
    return None


def no_further_masks(directory: Path, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
    """`Adapter.further_masks` for a program that has one mask at most."""
    return {}


def no_angular_distribution(directory: Path, round_: Round) -> NDArray[np.float64] | None:
    """`Adapter.angular_distribution` for a program that does not record it."""
    return None


def nothing_to_discard(round_: Round, spool: Path) -> None:
    """`Adapter.discard` for a program of which nothing is captured."""


def stamp_of(directory: Path, paths: Iterable[Path], revision: str = "") -> Stamp:
    """Names, sizes and mtimes of files as they are now; names below ``directory`` are made relative to it.

    A file that is gone is left out: the stamp then differs, which is the truth.
    """
    inputs = []
    for path in sorted(set(paths)):
        try:
            status = path.stat()
        except OSError:
            continue
        name = str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)
        inputs.append(InputFile(name=name, size=status.st_size, mtime_ns=status.st_mtime_ns))
    return Stamp(inputs=tuple(inputs), revision=revision)
