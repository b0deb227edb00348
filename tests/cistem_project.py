"""A small cisTEM project for tests: it is begun, writes dumps and commits rounds as the program does, step by step.

tests/data/cistem_project.db.gz is the database of a whole project (made by cisTEM's own library; tables without use here are
emptied): package 1 with refinements 1 (imported) to 4 and a Generate3D of 4, package 2 with refinements 5 (parameters only) and
6 in two classes. The box is 64 at 2.5 A. Its paths begin with /data/cistem/tcr_pmhc: it has been moved.
"""

import gzip
import re
import shutil
import sqlite3
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from refine_hooks.files.mrc import Map, write_map

DATA = Path(__file__).parent / "data" / "cistem_project.db.gz"
USED = {(2, 1): (350, 350), (3, 1): (350, 350), (4, 1): (350, 350), (6, 1): (334, 343), (6, 2): (208, 215)}
PARAMETERS = {
    "AutoRefine3D": "auto_output_par",
    "ManualRefine3D": "output_par",
    "RefineCTF": "beam_tilt_output_par",
    "Generate3D": "generate3d_par",
}
_OF_REFINEMENT = re.compile(r"REFINEMENT_(?:ANGULAR_DISTRIBUTION|RESULT|RESOLUTION_STATISTICS|DETAILS)_(\d+)(?:_\d+)?")


@cache
def stored() -> sqlite3.Connection:
    """The whole project's database, in memory."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.deserialize(gzip.decompress(DATA.read_bytes()))
    return connection


def whole_project(folder: Path) -> Path:
    """A project after all its rounds; returns its database."""
    _folders(folder)
    database = folder / "tcr_pmhc.db"
    database.write_bytes(gzip.decompress(DATA.read_bytes()))
    return database


def begin(folder: Path) -> Path:
    """A project before its first round; returns its database."""
    database = whole_project(folder)
    connection = open_as_cistem(database)
    connection.execute("BEGIN IMMEDIATE")
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        match = _OF_REFINEMENT.fullmatch(table)
        if match and int(match[1]) != 1:
            connection.execute(f"DROP TABLE {table}")
    connection.execute("DELETE FROM REFINEMENT_LIST WHERE REFINEMENT_ID > 1")
    connection.execute("DELETE FROM RECONSTRUCTION_LIST")
    connection.execute("DELETE FROM VOLUME_ASSETS WHERE VOLUME_ASSET_ID > 1")
    connection.execute("COMMIT")
    connection.close()
    return database


def _folders(folder: Path) -> None:
    for name in ("Assets/Volumes", "Assets/Parameters", "Assets/ParticleStacks"):
        (folder / name).mkdir(parents=True)
    for panel in (*PARAMETERS, "Startup"):
        (folder / "Scratch" / panel).mkdir(parents=True)


def open_as_cistem(database: Path) -> sqlite3.Connection:
    """A connection through the VFS that cisTEM uses; unlike the program's it does not wait for the disk."""
    connection = sqlite3.connect(f"file:{database}?vfs=unix-dotfile", uri=True, isolation_level=None, timeout=0)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def commit(database: Path, refinement_id: int, during: Callable[[], object] = lambda: None) -> None:
    """Commit a refinement's own round as the program does, in one transaction, with ``during`` in the middle of it."""
    first = min(
        r
        for (r,) in stored().execute(
            "SELECT RECONSTRUCTION_ID FROM RECONSTRUCTION_LIST WHERE REFINEMENT_ID = ?", [refinement_id]
        )
    )
    last = first + (1 if refinement_id == 6 else 0)
    connection = open_as_cistem(database)
    connection.execute("BEGIN IMMEDIATE")
    for reconstruction_id in range(first, last + 1):
        _put_reconstruction(connection, reconstruction_id)
    _put(connection, "REFINEMENT_LIST", f"WHERE REFINEMENT_ID = {refinement_id}")
    during()
    for (table,) in stored().execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        match = _OF_REFINEMENT.fullmatch(table)
        if match and int(match[1]) == refinement_id:
            connection.execute(stored().execute("SELECT sql FROM sqlite_master WHERE name = ?", [table]).fetchone()[0])
            _put(connection, table)
    connection.execute(f"UPDATE REFINEMENT_DETAILS_{refinement_id} SET RECONSTRUCTION_ID = {first} + CLASS_NUMBER - 1")
    connection.execute("COMMIT")
    connection.close()


def commit_generate(database: Path, reconstruction_id: int = 4) -> None:
    """Commit a Generate3D of refinement 4, which takes over the statistics of that refinement."""
    volume = {
        "VOLUME_ASSET_ID": 100 + reconstruction_id,
        "FILENAME": f"/data/cistem/tcr_pmhc/Assets/Volumes/generate3d_volume_{reconstruction_id}_4_1.mrc",
    }
    connection = open_as_cistem(database)
    connection.execute("BEGIN IMMEDIATE")
    entry = {"RECONSTRUCTION_ID": reconstruction_id, "VOLUME_ASSET_ID": volume["VOLUME_ASSET_ID"]}
    _put(connection, "RECONSTRUCTION_LIST", "WHERE RECONSTRUCTION_ID = 4", **entry)
    _put(connection, "VOLUME_ASSETS", "WHERE VOLUME_ASSET_ID = 5", **volume)
    connection.execute(f"UPDATE REFINEMENT_DETAILS_4 SET RECONSTRUCTION_ID = {reconstruction_id}")
    connection.execute("COMMIT")
    connection.close()


def _put_reconstruction(connection: sqlite3.Connection, reconstruction_id: int) -> None:
    where = f"WHERE RECONSTRUCTION_ID = {reconstruction_id}"
    _put(connection, "RECONSTRUCTION_LIST", where)
    (volume,) = stored().execute(f"SELECT VOLUME_ASSET_ID FROM RECONSTRUCTION_LIST {where}").fetchone()
    _put(connection, "VOLUME_ASSETS", f"WHERE VOLUME_ASSET_ID = {volume}")


def _put(connection: sqlite3.Connection, table: str, where: str = "", **changed: object) -> None:
    """Copy rows of the whole project's database, some columns changed."""
    cursor = stored().execute(f"SELECT * FROM {table} {where}")
    names = [column[0] for column in cursor.description]
    for row in cursor:
        values = [changed.get(name, value) for name, value in zip(names, row, strict=True)]
        connection.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", values)


def dump_bytes(half: str, images: int, score: float = 50.0, box_px: int = 8, seed: int = 0) -> bytes:
    """A dump of random sums in the format of reconstruct3d: 60 bytes, complex sums, real weights."""
    voxel_A = 64 * 2.5 / box_px
    header = struct.pack(
        "<7i5f4s2i",
        *[box_px] * 3,
        64,
        64,
        64,
        images,
        voxel_A,
        2.5,
        100.0,
        score,
        0.0,
        b"C1  ",
        1 if half == "odd" else 2,
        1,
    )
    count = box_px * box_px * (box_px // 2 + 1)
    rng = np.random.default_rng([seed, half == "odd"])
    return (
        header + rng.normal(size=2 * count).astype("<f4").tobytes() + rng.uniform(1, 2, count).astype("<f4").tobytes()
    )


def dumps(
    refinement_id: int, class_id: int = 1, score: float = 50.0, seed: int = 0, startup: bool = False
) -> dict[str, bytes]:
    """All dumps of one class of a round in two chunks, by name; they hold the images that the round used."""
    odd, even = USED.get((refinement_id, class_id), (350, 350))
    stem = "startup_dump_file" if startup else f"dump_file_{refinement_id}"
    return {
        f"{stem}_{class_id - 1}_{half}_{job}.dump": dump_bytes(
            half, images // 2 + (images % 2 if job == 1 else 0), score, seed=seed + job
        )
        for job in (1, 2)
        for half, images in (("odd", odd), ("even", even))
    }


def write_parameters(
    folder: Path, panel: str, refinement_id: int, class_id: int = 1, used: tuple[int, int] | None = None
) -> None:
    """The parameter file that a panel writes just before its reconstruction jobs start."""
    first, second = used or USED.get((refinement_id, class_id), (350, 350))
    rows = [(n + 1, 1, 100.0, 1 if n < first else 2) for n in range(first + second)] + [
        (9000, 1, 0.0, 1),
        (9001, -1, 100.0, 2),
    ]
    columns = [(1, 9), (2, 2), (512, 3), (1 << 32, 2)]
    raw = struct.pack("<2i", len(columns), len(rows)) + b"".join(struct.pack("<qb", *column) for column in columns)
    raw += b"".join(struct.pack("<Iifi", *row) for row in rows)
    path = folder / "Assets" / "Parameters" / f"{PARAMETERS[panel]}_{refinement_id}_{class_id}.cistem"
    path.unlink(missing_ok=True)
    path.write_bytes(raw)


def write_volume(folder: Path, name: str, seed: int = 0) -> Path:
    """A map in Assets/Volumes, as merge3d writes at its end."""
    path = folder / "Assets" / "Volumes" / name
    write_map(path, small_map(seed), "test")
    return path


def small_map(seed: int) -> Map:
    """A map of the project's box with a smooth random body."""
    from scipy.ndimage import gaussian_filter

    voxels = gaussian_filter(np.random.default_rng(seed).normal(size=(64,) * 3), 3).astype(np.float32)
    z, y, x = np.ogrid[-32:32, -32:32, -32:32]
    return Map(np.where(x * x + y * y + z * z < 15**2, 1 + 10 * voxels, 0.2 * voxels).astype(np.float32), 2.5)


def wipe(folder: Path, panel: str) -> None:
    """Remove and make again a scratch folder, as the program does after a round."""
    shutil.rmtree(folder / "Scratch" / panel)
    (folder / "Scratch" / panel).mkdir()
