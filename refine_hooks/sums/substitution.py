"""Images whose phases are random beyond a resolution, with the amplitudes that they have.

High-resolution noise substitution (Chen et al. 2013, Ultramicroscopy 135:24, doi:10.1016/j.ultramic.2013.06.004), of the images of
one round. The coefficients are turned when they have been weighed: shift, CTF and weight are the same for both.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels import INT, array, kernel

_SEED = 20130605
_TURNS = np.exp(2j * np.pi * np.arange(256) / 256).astype(np.complex64)
_turn_at_random = kernel(
    "turn_at_random",
    array("float32", 4, written=True),
    INT,
    array("float64", 1),
    array("int64", 1),
    INT,
    array("complex64", 1),
)


def turn_at_random(
    values: NDArray[np.float32],
    first_negative: int,
    rows: NDArray[np.int64],
    pixel_size_A: NDArray[np.float64],
    from_A: float,
) -> None:
    """Turn the phases of coefficients finer than ``from_A`` by random angles; those of a row of the table are always the same.

    Args:
        values: weighed coefficients [image, ky, kx, (real, imaginary, weight, 0)], changed.
        first_negative: the first row whose ky is negative.
        rows: of the images in their table.
        pixel_size_A: of each image.
        from_A: the resolution.
    """
    beyond = (values.shape[1] * pixel_size_A / from_A) ** 2
    _turn_at_random(values, first_negative, beyond, rows, _SEED, _TURNS)
