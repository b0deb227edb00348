"""A comparison of two logs as tables for a terminal."""

from collections.abc import Sequence

from rich.console import Console

from refine_hooks.model import Key
from refine_hooks.report.compare import Comparison, CurvePair, Reading, RoundPair
from refine_hooks.report.text import Column, print_whole_table, screen

_SHELLS = 24
_FAR_SD = 3.0


def show_comparison(found: Comparison, console: Console | None = None) -> None:
    """The rounds side by side, then the curves of the chosen two: their numbers, and the quoted one shell by shell."""
    out = console or screen()
    out.print(f"A: {found.log_a}", markup=False, soft_wrap=True)
    out.print(f"B: {found.log_b}", markup=False, soft_wrap=True)
    out.print()
    _rounds(found, out)
    out.print()
    out.print(f"Curves of {found.a} (A) and {found.b} (B)", style="bold", markup=False)
    out.print(_sampling(found), style="dim", markup=False)
    _curves(found.curves, out)
    for log, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            out.print(f"only in {log}: {', '.join(names)}", style="dim", markup=False)
    shown = _best(found)
    out.print()
    out.print(f"{shown.name}, shell by shell", style="bold", markup=False)
    _shells(found, shown, out)


def _rounds(found: Comparison, out: Console) -> None:
    rounds = found.rounds
    same = all(pair.a == pair.b for pair in rounds)
    keys = [Column("round", [_key(pair.a or pair.b) for pair in rounds])]
    if not same:
        keys = [Column("A", [_key(pair.a) for pair in rounds]), Column("B", [_key(pair.b) for pair in rounds])]
    print_whole_table(
        [
            *keys,
            Column("quoted curve", [_quoted(pair) for pair in rounds], need=3),
            Column("A", [_length(pair.reading_a) for pair in rounds], right=True),
            Column("interval", [_interval(pair.reading_a) for pair in rounds], need=2),
            Column("B", [_length(pair.reading_b) for pair in rounds], right=True),
            Column("interval", [_interval(pair.reading_b) for pair in rounds], need=2),
            Column("B - A", [_apart(p.reading_a, p.reading_b) if p.curve else "-" for p in rounds], right=True),
            Column("", [pair.verdict if pair.a and pair.b else "-" for pair in rounds], need=1),
        ],
        out,
    )


def _curves(curves: Sequence[CurvePair], out: Console) -> None:
    print_whole_table(
        [
            Column("curve", [pair.name for pair in curves]),
            Column("A", [_at_level(pair.a, pair.b) for pair in curves], right=True),
            Column("B", [_at_level(pair.b, pair.a) for pair in curves], right=True),
            Column("B - A", [_apart(pair.a, pair.b) for pair in curves], right=True),
            Column("mean FSC\ndifference", [_signed(pair.mean_difference) for pair in curves], need=1, right=True),
            Column("largest", [_largest(pair) for pair in curves], need=2, right=True),
            Column("", [pair.verdict for pair in curves]),
        ],
        out,
    )


def _shells(found: Comparison, pair: CurvePair, out: Console) -> None:
    """Some twenty shells evenly over the common range; the JSON holds them all."""
    frequency = found.frequency_per_A
    step = max(1, (len(frequency) - 1 + _SHELLS - 1) // _SHELLS)
    shells = range(step, len(frequency), step)
    print_whole_table(
        [
            Column("A", [f"{1 / frequency[k]:.2f}" for k in shells], right=True),
            Column("1/A", [f"{frequency[k]:.4f}" for k in shells], right=True),
            Column("FSC A", [_value(pair.correlation_a[k]) for k in shells], right=True),
            Column("FSC B", [_value(pair.correlation_b[k]) for k in shells], right=True),
            Column("B - A", [_signed(pair.difference[k]) for k in shells], right=True),
            Column("in its sd", [_in_sd(pair, k) for k in shells], right=True),
        ],
        out,
    )


def _sampling(found: Comparison) -> str:
    if found.interpolated is None:
        return f"{len(found.frequency_per_A)} common shells, none interpolated; differences are B - A"
    spans = " and ".join(f"{n} px of {v:g} A" for n, v in zip(found.box_px, found.voxel_size_A, strict=True))
    return (
        f"boxes of {spans}: compared at {len(found.frequency_per_A)} common frequencies up to "
        f"{1 / found.frequency_per_A[-1]:.2f} A, {found.interpolated.upper()} interpolated; differences are B - A"
    )


def _best(found: Comparison) -> CurvePair:
    """The curve that both rounds are quoted with, else the one that would be if only the common ones were there."""
    quoted = next((p.curve for p in found.rounds if p.a == found.a and p.b == found.b), None)
    return next((pair for name in (quoted, found.best) for pair in found.curves if pair.name == name), found.curves[0])


def _key(key: Key | None) -> str:
    return "-" if key is None else str(key)


def _length(reading: Reading | None) -> str:
    if reading is None:
        return "-"
    return "never" if reading.resolution_A is None else f"{reading.resolution_A:.2f}"


def _at_level(reading: Reading, other: Reading) -> str:
    """A number, with its level where the other one was read at another."""
    return _length(reading) + (f" at {reading.threshold:g}" if reading.threshold != other.threshold else "")


def _interval(reading: Reading | None) -> str:
    if reading is None or reading.interval_A is None:
        return "-"
    return f"{reading.interval_A[0]:.2f}-{reading.interval_A[1]:.2f}"


def _quoted(pair: RoundPair) -> str:
    """The curve that both rounds are quoted by, and its level."""
    if pair.curve is None or pair.reading_a is None or pair.reading_b is None:
        return "different" if pair.a and pair.b else "-"
    levels = dict.fromkeys(f"{one.threshold:g}" for one in (pair.reading_a, pair.reading_b))
    return f"{pair.curve} at {' and '.join(levels)}"


def _apart(a: Reading | None, b: Reading | None) -> str:
    if a is None or b is None or a.resolution_A is None or b.resolution_A is None or a.threshold != b.threshold:
        return "-"
    return f"{b.resolution_A - a.resolution_A:+.2f}"


def _value(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _signed(number: float | None) -> str:
    return "-" if number is None else f"{number:+.3f}"


def _largest(pair: CurvePair) -> str:
    return "-" if pair.largest is None else f"{pair.largest:+.3f} at {pair.largest_at_A:.2f} A"


def _in_sd(pair: CurvePair, shell: int) -> str:
    difference, sd = pair.difference[shell], pair.sd[shell]
    if difference is None or not sd:
        return "-"
    return f"{difference / sd:+.1f}{' *' if abs(difference) > _FAR_SD * sd else ''}"
