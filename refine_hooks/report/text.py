"""Rounds and findings as tables for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from refine_hooks.audit.reading import quoted
from refine_hooks.journal import Journal
from refine_hooks.records import Crossing, Curve, RoundRecord
from refine_hooks.report.words import curve_title, mask_title, origin_words

if TYPE_CHECKING:
    from refine_hooks.audit import Finding

_COLUMNS = ("sphere_scaled", "sphere", "refinement_corrected", "user_corrected", "automask_corrected")


def show_rounds(log: Journal, findings: Sequence["Finding"], console: Console | None = None) -> None:
    """One line a round: key, resolution under each mask, interval, change, particles, findings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = [name for name in _COLUMNS if any(record.curve(name) for record in log.rounds)]
    for title in ("round", "label", "halves", *(curve_title(name) for name in names), "90 % interval", "change"):
        table.add_column(title, overflow="fold")
    for title in ("particles", "findings"):
        table.add_column(title, justify="right")
    before: dict[tuple[str, int], float] = {}
    for record in log.rounds:
        best = quoted(record)
        series = (record.key.run, record.key.class_id)
        warnings = sum(f.round == str(record.key) and f.severity == "warning" for f in findings)
        notes = sum(f.round == str(record.key) and f.severity == "note" for f in findings)
        table.add_row(
            str(record.key),
            record.label,
            record.half_maps.origin if record.half_maps else "-",
            *(_length(record.curve(name)) for name in names),
            _interval(best),
            _change(best, before.get(series)),
            "-" if record.particles is None else f"{record.particles}",
            f"{warnings} warnings, {notes} notes" if warnings or notes else "-",
        )
        if best is not None and best.resolution_A is not None:
            before[series] = best.resolution_A
    (console or Console()).print(table)
    for failure in log.failures:
        (console or Console()).print(
            f"{failure.key} {failure.label}: FAILED: {failure.reason}", style="red", markup=False
        )


def show_round(record: RoundRecord, findings: Sequence["Finding"] = (), console: Console | None = None) -> None:
    """All of one round: where its halves come from, each curve with its numbers, each mask with its file and hash."""
    out = console or Console()
    out.print(
        f"{record.key}  {record.label}  ({record.program}, box {record.box_px}, {record.voxel_size_A:g} A)",
        style="bold",
        markup=False,
    )
    out.print(origin_words(record.half_maps), markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "curve",
        "resolution",
        "90 % interval",
        "at 0.5",
        "significant to",
        "crossings of the threshold",
        "rule",
    ):
        table.add_column(title, overflow="fold")
    for curve in record.curves:
        shell = curve.significant_shell
        reach = f"{1 / record.frequency_per_A[shell]:.2f} A" if shell and shell < len(record.frequency_per_A) else "-"
        half = "-" if curve.resolution_at_half_A is None else f"{curve.resolution_at_half_A:.2f} A"
        crossings = ", ".join(_crossing(c) for c in curve.crossings if c.level != 0.5) or "-"
        table.add_row(curve.name, _length(curve), _interval(curve), half, reach, crossings, curve.rule)
    out.print(table)
    for mask in record.masks:
        where = f"{mask.path}, sha256 {mask.sha256}" if mask.path else "no file"
        note = f"; {mask.note}" if mask.note else ""
        volume = f"{mask.volume_A3:.4g} A^3, {100 * mask.volume_fraction:.2f} % of the box"
        out.print(f"{mask_title(mask.name)}: {volume} ({where}){note}", markup=False)
    for note in record.notes:
        out.print(f"- {note}", markup=False)
    show_findings(findings, out)


def show_findings(findings: Sequence["Finding"], console: Console | None = None) -> None:
    """One paragraph a finding, warnings in red."""
    out = console or Console()
    for finding in findings:
        style = "red" if finding.severity == "warning" else None
        out.print(f"{finding.severity} [{finding.rule}] {finding.round}: {finding.message}", style=style, markup=False)


def _length(curve: Curve | None) -> str:
    if curve is None:
        return "-"
    return "never" if curve.resolution_A is None else f"{curve.resolution_A:.2f} A"


def _interval(curve: Curve | None) -> str:
    return (
        "-" if curve is None or curve.interval_A is None else f"{curve.interval_A[0]:.2f} - {curve.interval_A[1]:.2f} A"
    )


def _change(curve: Curve | None, before_A: float | None) -> str:
    if curve is None or curve.resolution_A is None or before_A is None:
        return "-"
    return f"{curve.resolution_A - before_A:+.2f} A"


def _crossing(crossing: Crossing) -> str:
    return f"{crossing.direction} {crossing.resolution_A:.2f} A"
