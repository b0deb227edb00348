"""Fourier shell correlation of two half maps, with and without a mask.

FSC(k) = Re sum F1 F2* / sqrt(sum |F1|^2 sum |F2|^2) over the shell round(|k|) = k of the full transform (Saxton & Baumeister
1982, J Microsc 127:127; Harauz & van Heel 1986, Optik 73:146).
"""

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Box, Curve, HalfTransform, ShellSums, extent, in_slabs, shell_sums
from refine_hooks.fsc import packed

SHELLS_PAST_ONSET = 2
_BLOCKS = 64


def correlation(sums: ShellSums) -> Curve:
    """FSC over the shells 0..N//2; NaN where one of the two has no power at all."""
    power = np.sqrt(np.maximum(sums.power1, 0) * np.maximum(sums.power2, 0))
    undefined: Curve = np.full(power.shape, np.nan)
    values: Curve = np.clip(np.divide(sums.cross, power, out=undefined, where=power > 0), -1, 1)
    return values


def fsc(half1: HalfTransform, half2: HalfTransform) -> Curve:
    """FSC of two half transforms over the shells 0..N//2; NaN where one of the two has no power."""
    return correlation(shell_sums(half1, half2))


def masked_sums(half1: Volume, half2: Volume, mask: Volume, box: Box | None = None) -> ShellSums:
    """Shell sums of two volumes under one mask; ``box`` is the mask's bounding box where it is known already."""
    box = box or extent(mask).box
    if box is None:
        nothing = np.zeros(len(mask) // 2 + 1)
        return ShellSums(nothing, nothing, nothing)
    return packed.sums(packed.masked(half1, half2, mask, box), box)


def masked_fsc(half1: Volume, half2: Volume, mask: Volume, box: Box | None = None) -> Curve:
    """FSC of two volumes [z, y, x] under one mask over the shells 0..N//2."""
    return correlation(masked_sums(half1, half2, mask, box))


def correlated_voxels(mask: Volume) -> float:
    """How many coefficients of a shell hang together under a mask, of white noise: 1 without a mask.

    A mask m correlates the coefficients at k and k + q by r(q), the transform of m^2 over its value at 0. A shell one voxel
    thick holds, for each of its coefficients, 1 / (2 |q|) others at the distance q, so that the sum of |r(q)|^2 / (2 |q|), and 1
    for q = 0, is what one independent coefficient is made of.

    Args:
        mask: [z, y, x]; taken in blocks, since its transform ends far below Nyquist.
    """
    step = max(1, len(mask) // _BLOCKS)
    few = -(-len(mask) // step)
    squares = np.concatenate(in_slabs(lambda begin, end: _squares(mask, step, begin, end), few, 4))
    half = scipy.fft.rfftn(squares)
    power = half.real**2 + half.imag**2
    if not power[0, 0, 0] > 0:
        return 1.0
    q = [np.square(scipy.fft.fftfreq(few) * few).astype(np.float32) for _ in range(2)]
    distance = np.sqrt(q[0][:, None, None] + q[1][:, None] + np.square(np.arange(few // 2 + 1, dtype=np.float32)))
    distance[0, 0, 0] = 0.5
    power /= distance
    mirrored = power[..., 1 : (few + 1) // 2].sum(dtype=np.float64)
    return max(1.0, float((power.sum(dtype=np.float64) + mirrored) / (2 * half[0, 0, 0].real ** 2)))


@numba.njit(cache=True, nogil=True)
def _squares(mask: Volume, step: int, begin: int, end: int) -> Volume:
    """Sums of m^2 over the blocks begin..end along z."""
    n = len(mask)
    few = -(-n // step)
    sums = np.zeros((end - begin, few, few), np.float32)
    rows = np.empty(n, np.float32)
    for block in range(begin, end):
        for part in range(few):
            rows[:] = 0
            for z in range(block * step, min((block + 1) * step, n)):
                for y in range(part * step, min((part + 1) * step, n)):
                    for x in range(n):
                        rows[x] += mask[z, y, x] * mask[z, y, x]
            for x in range(n):
                sums[block - begin, part, x // step] += rows[x]
    return sums


def sampling_sd(correlation: Curve, voxels_in_shell: NDArray[np.int64], correlated: float) -> Curve:
    """Standard deviation of an FSC, for one signal and fresh noise: (1 - F) sqrt(1 + 2 F - F^2) / sqrt(n / correlated).

    To first order in the noise. The n coefficients of a full shell are n / 2 complex pairs, that is n real ones; where there is
    no signal this is 1 / sqrt(n). (For random signal it would be 1 - F^2 over the same root: Fisher 1921, Metron 1:3.)

    Args:
        correlation: FSC over the shells 0..N//2.
        voxels_in_shell: n, of the same shells.
        correlated: see `correlated_voxels`.
    """
    f = np.clip(np.nan_to_num(correlation), -1, 1)
    independent = np.maximum(voxels_in_shell / correlated, 1.0)
    return np.sqrt(np.maximum((1 - f) ** 2 * (1 + 2 * np.abs(f) - f**2), 0) / independent)


def onset(unmasked: Curve, below: float) -> int | None:
    """The first shell from 1 on where the unmasked FSC is below ``below`` or undefined; None when there is none."""
    found = np.flatnonzero(~(unmasked[1:] >= below))
    return int(found[0]) + 1 if found.size else None


def corrected(masked: Curve, null_mean: Curve, onset_shell: int) -> Curve:
    """(FSC - null) / (1 - null) from two shells past the onset, the masked FSC itself before (Chen et al. 2013,
    Ultramicroscopy 135:24, doi:10.1016/j.ultramic.2013.06.004).

    Args:
        masked: FSC under a mask over the shells 0..N//2.
        null_mean: mean FSC of the randomised halves under the same mask.
        onset_shell: first shell whose phases were randomised.
    """
    result = masked.copy()
    first = onset_shell + SHELLS_PAST_ONSET
    null = np.minimum(null_mean[first:], 1 - 1e-6)
    result[first:] = np.maximum(
        (masked[first:] - null) / (1 - null), -1
    )  # where the null is all but 1, it says nothing
    return result
