"""Frealign and nextPYP: half maps written over in every iteration, numbered merged maps, and one table with the FSC of each.

``maps/<dataset>_rCC_fsc.txt`` has the frequency in column 0 and iteration i, of which 2 is the first, in column i - 1. The merged
map of an iteration is copied in before its halves, which keep the times of scratch: their sum tells which one they belong to.
"""

import re
from pathlib import Path

import numpy as np

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.mrc import read_map
from refine_hooks.model import FscCurve, Round
from refine_hooks.programs.curve_tables import Values, at_shells, rows_of_numbers
from refine_hooks.programs.names import Kind, Numbered
from refine_hooks.programs.pairs import Inputs, Pairs

_MAPS = r"(?:frealign/)?maps/(?P<run>.+)_r(?P<class>\d{2})_"
_REFERENCE = re.compile(r"(.+_r\d{2})_")


def _reported(round_: Round) -> list[FscCurve]:
    inputs: Inputs = round_.inputs
    table = inputs.file("_fsc.txt")
    rows = rows_of_numbers(table) if table else None
    iteration = round_.key.iteration
    if rows is None or not 1 < iteration <= rows.shape[1] or not inputs.box_px or not inputs.voxel_size_A:
        return []
    column = rows[:, iteration - 1]
    if not column.any():
        return []  # iterations before the first that was measured
    frequency_per_A = _frequency_per_A(rows[:, 0], inputs.box_px, inputs.voxel_size_A)
    return [FscCurve("fsc", at_shells(frequency_per_A, column, inputs.box_px, inputs.voxel_size_A))]


def _frequency_per_A(written: Values, box_px: int, voxel_size_A: float) -> Values:
    """Column 0 as 1/A: it is in A, 1/A, 1/px or shells, whichever makes its end Nyquist's frequency."""
    with np.errstate(divide="ignore"):
        rising = written if written[-1] > written[0] else 1 / written
    units = np.array([1.0, 1 / voxel_size_A, 1 / (box_px * voxel_size_A)])
    nearest = np.argmin(np.abs(np.log(rising[-1] * units * 2 * voxel_size_A)))
    return np.asarray(rising * units[nearest], np.float64)


def _table(half: Path) -> tuple[Path, ...]:
    reference = _REFERENCE.match(half.name)
    return (half.with_name(f"{reference[1]}_fsc.txt"),) if reference else ()


def _by_sum(halves: tuple[Path, Path], numbered: Numbered) -> int | None:
    """The iteration whose merged map is most like the sum of the halves, of the last two; None where there is none."""
    last = list(numbered)[-2:]
    if len(last) < 2:
        return last[0][0] if last else None
    try:
        one, two = (read_map(path).voxels.astype(np.float64) for path in halves)
        like = [(float(np.corrcoef((one + two).ravel(), read_map(path).voxels.ravel())[0, 1]), n) for n, path in last]
    except (RefineHooksError, ValueError):
        return None
    return max(like)[1]


ADAPTER = Pairs(
    program="nextpyp",
    marks=("maps/*_r[0-9][0-9]_*.mrc", "frealign/maps/*_r[0-9][0-9]_*.mrc"),
    folders=("maps", "frealign/maps"),
    kinds=(Kind((re.compile(_MAPS + r"half(?P<half>[12])\.mrc"),), "found", independence="shared_reference"),),
    overwritten=True,
    numbered=re.compile(_MAPS + r"(?P<iteration>\d{2,})\.mrc"),
    belongs_to=_by_sum,
    beside=_table,
    curves_of_old=True,
    reported=_reported,
)
