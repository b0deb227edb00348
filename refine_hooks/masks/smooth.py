"""Density without detail: detergent, lipid and the like, which have power at low resolution and hardly any beyond 10 A.

The product of two half maps is, on average over the noise, the square of the density. In a band from 10 or 14 A to the resolution
its local mean says how much detail a place holds; over the same at low resolution it is the detail for the density's strength.
Where that is far below what the particle's detailed part holds, the density is smooth. A ring of detergent is so thin that some of
the particle's detail reaches into every window, so a part that is weaker than the rest, as detergent is, may hold a little more.
This looks at where the halves agree, so a mask without the smooth part is one to report a second number with, never the one to
quote.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import in_slabs, inverse
from refine_hooks.kernels import INT, array, kernel
from refine_hooks.kernels.order import quantile
from refine_hooks.masks.morphology import bounding_box, connected, opened
from refine_hooks.masks.shapes import Volume

Transform = NDArray[np.complex64]

DETAIL_A = 10.0
_LEAST_BAND = 1.2  # the resolution must be so many times finer than 10 A for a band to measure in
_AROUND_A = 5.0  # sigma of the window in which detail is measured
_DETAILED = 0.85  # quantile of the density's voxels that counts as detailed
_SEEN_SD = 4.0  # detail must stand so far out of its noise for its absence to mean something
_THIN_A = 4.0  # radius; thinner layers are a particle's rim, a leaflet of a bilayer is 10 A thick
_SPECK = 0.02  # of the density's volume
_VOLUME, _OUT = array("float32", 3), array("float32", 3, written=True)
_smoothed = kernel(
    "smoothed", _VOLUME, array("float32", 1), INT, INT, INT, _OUT, array("float32", 1, written=True), _OUT
)


@dataclass(frozen=True, slots=True)
class _Sort:
    """What counts as smooth.

    Attributes:
        from_A: where the band begins.
        least: of the detail in the detailed part; sound parts of a particle mostly have more.
        weaker_than: each part is only so dense, of the rest.
    """

    from_A: float
    least: float
    weaker_than: float


@dataclass(frozen=True, slots=True)
class _Places:
    """Where in the flat volume the density is, and where its lower half, which holds no more than noise."""

    inside: NDArray[np.int_]
    quiet: NDArray[np.int_]


_ANY = _Sort(DETAIL_A, 0.25, np.inf)
_WEAK = _Sort(14.0, 0.4, 0.9)


def smooth_voxels(
    transforms: tuple[Transform, Transform],
    excess: Volume,
    inside: NDArray[np.bool_],
    voxel_A: float,
    resolution_A: float,
) -> NDArray[np.bool_] | None:
    """The voxels of the density [z, y, x] that hold no detail; None where the maps cannot say.

    Args:
        transforms: half transforms of the two half maps, binned to the box of ``excess``.
        excess: low-passed density above the solvent, of both halves together.
        inside: where the density is.
        voxel_A: of the binned box.
        resolution_A: finest that the halves support.
    """
    finest_A = max(resolution_A, 2.05 * voxel_A)
    if finest_A * _LEAST_BAND > DETAIL_A or not inside.any():
        return None
    sigma_px = _AROUND_A / voxel_A
    places = _Places(np.flatnonzero(inside), np.flatnonzero(excess < quantile(excess, 0.5)))
    strength = _blurred(np.square(excess * inside), sigma_px).ravel()[places.inside]
    found, square = None, _squared_frequency(len(excess), voxel_A)
    for sort in (_ANY, _WEAK):
        one, two = _bands(transforms, (square >= sort.from_A**-2) & (square <= finest_A**-2))
        one *= two
        plain = _plain(_blurred(one, sigma_px), strength, places, sort.least)
        if plain is None:
            continue
        smooth = _weaker(opened(plain, _THIN_A / voxel_A) & inside, excess, inside, sort.weaker_than)
        found = smooth if found is None else found | smooth
    return found


def _plain(detail: Volume, strength: Volume, places: _Places, least: float) -> NDArray[np.bool_] | None:
    """Where detail is far below that of the detailed part; None where not even half of the density's could be seen.

    Args:
        detail: local mean of the halves' product [z, y, x].
        strength: the same at low resolution, of the voxels inside.
        places: the voxels.
        least: of the detail in the detailed part.
    """
    noise = float(np.std(detail.ravel()[places.quiet]))
    ratio = detail.ravel()[places.inside] / np.maximum(strength, np.float32(1e-30))
    typical = quantile(ratio, _DETAILED)
    seen = np.float32(typical) * strength > _SEEN_SD * noise
    if typical <= 0 or seen.sum() < 0.5 * len(seen):
        return None
    plain = np.zeros(detail.shape, np.bool_)
    plain.ravel()[places.inside] = seen & (ratio < least * typical)
    return plain


def _weaker(
    smooth: NDArray[np.bool_], excess: Volume, inside: NDArray[np.bool_], weaker_than: float
) -> NDArray[np.bool_]:
    """The parts that are less dense than what is not smooth, without specks."""
    if not np.isfinite(weaker_than):
        return smooth
    rest = excess[inside & ~smooth]
    if not rest.size:
        return smooth
    box = bounding_box(smooth, 0)
    labels = connected(smooth[box])
    voxels = np.bincount(labels.ravel())
    density = np.bincount(labels.ravel(), excess[box].ravel()) / np.maximum(voxels, 1)
    kept = (density < weaker_than * float(rest.mean())) & (voxels > _SPECK * inside.sum())
    kept[0] = False
    weaker = np.zeros_like(smooth)
    weaker[box] = kept[labels]
    return weaker


def _blurred(volume: Volume, sigma_px: float) -> Volume:
    """A volume under a Gaussian, mirrored at the faces of its box."""
    away = np.arange(int(4 * sigma_px + 0.5) + 1)
    weights = np.exp(-0.5 * np.square(away / sigma_px))
    half = (weights / (2 * weights.sum() - weights[0])).astype(np.float32)
    out = np.empty_like(volume)

    def planes(begin: int, end: int) -> None:
        row = np.empty(volume.shape[2] + 2 * len(half), np.float32)
        _smoothed(volume, half, True, begin, end, np.empty_like(volume[begin:end]), row, out)

    in_slabs(planes, len(volume), 8)
    return out


def _squared_frequency(box_px: int, voxel_A: float) -> NDArray[np.float64]:
    """Of each coefficient of a half transform."""
    axis, last = np.square(np.fft.fftfreq(box_px, voxel_A)), np.square(np.fft.rfftfreq(box_px, voxel_A))
    return np.asarray(axis[:, None, None] + axis[:, None] + last)


def _bands(transforms: tuple[Transform, Transform], kept: NDArray[np.bool_]) -> list[Volume]:
    """Both half maps with only those coefficients that are kept."""

    def band(number: int, _: int) -> Volume:
        return inverse(transforms[number] * kept)

    return in_slabs(band, 2, 1)
