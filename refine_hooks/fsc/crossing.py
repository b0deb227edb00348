"""Where the expected FSC first crosses a level, from one measured curve: a 90 % interval.

A measured curve crosses where its noise lets it. What is asked for is where the curve's expectation S / (S + N) crosses, and how
far from there the measured crossing may lie. Curves are drawn from what the data leave possible (elliptical slice sampling, Murray,
Adams & MacKay 2010, PMLR 9:541), each is read by the same rule, and the interval holds the middle of their crossings.

ln(S / N) is taken to be a random walk in its slope, 0.4 a shell, so that the curve is smooth over a few shells and free over many;
one signal has as few coefficients in a shell as the noise has, which moves it by sqrt(2 / n) from there. The measured curve lies
about the expected one by its sampling error (`refine_hooks.fsc.sampling_sd`), and a mask makes neighbouring shells err together.
The prior of level and slope goes as the determinant of their information, which favours no frequency.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import Curve
from refine_hooks.kernels import FLOAT, INT, array, kernel
from refine_hooks.kernels.order import quantile

Matrix = NDArray[np.float64]

_KEPT = (
    0.93  # of what is drawn: it held the truth of nine in ten (scripts/calibrate_interval), where 0.9 held a few less
)
_BEND = 0.4  # change of the slope of ln(S / N) from shell to shell
_LEVEL_SD, _SLOPE_SD = 3.0, 2.0
_BREAK_SD = 2.0  # where a correction sets in
_BEFORE, _BEYOND, _FARTHEST = 8, 12, 40  # shells
_DRAWS, _KEPT_EVERY = 4000, 4
_SEED = 20030501
_STEPS = 40
_WIDER = 1.2
_NOISE_SD = 3.0
_MOST = 0.999
_CURVE, _MATRIX = array("float64", 1), array("float64", 2)
_draw = kernel(
    "crossing_draws",
    *(_CURVE, _MATRIX, _MATRIX, _CURVE, _CURVE, _CURVE, _MATRIX, _MATRIX, FLOAT, _CURVE, _MATRIX, _CURVE, INT),
    array("float64", 2, written=True),
)


@dataclass(frozen=True, slots=True)
class Errors:
    """How the shells of a curve err.

    Attributes:
        independent: coefficients that count, of the shells 0..N//2.
        together: correlation of the errors of shells 0, 1, 2 .. apart.
        carried: what was taken out of the curve as the mask's own, where (1 - m) F + m was measured; 0 before a correction
            sets in.
    """

    independent: Curve
    together: Curve
    carried: Curve | None = None


def crossing_interval(correlation: Curve, errors: Errors, crossing: float, level: float) -> tuple[float, float]:
    """90 % interval of the shell where the expected curve first crosses a level; it holds the measured crossing.

    Args:
        correlation: over the shells 0..N//2, finite up to the last that was measured.
        errors: of the same shells.
        crossing: shell of the measured curve's first crossing.
        level: of the crossing.
    """
    model = _Model(correlation, errors, crossing, level)
    mode, covariance = model.mode()
    wide = _WIDER * covariance
    root = np.linalg.cholesky(wide + 1e-10 * np.eye(len(mode)))
    rng = np.random.default_rng(_SEED)
    normal, uniform = rng.standard_normal((_DRAWS, len(mode))), rng.random(8 * _DRAWS)
    drawn = np.empty((_DRAWS // _KEPT_EVERY, len(mode)))
    _draw(mode, root, np.linalg.inv(wide), *model.given, normal, uniform, _KEPT_EVERY, drawn)
    found = _first_crossings(1 / (1 + np.exp(-drawn)), level) + model.first
    low, high = (quantile(found, share) for share in ((1 - _KEPT) / 2, (1 + _KEPT) / 2))
    return min(low, crossing), max(high, crossing)


def _possible(correlation: Matrix) -> Matrix:
    """The same where it is one; an estimate that cannot be one, cut off as under a tight mask, is known to its fault only."""
    values, vectors = np.linalg.eigh(correlation)
    if values[0] >= 0:
        return correlation
    return np.asarray((vectors * np.maximum(values, -values[0])) @ vectors.T)


class _Model:
    """What is known of ln(S / N) in the shells about a crossing, before and by the measured curve."""

    def __init__(self, correlation: Curve, errors: Errors, crossing: float, level: float) -> None:
        ends = np.flatnonzero(~np.isfinite(correlation[1:]))
        last = int(ends[0]) if ends.size else len(correlation) - 1
        independent = np.maximum(errors.independent, 1.0)
        noise = _NOISE_SD / np.sqrt(independent[: last + 1])
        high = np.flatnonzero((correlation[: last + 1] >= level) & (correlation[: last + 1] > noise))
        reach = max(crossing, float(high[-1]) if high.size else 0.0)
        self.first = max(1, int(crossing / 2) - 1, int(crossing) - _BEFORE)
        stop = min(last, int(reach) + _BEYOND, int(crossing) + _FARTHEST) + 1
        self.shells = np.arange(self.first, stop)
        self.middle = float(np.log(level / (1 - level)))
        self.place = self.shells - crossing
        measured = np.clip(correlation[self.first : stop], -1, _MOST)
        counts = independent[self.first : stop]
        carried = np.zeros(len(counts)) if errors.carried is None else errors.carried[self.first : stop]
        apart = np.abs(self.shells[:, None] - self.shells)
        near = np.where(apart < len(errors.together), errors.together[np.minimum(apart, len(errors.together) - 1)], 0.0)
        near = _possible(near)
        precision = np.linalg.inv(near + 1e-6 * np.eye(len(near)))
        prior = np.linalg.inv(self._prior(near, counts, carried))
        self.given = (measured, counts, carried, precision, prior, self.middle, self.place)

    def _prior(self, near: Matrix, counts: Curve, carried: Curve) -> Matrix:
        """Covariance of ln(S / N)."""
        away = self.place[:, None] - self.place
        bends = np.where(self.place > 0, np.maximum(away, 0), np.maximum(-away, 0))
        of_one_signal = np.sqrt(2 / counts)
        covariance = _LEVEL_SD**2 + _SLOPE_SD**2 * np.outer(self.place, self.place) + _BEND**2 * bends @ bends.T
        covariance += of_one_signal[:, None] * near * of_one_signal + 1e-9 * np.eye(len(counts))
        if carried.any() and not carried[0]:
            later = np.maximum(np.arange(len(carried)) - int(np.flatnonzero(carried)[0]), -1)
            covariance += _BREAK_SD**2 * np.outer(later >= 0, later >= 0) + np.outer(
                np.maximum(later, 0), np.maximum(later, 0)
            )
        return np.asarray(covariance)

    def mode(self) -> tuple[Curve, Matrix]:
        """The likeliest ln(S / N) of each shell, and the covariance about it."""
        measured, counts, carried, precision, prior, middle, place = self.given
        found = middle - 0.35 * place
        covariance = np.eye(len(found))
        for _ in range(_STEPS):
            expected = 1 / (1 + np.exp(-found))
            sd = _sd_of(expected, counts, carried)
            slope = expected * (1 - expected) / sd
            covariance = np.linalg.inv(slope[:, None] * precision * slope + prior)
            step = covariance @ (slope * (precision @ ((measured - expected) / sd)) - prior @ (found - middle))
            found = found + step * min(1.0, 1 / float(np.abs(step).max()))
            if np.abs(step).max() < 1e-2:
                break
        return np.asarray(found), np.asarray((covariance + covariance.T) / 2)


def _first_crossings(drawn: Matrix, level: float) -> Curve:
    """First crossing downward of each curve [draw, shell], by place; the last where there is none, 0 where it begins below."""
    down = (drawn[:, :-1] >= level) & (drawn[:, 1:] < level)
    at = np.argmax(down, axis=1)
    above, below = (np.take_along_axis(drawn, (at + step)[:, None], axis=1)[:, 0] for step in (0, 1))
    found = np.where(
        down.any(axis=1), at + (above - level) / np.where(above > below, above - below, 1.0), drawn.shape[1] - 1
    )
    return np.where(drawn[:, 0] < level, 0.0, found)


def _sd_of(expected: Curve, counts: Curve, carried: Curve) -> Curve:
    """As `refine_hooks.fsc.sampling_sd`, of a curve out of which the mask's own part was taken."""
    plain = expected * (1 - carried) + carried
    rest = np.maximum(1 - carried, 1e-6)
    return np.asarray(np.sqrt(np.maximum((1 - plain) ** 2 * (1 + 2 * plain - plain**2), 1e-6) / counts) / rest)
