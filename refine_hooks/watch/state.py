"""One watch: its frozen config, and the small owners of what changes while it runs."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from refine_hooks.audit.judge import Judge
from refine_hooks.files.acting import owner_of_project
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.model import Round
from refine_hooks.notify.observers import Observers
from refine_hooks.programs.adapter import Adapter, Project
from refine_hooks.reanalyse import Analyses
from refine_hooks.report.view import LogView
from refine_hooks.settings import Settings
from refine_hooks.watch.config import Measurer, Reconstruct, WatchConfig, untold
from refine_hooks.watch.events import ChangeNotifier
from refine_hooks.watch.here import Here
from refine_hooks.watch.known import KnownRounds
from refine_hooks.watch.log_writer import LogWriter
from refine_hooks.watch.obeying import Obeying
from refine_hooks.watch.owners import Activity, Closed, Counts, FolderGuard, SaidOnce, Stopping
from refine_hooks.watch.resting import Resting
from refine_hooks.watch.retention import Retention
from refine_hooks.watch.schedule import Awaited, RetryQueue, Schedule, scan_times


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch of one project.

    Attributes:
        config: what it was asked to do.
        guard: whether the output folder is still there.
        stopping: whether it is to end.
        counts: the rounds that it has measured.
        waits: what it waits for.
        closed: folders that it may not read.
        activity: when something last happened.
        awaited: what rounds lack, and since when.
        retries: rounds that are tried again.
        schedule: when to scan again.
        log: the log that it writes.
        known: what that log holds of the rounds on disk.
        observers: the report, messages and hooks.
        retention: what is removed.
        at_capture: capturing is done by one thread at a time.
        analyses: what was measured of rounds since they were logged.
        obeying: what a user asks of it while it runs.
        resting: looks that can be left out.
    """

    config: WatchConfig
    guard: FolderGuard
    stopping: Stopping
    counts: Counts
    waits: SaidOnce
    closed: Closed
    activity: Activity
    awaited: Awaited
    retries: RetryQueue
    schedule: Schedule
    log: LogWriter
    known: KnownRounds
    observers: Observers
    retention: Retention
    at_capture: threading.Lock
    analyses: Analyses
    obeying: Obeying
    resting: Resting

    @classmethod
    def of(
        cls,
        project: Path,
        program: str,
        adapter: Adapter,
        settings: Settings,
        store: Store,
        reconstruct: Reconstruct = "never",
        *,
        clock: Callable[[], float] = time.monotonic,
        asked_to_stop: threading.Event | None = None,
        progress: Callable[[int, int], None] = untold,
        inserting: Callable[[int, int], None] = untold,
        measurer: Measurer | None = None,
    ) -> "Watch":
        """A watch that has not begun; nothing is written yet. See `WatchConfig` for the arguments."""
        guard = FolderGuard()
        store = replace(store, guard=guard.require)
        config = WatchConfig(
            project,
            program,
            adapter.open(project, settings, store.spool),
            settings,
            store,
            measurer or Here(),
            reconstruct,
            owner_of_project(project) if settings.files.owner else None,
            asked_to_stop or threading.Event(),
            clock,
            progress,
            inserting,
        )
        index, analyses, obeying = LogIndex(store.log), Analyses(store), Obeying(owner=config.owner)
        view = LogView(index, Judge(index, settings, completed=analyses.completed))
        return cls(
            config=config,
            guard=guard,
            stopping=Stopping(config.asked_to_stop),
            counts=Counts(),
            waits=SaidOnce(),
            closed=Closed(),
            activity=Activity(clock),
            awaited=Awaited(),
            retries=RetryQueue(),
            schedule=Schedule(settings.watch.poll_s, settings.watch.settle_s, clock),
            log=LogWriter(store, view.index),
            known=KnownRounds(view.index, project, reconstruct != "never"),
            observers=Observers(view, store, lambda: obeying.orders.muted),
            retention=Retention(store, settings.keep, view.judge),
            at_capture=threading.Lock(),
            analyses=analyses,
            obeying=obeying,
            resting=Resting(),
        )

    @property
    def project(self) -> Path:
        """The folder that is watched."""
        return self.config.project

    @property
    def program(self) -> str:
        """The program that refines there."""
        return self.config.program

    @property
    def opened(self) -> Project:
        """The project, opened as that program's."""
        return self.config.opened

    @property
    def settings(self) -> Settings:
        """How it is watched."""
        return self.config.settings

    @property
    def store(self) -> Store:
        """Where everything is written."""
        return self.config.store

    @property
    def index(self) -> LogIndex:
        """What has been read of the log."""
        return self.log.index

    def done(self, round_: Round) -> bool:
        """Whether nothing is to be done for this round at this scan."""
        return self.stopping.asked.is_set() or self.obeying.paused or not self.waits_for_measuring(round_)

    def waits_for_measuring(self, round_: Round) -> bool:
        """Whether this round is to be measured as soon as that may be done; one that is put off is not."""
        if self.retries.holds(round_):
            return self.retries.due(round_)
        return not self.known.finished(round_)

    def scan_times(self, notifier: ChangeNotifier | None, until_idle_s: float | None = None) -> Iterator[float]:
        """Moments at which to scan; see `refine_hooks.watch.schedule.scan_times`."""
        return scan_times(notifier, self.stopping.asked, self.schedule, until_idle_s, lambda: self.activity.last_s)
