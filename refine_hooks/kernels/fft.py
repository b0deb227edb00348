"""The transforms that a measurement needs, as `scipy.fft` has them: its compiled part itself, since `scipy.fft` is slow to import.

Arguments are those of `scipy.fft`. Of a real transform's inverse the shape is given, and is that of its input but for the last
axis.
Where a version of scipy keeps its compiled part in another way, these are the functions of `scipy.fft`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels.packages import compiled

__all__ = ["dctn", "fft", "fftn", "ifft", "irfft", "irfftn", "next_fast_len", "rfftn"]

Array = NDArray[Any]

try:
    _pocketfft = compiled("scipy.fft._pocketfft.pypocketfft")
except ImportError:
    from scipy.fft import dctn, fft, fftn, ifft, irfft, irfftn, next_fast_len, rfftn
else:
    _UNDIVIDED, _DIVIDED = 0, 2  # by the number of elements

    def fft(x: Array, *, axis: int = -1, overwrite_x: bool = False, workers: int = 1) -> Array:
        """Complex lines along one axis; where they are, if they may be overwritten."""
        return _array(_pocketfft.c2c(x, (axis,), True, _UNDIVIDED, x if overwrite_x else None, workers))

    def ifft(x: Array, *, axis: int = -1, norm: str = "backward", overwrite_x: bool = False, workers: int = 1) -> Array:
        """The inverse of `fft`, or, with the norm "forward", that times the length."""
        return _array(_pocketfft.c2c(x, (axis,), False, _inverse(norm), x if overwrite_x else None, workers))

    def fftn(x: Array, *, workers: int = 1) -> Array:
        """Of all axes."""
        return _array(_pocketfft.c2c(x, tuple(range(x.ndim)), True, _UNDIVIDED, None, workers))

    def rfftn(x: Array, *, axes: Sequence[int] | None = None, norm: str = "backward", workers: int = 1) -> Array:
        """Half transform of real values over all axes or some."""
        divided = _UNDIVIDED if norm == "backward" else _DIVIDED
        return _array(_pocketfft.r2c(x, tuple(axes or range(x.ndim)), True, divided, None, workers))

    def irfft(
        x: Array, *, n: int, axis: int, norm: str = "backward", overwrite_x: bool = False, workers: int = 1
    ) -> Array:
        """Real lines of length ``n`` from half transforms along one axis."""
        return _array(_pocketfft.c2r(x, (axis,), n, False, _inverse(norm), None, workers))

    def irfftn(
        x: Array,
        *,
        s: Sequence[int],
        axes: Sequence[int] | None = None,
        norm: str = "backward",
        overwrite_x: bool = False,
        workers: int = 1,
    ) -> Array:
        """Real values of the shape ``s`` along all axes or some, in their order, from their half transform."""
        over = tuple(axes or range(x.ndim))
        if tuple(x.shape[axis] for axis in over) != (*s[:-1], s[-1] // 2 + 1):
            raise ValueError(f"{x.shape} is no half transform of {tuple(s)}")
        return _array(_pocketfft.c2r(x, over, s[-1], False, _inverse(norm), None, workers))

    def dctn(x: Array, *, type: int, workers: int = 1) -> Array:
        """Cosine transform of a type over all axes."""
        return _array(_pocketfft.dct(x, type, tuple(range(x.ndim)), _UNDIVIDED, None, workers))

    def next_fast_len(target: int, real: bool = False) -> int:
        """The smallest length from ``target`` on that is transformed fast."""
        return int(_pocketfft.good_size(target, real))

    def _inverse(norm: str) -> int:
        return _DIVIDED if norm == "backward" else _UNDIVIDED

    def _array(x: Any) -> Array:
        return np.asarray(x)
