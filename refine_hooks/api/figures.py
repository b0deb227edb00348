"""Figures of a round's curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refine_hooks.errors import InputError
from refine_hooks.log.records import RoundRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_fsc(record: RoundRecord, names: tuple[str, ...] = (), axes: Axes | None = None) -> Axes:
    """The curves of a round over 1/Angstrom, drawn into a figure of yours or a new one; needs matplotlib.

    Args:
        record: of a log, or of `measure_half_maps`.
        names: of the curves; all of ours but the unmasked one where none are given.
        axes: to draw into.

    Raises:
        InputError: matplotlib is not installed, or the round has no curve of that name.
    """
    from refine_hooks.report.plot import draw_curves

    if axes is None:
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise InputError("plot_fsc needs matplotlib: pip install 'refine_hooks[plot]'") from error
        axes = Figure(layout="constrained").subplots()
    draw_curves(axes, record, names)
    axes.legend()
    return axes
