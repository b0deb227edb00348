"""What a refinement program is here: an `Adapter`, which opens a directory as a `Project`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from refine_hooks.log.checks import Duplicates
from refine_hooks.model import FscCurve, HalfMaps, ProgramMask, Round
from refine_hooks.particles import ParticlesJob
from refine_hooks.programs._reading import Memory
from refine_hooks.programs._still import State, Still
from refine_hooks.settings import Settings


class Project(ABC):
    """One directory, opened as one program's. What it remembers is its own; nothing in the directory is opened for writing.

    An adapter makes a class of this one and gives at least `rounds` and `half_maps`. `capture` may run in a thread of its own.

    Attributes:
        directory: the project's folder.
        settings: of this watch or command.
        spool: the folder for what `capture` saves; nothing is made there before something is saved.
        captures: whether `capture` ever saves anything.
        keeps_particles: whether `particles` may have an answer.
        unfiltered_by: the command that says how to have unfiltered half maps of every iteration; empty where there is none.
        memory: what was read of the project's tables.
        still: the rounds of the past.
    """

    captures = False
    keeps_particles = False
    unfiltered_by = ""

    def __init__(self, directory: Path, settings: Settings, spool: Path) -> None:
        self.directory = directory
        self.settings = settings
        self.spool = spool
        self.memory = Memory()
        self.still = Still()

    @property
    def keep_free_bytes(self) -> int:
        """Room on the disk that nothing is saved into: the refinement needs it more."""
        return int(self.settings.keep.min_free_GB * 1e9)

    def watched_folders(self) -> Iterable[tuple[Path, bool]]:
        """Folders whose changes should be looked at once, each with whether to include its sub-folders."""
        return [(self.directory, False)]

    def folders_with_maps(self) -> Iterable[Path]:
        """Folders in which half maps that belong to no round are looked for."""
        for folder, with_subfolders in self.watched_folders():
            yield from below(folder) if with_subfolders else [folder]

    def why_unused(self, path: Path) -> str | None:
        """Why a half map that belongs to no round is not used; None where that needs no word."""
        return "its name is none that the program gives the half maps of a round"

    def glance(self) -> tuple[State, ...] | None:
        """States of the folders and files that tell at once whether `rounds` or `capture` may find something new.

        While nothing is awaited, and these stay the same and no change is heard of in `watched_folders`, most looks are left out.
        None, where the adapter cannot tell: then none is.
        """
        return None

    @abstractmethod
    def rounds(self) -> Iterable[Round]:
        """Every round and class that is on disk or in the spool now, oldest first; called again and again.

        A round that is given from memory, and so is unchanged, keeps its ``serial``.
        """

    def capture(self) -> list[Path]:
        """Save into the spool what the program is about to delete; returns what was newly saved.

        Raises:
            StorageError: the spool cannot be written to.
        """
        return []

    @abstractmethod
    def half_maps(self, round_: Round) -> HalfMaps | None:
        """Find or merge the two half maps; None where the round has none (it is then recorded with the reported curves).

        Raises:
            NotReadyError: they are being written at this moment.
            RefineHooksError: they cannot be used; says why.
        """

    def reported(self, round_: Round) -> list[FscCurve]:
        """The program's own curves.

        Raises:
            NotReadyError: they are being written at this moment.
        """
        return []

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """The program's masks by the name that they are recorded under; ``refinement`` is the one that it refined with.

        Raises:
            RefineHooksError: a mask cannot be read; says why.
        """
        return {}

    def particles(self, round_: Round) -> ParticlesJob | None:
        """What the round can be reconstructed from; None where the program keeps no particles.

        Raises:
            ParticlesError: they should be there and are not, or cannot be reconstructed; says why.
        """
        return None

    def names_particles(self, round_: Round) -> bool:
        """Whether what `particles` begins with is there, at a glance: with no table of particles no round is reconstructed."""
        return self.keeps_particles

    def duplicates(self, round_: Round) -> Duplicates | None:
        """Particles that are in both half sets by the program's own table; None where that is not known."""
        return None

    def viewing_directions(self, round_: Round) -> NDArray[np.float64] | None:
        """Particles per bin [theta 0..180, phi 0..360], where the program keeps or implies them."""
        return None

    def discard(self, round_: Round) -> None:  # noqa: B027 - most programs save nothing
        """Remove what `capture` saved for this round, after its half maps are safely on disk."""


class Adapter(Protocol):
    """One refinement program: a value, or a module with these functions."""

    def recognises(self, directory: Path) -> bool:
        """Whether ``directory`` is this program's. Cheap: a few names, no walk."""
        ...

    def why(self, directory: Path) -> str:
        """What speaks for a directory's being this program's, or against it."""
        return (self.recognises.__doc__ or "says nothing").strip().splitlines()[0].rstrip(".")

    def open(self, directory: Path, settings: Settings, spool: Path) -> Project:
        """The project in ``directory``; what is captured of it goes below ``spool``.

        Raises:
            SettingsError: it cannot be opened under these settings; says what is lacking.
        """
        ...


PARTS = ("open", "recognises", "why")


@dataclass(frozen=True, slots=True)
class Program(Adapter):
    """An adapter made of two functions and the class of its projects."""

    recognised: Callable[[Path], bool]
    reason: Callable[[Path], str]
    project: Callable[[Path, Settings, Path], Project]

    def recognises(self, directory: Path) -> bool:
        """See `Adapter.recognises`."""
        return self.recognised(directory)

    def why(self, directory: Path) -> str:
        """See `Adapter.why`."""
        return self.reason(directory)

    def open(self, directory: Path, settings: Settings, spool: Path) -> Project:
        """See `Adapter.open`."""
        return self.project(directory, settings, spool)


_BELOW = 2


def below(folder: Path, depth: int = _BELOW) -> Iterator[Path]:
    """A folder and those below it, to a depth; hidden ones are left out."""
    yield folder
    try:
        inside = sorted(each for each in folder.iterdir() if not each.name.startswith(".")) if depth else []
    except OSError:
        return
    for each in inside:
        if each.is_dir():
            yield from below(each, depth - 1)
