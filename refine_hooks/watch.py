"""When to look again.

The disk is the truth and is looked at every ``poll_s`` in any case; the file system's events only ring the bell early. Where
events of other machines never arrive (NFS, GPFS, Lustre, ...) no bell is hung up at all: success without events is what
inotify reports there.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from refine_hooks.projects.adapter import Round
from refine_hooks.records import Key, Stamp

_SHARED_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "gpfs",
    "lustre",
    "cifs",
    "smb3",
    "smbfs",
    "beegfs",
    "ceph",
    "afs",
    "9p",
    "pvfs2",
    "orangefs",
    "glusterfs",
}
_TELLING_EVENTS = {"created", "modified", "moved", "deleted", "closed"}
_MOST_LOOKS_BETWEEN_TRIES = 64
_BUSY_SHARE = 0.05  # of one core: a storm of events (progress bars in a job's output) may not cost more than this


def file_system_type(path: Path, mounts: str | None = None) -> str:
    """Type of the file system that holds ``path``, as /proc/self/mountinfo names it; empty where that cannot be known.

    Args:
        path: any path, existing or not.
        mounts: text in the form of /proc/self/mountinfo, for systems that are described rather than there.
    """
    return _mounted(path, mounts)[0]


def locks_stay_here(path: Path, mounts: str | None = None) -> bool:
    """Whether another machine does not see the locks of this one: NFS that is mounted with nolock or local_lock."""
    kind, options = _mounted(path, mounts)
    return kind.startswith("nfs") and bool({"nolock", "local_lock=all", "local_lock=flock"} & set(options.split(",")))


def _mounted(path: Path, mounts: str | None) -> tuple[str, str]:
    """Type and options of the file system that holds ``path``; empty where they cannot be known."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "", ""
    place, best, found = str(path.resolve()), "", ("", "")
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].encode().decode("unicode_escape") if len(fields.split()) > 4 else ""
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if point and inside and len(point) >= len(best):
            kind, *more = rest.split() or [""]
            best, found = point, (kind, more[-1] if more else "")
    return found


def events_arrive(path: Path, mounts: str | None = None) -> bool:
    """Whether the file system reports all changes below ``path``, those made on other machines included."""
    kind = file_system_type(path, mounts)
    return bool(kind) and kind not in _SHARED_FILE_SYSTEMS and not kind.startswith("fuse")


class Bell:
    """Rings when something changes in the folders it hangs in.

    The folders may be removed and made again (cisTEM does so after every round) and the emitter threads may die: `tend` hangs
    the bell up anew wherever it no longer hangs.
    """

    def __init__(self, folders: Callable[[], Iterable[tuple[Path, bool]]]) -> None:
        self._folders = folders
        self._changed = threading.Condition()
        self._rings = 0
        self._observer: Any = None
        self._hung: dict[tuple[str, bool], tuple[Any, tuple[int, int]]] = {}

    def dispatch(self, event: Any) -> None:
        """What watchdog calls for every event. Reading a file also makes events (opened, closed without a write): not told."""
        if event.event_type in _TELLING_EVENTS:
            self.ring()

    def ring(self) -> None:
        """Wake everyone who waits."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def wait(self, heard: int, timeout_s: float) -> int:
        """Wait for a ring that comes after ring number ``heard``; returns the number of the last ring."""
        with self._changed:
            self._changed.wait_for(lambda: self._rings > heard, timeout_s)
            return self._rings

    def tend(self) -> None:
        """Hang the bell in every folder that exists and where it does not hang (any more)."""
        from watchdog.observers import Observer

        if self._observer is not None and (
            not self._observer.is_alive() or not all(e.is_alive() for e in self._observer.emitters)
        ):
            self.close()
        if self._observer is None:
            observer = Observer()
            self._quietly(observer.start)
            if not observer.is_alive():
                return  # no more threads or inotify instances can be had; tried again at the next look
            self._observer = observer
        wanted = {}
        for folder, deep in self._quietly(lambda: list(self._folders())) or ():
            try:
                status = folder.stat()
            except OSError:
                continue
            wanted[str(folder), deep] = (status.st_dev, status.st_ino)
        for place, (watch, identity) in list(self._hung.items()):
            if wanted.get(place) != identity:
                self._quietly(partial(self._observer.unschedule, watch))
                del self._hung[place]
        for (folder_name, deep), identity in wanted.items():
            if (folder_name, deep) not in self._hung:
                watch = self._quietly(partial(self._observer.schedule, self, folder_name, recursive=deep))
                if watch is not None:
                    self._hung[folder_name, deep] = (watch, identity)

    @staticmethod
    def _quietly(action: Callable[[], Any]) -> Any:
        """A bell that cannot be hung (no inotify watches left, the folder just went) only means waiting for ``poll_s``."""
        try:
            return action()
        except Exception:
            return None

    def close(self) -> None:
        """Take the bell down."""
        observer, self._observer, self._hung = self._observer, None, {}
        if observer is not None:
            self._quietly(observer.stop)
            self._quietly(lambda: observer.join(2.0))


@dataclass(slots=True)
class Pace:
    """How often to look, how long inputs must stay as they are, and what the last look tells of the next one.

    The measuring of a round begins at most ``poll_s + settle_s`` and two looks after its last input came, the time aside that
    other rounds were measured in: a look begins at most ``poll_s`` after the one before it and sees the input, and when that has
    been there for ``settle_s`` one may be under way, which the next one follows. Slow looks are kept apart, but not beyond that
    bound; one that takes more than half of ``poll_s`` rests as long as it took.

    Attributes:
        clock: seconds, the same clock as the moments of the looks.
        due_s: when the next round that only has to stay as it is will have done so.
        latest_s: when the look at it must begin, counted from the last look that did not see it as it is.
        look_s: how long the last look took.
    """

    poll_s: float
    settle_s: float
    clock: Callable[[], float] = time.monotonic
    due_s: float = math.inf
    latest_s: float = math.inf
    look_s: float = 0.0


def looks(
    bell: Bell | None, stop: threading.Event, pace: Pace, until_idle_s: float | None, idle_since: Callable[[], float]
) -> Iterator[float]:
    """Moments at which to look: now, at a ring, when a round has settled, and at least every ``poll_s``.

    Slow looks do not follow each other at once, and neither rings nor settling make looks that cost more than a small share of
    a core. Ends when ``stop`` is set, or when nothing has happened for ``until_idle_s``.
    """
    clock, wait_s = pace.clock, pace.poll_s
    if until_idle_s is not None:
        wait_s = min(wait_s, max(0.05, until_idle_s / 4))
    heard, settled_at = 0, -math.inf
    while not stop.is_set():
        began = clock()
        if bell is not None:
            bell.tend()
        yield began
        now = clock()
        if until_idle_s is not None and now - idle_since() >= until_idle_s:
            return
        rest_s = min(pace.look_s / _BUSY_SHARE, wait_s)
        due_at = max(pace.due_s, min(settled_at + rest_s, pace.latest_s), now)
        next_at = min(max(began + wait_s, now + min(pace.look_s, wait_s)), due_at)
        if bell is None:
            stop.wait(next_at - now)
        else:
            stop.wait(min(rest_s, next_at - now))
            heard = bell.wait(heard, max(0.0, next_at - clock()))
        if next_at == due_at:
            settled_at = next_at


def unreadable(folders: Callable[[], Iterable[tuple[Path, bool]]]) -> list[Path]:
    """The folders to look at, and those right below the deep ones, that this user may not read.

    An adapter that cannot name its folders is told by the look itself.
    """
    found = []
    try:
        named = list(folders())
    except Exception:
        return []
    for folder, deep in named:
        below: list[Path] = []
        if deep:
            with suppress(OSError), os.scandir(folder) as entries:
                below = [Path(entry.path) for entry in entries if entry.is_dir()]
        found += [path for path in (folder, *below) if os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK)]
    return sorted(set(found))


@dataclass(slots=True)
class Awaited:
    """The rounds that lack something, and since when they have been as they are."""

    since: dict[Key, tuple[Stamp, float]] = field(default_factory=dict)
    told: set[Key] = field(default_factory=set)

    def overdue(self, key: Key, now_s: float, after_s: float) -> bool:
        """Whether a round has lacked something for so long; true once for each round."""
        if key in self.told or key not in self.since or now_s - self.since[key][1] < after_s:
            return False
        self.told.add(key)
        return True

    def hopefully(self, rounds: Iterable[Round], now_s: float, patience_s: float) -> bool:
        """Whether something is lacking that may yet come: the rest of that round changed less than ``patience_s`` ago."""
        before, self.since = self.since, {}
        for round_ in rounds:
            if round_.missing:
                stamp, since_s = before.get(round_.key, (None, now_s))
                self.since[round_.key] = (round_.stamp, since_s if stamp == round_.stamp else now_s)
        return any(now_s - since_s < patience_s for _, since_s in self.since.values())


def settled(
    look: Callable[[], Iterable[Round]], ticks: Iterable[float], pace: Pace, done: Callable[[Round], bool]
) -> Iterator[Round]:
    """Rounds that are ready to be measured, as the ticks go by.

    A round is ready when nothing of it is awaited and its inputs either prove that they are complete or have not changed for
    the settling time. It is handed out again at every tick until ``done`` says otherwise.

    Args:
        look: every round that is on disk at this moment.
        ticks: moments in seconds, of any clock.
        pace: how long inputs must stay as they are; is told when the next ones will have done so.
        done: whether a round, in its present state, needs nothing more.
    """
    unchanged: dict[Key, tuple[Stamp, float, float]] = {}
    last_s = -math.inf
    for moment in ticks:
        began = pace.clock()
        rounds = list(look())
        pace.look_s = pace.clock() - began
        pace.due_s = pace.latest_s = math.inf
        for round_ in rounds:
            if round_.missing or done(round_):
                unchanged.pop(round_.key, None)
                continue
            stamp, since, other = unchanged.setdefault(round_.key, (round_.stamp, moment, last_s))
            if stamp != round_.stamp:
                unchanged[round_.key] = (round_.stamp, moment, last_s)
                since, other = moment, last_s
            if (round_.complete and not round_.fault) or moment >= since + pace.settle_s:
                yield round_
            else:
                pace.due_s = min(pace.due_s, since + pace.settle_s)
                pace.latest_s = min(pace.latest_s, other + pace.poll_s + pace.settle_s)
        last_s = moment


class PutOff:
    """Rounds that could not be measured for a reason that may pass: tried again at the next looks, then ever more seldom.

    Args:
        known: what is to be tried once more at the first look.
    """

    def __init__(self, known: Mapping[Key, Stamp] | None = None) -> None:
        self.looks = 0
        self._rounds = {key: (stamp, 1, 0) for key, stamp in (known or {}).items()}

    def add(self, round_: Round) -> int:
        """Put a round off; returns how often it has been tried in this very state."""
        tries = self._rounds[round_.key][1] + 1 if self.holds(round_) else 1
        pause = min(2 ** max(0, tries - 2), _MOST_LOOKS_BETWEEN_TRIES)
        self._rounds[round_.key] = (round_.stamp, tries, self.looks + pause)
        return tries

    def drop(self, round_: Round) -> None:
        """Forget a round: it is measured, or there is no hope."""
        self._rounds.pop(round_.key, None)

    def holds(self, round_: Round) -> bool:
        """Whether this very state of the round was put off."""
        known = self._rounds.get(round_.key) if self._rounds else None
        return known is not None and known[0] == round_.stamp

    def due(self, round_: Round) -> bool:
        """Whether a round that is held is to be tried at this look."""
        return self.looks >= self._rounds[round_.key][2]


@contextmanager
def capturing(capture: Callable[[], object], bell: Bell | None, poll_s: float) -> Iterator[None]:
    """Capture in a thread of its own while the block runs: inputs live for seconds, a measurement may take minutes."""
    over = threading.Event()

    def work() -> None:
        heard = 0
        while not over.is_set():
            capture()
            if bell is None:
                over.wait(poll_s)
            else:
                over.wait(0.02)
                heard = bell.wait(heard, poll_s)

    thread = threading.Thread(target=work, name="capture", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        if bell is not None:
            bell.ring()
        thread.join(10.0)


def running_on() -> tuple[str, int]:
    """Host and process id of this watch."""
    return os.uname().nodename, os.getpid()
