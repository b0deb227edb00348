"""Rules that look at the shape of a round's curves: which of them is suspicious, and where."""

from collections.abc import Iterator

import numpy as np

from refine_hooks.audit.reading import (
    SUPPORTED_SD,
    Finding,
    Values,
    at,
    falls_after,
    found,
    is_quoted,
    listed,
    measured,
    one_cause,
    quoted,
    resolution,
    shell_of,
    spread,
    stretches,
    twice,
    unscaled_curves,
    values,
    whole_map,
)
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.kernels.order import quantile
from refine_hooks.log.curves import Curve
from refine_hooks.log.headline import CORRELATES
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings

NEAR_SHELLS = 3  # RELION, too, calls a second crossing a dip only when it lies more than three shells beyond the first
IDENTICAL = 0.9999
TAIL_SHARE = 0.1
RISE = 0.05
SPIKE = 0.1
FALLS = 1.25  # times, of the ratio of signal to noise over a tenth of the shells


@rule_of_round(
    Texts(
        "recrossing",
        "The FSC re-crosses the threshold",
        "One number cannot describe this curve. A mask's edge, duplicates or aligned noise make a curve rise again.",
        "Quote the first crossing only, and find out what makes the curve rise again.",
        doubt="the FSC re-crosses the threshold",
    ),
)
def recrossing(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A curve that falls below the level and comes back: either the first fall is a dip, or the return is an artefact."""
    yield from one_cause(record, _recrossings(record))


def _recrossings(record: RoundRecord) -> Iterator[Finding]:
    for curve in unscaled_curves(record):
        correlation = measured(curve)
        level = curve.threshold
        fall = falls_after(correlation, curve.threshold)
        back = [] if fall is None else stretches(correlation >= level, fall + 1)
        if fall is not None and back and not all(_lone(correlation, fall, *one) for one in back):
            yield _recrossing(record, curve, level, fall, back)


def _recrossing(record: RoundRecord, curve: Curve, level: float, fall: int, back: list[tuple[int, int]]) -> Finding:
    correlation, last = measured(curve), back[-1][1]
    widest = max(back, key=lambda one: one[1] - one[0])
    lasting = widest[1] - widest[0] + 1 >= NEAR_SHELLS and last > fall + NEAR_SHELLS
    lowest = float(correlation[fall + 1 : widest[0]].min())
    return found(
        record,
        "recrossing",
        "warning" if lasting and is_quoted(record, curve) and _above_null(curve, widest) else "note",
        f"{curve.name} falls below {level:g} at {resolution(record, curve, level) or at(record, fall):.2f} A, down to "
        f"{lowest:.3f}, and re-crosses it {_where(record, back)}. The number is that of the first fall; a dip of a few shells "
        "understates the map, and a tight mask makes false returns: see whether a wider mask shows the same",
        curve=curve.name,
        shells=(fall, last),
        first_A=at(record, fall),
        last_A=at(record, last),
        depth=level - lowest,
        returns=len(back),
    )


def _where(record: RoundRecord, stretches_of_shells: list[tuple[int, int]]) -> str:
    """Where a curve is above its level again, and how many shells that are."""
    first, last = stretches_of_shells[0][0], stretches_of_shells[-1][1]
    if first == last:
        return f"at {at(record, first):.2f} A (one shell)"
    shells = sum(end - begin + 1 for begin, end in stretches_of_shells)
    return f"between {at(record, first):.2f} and {at(record, last):.2f} A ({shells} shells)"


def _above_null(curve: Curve, stretch: tuple[int, int]) -> bool:
    """Whether a stretch of the curve is more than its null, where the null is known."""
    if curve.randomised_mean is None or curve.randomised_sd is None:
        return True
    limit = np.nan_to_num(values(curve.randomised_mean) + SUPPORTED_SD * values(curve.randomised_sd))
    first, last = stretch
    return bool(np.any(measured(curve)[first : last + 1] > limit[first : last + 1]))


def _lone(correlation: Values, fall: int, first: int, last: int) -> bool:
    """Whether shells first..last are one or two that stand out, far beyond the fall, among neighbours that are low."""
    if last - first > 1 or first <= fall + NEAR_SHELLS:
        return False
    before, after = correlation[max(fall + 1, first - 6) : first - 1], correlation[last + 2 : last + 7]
    around = np.concatenate((before, after))
    if len(around) < 4 or not np.isfinite(around).all():
        return False
    noise = spread(correlation[fall + NEAR_SHELLS :])
    return bool(correlation[first : last + 1].max() - quantile(around, 0.5) > max(SPIKE, 6 * np.nan_to_num(noise)))


@rule_of_round(
    Texts(
        "spike",
        "A single shell stands out among shells near zero",
        "Both halves share a pattern at one frequency: high symmetry, few viewing directions, or a fixed pattern of the detector.",
        "It is no resolution: read the first crossing, and do not refine that far.",
        doubt="a single shell stands out",
    ),
)
def spike(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Single shells that stand out beyond the resolution: high symmetry, a tilt axis, a fixed pattern of the detector."""
    yield from one_cause(record, _spikes(record))


def _spikes(record: RoundRecord) -> Iterator[Finding]:
    for curve in unscaled_curves(record):
        correlation = measured(curve)
        fall = falls_after(correlation, curve.threshold)
        high = [] if fall is None else stretches(correlation >= SPIKE, fall + 1)
        lone = [one for one in high if fall is not None and _lone(correlation, fall, *one)]
        if not lone:
            continue
        top = max(lone, key=lambda one: float(correlation[one[0] : one[1] + 1].max()))
        peak = float(correlation[top[0] : top[1] + 1].max())
        yield found(
            record,
            "spike",
            "warning" if peak >= curve.threshold and is_quoted(record, curve) else "note",
            f"{curve.name} has a spike of {peak:.2f} at {at(record, top[0]):.2f} A among shells near zero. It is not resolution: "
            "high symmetry, few views or a fixed pattern of the detector make spikes. Read the first crossing, and do not "
            "refine that far",
            curve=curve.name,
            shells=top,
            at_A=at(record, top[0]),
            height=peak,
            spikes=len(lone),
        )


@rule_of_round(
    Texts(
        "rising_tail",
        "The FSC rises towards Nyquist",
        "Real signal only falls. A mask's edge, interpolation or particles in both halves make a rise.",
        "Read no number beyond the first crossing. Look for duplicates and widen the mask.",
        doubt="the FSC rises towards Nyquist",
    ),
)
def rising_tail(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A curve that falls and then climbs towards its end."""
    yield from one_cause(record, _tails(record))


def _tails(record: RoundRecord) -> Iterator[Finding]:
    for curve in unscaled_curves(record):
        correlation = measured(curve)
        fall = falls_after(correlation, curve.threshold)
        width = max(4, round(TAIL_SHARE * len(correlation)))
        if fall is None or len(correlation) - fall <= 2 * width:
            continue
        beyond = correlation[fall + 1 :]
        means = np.convolve(beyond, np.full(width, 1 / width), "valid")
        end, lowest = float(means[-1]), float(means.min())
        noise = spread(np.diff(beyond)) / np.sqrt(2 * width)
        if end <= RISE or end - lowest <= max(RISE, 3 * np.nan_to_num(noise)):
            continue
        first = len(correlation) - width
        yield found(
            record,
            "rising_tail",
            "warning" if is_quoted(record, curve) else "note",
            f"{curve.name} climbs towards its end: {lowest:.2f} on average at its lowest, {end:.2f} between "
            f"{at(record, first):.2f} and {at(record, len(correlation) - 1):.2f} A. A mask's edge, interpolation, or particles "
            "that are in both halves do this: try a softer mask, and look for duplicates",
            curve=curve.name,
            shells=(first, len(correlation) - 1),
            end=end,
            lowest=lowest,
        )


@rule_of_round(
    Texts(
        "never_below",
        "The FSC never falls below the threshold",
        "Either the halves are not independent (the same particle in both), or there is signal up to Nyquist.",
        "Look for duplicate particles first. If there are none, re-extract with a smaller pixel size.",
        doubt="the FSC never falls below the threshold",
    ),
)
def never_below(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Curves that are above the level in every shell up to Nyquist; said once, of the one that matters most."""
    above = [curve for curve in unscaled_curves(record) if _stays_above(record, curve)]
    if not above or _identical(record):
        return
    curve = next((c for c in above if c is quoted(record)), above[0])
    correlation = measured(curve)
    end, last = float(correlation[-4:].mean()), len(correlation) - 1
    others = [other.name for other in above if other is not curve]
    yield found(
        record,
        "never_below",
        "warning"
        if any(c is whole_map(record) or c is record.under(None) or c is quoted(record) for c in above)
        else "note",
        f"{curve.name} never falls below {curve.threshold:g}: it still is {end:.2f} at Nyquist ({at(record, last):.2f} A), and "
        f"no resolution can be read off it{f' (nor off {listed(others)})' if others else ''}. {_why_above(record, curve)}",
        curve=curve.name,
        shells=(last - 3, last),
        at_nyquist=end,
        nyquist_A=at(record, last),
        curves=[other.name for other in above],
    )


def _stays_above(record: RoundRecord, curve: Curve) -> bool:
    correlation = measured(curve)
    return 4 <= len(correlation) >= len(record.frequency_per_A) and float(correlation[1:].min()) >= curve.threshold


def _why_above(record: RoundRecord, curve: Curve) -> str:
    """The likely cause: the mask's own correlation, signal up to Nyquist, or halves that share particles."""
    if count := twice(record):
        return f"{count} particles are in both halves by the particle table: remove these duplicates first, and refine again"
    correlation, null = measured(curve), values(curve.randomised_mean)
    width = max(4, round(TAIL_SHARE * len(correlation)))
    if curve.mask and null.size and np.nan_to_num(null[-width:]).mean() > CORRELATES:
        return (
            f"Randomised phases still give {np.nan_to_num(null[-width:]).mean():.2f} there: the mask {curve.mask!r} correlates by "
            "itself; give it a softer edge, or quote its corrected curve"
        )
    if _still_falls(measured(record.under(None) or curve), width):
        return "It is still falling, so the FSC reaches Nyquist: re-extract with a smaller pixel size"
    return (
        "It has levelled off, which resolution does not do: look for particles that are in both halves (duplicates, overlapping "
        "segments), then for a mask that correlates by itself"
    )


def _still_falls(correlation: Values, width: int) -> bool:
    """Whether the ratio of signal to noise falls over the last shells; what both halves share of the noise keeps it."""
    before, last = correlation[-2 * width : -width], correlation[-width:]
    if not before.size:
        return False
    one, other = (float(np.clip(part.mean(), 1e-3, 1 - 1e-6)) for part in (before, last))
    return one - other > RISE or one / (1 - one) > FALLS * other / (1 - other)


def _identical(record: RoundRecord) -> bool:
    curve = whole_map(record)
    return curve is not None and len(measured(curve)) > 3 and float(measured(curve)[1:].min()) > IDENTICAL


@rule_of_round(
    Texts(
        "identical_halves",
        "The two half maps are the same map",
        "A correlation of one at all frequencies is no measurement.",
        "Find out which file was taken twice.",
        doubt="not valid: both half maps are the same map",
    ),
)
def identical_halves(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Two half maps that are one map."""
    curve = whole_map(record)
    if curve is None or not _identical(record):
        return
    last, lowest = len(measured(curve)) - 1, float(measured(curve)[1:].min())
    given = record.program in ("files", "arrays")  # by name or from Python: they have no iteration
    start = record.key.iteration == 0 and not given
    advice = (
        "this is the starting reference, no measurement" if start else "check which files were taken for the two halves"
    )
    yield found(
        record,
        "identical_halves",
        "note" if start else "warning",
        f"the two half maps are the same map: {curve.name} is {lowest:.4f} or more down to {at(record, last):.2f} A; {advice}",
        curve=curve.name,
        shells=(1, last),
        lowest=lowest,
    )


@rule_of_round(
    Texts(
        "truncation",
        "The FSC is truncated at the resolution limit of this iteration",
        "The program reconstructed no further than this. What looks like a crossing is the end of the data.",
        "Look at a later round, or raise the limit of the reconstruction.",
        doubt="limited by the reconstruction: the FSC is truncated",
    ),
)
def truncation(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Curves that end, or drop to exactly zero, before they have fallen: a cut-off, not a resolution; said once a round."""
    cut = [
        (curve, shell) for curve in unscaled_curves(record) if (shell := _cut_at(record, curve, settings)) is not None
    ]
    if not cut:
        return
    curve, shell = next(((c, s) for c, s in cut if c is quoted(record)), cut[0])
    value, stated = float(measured(curve)[shell]), record.reported.resolution_A if record.reported else None
    own = stated is not None and abs(shell_of(record, stated) - shell) <= 1.5
    if not own and curve.of_program and curve is not quoted(record):
        return
    others = len(cut) - 1
    yield found(
        record,
        "truncation",
        "note",
        f"{curve.name} is cut off at {at(record, shell):.2f} A, where it still is {value:.2f}"
        f"{f' (so are {others} other curves)' if others > 1 else ' (so is one other curve)' if others else ''}: a limit of the "
        f"reconstruction, not a crossing{'; yet it is the number that the program states' if own else ''}. The map may be better: "
        "look at a round without this limit",
        curve=curve.name,
        shells=(shell, shell),
        cut_A=at(record, shell),
        value=value,
        curves=[c.name for c, _ in cut],
    )


def _cut_at(record: RoundRecord, curve: Curve, settings: Settings) -> int | None:
    """The last shell of a curve that was cut while it was above the level; None for one that fell by itself."""
    correlation = measured(curve)
    fall = falls_after(correlation, curve.threshold)
    if fall is not None:
        return fall if len(correlation) - fall > NEAR_SHELLS and not correlation[fall + 1 :].any() else None
    ends = 3 <= len(correlation) < len(record.frequency_per_A)
    return len(correlation) - 1 if ends and float(correlation[1:].min()) >= curve.threshold else None
