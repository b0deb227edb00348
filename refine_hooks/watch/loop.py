"""The whole program in one loop: scan, capture, settled?, half maps, masks and curves, record, log, observers.

A round that cannot be measured is a line in the log and never ends the watch. A full disk is waited for.
"""

import logging
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import nullcontext
from functools import partial

from refine_hooks.errors import StorageError
from refine_hooks.files import file_system
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.model import KEPT_FIRST, Round
from refine_hooks.watch import events
from refine_hooks.watch.failures import measured_or_failed, wait_for_disk
from refine_hooks.watch.scan import Scan, scan
from refine_hooks.watch.schedule import settled
from refine_hooks.watch.session import begun
from refine_hooks.watch.state import Watch
from refine_hooks.watch.steps import (
    capture,
    count_and_say,
    measure_newest_locally,
    remove_expired,
    remove_sums,
    say_what_is_awaited,
    say_what_is_reconstructed,
    say_what_the_log_lacks,
    warn_if_stalled,
)

logger = logging.getLogger(__name__)

_REST_WITHIN_S = 20.0  # no adapter wants half maps to rest for longer

__all__ = ["Watch", "logged_lines", "run", "two_scans", "watched_lines"]


def run(w: Watch, ticks: Iterable[float], notifier: events.ChangeNotifier | None = None, live: bool = False) -> str:
    """Measure every round to the end; returns why it ended. See `logged_lines`."""
    for _ in logged_lines(w, ticks, notifier, live):
        pass
    return w.stopping.why


def watched_lines(w: Watch, until_idle_s: float | None = None) -> Generator[RoundRecord | Failed, None, None]:
    """`logged_lines` at every change of the project, and every ``poll_s``.

    Args:
        w: the watch.
        until_idle_s: ends when nothing has happened for so long; None for never.
    """
    notifier = None
    w.obeying.heeded = True
    if not w.settings.watch.force_poll and file_system.events_arrive(w.project):
        notifier = events.ChangeNotifier(w.opened.watched_folders)
        w.stopping.wake = notifier.notify
    at_changes = "" if notifier is None else " and at every change"
    every_s = w.settings.watch.poll_s
    logger.info(
        f"watching {w.project} ({w.program}), writing to {w.store.out}; scanning every {every_s:g} s{at_changes}"
    )
    try:
        yield from logged_lines(w, w.scan_times(notifier, until_idle_s), notifier, live=True)
    finally:
        if notifier is not None:
            notifier.close()


def logged_lines(
    w: Watch, ticks: Iterable[float], notifier: events.ChangeNotifier | None = None, live: bool = False
) -> Generator[RoundRecord | Failed, None, None]:
    """Measure every round that is there, and every one that arrives while the ticks go on; each line once it is logged.

    Whoever leaves the iterator ends the watch.

    Args:
        w: the watch.
        ticks: moments at which to scan; the watch ends with them.
        notifier: says when the project changes.
        live: capture in a thread of its own as well.

    Raises:
        TakenError: another watcher writes into the same folder.
        StorageError: the log itself cannot be written.
    """
    watch, due = w.settings.watch, w.schedule.capture_is_due
    capturing = events.capturing(partial(capture, w), notifier, watch.poll_s, due) if live else nullcontext()
    with begun(w), capturing:
        for round_ in settled(lambda: _turn(w).rounds, ticks, w.schedule, w.done):
            line = _measured_and_logged(w, round_)
            if line is None:
                continue
            w.counts.waiting = max(0, w.counts.waiting - 1)
            count_and_say(w, line)
            remove_sums(w, round_)
            w.observers.of_round(line)
            remove_expired(w, line.key)
            try:
                yield line
            except GeneratorExit:
                w.stopping.why = "left"
                w.stopping.asked.set()
                return


def _turn(w: Watch) -> Scan:
    """One turn of the loop, which finds nothing where the disk fails at that moment."""
    try:
        return _looked_at(w)
    except OSError as error:
        found = Scan(
            why_not=f"{w.project} or {w.store.out} cannot be reached ({error.strerror or error}); it is tried again"
        )
        w.waits.scanned(found.why_not)
        return found


def _looked_at(w: Watch) -> Scan:
    """Capture, audit of earlier rounds, scan; the rounds that are not finished."""
    w.retries.scans += 1
    found = Scan(why_not=w.guard.lost() or w.log.mended())
    if not found.why_not:
        warn_if_stalled(w)
        w.observers.catch_up()
        w.observers.send_due()
        known = w.resting.found(w.opened, w.schedule.changes, w.index.replaced_at)
        if known is not None:
            w.schedule.captured_s = w.config.clock()
            _while_none_waits(w)
            return known
        capture(w)
        found = scan(w.config)
    if w.waits.scanned(found.why_not):
        w.retries.hasten()
    if found.why_not:
        return found
    if w.retries.scans == 1:
        say_what_the_log_lacks(w, list(found.rounds))
        for round_ in found.rounds:
            remove_sums(w, round_)
    w.closed.look(w.project, w.opened.watched_folders, w.config.clock())
    rounds = w.known.active(found.rounds, w.retries)
    say_what_is_awaited(w, rounds)
    w.activity.see(rounds, w.settings.watch.settle_s, w.done)
    to_measure = _to_measure(w, Scan(tuple(rounds)))
    w.counts.waiting = sum(not round_.missing and w.waits_for_measuring(round_) for round_ in rounds)
    if not to_measure:
        _while_none_waits(w)
    found = Scan(tuple(rounds))
    open_ = any(round_.missing or w.retries.holds(round_) or not w.done(round_) for round_ in rounds)
    w.resting.looked(found, nothing_open=not open_ and not w.obeying.paused)
    return found


def _while_none_waits(w: Watch) -> None:
    if not w.obeying.paused:
        w.config.measurer.rest()
        w.observers.bring_up_to_date()
        measure_newest_locally(w)


def _measured_and_logged(w: Watch, round_: Round) -> RoundRecord | Failed | None:
    """The line that was written for a round; None where there is nothing new, or the disk has to be waited for."""
    began = False
    try:
        w.store.require_room(w.counts.files_bytes)
        began = True
        with w.stopping.measuring():
            line = measured_or_failed(w, round_)  # half maps, masks, curves, record
            if line is not None:
                w.log.append(line)
            return line
    except (StorageError, OSError) as error:
        if began:
            w.retries.add(round_)
        wait_for_disk(w, error)
        return None


def two_scans(w: Watch) -> Iterator[float]:
    """Ticks for what is on disk now: more scans where something needs time to settle, then a word on what is still awaited."""
    rounds = _to_measure(w, _first_scan(w))
    w.counts.expected = len(rounds)
    say_what_is_reconstructed(w, rounds)
    yield w.config.clock()
    if _to_measure(w, _turn(w)):
        w.stopping.asked.wait(w.settings.watch.settle_s)
        yield w.config.clock()
    yield from _until_kept(w)
    for round_ in _turn(w).rounds:
        if round_.missing:
            logger.warning(f"{round_.key} {round_.label}: not measured; still awaited: {', '.join(round_.missing)}")


def _until_kept(w: Watch) -> Iterator[float]:
    """Ticks while half maps that are copied first come to rest: in a project that was copied a moment ago they look unfinished."""
    waiting = _kept_first(w)
    if not waiting:
        return
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    what = f"{waiting[0].key} {waiting[0].label}{more}"
    logger.info(f"{what}: written a moment ago; waiting for the half maps to come to rest")
    ends_s, pause_s = time.monotonic() + _REST_WITHIN_S, min(1.0, max(w.settings.watch.settle_s, 0.02))
    while waiting and time.monotonic() < ends_s and not w.stopping.asked.wait(pause_s):
        waiting = _kept_first(w)
        yield w.config.clock()


def _kept_first(w: Watch) -> list[Round]:
    return [round_ for round_ in _turn(w).rounds if round_.missing == (KEPT_FIRST,)]


def _to_measure(w: Watch, found: Scan) -> list[Round]:
    return [round_ for round_ in found.rounds if not round_.missing and not w.done(round_)]


def _first_scan(w: Watch) -> Scan:
    """A scan; one that fails because the program is writing its database is made again for a while."""
    watch, ends_s = w.settings.watch, w.config.clock() + w.settings.watch.database_lock_timeout_s
    found = _turn(w)
    while found.why_not and not w.stopping.asked.is_set() and w.config.clock() < ends_s:
        w.stopping.asked.wait(min(1.0, watch.poll_s))
        found = _turn(w)
    return found
