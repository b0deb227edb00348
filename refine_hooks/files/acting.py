"""Writing as the owner of a project: what root writes for other users belongs to them, and only where they may write themselves.

Linux gives each thread a user of its own for what it asks of file systems (setfsuid(2)). The kernel so refuses to root what that
user may not do: a link that a user makes leads to nothing that is not theirs to write. Reading stays as root's.
"""

import ctypes
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import SettingsError, StorageError

_CAPABILITIES = 0x20080522  # version 3 of capget(2)
_READS_ALL = 1 << 2  # CAP_DAC_READ_SEARCH


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom something belongs to: numbers of a user and of a group."""

    uid: int
    gid: int


def owner_of_project(project: Path) -> Owner | None:
    """Who is to own what is written for a project; None where that is this process's user anyway.

    Raises:
        SettingsError: it is somebody else's, and this user may not give files away.
    """
    status = project.stat()
    if status.st_uid == os.geteuid():
        return None
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        raise SettingsError(
            f"files.owner: {project} is another user's, and only root on Linux can write as them; leave files.owner out, and "
            "let them read what is written with [files] group"
        )
    return Owner(status.st_uid, status.st_gid)


@contextmanager
def acting_as(owner: Owner | None) -> Iterator[None]:
    """This thread, and those that it starts, write as somebody else while the block runs; programs that it starts do not.

    Raises:
        SettingsError: the system does not let it.
    """
    if owner is None:
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)
    before = Owner(library.setfsuid(-1), library.setfsgid(-1))  # what is no user changes nothing, and says who it is
    try:
        library.setfsgid(owner.gid)
        library.setfsuid(owner.uid)
        if (library.setfsuid(-1), library.setfsgid(-1)) != (owner.uid, owner.gid):
            raise SettingsError(f"files.owner: this process may not write as user {owner.uid}; leave files.owner out")
        _read_as_before(library)
        yield
    finally:
        library.setfsuid(before.uid)
        library.setfsgid(before.gid)


def _read_as_before(library: ctypes.CDLL) -> None:
    """Take back the right to read all, which went with the user; the others are not taken back."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    if library.capget(header, data) == 0:
        data[0] |= data[1] & _READS_ALL
        library.capset(header, data)


def give_folder(folder: Path, owner: Owner) -> None:
    """Make a folder and give it to somebody, with all that this user has written there before. Nothing is followed by a link.

    Raises:
        StorageError: it cannot be made, or is another user's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made a folder ({error.strerror}); name another --out") from error
    try:
        if os.fstat(handle).st_uid not in (os.geteuid(), owner.uid):
            raise StorageError(f"{folder}: belongs to another user than the project; name another --out")
        give_what_is_ours(folder, owner)
        os.fchown(handle, owner.uid, owner.gid)
    finally:
        os.close(handle)


def give_what_is_ours(folder: Path, owner: Owner) -> None:
    """Give away what this user has written in a folder. What has a second name stays: that may be anywhere."""
    for _, _, files, inside in os.fwalk(folder, follow_symlinks=False):
        _give(inside, owner)
        for name in files:
            with suppress(OSError):
                handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
                try:
                    _give(handle, owner)
                finally:
                    os.close(handle)


def _give(handle: int, owner: Owner) -> None:
    status = os.fstat(handle)
    plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    if status.st_uid == os.geteuid() and (plain or stat.S_ISDIR(status.st_mode)):
        os.fchown(handle, owner.uid, owner.gid)
