"""Rules that look from round to round: worse, oscillating, jumping, missing, failed, repeated."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from refine_hooks.audit.reading import Finding, between, found, measured, quoted, resolution, shell_of
from refine_hooks.audit.rules import Texts, rule_of_log
from refine_hooks.log.better import change
from refine_hooks.log.curves import Curve
from refine_hooks.log.file import Journal
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Key, WarningCode
from refine_hooks.settings import Settings

MUCH_WORSE = 0.2
_MASK_CHANGE = 0.05
SWINGS = 3
_PROGRAM_WARNINGS: dict[WarningCode, str] = {
    "fsc_rises_again": "It took the higher resolution, the one after the dip: too tight a mask, or a false return near the limit. "
    "Compare with the corrected curve, and refine on with a softer mask",
    "never_below_0.8": "It left the correction for its mask out, so its own number may be the mask's",
    "unmasked_beyond_masked": "Its mask takes signal away: look at the mask's outline, and widen it",
    "randomised_fsc_large": "Mask-induced correlation: give it a softer edge and less detail",
    "other": "See the program's own output",
}

Series = list[RoundRecord]


def series(rounds: Iterable[RoundRecord]) -> list[Series]:
    """The rounds of each run and class in the order of their iterations."""
    grouped: dict[tuple[str, int], Series] = defaultdict(list)
    for record in rounds:
        grouped[record.key.run, record.key.class_id].append(record)
    return [sorted(group, key=lambda record: record.key.iteration) for group in grouped.values()]


def _same_measure(group: Series) -> list[list[tuple[RoundRecord, Curve, float]]]:
    """Rounds with a resolution, divided into those that were read off the same curve of the same kind of halves."""
    divided: dict[tuple[str, str], list[tuple[RoundRecord, Curve, float]]] = defaultdict(list)
    for record in group:
        curve = quoted(record)
        number = None if curve is None else resolution(record, curve, curve.threshold)
        if curve is not None and number is not None:
            divided[curve.name, _origin(record)].append((record, curve, number))
    return list(divided.values())


def _origin(record: RoundRecord) -> str:
    return record.half_maps.origin if record.half_maps else ""


@rule_of_log(
    Texts(
        "worse",
        "This round is worse than an earlier one",
        "The resolution became worse by more than its uncertainty.",
        "Keep the better round. Find out what was changed between them.",
    ),
)
def worse(log: Journal, settings: Settings) -> Iterator[Finding]:
    """A round that is worse than the best one before it by more than either interval; one no worse than the last is not told."""
    limit = settings.audit.disagree_shells
    for group in series(log.rounds):
        for rounds in _same_measure(group):
            best: tuple[RoundRecord, Curve, float] | None = None
            told_A: float | None = None
            for record, curve, number in rounds:
                said = list(_worse(record, curve, number, best, settings)) if best is not None else []
                again = told_A is not None and shell_of(record, told_A) - shell_of(record, number) <= limit
                yield from () if again else said
                told_A = number if said else None
                if best is None or number < best[2]:
                    best = (record, curve, number)


def _worse(
    record: RoundRecord, curve: Curve, number: float, best: tuple[RoundRecord, Curve, float], settings: Settings
) -> Iterator[Finding]:
    before, its_curve, its_number = best
    shells = shell_of(record, its_number) - shell_of(record, number)
    if shells <= settings.audit.disagree_shells or change(its_curve, curve, record.frequency_per_A[1]) != "worse":
        return
    much = number > its_number * (1 + MUCH_WORSE)
    yield found(
        record,
        "worse",
        "warning" if much else "note",
        f"{curve.name} went from {its_number:.2f} A in {before.key} to {number:.2f} A, {shells:.0f} shells worse: "
        + _advice(before, record, much),
        curve=curve.name,
        shells=between(record, number, its_number),
        before_A=its_number,
        now_A=number,
        best_round=str(before.key),
    )


def _advice(before: RoundRecord, record: RoundRecord, much: bool) -> str:
    """What is not the same in the two rounds, where that is known."""
    changed = []
    if before.particles and record.particles and before.particles != record.particles:
        changed.append(f"{before.particles} -> {record.particles} particles")
    if (before.alignment_limit_A or 0) != (record.alignment_limit_A or 0):
        limits = (
            f"{limit:.2f} A" if limit else "none" for limit in (before.alignment_limit_A, record.alignment_limit_A)
        )
        changed.append("alignment limit " + " -> ".join(limits))
    for mask in record.masks:
        earlier = before.mask(mask.name)
        if earlier is not None and mask.volume_A3 > 0 and _jumped(earlier.volume_A3, mask.volume_A3, _MASK_CHANGE):
            changed.append(f"mask {mask.name!r} {earlier.volume_A3 / 1e3:.0f} -> {mask.volume_A3 / 1e3:.0f} nm3")
    if changed:
        return f"what changed is {', '.join(changed)}; look there first"
    if much:
        return "particles, masks and limits are as before: look at the settings of the round"
    return "nothing else changed; more rounds like this one will not help"


@rule_of_log(
    Texts(
        "oscillates",
        "The rounds alternate between two resolutions",
        "The refinement does not settle: the mask or the limit changes from round to round.",
        "Quote none of them alone. Keep the limit or the mask fixed.",
    ),
)
def oscillates(log: Journal, settings: Settings) -> Iterator[Finding]:
    """Better, worse, better, worse: the last rounds swing by more than shells that matter."""
    for group in series(log.rounds):
        for rounds in _same_measure(group):
            last = rounds[-(SWINGS + 2) :]
            steps = np.diff([shell_of(record, number) for record, _, number in last])
            if len(steps) < SWINGS + 1:
                continue
            alternate = bool(np.all(np.sign(steps[1:]) == -np.sign(steps[:-1])))
            if not alternate or float(np.abs(steps).min()) <= settings.audit.disagree_shells:
                continue
            record, curve, _ = last[-1]
            numbers = [number for _, _, number in last]
            yield found(
                record,
                "oscillates",
                "note",
                f"{curve.name} swings between {min(numbers):.2f} and {max(numbers):.2f} A in the last {len(last)} rounds: the "
                "refinement does not settle. Quote none of them alone; a fixed limit, or a fixed mask, makes it settle",
                curve=curve.name,
                shells=between(record, max(numbers), min(numbers)),
                resolutions_A=numbers,
            )


@rule_of_log(
    Texts(
        "particles_jumped",
        "The number of particles changed a lot",
        "The two resolutions are not of the same data.",
        "Make sure that this was meant.",
    ),
    Texts(
        "mask_jumped",
        "The mask's volume changed a lot",
        "A change of resolution may be the mask's alone.",
        "Look at its outline.",
    ),
)
def jumps(log: Journal, settings: Settings) -> Iterator[Finding]:
    """The number of particles, or the volume of a mask, is not what it was a round before."""
    limit = settings.audit.jump_fraction
    for group in series(log.rounds):
        for before, record in pairwise(group):
            if before.particles and record.particles and _jumped(before.particles, record.particles, limit):
                change = record.particles / before.particles - 1
                text = (
                    f"{record.particles} particles, {100 * change:+.0f} % against {before.key} ({before.particles}): the two "
                    "resolutions are not of the same data; make sure that this was meant"
                )
                yield found(record, "particles_jumped", "note", text, before=before.particles, now=record.particles)
            if _origin(before) == _origin(record):
                yield from _mask_jumps(before, record, limit)


def _jumped(before: float, now: float, limit: float) -> bool:
    return abs(now - before) > limit * before


def _mask_jumps(before: RoundRecord, record: RoundRecord, limit: float) -> Iterator[Finding]:
    pairs = [(earlier, mask) for mask in record.masks if (earlier := before.mask(mask.name)) is not None]
    jumped = [
        (a, b) for a, b in pairs if min(a.volume_A3, b.volume_A3) > 0 and _jumped(a.volume_A3, b.volume_A3, limit)
    ]
    if not jumped:
        return
    said = [
        f"{b.name!r} from {a.volume_A3 / 1e3:.0f} to {b.volume_A3 / 1e3:.0f} nm3 ({100 * (b.volume_A3 / a.volume_A3 - 1):+.0f} %)"
        for a, b in jumped
    ]
    text = (
        f"against {before.key} the mask {' and '.join(said)} has changed: a change of resolution may be the mask's; look at its "
        "outline in both rounds"
    )
    yield found(
        record,
        "mask_jumped",
        "note",
        text,
        masks=[b.name for _, b in jumped],
        before_A3=[a.volume_A3 for a, _ in jumped],
        now_A3=[b.volume_A3 for _, b in jumped],
    )


@rule_of_log(
    Texts(
        "missing_round",
        "Rounds are missing",
        "They were not watched, or their files are gone.",
        "",
    ),
)
def missing(log: Journal, settings: Settings) -> Iterator[Finding]:
    """Numbers that are left out between the rounds of a run."""
    failed = {line.key for line in log.failures}
    told: set[tuple[str, tuple[int, ...]]] = set()
    for group in series(log.rounds):
        numbers = {number: record for record in group if (number := record.number) is not None}
        ordered = sorted(numbers)
        steps = np.diff(ordered)
        if len(ordered) < 3:
            continue
        usual = int(steps.min())
        for number, step in zip(ordered[1:], steps, strict=True):
            record = numbers[number]
            gone = [n for n in range(number - int(step) + usual, number, usual) if _key_of(record, n) not in failed]
            if step <= usual or not gone or (record.key.run, tuple(gone)) in told:
                continue
            told.add((record.key.run, tuple(gone)))
            listed = ", ".join(str(n) for n in gone[:5]) + (", ..." if len(gone) > 5 else "")
            these, are = ("rounds", "are") if len(gone) > 1 else ("round", "is")
            text = (
                f"{these} {listed} of {record.key.run} {are} not in the log: not watched, or the files are gone; "
                "'refine-hooks once' measures what is still there"
            )
            yield found(record, "missing_round", "note", text, missing=gone[:100])


def _key_of(record: RoundRecord, number: int) -> Key:
    return Key(run=record.key.run, iteration=number, class_id=record.key.class_id)


@rule_of_log(
    Texts(
        "no_half_maps",
        "There are no half maps",
        "Without half maps no FSC can be measured. Only what the program reports is known.",
        "Reconstruct them from the particles: refine-hooks once PROJECT --reconstruct missing.",
    ),
)
def no_half_maps(log: Journal, settings: Settings) -> Iterator[Finding]:
    """Rounds of which only what the program reports is known; said once of a run."""
    runs: dict[str, Series] = defaultdict(list)
    for record in log.rounds:
        if record.half_maps is None:
            runs[record.key.run].append(record)
    for run, records in runs.items():
        text = (
            f"{run} has rounds without half maps, of which no FSC can be measured: only what the program reports is known. "
            "'refine-hooks once PROJECT --reconstruct missing' makes them from the particles, where these are there"
        )
        yield found(records[0], "no_half_maps", "note", text)


@rule_of_log(
    Texts(
        "program_warning",
        "The program itself warned",
        "It saw a problem in its own FSC.",
        "Read its log.",
    ),
)
def program_warning(log: Journal, settings: Settings) -> Iterator[Finding]:
    """What the program itself warned of, as its adapter noted it; said once of a run, since the note is there in every round."""
    told: set[tuple[str, str, str]] = set()
    for group in series(log.rounds):
        for record in group:
            for warning in record.program_warnings:
                one = (record.key.run, warning.code, warning.text if warning.code == "other" else "")
                if one in told:
                    continue
                told.add(one)
                said, where = warning.text.strip().rstrip("."), f" ({warning.source})" if warning.source else ""
                text = f"the program warned in {record.key.run}{where}: {said}. {_PROGRAM_WARNINGS[warning.code]}"
                yield found(record, "program_warning", "warning", text)


@rule_of_log(
    Texts(
        "failed_round",
        "A round could not be measured",
        "",
        "It is tried again when its files change.",
    ),
)
def failed(log: Journal, settings: Settings) -> Iterator[Finding]:
    """Rounds that could not be measured and have not been since."""
    for line in log.failures:
        text = (
            f"could not be measured: {line.reason}. It is tried again when its files change, or by 'refine-hooks once'"
        )
        yield Finding(rule="failed_round", severity="warning", round=str(line.key), message=text)


@rule_of_log(
    Texts(
        "repeated_round",
        "A round repeats another",
        "It changed nothing. It is no sign of convergence.",
        "",
    ),
)
def repeated(log: Journal, settings: Settings) -> Iterator[Finding]:
    """A round measured more than once because its files changed, or one that repeats the round before."""
    times: dict[Key, list[RoundRecord]] = defaultdict(list)
    for line in log.lines:
        if isinstance(line, RoundRecord) and (
            not times[line.key] or times[line.key][-1].fingerprint != line.fingerprint
        ):
            times[line.key].append(line)
    for records in times.values():
        if len(records) > 1:
            text = f"was measured {len(records)} times, since its files were written again; the last measurement counts"
            yield found(records[-1], "repeated_round", "note", text, times=len(records))
    for group in series(log.rounds):
        for before, record in pairwise(group):
            curve, earlier = quoted(record), quoted(before)
            if curve is not None and earlier is not None and curve.name == earlier.name and _equal(curve, earlier):
                text = (
                    f"{curve.name} is, number for number, that of {before.key}: this round changed nothing, or its curve is an "
                    "old one; it is no sign of convergence"
                )
                yield found(record, "repeated_round", "note", text, curve=curve.name, same_as=str(before.key))


def _equal(one: Curve, other: Curve) -> bool:
    return one.correlation == other.correlation and bool(np.ptp(measured(one)) > 0)
