"""The state of a log in Prometheus' text format (version 0.0.4), for a node exporter's text file or a scrape of the page."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refine_hooks.audit.judge import Judge
from refine_hooks.audit.reading import Counts
from refine_hooks.log.summary import RoundSummary
from refine_hooks.log.watching import watching
from refine_hooks.model import Key

if TYPE_CHECKING:
    from prometheus_client import Metric

_HELP = {
    "refine_hooks_watch_running": "1 while a watch writes into the log, 0 when it has ended",
    "refine_hooks_watch_heartbeat_timestamp_seconds": "when the watch that writes into the log was last alive",
    "refine_hooks_rounds_measured": "rounds that the log holds a measurement of",
    "refine_hooks_rounds_failed": "rounds that failed and have not been measured since",
    "refine_hooks_findings": "findings of the audit by severity",
    "refine_hooks_iteration": "newest iteration of each run and class",
    "refine_hooks_particles": "particles of the newest round of each run and class",
    "refine_hooks_headline_resolution_angstrom": "resolution of the newest round of each run and class by the curve that it is "
    "quoted by",
    "refine_hooks_resolution_angstrom": "resolution of the newest round of each run and class by curve",
    "refine_hooks_measured_timestamp_seconds": "when the newest round of each run and class was measured",
}

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]


@dataclass(frozen=True, slots=True)
class LogState:
    """What the metrics need of one log.

    Attributes:
        rounds: its measured rounds in the order of the log, with how many findings each has, where it has been audited.
        failed: the rounds that failed and have not been measured since.
        name: tells several logs apart, as a label; none where empty.
        running: whether a watch writes into it, where that is known.
        heard_at: when it was last alive, in seconds since 1970.
    """

    rounds: Sequence[tuple[RoundSummary, Counts | None]]
    failed: Collection[Key]
    name: str = ""
    running: bool | None = None
    heard_at: float | None = None


def state_of(judge: Judge, name: str = "") -> LogState:
    """What the metrics need of a log, under a name that tells it from others."""
    rounds = [(summary, judge.counts(summary)) for summary in judge.index.summaries()]
    watch = watching(judge.index)
    running = None if watch.state == "not watched" else watch.state == "live"
    return LogState(rounds, [line.key for line in judge.index.failures()], name, running, watch.heard_at)


def prometheus_text(states: Iterable[LogState]) -> str:
    """All metrics of some logs; ends with a newline as the format wants."""
    from prometheus_client import CollectorRegistry, generate_latest  # takes long, and few watches tell metrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(list(states)))
    return generate_latest(registry).decode()


@dataclass(frozen=True, slots=True, eq=False)
class _Families:
    """What a registry collects: the families in one order, without those that have no sample."""

    states: Sequence[LogState]

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client import Metric

        families = {name: Metric(name, what, "gauge") for name, what in _HELP.items()}
        for state in self.states:
            for short, labels, value in _samples(state):
                name = f"refine_hooks_{short}"
                families[name].add_sample(name, dict(labels), value)
        yield from (family for family in families.values() if family.samples)


def _samples(state: LogState) -> Iterator[Sample]:
    log = {"log": state.name} if state.name else {}
    if state.running is not None:
        yield "watch_running", log, float(state.running)
    if state.heard_at is not None:
        yield "watch_heartbeat_timestamp_seconds", log, state.heard_at
    yield "rounds_measured", log, len(state.rounds)
    yield "rounds_failed", log, len(state.failed)
    newest = {(summary.key.run, summary.key.class_id): summary for summary, _ in state.rounds}
    counts = [count for _, count in state.rounds if count]
    never_measured = len(set(state.failed).difference(summary.key for summary, _ in state.rounds))
    yield "findings", {**log, "severity": "warning"}, sum(count.warnings for count in counts) + never_measured
    yield "findings", {**log, "severity": "note"}, sum(count.notes for count in counts)
    for summary in newest.values():
        where = {**log, "program": summary.program, "run": summary.key.run, "class": str(summary.key.class_id)}
        yield from _of_round(where, summary)


def _of_round(where: Labels, summary: RoundSummary) -> Iterator[Sample]:
    yield "iteration", where, summary.key.iteration
    if summary.particles is not None:
        yield "particles", where, summary.particles
    for curve in summary.curves:
        if curve.resolution_A is None:
            continue
        if curve.name == summary.headline:
            yield "headline_resolution_angstrom", {**where, "curve": curve.name}, curve.resolution_A
        yield "resolution_angstrom", {**where, "curve": curve.name}, curve.resolution_A
    yield "measured_timestamp_seconds", where, summary.measured_at.timestamp()
