"""Power of the noise by direction: whether views are missing, and how many coefficients of a shell count.

The difference of two unmasked half maps holds no signal, so that the shape of the particle has no part in it. Where a
program divides by how often a direction was seen, rarely seen directions are noisier; where nothing was seen, there is
nothing. Each coefficient's power is divided by its shell's mean, and what lies in a double cone of 20 degrees is averaged,
as in `refine_hooks.analysis.cones`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.axes import HALF_ANGLE_DEG, fibonacci_axes
from refine_hooks.fourier import Curve, HalfTransform, ShellSums, in_slabs, shell_of_square, voxels_in_shell, workers
from refine_hooks.kernels import INT, array, kernel
from refine_hooks.log.checks import views_missing, views_preferred

_FIRST_SHELL, _SHELLS = 4, 48
_CELLS = 9  # along each side of three faces of a cube, which are a half sphere
_TANGENTS = (np.arctan(np.linspace(-1, 1, 4097)) * 4 / np.pi + 1) / 2  # where along a side of a face each tangent lies
_cell_sums = kernel(
    "cell_sums",
    *(array("complex64", 3), array("complex64", 3), array("int64", 1), INT, array("int16", 1), array("float64", 1)),
    *(array("int64", 1), INT, array("float64", 2, written=True)),
)


@dataclass(frozen=True, slots=True)
class NoiseDirections:
    """Noise power in cones over its mean over all directions.

    Attributes:
        lowest: of all cones; 0 where nothing was seen.
        highest: likewise.
        lowest_axis: x, y, z.
        highest_axis: likewise.
        sd: by which a cone's value errs.
        unevenness: mean square over squared mean of the power by direction, at least 1: so many times fewer are the independent
            coefficients of pure noise.
        cones: of the 256 axes of `refine_hooks.analysis.axes.fibonacci_axes`.
    """

    lowest: float
    highest: float
    lowest_axis: tuple[float, float, float]
    highest_axis: tuple[float, float, float]
    sd: float
    unevenness: float
    cones: tuple[float, ...] = ()

    @property
    def views_missing(self) -> bool:
        """Whether a cone holds nothing to speak of, beyond what chance does."""
        return views_missing(self.lowest, self.highest, self.sd)

    @property
    def views_preferred(self) -> bool:
        """Whether one cone is that much noisier than the mean, beyond what chance does."""
        return views_preferred(self.lowest, self.highest, self.sd)


def noise_directions(
    half1: HalfTransform,
    half2: HalfTransform,
    sums: ShellSums,
    *,
    valid_shells: int | None = None,
    correlated: float = 1.0,
) -> NoiseDirections | None:
    """Noise power by direction; None where the halves do not differ or hold too few shells.

    Args:
        half1: half transform [kz, ky, kx] of an unmasked half map.
        half2: the other one.
        sums: of their shells.
        valid_shells: shells beyond hold nothing.
        correlated: how many coefficients of the noise hang together, the order of an imposed point group among them.
    """
    n = half1.shape[0]
    last = min(n // 2 - 1, _SHELLS, n // 2 if valid_shells is None else valid_shells - 1)
    noise = sums.power1 + sums.power2 - 2 * sums.cross
    usable = noise > 1e-9 * np.maximum(sums.power1 + sums.power2, 1e-300)
    usable[:_FIRST_SHELL] = usable[last + 1 :] = False
    if usable.sum() < _FIRST_SHELL:
        return None
    weight = np.divide(voxels_in_shell(n), noise, out=np.zeros(len(noise)), where=usable)
    labels = shell_of_square(n)
    rows = np.r_[0 : last + 1, n - last : n]
    one, two = half1.transpose(1, 0, 2), half2.transpose(1, 0, 2)

    def work(begin: int, end: int) -> NDArray[np.float64]:
        sums = np.zeros((2, 3 * _CELLS * _CELLS))
        _cell_sums(one, two, rows[begin:end], last, labels, weight, places_of_tangents(_CELLS), _CELLS, sums)
        return sums

    power, held = np.sum(in_slabs(work, len(rows), -(-len(rows) // workers())), axis=0)
    return _in_cones(power, held, correlated)


def _in_cones(power: Curve, held: Curve, correlated: float) -> NoiseDirections | None:
    axes = fibonacci_axes()
    near = np.abs(axes @ cell_centres().T) >= np.cos(np.deg2rad(HALF_ANGLE_DEG))
    counts = near @ held
    if counts.min() <= 0:
        return None
    mean = power.sum() / held.sum()
    cones = near @ power / counts / mean
    sd = float(np.sqrt(correlated / counts.mean()))
    filled = held > 0
    cells = power[filled] / held[filled] / mean
    # Each cell's square holds its own sampling error once more.
    square = float(np.average(cells**2 / (1 + correlated / held[filled]), weights=held[filled]))
    low, high = int(cones.argmin()), int(cones.argmax())
    return NoiseDirections(
        float(cones[low]),
        float(cones[high]),
        xyz(axes[low]),
        xyz(axes[high]),
        sd,
        max(1.0, square),
        tuple(np.round(cones, 4).tolist()),
    )


def xyz(axis: NDArray[np.float64]) -> tuple[float, float, float]:
    """An axis z, y, x the other way round."""
    z, y, x = axis.tolist()
    return x, y, z


def places_of_tangents(cells: int) -> NDArray[np.int64]:
    """Which of the cells along a side of a face holds each tangent from -1 to 1."""
    return np.minimum((_TANGENTS * cells).astype(np.int64), cells - 1)


def cell_centres(cells: int = _CELLS) -> NDArray[np.float64]:
    """Unit vectors [cell, 3] (z, y, x) of the cells, so many along a side of a face; a cell holds k and -k."""
    t = np.tan(np.pi / 4 * ((np.arange(cells) + 0.5) / cells * 2 - 1))
    u, v = (part.ravel() for part in np.meshgrid(t, t, indexing="ij"))
    ones = np.ones_like(u)
    centres = np.concatenate([np.stack(face, axis=1) for face in ((ones, u, v), (u, ones, v), (u, v, ones))])
    return np.asarray(centres / np.linalg.norm(centres, axis=1, keepdims=True))
