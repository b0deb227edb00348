"""Rules that hold the resolution against the limit that the particles were aligned to."""

from collections.abc import Iterator

import numpy as np

from refine_hooks.audit.reading import (
    Finding,
    Values,
    at,
    between,
    found,
    independent,
    measured,
    resolution,
    shell_of,
)
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.records import RoundRecord
from refine_hooks.log.signal import sd_of_none
from refine_hooks.settings import Settings
from refine_hooks.sums.symmetry import order_of

# Of ln(signal / noise). In sound maps a fall of more than 0.8 in one shell is as steep as the three shells before it.
_STEP, _STEEPER = 1.2, 3.0
_BEFORE, _AFTER = 3, 4  # shells
_LEAST = 0.1  # FSC before the step
_GONE = 0.5  # of it, that is not reached again


@rule_of_round(
    Texts(
        "alignment_limit",
        "Possible overfitting: the resolution lies within the alignment limit",
        "Up to that limit both halves were aligned to one map, so their noise agrees too: a resolution inside it, "
        "or within one Fourier shell of it, may be overestimated.",
        "Refine once more with a coarser limit and see whether the number stays.",
        doubt="may be overestimated: both halves were aligned to one map up to {limit_A:.2f} Å",
    ),
)
def alignment_limit(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """The resolution lies inside the shells in which both halves were aligned to one reference, or within one of them."""
    limit_A = record.alignment_limit_A
    curve = record.headline_curve()
    number = None if curve is None else resolution(record, curve)
    if not limit_A or curve is None or number is None or independent(record):
        return
    shells = shell_of(record, limit_A) - shell_of(record, number)
    if shells < -1:
        return
    inside = shells > 1
    text = f"{curve.name} ends at {number:.2f} A; both halves were aligned to one reference up to {limit_A:.2f} A. "
    if inside:
        text += (
            "Up to there they agree in noise, too, and the resolution may be overestimated: quote it only when a round with "
            f"a limit coarser than {number:.1f} A confirms it"
        )
    else:
        text += "A fall just there can be the limit's doing: compare with a round of a coarser limit"
    yield found(
        record,
        "alignment_limit",
        "warning",
        text,
        curve=curve.name,
        shells=between(record, number, limit_A),
        resolution_A=number,
        limit_A=limit_A,
    )


@rule_of_round(
    Texts(
        "limit_unsupported",
        "Particles were aligned beyond what the maps support",
        "Beyond the resolution, particles are aligned to noise, and the next round keeps that noise.",
        "Set the high-resolution limit of the next round to the coarse end of the interval.",
    ),
)
def limit_unsupported(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Particles were aligned to shells in which the map holds nothing: the next round is refined against noise."""
    limit_A, curve = record.alignment_limit_A, record.headline_curve()
    if not limit_A or curve is None or curve.interval_A is None or record.role(curve) in (None, "sphere"):
        return
    coarse, fine = curve.interval_A
    if limit_A >= fine:
        return
    yield found(
        record,
        "limit_unsupported",
        "warning",
        f"particles were aligned up to {limit_A:.2f} A, but {curve.name} supports no more than {coarse:.2f} to {fine:.2f} A (90 % "
        f"interval): beyond, they are aligned to noise. {_limit_advised(record, coarse)}",
        curve=curve.name,
        shells=between(record, fine, limit_A),
        limit_A=limit_A,
        supported_A=coarse,
        fine_A=fine,
    )


def _limit_advised(record: RoundRecord, coarse: float) -> str:
    """A limit that shells of independent halves support; those of one reference only bound it."""
    supported = f"{np.ceil(10 * coarse) / 10:.1f} A"
    if independent(record):
        return f"Set the next round's high-resolution limit to {supported} or coarser"
    return (
        f"Both halves were aligned to one reference there, so even {supported} may be overestimated. Set the next round's "
        "high-resolution limit coarser than that, and finer again only up to what a round shows beyond its own limit"
    )


@rule_of_round(
    Texts(
        "step_in_fsc",
        "The FSC ends in a step",
        "Resolution fades out over some shells. A step is the limit up to which both halves saw one reference, or a filter's.",
        "Refine with a coarser limit, or with halves that never saw each other, and see whether the number stays.",
        doubt="may be overestimated: the FSC ends in a step",
    ),
)
def step_in_fsc(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """The unmasked FSC is level and is gone one shell further: noise that is in both halves up to a limit does that."""
    curve = record.under(None)
    if curve is None or record.half_maps is None or record.half_maps.origin == "regularised":
        return
    if record.checks is not None and record.checks.common_pattern:
        return
    correlation = measured(curve)
    sd = sd_of_none(record.voxels_in_shell[: len(correlation)], order_of(record.symmetry) or 1, False)
    shell = _step(correlation, sd)
    limit_A = record.alignment_limit_A
    if shell is None or (
        limit_A and abs(shell_of(record, limit_A) - shell) <= 2
    ):  # `alignment_limit` speaks of that one
        return
    before, after = correlation[shell], correlation[shell + 1]
    yield found(
        record,
        "step_in_fsc",
        "warning",
        f"the unmasked FSC is {before:.2f} at {at(record, shell):.2f} A and {after:.2f} one shell further, and was level before: "
        "resolution fades out over some shells, and does not end like that. It is the limit up to which both halves were aligned "
        "to one reference, so that their noise agrees as well and the resolution is overestimated, or that of a filter. Refine "
        "with a coarser limit and see whether the number stays",
        curve=curve.name,
        shells=(shell, shell + 1),
        at_A=at(record, shell),
        before=before,
        after=after,
    )


def _step(correlation: Values, sd_of_noise: Values) -> int | None:
    """The last shell before a step; None where there is none.

    ln(signal / noise) falls there by more than `_STEP` even where both shells err by two standard deviations, and by far more a
    shell than before.

    Args:
        correlation: unmasked FSC over the shells 0..N//2.
        sd_of_noise: of each shell, where there is no signal.
    """
    f = np.clip(correlation, -1, 0.999)
    error = 2 * sd_of_noise * (1 - f) * np.sqrt(1 + 2 * np.abs(f) - f**2)
    high, low = (np.log(one / (1 - one)) for one in (np.clip(f + error, 1e-3, 0.999), np.clip(f - error, 1e-3, 0.999)))
    for shell in range(_BEFORE + 1, len(f) - _AFTER):
        fall = low[shell] - high[shell + 1]
        before = max((high[shell - _BEFORE] - low[shell]) / _BEFORE, 0.0)
        if f[shell] > _LEAST and fall > max(_STEP, _STEEPER * before) and f[shell + 1 :].max() < _GONE * f[shell]:
            return shell
    return None
