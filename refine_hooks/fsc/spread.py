"""Into which shells a mask carries the power of coefficients whose phases are random.

Under a mask m the coefficient at k becomes the sum over q of M(q) F(k - q). Where the phases of F are random, the expected power
is the sum of |M(q)|^2 |F(k - q)|^2: no product of two different coefficients is left. Over a shell of radius s, k - q of a given
|q| has squares of its length that lie evenly between (s - |q|)^2 and (s + |q|)^2, so that the shell sums follow from those without
a mask, and from the sum of |M|^2 at each distance. No draw of phases is needed, and none knows it as well.
"""

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, in_slabs

_BLOCKS = 64


def mask_spectrum(mask: Volume) -> Curve:
    """Sum of |M(q)|^2 at the distances round(|q|) = 0, 1, ..; all of them make the mean of m^2.

    Args:
        mask: [z, y, x]; taken in blocks, since its transform ends far below Nyquist. What lies beyond counts as lying at the
            largest distance.
    """
    n, step = len(mask), max(1, len(mask) // _BLOCKS)
    few = -(-n // step)
    blocks = np.concatenate(in_slabs(lambda begin, end: block_sums(mask, mask, step, begin, end, False), few, 4))
    half = scipy.fft.rfftn(blocks)
    k = scipy.fft.fftfreq(few) * few
    smoothed = np.sinc(k * (step / n)) if step > 1 else np.ones(few)
    kept = few // 2 + 1
    power = (half.real**2 + half.imag**2) / float(n) ** 6
    power /= (smoothed[:, None, None] * smoothed[:, None] * smoothed[:kept]) ** 2
    power[..., 1 : (few + 1) // 2] *= 2
    distance = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(kept) ** 2)
    labels = np.minimum(np.floor(distance + 0.5), few // 2).astype(np.int64)
    return np.asarray(np.bincount(labels.ravel(), power.ravel(), minlength=few // 2 + 1), np.float64)


def spread_power(power: Curve, voxels_in_shell: NDArray[np.int64], spectrum: Curve) -> Curve:
    """Expected shell sums of power under a mask.

    Args:
        power: shell sums of |F|^2 without a mask, over the shells 0..N//2; beyond, a coefficient is taken to be as strong as in
            the last shell.
        voxels_in_shell: of the same shells.
        spectrum: see `mask_spectrum`.
    """
    strength = power / np.maximum(voxels_in_shell, 1)
    return np.asarray(_spread(strength, spectrum) * voxels_in_shell)


@numba.njit(cache=True, nogil=True)
def _spread(strength: Curve, spectrum: Curve) -> Curve:
    """Mean power of a coefficient of each shell."""
    last = strength.size - 1
    result = np.zeros(strength.size)
    for shell in range(strength.size):
        for q in range(spectrum.size):
            if q == 0 or shell == 0:
                result[shell] += spectrum[q] * strength[min(max(shell, q), last)]
                continue
            near, far = float((shell - q) ** 2), float((shell + q) ** 2)
            inner, total = near, 0.0
            for other in range(abs(shell - q), shell + q + 1):
                outer = min(far, (other + 0.5) ** 2)
                total += (outer - inner) * strength[min(other, last)]
                inner = outer
            result[shell] += spectrum[q] * total / (far - near)
    return result


@numba.njit(cache=True, nogil=True)
def block_sums(one: Volume, other: Volume, step: int, begin: int, end: int, product: bool) -> Volume:
    """Sums of ``one``, or of one times other, over the blocks begin..end along z, each ``step`` voxels wide."""
    n = len(one)
    few = -(-n // step)
    sums = np.zeros((end - begin, few, few), np.float32)
    rows = np.empty(n, np.float32)
    for block in range(begin, end):
        for part in range(few):
            rows[:] = 0
            for z in range(block * step, min((block + 1) * step, n)):
                for y in range(part * step, min((part + 1) * step, n)):
                    if product:
                        for x in range(n):
                            rows[x] += one[z, y, x] * other[z, y, x]
                    else:
                        for x in range(n):
                            rows[x] += one[z, y, x]
            for x in range(n):
                sums[block - begin, part, x // step] += rows[x]
    return sums


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def difference_sums(
    half1: Volume,
    half2: Volume,
    mask: Volume,
    step: int,
    begin: int,
    end: int,
    z: tuple[int, int],
    y: tuple[int, int],
    x: tuple[int, int],
) -> Volume:
    """Sums of m^2 and of m^2 (half1 - half2)^2 over the blocks begin..end along z, within a bounding box.

    Of large blocks every second row, or fewer, is looked at: eight by eight of them say enough of a variance.
    """
    n = len(mask)
    few, thin = -(-n // step), max(1, step // 8)
    sums = np.zeros((2, end - begin, few, few), np.float32)
    for iz in range(max(z[0], begin * step), min(z[1], end * step), thin):
        for iy in range(y[0], y[1], thin):
            for bx in range(x[0] // step, -(-x[1] // step)):
                even, own = np.float32(0), np.float32(0)
                for ix in range(max(x[0], bx * step), min(x[1], (bx + 1) * step)):
                    m2 = mask[iz, iy, ix] * mask[iz, iy, ix]
                    d = half1[iz, iy, ix] - half2[iz, iy, ix]
                    even += m2
                    own += m2 * d * d
                sums[0, iz // step - begin, iy // step, bx] += even
                sums[1, iz // step - begin, iy // step, bx] += own
    return sums
