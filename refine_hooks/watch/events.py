"""What makes a scan come early: the file system's events; and the thread that captures while a round is measured."""

import ctypes
import errno
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

from refine_hooks.files.metadata import SWEEPS

logger = logging.getLogger(__name__)

_LIMITS = {errno.ENOSPC, errno.EMFILE}  # inotify's: watches, and instances
_CREATED = 0x100  # inotify(7), IN_CREATE
_CHANGES = (
    "Created",
    "Modified",
    "Moved",
    "Deleted",
)  # watchdog's names; reading makes events as well, which are left out


_OWN_OBSERVERS = 32  # of a process; a user has 128 inotify instances, and each observer takes one


class _Shared:
    """The observer of all notifiers of this process that have none of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observer: Any = None

    def observer(self) -> Any:
        """The one that runs, made anew where it has ended."""
        from watchdog.observers import Observer

        with self._lock:
            if self._observer is None or not self._observer.is_alive():
                made = Observer()
                made.start()
                self._observer = made
            return self._observer


_shared, _notifiers = _Shared(), weakref.WeakSet["ChangeNotifier"]()


class ChangeNotifier:
    """Says when something changes in the watched folders.

    The folders may be removed and made again (cisTEM does so after every round) and the emitter threads may die: `keep_watching`
    watches them anew.
    """

    def __init__(self, folders: Callable[[], Iterable[tuple[Path, bool]]]) -> None:
        self._folders = folders
        self._changed = threading.Condition()
        self._changes = 0
        self._observer: Any = None
        self._watched: dict[tuple[str, bool], tuple[Any, tuple[int, int]]] = {}
        self._said = False
        self.hears_all = False  # what happens in every folder
        _notifiers.add(self)
        self._shares = len(_notifiers) > _OWN_OBSERVERS

    def dispatch(self, _: Any) -> None:
        """What watchdog calls for every event that was asked for."""
        self.notify()

    def notify(self) -> None:
        """Wake everyone who waits."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def wait(self, heard: int, timeout_s: float) -> int:
        """Wait for a change that comes after change number ``heard``; returns the number of the last change."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes > heard, timeout_s)
            return self._changes

    def keep_watching(self) -> None:
        """Watch every folder that exists and is not watched (any more)."""
        self.hears_all = False
        from watchdog import events

        if not (self._joined() if self._shares else self._made()):
            return  # no more threads or inotify instances can be had; tried again at the next scan
        changes = [getattr(events, f"{kind}{name}Event") for name in _CHANGES for kind in ("Dir", "File")]
        schedule = partial(self._observer.schedule, self, event_filter=[*changes, events.FileClosedEvent])
        wanted = {}
        for folder, deep in self._quietly(lambda: list(self._folders())) or ():
            try:
                status = folder.stat()
            except OSError:
                continue
            wanted[str(folder), deep] = (status.st_dev, status.st_ino)
        for place, (watch, identity) in list(self._watched.items()):
            if wanted.get(place) != identity:
                self._quietly(partial(self._observer.unschedule, watch))
                del self._watched[place]
        for (folder_name, deep), identity in wanted.items():
            if (folder_name, deep) not in self._watched:
                watch = self._quietly(partial(schedule, path=folder_name, recursive=deep))
                if watch is not None:
                    self._watched[folder_name, deep] = (watch, identity)
                    if deep:
                        self._quietly(partial(_require_one_more, folder_name))
        self.hears_all = not self._said and set(wanted) == set(self._watched)

    def _made(self) -> bool:
        """Have an observer of its own that runs; whether there is one."""
        from watchdog.observers import Observer

        if self._observer is not None and (
            not self._observer.is_alive() or not all(e.is_alive() for e in self._observer.emitters)
        ):
            self.close()
        if self._observer is None:
            observer = self._quietly(Observer)
            if observer is not None:
                self._quietly(observer.start)
            if observer is None or not observer.is_alive():
                return False
            self._observer = observer
        return True

    def _joined(self) -> bool:
        """Have the observer that others have as well; whether there is one. What it has ceased to watch is forgotten."""
        observer = self._quietly(_shared.observer)
        if observer is None:
            return False
        if observer is not self._observer:
            self._observer, self._watched = observer, {}
        alive = {emitter.watch for emitter in tuple(observer.emitters) if emitter.is_alive()}
        for place, (watch, _) in list(self._watched.items()):
            if watch not in alive:
                self._quietly(partial(observer.unschedule, watch))
                del self._watched[place]
        return True

    def _quietly(self, action: Callable[[], Any]) -> Any:
        """A folder that cannot be watched (no inotify watches left, the folder just went) only means waiting for ``poll_s``."""
        try:
            return action()
        except Exception as error:
            if not self._said and isinstance(error, OSError) and error.errno in _LIMITS:
                self._said = True
                logger.warning(
                    f"not every folder can be watched for changes ({error.strerror or error}): scanned at the poll interval only; "
                    "raise fs.inotify.max_user_watches and max_user_instances with sysctl for more"
                )
            return None

    def close(self) -> None:
        """Watch nothing any more."""
        observer, watched = self._observer, self._watched
        self._observer, self._watched = None, {}
        if observer is not None and self._shares:
            for watch, _ in watched.values():
                self._quietly(partial(observer.unschedule, watch))
        elif observer is not None:
            self._quietly(observer.stop)
            self._quietly(lambda: observer.join(2.0))


def _require_one_more(folder: str) -> None:
    """Refuse where no further folder can be watched: of those below a deep one watchdog does not say it.

    Raises:
        OSError: none can.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "inotify_init1"):
        return
    handle = library.inotify_init1(os.O_CLOEXEC)
    if handle < 0 or library.inotify_add_watch(handle, os.fsencode(folder), _CREATED) < 0:
        number = ctypes.get_errno()
        if handle >= 0:
            os.close(handle)
        raise OSError(number, "no more inotify watches" if number == errno.ENOSPC else os.strerror(number))
    os.close(handle)


@contextmanager
def capturing(
    capture: Callable[[], object], notifier: ChangeNotifier | None, poll_s: float, due: Callable[[], bool]
) -> Iterator[None]:
    """Capture in a thread of its own while the block runs: inputs live for seconds, a measurement may take minutes.

    Args:
        capture: does it; every scan does so, too.
        notifier: says when to; else it is done every ``poll_s``.
        poll_s: the longest time between two captures.
        due: whether there has been none for so long.
    """
    over = threading.Event()

    def work() -> None:
        heard, changed = 0, False
        while not over.is_set():
            if due() or changed:
                capture()
                if notifier is not None:
                    over.wait(0.02)  # changes come many at once
            if notifier is None:
                over.wait(poll_s)
            else:
                before, heard = heard, notifier.wait(heard, poll_s)
                changed = heard != before

    thread = threading.Thread(target=copy_context().run, args=(work,), name="capture", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        if notifier is not None:
            notifier.notify()
        thread.join(10.0)


@contextmanager
def repeating(action: Callable[[], object], every_s: float) -> Iterator[None]:
    """Do something at once and again and again while the block runs, whatever else takes long there."""
    over = threading.Event()

    def work() -> None:
        SWEEPS.set(False)
        action()
        while not over.wait(every_s):
            action()

    thread = threading.Thread(target=copy_context().run, args=(work,), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10.0)


def running_on() -> tuple[str, int]:
    """Host and process id of this watch."""
    return os.uname().nodename, os.getpid()
