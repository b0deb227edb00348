"""The summaries of a long log, kept beside it, so that whoever opens it next need not read it.

A file of this kind is never trusted: it counts only where it is whole, and belongs to the very file that is open, which has not
been touched since or still holds the same lines (their checksum is told). It may be deleted at any time; where it cannot be
written, nothing is lost. Its first line says what it belongs to, the second what curves its rounds have, the third which round
each line is about. Then there is one line of JSON for each line of the log: where that stands, and of a round its summary.
"""

import json
import os
import zlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from refine_hooks.errors import StorageError
from refine_hooks.files.atomic import beside
from refine_hooks.files.reading import open_plain, parsed_json
from refine_hooks.log.contents import Contents
from refine_hooks.log.file import Place
from refine_hooks.log.folder import index_path
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import Key

FORMAT = 6
WORTH_KEEPING = 4 << 20  # bytes of a log; fewer are read in no time

_CHUNK_BYTES = 1 << 20
_AT_ONCE = 64  # lines that are parsed together

Entry = tuple[int, Place, RoundSummary | None]  # number of the line, where it stands, and what is known of it


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a log was read.

    Attributes:
        inode: of the file.
        place: of the last line.
        crc: checksum of that line.
        whole_crc: checksum of all up to there, where it is kept.
        ctime_ns: when the file was last touched before it was read; 0 where more stands in it than was read.
    """

    inode: int
    place: Place
    crc: int
    whole_crc: int = 0
    ctime_ns: int = 0

    def fits(self, handle: int) -> bool:
        """Whether it is this file, and the line still stands there."""
        offset, length = self.place
        status = os.fstat(handle)
        if status.st_ino != self.inode or status.st_size < offset + length:
            return False
        return zlib.crc32(os.pread(handle, length, offset)) == self.crc


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of a log.

    Attributes:
        mark: up to where the log was read.
        lines: its lines in order, or those that one round is compared with. Reading them raises ValueError, TypeError,
            AttributeError or LookupError where one is none of ours.
        contents: of the whole log, where lines were passed over; else None.
    """

    mark: Mark
    lines: Iterator[Entry]
    contents: Contents | None = None


def load(log: Path, handle: int, about: Key | None = None) -> Kept | None:
    """What was kept of a log; None where nothing is kept that fits.

    Args:
        log: the log.
        handle: of the log, which is open.
        about: the round that is asked for; None for all.
    """
    try:
        stream = BufferedReader(open_plain(index_path(log)))
    except OSError:
        return None
    try:
        with stream:
            first, size = stream.readline(1000), os.fstat(stream.fileno()).st_size
            head = parsed_json(first.decode())
            mark = Mark(head["inode"], (head["last"][0], head["last"][1]), head["crc"], head["whole"])
            status = os.fstat(handle)
            if head["format"] != FORMAT or size > status.st_size or not mark.fits(handle):
                return None
            untouched = status.st_ctime_ns == head["ctime_ns"]
            same = untouched or checksum(handle, 0, sum(mark.place)) == mark.whole_crc
            if not same or checksum(stream.fileno(), len(first), size) != head["body"]:
                return None
            if not untouched:
                _keep_anew(log, head | {"ctime_ns": status.st_ctime_ns}, stream, len(first))
            if about is None or _much_since(mark, status.st_size):
                return Kept(mark, _entries(index_path(log)))
            contents = _contents(stream, len(first))
            return Kept(mark, _entries(index_path(log), contents.beside(about)), contents)
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def _keep_anew(log: Path, head: dict[str, Any], stream: BinaryIO, at: int) -> None:
    """Keep the same under another head: a log that was found whole need not be read for that again until it is touched."""
    stream.seek(at)
    _write(log, head, iter(lambda: stream.read(_CHUNK_BYTES), b""))


def _much_since(mark: Mark, size: int) -> bool:
    """Whether so much was appended to a log that its summaries are worth keeping anew: it is then read whole."""
    return worth_keeping(size - sum(mark.place), size)


def worth_keeping(new: int, size: int) -> bool:
    """Whether the summaries of a log are kept anew when so many of its bytes are not in what was kept."""
    return new >= max(WORTH_KEEPING, size // 16)


def _contents(stream: BinaryIO, at: int) -> Contents:
    stream.seek(at)
    stream.readline()
    return Contents.unpacked(parsed_json(stream.readline().decode()))


def checksum(handle: int, start: int, end: int, crc: int = 0) -> int:
    """The checksum of a part of a file, going on from that of the part before."""
    while start < end and (part := os.pread(handle, min(_CHUNK_BYTES, end - start), start)):
        crc, start = zlib.crc32(part, crc), start + len(part)
    return crc


def _checksum(lines: Iterable[bytes]) -> int:
    crc = 0
    for line in lines:
        crc = zlib.crc32(line, crc)
    return crc


def _entries(path: Path, wanted: Container[int] | None = None) -> Iterator[Entry]:
    """The lines of such a file, or the wanted ones; lines are parsed together, that is quicker."""
    with BufferedReader(open_plain(path)) as stream:
        stream.readline()
        curves = parsed_json(stream.readline().decode())
        stream.readline()
        numbered = ((number, line) for number, line in enumerate(stream) if wanted is None or number in wanted)
        while lines := dict(islice(numbered, _AT_ONCE)):
            parsed = parsed_json(f"[{b','.join(lines.values()).decode()}]")
            for number, (offset, length, *told) in zip(lines, parsed, strict=True):
                place = offset, length
                yield number, place, RoundSummary.unpacked(told, curves, place) if told else None


def save(
    log: Path, mark: Mark, entries: Sequence[tuple[Place, RoundSummary | None]], told_before: Container[Key]
) -> None:
    """Keep what was read of a log, whole or not at all; where the folder cannot be written, nothing is kept.

    Args:
        log: the log.
        mark: up to where it was read.
        entries: its lines in order, and what is known of those that are the last ones on a round.
        told_before: the rounds that the others are about.
    """
    curves: dict[str, int] = {}
    lines = [_line([*place, *(known.packed(curves) if known else ())]) for place, known in entries]
    contents = Contents.of((known for _, known in entries), told_before)
    lines[:0] = _line(list(curves)), _line(contents.packed())
    head = {
        "format": FORMAT,
        "inode": mark.inode,
        "last": mark.place,
        "crc": mark.crc,
        "whole": mark.whole_crc,
        "ctime_ns": mark.ctime_ns,
        "body": _checksum(lines),
    }
    _write(log, head, lines)


def _write(log: Path, head: dict[str, Any], body: Iterable[bytes]) -> None:
    try:
        if os.stat(log).st_ino != head["inode"]:
            return
        with beside(index_path(log)) as temporary, temporary.open("wb") as stream:
            stream.write(_line(head))
            stream.writelines(body)
    except (OSError, StorageError):
        return


def _line(told: Any) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
