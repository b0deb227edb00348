"""STOPGAP: numbered references of both half sets in the folder ``ref``; its FSCs are figures only."""

import re

from refine_hooks.programs.dynamo import em_header
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs

_NOTES = (
    "STOPGAP writes its references as they were before the symmetry was imposed; its own FSC is of those after it",
)

ADAPTER = Pairs(
    program="stopgap",
    marks=("ref/*_[AB]_*.mrc", "ref/*_[AB]_*.em"),
    folders=("ref",),
    kinds=(
        Kind(
            (re.compile(r"ref/(?P<run>.+)_(?P<half>[AB])_(?P<iteration>\d+)(?:_(?P<class>\d+))?\.mrc"),),
            "found",
            notes=_NOTES,
        ),
        Kind(
            (re.compile(r"ref/(?P<run>.+)_(?P<half>[AB])_(?P<iteration>\d+)(?:_(?P<class>\d+))?\.em"),),
            "found",
            notes=_NOTES,
            header=em_header,
        ),
    ),
)
