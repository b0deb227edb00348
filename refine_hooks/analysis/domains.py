"""The particle divided into parts: what is not connected, and what hangs together by a neck only."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.int16]

MOST = 12  # parts
_VOXEL_A = 4.0  # of the grid on which the particle is divided
_NECK = 0.85  # two parts are one where the way between them is as deep as this share of the shallower one
_LEAST = 0.04  # of the particle's volume: a smaller part belongs to its neighbour


def domains(body: Mask, voxel_size_A: float) -> Labels:
    """Number of the part that each voxel lies in, 1 for the largest; 0 outside [z, y, x].

    Connected parts are divided at their necks: by the watershed of the depth below the surface, from each place that lies
    deeper than all ways to a deeper one.

    Args:
        body: the voxels that hold the particle [z, y, x].
        voxel_size_A: edge of a voxel.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.measure import label
    from skimage.segmentation import watershed

    from refine_hooks.masks.morphology import distances

    labels = np.zeros(body.shape, np.int16)
    box = filled(body)
    if box is None:
        return labels
    step = max(1, round(_VOXEL_A / voxel_size_A))
    coarse = body[box][::step, ::step, ::step]
    if not coarse.any():
        labels[body] = 1
        return labels
    depth = gaussian_filter(distances(np.pad(coarse, 1)).astype(np.float64), 1.0)[1:-1, 1:-1, 1:-1] * coarse
    seeds = label(_summits(depth) & coarse)  # type: ignore[no-untyped-call]
    seeds = _with_islands(seeds, label(coarse))  # type: ignore[no-untyped-call]
    parts = watershed(-depth, seeds, mask=coarse)  # type: ignore[no-untyped-call]
    parts = _everywhere(_by_size(_without_small(parts, depth)))
    for axis in range(3):
        parts = np.repeat(parts, step, axis=axis)
    cut = parts[tuple(slice(0, one.stop - one.start) for one in box)]
    labels[box] = cut * body[box]
    return labels


def filled(body: Mask) -> tuple[slice, slice, slice] | None:
    """The smallest box of slices [z, y, x] that a body lies in; None where there is none."""
    ends = [np.flatnonzero(body.any(axis=tuple(o for o in range(3) if o != axis))) for axis in range(3)]
    if not ends[0].size:
        return None
    z, y, x = (slice(int(one[0]), int(one[-1]) + 1) for one in ends)
    return z, y, x


def _summits(depth: NDArray[np.float64]) -> Mask:
    """Places deeper than all ways to a deeper one, by more than a neck's share of their depth.

    In the logarithm of the depth a share is a difference: the maxima that stand out so far are what is left of it above its
    reconstruction from a lowered copy.
    """
    from skimage.morphology import reconstruction

    height = np.log(np.maximum(depth, 1e-3))
    lowered = reconstruction(height + np.log(_NECK), height)  # type: ignore[no-untyped-call]
    from skimage.morphology import local_maxima

    return np.asarray(local_maxima(lowered) & (depth > 0))  # type: ignore[no-untyped-call]


def _with_islands(seeds: Labels, islands: Labels) -> Labels:
    """One more seed in each connected part that has none."""
    without = np.setdiff1d(np.unique(islands[islands > 0]), np.unique(islands[seeds > 0]))
    seeds = seeds.copy()
    for number, island in enumerate(without, int(seeds.max()) + 1):
        seeds[islands == island] = number
    return seeds


def _without_small(parts: Labels, depth: NDArray[np.float64]) -> Labels:
    """Parts too small for a number of their own, given to the neighbour that they touch most deeply, if they touch any."""
    from scipy.ndimage import grey_dilation

    parts = parts.copy()
    sizes = np.bincount(parts.ravel()).astype(np.float64)
    sizes[0] = np.inf
    while len(sizes) > 1 and (
        sizes.min() < _LEAST * sizes[np.isfinite(sizes)].sum() or np.isfinite(sizes).sum() > MOST
    ):
        number = int(np.argmin(sizes))
        others = np.where(parts == number, 0, parts)
        touching = (grey_dilation(others, size=3) * (parts == number)).ravel()
        weight = np.bincount(touching, depth.ravel(), minlength=len(sizes))
        weight[0] = 0
        sizes[number] = np.inf
        if weight.any():
            into = int(np.argmax(weight))
            parts[parts == number] = into
            sizes[into] = float((parts == into).sum())
        elif np.isfinite(sizes).any():
            parts[parts == number] = 0
        else:
            break
    return parts


def _by_size(parts: Labels) -> Labels:
    """The same parts, numbered from the largest."""
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")
    number = np.zeros(len(sizes), np.int16)
    number[order] = np.arange(1, len(sizes) + 1)
    number[sizes == 0] = 0
    return number[parts]


def _everywhere(parts: Labels) -> Labels:
    """Each place's part, or that of the nearest place that has one: body may lie between the places."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    return np.asarray(parts[tuple(nearest)])
