"""When to scan again.

The disk is the truth and is scanned every ``poll_s`` in any case; the file system's events only make a scan come early. Where
events of other machines never arrive (NFS, GPFS, Lustre, ...) there is no notifier at all: success without events is what
inotify reports there.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from refine_hooks.model import Fingerprint, Key, Round
from refine_hooks.watch.events import ChangeNotifier

_MOST_SCANS_BETWEEN_TRIES = 64
_BUSY_SHARE = 0.05  # of one core: a storm of events (progress bars in a job's output) may not cost more than this


@dataclass(slots=True)
class Schedule:
    """How often to scan, how long inputs must stay as they are, and what the last scan tells of the next one.

    The measuring of a round begins at most ``poll_s + settle_s`` and two scans after its last input came, the time aside that
    other rounds were measured in: a scan begins at most ``poll_s`` after the one before it and sees the input, and when that has
    been there for ``settle_s`` one may be under way, which the next one follows. Slow scans are kept apart, but not beyond that
    bound; one that takes more than half of ``poll_s`` rests as long as it took.

    Attributes:
        clock: seconds, the same clock as the moments of the scans.
        due_s: when the next round that only has to stay as it is will have done so.
        latest_s: when the scan at it must begin, counted from the last scan that did not see it as it is.
        scan_s: how long the last scan took.
        captured_s: when what the program deletes was last looked for.
        changes: of the project, that were heard of before the last scan; None where not all are.
    """

    poll_s: float
    settle_s: float
    clock: Callable[[], float] = time.monotonic
    due_s: float = math.inf
    latest_s: float = math.inf
    scan_s: float = 0.0
    captured_s: float = -math.inf
    changes: int | None = None

    def capture_is_due(self) -> bool:
        """Whether nothing has looked for ``poll_s`` for what the program deletes."""
        return self.clock() - self.captured_s >= self.poll_s


def scan_times(
    notifier: ChangeNotifier | None,
    stop: threading.Event,
    schedule: Schedule,
    until_idle_s: float | None,
    idle_since: Callable[[], float],
) -> Iterator[float]:
    """Moments at which to scan: now, at a change, when a round has settled, and at least every ``poll_s``.

    Slow scans do not follow each other at once, and neither changes nor settling make scans that cost more than a small share
    of a core. Ends when ``stop`` is set, or when nothing has happened for ``until_idle_s``.
    """
    clock, wait_s = schedule.clock, schedule.poll_s
    if until_idle_s is not None:
        wait_s = min(wait_s, max(0.05, until_idle_s / 4))
    heard, settled_at = 0, -math.inf
    while not stop.is_set():
        began = clock()
        if notifier is not None:
            notifier.keep_watching()
        schedule.changes = heard if notifier is not None and notifier.hears_all else None
        yield began
        now = clock()
        if until_idle_s is not None and now - idle_since() >= until_idle_s:
            return
        rest_s = min(schedule.scan_s / _BUSY_SHARE, wait_s)
        due_at = max(schedule.due_s, min(settled_at + rest_s, schedule.latest_s), now)
        next_at = min(max(began + wait_s, now + min(schedule.scan_s, wait_s)), due_at)
        if notifier is None:
            stop.wait(next_at - now)
        else:
            before, heard = heard, notifier.wait(heard, max(0.0, next_at - now))
            stop.wait(max(0.0, min(now + rest_s, next_at) - clock()) if heard != before else 0.0)
            heard = notifier.wait(heard, 0.0)
        if next_at == due_at:
            settled_at = next_at


@dataclass(slots=True)
class Awaited:
    """The rounds that lack something, and since when they have been as they are."""

    since: dict[Key, tuple[Fingerprint, float]] = field(default_factory=dict)
    said: set[Key] = field(default_factory=set)

    def overdue(self, key: Key, now_s: float, after_s: float) -> bool:
        """Whether a round has lacked something for so long; true once for each round."""
        if key in self.said or key not in self.since or now_s - self.since[key][1] < after_s:
            return False
        self.said.add(key)
        return True

    def hopefully(self, rounds: Iterable[Round], now_s: float, patience_s: float) -> bool:
        """Whether something is lacking that may yet come: the rest of that round changed less than ``patience_s`` ago."""
        before, self.since = self.since, {}
        for round_ in rounds:
            if round_.missing:
                fingerprint, since_s = before.get(round_.key, (None, now_s))
                self.since[round_.key] = (round_.fingerprint, since_s if fingerprint == round_.fingerprint else now_s)
        return any(now_s - since_s < patience_s for _, since_s in self.since.values())


def settled(
    scan: Callable[[], Iterable[Round]], ticks: Iterable[float], schedule: Schedule, done: Callable[[Round], bool]
) -> Iterator[Round]:
    """Rounds that are ready to be measured, as the ticks go by.

    A round is ready when nothing of it is awaited and its inputs either prove that they are complete or have not changed for
    the settling time. It is handed out again at every tick until ``done`` says otherwise.

    Args:
        scan: every round that is on disk at this moment.
        ticks: moments in seconds, of any clock.
        schedule: how long inputs must stay as they are; learns when the next ones will have done so.
        done: whether a round, in its present state, needs nothing more.
    """
    unchanged: dict[Key, tuple[Fingerprint, float, float]] = {}
    last_s = -math.inf
    for moment in ticks:
        began = schedule.clock()
        rounds = list(scan())
        schedule.scan_s = schedule.clock() - began
        schedule.due_s = schedule.latest_s = math.inf
        for round_ in rounds:
            if round_.missing or done(round_):
                unchanged.pop(round_.key, None)
                continue
            fingerprint, since, other = unchanged.setdefault(round_.key, (round_.fingerprint, moment, last_s))
            if fingerprint != round_.fingerprint:
                unchanged[round_.key] = (round_.fingerprint, moment, last_s)
                since, other = moment, last_s
            if (round_.complete and not round_.fault) or moment >= since + schedule.settle_s:
                yield round_
            else:
                schedule.due_s = min(schedule.due_s, since + schedule.settle_s)
                schedule.latest_s = min(schedule.latest_s, other + schedule.poll_s + schedule.settle_s)
        last_s = moment


@dataclass(slots=True)
class RetryQueue:
    """Rounds that could not be measured for a reason that may pass: tried again at the next scans, then ever more seldom.

    Attributes:
        scans: how many have begun.
    """

    scans: int = 0
    _rounds: dict[Key, tuple[Fingerprint, int, int]] = field(default_factory=dict)

    def begin(self, known: Mapping[Key, Fingerprint]) -> None:
        """Count scans from now on, and try these states once more at the first of them."""
        self.scans = 0
        self._rounds = {key: (fingerprint, 1, 0) for key, fingerprint in known.items()}

    def add(self, round_: Round) -> int:
        """Put a round off; returns how often it has been tried in this very state."""
        tries = self._rounds[round_.key][1] + 1 if self.holds(round_) else 1
        pause = min(2 ** max(0, tries - 2), _MOST_SCANS_BETWEEN_TRIES)
        self._rounds[round_.key] = (round_.fingerprint, tries, self.scans + pause)
        return tries

    def hasten(self) -> None:
        """Try every round at this scan: what kept them from being measured may be over."""
        self._rounds = {key: (fingerprint, tries, self.scans) for key, (fingerprint, tries, _) in self._rounds.items()}

    def drop(self, round_: Round) -> None:
        """Forget a round: it is measured, or there is no hope."""
        self._rounds.pop(round_.key, None)

    def holds(self, round_: Round) -> bool:
        """Whether this very state of the round was put off."""
        known = self._rounds.get(round_.key) if self._rounds else None
        return known is not None and known[0] == round_.fingerprint

    def due(self, round_: Round) -> bool:
        """Whether a round that is held is to be tried at this scan."""
        return self.scans >= self._rounds[round_.key][2]
