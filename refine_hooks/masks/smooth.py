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

from refine_hooks.kernels import fft
from refine_hooks.kernels.order import quantile
from refine_hooks.masks.morphology import connected, opened
from refine_hooks.masks.shapes import Volume

Transform = NDArray[np.complex64]

DETAIL_A = 10.0
_LEAST_BAND = 1.2  # the resolution must be so many times finer than 10 A for a band to measure in
_AROUND_A = 5.0  # sigma of the window in which detail is measured
_DETAILED = 0.85  # quantile of the density's voxels that counts as detailed
_SEEN_SD = 4.0  # detail must stand so far out of its noise for its absence to mean something
_THIN_A = 4.0  # radius; thinner layers are a particle's rim, a leaflet of a bilayer is 10 A thick
_SPECK = 0.02  # of the density's volume


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
    strength = _blurred(np.square(np.where(inside, excess, 0)), sigma_px)
    found = None
    for sort in (_ANY, _WEAK):
        one, two = (_band(half, len(excess), voxel_A, (sort.from_A, finest_A)) for half in transforms)
        plain = _plain(_blurred(one * two, sigma_px), strength, excess, inside, sort.least)
        if plain is None:
            continue
        smooth = _weaker(opened(plain, _THIN_A / voxel_A) & inside, excess, inside, sort.weaker_than)
        found = smooth if found is None else found | smooth
    return found


def _plain(
    detail: Volume, strength: Volume, excess: Volume, inside: NDArray[np.bool_], least: float
) -> NDArray[np.bool_] | None:
    """Where detail is far below that of the detailed part; None where not even half of the density's could be seen."""
    noise = float(np.std(detail[excess < quantile(excess, 0.5)]))
    ratio = np.where(inside, detail / np.maximum(strength, 1e-30), 0)
    typical = quantile(ratio[inside], _DETAILED)
    seen = inside & (typical * strength > _SEEN_SD * noise)
    if typical <= 0 or seen.sum() < 0.5 * inside.sum():
        return None
    return np.asarray(seen & (ratio < least * typical))


def _weaker(
    smooth: NDArray[np.bool_], excess: Volume, inside: NDArray[np.bool_], weaker_than: float
) -> NDArray[np.bool_]:
    """The parts that are less dense than what is not smooth, without specks."""
    rest = inside & ~smooth
    if not np.isfinite(weaker_than) or not rest.any():
        return smooth
    labels = connected(smooth).ravel()
    voxels = np.bincount(labels)
    density = np.bincount(labels, excess.ravel()) / np.maximum(voxels, 1)
    kept = (density < weaker_than * float(excess[rest].mean())) & (voxels > _SPECK * inside.sum())
    kept[0] = False
    return np.asarray(kept[labels].reshape(smooth.shape))


def _blurred(volume: Volume, sigma_px: float) -> Volume:
    """A cubic volume under a Gaussian, mirrored at the faces of its box."""
    n, reach = len(volume), int(4 * sigma_px + 0.5)
    away = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * np.square(away / sigma_px))
    at = (np.arange(n)[:, None] + away) % (2 * n)
    line = np.zeros((n, n), np.float32)
    np.add.at(line, (np.arange(n)[:, None], np.minimum(at, 2 * n - 1 - at)), weights / weights.sum())
    for _ in range(3):
        volume = np.tensordot(volume, line, (0, 1))  # the first axis becomes the last
    return volume


def _band(half: Transform, box_px: int, voxel_A: float, limits_A: tuple[float, float]) -> Volume:
    """One half map between two limits, the coarse one first."""
    coarse_A, finest_A = limits_A
    axis, last = np.fft.fftfreq(box_px, voxel_A), np.fft.rfftfreq(box_px, voxel_A)
    square = np.square(axis)[:, None, None] + np.square(axis)[:, None] + np.square(last)
    kept = (square >= coarse_A**-2) & (square <= finest_A**-2)
    return np.asarray(fft.irfftn(np.where(kept, half, 0), s=(box_px,) * 3), np.float32)
