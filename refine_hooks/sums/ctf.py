"""Contrast transfer function and beam tilt as the coefficients that the compiled loops evaluate.

The phase is chi = pi lambda s^2 (df(az) - lambda^2 s^2 Cs / 2) + phase shift + atan(w / sqrt(1 - w^2)), with the defocus
df(az) = ((df1 + df2) + (df1 - df2) cos 2(az - angle)) / 2, positive under focus. cisTEM's CTF is -sin chi, RELION's is sin chi:
their images differ in contrast, and the products do not.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.model import Package
from refine_hooks.particles import CTF_PHASE_FLIPPED, CTF_PREMULTIPLIED, Particles

Reals = NDArray[np.float64]

_WAVELENGTH = {"cistem": (12.2639, 0.97845e-6), "relion": (12.2643247, 0.978466e-6)}
_LEAST_AMPLITUDE_CONTRAST = 0.001
_CTF_WITHOUT_DEFOCUS = 0.7


def wavelength_A(voltage_kV: Reals, package: Package) -> Reals:
    """Electron wavelength with the constants of either program; they differ in the fifth digit."""
    factor, relativistic = _WAVELENGTH[package]
    volts = 1000.0 * voltage_kV
    return np.asarray(factor / np.sqrt(volts + relativistic * volts**2))


def phase_coefficients(particles: Particles, box_px: int, package: Package) -> Reals:
    """chi in turns as a polynomial of the image's (kx, ky) in pixels: [particle, 5], see ``weigh`` in kernels/coefficients.c."""
    length_A = box_px * particles.pixel_size_A
    wavelength = wavelength_A(particles.voltage_kV, package)
    mean = (particles.defocus_1_A + particles.defocus_2_A) / 2
    difference = (particles.defocus_1_A - particles.defocus_2_A) / 2
    twice = 2 * np.deg2rad(particles.defocus_angle_deg)
    contrast = particles.amplitude_contrast
    if package == "cistem":
        contrast = np.maximum(contrast, _LEAST_AMPLITUDE_CONTRAST)
    per_turn = wavelength / (2 * length_A**2)
    turns = np.stack(
        [
            per_turn * mean,
            per_turn * difference * np.cos(twice),
            per_turn * difference * np.sin(twice),
            wavelength**3 * particles.cs_mm * 1e7 / (4 * length_A**4),
            (particles.phase_shift_rad + np.arcsin(contrast)) / (2 * np.pi),
        ],
        axis=1,
    )
    if package == "cistem":
        turns[(particles.defocus_1_A == 0) & (particles.defocus_2_A == 0)] = (
            0,
            0,
            0,
            0,
            np.arcsin(_CTF_WITHOUT_DEFOCUS) / (2 * np.pi),
        )
    return turns


def image_factors(particles: Particles) -> Reals:
    """What an image is multiplied by: k0 sin + k1 + k2 |sin|, [particle, 3]."""
    factors = np.zeros((len(particles), 3))
    column = np.where(
        particles.ctf_kind == CTF_PREMULTIPLIED, 1, np.where(particles.ctf_kind == CTF_PHASE_FLIPPED, 2, 0)
    )
    factors[np.arange(len(particles)), column] = particles.contrast
    return factors


def tilt_coefficients(particles: Particles, box_px: int, package: Package) -> Reals | None:
    """Phases in turns that take beam tilt and image shift out of a transform: [particle, 4], see kernels/coefficients.c.

    None where there is neither. The two programs count a beam tilt with opposite signs.
    """
    tilt = np.stack([particles.beam_tilt_x_mrad, particles.beam_tilt_y_mrad], axis=1) / 1000
    shift = np.stack([particles.image_shift_x_A, particles.image_shift_y_A], axis=1)
    if not np.any(tilt) and not (package == "cistem" and np.any(shift)):
        return None
    length_A = (box_px * particles.pixel_size_A)[:, None]
    coma = tilt * (particles.cs_mm * 1e7 * wavelength_A(particles.voltage_kV, package) ** 2)[:, None] / length_A**3
    if package == "relion":
        return np.hstack([coma, np.zeros_like(shift)])
    return np.hstack([-coma, shift / length_A])
