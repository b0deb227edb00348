"""Real Fourier transforms of cubic volumes, and sums over their shells.

A half transform is the `scipy.fft.rfftn` of a float32 volume[z, y, x]: complex64 [kz, ky, kx], kz and ky in FFT order,
kx = 0..N//2, phase origin at the corner of the box. Shell k holds every coefficient of the *full* transform with
floor(|k| + 0.5) = k, k = 0..N//2; the half transform therefore counts twice everywhere but on kx = 0 and, in an even box, on
kx = N/2. Volumes are float32, sums are float64.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from refine_hooks.maps import Volume

HalfTransform = NDArray[np.complex64]
Box = tuple[slice, slice, slice]
Curve = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ShellSums:
    """Sums over the shells 0..N//2 of the full transforms of two volumes: Re sum F1 F2*, sum |F1|^2, sum |F2|^2."""

    cross: Curve
    power1: Curve
    power2: Curve


def workers() -> int:
    """How many threads a transform may use: the cores that this process is allowed on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[int, int], object], count: int) -> list[object]:
    """``work(begin, end)`` over 0..count, one even part a core; ``work`` must release the GIL to gain."""
    parts = max(1, min(workers(), count))
    edges = [count * i // parts for i in range(parts + 1)]
    if parts == 1:
        return [work(0, count)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))


def transform(volume: Volume) -> HalfTransform:
    """Half transform of a whole volume."""
    return np.asarray(scipy.fft.rfftn(volume, workers=workers()), np.complex64)


def inverse(half: HalfTransform, box_px: int) -> Volume:
    """The volume of a half transform."""
    return np.asarray(scipy.fft.irfftn(half, s=(box_px,) * 3, workers=workers()), np.float32)


def bounding_box(mask: Volume) -> Box | None:
    """The smallest box of slices [z, y, x] outside of which the mask is zero; None for a mask that is zero everywhere."""
    slices = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        filled = np.flatnonzero(np.any(mask, axis=others))
        if filled.size == 0:
            return None
        slices.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return slices[0], slices[1], slices[2]


def masked_transform(volume: Volume, mask: Volume, box: Box | None = None) -> HalfTransform:
    """Half transform of volume * mask; rows and planes that the mask makes zero are not transformed.

    Args:
        volume: float32 [z, y, x].
        mask: float32 of the same shape.
        box: `bounding_box` of the mask, where it is known already.
    """
    n = volume.shape[0]
    box = box or bounding_box(mask)
    if box is None:
        return np.zeros((n, n, n // 2 + 1), np.complex64)
    rows = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start, n), np.float32)
    np.multiply(volume[box], mask[box], out=rows[:, :, box[2]])
    lines = scipy.fft.rfft(rows, axis=2, workers=workers())
    planes = np.zeros((lines.shape[0], n, n // 2 + 1), np.complex64)
    planes[:, box[1]] = lines
    planes = scipy.fft.fft(planes, axis=1, overwrite_x=True, workers=workers())
    half = np.zeros((n, n, n // 2 + 1), np.complex64)
    half[box[0]] = planes
    return np.asarray(scipy.fft.fft(half, axis=0, overwrite_x=True, workers=workers()), np.complex64)


def shell_sums(half1: HalfTransform, half2: HalfTransform) -> ShellSums:
    """Shell sums of two half transforms."""
    n = half1.shape[0]
    parts = in_threads(lambda begin, end: _shell_sums(half1, half2, begin, end), n)
    total = np.sum(np.asarray(parts, np.float64), axis=0)
    return ShellSums(total[0], total[1], total[2])


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _shell_sums(half1: HalfTransform, half2: HalfTransform, begin: int, end: int) -> Curve:
    n, last = half1.shape[0], half1.shape[0] // 2
    sums = np.zeros((3, last + 2))
    beyond = (last + 0.5) ** 2
    for iz in range(begin, end):
        kz = iz if 2 * iz < n else iz - n
        for iy in range(n):
            ky = iy if 2 * iy < n else iy - n
            r2 = kz * kz + ky * ky
            if r2 >= beyond:
                continue
            shell = int(np.floor(np.sqrt(r2) + 0.5))
            edge = (shell + 0.5) ** 2
            for kx in range(last + 1):
                d2 = r2 + kx * kx
                if d2 >= beyond:
                    break
                while d2 >= edge:
                    shell += 1
                    edge = (shell + 0.5) ** 2
                a, b = half1[iz, iy, kx], half2[iz, iy, kx]
                weight = 1.0 if kx == 0 or 2 * kx == n else 2.0
                sums[0, shell] += weight * (a.real * b.real + a.imag * b.imag)
                sums[1, shell] += weight * (a.real * a.real + a.imag * a.imag)
                sums[2, shell] += weight * (b.real * b.real + b.imag * b.imag)
    return sums[:, : last + 1]


def voxels_in_shell(box_px: int) -> NDArray[np.int64]:
    """How many coefficients of the full transform lie in each shell 0..N//2."""
    return np.asarray(_voxels_in_shell(box_px), np.int64)


@numba.njit(cache=True, nogil=True)
def _voxels_in_shell(n: int) -> NDArray[np.int64]:
    last = n // 2
    counts = np.zeros(last + 1, np.int64)
    for iz in range(n):
        kz = iz if 2 * iz < n else iz - n
        for iy in range(n):
            ky = iy if 2 * iy < n else iy - n
            r2 = kz * kz + ky * ky
            for kx in range(last + 1):
                shell = int(np.floor(np.sqrt(r2 + kx * kx) + 0.5))
                if shell > last:
                    break
                counts[shell] += 1 if kx == 0 or 2 * kx == n else 2
    return counts


def shell_frequency_per_A(box_px: int, voxel_size_A: float) -> Curve:
    """Frequency of the shells 0..N//2 in 1/Angstrom."""
    return np.arange(box_px // 2 + 1) / (box_px * voxel_size_A)
