"""Which curve is a round's headline: decided here, once, and stored in the record."""

from collections.abc import Sequence

from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import Curve, CurveKind, HalfMapsRecord, RoundRecord, Withheld
from refine_hooks.model import MaskRole

# The most trusted mask first; the whole box is the last resort.
_ORDER: tuple[tuple[CurveKind, MaskRole | None], ...] = (
    ("corrected", "automask"),
    ("corrected", "user"),
    ("corrected", "refinement"),
    ("corrected", "program"),
    ("measured", "automask"),
    ("corrected", "sphere"),
    ("measured", "sphere"),
    ("measured", None),
)


def best_curve(curves: Sequence[Curve], masks: Sequence[MaskRecord]) -> Curve | None:
    """The corrected curve of the most trusted mask, else the sphere's or that of the whole box.

    Never a scaled curve, and never one of the program's own.
    """
    roles: dict[str, MaskRole] = {mask.name: mask.role for mask in masks}
    known = [((curve.kind, roles.get(curve.mask, "user") if curve.mask else None), curve) for curve in curves]
    return next((curve for wanted in _ORDER for found, curve in known if found == wanted), None)


def best_reported(curves: Sequence[Curve]) -> Curve | None:
    """The program's own curve that its number is likeliest read off: corrected for its mask, else its plain FSC."""
    return next((curve for made in ("corrected", "fsc") for curve in curves if curve.made == made), None)


def headline_of(
    curves: Sequence[Curve], masks: Sequence[MaskRecord], half_maps: HalfMapsRecord | None
) -> tuple[str | None, tuple[Withheld, ...]]:
    """Name of the round's headline, and why it is none of the curves that were measured here; null where there is no curve."""
    best = best_curve(curves, masks)
    withheld: list[Withheld] = []
    if half_maps is None:
        withheld.append("no_half_maps")
    elif half_maps.origin == "regularised":
        withheld.append("filtered")
    elif half_maps.masked == "mask":
        withheld.append("masked")
    elif best is None:
        withheld.append("nothing_measured")
    if withheld:
        best = best_reported(curves)
    return best.name if best else None, tuple(withheld)


def with_headline(record: RoundRecord) -> RoundRecord:
    """The record with its headline decided."""
    name, withheld = headline_of(record.curves, record.masks, record.half_maps)
    return record.model_copy(update={"headline": name, "headline_withheld": withheld})
