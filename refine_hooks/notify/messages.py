"""Tells those who asked: messages through apprise, a Prometheus text file, and the user's own hooks.

Nothing here may harm the watch. Messages and hooks are processes in two queues, so that neither waits for the other; each has a
time limit, and every fault comes back as a sentence. Nothing that may hold a secret stands in it: names, and a short hash.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from refine_hooks.audit import Finding
from refine_hooks.files.atomic import beside
from refine_hooks.log.records import Failed, LogLine, RoundRecord, Stop
from refine_hooks.notify import _send
from refine_hooks.notify.processes import Ended, Queue
from refine_hooks.notify.prometheus import LogState, prometheus_text
from refine_hooks.settings import Hook, NotifySettings, Settings, without_secrets

_SAID_OF_OUTPUT = 400
_LEEWAY_S = 5.0  # for starting and ending a process
_END_EVENTS = ("finished",)

_HOOKS = Queue("hooks")
_MESSAGES: list[Queue] = []  # one for each target, so that none waits for another


def tell(
    event: str,
    line: LogLine,
    findings: Sequence[Finding],
    settings: Settings,
    state: Callable[[], LogState],
    project: str = "",
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
        faults += _write_metrics(Path(settings.notify.metrics_file), state())
    twice = event == "finding" and "round" in settings.notify.on  # the message of the round holds its findings
    if settings.notify.targets and event in settings.notify.on and not twice:
        title, body = message(event, line, findings, project)
        for number in range(len(settings.notify.targets)):
            if number == len(_MESSAGES):
                _MESSAGES.append(Queue("messages"))
            _MESSAGES[number].add(partial(send, settings.notify, number, title, body))
    if event == "round" and isinstance(line, RoundRecord):
        for hook in settings.hooks:
            _HOOKS.add(partial(run_hook, hook, line))
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
    curve = record.headline_curve()
    if curve is None:
        return "no resolution is stated"
    if curve.resolution_A is None:
        return f"{curve.name} never crosses"
    spread = f" ({curve.interval_A[0]:.2f}-{curve.interval_A[1]:.2f})" if curve.interval_A else ""
    return f"{curve.resolution_A:.2f} A{spread} by {curve.name}"


def send(notify: NotifySettings, number: int, title: str, body: str) -> list[str]:
    """Send one message to one target; faults in words, without the target's secrets."""
    target = notify.targets[number]
    name = f"target {number + 1} ({without_secrets(target)}) of [notify]"
    message = json.dumps({"target": target, "title": title, "body": body})
    command = [sys.executable, "-m", "refine_hooks.notify._send"]
    try:
        ended = _MESSAGES[number].run(command, message.encode(), notify.timeout_s)
    except (OSError, ValueError) as error:
        return [f"{name}: no process could be started for the message ({error})"]
    return _what_became_of_it(name, title, ended, notify.timeout_s)


def _what_became_of_it(name: str, title: str, ended: Ended, timeout_s: float) -> list[str]:
    if ended.code is None:
        return [f"{name} did not take the message {title!r} within {timeout_s:g} s ([notify] timeout_s)"]
    if ended.code == _send.NO_APPRISE:
        return ["messages need the package apprise: install refine_hooks[notify]"]
    if ended.code == _send.NOT_AN_ADDRESS:
        return [f"{name} is not an address that apprise knows"]
    return [f"{name} did not take the message {title!r}"] if ended.code else []


def run_hook(hook: Hook, record: RoundRecord) -> list[str]:
    """Run one hook with the record as JSON on its standard input; faults in words.

    ``call`` is run by a Python of its own, so that it can be stopped and cannot end the watch.
    """
    command = [sys.executable, "-m", "refine_hooks.notify._call", hook.call] if hook.call else list(hook.command)
    if not command:
        return ["a hook has neither call nor command"]
    name = hook.call or Path(hook.command[0]).name
    try:
        ended = _HOOKS.run(command, record.model_dump_json().encode() + b"\n", hook.timeout_s)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return [f"hook {name!r} could not be started: {why}; give its whole path"]
    if ended.code is None:
        return [
            f"hook {name!r} was stopped after {hook.timeout_s:g} s, on {record.key}; let it end sooner, or raise timeout_s"
        ]
    if ended.code:
        tail = ended.said[-_SAID_OF_OUTPUT:]
        return [f"hook {name!r} ended with {ended.code} on {record.key}: {tail or 'it said nothing'}"]
    return []


def _write_metrics(path: Path, state: LogState) -> list[str]:
    try:
        text = prometheus_text([state])
        with beside(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except Exception as error:
        return [f"the metrics file {path} could not be written: {error}"]
    return []


def finish(settings: Settings, limit_s: float | None = None) -> list[str]:
    """Wait for what is still to be told; what is left at the end of the time is dropped, and said.

    Args:
        settings: the hooks and messages, whose time limits count.
        limit_s: the time; by default the longest of one message and one hook.
    """
    if limit_s is None:
        limit_s = _LEEWAY_S + max([settings.notify.timeout_s, *(hook.timeout_s for hook in settings.hooks)])
    end = time.monotonic() + limit_s
    left = sum(one.finish(end - time.monotonic()) for one in (_HOOKS, *_MESSAGES))
    said = [f"{left} messages or hooks were not finished after {limit_s:g} s and are left out"] if left else []
    return said + _known_faults()


def _known_faults() -> list[str]:
    return [fault for one in (_HOOKS, *_MESSAGES) for fault in one.faults()]
