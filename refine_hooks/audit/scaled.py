"""The rule this project exists for: a curve scaled to the particle's volume shows its noise as resolution."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refine_hooks.audit.reading import (
    SUPPORTED_SD,
    Finding,
    Values,
    at,
    falls_after,
    found,
    honest_curves,
    is_scaled,
    measured,
    quoted,
    resolution,
    spread,
    values,
    whole_map,
)
from refine_hooks.records import Curve, RoundRecord
from refine_hooks.settings import Settings

_BEYOND_SHELLS = 3  # the tail that noise is estimated from begins so many shells beyond every other curve's crossing


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Where a scaled curve claims more than its noise supports; ``value`` and ``noise_sd`` belong to the claimed shell."""

    claim: int
    value: float
    noise_sd: float
    supported: bool
    late: Values  # shells beyond the claim that are above the level without support


def scaled_curve(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A scaled curve that is above the level where its own noise is as high: oscillations and false crossings near Nyquist.

    Part_FSC = FSC/(f + (1-f)|FSC|) multiplies noise by 1/f, f the particle's share of the sphere (Grant, Rohou &
    Grigorieff 2018, doi:10.7554/eLife.35383).
    """
    for curve in record.curves:
        if is_scaled(curve.name):
            doubt = _doubt(record, curve, settings.fsc.threshold)
            if doubt is not None:
                yield _finding(record, curve, doubt, settings.fsc.threshold)


def _doubt(record: RoundRecord, curve: Curve, level: float) -> _Doubt | None:
    correlation = measured(curve)
    tested, sd = _tested(record, curve, level)
    stop = min(len(correlation), len(tested), len(sd))
    if stop < 3:
        return None
    unsupported = tested[:stop] < SUPPORTED_SD * sd[:stop]
    fall = falls_after(correlation[:stop], level)
    claim = fall if fall is not None else stop - 1
    late = (correlation[:stop] >= level) & unsupported
    late[: claim + 1] = False
    supported = not unsupported[claim] or correlation[claim] < level
    if supported and not late.any():
        return None
    return _Doubt(claim, float(tested[claim]), float(sd[claim]), supported, np.flatnonzero(late).astype(np.float64))


def _tested(record: RoundRecord, curve: Curve, level: float) -> tuple[Values, Values]:
    """A quantity whose noise is known, and that noise.

    The scaled curve above its own null where there is one, else the curve it was made of above its null, else that curve
    and the spread of its tail.
    """
    for candidate in (curve, _unscaled(record, curve.name)):
        if candidate is not None and candidate.null_sd is not None:
            mean = values(candidate.null_mean) if candidate.null_mean is not None else np.zeros(len(candidate.null_sd))
            return np.nan_to_num(values(candidate.correlation) - mean), np.nan_to_num(values(candidate.null_sd))
    base = _unscaled(record, curve.name)
    if base is None:
        return values(None), values(None)
    finest = max((falls_after(measured(c), level) or 0 for c in honest_curves(record)), default=0)
    noise = spread(measured(base)[finest + _BEYOND_SHELLS :])
    return measured(base), np.full(len(measured(base)), noise) if np.isfinite(noise) else values(None)


def _unscaled(record: RoundRecord, name: str) -> Curve | None:
    if not name.startswith("reported_"):
        return record.curve(name.removesuffix("_scaled")) or whole_map(record)
    names = ("reported_fsc", "reported_postprocess_unmasked", "unmasked")
    return next((curve for name in names if (curve := record.curve(name)) is not None), None)


def _finding(record: RoundRecord, curve: Curve, doubt: _Doubt, level: float) -> Finding:
    correlation, late = measured(curve), doubt.late.astype(int)
    peak = int(late[np.argmax(correlation[late])]) if late.size else None
    sds, needed = doubt.value / max(doubt.noise_sd, 1e-9), max(doubt.value, 0.0) / SUPPORTED_SD
    said = []
    if not doubt.supported:
        said.append(
            f"at {at(record, doubt.claim):.2f} A, its claim, the value behind it is {doubt.value:.3f} with a noise sd of "
            f"{doubt.noise_sd:.3f} ({sds:.1f} sd; the claim would need a noise sd of {needed:.3f} or less)"
        )
    if peak is not None:
        said.append(
            f"beyond its crossing it rises to {correlation[peak]:.2f} at {at(record, peak):.2f} A, {late.size} shells above "
            f"{level:g} without support"
        )
    grave = not doubt.supported or (peak is not None and correlation[peak] >= 2 * level)
    return found(
        record,
        "scaled_curve",
        "warning" if grave else "note",
        f"{curve.name} shows its own noise, multiplied by scaling it to the particle's volume: {'; '.join(said)}. "
        f"{_instead(record, level)}; a smaller sphere or a mask in the refinement makes this curve quieter",
        curve=curve.name,
        shells=(doubt.claim, int(late[-1]) if late.size else doubt.claim),
        claimed_A=at(record, doubt.claim),
        value=doubt.value,
        noise_sd=doubt.noise_sd,
        sds=sds,
        sd_needed=needed,
        supported=doubt.supported,
        peak=None if peak is None else correlation[peak],
        peak_A=None if peak is None else at(record, peak),
    )


def _instead(record: RoundRecord, level: float) -> str:
    other = quoted(record)
    if other is None:
        return "Do not read a number off it"
    number = resolution(record, other, level)
    return f"Read {other.name}{'' if number is None else f' ({number:.2f} A)'} instead"
