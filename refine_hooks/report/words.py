"""What the page says of a round in plain words: is it better, which curve misleads, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from refine_hooks.audit import texts_of
from refine_hooks.audit.reading import Finding, quoted
from refine_hooks.log.better import change, overlap
from refine_hooks.log.records import Analysis, HalfMapsRecord, RoundRecord
from refine_hooks.report.meaning import in_words

Tone = Literal["better", "worse", "same", "changed", "first", "unknown"]

_MASKS = {
    "automask": "automask",
    "refinement": "refinement's mask",
    "sphere": "sphere",
    "user": "your mask",
    "unmasked": "no mask",
}
_GIVEN = "half maps as given; what was done to them before is not known"
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
    """A round in the three answers that a reader wants first.

    Attributes:
        tone: whether it is better than the round before.
        headline: the answer in a few words: "Better: 8.53 Å, was 10.42 Å".
        basis: what that was read off, and what it was compared with.
        lying: the curve that misleads most as the log names it; None where none does.
        accusation: what not to trust, and what it claims; empty where nothing is to be doubted.
        why: why it misleads, or that nothing does.
        do: what to do about it.
    """

    tone: Tone
    headline: str
    basis: str
    lying: str | None
    accusation: str
    why: str
    do: str


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


def origin_words(half_maps: HalfMapsRecord | None, program: str) -> str:
    """Where the half maps come from and what is known to be wrong with them, in one sentence.

    Args:
        half_maps: of a round.
        program: of the same; of files that were given by name nobody knows what was done to them.
    """
    if half_maps is None:
        return "No half maps: only the curves that the program keeps."
    given = program == "files" and half_maps.origin == "found"
    parts = [_GIVEN if given else _ORIGINS[half_maps.origin]]
    if half_maps.masked_by:
        parts.append(f"masked by {half_maps.masked_by}")
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
    return Standing(record.label, curve.name, curve.resolution_A, curve.interval_A)


def verdict(record: RoundRecord, previous: Standing | None, findings: Sequence[Finding]) -> Verdict:
    """Judge a round against the one before it, and pick the finding that a reader must not miss.

    Args:
        record: the round.
        previous: the last earlier round of the same run and class that has a resolution.
        findings: the findings of this round.
    """
    tone, headline, basis = _progress(record, standing(record), previous)
    return Verdict(tone, headline, basis, *_doubt(record, findings))


def _progress(record: RoundRecord, here: Standing | None, previous: Standing | None) -> tuple[Tone, str, str]:
    if here is None:
        return "unknown", "No resolution that can be stood by", _why_none(record)
    number, curve = f"{here.resolution_A:.2f} Å", f"“{curve_title(here.curve)}”{_between(here)}"
    if previous is None:
        return "first", number, f"Read off {curve}. There is no earlier round to compare with."
    before = f"{previous.resolution_A:.2f} Å"
    if previous.curve != here.curve:
        return (
            "changed",
            f"{number}, not comparable",
            f"Read off {curve}; the {before} of {round_name(previous.label)} were read off “{curve_title(previous.curve)}”.",
        )
    against = f"Read off {curve}; compared with {round_name(previous.label)}"
    tone = change(previous, here, record.frequency_per_A[1])
    if tone is None or tone == "same":
        why = "the intervals overlap" if overlap(previous, here) else "less than a shell apart"
        return "same", f"No different: {number}, was {before}", f"{against}: {why}."
    return tone, f"{tone.capitalize()}: {number}, was {before}", f"{against}."


def _between(here: Standing) -> str:
    return f" (90 %: {here.interval_A[0]:.2f} to {here.interval_A[1]:.2f} Å)" if here.interval_A else ""


def _why_none(record: RoundRecord) -> str:
    if record.half_maps is not None and record.half_maps.origin == "regularised":
        return "The only half maps are filtered by the program."
    curve = quoted(record)
    if curve is None:
        return "There is no curve to read it off."
    if curve.note:
        return in_words(curve.note, ())
    return f"“{curve_title(curve.name)}” has no crossing of the threshold."


def _doubt(record: RoundRecord, findings: Sequence[Finding]) -> tuple[str | None, str, str, str]:
    """The first warning about a curve, scaled curves first; else the first warning; else a clean bill."""
    warnings = [finding for finding in findings if finding.severity == "warning"]
    scaled = {curve.name for curve in record.curves if curve.is_scaled}
    warnings.sort(key=lambda finding: (finding.curve is None, finding.curve not in scaled))
    if not warnings:
        notes = f" {len(findings)} notes below." if len(findings) > 1 else " One note below." if findings else ""
        return None, "", f"No curve of this round is caught misleading.{notes}", ""
    worst = warnings[0]
    known = texts_of(worst.rule)
    why = known.why or in_words(worst.message, titles(record))
    if worst.curve is None:
        return None, known.title, why, known.do
    curve = record.curve(worst.curve)
    number = quoted(record)
    if curve is not None and number is not None and curve.name == number.name:
        return worst.curve, known.title, why, known.do
    claim = f" says {curve.resolution_A:.2f} Å" if curve is not None and curve.resolution_A is not None else ""
    read = f" Here: {number.resolution_A:.2f} Å." if number is not None and number.resolution_A is not None else ""
    return worst.curve, f"“{curve_title(worst.curve)}”{claim}", why, known.do + read


def titles(record: RoundRecord) -> list[tuple[str, str]]:
    """Name and title of a round's curves."""
    return [(curve.name, curve_title(curve.name)) for curve in record.curves]


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
    if analysis.cfar is not None:
        best, worst = _length(analysis.cfar_best_A), _length(analysis.cfar_worst_A)
        chance = f" (by chance {analysis.cfar_by_chance:.2f})" if analysis.cfar_by_chance is not None else ""
        words.append(
            f"conical FSC area ratio {analysis.cfar:.2f}{chance}: {best} in the best direction, {worst} in the worst"
        )
    if analysis.b_factor_A2 is not None and analysis.b_factor_range_A is not None:
        coarse, fine = analysis.b_factor_range_A
        words.append(f"B factor {analysis.b_factor_A2:.0f} A^2, fitted from {coarse:.1f} to {fine:.1f} A")
    if analysis.sharpened_path:
        words.append(f"sharpened, to look at: {analysis.sharpened_path}")
    return [f"{words[0]} (under {analysis.mask})", *words[1:]]


def _length(length_A: float | None) -> str:
    return "-" if length_A is None else f"{length_A:.2f} A"
