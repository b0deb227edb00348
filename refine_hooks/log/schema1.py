"""Logs of schema 1, which are read for ever: a line of one becomes a record of today.

Schema 1 kept some numbers and kinds in names and sentences. This is the only place that reads them from there.
"""

import re
from collections.abc import Callable
from typing import Any

from refine_hooks.log.curves import state_of
from refine_hooks.log.headline import with_headline
from refine_hooks.log.records import LOG_LINE, SCHEMA_VERSION, LogLine, RoundRecord

Table = dict[str, Any]

_THRESHOLD = 0.143  # the default, where a line does not tell
_LEVEL = re.compile(r"(?<![\d.])(0?\.143|0?\.5)(?!\d)")
_READ_AT = re.compile(r"first crossing of ([0-9.e+-]+),")
_FRACTION = re.compile(r"volume fraction ([0-9.e+-]+)(?:; )?")
_REPRODUCED = re.compile(r"(?:; )?these half maps under .* give it back to ([0-9.e+-]+)$")
_ROUND_NUMBER = re.compile(r"\bround\s+(\d+)", re.I)
_RUN_ERR = "RELION's run.err: "
_MADE = (
    (("part_fsc", "mask_fraction", "molecular_weight", "scaled"), "scaled"),
    (("randomised", "randomized"), "randomised"),
    (("unmasked", "nomask"), "unmasked"),
    (("corrected", "noisesub"), "corrected"),
    (("masked", "mask", "maskedtight", "spherical"), "masked"),
)
_MASKS = {
    "reported_fsc": "sphere",
    "reported_part_fsc": "sphere",
    "reported_postprocess_masked": "refinement",
    "reported_postprocess_corrected": "refinement",
}
_WARNINGS = (
    (re.compile(r"dipped below 0\.5 and rose again|rose again", re.I), "fsc_rises_again"),
    (re.compile(r"never (drops|drop|falls|dropped) below 0\.8", re.I), "never_below_0.8"),
    (re.compile(r"unmasked FSC extends beyond", re.I), "unmasked_beyond_masked"),
    (re.compile(r"phase-randomi[sz]ed FSC is larger", re.I), "randomised_fsc_large"),
    (re.compile(r"\bwarning\b", re.I), "other"),
)


def upgraded(line: Table) -> LogLine:
    """A line of schema 1 as a record of this schema.

    Raises:
        ValidationError: it was no line of schema 1.
    """
    made = {"round": _round, "failed": _failed}.get(str(line.get("type")), lambda same: same)
    try:
        table = made(dict(line))
    except (AttributeError, KeyError, TypeError, ValueError):
        table = line  # what is wrong with it is found in the next line
    record = LOG_LINE.validate_python({**table, "schema_version": SCHEMA_VERSION}, extra="ignore")
    return with_headline(record) if isinstance(record, RoundRecord) else record


def _failed(line: Table) -> Table:
    return {**line, "fingerprint": line["stamp"]}


def _round(line: Table) -> Table:
    notes, warnings = _notes_and_warnings(line.get("notes") or [])
    rule, stated_A = line.get("reported_rule"), line.get("reported_resolution_A")
    return {
        **line,
        "fingerprint": line["stamp"],
        "number": _number(line),
        "half_maps": _half_maps(line),
        "reported": {"resolution_A": stated_A, "level": _level(rule), "rule": rule} if stated_A else None,
        "program_warnings": warnings,
        "masks": [_mask(mask) for mask in line.get("masks") or []],
        "curves": [_curve(curve) for curve in line.get("curves") or []],
        "notes": notes,
    }


def _number(line: Table) -> int | None:
    """cisTEM's iterations are ids that other runs share; its labels count."""
    if line["program"] != "cistem":
        return int(line["key"]["iteration"])
    match = _ROUND_NUMBER.search(line["label"])
    return int(match[1]) if match else None


def _level(rule: str | None) -> float | None:
    found = _LEVEL.search(rule or "")
    return float(found[1]) if found else None


def _notes_and_warnings(all_notes: list[str]) -> tuple[list[str], list[Table]]:
    notes, warnings = [], []
    for note in all_notes:
        code = next((code for pattern, code in _WARNINGS if pattern.search(note)), None)
        if code is None:
            notes.append(note)
        else:
            source = "run.err" if note.startswith(_RUN_ERR) else None
            warnings.append({"code": code, "text": note.removeprefix(_RUN_ERR), "source": source})
    return notes, warnings


def _half_maps(line: Table) -> Table | None:
    halves = line["half_maps"]
    if halves is None:
        return None
    words = halves.get("masked_by") or ""
    inscribed, round_ = "inscribed in the box" in words, "sphere" in words or "spherical" in words
    masked = "none" if not words else "inscribed_sphere" if inscribed else "sphere" if round_ else "mask"
    shared = line["program"] == "cistem" or line.get("alignment_limit_A")
    return {**halves, "masked": masked, "independence": "shared_reference" if shared else "unknown"}


def _mask(mask: Table) -> Table:
    told, name = mask.get("parameters") or {}, mask["name"]
    role = name if name in ("sphere", "automask", "refinement") else "program" if _of_program(told) else "user"
    parameters: dict[str, Callable[[Table], Table | None]] = {
        "sphere": _sphere,
        "automask": _automask,
        "user": lambda told: {"kind": "user"},
    }
    return {
        **mask,
        "role": role,
        "sum_of_squares": told.get("sum_of_squares"),
        "parameters": parameters.get(role, _program_mask)(told),
        "signal_outside": _outside(told),
    }


def _of_program(told: Table) -> bool:
    return any(name in told for name in ("made_by", "source", "file", "kind"))


def _outside(told: Table) -> Table | None:
    share, sd, at_A = (told.get(f"signal_outside{part}") for part in ("", "_sd", "_at_A"))
    return None if share is None else {"share": share, "sd": sd or 0.0, "at_A": at_A or (0.0, 0.0, 0.0)}


def _sphere(told: Table) -> Table | None:
    radius_A = told.get("radius_A")
    return None if radius_A is None else {"kind": "sphere", "radius_A": radius_A, "edge_A": told.get("edge_A", 10.0)}


def _automask(told: Table) -> Table:
    steps = [{**step, "randomised": step.get("null")} for step in told.get("steps") or []]
    return {**told, "kind": "automask", "steps": steps}


def _program_mask(told: Table) -> Table:
    kind = told.get("kind")
    made = kind if kind in ("supplied", "none") else "automask" if kind else None
    return {
        **told,
        "kind": "program",
        "made": made,
        "source": told.get("source") or told.get("made_by"),
        "file": told.get("file") or told.get("map"),
    }


def _curve(curve: Table) -> Table:
    kind, made = _kind(curve["name"])
    note, fraction = _taken(_FRACTION, curve.get("note"))
    note, reproduced_to = _taken(_REPRODUCED, note)
    threshold = _threshold(curve, kind)
    return {
        **curve,
        "kind": kind,
        "made": made,
        "mask": curve.get("mask") or _MASKS.get(curve["name"]),
        "threshold": threshold,
        "volume_fraction": fraction,
        "randomised_mean": curve.get("null_mean"),
        "randomised_sd": curve.get("null_sd"),
        "crossings": _each_once(curve.get("crossings") or []),
        "state": state_of(curve["correlation"], threshold),
        "reproduced_to": reproduced_to,
        "note": note,
    }


def _kind(name: str) -> tuple[str, str | None]:
    if name.startswith("reported_"):
        base = name.removesuffix("_after_tightening")
        made = next((made for endings, made in _MADE if base.endswith(endings)), "fsc")
        return ("randomised" if made == "randomised" else "reported"), made
    ending = name.rpartition("_")[2]
    return (ending if ending in ("corrected", "scaled") and ending != name else "measured"), None


def _taken(pattern: re.Pattern[str], note: str | None) -> tuple[str | None, float | None]:
    """A note without what a pattern finds in it, and the number found."""
    found = pattern.search(note or "")
    if note is None or found is None:
        return note, None
    return pattern.sub("", note).strip() or None, float(found[1])


def _threshold(curve: Table, kind: str) -> float:
    """The level that the number was read at: the rule tells, else the crossings do."""
    rule = curve.get("rule") or ""
    told = _READ_AT.search(rule)
    if told:
        return float(told[1])
    stated = _level(rule) if kind == "reported" and curve.get("resolution_A") else None
    others = [float(crossing["level"]) for crossing in curve.get("crossings") or [] if crossing["level"] != 0.5]
    return stated or next(iter(others), _THRESHOLD)


def _each_once(crossings: list[Table]) -> list[Table]:
    """Schema 1 held every crossing twice where the threshold was 0.5."""
    return [crossing for place, crossing in enumerate(crossings) if crossing not in crossings[:place]]
