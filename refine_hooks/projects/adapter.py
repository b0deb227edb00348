"""What an adapter is: a module with the functions of `Adapter`, and the few plain values that they exchange."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refine_hooks.maps import Map, Volume
from refine_hooks.particles import Particles
from refine_hooks.records import InputFile, Key, Origin, Stamp
from refine_hooks.settings import Settings
from refine_hooks.store import Store
from refine_hooks.sums.symmetry import Package


@dataclass(frozen=True, slots=True)
class Facts:
    """What the refinement program says of a round; None where it says nothing. All that is passed on to the measurement."""

    voxel_size_A: float | None = None
    molecular_mass_kDa: float | None = None
    sphere_radius_A: float | None = None
    alignment_limit_A: float | None = None
    reconstruction_limit_A: float | None = None
    symmetry: str | None = None
    particles: int | None = None
    reported_resolution_A: float | None = None
    reported_rule: str | None = None
    notes: tuple[str, ...] = ()


# What a round waits for whose half maps the program will write over: they are measured from a copy.
KEPT_FIRST = "a copy of its half maps, which the program writes over: it is made first"


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one class as it is on disk now; made anew at every look.

    Attributes:
        missing: what is still awaited, in words; a round is measured only when nothing is.
        fault: why it cannot be measured as it stands; recorded as failed, tried again when ``stamp`` changes.
        complete: the inputs prove by their own contents that they are whole, so no time has to pass.
        inputs: whatever the adapter needs to find the halves again (a dataclass of paths, never open files). Its ``origin``,
            where it has one, says before anything is read where the half maps will come from (None: there are none).
    """

    key: Key
    program: str
    label: str
    stamp: Stamp
    facts: Facts = Facts()
    missing: tuple[str, ...] = ()
    fault: str | None = None
    complete: bool = False
    inputs: Any = None


@dataclass(frozen=True, slots=True)
class HalfMaps:
    """Two half maps in memory, where they come from and what is known to be wrong with them.

    ``paths`` is None for maps that exist nowhere yet; the run writes them into the store.
    """

    half1: Map
    half2: Map
    origin: Origin
    paths: tuple[Path, Path] | None = None
    masked_by: str | None = None
    joined_below_A: float | None = None
    valid_shells: int | None = None
    images: tuple[int | None, int | None] = (None, None)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FscCurve:
    """One curve of the program's own, over the shells 0..N//2; NaN where it has no value.

    Attributes:
        name: without the "reported_" that the record puts before it.
        count: the FSC of two volumes under the refinement's mask as this program counts it; the record then says how well the
            reported curve is had again from the half maps at hand.
    """

    name: str
    correlation: NDArray[np.float64]
    resolution_A: float | None = None
    rule: str = "as the program states it"
    note: str | None = None
    count: Callable[[Volume, Volume, Volume], NDArray[np.float64]] | None = None


@dataclass(frozen=True, slots=True)
class ProgramMask:
    """The mask that the refinement itself used, in the frame of the half maps; ``mask`` is None when it cannot be had.

    Attributes:
        cistem_edge: any voxel above 0 counts, and the edge is the one that cisTEM gives a mask before an FSC.
    """

    mask: Map | None
    path: Path | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    cistem_edge: bool = False


@dataclass(frozen=True, slots=True)
class ParticlesJob:
    """The particles of one round and the rules by which its half maps are made of them.

    Attributes:
        particles: the round's table, with both half sets.
        package: whose rules of summing and finishing: "cistem" (every symmetry mate inserted, weights from occupancy, sigma and
            score, divided by weights + 100) or "relion" (a grid twice as fine, symmetry applied to the sums, even sampling
            sought iteratively). A program without rules of its own takes those whose conventions its table was read by.
        symmetry: point group in that package's setting.
        whitening_radius_A: the noise outside this radius whitens the images, and their background is brought to mean 0 and
            variance 1, as cisTEM does; None inserts the images as they are.
        score_weight_A2: cisTEM's "particle weighting factor".
        adjust_scores: cisTEM's scores lose their dependence on defocus before they weigh.
        score_threshold: cisTEM's: 1 keeps all, 0..1 that fraction with the best scores, anything else is a score.
        notes: what is known to differ from the program's own reconstruction; they go into the record.
    """

    particles: Particles
    package: Package
    symmetry: str = "C1"
    whitening_radius_A: float | None = None
    score_weight_A2: float = 0.0
    adjust_scores: bool = True
    score_threshold: float = 1.0
    notes: tuple[str, ...] = ()


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
