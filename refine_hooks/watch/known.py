"""What the log holds of a round, and whether what is on disk now could give more."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Failed
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import Fingerprint, Former, InputFile, Key, Origin, Round, rank
from refine_hooks.watch.schedule import RetryQueue


@dataclass(slots=True)
class KnownRounds:
    """The rounds of the log beside those of the disk. What was compared once is remembered.

    Attributes:
        index: the log.
        project: the folder that inputs are named from.
        may_reconstruct: whether half maps are made from the particles.
    """

    index: LogIndex
    project: Path
    may_reconstruct: bool
    _poorer: dict[Key, Fingerprint] = field(default_factory=dict)  # states that give less than the log holds
    _attempted: set[tuple[Key, Origin | None]] = field(default_factory=set)  # with what was at hand then
    _compared: dict[Key, tuple[int, RoundSummary | Failed]] = field(default_factory=dict)
    _unchanged: dict[int, Round] = field(default_factory=dict)
    _read_as: int = 0

    def active(self, rounds: Iterable[Round], retries: RetryQueue) -> list[Round]:
        """Without the rounds of the past: those that were finished at the last scan, and come from the adapter's memory.

        A scan must cost what its open rounds cost.
        """
        before, unchanged, active = self._unchanged, {}, []
        if self._read_as != self.index.replaced_at:  # the log is another one, and may hold less
            self._read_as, before = self.index.replaced_at, {}
        for round_ in rounds:
            if round_.serial in before:
                unchanged[round_.serial] = round_
                continue
            active.append(round_)
            if not round_.missing and not retries.holds(round_) and self.finished(round_):
                unchanged[round_.serial] = round_
        self._unchanged = unchanged
        return active

    def finished(self, round_: Round) -> bool:
        """Whether the log holds this round as it is on disk now; without unfiltered halves not once there are some.

        A state may be known from tables alone, so half maps may come to one that is in the log already.
        """
        last = self.index.last(round_.key)
        if last is None:
            return self._poorer.get(round_.key) == round_.fingerprint
        if not self._holds(last, round_):
            return self._has_better(round_)
        if not _lacking(last):
            return True
        come = isinstance(last, RoundSummary) and rank(at_hand(round_)) > rank(last.origin)
        from_particles = self.may_reconstruct and not round_.starting
        return (round_.key, at_hand(round_)) in self._attempted or not (come or from_particles)

    def _holds(self, last: RoundSummary | Failed, round_: Round) -> bool:
        """Whether the log's last word is on this very state. A round that the adapter remembers is compared only once."""
        compared = self._compared.get(round_.key)
        if compared is not None and compared[0] == round_.serial and compared[1] is last:
            return True
        if last.fingerprint != round_.fingerprint:
            return False
        self._compared[round_.key] = round_.serial, last
        return True

    def _has_better(self, round_: Round) -> bool:
        """Whether what is there now of a measured round can only give less: inputs that are gone are no reason to measure again."""
        known = self.index.summary(round_.key)
        if known is None:
            return False
        if self._poorer.get(round_.key) == round_.fingerprint:
            return True
        if set(round_.fingerprint.inputs) < set(known.fingerprint.inputs):
            return True
        known_origin = round_.origin != "unknown"
        best = max(rank(at_hand(round_)), rank("reconstructed") if self.may_reconstruct else 0)
        if not known_origin or best > rank(known.origin):
            return False
        if best == rank(known.origin) and not self._gone(known.fingerprint, round_.fingerprint):
            return False
        self._poorer[round_.key] = round_.fingerprint
        return True

    def _gone(self, before: Fingerprint, here: Fingerprint) -> bool:
        """Whether the program says that a round is as it was, while all that it was measured from is gone."""
        if not before.inputs or not before.revision or before.revision != here.revision:
            return False
        return all(_is_gone(self.project / file.name) for file in before.inputs)

    def attempted(self, round_: Round) -> None:
        """Remember that a round was measured, or found not worth it, from what is at hand now."""
        self._attempted.add((round_.key, at_hand(round_)))

    def would_be_poorer(self, round_: Round, origin: Origin | None) -> bool:
        """Whether half maps of this origin must not take the place of those that the log holds of the round; remembers it."""
        former = self.formerly(round_)
        known = self.index.summary(round_.key) or (None if former is None else self.index.summary(former))
        if known is None or rank(origin) >= rank(known.origin):
            return False
        self._poorer[round_.key] = round_.fingerprint
        return True

    def poorer(self, round_: Round) -> bool:
        """Whether this state of a round is remembered as one that gives less than the log holds."""
        return self._poorer.get(round_.key) == round_.fingerprint

    def remember_poorer(self, round_: Round) -> None:
        """Remember that this state of a round gives less than the log holds."""
        self._poorer[round_.key] = round_.fingerprint

    def failed_so_before(self, line: Failed) -> bool:
        """Whether the log's last word on this round is this very failure."""
        last = self.index.last(line.key)
        return isinstance(last, Failed) and (last.fingerprint, last.reason) == (line.fingerprint, line.reason)

    def without_half_maps(self, round_: Round) -> RoundSummary | None:
        """What the log holds of this very state, where it has no unfiltered half maps; else None."""
        last = self.index.last(round_.key)
        same = isinstance(last, RoundSummary) and _lacking(last) and last.fingerprint == round_.fingerprint
        return last if isinstance(last, RoundSummary) and same else None

    def formerly(self, round_: Round) -> Key | None:
        """The key that its inputs stand under in the log, from a time when the program had not named the round yet."""
        for former in round_.formerly:
            last = self.index.last(former.key)
            inputs = last.fingerprint.inputs if last is not None else ()
            same = inputs == round_.fingerprint.inputs or self._gone_since(former, inputs)
            if inputs and same:
                return former.key
        return None

    def _gone_since(self, former: Former, inputs: Iterable[InputFile]) -> bool:
        """Whether inputs were a round's, though they are gone."""
        since_ns = former.since_ns
        return since_ns is not None and all(
            file.mtime_ns >= since_ns and _is_gone(self.project / file.path) for file in inputs
        )

    def safe(self, round_: Round) -> bool:
        """Whether the log holds half maps of this very state, so that what was captured for it is no longer needed."""
        last = self.index.last(round_.key)
        measured = isinstance(last, RoundSummary) and last.origin is not None
        return measured and last is not None and last.fingerprint == round_.fingerprint


def at_hand(round_: Round) -> Origin | None:
    """Where a round's half maps would come from, as far as the adapter says so before they are read."""
    return None if round_.origin == "unknown" else round_.origin


def _is_gone(path: Path) -> bool:
    """Whether a file is not there; one that is out of reach for now is not gone."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _lacking(last: RoundSummary | Failed) -> bool:
    """Whether a measured round would be better for half maps that are made from its particles."""
    return isinstance(last, RoundSummary) and last.origin in (None, "regularised")
