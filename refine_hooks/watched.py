"""The state of one watch: what it was asked to do, what the log holds, and what is waited for."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from refine_hooks import journal, watch
from refine_hooks.projects.adapter import Adapter, Round
from refine_hooks.records import Failed, Key, LogLine, RoundRecord
from refine_hooks.settings import Settings
from refine_hooks.store import Store


@dataclass(slots=True)
class Watch:
    """One watch of one project: what it was asked to do, and what the log holds so far."""

    project: Path
    program: str
    adapter: Adapter
    settings: Settings
    store: Store
    say: Callable[[str], None]
    reconstruct: Literal["never", "missing", "always"] = "never"
    lines: list[LogLine] = field(default_factory=list)
    state: dict[Key, RoundRecord | Failed] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    at_capture: threading.Lock = field(default_factory=threading.Lock)
    why_stop: str = "nothing more to do"
    last_event: float = field(default_factory=time.monotonic)
    measured: int = 0
    without_half_maps: int = 0
    failed: int = 0
    waiting: str = ""
    told: set[str] = field(default_factory=set)
    blind: bool = False
    room_bytes: int = 0
    stalled: bool = False
    progress: Callable[[int, int], None] = lambda done, total: None
    inserting: Callable[[int, int], None] = lambda done, total: None
    expected: int = 0
    attempted: set[Key] = field(default_factory=set)
    put_off: watch.PutOff = field(default_factory=watch.PutOff)
    _compared: dict[Key, tuple[Round, RoundRecord | Failed]] = field(default_factory=dict)
    awaited: watch.Awaited = field(default_factory=watch.Awaited)

    def log(self, line: LogLine) -> None:
        """Write a line to the log, then remember it: what is remembered is always on disk."""
        journal.append(self.store.log, [line])
        self.remember([line])

    def remember(self, lines: Iterable[LogLine]) -> None:
        """Take into account what the log holds."""
        for line in lines:
            self.lines.append(line)
            if isinstance(line, RoundRecord | Failed):
                self.state[line.key] = line

    def done(self, round_: Round) -> bool:
        """Whether the log holds this round as it is on disk now; one without honest half maps is not done once some can be made."""
        if self.stop.is_set():
            return True
        if self.put_off.holds(round_):
            return not self.put_off.due(round_)
        line = self.state.get(round_.key)
        if line is None or not self._holds(line, round_):
            return False
        return not (_lacking(line) and self.reconstruct != "never" and round_.key not in self.attempted)

    def _holds(self, line: RoundRecord | Failed, round_: Round) -> bool:
        """Whether a line is of this very state. A round that the adapter remembers is compared once, not at every look."""
        compared = self._compared.get(round_.key)
        if compared is not None and compared[0] is round_ and compared[1] is line:
            return True
        if line.stamp != round_.stamp:
            return False
        self._compared[round_.key] = round_, line
        return True

    def failed_so_before(self, line: Failed) -> bool:
        """Whether the log's last word on this round is this very failure."""
        last = self.state.get(line.key)
        return isinstance(last, Failed) and (last.stamp, last.reason) == (line.stamp, line.reason)

    def known_without(self, round_: Round) -> RoundRecord | None:
        """The line that the log holds of this very state, where it has no honest half maps; else None."""
        line = self.state.get(round_.key)
        return line if isinstance(line, RoundRecord) and _lacking(line) and line.stamp == round_.stamp else None

    def wait(self, message: str) -> None:
        """Say what is waited for: once, not at every look."""
        self.waiting = message
        if message not in self.told:
            self.told.add(message)
            self.say(message)

    def go_on(self) -> None:
        """What was waited for has come; should it be lacking once more, that is said again."""
        self.waiting = ""
        self.told.clear()

    def idle_since(self) -> float:
        """When something last happened, on the monotonic clock."""
        return self.last_event


def _lacking(line: RoundRecord | Failed) -> bool:
    """Whether a measured round would be better for half maps that are made from its particles."""
    return isinstance(line, RoundRecord) and (line.half_maps is None or line.half_maps.origin == "regularised")
