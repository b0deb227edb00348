"""What is known of the measured rounds of a log while their records stay on disk, and which of them a round is judged beside."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Key, Stamp
from refine_hooks.report import data

HISTORY = 12  # earlier rounds of its run and class that a round is judged beside, and the best ones before them
_OF_ANOTHER_CLASS = 6  # rounds of the run's first class before a round that is judged
_AT_ONCE = 25  # records that are read, audited and told of together

Track = tuple[str, int]


@dataclass(slots=True)
class Logged:
    """A measured round: where its line stands, and the little of it that is needed at once.

    Attributes:
        row: what the page's list shows of it.
        stamp: its inputs as they were.
        masks: names of its masks.
        number: how many rounds of its run and class were measured before it.
        earlier: lines of the same round that were measured from other inputs.
        best: the rounds up to this one, by iteration, that nothing before is better than; one for each measure.
        judged: whether its row counts its findings.
        removed: whether its maps need not be looked for any more.
    """

    offset: int
    length: int
    row: dict[str, Any]
    seq: int
    stamp: Stamp
    masks: tuple[str, ...]
    number: int
    earlier: tuple[tuple[int, int], ...] = ()
    best: tuple[Key, ...] = ()
    judged: bool = False
    removed: bool = False

    @property
    def origin(self) -> str | None:
        """Where its half maps come from; None where it has none."""
        origin: str | None = self.row["origin"]
        return origin


@dataclass(slots=True)
class Rounds:
    """The measured rounds of a log, each run and class in the order of its iterations.

    Attributes:
        by_key: in the order of the log; a round measured again keeps its place.
    """

    by_key: dict[Key, Logged] = field(default_factory=dict)
    _tracks: dict[Track, list[Key]] = field(default_factory=dict)

    def add(self, record: RoundRecord, offset: int, length: int, seq: int) -> None:
        """Take a round into account whose line stands at a place of the file."""
        track = self._tracks.setdefault(_track(record.key), [])
        masks = tuple(mask.name for mask in record.masks)
        place = Logged(offset, length, data.row(record), seq, record.stamp, masks, len(track))
        before = self.by_key.get(record.key)
        if before is not None:
            place.number, place.earlier = before.number, before.earlier
            if before.stamp != record.stamp:
                place.earlier = (*before.earlier, (before.offset, before.length))
        self.by_key[record.key] = place
        at = _place_of(track, record.key.iteration)
        if before is None:
            track.insert(at, record.key)
        for number in range(at, len(track)):
            here = self.by_key[track[number]]
            best = self._bettered(self.by_key[track[number - 1]].best if number else (), track[number])
            if number > at and best == here.best:
                break
            here.best = best

    def _bettered(self, best: tuple[Key, ...], key: Key) -> tuple[Key, ...]:
        """The best rounds of each measure when one more is known; of equal ones the first."""
        row = self.by_key[key].row
        for one in best:
            other = self.by_key[one].row
            if (other["headline"], other["origin"]) == (row["headline"], row["origin"]):
                return best if _number(other) <= _number(row) else tuple(key if k == one else k for k in best)
        return (*best, key)

    def series(self, key: Key) -> Sequence[Key]:
        """The rounds of the run and class of ``key``."""
        return self._tracks.get(_track(key), [])

    def history(self, first: Key) -> list[Key]:
        """The last rounds of the same run and class before one, and the best of each measure."""
        track = self.series(first)
        at = _place_of(track, first.iteration)
        best = self.by_key[track[at - 1]].best if at else ()
        return sorted({*best, *track[max(0, at - HISTORY) : at]}, key=lambda key: key.iteration)

    def beside(self, keys: Sequence[Key]) -> list[Key]:
        """Some rounds of one run and class, the last of them last, and before them those that they are judged beside."""
        return list(dict.fromkeys([*self._of_another_class(keys[0], keys[-1]), *self.history(keys[0]), *keys]))

    def _of_another_class(self, first: Key, last: Key) -> Sequence[Key]:
        """Rounds of the run's first class up to ``last``, where what is said once of a run has been said."""
        track = next((track for (run, _), track in self._tracks.items() if run == first.run), [])
        if not track or track[0].class_id == first.class_id:
            return ()
        start, end = (_place_of(track, key.iteration + 1) for key in (first, last))
        return track[max(0, start - _OF_ANOTHER_CLASS) : end]


def grouped(keys: Iterable[Key]) -> list[list[Key]]:
    """Keys in groups of one run and class, in the order of their iterations, as many as are read at once."""
    tracks: dict[Track, list[Key]] = {}
    for key in sorted(keys, key=lambda key: key.iteration):
        tracks.setdefault(_track(key), []).append(key)
    return [keys[at : at + _AT_ONCE] for keys in tracks.values() for at in range(0, len(keys), _AT_ONCE)]


def _place_of(track: Sequence[Key], iteration: int) -> int:
    return bisect_left(track, iteration, key=lambda key: key.iteration)


def _track(key: Key) -> tuple[str, int]:
    return key.run, key.class_id


def _number(row: dict[str, Any]) -> float:
    """The resolution that a round is quoted with; infinite where there is none."""
    quoted = row["res"].get(row["headline"])
    return float(quoted[0]) if quoted else float("inf")


@dataclass(frozen=True, slots=True)
class LogState:
    """What the metrics need of one log.

    Attributes:
        rows: its rounds as the page lists them (`report.data.row`), in the order of the log.
        failed: keys of the rounds that failed and have not been measured since.
        name: tells several logs apart, as a label; none where empty.
        running: whether a watch writes into it, where that is known.
    """

    rows: Sequence[dict[str, Any]]
    failed: Collection[str]
    name: str = ""
    running: bool | None = None
