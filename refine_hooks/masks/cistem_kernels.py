"""Compiled loops of cisTEM's masks; imported only where they run, because numba is slow to import."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def ring_sums(
    voxels: NDArray[np.float32], core_px: float, edge_px: float, hole_px: float, first: int, last: int
) -> tuple[float, int, float, int, float]:
    """Sums over cisTEM's ring mask in the planes first..last-1.

    Returns sum and number of the voxels in the outer edge, sum and number in the inner edge, and the sum of the squared mask.
    """
    centre = voxels.shape[0] // 2
    outer_sum, outer_count, inner_sum, inner_count, squares = 0.0, 0, 0.0, 0, 0.0
    core2, rim2 = core_px * core_px, (core_px + edge_px) ** 2
    hole2, lip2 = hole_px * hole_px, max(hole_px - edge_px, 0.0) ** 2
    for z in range(first, last):
        for y in range(voxels.shape[1]):
            r2_row = float((z - centre) ** 2 + (y - centre) ** 2)
            if r2_row > rim2:
                continue
            for x in range(voxels.shape[2]):
                r2 = r2_row + float((x - centre) ** 2)
                if r2 > rim2:
                    continue
                if r2 >= core2:
                    outer_sum += voxels[z, y, x]
                    outer_count += 1
                    squares += (0.5 + 0.5 * np.cos(np.pi * (np.sqrt(r2) - core_px) / edge_px)) ** 2
                elif hole_px > 0 and r2 <= hole2:
                    if r2 >= lip2:
                        inner_sum += voxels[z, y, x]
                        inner_count += 1
                        squares += (0.5 + 0.5 * np.cos(np.pi * (hole_px - np.sqrt(r2)) / edge_px)) ** 2
                else:
                    squares += 1.0
    return outer_sum, outer_count, inner_sum, inner_count, squares


@njit(cache=True, nogil=True)
def ring_apply(
    voxels: NDArray[np.float32],
    out: NDArray[np.float32],
    core_px: float,
    edge_px: float,
    hole_px: float,
    outside: float,
    inside: float,
    base: float,
    first: int,
    last: int,
) -> None:
    """``m * v + (1 - m) * mean - base`` in the planes first..last-1; the mean is ``outside`` or, at the inner edge, ``inside``."""
    n = voxels.shape[0]
    centre = n // 2
    core2, rim2 = core_px * core_px, (core_px + edge_px) ** 2
    hole2, lip2 = hole_px * hole_px, max(hole_px - edge_px, 0.0) ** 2
    for z in range(first, last):
        for y in range(n):
            r2_row = float((z - centre) ** 2 + (y - centre) ** 2)
            for x in range(n):
                r2 = r2_row + float((x - centre) ** 2)
                if r2 > rim2:
                    out[z, y, x] = outside - base
                elif r2 >= core2:
                    m = 0.5 + 0.5 * np.cos(np.pi * (np.sqrt(r2) - core_px) / edge_px)
                    out[z, y, x] = voxels[z, y, x] * m + (1.0 - m) * outside - base
                elif hole_px > 0 and r2 <= hole2:
                    m = 0.0
                    if r2 >= lip2:
                        m = 0.5 + 0.5 * np.cos(np.pi * (hole_px - np.sqrt(r2)) / edge_px)
                    out[z, y, x] = voxels[z, y, x] * m + (1.0 - m) * inside - base
                else:
                    out[z, y, x] = voxels[z, y, x] - base


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
