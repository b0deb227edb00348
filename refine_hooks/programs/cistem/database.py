"""The project database of cisTEM, read without ever being in the program's way.

cisTEM opens it through SQLite's unix-dotfile VFS and ends itself when it finds a lock it did not take, and any other SQLite
that meets its open journal either refuses or rolls it back. So nothing here locks: a read is good when no lock folder and no
journal was there before and after it, and size, mtime and SQLite's change counter stayed the same; otherwise it is thrown away
and made again. The file is read in place (it may hold gigabytes of particles), with ``immutable=1``, which touches nothing.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from refine_hooks.errors import InputError, NotReadyError, ProjectError
from refine_hooks.files.reading import open_plain
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cistem.tables import Content, Version, parse_content, rows

T = TypeVar("T")

_MAGIC = b"SQLite format 3\0"
_PAUSE_S = 0.02
COMMIT_S = 30.0  # longer than any commit of cisTEM takes


def find_database(directory: Path) -> Path:
    """The project's database: ``<name>.db`` in the project's folder; of several, the one named like the folder, else the newest.

    Raises:
        ProjectError: there is none.
    """
    found = databases(directory)
    if not found:
        raise ProjectError(
            f"{directory}: holds no cisTEM database (*.db); name the folder that cisTEM made for the project"
        )
    return max(found, key=lambda path: (path.stem == directory.resolve().name, path.stat().st_mtime_ns))


def databases(directory: Path) -> list[Path]:
    """Files ``*.db`` in the folder that begin as SQLite files do.

    Raises:
        PermissionError: there is none that can be read, and one that cannot.
    """
    found, refused = [], None
    for path in sorted(directory.glob("*.db")):
        try:
            with open_plain(path) as stream:
                if stream.read(len(_MAGIC)) == _MAGIC:
                    found.append(path)
        except PermissionError as error:
            refused = error
        except OSError:
            continue
    if refused is not None and not found:
        raise refused
    return found


def content(path: Path, memory: Memory, wait_s: float = 0.5, stale_after_s: float = 30.0) -> Content:
    """Packages, refinements, reconstructions and volumes; parsed once for each state of the file.

    Raises:
        NotReadyError: cisTEM is writing at this moment, or a crashed one has left its lock or its journal.
        InputError: not a database of cisTEM.
    """
    version = _version(path)  # a look at an unchanged database costs one open
    return memory.newest(
        ("content", path), version, lambda: replace(read(path, parse_content, wait_s, stale_after_s), version=version)
    )


def read(path: Path, query: Callable[[sqlite3.Connection], T], wait_s: float = 0.5, stale_after_s: float = 30.0) -> T:
    """What ``query`` returns, from one consistent state of the database.

    Args:
        path: the database.
        query: reads all it needs in one go; may run more than once.
        wait_s: how long a database that is being written is waited for.
        stale_after_s: a lock or journal older than this is told as left behind.

    Raises:
        NotReadyError: see `content`.
        InputError: SQLite cannot read it although nobody writes.
    """
    deadline = time.monotonic() + wait_s
    while True:
        why = busy(path)
        if why is None:
            before = _version(path)
            outcome = _attempt(path, query)
            if busy(path) is None and _version(path) == before:
                if isinstance(outcome, sqlite3.Error):
                    raise InputError(f"{path}: cannot be read as a database of cisTEM ({outcome})") from outcome
                return outcome
            why = "it changed while it was read"
        if time.monotonic() >= deadline:
            raise NotReadyError(_busy_message(path, why, stale_after_s))
        time.sleep(_PAUSE_S)


def _attempt(path: Path, query: Callable[[sqlite3.Connection], T]) -> T | sqlite3.Error:
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
        try:
            connection.text_factory = os.fsdecode
            return query(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        return error


def busy(path: Path) -> str | None:
    """Which file says that somebody is writing, or None.

    The folder is opened first: on NFS that is what makes the client ask the server for names it believes absent.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise NotReadyError(f"{path.parent}: cannot be read ({error.strerror})") from error
    try:
        for name in (f"{path.name}.lock", f"{path.name}-journal"):
            try:
                os.stat(name, dir_fd=folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise NotReadyError(f"{path.parent / name}: cannot be looked at ({error.strerror})") from error
            return name
    finally:
        os.close(folder)
    return None


def _version(path: Path) -> Version:
    """Size, mtime and SQLite's change counter, read through a fresh descriptor so that NFS shows the server's state."""
    try:
        with open_plain(path) as stream:
            header = stream.read(28)
            status = os.fstat(stream.fileno())
    except OSError as error:
        raise NotReadyError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_size, status.st_mtime_ns, header[24:28]


def left_behind(path: Path, stale_after_s: float) -> bool:
    """Whether a lock or a journal has been there for longer than any commit takes."""
    why = busy(path)
    return why is not None and _age_s(path.parent / why) > stale_after_s


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _busy_message(path: Path, why: str, stale_after_s: float) -> str:
    age_s = _age_s(path.parent / why)
    if age_s <= stale_after_s:
        return f"{path}: cisTEM is writing it at this moment ({why}); it is read at the next look"
    since = datetime.fromtimestamp(time.time() - age_s).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"{path}: {why} has been there since {since}, so nothing can be read safely; if no cisTEM has this project open, "
        f"a crash left it behind: open the project once in cisTEM, which clears it"
    )


def statistics(path: Path, refinement_id: int, class_id: int) -> list[dict[str, Any]]:
    """Rows of the resolution statistics as they stand now; empty where there is no such table."""
    return read(
        path,
        lambda connection: rows(connection, f"REFINEMENT_RESOLUTION_STATISTICS_{refinement_id}_{class_id}"),
        COMMIT_S,
    )


def angular_bins(path: Path, refinement_id: int, class_id: int) -> list[dict[str, Any]]:
    """Rows of the angular distribution; empty where there is no such table."""
    return read(
        path,
        lambda connection: rows(connection, f"REFINEMENT_ANGULAR_DISTRIBUTION_{refinement_id}_{class_id}"),
        COMMIT_S,
    )


def images_used(path: Path, memory: Memory, refinement_id: int, class_id: int, run_at: int) -> tuple[int, int] | None:
    """Particles of subset 1 and 2 that went into a reconstruction: active, with some occupancy; None where it cannot be told.

    Results of a refinement never change; ``run_at``, its date, tells it from a deleted one whose number was given again.
    """
    key = (path, refinement_id, class_id, run_at)
    return memory.of(key, lambda: read(path, lambda connection: _count_used(connection, refinement_id, class_id)))


def _count_used(connection: sqlite3.Connection, refinement_id: int, class_id: int) -> tuple[int, int] | None:
    table = f"REFINEMENT_RESULT_{refinement_id}_{class_id}"
    columns = {row[1].upper() for row in connection.execute(f"PRAGMA table_info({table})")}
    if not {"OCCUPANCY", "IMAGE_IS_ACTIVE", "ASSIGNED_SUBSET"} <= columns:
        return None
    sql = f"SELECT ASSIGNED_SUBSET, COUNT(*) FROM {table} WHERE OCCUPANCY > 0 AND IMAGE_IS_ACTIVE >= 0 GROUP BY ASSIGNED_SUBSET"  # noqa: S608 - two integers
    counts = dict(connection.execute(sql))
    if not counts or set(counts) - {1, 2}:
        return None
    return counts.get(1, 0), counts.get(2, 0)
