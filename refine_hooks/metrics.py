"""The state of a log in Prometheus' text format (version 0.0.4), for a node exporter's text file or a scrape of the page."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from refine_hooks.audit import Finding
from refine_hooks.audit.reading import quoted
from refine_hooks.journal import Journal
from refine_hooks.records import Start, Stop

_HELP = {
    "refine_hooks_watch_running": ("gauge", "1 while a watch writes into the log, 0 when it has ended"),
    "refine_hooks_rounds_measured": ("gauge", "rounds that the log holds a measurement of"),
    "refine_hooks_rounds_failed": ("gauge", "rounds that failed and have not been measured since"),
    "refine_hooks_findings": ("gauge", "findings of the audit by severity"),
    "refine_hooks_iteration": ("gauge", "newest iteration of each run and class"),
    "refine_hooks_particles": ("gauge", "particles of the newest round of each run and class"),
    "refine_hooks_headline_resolution_angstrom": (
        "gauge",
        "resolution of the newest round of each run and class by the curve that it is quoted by",
    ),
    "refine_hooks_resolution_angstrom": ("gauge", "resolution of the newest round of each run and class by curve"),
    "refine_hooks_measured_timestamp_seconds": ("gauge", "when the newest round of each run and class was measured"),
}

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]


def prometheus_text(log: Journal, findings: Sequence[Finding]) -> str:
    """All metrics of a log; ends with a newline as the format wants.

    Args:
        log: the whole log.
        findings: of all its rounds.
    """
    return _text(_samples(log, findings))


def _samples(log: Journal, findings: Sequence[Finding]) -> Iterator[Sample]:
    ends = [line for line in log.lines if isinstance(line, Start | Stop)]
    if ends:
        yield "watch_running", {}, float(isinstance(ends[-1], Start))
    yield "rounds_measured", {}, len(log.rounds)
    yield "rounds_failed", {}, len(log.failures)
    for severity in ("warning", "note"):
        yield "findings", {"severity": severity}, sum(finding.severity == severity for finding in findings)
    newest = {(record.key.run, record.key.class_id): record for record in log.rounds}
    for record in newest.values():
        where = {"program": record.program, "run": record.key.run, "class": str(record.key.class_id)}
        best = quoted(record)
        numbers = {curve.name: curve.resolution_A for curve in record.curves if curve.resolution_A is not None}
        yield from _of_round(
            where,
            record.key.iteration,
            record.particles,
            best.name if best else None,
            numbers,
            record.measured_at.timestamp(),
        )


def _of_round(
    where: Labels,
    iteration: int,
    particles: int | None,
    headline: str | None,
    resolutions_A: Mapping[str, float],
    measured_at: float,
) -> Iterator[Sample]:
    yield "iteration", where, iteration
    if particles is not None:
        yield "particles", where, particles
    if headline in resolutions_A:
        yield "headline_resolution_angstrom", {**where, "curve": str(headline)}, resolutions_A[str(headline)]
    for curve, resolution_A in resolutions_A.items():
        yield "resolution_angstrom", {**where, "curve": curve}, resolution_A
    yield "measured_timestamp_seconds", where, measured_at


@dataclass(frozen=True, slots=True)
class LogState:
    """What the live page's metrics need of one of its logs.

    Attributes:
        name: tells the logs apart.
        rows: its rounds as the page lists them (`report.data.row`), in the order of the log.
        failed: number of rounds that failed and have not been measured since.
    """

    name: str
    rows: Sequence[dict[str, Any]]
    failed: int


def prometheus_text_of(states: Iterable[LogState]) -> str:
    """All metrics of several logs, each sample labelled with its log."""
    return _text(sample for state in states for sample in _samples_of(state))


def _samples_of(state: LogState) -> Iterator[Sample]:
    log = {"log": state.name}
    yield "rounds_measured", log, len(state.rows)
    yield "rounds_failed", log, state.failed
    for place, severity in enumerate(("warning", "note")):
        count = sum(row["found"][place] for row in state.rows if row["found"])
        yield "findings", {**log, "severity": severity}, count
    newest = {(row["run"], row["class"]): row for row in state.rows}
    for row in newest.values():
        where = {**log, "program": row["program"], "run": row["run"], "class": str(row["class"])}
        numbers = {curve: values[0] for curve, values in row["res"].items()}
        measured_at = datetime.fromisoformat(row["at"]).timestamp()
        yield from _of_round(where, row["iteration"], row["particles"], row["headline"], numbers, measured_at)


def _text(samples: Iterable[Sample]) -> str:
    """Families in one order, each with its help and type once; samples of a family stand together, as the format wants."""
    families: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in samples:
        families[f"refine_hooks_{name}"].append(_sample(labels, value))
    return "".join(_family(name, lines) for name, lines in families.items() if lines)


def _family(name: str, samples: Iterable[str]) -> str:
    kind, what = _HELP[name]
    return f"# HELP {name} {what}\n# TYPE {name} {kind}\n" + "".join(f"{name}{sample}\n" for sample in samples)


def _sample(labels: Labels, value: float) -> str:
    named = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
    return f"{{{named}}} {value:.10g}" if named else f" {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
