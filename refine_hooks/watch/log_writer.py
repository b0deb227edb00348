"""The log of a watch: a line is written to it first, and remembered then.

What is cut off or deleted is written again; rounds at the next start, too.
"""

import hashlib
import logging
import os
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.errors import InputError, StorageError
from refine_hooks.log import copies
from refine_hooks.log import file as journal
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import LogLine, RoundRecord
from refine_hooks.model import Key

logger = logging.getLogger(__name__)

MOST_HELD_BYTES = (
    256 << 10
)  # of lines, packed: some ten rounds; all have a copy beside the log (`refine_hooks.log.copies`)
MOST_EARLIER_BYTES = 2 << 20  # of what earlier watches wrote, before it is packed
_CHUNK_BYTES = 1 << 20
_NAMED = 4


@dataclass(slots=True)
class LogWriter:
    """Appends to the log of a store.

    Attributes:
        store: the folder of the log, which is asked whether it is still ours.
        index: what the log holds; records stay on disk.
    """

    store: Store
    index: LogIndex
    _appender: journal.Appender = field(init=False)
    _held: deque[tuple[bytes, bytes]] = field(default_factory=deque)  # digest of a line, and the line packed
    _held_bytes: int = 0
    _handle: int | None = None  # the file as it was written: it outlives its name
    _end: int = 0  # of the last line that is known to be in it

    def __post_init__(self) -> None:
        self._appender = journal.Appender(self.store.log)

    def append(self, line: LogLine) -> None:
        """Write a line to the log, then remember it: what is remembered is always on disk.

        Raises:
            TakenError: another watch writes there by now.
            StorageError: it cannot be written.
        """
        self.store.guard()
        try:
            self._mend()
        except OSError as error:
            raise StorageError(_unreadable(self.store.log, error)) from error
        text = journal.spelled(line)
        if isinstance(line, RoundRecord):
            copies.copy_line(self.store, line, text)
        self._write(line, text)
        self._open()

    def _write(self, line: LogLine, text: bytes) -> None:
        for offset, length in self._appender.append([text]):
            self.index.add(line, offset, length)
            self._end = offset + length
        self._hold(text)

    def recover(self) -> None:
        """Write to the log what was measured and is not in it: it was deleted, cut or edited, or a watch was killed before it."""
        keys = []
        for record in copies.lacking(self.store, self.index):
            self._write(record, journal.spelled(record))
            keys.append(str(record.key))
        if keys:
            more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
            logger.warning(
                f"{self.store.log}: {', '.join(keys[:_NAMED])}{more}: measured before and not in it; written to it from "
                f"{self.store.out / copies.FOLDER} (remove the file of a round there to have it measured anew)"
            )

    def recall(self) -> list[str]:
        """Take into account what the log holds; a sentence for each line that is no line of ours.

        Raises:
            InputError: the log is there and cannot be read.
        """
        try:
            self.index.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.store.log}: cannot be read ({error.strerror})") from error
        return self.index.faults

    def hold_earlier(self) -> None:
        """Hold the last lines of earlier watches as well."""
        try:
            with self.store.log.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if size > MOST_EARLIER_BYTES:
                    stream.seek(size - MOST_EARLIER_BYTES)
                    stream.readline()
                for text in stream:
                    if text.endswith(b"\n"):
                        self._hold(text)
        except OSError:
            return

    def mended(self) -> str:
        """Write again what has been cut off or deleted since; why that cannot be done now, empty where all is well."""
        try:
            self._mend()
        except StorageError as error:
            return str(error)
        except OSError as error:
            return _unreadable(self.store.log, error)
        return ""

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            with suppress(OSError):
                os.close(self._handle)
            self._handle = None

    def _mend(self) -> None:
        if self._end == 0:
            return
        try:
            there = os.stat(self.store.log)
        except FileNotFoundError:
            before = self._keys()
            self._restore()
        else:
            same = self._is_open(there)
            if same and there.st_size >= self._end:
                self._open()
                return
            before = self._keys()
            logger.warning(f"{self.store.log}: was {'cut' if same else 'replaced'} while it is written to")
            self._rewrite_held()
        self.index.read()
        self.recover()
        self._open()
        self._end = os.stat(self.store.log).st_size
        lost = len(before - self._keys())
        if lost:
            logger.warning(
                f"{self.store.log}: {lost} rounds are lost from it; what is still on disk of them is measured again"
            )

    def _is_open(self, there: os.stat_result) -> bool:
        """Whether this is the file that is open; nobody knows where that has become stale, as on NFS, so it is taken for it."""
        try:
            return self._handle is None or os.path.samestat(there, os.fstat(self._handle))
        except OSError:
            return True

    def _restore(self) -> None:
        """Give a deleted log its name back: as long as it is open, all that it held is there, but for a server that forgets it."""
        logger.warning(f"{self.store.log}: was deleted while it is written to; all that it held is written again")
        try:
            readable = self._handle is not None and os.pread(self._handle, 1, 0)
        except OSError:
            readable = False
        if readable:
            self.store.write_parts(self.store.log, self._whole())
        else:
            self._rewrite_held()

    def _whole(self) -> Iterator[bytes]:
        assert self._handle is not None
        for start in range(0, self._end, _CHUNK_BYTES):
            yield os.pread(self._handle, min(_CHUNK_BYTES, self._end - start), start)

    def _rewrite_held(self) -> None:
        """Append the lines that are held and that the file does not hold any more."""
        present: set[bytes] = set()
        with suppress(FileNotFoundError), self.store.log.open("rb") as stream:
            present = {hashlib.sha256(text).digest() for text in stream}
        missing = [zlib.decompress(packed) for digest, packed in self._held if digest not in present]
        if missing:
            self._appender.append(missing)
            logger.warning(f"{self.store.log}: {len(missing)} lines are written to it again")

    def _hold(self, text: bytes) -> None:
        """Remember a line; of very many the oldest are left out."""
        packed = zlib.compress(text, 1)
        self._held.append((hashlib.sha256(text).digest(), packed))
        self._held_bytes += len(packed)
        while self._held_bytes > MOST_HELD_BYTES and len(self._held) > 1:
            self._held_bytes -= len(self._held.popleft()[1])

    def _open(self) -> None:
        """Keep the file open that has the name now; where that cannot be had, none is, and the next line's writing tries anew."""
        with suppress(OSError):
            if self._handle is not None and os.path.samestat(os.fstat(self._handle), os.stat(self.store.log)):
                return
        self.close()
        with suppress(OSError):
            self._handle = os.open(self.store.log, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _keys(self) -> set[Key]:
        return {summary.key for summary in self.index.summaries()}


def _unreadable(log: Path, error: OSError) -> str:
    return f"{log}: cannot be read ({error.strerror or error})"
