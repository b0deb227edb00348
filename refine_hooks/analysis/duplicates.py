"""Noise that both half maps share, as duplicated particles bring it: a floor under the FSC where there is no signal left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.blocks import Blocks
from refine_hooks.fourier import Curve, HalfTransform, in_slabs
from refine_hooks.kernels.order import quantile

PAST_SHELLS = 3
_FEWEST = 3
_SOMETHING, _NO_NOISE = 1e-3, 1e-5  # of the noise elsewhere, and of the power itself
_EVERY = 4  # of the planes of ky is looked at for how uneven the noise is by direction


@dataclass(frozen=True, slots=True)
class CommonNoise:
    """Share of the noise that is common to both halves.

    Attributes:
        value: mean of the unmasked FSC beyond the signal, weighted by the shells' coefficients.
        sd: of the value for independent halves.
        flat: both halves of the shells show it alone: what is left of a signal falls, and a mask or a pattern rises.
        shells: first and last shell that were looked at.
    """

    value: float
    sd: float
    flat: bool
    shells: tuple[int, int]

    @property
    def score(self) -> float:
        """Standard deviations above none."""
        return self.value / self.sd


def common_noise(
    unmasked: Curve, counts: NDArray[np.int64], fine_end: float, last: int, correlated: float
) -> CommonNoise | None:
    """The floor of the unmasked FSC beyond the signal; None where too few shells are left.

    Args:
        unmasked: FSC of the unmasked halves over the shells 0..N//2.
        counts: coefficients of each shell.
        fine_end: shell of the fine end of the resolution's interval.
        last: last shell that holds data; that of Nyquist is left out.
        correlated: how many coefficients are one independent one: the order of the symmetry, times what uneven noise makes
            of them (`uneven_by_place`, `uneven_by_direction`).
    """
    first = int(np.ceil(fine_end)) + PAST_SHELLS
    last = min(last, len(unmasked) - 2)
    shells = np.arange(first, last + 1)
    if len(shells) < _FEWEST or not np.all(np.isfinite(unmasked[shells])):
        return None
    value, sd = _mean(unmasked, counts, shells, correlated)
    lower, _ = _mean(unmasked, counts, shells[: len(shells) // 2], correlated)
    upper, upper_sd = _mean(unmasked, counts, shells[len(shells) // 2 :], correlated)
    flat = upper > max(2 * upper_sd, value / 2) and lower > value / 4
    return CommonNoise(value, sd, flat, (first, last))


def _mean(
    unmasked: Curve, counts: NDArray[np.int64], shells: NDArray[np.int64], correlated: float
) -> tuple[float, float]:
    weight = counts[shells].astype(float)
    return float(weight @ unmasked[shells] / weight.sum()), float(np.sqrt(correlated / weight.sum()))


def same_voxels(blocks: Blocks) -> float:
    """Share of the box, in blocks, where both halves hold the same and something: no noise is left in their difference."""
    power = np.minimum(blocks.power1, blocks.power2)
    something = power > _SOMETHING * quantile(blocks.noise, 0.5)
    return float(np.mean(something & (blocks.noise < _NO_NOISE * power)))


def uneven_by_place(blocks: Blocks) -> float:
    """How many coefficients of white noise are one independent one, where its power is not the same all over the box.

    Noise of power p(r) correlates neighbouring coefficients as the transform of p does: mean of p^2 over the square of its mean.
    """
    mean = float(blocks.noise.mean())
    return max(1.0, float(np.square(blocks.noise).mean()) / mean**2) if mean > 0 else 1.0


def uneven_by_direction(half1: HalfTransform, half2: HalfTransform, shells: tuple[int, int]) -> float:
    """The same for noise whose power is not the same in all directions, over some shells [kz, ky, kx].

    The sum of |F1|^2 |F2|^2 over a shell, over the product of the two sums, is 1/n for even noise.
    """
    n = len(half1)
    axis = np.fft.fftfreq(n) * n
    planes = np.arange(0, n, _EVERY)
    first, last = shells

    def work(begin: int, _: int) -> Curve:
        ky = planes[begin]
        square = axis[:, None] ** 2 + axis[ky] ** 2 + np.arange(n // 2 + 1) ** 2
        inside = (square >= first**2) & (square <= last**2)
        label = np.floor(np.sqrt(square[inside]) + 0.5).astype(int)
        one, two = (half[:, ky][inside] for half in (half1, half2))
        a, b = one.real**2 + one.imag**2, two.real**2 + two.imag**2
        return np.array([np.bincount(label, v, minlength=n) for v in (np.ones_like(a), a, b, a * b)])

    counts, power1, power2, both = np.sum(in_slabs(work, len(planes), 1), axis=0)
    held = power1 * power2 > 0
    if not held.any():
        return 1.0
    ratio = both[held] * counts[held] / (power1[held] * power2[held])
    return max(1.0, float(np.average(ratio, weights=counts[held])))
