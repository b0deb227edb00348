"""RELION's own external reconstruction, with its sums kept beside it; the exit code is RELION's program's, whatever happens."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, NoReturn

from refine_hooks.cli._exec import in_a_child, restore_environment, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

PROGRAM_VARIABLE = "REFINE_HOOKS_RELION_EXTERNAL_RECONSTRUCT"
OUT_VARIABLE = "REFINE_HOOKS_OUT"
_KEEPING_S = 120.0  # a link takes no time, a copy of two large arrays some seconds


def reconstruct(arguments: Sequence[str]) -> NoReturn:
    """Run RELION's program with these arguments, keep the sums that the first names, and exit as the program does."""
    process = _started([os.environ.get(PROGRAM_VARIABLE) or "relion_external_reconstruct", *arguments])
    in_a_child(lambda: keep_sums(arguments[0]), _KEEPING_S)
    code = process.wait()
    os._exit(code if code >= 0 else 128 - code)


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    restore_environment()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, no exit code is had
    process: subprocess.Popen[bytes] | None = None
    before: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if process is None:
            before.append(number)
        else:
            process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, pass_on)
    try:
        process = _popen(command)
    except OSError as error:
        say(
            f"{command[0]} cannot be started ({error.strerror}); put RELION's programs on PATH, or name it in "
            f"{PROGRAM_VARIABLE}"
        )
        os._exit(127 if isinstance(error, FileNotFoundError | NotADirectoryError) else 126)
    for heard in before:
        process.send_signal(heard)
    return process


def _popen(command: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        return subprocess.Popen(["/bin/sh", shutil.which(command[0]) or command[0], *command[1:]])


def keep_sums(star: str) -> None:
    """Keep one half's arrays in the spool; whatever goes wrong is said and harms nothing."""
    try:
        from pathlib import Path

        from refine_hooks.log.folder import OUT_NAME, Store
        from refine_hooks.programs.relion.spool import keep

        out = Path(os.environ.get(OUT_VARIABLE) or OUT_NAME)
        store = Store(out.absolute())
        store.make()
        keep(Path(star), store.spool)
    except Exception as error:  # the refinement must never suffer from its observer
        say(f"the sums of {star} are not kept: {error}; the refinement goes on")
