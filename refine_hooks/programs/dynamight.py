"""DynaMight: two halves after its back-projection along the estimated deformations, in ``backprojection``."""

import re

from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs

ADAPTER = Pairs(
    program="dynamight",
    marks=("backprojection/map_half[12].mrc", "*/backprojection/map_half[12].mrc"),
    folders=("backprojection", "*/backprojection"),
    kinds=(
        Kind(
            (re.compile(r"(?:(?P<run>[^/]+)/)?backprojection/map_half(?P<half>[12])\.mrc"),),
            "found",
            independence="one_set_of_poses",
        ),
    ),
)
