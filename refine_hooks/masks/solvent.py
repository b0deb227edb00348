"""The solvent's level in a filtered map, the noise about it, and the level from which on a voxel counts as density.

The solvent's level is the histogram's mode over the whole box: inside the largest sphere the core of a capsid, or a solid
particle, can be the fullest level. Noise and significance are those of the sphere that density is looked for in, since a
reconstruction's corners are noisier than its middle.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import in_slabs
from refine_hooks.kernels import FLOAT, INT, array, kernel
from refine_hooks.masks.shapes import Volume

Table = NDArray[np.float64]

_ENERGY_HELD = 0.995
_DISCOVERY_RATE = 0.01
_BINS = 1 << 14
_noise_sums = kernel("noise_sums", array("float32", 3), FLOAT, FLOAT, INT, INT, array("float64", 1, written=True))
_tally = kernel(
    "tally",
    *(array("float32", 3), array("float32", 3), FLOAT, FLOAT, FLOAT, FLOAT, INT, INT),
    array("float64", 3, written=True),
)


@dataclass(frozen=True, slots=True)
class _Histogram:
    """Voxels of a filtered map in bins of equal width: how many, their sum and their sum of squares."""

    counts: Table
    sums: Table
    squares: Table
    low: float
    width: float

    def edges(self) -> Table:
        return self.low + self.width * np.arange(_BINS, dtype=np.float64)


def levels(signal: Volume, noise: Volume, radius_px: float) -> dict[str, Any]:
    """Background, noise and threshold of a filtered map, how much of the signal stands out, and where the contour lies.

    Args:
        signal: low-passed sum of the half maps [z, y, x].
        noise: low-passed difference of them.
        radius_px: of the sphere that noise and significance are measured in.
    """
    n = len(signal)
    largest = _largest(noise)
    if largest <= 1e-6 * max(_largest(signal), 1e-30):
        return {"reason": "no_difference", "why": "the two half maps do not differ, so there is no noise to judge by"}

    def work(begin: int, end: int) -> Table:
        sums = np.zeros(2)
        _noise_sums(noise, radius_px, 1e-4 * largest, begin, end, sums)
        return sums

    voxels, power = np.sum(in_slabs(work, n, 8), axis=0)
    sd = float(np.sqrt(power / max(voxels, 1.0)))
    histogram, whole = _histograms(signal, noise, radius_px, 1e-4 * largest)
    background = _mode(whole, sd)
    significant = _false_discovery_threshold(histogram, background, sd)
    if significant is None:
        return {"reason": "nothing_significant", "why": "nothing in the average stands out of the noise"}
    centres = histogram.edges() + histogram.width / 2 - background
    squares = histogram.squares - 2 * background * histogram.sums + background**2 * histogram.counts
    energy = np.where(centres > 0, squares, 0)
    total = energy.sum() - sd**2 * voxels / 2
    above = np.cumsum((energy - sd**2 * histogram.counts * (centres > 0))[::-1])[::-1]
    shown = float(above[_bin(histogram, background + significant * sd)] / total) if total > 0 else 0.0
    enough = np.flatnonzero(above >= _ENERGY_HELD * total)
    needed = float(centres[enough[-1]]) if total > 0 and enough.size else 0.0
    level = max(needed, significant * sd)
    inside = np.where(centres >= level, np.maximum(centres, 0), 0)
    typical = float((inside**3 * histogram.counts).sum() / max((inside**2 * histogram.counts).sum(), 1e-30))
    return {
        "noise_sd": sd,
        "threshold_sd": level / sd,
        "significant_sd": significant,
        "energy_shown": min(shown, 1.0),
        "density_share": min(level / typical, 0.5) if typical > 0 else 0.5,
        "level": background,
        "threshold": background + level,
    }


def _largest(volume: Volume) -> float:
    return max(float(volume.max(initial=0)), -float(volume.min(initial=0)))


def _histograms(signal: Volume, noise: Volume, radius_px: float, quiet: float) -> tuple[_Histogram, _Histogram]:
    """Of the sphere, and of the whole box; the latter without squares."""
    low, high = float(signal.min()), float(signal.max())
    width = max((high - low) / (_BINS - 1), 1e-30)

    def work(begin: int, end: int) -> Table:
        tables = np.zeros((2, _BINS, 4))
        _tally(signal, noise, radius_px, quiet, low, width, begin, end, tables)
        return tables

    n = len(signal)
    (counts, sums, squares), (more, more_sums, _) = np.sum(in_slabs(work, n, -(-n // 2)), axis=0).transpose(0, 2, 1)[
        :, :3
    ]
    whole = _Histogram(counts + more, sums + more_sums, np.zeros(_BINS), low, width)
    return _Histogram(counts, sums, squares, low, width), whole


def _bin(histogram: _Histogram, value: float) -> int:
    return int(np.clip(np.ceil((value - histogram.low) / histogram.width), 0, _BINS - 1))


def _mode(histogram: _Histogram, sd: float) -> float:
    """The solvent's level: the middle of the fullest stretch of two standard deviations, or of 2 % of the range."""
    reach = round(min(_BINS, max(sd, 0.01 * histogram.width * _BINS) / histogram.width))
    held = np.concatenate([[0.0], np.cumsum(histogram.counts)])
    bins = np.arange(_BINS)
    low, high = np.maximum(bins - reach, 0), np.minimum(bins + reach + 1, _BINS)
    inside = held[high] - held[low]
    at = int(np.argmax(inside))
    sums = np.concatenate([[0.0], np.cumsum(histogram.sums)])
    return float((sums[high[at]] - sums[low[at]]) / inside[at])


def _false_discovery_threshold(histogram: _Histogram, background: float, sd: float) -> float | None:
    """The lowest score, in standard deviations, above which at most 1 % of the voxels are noise; None when there is none."""
    scores = (histogram.edges() - background) / sd
    above = np.cumsum(histogram.counts[::-1])[::-1]
    allowed = 2 * _DISCOVERY_RATE / histogram.counts.sum() * above
    tried = (scores > 1) & (above > 0)
    x = np.maximum(scores, 0) / math.sqrt(2)
    tried &= (
        2 / math.sqrt(math.pi) * np.exp(-(x**2)) / (x + np.sqrt(x**2 + 2)) <= allowed
    )  # the least that erfc(x) can be
    for score, chance in zip(scores[tried].tolist(), allowed[tried].tolist(), strict=True):
        if math.erfc(score / math.sqrt(2)) <= chance:
            return float(score)
    return None
