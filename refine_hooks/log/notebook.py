"""How records show themselves in a notebook: a table, and the headline's curve as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Shells = Sequence[float | None]

_WIDE, _HIGH, _LEFT, _TOP = 420, 220, 40, 10
_LOWEST, _HIGHEST = -0.2, 1.0
_COLOURS = ("#0072b2", "#d55e00", "#999999")


def table_html(caption: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table of HTML; a column for each name, numbers with two decimals."""
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in names) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else escape(str(value))


def curves_svg(frequency_per_A: Sequence[float], curves: Mapping[str, Shells], threshold: float) -> str:
    """Curves over the shells 0..N//2 as SVG, each in its colour, and the threshold dashed; nothing where there are none.

    Args:
        frequency_per_A: of each shell.
        curves: by name, three at most; None where nothing is measured.
        threshold: the level that resolutions are read at.
    """
    if not curves:
        return ""
    last = frequency_per_A[-1] or 1.0
    drawn = _line([(0.0, threshold), (last, threshold)], last, "#666666", 'stroke-dasharray="3 3"')
    for number, ((name, correlation), colour) in enumerate(zip(curves.items(), _COLOURS, strict=False), 1):
        drawn += "".join(_line(run, last, colour) for run in _runs(frequency_per_A, correlation))
        drawn += _text(_WIDE - 5, _TOP + 14 * number, escape(name), f'text-anchor="end" fill="{colour}"')
    x, y = _place(last, _LOWEST, last)
    frame = (
        f'<rect x="{_LEFT}" y="{_TOP}" width="{x - _LEFT:.0f}" height="{y - _TOP:.0f}" fill="none" stroke="#bbbbbb"/>'
    )
    ends = _text(_LEFT, y + 16, "0") + _text(x, y + 16, f"{last:.3f} / A", 'text-anchor="end"')
    ends += "".join(_text(_LEFT - 4, _place(0, n, last)[1] + 4, f"{n}", 'text-anchor="end"') for n in (0, 1))
    size = f'width="{_WIDE}" height="{_HIGH}" viewBox="0 0 {_WIDE} {_HIGH}"'
    style = 'font-family="sans-serif" font-size="11" fill="currentColor"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{frame}{drawn}{ends}</svg>'


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {more}>{text}</text>'


def _runs(frequency_per_A: Sequence[float], correlation: Shells) -> list[list[tuple[float, float]]]:
    """The points of each run of shells with values."""
    runs: list[list[tuple[float, float]]] = [[]]
    for frequency, value in zip(frequency_per_A, correlation, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((frequency, value))
    return [run for run in runs if run]


def _line(points: Sequence[tuple[float, float]], last: float, colour: str, more: str = "") -> str:
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(*point, last) for point in points))
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" {more} points="{told}"/>'


def _place(frequency: float, value: float, last: float) -> tuple[float, float]:
    height = _HIGH - _TOP - 25
    inside = min(max(value, _LOWEST), _HIGHEST)
    return (
        _LEFT + frequency / last * (_WIDE - _LEFT - 5),
        _TOP + (_HIGHEST - inside) / (_HIGHEST - _LOWEST) * height,
    )
