"""FSC as RELION counts it, so that its curves can be had again from the half maps that they were made of."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks import fsc
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, ShellSums, shell_of_square


def postprocess_fsc(half1: Volume, half2: Volume, mask: Volume) -> Curve:
    """Masked FSC over the shells 0..N//2 as ``relion_postprocess`` prints it; NaN where a half has no power.

    RELION sums over the half transform without weights (``getFSC`` of RELION 3 to 5): the plane kx = 0, of which the half
    transform holds both signs, counts twice as much as in the definition. By the projection theorem that plane is the transform
    of the volume's sum along x, so it is added to the definition's sums without another transform of the volume.

    Args:
        half1: [z, y, x].
        half2: of the same shape.
        mask: of the same shape; multiplied with both halves first.
    """
    n = len(half1)
    whole = fsc.masked_sums(half1, half2, mask)
    sums = np.array([whole.cross, whole.power1, whole.power2])
    signs = np.where(np.arange(n) % 2, -1.0, 1.0)
    columns = [(0, np.ones(n)), (n // 2, signs)] if n % 2 == 0 else [(0, np.ones(n))]
    for kx, along_x in columns:
        first, second = (np.einsum("zyx,zyx,x->zy", half, mask, along_x) for half in (half1, half2))
        sums = sums + _plane_sums(first, second, kx)
    return fsc.correlation(ShellSums(*sums))


def _plane_sums(first: NDArray[np.float64], second: NDArray[np.float64], kx: int) -> NDArray[np.float64]:
    """Sums [3, shell] over the plane [kz, ky] of one kx."""
    n = len(first)
    labels = shell_of_square(n)
    across = np.minimum(np.arange(n), n - np.arange(n)) ** 2
    squares = across[:, None] + across + kx * kx
    inside = squares < labels.size
    one, two = np.fft.fft2(first)[inside], np.fft.fft2(second)[inside]
    products = ((one * two.conj()).real, np.abs(one) ** 2, np.abs(two) ** 2)
    return np.array([np.bincount(labels[squares[inside]], values, n // 2 + 1) for values in products])
