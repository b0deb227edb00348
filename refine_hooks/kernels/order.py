"""Numbers in the order of their size."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def quantile(values: ArrayLike, share: float) -> float:
    """As numpy's, linear between neighbours; that one imports numpy's masked arrays when it is first called."""
    flat = np.asarray(values).ravel()
    at = share * (flat.size - 1)
    low = int(at)
    part = np.partition(flat, [low, min(low + 1, flat.size - 1)])
    below, above = float(part[low]), float(part[min(low + 1, flat.size - 1)])
    return below + (above - below) * (at - low)


def median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Along the first axis, for the same reason."""
    middle = (len(values) - 1) // 2
    part = np.partition(values, [middle, len(values) // 2], axis=0)
    return np.asarray((part[middle] + part[len(values) // 2]) / 2)
