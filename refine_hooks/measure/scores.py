"""The curves of a pair under its masks, with their null, their error, and what cisTEM would print."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refine_hooks import curves, fsc
from refine_hooks.fourier import Curve, voxels_in_shell
from refine_hooks.fsc.null import Null, null
from refine_hooks.log.records import Curve as CurveRecord
from refine_hooks.measure.pair import Pair
from refine_hooks.measure.under import MeasuredMask
from refine_hooks.model import Facts, FscCurve
from refine_hooks.settings import Settings


def null_of(pair: Pair, measured: Iterable[MeasuredMask], settings: Settings) -> dict[str, Null]:
    """The null of every mask but the sphere, by name; none where no phases are randomised."""
    if pair.onset_shell is None or pair.fault is not None:
        return {}
    drawing = (pair.onset_shell, settings.fsc.repeats, settings.fsc.seed)
    return {
        mask.record.name: null(pair.transforms, mask.values, *drawing, mask.extent.box)
        for mask in measured
        if mask.values is not None and mask.extent is not None and mask.record.name != "sphere"
    }


def curve_record(
    pair: Pair,
    settings: Settings,
    name: str,
    mask: str | None,
    correlation: Curve,
    null: Null | None = None,
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
        threshold=settings.fsc.threshold,
        null_mean=null.mean if null else None,
        null_sd=null.sd if null else None,
        onset_shell=null.onset_shell if null else None,
        valid_shells=pair.valid_shells,
        scored=pair.fault is None,
        **{"note": pair.fault, **more},
    )


def mask_curves(pair: Pair, settings: Settings, mask: MeasuredMask, null: Null | None) -> list[CurveRecord | None]:
    """The FSC under a mask, and the same with the mask's own correlation taken out."""
    if mask.values is None or mask.extent is None:
        return []
    name = mask.record.name
    correlation = mask.correlation
    if correlation is None:
        correlation = fsc.masked_fsc(pair.half1.voxels, pair.half2.voxels, mask.values, mask.extent.box)
    sd = fsc.sampling_sd(correlation, voxels_in_shell(pair.box_px), mask.correlated)
    found = [curve_record(pair, settings, name, name, correlation, null, sd=sd)]
    if null is not None:
        beyond = np.arange(len(sd)) >= null.onset_shell + fsc.SHELLS_PAST_ONSET
        rest = np.where(beyond, np.maximum(1 - null.mean, 1e-6), 1.0)
        below = replace(null, mean=np.where(beyond, 0.0, null.mean), sd=null.sd / rest)
        sd = np.where(beyond, np.hypot(sd, null.sd / np.sqrt(null.repeats)) / rest, sd)
        corrected = fsc.corrected(correlation, null.mean, null.onset_shell)
        found.append(curve_record(pair, settings, f"{name}_corrected", name, corrected, below, sd=sd))
    return found


def scaled_curves(
    pair: Pair, facts: Facts, settings: Settings, measured: Sequence[MeasuredMask], found: dict[str, Null]
) -> list[CurveRecord | None]:
    """What cisTEM would print for these halves: scaled from a mask's volume to the particle's, never the headline."""
    from refine_hooks.curves.cistem import scaled_mask

    mass_kDa = settings.program.molecular_mass_kDa or facts.molecular_mass_kDa
    if not mass_kDa or pair.fault is not None:
        return []
    halves = (pair.half1.voxels, pair.half2.voxels, pair.voxel_size_A)
    radius_A = next(float(m.record.parameters["radius_A"]) for m in measured if m.record.name == "sphere")
    counts = voxels_in_shell(pair.box_px)
    records: list[CurveRecord | None] = []
    for mask in measured:
        if mask.values is None or mask.extent is None or mask.record.name == "automask":
            continue
        scaled = mask.scaled or scaled_mask(*halves, radius_A, mask.values, mass_kDa, softened=mask.softened)
        noise = (
            found[mask.record.name].sd
            if mask.record.name in found
            else fsc.sampling_sd(np.zeros(len(counts)), counts, mask.correlated)
        )
        records.append(
            curves.curve(
                f"{mask.record.name}_scaled",
                mask.record.name,
                scaled.part_fsc,
                pair.frequency_per_A,
                threshold=settings.fsc.threshold,
                null_mean=np.zeros_like(noise),
                null_sd=scaled.gain * noise,
                sd=scaled.gain * fsc.sampling_sd(scaled.fsc, counts, mask.correlated),
                valid_shells=pair.valid_shells,
                note=f"volume fraction {scaled.volume_fraction:.4g}; by cisTEM's own rule {scaled.resolution_A:.2f} A",
            )
        )
    return records


def counted_again(pair: Pair, curve: FscCurve, measured: Sequence[MeasuredMask]) -> FscCurve:
    """The same curve, and in its note how well these halves under the refinement's mask give it back, counted the program's way."""
    mask = next((m.values for m in measured if m.record.name == "refinement"), None)
    if curve.count is None or mask is None or len(curve.correlation) != pair.box_px // 2 + 1:
        return curve
    again = curve.count(pair.half1.voxels, pair.half2.voxels, mask)
    apart = np.abs(again - curve.correlation)[1:]
    if not np.any(np.isfinite(apart)):
        return curve
    worst = float(np.nanmax(apart))
    said = f"these half maps under the refinement's mask, counted the program's way, give it back to {worst:.0e}"
    return replace(curve, note="; ".join(text for text in (curve.note, said) if text))


def reported_curve(curve: FscCurve, frequency_per_A: Curve, settings: Settings) -> CurveRecord | None:
    """One of the program's own curves, with the program's own reading of it."""
    if not np.any(np.isfinite(curve.correlation)):
        return None
    values = np.full(len(frequency_per_A), np.nan)
    shells = min(len(values), len(curve.correlation))
    values[:shells] = curve.correlation[:shells]
    record = curves.curve(
        f"reported_{curve.name}", None, values, frequency_per_A, threshold=settings.fsc.threshold, note=curve.note
    )
    return (
        record.model_copy(update={"resolution_A": curve.resolution_A, "rule": curve.rule})
        if curve.resolution_A
        else record
    )
