"""Particle stacks of known S / N: a random density whose power falls with a known B factor, seen from random sides, in white noise.

Angles can be fitted to the noise, as a refinement beyond its means does: each image is shifted to where it agrees best with a
density of noise, of its own half or of both.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mrcfile
import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates

from refine_hooks.particles import Particles, table

PIXEL_A = 2.0
_AT_ONCE = 200
Reals = NDArray[np.float64]
Fitted = Literal["", "halves", "both"]


@dataclass(frozen=True)
class Grown:
    """What is grown.

    Attributes:
        box_px: of the images.
        particles: in both halves.
        b_factor_A2: S / N falls by exp(-B s^2 / 2).
        resolution_A: where S / (S + N) of the whole of all particles is 0.143.
        fitted: what the shifts are fitted to beyond ``fitted_from_A``.
        signal_to_A: beyond it there is no signal.
    """

    box_px: int = 48
    particles: int = 1500
    b_factor_A2: float = 200.0
    resolution_A: float = 6.0
    fitted: Fitted = ""
    fitted_from_A: float = 8.0
    signal_to_A: float = 0.0


def grown(path: Path, what: Grown, seed: int = 1) -> Particles:
    """Write the stack; its particles, with true angles and with shifts as they were fitted."""
    rng = np.random.default_rng(seed)
    n, count = what.box_px, what.particles
    phi, psi = rng.uniform(0, 360, (2, count))
    theta = np.rad2deg(np.arccos(rng.uniform(-1, 1, count)))
    half = 1 + np.arange(count) % 2
    volume = _density(rng, what)
    references = [_noise(rng, what) for _ in range(2 if what.fitted == "halves" else 1)] if what.fitted else []
    images, shifts = np.empty((count, n, n), np.float32), np.zeros((count, 2))
    for begin in range(0, count, _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        planes = _planes(phi[some], theta[some], psi[some], n)
        clean = fft.fftshift(fft.irfft2(_slices(volume, planes), s=(n, n)), axes=(1, 2)) * n
        images[some] = clean + rng.standard_normal(clean.shape)
        for number, reference in enumerate(references):
            mine = np.flatnonzero((half[some] - 1) % len(references) == number)
            shifts[begin + mine] = _best_shifts(images[begin + mine], _slices(reference, planes[:, mine]), n)
    with mrcfile.new(path, overwrite=True) as stack:
        stack.set_data(images)
        stack.set_image_stack()
        stack.voxel_size = PIXEL_A
    columns = {
        "image": np.arange(1, count + 1),
        **{"phi_deg": phi, "theta_deg": theta, "psi_deg": psi, "half": half, "contrast": 1.0},
        **{"shift_x_A": PIXEL_A * shifts[:, 0], "shift_y_A": PIXEL_A * shifts[:, 1]},
        **dict.fromkeys(("defocus_1_A", "defocus_2_A", "defocus_angle_deg", "phase_shift_rad", "cs_mm"), 0.0),
        **{"pixel_size_A": PIXEL_A, "voltage_kV": 300.0, "amplitude_contrast": 1.0},
    }
    return table(columns, stacks=(path,), source="grown.star")


def _frequencies(n: int, three: bool = True) -> NDArray[np.float64]:
    whole, half = np.fft.fftfreq(n, PIXEL_A), np.fft.rfftfreq(n, PIXEL_A)
    squares = [whole[:, None, None] ** 2, whole[:, None] ** 2, half**2] if three else [whole[:, None] ** 2, half**2]
    return np.sqrt(sum(squares))


def _in_a_ball(rng: np.random.Generator, n: int, radius_px: float) -> NDArray[np.float64]:
    at = np.indices((n,) * 3) - n // 2
    inside = np.clip(radius_px - np.sqrt((at**2).sum(axis=0)) + 0.5, 0, 1)
    return rng.standard_normal((n,) * 3) * inside


def _density(rng: np.random.Generator, what: Grown) -> NDArray[np.complex128]:
    """Transform, twice as fine, of a density whose S / (S + N) is as asked for in maps of the whole box."""
    n, fine = what.box_px, 2 * what.box_px
    k = _frequencies(fine)
    white = fft.rfftn(fft.ifftshift(_in_a_ball(rng, fine, 0.3 * n)))
    power = np.mean(np.abs(white) ** 2)
    # A coefficient of a map of M images of unit noise: each shell holds M n / (2 k) of them, k its radius in pixels.
    shell = np.maximum(k * n * PIXEL_A, 1.0)
    images = what.particles / (2 * shell)
    wanted = 0.143 / 0.857 * np.exp(what.b_factor_A2 / 2 * (what.resolution_A**-2 - k**2)) / 1.0
    at_resolution = what.particles / (2 * n * PIXEL_A / what.resolution_A)
    gain = np.sqrt(wanted / at_resolution / power) * np.ones_like(images)
    if what.signal_to_A:
        gain[k > 1 / what.signal_to_A] = 0
    return white * gain


def _noise(rng: np.random.Generator, what: Grown) -> NDArray[np.complex128]:
    fine = 2 * what.box_px
    white = fft.rfftn(fft.ifftshift(_in_a_ball(rng, fine, 0.3 * what.box_px)))
    white[_frequencies(fine) < 1 / what.fitted_from_A] = 0
    return white


def _planes(phi: Reals, theta: Reals, psi: Reals, n: int) -> Reals:
    """x, y, z of each coefficient of each image, in steps of a grid twice as fine: [3, image, ky, kx]."""
    (c1, c2, c3), (s1, s2, s3) = (f(np.deg2rad([phi, theta, psi])) for f in (np.cos, np.sin))
    columns = [
        [c1 * c2 * c3 - s1 * s3, -c1 * c2 * s3 - s1 * c3],
        [s1 * c2 * c3 + c1 * s3, -s1 * c2 * s3 + c1 * c3],
        [-s2 * c3, s2 * s3],
    ]
    ky, kx = np.meshgrid(np.fft.fftfreq(n) * n, np.arange(n // 2 + 1), indexing="ij")
    return 2 * np.einsum("ijp,jyx->ipyx", np.array(columns), np.stack([kx, ky]))


def _slices(volume: NDArray[np.complex128], at: Reals) -> NDArray[np.complex128]:
    fine = volume.shape[0]
    inside = np.sqrt((at**2).sum(axis=0)) < fine // 2 - 2
    x, y, z = at[:, inside]
    mate = x < 0
    x, y, z = (np.where(mate, -one, one) for one in (x, y, z))
    places = np.stack([z % fine, y % fine, x])
    real, imaginary = (map_coordinates(part, places, order=1, mode="grid-wrap") for part in (volume.real, volume.imag))
    out = np.zeros(inside.shape, complex)
    out[inside] = real + 1j * np.where(mate, -imaginary, imaginary)
    return out


def _best_shifts(images: NDArray[np.float32], references: NDArray[np.complex128], n: int) -> Reals:
    """x, y by which each image lies off where it agrees best with its reference, up to 2 pixels."""
    own = fft.rfft2(fft.ifftshift(images, axes=(1, 2)))
    agrees = fft.irfft2(own * references.conj(), s=(n, n))
    off = [(x, y) for y in range(-2, 3) for x in range(-2, 3)]
    near = np.stack([agrees[:, y, x] for x, y in off])
    return np.array(off, float)[near.argmax(axis=0)]
