"""Cases that judge the automask anew: shapes that it never met, made when it was as it is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from panel import Atoms, Case, Points, filled, globule, joined, moved, segment
from panel_shapes import capsid, neighbours

Shape = Callable[[np.random.Generator], Atoms]


def cage(half_A: float, strut_A: float) -> Shape:
    """The twelve edges of a cube."""
    corners = [np.array(c) * half_A for c in np.ndindex(2, 2, 2)]
    corners = [2 * c - half_A for c in corners]
    edges = [(a, b) for i, a in enumerate(corners) for b in corners[:i] if (a != b).sum() == 1]

    def distance(p: Points) -> NDArray[np.float64]:
        return np.min([segment(p, tuple(a), tuple(b)) for a, b in edges], axis=0) - strut_A

    return lambda rng: filled(rng, half_A * 1.8 + strut_A, distance)


def spring(radius_A: float, thickness_A: float, turns: float, rise_A: float) -> Shape:
    """A coil, open within."""
    along = np.linspace(-turns / 2, turns / 2, int(24 * turns))
    path = np.stack([along * rise_A, radius_A * np.sin(2 * np.pi * along), radius_A * np.cos(2 * np.pi * along)], 1)

    def distance(p: Points) -> NDArray[np.float64]:
        return np.min([np.linalg.norm(p - point, axis=1) for point in path], axis=0) - thickness_A

    return lambda rng: filled(rng, max(radius_A, turns * rise_A / 2) + thickness_A + 6, distance)


def stack(radius_A: float, half_A: float, gap_A: float) -> Shape:
    """Three plates one above the other, held by a thin stalk."""

    def distance(p: Points) -> NDArray[np.float64]:
        flat = [np.abs(p[:, 0] - z) - half_A for z in (-gap_A, 0.0, gap_A)]
        plates = np.maximum(np.min(flat, axis=0), np.hypot(p[:, 1], p[:, 2] * 1.2) - radius_A)
        return np.minimum(plates, segment(p, (-gap_A, 0, 0), (gap_A, 0, 0)) - 9)

    return lambda rng: filled(rng, max(radius_A, gap_A + half_A) + 8, distance)


def bowl(radius_A: float, thickness_A: float) -> Shape:
    """Half a hollow ball."""

    def distance(p: Points) -> NDArray[np.float64]:
        return np.maximum(np.abs(np.linalg.norm(p, axis=1) - radius_A) - thickness_A / 2, -p[:, 0] - 6)

    return lambda rng: filled(rng, radius_A + thickness_A + 6, distance)


def beads(radius_A: float, *places_A: tuple[float, float, float]) -> Shape:
    """Globules in a row that hardly touch, each of another size."""
    return lambda rng: joined(
        *(moved(globule(radius_A * size)(rng), *place) for size, place in zip((1.0, 0.7, 0.85), places_A, strict=True))
    )


def faint(strong: Shape, weak: Shape, weight: float) -> Shape:
    """Two shapes, the second of a share of the first's density."""

    def make(rng: np.random.Generator) -> Atoms:
        second = weak(rng)
        return joined(strong(rng), Atoms(second.positions_A, weight * second.weight, second.blur_A))

    return make


BEADS = beads(24, (0, 0, -44), (6, 4, 2), (-4, 0, 40))
JUDGED_ANEW: tuple[Case, ...] = tuple(
    replace(case, seed=7001)
    for case in (
        Case("cage, good", cage(44, 9), 64, 2.6, 6.5),
        Case("cage, poor", cage(50, 10), 64, 3.2, 12.0, colour=-0.5),
        Case("spring, good", spring(38, 9, 2.2, 34), 64, 2.6, 7.0),
        Case("spring, red noise", spring(42, 10, 2.0, 38), 64, 2.8, 9.0, colour=-1.5),
        Case("stack, good", stack(40, 8, 34), 64, 2.6, 6.0, colour=-0.5),
        Case("stack, poor", stack(44, 9, 38), 64, 3.2, 13.0),
        Case("bowl, good", bowl(46, 16), 64, 2.6, 6.5, colour=-1.0),
        Case("bowl, flat spectrum", bowl(50, 18), 64, 3.0, 11.0, decay=3.0),
        Case("beads, good", BEADS, 64, 2.8, 7.0),
        Case("beads, poor", BEADS, 64, 3.0, 12.0, colour=-0.5),
        Case("beads, neighbours", BEADS, 64, 2.8, 8.0, clutter=neighbours(26, (0, 96, 0))),
        Case("globule and a faint ring", faint(globule(26), spring(44, 7, 1.0, 0.1), 0.5), 64, 2.6, 6.5),
        Case("off-centre bowl, odd box", lambda rng: moved(bowl(34, 14)(rng), 14, -12, 10), 61, 2.6, 7.5),
        Case("capsid 91 %, core 0.95", capsid(0.91 * 90, 20, 0.95), 60, 3.0, 8.0, colour=-1.0),
        Case("box 32, bowl", bowl(26, 14), 32, 3.2, 8.5),
        Case("box 36, beads, poor", beads(16, (0, 0, -28), (4, 3, 1), (-3, 0, 26)), 36, 3.2, 12.0),
        Case("stack, hopeless", stack(40, 8, 34), 64, 2.8, None),
    )
)
