"""Curves of a program's own in plain tables, brought to the shells of our own curves."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.reading import read_text

Values = NDArray[np.float64]


def rows_of_numbers(path: Path) -> Values | None:
    """The rows of a text table that hold numbers alone, as many columns as its longest rows have; None where there are none."""
    try:
        lines = read_text(path).splitlines()
    except OSError:
        return None
    rows = []
    for line in lines:
        try:
            rows.append([float(word) for word in line.replace(",", " ").split()])
        except ValueError:
            continue
    longest = max(map(len, rows), default=0)
    return np.array([row for row in rows if len(row) == longest], np.float64) if longest else None


def at_shells(frequency_per_A: Values, correlation: Values, box_px: int, voxel_size_A: float) -> Values:
    """A curve at the shells 0..box_px // 2, linear between its own points; NaN where it has none.

    Args:
        frequency_per_A: of the points, in any order; points that are not finite are left out.
        correlation: values beyond -1..1 by more than rounding are no correlations and are left out.
        box_px: edge of the half maps' box.
        voxel_size_A: of the half maps.
    """
    good = np.isfinite(frequency_per_A) & np.isfinite(correlation) & (np.abs(correlation) <= 1 + 1e-6)
    order = np.argsort(frequency_per_A[good])
    x, y = frequency_per_A[good][order], correlation[good][order]
    shells = np.arange(box_px // 2 + 1) / (box_px * voxel_size_A)
    if not x.size:
        return np.full(shells.shape, np.nan)
    half_a_shell = 0.5 * shells[1]
    values = np.interp(shells, x, y)
    values[(shells < x[0] - half_a_shell) | (shells > x[-1] + half_a_shell)] = np.nan
    return np.asarray(values, np.float64)


def by_shell(correlation: Values, box_px: int, first: int = 1) -> Values:
    """Values of the shells from ``first`` on, as a curve over 0..box_px // 2; NaN where there is none."""
    values = np.full(box_px // 2 + 1, np.nan)
    count = max(0, min(len(correlation), len(values) - first))
    values[first : first + count] = correlation[:count]
    values[np.abs(values) > 1 + 1e-6] = np.nan
    return values
