"""The masks of cisTEM, voxel for voxel: its soft sphere, its soft edge around a given mask, its automask.

Source: cisTEM 2.0.0-alpha (doi:10.7554/eLife.35383), functions CosineRingMask, ApplyMask and ConvertToAutoMask. None of them is
what refine_hooks measures with; they say what the program itself used.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import InputError
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import padded_inverse, workers
from refine_hooks.kernels import FLOAT, INT, array, fft, kernel

EDGE_A = 10.0
# The mask's tails below this are cut off.
_SMALLEST = np.float32(0.001)

_VOLUME, _TABLE, _ZONES = array("float32", 3), array("float64", 1), array("int8", 1)
_FOUND = array("float64", 1, written=True)
_ring_sums = kernel("ring_sums", _VOLUME, _TABLE, _ZONES, INT, INT, INT, _FOUND)
_ring_apply = kernel(
    "ring_apply", _VOLUME, array("float32", 3, written=True), _TABLE, _ZONES, FLOAT, FLOAT, FLOAT, INT, INT
)
_outside_sum = kernel("outside_sum", _VOLUME, FLOAT, INT, INT, _FOUND)

T = TypeVar("T")
Ring = tuple[NDArray[np.float64], NDArray[np.int8], int]


def ring_masked(
    voxels: Volume, radius_px: float, inner_radius_px: float = 0.0, edge_px: float = 4.0, *, subtract: bool = False
) -> tuple[Volume, float]:
    """A centred volume under cisTEM's sphere or hollow sphere with cosine edges.

    Outside the mask is the mean of the voxels in the outer edge, in the hole that of the inner edge.

    Args:
        voxels: [z, y, x], cubic.
        radius_px: middle of the outer edge.
        inner_radius_px: middle of the inner edge; 0 for none.
        edge_px: width of both edges.
        subtract: take the mean of the outer edge away from the result, so that it is 0 outside. No Fourier coefficient but
            that of frequency 0 changes.

    Returns:
        The masked volume, and the sum of the squared mask in voxels.

    Raises:
        InputError: the radii or the edge are not those of a sphere.
    """
    if not (edge_px > 0 and radius_px > inner_radius_px >= 0):
        raise InputError(f"no sphere has radius {radius_px:g}, hole {inner_radius_px:g} and edge {edge_px:g} px")
    ring = _ring(radius_px, inner_radius_px, edge_px)
    voxels = np.ascontiguousarray(voxels, np.float32)
    outer, outer_count, inner, inner_count, squares = _sums(voxels, ring)
    outside = outer / outer_count if outer_count else 0.0
    inside = inner / inner_count if inner_count else 0.0
    base = outside if subtract else 0.0
    out = np.empty_like(voxels)
    _by_planes(len(voxels), lambda a, b: _ring_apply(voxels, out, *ring[:2], outside, inside, base, a, b))
    return out, squares


def _sums(voxels: Volume, ring: Ring) -> list[float]:
    """Sum and number of the voxels in the outer edge, sum and number in the inner edge, and the sum of the squared mask."""

    def work(first: int, last: int) -> NDArray[np.float64]:
        found = np.empty(5)
        _ring_sums(voxels, *ring, first, last, found)
        return found

    sums: list[float] = np.sum(_by_planes(len(voxels), work), axis=0).tolist()
    return sums


def _ring(radius_px: float, inner_radius_px: float, edge_px: float) -> Ring:
    """The ring mask at each squared distance, its zones, and up to which squared distance all is inside.

    Zones are 0 inside, 1 in the outer edge, 2 in the inner edge, 3 in the hole.
    """
    core_px = max(radius_px - edge_px / 2, 0.0)
    square = np.arange(int((core_px + edge_px) ** 2) + 1)
    r = np.sqrt(square)
    outer = square >= core_px**2
    values = np.where(outer, 0.5 + 0.5 * np.cos(np.pi * (r - core_px) / edge_px), 1.0)
    zones = outer.astype(np.int8)
    if inner_radius_px > 0:
        hole_px = inner_radius_px + edge_px / 2
        inner = ~outer & (square <= hole_px**2)
        hole = inner & (square < max(hole_px - edge_px, 0) ** 2)
        values[inner] = 0.5 + 0.5 * np.cos(np.pi * (hole_px - r[inner]) / edge_px)
        values[hole] = 0
        zones[inner], zones[hole] = 2, 3
    return values, zones, -1 if inner_radius_px > 0 else int(np.count_nonzero(~outer)) - 1


def _by_planes(planes: int, work: Callable[[int, int], T]) -> list[T]:
    cores = workers()
    bounds = np.linspace(0, planes, cores + 1).astype(int).tolist()
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(work, bounds[:-1], bounds[1:]))


def ring_means(voxels: Volume, radius_px: float, edge_px: float) -> tuple[float, float]:
    """Mean of the voxels in the cosine edge of cisTEM's sphere, and the sum of the squared mask in voxels."""
    ring = _ring(radius_px, 0.0, edge_px)
    total, count, _, _, squares = _sums(voxels, ring)
    return total / count if count else 0.0, squares


def mean_outside(voxels: Volume, radius_px: float) -> float:
    """Mean of the voxels farther than ``radius_px`` from the centre ``n // 2``; 0 where there are none."""

    def work(first: int, last: int) -> NDArray[np.float64]:
        found = np.empty(2)
        _outside_sum(voxels, radius_px, first, last, found)
        return found

    total, count = np.sum(_by_planes(len(voxels), work), axis=0).tolist()
    return total / count if count else 0.0


def apply_mask_soft(mask: Volume, voxel_size_A: float, edge_A: float = EDGE_A) -> Volume:
    """The mask that cisTEM puts on a half map when it is given ``mask``: any positive voxel counts, then a cosine ball blurs it.

    The edge therefore lies half inside and half outside of what is above 0 in ``mask``. cisTEM blurs around the corners of the
    box; so does this.

    Args:
        mask: [z, y, x], cubic.
        voxel_size_A: edge of a voxel.
        edge_A: radius of the ball.

    Returns:
        float32 of the same shape, 0..1 within rounding.
    """
    inside = np.asarray(mask > 0, np.float32)
    ball = _cosine_ball(edge_A / voxel_size_A)
    window = tuple(_window(inside, axis, ball.shape[0] // 2) for axis in range(3))
    part = inside[window]
    shape = [_length(n, inside.shape[0]) for n in part.shape]
    kernel = np.zeros(shape, np.float32)
    reach = np.arange(-(ball.shape[0] // 2), ball.shape[0] // 2 + 1)
    np.add.at(kernel, tuple(np.ix_(*(reach % n for n in shape))), ball)
    there = tuple(slice(n) for n in part.shape)
    padded = np.zeros(shape, np.float32)
    padded[there] = part
    blurred = fft.rfftn(padded, workers=workers()) * fft.rfftn(kernel, workers=workers())
    values = fft.irfftn(blurred, s=shape, workers=workers(), overwrite_x=True)[there]
    soft = np.zeros(mask.shape, np.float32)
    soft[window] = np.where(values < _SMALLEST, np.float32(0), values)
    return soft


def _cosine_ball(radius_px: float) -> Volume:
    reach = ceil(radius_px) - 1
    square = np.arange(-reach, reach + 1, dtype=np.float64) ** 2
    r = np.sqrt(square[:, None, None] + square[:, None] + square)
    ball = np.where(r <= radius_px, 0.5 + 0.5 * np.cos(np.pi * r / radius_px), 0)
    return np.asarray(ball / ball.sum(), np.float32)


def _window(inside: Volume, axis: int, margin_px: int) -> slice:
    """Where the blurred mask can differ from 0 along one axis; the whole axis when that reaches over the box's border."""
    filled = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
    if filled.size == 0 or filled[0] < margin_px or filled[-1] + margin_px >= inside.shape[axis]:
        return slice(None)
    return slice(int(filled[0]) - margin_px, int(filled[-1]) + margin_px + 1)


def _length(part_px: int, box_px: int) -> int:
    """A part has zeros all around, so its transform may be longer; the whole box wraps around and may not."""
    return box_px if part_px == box_px else int(fft.next_fast_len(part_px, real=True))


def cistem_automask(
    volume: Volume, voxel_size_A: float, radius_A: float, filter_A: float, rebin: float, threshold: float | None = None
) -> NDArray[np.uint8]:
    """The mask that cisTEM makes by itself, as create_mask writes it and as the refinement puts it on its reference.

    Args:
        volume: the map that the program masked (the filtered one), [z, y, x], cubic.
        voxel_size_A: edge of a voxel.
        radius_A: outer radius; the background is what lies beyond.
        filter_A: resolution that the map is binned to; 10 in create_mask, 7 in the refinement.
        rebin: level at which the smoothed mask is cut; 0.35 in create_mask, 0.1 in the refinement. Lower is larger.
        threshold: density at which the binned map is cut; None for cisTEM's own choice.

    Returns:
        uint8 [z, y, x], 0 and 1.

    Raises:
        InputError: no voxel lies above the threshold.
    """
    box_px, binning = len(volume), filter_A / 2 / voxel_size_A
    binned_px = int(box_px / binning + 0.5)
    binned_px = min(binned_px + binned_px % 2, box_px)
    binned = np.asarray(volume, np.float32)
    if binned_px < box_px:
        whole = fft.rfftn(binned, workers=workers(), norm="forward")
        half = binned_px // 2
        rows = np.r_[0:half, -half:0]
        cropped = np.ascontiguousarray(whole[np.ix_(rows, rows, np.arange(half + 1))])
        binned = fft.irfftn(cropped, s=(binned_px,) * 3, workers=workers(), norm="forward")
    body = _largest_body(binned, radius_A / binning / voxel_size_A, threshold)
    smooth = fft.rfftn(body, workers=workers(), norm="forward") * _gaussian(binned_px, binning / voxel_size_A / 16)
    smooth = padded_inverse(smooth.astype(np.complex64), box_px)
    smooth /= smooth.max()
    return np.asarray(smooth >= np.float32(rebin), np.uint8)


def _largest_body(binned: Volume, radius_px: float, threshold: float | None) -> Volume:
    from scipy import ndimage

    if threshold is None:
        binned = np.maximum(binned, np.float32(mean_outside(binned, radius_px)))
        background = mean_outside(binned, radius_px)
        threshold = background + (_mean_of_highest(binned, radius_px) - background) * 0.05
    n = len(binned)
    square = (np.arange(n) - n // 2) ** 2
    within = np.sqrt(square[:, None, None] + square[:, None] + square) < radius_px - 0.5
    labels, _ = ndimage.label(within & (binned >= np.float32(threshold)))
    sizes = np.bincount(labels.reshape(-1))
    if len(sizes) < 2:
        raise InputError(f"cisTEM's automask is empty: no voxel within the outer radius reaches {threshold:g}")
    return np.asarray(labels == 1 + np.argmax(sizes[1:]), np.float32)


def _mean_of_highest(binned: Volume, radius_px: float) -> float:
    """Mean of the highest voxels, at least five, on the three central planes within the radius' cube."""
    n = len(binned)
    reach = min(int(radius_px), n // 2)
    cube = binned[(slice(n // 2 - reach, n // 2 + reach),) * 3]
    planes = np.zeros(cube.shape, bool)
    planes[reach] = planes[:, reach] = planes[:, :, reach] = True
    return float(np.sort(cube[planes])[-max(5, int(binned.size * 0.000005)) :].mean(dtype=np.float64))


def _gaussian(box_px: int, sigma: float) -> NDArray[np.float32]:
    """Low-pass filter of a half transform; ``sigma`` in cycles per voxel."""
    full, half = np.fft.fftfreq(box_px) ** 2, np.fft.rfftfreq(box_px) ** 2
    squared = full[:, None, None] + full[:, None] + half
    return np.asarray(np.exp(-squared / (2 * sigma**2)), np.float32)
