"""Does a refinement still change, and does it still get better? The averages of two rounds, and the resolutions of many.

Two rounds are made from much the same particles, so their noise is much the same, and the FSC of their averages is no half-map
FSC. With the half-map FSC h the share of signal in an average is R = 2 h / (1 + h). The FSC of two averages is

    F = c sqrt(R1 R2) + r sqrt((1 - R1) (1 - R2))

where c is the correlation of the signals and r that of the noise, which is read off the shells without signal. c is 1 where the
two rounds show the same thing, whatever their noise shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks import fsc
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import extent, voxels_in_shell
from refine_hooks.log.better import overlap
from refine_hooks.log.convergence import ConvergenceVerdict

Numbers = NDArray[np.float64]

SAME_SIGNAL = 0.97
_WITHOUT_SIGNAL = 0.05  # half-map FSC; shells beyond the resolution that are below it hold noise alone
_FEWEST = 200  # independent numbers that the share of the noise is read from
_SDS = 3.0
_APART = 0.02  # by which an oscillating round agrees less with the last one than with the one before that, at least
_STEADY = 0.015  # change of the resolution that is none
_TREND = 0.005  # change a round of a steady trend
_STEADY_ROUNDS = 3
_TREND_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class RoundMaps:
    """The average of the half maps of a round, and their FSC, under the mask that all rounds are compared under."""

    average: Volume
    half_fsc: Numbers


@dataclass(frozen=True, slots=True)
class Agreed:
    """How far two rounds agree; see `refine_hooks.log.convergence.Agreement`."""

    correlation: Numbers
    signal: float
    signal_sd: float
    noise_shared: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """The resolution of one round, with its 90 % interval where there is one, coarse end first."""

    iteration: int
    resolution_A: float
    interval_A: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a refinement."""

    verdict: ConvergenceVerdict
    since: int | None = None
    per_round_A: float | None = None


def round_maps(half1: Volume, half2: Volume, mask: Volume) -> RoundMaps:
    """The average [z, y, x] of two half maps, and their FSC under a mask."""
    return RoundMaps((half1 + half2) * np.float32(0.5), fsc.masked_fsc(half1, half2, mask, extent(mask).box))


def agreement(one: RoundMaps, other: RoundMaps, mask: Volume, threshold: float = 0.143) -> Agreed | None:
    """How far two rounds show the same thing; None where neither has signal.

    Args:
        one: the later round.
        other: the earlier one, in the same box.
        mask: the one that both were measured under [z, y, x].
        threshold: signal is looked at up to where both half-map FSCs fall to it.
    """
    curve = fsc.masked_fsc(one.average, other.average, mask, extent(mask).box)
    independent = voxels_in_shell(len(mask)) / fsc.correlated_voxels(mask)
    lower = np.minimum(one.half_fsc, other.half_fsc)
    higher = np.maximum(one.half_fsc, other.half_fsc)
    below = np.flatnonzero(~(lower[1:] >= threshold))
    end = int(below[0]) + 1 if below.size else len(curve)
    if end < 2:
        return None
    shared = _noise_shared(curve[end:], higher[end:], independent[end:])
    within = slice(1, end)
    share1, share2 = (2 * h[within] / (1 + h[within]) for h in (one.half_fsc, other.half_fsc))
    scale = np.sqrt(share1 * share2)
    noise = (shared or 0.0) * np.sqrt((1 - share1) * (1 - share2))
    signal = (curve[within] - noise) / scale
    sd = (1 - np.clip(curve[within], -1, 0.999) ** 2) / np.sqrt(independent[within]) / scale
    weight = independent[within] * scale**2
    return Agreed(
        curve,
        float((weight * signal).sum() / weight.sum()),
        float(np.sqrt(((weight * sd) ** 2).sum()) / weight.sum()),
        shared,
    )


def _noise_shared(curve: Numbers, half_fsc: Numbers, independent: Numbers) -> float | None:
    """Mean FSC of two averages over the shells that hold no signal; None where these are too few."""
    alone = np.isfinite(curve) & (half_fsc < _WITHOUT_SIGNAL)
    if independent[alone].sum() < _FEWEST:
        return None
    return float(np.clip(np.average(curve[alone], weights=independent[alone]), 0, 1))


def verdict(
    points: Sequence[Point],
    with_last: Agreed | None = None,
    with_before_last: Agreed | None = None,
    last_two: Agreed | None = None,
) -> Verdict:
    """Whether the rounds have converged, get better or worse, or go back and forth between two solutions.

    Args:
        points: the rounds with a resolution read off the same curve, the oldest first.
        with_last: the newest round with the one before it.
        with_before_last: with the one before that.
        last_two: these two with each other.
    """
    if _oscillates(with_last, with_before_last, last_two):
        return Verdict("oscillates")
    changes = np.diff([point.resolution_A for point in points[-_TREND_ROUNDS - 1 :]])
    trend = _trend(points, changes)
    if trend:
        return Verdict("improving" if trend < 0 else "worsening", per_round_A=float(trend))
    same = with_last is None or with_last.signal + 2 * with_last.signal_sd >= SAME_SIGNAL
    steady = 0
    while steady < len(points) and _steady(points[-1 - steady], points[-1]):
        steady += 1
    if same and steady >= _STEADY_ROUNDS:
        return Verdict("converged", since=points[-steady].iteration)
    return Verdict("undecided")


def _oscillates(with_last: Agreed | None, with_before_last: Agreed | None, last_two: Agreed | None) -> bool:
    """The newest round is like the one before the last, and the one between is unlike either."""
    if with_last is None or with_before_last is None or last_two is None:
        return False
    nearest = max((with_last, last_two), key=lambda one: one.signal)
    apart = with_before_last.signal - nearest.signal
    return (
        apart > max(_APART, _SDS * float(np.hypot(with_before_last.signal_sd, nearest.signal_sd)))
        and nearest.signal < SAME_SIGNAL
    )


def _trend(points: Sequence[Point], changes: Numbers) -> float:
    """The median change a round in Angstrom of a trend that all of the last rounds follow; 0 where there is none."""
    if not len(changes) or not (np.all(changes < 0) or np.all(changes > 0)):
        return 0.0
    per_round = float(np.median(changes))
    newest, before = points[-1], points[-2]
    if len(changes) == 1:
        return 0.0 if _steady(before, newest) or overlap(before, newest) else per_round
    small = np.abs(changes) < _TREND * newest.resolution_A
    return 0.0 if small.any() or _steady(points[-len(changes) - 1], newest) else per_round


def _steady(one: Point, newest: Point) -> bool:
    """Whether two resolutions are the same within error: within the share of a steady one, or each within the other's interval."""
    if abs(np.log(one.resolution_A / newest.resolution_A)) <= _STEADY:
        return True
    if one.interval_A is None or newest.interval_A is None:
        return False
    return (
        one.interval_A[0] >= newest.resolution_A >= one.interval_A[1]
        and newest.interval_A[0] >= one.resolution_A >= newest.interval_A[1]
    )
