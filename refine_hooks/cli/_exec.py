"""Save what a program of the refinement is about to use up, then become that program, whatever has happened before.

Only what Python itself needs is imported here. Saving happens in a child process: a broken installation, a crash, a full
memory, a closed or full standard error and a file that cannot be read to its end harm that child alone.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WAIT_S = 30.0
LONGEST_WAIT_S = 600.0
_SAVING_S = 600.0  # beyond the wait: links take no time, copies of large boxes minutes
_POLL_S = 0.005


def run(arguments: Sequence[str]) -> NoReturn:
    """``PROJECT [--out DIR] [--wait S] -- COMMAND``: save, and become the command.

    The exit code is the command's; 127 where there is none of that name, 126 where it may not be run, 2 where none is given.
    """
    project, out, wait, command = parsed(arguments)
    if not command:
        say("exec: name the project and, after --, the command to run; see refine-hooks exec --help")
        os._exit(2)
    save_then_become(project, out, wait, command)


def parsed(arguments: Sequence[str]) -> tuple[str, str | None, str, list[str]]:
    """Project, --out, --wait and the command. What is not understood is said and passed over: the command must run."""
    words, options = list(arguments), {"--out": "", "--wait": ""}
    own, command = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    plain: list[str] = []
    while own:
        word = own.pop(0)
        name, equals, value = word.partition("=")
        if name in options:
            options[name] = value if equals else (own.pop(0) if own else "")
        elif word.startswith("-"):
            say(f"exec: {word} is no option of this command and is passed over")
        else:
            plain.append(word)
            if len(plain) > 1 and not command and "--" not in words:
                plain += own
                break
    return (plain[0] if plain else ""), options["--out"] or None, options["--wait"], [*plain[1:], *command]


def save_then_become(project: str, out: str | None, wait: str, command: list[str]) -> NoReturn:
    """Save the dumps where the command is cisTEM's merge3d, then become the command."""
    # Nearly every program of a refinement is not merge3d and starts at once, without what saving needs.
    if "merge3d" in " ".join(command):
        wait_s = _seconds(wait)
        in_a_child(lambda: _save(command, project, out, wait_s), wait_s + _SAVING_S)
    become(command)


def _seconds(text: str) -> float:
    try:
        seconds = float(text) if text else WAIT_S
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        say(f"--wait {text}: is no number of seconds; {WAIT_S:g} are waited")
        return WAIT_S
    return min(seconds, LONGEST_WAIT_S)


def _save(command: list[str], project: str, out: str | None, wait_s: float) -> None:
    from pathlib import Path

    from refine_hooks.cli._logging import handler
    from refine_hooks.programs.cistem.hook import save_before

    handler()
    save_before(command, Path(project), Path(out) if out else None, wait_s)


def in_a_child(work: Callable[[], None], most_s: float) -> None:
    """Do ``work`` in a child process; a fault is said, and a child that takes longer than ``most_s`` is ended."""
    try:
        child = os.fork()
    except OSError:
        _guarded(work)
        return
    if child == 0:
        try:
            _guarded(lambda: _standing_back(work))
        finally:
            os._exit(0)
    _awaited(child, most_s)


def _standing_back(work: Callable[[], None]) -> None:
    from refine_hooks.files.standing_back import standing_back

    with standing_back():
        work()


def _awaited(child: int, most_s: float) -> None:
    try:
        ends = time.monotonic() + most_s
        done, status = os.waitpid(child, os.WNOHANG)
        while not done and time.monotonic() < ends:
            time.sleep(_POLL_S)
            done, status = os.waitpid(child, os.WNOHANG)
        if not done:
            # Not waited for: a process that waits for a file server which is away does not die before that is back.
            os.kill(child, signal.SIGKILL)
            say(f"saving took more than {most_s:g} s and was ended; the refinement goes on")
        elif status:
            say(f"saving ended with exit code {os.waitstatus_to_exitcode(status)}; the refinement goes on")
    except OSError:
        return


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except KeyboardInterrupt:
        return
    except BaseException as error:
        say(f"nothing is saved ({type(error).__name__}: {error}); the refinement goes on")


def say(text: str) -> None:
    """One line on standard error; one that is closed, full or broken is passed over."""
    try:
        os.write(2, f"refine-hooks: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def become(command: list[str]) -> NoReturn:
    """Become ``command`` as execvp(3) does, with the signals as Python found them; exit as a shell where that cannot be."""
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    restore_environment()
    fault: OSError | None = None
    for path in candidates(command[0]):
        try:
            _replace_by(path, command)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.ENOTDIR:
                fault = fault or error
    say(f"{command[0]}: cannot be started ({fault.strerror if fault else 'there is no such program'})")
    os._exit(126 if fault else 127)


def restore_environment() -> None:
    """Take out what Python itself puts into the environment where no locale is set (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as stream:
            given = stream.read().split(b"\0")
    except OSError:
        return
    if not any(value.startswith(b"LC_CTYPE=") for value in given):
        os.environ.pop("LC_CTYPE", None)


def _replace_by(path: str, command: list[str]) -> None:
    try:
        os.execv(path, command)  # noqa: S606 - the user's own command, without a shell
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        os.execv("/bin/sh", ["sh", path, *command[1:]])  # noqa: S606 - a script without #! is the shell's, as execvp(3) says


def candidates(name: str) -> list[str]:
    """Where a program of this name may be, as execvp(3) looks for it."""
    if "/" in name or not name:
        return [name] if name else []
    return [os.path.join(folder or ".", name) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
