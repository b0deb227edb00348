"""Everything that is written into the log, as frozen and strict pydantic models.

One line of ``rounds.jsonl`` is one of `Start`, `RoundRecord`, `Failed` or `Stop`, told apart by ``type``. Lengths are in
Angstrom (``_A``), frequencies in 1/Angstrom (``_per_A``), masses in kDa. There is no NaN and no infinity: what is not defined
is ``null``.

Writers are strict: a field that is not declared here is refused. Readers (`refine_hooks.log.lines`) pass over fields that they
do not know, and turn lines of schema 1 into these records.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, TypeAdapter, field_validator, model_validator

from refine_hooks.files.names import told
from refine_hooks.log.checks import Checks
from refine_hooks.log.convergence import Convergence
from refine_hooks.log.curves import Curve, CurveKind
from refine_hooks.log.directions import Along, Sampling
from refine_hooks.log.local import LocalResolution
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.particles import MoreParticles, Substitution
from refine_hooks.model import (
    Accuracy,
    Changes,
    Fingerprint,
    Independence,
    Key,
    Masked,
    MaskRole,
    Name,
    Origin,
    ProgramCurve,
    ProgramWarning,
    Prose,
    Record,
    Reported,
)

if TYPE_CHECKING:
    pass

SCHEMA_VERSION = 2

Withheld = Literal["no_half_maps", "filtered", "masked", "no_signal", "nothing_measured"]


class HalfMapsRecord(Record):
    """Where the two half maps are, how they came about, and what is known to be wrong with them."""

    origin: Origin
    independence: Independence = Field(
        default="unknown",
        description="whether noise can agree in the halves by the way they were refined; the limit is alignment_limit_A",
    )
    paths: tuple[Name, Name] | None = Field(
        default=None, description="relative to the log's folder; null when retention removed them"
    )
    masked: Masked = Field(default="none", description="what the maps have been multiplied by")
    masked_by: Prose | None = Field(default=None, description="the same in words")
    joined_below_A: float | None = Field(default=None, description="up to this resolution both halves are one map")
    valid_shells: int | None = Field(default=None, description="shells beyond this one are empty or filtered away")
    images: tuple[int | None, int | None] = Field(default=(None, None), description="particle images in each half")


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
    along: tuple[Along, ...] = Field(
        default=(), description="resolution along x, y and z, and along the best and the worst axis"
    )
    signal_to_noise: tuple[float, ...] = Field(
        default=(),
        description="S / N over its mean in cones about 256 axes, from half the resolution's frequency to it",
    )
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

    schema_version: int = Field(default=SCHEMA_VERSION, ge=SCHEMA_VERSION, le=SCHEMA_VERSION)


class Start(Line):
    """A watch began."""

    type: Literal["start"] = "start"
    started_at: AwareDatetime
    project: Name
    program: str
    versions: dict[str, str]
    settings: dict[str, Any]
    host: str
    pid: int

    @field_validator("settings", mode="before")
    @classmethod
    def _told(cls, settings: Any) -> Any:
        """Settings name files, too."""
        return _names_told(settings)


def _names_told(value: Any) -> Any:
    if isinstance(value, dict):
        return {_names_told(name): _names_told(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_names_told(one) for one in value]
    return told(value) if isinstance(value, str) else value


class RoundRecord(Line):
    """One measured round of one class."""

    type: Literal["round"] = "round"
    program: str
    label: Name
    measured_at: AwareDatetime
    key: Key
    fingerprint: Fingerprint
    number: int | None = Field(
        default=None, description="what counts the rounds of this run without a gap, where anything does"
    )
    box_px: int
    voxel_size_A: float
    frequency_per_A: tuple[float, ...]
    voxels_in_shell: tuple[int, ...]
    symmetry: str | None = None
    half_maps: HalfMapsRecord | None
    alignment_limit_A: float | None = Field(
        default=None, description="both halves were aligned to one reference up to here"
    )
    reconstruction_limit_A: float | None = Field(
        default=None, description="the program reconstructed no further than this"
    )
    molecular_mass_kDa: float | None = None
    particles: int | None = None
    reported: Reported | None = Field(default=None, description="the program's own number")
    changes: Changes | None = Field(default=None, description="since the iteration before, by the program's own count")
    accuracy: Accuracy | None = Field(default=None, description="of the angles and shifts, as the program states it")
    program_warnings: tuple[ProgramWarning, ...] = ()
    headline: str | None = Field(
        default=None,
        description="name of the curve that the round's resolution is read off; the program's own where ours is withheld",
    )
    headline_withheld: tuple[Withheld, ...] = Field(
        default=(), description="why none of the curves that were measured here is the headline"
    )
    masks: tuple[MaskRecord, ...] = ()
    curves: tuple[Curve, ...] = ()
    checks: Checks | None = Field(default=None, description="what was tested of the halves, with the numbers")
    analysis: Analysis | None = Field(default=None, description="further measurements, made on request")
    sampling: Sampling | None = Field(
        default=None, description="how often each direction was seen, by the particles' angles"
    )
    local: LocalResolution | None = Field(
        default=None, description="where the map is good, of the rounds that it was measured of"
    )
    more_particles: MoreParticles | None = Field(
        default=None, description="what more particles would give, where half maps were made of subsets, too"
    )
    substitution: Substitution | None = Field(
        default=None, description="noise that the angles were fitted to, where images were substituted"
    )
    convergence: Convergence | None = Field(
        default=None, description="whether the map still changes and gets better, of a round that was the newest"
    )
    notes: tuple[Prose, ...] = Field(default=(), description="what a reader must know of this round, in words")
    measured_in_s: float | None = None
    supersedes: Key | None = Field(
        default=None,
        description="the key that these inputs stood under before the program named the round; its lines before this one count "
        "no more",
    )

    @model_validator(mode="after")
    def _of_one_box(self) -> Self:
        shells = len(self.frequency_per_A)
        odd = [curve.name for curve in self.curves if len(curve.correlation) != shells]
        if odd or len(self.voxels_in_shell) != shells:
            raise ValueError(f"{', '.join(odd) or 'voxels_in_shell'}: has not the {shells} shells of frequency_per_A")
        return self

    def curve(self, name: str | None) -> Curve | None:
        """The curve of that name, if there is one."""
        return next((c for c in self.curves if c.name == name), None)

    def mask(self, name: str | None) -> MaskRecord | None:
        """The mask of that name, if there is one."""
        return next((m for m in self.masks if m.name == name), None)

    def under(self, mask: str | None, kind: CurveKind = "measured") -> Curve | None:
        """The curve of a kind under the mask of that name, or under none; never one of the program's own."""
        return next((c for c in self.curves if c.mask == mask and c.kind == kind and not c.of_program), None)

    def under_role(self, role: MaskRole | None, kind: CurveKind = "measured") -> Curve | None:
        """The first curve of a kind under a mask of that role, or under none; never one of the program's own."""
        return next((c for c in self.curves if c.kind == kind and not c.of_program and self.role(c) == role), None)

    def reported_curve(self, *made: ProgramCurve) -> Curve | None:
        """The first of the program's own curves that is one of these, in this order."""
        return next((c for one in made for c in self.curves if c.made == one), None)

    def role(self, curve: Curve) -> MaskRole | None:
        """What the mask of a curve is there for; None where it has none, and the user's where nothing is recorded of it."""
        mask = self.mask(curve.mask)
        return mask.role if mask is not None else None if curve.mask is None else "user"

    def quoted(self) -> Curve | None:
        """The headline's curve, the program's own one included."""
        return self.curve(self.headline)

    def headline_curve(self) -> Curve | None:
        """The headline's curve where it was measured here; None where only the program's own number is there."""
        curve = self.quoted()
        return None if curve is None or curve.of_program else curve

    def _repr_html_(self) -> str:
        from refine_hooks.log.notebook import curves_svg, table_html

        names = ("curve", "kind", "mask", "resolution_A", "worst_A", "best_A")
        numbers = ((*(curve.interval_A or (None, None)), curve) for curve in self.curves)
        cells = [(one.name, one.kind, one.mask, one.resolution_A, worst, best) for worst, best, one in numbers]
        drawn = [one for one in (self.quoted(), self.under_role("automask"), self.under(None)) if one is not None]
        quoted = f"; headline {self.headline}" if self.headline else ""
        caption = f"{self.key} {self.label}, {self.box_px} px of {self.voxel_size_A:g} A{quoted}"
        picture = curves_svg(
            self.frequency_per_A,
            {one.name: one.correlation for one in drawn},
            drawn[0].threshold if drawn else 0.0,
        )
        return picture + table_html(caption, names, [dict(zip(names, row, strict=True)) for row in cells])


class Failed(Line):
    """A round that could not be measured, and why; it is tried again when its input changes."""

    type: Literal["failed"] = "failed"
    failed_at: AwareDatetime
    program: str
    label: Name
    key: Key
    fingerprint: Fingerprint
    reason: Prose


class Stop(Line):
    """A watch ended."""

    type: Literal["stop"] = "stop"
    stopped_at: AwareDatetime
    reason: Prose
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
