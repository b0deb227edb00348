"""The curves of a record: what each is, its values, and what was read off them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from refine_hooks.model import ProgramCurve, Prose, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Direction = Literal["down", "up"]
CurveKind = Literal["measured", "corrected", "scaled", "reported", "randomised"]
CurveState = Literal["crosses", "never_below", "never_above", "truncated"]


class OfWhichKind:
    """What follows from what a curve is; of a curve itself and of what is remembered of it."""

    __slots__ = ()
    if TYPE_CHECKING:  # the fields of a record stand in the order of its own class

        @property
        def kind(self) -> CurveKind:
            """Which kind of curve."""

        @property
        def made(self) -> ProgramCurve | None:
            """Of the program's own curves, which one."""

    @property
    def of_program(self) -> bool:
        """Whether it is one of the program's own curves."""
        return self.kind in ("reported", "randomised")

    @property
    def is_scaled(self) -> bool:
        """Whether it was scaled to the volume of the particle, here or by the program: never the source of a number."""
        return self.kind == "scaled" or self.made == "scaled"


class Crossing(Record):
    """One place where a curve crosses a level, interpolated linearly in frequency."""

    level: float
    direction: Direction
    shell: int = Field(description="the last shell before the crossing")
    frequency_per_A: float
    resolution_A: float
    depth: float | None = Field(default=None, description="for a way down: how far below the level the curve then goes")
    shells: int | None = Field(default=None, description="for a way down: how many shells it stays there")


class Curve(OfWhichKind, Record):
    """One Fourier shell correlation curve over the shells 0..N//2, and what was read off it."""

    name: str = Field(description="for people and files; what the curve is stands in kind, made and mask")
    kind: CurveKind = Field(
        description="measured under a mask or none; corrected for the mask's own correlation; scaled to the particle's volume; "
        "reported by the program, or its curve of randomised phases"
    )
    made: ProgramCurve | None = Field(default=None, description="of the program's own curves: which one it is")
    mask: str | None = Field(
        default=None,
        description="name of the mask that made this curve; of a program's curve where it is measured here, too",
    )
    threshold: float = Field(description="the level that resolution_A is read at")
    volume_fraction: float | None = Field(
        default=None, description="of a scaled curve: the particle's share of the mask"
    )
    correlation: tuple[float | None, ...] = Field(description="null where nothing is measured")
    randomised_mean: tuple[float | None, ...] | None = Field(
        default=None, description="phase-randomised FSC: mean of the repeats"
    )
    randomised_sd: tuple[float | None, ...] | None = Field(
        default=None, description="phase-randomised FSC: standard deviation of one repeat"
    )
    sd: tuple[float | None, ...] | None = Field(
        default=None, description="standard deviation of the correlation itself"
    )
    randomised_from_shell: int | None = None
    crossings: tuple[Crossing, ...] = Field(default=(), description="of the threshold and of 0.5")
    state: CurveState = Field(
        description="what the curve does at the threshold; truncated: it ends, or is 0 from there on, before it falls"
    )
    resolution_A: float | None = Field(default=None, description="null: state says why, or it is not to be scored")
    interval_A: tuple[float, float] | None = Field(
        default=None, description="90 % interval of resolution_A: coarse end, fine end"
    )
    significant_shell: int | None = Field(
        default=None, description="last shell of the first unbroken run above the mean of the randomised FSC + 3 sd"
    )
    resolution_at_half_A: float | None = None
    reproduced_to: float | None = Field(
        default=None,
        description="of a program's curve: the largest difference when it is counted its way from these maps",
    )
    rule: Prose = Field(description="how resolution_A was read off the curve")
    note: Prose | None = None

    def values(self) -> "NDArray[np.float64]":
        """The correlation over the shells 0..N//2, float64; NaN where nothing is measured."""
        import numpy as np

        return np.array([np.nan if value is None else value for value in self.correlation], np.float64)

    def crossings_at(self, level: float) -> tuple[Crossing, ...]:
        """The crossings of one of the levels."""
        return tuple(crossing for crossing in self.crossings if crossing.level == level)

    @field_validator("correlation")
    @classmethod
    def _bounded(cls, values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        if not any(v is not None for v in values):
            raise ValueError("a curve needs at least one measured shell")
        return values

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        shells = len(self.correlation)
        others = (self.randomised_mean, self.randomised_sd, self.sd)
        if any(values is not None and len(values) != shells for values in others):
            raise ValueError(f"a curve of {shells} shells has errors of another number of shells")
        return self


def state_of(correlation: Sequence[float | None], threshold: float) -> CurveState:
    """What a curve over the shells 0..N//2 does at a level: None where nothing is measured, shell 0 apart.

    A curve that begins below the level is ``never_above``: it has no first fall.
    """
    values = list(correlation[1:])
    end = next((shell for shell, value in enumerate(values) if value is None), len(values))
    fall = next((shell for shell, value in enumerate(values[:end]) if value is not None and value < threshold), None)
    if fall == 0:
        return "never_above"
    if fall is None:
        return "never_below" if end == len(values) else "truncated"
    cut = len(values) - fall > 1 and not any(values[fall:])
    return "truncated" if cut else "crosses"
