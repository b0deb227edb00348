"""The axes that things by direction are told of."""

import numpy as np
from numpy.typing import NDArray

AXES = 256
HALF_ANGLE_DEG = 20.0  # of the cone about each


def fibonacci_axes(count: int = AXES) -> NDArray[np.float64]:
    """Unit vectors [axis, 3] (z, y, x), even over the half sphere z > 0 (González 2010, doi:10.1007/s11004-009-9257-x)."""
    i = np.arange(count)
    z = (i + 0.5) / count
    azimuth = i * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - z * z)
    return np.stack([z, radius * np.sin(azimuth), radius * np.cos(azimuth)], axis=1)
