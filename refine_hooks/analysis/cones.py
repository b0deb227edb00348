"""FSC in cones: whether a map is as good in one direction as in another.

256 axes lie evenly over a half sphere (Fibonacci's spiral); about each, a double cone of 20 degrees holds the coefficients of one
curve. The ratio of the smallest to the largest area below these curves is the conical FSC area ratio, cFAR, as cryoSPARC defines
it (Orientation Diagnostics, from version 4.4 on); conical FSCs are those of Tan et al. 2017 (Nat Methods 14:793,
doi:10.1038/nmeth.4347).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks import curves
from refine_hooks.analysis.axes import AXES, HALF_ANGLE_DEG, fibonacci_axes
from refine_hooks.fourier import Curve, HalfTransform, ShellSums, in_slabs, shell_of_square, workers
from refine_hooks.fsc import correlation
from refine_hooks.kernels import FLOAT, INT, array, kernel

_DRAWS, _SEED = 100, 20180927
_SLAB = array("complex64", 3)
_cone_sums = kernel(
    "cone_sums", _SLAB, _SLAB, INT, array("int16", 1), array("float32", 2), FLOAT, array("float64", 3, written=True)
)
FEWEST = 10  # coefficients of a shell, counted once for k and -k


@dataclass(frozen=True, slots=True)
class Cones:
    """FSC in cones.

    Attributes:
        axes: unit vectors [axis, 3] in z, y, x: 256 even ones, then z, y and x.
        curves: FSC [axis, shell]; the whole shell's where a cone holds fewer than ten coefficients of it.
        even: what these would be if the noise were as strong in all directions [axis, shell]: the particle's shape alone.
        noise: power of the difference of the halves in each cone over that in all directions, of all shells together.
        resolution_A: of each cone, NaN where its curve never crosses.
        cfar: smallest over largest area of the 256.
    """

    axes: NDArray[np.float64]
    curves: NDArray[np.float64]
    even: NDArray[np.float64]
    noise: NDArray[np.float64]
    resolution_A: NDArray[np.float64]
    cfar: float


def in_cones(half1: HalfTransform, half2: HalfTransform, frequency_per_A: Curve, threshold: float) -> Cones:
    """Conical FSCs of two half transforms, and cFAR.

    The area is the sum of FSC * k^2 over the shells k up to the curve's first crossing of the threshold, or all.

    Args:
        half1: half transform [kz, ky, kx] of a masked half.
        half2: the other one.
        frequency_per_A: of the shells 0..N//2.
        threshold: where a curve ends.
    """
    n = half1.shape[0]
    labels, axes = shell_of_square(n), np.concatenate([fibonacci_axes(), np.eye(3)])
    single = np.ascontiguousarray(axes.T, np.float32)
    narrow = np.cos(np.deg2rad(HALF_ANGLE_DEG))

    def work(begin: int, end: int) -> NDArray[np.float64]:
        sums = np.zeros((len(axes) + 1, n // 2 + 1, 4))
        _cone_sums(half1[:, begin:end], half2[:, begin:end], begin, labels, single, narrow, sums)
        return sums

    cross, power1, power2, held = np.moveaxis(np.sum(in_slabs(work, n, -(-n // (2 * workers()))), axis=0), -1, 0)
    whole = correlation(ShellSums(*(part[-1] for part in (cross, power1, power2))))
    found = np.array(
        [correlation(ShellSums(*parts)) for parts in zip(cross[:-1], power1[:-1], power2[:-1], strict=True)]
    )
    found = np.where(np.isfinite(found) & (held[:-1] >= FEWEST), found, whole)
    resolutions = [curves.resolution_A(curve, frequency_per_A, threshold) for curve in found]
    areas = np.array([area(curve, frequency_per_A, r) for curve, r in zip(found, resolutions, strict=True)])
    areas = areas[:AXES]
    cfar = float(areas.min() / areas.max()) if areas.max() > 0 else 0.0
    ends = np.array([np.nan if r is None else r for r in resolutions])
    return Cones(
        axes,
        found,
        _with_even_noise(cross, power1, power2, held, whole),
        _noise(cross, power1, power2, held),
        ends,
        max(cfar, 0.0),
    )


def _noise(cross: Curve, power1: Curve, power2: Curve, held: Curve) -> NDArray[np.float64]:
    """Noise power [axis] over that of the whole shells, each coefficient counting alike."""
    difference = np.maximum(power1 + power2 - 2 * cross, 0)
    of_shell = difference[-1] / np.maximum(held[-1], 1e-9)
    used = (of_shell > 1e-9 * np.maximum(power1[-1] + power2[-1], 1e-300)) & (held[-1] > 0)
    relative = (difference[:-1, used] / of_shell[used]).sum(axis=1)
    return np.asarray(relative / np.maximum(held[:-1, used].sum(axis=1), 1e-9))


def _with_even_noise(cross: Curve, power1: Curve, power2: Curve, held: Curve, whole: Curve) -> NDArray[np.float64]:
    """Each cone's FSC [axis, shell] from its own signal and the whole shell's noise, S / (S + N)."""
    voxels = np.maximum(held, 1e-9)
    noise = np.maximum((power1[-1] + power2[-1]) / 2 - cross[-1], 0) / voxels[-1]
    signal = cross[:-1] / voxels[:-1]
    even = np.divide(signal, signal + noise, out=np.zeros_like(signal), where=signal + noise > 0)
    return np.asarray(np.where(held[:-1] >= FEWEST, np.clip(even, -1, 1), whole), np.float64)


def cfar_by_chance(even: NDArray[np.float64], sd: NDArray[np.float64], threshold: float, together: int = 1) -> float:
    """cFAR that a map whose noise is as strong in all directions stays above in 95 of 100 cases.

    A cone holds few coefficients, and under a mask the particle's shape gives each of them another signal. Curves are drawn
    about those of even noise with the standard deviation of a cone's, and the fifth percentile of smallest over largest area is
    taken.

    Args:
        even: FSC of each cone with even noise [axis, shell].
        sd: standard deviation of the FSC of one cone, likewise.
        threshold: where a curve ends.
        together: how many neighbouring shells a mask makes err together.
    """
    rng = np.random.default_rng(_SEED)
    known = np.nan_to_num(even)
    axes, shells = known.shape
    weight = np.arange(shells) ** 2
    ratios = []
    for _ in range(_DRAWS):
        errors = rng.standard_normal((axes, -(-shells // together))).repeat(together, axis=-1)[:, :shells]
        drawn = known + sd * errors
        below = drawn < threshold
        below[:, 0] = False
        areas = np.where(np.cumsum(below, axis=-1) == 0, drawn, 0) @ weight
        ratios.append(max(areas.min(), 0) / max(areas.max(), 1e-9))
    return float(np.percentile(ratios, 5))


def area(curve: Curve, frequency_per_A: Curve, resolution_A: float | None) -> float:
    """Sum of FSC * k^2 over the shells up to a resolution; all of them where it is None."""
    shells = np.arange(len(curve))
    kept = np.isfinite(curve) & (shells > 0)
    if resolution_A is not None:
        kept &= frequency_per_A <= 1 / resolution_A
    return float(np.sum(np.where(kept, curve, 0) * shells**2))
