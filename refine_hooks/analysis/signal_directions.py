"""Power of the signal by direction: whether a cone of directions holds no signal where its noise is as strong as elsewhere.

The noise by direction says nothing of signal that was taken out after the reconstruction, or that was never there. What both
unmasked halves have in common in a narrow double cone, over what they have in common in the whole shells, is next to 0 where there
is none. The shape of a particle makes it less than 1 in some directions at low resolution, but its inner structure has power in
all directions in most shells, each of which counts as much as its coefficients tell: shells of a strong signal all alike.
"""

from dataclasses import dataclass

import numpy as np

from refine_hooks.analysis.axes import fibonacci_axes
from refine_hooks.analysis.directions import cell_centres, places_of_tangents, xyz
from refine_hooks.fourier import Curve, HalfTransform, ShellSums, in_slabs, shell_of_square, voxels_in_shell, workers
from refine_hooks.kernels import INT, array, kernel
from refine_hooks.kernels.order import quantile

_FIRST_SHELL, _LAST_SHELL = 3, 48
_LEAST_FSC = 0.1
_CELLS = 18  # along each side of three faces of a cube: 5 degrees
_HALF_ANGLE_DEG = 12.0  # lies well within an empty cone of 20 degrees
_cell_products = kernel(
    "cell_products",
    *(array("complex64", 3), array("complex64", 3), array("int64", 1), INT, array("int16", 1), array("float64", 2)),
    *(array("int64", 1), INT, array("float64", 2, written=True)),
)


@dataclass(frozen=True, slots=True)
class SignalDirections:
    """Signal power in narrow cones over its mean over all directions.

    Attributes:
        lowest: of all cones, where it is most certainly low; 0 where there is no signal.
        sd: of it, for a cone without signal.
        typical: median over all cones.
        quarter: what a quarter of all cones stays below.
        axis: x, y, z of the lowest.
    """

    lowest: float
    sd: float
    typical: float
    quarter: float
    axis: tuple[float, float, float]


def signal_directions(
    half1: HalfTransform, half2: HalfTransform, sums: ShellSums, *, valid_shells: int | None, correlated: float
) -> SignalDirections | None:
    """Signal power by direction; None where too few shells hold signal.

    Args:
        half1: half transform [kz, ky, kx] of an unmasked half map.
        half2: the other one.
        sums: of their shells.
        valid_shells: shells beyond hold nothing.
        correlated: how many coefficients of the noise hang together, the order of an imposed point group among them.
    """
    n = len(half1)
    weights, last = _weights(sums, n, valid_shells)
    if last - _FIRST_SHELL < 2:
        return None
    rows = np.r_[0 : last + 1, n - last : n]
    one, two = half1.transpose(1, 0, 2), half2.transpose(1, 0, 2)
    labels, places = shell_of_square(n), places_of_tangents(_CELLS)

    def work(begin: int, end: int) -> Curve:
        sums = np.zeros((3, 3 * _CELLS * _CELLS))
        _cell_products(one, two, rows[begin:end], last, labels, weights, places, _CELLS, sums)
        return sums

    cells = np.sum(in_slabs(work, len(rows), -(-len(rows) // workers())), axis=0)
    axes = fibonacci_axes()
    near = np.abs(axes @ cell_centres(_CELLS).T) >= np.cos(np.deg2rad(_HALF_ANGLE_DEG))
    signal, expected, variance = (near @ part for part in cells)
    if expected.min() <= 0:
        return None
    relative, sd = signal / expected, np.sqrt(correlated * variance) / expected
    low = int((relative + 2 * sd).argmin())
    typical, quarter = quantile(relative, 0.5), quantile(relative, 0.25)
    return SignalDirections(float(relative[low]), float(sd[low]), typical, quarter, xyz(axes[low]))


def _weights(sums: ShellSums, box_px: int, valid_shells: int | None) -> tuple[Curve, int]:
    """Weights [3, shell] of the signal, of what it is expected to be, and of its variance; and the last shell that has any.

    Relative to its shell's mean, a coefficient of the signal spreads by 1, and the noise adds to it.
    """
    counts = np.maximum(voxels_in_shell(box_px), 1)
    signal = sums.cross / counts
    noise = np.maximum((sums.power1 + sums.power2) / (2 * counts) - signal, 0)
    limit = min(_LAST_SHELL, box_px // 2 - 1, box_px if valid_shells is None else valid_shells - 1)
    held = signal > _LEAST_FSC * (signal + noise)
    bad = np.flatnonzero(~held[_FIRST_SHELL : limit + 1])
    last = _FIRST_SHELL + int(bad[0]) - 1 if len(bad) else limit
    used = np.zeros(len(signal), bool)
    used[_FIRST_SHELL : last + 1] = True
    ratio = np.divide(noise, signal, out=np.zeros_like(signal), where=used)
    weight = np.where(used, 1 / (1 + ratio + ratio**2 / 2), 0)
    share = np.divide(weight, signal, out=np.zeros_like(signal), where=used)
    return np.array([share, weight, weight**2 * ratio**2 / 2]), last
