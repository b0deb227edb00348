"""What the log holds of a round by direction: how good the map is along an axis, and how often each direction was seen."""

from typing import Literal

from pydantic import Field

from refine_hooks.log.local import STATES, PartState
from refine_hooks.model import Record

AxisName = Literal["x", "y", "z", "best", "worst"]
Axis = tuple[float, float, float]


class Along(Record):
    """The resolution along one axis: of the coefficients within 20 degrees of it."""

    name: AxisName
    axis: Axis = Field(description="x, y, z of a unit vector")
    resolution_A: float | None = Field(default=None, description="null: state says why")
    interval_A: tuple[float, float] | None = Field(default=None, description="90 % interval: coarse end, fine end")
    state: PartState = Field(default="crosses", description=STATES)


class Sampling(Record):
    """How often each direction of Fourier space was seen, from the particles' angles and the symmetry alone."""

    factor: float = Field(
        description="sampling compensation factor, SCF: 1 over the mean of 1 / sampling; 1 for even views, 0.81 for side views"
    )
    factor_sd: float = Field(description="from counting the particles")
    unseen: float = Field(description="share of the directions that no view holds")
    lowest: float = Field(description="sampling in a cone of 20 degrees over its mean")
    lowest_axis: Axis = Field(description="x, y, z")
    highest: float
    highest_axis: Axis = Field(description="x, y, z")
    relative: tuple[float, ...] = Field(
        default=(), description="sampling over its mean, of 256 axes even over the half sphere (Fibonacci's spiral)"
    )
