"""How far the work is: a bar on a terminal, a line now and then anywhere else. Always on standard error."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from refine_hooks.cli._logging import handler
from refine_hooks.model import duration

logger = logging.getLogger(__name__)
_LINE_EVERY_S = 30.0


class Progress(Protocol):
    """Told how much of how much is done, and of what."""

    def __call__(self, done: int, total: int, what: str = "rounds") -> None:
        """``done`` of ``total`` are done."""


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """A function that shows how far the work is; while it is shown, messages begin with the time of day.

    On a terminal that is a bar for rounds, and one with speed and time left for particles; elsewhere a line for particles now
    and then.
    """
    terminal = handler()
    terminal.timed = True
    try:
        if sys.stderr is None or not sys.stderr.isatty():
            yield lines_of_progress()
            return
        with _bars() as bars:
            terminal.console = bars.console
            yield _Bars(bars)
    finally:
        terminal.tell_count()
        terminal.console, terminal.timed = None, False


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, transient=True, refresh_per_second=2, console=Console(stderr=True))


class _Bars:
    """One bar for each kind of work."""

    def __init__(self, bars: Any) -> None:
        self.bars, self.tasks, self.pace = bars, {}, Pace()  # type: ignore[var-annotated]

    def __call__(self, done: int, total: int, what: str = "rounds") -> None:
        if total <= 1:
            return
        if what not in self.tasks:
            self.tasks[what] = self.bars.add_task(what, total=total, speed="")
        speed = self.pace.per_s(done, total) if what == "particles" else None
        self.bars.update(
            self.tasks[what],
            completed=done,
            total=max(done, total),
            visible=not (what == "particles" and done >= total),
            speed=f"{speed:.0f}/s" if speed else "",
        )


class Pace:
    """How many a second, from the first number of one piece of work; numbers that fall begin another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.begun = self.last = (0, 0, 0.0)

    def per_s(self, done: int, total: int) -> float | None:
        """The mean speed so far; None at the beginning."""
        at = self.clock()
        if total != self.begun[1] or done < self.last[0] or not self.begun[2]:
            self.begun = (done, total, at)
        self.last = (done, total, at)
        passed = at - self.begun[2]
        return (done - self.begun[0]) / passed if passed > 0 and done > self.begun[0] else None


def lines_of_progress(clock: Callable[[], float] = time.monotonic) -> Progress:
    """Progress of particles as lines, one at most every half minute; of rounds each has its own line anyway."""
    pace = Pace(clock)
    said = clock()

    def move(done: int, total: int, what: str = "rounds") -> None:
        nonlocal said
        if what != "particles":
            return
        speed = pace.per_s(done, total)
        if speed and done < total and clock() - said >= _LINE_EVERY_S:
            said = clock()
            logger.info(f"{done} of {total} particles, {speed:.0f}/s, {duration((total - done) / speed)} left")

    return move
