"""Those who read a log while it grows: the report, and whoever asked to be told. Nothing that goes wrong here harms a watch."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.audit import Finding
from refine_hooks.log.folder import Store
from refine_hooks.log.records import Failed, LogLine, RoundRecord, Stop
from refine_hooks.notify.messages import Teller, Where
from refine_hooks.notify.prometheus import state_of
from refine_hooks.report.file import Report
from refine_hooks.report.view import LogView
from refine_hooks.settings import Settings

logger = logging.getLogger(__name__)

_NOT_REPORTED = "the report could not be written"
_AT_ONCE = 50  # rounds that are audited together
_MOST_SHARE = 0.1  # of the time goes into writing the report while round follows on round


@dataclass(slots=True)
class Observers:
    """The readers of one log.

    Attributes:
        view: the log, and its audit with the settings that say who is told of what.
        store: where the report is written.
        muted: whether no messages are sent now.
        teller: sends messages and runs hooks.
    """

    view: LogView
    store: Store
    muted: Callable[[], bool] = lambda: False
    teller: Teller = field(default_factory=Teller)
    _report: Report = field(init=False)
    _behind: bool = False  # whether the report lacks something
    _due_s: float = 0.0  # when it may be written again
    _fault: str = ""  # why it could not be written, as it was said

    def __post_init__(self) -> None:
        self._report = Report(self.store)

    def of_round(self, line: RoundRecord | Failed) -> None:
        """Rewrite the report, unless that was done a moment ago, and tell of a round."""
        with _harmless(_NOT_REPORTED):
            found = self.view.judge.findings_of(line)
            self._behind = True
            if time.monotonic() >= self._due_s:
                self.bring_up_to_date()
            self._tell("failed" if isinstance(line, Failed) else "round", line, found)
            if any(finding.severity == "warning" for finding in found):
                self._tell("finding", line, found)

    def of_news(self) -> None:
        """Rewrite the report: what is beside the log has changed."""
        self._behind = True
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        """Write the report, where it lacks something."""
        if not self._behind:
            return
        began_s = time.monotonic()
        try:
            self._report.write(self.view)
            self._behind, self._fault = False, ""
        except Exception as error:
            before, self._fault = self._fault, _said(_NOT_REPORTED, error)
            if self._fault != before:
                logger.warning(self._fault)
        ended_s = time.monotonic()
        self._due_s = ended_s + (ended_s - began_s) / _MOST_SHARE

    def of(self, event: str, line: LogLine) -> None:
        """Tell of something that is no round's."""
        with _harmless(f"{event} could not be told"):
            self._tell(event, line, [])

    def of_the_end(self, line: Stop, judge_all: bool) -> None:
        """Bring the report up to date, and tell that the watch has ended.

        Args:
            line: its last.
            judge_all: audit every round of the log that has not been since this watch began.
        """
        while judge_all and self.catch_up(_AT_ONCE):
            pass
        self.of_news()
        self.of("finished", line)

    def catch_up(self, most: int = 8) -> bool:
        """Audit some of the rounds that an earlier watch has logged; whether there were any."""
        with _harmless("rounds could not be audited"):
            return self.view.judge.judge(most)
        return True

    def wait(self) -> None:
        """Let messages and hooks that are still on their way arrive, where no watch goes on that would."""
        for fault in self.teller.finish(self.view.judge.limits()):
            logger.warning(fault)

    def _tell(self, event: str, line: LogLine, found: list[Finding]) -> None:
        judge = self.view.judge
        start = judge.index.start
        settings = self._heard()
        wanted = bool(settings.notify.targets)
        before = judge.index.before(line.key) if wanted and isinstance(line, RoundRecord) else None
        where = Where(Path(start.project).name if start else "", judge.index.id, before)
        for fault in self.teller.tell(event, line, found, settings, lambda: state_of(judge), where):
            logger.warning(fault)

    def send_due(self) -> None:
        """Send the messages that were held back, where their time has come."""
        with _harmless("messages could not be sent"):
            for fault in self.teller.send_due(self._heard()):
                logger.warning(fault)

    def _heard(self) -> Settings:
        """The settings of who is told now."""
        settings = self.view.judge.limits()
        if not self.muted():
            return settings
        return settings.model_copy(update={"notify": settings.notify.model_copy(update={"targets": ()})})


@contextmanager
def _harmless(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        logger.warning(_said(what, error))


def _said(what: str, error: Exception) -> str:
    return f"{what} ({type(error).__name__}: {error}); the log is complete"
