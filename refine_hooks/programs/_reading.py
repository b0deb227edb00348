"""Reading the tables of a running program: from memory while a file stays as it is, never larger than a table can be."""

import os
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

from refine_hooks.errors import InputError, NotReadyError
from refine_hooks.files import reading

_LARGEST_BYTES = 512 << 20
_CACHED = 1 << 14

T = TypeVar("T")


def remembered(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """Make a reader of one file answer from memory for as long as the file's identity, size and mtime stay the same.

    A file that changes while it is read is not ready.
    """

    @lru_cache(maxsize=_CACHED)
    def known(path: str, identity: tuple[int, int, int]) -> T:
        result = read(Path(path))
        if _identity(Path(path)) != identity:
            raise NotReadyError(f"{path}: changed while it was read")
        return result

    @wraps(read)
    def reader(path: Path) -> T:
        return known(str(path), _identity(path))

    return reader


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise NotReadyError(f"{path}: is not there ({error.strerror})") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_text(path: Path) -> str:
    """The whole of a text file.

    Raises:
        NotReadyError: it is not there, or empty.
        InputError: it cannot be read, or is far too large for a table.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{path}: is larger than {_LARGEST_BYTES >> 20} MB; that is no table of a refinement")
        text = reading.read_text(path)
    except FileNotFoundError as error:
        raise NotReadyError(f"{path}: is not there") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not text.strip():
        raise NotReadyError(f"{path}: is still empty")
    return text


def size_of(path: Path) -> int:
    """Bytes in a file; -1 when it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
