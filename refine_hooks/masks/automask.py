"""A tight but generous mask from two half maps, without a number from the user.

The density is found in the low-passed average (see `refine_hooks.masks.density`); the mask never looks at where the halves
agree. Its half-height contour lies a fixed distance beyond the particle's surface, with a soft edge about it. Whether that is
generous is measured: the edge is softened, then the mask is grown, until the FSC of halves with random phases says that the mask
itself correlates no more than chance at the shell that is claimed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from refine_hooks import fsc
from refine_hooks.fourier import Curve, Extent, HalfTransform, ShellSums, transform, voxels_in_shell
from refine_hooks.fsc import SHELLS_PAST_ONSET
from refine_hooks.fsc.randomised import expected_mean, steady_sums
from refine_hooks.fsc.spread import mask_spectrum
from refine_hooks.log.masks import AutomaskParameters, AutomaskStep
from refine_hooks.masks.density import Density, even_length, find_density
from refine_hooks.masks.shapes import Volume
from refine_hooks.masks.smooth import smooth_voxels

REACH_A = 12.4
EDGE_A = 8.0
# How the mask is loosened, step by step: reach beyond the particle's surface, width of the edge about it.
LOOSER_A = ((REACH_A, 11.0), (REACH_A, 14.0), (13.0, 17.0), (14.0, 19.0), (15.0, 21.0))
SMOOTH_SHARE = 0.1  # of the density; from here on the resolution without it is measured as well
_PAST_CLAIM = (
    8  # shells; where the mask by itself correlates next to nothing, or less, the corrected curve is hardly higher
)
_LOOKED_AT = 1.25  # of the shell that is claimed: hardly a mask without the smooth part claims a finer one
_WIDE_VOXEL_A = 6.0  # with wider voxels, edges are as many voxels as with these
_CHECKED_VOXEL_A = 2.0  # an edge of 8 A is as smooth on such a grid as on a finer one


@dataclass(frozen=True, slots=True)
class Claim:
    """What the mask is put to the test with: how a resolution will be claimed.

    Attributes:
        onset_shell: first shell whose phases are randomised.
        unmasked: shell sums of the unmasked halves.
        shell: reads the claimed shell off a curve over the shells from 0 on: the last one where the curve never falls below the
            level, since the mask is then tested where it is claimed to hold; None where the curve claims nothing.
    """

    onset_shell: int
    unmasked: ShellSums
    shell: Callable[[Curve], float | None]


@dataclass(frozen=True, slots=True)
class Automask:
    """The mask, how it was made, and why there is none where ``values`` is None.

    Attributes:
        extent: where it is not zero, and its sums.
        correlation: FSC under the mask over the shells 0..N//2, where it had to be measured to make it.
        together: see `fsc.shells_together`; where it had to be known.
    """

    values: Volume | None
    extent: Extent | None = None
    parameters: AutomaskParameters = field(default_factory=AutomaskParameters)
    note: str | None = None
    correlation: Curve | None = None
    together: Curve | None = None


@dataclass(frozen=True, slots=True)
class _Tested:
    """One mask, and what it correlates by itself at the resolution shell, which is None where nothing is claimed."""

    reach_A: float
    edge_A: float
    correlation: Curve
    shell: float | None
    null: float
    chance: float
    together: Curve | None = None

    @property
    def passed(self) -> bool:
        return self.shell is None or self.null <= self.chance

    def step(self) -> AutomaskStep:
        return AutomaskStep(
            reach_A=self.reach_A,
            edge_A=self.edge_A,
            claimed_shell=None if self.shell is None else round(self.shell, 4),
            randomised=round(self.null, 4),
            chance=round(self.chance, 4),
        )


@dataclass(frozen=True, slots=True)
class _Claimed:
    """What is claimed under a mask, and the mask and its own correlation on a coarser grid; nothing where nothing is."""

    correlation: Curve
    coarse: Volume | None = None
    null: Curve = field(default_factory=lambda: np.zeros(1))
    shell: float | None = None


def automask(
    half1: Volume,
    half2: Volume,
    voxel_size_A: float,
    *,
    limit_radius_A: float | None = None,
    transforms: tuple[HalfTransform, HalfTransform] | None = None,
    claim: Claim | None = None,
    finest_A: float = 0.0,
) -> Automask:
    """A soft mask [z, y, x] from two unmasked half maps; the same halves give the same mask, bit for bit.

    Args:
        half1: float32 [z, y, x].
        half2: of the same shape.
        voxel_size_A: edge of a voxel.
        limit_radius_A: noise is measured, and density looked for, inside this sphere; None for the largest that fits.
        transforms: half transforms of the two, where they have been made already.
        claim: how a resolution will be claimed; the mask is not put to the test without it.
        finest_A: the maps hold nothing finer, whatever their voxels.
    """
    both = transforms or (transform(half1), transform(half2))
    density = find_density(both, len(half1), voxel_size_A, limit_radius_A, finest_A)
    if not isinstance(density, Density):
        return Automask(
            None,
            None,
            AutomaskParameters(**density),
            f"no mask can be made: {density['why']}; the sphere is all there is",
        )
    wide = max(1.0, voxel_size_A / _WIDE_VOXEL_A)
    sizes_A = [(reach_A + (wide - 1) * edge_A / 4, wide * edge_A) for reach_A, edge_A in ((REACH_A, EDGE_A), *LOOSER_A)]
    parameters = {**density.found, "reach_A": sizes_A[0][0], "edge_A": sizes_A[0][1]}
    if claim is None:
        return Automask(*density.mask(*sizes_A[0]), AutomaskParameters(**parameters))
    tried: list[_Tested] = []
    for size_A in sizes_A:
        made = density.mask(*size_A)
        tried.append(_tested(density, size_A, made, (half1, half2), both, claim))
        if tried[-1].passed:
            break
    best = _best(tried)
    if best is not tried[-1]:
        made = density.mask(best.reach_A, best.edge_A)
    parameters |= {"reach_A": best.reach_A, "edge_A": best.edge_A, "steps": tuple(one.step() for one in tried)}
    parameters |= _smooth_part(density, best, (half1, half2), both, claim)
    note = None if best.passed else _doubt(best)
    return Automask(*made, AutomaskParameters(**parameters), note, best.correlation, best.together)


def _smooth_part(
    density: Density,
    best: _Tested,
    halves: tuple[Volume, Volume],
    transforms: tuple[HalfTransform, HalfTransform],
    claim: Claim,
) -> dict[str, float]:
    """The share of the density that holds no detail, and the corrected resolution under a mask without it, where there is one."""
    if best.shell is None:
        return {}
    extent_A, voxel_A = density.box_px * density.voxel_size_A, density.found["binned_voxel_A"]
    inside = density.inside()
    smooth = smooth_voxels(density.binned, density.excess, inside, voxel_A, extent_A / best.shell)
    if smooth is None:
        return {}
    share = float(smooth.sum() / inside.sum())
    if share < SMOOTH_SHARE:
        return {"smooth_share": share}
    rest = density.without(smooth)
    sizes_A = best.reach_A, best.edge_A
    last = min(int(_LOOKED_AT * best.shell) + 2 * SHELLS_PAST_ONSET, density.box_px // 2)
    shell = _claimed(rest, sizes_A, rest.mask(*sizes_A), halves, transforms, claim, last).shell
    return {"smooth_share": share} | ({"without_smooth_A": extent_A / shell} if shell else {})


def _best(tried: list[_Tested]) -> _Tested:
    """The first that passes; where none does, the tightest that correlates hardly more than the best of them."""
    least = min(one.null - one.chance for one in tried)
    return next(one for one in tried if one.passed or (not tried[-1].passed and one.null <= least + 1.5 * one.chance))


def _doubt(best: _Tested) -> str:
    return (
        f"at the resolution shell {best.shell:.1f} the mask by itself correlates {best.null:.3f}, more than chance "
        f"({best.chance:.3f}), and a looser one hardly less: the correction matters here"
    )


def _tested(
    density: Density,
    sizes_A: tuple[float, float],
    made: tuple[Volume, Extent],
    halves: tuple[Volume, Volume],
    transforms: tuple[HalfTransform, HalfTransform],
    claim: Claim,
) -> _Tested:
    """A mask of that reach and edge put to the test."""
    found, n = _claimed(density, sizes_A, made, halves, transforms, claim), density.box_px
    if found.shell is None or found.coarse is None:
        return _Tested(*sizes_A, found.correlation, None, 0.0, 0.0)
    shells = np.arange(len(found.null))
    voxels = float(np.interp(found.shell, shells, voxels_in_shell(n)[: len(shells)]))
    together = fsc.shells_together(found.coarse)
    own = float(np.interp(found.shell, shells, np.abs(found.null)))
    return _Tested(*sizes_A, found.correlation, found.shell, own, float(np.sqrt(together[0] / voxels)), together)


def _claimed(
    density: Density,
    sizes_A: tuple[float, float],
    made: tuple[Volume, Extent],
    halves: tuple[Volume, Volume],
    transforms: tuple[HalfTransform, HalfTransform],
    claim: Claim,
    last: int | None = None,
) -> _Claimed:
    """The shell that is claimed under a mask; its phase-randomised FSC is found on as coarse a grid as that shell allows.

    Args:
        density: what the mask is of.
        sizes_A: reach and edge of the mask.
        made: the mask itself in the halves' box, and where it is.
        halves: unmasked.
        transforms: of the halves.
        claim: how a resolution is claimed.
        last: where only the shell is wanted, the shells beyond are left out unless it may lie there.
    """
    (mask, found), n = made, density.box_px
    correlation = fsc.masked_fsc(*halves, mask, found.box, last)
    reached = claim.shell(correlation)
    if last is not None and reached is not None and last - 1 <= reached < n // 2 - 1:
        return _claimed(density, sizes_A, made, halves, transforms, claim)
    if reached is None:
        return _Claimed(correlation)
    box_px = min(n, even_length(max(2 * (reached + 4), n * density.voxel_size_A / _CHECKED_VOXEL_A)))
    coarse, within = density.mask(*sizes_A, box_px)
    assert within.box is not None
    known = min(box_px // 2, int(reached) + _PAST_CLAIM)
    steady = steady_sums(transforms, coarse, claim.onset_shell, within.box, known)
    null = expected_mean(steady, claim.unmasked, mask_spectrum(coarse), claim.onset_shell, n)
    shells = slice(min(len(null), len(correlation)))
    shell = claim.shell(fsc.corrected(correlation[shells], null[shells], claim.onset_shell))
    return _Claimed(correlation, coarse, null, shell)
