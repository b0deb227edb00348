"""The part of a box that is shown of a round, smaller: what all its pictures begin with."""

import numpy as np

from refine_hooks.files.mrc import Volume

# A Gaussian of 0.225 d leaves 1/e of what has the wavelength d.
LOW_PASS = 0.225


def window(mask: Volume) -> tuple[tuple[int, int, int], int]:
    """First voxel (z, y, x) and edge of the smallest cube in the box that holds the mask with an eighth of room around it."""
    inside = mask > 0.5
    flat = np.asarray(inside.any(axis=0))
    shadows = [np.asarray(one) for one in (inside.any(axis=(1, 2)), flat.any(axis=1), flat.any(axis=0))]
    if not flat.any():
        return (0, 0, 0), mask.shape[0]
    ends = [(int(np.argmax(one)), len(one) - int(np.argmax(one[::-1]))) for one in shadows]
    edge = min(mask.shape[0], round(1.25 * max(last - first for first, last in ends)))
    z, y, x = (min(max((first + last - edge) // 2, 0), mask.shape[0] - edge) for first, last in ends)
    return (z, y, x), edge


def binned(volume: Volume, step: int) -> Volume:
    """Means over cubes of ``step`` voxels; what is left over at the far ends is cut off."""
    edge = volume.shape[0] // step * step
    few = edge // step
    # One axis after the other: the first sum runs over whole planes and leaves little for the others.
    planes = volume[:edge, :edge, :edge].reshape(few, step, edge, edge).mean(axis=1, dtype=np.float32)
    rows = planes.reshape(few, few, step, edge).mean(axis=2, dtype=np.float32)
    return np.asarray(rows.reshape(few, few, few, step).mean(axis=3, dtype=np.float32), np.float32)


def resampled(volume: Volume, edge_px: int) -> Volume:
    """Linear interpolation at the centres of ``edge_px`` equal cells along each edge, one axis after the other."""
    edge = volume.shape[0]
    at = np.clip((np.arange(edge_px) + 0.5) * edge / edge_px - 0.5, 0, edge - 1)
    below = np.minimum(at.astype(np.intp), max(edge - 2, 0))
    share = (at - below).astype(np.float32)
    for axis in (2, 1, 0):
        low, high = (np.take(volume, np.minimum(below + step, edge - 1), axis) for step in (0, 1))
        volume = low + share.reshape([-1 if each == axis else 1 for each in range(3)]) * (high - low)
    return volume
