"""The local resolution of a round as a figure for a paper: how many places are how good, and the parts of the particle."""

from pathlib import Path
from typing import Any

import numpy as np

from refine_hooks.errors import InputError
from refine_hooks.log.local import LocalResolution
from refine_hooks.log.records import RoundRecord
from refine_hooks.report.plot import written_figure

_BARS, _WHOLE = "#56B4E9", "#000000"
_PARTS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2")


def plot_local(record: RoundRecord, path: Path, width_cm: float = 12.0) -> None:
    """Share of the places over the local resolution in Angstrom, fine to the right, with the parts and their 90 % intervals.

    Args:
        record: a round with a local resolution.
        path: file to write; its ending says which kind.
        width_cm: width of the figure.

    Raises:
        InputError: matplotlib is not installed, the ending is none of those known, or the round has no local resolution.
        StorageError: the file cannot be written.
    """
    if record.local is None:
        raise InputError(
            f"{record.key}: has no local resolution; it is measured of the newest round of a watch, of every round with --local, "
            "and of the newest rounds by 'refine-hooks audit'"
        )
    with written_figure(path, width_cm, 0.6 * width_cm) as figure:
        _draw(figure.subplots(), record, record.local)


def _draw(axes: Any, record: RoundRecord, local: LocalResolution) -> None:
    edges = np.array(local.histogram_from_A)
    shares = 100 * np.array(local.histogram_share)
    axes.bar(edges[:-1], shares, np.diff(edges), align="edge", color=_BARS, edgecolor="white", linewidth=0.5)
    curve = record.headline_curve()
    if curve is not None and curve.resolution_A:
        axes.axvline(curve.resolution_A, color=_WHOLE, linestyle="--", linewidth=1, label="FSC of the whole")
    top = shares.max()
    for part in local.parts if len(local.parts) > 1 else ():
        if part.resolution_A is None or part.interval_A is None:
            continue
        colour, height = _PARTS[(part.number - 1) % len(_PARTS)], top * (1.05 + 0.07 * part.number)
        axes.plot(part.interval_A, [height, height], color=colour, linewidth=2)
        axes.plot(part.resolution_A, height, "o", color=colour, markersize=4, label=f"part {part.number}")
    axes.set_xlim(max(edges[-1], local.coarsest_A) * 1.02, edges[0] * 0.98)
    axes.set_xlabel("local resolution (Å)")
    axes.set_ylabel("share of the places (%)")
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
