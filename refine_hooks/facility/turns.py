"""Whose turn it is: which of the jobs that wait is done next."""

from collections.abc import Iterable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from threading import Event

from refine_hooks.facility.jobs import Job, Outcome
from refine_hooks.model import Round

STARVES_AFTER_S = 600.0  # what has waited for so long is as urgent as a live round
_OF_ANY_BYTES = 100_000_000  # a process that has measured, its arrays aside
_OF_A_MAP = 10  # arrays of the size of a half map that a measurement holds at once
_OF_SUMS = 3  # the same, of Fourier sums
_MAPS = {".mrc", ".map", ".ccp4", ".rec", ".hdf"}


class Urgency(IntEnum):
    """How soon a job is to be done; a reconstruction takes hours, and never holds up what takes seconds."""

    LIVE = 0
    OLD = 1
    LOCAL = 2
    RECONSTRUCTION = 3


@dataclass(slots=True, eq=False)
class Ticket:
    """A job that waits, is being done, or is done.

    Attributes:
        memory_bytes: that it is expected to take.
        since_s: when it was asked for.
        context: of the thread that asked for it; messages are said there.
        stop: set when its project needs it no more.
        done: set when there is an outcome.
    """

    job: Job
    urgency: Urgency
    memory_bytes: int
    since_s: float
    stop: Event
    context: Context = field(default_factory=copy_context)
    done: Event = field(default_factory=Event)
    outcome: Outcome = field(default_factory=Outcome)

    def ended(self, outcome: Outcome) -> None:
        """Give the outcome to who waits for it."""
        self.outcome = outcome
        self.done.set()


def next_of(waiting: Iterable[Ticket], served_s: Mapping[Path, float], now_s: float) -> Ticket | None:
    """The job to be done next: live rounds first, of equally urgent ones that of the project which was served longest ago.

    Args:
        waiting: the jobs.
        served_s: when a job of a project was begun last.
        now_s: the present moment, on the same clock.
    """

    def rank(one: Ticket) -> tuple[int, float, float]:
        starves = one.urgency is Urgency.OLD and now_s - one.since_s >= STARVES_AFTER_S
        return (Urgency.LIVE if starves else one.urgency, served_s.get(one.job.project, 0.0), one.since_s)

    return min(waiting, key=rank, default=None)


def expected_bytes(round_: Round) -> int:
    """Memory that the measurement of a round is expected to take: some arrays of the size of its largest map, or of its sums."""
    maps = [file.size for file in round_.fingerprint.inputs if file.path.suffix.lower() in _MAPS]
    sums = [file.size for file in round_.fingerprint.inputs if file.path.suffix.lower() not in _MAPS]
    return _OF_ANY_BYTES + _OF_A_MAP * max(maps, default=0) + _OF_SUMS * sum(sums)
