"""Regions of voxels: what is connected, what stands out of its surroundings, and what lies nearest downhill."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels import INT, array, kernel

Voxels = NDArray[np.bool_]
Labels = NDArray[np.int64]
Heights = NDArray[np.float64]

_connected = kernel("connected", array("bool", 3), INT, array("int64", 3, written=True))
_reconstructed = kernel("reconstructed", array("float64", 3), array("float64", 3, written=True))
_regional_maxima = kernel("regional_maxima", array("float64", 3), array("bool", 3, written=True))
_flooded = kernel(
    "flooded", array("float64", 3), array("bool", 3), *(array("int64", axes, written=True) for axes in (3, 1, 1))
)


def connected(voxels: Voxels, *, corners: bool = False) -> Labels:
    """The number of the connected component that each voxel is in, from 1 on in the order of their first voxels; 0 for none.

    Args:
        voxels: which voxels are in a component at all [z, y, x].
        corners: whether edges and corners connect as faces do.
    """
    labels = np.empty(voxels.shape, np.int64)
    _connected(voxels, int(corners), labels)
    return labels


def summits(height: Heights, drop: float) -> Voxels:
    """The places from which every way to a higher one goes down by at least ``drop`` [z, y, x].

    They are the regional maxima of the reconstruction by dilation of ``height - drop`` under ``height`` (Vincent 1993,
    doi:10.1109/83.217222), voxels being neighbours across faces, edges and corners.
    """
    high = np.ascontiguousarray(height)
    low = high - drop
    _reconstructed(high, low)
    maxima = np.ones(high.shape, np.bool_)
    _regional_maxima(low, maxima)
    return maxima


def watershed(level: Heights, seeds: Labels, inside: Voxels) -> Labels:
    """The seed from which each voxel is flooded first, across faces; 0 outside and where no seed reaches [z, y, x].

    Flooding by a queue of voxels, the lowest first, of equal ones the one reached first (Meyer 1994,
    doi:10.1016/0165-1684(94)90060-4).

    Args:
        level: the ground that is flooded.
        seeds: the number of a seed from 1 on, 0 for none.
        inside: what may be flooded.
    """
    parts = np.where(inside, seeds, 0).astype(np.int64)
    _flooded(np.ascontiguousarray(level), np.ascontiguousarray(inside), parts, *np.empty((2, parts.size), np.int64))
    return parts
