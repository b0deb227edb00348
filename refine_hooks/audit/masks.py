"""Rules that look at a mask: whether it makes correlation by itself, cuts the molecule, or says more than the data."""

from collections.abc import Iterator

import numpy as np

from refine_hooks.audit.reading import (
    SUPPORTED_SD,
    Finding,
    at,
    between,
    falls_after,
    found,
    mask_names,
    measured,
    quoted,
    resolution,
    shell_of,
    sphere_of,
    values,
    whole_number,
)
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.better import overlap
from refine_hooks.log.curves import Curve
from refine_hooks.log.headline import CORRELATES, best_curve
from refine_hooks.log.masks import AutomaskParameters, MaskRecord, SignalOutside
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import ProgramMaskParameters
from refine_hooks.settings import Settings

BESIDE = 0.5  # of the signal outside of a mask
ONSET_REACH = 8  # a dip that begins within so many shells of the onset is the correction's
GAP = 0.3
RECOVERY = 0.1
CUT_SHARE = 0.03
MISPLACED = 0.5  # of the signal outside
SMOOTH_SHARE = 0.1


@rule_of_round(
    Texts(
        "mask_correlates",
        "Mask-induced correlation",
        "The phase-randomised FSC is far from zero where the resolution is read: that part is the mask's edge.",
        "Quote the corrected curve. Use a wider mask with a softer edge.",
        doubt="may be overestimated: mask-induced correlation",
    ),
)
def mask_correlates(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Randomised phases still correlate under a mask where its resolution is read: the mask correlates, not the molecule."""
    limit = settings.audit.disagree_shells
    whole = whole_number(record)
    for name in mask_names(record):
        curve, corrected = record.under(name), record.under(name, "corrected")
        claims = corrected or curve
        number = None if claims is None else resolution(record, claims)
        if curve is None or claims is None or curve.randomised_mean is None or number is None:
            continue
        shell = round(shell_of(record, number))
        null, sd = (_value_at(numbers, shell) for numbers in (curve.randomised_mean, curve.randomised_sd))
        if null is None or null <= max(CORRELATES, 3 * (sd or 0.0)):
            continue
        elsewhere = None if whole is None else resolution(record, whole)
        borne_out = elsewhere is not None and shell - shell_of(record, elsewhere) <= limit
        yield found(
            record,
            "mask_correlates",
            "note" if borne_out else "warning",
            f"the mask {name!r} correlates by itself: at {number:.2f} A, where {claims.name} is read, randomised phases still "
            f"give {null:.2f} under it. "
            + (
                f"{whole.name} reaches {elsewhere:.2f} A without it, so the number stands. "
                if whole is not None and borne_out
                else ""
            )
            + _passed_over(record, claims)
            + f"Do not quote the uncorrected curve {name!r}; widen the mask or give it a softer edge",
            curve=claims.name,
            shells=(shell, shell),
            null=null,
            null_sd=sd,
            resolution_A=number,
            without_mask_A=elsewhere,
        )


def _passed_over(record: RoundRecord, claims: Curve) -> str:
    """That the headline is not read from this curve though it would be from one of its kind under another mask."""
    alone = best_curve([curve for curve in record.curves if curve.mask == claims.mask], record.masks)
    best = record.quoted()
    if claims.kind != "corrected" or alone is claims or best is None or best.mask == claims.mask:
        return ""
    return f"Too little is left after that is taken out: the resolution is read from {best.name} instead. "


def _value_at(numbers: tuple[float | None, ...] | None, shell: int) -> float | None:
    array = values(numbers)
    return float(array[shell]) if shell < len(array) and np.isfinite(array[shell]) else None


@rule_of_round(
    Texts(
        "mask_too_tight",
        "The mask is too tight",
        "The corrected FSC dips where phases begin to be randomised: the mask alone explains the low resolution.",
        "Widen the mask or soften its edge.",
        doubt="may be underestimated: the mask is too tight",
    ),
)
def mask_too_tight(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """The corrected curve collapses where the phases begin to be randomised, and recovers: the correction eats the signal."""
    for name in mask_names(record):
        curve, corrected = record.under(name), record.under(name, "corrected")
        if curve is None or corrected is None or curve.randomised_from_shell is None:
            continue
        onset, fixed, masked = curve.randomised_from_shell, measured(corrected), measured(curve)
        window = fixed[onset + 2 : onset + 2 + ONSET_REACH]
        if len(window) < ONSET_REACH:
            continue
        lowest = onset + 2 + int(np.argmin(window))
        after = np.sort(fixed[lowest + 1 : lowest + 2 + 2 * ONSET_REACH])
        if not after.size:
            continue
        recovered = float(after[-3:].min())
        fall = falls_after(fixed, corrected.threshold)
        collapses = fall is not None and fall <= lowest and recovered >= corrected.threshold
        gap = float(masked[lowest] - fixed[lowest])
        if recovered - fixed[lowest] < RECOVERY or not (collapses or gap > GAP):
            continue
        yield found(
            record,
            "mask_too_tight",
            "warning" if collapses else "note",
            f"{corrected.name} drops to {fixed[lowest]:.2f} at {at(record, lowest):.2f} A, {lowest - onset} shells beyond where "
            f"phases begin to be randomised, and rises again to {recovered:.2f}: the mask {name!r} is so tight that low "
            "resolution leaks through it. "
            + ("The first crossing is this dip, not the resolution; widen" if collapses else "Widen")
            + " the mask or give it a softer edge",
            curve=corrected.name,
            shells=(onset + 2, lowest),
            onset_A=at(record, onset),
            lowest=fixed[lowest],
            recovered=recovered,
            gap=gap,
        )


@rule_of_round(
    Texts(
        "mask_and_sphere",
        "Mask and sphere disagree",
        "A large sphere holds mostly solvent, which hides signal. A mask that cuts the particle takes signal away.",
        "Quote the corrected curve under the mask, and look at the mask's outline.",
        doubt="mask and sphere disagree",
    ),
)
def mask_and_sphere(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A mask and the sphere disagree: finer under the mask is explained by the solvent or is not, coarser cuts the molecule.

    The finer one is said of the quoted curve's mask alone, the coarser one of every mask.
    """
    limit, whole = settings.audit.disagree_shells, whole_number(record)
    number = None if whole is None else resolution(record, whole)
    if whole is None or number is None:
        return
    for name in mask_names(record):
        curve = record.under(name, "corrected") or record.under(name)
        own = None if curve is None else resolution(record, curve, whole.threshold)
        if curve is None or own is None:
            continue
        shells = shell_of(record, own) - shell_of(record, number)
        if abs(shells) <= limit or overlap(curve, whole) or (shells > 0 and curve is not quoted(record)):
            continue
        outside = _signal_outside(record, name)
        if shells < 0 and outside is not None and outside >= BESIDE:  # `signal_outside` says it
            continue
        yield _apart(record, name, curve, own, whole, number, whole.threshold)


@rule_of_round(
    Texts(
        "mask_misses",
        "The mask misses the particle",
        "With no mask at all the FSC reaches further: what the mask holds is not where the signal is.",
        "Put the particle into the middle of the box, or give a mask of it.",
        doubt="may be underestimated: the mask misses the particle",
    ),
)
def mask_misses(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """The quoted curve, under a mask or the sphere, ends far before the FSC of the unmasked halves does."""
    curve, plain = quoted(record), record.under(None)
    if curve is None or plain is None or curve.mask is None or record.mask(curve.mask) is None:
        return
    own, without = resolution(record, curve), resolution(record, plain, curve.threshold)
    if own is None or without is None or overlap(curve, plain):
        return
    shells = shell_of(record, without) - shell_of(record, own)
    if shells <= settings.audit.disagree_shells:
        return
    yield found(
        record,
        "mask_misses",
        "warning",
        f"{curve.name} ends at {own:.2f} A, the unmasked FSC at {without:.2f} A, {shells:.0f} shells further: the mask "
        f"{curve.mask!r} leaves the signal out. Look where the particle lies: a sphere stands in the middle of the box",
        curve=curve.name,
        shells=between(record, own, without),
        mask_A=own,
        whole_A=without,
    )


def _apart(
    record: RoundRecord, name: str, curve: Curve, own: float, whole: Curve, number: float, level: float
) -> Finding:
    shells, fraction = shell_of(record, own) - shell_of(record, number), _fraction(record, name)
    holds = "" if fraction is None else f"; the mask holds {100 * fraction:.1f} % of {_whole_words(record)}"
    expected = _without_solvent(record, whole, fraction, level)
    quote = None
    if shells < 0:
        text = (
            f"{curve.name} ends at {own:.2f} A and {whole.name} at {number:.2f} A, {own - number:.2f} A better ({-shells:.0f} "
            "Fourier shells): the mask "
            f"{name!r} {_why_coarser(record, name)}"
        )
    else:
        reason = "" if expected is None else f", and without the solvent outside it {expected:.2f} A are to be expected"
        text = f"{curve.name} reaches {own:.2f} A, {whole.name} only {number:.2f} A, {shells:.0f} shells less{holds}{reason}"
        quote = "Quote the corrected curve under the mask; scaling the other one up instead multiplies its noise"
    return found(
        record,
        "mask_and_sphere",
        "warning" if shells < 0 else "note",
        text,
        curve=curve.name,
        quote=quote,
        shells=between(record, own, number),
        shells_apart=shells,
        mask_A=own,
        whole_A=number,
        fraction=fraction,
        expected_A=expected,
    )


def _signal_outside(record: RoundRecord, name: str) -> float | None:
    mask = record.mask(name)
    return mask.signal_outside.share if mask is not None and mask.signal_outside is not None else None


def _why_coarser(record: RoundRecord, name: str) -> str:
    """What makes a curve under a mask coarser than under the sphere, by the numbers, and what to do."""
    mask, sphere = record.mask(name), sphere_of(record)
    if mask is not None and sphere is not None and sphere.volume_A3 and mask.volume_A3 > sphere.volume_A3:
        return "is wider than the sphere, and solvent hides signal: make a mask that follows the particle"
    return "takes signal away. It cuts the molecule or is too tight: look at its outline, and widen it"


def _whole_words(record: RoundRecord) -> str:
    sphere = sphere_of(record)
    return "the sphere" if sphere is not None and sphere.volume_A3 > 0 else "the box"


def _fraction(record: RoundRecord, name: str) -> float | None:
    """Volume of a mask over the sphere's, or over the box where no sphere is recorded."""
    mask, sphere = record.mask(name), sphere_of(record)
    if mask is None or mask.volume_A3 <= 0:
        return None
    whole_A3 = (
        sphere.volume_A3
        if sphere is not None and sphere.volume_A3 > 0
        else mask.volume_A3 / max(mask.volume_fraction, 1e-9)
    )
    return min(mask.volume_A3 / whole_A3, 1.0)


def _without_solvent(record: RoundRecord, whole: Curve, fraction: float | None, level: float) -> float | None:
    """Where the curve of the whole map would end if its solvent were taken away: where it is what ``level`` becomes with it."""
    if fraction is None:
        return None
    diluted = fraction * level / (1 - (1 - fraction) * level)
    fall = falls_after(measured(whole), diluted)
    return None if fall is None else at(record, fall)


@rule_of_round(
    Texts(
        "smooth_density",
        "Part of the density is smooth",
        "Lipid, detergent and the like hold no detail beyond 10 A: under a mask that holds them the FSC is lower.",
        "Say which of the two numbers is quoted, and under which mask.",
    ),
)
def smooth_density(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A disc, micelle or membrane: its share of the automask's density, and the resolution without it."""
    mask = next((mask for mask in record.masks if mask.role == "automask"), None)
    how = None if mask is None else mask.parameters
    if mask is None or not isinstance(how, AutomaskParameters) or (how.smooth_share or 0.0) < SMOOTH_SHARE:
        return
    number = how.without_smooth_A
    without = "" if number is None else f" A mask without it reaches {number:.2f} A."
    yield found(
        record,
        "smooth_density",
        "note",
        f"{100 * (how.smooth_share or 0.0):.0f} % of the density under the mask {mask.name!r} holds no detail beyond 10 A, as "
        f"that of lipid or detergent.{without} Quote the number of the whole mask, or name the mask that leaves this part out",
        share=how.smooth_share,
        without_A=number,
    )


@rule_of_round(
    Texts(
        "signal_outside",
        "Signal lies outside the mask",
        "A part of the particle is not measured, and not aligned to where the refinement uses this mask.",
        "Widen the mask at the place named.",
    ),
)
def signal_outside(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A mask that cuts density: the share of the signal outside it was measured on both halves when the mask was."""
    for mask in record.masks:
        if mask.signal_outside is None:
            continue
        share, sd, place = mask.signal_outside.share, mask.signal_outside.sd, mask.signal_outside.at_A
        if not cuts_signal(mask.signal_outside):
            continue
        where = (
            f", most of it around x, y, z = {', '.join(f'{c:.0f}' for c in place)} A from the box's centre"
            if place
            else ""
        )
        uses = (
            "this mask is used in the refinement, so the next round loses it, too" if mask.role == "refinement" else ""
        )
        yield found(
            record,
            "signal_outside",
            "warning",
            f"the mask {mask.name!r} cuts density: {100 * share:.0f} % of the signal{_give_or_take(sd)} lies outside it{where}. "
            f"The FSC under it does not speak of that part{f'; {uses}' if uses else ''}. {_advice(record, mask, share)}",
            curve=mask.name if record.under(mask.name) is not None else None,
            share=share,
            sd=sd,
            at_A=place,
        )


def cuts_signal(outside: SignalOutside) -> bool:
    """Whether a mask leaves out more of the signal than its soft edge and chance do."""
    return outside.share > max(CUT_SHARE, SUPPORTED_SD * outside.sd)


def _advice(record: RoundRecord, mask: MaskRecord, share: float) -> str:
    if share <= MISPLACED:
        return "Look at its outline, and widen it there"
    body = next((each for each in record.masks if each.role == "automask" and each.volume_A3 > 0), None)
    size = mask.volume_A3 / body.volume_A3 if body is not None else 0.0
    if 0 < size < 1 - share:
        return (
            f"It has {100 * size:.2g} % of the automask's volume and lies where the density is highest: its number is that of this "
            "part, finer than the particle's. Make a mask of the whole particle"
        )
    return "So much is no cut: the mask is inverted, in another frame, or made for another map; make it from this map"


def _give_or_take(sd: float | None) -> str:
    return f" (give or take {100 * sd:.1f})" if sd is not None else ""


@rule_of_round(
    Texts(
        "mask_missing",
        "A mask could not be used",
        "There is no curve under it.",
        "See the reason.",
    ),
)
def mask_missing(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A mask that was asked for, or used by the program, and could not be had."""
    for mask in record.masks:
        made = mask.parameters
        unused = isinstance(made, ProgramMaskParameters) and made.made == "none"
        if mask.volume_A3 > 0 or unused:
            continue
        text = f"there is no curve under the mask {mask.name!r}: {mask.note or 'it could not be made'}"
        yield found(record, "mask_missing", "note", text)
