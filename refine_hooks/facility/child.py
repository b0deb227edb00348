"""One process that measures, as its parent sees it: started when it is needed, given up when it does not go on."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from refine_hooks.errors import NotReadyError
from refine_hooks.facility.jobs import Job, Outcome

_LOOK_EVERY_S = 0.5
_ENDS_WITHIN_S = 2.0  # one that waits for a file system ends when that answers, and nobody waits for it


class CrashedError(NotReadyError):
    """The process that measured has ended, or was given up: the round is tried again."""


@dataclass(slots=True)
class Child:
    """A process for one job at a time.

    Attributes:
        threads: how many its work may use.
        hangs_after_s: one that neither computes nor reads for so long is given up.
    """

    threads: int
    hangs_after_s: float
    _process: "subprocess.Popen[bytes] | None" = None
    _connection: Connection | None = None
    _moved: tuple[str, float] = field(default=("", 0.0))

    @property
    def pid(self) -> int | None:
        """Of the process; None where there is none."""
        return None if self._process is None else self._process.pid

    def do(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        """Have a job done.

        Args:
            job: the job.
            stop: whether it is to end soon; asked now and then.

        Raises:
            CrashedError: the process ended, or hung.
        """
        try:
            return self._outcome(job, stop)
        except (EOFError, OSError, ValueError) as error:
            raise CrashedError(f"the process that measured it {self._how_it_ended()}") from error

    def _outcome(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        connection, told = self._begun(), False
        connection.send(job)
        self._moved = "", time.monotonic()
        while True:
            if connection.poll(_LOOK_EVERY_S):
                answer = connection.recv()
                if isinstance(answer, Outcome):
                    return answer
                level, name, text = answer
                logging.getLogger(name).log(level, text)
            elif self._hangs():
                self.end()
                raise CrashedError(
                    f"the process that measured it has not gone on for {self.hangs_after_s:g} s and was given up; its file "
                    "system may not answer"
                )
            if not told and stop():
                told = True
                connection.send(None)

    def _begun(self) -> Connection:
        if self._process is not None and self._process.poll() is None and self._connection is not None:
            return self._connection
        self.end()
        ours, theirs = socket.socketpair()
        level = str(logging.getLogger("refine_hooks").getEffectiveLevel())
        command = [sys.executable, "-m", "refine_hooks.facility.worker", str(theirs.fileno()), level]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        self._connection = Connection(ours.detach())
        return self._connection

    def _hangs(self) -> bool:
        state, now_s = self._state(), time.monotonic()
        if state != self._moved[0]:
            self._moved = state, now_s
        return now_s - self._moved[1] >= self.hangs_after_s

    def _state(self) -> str:
        """What changes while the process computes or reads: its time on the processors, and the bytes that it has read."""
        try:
            times = (
                Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            )
            return " ".join((*times[11:15], Path(f"/proc/{self.pid}/io").read_text(encoding="ascii")))
        except OSError:
            return str(time.monotonic())  # where nobody can tell, nothing is given up

    def _how_it_ended(self) -> str:
        code = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_ENDS_WITHIN_S)
        self.end()
        if code is None:
            return "does not answer"
        return f"was ended by signal {-code}" if code < 0 else f"ended with {code}"

    def end(self) -> None:
        """End the process, whatever it does."""
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS_WITHIN_S)
