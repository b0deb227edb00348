"""Compiled loops over cisTEM's Fourier sums; imported only where they run, because numba is slow to import."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels.jit import njit


@njit(cache=True, nogil=True)
def quotient(
    data: NDArray[np.complex64],
    weight: NDArray[np.float32],
    out: NDArray[np.complex64],
    constant: np.float32,
    alternate: bool,
    first: int,
    last: int,
) -> int:
    """``data / (weight + constant)`` where weight is not 0, else 0, in the planes first..last-1; returns how many are not finite.

    ``alternate`` multiplies by (-1)^(z+y+x), which moves the origin from the corner to the centre of an even box. ``out`` may
    be ``data``.
    """
    unfit = 0
    for z in range(first, last):
        for y in range(data.shape[1]):
            sign = np.float32(-1.0 if alternate and (z + y) % 2 else 1.0)
            flip = np.float32(-1.0 if alternate else 1.0)
            for x in range(data.shape[2]):
                w = weight[z, y, x]
                factor = sign / (w + constant) if w != 0 else np.float32(0.0)
                value = data[z, y, x]
                real, imag = value.real * factor, value.imag * factor
                if not (np.isfinite(real) and np.isfinite(imag)):
                    unfit += 1
                out[z, y, x] = complex(real, imag)
                sign *= flip
    return unfit
