"""The state of one watch: what it was asked to do, what of the log it needs, and what is waited for."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from refine_hooks.errors import InputError
from refine_hooks.log import file as journal
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Failed, LogLine
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import Fingerprint, Key, Origin, Round, rank
from refine_hooks.notify.observers import Observers
from refine_hooks.programs.adapter import Adapter, Project
from refine_hooks.report.view import LogView
from refine_hooks.settings import Settings
from refine_hooks.watch import events
from refine_hooks.watch.retention import Retention
from refine_hooks.watch.schedule import Awaited, RetryQueue, Schedule, scan_times

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """Rounds of this watch: those measured, those of them without half maps, those that failed, and how many are to be measured."""

    measured: int = 0
    without_half_maps: int = 0
    failed: int = 0
    expected: int = 0


@dataclass(slots=True)
class SaidOnce:
    """What is waited for: each message is said once, not at every scan.

    Attributes:
        waiting: what is waited for now; empty where nothing is.
    """

    waiting: str = ""
    _said: set[str] = field(default_factory=set)

    def say(self, message: str) -> None:
        """Wait for something, and say it unless it was said before."""
        self.waiting = message
        if message not in self._said:
            self._said.add(message)
            logger.warning(message)

    def over(self) -> None:
        """What was waited for has come; should it be lacking once more, that is said again."""
        self.waiting = ""
        self._said.clear()


@dataclass(slots=True)
class Watch:
    """One watch of one project: what it was asked to do, and what has become of it so far.

    Attributes:
        index: the log; records stay on disk.
        observers: the report, messages and hooks.
        schedule: when to scan again, and the clock of that.
        opened: the project, opened as the adapter's program's.
    """

    project: Path
    program: str
    adapter: Adapter
    settings: Settings
    store: Store
    reconstruct: Literal["never", "missing", "always"] = "never"
    stop: threading.Event = field(default_factory=threading.Event)
    at_capture: threading.Lock = field(default_factory=threading.Lock)
    why_stop: str = "nothing more to do"
    last_event: float = field(default_factory=time.monotonic)
    counts: Counts = field(default_factory=Counts)
    waits: SaidOnce = field(default_factory=SaidOnce)
    blind: bool = False
    in_hand: bool = False
    room_bytes: int = 0
    stalled: bool = False
    progress: Callable[[int, int], None] = lambda done, total: None
    require_lock: Callable[[], None] = lambda: None
    inserting: Callable[[int, int], None] = lambda done, total: None
    seen: dict[Key, Fingerprint] = field(default_factory=dict)
    poorer: dict[Key, Fingerprint] = field(default_factory=dict)  # states that give less than the log holds
    attempted: set[tuple[Key, Origin | None]] = field(default_factory=set)  # with what was at hand then
    retries: RetryQueue = field(default_factory=RetryQueue)
    awaited: Awaited = field(default_factory=Awaited)
    index: LogIndex = field(init=False)
    observers: Observers = field(init=False)
    schedule: Schedule = field(init=False)
    retention: Retention = field(init=False)
    opened: Project = field(init=False)
    _compared: dict[Key, tuple[int, RoundSummary | Failed]] = field(default_factory=dict)
    _unchanged: dict[int, Round] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.opened = self.adapter.open(self.project, self.settings, self.store.spool)
        view = LogView.of(self.store.log, self.settings)
        self.index = view.index
        self.observers = Observers(view)
        self.retention = Retention(self.store, self.settings.keep, view.judge)
        self.schedule = Schedule(self.settings.watch.poll_s, self.settings.watch.settle_s)

    def log(self, line: LogLine) -> None:
        """Write a line to the log, then remember it: what is remembered is always on disk.

        Raises:
            TakenError: another watch writes there by now.
            StorageError: it cannot be written.
        """
        self.require_lock()
        for offset, length in journal.append(self.store.log, [line]):
            self.index.add(line, offset, length)

    def recall(self) -> list[str]:
        """Take into account what the log holds; a sentence for each line that is no line of ours.

        Raises:
            InputError: the log is there and cannot be read.
        """
        try:
            self.index.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.store.log}: cannot be read ({error.strerror})") from error
        return self.index.faults

    def done(self, round_: Round) -> bool:
        """Whether nothing is to be done for this round at this scan."""
        if self.stop.is_set():
            return True
        if self.retries.holds(round_):
            return not self.retries.due(round_)
        return self._finished(round_)

    def active(self, rounds: Iterable[Round]) -> list[Round]:
        """Without the rounds of the past: those that were finished at the last scan, and come from the adapter's memory.

        A scan must cost what its open rounds cost.
        """
        before, unchanged, active = self._unchanged, {}, []
        for round_ in rounds:
            if round_.serial in before:
                unchanged[round_.serial] = round_
                continue
            active.append(round_)
            if not round_.missing and not self.retries.holds(round_) and self._finished(round_):
                unchanged[round_.serial] = round_
        self._unchanged = unchanged
        return active

    def _finished(self, round_: Round) -> bool:
        """Whether the log holds this round as it is on disk now; one without honest half maps is not finished once there are some.

        A state may be known from tables alone, so half maps may come to one that is in the log already.
        """
        last = self.index.last(round_.key)
        if last is None:
            return False
        if not self._holds(last, round_):
            return self._has_better(round_)
        if not _lacking(last):
            return True
        come = isinstance(last, RoundSummary) and last.origin is None and at_hand(round_) is not None
        return (round_.key, at_hand(round_)) in self.attempted or not (come or self.reconstruct != "never")

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
        if self.poorer.get(round_.key) == round_.fingerprint:
            return True
        if set(round_.fingerprint.inputs) < set(known.fingerprint.inputs):
            return True
        known_origin = hasattr(round_.inputs, "origin")
        best = max(rank(at_hand(round_)), rank("reconstructed") if self.reconstruct != "never" else 0)
        return known_origin and best < rank(known.origin)

    def would_be_poorer(self, round_: Round, origin: Origin | None) -> bool:
        """Whether half maps of this origin must not take the place of those that the log holds of the round; remembers it."""
        known = self.index.summary(round_.key)
        if known is None or rank(origin) >= rank(known.origin):
            return False
        self.poorer[round_.key] = round_.fingerprint
        return True

    def failed_so_before(self, line: Failed) -> bool:
        """Whether the log's last word on this round is this very failure."""
        last = self.index.last(line.key)
        return isinstance(last, Failed) and (last.fingerprint, last.reason) == (line.fingerprint, line.reason)

    def known_without(self, round_: Round) -> RoundSummary | None:
        """What the log holds of this very state, where it has no honest half maps; else None."""
        last = self.index.last(round_.key)
        return (
            last
            if isinstance(last, RoundSummary) and _lacking(last) and last.fingerprint == round_.fingerprint
            else None
        )

    def scan_times(self, notifier: events.ChangeNotifier | None, until_idle_s: float | None = None) -> Iterator[float]:
        """Moments at which to scan; see `refine_hooks.watch.schedule.scan_times`."""
        return scan_times(notifier, self.stop, self.schedule, until_idle_s, self.idle_since)

    def idle_since(self) -> float:
        """When something last happened, on the monotonic clock."""
        return self.last_event


def at_hand(round_: Round) -> Origin | None:
    """Where a round's half maps would come from, as far as the adapter says so before they are read."""
    return getattr(round_.inputs, "origin", None)


def _lacking(last: RoundSummary | Failed) -> bool:
    """Whether a measured round would be better for half maps that are made from its particles."""
    return isinstance(last, RoundSummary) and last.origin in (None, "regularised")
