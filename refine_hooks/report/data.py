"""Records -> the compact JSON that the page draws: one short row a round, and each round's record apart.

The page gets a record as the log holds it, so that a new field needs no Python in between; what it shows in words is added under
``shown``. Numbers over the shells that lie within -3.2767..3.2767 are sent as 16-bit integers of 1/10000 in base64: a fifth of
what their decimal text takes, and exact to the four digits that the page shows.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from refine_hooks.audit import texts_of
from refine_hooks.audit.reading import Counts, Finding, counted
from refine_hooks.audit.rules import doubt_of
from refine_hooks.log.curves import Curve
from refine_hooks.log.records import Failed, RoundRecord, Start
from refine_hooks.log.summary import CurveIdentity, CurveSummary, RoundSummary
from refine_hooks.model import Key
from refine_hooks.report.by_direction import direction_words
from refine_hooks.report.local import convergence_words
from refine_hooks.report.meaning import in_words
from refine_hooks.report.quote import quote
from refine_hooks.report.what_helps import help_words, local_words_of
from refine_hooks.report.words import (
    Standing,
    curve_title,
    mask_title,
    origin_words,
    standing_of,
    title_of,
    titles,
    verdict,
)

STEP = 1e-4
UNDEFINED = -32768
_LARGEST = 32767
_DIGITS = 7  # significant ones of other numbers
_FROM_THE_BOX = {"frequency_per_A", "voxels_in_shell"}  # the page counts them itself
_TRENDS = {"cfar", "cfar_by_chance", "b_factor_A2"}
_NOISE_TRENDS = {"noise_by_direction": {"lowest", "highest", "lowest_axis", "highest_axis", "sd"}}
_FEW = 12  # numbers; a shorter array is sent as it is


def packed(values: Iterable[float | None] | None) -> str | None:
    """Values in -3.2767..3.2767 as little-endian int16 of 1/10000 in base64; what is None or NaN becomes `UNDEFINED`."""
    if values is None:
        return None
    numbers = np.array(list(values), np.float64)
    steps = np.clip(np.rint(numbers / STEP), -_LARGEST, _LARGEST)
    return base64.b64encode(np.where(np.isfinite(steps), steps, UNDEFINED).astype("<i2").tobytes()).decode("ascii")


def _compact(value: Any, shells: int) -> Any:
    """JSON with its numbers rounded, and correlations over the shells packed: ``{"packed": TEXT}``."""
    if isinstance(value, dict):
        return {name: _compact(part, shells) for name, part in value.items()}
    if not isinstance(value, list):
        return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
    if len(value) < _FEW or not all(one is None or isinstance(one, int | float) for one in value):
        return [_compact(one, shells) for one in value]
    if len(value) == shells and max((abs(one) for one in value if one is not None), default=0.0) <= STEP * _LARGEST:
        return {"packed": packed(value)}
    return [_compact(one, shells) for one in value]


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
        "independence": summary.independence,
        "particles": summary.particles,
        "headline": summary.headline,
        "res": {c.name: _numbers(c) for c in summary.curves if c.resolution_A is not None},
        "found": None if counts is None else [counts.warnings, counts.notes],
        "rules": [] if counts is None else list(counts.rules),
        "doubted": counts is not None and _doubted(counts, summary.headline),
    }


def _doubted(counts: Counts, headline: str | None) -> bool:
    """Whether a warning speaks against the number of a round."""
    return any(doubt_of(rule, curve, headline) for rule, curve in zip(counts.rules, counts.curves, strict=False))


def _numbers(curve: CurveSummary) -> list[float]:
    """Resolution, the level that it is read at, and the interval where there is one."""
    numbers = (curve.resolution_A or 0.0, curve.identity.threshold, *(curve.interval_A or ()))
    return [round(number, 6) for number in numbers]  # finer than what is shown, so that no number is rounded twice


def detail(record: RoundRecord, previous: Standing | None, findings: Sequence[Finding]) -> dict[str, Any]:
    """The record of a round, and what the page shows of it in words; but its pictures.

    Args:
        record: the round.
        previous: what it is compared with in words.
        findings: the findings of this round.
    """
    told = verdict(record, previous, findings)
    suspicious = {finding.curve for finding in findings if finding.severity == "warning"}
    suspicious -= {curve.name for curve in record.curves if curve.is_scaled and curve.name != told.suspicious}
    whole = record.model_dump(mode="json", exclude=_FROM_THE_BOX)
    shown = {
        "shells": len(record.frequency_per_A),
        "origin": origin_words(record.half_maps, record.program),
        "directions": direction_words(record),
        "help": help_words(record),
        "local": [*convergence_words(record.convergence, record.changes), *local_words_of(record)],
        "verdict": asdict(told),
        "quote": asdict(quote(record, findings)),
        "findings": [_finding(finding, record) for finding in findings],
        "curves": [_curve(curve, record, suspicious) for curve in record.curves],
        "masks": [{"title": mask_title(mask.name, mask.role)} for mask in record.masks],
    }
    return {**_compact(whole, len(record.frequency_per_A)), "key": str(record.key), "shown": shown}


def over_rounds(record: RoundRecord, name: str | None) -> dict[str, Any]:
    """What the page draws of a round beside the other rounds of its run and class: one curve, and the numbers of its trends."""
    curve = record.curve(name)
    return {
        "key": str(record.key),
        "box_px": record.box_px,
        "voxel_size_A": record.voxel_size_A,
        "shells": len(record.frequency_per_A),
        "correlation": None if curve is None else {"packed": packed(curve.correlation)},
        "masks": [{"name": mask.name, "volume_A3": mask.volume_A3} for mask in record.masks],
        "changes": record.changes and record.changes.model_dump(),
        "analysis": record.analysis and record.analysis.model_dump(include=_TRENDS),
        "checks": record.checks and record.checks.model_dump(include=_NOISE_TRENDS),
    }


def _finding(finding: Finding, record: RoundRecord) -> dict[str, Any]:
    told = in_words(finding.message, titles(record))
    return {**finding.model_dump(mode="json", exclude={"message"}), "title": texts_of(finding.rule).title, "told": told}


def _curve(curve: Curve, record: RoundRecord, suspicious: set[str | None]) -> dict[str, Any]:
    return {
        "title": title_of(record, curve),
        "role": record.role(curve),
        "mask_title": mask_title(curve.mask, record.role(curve)) if curve.mask else None,
        "visible": _visible_at_first(curve, record, suspicious),
        "note": in_words(curve.note, ()) if curve.note else None,
    }


def _visible_at_first(curve: Curve, record: RoundRecord, suspicious: set[str | None]) -> bool:
    """Ours but scaled ones, the suspicious scaled one, and of the program's own suspicious ones that have no twin among ours."""
    if not curve.of_program:
        return curve.name in suspicious or (curve.mask is not None and not curve.is_scaled) or len(record.curves) == 1
    twin = any(own.is_scaled == curve.is_scaled for own in record.curves if own.mask is not None and not own.of_program)
    return record.half_maps is None or (curve.name in suspicious and not twin)


def identity(curve: CurveIdentity) -> dict[str, Any]:
    """What a curve of the log is, and how it is called."""
    return {**asdict(curve), "title": curve_title(curve)}


def failure(line: Failed, findings: Sequence[Finding] = ()) -> dict[str, Any]:
    """A round that could not be measured, and what the audit says of it."""
    at = line.failed_at.isoformat(timespec="seconds")
    key = line.key
    where = {"key": str(key), "run": key.run, "iteration": key.iteration, "class": key.class_id}
    counts = counted(findings)
    found = {"found": [counts.warnings, counts.notes], "rules": list(counts.rules)}
    return {**where, **found, "label": line.label, "at": at, "reason": line.reason}


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
        here = standing_of(one)
        if here is not None:
            latest[track] = here
    return before


def standing_before(earlier: Iterable[RoundSummary]) -> Standing | None:
    """What a round has to beat, from earlier rounds of its run and class, the oldest first."""
    found = [here for summary in earlier if (here := standing_of(summary)) is not None]
    return found[-1] if found else None
