"""cryoDRGN ``backproject_voxel``: one pair of half maps, without a mask, and a table of FSCs.

The table's columns are pixel frequency and one or more FSCs (with a line of names), or shell, pixel frequency and FSC (older).
"""

import re
from pathlib import Path

import numpy as np

from refine_hooks.files.reading import read_text
from refine_hooks.model import FscCurve, ProgramCurve, Round
from refine_hooks.programs.curve_tables import at_shells, rows_of_numbers
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Inputs, Pairs

_WORD = re.compile(r"""(["'])(.*?)\1|(\S+)""")
_MADE: dict[str, ProgramCurve] = {"unmasked": "unmasked", "corrected": "corrected"}
_NOTES = ("cryoDRGN adds a constant to the weights of every voxel: the maps are damped where there are few data",)


def _reported(round_: Round) -> list[FscCurve]:
    inputs: Inputs = round_.inputs
    table = inputs.file("fsc-vals.txt")
    rows = rows_of_numbers(table) if table else None
    if table is None or rows is None or min(rows.shape) < 2 or not inputs.box_px or not inputs.voxel_size_A:
        return []
    names = _column_names(table)
    if not names and rows.shape[1] == 3:
        rows = rows[:, 1:]
    names = (names or ["pixres", "unmasked"])[1 : rows.shape[1]]
    # Row i is the FSC of the shell [i - 1, i), written beside i / box (fsc.py), so half a shell is taken off. Row 1 is that of
    # the origin alone: the sign of the two maps' means.
    rows = np.delete(rows, 1, axis=0)
    frequency_per_A = np.maximum(rows[:, 0] - 0.5 / inputs.box_px, 0.0) / inputs.voxel_size_A
    return [
        FscCurve(
            name, at_shells(frequency_per_A, column, inputs.box_px, inputs.voxel_size_A), _MADE.get(name, "masked")
        )
        for name, column in zip(names, rows.T[1:], strict=False)
    ]


def _column_names(table: Path) -> list[str]:
    try:
        first = read_text(table).partition("\n")[0]
    except OSError:
        return []
    words = [quoted or word for _, quoted, word in _WORD.findall(first)]
    known = {"no_mask": "unmasked", "nomask": "unmasked", "fsc": "unmasked"}
    names = [re.sub(r"\W+", "_", word.strip().lower()) for word in words]
    return [known.get(name, name) for name in names] if names and names[0] == "pixres" else []


ADAPTER = Pairs(
    program="cryodrgn",
    default_voxel_A=1.0,
    marks=("half_map_[ab].mrc", "*_half-map[12].mrc"),
    folders=(".",),
    kinds=(
        Kind((re.compile(r"half_map_(?P<half>[ab])\.mrc"),), "found", independence="one_set_of_poses", notes=_NOTES),
        Kind(
            (re.compile(r"(?P<run>.+)_half-map(?P<half>[12])\.mrc"),),
            "found",
            independence="one_set_of_poses",
            notes=_NOTES,
        ),
    ),
    beside=lambda half: (
        half.with_name(
            "fsc-vals.txt" if half.name.startswith("half_map_") else f"{half.stem.rpartition('_')[0]}_fsc-vals.txt"
        ),
    ),
    reported=_reported,
)
