"""What a watch was asked to do. Nothing of it changes while it runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from refine_hooks.files.acting import Owner
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Key, Round
from refine_hooks.programs.adapter import Project
from refine_hooks.reanalyse import Analyses
from refine_hooks.settings import Settings
from refine_hooks.watch.known import KnownRounds
from refine_hooks.watch.owners import Counts

Reconstruct = Literal["never", "missing", "always"]


def untold(done: int, total: int) -> None:
    """Progress that nobody asked for."""


class Measurer(Protocol):
    """Who does the work that takes processors and memory: this process, or others that many watches share."""

    def round(self, config: "WatchConfig", known: KnownRounds, round_: Round, counts: Counts) -> RoundRecord | None:
        """The record of a round; see `refine_hooks.watch.inputs.measured`."""

    def newest_locally(
        self, config: "WatchConfig", analyses: Analyses, index: LogIndex, between: Callable[[], object]
    ) -> list[Key]:
        """Measure the local resolution of the newest rounds, or have it done; which rounds have one now that had not.

        Whoever does it in the process of the watch calls ``between`` again and again, which may raise
        `refine_hooks.reanalyse.PutOff`.
        """

    def rest(self) -> None:
        """Nothing is to be measured now; asked at every scan."""


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """One project, how it is watched, and where to.

    Attributes:
        project: its folder.
        program: name of the program that refines there.
        opened: the project, opened as that program's.
        store: the output folder.
        measurer: who measures.
        reconstruct: whether half maps are made from the particles.
        owner: whom what is written is to belong to; None for this process's user.
        asked_to_stop: set when the watch is to end; what takes long ends soon then.
        clock: seconds; the clock of all waiting.
        progress: learns how many rounds are done, and of how many.
        inserting: the same, of particles while half maps are made from them.
    """

    project: Path
    program: str
    opened: Project
    settings: Settings
    store: Store
    measurer: Measurer
    reconstruct: Reconstruct = "never"
    owner: Owner | None = None
    asked_to_stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    progress: Callable[[int, int], None] = untold
    inserting: Callable[[int, int], None] = untold
