"""One watcher for each ``--out``: a lock that the system releases when its holder dies, however it dies.

The lock is flock's, which Linux carries to the server on NFS, unless it is mounted with nolock; a machine that is cut off loses
it there once its lease has run out. Where a file system cannot lock at all, that is said and the watch goes on, since two careful
watchers are better than none.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refine_hooks.errors import RefineHooksError, StorageError

logger = logging.getLogger(__name__)

_CANNOT_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_MOST_BYTES = 200  # of a holder's name


class TakenError(RefineHooksError):
    """Another watcher writes into this folder."""


@contextmanager
def only_writer(out: Path, holder: str) -> Iterator[Callable[[], None]]:
    """Hold the lock of ``out`` while the block runs; gives a function that raises `TakenError` where it has been lost since.

    Args:
        out: the folder that is written to; made if need be.
        holder: who asks, in words; another watcher is told so.

    Raises:
        TakenError: another watcher holds it; says which.
        StorageError: the folder cannot be made or written to.
    """
    path = out / ".lock"
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Not through a link: what it leads to would be cut and written over below.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        why = f"{path.name} is a link, which is not followed" if path.is_symlink() else error.strerror
        raise StorageError(f"{out}: cannot be written to ({why}); name a folder of your own with --out") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = _spelled(os.pread(handle, _MOST_BYTES, 0)) or "somebody"
            raise TakenError(
                f"{out}: {other} is writing here already; watch from there, or name another folder with --out"
            ) from None
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise StorageError(f"{path}: cannot be locked ({error.strerror})") from error
            logger.warning(f"{out}: this file system has no locks; make sure that no second watcher writes here")
        mine = ""
        with suppress(OSError):  # on a full disk nobody is told who holds it, and nothing can be compared later
            os.ftruncate(handle, 0)
            os.pwrite(handle, holder.encode(), 0)
            os.fsync(handle)
            mine = _spelled(holder.encode())
        yield lambda: _require_mine(path, mine)
    finally:
        os.close(handle)


def _spelled(raw: bytes) -> str:
    return raw[:_MOST_BYTES].decode(errors="replace").strip()


def _said_in(path: Path) -> str:
    """Who holds the lock, opened for it: on NFS that asks the server. Empty where it cannot be known."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if hasattr(os, "posix_fadvise"):  # NFS shows a page of before the machine was cut off
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        return _spelled(os.read(handle, _MOST_BYTES))
    except OSError:
        return ""
    finally:
        os.close(handle)


def _require_mine(path: Path, mine: str) -> None:
    """A machine that is cut off from its server loses its locks, and is told of it by nobody."""
    other = _said_in(path) if mine else ""
    if other not in ("", mine):
        raise TakenError(
            f"{path.parent}: {other} has taken over while this machine could not be reached; watch from there"
        )
