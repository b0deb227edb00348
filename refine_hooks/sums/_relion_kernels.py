"""Compiled loops of `refine_hooks.sums.relion`."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels.jit import njit, prange


@njit(cache=True, nogil=True, parallel=True)
def weigh_with_blob(density: NDArray[np.float64], first: int, table: NDArray[np.float64], step: float) -> None:
    """Multiply sections z = first, first + 1 ... of real space by the blob's transform, in place.

    The transform is looked up in a table: the entry below, 0 beyond its end. RELION takes the middle index of its odd grid for a
    step that is one too far; only what a point and its mate share has an effect on real weights, so the mean of both is taken.
    """
    count, edge, _ = density.shape
    half = edge // 2
    for z in prange(count):
        for y in range(edge):
            for x in range(edge):
                value = _looked_up(table, step, _far(first + z, edge), _far(y, edge), _far(x, edge))
                if first + z == half or half <= y <= half + 1 or half <= x <= half + 1:
                    mate = _far(edge - first - z, edge), _far(edge - y, edge), _far(edge - x, edge)
                    value = (value + _looked_up(table, step, mate[0], mate[1], mate[2])) / 2
                density[z, y, x] *= value


@njit(inline="always")
def _far(index: int, edge: int) -> int:
    return index if index < edge // 2 else edge - index


@njit(inline="always")
def _looked_up(table: NDArray[np.float64], step: float, z: int, y: int, x: int) -> float:
    entry = int(np.sqrt(float(x * x + y * y + z * z)) * step)
    return float(table[entry]) if entry < table.size else 0.0


@njit(cache=True, nogil=True, parallel=True)
def divide_by_density(factors: NDArray[np.float64], density: NDArray[np.float64], radius2: int) -> None:
    """Divide the factors within the radius by the size of the density, never by less than 1e-6, in place; 0 beyond.

    Where nothing was ever added a factor grows a million times with every turn, which a double holds.
    """
    edge, _, columns = factors.shape
    half = edge // 2
    for z in prange(edge):
        kz = z if z <= half else z - edge
        for y in range(edge):
            ky = y if y <= half else y - edge
            for x in range(columns):
                if kz * kz + ky * ky + x * x < radius2:
                    factors[z, y, x] /= max(1e-6, np.abs(density[z, y, x]))
                else:
                    factors[z, y, x] = 0.0
