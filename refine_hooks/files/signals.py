"""Setting an event from a signal's handler."""

import _thread
import threading
import time
from collections.abc import Callable

_MOST_WAITED_S, _EVERY_S = 0.1, 0.001


def set_from_handler(event: threading.Event, then: Callable[[], object] = bool) -> None:
    """Set an event, and do something more, from the handler of a signal: another thread does it.

    A handler runs in the middle of whatever the main thread does. Where that is about to wait for this very event it holds the
    event's lock, and a handler that asked for the lock would wait for ever. Mostly the event is set when this returns; else soon.
    """
    _thread.start_new_thread(_set, (event, then))  # threading.Thread would ask for locks of its own
    ends_s = time.monotonic() + _MOST_WAITED_S
    while not event.is_set() and time.monotonic() < ends_s:
        time.sleep(_EVERY_S)


def _set(event: threading.Event, then: Callable[[], object]) -> None:
    event.set()
    then()
