"""Saving dump files before cisTEM removes them: hard links first, reflinks and copies where links cannot be had.

A hard link costs nothing and may be made while the file still grows, since both names are one file; a copy is made of whole
files only.
"""

import fcntl
import os
import secrets
import shutil
from pathlib import Path

from refine_hooks.errors import StorageError
from refine_hooks.projects.cistem import dumps
from refine_hooks.projects.cistem.dumps import Dump

_FICLONE = 0x40049409  # Linux: share the extents of one file with another


def capture(directory: Path, spool: Path) -> list[Path]:
    """Save every numbered dump that is in the scratch folders and not yet in the spool.

    Args:
        directory: the project.
        spool: the folder for saved inputs of any program.

    Returns:
        What was newly saved.

    Raises:
        StorageError: the spool cannot be written to.
    """
    saved = []
    for attempts in dumps.attempts(directory, spool).values():
        for dump in attempts[-1].dumps if attempts else ():
            target = attempts[-1].folder / dump.path.name
            if dump.path != target and save(dump, target):
                saved.append(target)
    return saved


def save(dump: Dump, target: Path) -> bool:
    """Link, reflink or copy one dump to ``target``; False where it is gone already, or cannot be saved before it is whole.

    Raises:
        StorageError: the spool cannot be written to.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    try:
        os.link(dump.path, temporary, follow_symlinks=False)
        os.replace(temporary, target)
    except FileNotFoundError:
        return False
    except OSError:
        return not isinstance(dumps.header_of(dump), str) and copy_whole(dump, target)
    finally:
        # Renaming one name of a file onto another of its names does nothing, and leaves both.
        temporary.unlink(missing_ok=True)
    return True


def copy_whole(dump: Dump, target: Path) -> bool:
    """A copy that is checked to be of the file as it was and still is; shares the data where the file system can."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with dump.path.open("rb") as source, temporary.open("xb") as copy:
            try:
                fcntl.ioctl(copy.fileno(), _FICLONE, source.fileno())
            except OSError:
                shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            after = os.fstat(source.fileno())
            as_it_was = (after.st_size, after.st_mtime_ns) == (dump.size, dump.mtime_ns)
            if not as_it_was or os.fstat(copy.fileno()).st_size != dump.size:
                return False
            os.utime(copy.fileno(), ns=(after.st_atime_ns, after.st_mtime_ns))
        os.replace(temporary, target)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def unwritable(path: Path, error: OSError) -> StorageError:
    """What to raise when the spool cannot be written to."""
    return StorageError(
        f"{path}: a dump of cisTEM cannot be saved ({error.strerror or error}); free some space, or name a writable "
        "folder with --out, best on the project's own file system, where saving needs no space"
    )
