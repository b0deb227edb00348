"""Particles that are in both half sets, as their table alone shows: the noise of such a particle is in both half maps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.log.checks import Duplicates
from refine_hooks.particles import Integers, Reals

NEAR = 0.15
"""Two picks of one micrograph that are nearer than this part of the particle's diameter are one particle."""
_FIRST_ROWS = 5


@dataclass(frozen=True, slots=True)
class Places:
    """Where each particle's image lies; columns of equal length.

    Attributes:
        row: in the particle table, from 1.
        stack, image: the image: two rows with the same ones are the same image.
        half: half set, 1 or 2.
        micrograph: which one; None where that, or the place in it, is not known.
        x_A, y_A: the particle's centre in it, its refined shift included.
    """

    row: Integers
    stack: Integers
    image: Integers
    half: Integers
    micrograph: Integers | None = None
    x_A: Reals | None = None
    y_A: Reals | None = None


def in_both_halves(places: Places, near_A: float) -> Duplicates:
    """How many particles are in both half sets.

    Args:
        places: of all particles.
        near_A: two centres of one micrograph that are no farther apart are one particle.

    Returns:
        ``images`` counts the images that are in both half sets, ``places`` the other particles of half 2 that have one of half 1
        at their place; ``first_rows`` are the rows of the first of both.
    """
    same, first_of_same = _same_images(places)
    rows = first_of_same[:_FIRST_ROWS]
    near = np.empty(0, np.int64)
    if places.micrograph is not None and places.x_A is not None and places.y_A is not None and near_A > 0:
        near = _same_places(places, ~same, near_A)
        rows = np.r_[rows, near[: _FIRST_ROWS - rows.size]]
    return Duplicates(images=first_of_same.size, places=near.size, first_rows=tuple(places.row[rows].tolist()))


def _same_images(places: Places) -> tuple[NDArray[np.bool_], Integers]:
    """Rows whose image is in both half sets, and the first row of each such image."""
    key = places.stack * (int(places.image.max(initial=0)) + 1) + places.image
    _, first, of_image = np.unique(key, return_index=True, return_inverse=True)
    halves = np.zeros((first.size, 2), bool)
    halves[of_image, np.clip(places.half, 1, 2) - 1] = True
    both = np.logical_and(halves[:, 0], halves[:, 1])
    return np.asarray(both[of_image], np.bool_), np.sort(first[both])


def _same_places(places: Places, rows: NDArray[np.bool_], near_A: float) -> Integers:
    """Rows of half 2, of those that are asked for, at the place of a row of half 1."""
    from scipy.spatial import cKDTree

    assert places.micrograph is not None
    assert places.x_A is not None
    assert places.y_A is not None
    apart_A = 10 * near_A
    points = np.stack([places.x_A, places.y_A, places.micrograph * apart_A], axis=1)
    usable = rows & np.isfinite(points).all(axis=1)
    one, two = (np.flatnonzero(usable & (places.half == half)) for half in (1, 2))
    if not one.size or not two.size:
        return np.empty(0, np.int64)
    distance_A, _ = cKDTree(points[one]).query(points[two], distance_upper_bound=near_A)
    return np.asarray(two[np.isfinite(distance_A)], np.int64)
