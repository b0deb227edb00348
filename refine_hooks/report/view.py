"""One log as the page shows it while it grows: rows, details and what stands above them, made from the index and the audit."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refine_hooks.audit.judge import Judge
from refine_hooks.audit.reading import Counts, counted
from refine_hooks.errors import InputError
from refine_hooks.files.names import told
from refine_hooks.log.index import LogIndex
from refine_hooks.log.summary import RoundSummary, newest_number
from refine_hooks.log.watching import watching
from refine_hooks.model import Key
from refine_hooks.report import data, page
from refine_hooks.report.words import program_name
from refine_hooks.settings import Settings

ROUNDS_BESIDE = 250  # of one run and class, that are drawn beside each other
IN_A_SPARK = 40

Row = dict[str, Any]


@dataclass(slots=True)
class LogView:
    """What is shown of one log; all methods may be called from any thread.

    Attributes:
        index: the log.
        judge: the audit of its rounds.
    """

    index: LogIndex
    judge: Judge
    _rows: dict[Key, tuple[RoundSummary, Counts | None, int, Row]] = field(default_factory=dict)
    _beside: dict[tuple[Key, str | None], tuple[RoundSummary, dict[str, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, path: Path, settings: Settings | None = None) -> "LogView":
        """The view of a log that nothing else reads."""
        index = LogIndex(path)
        return cls(index, Judge(index, settings))

    @property
    def id(self) -> str:
        """A short name that does not change while the log stays where it is."""
        return self.index.id

    @property
    def title(self) -> str:
        """What the list of logs calls it."""
        return page.title(self.index.out, self.index.start)

    def head(self) -> dict[str, Any]:
        """What the page shows of the log besides its rounds, and whether a watch is running."""
        index = self.index
        found = page.grouped(self.judge.of_failures())
        head = page.head(index.out, index.curves(), index.failures(), index.faults, index.start, found)
        watch = watching(index)
        heard_at = (
            None if watch.state == "live" or watch.heard_at is None else datetime.fromtimestamp(watch.heard_at, UTC)
        )
        return {**head, "watch": watch.state, "heard_at": heard_at and heard_at.isoformat(timespec="seconds")}

    def rows(self) -> Sequence[Row]:
        """The rows of all rounds in the order of the log; the same object while nothing changes."""
        return self._made(self.index.summaries())

    def since(self, seq: int, newest: int | None = None) -> dict[str, Any]:
        """What has changed after ``seq``, or everything where the log was replaced meanwhile.

        Args:
            seq: the number of the last change that is known.
            newest: rounds that are wanted at most, the last of the log; ``older`` counts those that are left out.
        """
        now, replaced, keys = self.index.news_after(seq)
        summaries = [summary for key in keys if (summary := self.index.summary(key)) is not None]
        log = {"id": self.id, "seq": now, "restarted": replaced, **self.head()}
        if newest is not None:
            log["older"] = max(0, len(summaries) - newest)
            summaries = summaries[-newest:]
        return {**log, "rows": self._made(summaries)}

    def _made(self, summaries: Iterable[RoundSummary]) -> list[Row]:
        with self._lock:
            return [self._row(summary) for summary in summaries]

    def _row(self, summary: RoundSummary) -> Row:
        counts, revision = self.judge.counts(summary), self.index.revision(summary.key)
        known = self._rows.get(summary.key)
        if known is not None and known[0] is summary and known[1:3] == (counts, revision):
            return known[3]
        row = data.row(summary, counts) | {"revision": revision}
        self._rows[summary.key] = summary, counts, revision, row
        return row

    def details(self, keys: Iterable[Key]) -> Iterator[tuple[Key, dict[str, Any]]]:
        """What the page shows of some rounds, but their pictures and files; one that cannot be read any more is left out."""
        for key, record, found in self.judge.judged(keys):
            yield key, data.detail(record, data.standing_before(self.index.history(key)), found)

    def over_rounds(self, key: Key, curve: str | None) -> list[dict[str, Any]]:
        """What is drawn of the newest rounds of the run and class of ``key`` beside each other, by iteration."""
        series = self.index.series(key)[-ROUNDS_BESIDE:]
        with self._lock:
            known = {
                one.key: held[1] for one in series if (held := self._beside.get((one.key, curve))) and held[0] is one
            }
        lacking = {one.key: one for one in series if one.key not in known}
        for record in self.index.records(list(lacking)):
            known[record.key] = data.over_rounds(self.judge.completed(record), curve)
        with self._lock:
            if len(self._beside) > 4 * ROUNDS_BESIDE:
                self._beside.clear()
            self._beside.update({(one, curve): (lacking[one], known[one]) for one in lacking if one in known})
        return [known[one.key] for one in series if one.key in known]

    def standing(self) -> dict[str, Any]:
        """The log in one line: its newest round and number, how it went, and what needs a person."""
        summaries, failures = self.index.summaries(), self.index.failures()
        counts = [count for summary in summaries if (count := self.judge.counts(summary)) is not None]
        start = self.index.start
        line: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "where": told(str(self.index.out)),
            "program": program_name(start.program) if start else "",
            "state": watching(self.index).state,
            "rounds": len(summaries),
            "warnings": sum(count.warnings for count in (*counts, counted(self.judge.of_failures()))),
            "failed": None,
            "resolution": None,
            "trend": [],
        }
        if summaries:
            newest = max(summaries, key=lambda one: one.measured_at)
            line |= {"last": newest.label, "key": str(newest.key), "at": newest.measured_at.isoformat()}
            line |= _number(summaries)
        last = max(failures, key=lambda one: one.failed_at, default=None)
        if last is not None and not any(one.measured_at >= last.failed_at for one in summaries):
            line |= {"failed": last.reason, "last": last.label, "key": str(last.key), "at": last.failed_at.isoformat()}
        return line

    def detail(self, key: Key) -> dict[str, Any]:
        """What the page shows of one round, but its pictures and files.

        Raises:
            InputError: the log holds no such round.
        """
        for _, detail in self.details([key]):
            return detail
        raise InputError(f"{key}: the log holds no such round")


def _number(summaries: Sequence[RoundSummary]) -> dict[str, Any]:
    """The number of the newest round that has one, of ours where there is any, and the numbers before it that were read alike."""
    found = newest_number(summaries)
    if found is None:
        return {"resolution": None, "trend": []}
    newest, curve = found

    def alike(one: RoundSummary) -> tuple[Any, ...]:
        return one.key.run, one.key.class_id, one.origin, one.independence

    number = {
        "of": newest.label,
        "A": curve.resolution_A,
        "interval": curve.interval_A,
        "level": curve.identity.threshold,
        "program": curve.identity.of_program,
    }
    track = sorted(
        (one.key.iteration, other.resolution_A)
        for one in summaries
        if (other := one.headline_curve) is not None
        and other.resolution_A
        and alike(one) == alike(newest)
        and other.identity == curve.identity
    )
    return {"resolution": number, "trend": [resolution_A for _, resolution_A in track][-IN_A_SPARK:]}
