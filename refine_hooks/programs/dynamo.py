"""Dynamo: averages of every iteration, as EM files.

In a project that refines two half sets (adaptive band-pass, ``_eo``) references 1 and 2 are the halves: there the averages' folder
holds ``bandpass_fsc_ite_NNNN.fsc``, or the project's name ends with ``_eo``. Anywhere else they are classes, and no halves.
"""

import re
from pathlib import Path

import numpy as np

from refine_hooks.errors import MapError, NotReadyError
from refine_hooks.files.mrc import MrcHeader
from refine_hooks.files.reading import open_plain
from refine_hooks.model import FscCurve, Round
from refine_hooks.programs.curve_tables import by_shell, rows_of_numbers
from refine_hooks.programs.names import Kind, Pair
from refine_hooks.programs.pairs import Inputs, Pairs

_HEADER_BYTES = 512
_TYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 9: "f8"}
_AVERAGE = r"(?:(?P<run>[^/]+)/)?results/ite_\d{4}/averages/average_ref_(?P<half>00[12])_ite_(?P<iteration>\d{4})"
_NOTES = (
    "Dynamo aligns one half to the other before its own FSC, and keeps them as they were: where they lie shifted or turned "
    "against each other, the FSC of these files is lower than it could be",
)


def em_header(path: Path) -> MrcHeader:
    """What an EM file says of its voxels; it has no voxel size.

    Raises:
        NotReadyError: not there, or shorter than it states.
        MapError: no EM file of whole or real numbers.
    """
    try:
        with open_plain(path) as stream:
            raw = stream.read(_HEADER_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise NotReadyError(f"{path}: is not there ({error.strerror})") from error
    if len(raw) < _HEADER_BYTES:
        raise NotReadyError(f"{path}: holds no EM header yet ({size} bytes)")
    big_endian, kind = raw[0] in (3, 5), _TYPES.get(raw[3])
    order = ">" if big_endian else "<"
    nx, ny, nz = np.frombuffer(raw, f"{order}i4", 3, 4).tolist()
    if kind is None or min(nx, ny, nz) <= 0 or max(nx, ny, nz) > 65536:
        raise MapError(f"{path}: is no EM file of a map (type {raw[3]}, {nx} x {ny} x {nz})")
    header = MrcHeader(nx, ny, nz, np.dtype(order + kind), (0.0,) * 3, (0.0,) * 3, _HEADER_BYTES)
    if size < header.file_bytes:
        raise NotReadyError(f"{path}: holds {size} of the {header.file_bytes} bytes that its header states")
    return header


def _reported(round_: Round) -> list[FscCurve]:
    """A row or a column of numbers, from shell 1 on; nothing where the file is none of text, or of another box."""
    inputs: Inputs = round_.inputs
    table = inputs.file(".fsc")
    rows = rows_of_numbers(table) if table else None
    if rows is None or min(rows.shape) != 1 or not inputs.box_px or abs(rows.size - inputs.box_px // 2) > 1:
        return []
    return [FscCurve("bandpass", by_shell(rows.ravel(), inputs.box_px))]


def _table(half: Path) -> tuple[Path, ...]:
    return (half.with_name(f"bandpass_fsc_ite_{half.stem[-4:]}.fsc"),)


def _halves(pair: Pair) -> bool:
    average = next(iter(pair.files.values()))
    return len(pair.files) == 2 and (average.parents[3].name.endswith("_eo") or _table(average)[0].is_file())


ADAPTER = Pairs(
    program="dynamo",
    marks=("results/ite_*/averages", "*/results/ite_*/averages"),
    folders=("results/ite_*/averages", "*/results/ite_*/averages"),
    kinds=(
        Kind((re.compile(_AVERAGE + r"\.em"),), "found", independence="independent", notes=_NOTES, header=em_header),
        Kind((re.compile(_AVERAGE + r"\.mrc"),), "found", independence="independent", notes=_NOTES),
    ),
    beside=_table,
    halves=_halves,
    reported=_reported,
)
