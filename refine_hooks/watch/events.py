"""What makes a scan come early: the file system's events; and the thread that captures while a round is measured."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

_TELLING_EVENTS = {"created", "modified", "moved", "deleted", "closed"}


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


@contextmanager
def repeating(action: Callable[[], object], every_s: float) -> Iterator[None]:
    """Do something at once and again and again while the block runs, whatever else takes long there."""
    over = threading.Event()

    def work() -> None:
        action()
        while not over.wait(every_s):
            action()

    thread = threading.Thread(target=work, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10.0)


def running_on() -> tuple[str, int]:
    """Host and process id of this watch."""
    return os.uname().nodename, os.getpid()
