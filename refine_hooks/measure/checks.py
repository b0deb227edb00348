"""What is tested of a pair of half maps before its number is trusted, as the log holds it."""

from collections.abc import Sequence

import numpy as np

from refine_hooks.analysis.background import gradients
from refine_hooks.analysis.duplicates import (
    PAST_SHELLS,
    CommonNoise,
    common_noise,
    same_voxels,
    uneven_by_direction,
    uneven_by_place,
)
from refine_hooks.analysis.solvent import solvent
from refine_hooks.analysis.superposition import Superposition
from refine_hooks.analysis.voxels import clipped, holes, outliers, repeated
from refine_hooks.curves import beyond_neighbours
from refine_hooks.fourier import beside, voxels_in_shell
from refine_hooks.log.checks import (
    SAME_UNMASKED,
    Checks,
    NoiseByDirection,
    Pattern,
    PowerRatio,
    ProgramDifference,
    Share,
    SignalByDirection,
    Solvent,
    Voxels,
)
from refine_hooks.log.curves import Curve
from refine_hooks.log.masks import MaskRecord
from refine_hooks.measure.noise import Noise
from refine_hooks.measure.pair import Pair
from refine_hooks.measure.under import MeasuredMask
from refine_hooks.model import Masked

_UNMASKED = "unmasked"
_AS_TIGHT = 2.0  # times the automask's volume: a smaller sphere follows the particle, and is a mask like any other


def masked_as(pair: Pair, masks: Sequence[MaskRecord]) -> Masked | None:
    """How a pair was masked before, as its noise shows; a sphere as tight as the automask is a mask."""
    before = pair.masked_before
    if before is None:
        return None
    particle = next((mask.volume_fraction for mask in masks if mask.role == "automask"), 0.0)
    return "mask" if before.kind == "sphere" and before.noise_share < _AS_TIGHT * particle else before.kind


def checks_of(
    pair: Pair,
    curves: Sequence[Curve],
    masks: Sequence[MeasuredMask],
    best: Curve | None,
    noise: Noise,
    masked: Masked | None,
    laid: Superposition | None,
) -> Checks | None:
    """The checks of a pair; None where the halves say nothing at all.

    Args:
        pair: of the two half maps.
        curves: all that were measured, and the program's own.
        masks: all that were measured under.
        best: the one whose resolution is the round's.
        noise: its symmetry and directions.
        masked: how the halves were masked before.
        laid: how they lie on each other.
    """
    if pair.fault is not None:
        return None
    before = pair.masked_before
    solvent_beside = beside(_solvent, pair, masks, best, noise.order) if masked != "mask" else None
    common = _common(pair, best, noise.order) if masked != "mask" else None
    voxels = _voxels(pair)
    return Checks(
        shift_px=laid.shift_px if laid else None,
        shift_sd_px=laid.shift_sd_px if laid else None,
        mirrored=laid.mirrored if laid else None,
        inverted=laid.inverted if laid else None,
        rotated_deg=laid.turned_deg if laid else None,
        rotated_sd_deg=laid.turned_sd_deg if laid else None,
        larger=laid.larger if laid else None,
        larger_sd=laid.larger_sd if laid else None,
        noise_outside=before.noise_outside if before else None,
        common_noise_share=Share(value=common.value, sd=common.sd) if common and common.flat else None,
        background_level=pair.levels,
        background_gradient=gradients(pair.blocks, before),
        solvent=solvent_beside.result() if solvent_beside else None,
        voxels=voxels,
        noise_by_direction=_by_direction(noise),
        signal_by_direction=_signal_by_direction(noise) if masked != "mask" else None,
        unmasked_against_program=_against_program(curves),
        power_ratio=_power_ratio(pair),
        same_voxels=same_voxels(pair.blocks),
    )


def _solvent(pair: Pair, masks: Sequence[MeasuredMask], best: Curve | None, order: int) -> Solvent | None:
    """The solvent beside the automask, from half the frequency of the resolution on: what is coarser does not decide it."""
    mask = next((mask for mask in masks if mask.record.role == "automask"), None)
    if mask is None or mask.values is None or mask.extent is None or mask.extent.box is None:
        return None
    voxel_A = pair.voxel_size_A
    first = voxel_A / (2 * best.resolution_A) if best is not None and best.resolution_A else 0.0
    last = (pair.valid_shells or pair.box_px // 2) / pair.box_px
    found = solvent(pair.as_read, (mask.values, mask.extent.box), pair.blocks, (first, last), order)
    if found is None:
        return None
    coarse, fine = (voxel_A / frequency for frequency in found.frequencies)
    pattern = found.pattern and Pattern(
        period_A=found.pattern.period_px * voxel_A,
        direction=found.pattern.direction,
        times=found.pattern.times,
        coherent=found.pattern.coherent,
    )
    return Solvent(value=found.value, sd=found.sd, coarse_A=coarse, fine_A=fine, cubes=found.cubes, pattern=pattern)


def _voxels(pair: Pair) -> Voxels:
    one, two = pair.as_read
    blocks = pair.blocks
    return Voxels(
        repeated=(repeated(one), repeated(two)),
        clipped=(clipped(one), clipped(two)),
        outliers=(
            outliers(pair.half1.voxels, blocks.power1, blocks),
            outliers(pair.half2.voxels, blocks.power2, blocks),
        ),
        holes=holes(blocks),
    )


def _power_ratio(pair: Pair) -> PowerRatio | None:
    found = pair.power_ratio
    return None if found is None else PowerRatio(value=found.value, at_A=pair.box_px * pair.voxel_size_A / found.shell)


def _by_direction(noise: Noise) -> NoiseByDirection | None:
    seen = noise.directions
    if seen is None:
        return None
    return NoiseByDirection(
        lowest=seen.lowest,
        highest=seen.highest,
        lowest_axis=seen.lowest_axis,
        highest_axis=seen.highest_axis,
        sd=seen.sd,
        cones=seen.cones,
    )


def _signal_by_direction(noise: Noise) -> SignalByDirection | None:
    seen = noise.signal
    if seen is None:
        return None
    return SignalByDirection(
        lowest=seen.lowest, sd=seen.sd, typical=seen.typical, quarter=seen.quarter, lowest_axis=seen.axis
    )


def _common(pair: Pair, best: Curve | None, order: int) -> CommonNoise | None:
    if best is None or best.resolution_A is None:
        return None
    fine_A = best.interval_A[1] if best.interval_A else best.resolution_A
    fine = pair.box_px * pair.voxel_size_A / fine_A
    last = min(pair.valid_shells or pair.box_px, pair.box_px // 2 - 1)
    first = int(np.ceil(fine)) + PAST_SHELLS
    if first >= last:
        return None
    uneven = uneven_by_place(pair.blocks) * uneven_by_direction(*pair.transforms, (first, last))
    return common_noise(pair.unmasked, voxels_in_shell(pair.box_px), fine, last, order * uneven)


def _against_program(curves: Sequence[Curve]) -> ProgramDifference | None:
    """Our unmasked curve against the program's unmasked one, in the shell where it differs most beyond noise."""
    own = next((curve for curve in curves if curve.name == _UNMASKED), None)
    other = next((curve for curve in curves if curve.made == "unmasked"), None)
    if own is None or other is None or own.sd is None:
        return None
    if other.reproduced_to is not None:
        return ProgramDifference(worst=other.reproduced_to, sd=0.0)
    shells = min(len(own.correlation), len(other.correlation))
    ours, theirs, sds = (
        np.array([np.nan if value is None else value for value in values[:shells]], np.float64)
        for values in (own.correlation, other.correlation, own.sd)
    )
    apart = beyond_neighbours(ours, theirs)
    both = [
        pair for pair in zip(apart[1:].tolist(), sds[1:].tolist(), strict=True) if np.isfinite(pair).all() and pair[1]
    ]
    if not both:
        return None
    worst, sd = max(both, key=lambda pair: pair[0] / max(4 * pair[1], SAME_UNMASKED))
    return ProgramDifference(worst=worst, sd=sd)
