"""SPHIRE's meridien: ``mainNNN/vol_{0,1}_NNN.hdf`` each iteration, ``vol_{0,1}_unfil_NNN.hdf`` after the last.

A directory is meridien's output folder, or a project with such folders. The maps of an iteration are regularised by its FSC
(``driver_NNN.txt``, one value a shell); the last ones are not. Both are joined at low resolution. Nothing is written over.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.files.hdf import read_hdf_header, read_hdf_map
from refine_hooks.files.reading import parsed_json, positive_number
from refine_hooks.model import (
    Facts,
    FscCurve,
    HalfMaps,
    Key,
    Origin,
    ProgramMask,
    ProgramMaskParameters,
    Reported,
    Round,
    fingerprint_of,
)
from refine_hooks.programs._reading import Memory, read_text
from refine_hooks.programs.adapter import Program, Project

_MAIN = re.compile(r"main(\d{3,})")
_FINAL = re.compile(r"vol_0_unfil_(\d{3,})\.hdf")
_JOINED_BELOW_A = 50.0  # meridien's own default


@dataclass(frozen=True, slots=True)
class Tracker:
    """What meridien says of itself in ``Tracker_NNN.json``; None where it says nothing."""

    voxel_size_A: float | None = None
    radius_px: float | None = None
    symmetry: str | None = None
    joined_below_A: float = _JOINED_BELOW_A
    resolution_A: float | None = None
    mask: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The halves of a round; ``main`` is the folder of the iteration, of the last one for the final halves."""

    origin: Origin
    halves: tuple[Path, Path]
    main: Path
    number: int
    tracker: Tracker


def _folders(directory: Path) -> list[Path]:
    """Meridien's output folders: the directory itself, or those in it."""
    if _mains(directory) or _finals(directory):
        return [directory]
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    return [directory / name for name in names if (directory / name / "main000").is_dir()]


def _numbers(folder: Path, pattern: re.Pattern[str]) -> list[int]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(int(found[1]) for name in names if (found := pattern.fullmatch(name)))


def _mains(folder: Path) -> list[int]:
    numbers = _numbers(folder, _MAIN)
    # Sorting programs of SPHIRE have folders of this name too, without maps of two halves.
    return numbers if any(_half(folder, n, 0).is_file() or _tracker_file(folder, n).is_file() for n in numbers) else []


def _finals(folder: Path) -> list[int]:
    return _numbers(folder, _FINAL)


def _half(folder: Path, number: int, half: int) -> Path:
    return folder / f"main{number:03d}" / f"vol_{half}_{number:03d}.hdf"


def _tracker_file(folder: Path, number: int) -> Path:
    return folder / f"main{number:03d}" / f"Tracker_{number:03d}.json"


def recognises(directory: Path) -> bool:
    """Whether a directory is an output folder of meridien (``mainNNN`` with ``Tracker_NNN.json``), or holds some."""
    return bool(_folders(directory))


def why(directory: Path) -> str:
    """Which output folders of meridien there are."""
    found = [folder.name for folder in _folders(directory)]
    return f"meridien's output: {', '.join(found)}" if found else "no folder main000 with a Tracker_000.json"


class SphireProject(Project):
    """Meridien's output folder, or a project with such folders."""

    def watched_folders(self) -> Iterable[tuple[Path, bool]]:
        """Meridien's output folders and the newest iteration in each."""
        for folder in _folders(self.directory):
            yield folder, False
            yield from [(folder / f"main{number:03d}", False) for number in _mains(folder)[-1:]]

    def folders_with_maps(self) -> Iterable[Path]:
        """Meridien's output folders and all iterations in each."""
        for folder in _folders(self.directory):
            yield folder
            yield from (folder / f"main{number:03d}" for number in _mains(folder))

    def rounds(self) -> Iterator[Round]:
        """Every iteration with maps, and the final, unfiltered halves."""
        for folder in _folders(self.directory):
            mains = _mains(folder)
            for number in mains:
                pair = (_half(folder, number, 0), _half(folder, number, 1))
                if number == mains[-1] or any(path.is_file() for path in pair):
                    yield _round(self, folder, number, pair, "regularised")
            for number in _finals(folder):
                pair = (folder / f"vol_0_unfil_{number:03d}.hdf", folder / f"vol_1_unfil_{number:03d}.hdf")
                yield _round(self, folder, number, pair, "found", after=mains[-1] if mains else number)

    def half_maps(self, round_: Round) -> HalfMaps | None:
        """The two halves as meridien wrote them.

        Raises:
            NotReadyError: they are being written.
            MapError: they cannot be used, or h5py is missing.
        """
        return _half_maps(round_)

    def reported(self, round_: Round) -> list[FscCurve]:
        """Meridien's curve, under its mask or sphere."""
        return _reported(round_, self.memory)

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """The mask that was given with ``--mask3D``; none where meridien used its sphere."""
        mask = _refinement_mask(round_, halves)
        return {} if mask is None else {"refinement": mask}


ADAPTER = Program(recognises, why, SphireProject)


def _round(
    project: Project, folder: Path, number: int, pair: tuple[Path, Path], origin: Origin, after: int | None = None
) -> Round:
    key = Key(run=folder.name, iteration=number if after is None else max(after, number) + 1, class_id=1)
    label = f"it{number:03d}" if after is None else "final"
    fingerprint = fingerprint_of(project.directory, pair)
    missing = [path.name for path in pair if not path.is_file()]
    if missing:
        return Round(key, "sphire", label, fingerprint, missing=tuple(missing))
    try:
        tracker = _tracker(_tracker_file(folder, number), project.memory)
        headers = [project.memory.file(read_hdf_header, path) for path in pair]
    except NotReadyError as error:
        return Round(key, "sphire", label, fingerprint, missing=error.faults)
    except RefineHooksError as error:
        return Round(key, "sphire", label, fingerprint, fault=str(error))
    voxel_size_A = tracker.voxel_size_A or headers[0].voxel_size_A
    facts = Facts(
        voxel_size_A=voxel_size_A,
        sphere_radius_A=tracker.radius_px * voxel_size_A if tracker.radius_px else None,
        symmetry=tracker.symmetry,
        reported=Reported(resolution_A=tracker.resolution_A, level=0.143, rule="the FSC's 0.143, in whole shells")
        if tracker.resolution_A
        else None,
    )
    inputs = Inputs(origin, pair, folder / f"main{number:03d}", number, tracker)
    return Round(key, "sphire", label, fingerprint, facts, inputs=inputs)


def _read_tracker(path: Path) -> Tracker:
    try:
        said = parsed_json(read_text(path))
    except ValueError as error:
        raise NotReadyError(f"{path}: is no complete JSON ({error}); it is being written") from error
    said = said if isinstance(said, dict) else {}
    constants = said.get("constants")
    constants = constants if isinstance(constants, dict) else {}
    voxel_A, box_px = _number(constants, "pixel_size"), _number(constants, "nnxo")
    extent_A = (voxel_A or 0) * (box_px or 0)
    joined_shell, reached_shell = _number(said, "fuse_freq"), _number(said, "fsc143")
    symmetry = constants.get("symmetry")
    mask = constants.get("mask3D")
    return Tracker(
        voxel_A,
        _number(constants, "radius"),
        symmetry.upper() if isinstance(symmetry, str) else None,
        extent_A / joined_shell if extent_A and joined_shell else _number(constants, "fuse_freq") or _JOINED_BELOW_A,
        extent_A / reached_shell if extent_A and reached_shell else None,
        mask if isinstance(mask, str) else "",
    )


def _tracker(path: Path, memory: Memory) -> Tracker:
    """Empty where meridien left none, e.g. in a folder of results only.

    Raises:
        NotReadyError: it is being written.
    """
    return memory.file(_read_tracker, path) if path.is_file() else Tracker()


def _number(table: dict[str, Any], name: str) -> float | None:
    return positive_number(table.get(name))


def _half_maps(round_: Round) -> HalfMaps | None:
    inputs: Inputs = round_.inputs
    first, second = (read_hdf_map(path, round_.facts.voxel_size_A) for path in inputs.halves)
    notes = ["meridien filtered these half maps by their own FSC"] if inputs.origin == "regularised" else []
    if inputs.tracker.voxel_size_A is None:
        notes.append(f"the voxel size is that of the map's header, {first.voxel_size_A:g} A: there is no Tracker file")
    return HalfMaps(
        first,
        second,
        inputs.origin,
        independence="independent",
        joined_below_A=inputs.tracker.joined_below_A,
        notes=tuple(notes),
    )


def _reported(round_: Round, memory: Memory) -> list[FscCurve]:
    inputs: Inputs | None = round_.inputs
    if inputs is None:
        return []
    path = inputs.main / f"driver_{inputs.number:03d}.txt"
    if not path.is_file():
        return []
    values = read_curve(path, memory.file(read_hdf_header, inputs.halves[0]).shape[0])
    if not np.any(np.isfinite(values)):
        return []
    read = round_.facts.reported
    if read is None:
        return [FscCurve("driver", values, rule="not read off by SPHIRE")]
    return [FscCurve("driver", values, "fsc", read.resolution_A, read.level, read.rule or "")]


def read_curve(path: Path, box_px: int) -> NDArray[np.float64]:
    """A text file of correlations, one a shell, by shell 0..N//2; NaN where it has none.

    Raises:
        NotReadyError: not there, or cut off.
    """
    values = np.full(box_px // 2 + 1, np.nan)
    found = [_row(path, line) for line in read_text(path).splitlines() if line.strip()]
    usable = np.array([v if abs(v) <= 1 + 1e-6 else np.nan for v in found[: values.size]])
    values[: usable.size] = usable
    return values


def _row(path: Path, line: str) -> float:
    """The correlation: the only word of a line, or the last one where a frequency or shell precedes it."""
    try:
        return float(line.rsplit(maxsplit=1)[-1])
    except ValueError as error:
        raise NotReadyError(f"{path}: {line!r} is no value of a curve; it is being written") from error


def _refinement_mask(round_: Round, halves: HalfMaps) -> ProgramMask | None:
    inputs: Inputs = round_.inputs
    if not inputs.tracker.mask:
        return None
    named = Path(inputs.tracker.mask)
    path = next((p for p in (inputs.main.parent / named, inputs.main.parent.parent / named) if p.is_file()), None)
    if path is None:
        return ProgramMask(None, note=f"{named}: is not there any more")
    try:
        return ProgramMask(
            read_hdf_map(path, halves.half1.voxel_size_A), parameters=ProgramMaskParameters(file=str(named))
        )
    except RefineHooksError as error:
        return ProgramMask(None, note=f"not used: {error}")
