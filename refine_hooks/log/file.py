"""The log ``rounds.jsonl``: whole lines are appended, a torn last line is no line, a line that cannot be read is named."""

import fcntl
import os
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from refine_hooks.errors import InputError, StorageError
from refine_hooks.files.lock import CANNOT_LOCK
from refine_hooks.files.reading import open_plain, read_bytes
from refine_hooks.log.folder import LOG_NAME, OUT_NAME
from refine_hooks.log.lines import parsed_line, why_not, without_errors
from refine_hooks.log.records import Failed, LogLine, RoundRecord, Start
from refine_hooks.model import Key

_LOCK_PATIENCE_S, _LOCK_EVERY_S = 60.0, 0.01

Said = TypeVar("Said", RoundRecord, RoundRecord | Failed)

Place = tuple[int, int]  # offset of a line's first byte, and its length in bytes, newline included


@dataclass(frozen=True, slots=True)
class Journal:
    """What a log holds: its lines in order, and one sentence for each line that is no line of ours."""

    lines: tuple[LogLine, ...]
    faults: tuple[str, ...] = ()

    @property
    def start(self) -> Start | None:
        """The newest watch that wrote into this log."""
        return next((line for line in reversed(self.lines) if isinstance(line, Start)), None)

    @property
    def rounds(self) -> tuple[RoundRecord, ...]:
        """The measured rounds in the order of the log; a round measured again stands under its last measurement only."""
        return tuple(_last_words(line for line in self.lines if isinstance(line, RoundRecord)))

    @property
    def failures(self) -> tuple[Failed, ...]:
        """The failed rounds that have not been measured since."""
        last = _last_words(line for line in self.lines if isinstance(line, RoundRecord | Failed))
        return tuple(line for line in last if isinstance(line, Failed))


def _last_words(lines: Iterable[Said]) -> Iterable[Said]:
    """The last line on each round, in the order of their first ones, without rounds that are known by another key since."""
    last: dict[Key, Said] = {}
    for line in lines:
        if isinstance(line, RoundRecord) and line.supersedes is not None:
            last.pop(line.supersedes, None)
        last[line.key] = line
    return last.values()


def read_journal(path: Path) -> Journal:
    """All lines of a log.

    A missing file is an empty log. A last line without its newline was torn by a kill and is left out silently.

    Raises:
        InputError: the file is there and cannot be read.
    """
    try:
        raw = read_bytes(path)
    except FileNotFoundError:
        return Journal(())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    whole = raw[: raw.rfind(b"\n") + 1]
    lines: list[LogLine] = []
    faults: list[str] = []
    for number, text in enumerate(whole.split(b"\n")[:-1], 1):
        if not text.strip():
            continue
        try:
            lines.append(parsed_line(text))
        except ValidationError as error:
            faults.append(f"{path}:{number}: {why_not(text, error)}")
    return Journal(tuple(lines), tuple(faults))


def records_at(path: Path, places: Iterable[Place], bare: Container[Place] = ()) -> list[RoundRecord]:
    """Records that stand at places of a log, read anew; what is no longer there is left out.

    Args:
        path: the log.
        places: of the records.
        bare: those of them that are read `without_errors`.
    """
    found: list[RoundRecord] = []
    with suppress(OSError), open_plain(path) as stream:
        found += (record for one in places if (record := _record_at(stream, *one, one in bare)) is not None)
    return found


def _record_at(stream: FileIO, offset: int, length: int, bare: bool) -> RoundRecord | None:
    text = os.pread(stream.fileno(), length, offset)
    try:
        line = parsed_line(without_errors(text) if bare else text)
    except ValidationError:
        return None
    return line if isinstance(line, RoundRecord) else None


def find_log(place: Path) -> Path:
    """The log that ``place`` means: the file itself, the one in that folder, or the one of that project.

    Raises:
        InputError: there is none; names every place looked at.
    """
    if place.is_file():
        return place
    candidates = (place / LOG_NAME, place / OUT_NAME / LOG_NAME)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not place.exists():
        raise InputError(
            f"{place}: is not there; name a log (rounds.jsonl), its folder, or a project that was measured"
        )
    tried = " nor ".join(str(candidate) for candidate in candidates)
    raise InputError(f"{place}: holds no log (neither {tried}); measure first with 'refine-hooks once {place}'")


def append(path: Path, lines: Iterable[LogLine]) -> list[Place]:
    """Append lines to a log, see `Appender`.

    Returns:
        Where each line stands: the offset of its first byte, and its length in bytes with the newline.

    Raises:
        StorageError: the disk is full, read-only or gone; nothing of these lines stays in the file.
    """
    return Appender(path).append([spelled(line) for line in lines])


def spelled(line: LogLine) -> bytes:
    """A line as it stands in the file, with its newline."""
    return line.model_dump_json().encode() + b"\n"


@dataclass(slots=True)
class Appender:
    """Appends lines to a log whole and flushes them to disk, under the log's own lock; a torn tail of a kill is cut off first.

    Whoever appends does it here, so that no two write at once. The log's folder is there, or nothing is written.

    Attributes:
        path: the log.
    """

    path: Path
    # Of a log that holds more than was reported as written: where it really ends, and how long it was left.
    _to_be_cut: tuple[int, int] | None = None

    def append(self, texts: list[bytes]) -> list[Place]:
        """Append lines that are spelled already.

        Returns:
            Where each line stands: the offset of its first byte, and its length in bytes with the newline.

        Raises:
            StorageError: the disk is full, read-only or gone; nothing of these lines stays in the file.
        """
        try:
            with _opened_alone(self.path) as handle:
                end = self._written(handle, b"".join(texts))
        except OSError as error:
            why = "it is a link, which is not followed" if self.path.is_symlink() else error.strerror
            raise StorageError(
                f"{self.path}: cannot be written ({why}); free some space or name another folder with --out"
            ) from error
        ends = list(accumulate(map(len, texts), initial=end))
        return list(zip(ends, map(len, texts), strict=False))

    def _written(self, handle: int, text: bytes) -> int:
        """Write at the end of the whole lines, and give that end."""
        size = os.fstat(handle).st_size
        end = _end_of_whole_lines(handle)
        if self._to_be_cut is not None and self._to_be_cut[1] == size:
            end = min(end, self._to_be_cut[0])
        self._to_be_cut = None
        os.ftruncate(handle, end)
        try:
            written = 0
            while written < len(text):
                written += os.pwrite(handle, text[written:], end + written)
            os.fsync(handle)
        except OSError:
            # Where not even this can be done, a line that nobody was told of must not stand before its repetition.
            self._to_be_cut = end, os.fstat(handle).st_size
            os.ftruncate(handle, end)
            self._to_be_cut = None
            raise
        return end


@contextmanager
def _opened_alone(path: Path) -> Iterator[int]:
    """The log opened for writing, made if need be, with its lock held: by the file that has the name now.

    Raises:
        StorageError: another process has held the lock for long.
    """
    end_s = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            if _locked(handle):
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    yield handle
                    return
            elif time.monotonic() > end_s:
                raise StorageError(
                    f"{path}: another process has been writing for {_LOCK_PATIENCE_S:g} s; end it if it hangs"
                )
            else:
                time.sleep(_LOCK_EVERY_S)
        finally:
            with suppress(OSError):  # what was written is on the disk by now
                os.close(handle)


def _locked(handle: int) -> bool:
    """Take the lock of an open file; False where another holds it. A file system without locks is written to all the same."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in CANNOT_LOCK:
            raise
    return True


def _end_of_whole_lines(handle: int) -> int:
    size = os.fstat(handle).st_size
    position, step = size, 1 << 16
    while position > 0:
        start = max(0, position - step)
        found = os.pread(handle, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0
