"""What the page says of a round in plain words: is it better, which FSC curve is suspicious, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from refine_hooks.audit import texts_of
from refine_hooks.audit.reading import Finding, quoted
from refine_hooks.audit.rules import doubt_of
from refine_hooks.log.better import change, overlap
from refine_hooks.log.curves import Curve, CurveKind
from refine_hooks.log.records import Analysis, HalfMapsRecord, RoundRecord
from refine_hooks.log.summary import CurveIdentity, CurveSummary, RoundSummary, identity_of
from refine_hooks.model import Independence, Masked, MaskRole, Origin
from refine_hooks.report.meaning import in_words

Tone = Literal["better", "worse", "same", "changed", "first", "reported", "doubtful", "unknown"]

_MASKS: dict[MaskRole, str] = {"automask": "automask", "refinement": "refinement mask", "sphere": "spherical mask"}
_YOURS = "user"  # the name of the one mask that the user gives without a name
_DONE: dict[CurveKind, str] = {"corrected": ", corrected", "scaled": ", volume-scaled"}
_PROGRAMS = {
    "cistem": "cisTEM",
    "relion": "RELION",
    "cryosparc": "cryoSPARC",
    "eman2": "EMAN2",
    "sphire": "SPHIRE",
    "warp": "M",
}
_PROGRAM_CURVES = {
    "reported_fsc": "FSC",
    "reported_part_fsc": "Part_FSC",
    "reported_gold_standard": "gold-standard FSC",
    "reported_postprocess_unmasked": "postprocess, unmasked",
    "reported_postprocess_masked": "postprocess, masked",
    "reported_postprocess_corrected": "postprocess, corrected",
    "reported_postprocess_randomised": "postprocess, phase-randomised",
}
_GIVEN = "half maps as given; what was done to them before is not known"
_VOUCHED = (
    "half maps on disk that the pattern of [generic] found: that they are unfiltered and unmasked is the user's word"
)
_ORIGINS: dict[Origin, str] = {
    "found": "unfiltered half maps on disk",
    "merged": "half maps from the Fourier sums that the program wrote",
    "reconstructed": "half maps reconstructed here from the particles and this round's parameters",
    "regularised": "half maps filtered by the program: no source of a resolution",
}
_MASKED: dict[Masked, str] = {
    "inscribed_sphere": "the sphere inscribed in the box",
    "sphere": "a sphere",
    "mask": "a mask",
}
INDEPENDENCE: dict[Independence, str] = {
    "independent": "refined independently",
    "shared_reference": "both halves aligned to one reference",
    "one_set_of_poses": "both halves made with one set of poses",
    "unknown": "independence not known",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The number of a round that the next one is compared with.

    Attributes:
        curve: name of the curve that it is read from.
        title: the same in words.
        threshold: the level that it is read at.
        origin: of the half maps; None where there are none.
        independence: of the half maps.
    """

    label: str
    curve: str
    title: str
    threshold: float
    resolution_A: float
    interval_A: tuple[float, float] | None = None
    origin: Origin | None = None
    independence: Independence | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A round in the three answers that a reader wants first.

    Attributes:
        tone: whether it is better than the round before; reported where the number is the program's own, doubtful where a warning
            doubts it.
        headline: the answer in a few words: "Better: 8.53 Å, was 10.42 Å".
        basis: what that was read from, and what it was compared with.
        against: label of the round that it was compared with; empty where there is none, or none that is alike.
        suspicious: the most suspicious FSC curve as the log names it; None where none is.
        doubt: what is suspicious, and the number that it shows; empty where nothing is.
        why: why it is suspicious, or that nothing is.
        do: what to do about it.
    """

    tone: Tone
    headline: str
    basis: str
    suspicious: str | None
    doubt: str
    why: str
    do: str
    against: str = ""


def program_name(program: str) -> str:
    """A program as its authors write it."""
    return _PROGRAMS.get(program, program)


def curve_title(curve: CurveIdentity) -> str:
    """The name of a curve in words, as the page and the figures print it."""
    if curve.of_program:
        own = curve.name.partition("_")[2].replace("_", " ")
        return f"{program_name(curve.program)} {_PROGRAM_CURVES.get(curve.name, own)}"
    if curve.mask is None:
        return "unmasked" + _DONE.get(curve.kind, "")
    return mask_title(curve.mask, curve.role) + _DONE.get(curve.kind, "")


def title_of(record: RoundRecord, curve: Curve) -> str:
    """The name of a record's curve in words."""
    return curve_title(identity_of(record, curve))


def mask_title(name: str, role: MaskRole | None) -> str:
    """The name of a mask in words."""
    return _MASKS.get(role or "user") or ("your mask" if name == _YOURS else f"mask {name}")


def origin_words(half_maps: HalfMapsRecord | None, program: str) -> str:
    """Where the half maps come from and what is known of them, in one sentence.

    Args:
        half_maps: of a round.
        program: of the same; of files that were given by name nobody knows what was done to them, and of those that a user's
            own pattern finds only the user does.
    """
    if half_maps is None:
        return "No half maps: only the curves that the program keeps."
    of_users = {"files": _GIVEN, "generic": _VOUCHED} if half_maps.origin == "found" else {}
    parts = [of_users.get(program, _ORIGINS[half_maps.origin]), INDEPENDENCE[half_maps.independence]]
    if half_maps.masked_by or half_maps.masked != "none":
        parts.append(f"masked by {half_maps.masked_by or _MASKED[half_maps.masked]}")
    if half_maps.joined_below_A is not None:
        parts.append(f"joined below {half_maps.joined_below_A:g} Å")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def round_name(label: str) -> str:
    """A round's label where it is not clear that a round is meant."""
    return label if "round" in label.lower() else f"round {label}"


def standing(record: RoundRecord) -> Standing | None:
    """What the next round of this run and class has to beat; None where this round has no resolution."""
    curve = quoted(record)
    if curve is None or curve.resolution_A is None:
        return None
    return _standing(record, CurveSummary(identity_of(record, curve), curve.resolution_A, curve.interval_A))


def standing_of(summary: RoundSummary) -> Standing | None:
    """The same from a round's summary."""
    curve = summary.headline_curve
    return None if curve is None else _standing(summary, curve)


def _standing(round_: RoundRecord | RoundSummary, curve: CurveSummary) -> Standing:
    assert curve.resolution_A is not None
    halves = round_.half_maps if isinstance(round_, RoundRecord) else round_
    return Standing(
        label=round_.label,
        curve=curve.name,
        title=curve_title(curve.identity),
        threshold=curve.identity.threshold,
        resolution_A=curve.resolution_A,
        interval_A=curve.interval_A,
        origin=halves.origin if halves else None,
        independence=halves.independence if halves else None,
    )


def verdict(record: RoundRecord, previous: Standing | None, findings: Sequence[Finding]) -> Verdict:
    """Judge a round against the one before it, and pick the finding that a reader must not miss.

    Args:
        record: the round.
        previous: the last earlier round of the same run and class that has a resolution.
        findings: the findings of this round.
    """
    here = standing(record)
    doubted = None if here is None else warning_of_number(here, findings)
    tone, headline, basis = _progress(record, here, previous)
    if here is not None and (doubted or record.headline_curve() is None):
        basis = _unmarked(tone, basis, here, previous, "" if doubted is None else ", if the number holds")
    if here is not None and record.headline_curve() is None:
        by = program_name(record.program)
        tone, headline = "reported", f"{here.resolution_A:.2f} Å, reported by {by}"
        basis = f"Not measured here. {basis}"
    if here is not None and doubted:
        tone, headline = "doubtful", f"{here.resolution_A:.2f} Å, {doubted[1]}"
    against = previous.label if here and previous and not unlike(here, previous) else ""
    return Verdict(tone, headline, basis, *_suspicious(record, findings), against)


def warning_of_number(here: Standing, findings: Sequence[Finding]) -> tuple[Finding, str] | None:
    """The first warning that doubts a round's number, and what it means for it; None where none does."""
    for finding in findings:
        doubt = doubt_of(finding.rule, finding.curve, here.curve)
        if finding.severity == "warning" and doubt:
            return finding, doubt.format_map(_Known(finding.evidence))
    return None


class _Known(dict[str, Any]):
    """A finding's evidence; what is not there is left open."""

    def __init__(self, evidence: Mapping[str, Any]) -> None:
        super().__init__(evidence)

    def __missing__(self, name: str) -> float:
        return float("nan")


def _progress(record: RoundRecord, here: Standing | None, previous: Standing | None) -> tuple[Tone, str, str]:
    if here is None:
        return "unknown", _no_number(record), _why_none(record)
    number = f"{here.resolution_A:.2f} Å"
    read = _read(here)
    if previous is None:
        return "first", number, f"{read}. There is no earlier round to compare with."
    before, earlier = f"{previous.resolution_A:.2f} Å", round_name(previous.label)
    other = unlike(here, previous)
    if other:
        return "changed", f"{number}, not comparable", f"{read}; the {before} of {earlier} are from {other}."
    against = f"{read}; compared with {earlier}"
    tone = change(previous, here, record.frequency_per_A[1])
    if tone is None or tone == "same":
        why = "the intervals overlap" if overlap(previous, here) else "less than one Fourier shell apart"
        return (
            "same",
            f"Unchanged within error: {number}, was {before}",
            f"{against}{_interval(previous, ' (', ')')}: {why}.",
        )
    return tone, f"{tone.capitalize()}: {number}, was {before}", f"{against}."


def _unmarked(tone: Tone, basis: str, here: Standing, previous: Standing | None, condition: str) -> str:
    """What a number was read from, with the comparison that its headline does not make."""
    compared = {"better": "better than", "worse": "worse than", "same": "unchanged within error since"}.get(tone)
    if compared is None or previous is None:
        return basis
    return f"{_read(here)}; {compared} {round_name(previous.label)} ({previous.resolution_A:.2f} Å){condition}."


def _read(here: Standing) -> str:
    """Criterion, curve and interval: "FSC = 0.143, automask, corrected; 90 % CI 8.6-8.1 Å"."""
    return f"{criterion(here)}{_interval(here, '; ')}"


def _interval(here: Standing, before: str, after: str = "") -> str:
    """The interval of a number between two marks; empty where none is known."""
    if here.interval_A is None:
        return ""
    coarse, fine = here.interval_A
    return f"{before}90 % CI {coarse:.2f}\N{EN DASH}{fine:.2f} Å{after}"


def criterion(here: Standing) -> str:
    """Level and curve that a number is read from: "FSC = 0.143, automask, corrected"."""
    return f"FSC = {here.threshold:g}, {here.title}"


def unlike(here: Standing, previous: Standing) -> str:
    """What the number before was read from, where the two are not of one kind; empty where they are."""
    if previous.curve != here.curve:
        return previous.title
    if previous.threshold != here.threshold:
        return f"FSC = {previous.threshold:g}"
    if previous.origin != here.origin:
        return _ORIGINS[previous.origin] if previous.origin else "a round without half maps"
    if previous.independence != here.independence:
        return f"half maps of another kind ({INDEPENDENCE[previous.independence or 'unknown']})"
    return ""


def _no_number(record: RoundRecord) -> str:
    return "No resolution: this round has no half maps" if record.half_maps is None else "No resolution"


def _why_none(record: RoundRecord) -> str:
    if record.half_maps is not None and record.half_maps.origin == "regularised":
        return "The only half maps are filtered by the program."
    if told := withheld_words(record):
        return told
    curve = quoted(record)
    if curve is None:
        return "There is no FSC curve."
    if curve.note:
        return in_words(curve.note, ())
    return f"The FSC ({title_of(record, curve)}) does not cross {curve.threshold:g}."


def withheld_words(record: RoundRecord) -> str:
    """Why no resolution is stated though curves were measured; empty where one is, or none was measured."""
    known = {
        "filtered": "The half maps were filtered by the program, so that their curves show its filter, too.",
        "masked": "The half maps were masked before they were measured, so that no curve of theirs is a resolution.",
        "no_signal": "The half maps share no more than noise does, so that no curve of theirs is a resolution.",
    }
    return next((known[reason] for reason in reversed(record.headline_withheld) if reason in known), "")


def _suspicious(record: RoundRecord, findings: Sequence[Finding]) -> tuple[str | None, str, str, str]:
    """The first warning about a curve, scaled curves first; else the first warning; else that there is none."""
    warnings = [finding for finding in findings if finding.severity == "warning"]
    scaled = {curve.name for curve in record.curves if curve.is_scaled}
    warnings.sort(key=lambda finding: (finding.curve is None, finding.curve not in scaled))
    if not warnings:
        notes = f" {len(findings)} notes below." if len(findings) > 1 else " One note below." if findings else ""
        return None, "", f"{_nothing_found(record)}{notes}", ""
    worst = warnings[0]
    known = texts_of(worst.rule)
    why = known.why or in_words(worst.message, titles(record))
    curve = record.curve(worst.curve)
    number = quoted(record)
    if curve is None or (number is not None and curve.name == number.name):
        return worst.curve, known.title, why, known.do
    claim = f" shows {curve.resolution_A:.2f} Å" if curve.resolution_A is not None else ""
    return worst.curve, f"{title_of(record, curve)}{claim}", why, known.do + _our_estimate(record)


def _nothing_found(record: RoundRecord) -> str:
    if record.half_maps is None:
        return "Not assessed: there are no half maps."
    return "No FSC curve of this round is suspicious."


def _our_estimate(record: RoundRecord) -> str:
    """The round's number with its curve, where it was measured here under a mask that follows the particle."""
    curve = record.headline_curve()
    if curve is None or curve.resolution_A is None or record.role(curve) in (None, "sphere"):
        return ""
    return f" Our estimate: {curve.resolution_A:.2f} Å ({title_of(record, curve)})."


def titles(record: RoundRecord) -> list[tuple[str, str]]:
    """Name and title of a round's curves."""
    return [(curve.name, title_of(record, curve)) for curve in record.curves]


def analysis_words(analysis: Analysis | None) -> list[str]:
    """The further measurements, where they were made."""
    if analysis is None:
        return []
    ends = {
        "half-bit": analysis.half_bit_A,
        "3-sigma": analysis.three_sigma_A,
        "false discovery rate of 1 %": analysis.fdr_A,
    }
    words = [f"other criteria: {', '.join(f'{name} {_length(end)}' for name, end in ends.items())}"]
    if analysis.b_factor_A2 is not None and analysis.b_factor_range_A is not None:
        coarse, fine = analysis.b_factor_range_A
        words.append(f"B factor {analysis.b_factor_A2:.0f} A^2, fitted from {coarse:.1f} to {fine:.1f} A")
    if analysis.sharpened_path:
        words.append(f"sharpened, to look at: {analysis.sharpened_path}")
    return [f"{words[0]} (under {analysis.mask})", *words[1:]]


def _length(length_A: float | None) -> str:
    return "-" if length_A is None else f"{length_A:.2f} A"
