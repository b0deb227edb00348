"""Fourier shell correlation of two half maps, with and without a mask.

FSC(k) = Re sum F1 F2* / sqrt(sum |F1|^2 sum |F2|^2) over the shell round(|k|) = k of the full transform (Saxton & Baumeister
1982, J Microsc 127:127; Harauz & van Heel 1986, Optik 73:146).
"""

import numpy as np

from refine_hooks.fourier import Box, Curve, HalfTransform, ShellSums, extent, shell_sums
from refine_hooks.fsc import packed
from refine_hooks.maps import Volume

SHELLS_PAST_ONSET = 2


def correlation(sums: ShellSums) -> Curve:
    """FSC over the shells 0..N//2; NaN where one of the two has no power at all."""
    power = np.sqrt(sums.power1 * sums.power2)
    undefined: Curve = np.full(power.shape, np.nan)
    return np.divide(sums.cross, power, out=undefined, where=power > 0)


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
    result[first:] = (masked[first:] - null) / (1 - null)
    return result
