"""From a correlation curve to a number: crossings, resolution, its interval, the last significant shell.

A crossing is linear in frequency between the last shell at or above a level and the first below it, found from the low side.
All crossings are kept, up and down, since one dip of a plateau moves the first by several shells; the first is the resolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from refine_hooks.log.curves import Crossing, CurveKind, state_of
from refine_hooks.log.curves import Curve as CurveRecord
from refine_hooks.model import ProgramCurve

if TYPE_CHECKING:
    from refine_hooks.fourier import Curve
    from refine_hooks.fsc.crossing import Errors

RESOLUTION_RULE = "first crossing of {level:g}, linear in frequency, from the low side"
NORMAL_90 = 1.6449


def crossings(correlation: Curve, frequency_per_A: Curve, level: float) -> tuple[Crossing, ...]:
    """All crossings of a level from shell 1 on, from low frequency to high.

    Args:
        correlation: over the shells 0..N//2; the curve ends at the first shell that is not finite.
        frequency_per_A: of the same shells.
        level: a shell at the level counts as above it.
    """
    values, frequency = _measured(correlation), np.asarray(frequency_per_A)
    above = values >= level
    turns = np.flatnonzero(above[2:] != above[1:-1]) + 1
    found = []
    for place, shell in enumerate(turns):
        down = bool(above[shell])
        step = (values[shell] - level) / (values[shell] - values[shell + 1])
        at = float(frequency[shell] + step * (frequency[shell + 1] - frequency[shell]))
        stop = int(turns[place + 1]) + 1 if place + 1 < len(turns) else len(values)
        below = values[shell + 1 : stop]
        found.append(
            Crossing(
                level=level,
                direction="down" if down else "up",
                shell=int(shell),
                frequency_per_A=at,
                resolution_A=1 / at,
                depth=float(level - below.min()) if down else None,
                shells=len(below) if down else None,
            )
        )
    return tuple(found)


def _measured(correlation: Curve) -> Curve:
    values = np.asarray(correlation, np.float64)
    undefined = np.flatnonzero(~np.isfinite(values[1:]))
    return values[: undefined[0] + 1] if undefined.size else values


def beyond_neighbours(one: Curve, other: Curve) -> Curve:
    """By how much each value of a curve lies outside what another curve has in that shell and the two beside it.

    Programs draw the edges of their shells, and window their maps, each in its own way: where a curve falls steeply two curves of
    the same halves differ, but by no more than to the next shell.

    Returns:
        0 where it lies between them; NaN where a curve has no value.
    """
    beside = np.stack([np.r_[other[:1], other[:-1]], other, np.r_[other[1:], other[-1:]]])
    beside = np.where(np.isnan(beside), other, beside)
    return np.asarray(np.maximum(np.maximum(beside.min(axis=0) - one, one - beside.max(axis=0)), 0.0))


def resolution_A(correlation: Curve, frequency_per_A: Curve, level: float) -> float | None:
    """The first crossing downward; None when the curve never crosses, or starts below the level."""
    values = _measured(correlation)
    if len(values) < 2 or values[1] < level:
        return None
    return next((c.resolution_A for c in crossings(correlation, frequency_per_A, level) if c.direction == "down"), None)


def significant_shell(correlation: Curve, randomised_mean: Curve, randomised_sd: Curve, from_shell: int) -> int | None:
    """The last shell of the first unbroken run above the mean of the phase-randomised FSC + 3 sd.

    Args:
        correlation: over the shells 0..N//2.
        randomised_mean: mean of the phase-randomised FSC.
        randomised_sd: standard deviation of one of its repeats.
        from_shell: shells before this one are not put to the test: their phases are not, or not wholly, randomised.
    """
    values = _measured(correlation)
    supported = values[1:] > (randomised_mean + 3 * randomised_sd)[1 : len(values)]
    supported[: max(0, from_shell - 1)] = True
    failed = np.flatnonzero(~supported)
    last = int(failed[0]) if failed.size else len(supported)
    return last if last >= 1 else None


def interval_A(correlation: Curve, sd: Curve, frequency_per_A: Curve, level: float) -> tuple[float, float] | None:
    """90 % interval of the resolution: coarse end, fine end.

    The curve less, and plus, 1.64 of its standard deviations is read by the same rule; an end that never crosses lies at the
    last shell measured. None where even the first shell may lie below the level.
    """
    low = resolution_A(correlation - NORMAL_90 * sd, frequency_per_A, level)
    high = resolution_A(correlation + NORMAL_90 * sd, frequency_per_A, level)
    last_A = float(1 / frequency_per_A[len(_measured(correlation)) - 1])
    return (low, high or last_A) if low is not None else None


def _interval(
    correlation: Curve,
    sd: Curve | None,
    errors: Errors | None,
    frequency_per_A: Curve,
    level: float,
    resolution: float | None,
) -> tuple[float, float] | None:
    if resolution is None:
        return None
    if errors is None:
        return interval_A(correlation, sd, frequency_per_A, level) if sd is not None else None
    from refine_hooks.fsc.crossing import crossing_interval

    step_per_A = float(frequency_per_A[1])
    low, high = crossing_interval(correlation, errors, 1 / (resolution * step_per_A), level)
    return 1 / (low * step_per_A), 1 / (high * step_per_A)


def listed(values: Curve | None, last: int | None = None) -> tuple[float | None, ...] | None:
    """A curve as a record holds it: None where it is not finite, or beyond the shell ``last``."""
    if values is None:
        return None
    known = np.isfinite(values)
    known[len(values) if last is None else last + 1 :] = False
    return tuple(value if held else None for value, held in zip(values.tolist(), known.tolist(), strict=True))


def curve(
    name: str,
    mask: str | None,
    correlation: Curve,
    frequency_per_A: Curve,
    *,
    kind: CurveKind = "measured",
    made: ProgramCurve | None = None,
    threshold: float = 0.143,
    volume_fraction: float | None = None,
    randomised_mean: Curve | None = None,
    randomised_sd: Curve | None = None,
    sd: Curve | None = None,
    errors: Errors | None = None,
    onset_shell: int | None = None,
    valid_shells: int | None = None,
    scored: bool = True,
    rule: str | None = None,
    note: str | None = None,
) -> CurveRecord:
    """A curve's record with everything that is read off it.

    Args:
        name: by the names of the log.
        mask: name of the mask that made it.
        correlation: over the shells 0..N//2; NaN where nothing is measured.
        frequency_per_A: of the same shells.
        kind: what was done to it.
        made: of the program's own curves, which one it is.
        threshold: the level whose first crossing is the resolution.
        volume_fraction: of a scaled curve, the particle's share of the mask.
        randomised_mean: mean of the phase-randomised FSC.
        randomised_sd: standard deviation of one of its repeats.
        sd: standard deviation of the correlation itself.
        errors: how its shells err; where they are known the interval is that of `refine_hooks.fsc.crossing`, else ``sd`` alone
            says it.
        onset_shell: first shell whose phases were randomised.
        valid_shells: shells beyond are not measured, and where they begin is no crossing.
        scored: False keeps the curve and its crossings and reads no number off it.
        rule: how the resolution was read, where not by our own rule.
        note: what a reader must know.
    """
    kept = np.array(correlation, np.float64)
    if valid_shells is not None:
        kept[valid_shells + 1 :] = np.nan
    found = tuple(c for level in dict.fromkeys((threshold, 0.5)) for c in crossings(kept, frequency_per_A, level))
    resolution = resolution_A(kept, frequency_per_A, threshold) if scored else None
    interval = _interval(kept, sd, errors, frequency_per_A, threshold, resolution)
    significant = None
    if randomised_mean is not None and randomised_sd is not None and onset_shell is not None and scored:
        significant = significant_shell(kept, randomised_mean, randomised_sd, onset_shell + 2)
    correlations = listed(kept) or ()
    return CurveRecord(
        name=name,
        kind=kind,
        made=made,
        mask=mask,
        threshold=threshold,
        volume_fraction=volume_fraction,
        correlation=correlations,
        randomised_mean=listed(randomised_mean, valid_shells),
        randomised_sd=listed(randomised_sd, valid_shells),
        sd=listed(sd, valid_shells),
        randomised_from_shell=onset_shell,
        crossings=found,
        state=state_of(correlations, threshold),
        resolution_A=resolution,
        interval_A=interval,
        significant_shell=significant,
        resolution_at_half_A=resolution_A(kept, frequency_per_A, 0.5) if scored else None,
        rule=rule or RESOLUTION_RULE.format(level=threshold),
        note=note,
    )
