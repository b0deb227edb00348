"""Two logs side by side: which rounds belong together, their resolutions, and their curves shell by shell.

Curves are compared at common frequencies: the shells of the log whose shells lie further apart, up to the coarser of the two
Nyquist limits; the other log's curve is interpolated linearly in frequency. Logs of one box and voxel size share every shell
and nothing is interpolated.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal, Protocol

import numpy as np

from refine_hooks.audit.reading import Values, at, measured, resolution, values
from refine_hooks.errors import InputError
from refine_hooks.log.better import Change, change
from refine_hooks.log.curves import Curve
from refine_hooks.log.headline import best_curve
from refine_hooks.log.records import RoundRecord
from refine_hooks.log.summary import CurveSummary, RoundSummary, listed, summary_of
from refine_hooks.model import Key, Record

Verdict = Literal["a is better", "b is better", "unchanged within error", "cannot be compared"]

_VERDICTS: dict[Change | None, Verdict] = {
    "better": "b is better",
    "worse": "a is better",
    "same": "unchanged within error",
    None: "cannot be compared",
}
_SAME_SPACING = 1e-3  # of one shell, at the last shell


class Log(Protocol):
    """A log whose rounds may stay on disk."""

    def summaries(self) -> Sequence[RoundSummary]:
        """All measured rounds in the order of the log."""

    def record(self, key: Key) -> RoundRecord:
        """One of them, whole."""


class Reading(Record):
    """What one log holds of a curve in one round."""

    resolution_A: float | None
    interval_A: tuple[float, float] | None
    threshold: float


class CurvePair(Record):
    """One curve in both rounds, at the common frequencies.

    ``mean_difference`` and ``largest`` look at the shells up to the finer of the two resolutions; a difference is b minus a.
    """

    name: str
    a: Reading
    b: Reading
    verdict: Verdict
    correlation_a: tuple[float | None, ...]
    correlation_b: tuple[float | None, ...]
    difference: tuple[float | None, ...]
    sd: tuple[float | None, ...]
    mean_difference: float | None = None
    largest: float | None = None
    largest_at_A: float | None = None


class RoundPair(Record):
    """Two rounds that are compared: their keys, the curve that each is quoted by, and the judgement."""

    a: Key | None
    b: Key | None
    label_a: str | None
    label_b: str | None
    curve: str | None
    reading_a: Reading | None
    reading_b: Reading | None
    verdict: Verdict


class Comparison(Record):
    """All of it, as ``compare --json`` prints it."""

    log_a: str
    log_b: str
    rounds: tuple[RoundPair, ...]
    a: Key
    b: Key
    box_px: tuple[int, int]
    voxel_size_A: tuple[float, float]
    interpolated: Literal["a", "b"] | None
    frequency_per_A: tuple[float, ...]
    curves: tuple[CurvePair, ...]
    best: str | None
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


def compare(
    log_a: Log,
    log_b: Log,
    names: tuple[str, str] = ("A", "B"),
    keys: tuple[Key | None, Key | None] = (None, None),
) -> Comparison:
    """Compare two logs, and two of their rounds shell by shell.

    Args:
        log_a: the one log.
        log_b: the other.
        names: what they are called.
        keys: the rounds whose curves are compared; where None, the last pair of rounds that belong together.

    Raises:
        InputError: a log without rounds, a round that is not there, or two rounds without a common curve.
    """
    known_a, known_b = log_a.summaries(), log_b.summaries()
    faults = [
        f"{name}: holds no measured round" for name, known in zip(names, (known_a, known_b), strict=True) if not known
    ]
    if faults:
        raise InputError(*faults)
    pairs = paired(known_a, known_b)
    one, other = _chosen(log_a, log_b, names, keys, pairs)
    frequency, interpolated = common_frequencies(one, other)
    shared = [curve.name for curve in one.curves if other.curve(curve.name) is not None]
    if not shared:
        raise InputError(f"{one.key} of {names[0]} and {other.key} of {names[1]} have no curve in common")
    common = best_curve([curve for curve in one.curves if curve.name in shared], one.masks)
    return Comparison(
        log_a=names[0],
        log_b=names[1],
        rounds=tuple(_round_pair(*pair) for pair in pairs),
        a=one.key,
        b=other.key,
        box_px=(one.box_px, other.box_px),
        voxel_size_A=(one.voxel_size_A, other.voxel_size_A),
        interpolated=interpolated,
        frequency_per_A=tuple(frequency.tolist()),
        curves=tuple(_curve_pair(one, other, name, frequency) for name in shared),
        best=common.name if common is not None else None,
        only_a=tuple(curve.name for curve in one.curves if curve.name not in shared),
        only_b=tuple(curve.name for curve in other.curves if curve.name not in shared),
    )


Pair = tuple[RoundSummary | None, RoundSummary | None]


def paired(rounds_a: Sequence[RoundSummary], rounds_b: Sequence[RoundSummary]) -> list[Pair]:
    """The rounds that belong together: those of the same key where the logs share any, else the n-th of each class."""
    by_key_b = {record.key: record for record in rounds_b}
    if any(record.key in by_key_b for record in rounds_a):
        keys_a = {record.key for record in rounds_a}
        known: list[Pair] = [(r, by_key_b.get(r.key)) for r in rounds_a]
        return [*known, *((None, record) for record in rounds_b if record.key not in keys_a)]
    found: list[Pair] = []
    for number in sorted({record.key.class_id for record in (*rounds_a, *rounds_b)}):
        one, other = ([r for r in side if r.key.class_id == number] for side in (rounds_a, rounds_b))
        found += zip_longest(one, other)
    return found


def _chosen(
    log_a: Log, log_b: Log, names: tuple[str, str], keys: tuple[Key | None, Key | None], pairs: list[Pair]
) -> tuple[RoundRecord, RoundRecord]:
    whole = [(a.key, b.key) for a, b in pairs if a is not None and b is not None and (a.curves and b.curves)]
    for side, key in enumerate(keys):
        if key is not None:
            whole = [pair for pair in whole if pair[side] == key]
    last = whole[-1] if whole else (log_a.summaries()[-1].key, log_b.summaries()[-1].key)
    return _named(log_a, keys[0] or last[0], names[0]), _named(log_b, keys[1] or last[1], names[1])


def _named(log: Log, key: Key, name: str) -> RoundRecord:
    known = [summary.key for summary in log.summaries()]
    if key not in known:
        raise InputError(f"{key}: {name} holds no such round; it holds: {listed(known)}")
    return log.record(key)


def common_frequencies(a: RoundRecord, b: RoundRecord) -> tuple[Values, Literal["a", "b"] | None]:
    """Frequencies in 1/A at which both rounds have shells, and which of the two has to be interpolated there."""
    one, other = np.array(a.frequency_per_A), np.array(b.frequency_per_A)
    shells = min(len(one), len(other))
    if shells < 2 or one[-1] <= 0 or other[-1] <= 0:
        raise InputError(f"{a.key} and {b.key}: one of them has no shells to compare")
    if abs(one[shells - 1] - other[shells - 1]) <= _SAME_SPACING * one[1]:
        return one[:shells], None
    wider, finer = (one, other) if one[1] >= other[1] else (other, one)
    kept = wider[wider <= finer[-1] * (1 + 1e-9)]
    return kept, "b" if wider is one else "a"


def _at(record: RoundRecord, numbers: tuple[float | None, ...] | None, frequency: Values) -> Values:
    """Values of a record over its shells, at other frequencies; NaN where nothing is measured."""
    array = values(numbers)
    if not array.size:
        return np.full(len(frequency), np.nan)
    own = np.array(record.frequency_per_A)
    return np.interp(frequency, own, array, left=np.nan, right=np.nan)


def _curve_pair(a: RoundRecord, b: RoundRecord, name: str, frequency: Values) -> CurvePair:
    one, other = a.curve(name), b.curve(name)
    assert one is not None
    assert other is not None
    first, second = _at(a, one.correlation, frequency), _at(b, other.correlation, frequency)
    sd = np.hypot(_at(a, one.sd, frequency), _at(b, other.sd, frequency))
    difference = second - first
    within = _within(a, b, one, other, frequency) & np.isfinite(difference)
    where = np.flatnonzero(within)
    worst = int(where[np.argmax(np.abs(difference[where]))]) if where.size else None
    return CurvePair(
        name=name,
        a=_reading(one),
        b=_reading(other),
        verdict=_verdict(summary_of(a), summary_of(b), name),
        correlation_a=_listed(first),
        correlation_b=_listed(second),
        difference=_listed(difference),
        sd=_listed(sd),
        mean_difference=None if worst is None else float(difference[where].mean()),
        largest=None if worst is None else float(difference[worst]),
        largest_at_A=None if worst is None else float(1 / frequency[worst]),
    )


def _within(a: RoundRecord, b: RoundRecord, one: Curve, other: Curve, frequency: Values) -> np.ndarray:
    """The shells up to the finer of the two resolutions, shell 0 apart; all of them where a curve has none."""
    numbers = [resolution(record, curve, curve.threshold) for record, curve in ((a, one), (b, other))]
    ends = [
        at(record, len(measured(c)) - 1) if n is None else n
        for record, c, n in zip((a, b), (one, other), numbers, strict=True)
    ]
    return (frequency > 0) & (frequency <= 1 / min(ends) * (1 + 1e-9))


def _listed(array: Values) -> tuple[float | None, ...]:
    return tuple(round(float(v), 6) if np.isfinite(v) else None for v in array)


def _reading(curve: Curve | CurveSummary) -> Reading:
    return Reading(resolution_A=curve.resolution_A, interval_A=curve.interval_A, threshold=curve.threshold)


def _verdict(a: RoundSummary, b: RoundSummary, name: str) -> Verdict:
    """Better only where the audit and the page say so, too: see `refine_hooks.log.better`."""
    one, other = a.curve(name), b.curve(name)
    changed = change(one, other, max(a.shell_per_A, b.shell_per_A)) if one is not None and other is not None else None
    return _VERDICTS[changed]


def _round_pair(a: RoundSummary | None, b: RoundSummary | None) -> RoundPair:
    one, other = (known.curve(known.headline) if known else None for known in (a, b))
    if one is not None and other is not None and one.name != other.name and b is not None:
        other = b.curve(one.name) or other
    same = one is not None and other is not None and one.name == other.name
    return RoundPair(
        a=a.key if a else None,
        b=b.key if b else None,
        label_a=a.label if a else None,
        label_b=b.label if b else None,
        curve=one.name if one is not None and same else None,
        reading_a=_reading(one) if one else None,
        reading_b=_reading(other) if other else None,
        verdict=_verdict(a, b, one.name) if a and b and one is not None and same else "cannot be compared",
    )
