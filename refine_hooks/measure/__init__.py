"""One pair of half maps -> masks, curves and what must be said of them: all of a round's record but its files.

Nothing here touches the disk. A pair that cannot give a number (identical, constant, empty) is measured as far as it can be,
and said, not scored.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from refine_hooks import fsc
from refine_hooks.analysis.superposition import superposition
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.fourier import beside, in_slabs, voxels_in_shell
from refine_hooks.fsc.crossing import Errors
from refine_hooks.fsc.randomised import Randomised
from refine_hooks.log.curves import Curve as CurveRecord
from refine_hooks.log.headline import best_curve
from refine_hooks.measure.checks import checks_of, masked_as
from refine_hooks.measure.given import read_users_mask
from refine_hooks.measure.noise import noise_of, with_uneven_noise
from refine_hooks.measure.pair import Pair, prepared, require_compatible, without_solvent_level
from refine_hooks.measure.record import Measurement, reported_record, round_record
from refine_hooks.measure.scores import (
    curve_record,
    mask_curves,
    randomised_of,
    reported_curve,
    reproduced_to,
    scaled_curves,
)
from refine_hooks.measure.under import (
    MeasuredMask,
    NamedMask,
    automask,
    checked_mask,
    sphere_mask,
    sphere_sizes,
    with_its_curves,
    with_signal_outside,
)
from refine_hooks.model import Facts, FscCurve, HalfMaps
from refine_hooks.settings import Settings
from refine_hooks.sums.symmetry import order_of

if TYPE_CHECKING:
    from refine_hooks.analysis.further import Analysed

__all__ = [
    "MeasuredMask",
    "Measurement",
    "NamedMask",
    "analysed",
    "measure_halves",
    "read_users_mask",
    "reported_record",
    "require_compatible",
    "round_record",
    "without_solvent_level",
]


def measure_halves(
    halves: HalfMaps,
    facts: Facts,
    settings: Settings,
    named_masks: Sequence[NamedMask] = (),
    reported: Sequence[FscCurve] = (),
) -> Measurement:
    """Masks and curves of one pair of half maps.

    Args:
        halves: two maps of one box and voxel size.
        facts: what the refinement program says.
        settings: of the masks, the FSC and the curves.
        named_masks: further masks.
        reported: the program's own curves, passed on with their crossings.

    Raises:
        MapError: half maps of different boxes or voxel sizes, a mask that cannot be used; names both.
    """
    pair = prepared(halves, facts, settings)
    sphere, sphere_notes = sphere_mask(pair, facts, settings)
    # Finding the particle is work for one core, mostly, and so is to lay the halves on each other.
    sphere_curves = beside(with_its_curves, pair, sphere, facts, settings)
    noise_beside = beside(noise_of, pair, facts)
    checked_for = pair.fault is None and halves.origin != "regularised"
    lying = beside(superposition, pair.transforms, pair.box_px) if checked_for else None
    named = settings.sphere.radius_A or facts.sphere_radius_A
    limit_A = sphere_sizes(sphere).radius_A if named else None
    own = [*automask(pair, settings, limit_A)]
    own = [sphere_curves.result(), *own]
    noise, laid = noise_beside.result(), lying.result() if lying else None
    checked = [(mask, checked_mask(pair, mask)) for mask in named_masks]
    measured = [*own, *(seen if mask.of_a_part else with_signal_outside(pair, seen, own[-1]) for mask, seen in checked)]
    order = noise.order
    measured = [with_uneven_noise(pair, mask, noise, settings.fsc.threshold) for mask in measured]
    found = randomised_of(pair, measured, settings, order)
    curve_records = _curves_of(pair, measured, settings, found, order)
    curve_records += scaled_curves(pair, facts, settings, measured, found, order)
    curve_records += [
        reported_curve(curve, pair.frequency_per_A, settings, reproduced_to(pair, halves, curve, measured))
        for curve in reported
    ]
    kept = tuple(record for record in curve_records if record is not None)
    records = [mask.record for mask in measured]
    best, masked = best_curve(kept, records), masked_as(pair, records)
    analysed = _analysed(pair, halves, facts, settings, measured, kept)
    return Measurement(
        box_px=pair.box_px,
        voxel_size_A=pair.voxel_size_A,
        frequency_per_A=pair.frequency_per_A,
        voxels_in_shell=voxels_in_shell(pair.box_px),
        masks=tuple(measured),
        curves=kept,
        analysis=analysed.record if analysed else None,
        sharpened=analysed.map if analysed else None,
        notes=(*facts.notes, *halves.notes, *pair.notes, *sphere_notes, *noise.notes()),
        noise=noise,
        checks=checks_of(pair, kept, measured, best, noise, masked, laid) if halves.origin != "regularised" else None,
        masked_before=masked,
        halves=(pair.half1.voxels, pair.half2.voxels),
    )


def _curves_of(
    pair: Pair, measured: Sequence[MeasuredMask], settings: Settings, found: dict[str, Randomised], order: int
) -> list[CurveRecord | None]:
    """Of no mask, and under each; one mask's beside the other's, since an interval is work for one core."""
    sd = fsc.sampling_sd(pair.unmasked, voxels_in_shell(pair.box_px), order)
    errors = Errors(voxels_in_shell(pair.box_px) / order, np.ones(1))

    def of_one(number: int, _: int) -> list[CurveRecord | None]:
        if number == len(measured):
            return [curve_record(pair, settings, "unmasked", None, pair.unmasked, sd=sd, errors=errors)]
        mask = measured[number]
        return mask_curves(pair, settings, mask, found.get(mask.record.name), order)

    *under, unmasked = in_slabs(of_one, len(measured) + 1, 1)
    return [*unmasked, *(record for records in under for record in records)]


def _analysed(
    pair: Pair,
    halves: HalfMaps,
    facts: Facts,
    settings: Settings,
    measured: Sequence[MeasuredMask],
    kept: Sequence[CurveRecord],
) -> "Analysed | None":
    """The further measurements under the mask of the round's best curve, where they were asked for and mean something."""
    if not settings.fsc.full or pair.fault is not None or halves.origin == "regularised":
        return None
    curve = best_curve(kept, [m.record for m in measured])
    mask = next((m for m in measured if curve is not None and m.record.name == curve.mask), None)
    if curve is None or mask is None or mask.values is None:
        return None
    return analysed(pair.half1, pair.half2, curve, mask.values, facts.symmetry, settings.fsc.threshold)


def analysed(
    half1: Map, half2: Map, curve: CurveRecord, mask: Volume, symmetry: str | None, threshold: float
) -> "Analysed":
    """The further measurements of one pair of half maps under the mask of one of its curves.

    Args:
        half1: unmasked half map.
        half2: the other one.
        curve: as the log holds it.
        mask: the one that made the curve [z, y, x].
        symmetry: symbol of the imposed point group; one that is not known counts as none.
        threshold: the level of the resolution.
    """
    from refine_hooks.analysis.further import analyse

    correlation = np.array([np.nan if value is None else value for value in curve.correlation])
    return analyse(
        half1.voxels,
        half2.voxels,
        half1.voxel_size_A,
        mask,
        curve.mask or "",
        correlation,
        threshold=threshold,
        symmetry_order=order_of(symmetry) or 1,
    )
