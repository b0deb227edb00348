"""Where two half maps correlate when one is turned by any angle, in either hand: all rotations coarsely, the best ones finer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.coarse import Complex, Vector, frequencies_of, phases
from refine_hooks.analysis.fits import fine_shift, turned_half
from refine_hooks.fourier import in_slabs
from refine_hooks.kernels import INT, array, fft, kernel

_SPACING_DEG = 15.0
_BAND = 6  # what 15 degrees blur in a particle of half the box
_FINER = ((8, (7.5, 4.0)), (12, (4.0, 2.0, 1.0)))  # last shell, and steps in degrees
_APART_DEG = 20.0
_LOOKED_AT = 40  # the best of each hand, from which those that lie apart are taken
_turn_scores = kernel(
    "turn_scores",
    *(array("complex64", 3), INT, array("float64", 3), array("float64", 2), array("complex64", 1)),
    array("float64", 2, written=True),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One way to lay a half on the other: turned inside out where ``mirrored``, then taken at ``rotation`` [3, 3] times the places.

    ``score`` is in standard deviations of what noise gives.
    """

    rotation: Vector
    score: float
    mirrored: bool
    inverted: bool

    @property
    def angle_deg(self) -> float:
        """Of the rotation."""
        return float(np.rad2deg(np.arccos(np.clip((np.trace(self.rotation) - 1) / 2, -1, 1))))


def best_turns(one: Complex, two: Complex, of_each: int) -> list[Turn]:
    """The turns at which two half maps correlate most, of a grid of 15 degrees, in either hand.

    Args:
        one: half transform [kz, ky, kx] of a coarse box, whitened by shells, phase origin at the box's corner.
        two: the other one.
        of_each: so many of each hand, which lie 20 degrees apart.
    """
    places = _places(_within(_BAND, len(one)))
    values, cloud, rotations = _centred(one)[tuple(places.T)], _whole(two), _rotations()
    both = np.concatenate(
        in_slabs(lambda begin, end: _scores(cloud, rotations[begin:end], places, values), len(rotations), 256)
    )
    found: list[Turn] = []
    for mirrored, scores in enumerate(both.T):
        best = np.argsort(-np.abs(scores))[:_LOOKED_AT]
        turns = (Turn(rotations[at], abs(float(scores[at])), bool(mirrored), bool(scores[at] < 0)) for at in best)
        found += _apart(turns, of_each)
    return found


def settled(one: Complex, two: Complex, turn: Turn, shift: Vector) -> tuple[Turn, Complex, Vector]:
    """A turn made finer: it, the second half turned by it, and the shift z, y, x by which that still lies off the first.

    Args:
        one: as `best_turns` takes it.
        two: the other one, as it is.
        turn: one of its turns.
        shift: where the second half lies after it, about.
    """
    n = len(one)
    own = np.conj(two) if turn.mirrored else two
    own = -own if turn.inverted else own
    cloud, rotation, laid = _whole(own), turn.rotation, own
    for band, steps in _FINER:
        places = _places(_within(band, n))
        values = _centred(one * phases(frequencies_of(n), -shift))[tuple(places.T)]
        for step in steps:
            around = rotation @ _nearby(step)
            rotation = around[int(_scores(cloud, around, places, values)[:, 0].argmax())]
        laid = turned_half(own, rotation)
        shift, _ = fine_shift(one, laid, n, shift)
    return replace(turn, rotation=rotation), laid, shift


def _scores(
    cloud: Complex, rotations: Vector, places: NDArray[np.int64], values: NDArray[np.complex64]
) -> NDArray[np.float64]:
    """Of each rotation, in either hand: [rotation, 2]."""
    found = np.empty((len(rotations), 2))
    _turn_scores(cloud, len(cloud) // 2, np.ascontiguousarray(rotations), places, values, found)
    return np.asarray(found / np.sqrt(2 * len(places)))


def _apart(turns: Iterator[Turn], count: int) -> list[Turn]:
    """The first ones, without those that lie beside one before."""
    kept: list[Turn] = []
    nearest = 1 + 2 * np.cos(np.deg2rad(_APART_DEG))
    for turn in turns:
        if len(kept) < count and all(np.trace(one.rotation.T @ turn.rotation) < nearest for one in kept):
            kept.append(turn)
    return kept


def _within(band: int, box_px: int) -> int:
    return min(band, box_px // 2 - 2)


@lru_cache(4)
def _places(band: int) -> NDArray[np.int64]:
    """kz, ky, kx of one half of the coefficients in the band."""
    axis = np.arange(-band, band + 1)
    z, y, x = (a.ravel() for a in np.meshgrid(axis, axis, axis, indexing="ij"))
    square = z * z + y * y + x * x
    half = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    kept = half & (square >= 1) & (square <= band**2)
    return np.column_stack([z[kept], y[kept], x[kept]])


def _centred(half: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Phases about the box's centre: there the coefficients of a particle change slowly enough to be interpolated."""
    n = len(half)
    sign = 1 - 2 * (np.arange(n) % 2)
    return np.asarray(half * (sign[:, None, None] * sign[:, None] * sign[: half.shape[2]]), np.complex64)


def _whole(half: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Full transform with the origin in the middle."""
    n = len(half)
    volume = fft.irfftn(half, s=(n,) * 3)
    whole = fft.fftn(np.fft.ifftshift(volume))
    return np.ascontiguousarray(np.fft.fftshift(whole), np.complex64)


@lru_cache(1)
def _rotations() -> NDArray[np.float64]:
    """Rotations about 15 degrees apart: directions on a Fibonacci sphere, each with turns about it."""
    step = np.deg2rad(_SPACING_DEG)
    count = int(4 * np.pi / step**2)
    k = np.arange(count) + 0.5
    tilt, azimuth = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    spins = np.arange(0, 2 * np.pi - step / 2, step)
    directions = _about(0, azimuth) @ _about(1, tilt)
    found = directions[:, None] @ _about(0, spins)
    return np.concatenate([np.eye(3)[None], found.reshape(-1, 3, 3)])


@lru_cache(8)
def _nearby(step_deg: float) -> NDArray[np.float64]:
    """Rotations about the three axes by a step back, none, or a step forth."""
    few = np.deg2rad(step_deg) * np.array([-1.0, 0.0, 1.0])
    z, y, x = (angles.ravel() for angles in np.meshgrid(few, few, few))
    return np.asarray(_about(0, z) @ _about(1, y) @ _about(2, x))


def _about(axis: int, angles: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rotations [angle, 3, 3] about one of the axes z, y, x."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((len(angles), 3, 3))
    out[:, axis, axis] = 1
    out[:, one, one] = out[:, other, other] = np.cos(angles)
    out[:, other, one] = np.sin(angles)
    out[:, one, other] = -out[:, other, one]
    return out
