"""What rooms hand to each other: a round, its facts, its half maps, the program's curves and masks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from refine_hooks.errors import InputError
from refine_hooks.files.mrc import Map, Volume

Origin = Literal["found", "merged", "reconstructed", "regularised"]

Package = Literal["cistem", "relion"]


class Record(BaseModel):
    """Frozen, strict about its fields, and without NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Key(Record):
    """Which round: ``RUN/ITERATION/CLASS`` on the command line. A run may hold slashes; classes count from 1."""

    run: str = Field(min_length=1)
    iteration: int = Field(ge=0)
    class_id: int = Field(ge=1)

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


class InputFile(Record):
    """One input of a round as it was when the round was measured; ``name`` is relative to the project where it can be."""

    name: str
    size: int
    mtime_ns: int


class Stamp(Record):
    """The inputs of a round: a round is measured again when they change."""

    inputs: tuple[InputFile, ...] = ()
    revision: str = Field(
        default="", description="what the program's own book-keeping says of this state, e.g. a reconstruction id"
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What the refinement program says of a round; None where it says nothing. All that is passed on to the measurement."""

    voxel_size_A: float | None = None
    molecular_mass_kDa: float | None = None
    sphere_radius_A: float | None = None
    alignment_limit_A: float | None = None
    reconstruction_limit_A: float | None = None
    symmetry: str | None = None
    particles: int | None = None
    reported_resolution_A: float | None = None
    reported_rule: str | None = None
    notes: tuple[str, ...] = ()


# What a round waits for whose half maps the program will write over: they are measured from a copy.
KEPT_FIRST = "a copy of its half maps, which the program writes over: it is made first"


_serials = count(1)


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one class as it is on disk now; made anew at every look.

    Attributes:
        missing: what is still awaited, in words; a round is measured only when nothing is.
        fault: why it cannot be measured as it stands; recorded as failed, tried again when ``stamp`` changes.
        complete: the inputs prove by their own contents that they are whole, so no time has to pass.
        inputs: whatever the adapter needs to find the halves again (a dataclass of paths, never open files). Its ``origin``,
            where it has one, says before anything is read where the half maps will come from (None: there are none).
        serial: of this object's making. A round that an adapter gives from memory, because nothing of it has changed, keeps it.
    """

    key: Key
    program: str
    label: str
    stamp: Stamp
    facts: Facts = Facts()
    missing: tuple[str, ...] = ()
    fault: str | None = None
    complete: bool = False
    inputs: Any = None
    serial: int = field(default_factory=lambda: next(_serials), init=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class HalfMaps:
    """Two half maps in memory, where they come from and what is known to be wrong with them.

    ``paths`` is None for maps that exist nowhere yet; the run writes them into the store.
    """

    half1: Map
    half2: Map
    origin: Origin
    paths: tuple[Path, Path] | None = None
    masked_by: str | None = None
    joined_below_A: float | None = None
    valid_shells: int | None = None
    images: tuple[int | None, int | None] = (None, None)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FscCurve:
    """One curve of the program's own, over the shells 0..N//2; NaN where it has no value.

    Attributes:
        name: without the "reported_" that the record puts before it.
        count: the FSC of two volumes under the refinement's mask as this program counts it; the record then says how well the
            reported curve is had again from the half maps at hand.
    """

    name: str
    correlation: NDArray[np.float64]
    resolution_A: float | None = None
    rule: str = "as the program states it"
    note: str | None = None
    count: Callable[[Volume, Volume, Volume], NDArray[np.float64]] | None = None


@dataclass(frozen=True, slots=True)
class ProgramMask:
    """The mask that the refinement itself used, in the frame of the half maps; ``mask`` is None when it cannot be had.

    Attributes:
        cistem_edge: any voxel above 0 counts, and the edge is the one that cisTEM gives a mask before an FSC.
    """

    mask: Map | None
    path: Path | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    cistem_edge: bool = False
