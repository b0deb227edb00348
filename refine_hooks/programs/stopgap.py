"""STOPGAP: numbered references of both half sets in the folder ``ref``; its FSCs are figures only."""

import re

from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs

ADAPTER = Pairs(
    program="stopgap",
    marks=("ref/*_[AB]_*.mrc",),
    folders=("ref",),
    kinds=(
        Kind((re.compile(r"ref/(?P<run>.+)_(?P<half>[AB])_(?P<iteration>\d+)(?:_(?P<class>\d+))?\.mrc"),), "found"),
    ),
)
