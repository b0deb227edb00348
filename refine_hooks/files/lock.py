"""One watcher for each ``--out``: a lock that the system releases when its holder dies, however it dies.

The lock is flock's, which Linux carries to the server on NFS, unless it is mounted with nolock; a machine that is cut off loses
it there once its lease has run out. Where a file system cannot lock at all, that is said and the watch goes on, since two careful
watchers are better than none.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import RefineHooksError, StorageError
from refine_hooks.files.file_system import events_arrive

logger = logging.getLogger(__name__)

CANNOT_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_NAME = ".lock"
_MOST_BYTES = 200  # of a holder's name


class TakenError(RefineHooksError):
    """Another watcher writes into this folder."""


@dataclass(slots=True)
class FolderLock:
    """The lock of a folder, held.

    Attributes:
        path: the lock file.
        handle: it, open.
        inode: its number in its file system.
        holder: what stands in it; empty where it could not be written.
        shared: whether other machines may write to it.
    """

    path: Path
    handle: int
    inode: int
    holder: str
    shared: bool = True

    def require(self) -> None:
        """Refuse to go on where the folder is no longer the one that was locked, or another has taken over.

        Raises:
            TakenError: another watcher has; says which.
            StorageError: the folder is gone, or another stands in its place; it may come back.
        """
        other = _said_in(self.path, anew=self.shared) if self.holder else ""
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError as error:
            raise StorageError(
                f"{self.path.parent}: is gone, or out of reach ({error.strerror}); nothing is written until it is back"
            ) from error
        if other not in ("", self.holder):
            raise TakenError(
                f"{self.path.parent}: {other} has taken over while this machine could not be reached; watch from there"
            )
        if not self._is(there) and not (other == self.holder != "" and self._again(there)):
            raise StorageError(
                f"{self.path.parent}: is another folder than the one that this watch began to write to; nothing is written "
                "until that is back"
            )

    def _is(self, there: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.fstat(self.handle), there)
        except OSError:  # stale: its server or its mount has gone, and may be back under the same path
            return False

    def _again(self, there: os.stat_result) -> bool:
        """Take the lock anew where the file system was mounted anew: the same file, on what is called another device."""
        if there.st_ino != self.inode:
            return False
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        self.handle, old = handle, self.handle
        with suppress(OSError):
            os.close(old)
        return True

    def beat(self) -> None:
        """Leave the present time on the lock file, so that others see that its holder is alive."""
        with suppress(OSError):
            os.utime(self.handle)


def heard_of(out: Path) -> float | None:
    """When the last watcher of ``out`` was alive, in seconds since 1970; None where there never was one."""
    try:
        return os.stat(out / _NAME, follow_symlinks=False).st_mtime
    except OSError:
        return None


def holder_of(out: Path) -> str:
    """Who holds, or held last, the lock of ``out``, in words; empty where that cannot be known."""
    return _said_in(out / _NAME)


def owner_of(out: Path) -> int | None:
    """The user whose watch holds, or held last, the lock of ``out``; None where there never was one."""
    try:
        return os.stat(out / _NAME, follow_symlinks=False).st_uid
    except OSError:
        return None


def require_holder(out: Path, holder: str) -> None:
    """Refuse to write for a holder of ``out`` that is none any more.

    Raises:
        StorageError: the folder is gone, or somebody else holds it.
    """
    now = holder_of(out)
    if holder and now != holder:
        raise StorageError(
            f"{out}: {f'{now} has taken over' if now else 'is gone, or out of reach'}; nothing is written"
        )


@contextmanager
def only_writer(out: Path, holder: str) -> Iterator[FolderLock]:
    """Hold the lock of ``out`` while the block runs.

    Args:
        out: the folder that is written to; made if need be.
        holder: who asks, in words; another watcher is told so.

    Raises:
        TakenError: another watcher holds it; says which.
        StorageError: the folder cannot be made or written to.
    """
    path = out / _NAME
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Not through a link: what it leads to would be cut and written over below.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        why = f"{path.name} is a link, which is not followed" if path.is_symlink() else error.strerror
        raise StorageError(f"{out}: cannot be written to ({why}); name a folder of your own with --out") from error
    lock = FolderLock(path, handle, os.fstat(handle).st_ino, "", shared=not events_arrive(out))
    try:
        _take(lock)
        with suppress(OSError):  # on a full disk nobody is told who holds it, and nothing can be compared later
            os.ftruncate(handle, 0)
            os.pwrite(handle, holder.encode(), 0)
            os.fsync(handle)
            lock.holder = _spelled(holder.encode())
        yield lock
    finally:
        with suppress(OSError):
            os.close(lock.handle)


def _take(lock: FolderLock) -> None:
    out = lock.path.parent
    try:
        fcntl.flock(lock.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = _spelled(os.pread(lock.handle, _MOST_BYTES, 0)) or "somebody"
        raise TakenError(
            f"{out}: {other} is writing here already; watch from there, or name another folder with --out"
        ) from None
    except OSError as error:
        if error.errno not in CANNOT_LOCK:
            raise StorageError(f"{lock.path}: cannot be locked ({error.strerror})") from error
        logger.warning(f"{out}: this file system has no locks; make sure that no second watcher writes here")


def _spelled(raw: bytes) -> str:
    return raw[:_MOST_BYTES].decode(errors="replace").strip()


def _said_in(path: Path, anew: bool = True) -> str:
    """Who holds the lock, opened for it: on NFS that asks the server, if it is to be read anew. Empty where it cannot be known."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if anew and hasattr(os, "posix_fadvise"):  # NFS shows a page of before the machine was cut off
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        return _spelled(os.read(handle, _MOST_BYTES))
    except OSError:
        return ""
    finally:
        os.close(handle)
