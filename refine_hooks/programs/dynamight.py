"""DynaMight: two halves after its back-projection along the estimated deformations, in ``backprojection``.

They are divided by their CTFs' sum and not filtered. ``mask_reconstruction.mrc`` is all 1 unless ``--mask-reconstruction`` was
asked for; then both halves were multiplied by it before that division (``deformable_backprojection.py``, June 2025).
"""

import re

from refine_hooks.model import HalfMaps, ProgramMask, Round
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs, mask_called

_MASK = "mask_reconstruction.mrc"


def _masks(round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
    found = mask_called(_MASK)(round_, halves)
    return {name: one for name, one in found.items() if one.mask is None or one.mask.voxels.min() < 1}


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
    unread=(
        (
            re.compile(r"(?:[^/]+/)?backprojection/reconstruction_half[12]_\d+\.mrc"),
            "a half map while it was being summed up, of a part of the images",
        ),
    ),
    beside=lambda half: (half.with_name(_MASK),),
    masks=_masks,
)
