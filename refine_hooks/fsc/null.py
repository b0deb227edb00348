"""What a mask correlates by itself: FSC of halves whose phases are random beyond an onset.

The phases beyond the onset are randomised in the unmasked halves, then the mask is applied (Chen et al. 2013, Ultramicroscopy
135:24, doi:10.1016/j.ultramic.2013.06.004). One randomisation is not a number: it is repeated, independently and with
fixed seeds; the mean corrects and the spread is the error of one curve.

Of the randomised, masked halves T = L + R, the part L from below the onset is the same in every repeat, and R is
independent with mean zero. So the mean of sum T1 T2* is sum L1 L2* exactly, and is computed once; the repeats are left to
give the mean power and the spread.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import Box, Curve, HalfTransform, Planes, ShellSums, extent
from refine_hooks.fsc import correlation, packed
from refine_hooks.maps import Volume

# Random phases are multiples of 1/256 of a turn: every power of them below the 256th has mean 0, as for continuous ones.
_UNUSED = np.empty(0, np.uint64)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_PHASORS = np.exp(2j * np.pi * np.arange(256) / 256).astype(np.complex64)


@dataclass(frozen=True, slots=True)
class Null:
    """The randomised FSC in one mask over the shells 0..N//2.

    Attributes:
        mean: expected FSC of the randomised halves.
        sd: standard deviation of one randomised FSC.
        onset_shell: first shell whose phases were randomised.
        repeats: how many randomisations it is made of.
    """

    mean: Curve
    sd: Curve
    onset_shell: int
    repeats: int


def null(
    halves: tuple[HalfTransform, HalfTransform],
    mask: Volume,
    onset_shell: int,
    repeats: int,
    seed: int,
    box: Box | None = None,
) -> Null:
    """The null of one mask.

    Args:
        halves: half transforms of the two unmasked half maps.
        mask: float32 [z, y, x], not zero everywhere.
        onset_shell: first shell whose phases are randomised, at least 1.
        repeats: independent randomisations, at least 2.
        seed: of the first repeat; the following count on. The same seeds give the same null on any number of cores.
        box: bounding box of the mask, where it is known already.
    """
    box = box or extent(mask).box
    if box is None:
        raise ValueError("a mask that is zero everywhere has no null")
    planes = packed.new_planes(box, len(mask))
    steady = steady_sums(halves, mask, onset_shell, box, planes)
    drawn = [randomised_sums(halves, mask, onset_shell, seed + repeat, box, planes) for repeat in range(repeats)]
    power1, power2 = (np.mean([getattr(sums, name) for sums in drawn], axis=0) for name in ("power1", "power2"))
    mean = np.clip(np.nan_to_num(correlation(ShellSums(steady.cross, power1, power2))), -1, 1)
    spread = np.nan_to_num([correlation(sums) for sums in drawn]) - mean
    return Null(mean, np.sqrt(np.mean(spread**2, axis=0)), onset_shell, repeats)


def nulls(
    halves: tuple[HalfTransform, HalfTransform], masks: Mapping[str, Volume], onset_shell: int, repeats: int, seed: int
) -> dict[str, Null]:
    """The null of each mask, by name; see `null`."""
    return {name: null(halves, mask, onset_shell, repeats, seed) for name, mask in masks.items()}


def steady_sums(
    halves: tuple[HalfTransform, HalfTransform], mask: Volume, onset_shell: int, box: Box, planes: Planes | None = None
) -> ShellSums:
    """Shell sums of the masked halves without what lies at and beyond the onset; ``planes`` is room that is overwritten."""

    planes = packed.new_planes(box, len(mask)) if planes is None else planes
    rows1, rows2 = (half.transpose(1, 0, 2) for half in halves)

    def fill(slab: Planes, begin: int, end: int) -> bool:
        if begin >= onset_shell:
            return False
        slab[...] = 0
        _fill(rows1, rows2, slab, begin, end, onset_shell, _UNUSED, _PHASORS)
        return True

    packed.synthesised(fill, box, len(mask), planes)
    packed.remasked(planes, mask, box, onset_shell)
    return packed.sums(planes, box)


def randomised_sums(
    halves: tuple[HalfTransform, HalfTransform], mask: Volume, onset_shell: int, seed: int, box: Box, planes: Planes
) -> ShellSums:
    """Shell sums of the masked halves after one randomisation; ``planes`` is room that is overwritten."""

    rows1, rows2 = (half.transpose(1, 0, 2) for half in halves)

    def fill(slab: Planes, begin: int, end: int) -> bool:
        _fill(rows1, rows2, slab, begin, end, onset_shell, np.array([seed], np.uint64), _PHASORS)
        return True

    packed.synthesised(fill, box, len(mask), planes)
    packed.remasked(planes, mask, box, len(mask))
    return packed.sums(planes, box)


@numba.njit(cache=True, nogil=True, inline="always")
def _mixed(value):  # type: ignore[no-untyped-def]
    """SplitMix64's finaliser (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _fill(
    half1: HalfTransform,
    half2: HalfTransform,
    slab: Planes,
    begin: int,
    end: int,
    onset: int,
    seed: NDArray[np.uint64],
    phasors: HalfTransform,
) -> None:
    """Coefficients of v1 + i v2 for ky = begin..end and their negatives, from halves [ky, kz, kx]; see `packed.synthesised`.

    Phases at and beyond the onset are randomised, or what is there is left out when there is no seed.
    """
    n, columns = half1.shape[1], half1.shape[2]
    beyond = onset * onset - onset  # |k| >= onset - 1/2 for whole squares above this
    for row in range(slab.shape[1]):
        ky = begin + row if row < end - begin else -(row - (end - begin) + max(begin, 1))
        own = ky == 0 or 2 * ky == n
        mirror = row if own else (end - begin + ky - max(begin, 1) if ky > 0 else -ky - begin)
        iy = ky % n
        for iz in range(n):
            square = min(iz, n - iz) ** 2 + ky * ky
            low = min(columns, int(np.sqrt(beyond - square)) + 1) if square <= beyond else 0
            line, opposite = slab[iz, row], slab[(n - iz) % n, mirror]
            for kx in range(low):
                _put(line, opposite, kx, half1[iy, iz, kx], half2[iy, iz, kx])
            if seed.size:
                fixed = own and (iz == 0 or 2 * iz == n)
                stream = _mixed(_mixed((seed[0] + np.uint64(1)) * _STEP) + np.uint64(iz * n + iy + 1) * _STEP)
                _put_randomised(line, opposite, half1[iy, iz], half2[iy, iz], low, stream, phasors, fixed)


@numba.njit(cache=True, nogil=True, inline="always")
def _put(line, opposite, kx, one, two):  # type: ignore[no-untyped-def]
    """F = F1 + i F2 at k, and at -k, where F1 and F2 are the conjugates."""
    line[kx] = complex(one.real - two.imag, one.imag + two.real)
    opposite[line.size - kx if kx else 0] = complex(one.real + two.imag, two.real - one.imag)


@numba.njit(cache=True, nogil=True, inline="always")
def _put_randomised(line, opposite, row1, row2, low, stream, phasors, fixed):  # type: ignore[no-untyped-def]
    draw1, draw2 = np.uint64(0), np.uint64(0)
    for kx in range(low, row1.size):
        if (kx - low) % 8 == 0:
            draw1, draw2 = _mixed(stream + _STEP), _mixed(stream + _STEP + _STEP)
            stream += _STEP + _STEP
        phase1, phase2 = phasors[draw1 & np.uint64(255)], phasors[draw2 & np.uint64(255)]
        if fixed and (kx == 0 or 2 * kx == line.size):  # its own conjugate: it stays real
            phase1, phase2 = phasors[draw1 & np.uint64(128)], phasors[draw2 & np.uint64(128)]
        draw1 >>= np.uint64(8)
        draw2 >>= np.uint64(8)
        _put(line, opposite, kx, row1[kx] * phase1, row2[kx] * phase2)
