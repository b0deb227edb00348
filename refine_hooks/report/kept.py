"""Pieces of a file that was written whole, read again from it: what is made once need not stay in memory."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.files.reading import open_plain
from refine_hooks.log.file import Place


@dataclass(slots=True)
class Kept:
    """A file as it was when it was last written.

    Attributes:
        path: of the file.
    """

    path: Path
    _state: tuple[int, ...] | None = None
    _stream: io.FileIO | None = None

    def written(self) -> bool:
        """Learn that it has just been written; whether it is there."""
        self._state = None
        with suppress(OSError):
            self._state = _state_of(os.stat(self.path))
        return self._state is not None

    @contextmanager
    def opened(self) -> Iterator[bool]:
        """Whether it is still as it was written; while the block runs it can be read, whatever takes its name meanwhile."""
        if self._state is None:
            yield False
            return
        try:
            stream = open_plain(self.path)
        except OSError:
            yield False
            return
        with stream:
            try:
                self._stream = stream
                yield _state_of(os.fstat(stream.fileno())) == self._state
            finally:
                self._stream = None

    def piece(self, place: Place) -> bytes:
        """What stands at a place of the file.

        Raises:
            OSError: it cannot be read any more; the file then counts as not written.
        """
        assert self._stream is not None
        state, self._state = self._state, None
        found = os.pread(self._stream.fileno(), place[1], place[0])
        if len(found) != place[1]:
            raise OSError(f"{self.path}: was cut while it was read")
        self._state = state
        return found


def _state_of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
