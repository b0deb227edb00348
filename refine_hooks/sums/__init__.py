"""Fourier sums: what a half map is made of, whoever added it up.

A complex array (sum of weighted coefficients), a real array (sum of weights), and a rule that turns them into a map. The dump
files of cisTEM are such sums, RELION's external-reconstruct arrays are such sums, and inserting particle images with their
angles and CTFs makes such sums. Chunks add.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class FourierSums:
    """Sums of one half over the half transform [kz, ky, kx], kz and ky in FFT order, kx = 0..n//2.

    Attributes:
        data: complex64, sum of weighted coefficients; phase origin at the corner of the box.
        weight: float32 of the same shape, sum of weights.
        box_px: edge of the map that these sums become.
        voxel_size_A: voxel size of that map.
        images: particle images added so far, None where the writer does not say.
    """

    data: NDArray[np.complex64]
    weight: NDArray[np.float32]
    box_px: int
    voxel_size_A: float
    images: int | None = None
