"""SUSAN, alone or run by TomoBEAR: both half maps of every class and iteration, as its averager makes them.

``ite_NNNN/map_classKKK_half{1,2}.mrc`` beside ``info.prjtxt``; only the map of all particles is filtered afterwards. Names are
those of project.py and of the averager of its source. Its FSC is drawn (``fsc_classKKK.svg``), and kept nowhere as numbers.
"""

import re

from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs

ADAPTER = Pairs(
    program="susan",
    marks=("ite_[0-9]*/map_class*_half[12].mrc", "*/ite_[0-9]*/map_class*_half[12].mrc"),
    folders=("ite_[0-9]*", "*/ite_[0-9]*"),
    kinds=(
        Kind(
            (
                re.compile(
                    r"(?:(?P<run>[^/]+)/)?ite_(?P<iteration>\d+)/map_class(?P<class>\d+)_half(?P<half>[12])\.mrc"
                ),
            ),
            "found",
            notes=("SUSAN aligns both halves to one reference unless halfsets_independ is set",),
        ),
    ),
)
