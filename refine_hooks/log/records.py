"""Everything that is written into the log, as frozen and strict pydantic models.

One line of ``rounds.jsonl`` is one of `Start`, `RoundRecord`, `Failed` or `Stop`, told apart by ``type``. Lengths are in
Angstrom (``_A``), frequencies in 1/Angstrom (``_per_A``), masses in kDa. There is no NaN and no infinity: what is not defined
is ``null``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, TypeAdapter, field_validator, model_validator

from refine_hooks.model import Key, Origin, Record, Stamp

SCHEMA_VERSION = 1

Direction = Literal["down", "up"]


class HalfMapsRecord(Record):
    """Where the two half maps are, how they came about, and what is known to be wrong with them."""

    origin: Origin
    paths: tuple[str, str] | None = Field(
        default=None, description="relative to the log's folder; null when retention removed them"
    )
    masked_by: str | None = Field(default=None, description="a mask that the maps have been multiplied by, in words")
    joined_below_A: float | None = Field(default=None, description="shells coarser than this are common to both halves")
    valid_shells: int | None = Field(default=None, description="shells beyond this one are empty or filtered away")
    images: tuple[int | None, int | None] = Field(default=(None, None), description="particle images in each half")


class MaskRecord(Record):
    """One mask: its file, its hash and how it was made."""

    name: str
    path: str | None = None
    sha256: str | None = None
    volume_A3: float = Field(description="sum of the soft mask")
    volume_fraction: float = Field(description="share of the box")
    volume_change: float | None = Field(
        default=None, description="share by which the volume differs from the former round's of this run and class"
    )
    parameters: dict[str, Any] = Field(default_factory=dict)
    note: str | None = None


class Crossing(Record):
    """One place where a curve crosses a level, interpolated linearly in frequency."""

    level: float
    direction: Direction
    shell: int = Field(description="the last shell before the crossing")
    frequency_per_A: float
    resolution_A: float
    depth: float | None = Field(default=None, description="for a way down: how far below the level the curve then goes")
    shells: int | None = Field(default=None, description="for a way down: how many shells it stays there")


class Curve(Record):
    """One Fourier shell correlation curve over the shells 0..N//2, and what was read off it."""

    name: str
    mask: str | None = Field(default=None, description="name of the mask that made this curve")
    correlation: tuple[float | None, ...] = Field(description="null where nothing is measured")
    null_mean: tuple[float | None, ...] | None = Field(default=None, description="mean of the randomised repeats")
    null_sd: tuple[float | None, ...] | None = Field(
        default=None, description="standard deviation of one randomised curve"
    )
    sd: tuple[float | None, ...] | None = Field(
        default=None, description="standard deviation of the correlation itself"
    )
    randomised_from_shell: int | None = None
    crossings: tuple[Crossing, ...] = ()
    resolution_A: float | None = Field(default=None, description="null: never crosses, or not to be scored")
    interval_A: tuple[float, float] | None = Field(
        default=None, description="90 % interval of resolution_A: coarse end, fine end"
    )
    significant_shell: int | None = Field(
        default=None, description="last shell of the first unbroken run above null mean + 3 sd"
    )
    resolution_at_half_A: float | None = None
    rule: str = Field(description="how resolution_A was read off the curve")
    note: str | None = None

    @field_validator("correlation")
    @classmethod
    def _bounded(cls, values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        if not any(v is not None for v in values):
            raise ValueError("a curve needs at least one measured shell")
        return values

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        shells = len(self.correlation)
        if any(values is not None and len(values) != shells for values in (self.null_mean, self.null_sd, self.sd)):
            raise ValueError(f"a curve of {shells} shells has errors of another number of shells")
        return self


class Analysis(Record):
    """Further measurements of the same halves under one mask, made on request."""

    mask: str | None = Field(default=None, description="name of the mask; its corrected curve where there is one")
    independent_voxels: tuple[float, ...] | None = Field(
        default=None, description="of each shell, under the mask and the symmetry"
    )
    half_bit_A: float | None = None
    three_sigma_A: float | None = None
    fdr_A: float | None = Field(default=None, description="false discovery rate of 1 %")
    fdr_q: tuple[float | None, ...] | None = Field(
        default=None, description="rate of false discoveries at which a shell still counts as signal"
    )
    cfar: float | None = Field(default=None, description="conical FSC area ratio; 1 is isotropic")
    cfar_by_chance: float | None = Field(
        default=None, description="a map that is as good in all directions stays above this in 95 of 100 cases"
    )
    cfar_best_A: float | None = None
    cfar_worst_A: float | None = None
    worst_axis: tuple[float, float, float] | None = Field(default=None, description="x, y, z of the worst cone's axis")
    conical_lowest: tuple[float | None, ...] | None = None
    conical_mean: tuple[float | None, ...] | None = None
    conical_highest: tuple[float | None, ...] | None = None
    b_factor_A2: float | None = Field(default=None, description="amplitudes fall by exp(-B s^2 / 4)")
    b_factor_range_A: tuple[float, float] | None = Field(default=None, description="coarse and fine end of the fit")
    b_factor_fit: float | None = Field(default=None, description="share of the variance that the line explains")
    guinier_squared_per_A2: tuple[float, ...] | None = None
    guinier_ln_amplitude: tuple[float, ...] | None = None
    sharpened_path: str | None = Field(default=None, description="FSC-weighted, sharpened map: to look at")


class Line(Record):
    """What all lines of the log have in common."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)


class Start(Line):
    """A watch began."""

    type: Literal["start"] = "start"
    started_at: AwareDatetime
    project: str
    program: str
    versions: dict[str, str]
    settings: dict[str, Any]
    host: str
    pid: int


class RoundRecord(Line):
    """One measured round of one class."""

    type: Literal["round"] = "round"
    program: str
    label: str
    measured_at: AwareDatetime
    key: Key
    stamp: Stamp
    box_px: int
    voxel_size_A: float
    frequency_per_A: tuple[float, ...]
    voxels_in_shell: tuple[int, ...]
    half_maps: HalfMapsRecord | None
    alignment_limit_A: float | None = Field(
        default=None, description="both halves were aligned to one reference up to here"
    )
    reconstruction_limit_A: float | None = Field(
        default=None, description="the program reconstructed no further than this"
    )
    molecular_mass_kDa: float | None = None
    symmetry: str | None = None
    particles: int | None = None
    reported_resolution_A: float | None = Field(default=None, description="the program's own number")
    reported_rule: str | None = Field(default=None, description="how the program read its number off its curve")
    masks: tuple[MaskRecord, ...] = ()
    curves: tuple[Curve, ...] = ()
    analysis: Analysis | None = Field(default=None, description="further measurements, made on request")
    notes: tuple[str, ...] = Field(default=(), description="what a reader must know of this round, in words")
    measured_in_s: float | None = None

    @model_validator(mode="after")
    def _of_one_box(self) -> Self:
        shells = len(self.frequency_per_A)
        odd = [curve.name for curve in self.curves if len(curve.correlation) != shells]
        if odd or len(self.voxels_in_shell) != shells:
            raise ValueError(f"{', '.join(odd) or 'voxels_in_shell'}: has not the {shells} shells of frequency_per_A")
        return self

    def curve(self, name: str) -> Curve | None:
        """The curve of that name, if there is one."""
        return next((c for c in self.curves if c.name == name), None)

    def mask(self, name: str) -> MaskRecord | None:
        """The mask of that name, if there is one."""
        return next((m for m in self.masks if m.name == name), None)

    def headline(self) -> Curve | None:
        """The curve whose resolution is the round's: the corrected one of the most trusted mask, else sphere or unmasked.

        Never a scaled or a reported curve, and none at all where the half maps are filtered.
        """
        if self.half_maps is not None and self.half_maps.origin == "regularised":
            return None
        return best_curve(self.curves)


def best_curve(curves: Sequence[Curve]) -> Curve | None:
    """The corrected curve of the most trusted mask, else sphere or unmasked; never a scaled or a reported one."""
    own = [c.name for c in curves if c.name.endswith("_corrected") and not c.name.startswith(("reported_", "sphere_"))]
    masked = ("automask_corrected", "user_corrected", "refinement_corrected", *own, "automask")
    order = (*masked, "sphere_corrected", "sphere", "unmasked")
    named = {c.name: c for c in curves}
    return next((named[name] for name in order if name in named), None)


class Failed(Line):
    """A round that could not be measured, and why; it is tried again when its input changes."""

    type: Literal["failed"] = "failed"
    failed_at: AwareDatetime
    program: str
    label: str
    key: Key
    stamp: Stamp
    reason: str


class Stop(Line):
    """A watch ended."""

    type: Literal["stop"] = "stop"
    stopped_at: AwareDatetime
    reason: str
    rounds_measured: int
    rounds_failed: int


LogLine = Annotated[Start | RoundRecord | Failed | Stop, Field(discriminator="type")]

LOG_LINE: TypeAdapter[LogLine] = TypeAdapter(LogLine)


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line of the log."""
    schema = LOG_LINE.json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "One line of rounds.jsonl", **schema}
