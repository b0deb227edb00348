"""A refinement folder of EMAN2 (refine_NN, r3d_NN, spt_NN, gmm_NN): which iterations it has, and which pairs belong to which.

The halves ``threed_NN_{even,odd}.hdf`` come out of the reconstruction as they are, and are filtered and masked in place minutes
later. In between, ``fsc_unmasked_NN.txt`` is newer than both and there is no ``fsc_masked_NN.txt`` yet. The copies without a
number (``threed_raw_*`` before, ``threed_*_unmasked`` after the filter) are of the last iteration, or of the next one already.
"""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.files.reading import parsed_json
from refine_hooks.programs._overwritten import written_after, written_before
from refine_hooks.programs._reading import Memory, read_text

_RUN = re.compile(r"(?:refine|r3d|spt|gmm)_\d{2,}")
_MAP = re.compile(r"threed_(\d{2,})(?:_(even|odd))?\.hdf")
_CURVE = re.compile(r"fsc_(unmasked|masked|maskedtight)_(\d{2,})\.txt")
_SETTINGS = re.compile(r"0_[a-z0-9]+_(?:parms|params)\.json")
_LIVE_S = 86400.0

CURVES = ("unmasked", "masked", "maskedtight")


@dataclass(frozen=True, slots=True)
class Run:
    """One refinement folder as it is now.

    Attributes:
        name: in the log, the folder's own name.
        halves: iteration -> the names there are of its even and odd half.
        full: iterations with a map of all particles.
        curves: (name, iteration) of the curves there are.
    """

    folder: Path
    name: str
    halves: dict[int, set[str]]
    full: frozenset[int]
    curves: frozenset[tuple[str, int]]
    settings: tuple[str, ...]
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)

    def pair(self, iteration: int) -> tuple[Path, Path]:
        """The halves that carry the number."""
        return (
            self.folder / f"threed_{iteration:02d}_even.hdf",
            self.folder / f"threed_{iteration:02d}_odd.hdf",
        )

    def map(self, iteration: int) -> Path:
        """The map of all particles, written last."""
        return self.folder / f"threed_{iteration:02d}.hdf"

    def curve(self, name: str, iteration: int) -> Path:
        """The file of one of `CURVES`."""
        return self.folder / f"fsc_{name}_{iteration:02d}.txt"

    def last(self, curve: str) -> list[tuple[int, Path]]:
        """The highest iteration that has a curve, with its file: what has no number can be of no earlier one."""
        numbers = [number for name, number in self.curves if name == curve]
        return [(max(numbers), self.curve(curve, max(numbers)))] if numbers else []

    def unnumbered(self, kind: str) -> tuple[Path, Path]:
        """The pair of copies of one kind of `KINDS`."""
        before, after = KINDS[kind]
        return self.folder / f"threed_{before}even{after}.hdf", self.folder / f"threed_{before}odd{after}.hdf"

    def iteration_of(self, kind: str) -> int | None:
        """The iteration that a pair of `unnumbered` is of; None where none is certain."""
        if kind == "raw":
            return written_after(self.unnumbered(kind), self.last("unmasked"))
        return written_before(self.unnumbered(kind), self.last("masked"))

    def unfiltered_in_place(self, iteration: int) -> bool:
        """Whether the numbered halves are still as they were reconstructed. Proven by names and times together."""
        if {("masked", iteration), ("maskedtight", iteration)} & self.curves or (
            "unmasked",
            iteration,
        ) not in self.curves:
            return False
        return written_after(self.pair(iteration), [(iteration, self.curve("unmasked", iteration))]) is not None

    def masks_of(self, iteration: int) -> list[Path]:
        """The mask files that were in force: those that are no newer than the masked curve."""
        if self.last("masked")[:1] != [(iteration, self.curve("masked", iteration))]:
            return []
        measured_ns = mtime_ns(self.curve("masked", iteration))
        masks = [self.folder / name for name in MASKS.values()]
        return [path for path in masks if 0 <= mtime_ns(path) <= measured_ns]

    def live(self) -> bool:
        """Whether something may still be written over: an iteration takes hours."""
        newest_ns = max((mtime_ns(self.folder), *(mtime_ns(self.map(number)) for number in self.full)))
        return time.time_ns() - newest_ns < _LIVE_S * 1e9


KINDS = {"raw": ("raw_", ""), "unmasked": ("", "_unmasked")}
MASKS = {"refinement": "mask.hdf", "program_tight": "mask_tight.hdf"}


def mtime_ns(path: Path) -> int:
    """When a file was last written; -1 when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def runs(directory: Path, memory: Memory | None = None) -> list[Run]:
    """All refinements of a project, or the one that ``directory`` itself is."""
    memory = memory or Memory()
    own = read_folder(directory, memory)
    if own is not None:
        return [own]
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if _RUN.fullmatch(entry.name))
    except OSError:
        return []
    return [run for name in names if (run := read_folder(directory / name, memory)) is not None]


def read_folder(folder: Path, memory: Memory) -> Run | None:
    """A refinement folder; None where it is none."""
    halves: dict[int, set[str]] = {}
    full, curves, settings = set(), set(), []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if found := _MAP.fullmatch(entry.name):
                    if found[2]:
                        halves.setdefault(int(found[1]), set()).add(found[2])
                    else:
                        full.add(int(found[1]))
                elif found := _CURVE.fullmatch(entry.name):
                    curves.add((found[1], int(found[2])))
                elif _SETTINGS.fullmatch(entry.name):
                    settings.append(entry.name)
    except OSError:
        return None
    if not halves and not (settings and _RUN.fullmatch(folder.name)):
        return None
    found_halves = dict(sorted(halves.items()))
    return Run(folder, folder.name, found_halves, frozenset(full), frozenset(curves), tuple(settings), memory)


def read_settings(path: Path) -> dict[str, object]:
    """A file of settings (``0_refine_parms.json``); what is no JSON is no settings.

    Raises:
        NotReadyError: not there, or empty.
    """
    try:
        table = parsed_json(read_text(path))
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}
