"""Fourier shell correlation of two half maps, with and without a mask.

FSC(k) = Re sum F1 F2* / sqrt(sum |F1|^2 sum |F2|^2) over the shell round(|k|) = k of the full transform (Saxton & Baumeister
1982, J Microsc 127:127; Harauz & van Heel 1986, Optik 73:146).
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Box, Curve, HalfTransform, ShellSums, extent, shell_sums
from refine_hooks.fsc import packed
from refine_hooks.fsc.spread import block_sums, difference_sums, power_by_square
from refine_hooks.kernels import fft

SHELLS_PAST_ONSET = 2
_BLOCKS, _COARSE_BLOCKS = 64, 16
_APART = 12


def correlation(sums: ShellSums) -> Curve:
    """FSC over the shells 0..N//2; NaN where one of the two has no power at all."""
    power = np.sqrt(np.maximum(sums.power1, 0) * np.maximum(sums.power2, 0))
    undefined: Curve = np.full(power.shape, np.nan)
    values: Curve = np.clip(np.divide(sums.cross, power, out=undefined, where=power > 0), -1, 1)
    return values


def fsc(half1: HalfTransform, half2: HalfTransform) -> Curve:
    """FSC of two half transforms over the shells 0..N//2; NaN where one of the two has no power."""
    return correlation(shell_sums(half1, half2))


def masked_sums(
    half1: Volume, half2: Volume, mask: Volume, box: Box | None = None, last: int | None = None
) -> ShellSums:
    """Shell sums of two volumes under one mask.

    Args:
        half1: [z, y, x].
        half2: of the same shape.
        mask: of the same shape.
        box: the mask's bounding box, where it is known already.
        last: the last shell that is wanted; None for N//2.
    """
    box = box or extent(mask).box
    if box is None:
        nothing = np.zeros((len(mask) // 2 if last is None else last) + 1)
        return ShellSums(nothing, nothing, nothing)
    return packed.sums(packed.masked(half1, half2, mask, box), box, last)


def masked_fsc(half1: Volume, half2: Volume, mask: Volume, box: Box | None = None, last: int | None = None) -> Curve:
    """FSC of two volumes [z, y, x] under one mask over the shells 0..N//2, or up to another one; see `masked_sums`."""
    return correlation(masked_sums(half1, half2, mask, box, last))


def correlated_voxels(mask: Volume) -> float:
    """How many coefficients of a shell hang together under a mask, of white noise: 1 without a mask; see `shells_together`."""
    return float(shells_together(mask)[0])


def shells_together(mask: Volume) -> Curve:
    """How many coefficients of a shell 0, 1, 2 .. shells away hang together with one of this shell, under a mask.

    A mask m correlates the coefficients at k and k + q by r(q), the transform of m^2 over its value at 0. A shell one voxel
    thick holds, for each coefficient of one as far away as it, 1 / (2 |q|) others at the distance q, so that the sum of
    |r(q)|^2 / (2 |q|), and 1 for q = 0, is what one independent coefficient is made of. Over the first, the others are how the
    errors of shells so far apart correlate.

    Args:
        mask: [z, y, x]; taken in blocks, since its transform ends far below Nyquist.
    """
    step = max(1, len(mask) // _BLOCKS)
    return _together(block_sums(mask, step, squares=True), _APART)


def _together(weights: Volume, shells: int = 1) -> Curve:
    """The same of noise whose variance under the mask is ``weights`` [z, y, x], in blocks."""
    half = fft.rfftn(weights)
    power = half.real**2 + half.imag**2
    if not power[0, 0, 0] > 0:
        return np.asarray(np.eye(shells)[0])
    found = power_by_square(power)
    distance = np.sqrt(np.arange(len(found)))
    distance[0] = 0.5
    near = np.bincount(np.rint(distance).astype(np.int64), found / distance)
    inside = np.arange(len(near)) - np.arange(shells)[:, None]
    # Half of what lies just as far away as the shell is thick enough to be reached.
    shares = np.where(inside > 0, 1.0, np.where(inside == 0, 0.5, 0.0))
    shares[0] = 1.0
    found = shares @ near / (2 * half[0, 0, 0].real ** 2)
    return np.asarray(found / min(found[0], 1.0))


def unevenness_by_place(half1: Volume, half2: Volume, mask: Volume, box: Box) -> float:
    """How many more coefficients hang together because the noise is stronger in one place under the mask than in another.

    1 for even noise. The variance is that of the difference of the halves, in blocks of a sixteenth of the box; what its own
    sampling error adds is too little to matter.

    Args:
        half1: unmasked half map [z, y, x].
        half2: the other one.
        mask: [z, y, x].
        box: its bounding box.
    """
    step = max(1, len(mask) // _COARSE_BLOCKS)
    even, own = difference_sums(half1, half2, mask, step, box)
    return max(1.0, float(_together(own)[0] / _together(even)[0]))


def unevenness(by_direction: float, by_place: float, level: float) -> float:
    """By how much uneven noise lessens the independent coefficients where the FSC is ``level``.

    Of the variance of an FSC, (1 - F)^2 / (1 + 2 F - F^2) is that of noise times noise, which goes as the square of its power; in
    the rest noise stands once, beside the signal.
    """
    share = (1 - level) ** 2 / (1 + 2 * level - level**2)
    return 1 + (by_direction * by_place - 1) * share


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
    """The first shell from 1 on after which the unmasked FSC stays below ``below`` or undefined; None when there is none.

    A dip is none: halves that differ in their ice or background have a low shell or two near 0, before shells of strong signal,
    and phases randomised from there on would leave no mask anything to correlate. One shell alone that is above again does not
    count, since high symmetry makes such spikes near the end.
    """
    high = unmasked[1:] >= below
    lasting = np.flatnonzero(high[1:] & high[:-1])
    first = int(lasting[-1]) + 2 if lasting.size else 0
    found = np.flatnonzero(~high[first:])
    return first + int(found[0]) + 1 if found.size else None


def corrected(masked: Curve, randomised_mean: Curve, onset_shell: int) -> Curve:
    """(FSC - randomised FSC) / (1 - randomised FSC) from two shells past the onset, the masked FSC itself before (Chen et al. 2013,
    Ultramicroscopy 135:24, doi:10.1016/j.ultramic.2013.06.004).

    Args:
        masked: FSC under a mask over the shells 0..N//2.
        randomised_mean: mean FSC of the randomised halves under the same mask.
        onset_shell: first shell whose phases were randomised.
    """
    result = masked.copy()
    first = onset_shell + SHELLS_PAST_ONSET
    mean = np.minimum(randomised_mean[first:], 1 - 1e-6)
    result[first:] = np.maximum(
        (masked[first:] - mean) / (1 - mean), -1
    )  # where the mean is all but 1, it says nothing
    return result
