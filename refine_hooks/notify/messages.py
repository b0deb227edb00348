"""Tells those who asked: messages through apprise, a Prometheus text file, and the user's own hooks.

Nothing here may harm the watch. Messages and hooks run in one thread of their own, in order, each with a time limit; a hook is
a process that is killed when its time is over; every fault comes back as a sentence for the log.
"""

import contextlib
import os
import queue
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from refine_hooks.audit import Finding
from refine_hooks.files.atomic import beside
from refine_hooks.log.records import Failed, LogLine, RoundRecord, Stop
from refine_hooks.notify.prometheus import LogState, prometheus_text
from refine_hooks.settings import Hook, NotifySettings, Settings

MESSAGE_TIMEOUT_S = 30.0
_SAID_OF_OUTPUT = 400
_KEPT_BYTES = 4096
_READ_BYTES = 65536
_END_EVENTS = ("finished",)

_jobs: "queue.SimpleQueue[Callable[[], list[str]]]" = queue.SimpleQueue()
_faults: "queue.SimpleQueue[str]" = queue.SimpleQueue()
_state = threading.Condition()
_waiting = 0
_worker: threading.Thread | None = None
_running: "subprocess.Popen[bytes] | None" = None


def tell(
    event: str, line: LogLine, findings: Sequence[Finding], settings: Settings, state: LogState, project: str = ""
) -> list[str]:
    """Tell of an event; never raises, and does not wait for anyone but at the end of a watch.

    Args:
        event: round, finding, failed, stalled or finished.
        line: the line of the log that it is about.
        findings: a message holds those of its round.
        settings: who is told, of what; the user's hooks.
        state: of the whole log, for the metrics file.
        project: its name, with which a message's title begins.

    Returns:
        Faults in words: those of this call, and those of earlier ones that have come to light since.
    """
    faults = []
    if settings.notify.metrics_file and event != "finding":
        faults += _write_metrics(Path(settings.notify.metrics_file), state)
    twice = event == "finding" and "round" in settings.notify.on  # the message of the round holds its findings
    if settings.notify.targets and event in settings.notify.on and not twice:
        title, body = message(event, line, findings, project)
        _later(lambda: send(settings.notify, title, body))
    if event == "round" and isinstance(line, RoundRecord):
        for hook in settings.hooks:
            _later(lambda hook=hook: run_hook(hook, line))  # type: ignore[misc]
    if event in _END_EVENTS:
        faults += finish(settings)
    return faults + _known_faults()


def message(event: str, line: LogLine, findings: Sequence[Finding], project: str = "") -> tuple[str, str]:
    """Title and text of a message about an event; the title begins with the project's name."""
    title, body = _message(event, line, findings)
    return (f"{project}: {title}" if project else title), body


def _message(event: str, line: LogLine, findings: Sequence[Finding]) -> tuple[str, str]:
    if isinstance(line, RoundRecord):
        here = [finding for finding in findings if finding.round == str(line.key)]
        told = [finding for finding in here if event != "finding" or finding.severity == "warning"]
        said = [f"{finding.severity}: {finding.message}" for finding in told]
        grave = any(finding.severity == "warning" for finding in here)
        title = f"{'warning: ' if grave else ''}{line.key} {line.label}: {_numbers(line)}"
        return title, "\n\n".join(said or ["nothing to remark"])
    if isinstance(line, Failed):
        return f"{line.key} {line.label} could not be measured", line.reason
    if isinstance(line, Stop):
        return f"the watch ended: {line.reason}", f"{line.rounds_measured} rounds measured, {line.rounds_failed} failed"
    where = f"{line.project} ({line.program}), watched by process {line.pid} on {line.host}"
    if event == "stalled":
        return "nothing new for long", f"The refinement may have ended, or hang. {where}"
    return event, where


def _numbers(record: RoundRecord) -> str:
    curve = record.headline()
    if curve is None:
        return "no resolution is stated"
    if curve.resolution_A is None:
        return f"{curve.name} never crosses"
    spread = f" ({curve.interval_A[0]:.2f}-{curve.interval_A[1]:.2f})" if curve.interval_A else ""
    return f"{curve.resolution_A:.2f} A{spread} by {curve.name}"


def send(notify: NotifySettings, title: str, body: str) -> list[str]:
    """Send one message to every target; faults in words, without the targets' secrets."""
    try:
        import apprise
    except ImportError:
        return ["messages need the package apprise: install refine_hooks[notify]"]
    faults = []
    for number, target in enumerate(notify.targets, 1):
        service, scheme = apprise.Apprise(), target.partition(":")[0]
        if not service.add(target):
            faults.append(f"target {number} ({scheme}:...) of [notify] is not an address that apprise knows")
        elif not service.notify(body=body, title=title):
            faults.append(f"target {number} ({scheme}:...) of [notify] did not take the message {title!r}")
    return faults


def run_hook(hook: Hook, record: RoundRecord) -> list[str]:
    """Run one hook with the record as JSON on its standard input; faults in words.

    ``call`` is run by a Python of its own, so that it can be stopped and cannot end the watch.
    """
    global _running  # noqa: PLW0603 - `finish` must be able to end it
    command = [sys.executable, "-m", "refine_hooks.notify._call", hook.call] if hook.call else list(hook.command)
    name = hook.call or " ".join(hook.command)
    if not command:
        return ["a hook has neither call nor command"]
    with tempfile.TemporaryFile() as handed:
        handed.write(record.model_dump_json().encode() + b"\n")
        handed.seek(0)
        try:
            process = subprocess.Popen(
                command, stdin=handed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
            )
        except (OSError, ValueError) as error:
            return [f"hook {name!r} could not be started: {error}; give its whole path"]
    _running = process
    try:
        said = _until_its_end(process, time.monotonic() + hook.timeout_s)
    except subprocess.TimeoutExpired:
        return [
            f"hook {name!r} was stopped after {hook.timeout_s:g} s, on {record.key}; let it end sooner, or raise timeout_s"
        ]
    finally:
        _kill(process)
        _running = None
    if process.returncode:
        tail = " ".join(said.decode("utf-8", "replace").split())[-_SAID_OF_OUTPUT:]
        return [f"hook {name!r} ended with {process.returncode} on {record.key}: {tail or 'it said nothing'}"]
    return []


def _until_its_end(process: "subprocess.Popen[bytes]", end: float) -> bytes:
    """The last of what a process says, read as it comes, so that a talkative one takes no memory.

    Raises:
        TimeoutExpired: it, or something that it started and that holds its output, still runs at ``end``.
    """
    said = b""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left_s = end - time.monotonic()
            if left_s <= 0:
                raise subprocess.TimeoutExpired(process.args, left_s)
            if selector.select(left_s):
                more = os.read(process.stdout.fileno(), _READ_BYTES)
                if not more:
                    break
                said = (said + more)[-_KEPT_BYTES:]
    process.wait(max(0.0, end - time.monotonic()))
    return said


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a hook and everything that it started; nothing where all of it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)
    if process.stdout is not None:
        process.stdout.close()


def _write_metrics(path: Path, state: LogState) -> list[str]:
    try:
        text = prometheus_text([state])
        with beside(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except Exception as error:
        return [f"the metrics file {path} could not be written: {error}"]
    return []


def _later(job: Callable[[], list[str]]) -> None:
    global _waiting, _worker  # noqa: PLW0603 - one thread serves the whole process
    with _state:
        _waiting += 1
        if _worker is None or not _worker.is_alive():
            _worker = threading.Thread(target=_work, name="tell", daemon=True)
            _worker.start()
    _jobs.put(job)


def _work() -> None:
    global _waiting  # noqa: PLW0603
    while True:
        job = _jobs.get()
        try:
            faults = job()
        except Exception as error:
            faults = [f"telling failed ({type(error).__name__}: {error})"]
        for fault in faults:
            _faults.put(fault)
        with _state:
            _waiting -= 1
            _state.notify_all()


def finish(settings: Settings, limit_s: float | None = None) -> list[str]:
    """Wait for what is still to be told; what is left at the end of the time is dropped, and said.

    Args:
        settings: the hooks, whose time limits count.
        limit_s: the time; by default one message's and the longest hook's.
    """
    global _waiting  # noqa: PLW0603
    if limit_s is None:
        limit_s = MESSAGE_TIMEOUT_S + max((hook.timeout_s for hook in settings.hooks), default=0.0)
    end = time.monotonic() + limit_s
    with _state:
        _state.wait_for(lambda: _waiting == 0, max(0.0, end - time.monotonic()))
        left = _waiting
    if left:
        dropped = 0
        while not _jobs.empty():
            try:
                _jobs.get_nowait()
            except queue.Empty:
                break
            dropped += 1
        with _state:
            _waiting -= dropped
        running = _running
        if running is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
        return [f"{left} messages or hooks were not finished after {limit_s:g} s and are left out", *_known_faults()]
    return _known_faults()


def _known_faults() -> list[str]:
    faults = []
    while not _faults.empty():
        faults.append(_faults.get())
    return faults
