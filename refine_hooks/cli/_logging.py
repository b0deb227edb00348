"""The one handler of the logger tree ``refine_hooks``: lines on standard error, and a file where one is named.

The standard output is for results alone. Nothing that goes wrong with writing a message ends a command.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

ROOT = logging.getLogger("refine_hooks")
_STYLES = {logging.DEBUG: "dim", logging.INFO: "", logging.WARNING: "yellow", logging.ERROR: "bold red"}
_COUNT_AFTER_S = 30.0
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class TerminalHandler(logging.Handler):
    """Lines on standard error, coloured by their level on a terminal; equal lines in a row become one with a count.

    Attributes:
        console: the terminal, where there is one; a progress display puts its own here while it runs.
        timed: begin lines with the time of day, as long-running commands do, and not with the program's name.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.INFO)
        self.console: Console | None = None
        self.timed = False
        self._clock = clock
        self._last: tuple[int, str] | None = None
        self._again, self._since_s = 0, 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a standard error that is closed, full or broken is passed over."""
        try:
            self._emit(record)
        except Exception:
            return

    def _emit(self, record: logging.LogRecord) -> None:
        line = record.levelno, self.format(record)
        if line == self._last:
            self._again += 1
            if self._clock() - self._since_s >= _COUNT_AFTER_S:
                self.tell_count()
            return
        self.tell_count()
        self._last, self._since_s = line, self._clock()
        self._write(*line)

    def tell_count(self) -> None:
        """Say how often the last line has come again."""
        again, self._again, self._since_s = self._again, 0, self._clock()
        if again and self._last is not None:
            self._write(self._last[0], f"(the same line {again} more time{'s' if again > 1 else ''})")

    def close(self) -> None:
        """Say what is still to be said."""
        try:
            self.tell_count()
        except Exception:
            self._again = 0
        super().close()

    def _write(self, level: int, text: str) -> None:
        start = f"{time.strftime('%H:%M:%S')} " if self.timed else "refine-hooks: "
        text = text.encode("utf-8", "backslashreplace").decode()
        if self.console is None and _coloured():
            from rich.console import Console

            self.console = Console(stderr=True)
        if self.console is None:
            sys.stderr.write(f"{start}{text}\n")
            sys.stderr.flush()
            return
        from rich.text import Text

        style = _STYLES.get(level, "bold red")
        self.console.print(Text.assemble((start, "dim"), (text, style)), soft_wrap=True)


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def handler() -> TerminalHandler:
    """The handler of this process, added at the first call."""
    for known in ROOT.handlers:
        if isinstance(known, TerminalHandler):
            return known
    logging.raiseExceptions = False
    new = TerminalHandler()
    ROOT.addHandler(new)
    ROOT.setLevel(logging.INFO)
    ROOT.propagate = False
    return new


class _Named(logging.Formatter):
    """Messages as they were, changed at the end."""

    def __init__(self, pattern: str | None, change: Callable[[str], str]) -> None:
        super().__init__(pattern)
        self._change = change

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = self._change(record.message)
        return super().formatMessage(record)


def project_in_front(change: Callable[[str], str]) -> None:
    """Let every message be changed before it is written, in the thread that it comes from: it begins with its project then."""
    for each in (handler(), *ROOT.handlers):
        if not isinstance(each.formatter, _Named):
            each.setFormatter(_Named(_FILE_FORMAT if isinstance(each, logging.FileHandler) else None, change))


def set_level(quieter: int = 0, louder: int = 0) -> None:
    """Fewer or more messages: warnings and errors with one -q, errors with two, details with -v."""
    level = logging.INFO + 10 * (quieter - louder)
    one = handler()
    one.setLevel(min(max(level, logging.DEBUG), logging.ERROR))
    # A handler without a level takes all; a tree without one would take the level of the process's root, which is WARNING.
    levels = [each.level or logging.DEBUG for each in ROOT.handlers if not isinstance(each, logging.NullHandler)]
    ROOT.setLevel(min(levels))


def log_to_file(path: Path) -> None:
    """Append every message, details too, to a file.

    Raises:
        InputError: it cannot be written.
    """
    from refine_hooks.errors import InputError

    handler()
    try:
        file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"--log-file {path}: cannot be written ({error.strerror}); name another file") from error
    file.setFormatter(logging.Formatter(_FILE_FORMAT))
    file.setLevel(logging.DEBUG)
    ROOT.addHandler(file)
    ROOT.setLevel(logging.DEBUG)
