"""Images whose phases are random beyond a resolution, with the amplitudes that they have.

High-resolution noise substitution (Chen et al. 2013, Ultramicroscopy 135:24, doi:10.1016/j.ultramic.2013.06.004), of the images of
one round.
"""

import numpy as np
from numpy.typing import NDArray

_SEED = 20130605
_TURNS = np.exp(2j * np.pi * np.arange(256) / 256).astype(np.complex64)


def turn_at_random(
    transforms: NDArray[np.complex64], rows: NDArray[np.int64], pixel_size_A: NDArray[np.float64], from_A: float
) -> None:
    """Turn the phases of coefficients finer than ``from_A`` by random angles; those of a row of the table are always the same.

    Args:
        transforms: of images [image, ky, kx], changed.
        rows: of the images in their table.
        pixel_size_A: of each image.
        from_A: the resolution.
    """
    n = transforms.shape[1]
    square = (np.fft.fftfreq(n)[:, None] ** 2 + np.fft.rfftfreq(n) ** 2).astype(np.float32)
    for image, row, pixel_A in zip(transforms, rows.tolist(), pixel_size_A.tolist(), strict=True):
        np.multiply(image, _phases(n, row), out=image, where=square > (pixel_A / from_A) ** 2)


def _phases(n: int, row: int) -> NDArray[np.complex64]:
    """Random numbers [ky, kx] of absolute value 1, of a half transform of real values."""
    phases = _TURNS[np.random.default_rng((_SEED, row)).integers(0, len(_TURNS), (n, n // 2 + 1), np.uint8)]
    for column in (0, n // 2) if n % 2 == 0 else (0,):
        own = phases[:, column]
        own[n // 2 + 1 :] = own[1 : (n + 1) // 2][::-1].conj()
        own[[0, n // 2] if n % 2 == 0 else [0]] = 1
    return np.asarray(phases, np.complex64)
