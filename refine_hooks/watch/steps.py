"""The steps of the loop around a measured round. None of them ends the watch, whatever goes wrong."""

import logging
import os
import time
from dataclasses import dataclass

from refine_hooks.log.copies import half_maps_without_line
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.model import Key, Round
from refine_hooks.reanalyse import PutOff
from refine_hooks.watch import products
from refine_hooks.watch.known import at_hand
from refine_hooks.watch.retention import remove_superseded
from refine_hooks.watch.scan import scan
from refine_hooks.watch.state import Watch

logger = logging.getLogger(__name__)

_GLANCE_EVERY_S, _GLANCES_SHARE = 0.5, 0.05

_PATIENCE = 2  # times the wait for the program's entry: what has not come by then keeps no watch from ending
_SAID_AFTER_S = 60.0  # what a round lacks for so long is said once


def capture(w: Watch) -> None:
    """Keep what the program will delete or write over. The capture thread and every turn do this; one of them at a time."""
    try:
        w.guard.require()
        with w.at_capture:
            w.schedule.captured_s = w.config.clock()
            kept = [path.name for path in w.config.opened.capture()]
        if kept:
            w.activity.now()
            logger.info(f"kept {kept[0]}" if len(kept) == 1 else f"kept {len(kept)} files: {kept[0]} ... {kept[-1]}")
    except Exception as error:
        w.waits.say(f"inputs could not be kept ({error or type(error).__name__}); trying again")


def warn_if_stalled(w: Watch) -> None:
    """Say once that nothing has come for long; news make it worth saying again."""
    idle_s = w.activity.stalled_for(w.settings.watch.stalled_after_s)
    if idle_s is not None:
        logger.warning(f"nothing new for {idle_s / 3600:.1f} hours: the refinement may have ended, or hang")
        assert w.index.start is not None
        w.observers.of("stalled", w.index.start)


def say_what_is_awaited(w: Watch, rounds: list[Round]) -> None:
    """What lacks for long is said once; while it may yet come, the watch is not idle."""
    now_s, watch = w.config.clock(), w.settings.watch
    if not os.path.isdir(w.project):  # pathlib raises where the folder above may not be entered
        w.waits.say(f"{w.project} is gone or out of reach; waiting for it to come back")
    elif w.awaited.hopefully(rounds, now_s, _PATIENCE * watch.metadata_wait_s):
        w.activity.until(now_s - watch.poll_s)
    for round_ in rounds:
        if round_.missing and w.awaited.overdue(round_.key, now_s, _SAID_AFTER_S):
            logger.warning(f"{round_.key} {round_.label}: not measured yet; still awaited: {', '.join(round_.missing)}")


def say_what_the_log_lacks(w: Watch, rounds: list[Round]) -> None:
    """Half maps that were written here, whose round the log does not hold and nothing on disk gives again, are named."""
    known = [(one.key, one.label) for one in (*w.index.summaries(), *w.index.superseded())]
    to_come = [(each.key, each.label) for each in rounds if each.origin is not None and not each.fault]
    found = half_maps_without_line(w.store, [*known, *to_come])
    if found:
        one, two = found[0]
        more = f" and {len(found) - 1} more pairs" if len(found) > 1 else ""
        logger.warning(
            f"{one}, {two.name}{more}: half maps of rounds that the log does not hold, and whose inputs are gone; they stay, and "
            "'refine-hooks measure HALF1 HALF2' measures them"
        )


def say_what_is_reconstructed(w: Watch, rounds: list[Round]) -> None:
    """Say before hours of work what they are for; how long they take is said after the first thousand particles."""
    if w.config.reconstruct == "never" or not w.opened.keeps_particles:
        return
    always = w.config.reconstruct == "always"
    refined = (round_ for round_ in rounds if not round_.starting)
    asked = [round_ for round_ in refined if always or round_.fault or _lacks_half_maps(round_)]
    poor = [round_ for round_ in asked if w.opened.names_particles(round_)]
    if len(poor) < len(asked):
        first = next(round_ for round_ in asked if round_ not in poor)
        which = f"{first.key}{f' and {len(asked) - len(poor) - 1} more' if len(asked) - len(poor) > 1 else ''}"
        logger.warning(
            f"{which}: not reconstructed: the tables that name the particles of these rounds are not there (any more)"
        )
    if not poor:
        return
    w.counts.particles = sum(round_.facts.particles or 0 for round_ in poor)
    particles = f"{w.counts.particles} particles" if w.counts.particles else "their particles"
    what = "half maps are" if always else "unfiltered, unmasked half maps are not on disk and are"
    logger.info(
        f"{len(poor)} round{'' if len(poor) == 1 else 's'}: {what} reconstructed from {particles}; how long that takes is said "
        "after the first thousand; --reconstruct never leaves this out"
    )


def _lacks_half_maps(round_: Round) -> bool:
    """Whether it is known before anything is read that there are none, or only filtered ones."""
    return hasattr(round_.inputs, "origin") and at_hand(round_) in (None, "regularised")


def remove_sums(w: Watch, round_: Round) -> None:
    """Remove what was captured for a round, once its half maps are safely on disk; a watch that was killed there does it later."""
    if w.settings.keep.sums or not w.known.safe(round_):
        return
    try:
        w.config.opened.discard(round_)
    except Exception as error:
        why = error or type(error).__name__
        logger.warning(f"the sums of {round_.key} could not be removed ({why}); the log is complete")


@dataclass(slots=True)
class _Glances:
    """Looks, now and then while something else is measured, whether a round has come; a small share of the time."""

    w: Watch
    _next_s: float

    def between(self) -> None:
        """Raises `PutOff` where a round waits to be measured, or the watch is to end."""
        w, began_s = self.w, time.monotonic()
        if w.stopping.asked.is_set():
            raise PutOff("the watch ends")
        if began_s < self._next_s:
            return
        found = scan(w.config)
        rounds = [] if found.why_not else w.known.active(found.rounds, w.retries)
        if any(not round_.missing and not w.done(round_) for round_ in rounds):
            raise PutOff("a round has come")
        now_s = time.monotonic()
        self._next_s = now_s + max(_GLANCE_EVERY_S, (now_s - began_s) / _GLANCES_SHARE)


def measure_newest_locally(w: Watch) -> None:
    """Local resolution of the newest rounds, while none waits to be measured; readers learn of it without a new line."""
    glances = _Glances(w, time.monotonic() + _GLANCE_EVERY_S)
    try:
        measured = w.config.measurer.newest_locally(w.config, w.analyses, w.index, glances.between)
    except Exception as error:
        logger.warning(f"local resolution could not be measured ({error or type(error).__name__}); the log is complete")
        return
    if measured:
        w.index.tell_news(measured)
        w.observers.of_news()


def count_and_say(w: Watch, line: RoundRecord | Failed) -> None:
    """What has become of a round, once its line is in the log."""
    w.waits.over()
    w.activity.now()
    w.counts.add(line)
    w.config.progress(w.counts.done, w.counts.expected)
    if isinstance(line, Failed):
        logger.error(f"{line.key} {line.label}: FAILED: {line.reason}")
    else:
        logger.info(products.one_line(line))
        _say_how_to_have_unfiltered(w, line)


def _say_how_to_have_unfiltered(w: Watch, line: RoundRecord) -> None:
    command, halves = w.config.opened.unfiltered_by, line.half_maps
    if command and halves is not None and halves.origin == "regularised" and line.key.iteration > 0:
        what = "the program filters the half maps of its iterations; how to have unfiltered ones of all"
        w.waits.advise(f"{what}: {command} {w.project}")


def remove_expired(w: Watch, key: Key) -> None:
    """Remove the maps of rounds that need not stay, now that another one has come."""
    try:
        remove_superseded(w.store, w.index)
        w.retention.apply(key)
    except Exception as error:
        why = error or type(error).__name__
        logger.warning(f"what is no longer needed could not be removed ({why}); the log is complete")
