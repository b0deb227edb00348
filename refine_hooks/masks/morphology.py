"""What is left of the voxels above a level: without specks, small holes and cut-off neighbours."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels import array, kernel
from refine_hooks.kernels.packages import compiled
from refine_hooks.masks.shapes import Volume

Voxels = NDArray[np.bool_]

_SPECK_ENERGY = 0.02
_HOLE_SHARE = 0.05

_PARTICLE_ENERGY = 0.2  # of the strongest component's; neighbours can hold more than the particle
_distances = kernel("distances", array("bool", 3), array("float32", 3, written=True))


def components(
    above: Voxels, excess: Volume, sphere: Voxels | None, *, keep_beyond: bool = True
) -> tuple[Voxels, dict[str, int]]:
    """The voxels that make the particle, and how many connected components they are.

    A component is kept where it holds at least 2 % of the energy inside the sphere. One that a face of the box cuts off is a
    neighbour where another is whole, or runs through the box, and is left out. Holes of less than 5 % of the volume are filled.

    Args:
        above: voxels above the level [z, y, x].
        excess: density above the solvent.
        sphere: where density is looked for; what is connected to it is followed beyond. None for the whole box.
        keep_beyond: False to cut everything off at the sphere.
    """
    inside = above if keep_beyond or sphere is None else above & sphere
    box = bounding_box(inside, 0)
    labels = connected(inside[box])
    energy = np.square(excess[box], dtype=np.float32)
    if sphere is not None:
        energy *= sphere[box]
    held = np.bincount(labels.ravel(), energy.ravel()).astype(np.float64)
    held[0] = 0
    kept = held > _SPECK_ENERGY * held.sum()
    kept[np.argmax(held)] = len(held) > 1
    neighbours = _neighbours(_faces(labels, box, inside.shape, len(held)), held, kept)
    kept &= ~neighbours
    found = np.zeros(above.shape, np.bool_)
    found[box] = kept[labels]
    box = bounding_box(found, 1)
    largest = max(1, int(_HOLE_SHARE * found.sum()))
    found[box] = _without_small_holes(found[box], largest)
    return found, {"components": int(kept.sum()), "neighbours": int(neighbours.sum())}


def connected(voxels: Voxels) -> NDArray[np.int_]:
    """The number of the component that each voxel is in, 0 for none; faces connect.

    What `skimage.measure.label` does, by its compiled part: the whole of it takes longer to import than a mask to make.
    """
    try:
        label = compiled("skimage.measure._ccomp").label_cython
    except ImportError:
        from skimage.measure import label
    return np.asarray(label(voxels.astype(np.uint8), background=0, connectivity=1))


def _without_small_holes(voxels: Voxels, smallest: int) -> Voxels:
    """Holes of fewer voxels filled."""
    holes = connected(~voxels)
    small = np.bincount(holes.ravel()) < smallest
    small[0] = False
    return np.asarray(voxels | small[holes])


def opened(voxels: Voxels, radius_px: float) -> Voxels:
    """Without what no ball of that radius, of a voxel or two, fits into; the ball may reach out of the box."""
    reach = int(radius_px)
    axis = np.square(np.arange(-reach, reach + 1))
    steps = np.argwhere(np.sqrt(axis[:, None, None] + axis[:, None] + axis) <= radius_px) - reach
    box = bounding_box(voxels, reach)
    eroded = voxels[box].copy()
    for here, there in _shifted(eroded.shape, steps):
        eroded[here] &= voxels[box][there]
    found = np.zeros_like(voxels)
    for here, there in _shifted(eroded.shape, steps):
        found[box][here] |= eroded[there]
    return found


def _shifted(shape: tuple[int, ...], steps: NDArray[np.int_]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """For each step the voxels that have a neighbour there, and these neighbours."""
    for step in steps.tolist():
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, shape, strict=True))
        yield here, tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(step, shape, strict=True))


def distances(voxels: Voxels) -> Volume:
    """Distance of each voxel of the set to the nearest one outside of it; infinite where there is none."""
    out = np.empty(voxels.shape, np.float32)
    _distances(voxels, out)
    return out


def _neighbours(faces: Voxels, held: NDArray[np.float64], kept: Voxels) -> Voxels:
    """Which components a face cuts off, where one that is no neighbour can be the particle; ``faces`` is [label, axis, end].

    A filament or a membrane that runs through the box reaches opposite faces; a neighbour does not.
    """
    through = (faces[:, :, 0] & faces[:, :, 1]).any(axis=1)
    cut_off = kept & faces.any(axis=(1, 2)) & ~through
    whole = np.where(kept & ~cut_off, held, 0)
    return cut_off if whole.max() >= _PARTICLE_ENERGY * held.max() > 0 else np.zeros_like(cut_off)


def _faces(labels: NDArray[np.int_], box: tuple[slice, ...], shape: tuple[int, ...], count: int) -> Voxels:
    """Which of the whole box's faces each label touches [label, axis, end]; ``labels`` is a part of that box."""
    touched = np.zeros((count, 3, 2), np.bool_)
    for axis in range(3):
        for end, reached in enumerate((box[axis].start == 0, box[axis].stop == shape[axis])):
            if reached:
                touched[labels.take(-end, axis).ravel(), axis, end] = True
    return touched


def bounding_box(inside: Voxels, margin_px: int) -> tuple[slice, slice, slice]:
    """The smallest part of the box that holds all that is true, and a margin."""
    box = []
    for axis in range(3):
        filled = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        low, high = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 1)
        box.append(slice(max(0, low - margin_px), min(inside.shape[axis], high + margin_px)))
    return box[0], box[1], box[2]


def ball(box_px: int, radius_px: float) -> Voxels:
    """The voxels of a sphere about the box's centre."""
    axis = np.square(np.arange(box_px, dtype=np.float32) - box_px // 2)
    return np.asarray(axis[:, None, None] + axis[:, None] + axis <= np.float32(radius_px**2))
