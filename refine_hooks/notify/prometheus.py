"""The state of a log in Prometheus' text format (version 0.0.4), for a node exporter's text file or a scrape of the page."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from refine_hooks.logged import LogState

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


def prometheus_text(states: Iterable[LogState]) -> str:
    """All metrics of some logs; ends with a newline as the format wants."""
    return _text(sample for state in states for sample in _samples(state))


def _samples(state: LogState) -> Iterator[Sample]:
    log = {"log": state.name} if state.name else {}
    if state.running is not None:
        yield "watch_running", log, float(state.running)
    yield "rounds_measured", log, len(state.rows)
    yield "rounds_failed", log, len(state.failed)
    newest = {(row["run"], row["class"]): row for row in state.rows}
    counts = [row["found"] for row in state.rows if row["found"]]
    never_measured = len(set(state.failed).difference(row["key"] for row in state.rows))
    yield "findings", {**log, "severity": "warning"}, sum(warnings for warnings, _ in counts) + never_measured
    yield "findings", {**log, "severity": "note"}, sum(notes for _, notes in counts)
    for row in newest.values():
        where = {**log, "program": row["program"], "run": row["run"], "class": str(row["class"])}
        yield from _of_round(where, row)


def _of_round(where: Labels, row: dict[str, Any]) -> Iterator[Sample]:
    yield "iteration", where, row["iteration"]
    if row["particles"] is not None:
        yield "particles", where, row["particles"]
    for curve, (resolution_A, *_) in row["res"].items():
        if curve == row["headline"]:
            yield "headline_resolution_angstrom", {**where, "curve": curve}, resolution_A
        yield "resolution_angstrom", {**where, "curve": curve}, resolution_A
    yield "measured_timestamp_seconds", where, datetime.fromisoformat(row["at"]).timestamp()


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
