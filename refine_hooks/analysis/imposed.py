"""Which point group was imposed on two half maps, where nobody says it.

A particle may be symmetric without anything having been imposed; its noise is not. The difference of the halves is noise alone, and
it repeats itself from one asymmetric unit to the next only where the program averaged them.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.coarse import spline_spectrum
from refine_hooks.fourier import HalfTransform
from refine_hooks.fsc.randomised import low_part
from refine_hooks.kernels import array, fft, kernel
from refine_hooks.sums.symmetry import rotations, turn_about

REPEATS = 0.6  # correlation of the noise with itself turned; interpolation costs a tenth, chance gives 0.05
_GRID_PX, _SHELLS, _FIRST_SHELL = 48, 14, 4
_POINTS = 4000
_SPREAD = 0.7548776662466927  # its multiples fill 0..1 evenly, and keep no step with the golden angle's
_HIGHEST_N = 17
_spline_values = kernel("spline_values", array("float64", 3), array("float64", 2), array("float64", 1, written=True))
_CUBIC = (("cistem", "I"), ("cistem", "I2"), ("relion", "I3"), ("cistem", "O"), ("cistem", "T"), ("relion", "T"))


def imposed_symmetry(half1: HalfTransform, half2: HalfTransform) -> str | None:
    """Symbol of the point group that the noise has: Cn or Dn about z, T, O or I; None where it has none.

    Args:
        half1: half transform [kz, ky, kx] of an unmasked half map, at least 32 voxels wide.
        half2: the other one.
    """
    n = len(half1)
    if n < 2 * (_SHELLS + 2):
        return None
    coefficients = _coarse(half1, half2)
    if not coefficients.std() > 0:
        return None
    points = _points()
    centre = n // 2 * _GRID_PX / n

    def at(turned: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.empty(len(turned))
        _spline_values(coefficients, turned[:, ::-1] + centre, values)
        return values

    own = at(points)

    def again(turn: NDArray[np.float64]) -> float:
        return float(np.corrcoef(own, at(points @ turn.T))[0, 1])

    for package, name in _CUBIC:
        group = rotations(name, package)  # type: ignore[arg-type]
        if all(again(turn) > REPEATS for turn in group[1 :: max(1, len(group) // 6)]):
            return name[0]
    turned = {n: again(turn_about((0, 0, 1), 360 / n)) for n in range(2, _HIGHEST_N + 1)}
    # A turn by a little more or less than the right one still finds much of the noise again.
    least = max(REPEATS, 0.9 * max(turned.values()))
    fold = max((n for n, value in turned.items() if value >= least), default=1)
    if fold == 1:
        return None
    twofold = any(again(turn_about(axis, 180)) > REPEATS for axis in ((1, 0, 0), (0, 1, 0)))
    return f"{'D' if twofold else 'C'}{fold}"


def _coarse(half1: HalfTransform, half2: HalfTransform) -> NDArray[np.float64]:
    """The difference of the halves between two shells, as the coefficients of a cubic spline on a coarse grid."""
    difference = low_part(half1, _GRID_PX, _SHELLS) - low_part(half2, _GRID_PX, _SHELLS)
    k = np.fft.fftfreq(_GRID_PX)
    k2 = (k * _GRID_PX) ** 2
    square = k2[:, None, None] + k2[:, None] + np.arange(_GRID_PX // 2 + 1) ** 2
    kept = (square >= _FIRST_SHELL**2) & (square <= _SHELLS**2)
    spline = np.where(kept, difference, 0) / spline_spectrum(_GRID_PX)
    return np.asarray(fft.irfftn(spline, s=(_GRID_PX,) * 3), np.float64)


def _points() -> NDArray[np.float64]:
    """Places (x, y, z) about the centre: far enough from it that a small turn moves them by more than the noise's grain."""
    k = np.arange(_POINTS)
    z, turned = 1 - (2 * k + 1) / _POINTS, np.pi * (1 + 5**0.5) * k
    across = np.sqrt(1 - z * z)
    radius = _GRID_PX * (0.2 + 0.25 * (k * _SPREAD % 1))
    return np.asarray(np.stack([across * np.cos(turned), across * np.sin(turned), z], axis=1) * radius[:, None])
