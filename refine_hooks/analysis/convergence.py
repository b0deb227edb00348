"""Does a refinement still change, and does it still get better? What the rounds of a run and class say together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.two_rounds import Agreed
from refine_hooks.log.better import overlap
from refine_hooks.log.convergence import ConvergenceVerdict

Numbers = NDArray[np.float64]

SAME_SIGNAL = 0.97
_SDS = 3.0
_APART = 0.02  # by which an oscillating round agrees less with the last one than with the one before that, at least
_STEADY = 0.015  # change of the resolution that is none
_TREND = 0.005  # change a round of a steady trend
_ROUNDS = 3  # that a verdict is made of, where two do not say it
_CHANGES = 3  # that make a trend, at most


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


def verdict(
    points: Sequence[Point],
    with_last: Agreed | None = None,
    with_before_last: Agreed | None = None,
    last_two: Agreed | None = None,
) -> Verdict:
    """Whether the rounds have converged, get better or worse, go back and forth between two solutions, or change otherwise.

    Args:
        points: the rounds with a resolution read off the same curve, the oldest first.
        with_last: the newest round with the one before it.
        with_before_last: with the one before that.
        last_two: these two with each other.
    """
    if _oscillates(with_last, with_before_last, last_two):
        return Verdict("oscillates")
    trend = _trend(points, with_last, with_before_last) or _step(points, with_last)
    trend = trend or _by_maps(points, with_last, with_before_last)
    if trend:
        return Verdict("improving" if trend < 0 else "worsening", per_round_A=float(trend))
    same = with_last is None or with_last.signal + 2 * with_last.signal_sd >= SAME_SIGNAL
    beside = [None, with_last, with_before_last]
    steady = 0
    while steady < len(points) and (
        _steady(points[-1 - steady], points[-1]) or (steady < len(beside) and _as_good(beside[steady]))
    ):
        steady += 1
    if same and steady >= _ROUNDS:
        return Verdict("converged", since=points[-steady].iteration)
    return Verdict("changing" if len(points) >= _ROUNDS or not same else "undecided")


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


def _rates(points: Sequence[Point]) -> Numbers:
    """Change of the resolution from each round to the next, an iteration: some have none that could be read."""
    iterations = np.maximum(np.diff([point.iteration for point in points]), 1)
    return np.asarray(np.diff([point.resolution_A for point in points]) / iterations, np.float64)


def _trend(points: Sequence[Point], with_last: Agreed | None, with_before_last: Agreed | None) -> float:
    """The change an iteration in Angstrom of a trend that all of the last rounds follow; 0 where there is none.

    Where half maps were compared, their FSCs must follow it as well: resolutions can go one way by chance.
    """
    last = points[-_CHANGES - 1 :]
    rates = _rates(last)
    if len(rates) < 2 or not (np.all(rates < 0) or np.all(rates > 0)):
        return 0.0
    small = np.abs(rates) < _TREND * points[-1].resolution_A
    if small.any() or _steady(last[0], last[-1]):
        return 0.0
    known = [
        _better_by(one) * rates[-1] for one in (with_last, with_before_last) if one is not None and one.better_sd > 0
    ]
    if known and (min(known) >= 0 or known[0] > 0):
        return 0.0
    return float(np.median(rates) if len(rates) > 2 else rates[-1])


def _step(points: Sequence[Point], with_last: Agreed | None) -> float:
    """The last change an iteration, where it is sure and makes the newest round the best or the worst of the last ones."""
    last = points[-_CHANGES - 1 :]
    if len(last) < 2 or abs(np.log(last[-2].resolution_A / last[-1].resolution_A)) <= _STEADY:
        return 0.0
    rate = float(_rates(last)[-1])
    others = [point.resolution_A for point in last[:-1]]
    farthest = last[-1].resolution_A < min(others) if rate < 0 else last[-1].resolution_A > max(others)
    return rate if farthest and _sure(last[-2], last[-1], rate, with_last) else 0.0


def _by_maps(points: Sequence[Point], with_last: Agreed | None, with_before_last: Agreed | None) -> float:
    """The mean change an iteration over three rounds, where their FSCs say that both changes went one way; 0 elsewhere.

    A resolution may stand still for a round by chance, while the whole curve rises.
    """
    if len(points) < _ROUNDS or with_last is None or with_before_last is None:
        return 0.0
    first, newest = points[-_ROUNDS], points[-1]
    rate = (newest.resolution_A - first.resolution_A) / max(newest.iteration - first.iteration, 1)
    follow = _better_by(with_last) * rate < 0 and _better_by(with_before_last) * rate < 0
    return rate if follow and not _steady(first, newest) else 0.0


def _sure(before: Point, newest: Point, rate: float, with_last: Agreed | None) -> bool:
    """Whether one change is beyond its error: that of the two rounds' difference, and without one the intervals of both."""
    if with_last is not None and with_last.better_sd > 0:
        return _better_by(with_last) * rate < 0
    return not overlap(before, newest)


def _as_good(beside: Agreed | None) -> bool:
    """Whether the half-map FSCs of two rounds are known to be the same within their error."""
    return beside is not None and beside.better_sd > 0 and not _better_by(beside)


def _better_by(with_last: Agreed) -> float:
    """By how much the FSC of the newest round is better than that of the last one; 0 where that is within its error."""
    return with_last.better if abs(with_last.better) > _SDS * with_last.better_sd else 0.0


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
