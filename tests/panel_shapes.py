"""Shapes of the panel that fill their box, run through its faces, or stand beside others."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from panel import Atoms, Points, filled, globule, joined, moved, segment, shell

Shape = Callable[[np.random.Generator], Atoms]


def ball(radius_A: float) -> Shape:
    """A solid ball."""
    return lambda rng: filled(rng, radius_A + 6, lambda p: np.linalg.norm(p, axis=1) - radius_A)


def block(half_z_A: float, half_y_A: float, half_x_A: float) -> Shape:
    """A solid block with round edges."""
    halves = np.array([half_z_A, half_y_A, half_x_A]) - 8

    def distance(p: Points) -> NDArray[np.float64]:
        return np.linalg.norm(np.maximum(np.abs(p) - halves, 0), axis=1) - 8

    return lambda rng: filled(rng, float(halves.max()) + 14, distance)


def capsid(outer_A: float, thickness_A: float, core: float) -> Shape:
    """A capsid; its core has the share ``core`` of the shell's density, and hardly a feature."""

    def make(rng: np.random.Generator) -> Atoms:
        coat = shell(outer_A, outer_A - thickness_A)(rng)
        if not core:
            return coat
        inner_A = outer_A - thickness_A - 2
        return joined(
            coat, filled(rng, inner_A + 6, lambda p: np.linalg.norm(p, axis=1) - inner_A, core, 2.0, smooth=True)
        )

    return make


def tube(outer_A: float, inner_A: float, reach_A: float, tilt: float = 0.0) -> Shape:
    """A microtubule of 13 protofilaments, longer than its box."""

    def distance(p: Points) -> NDArray[np.float64]:
        y = p[:, 1] - tilt * p[:, 0]
        turn = np.arctan2(y, p[:, 2])
        radius = np.hypot(y, p[:, 2])
        return np.abs(radius - (outer_A + inner_A) / 2) - (outer_A - inner_A) / 2 * (1 + 0.2 * np.cos(13 * turn))

    return lambda rng: filled(rng, reach_A, distance)


def amyloid(half_width_A: float, half_height_A: float, reach_A: float, pitch_A: float = 400.0) -> Shape:
    """A twisted ribbon of rungs 4.8 A apart, longer than its box."""

    def distance(p: Points) -> NDArray[np.float64]:
        turn = 2 * np.pi * p[:, 0] / pitch_A
        y = np.cos(turn) * p[:, 1] - np.sin(turn) * p[:, 2]
        x = np.sin(turn) * p[:, 1] + np.cos(turn) * p[:, 2]
        return np.maximum(np.abs(x) - half_width_A, np.abs(y) - half_height_A)

    return lambda rng: filled(rng, reach_A, distance)


def bilayer(radius_A: float, reach_A: float) -> Shape:
    """A globule in a membrane that runs through the box: two leaflets, smooth within them."""

    def make(rng: np.random.Generator) -> Atoms:
        protein = moved(globule(radius_A)(rng), radius_A * 0.5, 0, 0)

        def leaflets(p: Points) -> NDArray[np.float64]:
            away = radius_A - np.linalg.norm(p - (radius_A * 0.5, 0, 0), axis=1)
            return np.maximum(np.abs(np.abs(p[:, 0]) - 15) - 5, away)

        return joined(protein, filled(rng, reach_A, leaflets, 0.6, 2.0, smooth=True))

    return make


def disc(radius_A: float, thickness_A: float, protein_A: float) -> Shape:
    """A nanodisc: a smooth disc about a globule that stands out of it."""

    def make(rng: np.random.Generator) -> Atoms:
        protein = moved(globule(protein_A)(rng), protein_A * 0.6, 0, 0)

        def lipid(p: Points) -> NDArray[np.float64]:
            away = protein_A - np.linalg.norm(p - (protein_A * 0.6, 0, 0), axis=1)
            flat = np.maximum(np.hypot(p[:, 1], p[:, 2]) - radius_A, np.abs(p[:, 0]) - thickness_A / 2)
            return np.maximum(flat, away)

        return joined(protein, filled(rng, radius_A + 6, lipid, 0.5, 3.0, smooth=True))

    return make


def neighbours(radius_A: float, *places_A: tuple[float, float, float]) -> Shape:
    """Globules about the given places (z, y, x), which a face of the box cuts off."""
    return lambda rng: joined(*(moved(globule(radius_A)(rng), *place) for place in places_A))


def arch(radius_A: float, thickness_A: float) -> Shape:
    """Half a ring with a foot: open, and far from its own centre of mass."""

    def distance(p: Points) -> NDArray[np.float64]:
        half = np.hypot(np.hypot(p[:, 1], p[:, 2]) - radius_A, p[:, 0]) - thickness_A
        foot = segment(p, (0, 0, -radius_A), (radius_A, 0, -radius_A)) - thickness_A
        return np.minimum(np.maximum(half, -p[:, 1] - 4), foot)

    return lambda rng: filled(rng, radius_A + thickness_A + 6, distance)


def tripod(radius_A: float, length_A: float) -> Shape:
    """Three arms that meet at an angle."""
    ends = [(-0.5 * length_A, length_A * np.cos(a), length_A * np.sin(a)) for a in (0.3, 2.4, 4.5)]

    def distance(p: Points) -> NDArray[np.float64]:
        return np.min([segment(p, (0.4 * length_A, 0, 0), end) for end in ends], axis=0) - radius_A

    return lambda rng: filled(rng, length_A + radius_A + 6, distance)


def sponge(reach_A: float) -> Shape:
    """Density everywhere: no part of the box is solvent."""
    return lambda rng: filled(rng, reach_A, lambda p: np.full(len(p), -100.0))
