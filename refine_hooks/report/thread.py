"""One round told as a story: what the program plots, the same halves under its mask and under ours, and how sure.

The question that it answers is the one users ask: why does my FSC go up again near Nyquist?
"""

from pathlib import Path
from typing import Any

import numpy as np

from refine_hooks.errors import InputError
from refine_hooks.records import Curve, RoundRecord

_LEVEL = 0.143
_MASKS = (("sphere", "sphere"), ("refinement_corrected", "the refinement's mask"), ("automask_corrected", "automask"))


def tail(record: RoundRecord, name: str, beyond_per_A: float) -> float:
    """The highest value of a curve beyond a frequency; where it rises again, this is how far.

    Raises:
        InputError: the round has no such curve.
    """
    curve = _curve(record, name)
    shells = [
        v for v, f in zip(curve.correlation, record.frequency_per_A, strict=True) if v is not None and f > beyond_per_A
    ]
    return max(shells, default=0.0)


def thread_words(record: RoundRecord) -> tuple[str, str, str]:
    """Three sentences: what the program shows, what the same half maps hold, what to do.

    Raises:
        InputError: the round lacks one of the curves.
    """
    scaled, ours = _curve(record, "sphere_scaled"), _curve(record, "automask_corrected")
    sphere = record.mask("sphere")
    fraction = (record.molecular_mass_kDa or 0.0) * 1000 / 0.81 / sphere.volume_A3 if sphere else 0.0
    start = record.frequency_per_A[-1] * 2 / 3
    interval = f", between {ours.interval_A[0]:.1f} and {ours.interval_A[1]:.1f} A at 90 %" if ours.interval_A else ""
    spread = _spread(scaled, record, start)
    safe = _length(ours.interval_A[0] if ours.interval_A else ours.resolution_A)
    return (
        f"The program's curve falls below {_LEVEL} at {_length(scaled.resolution_A)} and rises again to "
        f"{tail(record, 'sphere_scaled', start):.2f} near Nyquist: it is the FSC under a sphere that the particle fills to "
        f"{100 * fraction:.1f} %, scaled up {1 / max(fraction, 1e-6):.0f} times where it is small, and what is scaled up is "
        f"the solvent's noise (one standard deviation is {spread:.2f}).",
        f"Under a mask that follows the particle the same half maps cross {_LEVEL} at {_length(ours.resolution_A)}{interval}, "
        f"and beyond that the curve stays below {max(tail(record, 'automask_corrected', start), 0.0):.2f}.",
        f"Quote {_length(ours.resolution_A)}, deposit the unmasked half maps and the mask, and let the next round be aligned "
        f"no further than {safe}.",
    )


def thread_figure(record: RoundRecord, path: Path) -> None:
    """Four panels as a picture; the file's name says which kind (png, svg, pdf).

    Raises:
        InputError: matplotlib is not installed, or the round lacks a curve.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("drawing needs matplotlib: pip install 'refine_hooks[plot]'") from error
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    refinement = [name for name in ("refinement", "refinement_corrected") if record.curve(name)]
    _panel(panels[0], record, "What the program plots: the scaled sphere", ["sphere_scaled", "sphere"])
    _panel(panels[1], record, "The same half maps under the refinement's mask", refinement or ["unmasked"])
    _panel(panels[2], record, "The same half maps under the automask", ["automask", "automask_corrected"])
    _intervals(panels[3], record)
    figure.suptitle(f"{record.label}  ({record.key})")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(axes: Any, record: RoundRecord, title: str, names: list[str]) -> None:
    frequency = np.array(record.frequency_per_A)
    for name, colour in zip(names, ("tab:red", "tab:blue"), strict=False):
        curve = _curve(record, name)
        axes.plot(frequency, _numbers(curve.correlation), color=colour, label=name.replace("_", " "))
        if curve.null_sd is not None:
            mean = _numbers(curve.null_mean) if curve.null_mean else np.zeros(len(frequency))
            reach = 3 * _numbers(curve.null_sd)
            axes.fill_between(frequency, mean - reach, mean + reach, color=colour, alpha=0.15, linewidth=0)
        for crossing in curve.crossings:
            if crossing.level == _LEVEL:
                axes.plot(crossing.frequency_per_A, crossing.level, "o", color=colour, markersize=4)
    axes.axhline(_LEVEL, color="0.5", linewidth=0.8)
    axes.axhline(0.0, color="0.8", linewidth=0.8)
    axes.set(title=title, xlabel="spatial frequency (1/A)", ylabel="FSC", ylim=(-0.45, 1.05), xlim=(0, frequency[-1]))
    axes.legend(loc="upper right", frameon=False)


def _intervals(axes: Any, record: RoundRecord) -> None:
    shown = [(label, curve) for name, label in _MASKS if (curve := record.curve(name)) and curve.resolution_A]
    scaled = _curve(record, "sphere_scaled")
    for place, (label, curve) in enumerate(reversed(shown)):
        low, high = curve.interval_A or (curve.resolution_A, curve.resolution_A)
        axes.plot([low, high], [place, place], color="tab:blue", linewidth=6, alpha=0.3, solid_capstyle="butt")
        axes.plot(curve.resolution_A, place, "o", color="tab:blue")
        axes.annotate(f"{label}: {curve.resolution_A:.2f} A", (curve.resolution_A, place + 0.15), ha="center")
    if scaled.resolution_A:
        place = len(shown)
        axes.plot(scaled.resolution_A, place, "x", color="tab:red")
        axes.annotate(f"scaled sphere: {scaled.resolution_A:.2f} A", (scaled.resolution_A, place + 0.15), ha="center")
    axes.margins(0.25, 0.2)
    axes.invert_xaxis()
    axes.set(title="How sure: 90 % intervals of the 0.143 crossing", xlabel="resolution (A)", yticks=[])


def _curve(record: RoundRecord, name: str) -> Curve:
    curve = record.curve(name)
    if curve is None:
        raise InputError(f"{record.key}: has no curve {name!r}; it has {', '.join(c.name for c in record.curves)}")
    return curve


def _numbers(values: tuple[float | None, ...]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values])


def _spread(curve: Curve, record: RoundRecord, beyond_per_A: float) -> float:
    pairs = zip(curve.null_sd or (), record.frequency_per_A, strict=False)
    values = [v for v, f in pairs if v is not None and f > beyond_per_A]
    return float(np.median(values)) if values else 0.0


def _length(value_A: float | None) -> str:
    return "Nyquist (never crosses)" if value_A is None else f"{value_A:.2f} A"
