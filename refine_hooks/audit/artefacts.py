"""Rules about what was done to half maps after their reconstruction, or is in both of them that is no particle."""

from collections.abc import Iterator

from refine_hooks.audit.halves import shares_noise
from refine_hooks.audit.reading import Finding, found, independent
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.checks import CLIPPED, REPEATED, SLOPE
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings

SOLVENT_SD, LEAST_IN_SOLVENT = 5.0, 0.02
_AS_MADE = "Take both half maps as they came out of the reconstruction"
Two = tuple[bool, bool]


def _which(faulty: Two) -> str:
    return "both half maps" if all(faulty) else f"half map {1 if faulty[0] else 2}"


@rule_of_round(
    Texts(
        "voxels_repeated",
        "Neighbouring voxels hold the same value",
        "A map that is resampled by the nearest voxel, or filtered by a median, has errors of its own; where both halves were "
        "treated so, these agree as signal does.",
        "Take both half maps as they came out of the reconstruction; resample in Fourier space.",
        doubt="may be wrong: the half maps were resampled by the nearest voxel, or filtered by a median",
    )
)
def voxels_repeated(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Values that stand side by side in a half map, as no reconstruction makes them."""
    checks = record.checks
    if checks is None or checks.voxels is None or not any(checks.repeats):
        return
    share = max(value or 0.0 for value in checks.voxels.repeated)
    agree = (
        "What that does to the signal is the same in both, and correlates: the resolution is too good. "
        if all(checks.repeats)
        else ""
    )
    yield found(
        record,
        "voxels_repeated",
        "warning",
        f"{100 * share:.2g} % of the voxels of {_which(checks.repeats)} have exactly the value of a neighbour, and a "
        "reconstruction has next to none: turned, enlarged or resampled by the nearest voxel, or filtered by a median. "
        f"{agree}{_AS_MADE}",
        repeated=[value or 0.0 for value in checks.voxels.repeated],
        least=REPEATED,
    )


@rule_of_round(
    Texts(
        "voxels_clipped",
        "A half map was cut off at a value",
        "What is cut off is no noise any more, and where both halves are cut the shape that is left agrees.",
        "Take both half maps as they came out of the reconstruction.",
        doubt="may be wrong: the half maps were cut off at a value",
    )
)
def voxels_clipped(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Very many voxels with the lowest value of the map, or the highest."""
    voxels = record.checks.voxels if record.checks is not None else None
    if voxels is None or _masked(record):
        return
    faulty = voxels.clipped[0] > CLIPPED, voxels.clipped[1] > CLIPPED
    if any(faulty):
        yield found(
            record,
            "voxels_clipped",
            "warning",
            f"{100 * max(voxels.clipped):.2g} % of the voxels of {_which(faulty)} have exactly the lowest value of the map, or the "
            f"highest: values were cut off there, as by a threshold or by too few bits. {_AS_MADE}",
            clipped=list(voxels.clipped),
        )


@rule_of_round(
    Texts(
        "outlier_voxels",
        "Single voxels stick out of a half map",
        "A single voxel has the same power at all resolutions: in one half it lowers the FSC, in both it raises it.",
        "Find out which step made them, and take both half maps as they came out of the reconstruction.",
        doubt="may be wrong: single voxels stick out of the half maps",
    )
)
def outlier_voxels(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Voxels far above the noise with nothing beside them."""
    checks = record.checks
    if checks is None or checks.voxels is None or not any(checks.sticks_out):
        return
    yield found(
        record,
        "outlier_voxels",
        "warning",
        f"single voxels of {_which(checks.sticks_out)} stand far above the noise with nothing beside them "
        f"({max(checks.voxels.outliers)} "
        "or more), as defects, overflows or a broken file make them. In one half they lower the FSC, in both they raise it. "
        f"{_AS_MADE}",
        outliers=list(checks.voxels.outliers),
    )


@rule_of_round(
    Texts(
        "hole_in_halves",
        "A hole was cut into the half maps",
        "Its border is in both halves, and agrees as signal does.",
        "Take both half maps as they came out of the reconstruction.",
        doubt="may be overestimated: a hole was cut into the half maps",
    )
)
def hole_in_halves(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A place inside the box where neither half holds anything, not even noise."""
    voxels = record.checks.voxels if record.checks is not None else None
    if voxels is None or voxels.holes <= 0 or _masked(record):
        return
    yield found(
        record,
        "hole_in_halves",
        "warning",
        f"{100 * voxels.holes:.2g} % of the box is empty in both half maps, noise and all: something was cut out of them there. "
        f"Its border is the same in both, and agrees as signal does. {_AS_MADE}",
        share=voxels.holes,
    )


@rule_of_round(
    Texts(
        "pattern_in_halves",
        "A regular pattern lies over the half maps",
        "A wave of one frequency is no noise: where it is in both halves, their FSC is too high at that resolution.",
        "Find out where the pattern comes from: the detector, the box's edges, or a step between reconstruction and measurement.",
        doubt="may be wrong: a regular pattern lies over the half maps",
    )
)
def pattern_in_halves(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A single frequency that stands out of the solvent, of one half or of both."""
    checks = record.checks
    pattern = checks.solvent.pattern if checks is not None and checks.solvent is not None else None
    if checks is None or pattern is None:
        return
    x, y, z = pattern.direction
    common = checks.common_pattern
    effect = (
        "It is the same in both, so that they agree there without a signal: the FSC is too high at that resolution"
        if common
        else "It is in one alone, or not the same in both, so that the FSC is too low at that resolution"
    )
    yield found(
        record,
        "pattern_in_halves",
        "warning",
        f"a wave of {pattern.period_A:.2f} A along x, y, z = {x:.2f}, {y:.2f}, {z:.2f} lies over the solvent, with "
        f"{pattern.times[0]:.3g} and {pattern.times[1]:.3g} times the power around it in half map 1 and 2. {effect}. Find out "
        "where it comes from, and measure half maps without it",
        period_A=pattern.period_A,
        times=list(pattern.times),
        coherent=pattern.coherent,
    )


@rule_of_round(
    Texts(
        "solvent_correlates",
        "The halves agree where there is no particle",
        "Independent halves have nothing in common in the solvent; what agrees there agrees in the particle as well.",
        "Look for noise of one reference, particles in both halves, or an artefact that is in both.",
        doubt="may be overestimated: the halves agree where there is no particle",
    )
)
def solvent_correlates(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A correlation of the halves outside of the mask; where its cause is known, that is what is said."""
    checks = record.checks
    solvent = checks.solvent if checks is not None else None
    if checks is None or solvent is None or shares_noise(checks) or checks.common_pattern or any(checks.slopes):
        return
    one_reference = bool(record.alignment_limit_A) and not independent(record)  # `alignment_limit` says so
    if one_reference or solvent.value < max(LEAST_IN_SOLVENT, SOLVENT_SD * solvent.sd):
        return
    yield found(
        record,
        "solvent_correlates",
        "warning",
        f"outside of the particle the halves correlate by {solvent.value:.3f} (+- {solvent.sd:.3f}) between "
        f"{solvent.coarse_A:.2f} and {solvent.fine_A:.2f} A, where independent halves have nothing in common. What agrees there "
        "agrees in the particle too, and the resolution is too good. Look for noise of one reference, particles that are in "
        "both halves, or an artefact in both maps",
        value=solvent.value,
        sd=solvent.sd,
        cubes=solvent.cubes,
    )


@rule_of_round(
    Texts(
        "background_gradient",
        "The background of a half map rises to one side",
        "A slope is signal at the lowest resolutions: in one half the FSC begins too low, in both the mask follows it.",
        "Take both half maps as they came out of the reconstruction, or subtract a plane from each.",
    )
)
def background_gradient(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """A level of the solvent that is not the same all over the box."""
    checks = record.checks
    if checks is None or not any(checks.slopes):
        return
    assert checks.background_gradient is not None
    steepest = max(checks.background_gradient)
    yield found(
        record,
        "background_gradient",
        "warning",
        f"the background of {_which(checks.slopes)} rises by {steepest:.1f} standard deviations of the noise over the box. A "
        "slope is signal at the lowest resolutions: in one half it lowers the FSC there, in both it raises it, and the mask "
        "follows it. Subtract a plane from each half map, or take them as they came out of the reconstruction",
        gradient=list(checks.background_gradient),
        least=SLOPE,
    )


def _masked(record: RoundRecord) -> bool:
    """Where a mask left nothing, that is what is said."""
    halves = record.half_maps
    return halves is None or halves.origin == "regularised" or halves.masked in ("mask", "sphere")
