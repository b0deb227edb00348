"""Half maps of parts with known signal and noise: what local resolution is held against.

A signal is a random field in each part, whose power goes as c exp(-B k^2 / 2) against the noise of that part, so that
S / (S + N) = 0.143 at a given resolution; on a constant density with a soft surface. The noise of a part has its own power, and a
colour. Parts are ellipsoids, and where they overlap the nearer surface decides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Volume = NDArray[np.float32]
LEVEL = 0.143
EDGE_A = 4.0  # of a surface
DENSITY = 0.5  # of the constant part, in standard deviations of the noise


@dataclass(frozen=True)
class Part:
    """An ellipsoid, and how good the map is in it.

    Attributes:
        centre_A: z, y, x from the box's centre.
        radii_A: along z, y, x.
        resolution_A: where S / (S + N) is 0.143.
        slope: B k^2 there; about 11 in measured half maps.
        noise: power, that of the solvent being 1.
    """

    centre_A: tuple[float, float, float]
    radii_A: tuple[float, float, float]
    resolution_A: float
    slope: float = 10.0
    noise: float = 1.0


@dataclass(frozen=True)
class Phantom:
    """A name, the parts, and what the halves are made of.

    Attributes:
        colour: the noise's power at Nyquist, less 1, that at 0 being 1.
    """

    name: str
    box_px: int
    voxel_size_A: float
    parts: tuple[Part, ...]
    colour: float = 0.0


@dataclass(frozen=True)
class Made:
    """Halves, share of each part in each voxel [part, z, y, x], and the true resolution there (0 in the solvent)."""

    half1: Volume
    half2: Volume
    shares: Volume
    truth_A: Volume
    part: NDArray[np.int64]


TWO = (Part((0, 0, -38), (46, 42, 40), 4.5), Part((0, 6, 42), (42, 40, 40), 6.5))
CORE_AND_ARM = (Part((0, 0, -20), (50, 50, 46), 4.1, 11), Part((0, 10, 55), (30, 30, 36), 6.8, 9, 1.4))
# What the estimator's four numbers were chosen on.
TUNED = (
    Phantom("two", 128, 1.6, TWO),
    Phantom("core and arm", 128, 1.6, CORE_AND_ARM),
    Phantom(
        "three, noise 1 to 2",
        128,
        1.6,
        (
            Part((0, 0, -42), 3 * (38,), 4.2, 12),
            Part((0, -40, 30), 3 * (38,), 5.0, 9, 2.0),
            Part((5, 40, 34), 3 * (38,), 6.0, 8),
        ),
    ),
    Phantom("twice as coarse", 128, 1.6, (Part((0, 0, -38), (44, 42, 40), 4.0), Part((0, 0, 44), (46, 46, 44), 8.0))),
)
# Made afterwards.
JUDGED = (
    Phantom(
        "four",
        144,
        1.4,
        (
            Part((-10, -38, -38), 3 * (36,), 3.6, 11),
            Part((12, 36, -36), 3 * (36,), 4.4, 10, 1.5),
            Part((-8, -36, 38), 3 * (36,), 5.2, 9),
            Part((10, 38, 40), 3 * (37,), 6.0, 8, 0.7),
        ),
        0.5,
    ),
    Phantom(
        "two, coloured noise",
        128,
        1.8,
        (Part((0, -45, 0), (50, 46, 48), 5.2, 12), Part((0, 48, 0), (48, 46, 50), 7.4, 8)),
        1.5,
    ),
    Phantom(
        "same signal, noise 1 and 4",
        128,
        1.5,
        (Part((-38, 0, 0), 3 * (40,), 4.0, 9), Part((40, 0, 0), 3 * (42,), 5.6, 9, 4.0)),
    ),
    Phantom("inner core", 128, 1.8, (Part((0, 0, 0), 3 * (44,), 4.6, 11), Part((0, 30, 30), 3 * (70,), 6.4, 9))),
)
# Made when everything was final.
FRESH = (
    Phantom(
        "head and tail",
        120,
        1.7,
        (Part((8, -6, -34), (44, 48, 42), 4.8, 10, 0.8), Part((-12, 10, 46), (40, 34, 42), 7.2, 11, 1.2)),
    ),
    Phantom(
        "three in a row",
        128,
        1.6,
        (
            Part((-56, 0, 6), (34, 40, 38), 4.4, 9),
            Part((0, 8, 0), (36, 38, 40), 5.6, 11, 1.6),
            Part((58, 0, -6), (36, 40, 40), 7.0, 10),
        ),
        0.8,
    ),
    Phantom(
        "two, flat",
        128,
        1.5,
        (Part((-6, -42, 0), (34, 48, 52), 4.2, 12), Part((8, 46, 4), (38, 44, 50), 5.0, 8, 2.0)),
        -0.3,
    ),
    Phantom(
        "four, corners",
        144,
        1.5,
        (
            Part((40, 40, 0), 3 * (38,), 4.0, 10),
            Part((-40, 38, 6), 3 * (38,), 4.9, 12, 1.3),
            Part((-38, -42, -6), 3 * (39,), 5.9, 9),
            Part((42, -38, 4), 3 * (40,), 7.0, 10, 0.6),
        ),
        0.4,
    ),
)
# Made to be looked at by other programs, too.
BESIDE = (
    Phantom(
        "two beside",
        96,
        1.8,
        (Part((-6, 0, -36), (42, 46, 40), 4.6, 11, 0.9), Part((8, 4, 42), (36, 40, 38), 6.6, 9, 1.3)),
        0.3,
    ),
    Phantom(
        "three beside",
        104,
        1.7,
        (
            Part((-38, -30, 0), 3 * (36,), 4.4, 10),
            Part((40, -28, 4), 3 * (36,), 5.4, 11, 1.8),
            Part((0, 44, -4), 3 * (36,), 6.6, 9),
        ),
    ),
    Phantom(
        "four beside",
        112,
        1.6,
        (
            Part((-36, -34, -6), 3 * (35,), 4.0, 10),
            Part((36, -36, 8), 3 * (34,), 4.8, 11, 1.4),
            Part((-34, 36, 6), 3 * (35,), 5.6, 9),
            Part((38, 36, -8), 3 * (36,), 6.6, 10, 0.8),
        ),
        0.6,
    ),
)


def made(phantom: Phantom, seed: int = 1) -> Made:
    """A phantom made real."""
    rng, n = np.random.default_rng(seed), phantom.box_px
    frequency = _frequency_per_A(n, phantom.voxel_size_A)
    colour = 1 + phantom.colour * frequency * 2 * phantom.voxel_size_A
    shares = _shares(phantom)
    signal, noise = np.zeros((n,) * 3, np.float32), np.ones((n,) * 3, np.float32)
    for part, share in zip(phantom.parts, shares, strict=True):
        power = colour * part.noise * LEVEL / (1 - LEVEL)
        power = power * np.exp(part.slope / 2 * (1 - (frequency * part.resolution_A) ** 2))
        signal += np.sqrt(share) * _field(rng, np.sqrt(power), n) + DENSITY * share
        noise += (part.noise - 1) * share
    halves = [signal + np.sqrt(noise) * _field(rng, np.sqrt(colour), n) for _ in range(2)]
    nearest, inside = shares.argmax(0), shares.sum(0) >= 0.5
    truth = np.array([part.resolution_A for part in phantom.parts], np.float32)[nearest]
    return Made(halves[0], halves[1], shares, np.where(inside, truth, 0), np.where(inside, nearest, -1))


def _frequency_per_A(box_px: int, voxel_size_A: float) -> NDArray[np.float32]:
    z, x = np.fft.fftfreq(box_px, voxel_size_A), np.fft.rfftfreq(box_px, voxel_size_A)
    return np.sqrt(z[:, None, None] ** 2 + z[:, None] ** 2 + x**2).astype(np.float32)


def _field(rng: np.random.Generator, amplitude: NDArray[np.float32], box_px: int) -> Volume:
    white = fft.rfftn(rng.standard_normal((box_px,) * 3, np.float32))
    return fft.irfftn(white * amplitude, s=(box_px,) * 3).astype(np.float32)


def _shares(phantom: Phantom) -> Volume:
    """Of each part in each voxel: soft at the surface and where parts meet."""
    n = phantom.box_px
    at = (np.indices((n,) * 3, np.float32) - n // 2) * np.float32(phantom.voxel_size_A)
    outside_A = np.empty((len(phantom.parts), n, n, n), np.float32)
    for out, part in zip(outside_A, phantom.parts, strict=True):
        scaled = sum(((x - c) / r) ** 2 for x, c, r in zip(at, part.centre_A, part.radii_A, strict=True))
        out[...] = (np.sqrt(scaled) - 1) * min(part.radii_A)
    nearest = (
        np.partition(outside_A, 1, axis=0)[:2] if len(outside_A) > 1 else np.stack([outside_A[0], outside_A[0] + 1e6])
    )
    others = np.where(outside_A == nearest[0], nearest[1], nearest[0])
    shares = np.clip(0.5 - np.maximum(outside_A, (outside_A - others) / 2) / EDGE_A, 0, 1)
    whole = np.clip(0.5 - nearest[0] / EDGE_A, 0, 1)
    return np.asarray(shares * (whole / np.maximum(shares.sum(0), 1e-6)), np.float32)
