"""EMAN2's HDF5 files (SPHIRE writes the same): a map is ``/MDF/images/0/image`` [z, y, x], its header that group's attributes.

Integers with ``EMAN.stored_renderbits`` are a compressed map: 0 .. 2^bits - 1 stand for the range rendermin .. rendermax.
libhdf5 can be made to crash or to run for ever by a damaged file, so files are opened in a process of their own, see
`refine_hooks.files._hdf_process`. No lock of HDF5 is taken: the file is the program's.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import MapError, NotReadyError
from refine_hooks.files._hdf_process import reader
from refine_hooks.files.mrc import Map
from refine_hooks.files.reading import open_plain

MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class HdfHeader:
    """What precedes a map; ``voxel_size_A`` is 1 where the program did not know better."""

    shape: tuple[int, ...]
    voxel_size_A: float
    origin_A: tuple[float, float, float]


def read_hdf_header(path: Path) -> HdfHeader:
    """The header of the first image of an EMAN2 file.

    Raises:
        NotReadyError: it is being written, or torn.
        MapError: not such a file, or h5py is missing.
    """
    return _read(path, voxels=False)[0]


def read_hdf_map(path: Path, voxel_size_A: float | None = None) -> Map:
    """A cubic map as float32.

    Args:
        path: an EMAN2 file.
        voxel_size_A: used instead of the header's where the caller knows better.

    Raises:
        NotReadyError: it is being written, or torn.
        MapError: not such a file, not cubic, not finite, or h5py is missing.
    """
    header, values = _read(path, voxels=True)
    if len(header.shape) != 3 or len(set(header.shape)) != 1:
        sizes = " x ".join(str(n) for n in header.shape[::-1])
        raise MapError(f"{path}: box is {sizes}; only cubic maps can be measured: pad it to a cube first")
    voxels = values.reshape(header.shape)
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(voxels.sum(dtype=np.float64))
    if not finite:
        raise MapError(f"{path}: holds voxels that are NaN or infinite; nothing can be measured from it")
    return Map(voxels, voxel_size_A or header.voxel_size_A, header.origin_A)


def _read(path: Path, *, voxels: bool) -> tuple[HdfHeader, NDArray[np.float32]]:
    if find_spec("h5py") is None:
        raise MapError(
            f"{path}: is an HDF5 file, and h5py is not installed; install it with: pip install 'refine_hooks[hdf]'"
        )
    _require_hdf5(path)
    said, values = reader.ask(path, voxels=voxels)
    if "not_ready" in said:
        raise NotReadyError(f"{path}: {said['not_ready']}")
    if "unfit" in said:
        raise MapError(f"{path}: {said['unfit']}")
    x_A, y_A, z_A = said["origin_A"]
    return HdfHeader(tuple(said["shape"]), said["voxel_size_A"], (x_A, y_A, z_A)), values


def _require_hdf5(path: Path) -> None:
    try:
        with open_plain(path) as stream:
            first = stream.read(len(MAGIC))
    except OSError as error:
        raise NotReadyError(f"{path}: cannot be read ({error.strerror})") from error
    if not any(first):
        raise NotReadyError(f"{path}: is still empty")
    if first != MAGIC:
        raise MapError(f"{path}: is not an HDF5 file")
