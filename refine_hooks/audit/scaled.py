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
    measured,
    quoted,
    resolution,
    spread,
    unscaled_curves,
    values,
    whole_map,
)
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.curves import Curve
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings

_BEYOND_SHELLS = 3  # the tail that noise is estimated from begins so many shells beyond every other curve's crossing
_SAME_CURVE = 0.05


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Where a scaled curve claims more than its noise supports; ``behind`` and ``noise_sd`` belong to the claimed shell."""

    claim: int
    scaled: float
    behind: float
    noise_sd: float
    supported: bool
    late: tuple[int, ...]  # shells beyond the claim that are above the level without support
    supported_to: int  # last shell of the first unbroken run above the noise


@rule_of_round(
    Texts(
        "scaled_curve",
        "The volume-scaled FSC amplifies solvent noise",
        "It is the FSC under a large mask, scaled up to the particle's volume. The noise of the solvent is scaled up with it.",
        "Read the FSC under a mask that follows the particle.",
    ),
)
def scaled_curve(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A scaled curve that is above the level where its own noise is as high: oscillations and false crossings near Nyquist.

    Part_FSC = FSC/(f + (1-f)|FSC|) multiplies noise by up to 1/f, f the particle's share of the mask (Grant, Rohou &
    Grigorieff 2018, doi:10.7554/eLife.35383). What is tested is the FSC behind each of its values, against the noise of that.
    """
    own = [curve for curve in record.curves if curve.kind == "scaled"]
    told: set[str] = set()
    for curve in own:
        doubt = _doubt(record, curve, curve.threshold)
        if doubt is not None:
            same = [other for other in record.curves if _is_same(record, curve, other)]
            told |= {other.name for other in same}
            yield _finding(record, curve, same, doubt, curve.threshold)
    for curve in record.curves:
        if curve.is_scaled and curve not in own and curve.name not in told:
            doubt = _doubt(record, curve, curve.threshold)
            if doubt is not None:
                yield _finding(record, curve, [], doubt, curve.threshold)


def _is_same(record: RoundRecord, own: Curve, reported: Curve) -> bool:
    """Whether the program's own table holds the curve that was scaled here."""
    if record.role(own) != "sphere" or not reported.of_program or not reported.is_scaled:
        return False
    one, other = measured(own), measured(reported)
    stop = min(len(one), len(other))
    return stop > 3 and float(np.abs(one[1:stop] - other[1:stop]).mean()) < _SAME_CURVE


def _doubt(record: RoundRecord, curve: Curve, level: float) -> _Doubt | None:
    correlation = measured(curve)
    behind, sd = _behind(record, curve, level)
    stop = min(len(correlation), len(behind), len(sd))
    if stop < 3:
        return None
    correlation, behind, sd = correlation[:stop], behind[:stop], sd[:stop]
    unsupported = behind < SUPPORTED_SD * sd
    fall = falls_after(correlation, level)
    claim = fall if fall is not None else stop - 1
    late = (correlation >= level) & unsupported
    late[: claim + 1] = False
    supported = not unsupported[claim] or correlation[claim] < level
    if supported and not late.any():
        return None
    noisy = np.flatnonzero(unsupported[1:])
    return _Doubt(
        claim,
        float(correlation[claim]),
        float(behind[claim]),
        float(sd[claim]),
        supported,
        tuple(int(shell) for shell in np.flatnonzero(late)),
        int(noisy[0]) if noisy.size else stop - 1,
    )


def _behind(record: RoundRecord, curve: Curve, level: float) -> tuple[Values, Values]:
    """The FSC that a scaled curve was made of, and the standard deviation of its noise, over the shells 0..N//2.

    Where the volume fraction is known the scaling is undone, of the curve and of its error. A reported curve is tested on the
    one that it was made of: with that one's own error, else with the spread of its tail.
    """
    f = curve.volume_fraction
    if f is not None and curve.randomised_sd is not None:
        scaled = np.nan_to_num(values(curve.correlation))
        unscaled = f * scaled / np.maximum(1 - (1 - f) * np.abs(scaled), 1e-9)
        gain = f / (f + (1 - f) * np.abs(unscaled)) ** 2
        return unscaled, np.nan_to_num(values(curve.randomised_sd)) / gain
    base = _unscaled(record, curve)
    if base is None:
        return values(None), values(None)
    known = next((c for c in (base, whole_map(record)) if c is not None and c.sd is not None), None)
    if known is not None:
        return np.nan_to_num(values(base.correlation)), np.nan_to_num(values(known.sd))
    finest = max((falls_after(measured(c), level) or 0 for c in unscaled_curves(record)), default=0)
    noise = spread(measured(base)[finest + _BEYOND_SHELLS :])
    return measured(base), np.full(len(measured(base)), noise) if np.isfinite(noise) else values(None)


def _unscaled(record: RoundRecord, curve: Curve) -> Curve | None:
    if not curve.of_program:
        return record.under(curve.mask) or whole_map(record)
    return record.reported_curve("fsc", "unmasked") or record.under(None)


def _finding(record: RoundRecord, curve: Curve, same: list[Curve], doubt: _Doubt, level: float) -> Finding:
    correlation, late = measured(curve), doubt.late
    peak = max(late, key=lambda shell: correlation[shell], default=None)
    sds, needed = doubt.behind / max(doubt.noise_sd, 1e-9), max(doubt.behind, 0.0) / SUPPORTED_SD
    grave = not doubt.supported or (peak is not None and correlation[peak] >= 2 * level)
    name = curve.name + "".join(f" (in the program's own table: {other.name})" for other in same)
    said = [name + " shows noise as resolution."]
    if not doubt.supported:
        said.append(
            f"It stays above {level:g} to {at(record, doubt.claim):.2f} A, but the FSC behind it is only {doubt.behind:.3f} there, "
            f"with a noise sd of {doubt.noise_sd:.3f} ({sds:.1f} sd), scaled up {doubt.scaled / max(doubt.behind, 1e-9):.0f} "
            f"times; that claim would need a noise sd of {needed:.4f} or less."
        )
    if peak is not None:
        shells = f"{len(late)} shells" if len(late) > 1 else "1 shell"
        said.append(
            f"Beyond its crossing it rises again to {correlation[peak]:.2f} at {at(record, peak):.2f} A, {shells} above "
            f"{level:g} that the noise does not support."
        )
    return found(
        record,
        "scaled_curve",
        "warning" if grave else "note",
        " ".join([*said, _instead(record, curve, level)]),
        curve=curve.name,
        shells=(doubt.claim, late[-1] if late else doubt.claim),
        claimed_A=at(record, doubt.claim),
        fsc=doubt.behind,
        noise_sd=doubt.noise_sd,
        sds=sds,
        sd_needed=needed,
        supported=doubt.supported,
        supported_A=at(record, doubt.supported_to),
        peak=None if peak is None else correlation[peak],
        peak_A=None if peak is None else at(record, peak),
    )


def _instead(record: RoundRecord, curve: Curve, level: float) -> str:
    """What to read instead, and what makes this curve quieter in the next round."""
    other = quoted(record)
    number = None if other is None else resolution(record, other, level)
    read = "Read no number off it"
    if other is not None and not other.is_scaled:
        read = f"Read {other.name}{'' if number is None else f' ({number:.2f} A)'} instead"
    fraction = curve.volume_fraction
    if fraction is None or fraction >= 0.5:
        return f"{read}."
    times = f"{1 / fraction:.0f} times the particle's volume"
    if record.role(curve) == "sphere":
        return (
            f"{read}; the sphere holds {times}: a smaller one, or a mask in the refinement, makes this curve quieter."
        )
    return (
        f"{read}; the mask {curve.mask!r} holds {times}, too wide for scaling: a tighter one makes this curve quieter."
    )
