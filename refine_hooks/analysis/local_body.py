"""The voxels of a mask that hold the particle, without the solvent that a generous mask has about it."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume

_VOXEL_A = 3.0  # of the grid on which depths are measured


def body_of(mask: Volume, voxel_size_A: float, depth_A: float) -> NDArray[np.bool_]:
    """The voxels that lie deeper in a mask than a distance [z, y, x].

    Args:
        mask: soft, [z, y, x].
        voxel_size_A: edge of a voxel.
        depth_A: below the contour where the mask is 1/2: how far that lies beyond the particle's surface.
    """
    from refine_hooks.masks.morphology import distances

    n = len(mask)
    if depth_A <= 0:
        return np.asarray(mask >= 0.5)
    body = np.zeros(mask.shape, bool)
    bin_px = max(1, int(_VOXEL_A / voxel_size_A))
    coarse = mask[::bin_px, ::bin_px, ::bin_px] >= 0.5
    if not coarse.any():
        return body
    box = []
    for axis in range(3):
        filled = np.flatnonzero(coarse.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(0, int(filled[0]) - 1), int(filled[-1]) + 2))
    inside = np.pad(coarse[tuple(box)], 1)
    if min(inside.shape) < 3:
        return body
    depth = distances(inside)[1:-1, 1:-1, 1:-1] * (bin_px * voxel_size_A)
    # The distance is to the nearest place outside; the contour lies half a step before it.
    deep = depth - bin_px * voxel_size_A / 2 > depth_A
    for axis in range(3):
        deep = np.repeat(deep, bin_px, axis=axis)
    target = tuple(slice(one.start * bin_px, min(n, one.stop * bin_px)) for one in box)
    body[target] = deep[tuple(slice(0, one.stop - one.start) for one in target)]
    return body
