"""Rounds, findings and comparisons as tables for a terminal; a narrow one gets fewer columns, never broken numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from refine_hooks.audit.reading import Counts, counted, quoted
from refine_hooks.log.curves import Crossing, Curve
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.model import Key
from refine_hooks.report.what_helps import beyond_words
from refine_hooks.report.words import (
    Standing,
    analysis_words,
    mask_title,
    origin_words,
    standing,
    unlike,
    withheld_words,
)

if TYPE_CHECKING:
    from refine_hooks.audit import Causes, Finding

_MASKS = ("sphere", "refinement", "user", "automask")
_GAP = 2
_INDENT = 2
_ROWS_AT_ONCE = 200
_FEW = 4  # keys that fit into one line of a terminal


def screen() -> Console:
    """Where tables go. Numbers and paths are looked for in what is printed, to be coloured, only where colours are seen."""
    out = Console()
    return out if out.is_terminal else Console(highlight=False)


class Column:
    """One column of a table: its title over as many lines as it takes, its cells, and when it may be left out."""

    def __init__(self, title: str, cells: Sequence[str], need: int = 0, right: bool = False) -> None:
        self.title, self.cells, self.need, self.right = title, cells, need, right

    @property
    def width(self) -> int:
        """Characters that the longest line of it takes."""
        return max(len(line) for text in (self.title, *self.cells) for line in text.split("\n"))


def print_table(columns: Sequence[Column], out: Console) -> list[Column]:
    """Print the columns that fit: those of the highest ``need`` are left out first; one of need 0 always stays.

    Returns:
        What was left out.
    """
    kept = list(columns)
    while len(kept) > 1 and sum(column.width + _GAP for column in kept) - _GAP > out.width:
        last = max(kept, key=lambda column: column.need)
        if last.need == 0:
            break
        kept.remove(last)
    rows = zip(*(column.cells for column in kept), strict=True)
    first = True
    while (some := list(islice(rows, _ROWS_AT_ONCE))) or first:  # a table of rich takes 10 kB a row
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0), show_header=first)
        first = False
        for column in kept:
            least = column.width if column is not kept[0] else None  # where all is too wide, the first column is folded
            table.add_column(
                column.title, justify="right" if column.right else "left", overflow="fold", min_width=least
            )
        for row in some:
            table.add_row(*(Text(cell) for cell in row))
        out.print(table)
    return [column for column in columns if column not in kept]


def print_whole_table(columns: Sequence[Column], out: Console) -> None:
    """Print all columns: those that do not fit in a table below, each row with its first cell again."""
    left = print_table(columns, out)
    if left and len(left) < len(columns) - 1:
        print_whole_table([columns[0], *left], out)


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one round in the table of rounds.

    Attributes:
        masks: mask -> resolution under it.
        titles: mask -> its name in words.
        quoted: the number that the round is quoted with, where that was measured here.
        change: against the round before it, where its number is from the same curve, level and kind of half maps.
    """

    key: Key
    label: str
    halves: str
    scaled: str
    masks: dict[str, str]
    titles: dict[str, str]
    interval: str
    quoted: Standing | None
    stated: str
    particles: str
    counts: Counts
    change: str = "-"


def row_of(record: RoundRecord, findings: Sequence["Finding"]) -> Row:
    """The row of a round; ``findings`` are its own."""
    best = quoted(record)
    return Row(
        key=record.key,
        label=record.label,
        halves=record.half_maps.origin if record.half_maps else "none",
        scaled=_cell(record, record.under_role("sphere", "scaled")),
        masks={name: _under(record, name) for name in _mask_names(record)},
        titles={curve.mask: mask_title(curve.mask, record.role(curve)) for curve in record.curves if curve.mask},
        interval=_interval(best),
        quoted=None if best is None or best.of_program else standing(record),
        stated=_stated(record),
        particles="-" if record.particles is None else str(record.particles),
        counts=counted(findings),
    )


def _stated(record: RoundRecord) -> str:
    """The program's own number, with its level where that is not the one of a number of ours beside it."""
    stated, best = record.reported, record.headline_curve()
    if stated is None:
        return "-"
    if stated.level is None or (best is not None and stated.level == best.threshold):
        return _number(stated.resolution_A)
    return f"{stated.resolution_A:.2f} at {stated.level:g}"


def show_rows(rows: Sequence[Row], failures: Iterable[Failed], console: Console | None = None) -> None:
    """One line a round: key, resolution under each mask, interval, change, the program's own number, particles, findings."""
    out = console or screen()
    rows = _with_changes(rows)
    failures = list(failures)
    if rows:
        columns = _columns(rows)
        left = print_table(
            [column for column in columns if column.need == 0 or any(c != "-" for c in column.cells)], out
        )
        if left:
            names = ", ".join(column.title.replace("-\n", "").replace("\n", " ") for column in left)
            out.print(
                f"Not shown at {out.width} characters: {names}. A wider window or --json shows them.", style="dim"
            )
        out.print(
            "Resolutions in A at the first fall below the threshold; under masks the corrected curve.", style="dim"
        )
    elif not failures:
        out.print("The log holds no round yet.")
    for failure in failures:
        out.print(f"{failure.key} {failure.label}: FAILED: {failure.reason}", style="red", markup=False)


def _columns(rows: Sequence[Row]) -> list[Column]:
    known = {name: row.titles.get(name, name) for row in rows for name in row.masks}
    order = [
        *_MASKS[:-1],
        *sorted(known.keys() - set(_MASKS)),
        _MASKS[-1],
    ]  # the user's further ones, the automask last

    def each(cell: Callable[[Row], str]) -> list[str]:
        return [cell(row) for row in rows]

    masks = [
        Column(
            _narrow(known[name]),
            [row.masks.get(name, "-") for row in rows],
            need={"automask": 0, "sphere": 2}.get(name, 4),
            right=True,
        )
        for name in order
        if name in known
    ]
    return [
        Column("round", each(lambda r: str(r.key))),
        Column("label", each(lambda r: r.label), need=8),
        Column("halves", each(lambda r: r.halves), need=7),
        Column("scaled\nsphere", each(lambda r: r.scaled), need=5, right=True),
        *masks,
        Column("90 %\ninterval", each(lambda r: r.interval), need=1),
        Column("change", each(lambda r: r.change), right=True),
        Column("program\nstates", each(lambda r: r.stated), need=4, right=True),
        Column("particles", each(lambda r: r.particles), need=3, right=True),
        Column("warn-\nings", each(lambda r: str(r.counts.warnings or "-")), right=True),
        Column("notes", each(lambda r: str(r.counts.notes or "-")), need=1, right=True),
    ]


def _mask_names(record: RoundRecord) -> list[str]:
    """The masks of a round that have curves measured here."""
    return list(dict.fromkeys(curve.mask for curve in record.curves if curve.mask and not curve.of_program))


def _under(record: RoundRecord, mask: str) -> str:
    return _cell(record, record.under(mask, "corrected") or record.under(mask))


def _cell(record: RoundRecord, curve: Curve | None) -> str:
    """The number of a curve, unless its halves are none that a number can be read from."""
    return "filtered" if curve is not None and "filtered" in record.headline_withheld else _length(curve)


def _narrow(title: str) -> str:
    return title.replace(" ", "\n", 1)


def _with_changes(rows: Sequence[Row]) -> list[Row]:
    """The rows with the change against the last round before each of its run and class, where the two can be compared."""
    last: dict[tuple[str, int], Standing] = {}
    changes: dict[Key, str] = {}
    for row in sorted(rows, key=lambda row: row.key.iteration):
        track = row.key.run, row.key.class_id
        if row.quoted is None:
            continue
        before = last.get(track)
        if before is not None and not unlike(row.quoted, before):
            changes[row.key] = f"{row.quoted.resolution_A - before.resolution_A:+.2f}"
        last[track] = row.quoted
    return [replace(row, change=changes.get(row.key, "-")) for row in rows]


def show_round(record: RoundRecord, findings: Sequence["Finding"] = (), console: Console | None = None) -> None:
    """All of one round: where its halves come from, each curve with its numbers, each mask with its file and hash."""
    out = console or screen()
    head = f"{record.key}  {record.label}  ({record.program}, box {record.box_px}, {record.voxel_size_A:g} A per voxel)"
    out.print(head, style="bold", markup=False)
    out.print(origin_words(record.half_maps, record.program), markup=False)
    for path in (record.half_maps.paths if record.half_maps else None) or ():
        out.print(f"  {path}", markup=False, soft_wrap=True)
    for text in _about(record):
        out.print(text, markup=False)
    curves = record.curves
    print_whole_table(
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
    if told := withheld_words(record):
        out.print(f"No resolution is stated. {told}", style="bold", markup=False)
    for mask in record.masks:
        out.print(_mask_words(mask), markup=False)
    for text in (*analysis_words(record.analysis), *beyond_words(record)):
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
        return f"{mask_title(mask.name, mask.role)}: none; {mask.note or 'it could not be made'}"
    where = f"{mask.path}, sha256 {mask.sha256}" if mask.path else "no file"
    volume = f"{mask.volume_A3 / 1e3:.4g} nm3, {100 * mask.volume_fraction:.2f} % of the box"
    return f"{mask_title(mask.name, mask.role)}: {volume} ({where}){f'; {mask.note}' if mask.note else ''}"


def show_findings(findings: Sequence["Finding"], console: Console | None = None) -> None:
    """One entry a cause: a finding below its round's key, or, where one rule concerns many rounds, below all of their keys."""
    from refine_hooks.audit import Causes

    causes = Causes()
    places: dict[str, int] = {}
    for finding in findings:
        causes.add(places.setdefault(finding.round, len(places)), finding)
    show_causes(causes, console)


def show_causes(causes: "Causes", console: Console | None = None) -> None:
    """`show_findings` of findings that are no longer held."""
    out = console or screen()
    for newest, rounds in causes.told():
        out.print()
        out.print(_listed(rounds), style="bold", markup=False)
        for number, finding in enumerate(newest):
            style = "red" if finding.severity == "warning" else ""
            of = f"the newest, {finding.round}: " if len(rounds) > 1 and number == 0 else ""
            text = Text.assemble(
                (f"{finding.severity} [{finding.rule}] ", f"bold {style}".strip()), (of + finding.message, style)
            )
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


def _reach(record: RoundRecord, curve: Curve) -> str:
    shell = curve.significant_shell
    return f"{1 / record.frequency_per_A[shell]:.2f}" if shell and shell < len(record.frequency_per_A) else "-"


def _crossings(curve: Curve) -> str:
    """The first crossings of the threshold; the log holds them all."""
    all_of_them = curve.crossings_at(curve.threshold)
    said = ", ".join(_crossing(c) for c in all_of_them[:3])
    return (said + (f", {len(all_of_them) - 3} more" if len(all_of_them) > 3 else "")) or "-"


def _crossing(crossing: Crossing) -> str:
    return f"{crossing.direction} {crossing.resolution_A:.2f}"
