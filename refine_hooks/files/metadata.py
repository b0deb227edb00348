"""How often the file system is asked for metadata or to open something: counted, and limited for threads that sweep projects."""

import builtins
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

SWEEPS: ContextVar[bool] = ContextVar("SWEEPS", default=False)  # whether this thread waits where too much was asked
_BURST_S = 1.0  # that was asked for less before may be asked for more now, for so long
_CALLS = ("stat", "lstat", "scandir", "listdir", "open", "access", "readlink")


class Pace:
    """Counts calls of this process, and makes the threads that sweep wait so that all together stay below a rate.

    Calls are served in the order in which they came. Other threads never wait, but what they ask for is counted.

    Attributes:
        per_s: the most calls a second; 0 for no limit.
        calls: so far.
        waiting: the threads that wait at this moment.
    """

    def __init__(self, per_s: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_s, self.calls = per_s, 0
        self.waiting: set[int] = set()
        self._clock, self._lock, self._over = clock, threading.Lock(), threading.Event()
        self._next_s = clock()

    def take(self) -> None:
        """Count a call, and wait until it may be made."""
        with self._lock:
            self.calls += 1
            if not self.per_s:
                return
            now_s = self._clock()
            self._next_s = max(self._next_s, now_s - _BURST_S) + 1.0 / self.per_s
            wait_s = self._next_s - now_s
        if wait_s > 0 and SWEEPS.get():
            self.waiting.add(threading.get_ident())
            self._over.wait(wait_s)
            self.waiting.discard(threading.get_ident())

    def end(self) -> None:
        """Let everybody go on who waits, and nobody wait from now on."""
        self._over.set()


@contextmanager
def counting(pace: Pace) -> Iterator[None]:
    """Have every call of this process counted while the block runs, those of other packages' adapters included.

    The functions of `os` themselves are replaced meanwhile: an adapter may ask by any way that Python has. What C code asks for
    (SQLite opens its database) is not counted.
    """
    with ExitStack() as stack:
        for module, name in (*((os, name) for name in _CALLS), (io, "open"), (builtins, "open")):
            call = getattr(module, name)
            counted = _counted(call, pace)
            stack.callback(setattr, module, name, call)
            setattr(module, name, counted)
            for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
                if call in able:  # shutil asks these
                    able.add(counted)
                    stack.callback(able.discard, counted)
        stack.callback(pace.end)
        yield


def _counted(call: Callable[..., Any], pace: Pace) -> Callable[..., Any]:
    @wraps(call)
    def counted(*args: Any, **more: Any) -> Any:
        if not (args and isinstance(args[0], int)):  # what is open already is not asked for
            pace.take()
        return call(*args, **more)

    return counted
