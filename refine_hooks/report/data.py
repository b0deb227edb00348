"""Records -> the compact JSON that the page draws: one short row a round, and the curves of a round apart.

Correlations are sent as 16-bit integers of 1/10000 in base64: a fifth of what their decimal text takes, and exact to the four
digits that the page shows.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from refine_hooks.audit import texts_of
from refine_hooks.audit.reading import Counts, Finding
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import Curve, Failed, RoundRecord, Start
from refine_hooks.log.summary import CurveSummary, RoundSummary
from refine_hooks.model import Key
from refine_hooks.report.meaning import in_words
from refine_hooks.report.words import Standing, analysis_words, curve_title, mask_title, origin_words, titles, verdict

STEP = 1e-4
UNDEFINED = -32768
_LARGEST = 32767


def packed(values: Iterable[float | None] | None) -> str | None:
    """Values in -3.2767..3.2767 as little-endian int16 of 1/10000 in base64; what is None or NaN becomes `UNDEFINED`."""
    if values is None:
        return None
    numbers = np.array(list(values), np.float64)
    steps = np.clip(np.rint(numbers / STEP), -_LARGEST, _LARGEST)
    return base64.b64encode(np.where(np.isfinite(steps), steps, UNDEFINED).astype("<i2").tobytes()).decode("ascii")


def row(summary: RoundSummary, counts: Counts | None) -> dict[str, Any]:
    """What the list of rounds and the plot of resolutions need of a round.

    Args:
        summary: the round.
        counts: how many findings it has; None where it has not been audited yet.
    """
    return {
        "key": str(summary.key),
        "label": summary.label,
        "program": summary.program,
        "run": summary.key.run,
        "iteration": summary.key.iteration,
        "class": summary.key.class_id,
        "at": summary.measured_at.isoformat(timespec="seconds"),
        "origin": summary.origin,
        "particles": summary.particles,
        "headline": summary.headline,
        "res": {c.name: _numbers(c) for c in summary.curves if c.resolution_A is not None},
        "found": None if counts is None else list(counts),
    }


def _numbers(curve: CurveSummary) -> list[float]:
    interval = curve.interval_A or ()
    return [round(value, 3) for value in (curve.resolution_A or 0.0, *interval)]


def detail(record: RoundRecord, previous: Standing | None, findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything else that the page shows of a round, but its pictures.

    Args:
        record: the round.
        previous: what it is compared with in words.
        findings: the findings of this round.
    """
    judged = verdict(record, previous, findings)
    accused = {finding.curve for finding in findings if finding.severity == "warning"}
    maps = record.half_maps
    return {
        "key": str(record.key),
        "box_px": record.box_px,
        "voxel_size_A": record.voxel_size_A,
        "shells": len(record.frequency_per_A),
        "program": record.program,
        "curves": [_curve(curve, record, accused) for curve in record.curves],
        "masks": [_mask(mask) for mask in record.masks],
        "half_maps": maps.model_dump(mode="json") if maps else None,
        "origin_words": origin_words(maps, record.program),
        "alignment_limit_A": record.alignment_limit_A,
        "reconstruction_limit_A": record.reconstruction_limit_A,
        "molecular_mass_kDa": record.molecular_mass_kDa,
        "symmetry": record.symmetry,
        "reported": record.reported.model_dump() if record.reported else None,
        "program_warnings": [warning.model_dump() for warning in record.program_warnings],
        "notes": list(record.notes),
        "analysis": analysis_words(record.analysis),
        "inputs": [[file.name, file.size, file.mtime_ns // 1_000_000] for file in record.fingerprint.inputs],
        "measured_in_s": record.measured_in_s,
        "verdict": asdict(judged),
        "findings": [_finding(finding, record) for finding in findings],
    }


def _finding(finding: Finding, record: RoundRecord) -> dict[str, Any]:
    told = in_words(finding.message, titles(record))
    return {**finding.model_dump(mode="json", exclude={"message"}), "title": texts_of(finding.rule).title, "told": told}


def _shown_at_first(curve: Curve, record: RoundRecord, accused: set[str | None]) -> bool:
    """Ours, and of the program's own those that are accused and have no twin among ours."""
    if not curve.of_program:
        return curve.name in accused or curve.name != "unmasked" or len(record.curves) == 1
    twin = any(own.is_scaled == curve.is_scaled for own in record.curves if own.mask is not None and not own.of_program)
    return record.half_maps is None or (curve.name in accused and not twin)


def _curve(curve: Curve, record: RoundRecord, accused: set[str | None]) -> dict[str, Any]:
    mask = curve.mask or ""
    return {
        "name": curve.name,
        **style(curve.name),
        "mask": curve.mask,
        "mask_title": mask_title(mask) if mask else None,
        "shown": _shown_at_first(curve, record, accused),
        "c": packed(curve.correlation),
        "randomised_mean": packed(curve.randomised_mean),
        "randomised_sd": packed(curve.randomised_sd),
        "resolution_A": curve.resolution_A,
        "interval_A": curve.interval_A,
        "half_A": curve.resolution_at_half_A,
        "significant_shell": curve.significant_shell,
        "onset_shell": curve.randomised_from_shell,
        "crossings": [
            [x.level, x.direction, x.shell, x.frequency_per_A, x.resolution_A, x.depth, x.shells]
            for x in curve.crossings
        ],
        "rule": curve.rule,
        "note": in_words(curve.note, ()) if curve.note else None,
    }


def style(name: str) -> dict[str, str]:
    """How a curve is called and drawn: ``family`` gives its colour, ``kind`` its line."""
    return {"title": curve_title(name), "family": _family(name), "kind": _kind(name)}


def _family(name: str) -> str:
    """The mask that a curve belongs to: all its curves share a colour."""
    if name.startswith("reported_"):
        return "reported"
    base = name.removesuffix("_corrected").removesuffix("_scaled")
    return base if base in ("unmasked", "sphere", "automask", "refinement") else "user"


def _kind(name: str) -> str:
    if name.endswith(("_scaled", "part_fsc", "mask_fraction", "molecular_weight")):
        return "scaled"
    return "corrected" if name.endswith("_corrected") else "masked"


def _mask(mask: MaskRecord) -> dict[str, Any]:
    return {**mask.model_dump(mode="json"), "title": mask_title(mask.name)}


def failure(line: Failed) -> dict[str, Any]:
    """A round that could not be measured."""
    at = line.failed_at.isoformat(timespec="seconds")
    return {"key": str(line.key), "label": line.label, "at": at, "reason": line.reason}


def provenance(start: Start | None) -> dict[str, Any]:
    """What the log says of the watch that wrote it."""
    if start is None:
        return {}
    return {
        "project": start.project,
        "program": start.program,
        "started_at": start.started_at.isoformat(timespec="seconds"),
        "versions": start.versions,
        "settings": start.settings,
        "host": start.host,
    }


def standings(summaries: Iterable[RoundSummary]) -> dict[Key, Standing | None]:
    """For every round the last one before it, of the same run and class, that has a resolution."""
    latest: dict[tuple[str, int], Standing] = {}
    before: dict[Key, Standing | None] = {}
    for one in sorted(summaries, key=lambda one: one.key.iteration):
        track = (one.key.run, one.key.class_id)
        before[one.key] = latest.get(track)
        here = _standing(one)
        if here is not None:
            latest[track] = here
    return before


def standing_before(earlier: Iterable[RoundSummary]) -> Standing | None:
    """What a round has to beat, from earlier rounds of its run and class, the oldest first."""
    found = [here for summary in earlier if (here := _standing(summary)) is not None]
    return found[-1] if found else None


def _standing(summary: RoundSummary) -> Standing | None:
    curve = summary.headline_curve
    if curve is None or curve.resolution_A is None:
        return None
    resolution_A, *interval = _numbers(curve)
    return Standing(summary.label, curve.name, resolution_A, (interval[0], interval[1]) if interval else None)
