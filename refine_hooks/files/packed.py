"""Maps that are packed by gzip or bzip2, as EMDB hands them out: read as a stream, never unpacked on disk."""

import bz2
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import MapError, NotReadyError
from refine_hooks.files.reading import open_plain

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
_KINDS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\xfd7zXZ": "packed by xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it first",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x93NUMPY": "an array of NumPy; write it as MRC first",
    b"II*\0": "a TIFF picture; convert it to MRC first",
    b"MM\0*": "a TIFF picture; convert it to MRC first",
    b"\x89PNG": "a PNG picture",
}
_STEP_BYTES = 16 << 20


def packing(first: bytes) -> str:
    """By which program a file is packed that begins with these bytes; empty for none."""
    return next((name for magic, name in _PACKED.items() if first.startswith(magic)), "")


def kind_of(first: bytes) -> str:
    """What a file is that begins with these bytes, in words; empty where that is not known."""
    return next((name for magic, name in _KINDS.items() if first.startswith(magic)), "")


@contextmanager
def unpacking(path: Path, packed_by: str) -> Iterator[BufferedIOBase]:
    """The unpacked bytes of a file as a stream.

    Raises:
        NotReadyError: the file ends too soon.
        MapError: it cannot be read, or is damaged.
    """
    open_stream: Any = gzip.open if packed_by == "gzip" else bz2.open
    try:
        with open_plain(path) as raw, open_stream(raw, "rb") as stream:
            yield stream
    except EOFError as error:
        raise NotReadyError(
            f"{path}: ends too soon for a file packed by {packed_by}; it is being written, or torn"
        ) from error
    except (OSError, zlib.error) as error:
        raise MapError(f"{path}: cannot be unpacked as {packed_by} ({error}); it is damaged") from error


def read_values(stream: BufferedIOBase, skipped_bytes: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """``count`` values behind ``skipped_bytes``, or as many as there are.

    Memory grows with what has really been unpacked, at most twice as large, since a header may claim anything.
    """
    while skipped_bytes > 0:
        got = len(stream.read(min(skipped_bytes, _STEP_BYTES)))
        if not got:
            return np.empty(0, dtype)
        skipped_bytes -= got
    wanted = count * dtype.itemsize
    buffer, done = np.empty(min(wanted, _STEP_BYTES), np.uint8), 0
    while done < wanted:
        if done == buffer.size:
            buffer.resize(min(2 * done, wanted), refcheck=False)
        got = stream.readinto(buffer[done : done + _STEP_BYTES].data)
        if not got:
            break
        done += got
    stream.read(1)  # at the end of the file its checksum is looked at
    whole = done // dtype.itemsize * dtype.itemsize
    return buffer[:whole].view(dtype)
