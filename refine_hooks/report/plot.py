"""Figures for a paper: the curves of a round, and the resolution of all rounds, as PNG, SVG or PDF.

Text stays text in the vector formats. Colours are those of Okabe & Ito (https://jfly.uni-koeln.de/color), which the colour-blind
can tell apart; the kind of a curve is told by its line as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from refine_hooks.audit import texts_of
from refine_hooks.audit.reading import Finding, values
from refine_hooks.errors import InputError
from refine_hooks.files.atomic import beside
from refine_hooks.files.folders import make_named
from refine_hooks.log.curves import Curve
from refine_hooks.log.records import RoundRecord
from refine_hooks.log.summary import CurveIdentity, identity_of
from refine_hooks.model import MaskRole
from refine_hooks.report.words import curve_title, title_of

KINDS = (".png", ".svg", ".pdf")
RANDOMISED_SDS = 3.0
_LETTER_CM, _HANDLE_CM = 0.125, 1.3  # width of a letter of the legend, and of the line before its text
_CM = 1 / 2.54
_COLOURS: dict[MaskRole | None, str] = {
    "sphere": "#0072B2",
    "automask": "#009E73",
    "refinement": "#D55E00",
}
_UNMASKED, _REPORTED = "#777777", "#E69F00"
_USERS = ("#CC79A7", "#56B4E9", "#000000")
_LINES = {"corrected": ("-", 1.6), "measured": ("-", 0.8), "scaled": ("--", 1.1), "randomised": (":", 1.1)}
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.fonttype": "none",
    "svg.hashsalt": "refine_hooks",
    "pdf.fonttype": 42,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


def plot_curves(
    record: RoundRecord,
    path: Path,
    names: Sequence[str] = (),
    other: RoundRecord | None = None,
    logarithmic: bool = False,
    width_cm: float = 12.0,
    findings: Iterable[Finding] = (),
) -> None:
    """The Fourier shell correlation of a round over 1/A (below) and A (above), with the phase-randomised FSC of its quoted curve.

    Args:
        record: the round.
        path: file to write; its ending says which kind.
        names: curves to draw; all of ours but the unmasked where empty.
        other: a round to compare with, drawn dotted.
        logarithmic: draw the correlation on a logarithmic axis from 0.001.
        width_cm: width of the figure.
        findings: findings whose shells are shaded, where their curve is drawn.

    Raises:
        InputError: matplotlib is not installed, the ending is none of `KINDS`, or the round has no such curve.
        StorageError: the file cannot be written.
    """
    with _drawing(path, width_cm) as axes:
        draw_curves(axes, record, names, other, logarithmic, findings)


def draw_curves(
    axes: Any,
    record: RoundRecord,
    names: Sequence[str] = (),
    other: RoundRecord | None = None,
    logarithmic: bool = False,
    findings: Iterable[Finding] = (),
) -> None:
    """The same, drawn into axes.

    Raises:
        InputError: the round has no such curve.
    """
    shown = _chosen(record, names)
    for curve in _shared(other, shown):
        assert other is not None
        draw_curve(axes, other, curve, f"{title_of(other, curve)}, {other.label}", shown, compared=True)
    for curve in shown:
        draw_curve(axes, record, curve, title_of(record, curve), shown)
    draw_randomised(axes, record, shown)
    for finding in findings:
        _draw_finding(axes, record, finding, shown)
    draw_thresholds(axes, record, shown)
    frequency_axes(axes, record.frequency_per_A[-1])
    axes.set_ylabel("Fourier shell correlation")
    if logarithmic:
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(1e-3, 1.3)
    else:
        lowest = min(float(np.nanmin(values(curve.correlation))) for curve in shown)
        axes.set_ylim(max(min(-0.05, lowest - 0.03), -0.6), 1.05)


def plot_resolutions(
    rounds: Sequence[RoundRecord], path: Path, names: Sequence[str] = (), width_cm: float = 12.0
) -> None:
    """The resolution of every round by each mask, higher resolution upwards: A on the left, 1/A on the right.

    Args:
        rounds: rounds of one run and class, in their order.
        path: file to write; its ending says which kind.
        names: curves to show; the corrected, the scaled and the sphere's where empty.
        width_cm: width of the figure.

    Raises:
        InputError: matplotlib is not installed, the ending is none of `KINDS`, or nothing has a resolution.
        StorageError: the file cannot be written.
    """
    numbered = list(enumerate(rounds))
    drawn = _with_resolution(rounds, names)
    with _drawing(path, width_cm) as axes:
        for curve in drawn:
            _draw_resolutions(axes, numbered, curve, drawn)
        axes.set_xticks(*_round_ticks([record.label for record in rounds]), rotation=30, ha="right")
        axes.set_xlim(-0.4, len(rounds) - 0.6)
        low, high = axes.get_ylim()
        lengths = _round_lengths(max(low, 1e-4), high, 8)
        axes.set_yticks([1 / length for length in lengths], [f"{length:g}" for length in lengths])
        axes.set_ylabel("resolution (Å)")
        axes.secondary_yaxis("right").set_ylabel("spatial frequency (Å⁻¹)")


@contextmanager
def written_figure(path: Path, width_cm: float, height_cm: float) -> Iterator[Any]:
    """A matplotlib figure to draw on; at the end it is written, whole or not at all.

    Raises:
        InputError: matplotlib is not installed, or the ending is none of `KINDS`.
        StorageError: the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise InputError(f"{path}: end the name with {', '.join(KINDS)}; it says which kind of picture is meant")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("drawing needs matplotlib: pip install 'refine_hooks[plot]'") from error
    undated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(kind, {})
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_cm * _CM, height_cm * _CM), layout="constrained")
        yield figure
        make_named(path.absolute().parent)
        with beside(path.absolute()) as temporary:
            figure.savefig(temporary, format=kind[1:], dpi=300, metadata=undated)


@contextmanager
def _drawing(path: Path, width_cm: float) -> Iterator[Any]:
    """The axes of a figure with one plot, whose legend is put below it."""
    with written_figure(path, width_cm, 0.75 * width_cm) as figure:
        axes = figure.subplots()
        yield axes
        labels = axes.get_legend_handles_labels()[1]
        columns = 2 if _two_columns_fit(labels, width_cm) else 1
        figure.set_figheight((0.64 * width_cm + 0.36 * -(-len(labels) // columns)) * _CM)
        figure.legend(loc="outside lower center", ncols=columns)


def _two_columns_fit(labels: Sequence[str], width_cm: float) -> bool:
    half = -(-len(labels) // 2)
    letters = max(map(len, labels[:half]), default=0) + max(map(len, labels[half:]), default=0)
    return letters * _LETTER_CM + 2 * _HANDLE_CM <= width_cm


def _chosen(record: RoundRecord, names: Sequence[str]) -> list[Curve]:
    known = {curve.name: curve for curve in record.curves}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"{record.key}: has no curve {', '.join(missing)}; it has {', '.join(known)}")
    if names:
        return [known[name] for name in names]
    ours = [curve for curve in record.curves if not curve.of_program and curve.mask is not None]
    return ours or list(known.values())


def _shared(other: RoundRecord | None, shown: Sequence[Curve]) -> list[Curve]:
    found = [other.curve(curve.name) for curve in shown] if other is not None else []
    return [curve for curve in found if curve is not None]


def _colour(curve: CurveIdentity, shown: Sequence[CurveIdentity]) -> str:
    """The colour of a curve's mask; each of the user's masks that is shown has its own."""
    if curve.of_program:
        return _REPORTED
    if curve.mask is None:
        return _UNMASKED
    if curve.role in _COLOURS:
        return _COLOURS[curve.role]
    users = list(dict.fromkeys(one.mask for one in shown if not one.of_program and one.role not in (None, *_COLOURS)))
    return _USERS[users.index(curve.mask) % len(_USERS)]


def _line(curve: CurveIdentity) -> tuple[str, float]:
    """Style and width of a curve's line: what was done to it."""
    if curve.is_scaled:
        return _LINES["scaled"]
    return _LINES.get(curve.made or curve.kind, _LINES["measured"])


def draw_curve(
    axes: Any, record: RoundRecord, curve: Curve, label: str, shown: Sequence[Curve], compared: bool = False
) -> None:
    """One curve with its first crossing.

    Args:
        axes: where to draw.
        record: the round.
        curve: one of its curves.
        label: what the legend calls it.
        shown: all curves of the plot, so that each user's mask has its own colour.
        compared: draw it as one that others are compared with.
    """
    identity = identity_of(record, curve)
    line, width = _line(identity)
    colour = _colour(identity, [identity_of(record, one) for one in shown])
    number = f" ({curve.resolution_A:.2f} Å)" if curve.resolution_A is not None else ""
    axes.plot(
        record.frequency_per_A,
        values(curve.correlation),
        color=colour,
        linestyle=":" if compared else line,
        linewidth=0.9 if compared else width,
        label=label + number,
    )
    first = next((x for x in curve.crossings if abs(x.level - curve.threshold) < 1e-6 and x.direction == "down"), None)
    if first is not None and not compared:
        axes.plot(first.frequency_per_A, first.level, "o", color=colour, markersize=3)


def draw_thresholds(axes: Any, record: RoundRecord, shown: Sequence[Curve]) -> None:
    """A line, with its number, at each level that the resolution of a shown curve is read at."""
    for level in sorted({curve.threshold for curve in shown}):
        axes.axhline(level, color="0.4", linewidth=0.6, dashes=(6, 3))
        corner = (record.frequency_per_A[-1], level)
        axes.annotate(f"{level:g}", corner, (-2, 2), textcoords="offset points", ha="right", color="0.4")


def draw_randomised(axes: Any, record: RoundRecord, shown: Sequence[Curve], name: str | None = None) -> None:
    """The phase-randomised FSC of a curve, of the quoted one where no name is given, if it is drawn; none before the onset."""
    quoted = record.headline_curve()
    wanted = name or (quoted.name if quoted is not None else None)
    curve = next((one for one in shown if one.name == wanted), None)
    if curve is None or curve.randomised_mean is None or curve.randomised_sd is None:
        return
    mean, reach = values(curve.randomised_mean), RANDOMISED_SDS * values(curve.randomised_sd)
    beyond = np.arange(len(mean)) > (curve.randomised_from_shell or 0)
    known = axes.get_legend_handles_labels()[1]
    label = (
        f"phase-randomised FSC, mean ± {RANDOMISED_SDS:g} sd"
        if curve.randomised_from_shell
        else f"noise, ± {RANDOMISED_SDS:g} sd"
    )
    axes.fill_between(
        record.frequency_per_A,
        mean - reach,
        mean + reach,
        where=beyond.tolist(),
        color=_colour(identity_of(record, curve), [identity_of(record, one) for one in shown]),
        alpha=0.18,
        linewidth=0,
        label="_" * (label in known) + label,
    )


def _draw_finding(axes: Any, record: RoundRecord, finding: Finding, shown: Sequence[Curve]) -> None:
    if finding.shells is None or finding.curve not in {curve.name for curve in shown}:
        return
    first, last = (
        (shell + half) / (record.box_px * record.voxel_size_A)
        for shell, half in zip(finding.shells, (-0.5, 0.5), strict=True)
    )
    title = texts_of(finding.rule).title
    known = axes.get_legend_handles_labels()[1]
    axes.axvspan(first, last, color="#E69F00", alpha=0.22, linewidth=0, label="_" * (title in known) + title)


def frequency_axes(axes: Any, last_per_A: float) -> None:
    """1/A below and A above."""
    axes.set_xlim(0, last_per_A)
    axes.set_xlabel("spatial frequency (Å⁻¹)")
    above = axes.secondary_xaxis("top")
    lengths = _round_lengths(last_per_A / 50, last_per_A, 9)
    above.set_xticks([1 / length for length in lengths], [f"{length:g}" for length in lengths])
    above.set_xlabel("resolution (Å)")


def _round_lengths(low_per_A: float, high_per_A: float, most: int) -> list[float]:
    """Round lengths in A, far enough apart on an axis of 1/A between two frequencies; the roundest have the first choice."""
    apart = (high_per_A - low_per_A) / most
    tiers = (
        (100, 50, 20, 10, 5, 4, 3, 2, 1),
        (30, 15, 8, 7, 6, 2.5, 1.5),
        (40, 25, 12, 9, 4.5, 3.5, 2.2, 1.8, 1.2),
        (13, 17, 11, 6.5, 5.5, 7.5),
    )
    finer = tuple(round(step / 10, 1) for step in range(10, 200) if step % 2 == 0)
    chosen: list[float] = []
    for length in (length for tier in (*tiers, finer) for length in tier):
        frequency = 1 / length
        if low_per_A <= frequency <= high_per_A and all(abs(frequency - 1 / one) >= apart for one in chosen):
            chosen.append(length)
    return sorted(chosen, reverse=True)


def _with_resolution(rounds: Sequence[RoundRecord], names: Sequence[str]) -> list[CurveIdentity]:
    known = {c.name: identity_of(record, c) for record in rounds for c in record.curves if c.resolution_A is not None}
    missing = [name for name in names if name not in known]
    if missing or not known:
        have = ", ".join(known) or "none"
        raise InputError(f"no round has a resolution by {', '.join(missing) or 'any curve'}; there are: {have}")
    if names:
        return [known[name] for name in names]
    ours = [one for one in known.values() if not one.of_program and (one.kind != "measured" or one.role == "sphere")]
    return ours or list(known.values())


def _draw_resolutions(
    axes: Any, numbered: Sequence[tuple[int, RoundRecord]], drawn: CurveIdentity, shown: Sequence[CurveIdentity]
) -> None:
    """One curve over the rounds; a line joins only what was read alike, and never what a program states."""
    line, width = _line(drawn)
    colour, label = _colour(drawn, shown), curve_title(drawn)
    for group in _alike(numbered, drawn.name):
        places = [at for at, _ in group]
        height = [1 / c.resolution_A for _, c in group if c.resolution_A]
        face = "none" if drawn.of_program else colour
        style = {"linestyle": "none" if drawn.of_program else line, "linewidth": width, "markerfacecolor": face}
        axes.plot(places, height, "o", color=colour, markersize=3, label=label, **style)
        label = f"_{label}"
        for at, curve in group:
            if curve.interval_A is not None and drawn.kind == "corrected":
                axes.plot([at, at], [1 / end for end in curve.interval_A], color=colour, linewidth=3, alpha=0.25)


def _alike(numbered: Sequence[tuple[int, RoundRecord]], name: str) -> list[list[tuple[int, Curve]]]:
    """The rounds that have a resolution by a curve, in groups of one level and of half maps of one origin and independence."""
    groups: dict[Any, list[tuple[int, Curve]]] = {}
    for at, record in numbered:
        curve, halves = record.curve(name), record.half_maps
        if curve is not None and curve.resolution_A:
            like = curve.threshold, halves and (halves.origin, halves.independence)
            groups.setdefault(like, []).append((at, curve))
    return list(groups.values())


def _round_ticks(labels: Sequence[str]) -> tuple[list[int], list[str]]:
    step = max(1, -(-len(labels) // 12))
    return list(range(0, len(labels), step)), list(labels[::step])
