"""A tight but generous mask from two half maps, without a number from the user.

The average of the halves is low-passed and its noise taken from their half difference, which holds no signal; what stands out of
the noise at a false discovery rate of 1 % (Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x) is density. Specks
are dropped, holes filled, the rest is grown and given a soft edge. The mask never looks at where the halves agree. All of it
happens on a binned map: nothing in a 12 A filter needs finer voxels.
"""

from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import in_slabs
from refine_hooks.masks.shapes import cosine_edge

Volume = NDArray[np.float32]
Transform = NDArray[np.complex64]

FILTERS_A = (5.0, 8.0, 12.0)  # sigma of the Gaussian; a wider one is tried only where a narrower one shows nothing
GROW_A = 5.0
EDGE_A = 8.0
_BINNED_VOXEL_A = 4.0
_DISCOVERY_RATE = 0.01
_SPECK_FRACTION = 0.05
_LARGEST_FRACTION = 0.6  # of the sphere; more than that is no particle in solvent


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
    """A soft mask [z, y, x] from two unmasked half maps; the same halves give the same mask, bit for bit.

    Args:
        half1: float32 [z, y, x].
        half2: of the same shape.
        voxel_size_A: edge of a voxel.
        limit_radius_A: noise is measured, and density looked for, inside this sphere; None for the largest that fits.
        transforms: half transforms of the two, where they have been made already.
    """
    from scipy import fft

    first, second = transforms or (fft.rfftn(half1, workers=-1), fft.rfftn(half2, workers=-1))
    box_px = half1.shape[0]
    binned_px = min(box_px, _even_length(box_px * voxel_size_A / _BINNED_VOXEL_A))
    binned_A = voxel_size_A * box_px / binned_px
    radius_px = min(limit_radius_A or np.inf, binned_A * binned_px / 2) / binned_A
    one, two = (_cropped(half, binned_px) for half in (first, second))
    average, difference = one + two, one - two
    for filter_A in FILTERS_A:
        inside, found = _density(average, difference, binned_A, filter_A, radius_px)
        parameters = {"filter_A": filter_A, "binned_voxel_A": binned_A, **found, "grow_A": GROW_A, "edge_A": EDGE_A}
        if inside is not None:
            distance_A = _signed_distance_A(inside, binned_A) - np.float32(GROW_A)
            return Automask(_full_size(distance_A, box_px, voxel_size_A), parameters)
    return Automask(None, parameters, f"no mask can be made: {parameters['why']}; the sphere is all there is")


def _even_length(at_least: float) -> int:
    from scipy import fft

    return 2 * int(fft.next_fast_len(int(np.ceil(at_least / 2)), real=True))


def _cropped(transform: Transform, binned_px: int) -> Transform:
    """The middle of a half transform, as that of a map with fewer and larger voxels (without its Nyquist planes)."""
    n, half = transform.shape[0], binned_px // 2
    if binned_px >= n:
        return transform
    keep = np.r_[0:half, n - half : n]
    small = transform[:, :, : half + 1][keep][:, keep].copy()
    small[half] = small[:, half] = small[:, :, half] = 0
    return np.asarray(small, np.complex64)


def _density(
    average: Transform, difference: Transform, voxel_size_A: float, filter_A: float, radius_px: float
) -> tuple[NDArray[np.bool_] | None, dict[str, Any]]:
    """Voxels that stand out of the noise, or None; and what was found on the way."""
    signal, noise = (_lowpassed(half, voxel_size_A, filter_A) for half in (average, difference))
    within = _ball(signal.shape[0], radius_px)
    spread = float(noise[within].std(dtype=np.float64))
    level = float(np.median(signal[within]))
    if spread <= 1e-6 * max(float(np.abs(signal[within]).max(initial=0)), 1e-30):
        return None, {"why": "the two half maps do not differ, so there is no noise to judge by"}
    score = (signal - np.float32(level)) / np.float32(spread)
    threshold = _false_discovery_threshold(score[within])
    if threshold is None:
        return None, {"why": "nothing in the average stands out of the noise"}
    inside, components = _bodies((score >= threshold) & within)
    fraction = float(inside.sum() / within.sum())
    found = {"threshold_sd": threshold, "noise_sd": spread, "components": components, "fraction_of_sphere": fraction}
    if fraction > _LARGEST_FRACTION:
        return None, {
            **found,
            "why": f"{100 * fraction:.0f} % of the sphere stands out of the noise, which is no particle in solvent",
        }
    return inside, found


def _lowpassed(transform: Transform, voxel_size_A: float, filter_A: float) -> Volume:
    from scipy import fft

    n = transform.shape[0]
    axes = (
        np.fft.fftfreq(n, voxel_size_A),
        np.fft.fftfreq(n, voxel_size_A),
        np.fft.rfftfreq(n, voxel_size_A)[: transform.shape[2]],
    )
    z, y, x = (np.exp(-2 * (np.pi * filter_A * f) ** 2).astype(np.float32) for f in axes)
    weighted = transform * (z[:, None, None] * y[:, None] * x)
    return np.asarray(fft.irfftn(weighted, s=(n,) * 3, workers=-1), np.float32)


def _ball(box_px: int, radius_px: float) -> NDArray[np.bool_]:
    squares = (np.arange(box_px) - box_px // 2).astype(np.float32) ** 2
    return np.asarray(squares[:, None, None] + squares[:, None] + squares <= radius_px**2)


def _false_discovery_threshold(scores: Volume) -> float | None:
    """The lowest score at which at most 1 % of the voxels above are noise; None when no score is that high."""
    from scipy.special import ndtr

    ordered = np.sort(scores)[::-1]
    ordered = ordered[: np.searchsorted(-ordered, -1.0)]
    allowed = _DISCOVERY_RATE * np.arange(1, len(ordered) + 1) / len(scores)
    passed = np.flatnonzero(ndtr(-ordered.astype(np.float64)) <= allowed)
    return float(ordered[passed[-1]]) if passed.size else None


def _bodies(inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Without specks and holes; how many bodies are left."""
    from scipy.ndimage import binary_fill_holes
    from skimage.measure import label

    labels, count = label(inside, return_num=True, connectivity=1)  # type: ignore[no-untyped-call]
    if not count:
        return inside, 0
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes > _SPECK_FRACTION * sizes.max()
    return np.asarray(binary_fill_holes(kept[labels]), np.bool_), int(kept.sum())


def _signed_distance_A(inside: NDArray[np.bool_], voxel_size_A: float) -> Volume:
    """Distance to the surface, which lies half way between voxels; negative inside."""
    from scipy.ndimage import distance_transform_edt

    outer = distance_transform_edt(~inside)
    inner = distance_transform_edt(inside)
    signed = np.where(inside, 0.5 - inner, outer - 0.5) * voxel_size_A
    return np.asarray(signed, np.float32)


def _full_size(distance_A: Volume, box_px: int, voxel_size_A: float) -> Volume:
    """The soft mask at full size from the distance on the binned grid; both grids meet at the centre of the box."""
    step = distance_A.shape[0] / box_px
    places = (np.arange(box_px) - box_px // 2) * step + distance_A.shape[0] // 2
    mask = np.zeros((box_px,) * 3, np.float32)
    table = cosine_edge(np.linspace(0, 1, 1025, dtype=np.float32), 1.0)
    in_slabs(lambda begin, end: _interpolated_edge(distance_A, places, EDGE_A, table, mask, begin, end), box_px, 16)
    return mask


@numba.njit(cache=True, nogil=True)
def _interpolated_edge(
    distance: Volume, places: NDArray[np.float64], edge: float, table: Volume, mask: Volume, begin: int, end: int
) -> None:
    """Trilinear in the distance, then the cosine edge from a table; whole rows beyond the edge are left zero."""
    n, m = mask.shape[0], distance.shape[0]
    for z in range(begin, end):
        z0 = min(max(int(np.floor(places[z])), 0), m - 1)
        z1, fz = min(z0 + 1, m - 1), np.float32(min(max(places[z] - z0, 0.0), 1.0))
        row = np.empty(m, np.float32)
        for y in range(n):
            y0 = min(max(int(np.floor(places[y])), 0), m - 1)
            y1, fy = min(y0 + 1, m - 1), np.float32(min(max(places[y] - y0, 0.0), 1.0))
            nearest = np.float32(1e30)
            for x in range(m):
                low = distance[z0, y0, x] + fy * (distance[z0, y1, x] - distance[z0, y0, x])
                high = distance[z1, y0, x] + fy * (distance[z1, y1, x] - distance[z1, y0, x])
                row[x] = low + fz * (high - low)
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
