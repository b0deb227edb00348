"""Whether a watch writes into a log now: its last line says whether it ended, the lock's time when it was last alive."""

import os
import time
from dataclasses import dataclass
from typing import Any, Literal

from refine_hooks.files.lock import heard_of
from refine_hooks.log.index import LogIndex

WatchState = Literal["live", "stopped", "stalled", "not watched"]
_LEAST_S = 2.0  # file systems tell times no finer than that


@dataclass(frozen=True, slots=True)
class Watching:
    """The watch of a log.

    Attributes:
        state: live: it was heard of within twice its ``poll_s``; stalled: it was not, and may hang or be out of reach.
        heard_at: when it was last alive, in seconds since 1970.
    """

    state: WatchState
    heard_at: float | None


def watching(index: LogIndex) -> Watching:
    """The watch that wrote into a log last, as it is now."""
    start, ended = index.start, index.ended
    if start is None:
        return Watching("not watched", None)
    heard_at = heard_of(index.out)
    if ended:
        return Watching("stopped", heard_at)
    if heard_at is not None and time.time() - heard_at <= max(_LEAST_S, 2 * _poll_s(start.settings)):
        return Watching("live", heard_at)
    here = start.host == os.uname().nodename
    return Watching("stopped" if here and not os.path.exists(f"/proc/{start.pid}") else "stalled", heard_at)


def _poll_s(settings: dict[str, Any]) -> float:
    try:
        return float(settings["watch"]["poll_s"])
    except (KeyError, TypeError, ValueError):
        return 5.0
