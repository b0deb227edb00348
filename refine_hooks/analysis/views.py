"""Viewing directions of the particles, with the symmetry mates of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import SettingsError
from refine_hooks.model import Package

_PARTS = 3  # of a bin along each edge, when it is turned to its symmetry mates

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Views:
    """The viewing directions of a round.

    Attributes:
        counts: particles per bin [theta 0..180, phi 0..360], as the program states their angles.
        symmetry: of the map; each particle is a view along all of its mates.
        package: whose setting of the symmetry is meant.
    """

    counts: Counts
    symmetry: str | None = None
    package: Package = "relion"


def with_mates(views: Views) -> tuple[Counts, int]:
    """The particles spread evenly over the symmetry mates of their directions, and how many mates each has.

    One mate where there is no symmetry, or none that is known.
    """
    from refine_hooks.sums.symmetry import rotations

    try:
        turns = rotations(views.symmetry or "C1", views.package)
    except SettingsError:
        return views.counts, 1
    if len(turns) == 1:
        return views.counts, 1
    rows, columns = views.counts.shape
    directions = bin_directions(rows, columns, _PARTS).T
    shares = np.repeat(np.repeat(views.counts, _PARTS, 0), _PARTS, 1).ravel() / _PARTS**2
    held = np.flatnonzero(shares)
    spread = np.zeros(rows * columns)
    for turn in turns:
        spread += np.bincount(_bin_of(turn @ directions[:, held], rows, columns), shares[held], rows * columns)
    return spread.reshape(rows, columns) / len(turns), len(turns)


def bin_directions(rows: int, columns: int, parts: int) -> NDArray[np.float64]:
    """Unit vectors [part of a bin, 3] (x, y, z) in the middle of each part of each bin, ``parts`` along each edge."""
    theta = np.pi * (np.arange(rows * parts) + 0.5) / (rows * parts)
    phi = 2 * np.pi * (np.arange(columns * parts) + 0.5) / (columns * parts)
    sine = np.sin(theta)[:, None]
    axes = np.broadcast_arrays(sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)[:, None])
    return np.stack([axis.ravel() for axis in axes], axis=1)


def _bin_of(directions: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.intp]:
    x, y, z = directions
    row = np.minimum(np.arccos(np.clip(z, -1, 1)) / np.pi * rows, rows - 1).astype(np.intp)
    column = (np.mod(np.arctan2(y, x), 2 * np.pi) / (2 * np.pi) * columns).astype(np.intp) % columns
    return np.asarray(row * columns + column)
