"""What the log holds of a round beyond one number: where the map is good."""

from typing import Literal

from pydantic import Field

from refine_hooks.model import Key, Name, Prose, Record

LEAST_SPAN = 1.1  # coarse over fine end of the colours of a map: what chance makes is not to be seen as good and poor

PartState = Literal["crosses", "never_above", "never_below", "truncated", "undecided"]
STATES = (
    "never_below: the curve stays above the threshold up to Nyquist; truncated: up to where the half maps end; undecided: it "
    "lies so near the threshold that its noise may have kept it above, and the interval ends at Nyquist"
)


class LocalPart(Record):
    """One part of the particle: not connected to the others, or by a neck only."""

    number: int = Field(description="1 is the largest")
    volume_share: float = Field(description="of the particle, without the solvent that the mask has about it")
    at_A: tuple[float, float, float] = Field(description="x, y, z of its middle from the box's centre")
    resolution_A: float | None = Field(
        default=None, description="where S / (S + N) of this part falls to the threshold"
    )
    interval_A: tuple[float, float] | None = Field(default=None, description="90 % interval: coarse end, fine end")
    state: PartState = Field(default="crosses", description=STATES)


class LocalChange(Record):
    """The local resolution against that of the former round of this run and class, place by place."""

    against: Key
    median_A: float = Field(description="median difference; negative where this round is better")
    better: float = Field(description="share of the places that are better by more than 5 %")
    worse: float = Field(description="share of the places that are worse by more than 5 %")


class LocalResolution(Record):
    """The resolution of each place of the particle: where the FSC of its surroundings falls to the threshold."""

    mask: str = Field(description="name of the mask in which the particle was looked for")
    threshold: float
    path: Name | None = Field(
        default=None, description="map of resolutions in Angstrom; 0 in the solvent and at the mask's edge"
    )
    voxel_size_A: float = Field(description="from one place to the next")
    places: int = Field(description="how many there are in the particle")
    finest_A: float = Field(description="5 % of the places are better")
    quartiles_A: tuple[float, float, float] = Field(description="25, 50 and 75 % of the places are better")
    coarsest_A: float = Field(description="95 % of the places are better")
    histogram_from_A: tuple[float, ...] = Field(description="finer end of each bin; the last value ends the last bin")
    histogram_share: tuple[float, ...] = Field(description="of the places, in each bin")
    not_stated: float = Field(
        description="share of the mask's volume without a resolution: solvent and the mask's edge"
    )
    beyond_nyquist: float = Field(
        default=0.0, description="share of the places that are above the threshold up to the voxels' limit"
    )
    place_error: float | None = Field(
        default=None, description="nine of ten places are right within this share, as phantoms of known resolution show"
    )
    parts: tuple[LocalPart, ...] = ()
    change: LocalChange | None = None
    note: Prose | None = None

    @property
    def median_A(self) -> float:
        """Half of the places are better."""
        return self.quartiles_A[1]
