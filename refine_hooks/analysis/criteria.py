"""Other places at which a curve may be said to end: half-bit, 3-sigma, and a false discovery rate.

All of them need the number of independent coefficients in a shell. That is the shell's voxels, over how many of them hang
together under the mask (`refine_hooks.fsc.correlated_voxels`), over the order of the point group that was imposed.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import Curve, HalfTransform, in_slabs, shell_of_square, slab_of
from refine_hooks.kernels import INT, array, kernel

FALSE_DISCOVERIES = 0.01
FEWEST_VOXELS = 40
_SLAB = array("complex64", 3)
_moments = kernel("moments", _SLAB, _SLAB, INT, array("int16", 1), array("float64", 2, written=True))


def half_bit(independent: Curve) -> Curve:
    """FSC at which a shell holds half a bit of information per voxel (van Heel & Schatz 2005, J Struct Biol 151:250,
    doi:10.1016/j.jsb.2005.05.009).

    Args:
        independent: voxels of each shell that are independent.
    """
    root = np.sqrt(np.maximum(independent, 1.0))
    return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)


def three_sigma(independent: Curve) -> Curve:
    """FSC that noise reaches with three standard deviations: 3 / (sqrt(n) + 2) (van Heel & Schatz 2005, as `half_bit`)."""
    return 3 / (np.sqrt(np.maximum(independent, 1.0)) + 2)


def first_below(correlation: Curve, level: Curve, frequency_per_A: Curve, from_shell: int) -> float | None:
    """Resolution at which a curve first falls below a level that changes with the shell, linear in frequency.

    None where it never does, or is below already at ``from_shell``. From there on, what is not finite ends the curve.
    """
    above = np.asarray(correlation - level)[from_shell:]
    undefined = np.flatnonzero(~np.isfinite(above))
    above = above[: undefined[0]] if undefined.size else above
    below = np.flatnonzero(above < 0)
    if not below.size or below[0] == 0:
        return None
    last = int(below[0]) - 1
    step = above[last] / (above[last] - above[last + 1])
    return float(1 / np.interp(from_shell + last + step, np.arange(len(frequency_per_A)), frequency_per_A))


def first_tested(independent: Curve) -> int:
    """The first shell with 40 independent voxels: coarser ones hold too little to be put to a test."""
    return max(1, int(np.argmax(independent >= FEWEST_VOXELS)))


def permutation_null(half1: HalfTransform, half2: HalfTransform) -> tuple[Curve, Curve]:
    """Mean and standard deviation, per shell, of the FSC after every permutation of the second half's coefficients.

    They are the moments of all permutations, in closed form: for real x and y the sum of x_i y_p(i) has the mean n x y and the
    variance sum (x - mean)^2 sum (y - mean)^2 / (n - 1); a complex product is two such sums. Columns kx = 0 and, in an even box,
    kx = N / 2 are left out, since half of their coefficients repeat the other half.

    Args:
        half1: half transform [kz, ky, kx].
        half2: of the same shape.
    """
    n = half1.shape[0]
    labels = shell_of_square(n)

    def work(begin: int, end: int) -> NDArray[np.float64]:
        sums = np.zeros((11, n // 2 + 1))
        _moments(half1[:, begin:end], half2[:, begin:end], begin, labels, sums)
        return sums

    m = np.sum(in_slabs(work, n, max(slab_of(n), n // 16)), axis=0)
    count = np.maximum(m[0], 1.0)
    r1, i1, r2, i2 = m[1:5]
    rr1, ii1, ri1, rr2, ii2, ri2 = m[5:11] - np.array([r1 * r1, i1 * i1, r1 * i1, r2 * r2, i2 * i2, r2 * i2]) / count
    power = np.sqrt((m[5] + m[6]) * (m[8] + m[9]))
    variance = (rr1 * rr2 + ii1 * ii2 + 2 * ri1 * ri2) / np.maximum(count - 1, 1.0)
    usable = (power > 0) & (m[0] > 1)
    mean = np.divide((r1 * r2 + i1 * i2) / count, power, out=np.zeros(len(power)), where=usable)
    sd = np.divide(np.sqrt(np.maximum(variance, 0)), power, out=np.ones(len(power)), where=usable)
    return mean, sd


def q_values(correlation: Curve, mean: Curve, sd: Curve, independent: Curve) -> Curve:
    """Rate of false discoveries at which a shell still counts as signal: 0..1, NaN where nothing is measured.

    FDR-FSC (Beckers & Sachse 2020, J Struct Biol 212:107579, doi:10.1016/j.jsb.2020.107579) puts each shell to a permutation
    test on as many coefficients as are independent. Here the distance from the permutations' mean, in their standard deviations
    for that many, is read off Student's distribution: counted permutations end at 1 in as many as were made. Shells hang
    together, which Benjamini & Yekutieli allow for.

    Args:
        correlation: under the mask, not corrected, over the shells 0..N//2.
        mean: of the permutations; see `permutation_null`.
        sd: of the permutations, already that of the independent coefficients.
        independent: how many real numbers those are.
    """
    from scipy.stats import t

    distance = np.clip(correlation - mean, -0.999999, 0.999999)
    score = distance / np.maximum(sd, 1e-9) / np.sqrt(1 - np.square(distance))
    p = t.sf(score, np.maximum(independent - 2, 1.0))
    p[0] = np.nan
    return adjusted(p)


def adjusted(p: Curve) -> Curve:
    """Benjamini & Yekutieli 2001 (Ann Statist 29:1165, doi:10.1214/aos/1013699998) on the finite ones of ``p``."""
    q = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    if tested.size:
        order = tested[np.argsort(p[tested], kind="stable")]
        ranks = np.arange(1, len(order) + 1)
        raised = p[order] * len(order) * np.sum(1 / ranks) / ranks
        q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q


def null_sd_under_mask(permutation_sd: Curve, correlated: float, order: int) -> Curve:
    """The permutations' standard deviation for as many coefficients as are independent: permuting tears others apart."""
    return np.asarray(permutation_sd * np.sqrt(correlated * order), np.float64)


def independent_voxels(voxels_in_shell: NDArray[np.int64], correlated: float, order: int) -> Curve:
    """How many real numbers of each shell are independent; see the module's description."""
    return np.asarray(voxels_in_shell / (correlated * order), np.float64)
