"""Where the density is: the set of voxels that hold the particle, found on a low-passed, binned map.

The noise is taken from the half difference, which holds no signal. A voxel counts as density when it stands out of the noise
at a false discovery rate of 1 % (Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x) and is needed for 99.5 % of
the signal's energy, that is the average's less the noise's. The narrowest filter is taken that lets nearly all of the energy
stand out.

How far such a contour lies beyond the particle's surface depends on the filter and on the level: an edge blurred with sigma has
fallen to the share q of the density inside at -sigma times the normal quantile of q beyond its middle. The distance that is
returned is counted from that middle, so that neither the filter nor the noise makes the mask wider or tighter.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import Curve, Extent, extent_of_planes, in_slabs, inverse, joined_extent
from refine_hooks.kernels import FLOAT, INT, array, fft, kernel
from refine_hooks.masks.morphology import ball, bounding_box, components, distances
from refine_hooks.masks.shapes import Volume, cosine_edge
from refine_hooks.masks.solvent import levels

Transform = NDArray[np.complex64]

FILTERS_A = (3.0, 4.0, 5.0, 6.5, 8.5, 11.0, 14.0)  # sigma of the Gaussian, for maps that hold 9 A and finer
_SIGMA_OF_LIMIT = (
    0.34  # of the finest wavelength: a tenth of the amplitude is left there, and with it the ripples of the cut
)
BINNED_VOXEL_A = 3.0
_ENERGY_SHOWN = 0.97  # what must stand out of the noise before a wider filter is not tried
_SOLVENT_A = 12.0  # beyond the surface; nothing that a filter or a binned voxel carries out of the particle gets there
# Measured on particles that fill up to 95 % of the box's edge, and on maps that are full of density: 0.2 and up against 0.004
# and below; 0.12 and below, neighbours included, against 0.4 and up.
_LEAST_SOLVENT = 0.05
_LARGEST_SOLVENT_DENSITY = 0.25
_DARK = 1.5  # lowest over highest density
_FAR_A = 30.0  # no mask reaches farther beyond the surface
_CLOSE_A = 4.0  # every mask is 1 up to here
_soft_edge = kernel(
    "soft_edge",
    *(array("float32", 3), array("float64", 1), FLOAT, FLOAT, array("float32", 1), array("float32", 3, written=True)),
    *(INT, INT),
)


@dataclass(frozen=True, slots=True)
class Density:
    """The density of a binned box, the distance of each voxel from the particle's surface, and how it was found.

    Attributes:
        distance_A: [z, y, x], negative inside.
        excess: low-passed sum of the half maps above the solvent [z, y, x].
        binned: half transforms of the half maps in that box.
        found: what of it the record holds.
    """

    distance_A: Volume
    excess: Volume
    binned: tuple[Transform, Transform]
    box_px: int
    voxel_size_A: float
    found: dict[str, Any]

    def inside(self) -> NDArray[np.bool_]:
        """The voxels above the threshold [z, y, x]."""
        return np.asarray(self.distance_A < self.found["contour_A"])

    def without(self, voxels: NDArray[np.bool_]) -> "Density":
        """The density without some of its voxels [z, y, x], on the binned grid."""
        binned_A = self.found["binned_voxel_A"]
        rest = _distance_A(self.inside() & ~voxels, binned_A, self.found["contour_A"])
        return replace(self, distance_A=rest)

    def mask(self, reach_A: float, edge_A: float, box_px: int | None = None) -> tuple[Volume, Extent]:
        """A soft mask [z, y, x], and where it is: 1/2 at ``reach_A`` beyond the surface, a cosine edge of ``edge_A`` about that.

        Args:
            reach_A: beyond the particle's surface.
            edge_A: from 1 to 0.
            box_px: of the mask, which spans the same box in Angstrom; that of the half maps where None.
        """
        inner_A = np.float32(reach_A - edge_A / 2)
        return _resampled(self.distance_A, box_px or self.box_px, inner_A, edge_A)


def find_density(
    transforms: tuple[Transform, Transform],
    box_px: int,
    voxel_size_A: float,
    limit_radius_A: float | None = None,
    finest_A: float = 0.0,
) -> Density | dict[str, Any]:
    """The density in the average of two half maps, or what was found in its place with the reason as ``why``.

    Args:
        transforms: half transforms of the two unmasked half maps.
        box_px: of the half maps.
        voxel_size_A: of the half maps.
        limit_radius_A: noise is measured, and density looked for, inside this sphere. None for the largest that fits; what
            is connected to its inside is then followed to the faces of the box.
        finest_A: the maps hold nothing finer, whatever their voxels.
    """
    from statistics import NormalDist

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
        found = {"filter_A": filter_A, "binned_voxel_A": binned_A, **levels(signal, noise, radius_px)}
        if "why" not in found and (best is None or found["energy_shown"] > best[0]["energy_shown"] + 0.01):
            best = found, signal
        if best is not None and best[0]["energy_shown"] >= _ENERGY_SHOWN:
            break
    if best is None:
        return {**found, "why": found["why"] + _if_dark(signal - np.median(signal))}
    found, signal = best
    excess = signal - np.float32(found["level"])
    sphere = ball(binned_px, radius_px)
    above = excess >= np.float32(found["threshold"] - found["level"])
    inside, counted = components(above, excess, sphere, keep_beyond=limit_radius_A is None)
    found |= {**counted, "fraction_of_box": float(inside.mean())}
    found["contour_A"] = float(-found["filter_A"] * NormalDist().inv_cdf(found["density_share"]))
    distance_A = _distance_A(inside, binned_A, found["contour_A"])
    found |= _solvent(excess, distance_A, found["noise_sd"])
    if found["solvent_fraction"] < _LEAST_SOLVENT or found["solvent_density"] > _LARGEST_SOLVENT_DENSITY:
        return {**found, "reason": "no_solvent", "why": _no_solvent(found) + _if_dark(excess)}
    return Density(distance_A, excess, (one, two), box_px, voxel_size_A, found)


def _solvent(excess: Volume, distance_A: Volume, noise_sd: float) -> dict[str, float]:
    """How much of the box is solvent, and the rms of what is more than noise there, as a share of the particle's density."""
    solvent = distance_A > _SOLVENT_A
    beyond = float(np.mean(np.square(excess[solvent]), dtype=np.float64)) if solvent.any() else 0.0
    inside = excess[distance_A < 0]
    typical = float(np.mean(np.maximum(inside, 0), dtype=np.float64)) if inside.size else 0.0
    share = np.sqrt(max(beyond - noise_sd**2, 0.0)) / typical if typical > 0 else 0.0
    return {"solvent_fraction": float(solvent.mean()), "solvent_density": float(share)}


def _if_dark(excess: Volume) -> str:
    """What to do where the strongest density is darker than the solvent."""
    if -float(excess.min()) < _DARK * float(excess.max()):
        return ""
    return "; the strongest density is darker than the solvent: multiply both half maps by -1 and measure them again"


def _no_solvent(found: dict[str, Any]) -> str:
    return (
        f"no particle stands in solvent: {100 * found['fraction_of_box']:.0f} % of the box stands out of the noise, and what "
        f"lies beyond it ({100 * found['solvent_fraction']:.0f} % of the box) has {100 * found['solvent_density']:.0f} % of the "
        "density inside"
    )


def even_length(at_least: float) -> int:
    """The next even number that is fast to transform."""
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
    axis, last = np.fft.fftfreq(box_px, voxel_size_A), np.fft.rfftfreq(box_px, voxel_size_A)
    z, x = (np.exp(-2 * (np.pi * filter_A * f) ** 2).astype(np.float32) for f in (axis, np.repeat(last, 2)))
    weight = z[:, None, None] * (z[:, None] * x)

    def volume(number: int, _: int) -> Volume:
        # Real factors of real and imaginary parts side by side: a product with complex ones takes several times as long.
        weighted = np.ascontiguousarray(transforms[number]).view(np.float32) * weight
        return inverse(weighted.view(np.complex64))

    signal, noise = in_slabs(volume, 2, 1)
    return signal, noise


def _distance_A(inside: NDArray[np.bool_], voxel_size_A: float, contour_A: float) -> Volume:
    """Distance to the particle's surface, where the set's own surface lies ``contour_A`` beyond it, half way between voxels."""
    distance = np.full(inside.shape, 1e6, np.float32)
    box = bounding_box(inside, int(np.ceil(_FAR_A / min(voxel_size_A, BINNED_VOXEL_A))))
    part = inside[box]
    signed = distances(~part) - np.float32(0.5)
    if contour_A > _CLOSE_A - voxel_size_A:
        signed[part] = np.float32(0.5) - distances(part)[part]
    distance[box] = signed * voxel_size_A + contour_A
    return distance


def _resampled(distance_A: Volume, box_px: int, inner_A: np.float32, edge_A: float) -> tuple[Volume, Extent]:
    """The soft mask on a grid of ``box_px`` from the distance on the binned one; the grids meet at the centre of the box."""
    step = distance_A.shape[0] / box_px
    places = (np.arange(box_px) - box_px // 2) * step + distance_A.shape[0] // 2
    mask = np.empty((box_px,) * 3, np.float32)
    table = cosine_edge(np.linspace(0, 1, 1025, dtype=np.float32), 1.0)

    def work(begin: int, end: int) -> Curve:
        _soft_edge(distance_A, places, inner_A, edge_A, table, mask, begin, end)
        return extent_of_planes(mask, begin, end)

    return mask, joined_extent(in_slabs(work, box_px, 4))
