"""Small PNG pictures of one round, drawn while its volumes are still in memory: slices, the mask's surface, the views.

Only numpy, scipy and Pillow; every picture carries its caption as the PNG text "Description", so that a page can say in
words what is seen without the volumes.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.views import Views
from refine_hooks.files.atomic import beside
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.log.folder import Store
from refine_hooks.model import Key
from refine_hooks.report.directions import views_picture
from refine_hooks.report.volume import volume_picture
from refine_hooks.report.window import LOW_PASS, binned, window

PANEL_PX = 192
GAP_PX = 6
_COARSE_PX = 64
_SURFACE_PX = 96
_GREYS = 32
_OUTLINE_RGB = (255, 122, 0)
_BAR_RGB = (255, 255, 255)
_TICK_RGB = (90, 170, 255)
_SURFACE_RGB = np.array([120.0, 190.0, 175.0])

Picture = NDArray[np.uint8]


def write_pictures(
    store: Store,
    key: Key,
    label: str,
    average: Map,
    mask: Volume | None,
    views: Views | None,
    resolution_A: float | None = None,
    mass_kDa: float | None = None,
) -> list[Path]:
    """Write what can be drawn of a round below the store's ``pictures`` folder, each file whole or not at all.

    Args:
        average: the average of the two half maps.
        mask: soft mask [z, y, x] in 0..1 of the same box, or None.
        views: the viewing directions, or None.
        resolution_A: what map and slices are low-pass filtered to; not at all where None.
        mass_kDa: of the molecule, where it is known.

    Returns:
        The files written: ``slices.png`` and ``volume.png``, then ``mask.png`` and ``views.png`` where there is something to show.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    mask = mask if mask is not None and float(mask.max()) > 0.5 else None
    drawn = {
        "slices.png": png(*slices_picture(average.voxels, mask, average.voxel_size_A, resolution_A)),
        "volume.png": volume_picture(average.voxels, mask, average.voxel_size_A, resolution_A, mass_kDa),
    }
    if mask is not None:
        drawn["mask.png"] = png(*surface_picture(mask))
    if views is not None and float(views.counts.sum()) > 0:
        drawn["views.png"] = png(*views_picture(views))
    written = []
    for what, content in drawn.items():
        path = store.picture_path(key, label, what)
        store.prepare(path, 1 << 20)
        with beside(path) as temporary:
            temporary.write_bytes(content)
        written.append(path)
    return written


def png(pixels: Picture, caption: str) -> bytes:
    """A PNG file of ``pixels`` [y, x, 3 or 4] with at most 256 colours, and ``caption`` as its text "Description"."""
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_itxt("Description", caption)
    image = Image.fromarray(pixels)
    if pixels.shape[2] == 3:
        image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    # A twentieth smaller by the best level, in ten times the time.
    image.save(stream, "PNG", compress_level=7, pnginfo=text)
    return stream.getvalue()


def densest_voxel(average: Volume, mask: Volume | None) -> tuple[int, int, int]:
    """The voxel (z, y, x) at which the smoothed average is largest, inside the mask where there is one.

    Smoothed over about a thirtieth of the box, so that one noisy voxel does not decide.
    """
    from scipy.ndimage import gaussian_filter

    step = max(1, average.shape[0] // _COARSE_PX)
    density = gaussian_filter(binned(average, step), 0.03 * average.shape[0] / step)
    if mask is not None:
        inside = binned(mask, step) > 0.5
        if inside.any():
            density = np.where(inside, density, -np.inf)
    z, y, x = np.unravel_index(int(np.argmax(density)), density.shape)
    centre = step // 2
    return int(z) * step + centre, int(y) * step + centre, int(x) * step + centre


def slices_picture(
    average: Volume, mask: Volume | None, voxel_size_A: float, resolution_A: float | None = None
) -> tuple[Picture, str]:
    """Three orthogonal slices through `densest_voxel` with the mask's outline, side by side, and their caption.

    Left to right: across z (x to the right, y up), across y (x, z up), across x (y, z up). Blue ticks at the edges mark
    where the other two slices lie. All show the same cube: the mask with some room around it, or the whole box.
    """
    at = densest_voxel(average, mask)
    start, edge = window(mask) if mask is not None else ((0, 0, 0), average.shape[0])
    sigma_px = LOW_PASS * resolution_A / voxel_size_A if resolution_A else 0.0
    planes = [_framed(_smooth_plane(average, axis, at[axis], sigma_px), axis, start, edge) for axis in range(3)]
    low, high = _contrast(np.concatenate([plane.ravel() for plane in planes]))
    panels = []
    for axis, plane in enumerate(planes):
        panel = _grey(plane, low, high)
        if mask is not None:
            panel[_boundary(_framed(np.take(mask, at[axis], axis), axis, start, edge))] = _OUTLINE_RGB
        up, across = [(at[other] - start[other]) / edge for other in range(3) if other != axis]
        panels.append(_ticked(panel[::-1], across, 1 - up))
    bar_A = _bar_length(edge * voxel_size_A)
    panels[0][-10:-7, 8 : 8 + round(bar_A / voxel_size_A / edge * PANEL_PX)] = _BAR_RGB
    where = ", ".join(f"{plane} {index + 1}" for plane, index in zip(("XY", "XZ", "YZ"), at, strict=True))
    outline = "The orange line is the edge of the mask (value 0.5)" if mask is not None else "No mask"
    smoothed = f", low-pass filtered to {resolution_A:.3g} Å" if resolution_A else ""
    caption = (
        f"Average of the two half maps{smoothed}, through its densest part: slices {where} of {len(average)}. "
        f"{outline}; the bar is {bar_A:g} Å."
    )
    return _side_by_side(panels), caption


def surface_picture(mask: Volume) -> tuple[Picture, str]:
    """The mask's surface at value 0.5 seen along z, y and x, shaded, on a transparent ground; and its caption."""
    (z, y, x), edge = window(mask)
    small = _fitted(mask[z : z + edge, y : y + edge, x : x + edge], _SURFACE_PX)
    panels = [_shaded(np.moveaxis(small, axis, 0)) for axis in range(3)]
    return _side_by_side(panels), "Surface of the mask (value 0.5) seen along z, y and x."


def _framed(plane: NDArray[np.float32], axis: int, start: tuple[int, int, int], edge: int) -> NDArray[np.float32]:
    up, across = (start[other] for other in range(3) if other != axis)
    return plane[up : up + edge, across : across + edge]


def _smooth_plane(average: Volume, axis: int, index: int, sigma_px: float) -> NDArray[np.float32]:
    """One plane of the average smoothed by a Gaussian in all three directions, without touching the rest of the volume."""
    from scipy.ndimage import gaussian_filter

    reach = int(np.ceil(2.5 * sigma_px))
    if reach == 0:
        return np.asarray(np.take(average, index, axis), np.float32)
    near = np.arange(max(index - reach, 0), min(index + reach + 1, average.shape[axis]))
    weight = np.exp(-0.5 * ((near - index) / sigma_px) ** 2)
    slab = np.moveaxis(average, axis, 0)[near[0] : near[-1] + 1]
    plane = np.tensordot((weight / weight.sum()).astype(np.float32), slab, 1)
    smooth: NDArray[np.float32] = gaussian_filter(plane, sigma_px)
    return smooth


def _bar_length(edge_A: float) -> float:
    """A round length near a fifth of the edge."""
    power = 10.0 ** np.floor(np.log10(edge_A / 5))
    return float(max(step * power for step in (1, 2, 5) if step * power <= edge_A / 5))


def _fitted(volume: Volume, edge_px: int) -> Volume:
    """``volume`` with an edge near ``edge_px``: binned when larger, interpolated when smaller."""
    if volume.shape[0] >= edge_px:
        return binned(volume, volume.shape[0] // edge_px)
    return _enlarged(volume, edge_px)


def _enlarged(volume: Volume, edge_px: int) -> Volume:
    """Linear interpolation, corner to corner, one axis after the other."""
    last = volume.shape[0] - 1
    at = np.linspace(0, last, edge_px)
    below = np.minimum(at.astype(np.intp), max(last - 1, 0))
    share = (at - below).astype(np.float32)
    for axis in (2, 1, 0):
        low, high = (np.take(volume, np.minimum(below + step, last), axis) for step in (0, 1))
        along = share.reshape([-1 if each == axis else 1 for each in range(3)])
        volume = low + along * (high - low)
    return volume


def _contrast(values: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.01, 0.999))
    return float(low), float(high) if high > low else float(low) + 1.0


def _resized(plane: NDArray[np.float32], edge_px: int = PANEL_PX) -> NDArray[np.float32]:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((edge_px, edge_px), Image.Resampling.BICUBIC))


def _grey(plane: NDArray[np.float32], low: float, high: float) -> Picture:
    level = np.clip((_resized(plane) - low) / (high - low), 0, 1)
    # Few greys: the eye does not miss them in noise, and the file is a third as large.
    grey = (np.round(level * (_GREYS - 1)) * (255 / (_GREYS - 1))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _boundary(outline: NDArray[np.float32]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_erosion

    inside = _resized(outline) > 0.5
    edge: NDArray[np.bool_] = inside & ~binary_erosion(inside, border_value=1)
    return edge


def _ticked(panel: Picture, across: float, down: float) -> Picture:
    edge = panel.shape[0]
    column, row = min(int(across * edge), edge - 1), min(max(int(down * edge), 0), edge - 1)
    for part in (slice(0, 6), slice(edge - 6, edge)):
        panel[part, column] = _TICK_RGB
        panel[row, part] = _TICK_RGB
    return panel


def _shaded(volume: Volume) -> Picture:
    """Depth to the first crossing of 0.5 along the first axis, lit from the upper left; transparent where none is."""
    above = volume > 0.5
    hit = np.asarray(above.any(axis=0))
    first = np.argmax(above, axis=0)
    here = np.take_along_axis(volume, first[None], 0)[0]
    before = np.take_along_axis(volume, np.maximum(first - 1, 0)[None], 0)[0]
    depth = first - np.clip((here - 0.5) / np.maximum(here - before, 1e-6), 0, 1)
    near = _resized(_spread(1 - depth / volume.shape[0], hit))[::-1]
    down, right = np.gradient(-near * PANEL_PX)
    light = (0.5 * right + 0.5 * down + 0.7071) / np.sqrt(1 + right**2 + down**2)
    shade = np.clip(0.30 + 0.45 * np.clip(light, 0, 1) + 0.35 * near, 0, 1)
    # The largest value along the ray is smooth where the first hit is not, so it draws the silhouette.
    opacity = np.clip((_resized(volume.max(axis=0))[::-1] - 0.5) * 4 + 0.5, 0, 1)
    panel = np.empty((PANEL_PX, PANEL_PX, 4), np.uint8)
    panel[..., :3] = (np.round(shade * 31) / 31)[..., None] * 1.3 * _SURFACE_RGB
    panel[..., 3] = (np.round(opacity * 7) * (255 / 7)).astype(np.uint8)
    panel[panel[..., 3] == 0, :3] = 0
    return panel


def _spread(values: NDArray[np.floating[Any]], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``values`` slightly smoothed where they are known, and continued outwards from there."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    continued: NDArray[np.float32] = gaussian_filter(values[tuple(nearest)].astype(np.float32), 1.0)
    return continued


def _side_by_side(panels: Sequence[Picture]) -> Picture:
    gap = np.zeros((PANEL_PX, GAP_PX, panels[0].shape[2]), np.uint8)
    if panels[0].shape[2] == 3:
        gap[:] = panels[0].min()
    parts = [panels[0], gap, panels[1], gap, panels[2]]
    return np.concatenate(parts, axis=1)
