"""Making folders. Below one that must be there: on the mount point of a share that is away nothing is built in its place."""

import grp
import os
import stat
from pathlib import Path

from refine_hooks.errors import SettingsError, StorageError


def make_below(folder: Path, root: Path) -> None:
    """Make ``folder`` and what lacks between it and ``root``; never the root, nor what is above it.

    Raises:
        FileNotFoundError: the root is gone.
        OSError: a folder cannot be made.
        ValueError: the folder does not lie below the root.
    """
    parts = folder.relative_to(root).parts
    if folder.is_dir():
        return
    if not parts:
        root.stat()
    at = root
    for part in parts:
        at = at / part
        if not at.is_dir():
            at.mkdir(exist_ok=True)


def make_named(folder: Path) -> None:
    """Make a folder that somebody named in a command, with those above it.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: cannot be made a folder ({error.strerror or error}); name another one with --out"
        ) from error


def give_to_group(folder: Path, group: str) -> None:
    """Give a folder to a group, with all that is made in it from then on.

    Raises:
        SettingsError: there is no such group, or this user may not give to it.
    """
    try:
        number, status = grp.getgrnam(group).gr_gid, os.stat(folder)
        if status.st_gid == number and status.st_mode & stat.S_ISGID:
            return
        os.chown(folder, -1, number)
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | stat.S_ISGID)
    except KeyError:
        raise SettingsError(f"files.group: there is no group {group}") from None
    except OSError as error:
        raise SettingsError(f"files.group: {folder} cannot be given to {group} ({error.strerror})") from error
