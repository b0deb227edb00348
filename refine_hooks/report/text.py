"""Rounds, findings and comparisons as tables for a terminal; a narrow one gets fewer columns, never broken numbers."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from refine_hooks.audit.reading import quoted
from refine_hooks.log.file import Journal
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import Crossing, Curve, RoundRecord
from refine_hooks.model import Key
from refine_hooks.report.words import analysis_words, mask_title, origin_words

if TYPE_CHECKING:
    from refine_hooks.audit import Finding

_MASKS = ("sphere", "refinement", "user", "automask")
_GAP = 2
_INDENT = 2
_FEW = 4  # keys that fit into one line of a terminal


class Column:
    """One column of a table: its title over as many lines as it takes, its cells, and when it may be left out."""

    def __init__(self, title: str, cells: Sequence[str], need: int = 0, right: bool = False) -> None:
        self.title, self.cells, self.need, self.right = title, cells, need, right

    @property
    def width(self) -> int:
        """Characters that the longest line of it takes."""
        return max(len(line) for text in (self.title, *self.cells) for line in text.split("\n"))


def print_table(columns: Sequence[Column], out: Console) -> None:
    """Print the columns that fit: those of the highest ``need`` are left out first; one of need 0 always stays."""
    kept = list(columns)
    while len(kept) > 1 and sum(column.width + _GAP for column in kept) - _GAP > out.width:
        last = max(kept, key=lambda column: column.need)
        if last.need == 0:
            break
        kept.remove(last)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for column in kept:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in zip(*(column.cells for column in kept), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def show_rounds(log: Journal, findings: Sequence["Finding"], console: Console | None = None) -> None:
    """One line a round: key, resolution under each mask, interval, change, the program's own number, particles, findings."""
    out = console or Console()
    rounds = log.rounds
    masks = {name: [_under(record, name) for record in rounds] for name in _mask_names(rounds)}
    counts = {str(record.key): [0, 0] for record in rounds}
    for finding in findings:
        if finding.round in counts:
            counts[finding.round][finding.severity == "note"] += 1
    before = _before(rounds)
    best = [quoted(record) for record in rounds]

    def each(cell: Callable[[RoundRecord], str]) -> list[str]:
        return [cell(record) for record in rounds]

    columns = [
        Column("round", each(lambda r: str(r.key))),
        Column("label", each(lambda r: r.label), need=8),
        Column("halves", each(lambda r: r.half_maps.origin if r.half_maps else "none"), need=7),
        Column("scaled\nsphere", [_length(record.curve("sphere_scaled")) for record in rounds], need=5, right=True),
        *(
            Column(_narrow(mask_title(name)), cells, need={"automask": 0, "sphere": 2}.get(name, 4), right=True)
            for name, cells in masks.items()
        ),
        Column("90 %\ninterval", [_interval(curve) for curve in best], need=1),
        Column("change", [_change(c, before.get(r.key)) for r, c in zip(rounds, best, strict=True)], right=True),
        Column(
            "program\nstates",
            each(lambda r: _number(r.reported.resolution_A if r.reported else None)),
            need=4,
            right=True,
        ),
        Column("particles", each(lambda r: "-" if r.particles is None else str(r.particles)), need=3, right=True),
        Column("warn-\nings", each(lambda r: str(counts[str(r.key)][0] or "-")), right=True),
        Column("notes", each(lambda r: str(counts[str(r.key)][1] or "-")), need=1, right=True),
    ]
    if rounds:
        print_table([column for column in columns if column.need == 0 or any(c != "-" for c in column.cells)], out)
        out.print(
            "Resolutions in A at the first fall below the threshold; under masks the corrected curve.", style="dim"
        )
    elif not log.failures:
        out.print("The log holds no round yet.")
    for failure in log.failures:
        out.print(f"{failure.key} {failure.label}: FAILED: {failure.reason}", style="red", markup=False)


def _mask_names(rounds: Sequence[RoundRecord]) -> list[str]:
    """The masks of these rounds that have curves, in one order: the usual ones, the user's further ones, the automask last."""
    known = {curve.mask for record in rounds for curve in record.curves if curve.mask and not curve.of_program}
    order = [*_MASKS[:-1], *sorted(known - set(_MASKS)), _MASKS[-1]]
    return [name for name in order if name in known]


def _under(record: RoundRecord, mask: str) -> str:
    return _length(record.curve(f"{mask}_corrected") or record.curve(mask))


def _narrow(title: str) -> str:
    return title.replace(" ", "\n", 1)


def _before(rounds: Sequence[RoundRecord]) -> dict[Key, Curve]:
    """For each round the quoted curve of the last one before it of its run and class, where that was the same measured curve."""
    last: dict[tuple[str, int], Curve] = {}
    found = {}
    for record in sorted(rounds, key=lambda r: r.key.iteration):
        series, curve = (record.key.run, record.key.class_id), quoted(record)
        if curve is None or curve.resolution_A is None or curve.of_program:
            continue
        if series in last and last[series].name == curve.name:
            found[record.key] = last[series]
        last[series] = curve
    return found


def show_round(record: RoundRecord, findings: Sequence["Finding"] = (), console: Console | None = None) -> None:
    """All of one round: where its halves come from, each curve with its numbers, each mask with its file and hash."""
    out = console or Console()
    head = f"{record.key}  {record.label}  ({record.program}, box {record.box_px}, {record.voxel_size_A:g} A per voxel)"
    out.print(head, style="bold", markup=False)
    out.print(origin_words(record.half_maps), markup=False)
    for path in (record.half_maps.paths if record.half_maps else None) or ():
        out.print(f"  {path}", markup=False, soft_wrap=True)
    for text in _about(record):
        out.print(text, markup=False)
    curves = record.curves
    print_table(
        [
            Column("curve", [curve.name for curve in curves]),
            Column("resolution", [_length(curve) for curve in curves], right=True),
            Column("90 %\ninterval", [_interval(curve) for curve in curves]),
            Column("at 0.5", [_number(curve.resolution_at_half_A) for curve in curves], need=1, right=True),
            Column("above its\nnoise to", [_reach(record, curve) for curve in curves], need=3, right=True),
            Column("crossings of the\nthreshold", [_crossings(curve) for curve in curves], need=2),
        ],
        out,
    )
    for rule, group in groupby(curves, lambda curve: curve.rule):
        names = [curve.name for curve in group]
        out.print(f"{names[0]}{f' ... {names[-1]}' if len(names) > 1 else ''}: {rule}", style="dim", markup=False)
    for mask in record.masks:
        out.print(_mask_words(mask), markup=False)
    for text in analysis_words(record.analysis):
        out.print(text, markup=False)
    for warning in record.program_warnings:
        out.print(
            f"- {record.program} warned{f' ({warning.source})' if warning.source else ''}: {warning.text}", markup=False
        )
    for note in record.notes:
        out.print(f"- {note}", markup=False)
    show_findings(findings, out)


def _about(record: RoundRecord) -> list[str]:
    """The numbers of a round that are no curve's."""
    facts = []
    if record.particles is not None:
        facts.append(f"{record.particles} particles")
    if record.symmetry:
        facts.append(f"symmetry {record.symmetry}")
    if record.alignment_limit_A:
        facts.append(f"both halves aligned to one reference up to {record.alignment_limit_A:.2f} A")
    if record.reported:
        facts.append(
            f"the program states {record.reported.resolution_A:.2f} A ({record.reported.rule or 'rule not stated'})"
        )
    return ["; ".join(facts)] if facts else []


def _mask_words(mask: MaskRecord) -> str:
    if mask.volume_A3 <= 0:
        return f"{mask_title(mask.name)}: none; {mask.note or 'it could not be made'}"
    where = f"{mask.path}, sha256 {mask.sha256}" if mask.path else "no file"
    volume = f"{mask.volume_A3 / 1e3:.4g} nm3, {100 * mask.volume_fraction:.2f} % of the box"
    return f"{mask_title(mask.name)}: {volume} ({where}){f'; {mask.note}' if mask.note else ''}"


def show_findings(findings: Sequence["Finding"], console: Console | None = None) -> None:
    """One entry a cause: a finding below its round's key, or, where one rule concerns many rounds, below all of their keys."""
    from refine_hooks.audit import grouped

    out = console or Console()
    for group in grouped(findings):
        newest, rounds = group.findings[-1], group.rounds
        style = "red" if group.severity == "warning" else ""
        out.print()
        out.print(_listed(rounds), style="bold", markup=False)
        said = newest.message if len(group.findings) == 1 else f"the newest, {newest.round}: {newest.message}"
        text = Text.assemble((f"{group.severity} [{group.rule}] ", f"bold {style}".strip()), (said, style))
        out.print(Padding(text, (0, 0, 0, _INDENT)))


def _listed(rounds: Sequence[str]) -> str:
    """The rounds that a finding concerns: all of a few, else how many, the first and the newest."""
    if len(rounds) <= _FEW:
        return ", ".join(rounds)
    return f"{len(rounds)} rounds: {', '.join(rounds[: _FEW - 2])}, ..., {rounds[-1]}"


def _number(length_A: float | None) -> str:
    return "-" if length_A is None else f"{length_A:.2f}"


def _length(curve: Curve | None) -> str:
    if curve is None:
        return "-"
    return "never" if curve.resolution_A is None else f"{curve.resolution_A:.2f}"


def _interval(curve: Curve | None) -> str:
    return "-" if curve is None or curve.interval_A is None else f"{curve.interval_A[0]:.2f}-{curve.interval_A[1]:.2f}"


def _change(curve: Curve | None, before: Curve | None) -> str:
    if curve is None or curve.resolution_A is None or before is None or before.resolution_A is None:
        return "-"
    return f"{curve.resolution_A - before.resolution_A:+.2f}"


def _reach(record: RoundRecord, curve: Curve) -> str:
    shell = curve.significant_shell
    return f"{1 / record.frequency_per_A[shell]:.2f}" if shell and shell < len(record.frequency_per_A) else "-"


def _crossings(curve: Curve) -> str:
    """The first crossings of the threshold; the log holds them all."""
    all_of_them = [c for c in curve.crossings if c.level != 0.5]
    said = ", ".join(_crossing(c) for c in all_of_them[:3])
    return (said + (f", {len(all_of_them) - 3} more" if len(all_of_them) > 3 else "")) or "-"


def _crossing(crossing: Crossing) -> str:
    return f"{crossing.direction} {crossing.resolution_A:.2f}"
