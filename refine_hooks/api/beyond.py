"""What is known of a round beyond its one number: in words, as figures, and two rounds beside each other."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refine_hooks.analysis.two_rounds import agreement, round_maps
from refine_hooks.api.arrays import as_pair
from refine_hooks.errors import MapError, SettingsError
from refine_hooks.log.records import RoundRecord
from refine_hooks.report.what_helps import Beyond, beyond_words, words_of
from refine_hooks.sums.symmetry import order_of


def words_beyond(record: RoundRecord, what: Beyond | None = None) -> list[str]:
    """What was found of a round beyond its one number, with its errors and what it means: a sentence each, as ``show`` prints it.

    Args:
        record: of a log.
        what: only the "directions", the "local" resolution, the "convergence", what more "particles" would give, or the
            "substitution" of images; all of it and what limits the resolution where None.
    """
    return beyond_words(record) if what is None else words_of(record, what)


def plot_beyond(record: RoundRecord, what: Beyond, path: Path | str, *, width_cm: float = 12.0) -> Path:
    """Draw one of these things as ``plot`` does; needs matplotlib.

    Args:
        record: of a log.
        what: "directions", "local", "convergence", "particles" or "substitution".
        path: file to write: PNG, SVG or PDF, as its ending says.
        width_cm: width of the figure.

    Returns:
        The path.

    Raises:
        InputError: matplotlib is not installed, the ending is another one, or it was not measured of this round.
        StorageError: the file cannot be written.
    """
    from refine_hooks.report.beyond_plot import plot_beyond as draw

    draw(record, what, Path(path), width_cm)
    return Path(path)


@dataclass(frozen=True, slots=True)
class RoundsCompared:
    """What `compare_rounds` gives.

    Attributes:
        correlation: FSC of the averages of the two rounds over the shells 0..N//2; NaN beyond those that were looked at.
        signal: correlation of the two signals up to the resolution, from halves that share no particle; 1: an unchanged map.
        signal_sd: its standard deviation.
        noise_shared: correlation of their noise, which says how far angles changed; None where it cannot be told.
        better: by how much the half-map FSC of the newest round lies above that of the earlier one, where both fall.
        better_sd: its standard deviation.
        moved_A: by how far the particle was moved between the two; undone for the comparison.
        turned_deg: angle between the two particles where it is significant, else 0; not undone.
    """

    correlation: NDArray[np.float64]
    signal: float
    signal_sd: float
    noise_shared: float | None
    better: float
    better_sd: float
    moved_A: float
    turned_deg: float


def compare_rounds(
    newest: tuple[ArrayLike, ArrayLike],
    earlier: tuple[ArrayLike, ArrayLike],
    voxel_size_A: float,
    *,
    mask: ArrayLike,
    threshold: float = 0.143,
    symmetry: str = "C1",
) -> RoundsCompared:
    """Whether a map still changes, and whether it gets better: the half maps of two rounds of one refinement.

    Args:
        newest: unfiltered, unmasked half maps [z, y, x] of the newest round.
        earlier: those of an earlier one, of the same particles.
        voxel_size_A: edge of a voxel.
        mask: of the newest round, with a soft edge.
        threshold: signal is looked at up to where the half-map FSCs of both fall to it.
        symmetry: imposed point group.

    Raises:
        MapError: arrays that do not fit each other; a round with next to no signal; particles that went from one half to the other.
        SettingsError: there is no such point group.
    """
    order = order_of(symmetry)
    if order is None:
        raise SettingsError(f"symmetry {symmetry!r}: no such point group; write Cn, Dn, T, O or I, such as C4")
    now, before = as_pair(*newest), as_pair(*earlier)
    values = as_pair(now[0], mask, "mask")[1]
    as_pair(now[0], before[0], "earlier")
    one = round_maps(*now, values, threshold=threshold)
    found = agreement(one, round_maps(*before, values, one, threshold), values, threshold, order)
    if found is None:
        raise MapError(
            "the two rounds cannot be compared: one has next to no signal, or particles went from one half to the other"
        )
    return RoundsCompared(
        correlation=found.correlation,
        signal=found.signal,
        signal_sd=found.signal_sd,
        noise_shared=found.noise_shared,
        better=found.better,
        better_sd=found.better_sd,
        moved_A=found.moved_px * voxel_size_A,
        turned_deg=found.turned_deg,
    )
