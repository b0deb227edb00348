"""Processes that are run beside a watch: each with a time limit, in a queue, and ended with all that they started.

What a process starts in a session of its own is found by a mark in its environment (Linux); one that clears its environment as
well is not found.
"""

import contextlib
import os
import queue
import secrets
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MARK = "REFINE_HOOKS_RUN"
_KEPT_BYTES = 4096
_READ_BYTES = 65536
_SWEEPS = 20  # of a process that starts new ones while it is ended


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; None where it was stopped because its time was over.
        said: the last of what it wrote.
    """

    code: int | None
    said: str


@dataclass(slots=True)
class Queue:
    """Jobs that run one after another in a thread of their own, so that nobody waits for them.

    Attributes:
        name: of the thread.
    """

    name: str
    _jobs: "queue.SimpleQueue[tuple[int, Callable[[], list[str]]]]" = field(default_factory=queue.SimpleQueue)
    _faults: "queue.SimpleQueue[str]" = field(default_factory=queue.SimpleQueue)
    _state: threading.Condition = field(default_factory=threading.Condition)
    _waiting: int = 0
    _added: int = 0
    _in_hand: int = 0  # number of the job that runs
    _left_out: int = 0  # jobs up to this number are not to be run, or ended
    _worker: threading.Thread | None = None
    _running: "tuple[subprocess.Popen[bytes], str] | None" = None

    def add(self, job: Callable[[], list[str]]) -> None:
        """Run a job later; what it returns are faults in words."""
        with self._state:
            self._waiting += 1
            self._added += 1
            number = self._added
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name=self.name, daemon=True)
                self._worker.start()
        self._jobs.put((number, job))

    def _work(self) -> None:
        while True:
            number, job = self._jobs.get()
            with self._state:
                self._in_hand = number
            try:
                faults = [] if number <= self._left_out else job()
            except Exception as error:
                faults = [f"{self.name} failed ({type(error).__name__}: {error})"]
            for fault in faults:
                self._faults.put(fault)
            with self._state:
                self._waiting -= 1
                self._state.notify_all()

    def faults(self) -> list[str]:
        """What has come to light since the last time."""
        found = []
        while not self._faults.empty():
            found.append(self._faults.get())
        return found

    def finish(self, limit_s: float) -> int:
        """Wait for the jobs, no longer than ``limit_s``; then what runs is ended. Returns how many were left out."""
        with self._state:
            self._state.wait_for(lambda: self._waiting == 0, max(0.0, limit_s))
            left = self._waiting
            if left:
                self._left_out = self._added
            running = self._running
        if left and running is not None:
            end_all(*running)
        return left

    def run(self, command: Sequence[str], handed: bytes, timeout_s: float) -> Ended:
        """Run a command with ``handed`` on its standard input, to its end or to the end of its time.

        Raises:
            OSError: it cannot be started.
            ValueError: likewise.
        """
        mark = secrets.token_hex(8)
        with tempfile.TemporaryFile() as stream:
            stream.write(handed)
            stream.seek(0)
            process = subprocess.Popen(
                command,
                stdin=stream,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, _MARK: mark},
            )
        with self._state:
            self._running = process, mark
            left_out = 0 < self._in_hand <= self._left_out
        said, code = b"", None
        try:
            if left_out:  # while the process was being started
                end_all(process, mark)
            said, closed = _heard(process, time.monotonic() + timeout_s)
            code = process.returncode if closed else None
        finally:
            with self._state:
                self._running = None
            end_all(process, mark)
            assert process.stdout is not None
            process.stdout.close()
        return Ended(code, " ".join(said.decode("utf-8", "replace").split()))


def _heard(process: "subprocess.Popen[bytes]", end: float) -> tuple[bytes, bool]:
    """The last of what a process says, read as it comes, so that a talkative one takes no memory; whether it ended in time."""
    said = b""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left_s := end - time.monotonic()) > 0:
            if selector.select(left_s):
                more = os.read(process.stdout.fileno(), _READ_BYTES)
                if not more:
                    break
                said = (said + more)[-_KEPT_BYTES:]
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, end - time.monotonic()))
        return said, time.monotonic() < end
    return said, False


def end_all(process: "subprocess.Popen[bytes]", mark: str) -> None:
    """End a process and everything that it started; nothing where all of it has ended.

    Its output is left open: another thread may wait for its end there, and would not hear of it.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(_SWEEPS):
        found = _marked(mark)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            break
        time.sleep(0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)


def _marked(mark: str) -> list[int]:
    """The living processes that have a mark in their environment."""
    wanted, found = f"{_MARK}={mark}".encode(), []
    with contextlib.suppress(OSError):
        for place in Path("/proc").iterdir():
            if place.name.isdecimal():
                with contextlib.suppress(OSError):
                    if wanted in (place / "environ").read_bytes().split(b"\0"):
                        found.append(int(place.name))
    return found
