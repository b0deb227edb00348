"""A process that measures for many watches: jobs come in on a socket, messages and outcomes go out.

It ends when the process at the other end does. What it was writing then is cleared by the next watch of that project.
"""

import logging
import os
import queue
import signal
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from refine_hooks import kernels
from refine_hooks.errors import NotReadyError
from refine_hooks.facility.jobs import Job, Outcome, failed
from refine_hooks.files.acting import acting_as
from refine_hooks.files.lock import require_holder
from refine_hooks.kernels import memory
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.programs import adapter_called
from refine_hooks.programs.adapter import Project
from refine_hooks.reanalyse import Analyses
from refine_hooks.watch.config import WatchConfig
from refine_hooks.watch.here import Here
from refine_hooks.watch.inputs import measured
from refine_hooks.watch.known import KnownRounds
from refine_hooks.watch.owners import Counts

_MOST_OPEN = 16  # projects that stay open from one job to the next


@dataclass(slots=True)
class _Open:
    """A project as this process has it open."""

    project: Project
    index: LogIndex
    analyses: Analyses


@dataclass(slots=True)
class _Desk:
    """The projects that stay open, and whether the job in hand is to end soon."""

    asked_to_stop: threading.Event = field(default_factory=threading.Event)
    _open: "OrderedDict[tuple[str, str, str, str], _Open]" = field(default_factory=OrderedDict)

    def done(self, job: Job) -> Outcome:
        """Do a job, whatever goes wrong."""
        try:
            if job.owner is not None:
                kernels.load()
            with acting_as(job.owner):
                return self._done(job)
        except KeyboardInterrupt:  # how long work ends that is asked to
            return failed(NotReadyError("its watch ends; it goes on the next time"))
        except Exception as error:
            return failed(error)
        finally:
            memory.give_back()

    def _done(self, job: Job) -> Outcome:
        store = Store(
            job.out, int(job.settings.keep.min_free_GB * 1e9), guard=lambda: require_holder(job.out, job.holder)
        )
        store.guard()
        opened = self._opened(job, store)
        opened.index.refresh()
        if job.key is None:
            found = opened.analyses.measure_newest_locally(opened.index, job.settings)
            return Outcome(local=tuple(found))
        return self._round(job, store, opened)

    def _round(self, job: Job, store: Store, opened: _Open) -> Outcome:
        same = (one for one in opened.project.rounds() if (one.key, one.fingerprint) == (job.key, job.fingerprint))
        round_ = next(same, None)
        if round_ is None:
            raise NotReadyError(
                f"{job.key}: its files changed before they were read; measured again once they are still"
            )
        config = WatchConfig(
            job.project,
            job.program,
            opened.project,
            job.settings,
            store,
            Here(),
            job.reconstruct,
            job.owner,
            self.asked_to_stop,
        )
        known, counts = KnownRounds(opened.index, job.project, job.reconstruct != "never"), Counts()
        record = measured(config, known, round_, counts)
        return Outcome(record, known.poorer(round_), counts.files_bytes)

    def _opened(self, job: Job, store: Store) -> _Open:
        """A project and its log, as they were left by the job before where these settings are the same."""
        name = str(job.project), job.program, str(job.out), job.settings.model_dump_json()
        known = self._open.pop(name, None)
        if known is None:
            project = adapter_called(job.program).open(job.project, job.settings, store.spool)
            known = _Open(project, LogIndex(store.log), Analyses(store))
        self._open[name] = known
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return known


class _Messages(logging.Handler):
    """Hands every message to the process that the jobs come from."""

    def __init__(self, connection: Connection, lock: threading.Lock) -> None:
        super().__init__()
        self._connection, self._lock = connection, lock

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with self._lock:
                self._connection.send((record.levelno, record.name, record.getMessage()))
        except (OSError, ValueError):
            return


def _read(connection: Connection, jobs: "queue.SimpleQueue[Any]", desk: _Desk) -> None:
    """Take jobs from the socket; a None asks the one in hand to end soon. The end of the socket is the end of the process."""
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        if job is None:
            desk.asked_to_stop.set()
        else:
            desk.asked_to_stop.clear()  # what was asked of the job before, when that had just been done
            jobs.put(job)


def main() -> None:
    """Do jobs until there is nobody any more who asks for them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the jobs come from
    connection, lock = Connection(int(sys.argv[1])), threading.Lock()
    tree = logging.getLogger("refine_hooks")
    tree.addHandler(_Messages(connection, lock))
    tree.setLevel(int(sys.argv[2]))
    tree.propagate = False
    memory.keep()
    desk, jobs = _Desk(), queue.SimpleQueue[Any]()
    threading.Thread(target=_read, args=(connection, jobs, desk), name="jobs", daemon=True).start()
    while True:
        job = jobs.get()
        outcome = desk.done(job)
        with lock:
            connection.send(outcome)


if __name__ == "__main__":
    main()
