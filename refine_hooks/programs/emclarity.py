"""emClarity: numbered references of both half sets, filtered by their own FSC, and text tables of the FSC of every cycle."""

import re
from pathlib import Path

from refine_hooks.model import FscCurve, Round
from refine_hooks.programs.curve_tables import at_shells, rows_of_numbers
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Inputs, Pairs

_CYCLE = re.compile(r"cycle\d{3}_")


def _reported(round_: Round) -> list[FscCurve]:
    """The spherical FSC; a table's further columns are of cones."""
    inputs: Inputs = round_.inputs
    table = inputs.file("fsc_GLD.txt")
    rows = rows_of_numbers(table) if table else None
    if rows is None or rows.shape[1] < 2 or not inputs.box_px or not inputs.voxel_size_A:
        return []
    return [FscCurve("gold", at_shells(rows[:, 0], rows[:, 1], inputs.box_px, inputs.voxel_size_A))]


def _tables(half: Path) -> tuple[Path, ...]:
    """The tables of the cycle that a half map is of; none for one whose name has no cycle."""
    cycle = _CYCLE.match(half.name)
    return tuple(sorted((half.parent / "FSC").glob(f"{cycle[0]}*fsc_GLD.txt"))) if cycle else ()


ADAPTER = Pairs(
    program="emclarity",
    marks=("FSC/cycle*fsc_GLD.txt", "cycle*_class*_REF_*.mrc"),
    folders=(".", "FSC"),
    kinds=(
        Kind(
            (re.compile(r"cycle(?P<iteration>\d{3})_(?P<run>.+)_class(?P<class>\d+)_REF_(?P<half>ODD|EVE)\.mrc"),),
            "regularised",
            independence="independent",
            notes=("emClarity filters its references by their own FSC",),
        ),
    ),
    overwritten=True,
    numbered=re.compile(r"FSC/cycle(?P<iteration>\d{3})_.*fsc_GLD\.txt"),
    unread=(
        (
            re.compile(r"cycle\d{3}_.+_(?:NoWgt|Wgt)\.mrc"),
            "a sum and its weights; emClarity divides one by the other with a constant of its own, which is not repeated here",
        ),
        (
            re.compile(r"cycle\d{3}_.+_class\d+_(?:Raw|Cls|Ref|NoA)_(?:ODD|EVE)\.mrc"),
            "an average of another stage than the references (_REF_), which are measured",
        ),
    ),
    beside=_tables,
    reported=_reported,
)
