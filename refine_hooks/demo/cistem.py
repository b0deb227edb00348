"""A small refinement that plays itself into a folder as cisTEM's AutoRefine does.

Parameter files are left out; everything that is watched is there: dump files that grow under their final names and are deleted
before the database is committed, the filtered map with its header written last, the transaction under the dotfile lock.
"""

import shutil
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.curves.cistem import scaled_sphere
from refine_hooks.demo.particle import MASS_KDA, Quality, elongated_particle, half_sums
from refine_hooks.files.mrc import Map, Volume, write_map
from refine_hooks.sums.cistem import half_maps_from_dumps

BOX_PX = 96
VOXEL_SIZE_A = 2.0
RADIUS_A = 90.0
PARTICLES = 2000
CHUNKS = 2


@dataclass(frozen=True, slots=True)
class DemoRound:
    """One AutoRefine round; ``seed`` makes its noise."""

    quality: Quality
    array_px: int
    limit_A: float
    seed: int


# About half of all seeds raise the last round's scaled curve above 0.3 again near Nyquist; this one goes up to 0.4.
ROUNDS = (
    DemoRound(Quality(900.0, 5.0), 48, 20.0, 1),
    DemoRound(Quality(500.0, 4.0), 64, 14.5, 2),
    DemoRound(Quality(250.0, 3.0), 96, 10.0, 3),
    DemoRound(Quality(120.0, 2.5), 96, 8.0, 5001),
)

_SCHEMA = """
CREATE TABLE MASTER_SETTINGS(NUMBER INTEGER PRIMARY KEY, PROJECT_DIRECTORY TEXT, PROJECT_NAME TEXT, CURRENT_VERSION INTEGER,
  TOTAL_CPU_HOURS REAL, TOTAL_JOBS_RUN INTEGER, CISTEM_VERSION_TEXT TEXT, CURRENT_WORKFLOW TEXT);
CREATE TABLE PROCESS_LOCK(NUMBER INTEGER PRIMARY KEY, ACTIVE_PROCESS INTEGER, ACTIVE_HOST TEXT);
CREATE TABLE VOLUME_ASSETS(VOLUME_ASSET_ID INTEGER PRIMARY KEY, NAME TEXT, FILENAME TEXT, RECONSTRUCTION_JOB_ID INTEGER,
  PIXEL_SIZE REAL, X_SIZE INTEGER, Y_SIZE INTEGER, Z_SIZE INTEGER, HALF_MAP1_FILENAME TEXT, HALF_MAP2_FILENAME TEXT);
CREATE TABLE REFINEMENT_PACKAGE_ASSETS(REFINEMENT_PACKAGE_ASSET_ID INTEGER PRIMARY KEY, NAME TEXT, STACK_FILENAME TEXT,
  STACK_BOX_SIZE INTEGER, OUTPUT_PIXEL_SIZE REAL, SYMMETRY TEXT, MOLECULAR_WEIGHT REAL, PARTICLE_SIZE REAL,
  NUMBER_OF_CLASSES INTEGER, NUMBER_OF_REFINEMENTS INTEGER, LAST_REFINEMENT_ID INTEGER, STACK_HAS_WHITE_PROTEIN INTEGER);
CREATE TABLE REFINEMENT_LIST(REFINEMENT_ID INTEGER PRIMARY KEY, REFINEMENT_PACKAGE_ASSET_ID INTEGER, NAME TEXT,
  RESOLUTION_STATISTICS_ARE_GENERATED INTEGER, DATETIME_OF_RUN INTEGER, STARTING_REFINEMENT_ID INTEGER, NUMBER_OF_PARTICLES INTEGER,
  NUMBER_OF_CLASSES INTEGER, RESOLUTION_STATISTICS_BOX_SIZE INTEGER, RESOLUTION_STATISTICS_PIXEL_SIZE REAL, PERCENT_USED REAL);
CREATE TABLE RECONSTRUCTION_LIST(RECONSTRUCTION_ID INTEGER PRIMARY KEY, REFINEMENT_PACKAGE_ID INTEGER, REFINEMENT_ID INTEGER,
  NAME TEXT, INNER_MASK_RADIUS REAL, OUTER_MASK_RADIUS REAL, RESOLUTION_LIMIT REAL, SCORE_WEIGHT_CONVERSION REAL,
  SHOULD_ADJUST_SCORES INTEGER, SHOULD_CROP_IMAGES INTEGER, SHOULD_SAVE_HALF_MAPS INTEGER, SHOULD_LIKELIHOOD_BLUR INTEGER,
  SMOOTHING_FACTOR REAL, CLASS_NUMBER INTEGER, VOLUME_ASSET_ID INTEGER);
CREATE TABLE REFINEMENT_PACKAGE_REFINEMENTS_LIST_1(REFINEMENT_NUMBER INTEGER PRIMARY KEY, REFINEMENT_ID INTEGER);
"""
_ROUND_SCHEMA = """
CREATE TABLE REFINEMENT_DETAILS_{id}(CLASS_NUMBER INTEGER PRIMARY KEY, REFERENCE_VOLUME_ASSET_ID INTEGER, LOW_RESOLUTION_LIMIT REAL,
  HIGH_RESOLUTION_LIMIT REAL, MASK_RADIUS REAL, GLOBAL_MASK_RADIUS REAL, AVERAGE_OCCUPANCY REAL, ESTIMATED_RESOLUTION REAL,
  RECONSTRUCTED_VOLUME_ASSET_ID INTEGER, RECONSTRUCTION_ID INTEGER, SHOULD_AUTOMASK INTEGER, SHOULD_USE_SUPPLIED_MASK INTEGER,
  MASK_ASSET_ID INTEGER, MASK_EDGE_WIDTH REAL);
CREATE TABLE REFINEMENT_RESULT_{id}_1(POSITION_IN_STACK INTEGER PRIMARY KEY, PSI REAL, THETA REAL, PHI REAL, OCCUPANCY REAL,
  IMAGE_IS_ACTIVE INTEGER, ASSIGNED_SUBSET INTEGER);
CREATE TABLE REFINEMENT_RESOLUTION_STATISTICS_{id}_1(SHELL INTEGER PRIMARY KEY, RESOLUTION REAL, FSC REAL, PART_FSC REAL,
  PART_SSNR REAL, REC_SSNR REAL);
CREATE TABLE REFINEMENT_ANGULAR_DISTRIBUTION_{id}_1(BIN_NUMBER INTEGER PRIMARY KEY, NUMBER_IN_BIN REAL);
"""


def play(directory: Path, pause: Callable[[float], None], rounds: tuple[DemoRound, ...] = ROUNDS) -> None:
    """Make a project in ``directory`` and play all its rounds.

    Args:
        directory: an empty or missing folder.
        pause: called with seconds wherever cisTEM would take its time.
        rounds: what to play.
    """
    for folder in ("Assets/Volumes", "Assets/Parameters", "Assets/ParticleStacks", "Scratch/AutoRefine3D"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    database = directory / "demo.db"
    connection = sqlite3.connect(f"file:{database}?vfs=unix-dotfile", uri=True, isolation_level=None)
    connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
    _commit(connection, lambda: _package_rows(connection, directory), pause)
    particle = elongated_particle(BOX_PX, VOXEL_SIZE_A)
    for number, round_ in enumerate(rounds, 2):
        _play_round(connection, directory, particle, number, round_, pause)
    connection.close()


def _play_round(
    connection: sqlite3.Connection,
    directory: Path,
    particle: Volume,
    number: int,
    round_: DemoRound,
    pause: Callable[[float], None],
) -> None:
    scratch = directory / "Scratch" / "AutoRefine3D"
    pause(1.0)
    dumps: dict[str, list[Path]] = {"odd": [], "even": []}
    for half, (name, paths) in enumerate(dumps.items(), 1):
        data, weight = half_sums(
            particle, VOXEL_SIZE_A, round_.quality, round_.array_px, PARTICLES // 2, 10 * round_.seed + half
        )
        for chunk in range(1, CHUNKS + 1):
            paths.append(scratch / f"dump_file_{number}_0_{name}_{chunk}.dump")
            _write_dump(paths[-1], data / CHUNKS, weight / np.float32(CHUNKS), half, PARTICLES // 2 // CHUNKS, pause)
    half1, half2, _ = half_maps_from_dumps(dumps["odd"], dumps["even"])
    volume = directory / "Assets" / "Volumes" / f"volume_{number}_1.mrc"
    write_map(volume, Map(_filtered(half1, half2, round_), VOXEL_SIZE_A), "demonstration, filtered map")
    pause(0.5)
    shutil.rmtree(scratch)
    scratch.mkdir()
    pause(0.2)
    _commit(connection, lambda: _round_rows(connection, number, round_, volume, half1, half2), pause)


def _write_dump(
    path: Path,
    data: NDArray[np.complex64],
    weight: NDArray[np.float32],
    half: int,
    images: int,
    pause: Callable[[float], None],
) -> None:
    n = data.shape[0]
    header = struct.pack(
        "<7i5f4s2i",
        n,
        n,
        n,
        BOX_PX,
        BOX_PX,
        BOX_PX,
        images,
        VOXEL_SIZE_A * BOX_PX / n,
        VOXEL_SIZE_A,
        100.0,
        10.0,
        0.0,
        b"C1  ",
        half,
        1,
    )
    with path.open("wb") as stream:
        for piece in (header, data.astype("<c8").tobytes(), weight.astype("<f4").tobytes()):
            stream.write(piece)
            stream.flush()
            pause(0.05)


def _filtered(half1: Map, half2: Map, round_: DemoRound) -> Volume:
    """The average, low-passed at the round's resolution as cisTEM's figure of merit would."""
    from scipy.ndimage import gaussian_filter

    average = 0.5 * (half1.voxels + half2.voxels)
    return np.asarray(gaussian_filter(average, 0.2 * round_.limit_A / VOXEL_SIZE_A, mode="wrap"), np.float32)


def _commit(connection: sqlite3.Connection, rows: Callable[[], None], pause: Callable[[float], None]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    rows()
    pause(0.2)
    connection.execute("COMMIT")


def _package_rows(connection: sqlite3.Connection, directory: Path) -> None:
    connection.execute(
        "INSERT INTO MASTER_SETTINGS VALUES (1,?,?,2,0.0,0,'demonstration','')", (str(directory), directory.name)
    )
    stack = str(directory / "Assets/ParticleStacks/particle_stack_0.mrc")
    row = (1, "Refinement Package #0", stack, BOX_PX, VOXEL_SIZE_A, "C1", MASS_KDA, 140.0, 1, 0, 1, 0)
    connection.execute(f"INSERT INTO REFINEMENT_PACKAGE_ASSETS VALUES ({','.join('?' * len(row))})", row)
    connection.execute(
        "INSERT INTO REFINEMENT_LIST VALUES (1,1,'Imported Parameters',1,0,-1,?,1,?,?,100.0)",
        (PARTICLES, BOX_PX, VOXEL_SIZE_A),
    )
    connection.execute("INSERT INTO REFINEMENT_PACKAGE_REFINEMENTS_LIST_1 VALUES (1,1)")


def _round_rows(
    connection: sqlite3.Connection, number: int, round_: DemoRound, volume: Path, half1: Map, half2: Map
) -> None:
    limit_A = 0.0 if round_.array_px == BOX_PX else 2 * VOXEL_SIZE_A * BOX_PX / round_.array_px
    connection.execute(
        "INSERT INTO RECONSTRUCTION_LIST VALUES (?,1,?,'',0.0,?,?,0.0,0,0,0,0,1.0,1,?)",
        (number - 1, number, RADIUS_A, limit_A, number),
    )
    row = (number, volume.stem, str(volume), number - 1, VOXEL_SIZE_A, BOX_PX, BOX_PX, BOX_PX, "", "")
    connection.execute(f"INSERT INTO VOLUME_ASSETS VALUES ({','.join('?' * len(row))})", row)
    name = f"Auto #{number} - Round {number - 1}"
    connection.execute(
        "INSERT INTO REFINEMENT_LIST VALUES (?,1,?,0,0,?,?,1,?,?,100.0)",
        (number, name, number - 1, PARTICLES, BOX_PX, VOXEL_SIZE_A),
    )
    for statement in _ROUND_SCHEMA.format(id=number).split(";"):
        connection.execute(statement)
    curve = scaled_sphere(half1.voxels, half2.voxels, VOXEL_SIZE_A, RADIUS_A, MASS_KDA)
    cut = round_.array_px // 2
    fsc, part = (np.where(np.arange(BOX_PX // 2 + 1) <= cut, values, 0.0) for values in (curve.fsc, curve.part_fsc))
    shells = np.arange(BOX_PX // 2 + 1)
    below = np.flatnonzero(part[1:] < 0.143)
    first = int(below[0]) + 1 if below.size else BOX_PX // 2
    lengths_A = np.r_[0.0, VOXEL_SIZE_A * BOX_PX / shells[1:]]
    estimate_A = float(lengths_A[max(first - 1, 1)] + lengths_A[first]) / 2
    connection.execute(
        f"INSERT INTO REFINEMENT_DETAILS_{number} VALUES (1,?,?,?,?,?,100.0,?,?,?,1,0,-1,10.0)",
        (number - 1, 200.0, round_.limit_A, RADIUS_A, RADIUS_A * 1.2, estimate_A, number, number - 1),
    )
    rows = [
        (int(s), float(a), float(f), float(p), 0.0, 0.0)
        for s, a, f, p in zip(shells, lengths_A, fsc, part, strict=True)
    ]
    connection.executemany(f"INSERT INTO REFINEMENT_RESOLUTION_STATISTICS_{number}_1 VALUES (?,?,?,?,?,?)", rows)
    _particle_rows(connection, number)
    connection.execute("INSERT INTO REFINEMENT_PACKAGE_REFINEMENTS_LIST_1 VALUES (?,?)", (number, number))
    connection.execute("UPDATE REFINEMENT_PACKAGE_ASSETS SET LAST_REFINEMENT_ID=?", (number,))


def _particle_rows(connection: sqlite3.Connection, number: int) -> None:
    rng = np.random.default_rng(number)
    theta = np.degrees(np.arccos(rng.uniform(-1, 1, PARTICLES)))
    psi, phi = rng.uniform(0, 360, (2, PARTICLES))
    rows = [(i + 1, float(psi[i]), float(theta[i]), float(phi[i]), 100.0, 1, i % 2 + 1) for i in range(PARTICLES)]
    connection.executemany(f"INSERT INTO REFINEMENT_RESULT_{number}_1 VALUES (?,?,?,?,?,?,?)", rows)
    # cisTEM counts opposite views together, in bins of equal area: 72 of phi, each with 18 from the pole to the equator.
    upper = np.where(theta > 90, phi + 180, phi) % 360
    bins = np.histogram2d(upper, 1 - np.abs(np.cos(np.radians(theta))), (72, 18), ((0, 360), (0, 1)))[0].ravel()
    connection.executemany(
        f"INSERT INTO REFINEMENT_ANGULAR_DISTRIBUTION_{number}_1 VALUES (?,?)", enumerate(map(float, bins))
    )
