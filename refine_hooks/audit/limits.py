"""Rules that hold the resolution against the limit that the particles were aligned to."""

from collections.abc import Iterator

import numpy as np

from refine_hooks.audit.reading import Finding, between, found, independent, resolution, shell_of
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings


@rule_of_round(
    Texts(
        "alignment_limit",
        "Possible overfitting: the resolution lies within the alignment limit",
        "Up to that limit both halves were aligned to one map, so their noise agrees too, and the resolution may be overestimated.",
        "Refine once more with a coarser limit and see whether the number stays.",
        doubt="may be overestimated: alignment limit {limit_A:.2f} Å",
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
    text = (
        f"{curve.name} ends at {number:.2f} A, {'inside' if inside else 'at'} the limit of {limit_A:.2f} A up to which both halves "
        "were aligned to one reference. "
    )
    if inside:
        text += (
            "Inside it they agree in noise, too, and the resolution may be overestimated: quote it only when a round with a limit "
            f"coarser than {number:.1f} A confirms it"
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
