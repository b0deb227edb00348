"""How much of the signal a mask leaves out, and where: measured on both half maps, so that noise counts for nothing.

The product of two low-passed half maps is, at each voxel and on average over the noise, the square of the density above the
solvent. Its sum under a generous mask is the signal's energy; the part of it that another mask takes away is what that mask
cuts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels import fft
from refine_hooks.masks.density import cropped, even_length
from refine_hooks.masks.shapes import Volume

_FILTER_A = (
    5.0  # sigma of the Gaussian: features of some 12 A, where the signal is strongest and a mask's edge is still sharp
)
_VOXEL_A = 5.0
_SOLVENT = 0.01
_AROUND = 3  # where most of it is missing is looked for in cubes of so many voxels

Transform = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Outside:
    """What a mask leaves out.

    Attributes:
        share: of the signal's energy, 0..1.
        sd: standard deviation of the share that the halves' noise makes.
        at_A: x, y, z from the box's centre, where most of it is.
    """

    share: float
    sd: float
    at_A: tuple[float, float, float]


def signal_outside(
    transforms: tuple[Transform, Transform], box_px: int, voxel_size_A: float, mask: Volume, generous: Volume
) -> Outside | None:
    """The share of the signal under a generous mask that another mask takes away; None where there is no signal to share.

    Args:
        transforms: half transforms of the two unmasked half maps.
        box_px: of the half maps.
        voxel_size_A: of the half maps.
        mask: the mask in question [z, y, x].
        generous: a soft mask that holds the particle, in the same box.
    """
    coarse_px = min(box_px, even_length(box_px * voxel_size_A / _VOXEL_A))
    coarse_A = box_px * voxel_size_A / coarse_px
    one, two = (_lowpassed(cropped(half, coarse_px), coarse_px, coarse_A) for half in transforms)
    inside, held = (_sampled(volume, coarse_px) for volume in (generous, mask))
    solvent = inside < _SOLVENT
    if solvent.any():
        one, two = one - one[solvent].mean(), two - two[solvent].mean()
    energy = inside * one * two
    total = float(energy.sum())
    noise = float((inside * (one - two) ** 2).sum() / max(2 * inside.sum(), 1e-30))
    lost = 1 - np.clip(held, 0, 1) ** 2
    correlated = (2 * np.pi * (_FILTER_A / coarse_A) ** 2) ** 1.5

    def sd_of(weight: Volume) -> float:
        spread = (weight * inside) ** 2 * (noise**2 + 2 * noise * np.maximum(one * two, 0))
        return float(np.sqrt(max(correlated, 1.0) * spread.sum()))

    if total <= 3 * sd_of(np.ones_like(lost)):
        return None
    return Outside(
        share=float(np.clip((lost * energy).sum() / total, 0, 1)),
        sd=sd_of(lost) / total,
        at_A=_place(lost * energy, coarse_A),
    )


def _lowpassed(half: Transform, box_px: int, voxel_size_A: float) -> Volume:
    axis, last = np.fft.fftfreq(box_px, voxel_size_A), np.fft.rfftfreq(box_px, voxel_size_A)
    z, x = (np.exp(-2 * (np.pi * _FILTER_A * f) ** 2).astype(np.float32) for f in (axis, last))
    weighted = half * (z[:, None, None] * (z[:, None] * x))
    return np.asarray(fft.irfftn(weighted, s=(box_px,) * 3), np.float32)


def _sampled(volume: Volume, points: int) -> Volume:
    """A volume at the voxels of a coarser grid of the same extent and centre, linear between its own voxels."""
    n = len(volume)
    if points == n:
        return volume
    places = np.clip((np.arange(points) - points // 2) * (n / points) + n // 2, 0, n - 1)
    below = np.minimum(places.astype(int), n - 2)
    share = (places - below).astype(np.float32)
    for axis in range(3):
        weight = share.reshape([-1 if other == axis else 1 for other in range(3)])
        volume = np.take(volume, below, axis) * (1 - weight) + np.take(volume, below + 1, axis) * weight
    return volume


def _place(lost: Volume, voxel_size_A: float) -> tuple[float, float, float]:
    around = lost
    for axis in range(3):
        padded = np.pad(around, [(_AROUND // 2,) * 2 if other == axis else (0, 0) for other in range(3)], "symmetric")
        around = np.sum([padded.take(range(i, i + len(lost)), axis) for i in range(_AROUND)], axis=0)
    z, y, x = np.unravel_index(int(np.argmax(around)), lost.shape)
    middle = len(lost) // 2
    return tuple(float((v - middle) * voxel_size_A) for v in (x, y, z))  # type: ignore[return-value]
