"""Particle images -> the coefficients that are inserted: transformed, normalised, shifted, times CTF and weight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.fourier import in_place
from refine_hooks.kernels import FLOAT, INT, array, fft, kernel
from refine_hooks.particles import Particles
from refine_hooks.particles.stacks import Block, Images
from refine_hooks.sums import ctf, normalise
from refine_hooks.sums.plan import Plan

Reals = NDArray[np.float64]

_TABLE = array("float64", 2)
_weigh = kernel(
    "weigh", array("complex64", 3), INT, FLOAT, _TABLE, _TABLE, _TABLE, _TABLE, INT, array("float32", 4, written=True)
)
_untilt = kernel("untilt", array("complex64", 3, written=True), INT, _TABLE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done to each image of a block; arrays as ``weigh`` and ``untilt`` in kernels/coefficients.c take them.

    Attributes:
        whitening, edge_px: of cisTEM's normalisation; None for images as they are.
        without_mean: RELION leaves the coefficient at zero out.
        enveloped: a particle's B factor belongs to its CTF, and so stands in the weights squared.
    """

    block: Block
    first_negative: int
    furthest: float
    particles: Particles
    rows: NDArray[np.int64]
    whitening: NDArray[np.float32] | None
    edge_px: float
    without_mean: bool
    enveloped: bool
    tilt: Reals | None
    chi: Reals
    shift: Reals
    weight: Reals
    kind: Reals


def first_negative(plan: Plan, box_px: int) -> int:
    """The first row of a transform whose ky is negative: RELION counts the Nyquist row of an even box as positive."""
    return box_px // 2 + 1 if plan.package == "relion" else (box_px + 1) // 2


def furthest(plan: Plan, box_px: int) -> float:
    """The largest kx^2 + ky^2 that is inserted: cisTEM inserts the corners too, RELION the circle that touches the edges."""
    return float("inf") if plan.package == "cistem" else (box_px / 2) ** 2


def rules(plan: Plan, block: Block) -> Rules:
    """The rules for a block of a plan."""
    rows, n = plan.particles.rows(block.rows), block.box_px
    amplitude = plan.amplitude[block.rows]
    falloff = (plan.falloff_A2[block.rows] - rows.ctf_b_factor_A2 / 4) / (n * rows.pixel_size_A) ** 2
    shift_px = np.stack([rows.shift_x_A, rows.shift_y_A], axis=1) / rows.pixel_size_A[:, None] + n // 2
    relion = plan.package == "relion"
    return Rules(
        block=block,
        first_negative=first_negative(plan, n),
        furthest=furthest(plan, n),
        particles=rows,
        rows=plan.rows[block.rows],
        whitening=None if plan.whitening is None else plan.whitening[n],
        edge_px=normalise.EDGE_A / float(rows.pixel_size_A[0]),
        without_mean=relion,
        enveloped=relion,
        tilt=ctf.tilt_coefficients(rows, n, plan.package),
        chi=ctf.phase_coefficients(rows, n, plan.package),
        shift=2 * np.pi * shift_px / n,
        weight=np.stack([amplitude * rows.ctf_scale / n**2, falloff, amplitude * rows.ctf_scale**2], axis=1),
        kind=ctf.image_factors(rows),
    )


def prepare(rules: Rules, part: slice, images: Images, out: NDArray[np.float32]) -> None:
    """Coefficients of some images of a block.

    Args:
        rules: of the block.
        part: which of its particles the images are.
        images: [image, y, x].
        out: [image, ky, kx, (real, imaginary, weight, 0)], filled.

    Raises:
        ParticlesError: an image holds a NaN or an infinite value.
    """
    transforms = np.asarray(fft.rfftn(images, axes=(2,)), np.complex64)
    in_place(transforms, 1)
    _refuse_unreadable(transforms, rules, part)
    weight = rules.weight[part]
    if rules.whitening is not None:
        transforms, to_one = normalise.normalised(transforms, rules.whitening, rules.edge_px)
        weight = weight * np.stack([to_one, np.ones_like(to_one), np.ones_like(to_one)], axis=1)
    if rules.without_mean:
        transforms[:, 0, 0] = 0
    if rules.tilt is not None:
        _untilt(transforms, rules.first_negative, rules.tilt[part])
    _weigh(
        transforms,
        rules.first_negative,
        rules.furthest,
        rules.chi[part],
        rules.shift[part],
        weight,
        rules.kind[part],
        rules.enveloped,
        out,
    )


def _refuse_unreadable(transforms: NDArray[np.complex64], rules: Rules, part: slice) -> None:
    bad = ~np.isfinite(transforms[:, 0, 0])
    if bad.any():
        first = part.start + int(np.argmax(bad))
        particles = rules.particles
        raise ParticlesError(
            f"{particles.stacks[rules.block.stack]}: image {particles.image[first]} (particle {rules.rows[first] + 1} of "
            f"{particles.source}) holds a NaN or an infinite value; exclude that particle, or write its image anew"
        )
