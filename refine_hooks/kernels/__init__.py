"""Loops over voxels and coefficients, compiled from C: quick to load, since every command that measures waits for that.

A kernel is called like a Python function, with arrays and numbers, and writes into arrays; it is bound to the library when it is
first called. While it runs other threads of Python run, too.
"""

import ctypes
import logging
import os
import struct
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from refine_hooks.errors import RefineHooksError
from refine_hooks.kernels import build

logger = logging.getLogger(__name__)

_loading = threading.Lock()  # of threads that call their first kernels at once, one compiles
_packed = struct.Struct("P8q").pack
INT, FLOAT, ADDRESS = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class _Array(ctypes.Structure):
    """An array as C sees it, see ``arrays.h``; what Python gives is made to fit, or refused where it is to be written to."""

    _fields_ = (("at", ctypes.c_void_p), ("shape", ctypes.c_int64 * 4), ("step", ctypes.c_int64 * 4))
    dtype: np.dtype[Any]
    size: int
    axes: int
    written: bool

    @classmethod
    def from_param(cls, given: Any) -> Self:
        held = given if type(given) is np.ndarray else np.asarray(given)
        steps, size, axes = held.strides, cls.size, held.ndim
        fits = held.dtype == cls.dtype and (steps[-1:] == (size,) or not held.size)
        if axes != cls.axes or (cls.written and not (fits and held.flags.writeable)):
            raise TypeError(f"a kernel takes {cls.dtype} of {cls.axes} axes, not {held.dtype} of {axes}")
        if not fits:
            held = np.ascontiguousarray(held, cls.dtype)
            steps = held.strides
        rest, address = (0,) * (4 - axes), held.__array_interface__["data"][0]
        passed = cls.from_buffer_copy(_packed(address, *held.shape, *rest, *(step // size for step in steps), *rest))
        if held is not given:
            passed.held = held  # for as long as the kernel runs
        return passed


@cache
def array(dtype: str, axes: int, *, written: bool = False) -> type[_Array]:
    """The type of an argument: an array of so many axes, to be read or to be written to."""
    of_it = {"dtype": np.dtype(dtype), "size": np.dtype(dtype).itemsize, "axes": axes, "written": written}
    return type(f"{dtype}_{axes}", (_Array,), of_it)


def kernel(name: str, *types: Any) -> Callable[..., None]:
    """The kernel of that name, as a function of arguments of these types: `array`, `INT`, `FLOAT`.

    Raises:
        RefineHooksError: when it is called: the library is not there, and there is no compiler to make it.
    """

    bound: list[
        Any
    ] = []  # ctypes frees the types of a function that is bound again, and another thread may be using them

    def call(*given: Any) -> None:
        if not bound:
            with _loading:
                if not bound:
                    function = getattr(_library(), name)
                    function.argtypes, function.restype = types, None
                    bound.append(function)
        bound[0](*given)

    return call


def load() -> None:
    """Have the library at hand, made where it is not yet: what follows may have fewer rights.

    Raises:
        RefineHooksError: it is not there, and there is no compiler to make it.
    """
    with _loading:
        _library()


@cache
def _library() -> ctypes.CDLL:
    variant = build.variant()
    name = build.name_of(variant)
    # Beside the sources where the package was built, else where it was made on first use.
    folders = [build.SOURCES, build.SOURCES / "__pycache__", _cache_folder()]
    for folder in folders:
        if (folder / name).exists():
            return ctypes.CDLL(str(folder / name))
    return ctypes.CDLL(str(_built(variant, folders[1:])))


def _built(variant: str, folders: list[Path]) -> Path:
    command = build.compiler()
    if command is None:
        raise RefineHooksError(
            "the kernels of refine_hooks are not compiled, and no C compiler was found: pip install ziglang, or install gcc, "
            "and try again"
        )
    logger.info("compiling kernels, once for this installation")
    faults = []
    for folder in folders:
        try:
            return build.build(variant, folder, command)
        except OSError as error:
            faults.append(f"the compiled kernels cannot be kept in {folder}: {error}")
        except RuntimeError as error:
            raise RefineHooksError(str(error)) from error
    raise RefineHooksError(*faults)


def _cache_folder() -> Path:
    """Where a user's programs keep what can be made again."""
    named = os.environ.get("XDG_CACHE_HOME")
    return Path(named or Path.home() / ".cache") / "refine_hooks"
