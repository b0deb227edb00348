"""Ab-initio's dumps: no number in their names, written over in place round after round, so they are told by change.

A link would be written over with the file, so they are copied (or reflinked), all classes at once, when they are whole: after
merge3d has written a map of each class that is newer than the dumps of that class, or when it is just about to start. Rounds
are numbered by arrival:

    spool/cistem/Startup/<arrival>/<class>/startup_dump_file_<class from 0>_<odd|even>_<job>.dump
"""

import os
import re
import secrets
import shutil
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.mrc import read_header
from refine_hooks.programs._reading import Memory
from refine_hooks.programs._saving import KEEP_FREE_BYTES, copy_whole, make_folder, unwritable
from refine_hooks.programs.cistem import dumps
from refine_hooks.programs.cistem.dumps import STARTUP, Attempt, Dump

_MAP_NAME = re.compile(r"startup3d_.*?(\d{1,6})\.mrc")


def capture_startup(
    directory: Path,
    spool: Path,
    memory: Memory | None = None,
    keep_free_bytes: int = KEEP_FREE_BYTES,
    *,
    about_to_merge: bool = False,
) -> list[Path]:
    """Copy ab-initio's dumps when they are whole and another round's than the last that were copied.

    Args:
        directory: the project.
        spool: the folder for saved inputs of any program.
        memory: of the project that was opened.
        about_to_merge: merge3d is about to start, which proves that they are whole.

    Returns:
        What was newly saved.

    Raises:
        StorageError: the spool cannot be written to.
    """
    there = dumps.startup_living(directory, memory)
    root = dumps.spool_root(spool) / STARTUP
    if not there or _states(there) == _last_arrival(root):
        return []
    numbers = arrival_numbers(root)
    number = numbers[-1] + 1 if numbers else 1
    if any(dumps.faults(attempt) for attempt in _as_attempts(root, number, there)):
        return []
    if not about_to_merge and not _merged(dumps.scratch(directory, STARTUP), there):
        return []
    make_folder(root, spool)
    return _copied(root / str(number), there, keep_free_bytes)


def arrival_numbers(root: Path) -> list[int]:
    """Numbers of all arrivals in the spool, in order."""
    try:
        return sorted(int(name) for name in os.listdir(root) if name.isdecimal())
    except OSError:
        return []


def arrivals(spool: Path, memory: Memory | None = None) -> list[Attempt]:
    """All ab-initio rounds in the spool, each class one attempt that has the arrival's number."""
    root = dumps.spool_root(spool) / STARTUP
    return [attempt for number in arrival_numbers(root) for attempt in _arrival(root, number, memory)]


def _arrival(root: Path, number: int, memory: Memory | None = None) -> list[Attempt]:
    try:
        classes = sorted(int(name) for name in os.listdir(root / str(number)) if name.isdecimal())
    except OSError:
        return []
    return [
        dumps.kept_attempt(STARTUP, number, each, root / str(number) / str(each), number, memory) for each in classes
    ]


def _states(there: dict[int, dict[str, Dump]]) -> set[tuple[str, int, int]]:
    return {(name, dump.size, dump.mtime_ns) for each in there.values() for name, dump in each.items()}


def _last_arrival(root: Path) -> set[tuple[str, int, int]]:
    numbers = arrival_numbers(root)
    files = [file for attempt in _arrival(root, numbers[-1]) for file in attempt.inputs()] if numbers else []
    return {(Path(file.name).name, file.size, file.mtime_ns) for file in files}


def _as_attempts(root: Path, number: int, there: dict[int, dict[str, Dump]]) -> list[Attempt]:
    return [
        Attempt(STARTUP, number, each, number, root / str(number) / str(each), tuple(files.values()))
        for each, files in there.items()
    ]


def _merged(scratch: Path, there: dict[int, dict[str, Dump]]) -> bool:
    """Whether each class has a map of merge3d's that is whole and newer than every dump of that class."""
    waiting = {each: max(dump.mtime_ns for dump in files.values()) for each, files in there.items()}
    for path in scratch.glob("startup3d_*.mrc"):
        match = _MAP_NAME.fullmatch(path.name)
        class_id = int(match[1]) + 1 if match else 0
        try:
            if class_id in waiting and path.stat().st_mtime_ns >= waiting[class_id]:
                read_header(path)
                del waiting[class_id]
        except (OSError, RefineHooksError):
            continue
    return not waiting


def _copied(folder: Path, there: dict[int, dict[str, Dump]], keep_free_bytes: int) -> list[Path]:
    """Copies of all dumps that appear under their final name together, or not at all."""
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    saved = []
    try:
        part.mkdir()
        for class_id, files in there.items():
            (part / str(class_id)).mkdir()
            for name, dump in files.items():
                if not copy_whole(dump.path, part / str(class_id) / name, dump.size, dump.mtime_ns, keep_free_bytes):
                    return []
                saved.append(folder / str(class_id) / name)
        if folder.exists():
            return []  # another process was faster
        part.rename(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return saved
