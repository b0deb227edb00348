"""How often each direction of Fourier space was seen, from the viewing directions of the particles.

A particle seen along v holds the coefficients in the plane across v. A direction k is sampled by the views within a few degrees of
the belt across k. Where views are divided by how often they were seen, the noise goes as 1 / sampling, and the mean of 1 / sampling
over a shell against an even one's is what preferred views cost: the sampling compensation factor, SCF, of Baldwin & Lyumkis
(2020, Prog Biophys Mol Biol 150:160, doi:10.1016/j.pbiomolbio.2019.09.002), 1 for even views and 8 / pi^2 = 0.81 for views from all
sides of one axis.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.axes import HALF_ANGLE_DEG, fibonacci_axes
from refine_hooks.analysis.views import Counts, Views, bin_directions, with_mates
from refine_hooks.log.directions import Sampling

_BELT_DEG = 5.0  # at which a view counts no more; at the belt itself it counts most
_FINE_DEG = 2.5  # parts of a bin
_NOTHING = 1e-3  # of the mean
_DRAWS, _SEED = 40, 20191024

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampled:
    """Sampling over its mean, of the axes of `refine_hooks.analysis.axes.fibonacci_axes`."""

    relative: Numbers

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which directions hold anything."""
        return self.relative > _NOTHING

    @property
    def filled_cones(self) -> NDArray[np.bool_]:
        """Cones all of whose directions hold something."""
        return np.asarray(_cones() @ ~self.seen == 0)

    @property
    def factor(self) -> float:
        """SCF of the directions that hold anything."""
        seen = self.relative[self.seen]
        return float(1 / (np.mean(1 / seen) * self.relative.mean()))

    def noise_in_cones(self) -> Numbers:
        """Expected noise power in cones of 20 degrees over its mean: 1 / sampling, and none where nothing was seen."""
        power = np.where(self.seen, 1 / np.maximum(self.relative, _NOTHING), 0.0)
        cones = _cones() @ power
        return np.asarray(cones / cones.mean())

    def in_cones(self) -> Numbers:
        """Sampling in cones of 20 degrees over its mean, as it counts for the signal against the noise."""
        return np.asarray(_cones() @ self.relative)


@lru_cache(maxsize=1)
def _cones() -> Numbers:
    axes = fibonacci_axes()
    near = (np.abs(axes @ axes.T) >= np.cos(np.deg2rad(HALF_ANGLE_DEG))).astype(np.float64)
    return np.asarray(near / near.sum(axis=1, keepdims=True))


@lru_cache(maxsize=2)
def _belts(rows: int, columns: int) -> Numbers:
    """How much a view of each bin counts for each direction [axis, bin], its own share of the bin's solid angle included."""
    parts = max(1, round(180 / rows / _FINE_DEG))
    directions = bin_directions(rows, columns, parts).astype(np.float32)
    weight = np.sqrt(np.maximum(1 - directions[:, 2] ** 2, 0))
    axes = fibonacci_axes()[:, ::-1].astype(np.float32)  # x, y, z
    counted = np.abs(directions @ axes.T) * np.float32(-1 / np.sin(np.deg2rad(_BELT_DEG)))
    counted += 1
    np.maximum(counted, 0, out=counted)
    counted *= weight[:, None]
    shape = rows, parts, columns, parts
    total = weight.reshape(shape).sum(axis=(1, 3)).ravel()
    shares = counted.reshape(*shape, len(axes)).sum(axis=(1, 3)).reshape(rows * columns, len(axes))
    return np.asarray((shares / total[:, None]).T, np.float64)


def sampled(counts: Counts) -> Sampled:
    """Sampling of each direction by views [theta 0..180, phi 0..360], symmetry mates among them."""
    found = _belts(*counts.shape) @ counts.ravel()
    return Sampled(found / found.mean())


def _factor_sd(counts: Counts) -> float:
    """Standard deviation of the factor by counting the particles."""
    drawn = np.random.default_rng(_SEED).poisson(counts.ravel(), (_DRAWS, counts.size)).astype(np.float64)
    found = drawn @ _belts(*counts.shape).T
    return float(np.std([Sampled(one / one.mean()).factor for one in found if one.any()]))


def sampling(views: Views) -> Sampling | None:
    """What the viewing directions of a round say of its sampling; None where there are none.

    The error is that of counting the particles.

    Args:
        views: counts, and the symmetry whose mates count too.
    """
    counts, _ = with_mates(views)
    if not counts.sum() > 0:
        return None
    own = sampled(counts)
    cones, axes = own.in_cones(), fibonacci_axes()[:, ::-1]
    low, high = int(cones.argmin()), int(cones.argmax())
    return Sampling(
        factor=own.factor,
        factor_sd=_factor_sd(counts),
        unseen=float(1 - own.seen.mean()),
        lowest=float(cones[low]),
        lowest_axis=_listed(axes[low]),
        highest=float(cones[high]),
        highest_axis=_listed(axes[high]),
        relative=tuple(np.round(own.relative, 4).tolist()),
    )


def _listed(axis: Numbers) -> tuple[float, float, float]:
    x, y, z = axis.tolist()
    return x, y, z
