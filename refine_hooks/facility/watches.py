"""Many watches in one process: each in a thread of its own, so that one that hangs or fails stops no other."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_hooks.errors import RefineHooksError, StorageError
from refine_hooks.facility.finding import Finder
from refine_hooks.facility.named import PROJECT
from refine_hooks.facility.pool import Pool
from refine_hooks.facility.queued import Queued
from refine_hooks.files.metadata import SWEEPS, Pace
from refine_hooks.log.folder import OUT_NAME, component
from refine_hooks.watch.config import Measurer
from refine_hooks.watch.loop import Watch, watched_lines
from refine_hooks.watch.opening import open_watch

logger = logging.getLogger(__name__)

_AGAIN_AFTER_S = 30.0  # a project that cannot be watched is tried again, then ever more seldom
_AGAIN_AT_MOST_S = 1800.0
_MISSED = 2  # searches that a project is gone for before it is forgotten
_HANGS_AFTER_S = 120.0
_FIRST_LOOKS = 3  # which are whole ones, and take longer

Open = Callable[[Path, Path | None, Measurer], Watch]


@dataclass(slots=True, eq=False)
class Watched:
    """One project.

    Attributes:
        path: its folder.
        named: whether the user named it; one that was only found is forgotten when it is gone.
        watch: while it is watched.
        ended: why its watch ended; None before.
        again_s: when it is tried again, where it could not be watched.
        missed: searches that have not found it.
    """

    path: Path
    named: bool
    thread: threading.Thread | None = None
    watch: Watch | None = None
    ended: str | None = None
    again_s: float = 0.0
    failures: int = 0
    missed: int = 0
    said: str = ""
    scans: tuple[int, float] = (0, 0.0)

    def stop(self, why: str) -> None:
        """Let the round in hand be finished, then end."""
        w = self.watch
        if w is not None and not w.stopping.asked.is_set():
            w.stopping.why = why
            w.stopping.asked.set()
            w.stopping.wake()

    def runs(self) -> bool:
        """Whether its thread is alive."""
        return self.thread is not None and self.thread.is_alive()


@dataclass(slots=True)
class Watches:
    """All projects of this process.

    Attributes:
        pool: measures for all.
        open_: opens the watch of a project.
        out: below this folder each has a folder of its own, unless {name}, {parent} or {path} in it say which; in the project
            where None.
        until_idle_s: a watch ends when nothing has happened for so long.
        search_s: how often patterns are looked through.
        given_up_after_s: at the end, a watch that neither ends nor measures for so long is left as it is.
        pace: bounds what all looks together ask of the file system; None for no bound.
        asked_to_stop: set when all are to end.
    """

    pool: Pool
    open_: Open
    out: Path | None = None
    until_idle_s: float | None = None
    search_s: float = 60.0
    given_up_after_s: float = 10.0
    pace: Pace | None = None
    asked_to_stop: threading.Event = field(default_factory=threading.Event)
    why: str = "done"
    projects: dict[Path, Watched] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _finders: list[Finder] = field(default_factory=list)
    _said_slow: bool = False
    _outs: dict[Path, Path] = field(default_factory=dict)  # whose they are, where they are named by a pattern

    def add(self, paths: Iterable[Path], named: bool = True) -> None:
        """Watch some projects; those that are watched already stay as they are."""
        with self._lock:
            for path in paths:
                self.projects.setdefault(path, Watched(path, named))

    def find(self, finders: Sequence[Finder]) -> None:
        """Look for projects from now on, each pattern in a thread of its own."""
        self._finders += finders
        for finder in finders:
            threading.Thread(target=self._search, args=(finder,), name="search", daemon=True).start()

    def run(self, tick_s: float = 1.0) -> None:
        """Watch until asked to stop, or until every watch has been idle for long enough."""
        begun_s = time.monotonic()
        while not self.asked_to_stop.is_set():
            now_s = time.monotonic()
            self.turn(now_s)
            if self.until_idle_s is not None and now_s - begun_s >= self.until_idle_s and self._idle():
                break
            self.asked_to_stop.wait(tick_s)
        self.end()

    def _idle(self) -> bool:
        """Whether no project is watched any more, those aside that cannot be."""
        return all(one.ended is not None or (one.failures and one.watch is None) for one in self._all())

    def turn(self, now_s: float) -> None:
        """Begin the watches that are due, and say which do not answer."""
        for one in self._all():
            if one.runs():
                self._say_if_it_is_slow(one)
                if self.pace is not None and one.thread is not None and one.thread.ident in self.pace.waiting:
                    one.scans = one.scans[0], now_s
                _say_if_it_hangs(one, now_s)
            elif one.ended is None and now_s >= one.again_s:
                one.thread = threading.Thread(target=Context().run, args=(self._watch, one), daemon=True)
                one.thread.name = one.path.name
                one.thread.start()

    def _say_if_it_is_slow(self, one: Watched) -> None:
        """Say once that the bound makes looks take longer than they are apart."""
        w, pace = one.watch, self.pace
        if (
            w is None
            or pace is None
            or self._said_slow
            or w.retries.scans < _FIRST_LOOKS
            or w.schedule.scan_s <= w.settings.watch.poll_s
        ):
            return
        self._said_slow = True
        logger.warning(
            f"watch.metadata_per_s = {pace.per_s:g} makes a look at a project take {w.schedule.scan_s:.0f} s, and poll_s is "
            f"{w.settings.watch.poll_s:g} s; allow more calls, or raise poll_s"
        )

    def end(self) -> None:
        """End all watches; those that measure finish the round in hand, those that hang are left."""
        if self.pace is not None:
            self.pace.end()
        for one in self._all():
            one.stop(self.why)
        ends_s = time.monotonic() + self.given_up_after_s
        while left := [one for one in self._all() if one.runs()]:
            if any(one.watch is not None and one.watch.stopping.in_hand for one in left) and self.pool.in_hand():
                ends_s = time.monotonic() + self.given_up_after_s
            if time.monotonic() >= ends_s:
                names = ", ".join(str(one.path) for one in left)
                logger.warning(f"{names}: does not answer, and is left as it is; the next watch goes on there")
                break
            left[0].thread.join(0.2)  # type: ignore[union-attr]
        self.pool.close()

    def drop_what_is_in_hand(self) -> None:
        """End the processes that measure, with what they do."""
        self.pool.close()

    def _all(self) -> list[Watched]:
        with self._lock:
            return list(self.projects.values())

    def _search(self, finder: Finder) -> None:
        SWEEPS.set(True)
        before: set[Path] = set()
        while not self.asked_to_stop.is_set():
            try:
                now = set(finder.search())
                self.add(now, named=False)
                self._forget(before - now)
                before |= now
            except Exception as error:
                logger.warning(f"{finder.pattern}: cannot be looked through now ({error or type(error).__name__})")
            self.asked_to_stop.wait(self.search_s)

    def _forget(self, missed: Iterable[Path]) -> None:
        """Forget the projects that are gone; one that is there all the same stays."""
        for path in missed:
            one = self.projects.get(path)
            if one is None or one.named:
                continue
            one.missed = 0 if os.path.isdir(path) else one.missed + 1
            if one.missed >= _MISSED:
                logger.info(f"{path}: is gone and is watched no more; it is found again when it is there")
                one.stop("gone")
                with self._lock:
                    del self.projects[path]

    def _watch(self, one: Watched) -> None:
        """Watch a project to its end, whatever goes wrong."""
        PROJECT.set(str(one.path))
        SWEEPS.set(True)
        try:
            w = self.open_(one.path, self._out_of(one.path), Queued(self.pool))
            one.watch = w
            if self.asked_to_stop.is_set():
                return
            for _ in watched_lines(w, self.until_idle_s):
                one.failures, one.said = 0, ""
            one.ended = w.stopping.why
        except RefineHooksError as error:
            self._put_off(one, error.faults)
        except Exception as error:
            self._put_off(one, [f"cannot be watched ({type(error).__name__}: {error}); please report this"])
            logger.debug("a watch ended with an error", exc_info=True)
        finally:
            one.watch = None

    def _put_off(self, one: Watched, faults: Sequence[str]) -> None:
        one.again_s = time.monotonic() + min(_AGAIN_AFTER_S * 2**one.failures, _AGAIN_AT_MOST_S)
        one.failures += 1
        said = "; ".join(faults)
        if said != one.said:
            one.said = said
            logger.error(f"{said}. It is tried again; the other projects go on")

    def _out_of(self, project: Path) -> Path | None:
        if self.out is not None:
            return self._out_elsewhere(self.out, project)
        out = project / OUT_NAME
        if out.is_symlink():
            raise StorageError(f"{out}: is a link, which is not followed; name a folder for all projects with --out")
        return None

    def _out_elsewhere(self, out: Path, project: Path) -> Path:
        found = out_for(out, project)
        with self._lock:
            first = self._outs.setdefault(found, project)
        if first != project:
            raise StorageError(
                f"{found}: is the output folder of {first} as well; tell them apart in --out by {{parent}} or {{path}}"
            )
        return found


def out_for(out: Path, project: Path) -> Path:
    """The output folder of one of many projects: as the pattern says, or one below the folder, named by the project's path."""
    whole = component(str(project).strip("/"))
    parts = {"{name}": component(project.name), "{parent}": component(project.parent.name), "{path}": whole}
    named = str(out)
    for part, text in parts.items():
        named = named.replace(part, text)
    return out / whole if named == str(out) else Path(named)


def _say_if_it_hangs(one: Watched, now_s: float) -> None:
    """Say once that a watch neither scans nor measures."""
    w = one.watch
    scans = w.retries.scans if w is not None else 0
    if scans != one.scans[0] or (w is not None and w.stopping.in_hand) or not one.scans[1]:
        if one.said == _HANGS and scans != one.scans[0]:
            logger.info(f"{one.path}: answers again")
            one.said = ""
        one.scans = scans, now_s
    elif now_s - one.scans[1] >= _HANGS_AFTER_S and one.said != _HANGS:
        one.said = _HANGS
        logger.warning(f"{one.path}: {_HANGS}")


_HANGS = "has not answered for two minutes, its file system may hang; the other projects go on"


def opener(config: Path | None, program: str, overrides: dict[str, Any]) -> Open:
    """Opens watches with the options of one command line."""

    def opened(project: Path, out: Path | None, measurer: Measurer) -> Watch:
        return open_watch(project, out, config, program, overrides, in_watch=True, measurer=measurer)

    return opened
