"""RECOVAR: the mean and the states that it reconstructs, each with two unfiltered halves in ``output/volumes``."""

import re

from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs

ADAPTER = Pairs(
    program="recovar",
    marks=("output/volumes/*_half[12]_unfil.mrc", "volumes/*_half[12]_unfil.mrc"),
    folders=("output/volumes", "volumes"),
    kinds=(
        Kind(
            (re.compile(r"(?:output/)?volumes/(?P<run>[^/]+)_half(?P<half>[12])_unfil\.mrc"),),
            "found",
            independence="one_set_of_poses",
        ),
    ),
)
