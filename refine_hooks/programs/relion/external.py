"""The arrays that RELION hands to an external reconstruction program, and the half map that is in them.

RELION writes them beside its other files and never removes them (four floats for each voxel of the map and each of three
arrays); people do, so they are kept, see `refine_hooks.programs.relion.spool`.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError, SumsError
from refine_hooks.files.mrc import Map, read_header, read_voxels
from refine_hooks.programs.relion.star import read_star
from refine_hooks.sums.relion import Grid, half_map, own_fsc

_NEXT_WITHIN_NS = 2 * 10**9  # RELION begins its next array as soon as one is written
_STAMP = re.compile(r"Relion +(\d{1,2}-\w{3}-\d{2} +\d\d:\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class External:
    """One half's ``*_external_reconstruct.star`` and its three arrays, which lie beside it.

    ``voxel_size_A`` is None where the table does not state it: RELION before 4.
    """

    star: Path
    real: Path
    imaginary: Path
    weight: Path
    grid: Grid
    voxel_size_A: float | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The table and its arrays."""
        return self.star, self.real, self.imaginary, self.weight


def read_external(star: Path) -> External:
    """What a ``*_external_reconstruct.star`` says.

    Raises:
        NotReadyError: not there, or not whole.
        SumsError: it describes no sums of a volume.
    """
    blocks = read_star(star)
    general = blocks.get("external_reconstruct_general")
    if general is None:
        raise NotReadyError(f"{star}: has no table external_reconstruct_general yet")
    names = [general.text(f"rlnExtRecons{what}") for what in ("DataReal", "DataImag", "Weight")]
    box, padding, current = (
        general.number(f"rln{what}") for what in ("OriginalImageSize", "PaddingFactor", "CurrentImageSize")
    )
    if not all(names) or box is None or padding is None or current is None:
        raise SumsError(f"{star}: does not name its three arrays, box, padding and current image size")
    if general.whole("rlnReferenceDimensionality") not in (None, 3):
        raise SumsError(f"{star}: is of a two-dimensional reconstruction; there are no half maps in it")
    real, imaginary, weight = (star.with_name(Path(name).name) for name in names)
    try:
        return External(
            star, real, imaginary, weight, Grid(round(box), padding, round(current)), general.number("rlnPixelSize")
        )
    except SumsError as error:
        raise SumsError(f"{star}: {error}") from error


def require_arrays(external: External) -> None:
    """Check that the three arrays are there, whole, of one writing, and of the shape that the table states.

    RELION writes the real parts, the imaginary ones, the weights and then the table, each over an earlier one of the same
    iteration, and the time into every array's label. So arrays of two writings have labels out of that order, whatever a copy
    did to the files' own times. Where a label states no time, an array that is younger than its table is waited for as long as
    the next one may take to be begun.

    Raises:
        NotReadyError: one is missing, shorter than its header says, or being written again.
        SumsError: one has another shape.
    """
    faults, stamps = [], []
    for path in external.files[1:]:
        if not path.exists():
            raise NotReadyError(f"{path}: is not there")
        header = read_header(path)
        stamps.append(_stamp(header.label))
        if (header.nz, header.ny, header.nx) != external.grid.array_shape:
            shape = " x ".join(str(n) for n in (header.nx, header.ny, header.nz))
            wanted = " x ".join(str(n) for n in reversed(external.grid.array_shape))
            faults.append(f"{path}: holds {shape} values where {external.star.name} asks for {wanted}")
    if faults:
        raise SumsError(*faults)
    _require_one_writing(external, [stamp for stamp in stamps if stamp is not None])


def _require_one_writing(external: External, stamps: list[datetime]) -> None:
    arrays = external.files[1:]
    if len(stamps) == len(arrays):
        if stamps != sorted(stamps):
            written = ", ".join(f"{path.name} {at}" for path, at in zip(arrays, stamps, strict=True))
            raise NotReadyError(
                f"{external.star}: its arrays are of two writings ({written}); they are being written again"
            )
        return
    table_ns, now_ns = state_of(external.star)[1], time.time_ns()
    for path in arrays:
        written_ns = state_of(path)[1]
        if written_ns > table_ns and abs(now_ns - written_ns) < _NEXT_WITHIN_NS:
            raise NotReadyError(f"{path}: is younger than {external.star.name}; it is being written again")


def _stamp(label: str) -> datetime | None:
    """When RELION wrote an array, to the second; None where its label does not tell."""
    found = _STAMP.match(label)
    try:
        return datetime.strptime(" ".join(found[1].split()), "%d-%b-%y %H:%M:%S") if found else None
    except ValueError:
        return None


def half_map_from_external(star: Path, voxel_size_A: float | None = None) -> tuple[Map, Grid]:
    """The unregularised half map in the arrays of a ``*_external_reconstruct.star``.

    The same map as ``relion_external_reconstruct STAR --no_map`` writes; shells beyond `Grid.shells` are empty.

    Args:
        star: the table.
        voxel_size_A: for tables of RELION before 4, which do not state it.

    Raises:
        NotReadyError: the table or an array is not whole.
        SumsError, MapError: they cannot be what RELION writes.
    """
    external = read_external(star)
    require_arrays(external)
    voxel_size_A = external.voxel_size_A or voxel_size_A
    if not voxel_size_A:
        raise SumsError(f"{star}: does not state a pixel size, and there is no model table that does")

    def reader(path: Path) -> NDArray[np.float32]:
        return read_voxels(path, read_header(path))

    before = states_of([star])
    try:
        volume = half_map(
            lambda: reader(external.real),
            lambda: reader(external.imaginary),
            lambda: reader(external.weight),
            external.grid,
        )
    except SumsError as error:
        raise SumsError(*(f"{star}: {fault}" for fault in error.faults)) from error
    if states_of([star]) != before:
        raise NotReadyError(f"{star}: its arrays changed while they were read")
    return Map(volume, voxel_size_A), external.grid


def fsc_of_sums(stars: tuple[Path, Path]) -> NDArray[np.float64]:
    """RELION's own FSC of the two halves' sums, see `refine_hooks.sums.relion.own_fsc`.

    Raises:
        NotReadyError, SumsError, MapError: see `half_map_from_external`.
    """
    halves = [read_external(star) for star in stars]

    def read(half: int, part: int) -> NDArray[np.float32]:
        path = halves[half].files[1:][part]
        return read_voxels(path, read_header(path))

    return own_fsc(read, halves[0].grid)


def states_of(stars: Iterable[Path]) -> list[tuple[int, int]]:
    """Size and mtime (ns) of tables and all their arrays.

    Raises:
        NotReadyError: one is not there.
        SumsError: see `read_external`.
    """
    return [state_of(path) for star in stars for path in read_external(star).files]


def state_of(path: Path) -> tuple[int, int]:
    """Size and mtime (ns) of a file.

    Raises:
        NotReadyError: it is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise NotReadyError(f"{path}: is not there (any more)") from error
    return status.st_size, status.st_mtime_ns
