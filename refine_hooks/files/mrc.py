"""MRC file <-> Map. The only place that reads or writes maps.

Reading is strict about what matters for a measurement (size against the header, cubic box, finite voxels, a voxel size) and
silent about what does not: RELION writes NVERSION 0, old programs leave out the MAP id. Files of a running job are read, not
memory-mapped: a map that is cut off while it is read must be an error, and under a memory map it is a bus error that ends the
watch. Writing is beside-then-rename.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import MapError, NotReadyError
from refine_hooks.files import packed
from refine_hooks.files.atomic import beside
from refine_hooks.files.reading import open_plain, read_ahead

HEADER_BYTES = 1024
# The fields that are read, of the 1,024 bytes of MRC2014 (Cheng et al. 2015, doi:10.1016/j.jsb.2015.04.002).
_AT = {
    **{
        name: ("i4", 4 * i)
        for i, name in enumerate(["nx", "ny", "nz", "mode", "nxstart", "nystart", "nzstart", "mx", "my", "mz"])
    },
    **{name: ("f4", 40 + 4 * i) for i, name in enumerate(["cell_x", "cell_y", "cell_z"])},
    **{name: ("i4", 64 + 4 * i) for i, name in enumerate(["mapc", "mapr", "maps"])},
    **{"dmin": ("f4", 76), "dmax": ("f4", 80), "nsymbt": ("i4", 92), "nversion": ("i4", 108), "origin": ("3f4", 196)},
    "label": ("10S80", 224),
}
_HEADER = np.dtype(
    {
        "names": list(_AT),
        "formats": [kind for kind, _ in _AT.values()],
        "offsets": [at for _, at in _AT.values()],
        "itemsize": HEADER_BYTES,
    }
)
_BYTE_ORDERS: tuple[Literal["<"], Literal[">"]] = ("<", ">")
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_LONGEST_EDGE_PX = 65536
# Bytes 152..159 of a header that IMOD wrote: its fingerprint, and flags of which the first says that bytes are signed.
_IMOD_AT, _IMOD_STAMP, _IMOD_SIGNED, _IMOD_ZERO = 152, 1146047817, 1, 128
_SIGNED_SINCE_VERSION, _LARGEST_SIGNED = 20140, 127

Volume = NDArray[np.float32]

_SAME_VOXEL_SIZE = 2e-3  # relative


def same_voxel_size(one_A: float, other_A: float) -> bool:
    """Whether two voxel sizes are one, within what headers and tables round them to."""
    return abs(one_A - other_A) <= _SAME_VOXEL_SIZE * other_A


@dataclass(frozen=True, slots=True)
class Map:
    """A cubic map: voxels[z, y, x] as float32, and the size of a voxel in Angstrom."""

    voxels: Volume
    voxel_size_A: float
    origin_A: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def box_px(self) -> int:
        """Length of the box's edge in voxels."""
        return int(self.voxels.shape[0])


@dataclass(frozen=True, slots=True)
class MrcHeader:
    """The part of an MRC header that says what follows it.

    Attributes:
        packed_by: "gzip" or "bzip2", where the whole file is packed; sizes and offsets are those of the unpacked one.
        added: what is added to every stored value; IMOD writes the bytes 0..255 as -128..127.
        label: the first one: which program wrote the file, and of some programs when.
    """

    nx: int
    ny: int
    nz: int
    dtype: np.dtype[Any]
    voxel_size_A: tuple[float, float, float]
    origin_A: tuple[float, float, float]
    data_offset: int
    packed_by: str = ""
    added: int = 0
    axes: tuple[int, int, int] = (1, 2, 3)
    start_px: tuple[int, int, int] = (0, 0, 0)
    label: str = ""

    @property
    def place_A(self) -> tuple[float, float, float]:
        """Where the first voxel lies, x, y, z: ORIGIN, and NSTART in the order of the axes."""
        of_axis = dict(zip(self.axes, self.start_px, strict=True))
        x, y, z = (o + of_axis[i] * a for i, o, a in zip((1, 2, 3), self.origin_A, self.voxel_size_A, strict=True))
        return x, y, z

    @property
    def file_bytes(self) -> int:
        """The size that a complete file has."""
        return self.data_offset + self.nx * self.ny * self.nz * self.dtype.itemsize


def read_header(path: Path) -> MrcHeader:
    """The header of an MRC file, checked against the file's size; no memory is taken on its word.

    Raises:
        NotReadyError: the header is still zeros or the file is shorter than its header says: it is being written, or torn.
        MapError: not an MRC file, or a kind that cannot be a map.
    """
    try:
        with open_plain(path) as stream:
            raw = stream.read(HEADER_BYTES)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise MapError(f"{path}: cannot be read ({error.strerror})") from error
    packed_by = packed.packing(raw)
    if packed_by:
        with packed.unpacking(path, packed_by) as unpacked:
            raw = unpacked.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES or not any(raw[:16]):
        raise NotReadyError(f"{path}: holds no MRC header yet ({size} bytes); it is being written, or torn")
    header = _decoded(path, raw, packed_by)
    if size < header.file_bytes and not packed_by:
        raise NotReadyError(
            f"{path}: holds {size} of the {header.file_bytes} bytes that its header states; it is being written, or torn"
        )
    return header


def _decoded(path: Path, raw: bytes, packed_by: str) -> MrcHeader:
    for byte_order in _BYTE_ORDERS:
        fields = np.frombuffer(raw, _HEADER.newbyteorder(byte_order), 1)[0]
        nx, ny, nz = (int(fields[f"n{axis}"]) for axis in "xyz")
        if int(fields["mode"]) in _MODES and min(nx, ny, nz) > 0 and max(nx, ny, nz) <= _LONGEST_EDGE_PX:
            break
    else:
        what = packed.kind_of(raw) or f"its first numbers: {np.frombuffer(raw, '<i4', 4).tolist()}"
        raise MapError(f"{path}: is not an MRC map in mode 0, 1, 2, 6 or 12 ({what})")
    extended = int(fields["nsymbt"])
    if extended < 0:
        raise MapError(f"{path}: its header claims an extended header of {extended} bytes")
    samples = [int(fields[f"m{axis}"]) for axis in "xyz"]
    cell = [float(fields[f"cell_{axis}"]) for axis in "xyz"]
    x, y, z = (c / m if m > 0 and np.isfinite(c) else 0.0 for c, m in zip(cell, samples, strict=True))
    ox, oy, oz = (float(v) if np.isfinite(v) else 0.0 for v in fields["origin"].tolist())
    kind, added = _MODES[int(fields["mode"])], 0
    if kind == "i1":
        kind, added = _bytes(raw, byte_order, fields)
    dtype, offset = np.dtype(byte_order + kind), HEADER_BYTES + extended
    axes, start = _axes(path, fields)
    label = bytes(fields["label"][0]).partition(b"\0")[0].decode("ascii", "replace").strip()
    return MrcHeader(nx, ny, nz, dtype, (x, y, z), (ox, oy, oz), offset, packed_by, added, axes, start, label)


def _axes(path: Path, fields: Any) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """MAPC, MAPR, MAPS (old programs leave them 0) and NSTART."""
    c, r, s = (int(fields[name]) for name in ("mapc", "mapr", "maps"))
    axes = (c, r, s) if (c, r, s) != (0, 0, 0) else (1, 2, 3)
    if sorted(axes) != [1, 2, 3]:
        raise MapError(
            f"{path}: its header states {axes} as the axes of columns, rows and sections (MAPC, MAPR, MAPS); write 1, 2 and 3 in "
            "the order that is true"
        )
    return axes, (int(fields["nxstart"]), int(fields["nystart"]), int(fields["nzstart"]))


def _bytes(raw: bytes, byte_order: str, fields: Any) -> tuple[str, int]:
    """How mode 0 is meant, and what is added to it: by IMOD's fingerprint, by the version, by the largest value that is stated.

    MRC2014 says signed. IMOD says in its flags whether its bytes, always meant as 0..255, were moved to -128..127. Programs from
    before 2014 wrote either; where the header states values that no signed byte holds, they are unsigned.
    """
    fingerprint, flags = struct.unpack_from(f"{byte_order}2i", raw, _IMOD_AT)
    if fingerprint == _IMOD_STAMP:
        return ("i1", _IMOD_ZERO) if flags & _IMOD_SIGNED else ("u1", 0)
    old = int(fields["nversion"]) < _SIGNED_SINCE_VERSION
    return ("u1" if old and fields["dmin"] >= 0 and fields["dmax"] > _LARGEST_SIGNED else "i1"), 0


def read_map(path: Path, voxel_size_A: float | None = None) -> Map:
    """A cubic map as float32.

    Args:
        path: an MRC file.
        voxel_size_A: used instead of the header's where the caller knows better.

    Raises:
        NotReadyError: see `read_header`; also a file that changes while it is read.
        MapError: not cubic, no voxel size, voxels that are not finite; all faults of the header at once.
    """
    state = _state(path)
    header = read_header(path)
    faults = []
    if not header.nx == header.ny == header.nz:
        faults.append(
            f"{path}: box is {header.nx} x {header.ny} x {header.nz}; only cubic maps can be measured: pad it to a cube first"
        )
    if not voxel_size_A:
        voxel_size_A = header.voxel_size_A[0]
        spread_A = max(header.voxel_size_A) - min(header.voxel_size_A)
        sizes = " x ".join(f"{s:g}" for s in header.voxel_size_A)
        if min(header.voxel_size_A) <= 0:
            faults.append(f"{path}: voxel size in the header is {sizes} A; write the true one into the header")
        elif spread_A > 1e-3 * voxel_size_A:
            faults.append(
                f"{path}: voxel size differs between the axes ({sizes} A); resample the map to cubic voxels first"
            )
    if faults:
        raise MapError(*faults)
    voxels = read_voxels(path, header)
    if _state(path) not in (state, None):  # one that was removed meanwhile was read whole
        raise NotReadyError(f"{path}: changed while it was read")
    return Map(_in_order(voxels, header.axes), voxel_size_A, header.place_A)


def _in_order(voxels: Volume, axes: tuple[int, int, int]) -> Volume:
    """Voxels of sections, rows and columns as [z, y, x]."""
    stored = axes[::-1]
    return np.ascontiguousarray(voxels.transpose([stored.index(axis) for axis in (3, 2, 1)]))


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_voxels(path: Path, header: MrcHeader) -> Volume:
    """The voxels [z, y, x] behind ``header`` as native float32.

    Raises:
        NotReadyError: the file has become shorter.
        MapError: a voxel is NaN or infinite.
    """
    count = header.nx * header.ny * header.nz
    raw = _stored_values(path, header, count)
    if raw.size != count:
        raise NotReadyError(f"{path}: holds fewer values than its header states; it is being written, or torn")
    voxels = raw.astype(np.float32, copy=False).reshape(header.nz, header.ny, header.nx)
    if header.added:
        voxels += np.float32(header.added)
    # The sum of a slab is NaN or infinite if any voxel is, and needs no array of its own.
    for z in range(header.nz):
        if not np.isfinite(voxels[z].sum(dtype=np.float64)):
            bad = int(np.count_nonzero(~np.isfinite(voxels)))
            raise MapError(
                f"{path}: {bad} voxels are NaN or infinite (the first in section {z}); nothing can be measured from it"
            )
    return voxels


def _stored_values(path: Path, header: MrcHeader, count: int) -> NDArray[Any]:
    read_ahead([path])
    try:
        if header.packed_by:
            with packed.unpacking(path, header.packed_by) as stream:
                return packed.read_values(stream, header.data_offset, count, header.dtype)
        return np.fromfile(path, header.dtype, count, offset=header.data_offset)
    except OSError as error:
        raise MapError(f"{path}: cannot be read ({error.strerror})") from error
    except MemoryError as error:
        raise MapError(
            f"{path}: holds {header.nx} x {header.ny} x {header.nz} values, too many for the memory"
        ) from error


def write_map(path: Path, volume: Map, label: str) -> None:
    """Write a map beside its final name and rename it there: a reader sees the whole map or none.

    The file passes ``mrcfile.validate``: mode 2, MAP id, cell, origin, statistics and one label.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    import mrcfile

    with beside(path) as temporary, mrcfile.new(temporary, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(volume.voxels, np.float32))
        mrc.set_volume()
        mrc.voxel_size = volume.voxel_size_A
        mrc.header.origin = volume.origin_A
        mrc.header.label[0] = label.encode("ascii", "replace")[:80]
        mrc.header.nlabl = 1
