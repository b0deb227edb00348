"""Opening what other programs left behind: plain files only, so that no pipe under a map's name is ever waited for."""

import contextlib
import errno
import json
import math
import os
import stat
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any


def open_plain(path: Path) -> FileIO:
    """A plain file, opened for reading without a buffer.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe or a device.
    """
    # Without O_NONBLOCK, opening a pipe waits for its writer, for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return FileIO(handle, "rb")


def read_ahead(paths: Iterable[Path]) -> None:
    """Have the system fetch files that will be read whole, while something else is computed; one that cannot be is left out."""
    for path in paths:
        with contextlib.suppress(OSError), open_plain(path) as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def read_bytes(path: Path) -> bytes:
    """All bytes of a plain file.

    Raises:
        OSError: see `open_plain`.
    """
    with open_plain(path) as stream:
        return stream.readall()


def read_text(path: Path) -> str:
    """A plain file as text; what is no UTF-8 is replaced.

    Raises:
        OSError: see `open_plain`.
    """
    return read_bytes(path).decode("utf-8", "replace")


def parsed_json(text: str) -> Any:
    """What JSON says.

    Raises:
        ValueError: not JSON, or nested deeper than anybody writes it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def positive_number(value: Any) -> float | None:
    """A number that JSON holds, if it is one above zero that a float can hold; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if 0 < number < math.inf else None
