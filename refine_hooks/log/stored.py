"""The summaries of a long log, kept beside it, so that whoever opens it next need not read it.

A file of this kind is never trusted: it counts only where it is whole, and belongs to the very file that is open, which has not
been touched since or still holds the same lines (their checksum is told). It may be deleted at any time; where it cannot be
written, nothing is lost. Its first line says what it belongs to, the second what curves its rounds have. Then there is one line
of JSON for each line of the log: where that stands, and of a round its summary.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from refine_hooks.errors import StorageError
from refine_hooks.files.atomic import beside
from refine_hooks.files.reading import open_plain, parsed_json
from refine_hooks.log.file import Place
from refine_hooks.log.folder import index_path
from refine_hooks.log.summary import RoundSummary

FORMAT = 5
WORTH_KEEPING = 4 << 20  # bytes of a log; fewer are read in no time

_CHUNK_BYTES = 1 << 20
_AT_ONCE = 64  # lines that are parsed together

Entry = tuple[Place, RoundSummary | None]


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


def load(log: Path, handle: int) -> tuple[Mark, Iterator[Entry]] | None:
    """What was kept of a log: up to where, and its lines in order; None where nothing is kept that fits.

    Args:
        log: the log.
        handle: of the log, which is open.

    Returns:
        Reading the lines raises ValueError, TypeError, AttributeError or IndexError where one is none of ours.
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
            if not untouched and checksum(handle, 0, sum(mark.place)) != mark.whole_crc:
                return None
            if _checksum(stream) != head["body"]:
                return None
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None
    return mark, _entries(index_path(log))


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


def _entries(path: Path) -> Iterator[Entry]:
    with BufferedReader(open_plain(path)) as stream:
        stream.readline()
        curves = parsed_json(stream.readline().decode())
        while lines := list(islice(stream, _AT_ONCE)):
            for offset, length, *told in parsed_json(f"[{b','.join(lines).decode()}]"):
                place = offset, length
                yield place, RoundSummary.unpacked(told, curves, place) if told else None


def save(log: Path, mark: Mark, entries: Iterable[Entry]) -> None:
    """Keep what was read of a log, whole or not at all; where the folder cannot be written, nothing is kept."""
    curves: dict[str, int] = {}
    lines = [_line([*place, *(known.packed(curves) if known else ())]) for place, known in entries]
    lines.insert(0, _line(list(curves)))
    try:
        if os.stat(log).st_ino != mark.inode:
            return
        head = {
            "format": FORMAT,
            "inode": mark.inode,
            "last": mark.place,
            "crc": mark.crc,
            "whole": mark.whole_crc,
            "ctime_ns": mark.ctime_ns,
            "body": _checksum(lines),
        }
        with beside(index_path(log)) as temporary, temporary.open("wb") as stream:
            stream.write(_line(head))
            stream.writelines(lines)
    except (OSError, StorageError):
        return


def _line(told: Any) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
