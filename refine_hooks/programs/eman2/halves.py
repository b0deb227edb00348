"""From a round of EMAN2 to its half maps, its own curves, and the masks that it made."""

import numpy as np

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.hdf import read_hdf_header, read_hdf_map
from refine_hooks.model import FscCurve, HalfMaps, ProgramMask, ProgramMaskParameters, Round
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs.eman2.curves import read_curve
from refine_hooks.programs.eman2.folder import CURVES, MASKS
from refine_hooks.programs.eman2.rounds import IN_PLACE, Inputs

MASKED_BY = "EMAN2's automatic mask of this iteration (mask.hdf)"
_NOTES = {
    IN_PLACE: "",
    "raw": "EMAN2's own copies (threed_raw_*) from before it filtered, masked and, where asked to, aligned the halves",
    "unmasked": "EMAN2's unmasked copies (threed_*_unmasked), to which it applied its Wiener filter: the halves as they were "
    "reconstructed had been overwritten",
    "": "EMAN2 filtered and masked these half maps in place, and what they were before is not on disk",
}


def half_maps(round_: Round) -> HalfMaps | None:
    """The halves as they were reconstructed where they could be saved, else what EMAN2 left.

    Raises:
        NotReadyError: they are being written.
        MapError: they cannot be used, or h5py is missing.
    """
    inputs: Inputs = round_.inputs
    first, second = (read_hdf_map(path) for path in inputs.halves)
    note = _NOTES[inputs.kind]
    return HalfMaps(
        first,
        second,
        inputs.origin,
        independence="unknown" if inputs.run.name.startswith("gmm") else "independent",
        masked="none" if inputs.kind else "mask",
        masked_by=None if inputs.kind else MASKED_BY,
        notes=(note,) if note else (),
    )


def reported(round_: Round) -> list[FscCurve]:
    """EMAN2's curves: over the whole box, under its mask and under its tight mask."""
    inputs: Inputs | None = round_.inputs
    if inputs is None:
        return []
    number = round_.key.iteration
    box_px = inputs.run.memory.file(read_hdf_header, inputs.halves[0]).shape[0]
    extent_A = box_px * (round_.facts.voxel_size_A or 1.0)
    curves = []
    for name in CURVES:
        if (name, number) not in inputs.run.curves:
            continue
        values = read_curve(inputs.run.curve(name, number), box_px, extent_A)
        if np.any(np.isfinite(values)):
            curves.append(FscCurve(name, values, "unmasked" if name == "unmasked" else "masked"))
    return curves


def _mask(round_: Round, name: str) -> ProgramMask | None:
    inputs: Inputs = round_.inputs
    path = next((path for path in inputs.masks if path.name == MASKS[name]), None)
    if path is None:
        return None
    try:
        return ProgramMask(read_hdf_map(path), parameters=ProgramMaskParameters(source="EMAN2", file=MASKS[name]))
    except RefineHooksError as error:
        return ProgramMask(None, note=f"not used: {error}")


def masks(round_: Round) -> dict[str, ProgramMask]:
    """The mask that the map was multiplied by, and the tighter one, of which EMAN2 makes a curve only.

    They have no number, so only the last ones or saved ones are known.
    """
    gone = ProgramMask(None, note="EMAN2 has written its mask over since, and it was not watched then")
    tight = _mask(round_, "program_tight")
    return {"refinement": _mask(round_, "refinement") or gone} | ({} if tight is None else {"program_tight": tight})


def discard(round_: Round) -> None:
    """Remove all copies of this round."""
    inputs: Inputs | None = round_.inputs
    for this in inputs.kept if inputs is not None else ():
        overwritten.discard(this)
