"""What the log holds of a mask: its file, its size and how it was made."""

from typing import Annotated, Literal

from pydantic import Field

from refine_hooks.model import MaskRole, Name, ProgramMaskParameters, Prose, Record


class SphereParameters(Record):
    """A sphere about the box's centre with a cosine edge."""

    kind: Literal["sphere"] = "sphere"
    radius_A: float = Field(description="where the mask is 1/2")
    edge_A: float = Field(description="width of the cosine edge, centred on the radius")


class AutomaskStep(Record):
    """One mask that was tried, and what it correlates by itself where a resolution is claimed."""

    reach_A: float
    edge_A: float
    claimed_shell: float | None = None
    randomised: float | None = Field(default=None, description="phase-randomised FSC at that shell")
    chance: float | None = Field(default=None, description="what chance alone gives there")


class AutomaskParameters(Record):
    """How the mask was found in the two half maps; lengths in Angstrom, levels in the units of the filtered map."""

    kind: Literal["automask"] = "automask"
    reach_A: float | None = Field(default=None, description="from the particle's surface to where the mask is 1/2")
    edge_A: float | None = Field(default=None, description="width of the cosine edge about that")
    filter_A: float | None = Field(default=None, description="sigma of the Gaussian that the maps were low-passed with")
    binned_voxel_A: float | None = None
    level: float | None = Field(default=None, description="of the solvent")
    solvent_density: float | None = Field(
        default=None, description="rms of what is more than noise in the solvent, as a share of the particle's density"
    )
    solvent_fraction: float | None = Field(
        default=None, description="share of the box farther than 12 A from the density"
    )
    threshold: float | None = Field(default=None, description="above which a voxel is particle")
    noise_sd: float | None = None
    threshold_sd: float | None = Field(default=None, description="threshold above the solvent, in noise_sd")
    significant_sd: float | None = Field(default=None, description="above which at most 1 % of the voxels are noise")
    energy_shown: float | None = Field(default=None, description="share of the signal that stands out of the noise")
    density_share: float | None = Field(default=None, description="threshold as a share of the particle's density")
    contour_A: float | None = Field(default=None, description="from the particle's surface to the threshold's contour")
    components: int | None = Field(default=None, description="separate parts that were kept")
    neighbours: int | None = Field(default=None, description="parts that were cut off by the box and left out")
    fraction_of_box: float | None = None
    fraction_of_sphere: float | None = Field(default=None, description="in logs of schema 1")
    steps: tuple[AutomaskStep, ...] = ()
    smooth_share: float | None = Field(
        default=None, description="share of the density without detail beyond 10 A, as lipid and detergent have none"
    )
    without_smooth_A: float | None = Field(
        default=None, description="corrected resolution under a mask without the smooth part"
    )
    reason: str | None = Field(default=None, description="why there is no mask, as a code")
    why: str | None = Field(default=None, description="the same in words")


class UserParameters(Record):
    """A mask that the user gave; it is used as it is."""

    kind: Literal["user"] = "user"


MaskParameters = Annotated[
    SphereParameters | AutomaskParameters | UserParameters | ProgramMaskParameters, Field(discriminator="kind")
]


class SignalOutside(Record):
    """The share of the signal that a mask leaves out, measured on both halves."""

    share: float
    sd: float
    at_A: tuple[float, float, float] = Field(description="x, y, z from the box's centre, where most of it is")


class MaskRecord(Record):
    """One mask: its file, its hash and how it was made."""

    name: str
    role: MaskRole
    path: Name | None = None
    sha256: str | None = None
    volume_A3: float = Field(description="sum of the soft mask; 0 where there is none")
    volume_fraction: float = Field(description="share of the box")
    volume_change: float | None = Field(
        default=None, description="share by which the volume differs from the former round's of this run and class"
    )
    sum_of_squares: float | None = Field(default=None, description="over its voxels")
    parameters: MaskParameters | None = None
    signal_outside: SignalOutside | None = None
    note: Prose | None = None
