"""Local resolution: at each place of the particle, where the FSC of its surroundings falls to the level of the resolution.

Both halves are filtered to overlapping Gaussian bands. In each band the mean of the halves squared, and half their difference
squared, are summed under a Gaussian window over the particle; (mean - half) / (mean + half) of these sums is the FSC of that band
and place, and estimates S / (S + N) without the bias that an edge about each place brings. A window spans a fixed number of
wavelengths, so every band sees the same number of independent values. The frequency at which this curve passes the level is
fitted as that of a signal that falls as exp(-B k^2 / 2) against the noise, seen through the band's width; the median of the
neighbours within a few wavelengths takes the scatter away and keeps the borders between domains.

A band is looked at in every second of its voxels, as the fields of one colour of a chess board. Squares of so sampled values fold
into the window's reach from beyond twice the band's frequency only, where they have next to no power: nothing is lost.

The same sums over a whole part of the particle give the resolution of that part, with an interval from the number of independent
values in it.

The windows as in Cardone, Heymann & Steven 2013, doi:10.1016/j.jsb.2013.08.002, but in bands and all places at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from refine_hooks.analysis import _local_kernels as kernels
from refine_hooks.analysis.local_fit import crossings
from refine_hooks.analysis.local_parts import PartReading, part_curves, read_parts
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import in_slabs, workers

Mask = NDArray[np.bool_]
Labels = NDArray[np.int16]
Points = NDArray[np.int64]
Reals = NDArray[np.float32]

BAND = 0.35  # full width at half height of a band's amplitudes, as a share of its centre
WINDOW = 0.9  # sigma of the Gaussian window, in wavelengths
MEDIAN = 2.5  # radius of the median, in wavelengths
STEP = 0.13  # from band to band, in ln(frequency)
_SCATTER = 0.1  # of the local FSC near the level
_FWHM = 2.3548  # in standard deviations
_COARSEST_A = 40.0
_WAVELENGTHS_ACROSS = 3.0  # of the first band in the particle
_LAST = 0.9  # of Nyquist: centre of the last band
_AT_THE_END = 0.02  # in ln k: so near to where the last band allows a crossing, it may lie beyond
_SETTLED = 3  # bands after the crossing
_MARGIN_A = 12.0
_REACH = 2.2  # standard deviations of a band within its box
_TRUNCATE = 3.0  # of a window, in sigma
_GRID = 0.75  # of the resolution of the whole: step of the grid of places
_PLACES = 50_000  # at most, about
_FEWEST_PLACES = 20


@dataclass(frozen=True, slots=True)
class LocalResolution:
    """Resolutions on a coarse grid; a place of it is every ``step_px``-th voxel of the box, the first one included.

    Attributes:
        resolution_A: float32 [z, y, x]; 0 where none is stated.
        finer: places that are still above the level in the last band: no coarser than stated [z, y, x].
        nothing: places of the particle where no band is above the level [z, y, x].
        step_px: voxels from one place to the next.
        voxel_size_A: from one place to the next.
        parts: what was read off each part, in the order of their numbers.
    """

    resolution_A: Volume
    finer: Mask
    nothing: Mask
    step_px: int
    voxel_size_A: float
    parts: tuple[PartReading, ...]


@dataclass(frozen=True, slots=True)
class _Crop:
    """The surroundings of the particle: a box of [z, y, x] voxels, cut out with wrapping round the faces."""

    parts: Labels
    volumes_px: NDArray[np.float64]
    body: Mask
    start: tuple[int, int, int]
    whole: NDArray[np.complex64]
    lengths_A: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Of the parts."""
        return len(self.volumes_px)


def local_resolution(
    half1: Volume,
    half2: Volume,
    voxel_size_A: float,
    parts: Labels,
    *,
    overall_A: float,
    threshold: float = 0.143,
    symmetry_order: int = 1,
    between: Callable[[], object] = bool,
) -> LocalResolution | None:
    """The local resolution of two unmasked half maps; None where there is no particle, or hardly any.

    Args:
        half1: float32 [z, y, x].
        half2: of the same shape.
        voxel_size_A: edge of a voxel.
        parts: number of the part of the particle that a voxel lies in, 0 in the solvent [z, y, x].
        overall_A: resolution of the whole; sets how coarse the grid of places is.
        threshold: level of the FSC at which the resolution is read.
        symmetry_order: how many operators the imposed point group has.
        between: called before each band; what it raises ends the work.
    """
    if not parts.any():
        return None
    crop = _cropped(half1, half2, voxel_size_A, parts)
    step_px = max(
        1, round(_GRID * overall_A / voxel_size_A), int(np.ceil((crop.volumes_px.sum() / _PLACES) ** (1 / 3)))
    )
    places = _places(crop, len(half1), step_px)
    if len(places) < _FEWEST_PLACES:
        return None
    at_A = (places - np.array(crop.start)) % len(half1) * voxel_size_A
    centres, curves, sums = _curves(crop, at_A, voxel_size_A, max(_COARSEST_A, 2 * overall_A), threshold, between)
    frequency, nothing, _ = crossings(np.log(centres), curves, BAND, threshold, _SCATTER)
    grid = places // step_px
    logs = _medians(-np.log(frequency), grid, voxel_size_A * step_px, -(-len(half1) // step_px))
    volumes_A3 = crop.volumes_px * voxel_size_A**3 / symmetry_order
    finest = np.log(2 * voxel_size_A)
    readings = read_parts(np.log(centres), sums, volumes_A3, BAND, threshold, 2 * voxel_size_A)
    # A single place may miss its crossing; that of its neighbours together lies beyond the last band only where it does.
    finer = logs <= max(_AT_THE_END - np.log(centres[-1]) - STEP / 2, finest)
    logs = np.maximum(logs, finest).astype(np.float32)
    return _on_grid(logs, grid, (nothing, finer), step_px, voxel_size_A, len(half1), readings)


def _cropped(half1: Volume, half2: Volume, voxel_size_A: float, parts: Labels) -> _Crop:
    """The transform of the surroundings of the body: the sum of the halves, and their difference as imaginary part."""
    body = parts > 0
    n, margin = len(half1), int(np.ceil(_MARGIN_A / voxel_size_A))
    starts, lengths = [], []
    for axis in range(3):
        filled = np.flatnonzero(body.any(axis=tuple(other for other in range(3) if other != axis)))
        length = _even_fast(int(filled[-1] - filled[0] + 1 + 2 * margin))
        starts.append(int(filled[0]) - margin if length < n else 0)
        lengths.append(min(length, n))
    index = _around(starts, lengths, n)
    whole = np.empty(lengths, np.complex64)
    one, two = half1[index], half2[index]
    np.add(one, two, out=whole.real)
    np.subtract(one, two, out=whole.imag)
    whole = scipy.fft.fftn(whole, overwrite_x=True, workers=workers())
    cut = parts[index]
    volumes_px = np.array([np.count_nonzero(cut == number) for number in range(1, int(cut.max()) + 1)], np.float64)
    return _Crop(
        cut, volumes_px, body[index], (starts[0], starts[1], starts[2]), whole, np.array(lengths) * voxel_size_A
    )


def _around(starts: list[int], lengths: list[int], box_px: int) -> Any:
    """Index of a part of the box: slices, which copy nothing, where it does not go round a face."""
    ends = [start + length for start, length in zip(starts, lengths, strict=True)]
    if min(starts) >= 0 and max(ends) <= box_px:
        return tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))
    return np.ix_(*(np.arange(start, end) % box_px for start, end in zip(starts, ends, strict=True)))


def _even_fast(length: int) -> int:
    length += length % 2
    while scipy.fft.next_fast_len(length) != length:
        length += 2
    return length


def _places(crop: _Crop, box_px: int, step_px: int) -> Points:
    """The voxels of the coarse grid that lie in the body [point, 3]."""
    axes = []
    for start, length in zip(crop.start, crop.body.shape, strict=True):
        own = np.arange(length)
        axes.append(own[(own + start) % box_px % step_px == 0])
    inside = np.argwhere(crop.body[np.ix_(*axes)])
    at = np.stack([axis[inside[:, i]] for i, axis in enumerate(axes)], axis=1)
    return np.asarray((at + np.array(crop.start)) % box_px, np.int64)


def _curves(
    crop: _Crop,
    at_A: NDArray[np.float64],
    voxel_size_A: float,
    coarsest_A: float,
    threshold: float,
    between: Callable[[], object],
) -> tuple[NDArray[np.float64], Reals, NDArray[np.float64]]:
    """Centres of the bands in 1/Angstrom, the local FSC [band, point], until it stays below the level at all places and in all
    parts, and the sums of each part [band, 2, part]."""
    across_A = voxel_size_A * float(6 / np.pi * crop.volumes_px.sum()) ** (1 / 3)
    first = 1 / min(coarsest_A, across_A / _WAVELENGTHS_ACROSS)
    centres = np.exp(np.arange(np.log(first), np.log(_LAST / 2 / voxel_size_A) + STEP, STEP))
    curves: list[Reals] = []
    sums: list[NDArray[np.float64]] = []
    scratch = np.empty(4 * np.prod(_half_shape(crop, centres[-1])), np.complex64)
    excess = np.zeros(len(at_A) + crop.count)
    highest, since = np.zeros(len(excess)), np.zeros(len(excess), np.int64)
    for centre in centres:
        between()
        local, of_parts = _in_band(crop, at_A, centre, scratch)
        curves.append(local)
        sums.append(of_parts)
        excess += np.concatenate([local, part_curves(of_parts)]) - threshold
        since = np.where(excess >= highest, 0, since + 1)
        highest = np.maximum(highest, excess)
        if since.min() >= _SETTLED:
            break
    return centres[: len(curves)], np.array(curves), np.array(sums)


def _half_shape(crop: _Crop, centre: float) -> list[int]:
    """Half the edges of a band in voxels of its own."""
    highest = centre * (1 + _REACH * BAND / _FWHM)
    return [_even_fast(int(np.ceil(2 * highest * length)) + 2) // 2 for length in crop.lengths_A]


def _in_band(
    crop: _Crop, at_A: NDArray[np.float64], centre: float, scratch: NDArray[np.complex64]
) -> tuple[Reals, NDArray[np.float64]]:
    """Local FSC of one band at each place, and its sums over the parts; ``scratch`` has room for its voxels."""
    sd, shape = BAND * centre / _FWHM, _half_shape(crop, centre)
    band = scratch[: 4 * np.prod(shape)].reshape(4, *shape)
    steps = 1 / crop.lengths_A
    in_slabs(lambda begin, end: kernels.band(crop.whole, steps, centre, sd, begin, end, band), shape[0], 4)
    band = scipy.fft.ifftn(band, axes=(1, 2, 3), overwrite_x=True, workers=workers())
    sums = np.empty((2, *shape), np.float32)
    in_slabs(lambda begin, end: kernels.pooled(band, crop.parts, begin, end, sums), shape[0], 4)
    of_parts = np.zeros((2, crop.count + 1))
    kernels.part_sums(sums, crop.parts, of_parts)
    voxel_A = crop.lengths_A / np.array(shape)
    weights = _window(WINDOW / centre / float(voxel_A.mean()))
    local = np.empty_like(sums)
    in_slabs(lambda begin, end: _smoothed(sums[begin], weights, local[begin]), 2, 1)
    out = np.empty(len(at_A), np.float32)
    # The middle of two pooled voxels lies half a voxel before the second.
    kernels.correlations(local, (at_A / voxel_A - 0.25).astype(np.float32), out)
    return out, of_parts[:, 1:]


def _smoothed(values: Reals, weights: Reals, out: Reals) -> None:
    row = np.empty(values.shape[2] + 2 * len(weights), np.float32)
    kernels.smoothed(values, weights, False, 0, len(values), np.empty_like(values), row, out)


def _window(sigma: float) -> Reals:
    """The right half of a Gaussian, its middle first; pooling two voxels is a part of it already."""
    sigma = np.sqrt(max(sigma**2 - 1 / 16, 0.01))
    at = np.arange(int(np.ceil(_TRUNCATE * sigma)) + 1)
    return np.exp(-0.5 * (at / sigma) ** 2).astype(np.float32)


def _medians(logs: NDArray[np.float64], grid: Points, step_A: float, edge: int) -> Reals:
    """Median of ln(resolution) over the neighbours of each place within some of its own wavelengths."""
    index = np.full((edge,) * 3, -1, np.int64)
    index[tuple(grid.T)] = np.arange(len(grid))
    values, out = logs.astype(np.float32), np.empty(len(grid), np.float32)
    radius = (MEDIAN * np.exp(values) / step_A).astype(np.float32)
    low = float(values.min())
    width = max((float(values.max()) - low) / kernels.BINS, 1e-9)
    in_slabs(
        lambda begin, end: kernels.medians(values, grid, index, radius, low, width, begin, end, out),
        len(grid),
        1 + len(grid) // 16,
    )
    return out


def _on_grid(
    logs: Reals,
    grid: Points,
    outside: tuple[Mask, Mask],
    step_px: int,
    voxel_size_A: float,
    box_px: int,
    parts: tuple[PartReading, ...],
) -> LocalResolution:
    edge = -(-box_px // step_px)
    at = tuple(grid.T)
    resolution_A = np.zeros((edge,) * 3, np.float32)
    nothing, finer = np.zeros((edge,) * 3, bool), np.zeros((edge,) * 3, bool)
    resolution_A[at] = np.where(outside[0], 0, np.exp(logs))
    nothing[at], finer[at] = outside
    return LocalResolution(resolution_A, finer, nothing, step_px, voxel_size_A * step_px, parts)
