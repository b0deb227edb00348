"""Half maps that lie in a project's folders and belong to no round: they are named, never passed over in silence."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from refine_hooks.model import Round
from refine_hooks.programs.adapter import Project

_HALF = re.compile(
    r"(?:.*[-_])?(?:half[-_]?(?:map[-_]?)?[12AB]|even|odd|eve)(?:[-_].*)?\.(?:mrc|map|hdf|em)(?:\.gz|\.bz2)?", re.I
)
_NO_MAP = re.compile(r"mask|angdist|data_(?:real|imag)|weight|external_reconstruct", re.I)


@dataclass(frozen=True, slots=True)
class Unused:
    """One file, and why nothing is measured from it."""

    path: Path
    reason: str


def unused_half_maps(project: Project, rounds: Iterable[Round]) -> list[Unused]:
    """The half maps, by their names, that no round of a scan uses and whose reason not to is worth a word."""
    used = {path for round_ in rounds for path in used_by(project.directory, round_)}
    found = []
    for path in _looks_like_half_maps(project):
        if path not in used and (reason := project.why_unused(path)):
            found.append(Unused(path, reason))
    return found


def used_by(directory: Path, round_: Round) -> list[Path]:
    """The files of a round's fingerprint and those that its inputs name."""
    named = [directory / file.path for file in round_.fingerprint.inputs]
    return list(dict.fromkeys([*named, *_paths_in(round_.inputs)]))


def _looks_like_half_maps(project: Project) -> Iterator[Path]:
    for folder in dict.fromkeys(project.folders_with_maps()):
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError:
            continue
        for name in names:
            if _HALF.fullmatch(name) and not _NO_MAP.search(name):
                yield folder / name


def _paths_in(inputs: Any) -> Iterator[Path]:
    if isinstance(inputs, Path):
        yield inputs
    elif isinstance(inputs, dict):
        yield from _paths_in(list(inputs.values()))
    elif isinstance(inputs, list | tuple | set | frozenset):
        for each in inputs:
            yield from _paths_in(each)
    elif is_dataclass(inputs):
        for each in fields(inputs):
            yield from _paths_in(getattr(inputs, each.name))


def in_words(found: list[Unused], directory: Path, most: int = 4) -> list[str]:
    """One line a reason, with the first names."""
    by_reason: dict[str, list[str]] = {}
    for each in found:
        path = each.path
        name = str(path.relative_to(directory) if path.is_relative_to(directory) else path)
        by_reason.setdefault(each.reason, []).append(name)
    return [
        f"{', '.join(names[:most])}{f' and {len(names) - most} more' if len(names) > most else ''}: not used: {reason}"
        for reason, names in by_reason.items()
    ]
