"""Where the density is: the set of voxels that hold the particle, found on a low-passed, binned map.

The noise is taken from the half difference, which holds no signal. A voxel belongs to the body when it stands out of the noise
at a false discovery rate of 1 % (Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x) and is needed for 99.5 % of
the signal's energy, that is the average's less the noise's. The narrowest filter is taken that lets nearly all of the energy
stand out.

How far such a contour lies beyond the particle's surface depends on the filter and on the level: an edge blurred with sigma has
fallen to the share q of the density inside at -sigma * ndtri(q) beyond its middle. The distance that is returned is counted from
that middle, so that neither the filter nor the noise makes the mask wider or tighter.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import in_slabs
from refine_hooks.masks.shapes import Volume, cosine_edge

Transform = NDArray[np.complex64]
Table = NDArray[np.float64]

FILTERS_A = (3.0, 4.0, 5.0, 6.5, 8.5, 11.0, 14.0)  # sigma of the Gaussian, for maps that hold 9 A and finer
_SIGMA_OF_LIMIT = (
    0.34  # of the finest wavelength: a tenth of the amplitude is left there, and with it the ripples of the cut
)
BINNED_VOXEL_A = 3.0
_ENERGY_HELD = 0.995
_ENERGY_SHOWN = 0.97  # what must stand out of the noise before a wider filter is not tried
_DISCOVERY_RATE = 0.01
_SPECK_ENERGY = 0.02
_HOLE_SHARE = 0.05
_LARGEST_FRACTION = 0.6  # of the largest sphere in the box; more than that is no particle in solvent
_BINS = 1 << 14
_FAR_A = 30.0  # no mask reaches farther beyond the surface
_CLOSE_A = 4.0  # every mask is 1 up to here


@dataclass(frozen=True, slots=True)
class Body:
    """Distance in Angstrom of each voxel of the binned box from the particle's surface, and how it was found."""

    distance_A: Volume
    box_px: int
    voxel_size_A: float
    found: dict[str, Any]

    def mask(self, reach_A: float, edge_A: float, box_px: int | None = None) -> Volume:
        """A soft mask [z, y, x]: 1/2 at ``reach_A`` beyond the surface, with a cosine edge of ``edge_A`` about that.

        Args:
            reach_A: beyond the particle's surface.
            edge_A: from 1 to 0.
            box_px: of the mask, which spans the same box in Angstrom; that of the half maps where None.
        """
        inner_A = np.float32(reach_A - edge_A / 2)
        return _resampled(self.distance_A, box_px or self.box_px, inner_A, edge_A)


@dataclass(frozen=True, slots=True)
class _Histogram:
    """Voxels of a filtered map in bins of equal width: how many, their sum and their sum of squares."""

    counts: Table
    sums: Table
    squares: Table
    low: float
    width: float

    def edges(self) -> Table:
        return self.low + self.width * np.arange(_BINS, dtype=np.float64)


def find_body(
    transforms: tuple[Transform, Transform],
    box_px: int,
    voxel_size_A: float,
    limit_radius_A: float | None = None,
    finest_A: float = 0.0,
) -> Body | dict[str, Any]:
    """The body in the average of two half maps, or what was found in its place with the reason as ``why``.

    Args:
        transforms: half transforms of the two unmasked half maps.
        box_px: of the half maps.
        voxel_size_A: of the half maps.
        limit_radius_A: noise is measured, and density looked for, inside this sphere; None for the largest that fits.
        finest_A: the maps hold nothing finer, whatever their voxels.
    """
    from scipy.special import ndtri

    coarseness = max(1.0, _SIGMA_OF_LIMIT * max(finest_A, 2 * voxel_size_A) / FILTERS_A[0])

    binned_px = min(box_px, even_length(box_px * voxel_size_A / BINNED_VOXEL_A))
    binned_A = voxel_size_A * box_px / binned_px
    radius_px = min(limit_radius_A or np.inf, box_px * voxel_size_A / 2) / binned_A
    one, two = (cropped(half, binned_px) for half in transforms)
    average, difference = one + two, one - two
    best: tuple[dict[str, Any], Volume] | None = None
    found: dict[str, Any] = {}
    for filter_A in (coarseness * sigma_A for sigma_A in FILTERS_A):
        signal, noise = _lowpassed((average, difference), binned_px, binned_A, filter_A)
        found = {"filter_A": filter_A, "binned_voxel_A": binned_A, **_levels(signal, noise, radius_px)}
        if "why" not in found and (best is None or found["energy_shown"] > best[0]["energy_shown"] + 0.01):
            best = found, signal
        if best is not None and best[0]["energy_shown"] >= _ENERGY_SHOWN:
            break
    if best is None:
        return found
    found, signal = best
    inside, components = _bodies(signal, found["threshold"], found["level"], radius_px)
    voxels = float(inside.sum())
    found |= {"components": components, "fraction_of_sphere": voxels / _ball_size(radius_px)}
    share = voxels / _ball_size(binned_px / 2)
    if share > _LARGEST_FRACTION or not voxels:
        return {**found, "why": f"{100 * share:.0f} % of the box stands out of the noise, no particle in solvent"}
    found["contour_A"] = float(-found["filter_A"] * ndtri(found["density_share"]))
    return Body(_distance_A(inside, binned_A, found["contour_A"]), box_px, voxel_size_A, found)


def even_length(at_least: float) -> int:
    """The next even number that is fast to transform."""
    from scipy import fft

    return 2 * int(fft.next_fast_len(int(np.ceil(at_least / 2)), real=True))


def cropped(transform: Transform, box_px: int) -> Transform:
    """The middle of a half transform, as that of a map with fewer and larger voxels (without its Nyquist planes)."""
    n, half = transform.shape[0], box_px // 2
    if box_px >= n:
        return transform
    keep = np.r_[0:half, n - half : n]
    small = transform[:, :, : half + 1][keep][:, keep].copy()
    small[half] = small[:, half] = small[:, :, half] = 0
    return np.asarray(small, np.complex64)


def _lowpassed(
    transforms: tuple[Transform, Transform], box_px: int, voxel_size_A: float, filter_A: float
) -> tuple[Volume, Volume]:
    """Both volumes under a Gaussian of sigma ``filter_A``."""
    from scipy import fft

    axis, last = np.fft.fftfreq(box_px, voxel_size_A), np.fft.rfftfreq(box_px, voxel_size_A)
    z, x = (np.exp(-2 * (np.pi * filter_A * f) ** 2).astype(np.float32) for f in (axis, last))
    weight = z[:, None, None] * (z[:, None] * x)

    def volume(number: int, _: int) -> Volume:
        weighted = transforms[number] * weight
        return np.asarray(fft.irfftn(weighted, s=(box_px,) * 3, overwrite_x=True), np.float32)

    signal, noise = in_slabs(volume, 2, 1)
    return signal, noise


def _levels(signal: Volume, noise: Volume, radius_px: float) -> dict[str, Any]:
    """Background, noise and threshold of a filtered map, how much of the signal stands out, and where the contour lies."""
    n = len(signal)
    largest = float(np.abs(noise).max(initial=0))
    if largest <= 1e-6 * max(float(np.abs(signal).max(initial=0)), 1e-30):
        return {"why": "the two half maps do not differ, so there is no noise to judge by"}
    parts = in_slabs(lambda begin, end: _noise_sums(noise, radius_px, 1e-4 * largest, begin, end), n, 8)
    voxels, power = np.sum(parts, axis=0)
    sd = float(np.sqrt(power / max(voxels, 1.0)))
    histogram = _histogram(signal, noise, radius_px, 1e-4 * largest)
    background = _mode(histogram, sd)
    significant = _false_discovery_threshold(histogram, background, sd)
    if significant is None:
        return {"why": "nothing in the average stands out of the noise"}
    centres = histogram.edges() + histogram.width / 2 - background
    squares = histogram.squares - 2 * background * histogram.sums + background**2 * histogram.counts
    energy = np.where(centres > 0, squares, 0)
    total = energy.sum() - sd**2 * voxels / 2
    above = np.cumsum((energy - sd**2 * histogram.counts * (centres > 0))[::-1])[::-1]
    shown = float(above[_bin(histogram, background + significant * sd)] / total) if total > 0 else 0.0
    enough = np.flatnonzero(above >= _ENERGY_HELD * total)
    needed = float(centres[enough[-1]]) if total > 0 and enough.size else 0.0
    level = max(needed, significant * sd)
    inside = np.where(centres >= level, np.maximum(centres, 0), 0)
    typical = float((inside**3 * histogram.counts).sum() / max((inside**2 * histogram.counts).sum(), 1e-30))
    return {
        "noise_sd": sd,
        "threshold_sd": level / sd,
        "significant_sd": significant,
        "energy_shown": min(shown, 1.0),
        "density_share": min(level / typical, 0.5) if typical > 0 else 0.5,
        "level": background,
        "threshold": background + level,
    }


def _histogram(signal: Volume, noise: Volume, radius_px: float, quiet: float) -> _Histogram:
    low, high = float(signal.min()), float(signal.max())
    width = max((high - low) / (_BINS - 1), 1e-30)
    parts = in_slabs(
        lambda begin, end: _tally(signal, noise, radius_px, quiet, low, width, begin, end), len(signal), 32
    )
    counts, sums, squares = np.sum(parts, axis=0)
    return _Histogram(counts, sums, squares, low, width)


def _bin(histogram: _Histogram, value: float) -> int:
    return int(np.clip(np.ceil((value - histogram.low) / histogram.width), 0, _BINS - 1))


def _mode(histogram: _Histogram, sd: float) -> float:
    """The solvent's level: the middle of the fullest stretch of two standard deviations, or of 2 % of the range."""
    reach = round(min(_BINS, max(sd, 0.01 * histogram.width * _BINS) / histogram.width))
    held = np.concatenate([[0.0], np.cumsum(histogram.counts)])
    bins = np.arange(_BINS)
    low, high = np.maximum(bins - reach, 0), np.minimum(bins + reach + 1, _BINS)
    inside = held[high] - held[low]
    at = int(np.argmax(inside))
    sums = np.concatenate([[0.0], np.cumsum(histogram.sums)])
    return float((sums[high[at]] - sums[low[at]]) / inside[at])


def _false_discovery_threshold(histogram: _Histogram, background: float, sd: float) -> float | None:
    """The lowest score, in standard deviations, above which at most 1 % of the voxels are noise; None when there is none."""
    from scipy.special import ndtr

    scores = (histogram.edges() - background) / sd
    above = np.cumsum(histogram.counts[::-1])[::-1]
    passed = (ndtr(-scores) * histogram.counts.sum() <= _DISCOVERY_RATE * above) & (scores > 1) & (above > 0)
    lowest = np.flatnonzero(passed)
    return float(scores[lowest[0]]) if lowest.size else None


def _bodies(signal: Volume, threshold: float, background: float, radius_px: float) -> tuple[NDArray[np.bool_], int]:
    """Voxels above the threshold without specks and small holes, and how many bodies they make."""
    from skimage.measure import label

    inside = np.zeros(signal.shape, np.bool_)
    in_slabs(lambda begin, end: _above(signal, threshold, radius_px, inside, begin, end), len(signal), 16)
    box = _bounding_box(inside, 0)
    labels, count = label(inside[box], return_num=True, connectivity=1)  # type: ignore[no-untyped-call]
    energy = np.bincount(labels.ravel(), np.square(signal[box] - np.float32(background)).ravel())
    energy[0] = 0
    kept = energy > _SPECK_ENERGY * energy.sum()
    kept[np.argmax(energy)] = count > 0
    inside[box] = kept[labels]
    box = _bounding_box(inside, 1)
    holes, _ = label(~inside[box], return_num=True, connectivity=1)  # type: ignore[no-untyped-call]
    small = np.bincount(holes.ravel()) < _HOLE_SHARE * inside.sum()
    small[0] = True
    inside[box] = small[holes]
    return inside, int(kept.sum())


def _bounding_box(inside: NDArray[np.bool_], margin_px: int) -> tuple[slice, slice, slice]:
    box = []
    for axis in range(3):
        filled = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        low, high = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 1)
        box.append(slice(max(0, low - margin_px), min(inside.shape[axis], high + margin_px)))
    return box[0], box[1], box[2]


def _ball_size(radius_px: float) -> float:
    return 4 / 3 * np.pi * radius_px**3


def _distance_A(inside: NDArray[np.bool_], voxel_size_A: float, contour_A: float) -> Volume:
    """Distance to the particle's surface, where the set's own surface lies ``contour_A`` beyond it, half way between voxels."""
    from scipy.ndimage import distance_transform_edt

    distance = np.full(inside.shape, 1e6, np.float32)
    box = _bounding_box(inside, int(np.ceil(_FAR_A / min(voxel_size_A, BINNED_VOXEL_A))))
    part = inside[box]
    signed = distance_transform_edt(~part) - 0.5
    if contour_A > _CLOSE_A - voxel_size_A:
        signed[part] = 0.5 - distance_transform_edt(part)[part]
    distance[box] = signed * voxel_size_A + contour_A
    return distance


def _resampled(distance_A: Volume, box_px: int, inner_A: np.float32, edge_A: float) -> Volume:
    """The soft mask on a grid of ``box_px`` from the distance on the binned one; the grids meet at the centre of the box."""
    step = distance_A.shape[0] / box_px
    places = (np.arange(box_px) - box_px // 2) * step + distance_A.shape[0] // 2
    mask = np.zeros((box_px,) * 3, np.float32)
    table = cosine_edge(np.linspace(0, 1, 1025, dtype=np.float32), 1.0)
    in_slabs(lambda begin, end: _edge(distance_A, places, inner_A, edge_A, table, mask, begin, end), box_px, 16)
    return mask


@numba.njit(cache=True, nogil=True)
def _noise_sums(noise: Volume, radius_px: float, quiet: float, begin: int, end: int) -> Table:
    """Count and sum of squares of the noise in planes begin..end of a sphere; voxels without noise were masked away."""
    middle, sums = len(noise) // 2, np.zeros(2)
    for z in range(begin, end):
        for y in range(len(noise)):
            rest = radius_px**2 - (z - middle) ** 2 - (y - middle) ** 2
            if rest < 0:
                continue
            for x in range(max(0, middle - int(np.sqrt(rest))), min(len(noise), middle + int(np.sqrt(rest)) + 1)):
                value = noise[z, y, x]
                if abs(value) > quiet:
                    sums[0] += 1
                    sums[1] += value * value
    return sums


@numba.njit(cache=True, nogil=True)
def _above(signal: Volume, threshold: float, radius_px: float, inside: NDArray[np.bool_], begin: int, end: int) -> None:
    """Mark what reaches the threshold in planes begin..end of a sphere."""
    middle = len(signal) // 2
    for z in range(begin, end):
        for y in range(len(signal)):
            rest = radius_px**2 - (z - middle) ** 2 - (y - middle) ** 2
            if rest >= 0:
                for x in range(max(0, middle - int(np.sqrt(rest))), min(len(signal), middle + int(np.sqrt(rest)) + 1)):
                    inside[z, y, x] = signal[z, y, x] >= threshold


@numba.njit(cache=True, nogil=True)
def _tally(
    signal: Volume, noise: Volume, radius_px: float, quiet: float, low: float, width: float, begin: int, end: int
) -> Table:
    """The histogram [3, bin] of planes begin..end of a sphere; see `_Histogram`."""
    middle, table = len(noise) // 2, np.zeros((3, _BINS))
    for z in range(begin, end):
        for y in range(len(noise)):
            rest = radius_px**2 - (z - middle) ** 2 - (y - middle) ** 2
            if rest < 0:
                continue
            for x in range(max(0, middle - int(np.sqrt(rest))), min(len(noise), middle + int(np.sqrt(rest)) + 1)):
                if abs(noise[z, y, x]) > quiet:
                    value = np.float64(signal[z, y, x])
                    i = min(_BINS - 1, int((value - low) / width))
                    table[0, i] += 1
                    table[1, i] += value
                    table[2, i] += value * value
    return table


@numba.njit(cache=True, nogil=True)
def _edge(
    distance: Volume,
    places: Table,
    inner: np.float32,
    edge: float,
    table: Volume,
    mask: Volume,
    begin: int,
    end: int,
) -> None:
    """Trilinear in the distance, then the cosine edge from a table; whole rows beyond the edge are left zero."""
    n, m = mask.shape[0], distance.shape[0]
    row = np.empty(m, np.float32)
    for z in range(begin, end):
        z0 = min(max(int(np.floor(places[z])), 0), m - 1)
        z1, fz = min(z0 + 1, m - 1), np.float32(min(max(places[z] - z0, 0.0), 1.0))
        for y in range(n):
            y0 = min(max(int(np.floor(places[y])), 0), m - 1)
            y1, fy = min(y0 + 1, m - 1), np.float32(min(max(places[y] - y0, 0.0), 1.0))
            nearest = np.float32(1e30)
            for x in range(m):
                low = distance[z0, y0, x] + fy * (distance[z0, y1, x] - distance[z0, y0, x])
                high = distance[z1, y0, x] + fy * (distance[z1, y1, x] - distance[z1, y0, x])
                row[x] = low + fz * (high - low) - inner
                nearest = min(nearest, row[x])
            if nearest >= edge:
                continue
            for x in range(n):
                x0 = min(max(int(np.floor(places[x])), 0), m - 1)
                x1, fx = min(x0 + 1, m - 1), np.float32(min(max(places[x] - x0, 0.0), 1.0))
                value = row[x0] + fx * (row[x1] - row[x0])
                if value <= 0:
                    mask[z, y, x] = 1
                elif value < edge:
                    mask[z, y, x] = table[int(value / edge * 1024)]
