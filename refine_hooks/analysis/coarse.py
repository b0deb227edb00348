"""Half transforms of a coarse box: cut out, moved, and how alike two of them are in each shell."""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, HalfTransform, in_slabs, slab_of, workers
from refine_hooks.kernels import fft

Vector = NDArray[np.float64]
Complex = NDArray[np.complex64]

_KEPT_PX = 64
_EMPTY_SHELL = 1e-11  # of the strongest one's power: rounding leaves less, and that of two maps may correlate
_NOISE_SD = 2.5  # a shell whose FSC is lower shows nothing


def middle(half: HalfTransform, box_px: int) -> Complex:
    """The middle of a half transform with the phases of a box of ``box_px`` (without its Nyquist planes), scaled to its voxels."""
    n, few = len(half), box_px // 2
    out = np.zeros((box_px, box_px, few + 1), np.complex64)
    sides = (slice(0, few), slice(0, few)), (slice(box_px - few + 1, box_px), slice(n - few + 1, n))
    for (z, from_z), (y, from_y) in itertools.product(
        sides, sides
    ):  # blocks: picking single rows takes ten times as long
        np.multiply(half[from_z, from_y, :few], np.float32((box_px / n) ** 3), out=out[z, y, :few])
    return out


def middle_of_mean(half1: Volume, half2: Volume, box_px: int) -> Complex:
    """The `middle` of the mean of two volumes' half transforms; of no other coefficient are the lines transformed."""
    n, few = len(half1), box_px // 2
    keep, at = np.r_[0:few, 1 - few : 0] % n, np.r_[0:few, 1 - few : 0] % box_px
    planes = np.empty((n, len(keep), few), np.complex64)

    def work(begin: int, end: int) -> None:
        rows = fft.rfftn(half1[begin:end] + half2[begin:end], axes=(2,))[:, :, :few]
        planes[begin:end] = fft.fft(np.ascontiguousarray(rows), axis=1, overwrite_x=True)[:, keep]

    in_slabs(work, n, slab_of(n))
    out = np.zeros((box_px, box_px, few + 1), np.complex64)
    out[np.ix_(at, at, np.arange(few))] = fft.fft(planes, axis=0, overwrite_x=True, workers=workers())[keep]
    out *= np.float32(0.5 * (box_px / n) ** 3)
    return out


def shells_of(box_px: int) -> NDArray[np.int64]:
    """Shell of each coefficient of a half transform; of a coarse box not to be written to."""
    return _kept_shells_of(box_px) if box_px <= _KEPT_PX else _shells_of(box_px)


def _shells_of(box_px: int) -> NDArray[np.int64]:
    z = np.fft.fftfreq(box_px) * box_px
    x = np.arange(box_px // 2 + 1)
    return np.floor(np.sqrt(z[:, None, None] ** 2 + z[:, None] ** 2 + x**2) + 0.5).astype(np.int64)


@lru_cache(maxsize=4)
def _kept_shells_of(box_px: int) -> NDArray[np.int64]:
    shells = _shells_of(box_px)
    shells.flags.writeable = False
    return shells


def twice(box_px: int) -> Curve:
    """How often a coefficient of a half transform stands in the full one, by kx."""
    weight = np.full(box_px // 2 + 1, 2.0)
    weight[[0, -1]] = 1.0
    return weight


def by_shell(values: NDArray[np.float32], shells: NDArray[np.int64], box_px: int) -> Curve:
    """Sums of a value over the shells of the full transform; ``values`` and ``shells`` are [kz, ky, kx] of the half one."""
    weighted = (values * twice(box_px)).ravel()
    return np.asarray(np.bincount(shells.ravel(), weighted, minlength=int(shells.max()) + 1), np.float64)


def frequencies_of(box_px: int) -> tuple[Volume, Volume, Volume]:
    """Radians a voxel along z, y, x, shaped for a half transform."""
    z = (np.fft.fftfreq(box_px) * 2 * np.pi).astype(np.float32)
    x = (np.arange(box_px // 2 + 1) * 2 * np.pi / box_px).astype(np.float32)
    return z[:, None, None], z[:, None], x


def phases(frequencies: tuple[Volume, Volume, Volume], shift: Vector) -> Complex:
    """Of a move by minus ``shift``, z, y, x."""
    z, y, x = (np.exp(1j * f * np.float32(s)) for f, s in zip(frequencies, shift, strict=True))
    return np.asarray(z * (y * x), np.complex64)


def spline_spectrum(box_px: int) -> Vector:
    """Transform [kz, ky, kx] of a cubic B-spline at the voxels: a map's over it is that of its spline's coefficients."""
    line = (2 + np.cos(2 * np.pi * np.fft.fftfreq(box_px))) / 3
    return np.asarray(line[:, None, None] * line[:, None] * line[: box_px // 2 + 1])


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two transforms are in each shell, and what makes their coefficients white."""

    alike: Curve
    counts: Curve
    scale1: Curve
    scale2: Curve


def likeness(one: Complex, two: Complex, shells: NDArray[np.int64], box_px: int) -> Likeness:
    """How alike two half transforms [kz, ky, kx] are; a shell that shows nothing counts as 0."""
    cross = by_shell((one * np.conj(two)).real, shells, box_px)
    power1, power2 = (by_shell(half.real**2 + half.imag**2, shells, box_px) for half in (one, two))
    return likeness_of(cross, power1, power2, by_shell(np.ones(one.shape, np.float32), shells, box_px), box_px)


def likeness_of(cross: Curve, power1: Curve, power2: Curve, counts: Curve, box_px: int) -> Likeness:
    """The same from sums over shells, of which those from N//2 on are left out.

    Args:
        cross: sum of Re F1 F2*.
        power1: sum of |F1|^2.
        power2: sum of |F2|^2.
        counts: coefficients of each shell.
        box_px: N.
    """
    power = np.sqrt(power1 * power2)
    inside = (np.arange(len(cross)) >= 1) & (np.arange(len(cross)) < box_px // 2)
    inside &= (power > 0) & (power > _EMPTY_SHELL * power[inside].max(initial=0))
    alike = np.clip(cross / np.maximum(power, 1e-30), 0.0, 0.995)
    alike = np.where(inside & (alike > _NOISE_SD / np.sqrt(counts)), alike, 0.0)
    scale1, scale2 = (np.where(inside, 1 / np.sqrt(np.maximum(p / counts, 1e-30)), 0.0) for p in (power1, power2))
    return Likeness(alike, counts, scale1, scale2)
