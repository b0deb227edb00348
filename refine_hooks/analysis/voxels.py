"""What single voxels of a half map show of how it was treated: values that stand twice, voxels that stick out, holes.

A reconstruction is a sum of many terms: no two neighbouring voxels of it hold the same value to the last bit, and no voxel stands
alone. A map that was turned, enlarged or resampled by the nearest voxel repeats some of its voxels side by side, and one that went
through a median (or another filter by rank) repeats very many.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.blocks import Blocks
from refine_hooks.files.mrc import Volume
from refine_hooks.kernels.order import quantile

_LOOKED_AT = 1 << 21  # voxels
_BY_CHANCE = 1e-3  # of the voxels far from each other are equal where values are few, as in maps of whole numbers
_CONSTANT = 64  # times the same value: an empty part of the box, or a clipped one
_CANDIDATES = 8  # blocks
_STICKS_OUT, _ABOVE_NEIGHBOURS = 12.0, 5.0  # standard deviations of the noise; times the largest of the 26 around it
_HOLE = 1e-4  # of the median noise, with the difference of the levels
_INNER = 0.36  # of the box's edge: farther out a sphere may have cut


def repeated(half: Volume) -> float | None:
    """Share of the voxels that have exactly the value of the next voxel along x, y or z, beyond chance.

    None where values are so few that this says nothing.

    Args:
        half: half map [z, y, x] as it was read.
    """
    n = len(half)
    step = max(1, n**3 // _LOOKED_AT)
    planes = half[: n - 1 : step]
    far = _equal(planes, np.roll(planes, (n // 3, n // 5), (1, 2)))
    if far > _BY_CHANCE * planes.size:
        return None
    near = _equal(planes[:, :, 1:], planes[:, :, :-1]) + _equal(planes[:, 1:], planes[:, :-1])
    return max(0.0, (near + _equal(planes, half[1::step][: len(planes)]) - 20 * far) / planes.size)


def _equal(one: Volume, other: Volume) -> int:
    """How many voxels are equal, without values that stand for nothing."""
    values = one[one == other]
    values = values[values != one[0, 0, 0]]
    if values.size <= _CONSTANT:
        return int(values.size)
    values.sort()
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    counts = np.diff(np.r_[starts, values.size])
    return int(counts[counts <= _CONSTANT].sum())


def outliers(half: Volume, power: NDArray[np.float64], blocks: Blocks) -> int:
    """How many of the loudest blocks hold a voxel that stands alone out of the noise.

    Args:
        half: half map [z, y, x].
        power: its variance in blocks.
        blocks: of the pair.
    """
    sd, edges = float(np.sqrt(quantile(blocks.noise, 0.5))), blocks.edges_px
    loudest = np.argsort(power, axis=None)[-_CANDIDATES:]
    count = 0
    for block in np.array(np.unravel_index(loudest, power.shape)).T:
        part = half[tuple(slice(int(edges[at]), int(edges[at + 1])) for at in block)]
        place = np.array(np.unravel_index(int(np.abs(part).argmax()), part.shape)) + edges[block]
        near = np.abs(half[tuple(slice(max(int(at) - 1, 0), int(at) + 2) for at in place)]).ravel()
        highest, next_one = np.partition(near, [-2, -1])[[-1, -2]]
        count += int(highest > _STICKS_OUT * sd and highest > _ABOVE_NEIGHBOURS * next_one)
    return count


def holes(blocks: Blocks) -> float:
    """Share of the box, in blocks, where neither half holds anything, noise included, and that does not reach a face of the box.

    What a sphere cuts off does reach one, wherever its centre is.
    """
    inner = blocks.radius < _INNER
    noise = blocks.noise + np.square(blocks.level1 - blocks.level2) / 2
    typical = quantile(noise[inner], 0.5) if inner.any() else 0.0
    empty = noise < _HOLE * typical
    if not empty[inner].any():
        return 0.0
    return float(np.mean(empty & ~_from_faces(empty)))


def _from_faces(empty: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part that hangs together with a face of the box."""
    outside = np.ones(np.array(empty.shape) + 2, bool)
    middle = (slice(1, -1),) * 3
    outside[middle] = False
    for _ in range(empty.size):
        beside = np.logical_or.reduce([np.roll(outside, step, axis)[middle] for axis in range(3) for step in (1, -1)])
        reached = empty & beside
        if not (reached & ~outside[middle]).any():
            break
        outside[middle] |= reached
    return outside[middle]


def clipped(half: Volume) -> float:
    """Share of the voxels that hold exactly the lowest value of the map, or exactly the highest.

    Args:
        half: half map [z, y, x] as it was read.
    """
    planes = half[:: max(1, half.size // _LOOKED_AT)]
    return max(float(np.mean(planes == edge)) for edge in (planes.min(), planes.max()))
