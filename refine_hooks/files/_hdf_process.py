"""Asking the process that opens HDF5 files (`refine_hooks.files._hdf_reader`), which a damaged file may end at any moment.

It is started by the first question, answers all of them in turn, and ends by itself.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError

_PROGRAM = Path(__file__).with_name("_hdf_reader.py")
_REMEMBERED = 1000
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGPROF}

Answer = tuple[dict[str, Any], NDArray[np.float32]]


class Reader:
    """The process, its two pipes, and the files in states that ended one."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._started_by = 0
        self._lock = threading.Lock()
        self._deadly: dict[tuple[str, int, int, int], None] = {}

    def ask(self, path: Path, *, voxels: bool) -> Answer:
        """What the reader says of a file, and its voxels in the order of the file; none where they were not asked for.

        Raises:
            NotReadyError: the file ended the reader, or is not there.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise NotReadyError(f"{path}: is not there ({error.strerror})") from error
        state = str(path), status.st_ino, status.st_size, status.st_mtime_ns
        request = json.dumps({"path": os.path.abspath(path), "voxels": voxels}).encode() + b"\n"
        with self._lock:
            answer = None if state in self._deadly else self._asked(request, state)
        if answer is None:
            raise NotReadyError(
                f"{path}: ends the process that reads HDF5 (it crashes there, or finds no end); it is being written, or is "
                "damaged"
            )
        return answer

    def _asked(self, request: bytes, state: tuple[str, int, int, int]) -> Answer | None:
        # A reader that nobody had asked for a while may have ended at this very moment, or have been killed for the memory of
        # others: only what it ends of by itself is the file's fault.
        for _ in range(2):
            process = self._running()
            try:
                answer = _answer(process, request)
            except BaseException:
                self.close()
                raise
            if answer is not None:
                return answer
            self.close()
            if process.returncode > 0 or -process.returncode in _FAULTS:
                self._deadly[state] = None
                break
        while len(self._deadly) > _REMEMBERED:
            del self._deadly[next(iter(self._deadly))]
        return None

    def _running(self) -> "subprocess.Popen[bytes]":
        if self.process is None or self._started_by != os.getpid():
            environment = {name: value for name, value in os.environ.items() if name != "HDF5_PLUGIN_PATH"}
            environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment,
            )
            self._started_by = os.getpid()
        return self.process

    def close(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        if process is None or self._started_by != os.getpid():
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


reader = Reader()
atexit.register(reader.close)


def _answer(process: "subprocess.Popen[bytes]", request: bytes) -> Answer | None:
    """None where the reader ended before it had said all."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.flush()
    except BrokenPipeError:
        return None
    line = process.stdout.readline()
    try:
        said = json.loads(line)
    except ValueError:
        return None
    values = np.empty(said.pop("values", 0), "<f4")
    return (said, values) if _filled(process.stdout, values) else None


def _filled(stream: IO[bytes], values: NDArray[np.float32]) -> bool:
    buffer, done = values.view(np.uint8), 0
    while done < len(buffer):
        got = stream.readinto(buffer[done:].data)  # type: ignore[attr-defined]
        if not got:
            return False
        done += got
    return True
