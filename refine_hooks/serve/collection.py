"""All logs that are shown: found below a folder, looked at again and again, never through a link that leads out of it."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_hooks.audit.judge import Judge
from refine_hooks.errors import InputError
from refine_hooks.log.file import find_log
from refine_hooks.log.folder import LOG_NAME, OUT_NAME, Store
from refine_hooks.log.index import LogIndex
from refine_hooks.reanalyse import Analyses
from refine_hooks.report.view import LogView

DEPTH = 4
ENTRIES = 2000  # of one folder; one that holds more is no folder of projects
FOLDERS = 4000  # of one search
SEARCH_EVERY = 15  # turns


@dataclass(slots=True)
class LogCollection:
    """The logs of a place.

    Attributes:
        place: a log, the folder that holds it, a project, or a folder of projects.
        own: settings that are laid over those of each log (`refine_hooks.settings.own_table`).
    """

    place: Path
    own: Mapping[str, Any] = field(default_factory=dict)
    logs: dict[str, LogView] = field(default_factory=dict)
    _turns: int = 0

    def refresh(self) -> tuple[bool, list[str]]:
        """Read what is new: whether a log was found, and the ids of the logs that have news."""
        fresh = self._search() if self._turns % SEARCH_EVERY == 0 else []
        self._turns += 1
        news = [log.id for log in list(self.logs.values()) if log.index.refresh()]
        return bool(fresh), news

    def judge(self) -> list[str]:
        """Audit some of the rounds that have not been; the ids of their logs."""
        return [log.id for log in list(self.logs.values()) if log.judge.judge()]

    def _search(self) -> list[LogView]:
        fresh = []
        for path in found_logs(self.place):
            index = LogIndex(path)
            log = LogView(index, Judge(index, own=self.own, completed=Analyses(Store(index.out)).completed))
            if log.id not in self.logs:
                self.logs[log.id] = log
                fresh.append(log)
        return fresh


def collection_at(place: Path, own: Mapping[str, Any] | None = None) -> LogCollection:
    """The logs of a place, read once; ``own`` is laid over the settings of each.

    Raises:
        InputError: the place is not there.
    """
    if not place.exists():
        raise InputError(
            f"{place}: is not there; name a log (rounds.jsonl), its folder, a project, or a folder of projects"
        )
    logs_there = LogCollection(place.absolute(), own or {})
    logs_there.refresh()
    return logs_there


def found_logs(place: Path) -> list[Path]:
    """The logs that a place means: its own, else every one at most `DEPTH` folders below it, in the order of their paths."""
    try:
        return [find_log(place)]
    except InputError:
        root = place.resolve()
        return sorted(path for path in _below(place) if path.resolve().is_relative_to(root))


def _below(root: Path) -> Iterator[Path]:
    """Logs below a folder, the shallow ones first; a log's own folder and a project that has a log are not searched further."""
    waiting = deque([(root, DEPTH)])
    for _ in range(FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.popleft()
        for inside in _folders(folder):
            log = next((c for c in (inside / LOG_NAME, inside / OUT_NAME / LOG_NAME) if _is_file(c)), None)
            if log is not None:
                yield log
            elif depth > 1:
                waiting.append((inside, depth - 1))


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            some = [entry for entry, _ in zip(entries, range(ENTRIES), strict=False)]
            return sorted(Path(e.path) for e in some if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
