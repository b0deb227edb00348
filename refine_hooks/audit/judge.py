"""Rounds of a growing log, audited beside the rounds before them as they come. All methods may be called from any thread."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from refine_hooks.audit import audit
from refine_hooks.audit.reading import Counts, Finding, counted
from refine_hooks.log.file import Journal, Place
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Failed, RoundRecord, Start
from refine_hooks.log.summary import RoundSummary, grouped
from refine_hooks.model import Key
from refine_hooks.settings import Settings, settings_of

_HELD = 64  # rounds whose findings are held; the counts are of all


@dataclass(slots=True)
class Judge:
    """What the audit says of the rounds of one log.

    What is only true of a log's newest round, such as that the last ones swing, is said of the round that was it.

    Attributes:
        index: the log.
        settings: limits of the rules; None for those of the log's newest watch, with ``own`` laid over.
        own: settings as `refine_hooks.settings.own_table` gives them.
        completed: gives a record what has been measured of its round since it was logged.
    """

    index: LogIndex
    settings: Settings | None = None
    own: Mapping[str, Any] = field(default_factory=dict)
    completed: Callable[[RoundRecord], RoundRecord] = lambda record: record
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _limits: tuple[Start | None, Settings] | None = None
    _seen: int = 0
    _waiting: dict[Key, None] = field(default_factory=dict)
    _counts: dict[Key, tuple[RoundSummary, Counts]] = field(default_factory=dict)
    _held: dict[Key, tuple[RoundSummary, list[Finding]]] = field(default_factory=dict)

    def limits(self) -> Settings:
        """The settings that the rounds are audited with."""
        if self.settings is not None:
            return self.settings
        start = self.index.start
        held = self._limits
        if held is None or held[0] is not start:
            self._limits = held = start, settings_of(start.settings if start else None, dict(self.own))
        return held[1]

    def counts(self, summary: RoundSummary) -> Counts | None:
        """How many findings a round has; None where it has not been audited since it was measured."""
        known = self._counts.get(summary.key)
        return known[1] if known is not None and known[0] is summary else None

    def judge(self, most: int = 8) -> bool:
        """Audit up to ``most`` rounds that have not been, the newest first; True when there were any."""
        with self._lock:
            self._catch_up()
            waiting = list(islice(reversed(self._waiting), most))
        try:
            for _ in self.judged(waiting):
                pass
        finally:
            with self._lock:
                for key in waiting:  # one that no rule can read is not tried for ever
                    self._waiting.pop(key, None)
        return bool(waiting)

    def findings_of(self, line: RoundRecord | Failed) -> list[Finding]:
        """What the audit has to say of the round that a line is about, beside the rounds before it."""
        if isinstance(line, Failed) and self.index.summary(line.key) is None:
            return audit([line], self.limits())
        return next((found for key, _, found in self.judged([line.key]) if key == line.key), [])

    def of_failures(self) -> list[Finding]:
        """What there is to say of rounds of which nothing but a failure is known; the others have it among their findings."""
        return [
            one
            for line in self.index.failures()
            if self.index.summary(line.key) is None
            for one in audit([line], self.limits())
        ]

    def judged(self, keys: Iterable[Key]) -> Iterator[tuple[Key, RoundRecord, list[Finding]]]:
        """Some rounds with their records and findings; one that cannot be read any more is left out."""
        read: dict[Place, RoundRecord] = {}  # the next group is compared with many of the rounds of this one
        for group in grouped(keys):
            held = self._findings_held(group)
            if held is None:
                yield from self._audited(group, read)
                continue
            for record in self.index.records(group):
                yield record.key, self.completed(record), held[record.key]

    def _audited(
        self, group: Sequence[Key], read: dict[Place, RoundRecord]
    ) -> Iterator[tuple[Key, RoundRecord, list[Finding]]]:
        with self._lock:
            self._catch_up()
            for key in group:  # a line that comes from now on puts it back
                self._waiting.pop(key, None)
        known = {key: self.index.summary(key) for key in group}
        beside = self.index.beside(group, read)
        rounds = {key: self.completed(record) for key, record in beside.rounds.items()}
        lines = [rounds.get(line.key, line) if line is beside.rounds.get(line.key) else line for line in beside.lines]
        found: dict[Key, list[Finding]] = {key: [] for key in group}
        by_name = {str(key): key for key in group}
        for finding in audit(Journal((*lines, *beside.failed)), self.limits(), only=set(group)):
            found[by_name[finding.round]].append(finding)
        self._note({key: (summary, found[key]) for key, summary in known.items() if summary is not None})
        yield from ((key, rounds[key], found[key]) for key in group if key in rounds)

    def _note(self, judged: dict[Key, tuple[RoundSummary, list[Finding]]]) -> None:
        with self._lock:
            news = []
            for key, (summary, findings) in judged.items():
                count = counted(findings)
                before = self._counts.get(key)
                if before is None or before[0] is not summary or before[1] != count:
                    news.append(key)
                self._counts[key] = summary, count
                self._held.pop(key, None)
                self._held[key] = summary, findings
            for key in list(islice(self._held, max(0, len(self._held) - _HELD))):
                del self._held[key]
        if news:
            self.index.tell_news(news)

    def _findings_held(self, keys: Sequence[Key]) -> dict[Key, list[Finding]] | None:
        """The findings of rounds that have been audited as they are now; None where one has not."""
        with self._lock:
            self._catch_up()
            held = {}
            for key in keys:
                known = self._held.get(key)
                if known is None or key in self._waiting or known[0] is not self.index.summary(key):
                    return None
                held[key] = known[1]
            return held

    def _catch_up(self) -> None:
        """Let every round wait that a line has come for; a log that was replaced begins anew."""
        self._seen, replaced, keys = self.index.logged_after(self._seen)
        if replaced:
            self._waiting, self._counts, self._held = {}, {}, {}
        for key in keys:
            self._waiting.pop(key, None)
            self._waiting[key] = None
