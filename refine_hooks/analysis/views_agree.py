"""Whether what the particles' angles say of each direction is what the half maps say of it, and where not, what is at fault.

Where views are divided by how often they were seen, the noise of the half maps goes as 1 / sampling. Where it does not, a third
thing decides: S / N by direction, which no filter that both halves were given changes. If the angles are those of the map, and it
was filtered, S / N goes as 1 over the noise that the angles make; if they are of another map, it goes as 1 over the noise that was
measured. These two differ by the misfit itself, and how much of it S / N times the measured noise holds says which it is.
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
_APART = 15.0  # about so many of the 256 cones are independent
_FEW_PARTICLES = 1000
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
        of_the_map: share of what is left that S / N times the measured noise holds: 1 where the map was filtered, 0 where the
            angles are of another one; None where S / N is not known.
        of_the_map_sd: its standard deviation.
    """

    fault: Fault
    correlation: float | None
    measured: float
    expected: float
    left: float
    of_the_map: float | None = None
    of_the_map_sd: float | None = None


def agreement(
    relative_sampling: Sequence[float],
    noise: Sequence[float],
    noise_sd: float,
    signal_to_noise: Sequence[float] = (),
    particles: int | None = None,
) -> Agreement | None:
    """Hold the noise of the half maps against the sampling by the angles; None where they are not of the same axes.

    Args:
        relative_sampling: over its mean, of 256 axes.
        noise: power in cones about the same axes over its mean.
        noise_sd: by which a cone errs.
        signal_to_noise: in the same cones over its mean; empty where it is not known.
        particles: of the map; with few of them a coefficient is held by a handful of views, and the mean of 1 / sampling is not 1
            over its mean.
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
    misfit = _MISFIT * max(1.0, (_FEW_PARTICLES / particles) ** 0.5 if particles else 1.0)
    allowed = max(misfit, _ERRORS * noise_sd, _SHARE * max(spread, found))
    numbers = (both if max(spread, found) > even else None, found, spread, left)
    if left <= allowed:
        return Agreement("none", *numbers)
    share = _of_the_map(signal_to_noise, seen, measured, measured - expected)
    return Agreement(_fault(both, share), *numbers, *(share or (None, None)))


def _fault(noise_follows: float | None, of_the_map: tuple[float, float] | None) -> Fault:
    """What is at fault: the nearer of 1 and 0, by more than the error."""
    if of_the_map is None:
        return "map" if noise_follows is not None and noise_follows > _SAME_PATTERN else "undecided"
    share, sd = of_the_map
    return "map" if share - sd > 0.5 else "angles" if share + sd < 0.5 else "undecided"


def _of_the_map(
    signal_to_noise: Sequence[float],
    seen: NDArray[np.bool_],
    measured: NDArray[np.float64],
    misfit: NDArray[np.float64],
) -> tuple[float, float] | None:
    """Share of the misfit in ln(S / N) plus ln of the measured noise, and its error by what else that holds."""
    if len(signal_to_noise) != len(seen) or not (np.array(signal_to_noise)[seen] > 0).all():
        return None
    signal = _centred(np.array(signal_to_noise)[seen]) + measured
    square = float(misfit @ misfit)
    share = float(signal @ misfit) / square
    rest = signal - share * misfit
    return share, float(np.sqrt(rest @ rest / square / (_APART - 2)))


def _centred(power: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log(power)
    return np.asarray(logs - logs.mean())
