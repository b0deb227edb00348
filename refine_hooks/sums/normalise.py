"""cisTEM's normalisation of particle images: whitening by the noise's own spectrum, then a background of mean 0 and variance 1.

Imitated is reconstruct3d with "normalize particles": there the spectrum comes from a random 2000 of the images, so that no two
runs agree to the last digit. Here it comes from as many images at even steps through the file, and every run agrees.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.fourier import in_place
from refine_hooks.kernels import FLOAT, array, fft, kernel
from refine_hooks.particles import Particles
from refine_hooks.particles.stacks import Images, blocks, read_images

SAMPLES = 2000
EDGE_A = 10.0
_whiten = kernel("whiten", array("complex64", 3, written=True), array("float32", 2))
_PIXELS, _PARTS = array("float32", 3), array("bool", 2)
_outside_of_particles = kernel(
    "outside_of_particles", _PIXELS, _PARTS, _PARTS, array("float64", 2), array("float32", 3, written=True)
)
_add_power = kernel("add_power", array("complex64", 3), array("float64", 2, written=True))
_background = kernel("background", array("float32", 3), FLOAT, array("float64", 2, written=True))


def chosen_rows(particles: Particles, samples: int = SAMPLES) -> NDArray[np.int64]:
    """Used rows at even steps, at most ``samples``."""
    used = np.flatnonzero(particles.used)
    steps = np.linspace(0, used.size - 1, min(samples, used.size)).round().astype(np.int64)
    return np.asarray(used[np.unique(steps)])


def whitening_filter(particles: Particles, boxes: tuple[int, ...], radius_A: float) -> dict[int, NDArray[np.float32]]:
    """For each box the factors [ky, kx] of a half transform that make the noise outside ``radius_A`` white.

    Raises:
        ParticlesError: the images have no noise outside the radius to measure.
    """
    filters = {}
    for box in sorted(set(boxes) - {0}):
        rows = particles.rows(
            chosen_rows(particles.rows(np.isin(particles.stack, [i for i, b in enumerate(boxes) if b == box])))
        )
        plan = blocks(rows, boxes, 64)
        pixel_size_A = float(rows.pixel_size_A[0])
        power = np.zeros((box, box // 2 + 1))
        for images in read_images(rows, plan):
            power += noise_power(images, radius_A / pixel_size_A, EDGE_A / pixel_size_A)
        if not np.isfinite(power).all() or not power[1:, 1:].any():
            raise ParticlesError(
                f"{particles.source}: images hold no noise outside {radius_A:g} A to whiten them by; give a smaller --mask-radius"
            )
        filters[box] = _by_rotation(power)
    return filters


def noise_power(images: Images, radius_px: float, edge_px: float) -> NDArray[np.float64]:
    """Summed power [ky, kx] of what lies outside a soft circle, of images brought to variance 1 there."""
    n = images.shape[1]
    radius_px, widest = min(radius_px, n / 2 - 1), 0.95 * n / 2 - edge_px / 2
    # Inside is the mean of the edge's ring, as cisTEM's inverted CosineMask leaves it; nothing is subtracted.
    outside, soft = _radii(n) > radius_px, _outside_of(n, min(radius_px, widest), edge_px)
    ring = np.abs(_radii(n) - min(radius_px, widest)) <= edge_px / 2
    masked = np.empty(images.shape, np.float32)
    power = np.zeros((n, n // 2 + 1))
    _outside_of_particles(np.ascontiguousarray(images), outside, ring, soft, masked)
    _add_power(fft.rfftn(masked, axes=(1, 2)), power)
    return power


@lru_cache(maxsize=8)
def _radii(n: int) -> NDArray[np.float64]:
    c = np.arange(n) - n // 2
    return np.asarray(np.hypot(c[:, None], c[None, :]), np.float64)


def _outside_of(n: int, radius_px: float, edge_px: float) -> NDArray[np.float64]:
    """0 inside a circle, 1 outside, a raised cosine between, centred on the radius."""
    ramp = np.clip((_radii(n) - (radius_px - edge_px / 2)) / max(edge_px, 1e-6), 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * ramp))


def _by_rotation(power: NDArray[np.float64]) -> NDArray[np.float32]:
    """1 / sqrt of the rotational average, as cisTEM makes it.

    Its curve has a point more or less for each shell out to the corner, and ends there; each coefficient is shared between the
    two points that it lies between, and of two Hermitian mates one counts.
    """
    n = power.shape[0]
    ky = np.fft.fftfreq(n, 1 / n)
    frequency = np.asarray(np.hypot(ky[:, None], np.arange(n // 2 + 1)[None, :]), np.float64) / n
    points = int((n // 2 + 1) * np.sqrt(2) + 1)
    place = frequency / (0.5 * np.sqrt(2) / (points - 1))
    counted = np.ones(power.shape)
    counted[(ky < 0) & (2 * ky > -n), 0] = 0
    below = place.astype(np.int64)
    part = place - below
    total, count = np.zeros(points + 1), np.zeros(points + 1)
    for at, share in ((below, (1 - part) * counted), (below + 1, part * counted)):
        shell = np.minimum(at, points)
        total += np.bincount(shell.ravel(), (power * share).ravel(), points + 1)
        count += np.bincount(shell.ravel(), share.ravel(), points + 1)
    mean = np.divide(total, count, out=np.zeros(points + 1), where=count > 0)
    curve = np.divide(1.0, np.sqrt(mean), out=np.zeros(points + 1), where=mean > 0)
    return np.asarray(np.interp(place, np.arange(points + 1), curve), np.float32)


def normalised(
    transforms: NDArray[np.complex64], whitening: NDArray[np.float32], edge_px: float
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Whitened transforms whose background has mean 0, and the factors that bring its variance to 1.

    Args:
        transforms: unscaled half transforms [image, ky, kx], overwritten.
        whitening: factors [ky, kx].
        edge_px: the background lies outside box // 2 - edge_px.
    """
    n = transforms.shape[1]
    _whiten(transforms, whitening)
    columns = transforms.copy()
    in_place(columns, 1, backward=True)
    images = fft.irfftn(columns, s=(n,), axes=(2,))
    found = np.empty((len(images), 3))
    _background(images, n // 2 - edge_px, found)
    mean, square = (found[:, :2] / np.maximum(found[:, 2:], 1)).T
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    transforms[:, 0, 0] -= (mean * n * n).astype(np.float32)
    return transforms, np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
