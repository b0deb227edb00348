"""The local resolution of a round where its small volume has its voxels, as one more small PNG: the page colours the map by it.

The planes stand as in the picture of the volume. Grey 1..255 is the resolution from the finest to the coarsest that is told apart,
in equal steps; 0 is a voxel that no place with a resolution is near.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.atomic import beside
from refine_hooks.files.mrc import Map
from refine_hooks.log.folder import Store
from refine_hooks.log.local import LEAST_SPAN
from refine_hooks.model import Key
from refine_hooks.report.page import LOCAL, VOLUME, opened_picture
from refine_hooks.report.volume import about_volume, picture_of_planes

_LEVELS = 24
_PERCENTILES = (5, 95)
_REACH = 3.0  # places; the surface lies just outside of the particle's last ones


def write_local_picture(store: Store, key: Key, label: str, local: Map) -> Path | None:
    """Write the picture beside that of the volume; None where that is missing, or all places are equally good.

    Args:
        local: resolution in Angstrom at equal places [z, y, x], the first at the centre of the box's first voxel; 0 for none.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    image = opened_picture(store.picture_path(key, label, VOLUME))
    about = about_volume(image.info) if image is not None else None
    known = local.voxels[local.voxels > 0]
    if about is None or not len(known):
        return None
    fine, coarse = (float(one) for one in np.percentile(known, _PERCENTILES))
    if coarse <= fine:
        return None
    coarse = max(coarse, LEAST_SPAN * fine)
    share = np.clip((_at_voxels(local, about) - fine) / (coarse - fine), 0, 1)
    grey = np.where(np.isnan(share), 0, 1 + np.round(share * (_LEVELS - 1)) * (254 / (_LEVELS - 1)))
    path = store.picture_path(key, label, LOCAL)
    store.prepare(path, 1 << 20)
    with beside(path) as temporary:
        temporary.write_bytes(picture_of_planes([grey], "Local", {"from_A": round(fine, 3), "to_A": round(coarse, 3)}))
    return path


def _at_voxels(local: Map, about: dict[str, Any]) -> NDArray[np.float64]:
    """The resolution of the nearest place with one, at the centre of each voxel of the volume [z, y, x]; NaN far from any."""
    from scipy.ndimage import distance_transform_edt

    distance, nearest = distance_transform_edt(local.voxels <= 0, return_indices=True)
    spread = np.where(distance <= _REACH, local.voxels[tuple(nearest)], np.nan)
    place_px = local.voxel_size_A / (about["voxel_A"] / about["step"])  # voxels of the box from one place to the next
    x, y, z = (
        np.clip(
            np.rint((start + (np.arange(about["edge"]) + 0.5) * about["step"] - 0.5) / place_px), 0, len(spread) - 1
        )
        for start in about["start"]
    )
    return np.asarray(spread[np.ix_(*(axis.astype(np.intp) for axis in (z, y, x)))], np.float64)
