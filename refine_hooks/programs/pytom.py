"""PyTom GLocal: unfiltered averages of both half sets of every iteration, and of the end, as EM files (GLocalSampling.py).

``<i>-EvenFiltered.em`` are the references, filtered by their FSC. ``FSC-Final.dat`` is no FSC of the halves, but 2 FSC / (1 + FSC).
"""

import re
from pathlib import Path

from refine_hooks.model import FscCurve, Round
from refine_hooks.programs.curve_tables import by_shell, rows_of_numbers
from refine_hooks.programs.dynamo import em_header
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Inputs, Pairs

_NOTES = ("PyTom turns and shifts the odd half onto the even one before its own FSC, and keeps both as they were",)


def _reported(round_: Round) -> list[FscCurve]:
    """One value a shell, from the first on, under PyTom's mask."""
    inputs: Inputs = round_.inputs
    table = inputs.file("-FSC.dat")
    rows = rows_of_numbers(table) if table else None
    if rows is None or not inputs.box_px or abs(len(rows) - inputs.box_px // 2) > 1:
        return []
    return [FscCurve("fsc", by_shell(rows[:, -1], inputs.box_px), "masked")]


def _table(half: Path) -> tuple[Path, ...]:
    number = half.name.partition("-")[0]
    return (half.with_name(f"{number}-FSC.dat"),) if number.isdecimal() else ()


ADAPTER = Pairs(
    program="pytom",
    marks=("[0-9]*-Even.em", "average-Final-Even.em"),
    folders=(".",),
    kinds=(
        Kind(
            (re.compile(r"(?P<iteration>\d+)-(?P<half>Even|Odd)\.em"),),
            "found",
            independence="independent",
            notes=_NOTES,
            header=em_header,
        ),
        Kind(
            (re.compile(r"(?P<run>average-Final)-(?P<half>Even|Odd)\.em"),),
            "found",
            independence="independent",
            notes=_NOTES,
            header=em_header,
        ),
    ),
    beside=_table,
    reported=_reported,
)
