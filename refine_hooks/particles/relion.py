"""RELION's ``data.star``: 3.0 (everything in one table) and 3.1 or later (optics groups).

Higher-order aberrations and magnification matrices are refused: leaving them out would give a map that looks worse than it is.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.files.star import Block
from refine_hooks.particles import CTF_PHASE_FLIPPED, CTF_PLAIN, CTF_PREMULTIPLIED, Particles, table
from refine_hooks.particles.doubles import Places
from refine_hooks.particles.star import Texts, read_table

_ANGLES = {"AngleRot": "phi_deg", "AngleTilt": "theta_deg", "AnglePsi": "psi_deg"}
_DEFOCUS = {"DefocusU": "defocus_1_A", "DefocusV": "defocus_2_A", "DefocusAngle": "defocus_angle_deg"}
_MICROSCOPE = {
    "Voltage": "voltage_kV",
    "SphericalAberration": "cs_mm",
    "AmplitudeContrast": "amplitude_contrast",
    "BeamTiltX": "beam_tilt_x_mrad",
    "BeamTiltY": "beam_tilt_y_mrad",
    "CtfScalefactor": "ctf_scale",
    "CtfBfactor": "ctf_b_factor_A2",
}
_OTHERS = (
    "OpticsGroup ClassNumber RandomSubset PhaseShift ImagePixelSize DetectorPixelSize Magnification ImageDimensionality "
    "OriginX OriginY OriginXAngst OriginYAngst CtfDataAreCtfPremultiplied CtfDataArePhaseFlipped "
    "MagMat00 MagMat01 MagMat10 MagMat11 HelicalTubeID"
)
_ZERNIKE = {"OddZernike": "antisymmetric aberrations", "EvenZernike": "symmetric aberrations"}
_NUMBERS = {f"rln{label}" for label in (*_ANGLES, *_DEFOCUS, *_MICROSCOPE, *_OTHERS.split())}
_TILTS = "rlnTomoSubTomosAre2DStacks"
_IMAGE = "rlnImageName"
_MICROSCOPE_NEEDED = ("Voltage", "SphericalAberration", "AmplitudeContrast")


class _Star:
    """Columns of a data.star by label: from the particles' table, or spread out from the optics groups'."""

    def __init__(self, path: Path, numbers: set[str], texts: set[str]) -> None:
        self.path = path
        self.table = read_table(path, _IMAGE, numbers, texts)
        blocks = self.table.others.values()
        tilts = [v for b in blocks for v in (b.values.get(_TILTS), *b.columns.get(_TILTS, ()))]
        self.stacks_of_tilts = "1" in tilts
        self.optics = self.table.others.get("optics")
        self.group = self._group_rows() if self.optics is not None else None

    def _group_rows(self) -> NDArray[np.int64]:
        numbers, mine = self._of_optics("OpticsGroup"), self.table.numbers.get("rlnOpticsGroup")
        if numbers is None or mine is None:
            raise ParticlesError(
                f"{self.path}: has a table of optics groups, but rlnOpticsGroup is missing from it or from the particles"
            )
        rows = np.searchsorted(np.sort(numbers), mine)
        order = np.argsort(numbers)
        known = (rows < numbers.size) & (np.sort(numbers)[np.minimum(rows, numbers.size - 1)] == mine)
        if not known.all():
            first = int(np.argmin(known))
            raise ParticlesError(
                f"{self.path}: particle {first + 1} is of optics group {mine[first]:g}, which the file does not describe"
            )
        return np.asarray(order[rows], np.int64)

    def _of_optics(self, label: str) -> NDArray[np.float64] | None:
        """One value a group."""
        block = self.optics or Block({}, {})
        values = block.columns.get(f"rln{label}") or [
            block.values[name] for name in (f"rln{label}",) if name in block.values
        ]
        try:
            return np.array(values, np.float64) if values else None
        except ValueError as error:
            raise ParticlesError(f"{self.path}: rln{label} of an optics group is no number ({error})") from error

    def column(self, label: str) -> NDArray[np.float64] | None:
        """One value a particle; the particles' own column goes before the optics group's."""
        own = self.table.numbers.get(f"rln{label}")
        if own is not None or self.group is None:
            return own
        of_group = self._of_optics(label)
        return None if of_group is None else of_group[self.group]

    def texts(self, label: str) -> list[str]:
        """All different texts of one column."""
        own = self.table.texts.get(f"rln{label}")
        return list(own.different) if own else list(self.optics.columns.get(f"rln{label}", ())) if self.optics else []


def read_star(
    path: Path, *, root: Path | None = None, class_id: int | None = None, stack: Path | None = None, **known: float
) -> Particles:
    """Particles of a RELION STAR file.

    Args:
        path: ``particles.star`` or ``run_data.star``.
        root: the project's folder, which stack paths start from; None: the first folder at or above the file where they fit.
        class_id: only particles of this class (rlnClassNumber); None for all.
        stack: one stack that replaces the paths of the file.
        known: values for columns that the file leaves out, e.g. ``pixel_size_A``.

    Raises:
        ParticlesError: every column that is missing, or something in the file that cannot be reconstructed.
    """
    star = _Star(path, _NUMBERS, {f"rln{label}" for label in _ZERNIKE})
    _refuse_unsupported(star)
    columns = _columns(star, known)
    image = star.table.numbers[_IMAGE]
    if not image.size:
        raise ParticlesError(f"{path}: holds no particles")
    columns["image"] = image
    unique, columns["stack"] = _sorted(star.table.texts[_IMAGE])
    stacks = (stack,) if stack is not None else _located([Path(name) for name in unique], path, root)
    columns["stack"] = np.zeros_like(columns["stack"]) if stack is not None else columns["stack"]
    notes: tuple[str, ...] = ()
    if "half" not in columns:
        columns["half"] = 1 + np.arange(image.size) % 2
        notes = ("rlnRandomSubset is missing: halves were taken by alternating rows, and they share one reference",)
    classes = star.column("ClassNumber")
    used = None if class_id is None or classes is None else classes == class_id
    if used is not None and not used.any():
        raise ParticlesError(f"{path}: has no particle of class {class_id}")
    read = table(columns, stacks=stacks, source=str(path), used=used, notes=notes, first_line=star.table.first_line)
    filaments = star.column("HelicalTubeID") is not None
    return replace(read, alternating=star.column("RandomSubset") is None, of_filaments=filaments)


_PLACES = (
    "OpticsGroup RandomSubset ClassNumber CoordinateX CoordinateY OriginX OriginY OriginXAngst OriginYAngst "
    "MicrographOriginalPixelSize ImagePixelSize DetectorPixelSize Magnification HelicalTubeID"
)


def read_places(path: Path, class_id: int | None = None) -> Places | None:
    """Where the particles of a RELION STAR file lie; None where it has no half sets, or holds tilts or segments of filaments.

    Args:
        path: ``run_data.star``.
        class_id: only particles of this class (rlnClassNumber); None for all.

    Raises:
        ParticlesError: it cannot be read.
    """
    star = _Star(path, {f"rln{label}" for label in _PLACES.split()}, {"rlnMicrographName"})
    half = star.column("RandomSubset")
    if half is None or star.stacks_of_tilts or star.column("HelicalTubeID") is not None:
        return None
    rows = np.ones(half.size, bool)
    classes = star.column("ClassNumber")
    if class_id is not None and classes is not None:
        rows = classes == class_id
    stack, image = star.table.texts[_IMAGE].which, star.table.numbers[_IMAGE].astype(np.int64)
    found = Places(1 + np.flatnonzero(rows), stack[rows], image[rows], half[rows].astype(np.int64))
    micrograph = star.table.texts.get("rlnMicrographName")
    x_A, y_A = (_centre_A(star, axis) for axis in "XY")
    if micrograph is None or x_A is None or y_A is None:
        return found
    return replace(found, micrograph=micrograph.which[rows], x_A=x_A[rows], y_A=y_A[rows])


def _centre_A(star: _Star, axis: str) -> NDArray[np.float64] | None:
    """One coordinate of each particle in its micrograph, with the shift that it was refined to."""
    coordinate_px = star.column(f"Coordinate{axis}")
    missing: list[str] = []
    pixel_A = _pixel_size(star, {}, missing)
    if coordinate_px is None or missing:
        return None
    micrograph_A = star.column("MicrographOriginalPixelSize")
    origin_A = _origin(star, axis, pixel_A)
    return np.asarray(coordinate_px * (pixel_A if micrograph_A is None else micrograph_A) - origin_A, np.float64)


def _columns(star: _Star, known: dict[str, float]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    missing = []
    for label, name in {**_ANGLES, **_DEFOCUS, **_MICROSCOPE}.items():
        values = star.column(label)
        if values is not None:
            columns[name] = values
        elif name in known:
            columns[name] = known[name]
        elif label in _ANGLES or label in _DEFOCUS or label in _MICROSCOPE_NEEDED:
            missing.append(f"rln{label}")
    columns["pixel_size_A"] = _pixel_size(star, known, missing)
    if missing:
        raise ParticlesError(
            f"{star.path}: lacks {', '.join(missing)}; is this a file with orientations (run_data.star)?"
        )
    for axis in "XY":
        columns[f"shift_{axis.lower()}_A"] = -_origin(star, axis, columns["pixel_size_A"])
    phase = star.column("PhaseShift")
    columns["phase_shift_rad"] = 0.0 if phase is None else np.deg2rad(phase)
    half = star.column("RandomSubset")
    if half is not None:
        columns["half"] = half
    columns["ctf_kind"] = _ctf_kind(star)
    return columns


def _pixel_size(star: _Star, known: dict[str, float], missing: list[str]) -> Any:
    if "pixel_size_A" in known:
        return known["pixel_size_A"]
    size = star.column("ImagePixelSize")
    if size is None:
        detector, magnification = star.column("DetectorPixelSize"), star.column("Magnification")
        size = None if detector is None or magnification is None else 1e4 * detector / magnification
    if size is None:
        missing.append("rlnImagePixelSize (or rlnDetectorPixelSize and rlnMagnification)")
        return 0.0
    return size


def _origin(star: _Star, axis: str, pixel_size_A: Any) -> Any:
    origin_A = star.column(f"Origin{axis}Angst")
    if origin_A is not None:
        return origin_A
    origin_px = star.column(f"Origin{axis}")
    return 0.0 if origin_px is None else origin_px * pixel_size_A


def _ctf_kind(star: _Star) -> Any:
    premultiplied, flipped = star.column("CtfDataAreCtfPremultiplied"), star.column("CtfDataArePhaseFlipped")
    kind: Any = CTF_PLAIN
    if flipped is not None:
        kind = np.where(flipped > 0, CTF_PHASE_FLIPPED, kind)
    return kind if premultiplied is None else np.where(premultiplied > 0, CTF_PREMULTIPLIED, kind)


def _sorted(names: Texts) -> tuple[list[str], NDArray[np.int64]]:
    """The different names in their order, and which of them each particle has."""
    order = np.argsort(names.different)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return [names.different[i] for i in order], place[names.which]


def _located(stacks: list[Path], path: Path, root: Path | None) -> tuple[Path, ...]:
    folders = [root] if root is not None else list(path.resolve().parents)
    home = next((f for f in folders if (f / stacks[0]).is_file()), folders[0])
    return tuple(home / stack for stack in stacks)


def _refuse_unsupported(star: _Star) -> None:
    faults = []
    if star.stacks_of_tilts:
        faults.append(
            f"{star.path}: holds subtomograms as stacks of 2D tilt images (rlnTomoSubTomosAre2DStacks 1); only single particle "
            "images can be reconstructed here: use relion_tomo_reconstruct_particle"
        )
        raise ParticlesError(*faults)
    for label, what in _ZERNIKE.items():
        if any(float(c or 0) != 0 for v in star.texts(label) for c in v.strip("[]\"'").split(",")):
            faults.append(
                f"{star.path}: has {what} (rln{label}), which are not corrected here; reconstruct it with relion_reconstruct"
            )
    for label, neutral in (("MagMat00", 1.0), ("MagMat01", 0.0), ("MagMat10", 0.0), ("MagMat11", 1.0)):
        matrix = star.column(label)
        if matrix is not None and np.any(np.abs(matrix - neutral) > 1e-6):
            faults.append(
                f"{star.path}: has anisotropic magnification (rln{label}), which is not corrected here; use relion_reconstruct"
            )
            break
    dimensions = star.column("ImageDimensionality")
    if dimensions is not None and np.any(dimensions != 2):
        faults.append(
            f"{star.path}: holds subtomograms (rlnImageDimensionality 3); only 2D particle images can be reconstructed here"
        )
    if faults:
        raise ParticlesError(*faults)
