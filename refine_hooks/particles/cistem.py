"""Parameter files of cisTEM: ``.cistem`` binary, ``.star``, the older ``.par``, and rows of the project's REFINEMENT_RESULT tables.

Facts of the formats are those of cisTEM 2.0.0-alpha (cistem_parameters.cpp, cistem_star_file_reader.cpp,
frealign_parameter_file.cpp). Two traps are dealt with here:

* cisTEM writes phase shifts into ``.star`` as radians and reads them from there as degrees. A file that says "Written by
  cisTEM" is therefore taken as radians, any other as degrees; ``.cistem`` and the database hold radians.
* Rows with negative activity are dropped from ``.cistem`` and from the database before any average is taken; in ``.star`` and
  ``.par`` they stay in the averages and are only left out of the sums.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.files.reading import open_plain, read_bytes, read_text
from refine_hooks.particles import Particles, table

_BINARY_TYPES = {2: "<i4", 3: "<f4", 5: "<i8", 6: "<f8", 7: "S1", 9: "<u4"}
_TEXT = 8
_BINARY_NAMES = {
    1 << 0: "image",
    1 << 1: "activity",
    1 << 2: "psi_deg",
    1 << 3: "shift_x_A",
    1 << 4: "shift_y_A",
    1 << 5: "defocus_1_A",
    1 << 6: "defocus_2_A",
    1 << 7: "defocus_angle_deg",
    1 << 8: "phase_shift_rad",
    1 << 9: "occupancy",
    1 << 11: "sigma",
    1 << 12: "score",
    1 << 14: "pixel_size_A",
    1 << 15: "voltage_kV",
    1 << 16: "cs_mm",
    1 << 17: "amplitude_contrast",
    1 << 18: "beam_tilt_x_mrad",
    1 << 19: "beam_tilt_y_mrad",
    1 << 20: "image_shift_x_A",
    1 << 21: "image_shift_y_A",
    1 << 22: "theta_deg",
    1 << 23: "phi_deg",
    1 << 24: "stack_path",
    1 << 32: "half",
}
_STAR_NAMES = {
    "PositionInStack": "image",
    "ImageActivity": "activity",
    "AnglePsi": "psi_deg",
    "AngleTheta": "theta_deg",
    "AnglePhi": "phi_deg",
    "XShift": "shift_x_A",
    "YShift": "shift_y_A",
    "Defocus1": "defocus_1_A",
    "Defocus2": "defocus_2_A",
    "DefocusAngle": "defocus_angle_deg",
    "PhaseShift": "phase_shift_rad",
    "Occupancy": "occupancy",
    "Sigma": "sigma",
    "Score": "score",
    "PixelSize": "pixel_size_A",
    "MicroscopeVoltagekV": "voltage_kV",
    "MicroscopeCsMM": "cs_mm",
    "AmplitudeContrast": "amplitude_contrast",
    "BeamTiltX": "beam_tilt_x_mrad",
    "BeamTiltY": "beam_tilt_y_mrad",
    "ImageShiftX": "image_shift_x_A",
    "ImageShiftY": "image_shift_y_A",
    "StackFilename": "stack_path",
    "AssignedSubset": "half",
}
_DATABASE_NAMES = {
    "POSITION_IN_STACK": "image",
    "IMAGE_IS_ACTIVE": "activity",
    "PSI": "psi_deg",
    "THETA": "theta_deg",
    "PHI": "phi_deg",
    "XSHIFT": "shift_x_A",
    "YSHIFT": "shift_y_A",
    "DEFOCUS1": "defocus_1_A",
    "DEFOCUS2": "defocus_2_A",
    "DEFOCUS_ANGLE": "defocus_angle_deg",
    "PHASE_SHIFT": "phase_shift_rad",
    "OCCUPANCY": "occupancy",
    "SIGMA": "sigma",
    "SCORE": "score",
    "PIXEL_SIZE": "pixel_size_A",
    "MICROSCOPE_VOLTAGE": "voltage_kV",
    "MICROSCOPE_CS": "cs_mm",
    "AMPLITUDE_CONTRAST": "amplitude_contrast",
    "BEAM_TILT_X": "beam_tilt_x_mrad",
    "BEAM_TILT_Y": "beam_tilt_y_mrad",
    "IMAGE_SHIFT_X": "image_shift_x_A",
    "IMAGE_SHIFT_Y": "image_shift_y_A",
    "ASSIGNED_SUBSET": "half",
}
_PAR_NAMES = [
    "image",
    "psi_deg",
    "theta_deg",
    "phi_deg",
    "shift_x_A",
    "shift_y_A",
    "_mag",
    "activity",
    "defocus_1_A",
    "defocus_2_A",
    "defocus_angle_deg",
    "phase_shift_rad",
    "occupancy",
    "_logp",
    "sigma",
    "score",
    "_change",
]
_MOST_COLUMNS = 64


def read_binary(path: Path, *, stack: Path | None = None, contrast: int = -1, **known: float) -> Particles:
    """Particles of a ``.cistem`` file.

    Args:
        path: the file.
        stack: the particle stack; needed unless the file names it.
        contrast: -1 for dark particles, 1 for white ones (STACK_HAS_WHITE_PROTEIN).
        known: values for columns that the file leaves out or holds as zero, e.g. ``pixel_size_A``.

    Raises:
        ParticlesError: cut off, or not such a file.
    """
    raw = _bytes(path)
    if len(raw) < 8:
        raise ParticlesError(f"{path}: holds {len(raw)} bytes, too few for a .cistem file")
    n_columns, n_rows = struct.unpack_from("<ii", raw)
    begin = 8 + 9 * n_columns
    if not 0 < n_columns <= _MOST_COLUMNS or n_rows < 0 or len(raw) < begin:
        raise ParticlesError(f"{path}: is not a .cistem file (its header states {n_columns} columns and {n_rows} rows)")
    layout = [struct.unpack_from("<qb", raw, 8 + 9 * i) for i in range(n_columns)]
    unknown = sorted({kind for _, kind in layout} - set(_BINARY_TYPES) - {_TEXT})
    if unknown:
        raise ParticlesError(
            f"{path}: has columns of the unknown kinds {unknown}; it was written by a newer cisTEM, or is damaged"
        )
    if len({bit for bit, _ in layout}) < n_columns:
        raise ParticlesError(f"{path}: has a column twice; it is damaged")
    fixed = all(kind != _TEXT for _, kind in layout)
    columns = _fixed_rows(path, raw, begin, layout, n_rows) if fixed else _mixed_rows(path, raw, begin, layout, n_rows)
    return _from_columns(columns, str(path), path.parent, stack, contrast, known, drop_inactive=True)


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise ParticlesError(f"{path}: cannot be read ({error.strerror})") from error


def _fixed_rows(path: Path, raw: bytes, begin: int, layout: Sequence[tuple[int, int]], n_rows: int) -> dict[str, Any]:
    row = np.dtype([(str(i), _BINARY_TYPES[kind]) for i, (_, kind) in enumerate(layout)])
    if len(raw) < begin + n_rows * row.itemsize:
        raise ParticlesError(
            f"{path}: holds {(len(raw) - begin) // row.itemsize} of the {n_rows} rows that it states; it is being written, or torn"
        )
    rows = np.frombuffer(raw, row, n_rows, begin)
    return {_BINARY_NAMES[bit]: rows[str(i)] for i, (bit, _) in enumerate(layout) if bit in _BINARY_NAMES}


def _mixed_rows(path: Path, raw: bytes, begin: int, layout: Sequence[tuple[int, int]], n_rows: int) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {_BINARY_NAMES[bit]: [] for bit, _ in layout if bit in _BINARY_NAMES}
    at = begin
    try:
        for _ in range(n_rows):
            for bit, kind in layout:
                value: Any
                if kind == _TEXT:
                    (length,) = struct.unpack_from("<i", raw, at)
                    if not 0 <= length <= len(raw) - at - 4:
                        raise ValueError(f"a text of {length} bytes")  # noqa: TRY301 - told below like all that ends too soon
                    value, at = raw[at + 4 : at + 4 + length].decode("utf-8", "replace"), at + 4 + length
                else:
                    kind_of = np.dtype(_BINARY_TYPES[kind])
                    value, at = np.frombuffer(raw, kind_of, 1, at)[0], at + kind_of.itemsize
                if bit in _BINARY_NAMES:
                    columns[_BINARY_NAMES[bit]].append(value)
    except (struct.error, ValueError) as error:
        raise ParticlesError(
            f"{path}: ends before its {n_rows} rows are complete; it is being written, or torn"
        ) from error
    return {name: np.array(values) for name, values in columns.items()}


def is_cistem_star(path: Path) -> bool:
    """Whether the first lines of a STAR file hold cisTEM's labels."""
    try:
        with open_plain(path) as stream:
            return b"_cisTEM" in stream.read(1 << 16)
    except OSError:
        return False


def read_star(
    path: Path,
    *,
    stack: Path | None = None,
    contrast: int = -1,
    phase_shift_unit: Literal["auto", "rad", "deg"] = "auto",
    **known: float,
) -> Particles:
    """Particles of a cisTEM ``.star`` file; see the module for the unit of the phase shift.

    Raises:
        ParticlesError: no such file, a missing column, a row of another length, a value that is not a number.
    """
    from gemmi import cif

    try:
        text = read_text(path)
        document = cif.read_string(text)
    except OSError as error:
        raise ParticlesError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RuntimeError) as error:
        raise ParticlesError(f"{path}: is not a whole STAR file ({error})") from error
    columns: dict[str, Any] = {}
    for block in document:
        for label, name in _STAR_NAMES.items():
            found = block.find_loop(f"_cisTEM{label}")
            if len(found):
                columns[name] = (
                    [cif.as_string(v) for v in found] if name == "stack_path" else _numbers(path, label, list(found))
                )
    lacking = {"image", "defocus_1_A", "defocus_2_A", "defocus_angle_deg"} - set(columns)
    if lacking:
        raise ParticlesError(f"{path}: lacks the columns {', '.join(sorted(lacking))} of a cisTEM parameter file")
    by_cistem = text[:4096].lstrip().startswith("# Written by cisTEM")
    if "phase_shift_rad" in columns and (phase_shift_unit == "deg" or (phase_shift_unit == "auto" and not by_cistem)):
        columns["phase_shift_rad"] = np.deg2rad(columns["phase_shift_rad"])
    return _from_columns(columns, str(path), path.parent, stack, contrast, known, drop_inactive=False)


def _numbers(path: Path, label: str, values: list[str]) -> NDArray[np.float64]:
    try:
        return np.array(values).astype(np.float64)
    except ValueError as error:
        raise ParticlesError(f"{path}: column {label} holds something that is no number ({error})") from error


def read_par(path: Path, *, stack: Path | None = None, contrast: int = -1, **known: float) -> Particles:
    """Particles of a ``.par`` file with 16 or 17 columns; pixel size, voltage, Cs and amplitude contrast have to be given.

    Raises:
        ParticlesError: rows of another length, or microscope values that are not given.
    """
    lines = _bytes(path).decode("utf-8", "replace").splitlines()
    numbered = [(i, line.split()) for i, line in enumerate(lines, 1) if line.strip() and not line.startswith("C")]
    _refuse_odd_rows(path, numbered)
    rows = [row for _, row in numbered]
    lengths = {len(rows[0])}
    names = _PAR_NAMES if lengths == {17} else [name for name in _PAR_NAMES if name != "phase_shift_rad"]
    values = _numbers(path, "any", [v for row in rows for v in row]).reshape(len(rows), -1)
    columns: dict[str, Any] = {name: values[:, i] for i, name in enumerate(names) if not name.startswith("_")}
    # The text form of the phase shift is the one that cisTEM's writer leaves: the internal radians.
    return _from_columns(columns, str(path), path.parent, stack, contrast, known, drop_inactive=False)


def _refuse_odd_rows(path: Path, rows: Sequence[tuple[int, list[str]]]) -> None:
    """The first line that is no row of a .par file, by its number."""
    if not rows:
        raise ParticlesError(f"{path}: is not a .par file of 16 or 17 columns (it has no rows)")
    wanted = len(rows[0][1])
    for number, row in rows:
        bad = next((value for value in row if not _is_number(value)), None)
        if bad is not None:
            raise ParticlesError(
                f"{path}: line {number} holds {bad!r}, which is no number (stars stand where a value was too wide, and wide "
                "values run into each other); write the file anew, or leave that particle out"
            )
        if len(row) not in (16, 17) or len(row) != wanted:
            raise ParticlesError(
                f"{path}: is not a .par file of 16 or 17 columns (line {number} has {len(row)} values); comments begin with C"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def from_database_rows(
    names: Sequence[str], rows: Iterable[Sequence[Any]], *, source: str, stack: Path, contrast: int = -1
) -> Particles:
    """Particles of a REFINEMENT_RESULT table, whose columns are found by name.

    Raises:
        ParticlesError: a column is missing, or no row is left.
    """
    values = list(zip(*rows, strict=True))
    given = dict(zip(names, values, strict=False)) if values else {}
    columns = {ours: np.array(given[theirs]) for theirs, ours in _DATABASE_NAMES.items() if theirs in given}
    return _from_columns(columns, source, stack.parent, stack, contrast, {}, drop_inactive=True)


def _from_columns(
    columns: dict[str, Any],
    source: str,
    folder: Path,
    stack: Path | None,
    contrast: int,
    known: Mapping[str, float],
    *,
    drop_inactive: bool,
) -> Particles:
    activity = np.asarray(columns.pop("activity", 1.0))
    columns = {**columns, **_missing_values(columns, known)}
    paths = columns.pop("stack_path", None)
    stacks, number = _stacks(paths, folder, stack, source)
    columns.update(stack=number, contrast=float(contrast))
    if not np.size(columns.get("image", ())):
        return table(columns, stacks=stacks, source=source)
    active = np.broadcast_to(activity >= 0, np.shape(columns["image"]))
    if drop_inactive:
        if not active.any():
            raise ParticlesError(f"{source}: every particle is marked as excluded")
        columns = {name: v[active] if np.ndim(v) else v for name, v in columns.items()}
        active = active[active]
    used = active & (np.asarray(columns.get("occupancy", 100.0)) != 0.0)
    return table(columns, stacks=stacks, source=source, used=used)


def _missing_values(columns: Mapping[str, Any], known: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in known.items() if value and not np.any(columns.get(name, 0.0))}


def _stacks(paths: Any, folder: Path, stack: Path | None, source: str) -> tuple[tuple[Path, ...], Any]:
    if stack is not None:
        return (stack,), 0
    names = [str(p).strip().strip("'\"") for p in paths] if paths is not None else []
    if not names or not all(names):
        raise ParticlesError(f"{source}: does not name its particle stack; give it with --stack")
    unique, number = np.unique(names, return_inverse=True)
    return tuple(p if p.is_absolute() else folder / p for p in map(Path, unique)), number
