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

from refine_hooks.files.atomic import beside
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.log.folder import Store
from refine_hooks.model import Key

PANEL_PX = 192
GAP_PX = 6
_COARSE_PX = 64
_SURFACE_PX = 96
_GREYS = 32
# A Gaussian of 0.225 d leaves 1/e of what has the wavelength d.
_SMOOTHING = 0.225
_OUTLINE_RGB = (255, 122, 0)
_BAR_RGB = (255, 255, 255)
_TICK_RGB = (90, 170, 255)
_SURFACE_RGB = np.array([120.0, 190.0, 175.0])
# Anchors of a map from few to many views: dark blue, teal, green, yellow; equally spaced and rising in lightness.
_VIEWS_RGB = ((13, 8, 61), (44, 51, 126), (33, 102, 134), (31, 149, 130), (102, 190, 90), (253, 231, 37))

Picture = NDArray[np.uint8]


def write_pictures(
    store: Store,
    key: Key,
    label: str,
    average: Map,
    mask: Volume | None,
    angular: NDArray[np.float64] | None,
    resolution_A: float | None = None,
) -> list[Path]:
    """Write what can be drawn of a round below the store's ``pictures`` folder, each file whole or not at all.

    Args:
        average: the average of the two half maps.
        mask: soft mask [z, y, x] in 0..1 of the same box, or None.
        angular: views per bin [theta 0..180, phi 0..360], or None.
        resolution_A: what the slices are low-pass filtered to; not at all where None.

    Returns:
        The files written: ``slices.png``, then ``mask.png`` and ``views.png`` where there is something to show.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    drawn = [("slices.png", *slices_picture(average.voxels, mask, average.voxel_size_A, resolution_A))]
    if mask is not None and float(mask.max()) > 0.5:
        drawn.append(("mask.png", *surface_picture(mask)))
    if angular is not None and float(angular.sum()) > 0:
        drawn.append(("views.png", *views_picture(angular)))
    written = []
    for what, pixels, caption in drawn:
        path = store.picture_path(key, label, what)
        store.prepare(path, 1 << 20)
        with beside(path) as temporary:
            temporary.write_bytes(png(pixels, caption))
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
    density = gaussian_filter(_binned(average, step), 0.03 * average.shape[0] / step)
    if mask is not None:
        inside = _binned(mask, step) > 0.5
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
    start, edge = _window(mask) if mask is not None else ((0, 0, 0), average.shape[0])
    sigma_px = _SMOOTHING * resolution_A / voxel_size_A if resolution_A else 0.0
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
    (z, y, x), edge = _window(mask)
    small = _fitted(mask[z : z + edge, y : y + edge, x : x + edge], _SURFACE_PX)
    panels = [_shaded(np.moveaxis(small, axis, 0)) for axis in range(3)]
    return _side_by_side(panels), "Surface of the mask (value 0.5) seen along z, y and x."


def _window(mask: Volume) -> tuple[tuple[int, int, int], int]:
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


def views_picture(angular: NDArray[np.float64]) -> tuple[Picture, str]:
    """Views over the sphere in an equal-area projection (Mollweide), relative to an even spread; and its caption.

    Args:
        angular: views per bin [theta 0..180, phi 0..360].
    """
    density = relative_density(angular)
    area = _bin_area(*angular.shape)
    order = np.argsort(density, axis=None)
    # By area, not by bin: the bins at the poles are tiny and one view fills them.
    top = max(float(density.flat[order[np.searchsorted(np.cumsum(area.flat[order]), 0.99)]]), 1.0)
    height, width = PANEL_PX, 2 * PANEL_PX
    row, column, inside = _mollweide(height, width, *angular.shape)
    level = np.clip(density[row, column] / top, 0, 1)
    picture = np.zeros((height, width, 4), np.uint8)
    picture[..., :3] = _coloured(np.round(level * 63) / 63)
    picture[..., 3] = np.where(inside, 255, 0)
    empty = float(area[angular == 0].sum())
    caption = (
        "Viewing directions (orientation distribution): theta 0 at the top, phi 0 to 360 from left to right, equal areas; colour = "
        f"density relative to uniform, from none (dark) to {top:.3g} (yellow). {angular.sum():.0f} particles, none in "
        f"{100 * empty:.0f} % of the sphere."
    )
    return picture, caption


def relative_density(angular: NDArray[np.float64]) -> NDArray[np.float64]:
    """Views per solid angle [theta, phi], 1 where they would be spread evenly."""
    density: NDArray[np.float64] = angular / angular.sum() / _bin_area(*angular.shape)
    return density


def _bin_area(rows: int, columns: int) -> NDArray[np.float64]:
    edges = np.cos(np.linspace(0, np.pi, rows + 1))
    share = (edges[:-1] - edges[1:]) / 2
    return np.repeat(share[:, None] / columns, columns, axis=1)


def _mollweide(
    height: int, width: int, rows: int, columns: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Bin of every pixel of a Mollweide ellipse, and which pixels lie inside (Snyder 1987, USGS Paper 1395, p. 249)."""
    y = 1 - 2 * (np.arange(height) + 0.5) / height
    x = 2 * (np.arange(width) + 0.5) / width - 1
    auxiliary = np.arcsin(y)[:, None]
    latitude = np.arcsin((2 * auxiliary + np.sin(2 * auxiliary)) / np.pi)
    longitude = x[None, :] / np.cos(auxiliary)
    inside = np.abs(longitude) <= 1
    row = np.clip((np.pi / 2 - latitude) / np.pi * rows, 0, rows - 1)
    column = np.clip((longitude + 1) / 2 * columns, 0, columns - 1)
    return np.broadcast_to(row, inside.shape).astype(np.intp), column.astype(np.intp), inside


def _binned(volume: Volume, step: int) -> Volume:
    edge = volume.shape[0] // step * step
    few = edge // step
    # One axis after the other: the first sum runs over whole planes and leaves little for the others.
    planes = volume[:edge, :edge, :edge].reshape(few, step, edge, edge).mean(axis=1, dtype=np.float32)
    rows = planes.reshape(few, few, step, edge).mean(axis=2, dtype=np.float32)
    return np.asarray(rows.reshape(few, few, few, step).mean(axis=3, dtype=np.float32), np.float32)


def _fitted(volume: Volume, edge_px: int) -> Volume:
    """``volume`` with an edge near ``edge_px``: binned when larger, interpolated when smaller."""
    if volume.shape[0] >= edge_px:
        return _binned(volume, volume.shape[0] // edge_px)
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


def _coloured(level: NDArray[np.float64]) -> Picture:
    anchors = np.linspace(0, 1, len(_VIEWS_RGB))
    channels = [np.interp(level, anchors, [rgb[c] for rgb in _VIEWS_RGB]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _side_by_side(panels: Sequence[Picture]) -> Picture:
    gap = np.zeros((PANEL_PX, GAP_PX, panels[0].shape[2]), np.uint8)
    if panels[0].shape[2] == 3:
        gap[:] = panels[0].min()
    parts = [panels[0], gap, panels[1], gap, panels[2]]
    return np.concatenate(parts, axis=1)
