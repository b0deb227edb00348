"""A round's map and mask as one small PNG that the page can turn, cut and contour: cropped to the mask, binned, low-pass filtered.

The planes across z stand side by side in rows of `ACROSS`, those of the map above those of the mask. Grey 0..255 is the density
from the lowest to the highest, and the mask from 0 to 1. What else is known stands as JSON in the PNG's text "Volume".
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from refine_hooks.files.mrc import Volume
from refine_hooks.report.window import LOW_PASS, binned, resampled, window

EDGE_PX = 52
ACROSS = 8
_LEVELS, _LEVELS_OUTSIDE = 48, 10  # of grey: noise outside of the mask is looked at by nobody, and costs most
_MASK_LEVELS = 12
_SMOOTH = 0.5  # of what the voxels grow by: what is finer would show as steps
_SHARE_OF_MASK = 0.3  # of its volume lies above the first contour, where no mass is known
_A3_PER_kDa = 1210.0


def volume_picture(
    average: Volume,
    mask: Volume | None,
    voxel_size_A: float,
    resolution_A: float | None = None,
    mass_kDa: float | None = None,
) -> bytes:
    """The PNG file.

    Args:
        average: the average of the two half maps [z, y, x].
        mask: soft mask of the same box in 0..1, or None.
        voxel_size_A: of both.
        resolution_A: what the map is low-pass filtered to; not at all where None.
        mass_kDa: decides on the first contour.
    """
    from scipy.ndimage import gaussian_filter

    (z, y, x), edge = window(mask) if mask is not None else ((0, 0, 0), average.shape[0])
    part = tuple(slice(begin, begin + edge) for begin in (z, y, x))
    bin_px = max(1, edge // (2 * EDGE_PX))  # finer than what is shown: interpolation does the rest
    density = binned(average[part], bin_px)
    few = min(len(density), EDGE_PX)
    step = bin_px * len(density) / few
    sigma_px = LOW_PASS * resolution_A / voxel_size_A if resolution_A else 0.0
    density = gaussian_filter(density, max(sigma_px, _SMOOTH * (step - bin_px)) / bin_px)
    density = resampled(density, few)
    inside = resampled(binned(mask[part], bin_px), few) if mask is not None else np.ones_like(density)
    low, high = (float(value) for value in np.quantile(density, (0.005, 0.9997)))
    high = high if high > low else low + 1.0
    level = np.clip((density - low) / (high - low), 0, 1)
    about = {
        "edge": len(density),
        "across": ACROSS,
        "voxel_A": round(step * voxel_size_A, 5),
        "start": [x, y, z],
        "step": round(step, 6),
        "box": len(average),
        "resolution_A": resolution_A and round(resolution_A, 3),
        "masked": mask is not None,
        "level": round(255 * _first_contour(level, inside, step * voxel_size_A, mass_kDa)),
    }
    shown = [_greys(level, inside), np.round(inside * _MASK_LEVELS) * (255 / _MASK_LEVELS)]
    return picture_of_planes(shown, "Volume", about)


class _About(BaseModel):
    """What a PNG says of its volume, within what the page and a movie can draw."""

    model_config = ConfigDict(allow_inf_nan=False)
    edge: int = Field(ge=1, le=EDGE_PX)
    across: int = Field(ge=1, le=EDGE_PX)
    step: float = Field(gt=0)
    box: int = Field(ge=1)
    level: float = Field(ge=0, le=255)
    voxel_A: float = Field(gt=0)
    masked: bool
    start: tuple[int, int, int]
    resolution_A: float | None = Field(default=None, gt=0)


def about_volume(info: Mapping[Any, Any]) -> dict[str, Any] | None:
    """What is known of a volume from the texts of its PNG; None where that is none of ours."""
    try:
        return _About.model_validate_json(info["Volume"]).model_dump()
    except (KeyError, ValueError):
        return None


class _AboutLocal(BaseModel):
    """What a PNG says of the local resolutions in it."""

    model_config = ConfigDict(allow_inf_nan=False)
    from_A: float = Field(gt=0)
    to_A: float = Field(gt=0)


def about_local(info: Mapping[Any, Any]) -> dict[str, Any] | None:
    """The resolutions of grey 1 and 255 from the texts of a PNG; None where that is none of ours."""
    try:
        return _AboutLocal.model_validate_json(info["Local"]).model_dump()
    except (KeyError, ValueError):
        return None


def _greys(level: NDArray[np.float32], inside: Volume) -> NDArray[np.float32]:
    """Fine steps within reach of the mask, coarse ones elsewhere."""
    from scipy.ndimage import maximum_filter

    near = maximum_filter(inside, 3) > 0.1
    fine, coarse = (np.round(level * (count - 1)) * (255 / (count - 1)) for count in (_LEVELS, _LEVELS_OUTSIDE))
    return np.where(near, fine, coarse)


def _first_contour(level: NDArray[np.float32], inside: Volume, voxel_A: float, mass_kDa: float | None) -> float:
    """The level, 0..1, above which the molecule's volume lies within the mask."""
    values = np.sort(level[inside > 0.5])[::-1]
    if not len(values):
        return 0.5
    wanted = mass_kDa * _A3_PER_kDa / voxel_A**3 if mass_kDa else _SHARE_OF_MASK * len(values)
    return float(values[min(round(wanted), int(0.6 * len(values)))])


def _atlas(planes: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    edge = len(planes)
    rows = -(-edge // ACROSS)
    padded = np.zeros((rows * ACROSS, edge, edge), np.uint8)
    padded[:edge] = np.round(planes)
    return padded.reshape(rows, ACROSS, edge, edge).swapaxes(1, 2).reshape(rows * edge, ACROSS * edge)


def picture_of_planes(volumes: Sequence[NDArray[np.floating[Any]]], name: str, about: dict[str, Any]) -> bytes:
    """A PNG file of volumes [z, y, x] of values 0..255, one below the other, with what is known of them as its text ``name``."""
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text(name, json.dumps(about))
    stream = io.BytesIO()
    Image.fromarray(np.concatenate([_atlas(planes) for planes in volumes])).save(
        stream, "PNG", compress_level=9, pnginfo=text
    )
    return stream.getvalue()
