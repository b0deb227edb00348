"""The whole program in one loop: scan, capture, settled?, half maps, masks and curves, record, log, observers.

A round that cannot be measured is a line in the log and never ends the watch. A full disk is waited for.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from types import FrameType

from refine_hooks.errors import NotReadyError, RefineHooksError, StorageError
from refine_hooks.files import file_system
from refine_hooks.files.lock import only_writer
from refine_hooks.log.records import Failed, RoundRecord, Start, Stop, now
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import Round
from refine_hooks.watch import events, products
from refine_hooks.watch.inputs import changed, measured
from refine_hooks.watch.schedule import RetryQueue, settled
from refine_hooks.watch.state import Watch, at_hand

logger = logging.getLogger(__name__)

__all__ = ["Watch", "attempt", "run", "two_scans"]

_PATIENCE = 2  # times the wait for the program's entry: what has not come by then keeps no watch from ending
_SAID_AFTER_S = 60.0  # what a round lacks for so long is said once
_VANISHED_SCANS = 3  # what is gone may only have been moved since the scan, and the next scan finds it


def run(w: Watch, ticks: Iterable[float], notifier: events.ChangeNotifier | None = None, live: bool = False) -> str:
    """Measure every round that is there, and every one that arrives while the ticks go on; returns why it ended.

    Args:
        w: the watch.
        ticks: moments at which to scan; the watch ends with them.
        notifier: says when the project changes.
        live: capture in a thread of its own as well.

    Raises:
        TakenError: another watcher writes into the same folder.
        StorageError: the log itself cannot be written.
    """
    host, pid = events.running_on()
    beat_s = w.settings.watch.poll_s
    with (
        only_writer(w.store.out, f"refine-hooks on {host}, process {pid}") as lock,
        events.repeating(lock.beat, beat_s),
        _signals(w),
        _guarded(w, lock.require),
    ):
        if file_system.locks_stay_here(w.store.out):
            logger.warning(
                f"{w.store.out}: this mount keeps locks to itself; make sure that no watcher on another machine writes here"
            )
        w.store.require_own_folders()
        w.store.sweep()
        for fault in w.recall():
            logger.warning(fault)
        w.retries = RetryQueue({line.key: line.fingerprint for line in w.index.failures()})
        w.log(_start(w, host, pid))
        for folder in file_system.unreadable(w.opened.watched_folders):
            logger.warning(f"{folder}: cannot be read, so nothing in it is measured; ask its owner for read permission")
        try:
            with events.capturing(lambda: _capture(w), notifier, w.settings.watch.poll_s) if live else nullcontext():
                for round_ in settled(lambda: _turn(w), ticks, w.schedule, w.done):
                    attempt(w, round_)
        except KeyboardInterrupt:
            w.why_stop = w.why_stop if w.stop.is_set() else "interrupted"
        end = Stop(
            stopped_at=now(), reason=w.why_stop, rounds_measured=w.counts.measured, rounds_failed=w.counts.failed
        )
        try:
            w.log(end)
        except StorageError as error:
            logger.error(str(error))
        w.observers.of_the_end(end, judge_all=not w.stop.is_set())
        logger.info(_summary(w))
    return w.why_stop


@contextmanager
def _guarded(w: Watch, require: Callable[[], None]) -> Iterator[None]:
    """Ask before every scan and everything that is written whether the folder is still ours."""
    before, w.require_lock = (w.store, w.require_lock), require
    w.store = replace(w.store, guard=require)
    try:
        yield
    finally:
        w.store, w.require_lock = before


def _summary(w: Watch) -> str:
    """What this watch did, and where to read it."""
    known = len(w.index.summaries())
    bare = f" ({w.counts.without_half_maps} without half maps)" if w.counts.without_half_maps else ""
    new = f"{w.counts.measured} measured{bare}" if w.counts.measured or w.counts.failed else "nothing new"
    failed = f", {w.counts.failed} failed" if w.counts.failed else ""
    return f"{w.why_stop}: {new}{failed}; the log holds {known} round{'' if known == 1 else 's'}: {w.store.report}"


def two_scans(w: Watch) -> Iterator[float]:
    """Ticks for what is on disk now: a second scan where something needs time to settle, then a word on what is still awaited."""
    w.counts.expected = sum(not round_.missing and not w.done(round_) for round_ in _first_scan(w))
    yield w.schedule.clock()
    if any(not round_.missing and not w.done(round_) for round_ in _turn(w)):
        w.stop.wait(w.settings.watch.settle_s)
        yield w.schedule.clock()
    for round_ in _turn(w):
        if round_.missing:
            logger.warning(f"{round_.key} {round_.label}: not measured; still awaited: {', '.join(round_.missing)}")


def _first_scan(w: Watch) -> list[Round]:
    """A scan; one that fails because the program is writing its database is made again for a while."""
    began = w.schedule.clock()
    rounds = _turn(w)
    while w.blind and not w.stop.is_set() and w.schedule.clock() - began < w.settings.watch.database_lock_timeout_s:
        w.stop.wait(min(1.0, w.settings.watch.poll_s))
        rounds = _turn(w)
    return rounds


def attempt(w: Watch, round_: Round) -> None:
    """Measure one round and write it down; whatever goes wrong becomes a line of the log, or is tried again."""
    began = False
    try:
        w.store.require_room(w.room_bytes)
        began = True
        w.in_hand = True
        line = _measured_or_failed(w, round_)
        if line is None:
            return
        w.log(line)
    except StorageError as error:
        if began:
            w.retries.add(round_)
        w.last_event = w.schedule.clock()
        w.waits.say(f"{error}. Waiting; nothing is lost")
        return
    finally:
        w.in_hand = False
    w.waits.over()
    w.last_event = w.schedule.clock()
    w.progress(w.counts.measured + w.counts.failed + 1, w.counts.expected)
    _afterwards(w, round_, line)


def _measured_or_failed(w: Watch, round_: Round) -> RoundRecord | Failed | None:
    """The line to write down for a round, None where there is nothing new.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    try:
        record = measured(w, round_)
    except StorageError:
        raise
    except Exception as error:
        return _failure(w, round_, error)
    w.attempted.add((round_.key, at_hand(round_)))
    w.retries.drop(round_)
    return record


def _failure(w: Watch, round_: Round, error: Exception) -> Failed | None:
    """The line that says why a round could not be measured; None when there is nothing (new) to write down.

    What is out of reach (a share that is gone, a right that was taken) may come back as it was, so it is tried again. A round
    that failed in an earlier watch is tried once more, since what was wrong may have been put right.
    """
    if changed(w, round_):
        return None
    own = isinstance(error, RefineHooksError | OSError | MemoryError)
    reason = str(error) if own else f"a bug of refine_hooks ({type(error).__name__}: {error}); please report it"
    tries = 0
    causes = list(_causes(error))
    if any(isinstance(cause, OSError | MemoryError | NotReadyError) for cause in causes):
        tries = w.retries.add(round_)
        gone = any(isinstance(cause, FileNotFoundError) for cause in causes)
        if tries <= (_VANISHED_SCANS if gone else 1):
            w.waits.say(f"{round_.key} {round_.label}: {reason or repr(error)}. It is tried again")
            return None
    else:
        w.retries.drop(round_)
    line = Failed(
        failed_at=now(),
        program=w.program,
        label=round_.label,
        key=round_.key,
        fingerprint=round_.fingerprint,
        reason=reason or repr(error),
    )
    if not w.failed_so_before(line):
        return line
    if tries <= _VANISHED_SCANS:
        logger.error(f"{line.key} {line.label}: still FAILED: {line.reason}")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _turn(w: Watch) -> list[Round]:
    """One turn of the loop: capture, audit of earlier rounds, scan; the rounds that are not finished."""
    w.retries.scans += 1
    if not _lock_held(w):
        return []
    _capture(w)
    _warn_if_stalled(w)
    w.observers.catch_up()
    found = _scan(w)
    if found is None:
        return []
    if w.retries.scans == 1:
        for round_ in found:
            _remove_sums(w, round_)
    rounds = w.active(found)
    _say_what_is_awaited(w, rounds)
    _wait_for_settling(w, rounds)
    return rounds


def _lock_held(w: Watch) -> bool:
    """Whether this is still the only watch that writes there; otherwise that is waited for."""
    try:
        w.require_lock()
    except StorageError as error:
        w.blind = True
        w.waits.say(str(error))
        return False
    return True


def _scan(w: Watch) -> list[Round] | None:
    """Every round on disk now; None where the project cannot be read, which is waited for, whatever the reason."""
    try:
        rounds = list(w.opened.rounds())
    except Exception as error:
        w.waits.say(f"{w.project} cannot be looked at now ({error or type(error).__name__}); it is tried again")
        w.blind = True
        return None
    if w.blind:
        w.blind = False
        w.waits.over()
    return rounds


def _say_what_is_awaited(w: Watch, rounds: list[Round]) -> None:
    """What lacks for long is said once; while it may yet come, the watch is not idle."""
    if not w.project.is_dir():
        w.waits.say(f"{w.project} is gone or out of reach; waiting for it to come back")
    elif w.awaited.hopefully(rounds, w.schedule.clock(), _PATIENCE * w.settings.watch.metadata_wait_s):
        w.last_event = max(w.last_event, w.schedule.clock() - w.settings.watch.poll_s)
    for round_ in rounds:
        if round_.missing and w.awaited.overdue(round_.key, w.schedule.clock(), _SAID_AFTER_S):
            logger.warning(f"{round_.key} {round_.label}: not measured yet; still awaited: {', '.join(round_.missing)}")


def _wait_for_settling(w: Watch, rounds: list[Round]) -> None:
    """A state that a round is seen in for the first time is news, and the watch is not idle before that can be measured."""
    for round_ in rounds:
        before = w.seen.get(round_.key)
        if before is round_.fingerprint:  # a round of the past, from memory
            continue
        if not round_.missing and not round_.complete and before != round_.fingerprint and not w.done(round_):
            w.last_event = max(w.last_event, w.schedule.clock() + w.settings.watch.settle_s)
        w.seen[round_.key] = round_.fingerprint


def _warn_if_stalled(w: Watch) -> None:
    """Say once that nothing has come for long; news make it worth saying again."""
    idle_s = w.schedule.clock() - w.last_event
    stalled = idle_s >= w.settings.watch.stalled_after_s
    if stalled and not w.stalled:
        logger.warning(f"nothing new for {idle_s / 3600:.1f} hours: the refinement may have ended, or hang")
        assert w.index.start is not None
        w.observers.of("stalled", w.index.start)
    w.stalled = stalled


def _capture(w: Watch) -> None:
    """Both the capture thread and every scan do this; one of them at a time."""
    try:
        w.require_lock()
        with w.at_capture:
            kept = [path.name for path in w.opened.capture()]
            if kept:
                w.last_event = w.schedule.clock()
                logger.info(
                    f"kept {kept[0]}" if len(kept) == 1 else f"kept {len(kept)} files: {kept[0]} ... {kept[-1]}"
                )
    except Exception as error:
        w.waits.say(f"inputs could not be kept ({error or type(error).__name__}); trying again")


def _afterwards(w: Watch, round_: Round, line: RoundRecord | Failed) -> None:
    if isinstance(line, Failed):
        w.counts.failed += 1
        logger.error(f"{line.key} {line.label}: FAILED: {line.reason}")
    else:
        w.counts.measured += 1
        w.counts.without_half_maps += line.half_maps is None
        logger.info(products.one_line(line))
    _remove_sums(w, round_)
    w.observers.of_round(line)
    try:
        w.retention.apply(line.key)
    except Exception as error:
        logger.warning(
            f"what is no longer needed could not be removed ({error or type(error).__name__}); the log is complete"
        )


def _remove_sums(w: Watch, round_: Round) -> None:
    """Remove what was captured for a round, once its half maps are safely on disk; a watch that was killed there does it later."""
    last = w.index.last(round_.key)
    if (
        w.settings.keep.sums
        or not isinstance(last, RoundSummary)
        or last.origin is None
        or last.fingerprint != round_.fingerprint
    ):
        return
    try:
        w.opened.discard(round_)
    except Exception as error:
        logger.warning(
            f"the sums of {round_.key} could not be removed ({error or type(error).__name__}); the log is complete"
        )


def _start(w: Watch, host: str, pid: int) -> Start:
    versions = {}
    for package in ("refine_hooks", "numpy", "scipy", "scikit-image", "numba"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    settings = w.settings.model_dump(mode="json")
    return Start(
        started_at=now(),
        project=str(w.project),
        program=w.program,
        versions=versions,
        settings=settings,
        host=host,
        pid=pid,
    )


@contextmanager
def _signals(w: Watch) -> Iterator[None]:
    """The first SIGTERM or SIGINT lets the round in hand be finished, a second one drops it cleanly."""

    def stop(number: int, _: FrameType | None) -> None:
        if w.stop.is_set():
            raise KeyboardInterrupt
        w.why_stop = "interrupted" if number == signal.SIGINT else "terminated"
        w.stop.set()
        logger.info(f"{w.why_stop}: {'finishing the round in hand; once more to drop it' if w.in_hand else 'stopping'}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
