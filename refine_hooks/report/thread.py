"""One round told as a story: what the program plots, the same halves under its mask and under ours, and how sure.

The question that it answers is the one users ask: why does my FSC go up again near Nyquist?
"""

from pathlib import Path
from typing import Any

import numpy as np

from refine_hooks.errors import InputError
from refine_hooks.log.curves import Curve, CurveKind
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import MaskRole
from refine_hooks.report import plot
from refine_hooks.report.words import title_of

_MEASURED, _SCALED = "#0072B2", "#D55E00"
_UNDER: tuple[CurveKind, ...] = ("measured", "corrected")
_SHOWN: tuple[tuple[MaskRole, CurveKind], ...] = (
    ("sphere", "scaled"),
    ("sphere", "measured"),
    ("refinement", "corrected"),
    ("automask", "corrected"),
)


def tail(record: RoundRecord, curve: Curve, beyond_per_A: float) -> float:
    """The highest value of a curve beyond a frequency; where it rises again, this is how far."""
    shells = [
        v for v, f in zip(curve.correlation, record.frequency_per_A, strict=True) if v is not None and f > beyond_per_A
    ]
    return max(shells, default=0.0)


def thread_words(record: RoundRecord) -> tuple[str, str, str]:
    """Three sentences: what the program shows, what the same half maps hold, what to do.

    Raises:
        InputError: the round lacks one of the curves.
    """
    scaled, ours = _curve(record, "sphere", "scaled"), _curve(record, "automask", "corrected")
    fraction = scaled.volume_fraction or 0.0
    start = record.frequency_per_A[-1] * 2 / 3
    interval = f", between {ours.interval_A[0]:.1f} and {ours.interval_A[1]:.1f} A at 90 %" if ours.interval_A else ""
    spread = _spread(scaled, record, start)
    safe = _length(ours.interval_A[0] if ours.interval_A else ours.resolution_A)
    return (
        f"The program's curve falls below {scaled.threshold:g} at {_length(scaled.resolution_A)} and rises again to "
        f"{tail(record, scaled, start):.2f} near Nyquist: it is the FSC under a sphere that the particle fills to "
        f"{100 * fraction:.1f} %, scaled up {1 / max(fraction, 1e-6):.0f} times where it is small, and what is scaled up is "
        f"the solvent's noise (one standard deviation is {spread:.2f}).",
        f"Under a mask that follows the particle the same half maps cross {ours.threshold:g} at "
        f"{_length(ours.resolution_A)}{interval}, "
        f"and near Nyquist their curve stays below {max(tail(record, ours, start), 0.0) + 0.005:.2f}.",
        f"Quote {_length(ours.resolution_A)}, deposit the unmasked half maps and the mask, and let the next round be aligned "
        f"no further than {safe}.",
    )


def thread_figure(record: RoundRecord, path: Path) -> None:
    """Four panels as a picture; the file's name says which kind (png, svg, pdf).

    Raises:
        InputError: matplotlib is not installed, or the round lacks a curve.
    """
    refinement = [c for kind in _UNDER if (c := record.under_role("refinement", kind))] or [_curve(record, None)]
    sphere = [_curve(record, "sphere", "scaled"), _curve(record, "sphere")]
    ours = [_curve(record, "automask", kind) for kind in _UNDER]
    with plot.written_figure(path, 22.0, 17.0) as figure:
        panels = figure.subplots(2, 2).ravel()
        _panel(panels[0], record, "What the program plots: the volume-scaled FSC", sphere, sphere[0])
        _panel(panels[1], record, "The same half maps under the refinement mask", refinement, refinement[0])
        _panel(panels[2], record, "The same half maps under the automask", ours, ours[0])
        _intervals(panels[3], record)
        figure.suptitle(f"{record.label}  ({record.key})")


def _panel(axes: Any, record: RoundRecord, title: str, shown: list[Curve], randomised: Curve) -> None:
    for curve in shown:
        plot.draw_curve(axes, record, curve, title_of(record, curve), shown)
    plot.draw_randomised(axes, record, shown, randomised.name)
    plot.draw_thresholds(axes, record, shown)
    plot.frequency_axes(axes, record.frequency_per_A[-1])
    axes.set(title=title, ylabel="Fourier shell correlation", ylim=(-0.45, 1.05))
    axes.legend(loc="upper right")


def _intervals(axes: Any, record: RoundRecord) -> None:
    found = [record.under_role(role, kind) for role, kind in _SHOWN]
    shown = [curve for curve in found if curve is not None and curve.resolution_A is not None]
    for place, curve in enumerate(reversed(shown)):
        assert curve.resolution_A is not None
        colour = _SCALED if curve.is_scaled else _MEASURED
        ends = (not curve.is_scaled and curve.interval_A) or (curve.resolution_A, curve.resolution_A)
        axes.plot(ends, [place, place], color=colour, linewidth=6, alpha=0.3, solid_capstyle="butt")
        axes.plot(curve.resolution_A, place, "x" if curve.is_scaled else "o", color=colour)
        at = (curve.resolution_A, place + 0.15)
        axes.annotate(f"{title_of(record, curve)}: {curve.resolution_A:.2f} Å", at, ha="center")
    axes.margins(0.25, 0.2)
    axes.invert_xaxis()
    levels = " and ".join(f"{level:g}" for level in sorted({curve.threshold for curve in shown}))
    axes.set(title=f"90 % intervals of the resolution at FSC = {levels}", xlabel="resolution (Å)", yticks=[])


def _curve(record: RoundRecord, role: MaskRole | None, kind: CurveKind = "measured") -> Curve:
    curve = record.under_role(role, kind)
    if curve is None:
        known = ", ".join(c.name for c in record.curves)
        raise InputError(f"{record.key}: has no {kind} curve under {role or 'no mask'}; it has {known}")
    return curve


def _spread(curve: Curve, record: RoundRecord, beyond_per_A: float) -> float:
    pairs = zip(curve.randomised_sd or (), record.frequency_per_A, strict=False)
    values = [v for v, f in pairs if v is not None and f > beyond_per_A]
    return float(np.median(values)) if values else 0.0


def _length(value_A: float | None) -> str:
    return "Nyquist (never crosses)" if value_A is None else f"{value_A:.2f} A"
