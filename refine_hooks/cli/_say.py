"""How the commands speak: through rich on a terminal, in plain lines anywhere else. Always on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


@contextmanager
def speaking() -> Iterator[tuple[Say, Progress]]:
    """A function that prints one line with the time of day, and one that moves a bar (on a terminal, for long work only)."""
    from datetime import datetime

    if not sys.stderr.isatty():

        def plain(text: str) -> None:
            sys.stderr.write(f"{datetime.now():%H:%M:%S} {text}\n")
            sys.stderr.flush()

        yield plain, lambda done, total: None
        return

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    columns = (TextColumn("rounds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        bar.console.stderr = True
        task = bar.add_task("rounds", total=None, visible=False)

        def rich(text: str) -> None:
            line = Text(f"{datetime.now():%H:%M:%S} ", style="dim")
            bar.console.print(line.append(text, style="bold red" if "FAILED" in text else "not dim"))

        def move(done: int, total: int) -> None:
            if total > 1:
                bar.update(task, completed=done, total=max(done, total), visible=True)

        yield rich, move
