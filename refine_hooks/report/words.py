"""What the page says of a round in plain words: is it better, which curve misleads, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from refine_hooks.audit.reading import Finding, is_scaled, quoted
from refine_hooks.records import Curve, HalfMapsRecord, RoundRecord

Tone = Literal["better", "worse", "same", "first", "unknown"]

_MASKS = {
    "automask": "automask",
    "refinement": "refinement's mask",
    "sphere": "sphere",
    "user": "your mask",
    "unmasked": "no mask",
}
_ORIGINS = {
    "found": "unfiltered half maps found on disk",
    "merged": "half maps merged from the sums that the program wrote",
    "reconstructed": "half maps reconstructed here from the particles and this round's parameters",
    "regularised": "half maps that the program has filtered: not a source of a resolution",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The number of a round that the next one is compared with."""

    label: str
    curve: str
    resolution_A: float
    interval_A: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A round in three sentences; ``lying`` names the curve that misleads most, None where none does."""

    tone: Tone
    headline: str
    lying: str | None
    why: str


def curve_title(name: str) -> str:
    """The name of a curve in words, as the page and the figures print it."""
    if name.startswith("reported_"):
        return f"program's own: {name.removeprefix('reported_').replace('_', ' ')}"
    for ending, words in (("_corrected", ", corrected"), ("_scaled", ", scaled as cisTEM does")):
        if name.endswith(ending):
            return mask_title(name.removesuffix(ending)) + words
    return mask_title(name)


def mask_title(name: str) -> str:
    """The name of a mask in words."""
    return _MASKS.get(name, f"mask {name}")


def origin_words(half_maps: HalfMapsRecord | None) -> str:
    """Where the half maps come from and what is known to be wrong with them, in one sentence."""
    if half_maps is None:
        return "No half maps: only the curves that the program keeps."
    parts = [_ORIGINS[half_maps.origin]]
    if half_maps.masked_by:
        parts.append(f"masked by {half_maps.masked_by}")
    if half_maps.joined_below_A is not None:
        parts.append(f"joined below {half_maps.joined_below_A:g} Å")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def round_name(label: str) -> str:
    """A round's label as the beginning of a sentence."""
    return label[:1].upper() + label[1:] if label.lower().startswith("round") else f"Round {label}"


def standing(record: RoundRecord) -> Standing | None:
    """What the next round of this run and class has to beat; None where this round has no resolution."""
    curve = quoted(record)
    if curve is None or curve.resolution_A is None:
        return None
    return Standing(record.label, curve.name, curve.resolution_A, curve.interval_A)


def verdict(record: RoundRecord, previous: Standing | None, findings: Sequence[Finding]) -> Verdict:
    """Judge a round against the one before it, and pick the finding that a reader must not miss.

    Args:
        record: the round.
        previous: the last earlier round of the same run and class that has a resolution.
        findings: the findings of this round.
    """
    here = standing(record)
    tone, headline = _headline(record, here, previous)
    lying, why = _lie(record, findings)
    return Verdict(tone, headline, lying, why)


def _headline(record: RoundRecord, here: Standing | None, previous: Standing | None) -> tuple[Tone, str]:
    name = round_name(record.label)
    if here is None:
        return "unknown", f"{name} has no resolution that can be stood by: {_why_none(record)}"
    number = f"{here.resolution_A:.2f} Å"
    if previous is None:
        return (
            "first",
            f"{name}: {number}, read off “{curve_title(here.curve)}”. There is no earlier round to compare with.",
        )
    before = f"{previous.resolution_A:.2f} Å in {previous.label}"
    if previous.curve != here.curve:
        return "same", (
            f"{name}: {number} by “{curve_title(here.curve)}”; {before} was read off "
            f"“{curve_title(previous.curve)}”, so the two cannot be compared."
        )
    if _overlap(here, previous):
        return "same", f"{name} is no different: {number}, {before}; the intervals overlap."
    better = here.resolution_A < previous.resolution_A
    tone: Tone = "better" if better else "worse"
    return tone, f"{name} is {tone}: {number}, {before}."


def _overlap(one: Standing, other: Standing) -> bool:
    coarse_1, fine_1 = one.interval_A or (one.resolution_A, one.resolution_A)
    coarse_2, fine_2 = other.interval_A or (other.resolution_A, other.resolution_A)
    return fine_1 <= coarse_2 and fine_2 <= coarse_1


def _why_none(record: RoundRecord) -> str:
    if record.half_maps is not None and record.half_maps.origin == "regularised":
        return "its only half maps are filtered by the program."
    curve = quoted(record)
    if curve is None:
        return "there is no curve to read it off."
    return curve.note or f"“{curve_title(curve.name)}” has no crossing of the threshold."


def _lie(record: RoundRecord, findings: Sequence[Finding]) -> tuple[str | None, str]:
    """The first warning about a curve, scaled curves first; else the first warning; else a clean bill."""
    warnings = [finding for finding in findings if finding.severity == "warning"]
    named = [finding for finding in warnings if finding.curve is not None]
    named.sort(key=lambda finding: not is_scaled(finding.curve or ""))
    if named:
        return _accused(record, named[0]), named[0].message
    if warnings:
        return None, warnings[0].message
    notes = f" {len(findings)} notes below." if len(findings) > 1 else " One note below." if findings else ""
    return None, f"No curve of this round is caught misleading.{notes}"


def _accused(record: RoundRecord, finding: Finding) -> str:
    curve: Curve | None = record.curve(finding.curve or "")
    title = f"“{curve_title(finding.curve or '')}”"
    if curve is None or curve.resolution_A is None:
        return f"Do not trust {title}."
    return f"Do not trust {title}: it says {curve.resolution_A:.2f} Å."
