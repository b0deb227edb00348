"""What was tested of the two half maps before a number was read off them; a field is ``null`` where it was not tested."""

from math import hypot

from pydantic import Field

from refine_hooks.model import Record

EMPTY, PREFERRED, _DEVIATIONS = 0.3, 2.0, 5.0  # noise in a cone over its mean over all directions
_UNLIKE = 4.0  # halves of one and of three parts of the particles differ by 3
_LARGER = 0.005  # of a half's size: an Angstrom at 200
_NO_SIGNAL, _TOO_UNCERTAIN = 0.06, 0.15  # of the mean signal
_OF_TYPICAL, _ALIKE = 0.2, 0.7  # of a typical cone's
REPEATED, CLIPPED = 1e-3, 0.01  # of the voxels
SLOPE = 2.0  # standard deviations of the noise over the box
_COHERENT = 0.5  # of a pattern
_SHIFT_PX, _SHIFT_SD = 0.2, 4.0
_TURN_DEG, _TURN_SD = 2.0, 3.0
# Of the noise inside: what is left outside of a mask. Uneven noise of sound half maps does not fall below a tenth.
QUIET = 0.02
_MASKED_AWAY = 1e-3  # of the noise power; a mask leaves less


class Share(Record):
    """A share with its error."""

    value: float
    sd: float


class Duplicates(Record):
    """Particles that are in both halves."""

    images: int = Field(description="the same image in both halves")
    places: int = Field(description="the same place of a micrograph within a fraction of the particle's diameter")
    first_rows: tuple[int, ...] = Field(default=(), description="of the particle table, the first few")


class NoiseByDirection(Record):
    """Power of the difference of the unmasked halves in cones over its mean; 1 where all directions were seen alike."""

    lowest: float
    highest: float
    lowest_axis: tuple[float, float, float] | None = Field(default=None, description="x, y, z")
    highest_axis: tuple[float, float, float] | None = Field(default=None, description="x, y, z")
    sd: float | None = Field(default=None, description="by which a cone's value errs")
    cones: tuple[float, ...] = Field(
        default=(), description="of 256 axes even over the half sphere (Fibonacci's spiral)"
    )


class SignalByDirection(Record):
    """What the unmasked halves have in common in narrow cones, over the mean of all directions."""

    lowest: float = Field(description="of all cones; about 0 where a cone holds no signal")
    sd: float = Field(description="by which it errs where there is none")
    typical: float = Field(description="median of all cones")
    quarter: float = Field(description="a quarter of all cones has less")
    lowest_axis: tuple[float, float, float] = Field(description="x, y, z")

    @property
    def missing(self) -> bool:
        """Whether a cone holds no signal; a smooth particle, whose cones differ much, has some next to none by itself."""
        at_most = _OF_TYPICAL if self.quarter > _ALIKE * self.typical else _OF_TYPICAL / 2
        highest = max(self.lowest, -self.sd) + 2 * self.sd
        certain = self.sd < _TOO_UNCERTAIN and highest < at_most * self.typical
        return certain and self.lowest < _NO_SIGNAL


class PowerRatio(Record):
    """Power of half 2 over that of half 1 in a shell, over the same at low resolution; 1 for halves that were treated alike."""

    value: float = Field(description="where it is farthest from 1")
    at_A: float


class Pattern(Record):
    """A single frequency that stands out of the solvent."""

    period_A: float
    direction: tuple[float, float, float] = Field(description="x, y, z of the wave")
    times: tuple[float, float] = Field(description="power in each half over what is around it in Fourier space")
    coherent: float = Field(description="share of it that is the same in both halves, with its phase")


class Solvent(Record):
    """Correlation of the halves where there is no particle; 0 for independent ones."""

    value: float
    sd: float
    coarse_A: float = Field(description="from where to where it was taken")
    fine_A: float
    cubes: int = Field(description="of the solvent that were looked at")
    pattern: Pattern | None = None


class Voxels(Record):
    """What single voxels of each half show of how it was treated."""

    repeated: tuple[float | None, float | None] = Field(
        description="share that has exactly the value of a neighbour; null where values are few"
    )
    clipped: tuple[float, float] = Field(description="share that has exactly the lowest value, or the highest")
    outliers: tuple[int, int] = Field(description="single voxels that stand out of the noise, in the loudest blocks")
    holes: float = Field(description="share of the box where neither half holds anything, away from its faces")


SAME_UNMASKED = 0.05  # two unmasked curves of one pair differ by less
SAME_SUMS = 0.005  # and two of the same sums


class ProgramDifference(Record):
    """The unmasked FSC against the program's own unmasked one."""

    worst: float = Field(description="largest difference, beyond what lies between neighbouring shells")
    sd: float = Field(
        description="what noise makes of it; 0 where both were counted from the same sums in the same way"
    )

    @property
    def is_of_another(self) -> bool:
        """Whether the program measured other half maps."""
        return self.worst > (max(SAME_UNMASKED, 4 * self.sd) if self.sd else SAME_SUMS)


class Checks(Record):
    """What was tested of the halves, with the numbers."""

    shift_px: tuple[float, float, float] | None = Field(default=None, description="x, y, z of half 2 against half 1")
    shift_sd_px: float | None = None
    mirrored: bool | None = Field(
        default=None,
        description="half 2 is of the other hand; null also where it is turned and the hand is not certain",
    )
    inverted: bool | None = Field(default=None, description="half 2 has the opposite contrast")
    rotated_deg: float | None = Field(default=None, description="half 2 against half 1")
    rotated_sd_deg: float | None = None
    larger: float | None = Field(default=None, description="by which part of its size half 2 is larger than half 1")
    larger_sd: float | None = None
    superposition_correlation: float | None = Field(
        default=None, description="of the low-passed halves, as they lie in the box"
    )
    noise_outside: float | None = Field(
        default=None,
        description="noise power far outside of the particle over that inside; about 1 for unmasked halves",
    )
    masked_evidence: str | None = Field(default=None, description="what shows that the halves were masked, in words")
    common_noise_share: Share | None = Field(default=None, description="of the noise, common to both halves")
    background_level: tuple[float, float] | None = Field(default=None, description="of the solvent in each half")
    background_gradient: tuple[float, float] | None = Field(
        default=None, description="of the solvent in each half, over the box, in standard deviations of the noise"
    )
    solvent: Solvent | None = None
    voxels: Voxels | None = None
    duplicates: Duplicates | None = None
    noise_by_direction: NoiseByDirection | None = None
    signal_by_direction: SignalByDirection | None = None
    unmasked_against_program: ProgramDifference | None = None
    power_ratio: PowerRatio | None = None
    same_voxels: float | None = Field(default=None, description="share of the box where both halves hold the same")

    @property
    def repeats(self) -> tuple[bool, bool]:
        """Which halves hold values side by side that no reconstruction makes."""
        first, second = self.voxels.repeated if self.voxels is not None else (None, None)
        return (first or 0.0) > REPEATED, (second or 0.0) > REPEATED

    @property
    def sticks_out(self) -> tuple[bool, bool]:
        """Which halves have single voxels that stand out of the noise."""
        first, second = self.voxels.outliers if self.voxels is not None else (0, 0)
        return first > 0, second > 0

    @property
    def slopes(self) -> tuple[bool, bool]:
        """Which halves have a background that rises to one side."""
        first, second = self.background_gradient or (0.0, 0.0)
        return first > SLOPE, second > SLOPE

    @property
    def common_pattern(self) -> bool:
        """Whether a pattern is the same in both halves."""
        pattern = self.solvent.pattern if self.solvent is not None else None
        return pattern is not None and pattern.coherent > _COHERENT

    @property
    def one_sided(self) -> bool:
        """Whether one half holds something that makes it differ from the other, and their difference no noise."""
        pattern = self.solvent is not None and self.solvent.pattern is not None and not self.common_pattern
        return pattern or any(one != two for one, two in (self.repeats, self.sticks_out, self.slopes))


def apart_px(shift_px: tuple[float, float, float] | None, sd_px: float | None) -> float | None:
    """Length of a shift in voxels where it is one; the arguments are those of `Checks`."""
    if shift_px is None:
        return None
    length = hypot(*shift_px)
    return length if length > max(_SHIFT_PX, _SHIFT_SD * (sd_px or 0.0)) else None


def shifted(checks: Checks) -> float | None:
    """Length of the shift in voxels where it is one."""
    return apart_px(checks.shift_px, checks.shift_sd_px)


def turned(checks: Checks) -> float | None:
    """Angle between the halves in degrees where it is one."""
    angle = checks.rotated_deg or 0.0
    return angle if angle >= _TURN_DEG and angle > _TURN_SD * (checks.rotated_sd_deg or 0.0) else None


def enlarged(checks: Checks) -> float | None:
    """By which part of its size the second half is larger, where it is and nothing else makes it look so."""
    return checks.larger if magnified(checks.larger, checks.larger_sd) and not checks.one_sided else None


def lie_apart(checks: Checks) -> bool:
    """Whether the halves do not lie on each other; a slope lies on nothing that is turned or moved, and says nothing of it."""
    found = (turned(checks), enlarged(checks), shifted(checks))
    return not any(checks.slopes) and bool(checks.mirrored or checks.inverted or any(one is not None for one in found))


def differ_by_particle(checks: Checks) -> bool:
    """Whether the difference of the halves holds the particle: what is weaker outside of it is then no masked noise."""
    return (checks.noise_outside or 0.0) > _MASKED_AWAY and lie_apart(checks)


def unlike(power_ratio: float) -> bool:
    """Whether the halves have different spectra; the argument is that of `PowerRatio`."""
    return not 1 / _UNLIKE < power_ratio < _UNLIKE


def magnified(larger: float | None, sd: float | None) -> bool:
    """Whether one half is larger than the other; the arguments are those of `Checks`."""
    return larger is not None and abs(larger) > max(_LARGER, _DEVIATIONS * (sd or 0.0))


def views_missing(lowest: float, highest: float, sd: float) -> bool:
    """Whether the noise of a cone is next to nothing; the arguments are those of `NoiseByDirection`."""
    return lowest < EMPTY and 1 - lowest > _DEVIATIONS * sd and highest < PREFERRED


def views_preferred(lowest: float, highest: float, sd: float) -> bool:
    """Whether the noise of one cone is so much stronger that others were seen far more often."""
    apart = highest - lowest > 2 * _DEVIATIONS * sd * max(1.0, highest)
    return not views_missing(lowest, highest, sd) and highest > PREFERRED and apart
