"""What cisTEM itself reports of a round: its curves and its angular distribution."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.model import FscCurve, ProgramCurve, Round
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cistem import database
from refine_hooks.programs.cistem.rounds import RULE, Sources
from refine_hooks.programs.cistem.tables import real

_THRESHOLD = 0.143
_THETA_BINS, _PHI_BINS = 18, 72
_CUT = "the program sets its curves to 0 from here on, where its reconstruction ended; a fall there is no resolution"


def reported(memory: Memory, round_: Round) -> list[FscCurve]:
    """``fsc`` and ``part_fsc`` of the reconstruction that the statistics belong to now; a model's curves are none.

    Raises:
        NotReadyError: the database is being written.
    """
    sources: Sources = round_.inputs
    if sources.database is None or sources.reconstruction_id is None:
        return []
    refinement = database.content(sources.database, memory, database.COMMIT_S).refinements.get(sources.refinement_id)
    details = refinement.details.get(sources.class_id) if refinement else None
    if refinement is None or details is None or details.reconstruction_id != sources.reconstruction_id:
        return []
    by_shell = {
        row.get("SHELL"): row for row in database.statistics(sources.database, sources.refinement_id, sources.class_id)
    }
    # The last row is read past the end of cisTEM's vectors, and those before it lie in the corners of the transform.
    points = [by_shell.get(shell, {}) for shell in range(refinement.box_px // 2 + 1)]
    if not any(points):
        return []
    curves = {"fsc": _column(points, "FSC"), "part_fsc": _column(points, "PART_FSC")}
    end = _end_of_data(*curves.values())
    found = []
    for name, values in curves.items():
        resolution_A = _estimated_resolution(values[:end], [real(row, "RESOLUTION") for row in points])
        values[end:] = np.nan
        note = _CUT if end < len(values) else None
        made: ProgramCurve = "scaled" if name == "part_fsc" else "fsc"
        rule = RULE.replace("Part_FSC", "the curve")
        found.append(FscCurve(name, values, made, resolution_A, _THRESHOLD, rule, note, mask="sphere"))
    return [curve for curve in found if np.isfinite(curve.correlation).any()]


def _column(points: list[dict[str, Any]], column: str) -> NDArray[np.float64]:
    values = np.array([real(row, column, np.nan) for row in points])
    values[np.abs(values) > 1.0001] = np.nan
    return values


def _end_of_data(*curves: NDArray[np.float64]) -> int:
    """The first shell of the run of exact zeros that ends all curves."""
    there = np.flatnonzero(np.any([np.nan_to_num(values) != 0 for values in curves], axis=0))
    return int(there[-1]) + 1 if there.size else 0


def _estimated_resolution(values: NDArray[np.float64], resolution_A: list[float]) -> float | None:
    """By cisTEM's rule, see `RULE`; None where the curve does not fall below the threshold before it ends."""
    below = np.flatnonzero(values[1:] < _THRESHOLD)
    if not below.size:
        return None
    shell = int(below[0]) + 1
    return (resolution_A[shell - 1] + resolution_A[shell]) / 2 if shell > 1 else resolution_A[1]


def viewing_directions(round_: Round) -> NDArray[np.float64] | None:
    """Views in 36 x 72 bins of 5 degrees [theta 0..180, phi 0..360].

    cisTEM counts in 72 phi x 18 theta bins of equal area, opposite views together on the upper half of the sphere; here each
    view counts half at its own and half at the opposite end, spread over the width of its bin.

    Raises:
        NotReadyError: the database is being written.
    """
    sources: Sources = round_.inputs
    if sources.database is None:
        return None
    rows = database.angular_bins(sources.database, sources.refinement_id, sources.class_id)
    counts = np.zeros(_PHI_BINS * _THETA_BINS)
    for row in rows:
        number = row.get("BIN_NUMBER")
        if isinstance(number, int) and 0 <= number < counts.size:
            counts[number] = max(0.0, real(row, "NUMBER_IN_BIN"))
    if not counts.any():
        return None
    upper = _equal_angles() @ counts.reshape(_PHI_BINS, _THETA_BINS).T
    opposite = np.roll(upper[::-1], _PHI_BINS // 2, axis=1)
    return np.asarray(np.concatenate([upper, opposite]) / 2)


def _equal_angles() -> NDArray[np.float64]:
    """Share of each bin of equal cos(theta), 90 degrees to the pole, that lies in each bin of 5 degrees."""
    edges = np.cos(np.linspace(0, np.pi / 2, _THETA_BINS + 1))
    equal = np.linspace(1, 0, _THETA_BINS + 1)
    upper = np.minimum(edges[:-1, None], equal[None, :-1])
    lower = np.maximum(edges[1:, None], equal[None, 1:])
    return np.asarray(np.maximum(0.0, upper - lower) * _THETA_BINS)
