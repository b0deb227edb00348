"""Warp/M: each species has a folder, and in it one folder for each of its states, with the half maps, the mask and the curves.

``species/<name>_<id>/versions/<hash>/`` holds what M committed; the files in the species' own folder are the newest state again. A
species that is not versioned has only these, and they are written over.
M itself masks the half maps by a sphere and cuts three shells before Nyquist, before it measures anything.
"""

import re
from pathlib import Path

import numpy as np

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.reading import read_text
from refine_hooks.model import Facts, FscCurve, ProgramCurve, Round
from refine_hooks.programs.curve_tables import at_shells
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Inputs, Pairs, mask_called
from refine_hooks.programs.relion.star import read_star

_PREVIOUS = re.compile(r"""Name=["']PreviousVersion["']\s+Value=["']([^"']*)["']""")
_CURVES: dict[ProgramCurve, str] = {
    "unmasked": "wrpFSCUnmasked",
    "masked": "wrpFSCMasked",
    "randomised": "wrpFSCRandomized",
    "corrected": "wrpFSCCorrected",
}


def _reported(round_: Round) -> list[FscCurve]:
    inputs: Inputs = round_.inputs
    table = inputs.file("_fsc.star")
    if table is None or not inputs.box_px or not inputs.voxel_size_A:
        return []
    try:
        blocks = read_star(table)
    except RefineHooksError:
        return []
    block = next((block for block in blocks.values() if "wrpResolution" in block.columns), None)
    resolution_A = block.array("wrpResolution") if block else None
    if block is None or resolution_A is None:
        return []
    # M writes 0 or a number beyond all boxes for shell 0.
    frequency_per_A = np.divide(1.0, resolution_A, out=np.zeros_like(resolution_A), where=resolution_A > 0)
    curves = []
    for name, column in _CURVES.items():
        values = block.array(column)
        if values is not None and len(values) == len(frequency_per_A):  # a damaged table may have two lists
            shown = at_shells(frequency_per_A, values, inputs.box_px, inputs.voxel_size_A)
            curves.append(FscCurve(name, shown, name))
    return curves


def _state_before(half: Path) -> str | None:
    """The version that a version was made from, as its ``*.species`` says (PreviousVersion); None where it says none."""
    for table in sorted(half.parent.glob("*.species")):
        try:
            found = _PREVIOUS.search(read_text(table))
        except OSError:
            continue
        if found and found[1]:
            return re.split(r"[/\\]", found[1].rstrip("/\\"))[-1]
    return None


ADAPTER = Pairs(
    program="warp",
    marks=("species/*/*.species", "species/*/*_half[12].mrc", "*.population"),
    folders=("species/*/versions/*", "species/*"),
    skipped=lambda folder: (folder / "versions").is_dir(),
    overwritten=True,
    kinds=(
        Kind(
            (re.compile(r"species/(?P<run>[^/]+)/versions/(?P<state>[^/]+)/.+_half(?P<half>[12])\.mrc"),),
            "found",
            independence="independent",
            masked="sphere",
            masked_by="M's sphere (diameter of the box less 32 px, soft edge of 15 px)",
            valid_shells=lambda box_px: box_px // 2 - 3,
            before=_state_before,
        ),
        Kind(
            (re.compile(r"species/(?P<run>[^/]+)/[^/]+_half(?P<half>[12])\.mrc"),),
            "found",
            independence="independent",
            masked="sphere",
            masked_by="M's sphere (diameter of the box less 32 px, soft edge of 15 px)",
            valid_shells=lambda box_px: box_px // 2 - 3,
            notes=("this species keeps no versions: its half maps are written over, and counted as they were seen",),
        ),
    ),
    beside=lambda half: tuple(half.with_name(f"{half.stem[:-6]}{ending}") for ending in ("_fsc.star", "_mask.mrc")),
    facts=Facts(notes=("M's states have no number: they are counted along their chain of versions",)),
    reported=_reported,
    masks=mask_called("_mask.mrc"),
)
