"""How much each particle counts: cisTEM's weights from occupancy, sigma and score.

Imitated is reconstruct3d of cisTEM 2.0.0-alpha: w = occ / <occ> / (sigma / <sigma>)^2 * exp((score - <score>) swc / 4 s^2), with
averages over the active rows of the whole file, after outliers of sigma and score have been pulled in and the scores' dependence
on defocus has been taken out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.particles import Particles

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weight of a particle at frequency s (1/A): amplitude * exp(falloff_A2 * s^2)."""

    amplitude: Reals
    falloff_A2: Reals
    used: NDArray[np.bool_]


def even_weights(particles: Particles) -> Weights:
    """Every used particle counts the same, as in relion_reconstruct."""
    n = len(particles)
    return Weights(np.ones(n), np.zeros(n), particles.used.copy())


def cistem_weights(
    particles: Particles, *, score_weight_A2: float = 0.0, adjust_scores: bool = True, threshold: float = 1.0
) -> Weights:
    """Weights as reconstruct3d makes them.

    Args:
        particles: the whole file, also the rows that are not used.
        score_weight_A2: cisTEM's "particle weighting factor".
        adjust_scores: take the slope of the score against defocus out.
        threshold: 1 keeps all, 0..1 that fraction of the occupancy with the best scores, anything else is a score.

    Raises:
        ParticlesError: no row is active, or all occupancies are zero.
    """
    active = particles.used | (particles.occupancy == 0)
    occupancy = particles.occupancy
    if not active.any() or occupancy[active].mean() <= 0:
        raise ParticlesError(f"{particles.source}: no particle has an occupancy above zero")
    sigma = 1 / np.sqrt(_pulled_in(_reciprocal_square(particles.sigma), 2.0))
    score = _pulled_in(particles.score, 1.0)
    if adjust_scores:
        score = _without_defocus_slope(score, particles)
    used = particles.used & (score >= _least_score(score, occupancy, threshold))
    amplitude = occupancy / occupancy[active].mean() / (sigma / sigma[active].mean()) ** 2
    falloff = (score - score[active].mean()) * score_weight_A2 / 4
    return Weights(amplitude, falloff, used)


def _reciprocal_square(sigma: Reals) -> Reals:
    """1 / sigma^2; a sigma of zero or less, which says nothing, takes the mean of the others."""
    positive = sigma > 0
    values = np.divide(1.0, sigma**2, where=positive, out=np.zeros_like(sigma))
    return np.where(positive, values, values[positive].mean() if positive.any() else 1.0)


def _pulled_in(values: Reals, width: float) -> Reals:
    """Values clipped to mean +- width * spread, where the spread is cisTEM's: nearly the root mean square.

    cisTEM divides the mean by the number of values once more before it squares it, so that next to nothing is subtracted.
    """
    mean, spread = _mean_and_spread(values)
    if spread == 0:
        return values
    core = values[np.abs(values - mean) <= 2 * width * spread]
    mean, spread = _mean_and_spread(core if core.size else values)
    return np.clip(values, mean - width * spread, mean + width * spread)


def _mean_and_spread(values: Reals) -> tuple[float, float]:
    mean = float(values.mean())
    return mean, float(np.sqrt(max(float(np.mean(values**2)) - (mean / values.size) ** 2, 0.0)))


def _without_defocus_slope(score: Reals, particles: Particles) -> Reals:
    defocus = (particles.defocus_1_A + particles.defocus_2_A) / 2
    share = particles.occupancy / particles.occupancy.sum()
    offset = defocus - np.sum(share * defocus)
    spread = np.sum(share * offset**2)
    if spread <= 0:
        return score
    slope = np.sum(share * offset * score) / spread
    return np.where(defocus != 0, score - slope * offset, score)


def _least_score(score: Reals, occupancy: Reals, threshold: float) -> float:
    if threshold == 1.0:
        return -np.inf
    if not 0 < threshold < 1:
        return threshold
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(occupancy[order]) / occupancy.sum()
    return float(score[order][min(int(np.searchsorted(share, threshold)), score.size - 1)])
