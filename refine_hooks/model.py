"""What rooms hand to each other: a round, its facts, its half maps, the program's curves and masks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from refine_hooks.errors import InputError
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.files.names import meant, told, told_in

Origin = Literal["found", "merged", "reconstructed", "regularised"]
_RANKS = {None: 0, "regularised": 1, "reconstructed": 2, "merged": 3, "found": 3}

Package = Literal["cistem", "relion"]

Masked = Literal["none", "inscribed_sphere", "sphere", "mask"]
Independence = Literal["independent", "shared_reference", "one_set_of_poses", "unknown"]
ProgramCurve = Literal["fsc", "unmasked", "masked", "corrected", "scaled", "randomised"]
MaskRole = Literal["sphere", "automask", "refinement", "user", "program"]
WarningCode = Literal["fsc_rises_again", "never_below_0.8", "unmasked_beyond_masked", "randomised_fsc_large", "other"]


def rank(origin: Origin | None) -> int:
    """How trustworthy half maps of an origin are: a result never takes the place of one of a higher rank."""
    return _RANKS[origin]


Name = Annotated[str, BeforeValidator(lambda value: told(value) if isinstance(value, str) else value)]
Prose = Annotated[str, BeforeValidator(lambda value: told_in(value) if isinstance(value, str) else value)]


class Record(BaseModel):
    """Frozen, strict about its fields, and without NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Key(Record):
    """Which round: ``RUN/ITERATION/CLASS`` on the command line. A run may hold slashes; classes count from 1."""

    run: Name = Field(min_length=1)
    iteration: int = Field(ge=0)
    class_id: int = Field(ge=1)

    def __hash__(self) -> int:
        """As quickly as it can be had: thousands of rounds are known by their keys."""
        return hash((self.run, self.iteration, self.class_id))

    def __str__(self) -> str:
        return f"{self.run}/{self.iteration}/{self.class_id}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        """The key that ``text`` spells.

        Raises:
            InputError: ``text`` is not RUN/ITERATION/CLASS.
        """
        run, _, rest = text.rpartition("/")
        run, _, iteration = run.rpartition("/")
        if not run or not iteration.isdecimal() or not rest.isdecimal() or int(rest) < 1:
            raise InputError(f"{text!r} is not the key of a round: give RUN/ITERATION/CLASS as the tables print it")
        return cls(run=run, iteration=int(iteration), class_id=int(rest))


class Reported(Record):
    """The program's own number of a round: its resolution, the level of the FSC that it was read at, and its rule in words."""

    resolution_A: float
    level: float | None = Field(default=None, description="null where no level of an FSC was used, or it is not known")
    rule: Prose | None = Field(default=None, description="in words")


class ProgramWarning(Record):
    """A warning that the program itself gave of a round or of its run."""

    code: WarningCode
    text: Prose = Field(description="the program's own words")
    source: Prose | None = Field(default=None, description="where it was read")


class ProgramMaskParameters(Record):
    """How the program made its mask, as far as it tells; lengths in Angstrom."""

    kind: Literal["program"] = "program"
    made: Literal["supplied", "automask", "none"] | None = Field(
        default=None, description="given to the program, made by it, or not used at all; null where nobody knows"
    )
    source: Prose | None = Field(default=None, description="in words")
    file: Name | None = None
    radius_A: float | None = None
    filter_A: float | None = None
    rebin: float | None = Field(default=None, description="share of the strongest voxels that cisTEM's automask keeps")
    centring_undone_px_xyz: tuple[int, int, int] | None = None
    refinement_edge_A: float | None = Field(default=None, description="width of the edge in the refinement")
    outside_weight: float | None = Field(default=None, description="what the density outside is multiplied by")


class InputFile(Record):
    """One input of a round as it was when the round was measured.

    ``name`` is relative to the project where it can be, and told as `refine_hooks.files.names` does; ``path`` is usable.
    """

    name: Name
    size: int
    mtime_ns: int

    @property
    def path(self) -> Path:
        """Where it is, relative to the project where it can be."""
        return Path(meant(self.name))


class Fingerprint(Record):
    """The inputs of a round: a round is measured again when they change."""

    inputs: tuple[InputFile, ...] = ()
    revision: str = Field(
        default="", description="what the program's own book-keeping says of this state, e.g. a reconstruction id"
    )


class Changes(Record):
    """How much the particles' parameters changed since the iteration before, as the program counts it."""

    orientations_deg: float | None = None
    offsets_A: float | None = None
    classes: float | None = Field(default=None, description="share of the particles that went to another class")


class Accuracy(Record):
    """By how much the program itself says that its angles and shifts err."""

    rotations_deg: float | None = None
    offsets_A: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the refinement program says of a round; None where it says nothing. All that is passed on to the measurement.

    Attributes:
        own_numbers: the key's iteration does not count the rounds of this run: ``number`` does, None where it is not known.
    """

    voxel_size_A: float | None = None
    molecular_mass_kDa: float | None = None
    sphere_radius_A: float | None = None
    alignment_limit_A: float | None = None
    reconstruction_limit_A: float | None = None
    symmetry: str | None = None
    particles: int | None = None
    reported: Reported | None = None
    changes: Changes | None = None
    accuracy: Accuracy | None = None
    program_warnings: tuple[ProgramWarning, ...] = ()
    own_numbers: bool = False
    number: int | None = None
    notes: tuple[str, ...] = ()


# What a round waits for whose half maps the program will write over or clear: they are measured from a copy.
KEPT_FIRST = "a copy of its half maps, which the program writes over or clears: it is made first, once they are at rest"


_serials = count(1)


@dataclass(frozen=True, slots=True)
class Former:
    """A key that a round may have been measured under before the program had named it.

    Attributes:
        since_ns: no input of that round was older; only where its inputs are gone and this tells that they were its inputs.
    """

    key: Key
    since_ns: int | None = None


@runtime_checkable
class TellsOrigin(Protocol):
    """An adapter's inputs of a round that say where its half maps will come from before anything is read."""

    @property
    def origin(self) -> Origin | None:
        """None: there are none."""


@runtime_checkable
class TellsStart(Protocol):
    """An adapter's inputs of a round that say whether it is the state before the first iteration."""

    @property
    def starting(self) -> bool:
        """Whether nothing has been refined in it."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one class as it is on disk now; made anew at every look.

    Attributes:
        missing: what is still awaited, in words; a round is measured only when nothing is.
        fault: why it cannot be measured as it stands; recorded as failed, tried again when ``fingerprint`` changes.
        complete: the inputs prove by their own contents that they are whole, so no time has to pass.
        inputs: whatever the adapter needs to find the halves again (a dataclass of paths, never open files), which may be
            `TellsOrigin` and `TellsStart`.
        formerly: what the same inputs may have been measured as before the program had named this round.
        serial: of this object's making. A round that an adapter gives from memory, because nothing of it has changed, keeps it.
    """

    key: Key
    program: str
    label: str
    fingerprint: Fingerprint
    facts: Facts = Facts()
    missing: tuple[str, ...] = ()
    fault: str | None = None
    complete: bool = False
    inputs: Any = None
    formerly: tuple[Former, ...] = ()
    serial: int = field(default_factory=lambda: next(_serials), init=False, compare=False, repr=False)

    @property
    def origin(self) -> Origin | Literal["unknown"] | None:
        """Where the half maps will come from, told before anything is read: None for nowhere, ``unknown`` where no one says."""
        return self.inputs.origin if isinstance(self.inputs, TellsOrigin) else "unknown"

    @property
    def starting(self) -> bool:
        """Whether it is the state before the first iteration, as the adapter's inputs say: nothing has been refined in it."""
        return isinstance(self.inputs, TellsStart) and self.inputs.starting


@dataclass(frozen=True, slots=True)
class HalfMaps:
    """Two half maps in memory, where they come from and what is known to be wrong with them.

    Attributes:
        paths: None for maps that exist nowhere yet; the run writes them into the store.
        masked: what they have been multiplied by; ``masked_by`` says it in words.
        independence: whether noise can agree in the two by the way they were refined.
        joined_below_A: shells coarser than this are common to both.
        valid_shells: the last shell with data of their own.
        of_sums: the program's own curves by name, counted its way from the very sums that these halves were made of.
        measured: records of tests that were made while they were.
    """

    half1: Map
    half2: Map
    origin: Origin
    paths: tuple[Path, Path] | None = None
    masked: Masked = "none"
    masked_by: str | None = None
    independence: Independence = "unknown"
    joined_below_A: float | None = None
    valid_shells: int | None = None
    images: tuple[int | None, int | None] = (None, None)
    notes: tuple[str, ...] = ()
    of_sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    measured: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class FscCurve:
    """One curve of the program's own, over the shells 0..N//2; NaN where it has no value.

    Attributes:
        name: without the "reported_" that the record puts before it.
        made: which curve it is: of the whole maps, under a mask, corrected for it, scaled to the particle's volume, of
            randomised phases; ``fsc`` where the program has one curve and calls it so.
        mask: name of the mask that it was measured under, where the same mask is measured under here, too: the curves of one
            kind under one mask should be one curve.
        resolution_A: what the program reads off it, at ``level``, by ``rule``.
        count: the FSC of two volumes under the refinement's mask as this program counts it; the record then says how well the
            reported curve is had again from the half maps at hand.
    """

    name: str
    correlation: NDArray[np.float64]
    made: ProgramCurve = "fsc"
    resolution_A: float | None = None
    level: float | None = None
    rule: str = "as the program states it"
    note: str | None = None
    count: Callable[[Volume, Volume, Volume], NDArray[np.float64]] | None = None
    mask: str | None = None


@dataclass(frozen=True, slots=True)
class ProgramMask:
    """The mask that the refinement itself used, in the frame of the half maps; ``mask`` is None when it cannot be had.

    Attributes:
        cistem_edge: any voxel above 0 counts, and the edge is the one that cisTEM gives a mask before an FSC.
        of_a_part: it is of one part of the particle, such as a body, and leaves out the others on purpose.
    """

    mask: Map | None
    path: Path | None = None
    parameters: ProgramMaskParameters = field(default_factory=ProgramMaskParameters)
    note: str | None = None
    cistem_edge: bool = False
    of_a_part: bool = False


def fingerprint_of(directory: Path, paths: Iterable[Path], revision: str = "") -> Fingerprint:
    """Names, sizes and mtimes of files as they are now; names below ``directory`` are made relative to it.

    A file that is gone is left out: the fingerprint then differs, which is the truth.
    """
    inputs = []
    for path in sorted(set(paths)):
        try:
            status = path.stat()
        except OSError:
            continue
        name = str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)
        inputs.append(InputFile(name=name, size=status.st_size, mtime_ns=status.st_mtime_ns))
    return Fingerprint(inputs=tuple(inputs), revision=revision)


def duration(seconds: float) -> str:
    """A time as people say it: 42 s, 7 min, 3 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
