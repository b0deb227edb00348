"""Numbers in the order of their size."""

import numpy as np
from numpy.typing import ArrayLike


def quantile(values: ArrayLike, share: float) -> float:
    """As numpy's, linear between neighbours; that one imports numpy's masked arrays when it is first called."""
    flat = np.asarray(values).ravel()
    at = share * (flat.size - 1)
    low = int(at)
    high = min(low + 1, flat.size - 1)
    part = np.partition(flat, high)
    below, above = float(part[:high].max() if high > low else part[high]), float(part[high])
    return below + (above - below) * (at - low)
