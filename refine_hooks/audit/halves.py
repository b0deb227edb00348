"""Rules about the two half maps themselves: whether they lie on each other, were masked before, or share noise."""

from collections.abc import Iterator

from refine_hooks.audit.reading import Finding, found, twice
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.checks import QUIET, Checks, differ_by_particle, enlarged, lie_apart, shifted, turned, unlike
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings

FEW_PARTICLES_PX = 0.5
SHARE_SD = 3.0
LEAST_SHARE = 0.003
LEAST_SAME = 1e-3  # of the box


def shares_noise(checks: Checks) -> bool:
    """Whether the floor of the unmasked FSC stands out of its error."""
    share = checks.common_noise_share
    return share is not None and share.value > max(LEAST_SHARE, SHARE_SD * share.sd)


@rule_of_round(
    Texts(
        "halves_mirrored",
        "The half maps are of opposite hands",
        "They do not superimpose, so the FSC says nothing of the resolution.",
        "Mirror one half map, or take both from one job.",
        doubt="not valid: the half maps are of opposite hands",
    ),
    Texts(
        "halves_inverted",
        "The half maps have opposite contrast",
        "One is the negative of the other, so the FSC says nothing of the resolution.",
        "Invert one half map, or take both from one job.",
        doubt="not valid: the half maps have opposite contrast",
    ),
    Texts(
        "halves_turned",
        "The half maps are turned against each other",
        "They do not superimpose, so the FSC is too low.",
        "Align one half map to the other, or take both from one job.",
        doubt="not valid: the half maps do not superimpose",
    ),
    Texts(
        "halves_magnified",
        "One half map is larger than the other",
        "They do not superimpose, so the FSC is too low: their voxel sizes differ.",
        "Bring both to one voxel size, or take both from one job.",
        doubt="not valid: the half maps do not superimpose",
    ),
    Texts(
        "halves_shifted",
        "The half maps are shifted against each other",
        "They do not superimpose, so the FSC is too low.",
        "Move one half map onto the other, or take both from one job.",
        doubt="not valid: the half maps do not superimpose",
    ),
)
def superimposed(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Half maps that do not lie on each other; the gravest fault is named."""
    checks = record.checks
    if checks is None or not lie_apart(checks):
        return
    length, angle, larger = shifted(checks), turned(checks), enlarged(checks)
    if checks.mirrored:
        turn, align = (", and turned", " and align it to the other") if checks.rotated_deg else ("", "")
        name, text = "halves_mirrored", f"half map 2 is the other hand of half map 1{turn}: mirror one of them{align}"
    elif checks.inverted:
        name, text = "halves_inverted", "half map 2 has the opposite contrast of half map 1: multiply one of them by -1"
    elif angle is not None:
        hand = ", or turned and of the other hand, which is not certain" if checks.mirrored is None else ""
        name, text = (
            "halves_turned",
            f"half map 2 is turned by {angle:.1f} degrees against half map 1{hand}: align one to the other",
        )
    elif larger is not None:
        name, text = (
            "halves_magnified",
            f"half map 2 is {100 * abs(larger):.1f} % {'larger' if larger > 0 else 'smaller'} than half map 1, as of another voxel "
            "size or microscope: resample one of them",
        )
    else:
        assert length is not None
        assert checks.shift_px is not None
        x, y, z = checks.shift_px
        few = (
            ", or halves of so few particles that their means lie apart by as much" if length < FEW_PARTICLES_PX else ""
        )
        text = (
            f"half map 2 is shifted by {length:.2f} voxels against half map 1 (x, y, z = {x:.2f}, {y:.2f}, {z:.2f}): move one onto "
            f"the other{few}"
        )
        name = "halves_shifted"
    yield found(
        record,
        name,
        "warning",
        f"the half maps do not superimpose: {text}, and measure again. The FSC is too low, and no sign of missing views",
        shift_px=checks.shift_px,
        shift_sd_px=checks.shift_sd_px,
        turned_deg=checks.rotated_deg,
        turned_sd_deg=checks.rotated_sd_deg,
        larger=checks.larger,
        larger_sd=checks.larger_sd,
    )


def how_masked(record: RoundRecord) -> str:
    """Whose word it is that the half maps were masked: the program's, that of their noise, or both."""
    halves, outside = record.half_maps, record.checks.noise_outside if record.checks is not None else None
    shown = outside is not None and outside <= QUIET
    if halves is not None and halves.masked_by:
        return f"as {record.program} states ({halves.masked_by}){' and their noise shows' if shown else ''}"
    return "as their noise shows" if shown else "as is stated of them"


@rule_of_round(
    Texts(
        "masked_halves",
        "The half maps were masked before",
        "The noise outside is gone, so the mask's own correlation cannot be measured.",
        "Measure half maps as they came out of the reconstruction.",
        doubt="may be overestimated: the half maps were masked before",
    )
)
def masked_halves(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Half maps that were multiplied by a mask, as their noise shows."""
    halves, checks = record.half_maps, record.checks
    if halves is None or checks is None or halves.origin == "regularised" or halves.masked not in ("mask", "sphere"):
        return
    if differ_by_particle(checks):
        return
    noise = (
        f"noise far outside has {checks.noise_outside:.1e} of the power inside; "
        if checks.noise_outside is not None
        else ""
    )
    number = "no resolution is stated" if halves.masked == "mask" else "every curve is at least that tight"
    yield found(
        record,
        "masked_halves",
        "warning",
        f"the half maps were multiplied by a {halves.masked} before ({noise}unmasked halves have about as much): {number}. "
        "Take the half maps as they came out of the reconstruction",
        noise_outside=checks.noise_outside,
    )


@rule_of_round(
    Texts(
        "halves_unlike",
        "One half map was filtered, sharpened or resampled",
        "Both must have been treated alike: a filter leaves the FSC as it is, resampling lowers it.",
        "Take both half maps as they came out of the reconstruction.",
        doubt="may be underestimated: the half maps were not treated alike",
    )
)
def halves_unlike(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Half maps of different spectra; where one was masked, that is what is said."""
    ratio = record.checks.power_ratio if record.checks is not None else None
    masked = record.half_maps is not None and record.half_maps.masked in ("mask", "sphere")
    if ratio is None or masked or not unlike(ratio.value) or _said_otherwise(record):
        return
    weaker, other, times = (2, 1, 1 / ratio.value) if ratio.value < 1 else (1, 2, ratio.value)
    yield found(
        record,
        "halves_unlike",
        "warning",
        f"half map {weaker} has {times:.3g} times less power than half map {other} at {ratio.at_A:.2f} A, while they are as strong "
        "as each other at low resolution: one of them was filtered, sharpened or resampled. A filter leaves the FSC as it is, "
        "resampling lowers it. Take both as they came out of the reconstruction",
        ratio=ratio.value,
        at_A=ratio.at_A,
    )


def _said_otherwise(record: RoundRecord) -> bool:
    """Whether a pattern, single voxels or a slope in one half explain that its spectrum is another; repeated voxels do not."""
    checks = record.checks
    return checks is not None and checks.one_sided and not any(checks.repeats)


@rule_of_round(
    Texts(
        "same_voxels",
        "A part of the half maps is the same in both",
        "There the halves share their noise as well, and the resolution is too good.",
        "Find out which step copied a part of one map into the other, or made both from one map.",
        doubt="may be overestimated: a part of the half maps is the same in both",
    )
)
def same_voxels(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Half maps without a difference in some part of the box."""
    share = record.checks.same_voxels if record.checks is not None else None
    if share is None or share < LEAST_SAME:
        return
    yield found(
        record,
        "same_voxels",
        "warning",
        f"in {100 * share:.2g} % of the box both half maps hold the same voxels, noise and all: a part of one was copied into the "
        "other, or both were made from one map there. Take both as they came out of the reconstruction",
        share=share,
    )


@rule_of_round(
    Texts(
        "duplicates",
        "The halves share noise, as duplicated particles bring it",
        "Noise that is in both halves correlates, and the resolution is too good.",
        "Remove duplicated particles, or keep them in one half, and refine again.",
        doubt="may be overestimated: the halves share noise",
    )
)
def duplicates(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Particles that the program's table has in both halves, or a flat floor of the unmasked FSC where no signal is left."""
    checks = record.checks
    yield from _twice(record)
    share = checks.common_noise_share if checks is not None else None
    if checks is None or share is None or not shares_noise(checks) or checks.common_pattern or any(checks.slopes):
        return
    yield found(
        record,
        "duplicates",
        "warning",
        f"the halves share {100 * share.value:.1f} % of their noise (+- {100 * share.sd:.1f} %): the unmasked FSC does not fall "
        "to 0 beyond the signal. Look for particles that are in both halves, remove duplicates and refine again",
        share=share.value,
        share_sd=share.sd,
    )


def _twice(record: RoundRecord) -> Iterator[Finding]:
    count, known = twice(record), record.checks.duplicates if record.checks is not None else None
    if not count or known is None:
        return
    rows = ", ".join(str(row) for row in known.first_rows)
    yield found(
        record,
        "duplicates",
        "warning",
        f"{count} particles are in both halves by the particle table ({known.images} the same image, {known.places} picked twice "
        f"at one place of a micrograph; the first in rows {rows}): their noise is in both, and the resolution is too good. Remove "
        "duplicates and refine again",
        images=known.images,
        places=known.places,
        first_rows=list(known.first_rows),
    )


@rule_of_round(
    Texts(
        "unmasked_differs",
        "The unmasked FSC is not the program's",
        "The same halves must give the same unmasked curve.",
        "Check that the half maps are those of this round.",
        doubt="the half maps may be of another round",
    )
)
def against_program(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Our unmasked curve and the program's own unmasked one differ by more than their noise."""
    difference = record.checks.unmasked_against_program if record.checks is not None else None
    if difference is None or not difference.is_of_another:
        return
    of_maps = (
        f"the unmasked FSC differs from the program's unmasked one by up to {difference.worst:.2f}, noise makes "
        f"{difference.sd:.2f} of it: these are not the half maps that the program measured"
    )
    of_sums = (
        f"the FSC of the sums, counted as the program counts it, differs from the program's own by up to {difference.worst:.2g}: "
        "these are not the sums that the program measured"
    )
    yield found(
        record,
        "unmasked_differs",
        "warning",
        of_maps if difference.sd else of_sums,
        worst=difference.worst,
        sd=difference.sd,
    )
