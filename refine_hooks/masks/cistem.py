"""The masks of cisTEM, voxel for voxel: its soft sphere, its soft edge around a given mask, its automask.

Source: cisTEM 2.0.0-alpha (doi:10.7554/eLife.35383), functions CosineRingMask, ApplyMask and ConvertToAutoMask. None of them is
what refine_hooks measures with; they say what the program itself used.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from refine_hooks.errors import InputError
from refine_hooks.maps import Volume

EDGE_A = 10.0

T = TypeVar("T")


def ring_masked(
    voxels: Volume, radius_px: float, inner_radius_px: float = 0.0, edge_px: float = 4.0, *, subtract: bool = False
) -> tuple[Volume, float]:
    """A centred volume under cisTEM's sphere or hollow sphere with cosine edges.

    Outside the mask is the mean of the voxels in the outer edge, in the hole that of the inner edge.

    Args:
        voxels: [z, y, x], cubic.
        radius_px: middle of the outer edge.
        inner_radius_px: middle of the inner edge; 0 for none.
        edge_px: width of both edges.
        subtract: take the mean of the outer edge away from the result, so that it is 0 outside. No Fourier coefficient but
            that of frequency 0 changes.

    Returns:
        The masked volume, and the sum of the squared mask in voxels.

    Raises:
        InputError: the radii or the edge are not those of a sphere.
    """
    if not (edge_px > 0 and radius_px > inner_radius_px >= 0):
        raise InputError(f"no sphere has radius {radius_px:g}, hole {inner_radius_px:g} and edge {edge_px:g} px")
    from refine_hooks.masks.cistem_kernels import ring_apply, ring_sums

    core_px = max(radius_px - edge_px / 2, 0.0)
    hole_px = inner_radius_px + edge_px / 2 if inner_radius_px > 0 else 0.0
    voxels = np.ascontiguousarray(voxels, np.float32)
    parts = _by_planes(len(voxels), lambda first, last: ring_sums(voxels, core_px, edge_px, hole_px, first, last))
    outer, outer_count, inner, inner_count, squares = np.sum(parts, axis=0).tolist()
    outside = outer / outer_count if outer_count else 0.0
    inside = inner / inner_count if inner_count else 0.0
    base = outside if subtract else 0.0
    out = np.empty_like(voxels)
    _by_planes(
        len(voxels), lambda a, b: ring_apply(voxels, out, core_px, edge_px, hole_px, outside, inside, base, a, b)
    )
    return out, float(squares)


def _by_planes(planes: int, work: Callable[[int, int], T]) -> list[T]:
    cores = len(os.sched_getaffinity(0))
    bounds = np.linspace(0, planes, cores + 1).astype(int).tolist()
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(work, bounds[:-1], bounds[1:]))
