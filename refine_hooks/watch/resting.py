"""Looks that can be left out: nothing that the last one depends on has changed since."""

import time
from dataclasses import dataclass

from refine_hooks.programs._still import AT_REST_AFTER_NS, COARSE_NS, State
from refine_hooks.programs.adapter import Project
from refine_hooks.watch.scan import Scan

_WHOLE_EVERY = 12  # looks: what an adapter's glance does not show is seen then

_Seen = tuple[int | None, int, tuple[State, ...]]


@dataclass(slots=True)
class Resting:
    """What the last whole look found, where nothing of it is open, and the states of the files and folders that it depends on.

    A glance asks for a few states where a look lists folders and reads tables, so a project between two rounds costs little,
    on this machine and on the server that it lies on.
    """

    _seen: _Seen | None = None
    _found: Scan | None = None
    _now: _Seen | None = None
    _left_out: int = 0

    def found(self, project: Project, changes: int | None, replaced_at: int) -> Scan | None:
        """What a look would find; None where only the look itself can tell.

        Args:
            project: glanced at.
            changes: of the project, that were heard of; where they are not, only one that has been still for an hour may rest.
            replaced_at: the state of the log.
        """
        states = project.glance()
        began_ns = time.time_ns()
        self._now = None if states is None else (changes, replaced_at, states)
        if self._found is not None and self._now == self._seen and self._left_out < _WHOLE_EVERY - 1:
            self._left_out += 1
            return self._found
        self._found = None
        still_ns = COARSE_NS if changes is not None else AT_REST_AFTER_NS
        if states is None or max((one.mtime_ns for one in states), default=0) + still_ns >= began_ns:
            self._now = None
        return None

    def looked(self, found: Scan, nothing_open: bool) -> None:
        """Learn what a whole look has found that followed a glance, and whether it may rest on it."""
        self._left_out = 0
        self._seen, self._found = (self._now, found) if nothing_open and self._now is not None else (None, None)
