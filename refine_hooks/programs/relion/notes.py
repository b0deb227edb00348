"""What RELION says of a round in words and numbers, and what a reader must know of it."""

import re
from collections.abc import Sequence
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.reading import open_plain
from refine_hooks.model import Changes, Facts, ProgramWarning, Reported, WarningCode
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.relion.tables import ClassTable, Model, Optimiser, PostProcess, read_symmetry

_ERRORS_BYTES = 256 << 10
_WARNINGS = 5
_CODES: tuple[tuple[re.Pattern[str], WarningCode], ...] = (
    (re.compile(r"rose again", re.I), "fsc_rises_again"),
    (re.compile(r"never (drops|drop|falls|dropped) below 0\.8", re.I), "never_below_0.8"),
    (re.compile(r"unmasked FSC extends beyond", re.I), "unmasked_beyond_masked"),
    (re.compile(r"phase-randomi[sz]ed FSC is larger", re.I), "randomised_fsc_large"),
)

PER_ITERATION_RULE = "FSC = 0.5 (RELION: signal-to-noise ratio of the half maps below 1)"
FINAL_RULE = "FSC = 0.143 (RELION: signal-to-noise ratio of the joined map below 1)"
CLASS_RULE = "signal-to-noise ratio of the map below 1 (RELION, no half maps)"


def facts_of(
    *,
    memory: Memory,
    model: Model | None,
    number: int,
    optimiser: Optimiser | None,
    images: tuple[int | None, int | None],
    postprocess: PostProcess | None,
    final: bool,
    first: bool,
    split: bool,
    samplings: Sequence[Path],
) -> Facts:
    """A round's facts.

    Args:
        memory: of the project that was opened.
        model: its model table, None when it never came.
        number: class or body.
        optimiser: the settings.
        images: particles in each half.
        postprocess: a post-processing of these very halves.
        final: the last, joined round.
        first: iteration 0, the reference that the run began with.
        split: whether the two halves were refined apart.
        samplings: tables that state the symmetry; any whole one will do.
    """
    diameter_A = optimiser.particle_diameter_A if optimiser else None
    table = _class_of(model, number)
    both = None if images[0] is None or images[1] is None else images[0] + images[1]
    return Facts(
        voxel_size_A=model.voxel_size_A if model else None,
        molecular_mass_kDa=postprocess.molecular_mass_kDa if postprocess else None,
        sphere_radius_A=diameter_A / 2 if diameter_A else None,
        alignment_limit_A=None if split else _aligned_to(model),
        reconstruction_limit_A=_ends_at(model),
        symmetry=_symmetry(optimiser, samplings, memory),
        particles=both if split else _particles(model, table),
        reported=None if first else _reported(model, table, final, split),
        changes=None if first or final else _changes(optimiser, model),
        accuracy=table.accuracy if table is not None and not first else None,
        own_numbers=optimiser is not None and optimiser.gradient,  # only every tenth iteration is written, and the last
        notes=tuple(_notes(table, optimiser, first, split, final)),
    )


def _changes(optimiser: Optimiser | None, model: Model | None) -> Changes | None:
    """With one class RELION counts all particles as changed at first, and none afterwards: that is no news."""
    changes = optimiser.changes if optimiser else None
    one_class = model is not None and (model.bodies or len(model.classes) == 1)
    return changes.model_copy(update={"classes": None}) if changes and one_class else changes


def _particles(model: Model | None, table: ClassTable | None) -> int | None:
    """Of one class: RELION's class distribution, the sum of its particles' probabilities."""
    if model is None or model.particles is None or len(model.classes) == 1 or model.bodies:
        return model.particles if model else None
    return round(model.particles * table.share) if table is not None and table.share is not None else None


def _class_of(model: Model | None, number: int) -> ClassTable | None:
    return model.classes[number - 1] if model and 0 < number <= len(model.classes) else None


def _reported(model: Model | None, table: ClassTable | None, final: bool, split: bool) -> Reported | None:
    """RELION's one number is of the whole run; with several classes or bodies each has its own."""
    if model is None or table is None:
        return None
    level, rule = (0.143, FINAL_RULE) if final else (0.5, PER_ITERATION_RULE) if split else (None, CLASS_RULE)
    resolution_A = model.current_resolution_A if len(model.classes) == 1 else table.estimated_resolution_A
    if not resolution_A or resolution_A >= 999:
        return None
    return Reported(resolution_A=resolution_A, level=level, rule=rule)


def _ends_at(model: Model | None) -> float | None:
    """Where the sums of this round end, if before Nyquist."""
    if model is None or not 2 <= model.current_size_px < model.box_px - 1:
        return None
    return model.box_px * model.voxel_size_A / (model.current_size_px // 2)


def _aligned_to(model: Model | None) -> float | None:
    """The finest shell of the one reference that all particles were aligned to: the image size of the round."""
    if model is None or model.current_size_px < 2:
        return None
    return model.box_px * model.voxel_size_A / (model.current_size_px // 2)


def _symmetry(optimiser: Optimiser | None, samplings: Sequence[Path], memory: Memory) -> str | None:
    if optimiser and optimiser.symmetry:
        return optimiser.symmetry
    for path in samplings:
        try:
            return memory.file(read_symmetry, path)
        except RefineHooksError:
            continue
    return None


def _notes(table: ClassTable | None, optimiser: Optimiser | None, first: bool, split: bool, final: bool) -> list[str]:
    notes = []
    if first and split:
        notes.append(
            "the reference that the run began with: both halves are copies of one map, which nothing can be read off"
        )
    if not split:
        notes.append(
            "RELION keeps no half maps of this kind of job, and aligns all particles of a class to one reference"
        )
    if table and table.kept_fixed:
        notes.append("this body was kept fixed: RELION repeats an earlier FSC, and made no half maps")
    if table and table.helix and not first:
        rise_A, twist_deg = table.helix
        notes.append(
            f"a helix of {rise_A:g} A rise and {twist_deg:g} degrees twist a subunit, which RELION imposed on its sums"
        )
    if optimiser is None or not split or first:
        return notes
    if optimiser.blush:
        notes.append("refined with Blush: the references of the iterations are denoised")
    if optimiser.local_symmetry and not final:
        notes.append("local symmetry was applied to the maps after reconstruction, not to RELION's own FSC")
    if optimiser.corrects_fsc:
        notes.append("RELION's own FSC is that under its mask, corrected for the mask by phase randomisation")
    return notes


def _errors(path: Path) -> tuple[ProgramWarning, ...]:
    with open_plain(path) as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - _ERRORS_BYTES))
        text = stream.read(_ERRORS_BYTES).decode("utf-8", "replace")
    lines = (" ".join(line.replace("\r", " ").split()) for line in text.splitlines())
    said = dict.fromkeys(line for line in lines if "WARNING" in line.upper() and "FSC" in line.upper())
    return tuple(
        ProgramWarning(code=_code(line), text=line[:300], source=path.name) for line in list(said)[-_WARNINGS:]
    )


def _code(line: str) -> WarningCode:
    return next((code for pattern, code in _CODES if pattern.search(line)), "other")


def run_warnings(path: Path, memory: Memory) -> tuple[ProgramWarning, ...]:
    """RELION's own warnings about its FSC, from the end of ``run.err``; they do not say which iteration they are of."""
    try:
        return memory.file(_errors, path)
    except (RefineHooksError, OSError):
        return ()
