"""Whether two half maps have the same spectrum: one that was filtered, sharpened or resampled alone has not.

The FSC does not change by a filter of one half, but all that is told from the halves' noise does: where there is none, a mask
seems to have been. Halves of one job have the same power in each shell, up to how many particles each was made of.
"""

from dataclasses import dataclass

import numpy as np

from refine_hooks.analysis.coarse import shells_of
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import HalfTransform, ShellSums
from refine_hooks.kernels import fft
from refine_hooks.kernels.order import quantile

_FIRST, _TOGETHER, _LOW = 2, 3, 4  # shells
_LEAST = 1e-9  # of the strongest shell's power; below that there is nothing but rounding


@dataclass(frozen=True, slots=True)
class PowerRatio:
    """Power of the second half over that of the first where it differs most from what it is at low resolution.

    Attributes:
        value: 1 for halves that were treated alike.
        shell: in the middle of the shells where it was measured.
    """

    value: float
    shell: int


def power_ratio(sums: ShellSums, valid_shells: int | None = None) -> PowerRatio | None:
    """Where the spectra of two halves differ most; None where too few shells hold anything.

    Args:
        sums: of the unmasked halves over the shells 0..N//2.
        valid_shells: shells beyond hold nothing.
    """
    last = len(sums.cross) - 1 if valid_shells is None else valid_shells
    ones = np.ones(_TOGETHER)
    one, two = (np.convolve(power[_FIRST : last + 1], ones, "valid") for power in (sums.power1, sums.power2))
    if len(one) < 2 * _LOW:
        return None
    held = np.minimum(one / max(one.max(), 1e-300), two / max(two.max(), 1e-300)) > _LEAST
    if not held[:_LOW].all():
        return None
    ratio = two[held] / one[held]
    ratio /= quantile(ratio[:_LOW], 0.5)
    at = int(np.abs(np.log(ratio)).argmax())
    return PowerRatio(float(ratio[at]), int(np.flatnonzero(held)[at]) + _FIRST + _TOGETHER // 2)


def made_alike(halves: tuple[HalfTransform, HalfTransform], sums: ShellSums) -> tuple[Volume, Volume]:
    """Two half maps [z, y, x], each filtered to the power that the weaker of both has in each shell; corners as the last shell."""
    n = len(halves[0])
    weaker = np.minimum(sums.power1, sums.power2)
    shell = np.minimum(shells_of(n), n // 2)
    maps = []
    for half, power in zip(halves, (sums.power1, sums.power2), strict=True):
        gain = np.sqrt(np.divide(weaker, power, out=np.zeros_like(power), where=power > 0)).astype(np.float32)
        maps.append(np.asarray(fft.irfftn(half * gain[shell], s=(n,) * 3), np.float32))
    return maps[0], maps[1]
