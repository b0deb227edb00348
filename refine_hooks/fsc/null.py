"""What a mask correlates by itself: FSC of halves whose phases are random beyond an onset.

The phases beyond the onset are randomised in the unmasked halves, then the mask is applied (Chen et al. 2013, Ultramicroscopy
135:24, doi:10.1016/j.ultramic.2013.06.004). One randomisation is not a number: it is repeated, independently and with fixed
seeds; the mean corrects and the spread is the error of one curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np

from refine_hooks.fourier import Curve, HalfTransform, bounding_box, in_threads, inverse, masked_transform
from refine_hooks.fsc import fsc
from refine_hooks.maps import Volume

_TABLE_BITS = 12
_PHASORS = np.exp(2j * np.pi * np.arange(1 << _TABLE_BITS) / (1 << _TABLE_BITS)).astype(np.complex64)


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


def randomised(half: HalfTransform, onset_shell: int, seed: int) -> HalfTransform:
    """The half transform with random phases from the onset shell on; amplitudes stay, and the volume stays real.

    The same seed gives the same phases whatever the number of threads.
    """
    out = np.empty_like(half)
    in_threads(
        lambda begin, end: _randomise(half, out, onset_shell, np.uint64(seed), _PHASORS, begin, end), half.shape[0]
    )
    return out


@numba.njit(cache=True, nogil=True, inline="always")
def _mixed(value: int) -> int:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _randomise(
    half: HalfTransform, out: HalfTransform, onset: int, seed: int, phasors: HalfTransform, begin: int, end: int
) -> None:
    n, columns = half.shape[0], half.shape[2]
    beyond = (onset - 0.5) ** 2
    step = np.uint64(0x9E3779B97F4A7C15)
    drop = np.uint64(64 - _TABLE_BITS)
    start = _mixed(seed * step + step)
    for iz in range(begin, end):
        kz = iz if 2 * iz < n else iz - n
        for iy in range(n):
            ky = iy if 2 * iy < n else iy - n
            row = _mixed(start + np.uint64(iz * n + iy + 1) * step)
            mirror = (n - iz) % n * n + (n - iy) % n
            mirrored = _mixed(start + np.uint64(mirror + 1) * step)
            for kx in range(columns):
                if kz * kz + ky * ky + kx * kx < beyond:
                    out[iz, iy, kx] = half[iz, iy, kx]
                    continue
                own = kx == 0 or 2 * kx == n  # this plane holds both a coefficient and its conjugate
                conjugate = own and mirror < iz * n + iy
                draw = _mixed((mirrored if conjugate else row) + np.uint64(kx + 1) * step) >> drop
                phasor = phasors[draw]
                if own and mirror == iz * n + iy:
                    phasor = phasors[0] if draw < phasors.size // 2 else -phasors[0]
                elif conjugate:
                    phasor = np.conj(phasor)
                out[iz, iy, kx] = half[iz, iy, kx] * phasor


def nulls(
    halves: tuple[HalfTransform, HalfTransform], masks: Mapping[str, Volume], onset_shell: int, repeats: int, seed: int
) -> dict[str, Null]:
    """The null of each mask.

    Args:
        halves: half transforms of the two unmasked half maps.
        masks: float32 volumes by name.
        onset_shell: first shell whose phases are randomised, at least 1.
        repeats: independent randomisations, at least 2.
        seed: of the first repeat; the following count on.
    """
    boxes = {name: bounding_box(mask) for name, mask in masks.items()}
    curves: dict[str, list[Curve]] = {name: [] for name in masks}
    n = halves[0].shape[0]
    for repeat in range(repeats):
        first, second = (
            inverse(randomised(half, onset_shell, 2 * (seed + repeat) + i), n) for i, half in enumerate(halves)
        )
        for name, mask in masks.items():
            pair = (masked_transform(first, mask, boxes[name]), masked_transform(second, mask, boxes[name]))
            curves[name].append(fsc(*pair))
    return {name: _summary(np.nan_to_num(np.array(drawn)), onset_shell) for name, drawn in curves.items()}


def _summary(drawn: Curve, onset_shell: int) -> Null:
    return Null(drawn.mean(axis=0), drawn.std(axis=0, ddof=1), onset_shell, len(drawn))
