"""A clock that nobody waits for: time passes only while a watch waits or works, and what a program does happens meanwhile."""

import threading
from collections.abc import Callable

from refine_hooks.watch import events


class PlayedClock:
    """Seconds that pass when told to. Deeds of the program are done when their moment comes.

    Attributes:
        now_s: what a call returns.
        last_s: when the play is over.
    """

    def __init__(self, deeds: list[tuple[float, Callable[[], object]]], last_s: float) -> None:
        self.now_s, self.last_s = 0.0, last_s
        self._deeds = sorted(deeds, key=lambda deed: deed[0])

    def __call__(self) -> float:
        return self.now_s

    def next_s(self) -> float:
        """When the program does something next."""
        return self._deeds[0][0] if self._deeds else float("inf")

    def go_to(self, moment_s: float) -> None:
        """Let time pass until ``moment_s``."""
        while self.next_s() <= moment_s:
            self.now_s, deed = self._deeds.pop(0)
            deed()
        self.now_s = max(self.now_s, moment_s)


class PlayedStop(threading.Event):
    """What a watch waits with where there is no notifier; set when the play is over."""

    def __init__(self, clock: PlayedClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Let that much time pass."""
        assert timeout is not None
        assert timeout >= 0
        self._clock.go_to(self._clock.now_s + timeout)
        if self._clock.now_s >= self._clock.last_s:
            self.set()
        return self.is_set()


class PlayedNotifier(events.ChangeNotifier):
    """A notifier that wakes at every deed of the program, or never."""

    def __init__(self, clock: PlayedClock, heeds: bool) -> None:
        super().__init__(list)
        self._clock, self._heeds = clock, heeds

    def wait(self, heard: int, timeout_s: float) -> int:
        """Let time pass until the next deed that comes after change number ``heard``, or for ``timeout_s``."""
        end_s = self._clock.now_s + timeout_s
        while self._heeds and self._changes <= heard and self._clock.next_s() <= end_s:
            self._clock.go_to(self._clock.next_s())
        if self._changes <= heard:
            self._clock.go_to(end_s)
        return self._changes

    def keep_watching(self) -> None:
        """It watches already."""
