"""Where two half maps correlate when one is turned by any angle, in either hand: a coarse search over all rotations."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import in_slabs
from refine_hooks.kernels import INT, array, fft, kernel

_SPACING_DEG = 15.0
_BAND = 6  # what 15 degrees blur in a particle of half the box
_turn_scores = kernel(
    "turn_scores",
    *(array("complex64", 3), INT, array("float64", 3), array("float64", 2), array("complex64", 1)),
    array("float64", 2, written=True),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One way to turn a half; scores are in standard deviations of what noise gives, ``same`` is that without a turn."""

    score: float
    same: float
    angle_deg: float
    mirrored: bool
    inverted: bool
    spacing_deg: float = _SPACING_DEG


def best_turn(one: NDArray[np.complex64], two: NDArray[np.complex64]) -> Turn:
    """The turn at which two half maps correlate most, in steps of 15 degrees.

    Args:
        one: half transform [kz, ky, kx] of a coarse box, whitened by shells, phase origin at the box's corner.
        two: the other one.
    """
    n = len(one)
    places = _places()
    values = _centred(one)[tuple(places.T)]
    cloud = _whole(two)
    rotations = _rotations()
    norm = np.sqrt(2 * len(places))

    def scores(begin: int, end: int) -> NDArray[np.float64]:
        found = np.empty((end - begin, 2))
        _turn_scores(cloud, n // 2, rotations[begin:end], places, values, found)
        return np.asarray(found / norm, np.float64)

    both = np.concatenate(in_slabs(scores, len(rotations), 256))
    at, hand = np.unravel_index(int(np.abs(both).argmax()), both.shape)
    score = float(both[at, hand])
    angle = np.arccos(np.clip((np.trace(rotations[at]) - 1) / 2, -1, 1))
    return Turn(abs(score), abs(float(both[0, 0])), float(np.rad2deg(angle)), bool(hand), score < 0)


@lru_cache(1)
def _places() -> NDArray[np.int64]:
    """kz, ky, kx of one half of the coefficients in the band."""
    axis = np.arange(-_BAND, _BAND + 1)
    z, y, x = (a.ravel() for a in np.meshgrid(axis, axis, axis, indexing="ij"))
    square = z * z + y * y + x * x
    half = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    kept = half & (square >= 1) & (square <= _BAND**2)
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


def _about(axis: int, angles: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rotations [angle, 3, 3] about one of the axes z, y, x."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((len(angles), 3, 3))
    out[:, axis, axis] = 1
    out[:, one, one] = out[:, other, other] = np.cos(angles)
    out[:, other, one] = np.sin(angles)
    out[:, one, other] = -out[:, other, one]
    return out
