"""Which curve is a round's headline: decided here, once, and stored in the record."""

from collections.abc import Sequence

from refine_hooks.log.curves import Curve, CurveKind
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import HalfMapsRecord, RoundRecord, Withheld
from refine_hooks.model import MaskRole

CORRELATES = 0.1  # RELION's postprocess, too, warns where randomised phases give more than this
_GIVEN: tuple[MaskRole, ...] = ("user", "refinement", "program")
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

    Never a scaled curve, never one of the program's own, and none that is `read_off_its_mask`.
    """
    roles: dict[str, MaskRole] = {mask.name: mask.role for mask in masks}
    known = [((curve.kind, roles.get(curve.mask, "user") if curve.mask else None), curve) for curve in curves]
    known = [(made, curve) for made, curve in known if made[1] not in _GIVEN or not read_off_its_mask(curve, curves)]
    return next((curve for wanted in _ORDER for found, curve in known if found == wanted), None)


def read_off_its_mask(curve: Curve, curves: Sequence[Curve]) -> bool:
    """Whether randomised phases still correlate where a corrected curve is read: a small mask with a hard edge does that.

    What is left after the correction is a small difference of two large numbers: such numbers were one to eight shells off.

    Args:
        curve: corrected for its mask.
        curves: of the round.
    """
    plain = next((one for one in curves if one.mask == curve.mask and one.kind == "measured"), None)
    if curve.kind != "corrected" or curve.resolution_A is None or plain is None or plain.randomised_mean is None:
        return False
    fall = next((one for one in curve.crossings_at(curve.threshold) if one.direction == "down"), None)
    null = plain.randomised_mean[fall.shell] if fall is not None else None
    sd = plain.randomised_sd[fall.shell] if fall is not None and plain.randomised_sd is not None else None
    return null is not None and null > max(CORRELATES, 3 * (sd or 0.0))


def best_reported(curves: Sequence[Curve]) -> Curve | None:
    """The program's own curve that its number is likeliest read off: corrected for its mask, else its plain FSC."""
    return next((curve for made in ("corrected", "fsc") for curve in curves if curve.made == made), None)


def headline_of(
    curves: Sequence[Curve], masks: Sequence[MaskRecord], half_maps: HalfMapsRecord | None, signal: bool = True
) -> tuple[str | None, tuple[Withheld, ...]]:
    """Name of the round's headline, and why it is none of the curves that were measured here; null where there is no curve.

    Args:
        curves: of the round, the program's own among them.
        masks: of the round.
        half_maps: of the round.
        signal: whether the halves have more in common than noise has; without that no number is one, the program's own neither.
    """
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
    if not signal:
        return None, (*withheld, "no_signal")
    if withheld:
        best = best_reported(curves)
    return best.name if best else None, tuple(withheld)


def with_headline(record: RoundRecord, symmetry_order: int = 1) -> RoundRecord:
    """The record with its headline decided.

    Args:
        record: of a round.
        symmetry_order: of the point group that was imposed on its halves.
    """
    signal = not _without_signal(record, symmetry_order)
    name, withheld = headline_of(record.curves, record.masks, record.half_maps, signal)
    return record.model_copy(update={"headline": name, "headline_withheld": withheld})


def _without_signal(record: RoundRecord, symmetry_order: int) -> bool:
    """Whether two half maps that are nobody's filtered ones share no more than noise does."""
    unmasked, halves = record.under(None), record.half_maps
    if unmasked is None or halves is None or halves.origin == "regularised":
        return False
    import numpy as np

    from refine_hooks.log.signal import SIGNAL_SD, most_negative, score_of, sd_of_none

    known = [value for value in unmasked.correlation if value is not None]
    if len(known) < 2 or unmasked.kind != "measured":
        return False
    correlation = np.array(known)
    sd = sd_of_none(record.voxels_in_shell[: len(known)], symmetry_order, halves.masked != "none")
    return most_negative(correlation, sd) is None and score_of(correlation, sd) < SIGNAL_SD
