"""Two half maps in blocks: level and noise from place to place, in one pass over the voxels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import in_slabs
from refine_hooks.kernels import FLOAT, INT, array, kernel

Table = NDArray[np.float64]

_BLOCKS = 24
_SHORTEST_PX = 3
_level_sums = kernel(
    "level_sums",
    *(array("float32", 3), array("float32", 3), FLOAT, FLOAT, array("int64", 1), INT, INT),
    array("float64", 4, written=True),
)


@dataclass(frozen=True, slots=True)
class Blocks:
    """What the blocks of a pair of half maps hold, [z, y, x] in blocks.

    Attributes:
        edges_px: first voxel of each block along an axis, and the end of the last.
        level1: mean of the first half.
        level2: mean of the second half.
        power1: variance of the first half about its block's mean.
        power2: variance of the second half.
        noise: variance of one half's noise: half of that of the difference.
        middle: centre of each block along an axis from the box's centre, in units of the box's edge.
        radius: distance of each block's centre from the box's centre, in units of the box's edge.
    """

    edges_px: NDArray[np.int64]
    level1: Table
    level2: Table
    power1: Table
    power2: Table
    noise: Table
    middle: Table
    radius: Table


def in_blocks(half1: Volume, half2: Volume) -> Blocks:
    """Levels and variances of two cubic half maps [z, y, x] in at most 24 blocks along each axis.

    The noise is that of the difference, where a signal common to both halves is gone. A level that changes slowly is no noise.
    """
    n = len(half1)
    count = max(1, min(_BLOCKS, n // _SHORTEST_PX))
    edges = np.linspace(0, n, count + 1).astype(np.int64)
    # Squares of a large level would leave no digits for the noise.
    near = float(half1[0, 0, 0]), float(half2[0, 0, 0])
    sums = np.zeros((count, count, count, 5))
    in_slabs(lambda begin, end: _level_sums(half1, half2, *near, edges, begin, end, sums[begin:end]), count, 1)
    length = np.diff(edges).astype(np.float64)
    voxels = length[:, None, None] * length[:, None] * length
    first, second, squares1, squares2, products = (sums[..., i] / voxels for i in range(5))
    power1, power2 = (np.maximum(s - m * m, 0) for s, m in ((squares1, first), (squares2, second)))
    noise = np.maximum(power1 + power2 - 2 * (products - first * second), 0) / 2
    middle = ((edges[:-1] + edges[1:] - 1) / 2 - n // 2) / n
    away = np.square(middle)
    radius = np.sqrt(away[:, None, None] + away[:, None] + away)
    return Blocks(edges, first + near[0], second + near[1], power1, power2, noise, middle, radius)
