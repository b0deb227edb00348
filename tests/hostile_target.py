"""What a reader of foreign bytes owes: an answer or a clear error, soon and cheaply; and how one is described."""

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import RefineHooksError

MOST_BYTES = 96 << 20
MOST_S = 10.0

Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """A reader, the ending that its files have, and good files for it."""

    read: Reader
    ending: str
    seeds: Callable[[], list[bytes]]
    fast: bool = True  # a run takes well below a millisecond


def owed(read: Reader, path: Path) -> str:
    """What a reader did wrong, in words; empty when it kept its promises."""
    tracemalloc.start()
    began = time.process_time()
    try:
        read(path)
    except RefineHooksError as error:
        if not str(error).strip():
            return "an error without words"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        took_s, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if took_s > MOST_S:
        return f"took {took_s:.1f} s"
    return f"took {peak >> 20} MB" if peak > MOST_BYTES + 40 * path.stat().st_size else ""


def made(write: Callable[[Path], object], ending: str = "") -> bytes:
    """The bytes that something writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made{ending}"
        write(path)
        return path.read_bytes()


def called(name: str, read: Reader) -> Reader:
    """A reader of a folder, in which the file at hand has the name that the reader looks for."""

    def reader(path: Path) -> object:
        link = path.with_name(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path)
        try:
            return read(path.parent)
        finally:
            link.unlink()

    return reader
