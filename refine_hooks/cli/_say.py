"""How the commands speak: through rich on a terminal, in plain lines anywhere else. Always on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Say = Callable[[str], None]
_LINE_EVERY_S = 30.0


class Progress(Protocol):
    """Told how much of how much is done, and of what."""

    def __call__(self, done: int, total: int, what: str = "rounds") -> None:
        """``done`` of ``total`` are done."""


@contextmanager
def speaking() -> Iterator[tuple[Say, Progress]]:
    """A function that prints one line with the time of day, and one that shows how far the work is.

    On a terminal that is a bar for rounds, and one with speed and time left for particles; elsewhere a line for particles now
    and then.
    """
    from datetime import datetime

    if not sys.stderr.isatty():

        def plain(text: str) -> None:
            sys.stderr.write(f"{datetime.now():%H:%M:%S} {text}\n")
            sys.stderr.flush()

        yield plain, lines_of_progress(plain)
        return

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
    from rich.text import Text

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True, refresh_per_second=2) as bar:
        bar.console.stderr = True
        tasks: dict[str, TaskID] = {}
        pace = Pace()

        def rich(text: str) -> None:
            line = Text(f"{datetime.now():%H:%M:%S} ", style="dim")
            bar.console.print(line.append(text, style="bold red" if "FAILED" in text else "not dim"))

        def move(done: int, total: int, what: str = "rounds") -> None:
            if total <= 1:
                return
            task = tasks.setdefault(what, bar.add_task(what, total=total, speed="") if what not in tasks else TaskID(0))
            speed = pace.per_s(done, total) if what == "particles" else None
            finished = what == "particles" and done >= total
            bar.update(
                task,
                completed=done,
                total=max(done, total),
                visible=not finished,
                speed=f"{speed:.0f}/s" if speed else "",
            )

        yield rich, move


def tell_compiling(say: Say) -> None:
    """Let ``say`` tell once that kernels are being compiled, when that begins: else the first measurement seems to hang."""
    from numba.core import event

    class Teller(event.Listener):
        told = False

        def on_start(self, event: object) -> None:
            if not self.told:
                self.told = True
                say("compiling kernels, once for this installation: the first measurement takes up to a minute longer")

        def on_end(self, event: object) -> None:
            pass

    event.register("numba:compile", Teller())  # type: ignore[no-untyped-call]


class Pace:
    """How many a second, from the first number that was told of one piece of work; numbers that fall begin another."""

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


def lines_of_progress(say: Say, clock: Callable[[], float] = time.monotonic) -> Progress:
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
            say(f"{done} of {total} particles, {speed:.0f}/s, {duration((total - done) / speed)} left")

    return move


def duration(seconds: float) -> str:
    """A time as people say it: 42 s, 7 min, 3 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
