"""From a round of cryoSPARC to its half maps, its own curves, the masks that it used, its views, and its particles."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError, ParticlesError, RefineHooksError
from refine_hooks.files.mrc import read_header, read_map
from refine_hooks.log.checks import Duplicates
from refine_hooks.model import FscCurve, HalfMaps, ProgramCurve, ProgramMask, ProgramMaskParameters, Round
from refine_hooks.particles import ParticlesJob, require_both_halves
from refine_hooks.particles.cryosparc import angles_deg, joined_rows, read_cs, read_places
from refine_hooks.particles.doubles import NEAR, in_both_halves
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs._reading import read_text
from refine_hooks.programs.cryosparc.job import summary_of
from refine_hooks.programs.cryosparc.rounds import Inputs

WINDOW = "cryoSPARC's spherical window of the box"
PARTICLES_NOTE = (
    "reconstructed by RELION's rules from cryoSPARC's poses and defoci: without its particle scales, its higher aberrations and "
    "its weights"
)
THETA_BINS, PHI_BINS = 18, 72

_MADE: dict[str, ProgramCurve] = {"nomask": "unmasked", "noisesub": "corrected", "corrected": "corrected"}
_MOST_SHELLS = 10_000  # more than any box has
_WHOLE = 0.25
_LEVEL = 0.143


def half_maps(round_: Round) -> HalfMaps | None:
    """Half maps A and B: neither filtered nor masked, but windowed; None for a class, or once they were cleared.

    Raises:
        NotReadyError: they are being written.
        MapError: they cannot be used.
    """
    inputs: Inputs = round_.inputs
    if inputs.halves is None or inputs.origin is None:
        return None
    first, second = (read_map(path) for path in inputs.halves)
    saved = inputs.kept is not None and inputs.kept.halves is not None
    return HalfMaps(
        first,
        second,
        inputs.origin,
        paths=None if saved else inputs.halves,
        independence=inputs.job.table.independence,
        masked="sphere" if inputs.job.table.windowed else "none",
        masked_by=WINDOW if inputs.job.table.windowed else None,
    )


class Column(NamedTuple):
    """One column of a table: over the shells 0..N//2, and where it first falls below 0.143 if its points lie between them."""

    values: NDArray[np.float64]
    crossing_shell: float | None = None


def reported(round_: Round) -> list[FscCurve]:
    """The columns of the FSC tables that were saved into the job folder, before and after the mask was tightened."""
    inputs: Inputs | None = round_.inputs
    if inputs is None:
        return []
    curves = []
    for path, tightened in inputs.curves:
        for name, column in read_fsc_table(path, _box_px(inputs)).items():
            suffix = "_after_tightening" if tightened else ""
            last = (tightened or len(inputs.curves) == 1) and name in ("noisesub", "corrected")
            curves.append(_curve(round_, f"{name}{suffix}", _MADE.get(name, "masked"), column, last))
    return curves or _of_summary(inputs, round_)


def _curve(round_: Round, name: str, made: ProgramCurve, column: Column, stated: bool) -> FscCurve:
    """A curve with the number that the program states for it, else that of a table whose points the log's shells are not."""
    read, box_px, voxel_A = round_.facts.reported, _box_px(round_.inputs), round_.facts.voxel_size_A
    if stated and read is not None:
        return FscCurve(name, column.values, made, read.resolution_A, read.level, read.rule or "not stated")
    if column.crossing_shell is None or not box_px or not voxel_A:
        return FscCurve(name, column.values, made, rule="not read off by cryoSPARC here")
    number_A = box_px * voxel_A / column.crossing_shell
    return FscCurve(
        name, column.values, made, number_A, _LEVEL, "first fall below 0.143 between the table's own half shells"
    )


def _of_summary(inputs: Inputs, round_: Round) -> list[FscCurve]:
    """The curves that job.json keeps of an iteration; the resolution that it states is that of its last one."""
    summary = summary_of(inputs.job.table, round_.key.iteration, inputs.iteration.class_index)
    if summary is None:
        return []
    columns = {name: np.array(values) for name, values in summary.curves}
    found = _at_shells(np.array(summary.waves), columns, _box_px(inputs))
    curves = []
    for name, column in found.items():
        curves.append(_curve(round_, name, _MADE.get(name, "masked"), column, name == "noisesub"))
    return curves


def _box_px(inputs: Inputs) -> int | None:
    name = inputs.iteration.files.get("")
    path = inputs.halves[0] if inputs.halves else inputs.job.folder / name if name else inputs.like
    return read_header(path).nx if path is not None else None


def read_fsc_table(path: Path, box_px: int | None) -> dict[str, Column]:
    """The curves of one of cryoSPARC's FSC tables by column, over the shells 0..N//2.

    A wave number is a shell; tables that count 0.5, 1.5, ... are brought to whole shells: the mean of both neighbours. What is no
    number, and noise-substituted values outside -1..1 (where the noise's correlation is near 1, they mean nothing), is left out.

    Args:
        path: tab-separated text under a line of names, the wave number first.
        box_px: of the half maps; None takes the table's own last row for N//2.

    Raises:
        NotReadyError: not there, or cut off.
    """
    lines = [line.rstrip("\n") for line in read_text(path).splitlines() if line.strip()]
    names = [_column_name(name) for name in re.split(r"\t|\s{2,}", lines[0].strip())]
    if len(names) == 1:
        names = [_column_name(name) for name in lines[0].split()]
    rows = [_numbers(path, line, len(names)) for line in lines[1:]]
    if not rows:
        raise NotReadyError(f"{path}: has no rows yet")
    table = np.array(rows)
    table = table[(table[:, 0] >= 0) & (table[:, 0] < _MOST_SHELLS)]
    if not len(table):
        raise NotReadyError(f"{path}: has no rows with a wave number from 0 to {_MOST_SHELLS}")
    columns = {name: table[:, column] for column, name in enumerate(names[1:], 1)}
    return _at_shells(table[:, 0], columns, box_px)


def _at_shells(
    waves: NDArray[np.float64], columns: dict[str, NDArray[np.float64]], box_px: int | None
) -> dict[str, Column]:
    shells = np.arange((box_px // 2 if box_px else int(np.rint(waves.max()))) + 1)
    half_integer = bool(np.any(np.abs(waves - np.rint(waves)) > _WHOLE))
    curves = {}
    for name, column in columns.items():
        usable = np.abs(np.nan_to_num(column, nan=9.0)) <= 1 + 1e-6
        values, crossing = np.full(shells.size, np.nan), None
        if half_integer:
            crossing = _first_fall(waves[usable], column[usable])
            value_at = {float(wave): value for wave, value in zip(waves[usable], column[usable], strict=True)}
            pairs = [(value_at.get(shell - 0.5), value_at.get(shell + 0.5)) for shell in shells]
            values = np.array([np.nan if a is None or b is None else (a + b) / 2 for a, b in pairs])
        else:
            usable &= waves < shells.size
            values[np.rint(waves[usable]).astype(int)] = column[usable]
        if np.any(np.isfinite(values)):
            curves[name] = Column(values, crossing)
    return curves


def _first_fall(waves: NDArray[np.float64], column: NDArray[np.float64]) -> float | None:
    """Where a curve first falls below 0.143, linear between its points; None where it never does, or begins below."""
    below = np.flatnonzero(column < _LEVEL)
    if not below.size or not below[0]:
        return None
    one, two = below[0] - 1, below[0]
    return float(waves[one] + (waves[two] - waves[one]) * (column[one] - _LEVEL) / (column[one] - column[two]))


def _column_name(text: str) -> str:
    """``fsc_tightmask`` -> ``tightmask``; names with blanks, as version 5 has them, with underscores."""
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_").removeprefix("fsc_")


def _numbers(path: Path, line: str, count: int) -> list[float]:
    words = line.split()
    if len(words) < count:
        raise NotReadyError(f"{path}: {line!r} has {len(words)} of {count} columns; it is being written")
    return [_number(word) for word in words[:count]]


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def masks(round_: Round) -> dict[str, ProgramMask]:
    """The mask that the reference was multiplied by, and those of cryoSPARC's FSC: the given one, and the one that it tightened."""
    inputs: Inputs = round_.inputs
    return {name: _loaded(inputs, path) for name, path in inputs.masks.items()}


def _loaded(inputs: Inputs, path: Path) -> ProgramMask:
    """A mask; one that was saved has no path to be recorded, since it is written into the store."""
    try:
        mask = read_map(path)
    except RefineHooksError as error:
        return ProgramMask(None, note=f"not used: {error}")
    lasting = path if path.parent == inputs.job.folder else None
    return ProgramMask(mask, lasting, parameters=ProgramMaskParameters(source="cryoSPARC", file=path.name))


def _particle_table(inputs: Inputs) -> Path | None:
    stem = inputs.iteration.stem
    name = f"{stem}_particles.cs"
    return inputs.job.folder / name if stem and name in inputs.particle_tables else None


def particles(round_: Round) -> ParticlesJob:
    """The particles of a round, with the columns that cryoSPARC only passed through from an earlier job.

    Raises:
        ParticlesError: the table is not there or lacks columns, or the point group is not cyclic.
    """
    inputs: Inputs = round_.inputs
    path = _particle_table(inputs)
    if path is None:
        raise ParticlesError(
            f"{inputs.job.folder}: holds no {inputs.iteration.stem}_particles.cs, so this round's particles are not known"
        )
    symmetry = (inputs.job.table.symmetry or "C1").upper()
    if not re.fullmatch(r"C\d+", symmetry):
        raise ParticlesError(
            f"{path}: was refined in {symmetry}; how cryoSPARC sets up its axes is certain for cyclic groups only"
        )
    found = read_cs(path)
    require_both_halves(found)
    return ParticlesJob(
        found, "relion", symmetry=symmetry, independence=inputs.job.table.independence, notes=(PARTICLES_NOTE,)
    )


def duplicates(round_: Round) -> Duplicates | None:
    """Particles that are in both half sets, by the round's own table; a particle is taken to be half as long as its box."""
    inputs: Inputs | None = round_.inputs
    path = _particle_table(inputs) if inputs is not None else None
    if inputs is None or path is None:
        return None
    try:
        places, box_A = inputs.job.memory.file(read_places, path)
    except (RefineHooksError, OSError, ValueError):
        return None
    return None if places is None else in_both_halves(places, NEAR * box_A / 2)


def viewing_directions(round_: Round) -> NDArray[np.float64] | None:
    """Views per bin [theta 0..180, phi 0..360], counted from the poses of this round's particles."""
    inputs: Inputs | None = round_.inputs
    path = _particle_table(inputs) if inputs is not None else None
    if inputs is None or path is None:
        return None
    try:
        return inputs.job.memory.file(_views, path)
    except (RefineHooksError, OSError, ValueError):
        return None


def _views(path: Path) -> NDArray[np.float64] | None:
    rows = joined_rows(path)
    if "alignments3D/pose" not in rows:
        return None
    phi_deg, theta_deg, _ = angles_deg(rows["alignments3D/pose"])
    edges = np.linspace(0, 180, THETA_BINS + 1), np.linspace(0, 360, PHI_BINS + 1)
    return np.asarray(np.histogram2d(theta_deg, phi_deg % 360, bins=edges)[0], np.float64)


def discard(round_: Round) -> None:
    """Remove what was saved of this round."""
    inputs: Inputs | None = round_.inputs
    if inputs is not None and inputs.kept is not None:
        overwritten.discard(inputs.kept)
