"""From a round to its half maps, its program's own curves, the mask it was refined under, and its views."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks import masks
from refine_hooks.curves.relion import postprocess_fsc
from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.files.mrc import read_map
from refine_hooks.model import (
    FscCurve,
    HalfMaps,
    Masked,
    ProgramCurve,
    ProgramMask,
    ProgramMaskParameters,
    Round,
)
from refine_hooks.programs.relion.external import fsc_of_sums, half_map_from_external, states_of
from refine_hooks.programs.relion.files import Job, in_project
from refine_hooks.programs.relion.look import Inputs
from refine_hooks.programs.relion.notes import FINAL_RULE, PER_ITERATION_RULE
from refine_hooks.programs.relion.spool import discard_kept, spool_folder, spool_of_the_hook, tables_of_sums
from refine_hooks.programs.relion.tables import ClassTable, Optimiser, PostProcess
from refine_hooks.programs.relion.views import views_in

_MADE: dict[str, ProgramCurve] = {
    "unmasked": "unmasked",
    "masked": "masked",
    "randomised": "randomised",
    "corrected": "corrected",
    "mask_fraction": "scaled",
    "molecular_weight": "scaled",
}
_GOLD_STANDARD = "gold_standard"
_PADDED = 2
_Mask = tuple[Masked, str]
INSCRIBED: _Mask = (
    "inscribed_sphere",
    "RELION's sphere inscribed in the box (radius half the box, soft edge of 3 px outside it)",
)


def half_maps(round_: Round) -> HalfMaps | None:
    """The two half maps of a round, the most trustworthy that there are.

    Raises:
        NotReadyError: they are being written again at this moment.
        MapError, SumsError: they cannot be used.
    """
    inputs: Inputs = round_.inputs
    if inputs.halves is None or inputs.origin is None:
        return None
    joined_A = None if inputs.final or inputs.optimiser is None else inputs.optimiser.join_below_A
    if inputs.origin == "merged":
        return _merged(inputs, joined_A)
    voxel_A = inputs.model.voxel_size_A if inputs.model else None
    first, second = (read_map(path, voxel_A) for path in inputs.halves)
    filtered = inputs.origin == "regularised"
    masked, words = _masked_by(inputs.optimiser, inputs.kind, round_) if filtered else INSCRIBED
    return HalfMaps(
        first,
        second,
        inputs.origin,
        paths=inputs.halves,
        masked=masked,
        masked_by=words,
        independence=inputs.independence,
        joined_below_A=joined_A,
        valid_shells=_valid_shells(inputs),
        images=inputs.images,
        notes=_notes(inputs) if filtered else (),
    )


def _merged(inputs: Inputs, joined_A: float | None) -> HalfMaps:
    assert inputs.halves is not None
    voxel_A = inputs.model.voxel_size_A if inputs.model else None
    before = states_of(inputs.halves)
    (first, grid), (second, other) = (half_map_from_external(star, voxel_A) for star in inputs.halves)
    own = {_GOLD_STANDARD: fsc_of_sums(inputs.halves)} if grid == other and _is_of_the_sums(inputs) else {}
    names = " and ".join(str(star) for star in inputs.halves)
    if states_of(inputs.halves) != before:
        raise NotReadyError(f"{names}: their arrays changed while they were read")
    if grid != other:
        raise NotReadyError(
            f"{names}: are not of one iteration (image sizes {grid.current_size_px} and {other.current_size_px})"
        )
    masked, words = INSCRIBED
    return HalfMaps(
        first,
        second,
        "merged",
        masked=masked,
        masked_by=words,
        independence=inputs.independence,
        joined_below_A=joined_A,
        valid_shells=grid.shells,
        images=inputs.images,
        of_sums=own,
    )


def _valid_shells(inputs: Inputs) -> int | None:
    model = inputs.model
    if model is None or model.current_size_px < 2:
        return None
    return min(model.current_size_px // 2, model.box_px // 2)


def _masked_by(optimiser: Optimiser | None, kind: str, round_: Round) -> _Mask:
    if optimiser is None or not optimiser.flattens or kind == "body" or round_.key.iteration == 0:
        return INSCRIBED
    if optimiser.solvent_mask:
        return "mask", f"the refinement mask {optimiser.solvent_mask}"
    sphere = f"diameter {optimiser.particle_diameter_A or 0:g} A, soft edge of {optimiser.mask_edge_px:g} px outside it"
    return "sphere", f"the particle's sphere ({sphere})"


def _notes(inputs: Inputs) -> tuple[str, ...]:
    notes = ["RELION filtered these half maps by their own FSC: the curve stands, the map's fine detail is damped"]
    if inputs.optimiser is not None and inputs.optimiser.external:
        notes.append("these half maps came from an external reconstruction program")
    return tuple(notes)


def reported(round_: Round) -> list[FscCurve]:
    """RELION's FSC of this round, and the curves of a post-processing of the same half maps."""
    inputs: Inputs | None = round_.inputs
    if inputs is None or inputs.model is None or not inputs.number <= len(inputs.model.classes):
        return []
    table = inputs.model.classes[inputs.number - 1]
    curves = []
    if table.gold_standard is not None:
        curves.append(_gold_standard(inputs, round_, table, table.gold_standard))
    if inputs.postprocess is not None:
        curves += _postprocessed(inputs.postprocess, inputs.model.box_px)
    return curves


def _gold_standard(inputs: Inputs, round_: Round, table: ClassTable, fsc: NDArray[np.float64]) -> FscCurve:
    note = "repeated from an earlier iteration, because this body was kept fixed" if table.kept_fixed else None
    read = round_.facts.reported
    rule = FINAL_RULE if inputs.final else PER_ITERATION_RULE
    resolution_A, level = (read.resolution_A, read.level) if read else (None, None)
    made: ProgramCurve = "unmasked" if _is_of_the_whole_maps(inputs, table) else "fsc"
    return FscCurve(_GOLD_STANDARD, fsc, made, resolution_A, level, rule, note)


def _is_of_the_whole_maps(inputs: Inputs, table: ClassTable) -> bool:
    """Whether the FSC is that of these halves within noise: of their sums, not of denoised maps, and not of a coarse grid.

    Without padding RELION's curve is higher than that of the maps, see `refine_hooks.sums.relion.own_fsc`.
    """
    if inputs.origin == "merged":
        return _is_of_the_sums(inputs)
    optimiser, model = inputs.optimiser, inputs.model
    if optimiser is None or model is None or inputs.origin != "found" or model.padding < _PADDED:
        return False
    return not (optimiser.corrects_fsc or optimiser.blush or optimiser.gradient or table.kept_fixed)


def _is_of_the_sums(inputs: Inputs) -> bool:
    """Whether the FSC of the tables was counted from the sums: not corrected for the solvent, and not repeated."""
    optimiser, model = inputs.optimiser, inputs.model
    if optimiser is None or model is None or not inputs.number <= len(model.classes):
        return False
    return not (optimiser.corrects_fsc or optimiser.gradient or model.classes[inputs.number - 1].kept_fixed)


def _postprocessed(found: PostProcess, box_px: int) -> list[FscCurve]:
    shells = box_px // 2 + 1
    curves = []
    for name, values in found.curves.items():
        if values.size != shells or not np.any(np.isfinite(values[1:])):
            continue
        stated = (
            found.resolution_A
            if name == "corrected" or (name == "unmasked" and "corrected" not in found.curves)
            else None
        )
        rule = "last whole shell before the FSC falls below 0.143" if stated else "not read off by RELION"
        count = postprocess_fsc if name == "masked" else None
        level = 0.143 if stated else None
        of = f"of {found.path.parent.name}"
        mask = "refinement" if name in ("masked", "corrected") else None
        curves.append(FscCurve(f"postprocess_{name}", values, _MADE[name], stated, level, rule, of, count, mask))
    return curves


def refinement_mask(round_: Round, halves: HalfMaps) -> ProgramMask | None:
    """The mask of a post-processing of these halves, else the body's, else the solvent mask of that iteration.

    No mask, a mask that is gone, or one of another box, is told in words; None where it is not known.
    """
    inputs: Inputs | None = round_.inputs
    if inputs is None:
        return None
    if inputs.postprocess is not None and inputs.postprocess.mask:
        name = inputs.postprocess.mask
        where = f"the mask of PostProcess/{inputs.postprocess.path.parent.name}"
        return _loaded(inputs.job, [Path(name)], halves, where)
    if inputs.kind == "body":
        beside = _beside(inputs, f"_body{inputs.number:03d}_mask.mrc")
        return replace(_loaded(inputs.job, [beside], halves, f"the mask of body {inputs.number}"), of_a_part=True)
    if inputs.optimiser is None:
        return None
    if not inputs.optimiser.solvent_mask:
        return ProgramMask(
            None, parameters=ProgramMaskParameters(made="none"), note="the refinement used no mask but its sphere"
        )
    names = [Path(inputs.optimiser.solvent_mask)]
    # RELION writes the mask as it used it when the given one had another box or voxel size.
    fitted = _beside(inputs, "_solvent_mask.mrc")
    if in_project(inputs.job, str(fitted)).is_file():
        names.append(fitted)
    return _loaded(inputs.job, names, halves, "the refinement's solvent mask")


def _beside(inputs: Inputs, suffix: str) -> Path:
    root = inputs.stem.rpartition("_it")[0] or inputs.stem
    return inputs.job.folder / f"{root}{suffix}"


def _loaded(job: Job, names: list[Path], halves: HalfMaps, what: str) -> ProgramMask:
    faults = []
    for name in dict.fromkeys(names):
        path = in_project(job, str(name))
        if not path.is_file():
            faults.append(f"{name} is not there any more")
            continue
        try:
            mask = read_map(path)
        except RefineHooksError as error:
            faults.append(f"{name}: {error.faults[0]}")
            continue
        misfits = masks.misfits(mask.voxels.shape, mask.voxel_size_A, halves.half1.box_px, halves.half1.voxel_size_A)
        if misfits:
            faults.append(f"{name}: {misfits[0]}")
            continue
        return ProgramMask(mask, path, ProgramMaskParameters(source=what, file=str(name)), None)
    parameters = ProgramMaskParameters(source=what, file=str(names[0]))
    return ProgramMask(None, None, parameters, f"{what} cannot be used: {'; '.join(faults)}")


def viewing_directions(round_: Round) -> NDArray[np.float64] | None:
    """Views per bin [theta 0..180, phi 0..360], from the particles' table of that round."""
    inputs: Inputs | None = round_.inputs
    if inputs is None or inputs.data is None:
        return None
    return views_in(inputs.data, inputs.job.memory)


def discard(round_: Round, spool: Path) -> None:
    """Remove the kept arrays of a round, whatever it was measured from; RELION's own beside its job are never touched."""
    inputs: Inputs | None = round_.inputs
    if inputs is None:
        return
    for folder in (spool_folder(spool, inputs.job.run), spool_of_the_hook(inputs.job)):
        for name in tables_of_sums(inputs.stem, inputs.kind, inputs.number):
            if (folder / name).exists():
                discard_kept(folder / name)
