"""Measure a round, whatever goes wrong: a failure is a line of the log, or is tried again; a full disk is waited for."""

import logging
from collections.abc import Iterator

from refine_hooks.errors import NotReadyError, RefineHooksError, StorageError
from refine_hooks.log.records import Failed, RoundRecord, now
from refine_hooks.model import Round
from refine_hooks.watch.inputs import changed
from refine_hooks.watch.state import Watch

logger = logging.getLogger(__name__)

_VANISHED_SCANS = 3  # what is gone may only have been moved since the scan, and the next scan finds it


def wait_for_disk(w: Watch, error: StorageError | OSError) -> None:
    """Say once that the disk is full, read-only or gone; a scan after it is well again finds the round anew."""
    w.activity.now()
    w.waits.say(str(error), ". Waiting; nothing is lost")


def measured_or_failed(w: Watch, round_: Round) -> RoundRecord | Failed | None:
    """The line to write down for a round, None where there is nothing new.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    try:
        record = w.config.measurer.round(w.config, w.known, round_, w.counts)
    except StorageError:
        raise
    except Exception as error:
        return _failure(w, round_, error)
    w.known.attempted(round_)
    w.retries.drop(round_)
    return record


def _failure(w: Watch, round_: Round, error: Exception) -> Failed | None:
    """The line that says why a round could not be measured; None when there is nothing (new) to write down.

    What is out of reach (a share that is gone, a right that was taken) may come back as it was, so it is tried again. A round
    that failed in an earlier watch is tried once more, since what was wrong may have been put right.
    """
    if changed(w.config, round_):
        return None
    reason = _reason(error)
    tries = 0
    causes = list(_causes(error))
    if any(isinstance(cause, OSError | MemoryError | NotReadyError) for cause in causes):
        tries = w.retries.add(round_)
        gone = any(isinstance(cause, FileNotFoundError) for cause in causes)
        if tries <= (_VANISHED_SCANS if gone else 1):
            w.waits.say(f"{round_.key} {round_.label}: {reason}. It is tried again")
            return None
    else:
        w.retries.drop(round_)
    line = _line(w, round_, reason)
    if not w.known.failed_so_before(line):
        return line
    if tries <= _VANISHED_SCANS:
        logger.error(f"{line.key} {line.label}: still FAILED: {line.reason}")
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, RefineHooksError | OSError | MemoryError):
        return str(error) or repr(error)
    return f"a bug of refine_hooks ({type(error).__name__}: {error}); please report it"


def _line(w: Watch, round_: Round, reason: str) -> Failed:
    return Failed(
        failed_at=now(),
        program=w.program,
        label=round_.label,
        key=round_.key,
        fingerprint=round_.fingerprint,
        reason=reason,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
