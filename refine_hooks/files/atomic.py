"""Writing a file whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refine_hooks.errors import StorageError


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; what is written there is flushed to disk and renamed when the block ends well.

    The folder must be there: see `refine_hooks.files.folders`.

    Raises:
        StorageError: the disk is full, read-only or gone; nothing is left under either name.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or name another folder with --out"
        ) from error
    finally:
        with suppress(OSError):  # what stays is removed by the next watch
            temporary.unlink(missing_ok=True)
