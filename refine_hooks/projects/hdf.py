"""EMAN2's HDF5 files (SPHIRE writes the same): a map is ``/MDF/images/0/image`` [z, y, x], its header that group's attributes.

Integers with ``EMAN.stored_renderbits`` are a compressed map: 0 .. 2^bits - 1 stand for the range rendermin .. rendermax.
h5py is imported here only, and only when such a file is met. No lock of HDF5 is taken: the file is the program's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refine_hooks.errors import MapError, NotReadyError, RefineHooksError
from refine_hooks.maps import Map
from refine_hooks.plain import open_plain
from refine_hooks.projects._reading import remembered

_FIRST = "MDF/images/0"
_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class HdfHeader:
    """What precedes a map; ``voxel_size_A`` is 1 where the program did not know better."""

    shape: tuple[int, ...]
    voxel_size_A: float
    origin_A: tuple[float, float, float]


@remembered
def read_hdf_header(path: Path) -> HdfHeader:
    """The header of the first image of an EMAN2 file.

    Raises:
        NotReadyError: it is being written, or torn.
        MapError: not such a file, or h5py is missing.
    """
    with _opened(path) as group:
        return _header(group)


def _header(group: Any) -> HdfHeader:
    x_A, y_A, z_A = (_number(group, f"EMAN.origin_{axis}", 0.0) for axis in "xyz")
    return HdfHeader(tuple(group["image"].shape), _number(group, "EMAN.apix_x", 1.0), (x_A, y_A, z_A))


def read_hdf_map(path: Path, voxel_size_A: float | None = None) -> Map:
    """A cubic map as float32.

    Args:
        path: an EMAN2 file.
        voxel_size_A: used instead of the header's where the caller knows better.

    Raises:
        NotReadyError: it is being written, or torn.
        MapError: not such a file, not cubic, not finite, or h5py is missing.
    """
    with _opened(path) as group:
        header = _header(group)
        if len(header.shape) != 3 or len(set(header.shape)) != 1:
            sizes = " x ".join(str(n) for n in header.shape[::-1])
            raise MapError(f"{path}: box is {sizes}; only cubic maps can be measured: pad it to a cube first")
        voxels = _rendered(group, np.asarray(group["image"][()]))
    if not np.isfinite(voxels.sum(dtype=np.float64)):
        raise MapError(f"{path}: holds voxels that are NaN or infinite; nothing can be measured from it")
    return Map(np.ascontiguousarray(voxels), voxel_size_A or header.voxel_size_A, header.origin_A)


def _rendered(group: Any, stored: Any) -> Any:
    bits = int(_number(group, "EMAN.stored_renderbits", 0))
    if bits <= 0 or stored.dtype.kind not in "iu":
        return stored.astype(np.float32)
    low, high = (_number(group, f"EMAN.stored_render{end}", 0.0) for end in ("min", "max"))
    return (stored * ((high - low) / (2**bits - 1)) + low).astype(np.float32)


def _number(group: Any, name: str, absent: float) -> float:
    value = group.attrs.get(name)
    if value is None:
        return absent
    number = float(np.asarray(value).reshape(-1)[0])
    return number if np.isfinite(number) else absent


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The group of the first image."""
    try:
        import h5py
    except ImportError as error:
        raise MapError(
            f"{path}: is an HDF5 file, and h5py is not installed; install it with: pip install 'refine_hooks[hdf]'"
        ) from error
    _require_hdf5(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            group = file.get(_FIRST)
            if group is None or "image" not in group:
                raise NotReadyError(f"{path}: has no /{_FIRST}/image (yet); it is being written, or not EMAN2's")
            yield group
    except (OSError, RuntimeError, KeyError) as error:
        raise NotReadyError(f"{path}: cannot be read as HDF5 ({error}); it is being written, or torn") from error


def _require_hdf5(path: Path) -> None:
    try:
        with open_plain(path) as stream:
            first = stream.read(len(_MAGIC))
    except OSError as error:
        raise NotReadyError(f"{path}: cannot be read ({error.strerror})") from error
    if not any(first):
        raise NotReadyError(f"{path}: is still empty")
    if first != _MAGIC:
        raise MapError(f"{path}: is not an HDF5 file")


def whole_hdf(path: Path) -> bool:
    """Whether an EMAN2 file can be opened and holds a map; HDF5 itself refuses a file that is shorter than it should be."""
    try:
        read_hdf_header(path)
    except (RefineHooksError, OSError):
        return False
    return True
