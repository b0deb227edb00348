"""The small owners of what changes while a watch runs: each fact has one, and only that one changes it."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.errors import StorageError
from refine_hooks.files import file_system
from refine_hooks.files.lock import FolderLock
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.model import Fingerprint, Key, Round

logger = logging.getLogger(__name__)

_RIGHTS_EVERY_S = 60.0  # every folder is looked at, of a large project some thousand


@dataclass(slots=True)
class Counts:
    """Rounds of this watch: those measured, those of them without half maps, those that failed, and how many are to be measured.

    Attributes:
        waiting: rounds that could be measured and are not yet.
        particles: of the rounds that are still to be reconstructed.
        files_bytes: room on the disk that the files of the last round took.
    """

    measured: int = 0
    without_half_maps: int = 0
    failed: int = 0
    expected: int = 0
    waiting: int = 0
    files_bytes: int = 0
    particles: int = 0

    @property
    def done(self) -> int:
        """Rounds that a line was written for."""
        return self.measured + self.failed

    def add(self, line: RoundRecord | Failed) -> None:
        """Count a line that was written."""
        if isinstance(line, Failed):
            self.failed += 1
        else:
            self.measured += 1
            self.without_half_maps += line.half_maps is None

    def needs_bytes(self, size: int) -> None:
        """Learn how much room on the disk the files of a round take."""
        self.files_bytes = size


@dataclass(slots=True)
class SaidOnce:
    """What is waited for: each message is said once, not at every scan.

    Attributes:
        waiting: what is waited for now; empty where nothing is.
    """

    waiting: str = ""
    _said: set[str] = field(default_factory=set)
    _ever: set[str] = field(default_factory=set)
    _blind: bool = False

    def advise(self, message: str) -> None:
        """Say what the user may do, unless it was said before, whatever has happened since."""
        if message not in self._ever:
            self._ever.add(message)
            logger.info(message)

    def say(self, message: str, comfort: str = "") -> None:
        """Wait for something, and say it unless it was said before, with what comes of it."""
        self.waiting = message
        if message not in self._said:
            self._said.add(message)
            logger.warning(f"{message}{comfort}")

    def over(self) -> None:
        """What was waited for has come; should it be lacking once more, that is said again."""
        self.waiting = ""
        self._said.clear()

    def scanned(self, why_not: str) -> bool:
        """Say why a scan could not be made; after that one that could is the end of the waiting, which is returned."""
        again = self._blind and not why_not
        if why_not:
            self.say(why_not)
        elif again:
            self.over()
        self._blind = bool(why_not)
        return again


@dataclass(slots=True)
class Closed:
    """The folders that this user may not read: each is said once, until it can be read again."""

    _known: set[Path] = field(default_factory=set)
    _next_s: float = 0.0

    def look(self, project: Path, folders: Callable[[], Iterable[tuple[Path, bool]]], now_s: float) -> None:
        """Look at the project at once, and at all its folders from time to time; others may take rights at any moment."""
        shut = os.path.isdir(project) and not os.access(project, os.R_OK | os.X_OK)
        if now_s < self._next_s and not shut:
            return
        self._next_s = now_s + _RIGHTS_EVERY_S
        found = {*file_system.unreadable(folders), *([project] if shut else [])}
        for folder in sorted(found - self._known):
            logger.warning(f"{folder}: cannot be read, so nothing in it is measured; ask its owner for read permission")
        self._known = found


@dataclass(slots=True)
class Activity:
    """When something last happened, and whether it is long ago.

    Attributes:
        last_s: that moment, on the watch's clock; it lies ahead where something is known to come.
    """

    clock: Callable[[], float]
    last_s: float = field(init=False)
    _stalled: bool = False
    _seen: dict[Key, Fingerprint] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last_s = self.clock()

    def now(self) -> None:
        """Something has happened."""
        self.last_s = self.clock()

    def until(self, moment_s: float) -> None:
        """Something is known to go on until then."""
        self.last_s = max(self.last_s, moment_s)

    def stalled_for(self, after_s: float) -> float | None:
        """For how many seconds nothing has come, once that is longer than asked; told once until there are news."""
        idle_s, before = self.clock() - self.last_s, self._stalled
        self._stalled = idle_s >= after_s
        return idle_s if self._stalled and not before else None

    def see(self, rounds: Iterable[Round], settle_s: float, done: Callable[[Round], bool]) -> None:
        """A state that a round is seen in for the first time is news, and the watch is not idle before that can be measured."""
        for round_ in rounds:
            before = self._seen.get(round_.key)
            if before is round_.fingerprint:  # a round of the past, from memory
                continue
            if not round_.missing and not round_.complete and before != round_.fingerprint and not done(round_):
                self.until(self.clock() + settle_s)
            self._seen[round_.key] = round_.fingerprint


@dataclass(slots=True)
class Stopping:
    """Whether the watch is to end, and why.

    Attributes:
        asked: set when it is.
        in_hand: whether a round is being measured.
        wake: ends the waiting for a change of the project.
    """

    asked: threading.Event
    why: str = "done"
    in_hand: bool = False
    wake: Callable[[], object] = bool

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """While the block runs a round is in hand."""
        self.in_hand = True
        try:
            yield
        finally:
            self.in_hand = False


@dataclass(slots=True)
class FolderGuard:
    """Asks before every scan and everything that is written whether the output folder is still the one that was locked."""

    _lock: FolderLock | None = None

    def require(self) -> None:
        """Refuse to go on where it is not; before the folder is locked, and after, there is nothing to ask.

        Raises:
            TakenError: another watcher writes there.
            StorageError: it is gone, or another stands in its place; it may come back.
        """
        if self._lock is not None:
            self._lock.require()

    def lost(self) -> str:
        """Why nothing can be written now; empty where it can.

        Raises:
            TakenError: another watcher writes there.
        """
        try:
            self.require()
        except StorageError as error:
            return str(error)
        return ""

    @contextmanager
    def holding(self, lock: FolderLock) -> Iterator[None]:
        """Ask this lock while the block runs."""
        self._lock = lock
        try:
            yield
        finally:
            self._lock = None
