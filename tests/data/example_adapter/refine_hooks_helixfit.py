"""Helixfit: rounds/<run>_it003_a.mrc and ..._b.mrc are the halves of round 3, rounds/<run>_it003_fsc.txt is its own FSC."""

import re

from refine_hooks.model import FscCurve
from refine_hooks.programs.curve_tables import at_shells, rows_of_numbers
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs


def reported(round_):
    table = round_.inputs.file("_fsc.txt")
    rows = rows_of_numbers(table) if table else None
    if rows is None:
        return []
    return [FscCurve("fsc", at_shells(rows[:, 0], rows[:, 1], round_.inputs.box_px, round_.inputs.voxel_size_A))]


ADAPTER = Pairs(
    program="helixfit",
    marks=("rounds/*_it*_[ab].mrc",),
    folders=("rounds",),
    kinds=(Kind((re.compile(r"rounds/(?P<run>\w+)_it(?P<iteration>\d+)_(?P<half>[ab])\.mrc"),), origin="found"),),
    beside=lambda half: (half.with_name(half.name[:-6] + "_fsc.txt"),),
    reported=reported,
)
