"""Compiled loops of cisTEM's masks; imported only where they run, because numba is slow to import."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels.jit import njit


@njit(cache=True, nogil=True)
def _reach(square: int) -> int:
    """The largest x with x^2 <= square, -1 for none."""
    if square < 0:
        return -1
    x = int(np.sqrt(square))
    while x * x > square:
        x -= 1
    while (x + 1) * (x + 1) <= square:
        x += 1
    return x


@njit(cache=True, nogil=True)
def ring_sums(
    voxels: NDArray[np.float32], values: NDArray[np.float64], zones: NDArray[np.int8], core: int, first: int, last: int
) -> tuple[float, int, float, int, float]:
    """Sums over a ring mask in the planes first..last-1.

    Args:
        voxels: [z, y, x], cubic.
        values: mask at each squared distance from the centre; 0 beyond the table.
        zones: at each squared distance, 0 inside, 1 in the outer edge, 2 in the inner edge, 3 in the hole.
        core: squared distances up to this one are all inside; -1 for none.
        first: plane to begin with.
        last: plane to stop before.

    Returns:
        Sum and number of the voxels in the outer edge, sum and number in the inner edge, and the sum of the squared mask.
    """
    n = voxels.shape[0]
    centre = n // 2
    outer, outer_count, inner, inner_count, squares = 0.0, 0, 0.0, 0, 0.0
    for z in range(first, last):
        for y in range(n):
            row = (z - centre) ** 2 + (y - centre) ** 2
            reach, inside = _reach(values.size - 1 - row), _reach(core - row)
            begin, end = max(centre - reach, 0), min(centre + reach + 1, n)
            core_begin, core_end = max(centre - inside, begin), min(centre + inside + 1, end)
            squares += max(core_end - core_begin, 0)
            for i in range(begin, end - max(core_end - core_begin, 0)):
                x = i if i < core_begin or core_end <= core_begin else i + core_end - core_begin
                r2 = row + (x - centre) ** 2
                squares += values[r2] * values[r2]
                if zones[r2] == 1:
                    outer += voxels[z, y, x]
                    outer_count += 1
                elif zones[r2] == 2:
                    inner += voxels[z, y, x]
                    inner_count += 1
    return outer, outer_count, inner, inner_count, squares


@njit(cache=True, nogil=True)
def ring_apply(
    voxels: NDArray[np.float32],
    out: NDArray[np.float32],
    values: NDArray[np.float64],
    zones: NDArray[np.int8],
    outside: float,
    inside: float,
    base: float,
    first: int,
    last: int,
) -> None:
    """``m * v + (1 - m) * mean - base`` in the planes first..last-1; the mean is ``outside`` or, from zone 2 on, ``inside``."""
    n = voxels.shape[0]
    centre = n // 2
    for z in range(first, last):
        for y in range(n):
            row = (z - centre) ** 2 + (y - centre) ** 2
            for x in range(n):
                r2 = row + (x - centre) ** 2
                if r2 >= values.size:
                    out[z, y, x] = outside - base
                elif zones[r2] == 0:
                    out[z, y, x] = voxels[z, y, x] - base
                else:
                    mean = outside if zones[r2] == 1 else inside
                    out[z, y, x] = values[r2] * voxels[z, y, x] + (1.0 - values[r2]) * mean - base


@njit(cache=True, nogil=True)
def outside_sum(voxels: NDArray[np.float32], radius_px: float, first: int, last: int) -> tuple[float, int]:
    """Sum and number of the voxels farther than ``radius_px`` from the centre in the planes first..last-1."""
    n = voxels.shape[0]
    centre, limit = n // 2, radius_px * radius_px
    total, count = 0.0, 0
    for z in range(first, last):
        for y in range(n):
            r2_row = (z - centre) ** 2 + (y - centre) ** 2
            for x in range(n):
                if r2_row + (x - centre) ** 2 > limit:
                    total += voxels[z, y, x]
                    count += 1
    return total, count
