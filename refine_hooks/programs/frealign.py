"""Frealign 9 with its own scripts: half maps of every cycle and class in ``scratch``, removed after the next cycle.

Names are those of mult_reconstruct.com; the folder is marked by ``mparameters``. nextPYP, which runs Frealign, has its own adapter.
"""

import re

from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs

ADAPTER = Pairs(
    program="frealign",
    marks=("scratch/*_r[0-9]*_map[12].mrc", "mparameters"),
    folders=("scratch",),
    kinds=(
        Kind(
            (re.compile(r"scratch/(?P<run>.+)_(?P<iteration>\d+)_r(?P<class>\d+)_map(?P<half>[12])\.mrc"),),
            "found",
            independence="shared_reference",
            removed=True,
        ),
    ),
)
