"""Where a noisy FSC in overlapping bands passes a level."""

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]
Numbers = NDArray[np.float64]

# B k^2 of the signal at the crossing: the logarithm of S / N falls so steeply in ln k. Measured half maps have about 11.
SLOPES = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 16.0)
_LIKELY, _WIDTH = 10.0, 4.0  # of the slopes: a preference where the curve itself says little
_HALF = 3  # bands on either side of the crossing that are fitted
_FINE, _SPAN = 0.03, 0.3  # of the crossings that are tried, in ln k
_AT_ONCE = 1 << 11
_FWHM = 2.3548


def crossings(
    logs: Numbers, curves: Reals, width: float, threshold: float, sd: float
) -> tuple[Numbers, NDArray[np.bool_], NDArray[np.bool_]]:
    """The frequency at which each curve passes the level.

    The bands above the level are those up to the highest sum of what exceeds it, which is where a falling curve fitted to all
    bands passes it. About there, the curve of a signal with S / N = c exp(-B k^2 / 2) is fitted by least squares.

    Args:
        logs: ln of the bands' centres, in equal steps.
        curves: FSC [band, point].
        width: of a band, as a share of its centre: full width at half height of its amplitudes.
        threshold: the level.
        sd: about how far the curves scatter; the less, the more they say of the slope themselves.

    Returns:
        One frequency a point; whether no band lies above the level; whether all do, so that the crossing lies beyond.
    """
    bands, points = curves.shape
    sums = np.vstack([np.zeros(points), np.cumsum(curves - threshold, axis=0)])
    above = np.argmax(sums, axis=0)
    out = np.empty(points)
    tried = _tried(_step(logs), width, threshold)
    for begin in range(0, points, _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        middle = np.clip(above[some] - 1, 0, bands - 1)
        out[some] = logs[middle] + _best(curves[:, some], middle, tried, sd)
    return np.minimum(np.exp(out), farthest(logs)), above == 0, above == bands


def farthest(logs: Numbers) -> float:
    """The highest frequency that a crossing is read at: half a step beyond the centre of the last band.

    Args:
        logs: ln of the bands' centres, in equal steps.
    """
    return float(np.exp(logs[-1] + _step(logs) / 2))


def _step(logs: Numbers) -> float:
    return float(logs[1] - logs[0]) if len(logs) > 1 else 0.1


def _best(curves: Reals, middle: NDArray[np.int64], tried: Reals, sd: float) -> Numbers:
    """The crossing that fits best, relative to the middle band in ln k, one a point."""
    at = middle + np.arange(-_HALF, _HALF + 1)[:, None]
    weight = ((1 - np.abs(np.arange(-_HALF, _HALF + 1)) / (_HALF + 1))[:, None] * ((at >= 0) & (at < len(curves)))).T
    seen = np.take_along_axis(curves, np.clip(at, 0, len(curves) - 1), axis=0).T
    misfit = np.float32(-2) * ((weight * seen).astype(np.float32) @ tried)
    misfit += weight.astype(np.float32) @ tried**2
    misfit += _reluctance(tried.shape[1], sd)
    places = tried.shape[1] // len(SLOPES)
    row, best = np.arange(len(misfit)), np.argmin(misfit, axis=1)
    # Between those tried, by the parabola through three of one slope.
    inner = np.clip(best % places, 1, places - 2) + best // places * places
    left, here, right = misfit[row, inner - 1], misfit[row, inner], misfit[row, inner + 1]
    moved = 0.5 * (left - right) / np.maximum(left - 2 * here + right, 1e-9)
    return np.asarray((inner % places + np.clip(moved, -1, 1)) * _FINE - _SPAN, np.float64)


def _reluctance(count: int, sd: float) -> Reals:
    return np.repeat(sd**2 * ((np.array(SLOPES) - _LIKELY) / _WIDTH) ** 2, count // len(SLOPES)).astype(np.float32)


def _tried(step: float, width: float, threshold: float) -> Reals:
    """The curves that the crossings tried give, relative to the middle band [band, slope and crossing]."""
    at = np.arange(-_SPAN, _SPAN + _FINE / 2, _FINE)
    bands = np.arange(-_HALF, _HALF + 1) * step
    curves = [seen_in_bands(bands[:, None] - at, slope, width, threshold) for slope in SLOPES]
    return np.concatenate(curves, axis=1).astype(np.float32)


def seen_in_bands(logs: Numbers, slope: float, width: float, threshold: float) -> Numbers:
    """FSC in bands of a signal that passes the level at ln k = 0.

    Args:
        logs: ln of the bands' centres, any shape.
        slope: B k^2 at the crossing.
        width: see `crossings`.
        threshold: the level.
    """
    sd = width / _FWHM / np.sqrt(2)
    offsets = np.linspace(-3.5, 3.5, 71) * sd
    weights = np.exp(-0.5 * (offsets / sd) ** 2) * (1 + offsets) ** 2
    squares = (np.exp(logs)[..., None] * (1 + offsets)) ** 2
    ratio = (
        threshold / (1 - threshold) * np.exp(np.minimum(slope / 2 * (1 - squares), 30.0)) @ (weights / weights.sum())
    )
    return np.asarray(ratio / (1 + ratio))
