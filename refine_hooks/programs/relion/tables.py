"""What RELION's tables say of a round: the model, the optimiser's settings, a post-processing."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError
from refine_hooks.files.star import Block
from refine_hooks.model import Accuracy, Changes
from refine_hooks.programs._reading import read_text
from refine_hooks.programs.relion.star import read_star

_COMMAND_LINES = 5
_NO_CHANGE_YET = 999.0  # what RELION writes before the second iteration


@dataclass(frozen=True, slots=True)
class ClassTable:
    """One class or body: its FSC by shell 0..N//2 (NaN beyond the round's image size), None where there is none.

    ``share`` is its part of the particles, 0..1; ``helix`` is the rise in A and the twist in degrees (NaN where not stated), None
    where no helix was refined.
    """

    gold_standard: NDArray[np.float64] | None = field(compare=False)
    estimated_resolution_A: float | None
    share: float | None
    kept_fixed: bool
    helix: tuple[float, float] | None = None
    accuracy: Accuracy | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A ``*_model.star`` that is whole."""

    box_px: int
    voxel_size_A: float
    current_size_px: int
    current_resolution_A: float | None
    particles: int | None
    bodies: bool
    classes: tuple[ClassTable, ...]
    padding: float = 2.0
    helical_units: int | None = None


@dataclass(frozen=True, slots=True)
class Optimiser:
    """What is used of a ``*_optimiser.star``."""

    particle_diameter_A: float | None
    mask_edge_px: float
    join_below_A: float | None
    flattens: bool
    solvent_mask: str
    corrects_fsc: bool
    external: bool
    blush: bool
    gradient: bool
    local_symmetry: bool
    symmetry: str | None
    changes: Changes | None


def read_model(path: Path) -> Model:
    """A model table, checked to be whole: RELION closes it after the maps that it describes.

    Raises:
        NotReadyError: not there, or its tables are not complete.
    """
    blocks = read_star(path, until="model_pdf_orient")
    try:
        general, groups = blocks["model_general"], blocks["model_groups"]
    except KeyError as error:
        raise NotReadyError(f"{path}: has no table {error} yet") from error
    box, voxel = general.whole("rlnOriginalImageSize"), general.number("rlnPixelSize")
    current = general.whole("rlnCurrentImageSize")
    if not box or not voxel or current is None:
        raise NotReadyError(f"{path}: does not state box, pixel size and current image size")
    bodies = (general.whole("rlnNrBodies") or 1) > 1
    count = general.whole("rlnNrBodies" if bodies else "rlnNrClasses") or 1
    kind = "body" if bodies else "class"
    listed = blocks.get("model_bodies" if bodies else "model_classes", Block({}, {}))
    helix = general.whole("rlnIsHelix") == 1
    classes = tuple(_class_table(path, blocks, listed, kind, i, box, current, helix) for i in range(count))
    return Model(
        box,
        voxel,
        current,
        general.number("rlnCurrentResolution"),
        _particles(path, general, groups),
        bodies,
        classes,
        general.number("rlnPaddingFactor") or 2.0,
        general.whole("rlnNrHelicalAsymUnits"),
    )


def _class_table(
    path: Path, blocks: dict[str, Block], listed: Block, kind: str, i: int, box_px: int, current_px: int, helix: bool
) -> ClassTable:
    table = blocks.get(f"model_{kind}_{i + 1}")
    shells = box_px // 2 + 1
    fsc = None if table is None else table.array("rlnGoldStandardFsc")
    if table is None or len(table.columns.get("rlnSpectralIndex", ())) != shells:
        raise NotReadyError(f"{path}: its table of {kind} {i + 1} does not hold {shells} shells yet")
    resolution, fixed = _row(listed, "rlnEstimatedResolution", i), _row(listed, "rlnBodyKeepFixed", i)
    share = _row(listed, "rlnClassDistribution", i)
    lattice = _helix(listed, i) if helix else None
    return ClassTable(_measured(fsc, current_px), resolution, share, bool(fixed), lattice, _accuracy(listed, i))


def _accuracy(listed: Block, i: int) -> Accuracy | None:
    """RELION's expected errors; it writes 999 where it has not estimated them."""
    found = (_row(listed, column, i) for column in ("rlnAccuracyRotations", "rlnAccuracyTranslationsAngst"))
    rotations, offsets = (one if one is not None and 0 < one < 999 else None for one in found)
    return None if rotations is None and offsets is None else Accuracy(rotations_deg=rotations, offsets_A=offsets)


def _helix(listed: Block, i: int) -> tuple[float, float]:
    rise_A, twist_deg = _row(listed, "rlnHelicalRise", i), _row(listed, "rlnHelicalTwist", i)
    return (np.nan if rise_A is None else rise_A, np.nan if twist_deg is None else twist_deg)


def _measured(fsc: NDArray[np.float64] | None, current_px: int) -> NDArray[np.float64] | None:
    """The zeros beyond the image size of the round are a cut-off, not a measurement; a column of zeros is none at all."""
    if fsc is None or not np.any(fsc[1:] != 0):
        return None
    curve = fsc.copy()
    if current_px > 0:
        curve[current_px // 2 + 1 :] = np.nan
    return curve


def _row(block: Block, column: str, i: int) -> float | None:
    values = block.array(column)
    return float(values[i]) if values is not None and i < len(values) and np.isfinite(values[i]) else None


def _particles(path: Path, general: Block, groups: Block) -> int | None:
    expected = general.whole("rlnNrGroups")
    counts = groups.array("rlnGroupNrParticles")
    if expected is not None and len(groups.columns.get("rlnGroupNumber", ())) != expected:
        raise NotReadyError(f"{path}: does not list its {expected} groups yet")
    if counts is None or not np.all(np.isfinite(counts)):
        return None
    return int(counts.sum())


def read_optimiser(path: Path) -> Optimiser:
    """The settings of a round. RELION writes this file first, before the maps that it names.

    Raises:
        NotReadyError: not there, or not whole.
    """
    text = read_text(path)
    general = read_star(path).get("optimiser_general")
    if general is None:
        raise NotReadyError(f"{path}: has no table optimiser_general yet")
    join = general.number("rlnJoinHalvesUntilThisResolution")
    return Optimiser(
        particle_diameter_A=_positive(general.number("rlnParticleDiameter")),
        mask_edge_px=general.number("rlnWidthMaskEdge") or 0.0,
        join_below_A=_positive(join),
        flattens=general.whole("rlnDoSolventFlattening") == 1,
        solvent_mask=general.text("rlnSolventMaskName"),
        corrects_fsc=general.whole("rlnDoSolventFscCorrection") == 1,
        external=general.whole("rlnDoExternalReconstruct") == 1,
        blush=general.whole("rlnDoBlush") == 1,
        gradient=1 in (general.whole("rlnDoGradientRefine"), general.whole("rlnDoStochasticGradientDescent")),
        local_symmetry=bool(general.text("rlnLocalSymmetryFile")),
        symmetry=_symmetry_asked_for(text),
        changes=_changes(general, in_A="\n# version " in text),
    )


def _changes(general: Block, *, in_A: bool) -> Changes | None:
    """RELION counts the offsets in A since 3.1, whose tables begin with a version; before, in pixels of what it read."""
    angles, offsets, classes = (
        general.number(f"rlnChangesOptimal{what}") for what in ("Orientations", "Offsets", "Classes")
    )
    if angles is None or offsets is None or max(angles, offsets) >= _NO_CHANGE_YET:
        return None
    return Changes(orientations_deg=angles, offsets_A=offsets if in_A else None, classes=classes)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _symmetry_asked_for(text: str) -> str | None:
    """The option ``--sym`` of the command line, which RELION writes into the first comments."""
    for line in text.splitlines()[:_COMMAND_LINES]:
        words = line.split()
        if line.startswith("#") and "--sym" in words[:-1]:
            return words[words.index("--sym") + 1]
    return None


def read_symmetry(path: Path) -> str | None:
    """The point group of a ``*_sampling.star``.

    Raises:
        NotReadyError: not there, or truncated: both halves write this one file.
    """
    general = read_star(path, until="sampling_directions").get("sampling_general")
    if general is None:
        raise NotReadyError(f"{path}: has no table sampling_general yet")
    return general.text("rlnSymmetryGroup") or None


@dataclass(frozen=True, slots=True)
class PostProcess:
    """A ``postprocess.star``: what it was made from and its curves over the shells 0..N//2."""

    path: Path
    half1: str
    half2: str
    mask: str
    resolution_A: float | None
    molecular_mass_kDa: float | None
    curves: dict[str, NDArray[np.float64]] = field(compare=False)


_POSTPROCESS_COLUMNS = {
    "unmasked": ("rlnFourierShellCorrelationUnmaskedMaps",),
    "masked": ("rlnFourierShellCorrelationMaskedMaps",),
    "randomised": ("rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",),
    "corrected": ("rlnFourierShellCorrelationCorrected",),
    "mask_fraction": ("rlnFourierShellCorrelationParticleMaskFraction",),
    "molecular_weight": (
        "rlnFourierShellCorrelationParticleMolWeight",
        "rlnFourierShellCorrelationPartMolWeight",
    ),
}


def read_postprocess(path: Path) -> PostProcess:
    """A post-processing.

    Raises:
        NotReadyError: not there, or not whole.
    """
    blocks = read_star(path, until="guinier")
    general, fsc = blocks.get("general"), blocks.get("fsc")
    if general is None or fsc is None or not fsc.columns.get("rlnSpectralIndex"):
        raise NotReadyError(f"{path}: has no table of the FSC yet")
    curves = {}
    for name, columns in _POSTPROCESS_COLUMNS.items():
        found = next((fsc.array(column) for column in columns if column in fsc.columns), None)
        if found is not None:
            curves[name] = found
    return PostProcess(
        path,
        general.text("rlnUnfilteredMapHalf1"),
        general.text("rlnUnfilteredMapHalf2"),
        general.text("rlnMaskName"),
        _positive(general.number("rlnFinalResolution")),
        _positive(general.number("rlnMolecularWeight")),
        curves,
    )
