"""Rounds of the past: looked at again only when something that they were made from has changed.

A look at a project must cost what its open rounds cost, not what its history does.
"""

import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from refine_hooks.model import Round

# A file system's clock may be this coarse: what changed just now may change once more at the same time of day.
COARSE_NS = 3 * 10**9
AT_REST_AFTER_NS = 3600 * 10**9
_LOOKS_AT_REST = 12

Evidence = tuple[Any, ...]


class State(NamedTuple):
    """What tells one state of a file from another."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Known:
    evidence: Evidence
    files: tuple[str, ...]
    states: tuple[State, ...]
    rounds: tuple[Round, ...]
    rested_at_ns: int
    looks: "Iterator[int]" = field(default_factory=count)


class Still:
    """The rounds of the past of one opened project; a part of it."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}

    def rounds(
        self,
        name: Hashable,
        evidence: Callable[[], Evidence],
        make: Callable[[], Iterable[Round]],
        files: Callable[[Round], Iterable[Path]],
    ) -> tuple[Round, ...]:
        """The rounds that ``make`` finds, from memory while nothing has changed.

        Rounds of which something is awaited, or which cannot be measured, are not remembered, and nor are their neighbours.

        Args:
            name: what the rounds are of.
            evidence: the states of all folders and tables, besides ``files``, that the rounds follow from.
            make: finds the rounds.
            files: the files of a round whose states are part of it.
        """
        known, seen = self._known.get(name), evidence()
        if known is not None and known.evidence == seen and _files_same(known):
            return known.rounds
        began_ns = time.time_ns()
        rounds = tuple(make())
        paths = tuple({str(path): None for round_ in rounds for path in files(round_)})
        states = _states(paths)
        newest_ns = max((each.mtime_ns for each in (*states, *seen) if isinstance(each, State)), default=0)
        if all(not round_.missing and not round_.fault for round_ in rounds) and newest_ns + COARSE_NS < began_ns:
            self._known[name] = _Known(seen, paths, states, rounds, newest_ns + AT_REST_AFTER_NS)
        else:
            self._known.pop(name, None)
        return rounds


def _files_same(known: _Known) -> bool:
    """A running program makes new files. Where none came or went for long, old ones are looked at now and then only."""
    number = next(known.looks)
    at_rest = time.time_ns() > known.rested_at_ns
    return (at_rest and number % _LOOKS_AT_REST != 0) or known.states == _states(known.files)


def _states(paths: tuple[str, ...]) -> tuple[State, ...]:
    return tuple(map(state, paths))


def state(path: str | Path) -> State:
    """Inode, size and time of last change of a file; zeros where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return State(0, 0, 0)
    return State(status.st_ino, status.st_size, status.st_mtime_ns)


def folder_state(path: str | Path) -> State:
    """`state` of a folder, opened for it: on NFS that asks the server."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return State(0, 0, 0)
    try:
        status = os.fstat(handle)
    finally:
        os.close(handle)
    return State(status.st_ino, status.st_size, status.st_mtime_ns)


class Listed:
    """What was listed of folders: listed anew where the folder has changed, or did so a moment ago."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[State, list[str]]] = {}

    def names(self, found: list[State], folder: str) -> list[str]:
        """The names in a folder, whose state is added to what was found."""
        now = folder_state(folder)
        found.append(now)
        before = self._known.get(folder)
        if before is not None and before[0] == now:
            return before[1]
        began_ns = time.time_ns()
        try:
            names = sorted(os.listdir(folder)) if now.inode else []
        except OSError:
            names = []
        if now.mtime_ns + COARSE_NS < began_ns:
            self._known[folder] = now, names
        return names
