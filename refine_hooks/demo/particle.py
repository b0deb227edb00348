"""The demonstration's particle: an elongated protein-like body, and the Fourier sums that a reconstruction of it would make."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume

MASS_KDA = 45.0
_A3_PER_KDA = 1000 / 0.81


@dataclass(frozen=True, slots=True)
class Quality:
    """How good one round of the demonstration is."""

    b_factor_A2: float  # what is left of misalignment
    noise: float  # sd of the noise in a half map over the sd of the signal inside the particle


def elongated_particle(box_px: int, voxel_size_A: float, seed: int = 1) -> Volume:
    """A bent rod of about 140 A made of Gaussian residues, voxels[z, y, x], mean density of protein set to 1.

    Residues follow a confined random walk of 3.8 A steps along the rod, so the density has structure at every resolution.
    """
    rng = np.random.default_rng(seed)
    residues = int(MASS_KDA * 1000 / 110)
    along = np.linspace(-65.0, 65.0, residues)
    middle = np.stack([along, 14 * np.sin(along / 40), 9 * np.cos(along / 25)], axis=1)
    radius_A = np.sqrt(MASS_KDA * _A3_PER_KDA / (np.pi * 130.0))
    around = np.zeros((residues, 3))
    for i in range(1, residues):
        step = rng.normal(size=3)
        around[i] = around[i - 1] + 3.8 * step / np.linalg.norm(step)
        reach = np.linalg.norm(around[i])
        if reach > radius_A:
            around[i] *= radius_A / reach
    positions_px = (middle + around)[:, ::-1] / voxel_size_A + box_px // 2
    density = np.zeros((box_px,) * 3, np.float32)
    grid = np.arange(box_px)
    spread_px = 1.6 / voxel_size_A
    for centre in positions_px:
        z, y, x = (np.exp(-0.5 * ((grid - c) / spread_px) ** 2).astype(np.float32) for c in centre)
        near = tuple(slice(max(int(c) - 6, 0), int(c) + 8) for c in centre)
        density[near] += z[near[0], None, None] * y[None, near[1], None] * x[None, None, near[2]]
    return np.asarray(density / density[density > 0.5 * density.max()].mean(), np.float32)


def half_sums(
    particle: Volume, voxel_size_A: float, quality: Quality, array_px: int, images: int, seed: int
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Sums of one half as reconstruct3d leaves them: [kz, ky, kx] over the half transform of an array of ``array_px``.

    Weights fall with the distance from the origin as central slices do; the noise is that of so many images. The kx = 0 plane
    is left as an insertion leaves it, with each pair of mates sharing its sum.
    """
    n = particle.shape[0]
    rng = np.random.default_rng(seed)
    signal = scipy.fft.rfftn(scipy.fft.ifftshift(particle), workers=-1)
    noise = scipy.fft.rfftn(rng.standard_normal(particle.shape, np.float32), workers=-1)
    inside = particle > 0.3
    noise *= quality.noise * float(particle[inside].std()) * float(np.sqrt(n / 2))
    fz, fx = scipy.fft.fftfreq(n).astype(np.float32), scipy.fft.rfftfreq(n).astype(np.float32)
    squared = fz[:, None, None] ** 2 + fz[None, :, None] ** 2 + fx**2
    signal *= np.exp(-quality.b_factor_A2 / 4 * squared / voxel_size_A**2)
    shell = np.sqrt(squared) * n
    weight = (40.0 * images / (1.0 + shell)).astype(np.float32)
    noise *= np.sqrt((1.0 + shell) / n) / np.sqrt(n / 2)
    data = ((signal + noise) * weight / n**3).astype(np.complex64)
    data, weight = _cropped(data, array_px), _cropped(weight, array_px)
    _share_between_mates(data)
    _share_between_mates(weight)
    return data, weight


def _cropped(half_transform: NDArray[Any], array_px: int) -> NDArray[Any]:
    n = half_transform.shape[0]
    keep = np.r_[0 : array_px // 2, n - array_px // 2 : n] if array_px < n else np.arange(n)
    return np.ascontiguousarray(half_transform[np.ix_(keep, keep, np.arange(array_px // 2 + 1))])


def _share_between_mates(values: NDArray[Any]) -> None:
    n = values.shape[0]
    plane = values[:, :, 0]
    plane[1 : n // 2, 1:] *= 0.5
    plane[n // 2 + 1 :, 1:] *= 0.5
    plane[0, 1:] *= 0.5
    plane[0, 0] *= 0.5
