"""Rules about a round as a whole: where its halves come from, and what the program itself says of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from refine_hooks.audit.reading import (
    Finding,
    Severity,
    at,
    between,
    falls_after,
    found,
    measured,
    quoted,
    resolution,
    shell_of,
)
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.curves import beyond_neighbours
from refine_hooks.log.checks import SAME_SUMS, views_missing, views_preferred
from refine_hooks.log.curves import Curve, CurveKind
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import ProgramCurve
from refine_hooks.settings import Settings

UNEQUAL = 0.1
_HOW_UNFILTERED = {"relion": ", which RELION leaves for every iteration after what `refine-hooks install relion` says"}
SAME_CURVE = 0.05


@rule_of_round(
    Texts(
        "halves_altered",
        "The half maps are not as they were reconstructed",
        "They were filtered, masked or joined, and the FSC shows that.",
        "Measure unfiltered, unmasked half maps.",
        doubt="may be overestimated: the half maps were filtered, masked or joined",
    ),
    Texts(
        "one_set_of_poses",
        "Both halves were made with one set of poses",
        "Poses that all particles share fit the noise of both halves alike: the FSC is no gold standard.",
        "Quote the FSC of halves that were refined independently.",
        doubt="may be overestimated: both halves were made with one set of poses",
    ),
    Texts(
        "halves_unequal",
        "One half has fewer images than the other",
        "The FSC is that of the smaller half.",
        "Look how the particles were divided.",
    ),
)
def halves_unfit(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Half maps that are not what came out of the reconstruction, or not independent of each other."""
    halves = record.half_maps
    if halves is None:
        return
    masked = f", and were multiplied by a mask ({halves.masked_by or halves.masked})" if halves.masked != "none" else ""
    if halves.origin == "regularised":
        text = (
            f"the half maps are filtered by the program{masked}: their FSC shows its filter. No resolution is stated; take "
            f"unfiltered halves{_HOW_UNFILTERED.get(record.program, '')}"
        )
        yield found(record, "halves_altered", "warning", text, valid_shells=halves.valid_shells)
    elif halves.masked not in ("none", "inscribed_sphere") and record.checks is None:  # else `masked_halves` says it
        text = (
            f"the half maps were multiplied by a mask ({halves.masked_by or halves.masked}): every curve is at least that tight, "
            "and EMDB wants them unmasked. Merge or reconstruct them instead, where the sums or the particles are there"
        )
        yield found(record, "halves_altered", "note", text)
    if halves.independence == "one_set_of_poses":
        text = (
            "both halves were made with one set of poses: their FSC shows how consistent the images are, and is no gold standard. "
            "Quote the FSC of halves that were refined independently"
        )
        yield found(record, "one_set_of_poses", "warning", text, independence=halves.independence)
    curve = quoted(record)
    number = None if curve is None else resolution(record, curve)
    joined = halves.joined_below_A
    if joined and curve is not None and number is not None and number >= joined:
        text = (
            f"{curve.name} ends at {number:.2f} A, but the halves are one map up to {joined:.1f} A: the "
            "number is that of the joining. Take half maps that were not joined"
        )
        yield found(
            record, "halves_altered", "warning", text, curve=curve.name, joined_below_A=joined, resolution_A=number
        )
    one, two = halves.images
    if one and two and abs(one - two) > UNEQUAL * max(one, two):
        text = f"the halves are unequal, {one} and {two} images: the FSC is that of the smaller one; look how they were divided"
        yield found(record, "halves_unequal", "note", text, images=[one, two])


@rule_of_round(
    Texts(
        "reported_curve",
        "Our FSC and the program's differ",
        "They should be one curve. They were made from other maps or under another mask.",
        "Find out which one is right before either is quoted.",
        doubt="our FSC and the program's differ",
    ),
)
def reported_curve(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Our curve and the program's own, of the same halves under the same mask, differ."""
    for reported in record.curves:
        own = _like(record, reported)
        same = reported.reproduced_to is not None and reported.reproduced_to <= SAME_SUMS
        if own is not None and not same:
            yield from _difference(record, own, reported, settings)


_OWN: dict[ProgramCurve, CurveKind] = {
    "fsc": "measured",
    "masked": "measured",
    "corrected": "corrected",
    "scaled": "scaled",
}


def _like(record: RoundRecord, reported: Curve) -> Curve | None:
    """Our curve of the same kind under the same mask as one of the program's."""
    if reported.made == "unmasked":
        return record.under(None)
    kind = _OWN.get(reported.made) if reported.made is not None else None
    return record.under(reported.mask, kind) if kind is not None and reported.mask is not None else None


def _named(record: RoundRecord, role: str) -> str | None:
    return next((mask.name for mask in record.masks if mask.role == role), None)


def _difference(record: RoundRecord, own: Curve, reported: Curve, settings: Settings) -> Iterator[Finding]:
    one, other = measured(own), measured(reported)
    stop = min(len(one), len(other))
    falls = [falls_after(curve[:stop], own.threshold) for curve in (one, other)]
    last = max((fall for fall in falls if fall is not None), default=stop - 1) + 1
    if last < 3:
        return
    differences = beyond_neighbours(one[:stop], other[:stop]) if own.mask is None else np.abs(one[:stop] - other[:stop])
    mean = float(differences[1:last].mean())
    numbers = [resolution(record, curve, own.threshold) for curve in (own, reported)]
    places = [shell_of(record, number) for number in numbers if number]
    apart = places[0] - places[1] if len(places) == 2 else None
    if mean <= SAME_CURVE and (apart is None or abs(apart) <= settings.audit.disagree_shells):
        return
    worst = 1 + int(np.argmax(np.abs(one[1:last] - other[1:last])))
    said = " and ".join("never ends" if number is None else f"{number:.2f} A" for number in numbers)
    yield found(
        record,
        "reported_curve",
        "warning" if mean > SAME_CURVE else "note",
        f"{own.name} and the program's {reported.name} should be one curve and are not: {said}, "
        f"{mean:.2f} apart on average and {abs(one[worst] - other[worst]):.2f} at {at(record, worst):.2f} A. They were made from "
        "other half maps, another mask or another rule: compare the files named in the record",
        curve=own.name,
        shells=(1, last),
        mean_difference=mean,
        shells_apart=apart,
    )


@rule_of_round(
    Texts(
        "reported_number",
        "The program states another resolution",
        "Its mask, its scaling or its rule is another one.",
        "Quote the number whose mask and rule are known.",
    ),
)
def reported_number(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """The resolution that the program states, beside the one that the halves bear."""
    curve = record.headline_curve()
    if record.reported is None or curve is None:
        return
    stated, half = record.reported.resolution_A, record.reported.level == 0.5
    own = _read_like(record, curve, half, settings)
    if own is None or any(
        abs(shell_of(record, stated) - shell_of(record, known)) <= settings.audit.disagree_shells
        for known in (own, *_other_readings(record, half, settings))
    ):
        return
    shells = shell_of(record, stated) - shell_of(record, own)
    fine_A = curve.interval_A[1] if curve.interval_A is not None and not half else own
    severity: Severity = "warning" if shells > 0 and stated < fine_A else "note"
    better = "better" if shells > 0 else "worse"
    level = "0.5" if half else f"{curve.threshold:g}"
    yield found(
        record,
        "reported_number",
        severity,
        f"the program states {stated:.2f} A ({record.reported.rule or 'rule not stated'}), {curve.name} crosses {level} at "
        f"{own:.2f} A: {abs(stated - own):.2f} A {better} ({abs(shells):.0f} Fourier shells)",
        curve=curve.name,
        quote=f"Quote the number whose mask and rule are known: {own:.2f} A",
        shells=between(record, stated, own),
        reported_A=stated,
        own_A=own,
        shells_apart=shells,
    )


def _read_like(record: RoundRecord, curve: Curve, half: bool, settings: Settings) -> float | None:
    return curve.resolution_at_half_A if half else resolution(record, curve)


def _other_readings(record: RoundRecord, half: bool, settings: Settings) -> Iterator[float]:
    """What else the program may have read: the curve under its own mask, or, of FSC = 0.5, that of the whole map."""
    refinement, sphere = (_named(record, role) for role in ("refinement", "sphere"))
    under = [] if refinement is None else [record.under(refinement, "corrected"), record.under(refinement)]
    whole = [record.under(sphere) if sphere is not None else None, record.under(None)] if half else []
    for curve in (*under, *whole):
        number = None if curve is None else _read_like(record, curve, half, settings)
        if number is not None:
            yield number


@rule_of_round(
    Texts(
        "anisotropy",
        "The map is better in some directions than in others",
        "Viewing directions are missing, so one number does not describe the map.",
        "Look at the viewing directions. Quote the worst direction too.",
    ),
)
def anisotropy(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Views that are missing or preferred, as the noise by direction shows, or signal that is missing where noise is not.

    The cones under the mask say what that costs.
    """
    seen = record.checks.noise_by_direction if record.checks is not None else None
    cfar = _low_ratio(record, settings)
    if record.checks is not None and record.checks.one_sided:  # their difference is not the noise
        return
    if seen is None:  # a round of a version that did not look at the noise
        if cfar is not None:
            yield _anisotropic(record, "warning", f"the map is anisotropic: {_in_directions(record)}", cfar)
        return
    numbers = seen.lowest, seen.highest, seen.sd or 0.0
    if views_missing(*numbers):
        text = f"views are missing: {_at_axis(seen.lowest, seen.lowest_axis)}"
    elif views_preferred(*numbers):
        text = f"some views are preferred: {_at_axis(seen.highest, seen.highest_axis)}, {_at_axis(seen.lowest, seen.lowest_axis)}"
    elif (signal := record.checks and record.checks.signal_by_direction) and signal.missing:
        text = (
            "signal is missing in some directions, where the noise is as strong as elsewhere: "
            f"{signal.lowest:.2f} (+- {signal.sd:.2f}) of the mean signal{_about(signal.lowest_axis)}. It was taken out after the "
            "reconstruction, or the particle has none there"
        )
    else:
        return
    analysed = record.analysis is not None and record.analysis.cfar is not None
    ratio = f"; {_in_directions(record)}" if analysed else ""
    yield _anisotropic(record, "warning", text + ratio, cfar, lowest=seen.lowest, highest=seen.highest)


def _low_ratio(record: RoundRecord, settings: Settings) -> float | None:
    """The conical FSC area ratio where it is low, and lower than chance and the particle's shape make it."""
    analysis = record.analysis
    if analysis is None or analysis.cfar is None or analysis.cfar >= settings.audit.anisotropy_cfar:
        return None
    return analysis.cfar if analysis.cfar_by_chance is None or analysis.cfar < analysis.cfar_by_chance else None


def _at_axis(power: float, axis: tuple[float, float, float] | None) -> str:
    return f"{power:.2f} of the mean noise power{_about(axis)}"


def _about(axis: tuple[float, float, float] | None) -> str:
    return f" about the axis x, y, z = {', '.join(f'{part:.2f}' for part in axis)}" if axis is not None else ""


def _in_directions(record: RoundRecord) -> str:
    analysis = record.analysis
    assert analysis is not None
    best_A, worst_A = analysis.cfar_best_A, analysis.cfar_worst_A
    text = f"the conical FSC area ratio is {analysis.cfar:.2f}"
    if best_A and worst_A:
        text += f", {best_A:.2f} A in the best direction and {worst_A:.2f} A in the worst"
        if analysis.worst_axis is not None:
            text += f" (x, y, z = {', '.join(f'{part:.2f}' for part in analysis.worst_axis)})"
    return text


def _anisotropic(record: RoundRecord, severity: Severity, text: str, cfar: float | None, **numbers: Any) -> Finding:
    advice = "One number does not describe the map; look at the viewing directions, and state the range of directions"
    return found(record, "anisotropy", severity, f"{text}. {advice}", cfar=cfar, **numbers)
