"""A tight but generous mask from two half maps, without a number from the user."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.masks.shapes import cosine_edge

Volume = NDArray[np.float32]
Transform = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Automask:
    """The mask, how it was made, and why there is none where ``values`` is None."""

    values: Volume | None
    parameters: dict[str, Any] = field(default_factory=dict)
    note: str | None = None


def automask(
    half1: Volume,
    half2: Volume,
    voxel_size_A: float,
    *,
    limit_radius_A: float | None = None,
    transforms: tuple[Transform, Transform] | None = None,
) -> Automask:
    """A mask from the average of the halves; the noise comes from their half difference."""
    from scipy import fft, ndimage

    t1, t2 = transforms or (fft.rfftn(half1, workers=-1), fft.rfftn(half2, workers=-1))
    box_px = half1.shape[0]
    filter_A, grow_A, edge_A = 5.0, 5.0, 8.0
    z = np.fft.fftfreq(box_px, voxel_size_A)
    x = np.fft.rfftfreq(box_px, voxel_size_A)
    gauss = [np.exp(-2 * (np.pi * filter_A * f) ** 2).astype(np.float32) for f in (z, z, x)]
    window = gauss[0][:, None, None] * gauss[1][None, :, None] * gauss[2][None, None, :]
    average = fft.irfftn((t1 + t2) * window, s=half1.shape, workers=-1)
    difference = fft.irfftn((t1 - t2) * window, s=half1.shape, workers=-1)
    noise = float(difference.std(dtype=np.float64))
    average -= np.float32(np.median(average))
    inside = average > 5 * noise
    labels, count = ndimage.label(inside)
    parameters: dict[str, Any] = {"filter_A": filter_A, "threshold": 5 * noise, "grow_A": grow_A, "edge_A": edge_A}
    if not count or noise == 0:
        return Automask(None, parameters, "nothing in the average stands out of its noise: no mask can be made")
    sizes = np.bincount(labels.ravel())[1:]
    kept = np.flatnonzero(sizes > 0.05 * sizes.max()) + 1
    parameters["components"] = len(kept)
    distance = ndimage.distance_transform_edt(~np.isin(labels, kept), sampling=voxel_size_A)
    return Automask(cosine_edge(distance - grow_A, edge_A), parameters)
