"""What is inserted into Fourier sums, in which order and by whose rules."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.model import Package
from refine_hooks.particles import Helix, Integers, Particles
from refine_hooks.sums.symmetry import rotations
from refine_hooks.sums.weights import Weights

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that insertion needs, with the particles in the order they are inserted in; parts of it can be sent elsewhere.

    Attributes:
        package: whose arithmetic: "cistem" inserts every symmetry mate into a grid as fine as the map's, "relion" inserts once
            into a grid ``padding`` times finer and applies symmetry to the sums.
        box_px: edge of the map.
        voxel_size_A: voxel size of the map.
        boxes: edge of the images of each stack.
        rows: where each particle stands in the table that it comes from, from 0.
        amplitude, falloff_A2: weight of each particle, see `Weights`.
        helix: helical symmetry that is applied to the sums besides.
        whitening: filter for each box of images, for cisTEM's normalisation; None for images as they are.
        sets: how many sums there are, 2 for the half sets alone; the ``half`` of a particle is the number of its sum, from 1, odd
            ones of half 1.
        substituted_from_A: two more sums, of the two halves, are of the same images with random phases beyond this resolution.
    """

    package: Package
    symmetry: str
    padding: int
    box_px: int
    voxel_size_A: float
    particles: Particles
    rows: Integers
    boxes: tuple[int, ...]
    amplitude: NDArray[np.float64]
    falloff_A2: NDArray[np.float64]
    whitening: dict[int, Floats] | None = None
    helix: Helix | None = None
    sets: int = 2
    substituted_from_A: float | None = None

    def __len__(self) -> int:
        return len(self.particles)

    def part(self, begin: int, end: int) -> "Plan":
        """The particles begin..end-1."""
        rows = slice(begin, end)
        return replace(
            self,
            particles=self.particles.rows(rows),
            rows=self.rows[rows],
            amplitude=self.amplitude[rows],
            falloff_A2=self.falloff_A2[rows],
        )

    @property
    def half(self) -> int:
        """Last logical index of the sums' grid."""
        return self.padding * self.box_px // 2

    @property
    def sums_shape(self) -> tuple[int, int, int, int, int]:
        """[set, z, y, x, (real, imaginary, weight, pad)]; without others the sets are the half sets."""
        sets = self.sets + (2 if self.substituted_from_A is not None else 0)
        return sets, 2 * self.half + 3, 2 * self.half + 3, self.half + 2, 4


def plan_for(
    particles: Particles, boxes: tuple[int, ...], weights: Weights, *, package: Package, symmetry: str, **options: Any
) -> Plan:
    """A plan for the used particles, in the order of their stacks.

    Args:
        particles: a whole table.
        boxes: as `refine_hooks.particles.stacks.checked_boxes` returns them.
        weights: of the same table.
        package, symmetry: see `Plan`.
        options: ``padding`` (else 1 for cisTEM, 2 for RELION), ``helix``, ``whitening``, and ``grid``, the box and the voxel
            size of the map (else those of the first stack's images).
    """
    rotations(symmetry, package)
    chosen = replace(particles, used=weights.used)
    used = np.flatnonzero(weights.used)
    in_order = used[np.lexsort((particles.image[used], particles.stack[used]))]
    if not in_order.size:
        raise ParticlesError(f"{particles.source}: no particle is left to reconstruct")
    ordered = chosen.rows(in_order)
    box_px, voxel_size_A = options.get("grid") or (boxes[ordered.stack[0]], float(ordered.pixel_size_A[0]))
    return Plan(
        package=package,
        symmetry=symmetry,
        padding=options.get("padding") or (2 if package == "relion" else 1),
        box_px=box_px,
        voxel_size_A=voxel_size_A,
        particles=ordered,
        rows=in_order,
        boxes=boxes,
        amplitude=weights.amplitude[in_order],
        falloff_A2=weights.falloff_A2[in_order],
        whitening=options.get("whitening"),
        helix=options.get("helix"),
    )
