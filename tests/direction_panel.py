"""Half maps of known preferred views: what the resolution by direction is held against.

The signal is a random field whose power falls as exp(-B k^2 / 2), in a sphere; the noise has the power 1 / sampling, the sampling
that of views drawn from a density that is known. So S / (S + N) of each cone is known, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from refine_hooks import fsc, masks
from refine_hooks.analysis.axes import HALF_ANGLE_DEG, fibonacci_axes
from refine_hooks.analysis.further import analyse
from refine_hooks.analysis.sampling import sampled
from refine_hooks.log.directions import Along

LEVEL, SLOPE = 0.143, 10.0
BOX, VOXEL_A, RADIUS_A = 64, 2.0, 40.0


@dataclass(frozen=True)
class Preference:
    """Which views, where S / (S + N) of even ones would be 0.143, and how many times as long along z the particle is."""

    views: str
    resolution_A: float = 6.0
    particles: int = 6000
    long: float = 1.0

    @property
    def mask(self) -> NDArray[np.float32]:
        """The particle, soft."""
        if self.long == 1:
            return masks.sphere(BOX, VOXEL_A, RADIUS_A, 8.0)
        axis = (np.arange(BOX) - BOX // 2) * VOXEL_A
        z, y, x = np.meshgrid(axis / self.long, axis, axis, indexing="ij")
        across_A = RADIUS_A / self.long ** (1 / 3)
        return np.clip(0.5 - (np.sqrt(z**2 + y**2 + x**2) - across_A) / 8, 0, 1).astype(np.float32)


FIT = (Preference("even"), Preference("side"), Preference("top"))
# Made after the rule that names a fault was final.
FRESH = (
    Preference("tilted", 5.5, 4000),
    Preference("three", 6.5, 9000, 1.3),
    Preference("cone", 7.5, 5000),
    Preference("y", 6.0, 3000, 0.8),
    Preference("few", 7.0, 700),
)
# Made after the factor on S / N by direction, and the rule that names a fault by it, were final.
LATEST = (
    Preference("saddle", 6.2, 5000),
    Preference("belt", 5.8, 4000),
    Preference("pair", 6.8, 6000, 1.2),
    Preference("ring", 7.2, 3500),
    Preference("z", 6.4, 1500, 0.9),
)
JUDGED = (Preference("x"), Preference("one", 7.0), Preference("two", 6.5), Preference("side", 8.0))


def views_of(kind: str, count: int, seed: int) -> NDArray[np.float64]:
    """Unit vectors [view, 3] (x, y, z)."""
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(count, 3))
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    if kind in ("side", "top", "x"):
        views = views * {"side": (1, 1, 0.3), "top": (1, 1, 2.5), "x": (2, 1, 1)}[kind]
    if kind in ("one", "two"):
        liked = np.array([[0.6, 0.5, 0.62], [-0.7, 0.6, 0.3]])[: 1 if kind == "one" else 2]
        some = count // 2
        views[:some] = liked[np.arange(some) % len(liked)] + 0.2 * rng.normal(size=(some, 3))
    if kind == "tilted":  # from all sides of an axis that is none of the box
        axis = np.array([1, 1, 1]) / np.sqrt(3)
        views = views - 0.7 * (views @ axis)[:, None] * axis
    if kind == "three":
        liked = np.array([[0.9, 0.1, 0.3], [-0.2, 0.8, 0.5], [0.1, -0.4, 0.9]])
        some = count // 3
        views[:some] = liked[np.arange(some) % 3] + 0.25 * rng.normal(size=(some, 3))
    if kind == "cone":  # about 50 degrees from z
        some = count // 2
        phi, theta = rng.uniform(0, 2 * np.pi, some), np.deg2rad(rng.normal(50, 8, some))
        views[:some] = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    if kind in ("y", "few"):
        views = views * {"y": (1, 1.8, 1), "few": (1, 0.5, 1.4)}[kind]
    if kind in ("saddle", "z"):
        views = views * {"saddle": (1.7, 0.7, 1), "z": (1, 1, 0.6)}[kind]
    if kind == "belt":  # from the sides of an axis that is none of the box
        axis = np.array([1, 0, 1]) / np.sqrt(2)
        views = views - 0.6 * (views @ axis)[:, None] * axis
    if kind == "pair":
        some = 2 * count // 5
        liked = np.array([[0.2, -0.9, 0.4], [0.8, 0.3, -0.5]])
        views[:some] = liked[np.arange(some) % 2] + 0.2 * rng.normal(size=(some, 3))
    if kind == "ring":  # about 35 degrees from y
        some = count // 2
        phi, tilt = rng.uniform(0, 2 * np.pi, some), np.deg2rad(rng.normal(35, 8, some))
        views[:some] = np.stack([np.sin(tilt) * np.cos(phi), np.cos(tilt), np.sin(tilt) * np.sin(phi)], axis=1)
    return np.asarray(views / np.linalg.norm(views, axis=1, keepdims=True))


def histogram(views: NDArray[np.float64]) -> NDArray[np.float64]:
    """Views per bin of 10 x 5 degrees [theta 0..180, phi 0..360]."""
    theta = np.degrees(np.arccos(np.clip(views[:, 2], -1, 1)))
    phi = np.degrees(np.arctan2(views[:, 1], views[:, 0])) % 360
    return np.histogram2d(theta, phi, bins=(np.linspace(0, 180, 19), np.linspace(0, 360, 73)))[0]


def _sampling_at(directions: NDArray[np.float64], preference: Preference) -> NDArray[np.float64]:
    """Over its mean, of unit vectors [.., 3] (x, y, z): between the axes by their distance."""
    own = sampled(histogram(views_of(preference.views, preference.particles, 11))).relative
    axes = fibonacci_axes()[:, ::-1]
    flat = directions.reshape(-1, 3).astype(np.float32)
    found = np.empty(len(flat))
    for begin in range(0, len(flat), 1 << 15):
        weight = np.exp(60 * ((flat[begin : begin + (1 << 15)] @ axes.T.astype(np.float32)) ** 2 - 1))
        found[begin : begin + (1 << 15)] = weight @ own / weight.sum(axis=1)
    return np.maximum(found, 1e-3).reshape(directions.shape[:-1])


def _frequencies() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z, x = np.fft.fftfreq(BOX, VOXEL_A), np.fft.rfftfreq(BOX, VOXEL_A)
    zz, yy, xx = np.meshgrid(z, z, x, indexing="ij")
    k = np.sqrt(zz**2 + yy**2 + xx**2)
    return k, np.stack([xx, yy, zz], axis=-1) / np.maximum(k, 1e-9)[..., None]


@lru_cache(maxsize=1)
def _on_the_grid(preference: Preference) -> NDArray[np.float64]:
    return _sampling_at(_frequencies()[1], preference)


def made(preference: Preference, seed: int, *, filtered: bool = False) -> list[NDArray[np.float32]]:
    """Two half maps; ``filtered`` as after a filter by direction that both were given."""
    rng = np.random.default_rng(seed)
    k, directions = _frequencies()
    at = _on_the_grid(preference)
    power = LEVEL / (1 - LEVEL) * np.exp(SLOPE / 2 * (1 - (k * preference.resolution_A) ** 2))

    def field(amplitude: NDArray[np.float64]) -> NDArray[np.float64]:
        return fft.irfftn(fft.rfftn(rng.standard_normal((BOX,) * 3)) * amplitude, s=(BOX,) * 3)

    signal = field(np.sqrt(power)) * preference.mask
    halves = [signal + field(1 / np.sqrt(at)) for _ in range(2)]
    if filtered:
        gain = np.sqrt(at) if preference.views != "even" else 1 + 0.8 * directions[..., 2] ** 2
        halves = [fft.irfftn(fft.rfftn(half) * gain, s=(BOX,) * 3) for half in halves]
    return [half.astype(np.float32) for half in halves]


def true_along(axis: tuple[float, float, float], preference: Preference) -> float:
    """Where S / (S + N) of the cone about an axis is 0.143."""
    rng = np.random.default_rng(0)
    near = rng.normal(size=(20_000, 3))
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    near = near[np.abs(near @ np.array(axis)) >= np.cos(np.deg2rad(HALF_ANGLE_DEG))]
    noise = float(np.mean(1 / _sampling_at(near, preference)))
    # A soft edge takes more of the signal, which lies in the mask already, than of the noise.
    mask = preference.mask.astype(np.float64)
    noise *= float((mask**2).sum() / (mask**4).sum())
    return preference.resolution_A / float(np.sqrt(1 - 2 / SLOPE * np.log(noise)))


def read_along(preference: Preference, along: Iterable[Along]) -> tuple[list[float], list[bool]]:
    """Reading over truth of each axis, and whether the 90 % interval holds the truth."""
    ratios, held = [], []
    for one in along:
        if one.resolution_A is None or one.interval_A is None:
            continue
        truth = true_along(one.axis, preference)
        ratios.append(one.resolution_A / truth)
        held.append(one.interval_A[1] <= truth <= one.interval_A[0])
    return ratios, held


def scored(preference: Preference, seeds: Iterable[int]) -> tuple[list[float], list[bool]]:
    """As `read_along`, of all draws."""
    ratios: list[float] = []
    held: list[bool] = []
    for seed in seeds:
        one, two = made(preference, seed)
        mask = preference.mask
        record = analyse(one, two, VOXEL_A, mask, "m", fsc.masked_fsc(one, two, mask)).record
        some, holds = read_along(preference, record.along)
        ratios, held = ratios + some, held + holds
    return ratios, held
