"""The curves of a pair under its masks, with their phase-randomised FSC, their error, and what cisTEM would print."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refine_hooks import curves, fsc, masks
from refine_hooks.fourier import Curve, voxels_in_shell
from refine_hooks.fsc.crossing import Errors
from refine_hooks.fsc.randomised import Randomised, randomised, randomised_wide
from refine_hooks.log.curves import Curve as CurveRecord
from refine_hooks.log.curves import CurveKind
from refine_hooks.measure.pair import Pair
from refine_hooks.measure.under import MeasuredMask, sphere_sizes
from refine_hooks.model import Facts, FscCurve, HalfMaps
from refine_hooks.settings import Settings

_REACH_SHELLS = 24
_READ_SHELLS, _READ_SHELLS_OF_SPHERE = 12, 4


def randomised_of(
    pair: Pair, measured: Iterable[MeasuredMask], settings: Settings, order: int
) -> dict[str, Randomised]:
    """The phase-randomised FSC of every mask, by name; none where no phases are randomised.

    Args:
        pair: the half maps.
        measured: the masks.
        settings: of the randomisation.
        order: of the point group that was imposed.
    """
    if pair.onset_shell is None or pair.fault is not None:
        return {}
    drawing = (pair.onset_shell, settings.fsc.repeats, settings.fsc.seed)
    found = {}
    for mask in measured:
        if mask.values is None or mask.extent is None:
            continue
        if mask.record.role == "sphere":
            found[mask.record.name] = _under_sphere(pair, mask, settings, order)
        else:
            found[mask.record.name] = randomised(
                *(pair.transforms, mask.values, *drawing, mask.extent.box),
                order=order,
                unmasked=pair.sums,
                last_shell=_carried_up_to(pair, masked_correlation(pair, mask), settings, _READ_SHELLS),
            )
    return found


def _carried_up_to(pair: Pair, correlation: Curve, settings: Settings, read_shells: int) -> int:
    """Past what a mask's edge reaches from the onset, and so many shells past where a curve is read."""
    assert pair.onset_shell is not None
    shown = correlation if pair.valid_shells is None else correlation[: pair.valid_shells + 1]
    resolution_A = curves.resolution_A(shown, pair.frequency_per_A, settings.fsc.threshold)
    claimed = pair.box_px * pair.voxel_size_A / resolution_A if resolution_A else pair.box_px // 2
    return min(pair.box_px // 2, max(pair.onset_shell + _REACH_SHELLS, int(claimed) + read_shells))


def _under_sphere(pair: Pair, mask: MeasuredMask, settings: Settings, order: int) -> Randomised:
    """As far as the sphere's own FSC is above the level, and past what its edge reaches from the onset."""
    assert pair.onset_shell is not None
    sphere, box_A = sphere_sizes(mask), pair.box_px * pair.voxel_size_A
    return randomised_wide(
        pair.transforms,
        lambda box_px: masks.sphere(box_px, box_A / box_px, sphere.radius_A, sphere.edge_A),
        pair.onset_shell,
        _carried_up_to(pair, masked_correlation(pair, mask), settings, _READ_SHELLS_OF_SPHERE),
        correlated=mask.correlated,
        order=order,
        unmasked=pair.sums,
    )


def masked_correlation(pair: Pair, mask: MeasuredMask) -> Curve:
    """The FSC under a mask, measured where making the mask did not take it."""
    if mask.correlation is not None or mask.values is None or mask.extent is None:
        return mask.correlation if mask.correlation is not None else np.full(pair.box_px // 2 + 1, np.nan)
    return fsc.masked_fsc(pair.half1.voxels, pair.half2.voxels, mask.values, mask.extent.box)


def curve_record(
    pair: Pair,
    settings: Settings,
    name: str,
    mask: str | None,
    correlation: Curve,
    drawn: Randomised | None = None,
    kind: CurveKind = "measured",
    **more: Any,
) -> CurveRecord | None:
    """A curve with all that is read off it; None where no shell is measured."""
    shown = correlation if pair.valid_shells is None else correlation[: pair.valid_shells + 1]
    if not np.any(np.isfinite(shown)):
        return None
    return curves.curve(
        name,
        mask,
        correlation,
        pair.frequency_per_A,
        kind=kind,
        threshold=settings.fsc.threshold,
        randomised_mean=drawn.mean if drawn else None,
        randomised_sd=drawn.sd if drawn else None,
        onset_shell=drawn.onset_shell if drawn else None,
        valid_shells=pair.valid_shells,
        scored=pair.fault is None,
        **{"note": pair.fault, **more},
    )


def mask_curves(
    pair: Pair, settings: Settings, mask: MeasuredMask, drawn: Randomised | None, order: int
) -> list[CurveRecord | None]:
    """The FSC under a mask, and the same with the mask's own correlation taken out."""
    if mask.values is None or mask.extent is None:
        return []
    name = mask.record.name
    correlation = masked_correlation(pair, mask)
    sd = fsc.sampling_sd(correlation, voxels_in_shell(pair.box_px), mask.correlated * order)
    errors = Errors(voxels_in_shell(pair.box_px) / (mask.correlated * order), mask.together)
    found = [curve_record(pair, settings, name, name, correlation, drawn, sd=sd, errors=errors)]
    if drawn is not None:
        beyond = np.arange(len(sd)) >= drawn.onset_shell + fsc.SHELLS_PAST_ONSET
        rest = np.where(beyond, np.maximum(1 - drawn.mean, 1e-6), 1.0)
        below = replace(drawn, mean=np.where(beyond, 0.0, drawn.mean), sd=drawn.sd / rest)
        corrected = fsc.corrected(correlation, drawn.mean, drawn.onset_shell)
        errors = replace(errors, carried=1 - rest)
        found.append(
            curve_record(
                pair, settings, f"{name}_corrected", name, corrected, below, "corrected", sd=sd / rest, errors=errors
            )
        )
    return found


def scaled_curves(
    pair: Pair,
    facts: Facts,
    settings: Settings,
    measured: Sequence[MeasuredMask],
    found: dict[str, Randomised],
    order: int,
) -> list[CurveRecord | None]:
    """What cisTEM would print for these halves: scaled from a mask's volume to the particle's, never the headline."""
    mass_kDa = settings.program.molecular_mass_kDa or facts.molecular_mass_kDa
    if not mass_kDa or pair.fault is not None:
        return []
    from refine_hooks.curves.cistem import scaled_mask

    halves = (pair.half1.voxels, pair.half2.voxels, pair.voxel_size_A)
    cut_A = next(sphere_sizes(m).radius_A for m in measured if m.record.role == "sphere")
    radius_A = settings.sphere.radius_A or facts.sphere_radius_A or cut_A
    counts = voxels_in_shell(pair.box_px)
    records: list[CurveRecord | None] = []
    for mask in measured:
        if mask.values is None or mask.extent is None or mask.record.role == "automask":
            continue
        scaled = mask.scaled or scaled_mask(*halves, radius_A, mask.values, mass_kDa, softened=mask.softened)
        noise = (
            found[mask.record.name].sd
            if mask.record.name in found
            else fsc.sampling_sd(np.zeros(len(counts)), counts, mask.correlated * order)
        )
        records.append(
            curves.curve(
                f"{mask.record.name}_scaled",
                mask.record.name,
                scaled.part_fsc,
                pair.frequency_per_A,
                kind="scaled",
                threshold=settings.fsc.threshold,
                volume_fraction=scaled.volume_fraction,
                randomised_mean=np.zeros_like(noise),
                randomised_sd=scaled.gain * noise,
                sd=scaled.gain * fsc.sampling_sd(scaled.fsc, counts, mask.correlated * order),
                valid_shells=pair.valid_shells,
                note=f"by cisTEM's own rule {scaled.resolution_A:.2f} A",
            )
        )
    return records


def reproduced_to(pair: Pair, halves: HalfMaps, curve: FscCurve, measured: Sequence[MeasuredMask]) -> float | None:
    """The largest difference of a reported curve to what is counted the program's way: from the sums, or under its mask."""
    if curve.name in halves.of_sums:
        return _largest_before_the_last(halves.of_sums[curve.name], curve.correlation, halves.valid_shells)
    mask = next((m.values for m in measured if m.record.role == "refinement"), None)
    if curve.count is None or mask is None or len(curve.correlation) != pair.box_px // 2 + 1:
        return None
    apart = np.abs(curve.count(*pair.as_read, mask) - curve.correlation)[1:]
    return float(np.nanmax(apart)) if np.any(np.isfinite(apart)) else None


def _largest_before_the_last(own: Curve, stated: Curve, last: int | None) -> float | None:
    """Without the last shell that was summed up, of which the grid of the sums holds a part only."""
    shells = min(len(own), len(stated), last or len(own))
    apart = np.abs(own[1:shells] - stated[1:shells])
    return float(np.nanmax(apart)) if np.any(np.isfinite(apart)) else None


def reported_curve(
    curve: FscCurve, frequency_per_A: Curve, settings: Settings, reproduced: float | None = None
) -> CurveRecord | None:
    """One of the program's own curves, with the program's own reading of it, at the level that this was made at."""
    if not np.any(np.isfinite(curve.correlation)):
        return None
    values = np.full(len(frequency_per_A), np.nan)
    shells = min(len(values), len(curve.correlation))
    values[:shells] = curve.correlation[:shells]
    own = curve.resolution_A is not None
    record = curves.curve(
        f"reported_{curve.name}",
        curve.mask,
        values,
        frequency_per_A,
        kind="randomised" if curve.made == "randomised" else "reported",
        made=curve.made,
        threshold=(curve.level if own else None) or settings.fsc.threshold,
        rule=curve.rule if own else None,
        note=curve.note,
    )
    read = {"resolution_A": curve.resolution_A} if own else {}
    return record.model_copy(update={**read, "reproduced_to": reproduced})
