"""One pair of half maps -> masks, curves and what must be said of them: all of a round's record but its files.

Nothing here touches the disk. A pair that cannot give a number (identical, constant, empty) is measured as far as it can be,
and said, not scored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refine_hooks import curves, fsc, masks
from refine_hooks.errors import MapError, SettingsError
from refine_hooks.fourier import (
    Curve,
    Extent,
    HalfTransform,
    ShellSums,
    extent,
    shell_frequency_per_A,
    shell_sums,
    transform,
    voxels_in_shell,
)
from refine_hooks.fsc.null import Null, nulls
from refine_hooks.maps import Map, Volume
from refine_hooks.projects.adapter import Facts, FscCurve, HalfMaps, Round
from refine_hooks.records import Analysis, HalfMapsRecord, MaskRecord, RoundRecord, best_curve, now
from refine_hooks.records import Curve as CurveRecord
from refine_hooks.settings import Settings

if TYPE_CHECKING:
    from refine_hooks.analysis import Analysed

# Where a map holds nothing, float32 rounding leaves this share of its strongest shell's power at most.
_EMPTY_SHELL = 1e-11
_SAME = 1 - 1e-6
_SAME_VOXEL_SIZE = 2e-3


@dataclass(frozen=True, slots=True)
class NamedMask:
    """A mask to measure under: the user's, or ``refinement``, the program's own. ``map`` is None when it cannot be had.

    Attributes:
        cistem_edge: soften it as cisTEM does (any voxel above 0 counts, 10 Angstrom cosine edge) before measuring.
    """

    name: str
    map: Map | None
    path: Path | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    cistem_edge: bool = False


@dataclass(frozen=True, slots=True)
class MeasuredMask:
    """A mask's record and its voxels; the caller that writes the file fills in path and hash."""

    record: MaskRecord
    values: Volume | None
    extent: Extent | None = None
    correlated: float = 1.0  # see `fsc.correlated_voxels`
    correlation: Curve | None = None  # the FSC under it, where making the mask took it
    softened: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that was measured of one pair of half maps."""

    box_px: int
    voxel_size_A: float
    frequency_per_A: Curve
    voxels_in_shell: np.ndarray
    masks: tuple[MeasuredMask, ...]
    curves: tuple[CurveRecord, ...]
    analysis: Analysis | None
    sharpened: Volume | None
    notes: tuple[str, ...]
    average: Volume


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two half maps, their whole transforms, and what these say."""

    half1: Map
    half2: Map
    transforms: tuple[HalfTransform, HalfTransform]
    sums: ShellSums
    unmasked: Curve
    frequency_per_A: Curve
    onset_shell: int | None
    valid_shells: int | None
    fault: str | None  # why no number can be read off
    notes: tuple[str, ...]

    @property
    def box_px(self) -> int:
        return self.half1.box_px

    @property
    def voxel_size_A(self) -> float:
        return self.half1.voxel_size_A


def require_compatible(one: Map, other: Map, name: str) -> None:
    """Check that two maps have the same box and voxel size.

    Args:
        one: the map in question.
        other: the map that it must fit.
        name: what to call ``one`` in the message.

    Raises:
        MapError: names both boxes and both voxel sizes.
    """
    faults = []
    if one.voxels.shape != other.voxels.shape:
        boxes = (" x ".join(str(n) for n in m.voxels.shape) for m in (one, other))
        faults.append("{}: its box is {} voxels, the half map's is {}; make both in the same box".format(name, *boxes))
    if abs(one.voxel_size_A - other.voxel_size_A) > _SAME_VOXEL_SIZE * other.voxel_size_A:
        faults.append(
            f"{name}: its voxel size is {one.voxel_size_A:g} A, the half map's is {other.voxel_size_A:g} A;"
            " correct the header that is wrong, or resample"
        )
    if faults:
        raise MapError(*faults)


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
    pair = _prepared(halves, facts, settings)
    sphere, sphere_notes = _sphere(pair, facts, settings)
    own = [sphere, *_automask(pair, settings, sphere)]
    measured = [*own, *(_with_signal_outside(pair, _checked(pair, mask), own[-1]) for mask in named_masks)]
    found = _null_of(pair, measured, settings)
    sd = fsc.sampling_sd(pair.unmasked, voxels_in_shell(pair.box_px), 1.0)
    curve_records = [_curve(pair, settings, "unmasked", None, pair.unmasked, sd=sd)]
    for mask in measured:
        curve_records += _mask_curves(pair, settings, mask, found.get(mask.record.name))
    curve_records += _scaled(pair, facts, settings, measured, found)
    curve_records += [
        _reported(_counted_again(pair, curve, measured), pair.frequency_per_A, settings) for curve in reported
    ]
    kept = tuple(record for record in curve_records if record is not None)
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
        notes=(*facts.notes, *halves.notes, *pair.notes, *sphere_notes),
        average=np.multiply(pair.half1.voxels + pair.half2.voxels, np.float32(0.5)),
    )


def _prepared(halves: HalfMaps, facts: Facts, settings: Settings) -> _Pair:
    one, two = halves.half1, halves.half2
    require_compatible(two, one, str(halves.paths[1]) if halves.paths else "half map 2")
    transforms = (transform(one.voxels), transform(two.voxels))
    sums = shell_sums(*transforms)
    unmasked = fsc.correlation(sums)
    fault = _fault(one, two, sums, unmasked)
    valid, limit_note = _valid_shells(halves, facts, sums)
    notes = [note for note in (fault, limit_note) if note]
    onset_shell = fsc.onset(unmasked[: None if valid is None else valid + 1], settings.fsc.randomise_below)
    if onset_shell is None and fault is None:
        notes.append(
            f"the unmasked FSC never falls below {settings.fsc.randomise_below:g}: no phases were randomised, no curve is corrected"
        )
    frequency = shell_frequency_per_A(one.box_px, one.voxel_size_A)
    return _Pair(one, two, transforms, sums, unmasked, frequency, onset_shell, valid, fault, tuple(notes))


def _fault(one: Map, two: Map, sums: ShellSums, unmasked: Curve) -> str | None:
    """Why these halves cannot be scored, in words."""
    for name, half, power in (("half map 1", one, sums.power1), ("half map 2", two, sums.power2)):
        if not power[1:].max(initial=0) > _EMPTY_SHELL * power[0]:
            value = float(half.voxels.flat[0])
            return f"{name} is {'empty' if value == 0 else 'constant'}: there is nothing to correlate, no resolution is stated"
    measured = unmasked[1:][np.isfinite(unmasked[1:])]
    if np.all(measured >= _SAME):
        return "the two half maps are identical up to a factor: their FSC is 1 to Nyquist and says nothing, no resolution is stated"
    return None


def _valid_shells(halves: HalfMaps, facts: Facts, sums: ShellSums) -> tuple[int | None, str | None]:
    """The last shell that holds data, where that is not the last of all; and why, in words."""
    last = len(sums.cross) - 1
    limits = []
    if halves.valid_shells is not None:
        limits.append((halves.valid_shells, "the half maps hold nothing of their own"))
    if facts.reconstruction_limit_A and halves.origin != "reconstructed":
        extent_A = halves.half1.box_px * halves.half1.voxel_size_A
        limits.append((int(extent_A / facts.reconstruction_limit_A + 1e-6), "the program reconstructed nothing"))
    weakest = np.minimum(sums.power1, sums.power2)
    filled = np.flatnonzero(weakest[1:] > _EMPTY_SHELL * weakest[1:].max(initial=0))
    if filled.size:
        limits.append((int(filled[-1]) + 1, "the half maps are empty"))
    shell, why = min(limits, default=(last, ""))
    if shell >= last:
        return None, None
    limit_A = halves.half1.box_px * halves.half1.voxel_size_A / max(shell, 1)
    return (
        shell,
        f"beyond shell {shell} ({limit_A:.2f} A) {why}: nothing is measured there, and where it begins is no resolution",
    )


def _described(
    name: str,
    values: Volume,
    voxel_size_A: float,
    parameters: dict[str, Any],
    note: str | None,
    path: Path | None = None,
) -> MeasuredMask:
    found = extent(values)
    record = MaskRecord(
        name=name,
        path=str(path) if path else None,
        volume_A3=found.total * voxel_size_A**3,
        volume_fraction=found.total / values.size,
        parameters={**parameters, "sum": found.total, "sum_of_squares": found.squares},
        note=note,
    )
    return MeasuredMask(record, values, found, fsc.correlated_voxels(values))


def _sphere(pair: _Pair, facts: Facts, settings: Settings) -> tuple[MeasuredMask, list[str]]:
    edge_A = settings.sphere.edge_A
    largest_A = pair.box_px // 2 * pair.voxel_size_A - edge_A / 2
    asked_A = settings.sphere.radius_A or facts.sphere_radius_A or largest_A
    radius_A, notes = asked_A, []
    if asked_A > largest_A + 1e-3 * pair.voxel_size_A:
        radius_A = max(largest_A, pair.voxel_size_A)
        notes.append(f"a sphere of radius {asked_A:g} A does not fit into the box: {radius_A:g} A is used")
    values = masks.sphere(pair.box_px, pair.voxel_size_A, radius_A, edge_A)
    parameters = {"radius_A": radius_A, "edge_A": edge_A, "edge": "cosine, centred on the radius"}
    return _described("sphere", values, pair.voxel_size_A, parameters, notes[0] if notes else None), notes


def _automask(pair: _Pair, settings: Settings, sphere: MeasuredMask) -> list[MeasuredMask]:
    if not settings.automask.enabled:
        return []
    if pair.fault is not None:
        empty = MaskRecord(name="automask", volume_A3=0.0, volume_fraction=0.0, note=f"no mask was made: {pair.fault}")
        return [MeasuredMask(empty, None)]
    claim = None
    if pair.onset_shell is not None:
        claim = masks.Claim(pair.onset_shell, pair.sums, lambda curve: _claimed_shell(curve, pair, settings))
    made = masks.automask(
        pair.half1.voxels,
        pair.half2.voxels,
        pair.voxel_size_A,
        limit_radius_A=sphere.record.parameters["radius_A"],
        transforms=pair.transforms,
        claim=claim,
        finest_A=pair.box_px * pair.voxel_size_A / pair.valid_shells if pair.valid_shells else 0.0,
    )
    if made.values is None:
        empty = MaskRecord(
            name="automask", volume_A3=0.0, volume_fraction=0.0, parameters=made.parameters, note=made.note
        )
        return [MeasuredMask(empty, None)]
    described = _described("automask", made.values, pair.voxel_size_A, made.parameters, made.note)
    return [replace(described, correlation=made.correlation)]


def _claimed_shell(correlation: Curve, pair: _Pair, settings: Settings) -> float | None:
    curve = correlation if pair.valid_shells is None else correlation[: pair.valid_shells + 1]
    resolution_A = curves.resolution_A(curve, pair.frequency_per_A, settings.fsc.threshold)
    return pair.box_px * pair.voxel_size_A / resolution_A if resolution_A else None


def _checked(pair: _Pair, mask: NamedMask) -> MeasuredMask:
    if mask.map is None:
        path = str(mask.path) if mask.path else None
        record = MaskRecord(
            name=mask.name, path=path, volume_A3=0.0, volume_fraction=0.0, parameters=mask.parameters, note=mask.note
        )
        return MeasuredMask(record, None)
    name = str(mask.path or f"the mask {mask.name}")
    values, clipped = masks.checked(mask.map.voxels, mask.map.voxel_size_A, pair.box_px, pair.voxel_size_A, name)
    if mask.cistem_edge:
        from refine_hooks.masks.cistem import apply_mask_soft

        values = apply_mask_soft(values, pair.voxel_size_A)
    note = "; ".join(text for text in (mask.note, clipped) if text) or None
    described = _described(mask.name, values, pair.voxel_size_A, mask.parameters, note, mask.path)
    return replace(described, softened=mask.cistem_edge)


def _with_signal_outside(pair: _Pair, mask: MeasuredMask, automask: MeasuredMask) -> MeasuredMask:
    """The mask's record with the share of the signal that it leaves out, where the automask says where the signal is."""
    if mask.values is None or automask.values is None or automask.record.name != "automask":
        return mask
    found = masks.signal_outside(pair.transforms, pair.box_px, pair.voxel_size_A, mask.values, automask.values)
    if found is None:
        return mask
    parameters = {
        "signal_outside": round(found.share, 4),
        "signal_outside_sd": round(found.sd, 4),
        "signal_outside_at_A": [round(length, 1) for length in found.at_A],
    }
    record = mask.record.model_copy(update={"parameters": {**mask.record.parameters, **parameters}})
    return replace(mask, record=record)


def _null_of(pair: _Pair, measured: Iterable[MeasuredMask], settings: Settings) -> dict[str, Null]:
    volumes = {m.record.name: m.values for m in measured if m.values is not None and m.record.name != "sphere"}
    if pair.onset_shell is None or pair.fault is not None or not volumes:
        return {}
    return nulls(pair.transforms, volumes, pair.onset_shell, settings.fsc.repeats, settings.fsc.seed)


def _curve(
    pair: _Pair,
    settings: Settings,
    name: str,
    mask: str | None,
    correlation: Curve,
    null: Null | None = None,
    **more: Any,
) -> CurveRecord | None:
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


def _mask_curves(pair: _Pair, settings: Settings, mask: MeasuredMask, null: Null | None) -> list[CurveRecord | None]:
    if mask.values is None or mask.extent is None:
        return []
    name = mask.record.name
    correlation = mask.correlation
    if correlation is None:
        correlation = fsc.masked_fsc(pair.half1.voxels, pair.half2.voxels, mask.values, mask.extent.box)
    sd = fsc.sampling_sd(correlation, voxels_in_shell(pair.box_px), mask.correlated)
    found = [_curve(pair, settings, name, name, correlation, null, sd=sd)]
    if null is not None:
        beyond = np.arange(len(sd)) >= null.onset_shell + fsc.SHELLS_PAST_ONSET
        rest = np.where(beyond, np.maximum(1 - null.mean, 1e-6), 1.0)
        below = replace(null, mean=np.where(beyond, 0.0, null.mean), sd=null.sd / rest)
        sd = np.where(beyond, np.hypot(sd, null.sd / np.sqrt(null.repeats)) / rest, sd)
        corrected = fsc.corrected(correlation, null.mean, null.onset_shell)
        found.append(_curve(pair, settings, f"{name}_corrected", name, corrected, below, sd=sd))
    return found


def _scaled(
    pair: _Pair, facts: Facts, settings: Settings, measured: Sequence[MeasuredMask], found: dict[str, Null]
) -> list[CurveRecord | None]:
    """What cisTEM would print for these halves: scaled from a mask's volume to the particle's, never the headline."""
    from refine_hooks.curves.cistem import scaled_mask, scaled_sphere

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
        if mask.record.name == "sphere":
            scaled = scaled_sphere(*halves, radius_A, mass_kDa)
        else:
            scaled = scaled_mask(*halves, radius_A, mask.values, mass_kDa, softened=mask.softened)
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


def _counted_again(pair: _Pair, curve: FscCurve, measured: Sequence[MeasuredMask]) -> FscCurve:
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


def _analysed(
    pair: _Pair,
    halves: HalfMaps,
    facts: Facts,
    settings: Settings,
    measured: Sequence[MeasuredMask],
    kept: Sequence[CurveRecord],
) -> "Analysed | None":
    """The further measurements under the mask of the round's best curve, where they were asked for and mean something."""
    if not settings.fsc.full or pair.fault is not None or halves.origin == "regularised":
        return None
    curve = best_curve(kept)
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
    from refine_hooks.analysis import analyse
    from refine_hooks.sums.symmetry import rotations

    try:
        order = len(rotations(symmetry)) if symmetry else 1
    except SettingsError:
        order = 1
    correlation = np.array([np.nan if value is None else value for value in curve.correlation])
    return analyse(
        half1.voxels,
        half2.voxels,
        half1.voxel_size_A,
        mask,
        curve.mask or "",
        correlation,
        threshold=threshold,
        symmetry_order=order,
    )


def _reported(curve: FscCurve, frequency_per_A: Curve, settings: Settings) -> CurveRecord | None:
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


def round_record(
    round_: Round,
    halves: HalfMaps,
    measurement: Measurement,
    half_maps_record: HalfMapsRecord,
    mask_records: Sequence[MaskRecord],
    measured_in_s: float | None = None,
    former: RoundRecord | None = None,
    sharpened_path: str | None = None,
) -> RoundRecord:
    """The record of a measured round; the files' records come from whoever wrote them.

    Args:
        round_: what was measured.
        halves: of it.
        measurement: the result.
        half_maps_record: with the paths.
        mask_records: with paths and hashes.
        measured_in_s: wall time.
        former: the round before this one, of the same run and class: what the masks' volumes are compared with.
        sharpened_path: of the map to look at, where one was written.
    """
    analysis = measurement.analysis
    if analysis is not None and sharpened_path is not None:
        analysis = analysis.model_copy(update={"sharpened_path": sharpened_path})
    return RoundRecord(
        **_about(round_),
        box_px=measurement.box_px,
        voxel_size_A=measurement.voxel_size_A,
        frequency_per_A=tuple(measurement.frequency_per_A.tolist()),
        voxels_in_shell=tuple(measurement.voxels_in_shell.tolist()),
        half_maps=half_maps_record,
        masks=tuple(_against(former, mask) for mask in mask_records),
        curves=measurement.curves,
        analysis=analysis,
        notes=measurement.notes,
        measured_in_s=measured_in_s,
    )


def _against(former: RoundRecord | None, mask: MaskRecord) -> MaskRecord:
    """A mask's record with the change of its volume against the same mask of the former round."""
    before = former.mask(mask.name) if former is not None else None
    if before is None or not before.volume_A3 or not mask.volume_A3:
        return mask
    return mask.model_copy(update={"volume_change": mask.volume_A3 / before.volume_A3 - 1})


def reported_record(round_: Round, reported: Sequence[FscCurve], settings: Settings | None = None) -> RoundRecord:
    """The record of a round without half maps: what the program itself says of it."""
    settings = settings or Settings()
    shells = max((len(curve.correlation) for curve in reported), default=1)
    box_px = 2 * (shells - 1)
    voxel_size_A = round_.facts.voxel_size_A or 0.0
    frequency = shell_frequency_per_A(box_px, voxel_size_A) if box_px and voxel_size_A else np.zeros(shells)
    records = [_reported(curve, frequency, settings) for curve in reported] if voxel_size_A else []
    note = "this round has no half maps: only what the program reports is recorded"
    return RoundRecord(
        **_about(round_),
        box_px=box_px,
        voxel_size_A=voxel_size_A,
        frequency_per_A=tuple(frequency.tolist()),
        voxels_in_shell=tuple(voxels_in_shell(box_px).tolist()) if box_px else (0,),
        half_maps=None,
        curves=tuple(record for record in records if record is not None),
        notes=(*round_.facts.notes, note),
    )


def _about(round_: Round) -> dict[str, Any]:
    facts = round_.facts
    return {
        "program": round_.program,
        "label": round_.label,
        "measured_at": now(),
        "key": round_.key,
        "stamp": round_.stamp,
        "alignment_limit_A": facts.alignment_limit_A,
        "reconstruction_limit_A": facts.reconstruction_limit_A,
        "molecular_mass_kDa": facts.molecular_mass_kDa,
        "symmetry": facts.symmetry,
        "particles": facts.particles,
        "reported_resolution_A": facts.reported_resolution_A,
        "reported_rule": facts.reported_rule,
    }
