"""Reading the tables of a running program: from memory while a file stays as it is, never larger than a table can be."""

import os
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar, cast

from refine_hooks.errors import InputError, NotReadyError
from refine_hooks.files import reading

_LARGEST_BYTES = 512 << 20
_REMEMBERED = 1 << 16

T = TypeVar("T")
_UNKNOWN = object()


class Memory:
    """What one opened project has read. Two threads may ask at once; what both miss is read twice and is the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, Any] = {}

    def file(self, read: Callable[[Path], T], path: Path) -> T:
        """What ``read`` makes of a file; from memory for as long as the file's identity, size and mtime stay the same.

        Raises:
            NotReadyError: it is not there, or changed while it was read.
        """
        before = _identity(path)

        def checked() -> T:
            result = read(path)
            if _identity(path) != before:
                raise NotReadyError(f"{path}: changed while it was read")
            return result

        return self.of((read, str(path), before), checked)

    def get(self, key: Hashable) -> Any:
        """What is known for ``key``; None where nothing is."""
        with self._lock:
            return self._known.get(key)

    def newest(self, name: Hashable, state: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returned for the present state of something; what it was in earlier states is forgotten."""
        known = self.get(name)
        if known is None or known[0] != state:
            known = state, make()
            with self._lock:
                self._known[name] = known
        return cast("T", known[1])

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returned for ``key``; made where it is not known yet. What it raises is not remembered."""
        with self._lock:
            known = self._known.get(key, _UNKNOWN)
        if known is _UNKNOWN:
            known = make()
            with self._lock:
                self._known[key] = known
                while len(self._known) > _REMEMBERED:
                    del self._known[next(iter(self._known))]
        return cast("T", known)


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
