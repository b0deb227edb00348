"""The state of a log in Prometheus' text format (version 0.0.4), for a node exporter's text file or a scrape of the page."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from refine_hooks.audit import Finding
from refine_hooks.journal import Journal
from refine_hooks.records import RoundRecord

_HELP = {
    "refine_hooks_rounds_measured": ("gauge", "rounds that the log holds a measurement of"),
    "refine_hooks_rounds_failed": ("gauge", "rounds that failed and have not been measured since"),
    "refine_hooks_findings": ("gauge", "findings of the audit by severity"),
    "refine_hooks_iteration": ("gauge", "newest iteration of each run and class"),
    "refine_hooks_resolution_angstrom": ("gauge", "resolution of the newest round of each run and class by curve"),
    "refine_hooks_measured_timestamp_seconds": ("gauge", "when the newest round of each run and class was measured"),
}


def prometheus_text(log: Journal, findings: Sequence[Finding]) -> str:
    """All metrics of a log; ends with a newline as the format wants."""
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    samples["refine_hooks_rounds_measured"].append(_sample({}, len(log.rounds)))
    samples["refine_hooks_rounds_failed"].append(_sample({}, len(log.failures)))
    for severity in ("note", "warning"):
        count = sum(finding.severity == severity for finding in findings)
        samples["refine_hooks_findings"].append(_sample({"severity": severity}, count))
    for record in _newest(log.rounds):
        where = {"program": record.program, "run": record.key.run, "class": str(record.key.class_id)}
        samples["refine_hooks_iteration"].append(_sample(where, record.key.iteration))
        samples["refine_hooks_measured_timestamp_seconds"].append(_sample(where, record.measured_at.timestamp()))
        for curve in record.curves:
            if curve.resolution_A is not None:
                samples["refine_hooks_resolution_angstrom"].append(
                    _sample({**where, "curve": curve.name}, curve.resolution_A)
                )
    return "".join(_family(name, lines) for name, lines in samples.items() if lines)


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
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    for state in states:
        log = {"log": state.name}
        samples["refine_hooks_rounds_measured"].append(_sample(log, len(state.rows)))
        samples["refine_hooks_rounds_failed"].append(_sample(log, state.failed))
        for place, severity in enumerate(("warning", "note")):
            count = sum(row["found"][place] for row in state.rows if row["found"])
            samples["refine_hooks_findings"].append(_sample({**log, "severity": severity}, count))
        newest = {(row["run"], row["class"]): row for row in state.rows}
        for row in newest.values():
            where = {**log, "program": row["program"], "run": row["run"], "class": str(row["class"])}
            samples["refine_hooks_iteration"].append(_sample(where, row["iteration"]))
            measured_at = datetime.fromisoformat(row["at"]).timestamp()
            samples["refine_hooks_measured_timestamp_seconds"].append(_sample(where, measured_at))
            for curve, numbers in row["res"].items():
                samples["refine_hooks_resolution_angstrom"].append(_sample({**where, "curve": curve}, numbers[0]))
    return "".join(_family(name, lines) for name, lines in samples.items() if lines)


def _family(name: str, samples: Iterable[str]) -> str:
    kind, what = _HELP[name]
    return f"# HELP {name} {what}\n# TYPE {name} {kind}\n" + "".join(f"{name}{sample}\n" for sample in samples)


def _sample(labels: dict[str, str], value: float) -> str:
    named = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
    return f"{{{named}}} {value:.10g}" if named else f" {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _newest(rounds: Sequence[RoundRecord]) -> Iterator[RoundRecord]:
    newest = {(record.key.run, record.key.class_id): record for record in rounds}
    yield from newest.values()
