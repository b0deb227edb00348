"""Saving dump files before cisTEM removes them: hard links first, reflinks and copies where links cannot be had."""

from pathlib import Path

from refine_hooks.programs._reading import Memory
from refine_hooks.programs._saving import KEEP_FREE_BYTES, copy_whole, link, make_folder
from refine_hooks.programs.cistem import dumps
from refine_hooks.programs.cistem.dumps import Dump


def capture(
    directory: Path, spool: Path, memory: Memory | None = None, keep_free_bytes: int = KEEP_FREE_BYTES
) -> list[Path]:
    """Save every numbered dump that is in the scratch folders and not yet in the spool.

    Args:
        directory: the project.
        spool: the folder for saved inputs of any program.
        memory: of the project that was opened.
        keep_free_bytes: room on the disk that no copy is made into.

    Returns:
        What was newly saved.

    Raises:
        StorageError: the spool cannot be written to.
    """
    saved = []
    for attempts in dumps.attempts(directory, spool, memory, living_only=True).values():
        for dump in attempts[-1].dumps if attempts else ():
            target = attempts[-1].folder / dump.path.name
            if dump.path == target:
                continue
            make_folder(target.parent, spool)
            if save(dump, target, keep_free_bytes):
                saved.append(target)
    return saved


def save(dump: Dump, target: Path, keep_free_bytes: int = KEEP_FREE_BYTES) -> bool:
    """Link, reflink or copy one dump to ``target``; False where it is gone already, or cannot be saved before it is whole.

    Raises:
        StorageError: the spool cannot be written to.
    """
    linked = link(dump.path, target)
    if linked is not None:
        return linked
    whole = not isinstance(dumps.header_of(dump), str)
    return whole and copy_whole(dump.path, target, dump.size, dump.mtime_ns, keep_free_bytes)
