"""Measuring by the processes that all watches share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from refine_hooks.facility.jobs import Job
from refine_hooks.facility.pool import Pool
from refine_hooks.facility.turns import Ticket, Urgency, expected_bytes
from refine_hooks.files.lock import holder_of
from refine_hooks.kernels import memory
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Key, Round
from refine_hooks.reanalyse import Analyses, newest_of_series
from refine_hooks.watch.config import Measurer, WatchConfig
from refine_hooks.watch.known import KnownRounds
from refine_hooks.watch.owners import Counts

_LIVE_WITHIN_S = 600.0  # what was written shortly before the watch began is as urgent as what comes
_LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Queued(Measurer):
    """The measuring of one project: each job waits for its turn in the pool."""

    pool: Pool
    begun_at: float = field(default_factory=time.time)
    _largest_bytes: int = 0
    _local: Ticket | None = None
    _local_of: object = None
    _used: bool = False  # memory for a round's report, since that was given back

    def round(self, config: WatchConfig, known: KnownRounds, round_: Round, counts: Counts) -> RoundRecord | None:
        """Have a round measured, and wait for it; None as well where the watch ends before its turn comes."""
        self._largest_bytes, self._used = max(self._largest_bytes, expected_bytes(round_)), True
        ticket = self._ticket(config, self._urgency(config, round_), expected_bytes(round_), round_)
        self.pool.add(ticket)
        while not ticket.done.wait(_LOOK_EVERY_S):
            if config.asked_to_stop.is_set():
                self.pool.drop(ticket)
        if config.asked_to_stop.is_set() and ticket.outcome.errors:
            return None
        outcome = ticket.outcome.checked()
        counts.needs_bytes(outcome.files_bytes)
        if outcome.poorer:
            known.remember_poorer(round_)
        return outcome.record

    def newest_locally(
        self, config: WatchConfig, analyses: Analyses, index: LogIndex, between: Callable[[], object]
    ) -> list[Key]:
        """Have the local resolution of the newest rounds measured when nothing else waits; a later call has what came of it."""
        if config.settings.analysis.local == "never":
            return []
        if self._local is not None and not self._local.done.is_set():
            return []
        done, self._local = self._local, None
        newest = [(one.key, one.place) for one in newest_of_series(index)]
        if newest and newest != self._local_of:
            self._local_of = newest
            self._local = self._ticket(config, Urgency.LOCAL, self._largest_bytes)
            self.pool.add(self._local)
        return list(done.outcome.checked().local) if done is not None else []

    def rest(self) -> None:
        """Give back what reading and reporting a round took; the processes that measure do so themselves."""
        if self._used:
            memory.give_back()
            self._used = False

    def _urgency(self, config: WatchConfig, round_: Round) -> Urgency:
        if config.reconstruct != "never" and round_.origin in (None, "regularised", "unknown"):
            return Urgency.RECONSTRUCTION
        newest_s = max((file.mtime_ns for file in round_.fingerprint.inputs), default=0) / 1e9
        return Urgency.LIVE if newest_s > self.begun_at - _LIVE_WITHIN_S else Urgency.OLD

    def _ticket(self, config: WatchConfig, urgency: Urgency, memory_bytes: int, round_: Round | None = None) -> Ticket:
        job = Job(
            config.project,
            config.program,
            config.settings,
            config.store.out,
            holder_of(config.store.out),
            config.reconstruct,
            round_.key if round_ is not None else None,
            round_.fingerprint if round_ is not None else None,
            config.owner,
        )
        return Ticket(job, urgency, memory_bytes, time.monotonic(), config.asked_to_stop)
