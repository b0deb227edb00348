"""The iterations of cryoSPARC's jobs as rounds, and half maps saved before intermediate results are cleared."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.files.mrc import MrcHeader, read_header
from refine_hooks.files.names import told
from refine_hooks.model import KEPT_FIRST, Facts, Fingerprint, InputFile, Key, Origin, Reported, Round, fingerprint_of
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs._overwritten import Kept
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cryosparc.files import MASKS, Iteration, Job, Listing, Series, job_folders, list_job
from refine_hooks.programs.cryosparc.job import filter_radii_of, iterations_summarised, log_of, summary_of

# All maps and masks of an iteration are written one after another: time for the masks to come.
_STILL_S = 15.0
RULE = "where cryoSPARC's own curve ({label}) crosses 0.143"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where the maps and masks of a round are; ``halves`` is None where there are none.

    Attributes:
        kept: what was saved of this round.
        masks: by the names of `MASKS`, saved or in the job folder.
        curves: files of FSC tables, each with whether it is of the tightened mask.
        like: a map of another iteration of this class: it has the same box and voxel size.
    """

    job: Job
    iteration: Iteration
    origin: Origin | None
    halves: tuple[Path, Path] | None
    kept: Kept | None
    masks: dict[str, Path]
    curves: tuple[tuple[Path, bool], ...]
    particle_tables: frozenset[str]
    like: Path | None = None


def capture(directory: Path, spool: Path, memory: Memory, keep_free_bytes: int) -> list[Path]:
    """Link (where that cannot be: copy) the half maps and masks of every iteration of jobs that still run.

    Raises:
        StorageError: the spool cannot be written to.
    """
    saved: list[Path] = []
    for job in job_folders(directory, memory):
        if not job.running:
            continue
        there = list_job(job).iterations
        for iteration in there:
            if iteration.halves is not None:
                first, second = (job.folder / name for name in iteration.halves)
                masks = [job.folder / iteration.files[what] for what in MASKS.values() if what in iteration.files]
                saved += overwritten.keep(
                    (first, second),
                    _number(iteration, _last(there, iteration.series)),
                    _spooled(spool, job, iteration.series),
                    spool=spool,
                    beside_it=masks,
                    whole=overwritten.whole_mrc,
                    rewritten=False,
                    still_s=_STILL_S,
                    keep_free_bytes=keep_free_bytes,
                )
    return saved


def _run(job: Job, part: str) -> str:
    return f"{job.run}/{part}" if part else job.run


def _spooled(spool: Path, job: Job, series: Series) -> Path:
    part, class_index = series
    return overwritten.spool_folder(spool, "cryosparc", _run(job, part), (class_index or 0) + 1)


def _last(there: list[Iteration], series: Series) -> int:
    """The highest number that an iteration of a class has; ``final`` comes after it."""
    return max((each.number or 0 for each in there if each.series == series), default=0)


def _number(iteration: Iteration, last: int) -> int:
    if iteration.number == -1:
        return last + 1
    return iteration.number or 0


def _label(iteration: Iteration) -> str:
    if iteration.number is None:
        return "reconstruction"
    return "final" if iteration.number == -1 else f"it{iteration.number:03d}"


def rounds(directory: Path, spool: Path, memory: Memory) -> Iterator[Round]:
    """Every iteration and class of every refinement, those whose files were saved and are gone since included."""
    for job in job_folders(directory, memory):
        listing = list_job(job)
        for series in _all_series(job, listing, spool):
            kept = overwritten.kept(_spooled(spool, job, series))
            yield from _of_class(directory, job, listing, series, kept)


def _all_series(job: Job, listing: Listing, spool: Path) -> list[Series]:
    there = {iteration.series for iteration in listing.iterations}
    if not there and overwritten.kept(_spooled(spool, job, ("", None))):
        return [("", None)]
    return sorted(there, key=lambda series: (series[0], -1 if series[1] is None else series[1]))


def _of_class(directory: Path, job: Job, listing: Listing, series: Series, kept: dict[int, Kept]) -> Iterator[Round]:
    there = [iteration for iteration in listing.iterations if iteration.series == series]
    last = _last(there, series)
    numbers = {_number(iteration, last): iteration for iteration in there}
    for number in kept.keys() - numbers.keys():
        numbers[number] = Iteration(series[1], number, "", part=series[0])
    newest = max(numbers, default=0)
    cleared = _reported_iterations(job, listing, series[1]) if series[0] == "" else set()
    for number in cleared - numbers.keys():
        if number < newest:
            numbers[number] = Iteration(series[1], number, "", part=series[0])
    for number, iteration in sorted(numbers.items()):
        yield _round(directory, job, listing, number, iteration, kept.get(number), newest=number == newest)


def _reported_iterations(job: Job, listing: Listing, class_index: int | None) -> set[int]:
    """The iterations of a class of which cryoSPARC's curves are known, whether its maps are there or were cleared."""
    found = {number for of_class, number, _ in listing.curves if of_class == class_index}
    return found | set(iterations_summarised(job.table, class_index))


def _round(
    directory: Path, job: Job, listing: Listing, number: int, iteration: Iteration, kept: Kept | None, newest: bool
) -> Round:
    key = Key(run=_run(job, iteration.part), iteration=number, class_id=(iteration.class_index or 0) + 1)
    label = _label(iteration)
    inputs = _inputs(job, listing, number, iteration, kept)
    fingerprint = _fingerprint(directory, job, iteration, inputs)
    ended = job.over
    missing = _missing(inputs, newest=newest, ended=ended)
    if missing:
        return Round(key, "cryosparc", label, fingerprint, missing=missing, inputs=inputs)
    try:
        facts, fault = _facts(inputs, number), None
    except NotReadyError as error:
        return Round(key, "cryosparc", label, fingerprint, missing=error.faults, inputs=inputs)
    except RefineHooksError as error:
        facts, fault = Facts(), str(error)
    complete = fault is None and (ended or not newest)
    return Round(key, "cryosparc", label, fingerprint, facts, fault=fault, complete=complete, inputs=inputs)


def _inputs(job: Job, listing: Listing, number: int, iteration: Iteration, kept: Kept | None) -> Inputs:
    masks = {name: job.folder / iteration.files[what] for name, what in MASKS.items() if what in iteration.files}
    halves = None
    if kept is not None and kept.halves is not None:
        halves = kept.halves
        masks |= {
            name: kept.folder / file.name
            for file in kept.files[2:]
            for name, what in MASKS.items()
            if file.name.endswith(f"{what}.mrc")
        }
    elif iteration.halves is not None:
        first, second = iteration.halves
        halves = (job.folder / first, job.folder / second)
    curves = [
        (job.folder / listing.curves[iteration.class_index, number, tightened], tightened)
        for tightened in (False, True)
        if (iteration.class_index, number, tightened) in listing.curves
    ]
    origin: Origin | None = "found" if halves is not None else None
    maps = [each.files[""] for each in listing.iterations if each.series == iteration.series and "" in each.files]
    like = job.folder / maps[0] if maps else None
    return Inputs(job, iteration, origin, halves, kept, masks, tuple(curves), listing.particle_tables, like)


def _fingerprint(directory: Path, job: Job, iteration: Iteration, inputs: Inputs) -> Fingerprint:
    """The two halves, under the names that they have or had; the same whether they were saved or not."""
    if inputs.kept is not None:
        where = job.folder.relative_to(directory) if job.folder.is_relative_to(directory) else job.folder
        return Fingerprint(inputs=tuple(_renamed(file, where) for file in inputs.kept.files[:2]))
    names = iteration.halves or tuple(iteration.files.values())
    return fingerprint_of(directory, [job.folder / name for name in names])


def _renamed(file: InputFile, where: Path) -> InputFile:
    return file.model_copy(update={"name": told(str(where / file.path))})


def _missing(inputs: Inputs, *, newest: bool, ended: bool) -> tuple[str, ...]:
    """What is awaited; a job of classes has no halves, and what is older than the newest iteration will not come any more.

    While a job runs only what was saved is measured: a record must not name files that are cleared an hour later.
    """
    there = inputs.iteration.files
    halves = [half for half in ("_half_A", "_half_B") if half not in there]
    if inputs.halves is not None and inputs.kept is None and inputs.job.running:
        return (KEPT_FIRST,)
    if inputs.halves is not None or inputs.kept is not None or ended or not newest:
        return ()
    if len(halves) == 2 and (inputs.job.table.classes or inputs.iteration.class_index is not None):
        return ()
    return tuple(f"{inputs.iteration.stem}_volume_map{half}.mrc" for half in halves)


def _facts(inputs: Inputs, number: int) -> Facts:
    table = inputs.job.table
    notes = []
    if inputs.halves is None and inputs.kept is None:
        notes.append(
            "cryoSPARC writes no half maps of a class"
            if table.classes or inputs.iteration.class_index is not None
            else "the half maps of this iteration are not there: cryoSPARC cleared them before they could be kept"
        )
    elif table.classes:
        notes.append("both halves of a class were aligned to one reference: their FSC tells of consistency only")
    if table.type:
        notes.append(f"cryoSPARC {table.version} {table.type}".replace("  ", " "))
    headers = [inputs.job.memory.file(read_header, path) for path in inputs.halves or _maps(inputs)]
    voxel_size_A = headers[0].voxel_size_A[0] if headers else None
    crossed = _crossed(inputs, number, headers)
    resolution_A, label = _reported_resolution(inputs, number, crossed)
    if crossed:
        readings = ", ".join(f"{name} {at_A:.2f} A" for name, at_A in crossed.items())
        notes.append(f"cryoSPARC read off its own curves at 0.143: {readings}")
    return Facts(
        voxel_size_A=voxel_size_A or None,
        alignment_limit_A=None if inputs.iteration.number is None else table.split_A,
        symmetry=table.symmetry,
        particles=table.particles.get(number),
        reported=Reported(resolution_A=resolution_A, level=0.143, rule=RULE.format(label=label))
        if resolution_A
        else None,
        notes=tuple(notes),
    )


def _maps(inputs: Inputs) -> list[Path]:
    name = inputs.iteration.files.get("")
    return [inputs.job.folder / name] if name else [inputs.like] if inputs.like else []


def _crossed(inputs: Inputs, number: int, headers: list[MrcHeader]) -> dict[str, float]:
    """Where each of cryoSPARC's curves of this iteration crosses 0.143, in Angstrom, by its label in the log."""
    crossings = log_of(inputs.job.folder, inputs.job.memory).crossings
    if inputs.iteration.class_index is not None or inputs.iteration.number != number or number >= len(crossings):
        return {}
    extent_A = headers[0].nx * headers[0].voxel_size_A[0] if headers else 0.0
    return {label: extent_A / shell for label, shell in crossings[number].items() if extent_A > 0 and shell > 0}


def _reported_resolution(inputs: Inputs, number: int, crossed_A: dict[str, float]) -> tuple[float | None, str]:
    """The last curve's: cryoSPARC filters by it. From the exported event log, else from the log of the process."""
    label = next(reversed(crossed_A), "the one that it filters by")
    if inputs.iteration.class_index is not None or inputs.iteration.number != number:
        return None, ""
    summary = summary_of(inputs.job.table, number, None)
    stated_A = summary.resolution_A if summary is not None else None
    return filter_radii_of(inputs.job.folder, inputs.job.memory).get(number) or crossed_A.get(label) or stated_A, label
