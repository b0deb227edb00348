"""A round as a script of UCSF ChimeraX: half maps, their average, the masks, and the rounds before it as a series.

The commands are those of ChimeraX's documentation (https://www.rbvi.ucsf.edu/chimerax/docs/user/commands/): close session, open,
volume, volume add, volume gaussian, rename, color sample, vseries slider, shape cylinder, log, view.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refine_hooks.errors import InputError
from refine_hooks.files.mrc import read_header
from refine_hooks.log.folder import path_of
from refine_hooks.log.index import LogIndex
from refine_hooks.log.local import LEAST_SPAN
from refine_hooks.log.masks import AutomaskParameters, MaskRecord
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import MaskRole
from refine_hooks.report.what_helps import beyond_words

_MAPS = 4  # models before those of the masks
_SD_LEVEL = 4.0  # where no threshold of an automask is known
_COLOURS: dict[MaskRole, str] = {
    "sphere": "#0072b2",
    "automask": "#009e73",
    "refinement": "#d55e00",
    "user": "#cc79a7",
    "program": "#e69f00",
}
_RODS = {"best": "#2166ac", "worst": "#b2182b"}
_HALVES, _AVERAGE, _SERIES = ("#56b4e9", "#e69f00"), "#bbbbbb", "#bbbbbb"


def chimerax_script(record: RoundRecord, folder: Path, series: Sequence[RoundRecord] = ()) -> str:
    """What ChimeraX is to do to show a round.

    The average is low-passed as it was for the automask, and drawn at the level above which that took a voxel for particle. Masks
    are drawn as meshes where they are 1/2; half maps and masks other than the automask are hidden at first. What is known of the
    round beyond its one number is written into ChimeraX's Log.

    Args:
        record: the round.
        folder: of its log, which the paths in records are relative to.
        series: rounds of the same run and class in their order, whose first half maps become a series with a slider; those of
            another box or voxel size are left out, since a series has one size.

    Raises:
        InputError: its half maps are not on disk.
    """
    lines = [f"# {_one_line(f'{record.key} {record.label}')}: open this file with UCSF ChimeraX", "close session"]
    lines += [f"log text {_spoken(text)}" for text in beyond_words(record)]
    lines += _maps(record, _halves_of(record, folder))
    masks = [(mask, file) for mask in record.masks if (file := _file_of(mask, folder)) is not None]
    lines += _masks(masks, _MAPS + 1)
    local = _local(record, folder, _MAPS + len(masks) + 1)
    lines += local
    lines += _series(record, folder, series, _MAPS + len(masks) + (2 if local else 1))
    lines += _directions(record, folder)
    return "\n".join([*lines, "view", ""])


def half_map_files(record: RoundRecord, folder: Path) -> list[Path]:
    """The two half maps that a record names, whether they are still there or not; none where it names none."""
    paths = record.half_maps.paths if record.half_maps else None
    return [path_of(folder.absolute(), path) for path in paths or ()]


def newest_shown(index: LogIndex) -> RoundRecord | None:
    """The newest round of a log whose half maps are on disk."""
    for known in reversed(index.summaries()):
        record = index.record(known.key)
        files = half_map_files(record, index.out)
        if files and all(file.is_file() for file in files):
            return record
    return None


def _halves_of(record: RoundRecord, folder: Path) -> list[Path]:
    paths = record.half_maps.paths if record.half_maps else None
    if paths is None:
        raise InputError(
            f"{record.key}: its half maps were not kept; name another round, or keep them ([keep] half_maps)"
        )
    files = [path_of(folder.absolute(), path) for path in paths]
    missing = [f"{file}: is not there, so that {record.key} cannot be shown" for file in files if not file.is_file()]
    if missing:
        raise InputError(*missing)
    return files


def _maps(record: RoundRecord, files: Sequence[Path]) -> list[str]:
    """#1 and #2: the halves; #3: their average; #4: the average, low-passed."""
    found = next((mask.parameters for mask in record.masks if isinstance(mask.parameters, AutomaskParameters)), None)
    known = found is not None and found.filter_A is not None and found.threshold is not None
    sigma_A = found.filter_A if found is not None and known else 2 * record.voxel_size_A
    level = f"level {found.threshold:.6g}" if found is not None and known else f"sdLevel {_SD_LEVEL:g}"
    return [
        *(f"open {_quoted(str(file))} name {_quoted(f'half map {n}')}" for n, file in enumerate(files, 1)),
        "volume add #1,2 scaleFactors 0.5,0.5 hideMaps true modelId #3",
        f"rename #3 {_quoted('average')}",
        f"volume gaussian #3 sDev {sigma_A:.4g} modelId #4",
        f"rename #4 {_quoted(f'average, low-passed with a Gaussian of {sigma_A:.1f} A')}",
        *(f"volume #{n} style surface sdLevel {_SD_LEVEL:g} color {c} hide" for n, c in enumerate(_HALVES, 1)),
        f"volume #3 style surface sdLevel {_SD_LEVEL:g} color {_AVERAGE} hide",
        f"volume #4 style surface {level} color {_AVERAGE} show",
    ]


def _masks(masks: Sequence[tuple[MaskRecord, Path]], first: int) -> list[str]:
    lines: list[str] = []
    for number, (mask, file) in enumerate(masks, first):
        shown = "show" if mask.role == "automask" else "hide"
        lines.append(f"open {_quoted(str(file))} name {_quoted(f'mask: {mask.name}')}")
        lines.append(f"volume #{number} style mesh level 0.5 color {_COLOURS[mask.role]} {shown}")
    return lines


def _file_of(mask: MaskRecord, folder: Path) -> Path | None:
    file = None if mask.path is None else path_of(folder.absolute(), mask.path)
    return file if file is not None and file.is_file() else None


def _local(record: RoundRecord, folder: Path, number: int) -> list[str]:
    """The average in the colours of the local resolution, where that was measured: blue is good, red is poor, grey not stated."""
    known = record.local
    file = None if known is None or known.path is None else path_of(folder.absolute(), known.path)
    if known is None or file is None or not file.is_file():
        return []
    good_A = known.finest_A
    poor_A = max(known.coarsest_A, LEAST_SPAN * good_A)  # else chance alone would be coloured
    middle_A = min(
        max(known.median_A, 0.99 * good_A + 0.01 * poor_A), 0.01 * good_A + 0.99 * poor_A
    )  # the values must rise
    ends = f"{good_A:.4g},#2166ac:{middle_A:.4g},#f7f7f7:{poor_A:.4g},#b2182b"
    return [
        f"open {_quoted(str(file))} name {_quoted('local resolution, A')}",
        f"volume #{number} hide",
        f"color sample #{_MAPS} map #{number} palette 0,#888888:{0.9 * good_A:.4g},#888888:{ends}",
    ]


def _directions(record: RoundRecord, folder: Path) -> list[str]:
    """Rods along the axes of the weakest and the strongest noise, through the middle of the map."""
    along = record.analysis.along if record.analysis is not None else ()
    known = [one for one in along if one.name in _RODS and one.resolution_A]
    if not known:
        return []
    header = read_header(half_map_files(record, folder)[0])
    middle = np.array(header.place_A) + record.voxel_size_A * (record.box_px // 2)
    lines = []
    for one in known:
        reach = record.voxel_size_A * record.box_px / 2 * np.array(one.axis)
        ends = (",".join(f"{part:.4g}" for part in middle + sign * reach) for sign in (-1, 1))
        name = f"{'weakest' if one.name == 'best' else 'strongest'} noise, {one.resolution_A:.2f} A"
        radius_A = record.voxel_size_A / 2
        lines.append(
            f"shape cylinder fromPoint {next(ends)} toPoint {next(ends)} radius {radius_A:.4g} color {_RODS[one.name]} "
            f"name {_quoted(name)}"
        )
    return lines


def _series(record: RoundRecord, folder: Path, rounds: Sequence[RoundRecord], number: int) -> list[str]:
    files = []
    for one in rounds:
        first = half_map_files(one, folder)[:1]
        if first and first[0].is_file() and (one.box_px, one.voxel_size_A) == (record.box_px, record.voxel_size_A):
            files += first
    if len(files) < 2:
        return []
    name = f"half map 1 of {len(files)} rounds of {record.key.run}, class {record.key.class_id}"
    return [
        f"open {' '.join(_quoted(str(file)) for file in files)} vseries true name {_quoted(name)}",
        f"volume #{number} style surface sdLevel {_SD_LEVEL:g} color {_SERIES} hide",
        f"vseries slider #{number}",
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _spoken(text: str) -> str:
    """The rest of a command that is written into the Log: a semicolon ends a command, and a backslash begins an escape."""
    text = _one_line(text).replace("; ", ", ").replace(";", ",").replace("\\", "/")
    return text[:1].upper() + text[1:]


def _quoted(text: str) -> str:
    """One word of a command, however many blanks it has: a quote ends it only where a blank follows, and nothing is escaped.

    Raises:
        InputError: it holds what no command line can.
    """
    quote = next((mark for mark in "\"'" if not re.search(rf"{mark}\s", text)), None)
    if quote is None or "\\" in text or not text.isprintable():
        raise InputError(f"{text!r}: has characters in its name that ChimeraX cannot be told")
    return f"{quote}{text}{quote}"
