"""The particles of one round of a RELION job, and what its optimiser says of how they were added up."""

import re
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path

import numpy as np

from refine_hooks.errors import NotReadyError, ParticlesError
from refine_hooks.files.mrc import same_voxel_size
from refine_hooks.files.reading import open_plain
from refine_hooks.files.star import Block, parse_star
from refine_hooks.log.checks import Duplicates
from refine_hooks.model import Independence, Round
from refine_hooks.particles import CTF_PHASE_FLIPPED, CTF_PLAIN, Helix, ParticlesJob, require_both_halves
from refine_hooks.particles.doubles import NEAR, in_both_halves
from refine_hooks.particles.relion import read_places, read_star
from refine_hooks.programs._reading import read_text

NOTE = (
    "RELION masks the images to the particle's sphere and brings them to one norm before insertion; here they are inserted as they "
    "are, so that these half maps are noisier than its _unfil pair"
)
_HEAD_BYTES = 1 << 20
_SKIPS_GRIDDING_SINCE = 4
_UNITS = "--helical_nr_asu"
_REFUSED = {
    "rlnDoIgnoreCtfUntilFirstPeak": "the CTF was left out up to its first peak (--ctf_intact_first_peak)",
    "rlnDoOnlyFlipCtfPhases": "the CTF was corrected by its phases alone (--only_flip_phases)",
}


def particles(round_: Round) -> ParticlesJob:
    """The particles behind a round: its own ``data.star``, split by rlnRandomSubset.

    Raises:
        ParticlesError: the round's tables or a stack are not there, it is a body of a multi-body refinement, or the refinement
            did something that is not repeated here.
    """
    inputs = round_.inputs
    if inputs is None:
        raise ParticlesError(f"{round_.key} {round_.label}: {round_.fault or ', '.join(round_.missing)}")
    table = inputs.particles_table
    if not table.is_file():
        raise ParticlesError(f"{table}: is not there (any more), so this round's particles are not known")
    symmetry = (round_.facts.symmetry or "C1").upper()
    if inputs.kind != "class":
        raise ParticlesError(f"{table}: bodies of a multi-body refinement are not reconstructed here")
    optimiser = table.with_name(f"{inputs.stem}_optimiser.star")
    general, options, gridding = _how_summed(optimiser)
    _refuse_unlike(optimiser, general)
    helix = _helix(round_, optimiser, general, options)
    rows = read_star(table, root=inputs.job.project, class_id=round_.key.class_id)
    if general.whole("rlnCtfDataArePhaseFlipped") == 1:
        rows = replace(rows, ctf_kind=np.where(rows.ctf_kind == CTF_PLAIN, CTF_PHASE_FLIPPED, rows.ctf_kind))
    require_both_halves(rows)
    independence: Independence = "shared_reference" if rows.alternating else inputs.independence
    sizes_A = tuple(np.unique(rows.pixel_size_A[rows.used]).tolist())
    other = other_pixel_size(sizes_A, round_.facts.voxel_size_A, table)
    notes = (NOTE, *(f"{note}; this map is made with the former" for note in other))
    if helix is not None:
        notes = (*notes, _helical_note(helix, general))
    grid = None if other or inputs.model is None else (inputs.model.box_px, inputs.model.voxel_size_A)
    if grid is not None and len(sizes_A) > 1:
        listed = ", ".join(f"{size_A:g}" for size_A in sizes_A)
        notes = (
            *notes,
            f"the images have pixels of {listed} A; the map has the model table's box and pixel, as RELION's",
        )
    return ParticlesJob(
        rows,
        "relion",
        symmetry=symmetry,
        helix=helix,
        gridding=gridding,
        independence=independence,
        grid=grid,
        notes=notes,
    )


def duplicates(round_: Round) -> Duplicates | None:
    """Particles that are in both half sets, by the round's own table; None where there is none, or it says nothing of places."""
    inputs = round_.inputs
    if inputs is None or inputs.data is None or inputs.kind != "class" or _is_helix(round_):
        return None
    class_id = round_.key.class_id if inputs.model is not None and len(inputs.model.classes) > 1 else None
    try:
        places = read_places(inputs.data, class_id)
    except ParticlesError:
        return None
    return None if places is None else in_both_halves(places, NEAR * 2 * (round_.facts.sphere_radius_A or 0.0))


def _how_summed(optimiser: Path) -> tuple[Block, list[str], bool]:
    """The optimiser's own table and call, empty where there is none, and whether the sampling was made even (gridding)."""
    try:
        text = read_text(optimiser)
    except NotReadyError:
        return Block({}, {}), [], True
    head = text[: text.find("\ndata_")]
    version = re.search(r"version (\d+)", head)
    options = head.split()
    since_4 = version is not None and _SKIPS_GRIDDING_SINCE <= int(version[1]) < 1000
    skips = "--skip_gridding" in options or (since_4 and "--dont_skip_gridding" not in options)
    return parse_star(text, str(optimiser)).get("optimiser_general", Block({}, {})), options, not skips


def _is_helix(round_: Round) -> bool:
    model = round_.inputs.model
    return model is not None and any(table.helix is not None for table in model.classes)


def _helix(round_: Round, optimiser: Path, general: Block, options: list[str]) -> Helix | None:
    """The helical symmetry that RELION imposed on the sums of a round; None where it imposed none.

    Raises:
        ParticlesError: it did, and the tables do not say which.
    """
    model = round_.inputs.model
    if not (_is_helix(round_) or general.whole("rlnDoHelicalRefine") == 1):
        return None
    if general.whole("rlnIgnoreHelicalSymmetry") == 1 or "--ignore_helical_symmetry" in options:
        return None
    units = model.helical_units if model is not None else None
    if units is None:
        said = options[options.index(_UNITS) + 1 :][:1] if _UNITS in options else []
        units = int(said[0]) if said and said[0].isdecimal() else None
    rise_A, twist_deg = (model.classes[round_.inputs.number - 1].helix if model is not None else None) or (nan, nan)
    if units is None or not isfinite(rise_A) or not isfinite(twist_deg):
        what = f"{rise_A:g} A rise, {twist_deg:g} degrees twist, {units or 'an unknown number of'} units in a box"
        raise ParticlesError(
            f"{optimiser}: helical symmetry was imposed, and the tables do not tell it all ({what}): this round is not "
            "reconstructed; use relion_reconstruct with --helical_rise, --helical_twist and --nr_helical_asu"
        )
    return Helix(rise_A, twist_deg, units) if units > 1 else None


def _helical_note(helix: Helix, general: Block) -> str:
    found = general.whole("rlnHelicalSymmetryLocalRefinement") == 1
    when = ", as this round found them once its own sums were made" if found else ""
    return (
        f"helical symmetry of {helix.units} units, {helix.rise_A:g} A rise and {helix.twist_deg:g} degrees twist{when}, was "
        "imposed on the sums as RELION does; what it does to its references in real space (the central Z percentage) is not in its "
        "unfiltered half maps, and not in these"
    )


def _refuse_unlike(optimiser: Path, general: Block) -> None:
    faults = [f"{optimiser}: {what}" for name, what in _REFUSED.items() if general.whole(name) == 1]
    if general.whole("rlnDoCorrectCtf") == 0:
        faults.append(f"{optimiser}: the CTF was not corrected (no --ctf)")
    if faults:
        raise ParticlesError(
            *(f"{fault}, which is not repeated here: this round is not reconstructed" for fault in faults)
        )


def pixel_sizes_A(table: Path) -> tuple[float, ...]:
    """The pixel sizes of the optics groups of a ``data.star``; empty where it states none (RELION 3.0).

    Raises:
        OSError, NotReadyError: it cannot be read, or is being written.
    """
    with open_plain(table) as stream:
        head = stream.read(_HEAD_BYTES).decode("utf-8", "replace").partition("\ndata_particles")[0]
    sizes_A = parse_star(head, str(table)).get("optics", Block({}, {})).array("rlnImagePixelSize")
    return () if sizes_A is None else tuple(np.unique(sizes_A[np.isfinite(sizes_A)]).tolist())


def other_pixel_size(sizes_A: tuple[float, ...], model_A: float | None, table: Path | str) -> tuple[str, ...]:
    """A word where the model's pixel size is that of no particle: a table is wrong, or the particles were rescaled since."""
    if not model_A or not sizes_A or any(same_voxel_size(size_A, model_A) for size_A in sizes_A):
        return ()
    listed = ", ".join(f"{size_A:g}" for size_A in sizes_A[:4])
    return (f"{table}: its pixel size is {listed} A, the model table's is {model_A:g} A",)
