"""A map that somebody names, whatever kind of file it is: MRC, MRC packed by gzip or bzip2, EMAN2's HDF5."""

from pathlib import Path

from refine_hooks.files import hdf, mrc
from refine_hooks.files.mrc import Map
from refine_hooks.files.reading import open_plain


def read_given_map(path: Path, voxel_size_A: float | None = None) -> Map:
    """A cubic map as float32.

    Args:
        path: of any of the kinds above; the first bytes say which, not the name.
        voxel_size_A: used instead of the header's where the caller knows better.

    Raises:
        NotReadyError, MapError: see `refine_hooks.files.mrc.read_map` and `refine_hooks.files.hdf.read_hdf_map`.
    """
    return hdf.read_hdf_map(path, voxel_size_A) if _is_hdf(path) else mrc.read_map(path, voxel_size_A)


def stated_voxel_size_A(path: Path) -> float:
    """The voxel size that the header states; 0 where it states none.

    Raises:
        NotReadyError, MapError: see `read_given_map`.
    """
    if _is_hdf(path):
        return hdf.read_hdf_header(path).voxel_size_A
    return max(min(mrc.read_header(path).voxel_size_A), 0.0)


def _is_hdf(path: Path) -> bool:
    try:
        with open_plain(path) as stream:
            return stream.read(len(hdf.MAGIC)) == hdf.MAGIC
    except OSError:
        return False
