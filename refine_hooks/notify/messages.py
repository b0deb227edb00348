"""Tells those who asked: messages through apprise, a Prometheus text file, and the user's own hooks.

Nothing here may harm the watch. Messages and hooks are processes in two queues, so that neither waits for the other; each has a
time limit, and every fault comes back as a sentence. Nothing that may hold a secret stands in it: names, and a short hash.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from refine_hooks.audit import Finding
from refine_hooks.files.atomic import beside
from refine_hooks.log.records import Failed, LogLine, RoundRecord, Stop
from refine_hooks.notify import _send
from refine_hooks.notify.digest import Digest, Message
from refine_hooks.notify.processes import Ended, Queue
from refine_hooks.notify.prometheus import LogState, prometheus_text
from refine_hooks.report.words import standing, unlike
from refine_hooks.settings import Hook, NotifySettings, Settings, without_secrets

_SAID_OF_OUTPUT = 400
_LEEWAY_S = 5.0  # for starting and ending a process
_END_EVENTS = ("finished",)


@dataclass(frozen=True, slots=True)
class Where:
    """What a line of a log belongs to.

    Attributes:
        project: its name.
        log: the log's id, as the live page has it.
        before: the round before that of the line.
        page: address of the live page; empty where there is none.
    """

    project: str = ""
    log: str = ""
    before: RoundRecord | None = None
    page: str = ""

    def linked(self, page: str) -> "Where":
        """The same, with the address of a live page."""
        return replace(self, page=page)

    def address(self, line: LogLine) -> str:
        """Of the line's round on the live page; empty where there is none."""
        if not self.page:
            return ""
        round_ = f"&round={quote(str(line.key), safe='')}" if isinstance(line, RoundRecord) else ""
        return f"{self.page.rstrip('/')}/#log={self.log}{round_}"


@dataclass(slots=True)
class Teller:
    """Tells of one log: a queue for its hooks, and one for each target, so that none waits for another."""

    digest: Digest = field(default_factory=Digest)
    _hooks: Queue = field(default_factory=partial(Queue, "hooks"))
    _targets: list[Queue] = field(default_factory=list)

    def tell(
        self,
        event: str,
        line: LogLine,
        findings: Sequence[Finding],
        settings: Settings,
        state: Callable[[], LogState],
        where: Where | None = None,
    ) -> list[str]:
        """Tell of an event; never raises, and does not wait for anyone but at the end of a watch.

        Args:
            event: round, finding, failed, stalled or finished.
            line: the line of the log that it is about.
            findings: a message holds those of its round.
            settings: who is told, of what; the user's hooks.
            state: of the whole log, for the metrics file.
            where: what the line belongs to.

        Returns:
            Faults in words: those of this call, and those of earlier ones that have come to light since.
        """
        faults, notify = [], settings.notify
        if notify.metrics_file and event != "finding":
            faults += _write_metrics(Path(notify.metrics_file), state())
        twice = event == "finding" and "round" in notify.on  # the message of the round holds its findings
        if notify.targets and event in notify.on and not twice:
            told = message(event, line, findings, (where or Where()).linked(notify.link))
            self._send(notify, self.digest.passed(event, told, notify))
        if event == "round" and isinstance(line, RoundRecord):
            for hook in settings.hooks:
                self._hooks.add(partial(run_hook, self._hooks, hook, line))
        if event in _END_EVENTS:
            faults += self.finish(settings)
        return faults + self._known_faults()

    def send_due(self, settings: Settings) -> list[str]:
        """Send what has waited for its time; faults in words that have come to light."""
        if settings.notify.targets:
            self._send(settings.notify, self.digest.due(settings.notify))
        return self._known_faults()

    def finish(self, settings: Settings, limit_s: float | None = None) -> list[str]:
        """Wait for what is still to be told; what is left at the end of the time is dropped, and said.

        Args:
            settings: the hooks and messages, whose time limits count.
            limit_s: the time; by default the longest of one message and one hook.
        """
        if settings.notify.targets:
            self._send(settings.notify, self.digest.taken())
        if limit_s is None:
            limit_s = _LEEWAY_S + max([settings.notify.timeout_s, *(hook.timeout_s for hook in settings.hooks)])
        end = time.monotonic() + limit_s
        left = sum(one.finish(end - time.monotonic()) for one in (self._hooks, *self._targets))
        said = [f"{left} messages or hooks were not finished after {limit_s:g} s and are left out"] if left else []
        return said + self._known_faults()

    def _send(self, notify: NotifySettings, messages: Sequence[Message]) -> None:
        for title, body in messages:
            for number in range(len(notify.targets)):
                if number == len(self._targets):
                    self._targets.append(Queue("messages"))
                self._targets[number].add(partial(send, self._targets[number], notify, number, title, body))

    def _known_faults(self) -> list[str]:
        return [fault for one in (self._hooks, *self._targets) for fault in one.faults()]


def message(event: str, line: LogLine, findings: Sequence[Finding], where: Where) -> Message:
    """Title and text of a message about an event; the title begins with the project's name, the text ends with the link."""
    title, body = _message(event, line, findings, where.before)
    address = where.address(line)
    return (f"{where.project}: {title}" if where.project else title), f"{body}\n\n{address}" if address else body


def _message(event: str, line: LogLine, findings: Sequence[Finding], before: RoundRecord | None) -> Message:
    if isinstance(line, RoundRecord):
        here = [finding for finding in findings if finding.round == str(line.key)]
        told = [finding for finding in here if event != "finding" or finding.severity == "warning"]
        said = [f"{finding.severity}: {finding.message}" for finding in told]
        grave = any(finding.severity == "warning" for finding in here)
        title = f"{'warning: ' if grave else ''}{line.key} {line.label}: {_numbers(line)}{_change(line, before)}"
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
    spread = f" (90 % {curve.interval_A[0]:.2f}-{curve.interval_A[1]:.2f})" if curve.interval_A else ""
    return f"{curve.resolution_A:.2f} A{spread} by {curve.name} at {curve.threshold:g}"


def _change(record: RoundRecord, before: RoundRecord | None) -> str:
    """What became of the number since the round before, where both are read alike."""
    now, then = standing(record), standing(before) if before is not None else None
    if record.headline_curve() is None or now is None or then is None or unlike(now, then):
        return ""
    return f", before {then.resolution_A:.2f} A"


def send(queue: Queue, notify: NotifySettings, number: int, title: str, body: str) -> list[str]:
    """Send one message to one target; faults in words, without the target's secrets."""
    target = notify.targets[number]
    name = f"target {number + 1} ({without_secrets(target)}) of [notify]"
    message = json.dumps({"target": target, "title": title, "body": body})
    command = [sys.executable, "-m", "refine_hooks.notify._send"]
    try:
        ended = queue.run(command, message.encode(), notify.timeout_s)
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


def run_hook(queue: Queue, hook: Hook, record: RoundRecord) -> list[str]:
    """Run one hook with the record as JSON on its standard input; faults in words.

    ``call`` is run by a Python of its own, so that it can be stopped and cannot end the watch.
    """
    command = [sys.executable, "-m", "refine_hooks.notify._call", hook.call] if hook.call else list(hook.command)
    if not command:
        return ["a hook has neither call nor command"]
    name = hook.call or Path(hook.command[0]).name
    try:
        ended = queue.run(command, record.model_dump_json().encode() + b"\n", hook.timeout_s)
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
