"""What more particles would give: the fall of S / N with frequency, from reconstructions of parts of the particles.

Rosenthal & Henderson 2003 (J Mol Biol 333:721, doi:10.1016/j.jmb.2003.07.013): the particles that a resolution d needs go as
exp(B / (2 d^2)) / d, the last since fewer images hold a coefficient the finer it is. Stagg et al. 2014 (J Struct Biol 185:418,
doi:10.1016/j.jsb.2013.10.005), ResLog: 1 / d^2 over ln of the particles. Here all shells of all curves are fitted at once:
FSC = x / (1 + x) with x = n exp(a - B s^2 / 2) / s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks import curves
from refine_hooks.fourier import Curve
from refine_hooks.log.particles import MoreParticles, SubsetPoint, Target

_LEAST, _MOST = 0.08, 0.8  # of the fitted FSC: below it is noise, above it all is alike
COARSEST_A = 10.0  # before it a particle's own shape makes the fall
FEWEST_SHELLS = 4
_OVERLAP = 7.0  # curves that share one signal, whose own bumps are no noise: seven values of a shell are worth one
_STEPS = 30
_FINER = (0.95, 0.9, 0.8)
_TARGET_STEP_A = 0.1

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Subset:
    """Some of the particles: how many in both halves together, and the FSC of their half maps over the shells 0..N//2."""

    particles: int
    correlation: Curve


@dataclass(frozen=True, slots=True)
class Fall:
    """x = n exp(a - B s^2 / 2) / s, with the covariance of (a, B)."""

    a: float
    b_factor_A2: float
    covariance: Numbers
    fit_A: tuple[float, float]

    def resolution_A(self, particles: float, threshold: float) -> float | None:
        """Where the FSC of so many particles crosses; None where it never reaches the threshold."""
        return _where_needed(np.log(particles * (1 - threshold) / threshold) + self.a, self.b_factor_A2)


def _where_needed(level: float, b_factor_A2: float) -> float | None:
    """1 / s where B s^2 / 2 + ln s reaches a level; None where that is coarser than 1000 A."""
    low, high = 1e-3, 10.0
    if b_factor_A2 * low**2 / 2 + np.log(low) > level:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if b_factor_A2 * middle**2 / 2 + np.log(middle) < level else (low, middle)
    return 2 / (low + high)


def fall(subsets: Sequence[Subset], frequency_per_A: Curve, independent: Curve) -> Fall | None:
    """The fitted fall; None where too few shells lie between signal and noise, or nothing falls.

    The error is that of the shells' own scatter about the fit, the curves of one shell and its neighbours together: subsets share
    particles and all of them the signal. Few shells may lie on a line by chance, so it is no less than what counting the
    coefficients makes.

    Args:
        subsets: of one particle.
        frequency_per_A: of the shells.
        independent: coefficients of each shell that count.
    """
    s2 = frequency_per_A**2
    n = np.array([one.particles for one in subsets], np.float64)
    f = np.nan_to_num(np.array([one.correlation for one in subsets]))
    allowed = (frequency_per_A >= 1 / COARSEST_A) & (np.arange(len(s2)) > 2)
    whole = f[int(n.argmax())]
    ends = np.flatnonzero(allowed & (whole < _LEAST))
    last = int(ends[0]) if ends.size else len(s2)
    begin = allowed & (np.arange(len(s2)) < last) & (whole > _LEAST) & (whole < _MOST)
    if begin.sum() < 2:
        return None
    ln_s = np.log(np.maximum(frequency_per_A, frequency_per_A[1]))
    slope, level = np.polyfit(s2[begin], np.log(whole[begin] / (1 - whole[begin])) + ln_s[begin], 1)
    a, b = float(level - np.log(n.max())), max(float(-2 * slope), 1.0)
    for _ in range(_STEPS):
        x = n[:, None] * np.exp(np.clip(a - b * s2 / 2 - ln_s, -60, 60))
        expected = x / (1 + x)
        used = allowed & (expected > _LEAST) & (expected < _MOST)
        if (used.any(axis=0)).sum() < FEWEST_SHELLS:
            return None
        weight = np.where(used, np.maximum(independent, 1) / np.maximum(1 - expected**2, 1e-3) ** 2, 0.0)
        by_a = expected * (1 - expected)
        gradient = np.stack([by_a, -by_a * s2 / 2])
        normal = np.einsum("pij,qij,ij->pq", gradient, gradient, weight)
        pull = np.einsum("pij,ij,ij->p", gradient, f - expected, weight)
        step = np.linalg.solve(normal + 1e-12 * np.diag(np.diag(normal)), pull)
        a, b = a + float(np.clip(step[0], -2, 2)), max(b + float(np.clip(step[1], -b / 2, b)), 1.0)
        if abs(step[1]) < 1e-4 * b:
            break
    inverse = np.linalg.inv(normal)
    shells = np.flatnonzero(used.any(axis=0))
    covariance = inverse @ _scatter(gradient * weight * (f - expected), shells) @ inverse
    covariance *= len(shells) / (len(shells) - 2)
    counted = _OVERLAP * inverse
    if counted[1, 1] > covariance[1, 1]:
        covariance = counted
    ends_A = 1 / frequency_per_A[shells[[0, -1]]]
    return Fall(a, b, covariance, (float(ends_A[0]), float(ends_A[1])))


def _scatter(pulls: Numbers, shells: NDArray[np.intp]) -> Numbers:
    """Covariance of the pulls [parameter, subset, shell]: those of a shell and of the next two hang together."""
    of_shell = pulls.sum(axis=1)[:, shells]
    total = of_shell @ of_shell.T
    for apart, share in ((1, 0.67), (2, 0.33)):
        near = of_shell[:, apart:] @ of_shell[:, :-apart].T
        total = total + share * (near + near.T)
    values, vectors = np.linalg.eigh(total)
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


def more_particles(
    subsets: Sequence[Subset], frequency_per_A: Curve, independent: Curve, mask: str, threshold: float
) -> MoreParticles | None:
    """B factor, and what finer resolutions need; None where no fall can be fitted.

    Args:
        subsets: all particles among them.
        frequency_per_A: of the shells.
        independent: coefficients of each shell that count.
        mask: name of the mask that the curves were measured under.
        threshold: level of the FSC.
    """
    found = fall(subsets, frequency_per_A, independent)
    most = max(one.particles for one in subsets)
    now_A = found.resolution_A(most, threshold) if found is not None else None
    doubled_A = found.resolution_A(2 * most, threshold) if found is not None else None
    if found is None or now_A is None or doubled_A is None:
        return None
    sd = float(np.sqrt(found.covariance[1, 1]))
    reach = curves.NORMAL_90 * sd
    low, high = max(found.b_factor_A2 - reach, 1.0), found.b_factor_A2 + reach
    ends = [_where_needed(float(np.log(2 / now_A) + b / (2 * now_A**2)), b) or doubled_A for b in (high, low)]
    points = [
        SubsetPoint(
            particles=one.particles, resolution_A=curves.resolution_A(one.correlation, frequency_per_A, threshold)
        )
        for one in subsets
    ]
    return MoreParticles(
        mask=mask,
        threshold=threshold,
        resolution_A=now_A,
        b_factor_A2=found.b_factor_A2,
        b_factor_sd_A2=sd,
        fit_A=found.fit_A,
        points=tuple(points),
        targets=_targets(now_A, found.b_factor_A2, low, high),
        doubled_A=doubled_A,
        doubled_interval_A=(ends[0], ends[1]),
    )


def _targets(now_A: float, b_factor_A2: float, low: float, high: float) -> tuple[Target, ...]:
    wanted = dict.fromkeys(np.floor(now_A * finer / _TARGET_STEP_A) * _TARGET_STEP_A for finer in _FINER)

    def factor(target_A: float, b: float) -> float:
        return float(now_A / target_A * np.exp(min(b / 2 * (1 / target_A**2 - 1 / now_A**2), 40)))

    return tuple(
        Target(
            resolution_A=round(float(one), 2),
            factor=factor(one, b_factor_A2),
            interval=(factor(one, low), factor(one, high)),
        )
        for one in wanted
        if one > 0
    )
