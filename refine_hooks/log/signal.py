"""Whether two half maps share a signal, and whether it has the same sign in both, as their unmasked FSC shows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

TOGETHER = 3
SIGNAL_SD = 4.0  # the best of a few dozen first shells of noise reaches 3
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


def sd_of_none(voxels_in_shell: Sequence[int], order: int, masked: bool) -> Curve:
    """Standard deviation of the unmasked FSC of pure noise in each shell.

    Args:
        voxels_in_shell: of the shells.
        order: of the point group that was imposed.
        masked: whether the halves were multiplied by a mask before.
    """
    counts = np.maximum(np.asarray(voxels_in_shell, float), 1)
    return np.asarray(np.sqrt(order * (2.0 if masked else 1.0) / counts))


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
