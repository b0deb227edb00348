"""What was measured, as the log holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, in_slabs, shell_frequency_per_A, voxels_in_shell
from refine_hooks.log.checks import Checks, differ_by_particle
from refine_hooks.log.curves import Curve as CurveRecord
from refine_hooks.log.headline import with_headline
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.particles import MoreParticles, Substitution
from refine_hooks.log.records import Analysis, HalfMapsRecord, RoundRecord, now
from refine_hooks.measure.noise import Noise
from refine_hooks.measure.scores import reported_curve
from refine_hooks.measure.under import MeasuredMask
from refine_hooks.model import FscCurve, HalfMaps, Masked, Round
from refine_hooks.settings import Settings

_TIGHTER: tuple[Masked, ...] = ("none", "inscribed_sphere", "sphere", "mask")
_NOISE_OUTSIDE = 0.1  # of that inside: uneven noise of sound half maps does not fall below it


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
    halves: tuple[Volume, Volume]
    noise: Noise | None = None
    checks: Checks | None = None
    masked_before: Masked | None = None

    @property
    def average(self) -> Volume:
        """Of the two half maps [z, y, x], made anew at every call."""
        half1, half2 = self.halves
        average = np.empty_like(half1)

        def work(begin: int, end: int) -> None:
            np.add(half1[begin:end], half2[begin:end], out=average[begin:end])
            average[begin:end] *= np.float32(0.5)

        in_slabs(work, len(average), 4)
        return average


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
    about = _about(round_)
    one, two = halves.images
    if halves.origin == "reconstructed" and one is not None and two is not None:
        about["particles"] = one + two
    record = RoundRecord(
        **about,
        box_px=measurement.box_px,
        voxel_size_A=measurement.voxel_size_A,
        frequency_per_A=tuple(measurement.frequency_per_A.tolist()),
        voxels_in_shell=tuple(measurement.voxels_in_shell.tolist()),
        half_maps=_as_tested(half_maps_record, measurement.masked_before, measurement.checks),
        checks=measurement.checks,
        masks=tuple(_against(former, mask) for mask in mask_records),
        curves=measurement.curves,
        analysis=analysis,
        notes=_notes_of(measurement, half_maps_record),
        measured_in_s=measured_in_s,
        more_particles=next((one for one in halves.measured if isinstance(one, MoreParticles)), None),
        substitution=next((one for one in halves.measured if isinstance(one, Substitution)), None),
    )
    return with_headline(record, measurement.noise.order if measurement.noise is not None else 1)


def _as_tested(half_maps: HalfMapsRecord, masked: Masked | None, checks: Checks | None) -> HalfMapsRecord:
    """The half maps' record with the mask that their noise shows, where that is not the one that is known."""
    if half_maps.origin == "regularised" or masked is None:
        return half_maps
    if _refuted(half_maps, masked, checks):
        return half_maps.model_copy(update={"masked": "none", "masked_by": None})
    if _TIGHTER.index(masked) <= _TIGHTER.index(half_maps.masked) or (
        checks is not None and differ_by_particle(checks)
    ):
        return half_maps
    return half_maps.model_copy(update={"masked": masked, "masked_by": None})  # what is stated is not this one


def _refuted(half_maps: HalfMapsRecord, masked: Masked | None, checks: Checks | None) -> bool:
    """Whether noise stands where the mask that a program puts on its half maps leaves none."""
    outside = checks.noise_outside if checks is not None else None
    stated = half_maps.masked in ("sphere", "mask")
    return stated and masked == "none" and outside is not None and outside > _NOISE_OUTSIDE


def _notes_of(measurement: Measurement, half_maps: HalfMapsRecord) -> tuple[str, ...]:
    if not _refuted(half_maps, measurement.masked_before, measurement.checks):
        return measurement.notes
    by = half_maps.masked_by or f"a {half_maps.masked}"
    return (
        *measurement.notes,
        f"the program masks its half maps ({by}); there is noise outside of these: they were not masked",
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
    records = [reported_curve(curve, frequency, settings) for curve in reported] if voxel_size_A else []
    note = "this round has no half maps: only what the program reports is recorded"
    record = RoundRecord(
        **_about(round_),
        box_px=box_px,
        voxel_size_A=voxel_size_A,
        frequency_per_A=tuple(frequency.tolist()),
        voxels_in_shell=tuple(voxels_in_shell(box_px).tolist()) if box_px else (0,),
        half_maps=None,
        curves=tuple(record for record in records if record is not None),
        notes=(*round_.facts.notes, note),
    )
    return with_headline(record)


def _about(round_: Round) -> dict[str, Any]:
    facts = round_.facts
    return {
        "program": round_.program,
        "label": round_.label,
        "measured_at": now(),
        "key": round_.key,
        "fingerprint": round_.fingerprint,
        "number": facts.number if facts.own_numbers else round_.key.iteration,
        "alignment_limit_A": facts.alignment_limit_A,
        "reconstruction_limit_A": facts.reconstruction_limit_A,
        "molecular_mass_kDa": facts.molecular_mass_kDa,
        "symmetry": facts.symmetry,
        "particles": facts.particles,
        "reported": facts.reported,
        "changes": facts.changes,
        "accuracy": facts.accuracy,
        "program_warnings": facts.program_warnings,
    }
