"""The resolution of a part of the particle, with its interval, from the sums of each band over that part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.local_fit import crossings, farthest
from refine_hooks.log.local import PartState

Numbers = NDArray[np.float64]

_FWHM = 2.3548
_SCATTER = 0.08  # of the FSC of a small part
_DRAWS = 400
_SEED = 20130135
_INTERVAL = (0.05, 0.95)
# Beside the counting of independent numbers: what neighbours, surfaces and the assumed fall of the signal do to the reading, as a
# standard deviation of its logarithm. Chosen on phantoms, judged on others.
_OTHER_SD = 0.008
_REACH = 1.645 * _OTHER_SD


@dataclass(frozen=True, slots=True)
class PartReading:
    """What was read off one part.

    Attributes:
        resolution_A: None where no band, or every band, lies above the level.
        interval_A: of 90 %, its coarse end first; it ends at Nyquist where the curve stays above the level within its
            error alone.
        state: whether the curve crosses the level, begins below it, or ends above it: for certain or within its error.
    """

    resolution_A: float | None
    interval_A: tuple[float, float] | None
    state: PartState


def read_parts(
    logs: Numbers, sums: Numbers, volumes_A3: Numbers, width: float, threshold: float, nyquist_A: float
) -> tuple[PartReading, ...]:
    """The resolution of each part where S / (S + N) passes the level.

    A band of a part of volume V holds V 4 pi k^2 dk independent numbers, dk being the effective width of the band; their FSC
    scatters by (1 - FSC^2) / sqrt(n). The interval is that of the crossings of curves drawn so, neighbouring bands together as
    far as they overlap.

    Args:
        logs: ln of the bands' centres in 1/Angstrom, in equal steps.
        sums: mean of the halves squared, half their difference squared [band, 2, part].
        volumes_A3: of independent density, one a part.
        width: of a band, as a share of its centre: full width at half height of its amplitudes.
        threshold: the level.
        nyquist_A: nothing finer is read.
    """
    curves = part_curves(sums)
    sd_share = width / _FWHM / np.sqrt(2)
    independent = volumes_A3 * (4 * np.pi * 2 * np.sqrt(np.pi) * sd_share) * np.exp(3 * logs)[:, None]
    errors = (1 - curves**2) / np.sqrt(np.maximum(independent, 1.0))
    frequency, below, above = crossings(logs, curves.astype(np.float32), width, threshold, _SCATTER)
    drawn = curves[:, None] + errors[:, None] * _together(logs, sd_share)[:, :, None]
    tried, _, beyond = crossings(logs, drawn.reshape(len(logs), -1).astype(np.float32), width, threshold, _SCATTER)
    last = min(1 / nyquist_A, farthest(logs))
    above, beyond = above | (frequency >= last), (beyond | (tried >= last)).reshape(_DRAWS, -1).mean(axis=0)
    frequency, tried = np.minimum(frequency, last), np.minimum(tried, last)
    ends = np.quantile(np.log(tried.reshape(_DRAWS, -1)), _INTERVAL, axis=0) - np.log(frequency)
    reach = np.hypot(np.clip([-ends[0], ends[1]], 0, None), _REACH)
    return tuple(
        _reading(1 / frequency[i], reach[:, i], _state(below[i], above[i], beyond[i]), nyquist_A)
        for i in range(curves.shape[1])
    )


def _state(below: np.bool_, above: np.bool_, beyond: float) -> PartState:
    """What a curve does; above the level up to the last band only where nearly all curves are that it may be."""
    if below or not above:
        return "never_above" if below else "crosses"
    return "never_below" if beyond >= _INTERVAL[1] else "undecided"


def part_curves(sums: Numbers) -> Numbers:
    """FSC of each part [band, part], of the sums of the mean of the halves squared and half their difference squared."""
    mean, half = sums[..., 0, :], sums[..., 1, :]
    return np.asarray((mean - half) / np.maximum(mean + half, 1e-30))


def _reading(resolution_A: float, reach: Numbers, state: PartState, nyquist_A: float) -> PartReading:
    coarse, fine = float(resolution_A * np.exp(reach[0])), float(resolution_A * np.exp(-reach[1]))
    if state == "undecided":
        return PartReading(None, (coarse, nyquist_A), state)
    if state != "crosses":
        return PartReading(None, None, state)
    return PartReading(float(resolution_A), (coarse, max(fine, nyquist_A)), state)


def _together(logs: Numbers, sd_share: float) -> Numbers:
    """Standard normal numbers [band, draw], correlated as bands that overlap are."""
    overlap = np.exp(-(((logs[:, None] - logs) / sd_share) ** 2) / 4)
    values, vectors = np.linalg.eigh(overlap)
    root = vectors * np.sqrt(np.maximum(values, 0))
    return np.asarray(root @ np.random.default_rng(_SEED).standard_normal((len(logs), _DRAWS)))
