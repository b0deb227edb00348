"""Into which shells a mask carries the power of coefficients whose phases are random.

Under a mask m the coefficient at k becomes the sum over q of M(q) F(k - q). Where the phases of F are random, the expected power
is the sum of |M(q)|^2 |F(k - q)|^2: no product of two different coefficients is left. Over a shell of radius s, k - q of a given
|q| has squares of its length that lie evenly between (s - |q|)^2 and (s + |q|)^2, so that the shell sums follow from those without
a mask, and from the sum of |M|^2 at each distance. No draw of phases is needed, and none knows it as well.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Box, Curve, in_slabs
from refine_hooks.kernels import INT, array, fft, kernel

_BLOCKS = 64
_VOLUME, _CURVE = array("float32", 3), array("float64", 1)
_spread = kernel("spread", _CURVE, _CURVE, array("float64", 1, written=True))
_block_sums = kernel("block_sums", _VOLUME, _VOLUME, INT, INT, INT, INT, array("float32", 3, written=True))
_difference_sums = kernel(
    "difference_sums",
    *(_VOLUME, _VOLUME, _VOLUME, INT, INT, INT, array("int64", 1), array("float32", 4, written=True)),
)


def mask_spectrum(mask: Volume) -> Curve:
    """Sum of |M(q)|^2 at the distances round(|q|) = 0, 1, ..; all of them make the mean of m^2.

    Args:
        mask: [z, y, x]; taken in blocks, since its transform ends far below Nyquist. What lies beyond counts as lying at the
            largest distance.
    """
    n, step = len(mask), max(1, len(mask) // _BLOCKS)
    few = -(-n // step)
    blocks = block_sums(mask, step)
    half = fft.rfftn(blocks)
    k = np.fft.fftfreq(few) * few
    widened = (np.sinc(k * (step / n)) ** -2 if step > 1 else np.ones(few)).astype(np.float32)
    power = half.real**2 + half.imag**2
    power *= widened[:, None] * widened[: few // 2 + 1]
    power *= widened[:, None, None]
    found = power_by_square(power)
    shells = np.minimum(np.floor(np.sqrt(np.arange(len(found))) + 0.5), few // 2).astype(np.int64)
    return np.asarray(np.bincount(shells, found / float(n) ** 6, minlength=few // 2 + 1), np.float64)


def power_by_square(power: Volume) -> Curve:
    """Sums over a whole transform at each squared distance from its origin.

    Args:
        power: of each coefficient of the half transform [kz, ky, kx]; overwritten.
    """
    n = len(power)
    axis = np.arange(n)
    square = np.square(np.minimum(axis, n - axis))
    power[..., 1 : (n + 1) // 2] *= 2
    squares = (square[:, None, None] + square[:, None]) + square[: n // 2 + 1]
    return np.asarray(np.bincount(squares.ravel(), power.ravel()), np.float64)


def spread_power(power: Curve, voxels_in_shell: NDArray[np.int64], spectrum: Curve) -> Curve:
    """Expected shell sums of power under a mask.

    Args:
        power: shell sums of |F|^2 without a mask, over the shells 0..N//2; beyond, a coefficient is taken to be as strong as in
            the last shell.
        voxels_in_shell: of the same shells.
        spectrum: see `mask_spectrum`.
    """
    strength = power / np.maximum(voxels_in_shell, 1)
    mean = np.zeros(len(strength))  # of a coefficient of each shell
    _spread(strength, spectrum, mean)
    return np.asarray(mean * voxels_in_shell)


def block_sums(mask: Volume, step: int, *, squares: bool = False) -> Volume:
    """Sums [z, y, x] of a mask, or of its squares, over blocks that are ``step`` voxels wide."""
    few = -(-len(mask) // step)
    sums = np.zeros((few,) * 3, np.float32)
    in_slabs(lambda begin, end: _block_sums(mask, mask, step, begin, end, squares, sums[begin:end]), few, 4)
    return sums


def difference_sums(half1: Volume, half2: Volume, mask: Volume, step: int, box: Box) -> Volume:
    """Sums [2, z, y, x] of m^2 and of m^2 (half1 - half2)^2 over blocks that are ``step`` voxels wide, within a bounding box.

    Of large blocks every second row, or fewer, is looked at: eight by eight of them say enough of a variance.
    """
    few = -(-len(mask) // step)
    sums = np.zeros((2, few, few, few), np.float32)
    edges = np.array([[side.start, side.stop] for side in box], np.int64).ravel()

    def work(begin: int, end: int) -> None:
        _difference_sums(half1, half2, mask, step, begin, end, edges, sums[:, begin:end])

    in_slabs(work, few, 1)
    return sums
