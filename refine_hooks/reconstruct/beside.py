"""What is reconstructed beside the half maps, in the same pass over the stacks: subsets of the particles, substituted images."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from refine_hooks import fsc, masks
from refine_hooks.analysis.more_particles import COARSEST_A, FEWEST_SHELLS, Subset, more_particles
from refine_hooks.analysis.substitution import substitution
from refine_hooks.errors import ParticlesError
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import shell_frequency_per_A, voxels_in_shell
from refine_hooks.model import Record
from refine_hooks.settings import ReconstructSettings
from refine_hooks.sums.plan import Floats, Plan
from refine_hooks.sums.symmetry import order_of

_PARTS = (2, 4, 8, 8)  # one over the share of the particles of each
_ALL = (0, 1, 2, 3)
# Two of a half, two of a quarter, two of an eighth, and all: no two of one size share a particle.
_SUBSETS = ((2,), (3,), (1,), (2, 3), (0,), (1, 2, 3), _ALL)
_FEWEST = 64  # particles of each half
_SEED = 20140202

Finish = Callable[[Floats], tuple[Map, Map]]


def widened(plan: Plan, settings: ReconstructSettings) -> Plan:
    """The plan with sums for what is asked for; the same plan where nothing is.

    Raises:
        ParticlesError: too few particles for subsets.
    """
    if settings.subsets:
        halves = plan.particles.half
        least = min(int(np.count_nonzero(halves == half)) for half in (1, 2))
        if least < _FEWEST:
            raise ParticlesError(
                f"{plan.particles.source}: a half of {least} particles is too few for subsets; leave out --subsets"
            )
        numbers = halves + 2 * _part_of_each(halves)
        plan = replace(plan, particles=replace(plan.particles, half=numbers), sets=2 * len(_PARTS))
    if settings.substitute_from_A:
        plan = replace(plan, substituted_from_A=settings.substitute_from_A)
    return plan


def _part_of_each(halves: np.ndarray) -> np.ndarray:
    """A random part for each particle, of the same shares in each half."""
    rng = np.random.default_rng(_SEED)
    parts = np.empty(len(halves), np.int64)
    ends = np.cumsum([1 / share for share in _PARTS])
    for half in (1, 2):
        mine = np.flatnonzero(halves == half)
        places = (np.arange(len(mine)) + 0.5) / len(mine)
        parts[rng.permutation(mine)] = np.minimum(np.searchsorted(ends, places), len(_PARTS) - 1)
    return parts


def all_particles(plan: Plan, sums: Floats) -> Floats:
    """The sums of the two halves, of all of their particles."""
    return _together(sums, range(plan.sets // 2))


def _together(sums: Floats, parts: Iterable[int]) -> Floats:
    first, *others = parts
    if not others:
        return sums[2 * first : 2 * first + 2]
    whole = sums[2 * first : 2 * first + 2].copy()
    for part in others:
        whole += sums[2 * part : 2 * part + 2]
    return whole


def measured_beside(
    plan: Plan, sums: Floats, halves: tuple[Map, Map], finish: Finish, threshold: float
) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """What the subsets and the substituted images say, as far as they were asked for, and why they say nothing.

    Args:
        plan: see `widened`.
        sums: all of them, symmetry applied.
        halves: the half maps of all particles.
        finish: half maps of two sums.
        threshold: level of the FSC.
    """
    found: list[tuple[Record | None, str]] = []
    if plan.sets > 2:
        why = (
            f"no B factor: fewer than {FEWEST_SHELLS} shells beyond {COARSEST_A:g} A lie between signal and noise, "
            "so that nothing is said of more particles"
        )
        found.append((_of_subsets(plan, sums, halves, finish, threshold), why))
    if plan.substituted_from_A is not None:
        limit_A = plan.substituted_from_A
        why = f"random phases beyond {limit_A:g} A say nothing: hardly a shell lies beyond that; give a coarser limit"
        found.append((substitution(halves, finish(sums[plan.sets :]), limit_A), why))
    return tuple(one for one, _ in found if one is not None), tuple(why for one, why in found if one is None)


def _of_subsets(plan: Plan, sums: Floats, halves: tuple[Map, Map], finish: Finish, threshold: float) -> Record | None:
    one, two = halves
    mask = masks.automask(one.voxels, two.voxels, one.voxel_size_A).values
    counts = voxels_in_shell(one.box_px) / (order_of(plan.symmetry) or 1)
    if mask is not None:
        counts = counts / fsc.correlated_voxels(mask)
    else:
        mask = np.ones_like(one.voxels)
    subsets = []
    for parts in _SUBSETS:
        pair = halves if parts == _ALL else finish(_together(sums, parts))
        particles = int(np.isin((plan.particles.half - 1) // 2, parts).sum())
        subsets.append(Subset(particles, fsc.masked_fsc(pair[0].voxels, pair[1].voxels, mask)))
    frequency = shell_frequency_per_A(one.box_px, one.voxel_size_A)
    name = "unmasked" if mask.min() == 1 else "automask"
    return more_particles(subsets, frequency, counts, name, threshold)
