"""What names say of one program whose half maps are told apart by them: `Names`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.model import Facts, FscCurve, HalfMaps, Origin, ProgramMask, Round
from refine_hooks.programs._overwritten import Kept
from refine_hooks.programs.names import Kind, Numbered, Pair, key_of, not_a_number, pairs_in


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is needed to find a round's half maps again; ``beside`` are the program's own files that belong to it."""

    kind: Kind
    halves: tuple[Path, Path] | None
    box_px: int | None
    voxel_size_A: float | None
    beside: tuple[Path, ...] = ()
    kept: Kept | None = None

    @property
    def origin(self) -> Origin | None:
        """Where the half maps come from."""
        return None if self.halves is None else self.kind.origin

    def file(self, ending: str) -> Path | None:
        """The file beside the halves whose name ends so, if it is there."""
        return next((path for path in self.beside if path.name.endswith(ending) and path.is_file()), None)


_ALL = ("run", 1)  # what names without a run and a class are of


@dataclass(frozen=True, slots=True)
class Names:
    """What the files of a program are called.

    Attributes:
        program: its name.
        marks: wildcards below the project, any of which marks it as this program's.
        folders: wildcards for the folders that hold the files; nothing below these is looked at.
        kinds: the best first.
        overwritten: the program writes pairs whose names carry no number over the last ones: copies are kept.
        numbered: names of files that carry the iteration of such a pair; of all pairs, where they name no run.
        belongs_to: which of the numbered files such a pair belongs to, where the times do not tell it.
        skipped: whether nothing is looked at in a folder.
        default_voxel_A: the voxel size that a header has where the program was told none.
        beside: the program's own files that belong to a pair (curves, masks), whether they are there or not.
        curves_of_old: the program keeps curves of iterations whose half maps it has written over.
        halves: whether a pair is one of half maps at all, and not of two classes.
        needs_number: whether a pair is none of the rounds before a file with a number has come.
        unread: expressions over names of half maps that are not read, each with the reason.
        facts: what is known of every round.
        reported, masks: see `refine_hooks.programs.adapter.Project`.
    """

    program: str
    marks: tuple[str, ...]
    folders: tuple[str, ...]
    kinds: tuple[Kind, ...]
    overwritten: bool = False
    numbered: re.Pattern[str] | None = None
    belongs_to: Callable[[tuple[Path, Path], Numbered], int | None] | None = None
    skipped: Callable[[Path], bool] = lambda folder: False
    default_voxel_A: float | None = None
    beside: Callable[[Path], tuple[Path, ...]] = lambda half: ()
    curves_of_old: bool = False
    halves: Callable[[Pair], bool] = lambda pair: True
    needs_number: Callable[[Pair], bool] = lambda pair: False
    unread: tuple[tuple[re.Pattern[str], str], ...] = ()
    facts: Facts = field(default_factory=Facts)
    reported: Callable[[Round], list[FscCurve]] = lambda round_: []
    masks: Callable[[Round, HalfMaps], dict[str, ProgramMask]] = lambda round_, halves: {}

    # --- what is on disk ------------------------------------------------------------------------------------------------

    def folders_in(self, directory: Path) -> list[Path]:
        """The folders that may hold maps."""
        found = []
        for wildcard in self.folders:
            found += [directory] if wildcard == "." else sorted(directory.glob(wildcard))
        return [folder for folder in dict.fromkeys(found) if not self.skipped(folder)]

    def _names(self, directory: Path) -> Iterator[str]:
        for folder in self.folders_in(directory):
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                continue
            yield from ((folder / name).relative_to(directory).as_posix() for name in names)

    def pairs(self, directory: Path) -> list[Pair]:
        """Every pair that is on disk now."""
        return pairs_in(directory, self._names(directory), self.kinds)

    def is_living(self, pair: Pair) -> bool:
        """Whether the program will write over this pair."""
        return self.overwritten and pair.iteration is None

    def numbered_files(self, directory: Path) -> dict[tuple[str, int], list[tuple[int, Path]]]:
        """The numbered files by run and class."""
        found: dict[tuple[str, int], list[tuple[int, Path]]] = {}
        for name in self._names(directory) if self.numbered else ():
            match = self.numbered.fullmatch(name) if self.numbered else None
            if match and not not_a_number(match, name):
                run, class_id, number, _ = key_of(match, name)
                found.setdefault((run, class_id), []).append((number or 0, directory / name))
        return {key: sorted(files) for key, files in found.items()}

    def numbers(self, found: dict[tuple[str, int], list[tuple[int, Path]]], key: tuple[str, int]) -> Numbered:
        """The numbered files of one class of one run; where their names tell no run, they are everybody's."""
        everybody_s = self.numbered is not None and "run" not in self.numbered.groupindex
        return found.get(_ALL if everybody_s else key, ())
