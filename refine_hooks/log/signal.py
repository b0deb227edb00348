"""Whether two half maps share a signal, and whether it has the same sign in both, as their unmasked FSC shows."""

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

TOGETHER = 3
_NEGATIVE, _NEGATIVE_SD = -0.1, 6.0


def score_of(correlation: Curve, sd: Curve) -> float:
    """Standard deviations by which the first shells together exceed none, as many of them as show most.

    Args:
        correlation: FSC of the unmasked halves over the shells 0..N//2.
        sd: of each for noise alone.
    """
    weight = 1 / np.square(sd[1:])
    scores = np.cumsum(weight * correlation[1:]) / np.sqrt(np.cumsum(weight))
    return float(scores.max(initial=0.0))


def most_negative(correlation: Curve, sd: Curve) -> int | None:
    """First of three shells that are negative together by more than chance; None where there are none.

    Args:
        correlation: FSC of the unmasked halves over the shells 0..N//2.
        sd: of each for noise alone.
    """
    ones = np.ones(TOGETHER)
    if len(correlation) <= TOGETHER + 1:
        return None
    mean = np.convolve(correlation[1:], ones / TOGETHER, "valid")
    error = np.sqrt(np.convolve(np.square(sd[1:]), ones, "valid")) / TOGETHER
    low = int(np.argmin(mean / error))
    return low + 1 if mean[low] < _NEGATIVE and mean[low] < -_NEGATIVE_SD * error[low] else None
