"""The particles of one round of a cisTEM project, and how reconstruct3d was asked to weigh them."""

import sqlite3
from pathlib import Path

import numpy as np

from refine_hooks.errors import ParticlesError
from refine_hooks.log.checks import Duplicates
from refine_hooks.model import Round
from refine_hooks.particles import Particles, ParticlesJob, require_both_halves
from refine_hooks.particles.cistem import from_database_rows
from refine_hooks.particles.doubles import NEAR, Places, in_both_halves
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cistem.database import content, find_database, read
from refine_hooks.programs.cistem.tables import Content, Package, Refinement, Row, integer, real, rerooted, rows

_WAIT_S = 30.0
NOTE = "reconstructed to full resolution; the noise's whitening filter is cisTEM's but for its random choice of images"


def particles(directory: Path, memory: Memory, round_: Round) -> ParticlesJob:
    """What reconstruct3d was given for one class of one round that the database knows.

    Raises:
        ParticlesError: the round is not in the database, or its stack or its results are not there.
    """
    database, known, refinement = _known(directory, memory, round_)
    sources = round_.inputs
    reconstruction = known.reconstructions.get(sources.reconstruction_id) if sources.reconstruction_id else None
    if reconstruction is None:
        raise ParticlesError(_not_yet(database, refinement.id))
    package = known.packages[refinement.package_id]
    stack = rerooted(package.stack, known.folder, directory)
    if not stack.is_file():
        raise ParticlesError(f"{stack}: the particle stack is not there")
    rows_of_class = _rows_of_class(database, round_, package, stack)
    weight_A2, adjust = read(database, lambda c: _weighting(c, reconstruction.id), wait_s=_WAIT_S)
    require_both_halves(rows_of_class)
    # AutoRefine adjusts scores but notes down that it does not.
    return ParticlesJob(
        rows_of_class,
        "cistem",
        symmetry=package.symmetry,
        whitening_radius_A=reconstruction.outer_radius_A,
        score_weight_A2=weight_A2,
        adjust_scores=adjust or refinement.name.startswith("Auto"),
        independence="shared_reference",
        notes=(NOTE,),
    )


def duplicates(directory: Path, memory: Memory, round_: Round) -> Duplicates | None:
    """Particles of one class that were picked twice, by the package's table; None where that does not say where they were."""
    try:
        database, known, refinement = _known(directory, memory, round_)
        package = known.packages[refinement.package_id]
        found = _rows_of_class(database, round_, package, rerooted(package.stack, known.folder, directory))
    except (ParticlesError, sqlite3.Error, KeyError):
        return None
    table = f"REFINEMENT_PACKAGE_CONTAINED_PARTICLES_{int(package.id)}"
    picked = {
        integer(row, "POSITION_IN_STACK"): row for row in read(database, lambda c: rows(c, table), wait_s=_WAIT_S)
    }
    places = _places(found, picked)
    return None if places is None else in_both_halves(places, NEAR * package.particle_size_A)


def _places(found: Particles, picked: dict[int, Row]) -> Places | None:
    """Where the particles that are used lie; a package that was imported knows of no micrograph (-1)."""
    at = [picked.get(image, {}) for image in found.image.tolist()]
    micrograph = np.array([integer(row, "PARENT_IMAGE_ASSET_ID") for row in at], np.int64)
    kept = found.used & (micrograph >= 0)
    if not kept.any():
        return None
    x_A, y_A = (np.array([real(row, f"{axis}_POSITION", np.nan) for row in at]) for axis in "XY")
    x_A, y_A = (x_A + found.shift_x_A)[kept], (y_A + found.shift_y_A)[kept]
    return Places(found.image[kept], found.stack[kept], found.image[kept], found.half[kept], micrograph[kept], x_A, y_A)


def _known(directory: Path, memory: Memory, round_: Round) -> tuple[Path, Content, Refinement]:
    """The database, what it holds, and the refinement of a round.

    Raises:
        ParticlesError: it does not hold that.
    """
    database = find_database(directory)
    known = content(database, memory, wait_s=_WAIT_S)
    refinement = known.refinements.get(round_.key.iteration)
    if refinement is None:
        raise ParticlesError(_not_yet(database, round_.key.iteration))
    return database, known, refinement


def _not_yet(database: Path, number: int) -> str:
    return f"{database}: does not hold refinement {number} yet, so its particles are not known"


def _rows_of_class(database: Path, round_: Round, package: Package, stack: Path) -> Particles:
    number, class_id = round_.key.iteration, round_.key.class_id
    names, results = read(database, lambda c: _results(c, number, class_id, package.id), wait_s=_WAIT_S)
    return from_database_rows(
        names,
        results,
        source=f"{database} (refinement {number}, class {class_id})",
        stack=stack,
        contrast=1 if package.white_protein else -1,
    )


_OF_THE_PACKAGE = {
    "PIXEL_SIZE": "PIXEL_SIZE",
    "MICROSCOPE_VOLTAGE": "MICROSCOPE_VOLTAGE",
    "MICROSCOPE_CS": "SPHERICAL_ABERRATION",
    "AMPLITUDE_CONTRAST": "AMPLITUDE_CONTRAST",
    "ASSIGNED_SUBSET": "ASSIGNED_SUBSET",
}
"""Columns that result tables of older versions lack -> the columns of the package's own table of particles."""


def _results(
    connection: sqlite3.Connection, number: int, class_id: int, package_id: int
) -> tuple[list[str], list[tuple[object, ...]]]:
    """A table of results; what an older version did not write into it comes from the package's particles, by their position."""
    cursor = connection.execute(f"SELECT * FROM REFINEMENT_RESULT_{int(number)}_{int(class_id)}")  # noqa: S608 - two integers
    names, found = [column[0].upper() for column in cursor.description], cursor.fetchall()
    lacking = [name for name in _OF_THE_PACKAGE if name not in names]
    package = rows(connection, f"REFINEMENT_PACKAGE_CONTAINED_PARTICLES_{int(package_id)}") if lacking else []
    lacking = [name for name in lacking if package and _OF_THE_PACKAGE[name] in package[0]]
    if not lacking or "POSITION_IN_STACK" not in names:
        return names, found
    known = {row["POSITION_IN_STACK"]: tuple(row[_OF_THE_PACKAGE[name]] for name in lacking) for row in package}
    at = names.index("POSITION_IN_STACK")
    return [*names, *lacking], [(*row, *known[row[at]]) for row in found if row[at] in known]


def _weighting(connection: sqlite3.Connection, reconstruction: int) -> tuple[float, bool]:
    query = "SELECT SCORE_WEIGHT_CONVERSION, SHOULD_ADJUST_SCORES FROM RECONSTRUCTION_LIST WHERE RECONSTRUCTION_ID = ?"
    row = connection.execute(query, (reconstruction,)).fetchone()
    return (float(row[0]), bool(row[1])) if row else (0.0, True)
