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
from refine_hooks.fourier import Curve, HalfTransform, ShellSums, extent, transform, voxels_in_shell
from refine_hooks.fsc.randomised import expected_mean, low_part, steady_sums
from refine_hooks.fsc.spread import mask_spectrum
from refine_hooks.log.masks import AutomaskParameters, AutomaskStep
from refine_hooks.masks.density import Density, cropped, even_length, find_density
from refine_hooks.masks.shapes import Volume
from refine_hooks.masks.smooth import smooth_voxels

REACH_A = 12.4
EDGE_A = 8.0
# How the mask is loosened, step by step: reach beyond the particle's surface, width of the edge about it.
LOOSER_A = ((REACH_A, 11.0), (REACH_A, 14.0), (13.0, 17.0), (14.0, 19.0), (15.0, 21.0))
SMOOTH_SHARE = 0.1  # of the density; from here on the resolution without it is measured as well
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
        correlation: FSC under the mask over the shells 0..N//2, where it had to be measured to make it.
        together: see `fsc.shells_together`; where it had to be known.
    """

    values: Volume | None
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
            None, AutomaskParameters(**density), f"no mask can be made: {density['why']}; the sphere is all there is"
        )
    wide = max(1.0, voxel_size_A / _WIDE_VOXEL_A)
    sizes_A = [(reach_A + (wide - 1) * edge_A / 4, wide * edge_A) for reach_A, edge_A in ((REACH_A, EDGE_A), *LOOSER_A)]
    parameters = {**density.found, "reach_A": sizes_A[0][0], "edge_A": sizes_A[0][1]}
    if claim is None:
        return Automask(density.mask(*sizes_A[0]), AutomaskParameters(**parameters))
    tried: list[_Tested] = []
    mask = half1
    for reach_A, edge_A in sizes_A:
        mask = density.mask(reach_A, edge_A)
        tried.append(_tested(density, reach_A, edge_A, mask, (half1, half2), both, claim))
        if tried[-1].passed:
            break
    best = _best(tried)
    if best is not tried[-1]:
        mask = density.mask(best.reach_A, best.edge_A)
    parameters |= {"reach_A": best.reach_A, "edge_A": best.edge_A, "steps": tuple(one.step() for one in tried)}
    parameters |= _smooth_part(density, best, (half1, half2), both, claim)
    note = None if best.passed else _doubt(best)
    return Automask(mask, AutomaskParameters(**parameters), note, best.correlation, best.together)


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
    inside, binned_px = density.inside(), len(density.excess)
    binned = cropped(transforms[0], binned_px), cropped(transforms[1], binned_px)
    smooth = smooth_voxels(binned, density.excess, inside, voxel_A, extent_A / best.shell)
    if smooth is None:
        return {}
    share = float(smooth.sum() / inside.sum())
    if share < SMOOTH_SHARE:
        return {"smooth_share": share}
    rest = density.without(smooth)
    tested = _tested(rest, best.reach_A, best.edge_A, rest.mask(best.reach_A, best.edge_A), halves, transforms, claim)
    return {"smooth_share": share} | ({"without_smooth_A": extent_A / tested.shell} if tested.shell else {})


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
    reach_A: float,
    edge_A: float,
    mask: Volume,
    halves: tuple[Volume, Volume],
    transforms: tuple[HalfTransform, HalfTransform],
    claim: Claim,
) -> _Tested:
    """A mask put to the test; its phase-randomised FSC is found on as coarse a grid as the claimed shell allows."""
    found, n = extent(mask), density.box_px
    correlation = fsc.masked_fsc(*halves, mask, found.box)
    reached = claim.shell(correlation)
    nothing = _Tested(reach_A, edge_A, correlation, None, 0.0, 0.0)
    if reached is None:
        return nothing
    box_px = min(n, even_length(max(2 * (reached + 4), n * density.voxel_size_A / _CHECKED_VOXEL_A)))
    coarse = density.mask(reach_A, edge_A, box_px)
    box = extent(coarse).box
    assert box is not None
    below = tuple(low_part(half, box_px, claim.onset_shell) for half in transforms)
    steady = steady_sums((below[0], below[1]), coarse, claim.onset_shell, box)
    null = expected_mean(steady, claim.unmasked, mask_spectrum(coarse), claim.onset_shell, n)
    shell = claim.shell(fsc.corrected(correlation[: len(null)], null, claim.onset_shell))
    if shell is None:
        return nothing
    shells = np.arange(len(null))
    voxels = float(np.interp(shell, shells, voxels_in_shell(n)[: len(null)]))
    together = fsc.shells_together(coarse)
    own = float(np.interp(shell, shells, np.abs(null)))
    return _Tested(reach_A, edge_A, correlation, shell, own, float(np.sqrt(together[0] / voxels)), together)
