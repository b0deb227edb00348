"""THUNDER: numbered references of both half sets, not filtered, and a table of the FSC of every round.

Written as Optimiser.cpp of its source does (saveMapHalf, saveFSC).
"""

import re
from pathlib import Path

from refine_hooks.model import FscCurve, Round
from refine_hooks.programs.curve_tables import by_shell, rows_of_numbers
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Inputs, Pairs

_HALF = re.compile(r"Reference_(?P<class>\d+)_(?P<half>[AB])_Round_(?P<iteration>\d+)\.mrc")


def _reported(round_: Round) -> list[FscCurve]:
    """Columns: shell, 1/A, and the FSC of each class."""
    inputs: Inputs = round_.inputs
    table = inputs.file(".txt")
    rows = rows_of_numbers(table) if table else None
    column = 1 + round_.key.class_id
    if rows is None or column >= rows.shape[1] or not inputs.box_px:
        return []
    return [FscCurve("fsc", by_shell(rows[:, column], inputs.box_px, round(rows[0, 0])))]


def _table(half: Path) -> tuple[Path, ...]:
    found = _HALF.fullmatch(half.name)
    return (half.with_name(f"FSC_Round_{found['iteration']}.txt"),) if found else ()


ADAPTER = Pairs(
    program="thunder",
    marks=("Reference_*_[AB]_Round_*.mrc",),
    folders=(".",),
    kinds=(Kind((_HALF,), "found", independence="independent"),),
    beside=_table,
    reported=_reported,
)
