"""What the tables of a cisTEM project say, as plain values; columns are found by name, since old projects lack some."""

import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Version = tuple[int, int, bytes]

_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Package:
    """A refinement package: one particle stack and what is known of the particle."""

    id: int
    name: str
    stack: str
    box_px: int
    voxel_size_A: float
    symmetry: str
    molecular_mass_kDa: float
    particle_size_A: float
    white_protein: bool


@dataclass(frozen=True, slots=True)
class Details:
    """How one class of a refinement was refined, and which reconstruction its statistics now belong to."""

    class_id: int
    alignment_limit_A: float
    mask_radius_A: float
    estimated_resolution_A: float
    reconstruction_id: int
    automask: bool
    supplied_mask: bool
    mask_volume_id: int
    mask_edge_A: float
    outside_weight: float


@dataclass(frozen=True, slots=True)
class Refinement:
    """One set of particle parameters; ``generated`` ones were not refined and their curves are a model's."""

    id: int
    package_id: int
    name: str
    generated: bool
    run_at: int
    particles: int
    box_px: int
    voxel_size_A: float
    percent_used: float
    details: dict[int, Details] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """One map made from the parameters of a refinement."""

    id: int
    refinement_id: int
    class_id: int
    inner_radius_A: float
    outer_radius_A: float
    resolution_limit_A: float
    likelihood_blur: bool
    volume_id: int


@dataclass(frozen=True, slots=True)
class Volume:
    """A map that the project knows; ``path`` is as the database spells it."""

    id: int
    name: str
    path: str
    voxel_size_A: float


@dataclass(frozen=True, slots=True)
class Content:
    """The parts of a project that rounds are made of, by id; ``version`` tells one state of the database from another."""

    folder: str
    packages: dict[int, Package]
    refinements: dict[int, Refinement]
    reconstructions: dict[int, Reconstruction]
    volumes: dict[int, Volume]
    version: Version = (0, 0, b"")


def rows(connection: sqlite3.Connection, table: str) -> list[Row]:
    """All rows of a table by upper-case column name; a table that is not there has none."""
    known = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND upper(name) = upper(?)", (table,)
    ).fetchone()
    if known is None:
        return []
    quoted = known[0].replace('"', '""')
    cursor = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - a name that the schema itself gave
    names = [column[0].upper() for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def parse_content(connection: sqlite3.Connection) -> Content:
    """Everything that rounds are made of, in a few small reads: a table a refinement, no particles.

    Raises:
        sqlite3.Error: not a database, or not one of cisTEM.
    """
    settings = rows(connection, "MASTER_SETTINGS")
    if not settings:
        raise sqlite3.DatabaseError("it has no MASTER_SETTINGS")
    return Content(
        folder=text(settings[0], "PROJECT_DIRECTORY"),
        packages=_by_id(_package(row) for row in rows(connection, "REFINEMENT_PACKAGE_ASSETS")),
        refinements=_by_id(_refinement(row, connection) for row in rows(connection, "REFINEMENT_LIST")),
        reconstructions=_by_id(_reconstruction(row) for row in rows(connection, "RECONSTRUCTION_LIST")),
        volumes=_by_id(_volume(row) for row in rows(connection, "VOLUME_ASSETS")),
    )


def _by_id(items: Iterable[Any]) -> dict[int, Any]:
    return {item.id: item for item in sorted(items, key=lambda item: item.id) if item.id >= 0}


def _package(row: Row) -> Package:
    return Package(
        id=integer(row, "REFINEMENT_PACKAGE_ASSET_ID"),
        name=words(row, "NAME"),
        stack=text(row, "STACK_FILENAME"),
        box_px=integer(row, "STACK_BOX_SIZE"),
        voxel_size_A=real(row, "OUTPUT_PIXEL_SIZE"),
        symmetry=words(row, "SYMMETRY"),
        molecular_mass_kDa=real(row, "MOLECULAR_WEIGHT"),
        particle_size_A=real(row, "PARTICLE_SIZE"),
        white_protein=integer(row, "STACK_HAS_WHITE_PROTEIN", 0) == 1,
    )


def _refinement(row: Row, connection: sqlite3.Connection) -> Refinement:
    number = integer(row, "REFINEMENT_ID")
    generated = integer(row, "RESOLUTION_STATISTICS_ARE_GENERATED", 0) != 0
    details = (_details(each) for each in rows(connection, f"REFINEMENT_DETAILS_{number}"))
    return Refinement(
        id=number,
        package_id=integer(row, "REFINEMENT_PACKAGE_ASSET_ID"),
        name=words(row, "NAME") or f"Refinement {number}",
        generated=generated,
        run_at=integer(row, "DATETIME_OF_RUN", 0),
        particles=integer(row, "NUMBER_OF_PARTICLES", 0),
        box_px=integer(row, "RESOLUTION_STATISTICS_BOX_SIZE", 0),
        voxel_size_A=real(row, "RESOLUTION_STATISTICS_PIXEL_SIZE"),
        percent_used=real(row, "PERCENT_USED", 100.0),
        details={each.class_id: each for each in details if each.class_id >= 1},
    )


def _details(row: Row) -> Details:
    return Details(
        class_id=integer(row, "CLASS_NUMBER"),
        alignment_limit_A=real(row, "HIGH_RESOLUTION_LIMIT"),
        mask_radius_A=real(row, "MASK_RADIUS"),
        estimated_resolution_A=real(row, "ESTIMATED_RESOLUTION"),
        reconstruction_id=integer(row, "RECONSTRUCTION_ID"),
        automask=integer(row, "SHOULD_AUTOMASK", 0) == 1,
        supplied_mask=integer(row, "SHOULD_USE_SUPPLIED_MASK", 0) == 1,
        mask_volume_id=integer(row, "MASK_ASSET_ID"),
        mask_edge_A=real(row, "MASK_EDGE_WIDTH", 10.0),
        outside_weight=real(row, "OUTSIDE_MASK_WEIGHT"),
    )


def _reconstruction(row: Row) -> Reconstruction:
    return Reconstruction(
        id=integer(row, "RECONSTRUCTION_ID"),
        refinement_id=integer(row, "REFINEMENT_ID"),
        class_id=integer(row, "CLASS_NUMBER"),
        inner_radius_A=real(row, "INNER_MASK_RADIUS"),
        outer_radius_A=real(row, "OUTER_MASK_RADIUS"),
        resolution_limit_A=real(row, "RESOLUTION_LIMIT"),
        likelihood_blur=integer(row, "SHOULD_LIKELIHOOD_BLUR", 0) == 1,
        volume_id=integer(row, "VOLUME_ASSET_ID"),
    )


def _volume(row: Row) -> Volume:
    return Volume(integer(row, "VOLUME_ASSET_ID"), words(row, "NAME"), text(row, "FILENAME"), real(row, "PIXEL_SIZE"))


def integer(row: Row, column: str, default: int = -1) -> int:
    """A column as an integer; ``default`` where it is missing or no number."""
    value = row.get(column)
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else default


def real(row: Row, column: str, default: float = 0.0) -> float:
    """A column as a finite number; ``default`` where it is missing or none."""
    value = row.get(column)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else default


def text(row: Row, column: str) -> str:
    """A column as text, bytes that are no UTF-8 kept as Python keeps them in file names."""
    value = row.get(column)
    return value if isinstance(value, str) else ""


def words(row: Row, column: str) -> str:
    """A column as words for people: one line, printable, not endless."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text(row, column))
    return clean.encode("utf-8", "replace").decode().strip()[:_LONGEST_NAME]


def rerooted(path: str, folder: str, directory: Path) -> Path:
    """Where a file of the database is today: a project may have been moved since, so its own prefix is replaced.

    Args:
        path: as the database spells it.
        folder: the project's folder as the database spells it.
        directory: the project's folder today.
    """
    prefix = folder.rstrip("/") + "/"
    if folder and path.startswith(prefix):
        inside = path[len(prefix) :]
        return directory / inside if ".." not in Path(inside).parts else Path(path)
    _, assets, tail = path.rpartition("/Assets/")
    if assets and ".." not in Path(tail).parts and not Path(path).exists():
        return directory / "Assets" / tail
    return Path(path)
