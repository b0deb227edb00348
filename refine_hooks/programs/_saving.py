"""Saving one file of a running program before it goes: a hard link where its name will be removed, a copy where it is rewritten.

A hard link costs nothing and may be made while the file still grows, since both names are one file; a copy is made of whole
files only, is checked to be of the file as it was, and shares the data where the file system can.
"""

import fcntl
import os
import secrets
import shutil
from pathlib import Path

from refine_hooks.errors import StorageError
from refine_hooks.files.folders import make_below

_FICLONE = 0x40049409  # Linux: share the extents of one file with another
KEEP_FREE_BYTES = 2_000_000_000  # where no settings are read: in front of one of the refinement's own programs


def link(source: Path, target: Path) -> bool | None:
    """A hard link, in place of whatever is there; False where the source is gone, None where links cannot be made.

    Raises:
        StorageError: the spool cannot be written to.
    """
    temporary = _beside(target)
    try:
        os.link(source, temporary, follow_symlinks=False)
        os.replace(temporary, target)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    finally:
        # Renaming one name of a file onto another of its names does nothing, and leaves both.
        temporary.unlink(missing_ok=True)
    return True


def copy_whole(source: Path, target: Path, size: int, mtime_ns: int, keep_free_bytes: int = KEEP_FREE_BYTES) -> bool:
    """A copy of ``source`` as it was when it had this size and mtime; False where it is gone or has changed since.

    Raises:
        StorageError: the spool cannot be written to, or less than ``keep_free_bytes`` would stay free.
    """
    temporary = _beside(target)
    try:
        with source.open("rb") as stream, temporary.open("xb") as copy:
            try:
                fcntl.ioctl(copy.fileno(), _FICLONE, stream.fileno())
            except OSError:
                require_room(target.parent, size, keep_free_bytes)
                shutil.copyfileobj(stream, copy, 1 << 20)
            copy.flush()
            after = os.fstat(stream.fileno())
            as_it_was = (after.st_size, after.st_mtime_ns) == (size, mtime_ns)
            if not as_it_was or os.fstat(copy.fileno()).st_size != size:
                return False
            os.utime(copy.fileno(), ns=(after.st_atime_ns, after.st_mtime_ns))
            os.fsync(copy.fileno())  # the source may vanish as soon as the copy has its name
        os.replace(temporary, target)
        _flush(target.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _flush(folder: Path) -> None:
    """Make the names in a folder outlast a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_room(folder: Path, needed_bytes: int, keep_free_bytes: int) -> None:
    """Refuse to copy into the last of the disk: the refinement needs it more.

    Raises:
        StorageError: less than ``keep_free_bytes`` would stay free.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes + keep_free_bytes:
        raise StorageError(
            f"{folder.parent}: {free_bytes / 1e9:.2f} GB are free; {needed_bytes / 1e9:.2f} GB are copied only where "
            f"{keep_free_bytes / 1e9:g} GB stay free; free some space, lower min_free_GB, or name a folder elsewhere with --out"
        )


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")


def make_folder(folder: Path, spool: Path) -> None:
    """Make a folder in the spool, which is made with it; the output folder, in which the spool lies, must be there.

    Raises:
        StorageError: it cannot be made, or the output folder is gone.
    """
    try:
        make_below(folder, spool.parent)
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(path: Path, error: OSError) -> StorageError:
    """What to raise when the spool cannot be written to."""
    return StorageError(
        f"{path}: cannot be saved ({error.strerror or error}); free some space, or name a writable "
        "folder with --out, best on the project's own file system, where saving needs no space"
    )
