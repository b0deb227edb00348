"""The beginning and the end of a watch: the lock, the signals, what the log holds, its first and its last line."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from refine_hooks import kernels
from refine_hooks.errors import StorageError
from refine_hooks.files import file_system
from refine_hooks.files.acting import acting_as, give_folder, give_what_is_ours
from refine_hooks.files.folders import give_to_group, make_named
from refine_hooks.files.lock import FolderLock, only_writer
from refine_hooks.files.signals import set_from_handler
from refine_hooks.files.standing_back import standing_back
from refine_hooks.log.records import Start, Stop, now
from refine_hooks.watch import events
from refine_hooks.watch.config import WatchConfig
from refine_hooks.watch.owners import Stopping
from refine_hooks.watch.state import Watch

logger = logging.getLogger(__name__)

_PACKAGES = ("refine_hooks", "numpy", "scipy", "scikit-image")


@contextmanager
def begun(w: Watch) -> Iterator[None]:
    """Hold the output folder and log the start, run the block until it ends or is interrupted, and log why.

    Raises:
        TakenError: another watcher writes into the same folder.
        StorageError: the log itself cannot be written.
    """
    host, pid = events.running_on()
    with (
        _as_owner(w.config),
        only_writer(w.store.out, f"refine-hooks on {host}, process {pid}") as lock,
        w.obeying.begun(lock),
        events.repeating(lambda: _beat(w, lock), w.settings.watch.poll_s),
        _signals(w.stopping),
        w.guard.holding(lock),
        standing_back(),
    ):
        _prepare(w)
        w.log.append(_start(w, host, pid))
        try:
            yield
        except KeyboardInterrupt:
            w.stopping.why = w.stopping.why if w.stopping.asked.is_set() else "interrupted"
        try:
            _end(w)
        finally:
            w.log.close()


@contextmanager
def _as_owner(config: WatchConfig) -> Iterator[None]:
    """Write as the owner of the project, where that is asked for.

    An output folder in the project is made by the owner; one elsewhere, where the owner may make none, is given to them.
    """
    owner, out = config.owner, config.store.out
    if owner is None:
        yield
        return
    kernels.load()
    if not out.is_relative_to(config.project):
        give_folder(out, owner)
    elif out.is_dir() and not out.is_symlink():
        give_what_is_ours(out, owner)
    with acting_as(owner):
        yield


def _beat(w: Watch, lock: FolderLock) -> None:
    w.obeying.beat(lock, w.stopping, w.counts, w.waits)
    if w.obeying.paused:
        w.activity.now()


def _prepare(w: Watch) -> None:
    """Clear what killed watches left behind, and read what earlier ones logged."""
    if file_system.locks_stay_here(w.store.out):
        logger.warning(
            f"{w.store.out}: this mount keeps locks to itself; make sure that no watcher on another machine writes here"
        )
    w.store.require_own_folders()
    if w.settings.files.group:
        give_to_group(w.store.out, w.settings.files.group)
    w.store.sweep()
    for fault in w.log.recall():
        logger.warning(fault)
    w.log.hold_earlier()
    w.log.recover()
    if w.settings.notify.metrics_file:
        with suppress(StorageError):  # said when the file is to be written
            make_named(Path(w.settings.notify.metrics_file).absolute().parent)
    w.retries.begin({line.key: line.fingerprint for line in w.index.failures()})


def _end(w: Watch) -> None:
    end = Stop(
        stopped_at=now(), reason=w.stopping.why, rounds_measured=w.counts.measured, rounds_failed=w.counts.failed
    )
    try:
        w.log.append(end)
    except (StorageError, OSError) as error:
        logger.error(str(error))
    w.observers.of_the_end(end, judge_all=not w.stopping.asked.is_set())
    if w.waits.waiting and not w.counts.done:
        logger.warning(f"nothing could be measured: {w.waits.waiting}")
    logger.info(_summary(w))


def _summary(w: Watch) -> str:
    """What this watch did, and where to read it."""
    known, counts = len(w.index.summaries()), w.counts
    bare = f" ({counts.without_half_maps} without half maps)" if counts.without_half_maps else ""
    new = f"{counts.measured} measured{bare}" if counts.done else "nothing new"
    failed = f", {counts.failed} failed" if counts.failed else ""
    where = w.store.report if w.store.report.exists() else w.store.log
    return f"{w.stopping.why}: {new}{failed}; the log holds {known} round{'' if known == 1 else 's'}: {where}"


def _start(w: Watch, host: str, pid: int) -> Start:
    return Start(
        started_at=now(),
        project=str(w.project),
        program=w.program,
        versions={package: _version(package) for package in _PACKAGES},
        settings=w.settings.model_dump(mode="json"),
        host=host,
        pid=pid,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@contextmanager
def _signals(stopping: Stopping) -> Iterator[None]:
    """The first SIGTERM or SIGINT lets the round in hand be finished, a second one drops it cleanly."""

    heard = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal heard
        if heard or stopping.asked.is_set():
            raise KeyboardInterrupt
        heard = True
        stopping.why = "interrupted" if number == signal.SIGINT else "terminated"
        set_from_handler(stopping.asked, stopping.wake)
        rest = "finishing the round in hand; once more to drop it" if stopping.in_hand else "stopping"
        logger.info(f"{stopping.why}: {rest}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
