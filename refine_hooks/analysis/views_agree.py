"""Whether what the particles' angles say of each direction is what the half maps say of it, and where not, what is at fault.

Where views are divided by how often they were seen, the noise of the half maps goes as 1 / sampling. Where it does not, a third
thing decides: S / N by direction goes as the sampling, too, and no filter that both halves were given changes it. So a map whose
S / N follows the angles was weighted by direction afterwards, and one whose S / N does not follow them either was made from
other angles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.sampling import Sampled

Fault = Literal["none", "map", "angles", "undecided"]

_AS_EVEN = 0.05  # spread of ln of the power over the directions
_MISFIT, _SHARE = 0.12, 0.35  # spread of what is left: of its own, and of the larger of the two spreads
_ERRORS = 3.0
_FOLLOWS, _FOLLOWS_NOT = 0.6, 0.4  # slope of ln(S / N)
_SAME_PATTERN = 0.7


@dataclass(frozen=True, slots=True)
class Agreement:
    """Noise by direction, as measured, beside what the particles' angles make of it.

    Attributes:
        fault: none: they agree.
        correlation: of ln of the two; None where both are even.
        measured: spread (standard deviation) of ln of the measured noise over the directions.
        expected: the same of what the angles make.
        left: that of the difference.
        signal_slope: by which ln of S / N goes with ln of the sampling, 1 where it follows; None where it is not known, or the
            sampling is even.
    """

    fault: Fault
    correlation: float | None
    measured: float
    expected: float
    left: float
    signal_slope: float | None = None


def agreement(
    relative_sampling: Sequence[float], noise: Sequence[float], noise_sd: float, signal_to_noise: Sequence[float] = ()
) -> Agreement | None:
    """Hold the noise of the half maps against the sampling by the angles; None where they are not of the same axes.

    Args:
        relative_sampling: over its mean, of 256 axes.
        noise: power in cones about the same axes over its mean.
        noise_sd: by which a cone errs.
        signal_to_noise: in the same cones over its mean; empty where it is not known.
    """
    if not len(relative_sampling) == len(noise) > 0:
        return None
    own = Sampled(np.array(relative_sampling))
    seen = (np.array(noise) > 0) & own.filled_cones
    if seen.sum() < len(seen) // 4:
        return None
    expected, measured = _centred(own.noise_in_cones()[seen]), _centred(np.array(noise)[seen])
    spread, found = float(expected.std()), float(measured.std())
    left = float((measured - expected).std())
    even = max(_AS_EVEN, _ERRORS * noise_sd)
    both = float(np.corrcoef(expected, measured)[0, 1]) if min(spread, found) > 1e-6 else None
    allowed = max(_MISFIT, _ERRORS * noise_sd, _SHARE * max(spread, found))
    ratio = _signal(signal_to_noise, seen)
    following = _slope(ratio, np.log(own.in_cones()[seen]), even)
    numbers = (both if max(spread, found) > even else None, found, spread, left, following)
    if left <= allowed:
        return Agreement("none", *numbers)
    return Agreement(_fault(both, following, _slope(ratio, -measured, even)), *numbers)


def _fault(noise_follows: float | None, with_sampling: float | None, with_noise: float | None) -> Fault:
    """What is at fault, from how the noise goes with the angles, and S / N with the angles and with the noise."""
    if with_sampling is not None:
        return "map" if with_sampling > _FOLLOWS else "angles" if with_sampling < _FOLLOWS_NOT else "undecided"
    if with_noise is not None:  # even by the angles
        return "angles" if with_noise > _FOLLOWS else "map" if with_noise < _FOLLOWS_NOT else "undecided"
    return "map" if noise_follows is not None and noise_follows > _SAME_PATTERN else "undecided"


def _signal(signal_to_noise: Sequence[float], seen: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    if len(signal_to_noise) != len(seen):
        return None
    ratio = np.array(signal_to_noise)[seen]
    return np.log(ratio) if (ratio > 0).all() else None


def _slope(ratio: NDArray[np.float64] | None, other: NDArray[np.float64], even: float) -> float | None:
    """None where one is not known, or nothing can be said since the other is even."""
    if ratio is None or other.std() <= even or ratio.std() <= 1e-6:
        return None
    return float(np.cov(ratio, other)[0, 1] / np.var(other, ddof=1))


def _centred(power: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log(power)
    return np.asarray(logs - logs.mean())
