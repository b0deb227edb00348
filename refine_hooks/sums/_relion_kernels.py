"""Compiled loops of `refine_hooks.sums.relion`."""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray


@njit(cache=True, nogil=True, parallel=True)
def weigh_with_blob(density: NDArray[np.float32], first: int, table: NDArray[np.float32], step: float) -> None:
    """Multiply sections z = first, first + 1 ... of real space by the blob's transform, in place.

    The transform is looked up in a table: the entry below, 0 beyond its end.
    """
    count, edge, _ = density.shape
    half = edge // 2
    for z in prange(count):
        dz = first + z
        for y in range(edge):
            dy = y if y < half else y - edge
            for x in range(edge):
                dx = x if x < half else x - edge
                entry = int(np.sqrt(float(dx * dx + dy * dy + dz * dz)) * step)
                density[z, y, x] *= table[entry] if entry < table.size else np.float32(0.0)


@njit(cache=True, nogil=True, parallel=True)
def divide_by_density(factors: NDArray[np.float32], density: NDArray[np.float32], radius2: int) -> None:
    """Divide the factors within the radius by the size of the density, never by less than 1e-6, in place; 0 beyond.

    Where nothing was ever added a factor grows with every turn: it is bounded, so that it stays a number.
    """
    edge, _, columns = factors.shape
    half = edge // 2
    for z in prange(edge):
        kz = z if z <= half else z - edge
        for y in range(edge):
            ky = y if y <= half else y - edge
            for x in range(columns):
                if kz * kz + ky * ky + x * x < radius2:
                    factor = factors[z, y, x] / max(np.float32(1e-6), np.abs(density[z, y, x]))
                    factors[z, y, x] = min(factor, np.float32(1e20))
                else:
                    factors[z, y, x] = np.float32(0.0)
