"""One look at one run of a job, and the rounds that are made of what it finds."""

from dataclasses import dataclass, replace
from pathlib import Path

from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.model import Facts, Independence, Key, Origin, Round, fingerprint_of
from refine_hooks.programs.relion.files import Iteration, Job, Listing
from refine_hooks.programs.relion.notes import facts_of, run_warnings
from refine_hooks.programs.relion.particles import other_pixel_size, pixel_sizes_A
from refine_hooks.programs.relion.tables import Model, Optimiser, PostProcess, read_optimiser
from refine_hooks.settings import Settings


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is needed to find a round's half maps, curves and masks again."""

    job: Job
    stem: str
    kind: str
    number: int
    final: bool
    origin: Origin | None
    halves: tuple[Path, Path] | None
    model: Model | None
    optimiser: Optimiser | None
    images: tuple[int | None, int | None] = (None, None)
    postprocess: PostProcess | None = None
    independence: Independence = "unknown"
    data: Path | None = None

    @property
    def particles_table(self) -> Path:
        """The round's own table of particles, which may not be there (any more)."""
        return self.data or self.job.folder / f"{self.stem}_data.star"

    @property
    def starting(self) -> bool:
        """Whether the halves are one starting reference, and the angles those that the particles came with."""
        return self.stem.endswith("_it000")


@dataclass(frozen=True, slots=True)
class View:
    """One look at one run: the rounds of one root name in a job folder."""

    directory: Path
    job: Job
    listing: Listing
    iterations: list[Iteration]
    settings: Settings
    spool: Path

    def path(self, iteration: Iteration, half: int, what: str) -> Path:
        """Where a file of an iteration is; half 0 stands for both."""
        half_name = f"_half{half}" if half else ""
        return self.job.folder / f"{iteration.stem}{half_name}_{what}"

    def run(self, root: str, kind: str) -> str:
        """The run that a key names: the job, and what tells several in it apart."""
        suffix = "" if root == "run" else f"/{root}"
        bodies = "/bodies" if kind == "body" and not self.job.run.startswith("MultiBody/") else ""
        return f"{self.job.run}{suffix}{bodies}"

    def before(self, iteration: Iteration) -> Iteration | None:
        """The last numbered iteration with tables, before this one."""
        known = [i for i in self.iterations if i.number is not None and has_tables(i)]
        if iteration.number is not None:
            known = [i for i in known if i.number is not None and i.number < iteration.number]
        return known[-1] if known else None

    def optimiser(self, iteration: Iteration) -> Optimiser | None:
        """This iteration's settings; RELION 3 writes none at the end, so the last there are."""
        for candidate in (iteration, self.before(iteration)):
            if candidate is not None and (0, "optimiser.star") in candidate.files:
                try:
                    return self.job.memory.file(read_optimiser, self.path(candidate, 0, "optimiser.star"))
                except RefineHooksError:
                    continue
        return None


def has_tables(iteration: Iteration) -> bool:
    """Whether the model tables of an iteration are there."""
    return any(what == "model.star" for _, what in iteration.files)


def inputs_of(
    view: View,
    iteration: Iteration,
    kind: str,
    number: int,
    model: Model | None,
    origin: Origin | None,
    halves: tuple[Path, Path] | None,
) -> Inputs:
    """What finds the half maps of a round again; ``model`` and ``halves`` as far as there are any."""
    data = iteration.files.get((0, "data.star"))
    return Inputs(
        job=view.job,
        stem=iteration.stem,
        kind=kind,
        number=number,
        final=iteration.number is None,
        origin=origin,
        halves=halves,
        model=model,
        optimiser=view.optimiser(iteration),
        independence=_independence(iteration),
        data=None if data is None else view.job.folder / data,
    )


def _key(view: View, iteration: Iteration, kind: str, number: int) -> Key:
    before = view.before(iteration)
    at = iteration.number
    if at is None:
        at = 0 if before is None or before.number is None else before.number + 1
    return Key(run=view.run(iteration.series, kind), iteration=at, class_id=max(1, number))


def _label(iteration: Iteration) -> str:
    return "final" if iteration.number is None else f"it{iteration.number:03d}"


def awaited(view: View, iteration: Iteration, kind: str, number: int, missing: tuple[str, ...]) -> Round:
    """A round that lacks something yet."""
    key = _key(view, iteration, kind, number)
    present = [view.job.folder / name for name in iteration.files.values()]
    fingerprint = fingerprint_of(view.directory, present)
    if view.listing.ended:
        fault = f"the job ended before this iteration was complete: {'; '.join(missing)}"
        return Round(key, "relion", _label(iteration), fingerprint, fault=fault)
    return Round(key, "relion", _label(iteration), fingerprint, missing=missing)


def unread(view: View, iteration: Iteration, error: RefineHooksError) -> Round:
    """A round whose tables cannot be read: awaited while they are being written, else at fault."""
    if isinstance(error, NotReadyError):
        return awaited(view, iteration, "class", 1, error.faults)
    present = [view.job.folder / name for name in iteration.files.values()]
    fingerprint = fingerprint_of(view.directory, present)
    return Round(_key(view, iteration, "class", 1), "relion", _label(iteration), fingerprint, fault=str(error))


def round_of(
    view: View,
    iteration: Iteration,
    inputs: Inputs,
    fingerprinted: list[Path],
    *,
    complete: bool = False,
    fault: str | None = None,
    note: str = "",
) -> Round:
    """A round whose tables are whole; only they are its fingerprint, since they are written last and outlive the maps."""
    facts = _facts(view, iteration, inputs)
    if inputs.halves is None and fault is None and _halves_expected(iteration):
        note = "; ".join(filter(None, ["the half maps of this round are not there any more", note]))
    if note:
        facts = replace(facts, notes=(*facts.notes, note))
    return Round(
        _key(view, iteration, inputs.kind, inputs.number),
        "relion",
        _label(iteration),
        fingerprint_of(view.directory, fingerprinted),
        facts=facts,
        fault=fault,
        complete=complete and fault is None,
        inputs=inputs,
    )


def _independence(iteration: Iteration) -> Independence:
    """Halves of a gold-standard refinement have a reference each, but for the one that it begins with."""
    return "independent" if _halves_expected(iteration) and iteration.number != 0 else "shared_reference"


def _halves_expected(iteration: Iteration) -> bool:
    return iteration.split or iteration.number is None


def _facts(view: View, iteration: Iteration, inputs: Inputs) -> Facts:
    samplings = [view.path(i, 0, "sampling.star") for i in view.iterations if (0, "sampling.star") in i.files]
    facts = facts_of(
        memory=view.job.memory,
        model=inputs.model,
        number=inputs.number,
        optimiser=inputs.optimiser,
        images=inputs.images,
        postprocess=inputs.postprocess,
        final=inputs.final,
        first=iteration.number == 0,
        split=_halves_expected(iteration),
        samplings=samplings,
    )
    folders = [view.job.folder, *([inputs.postprocess.path.parent] if inputs.postprocess else [])]
    warnings = tuple(said for folder in folders for said in run_warnings(folder / "run.err", view.job.memory))
    return replace(facts, program_warnings=warnings, notes=(*facts.notes, *_other_pixel_size(inputs)))


def _other_pixel_size(inputs: Inputs) -> tuple[str, ...]:
    """Whether the maps and the particles state two pixel sizes: all numbers here are by that of the maps."""
    if inputs.data is None or inputs.model is None:
        return ()
    try:
        sizes_A = inputs.job.memory.file(pixel_sizes_A, inputs.data)
    except (RefineHooksError, OSError):
        return ()
    other = other_pixel_size(sizes_A, inputs.model.voxel_size_A, inputs.data.name)
    return tuple(f"{note}; what RELION wrote is by the latter" for note in other)
