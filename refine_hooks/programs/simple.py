"""SIMPLE: one pair of half maps for each state, written over in every iteration; ``RESOLUTION_STATE01_ITER003`` tells the number.

Before iteration 1 a start-up reconstruction has the same names for a while (``startvol_*`` later): a refinement's pair is none of
the rounds before a file with a number has come. With ``ml_reg=no``, and in reconstruct3D, no ``_unfil`` pair is written and the
halves are as they were reconstructed (simple_reconstructor_eo.f90).
"""

import re
from pathlib import Path

import numpy as np

from refine_hooks.files.reading import read_bytes
from refine_hooks.model import FscCurve, Round
from refine_hooks.programs.curve_tables import by_shell
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Inputs, Pairs

_STATE = re.compile(r"recvol_state(\d+)")
_VOLUME = r"(?:(?P<run>[^/]+)/)?recvol_state(?P<class>\d{2})_"


def _reported(round_: Round) -> list[FscCurve]:
    """``fsc_stateSS.bin``: 32-bit floats, their number first, then the shells from 1 on."""
    inputs: Inputs = round_.inputs
    table = inputs.file(".bin")
    if table is None or not inputs.box_px:
        return []
    try:
        content = read_bytes(table)
    except OSError:
        return []
    raw = np.frombuffer(content, np.float32, len(content) // 4)
    whole = raw.size > 1 and raw[0] == raw.size - 1
    return [FscCurve("fsc", by_shell(raw[1:].astype(np.float64), inputs.box_px))] if whole else []


def _table(half: Path) -> tuple[Path, ...]:
    state = _STATE.match(half.name)
    return (half.with_name(f"fsc_state{state[1]}.bin"),) if state else ()


ADAPTER = Pairs(
    program="simple",
    marks=(
        "recvol_state*.mrc",
        "*_refine3D*/recvol_state*.mrc",
        "*_abinitio3D*/recvol_state*.mrc",
        "*_reconstruct3D*/recvol_state*.mrc",
        "*.simple",
    ),
    folders=(".", "*_refine3D*", "*_abinitio3D*", "*_reconstruct3D*"),
    kinds=(
        Kind((re.compile(_VOLUME + r"(?P<half>even|odd)_unfil\.mrc"),), "found"),
        Kind(
            (re.compile(_VOLUME + r"(?P<half>even|odd)\.mrc"),),
            "found",
            notes=(
                "SIMPLE wrote no unfiltered pair beside these half maps, as without ml_reg: they are as reconstructed",
            ),
        ),
    ),
    overwritten=True,
    numbered=re.compile(
        r"(?:(?P<run>[^/]+)/)?(?:RESOLUTION_STATE|fsc_state)(?P<class>\d{2})_(?:ITER|iter)(?P<iteration>\d{3})(?:\.eps)?"
    ),
    unread=((re.compile(r"(?:[^/]+/)?startvol_state\d+_.+"), "a start-up volume, made before the first iteration"),),
    needs_number=lambda pair: "refine3D" in pair.run or "abinitio3D" in pair.run,
    beside=_table,
    reported=_reported,
)
