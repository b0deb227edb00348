"""Noise that both half maps share, as duplicated particles bring it: a floor under the FSC where there is no signal left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.blocks import Blocks
from refine_hooks.fourier import Curve, HalfTransform, in_slabs, shell_of_square
from refine_hooks.kernels import INT, array, kernel
from refine_hooks.kernels.order import quantile

PAST_SHELLS = 3
_FEWEST = 3
_SOMETHING, _NO_NOISE = 1e-3, 1e-5  # of the noise elsewhere, and of the power itself
_EVERY = 4  # of the planes of ky is looked at for how uneven the noise is by direction
_PARTS = 16

_ROWS = array("complex64", 3)
_products_of_powers = kernel(
    "products_of_powers",
    *(_ROWS, _ROWS, INT, INT, INT, INT, INT, array("int16", 1), array("float64", 2, written=True)),
)


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
    n, (first, last) = len(half1), shells
    rows1, rows2 = (half.transpose(1, 0, 2) for half in (half1, half2))

    def work(begin: int, end: int) -> Curve:
        sums = np.zeros((n // 2 + 1, 4))
        _products_of_powers(rows1, rows2, begin, end, _EVERY, first, last, shell_of_square(n), sums)
        return sums

    counts, power1, power2, both = np.sum(in_slabs(work, n, _EVERY * max(1, n // (_PARTS * _EVERY))), axis=0).T
    held = power1 * power2 > 0
    if not held.any():
        return 1.0
    ratio = both[held] * counts[held] / (power1[held] * power2[held])
    return max(1.0, float(np.average(ratio, weights=counts[held])))
