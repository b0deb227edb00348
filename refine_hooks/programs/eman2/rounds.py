"""The iterations of EMAN2's refinements as rounds, and the copies of their halves before they are filtered."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.files.hdf import read_hdf_header
from refine_hooks.files.reading import positive_number
from refine_hooks.model import Facts, Fingerprint, Key, Origin, Round, fingerprint_of
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs._overwritten import Kept
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.eman2.curves import iteration_of
from refine_hooks.programs.eman2.folder import KINDS, Run, mtime_ns, read_settings, runs
from refine_hooks.programs.hdf import whole_hdf

IN_PLACE = "in_place"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where the halves of a round are to be had.

    Attributes:
        kind: ``in_place`` (as reconstructed, saved before they were filtered), ``raw`` or ``unmasked`` (copies that EMAN2
            makes), empty: the numbered files as they are in the end, filtered and masked.
        kept: everything that was saved of this round.
        masks: files of the masks in force, saved or in the project.
    """

    run: Run
    origin: Origin
    kind: str
    halves: tuple[Path, Path]
    kept: tuple[Kept, ...] = ()
    masks: tuple[Path, ...] = ()


def capture(directory: Path, spool: Path, memory: Memory, keep_free_bytes: int) -> list[Path]:
    """Copy the halves as they were reconstructed, and the copies without a number, each time they are new.

    Raises:
        StorageError: the spool cannot be written to.
    """
    saved: list[Path] = []

    def whole(path: Path) -> bool:
        return whole_hdf(path, memory)

    for run in runs(directory, memory):
        for iteration in run.halves:
            if run.unfiltered_in_place(iteration):
                folder = _folder(spool, run, IN_PLACE)
                saved += overwritten.keep(
                    run.pair(iteration),
                    iteration,
                    folder,
                    spool=spool,
                    whole=whole,
                    still_s=0,
                    keep_free_bytes=keep_free_bytes,
                )
        for kind in KINDS if run.live() else ():
            number = iteration_of(run, kind)
            masks = run.masks_of(number) if kind == "unmasked" and number is not None else []
            saved += overwritten.keep(
                run.unnumbered(kind),
                number,
                _folder(spool, run, kind),
                spool=spool,
                beside_it=masks,
                whole=whole,
                keep_free_bytes=keep_free_bytes,
            )
    return saved


def _folder(spool: Path, run: Run, kind: str) -> Path:
    return overwritten.spool_folder(spool, "eman2", f"{run.name}/{kind}")


def rounds(directory: Path, spool: Path, memory: Memory) -> Iterable[Round]:
    """Every iteration from 1 on; number 0 is the starting map with randomised phases, twice."""
    for run in runs(directory, memory):
        kept = {kind: overwritten.kept(_folder(spool, run, kind)) for kind in (IN_PLACE, *KINDS)}
        for iteration in run.halves:
            if iteration > 0:
                yield _round(directory, run, iteration, {kind: found.get(iteration) for kind, found in kept.items()})


def _round(directory: Path, run: Run, iteration: int, kept: dict[str, Kept | None]) -> Round:
    key, label = Key(run=run.name, iteration=iteration, class_id=1), f"it{iteration:03d}"
    present = [*run.pair(iteration), run.map(iteration)]
    fingerprint = fingerprint_of(directory, present)
    missing = _missing(run, iteration)
    if missing:
        return Round(key, "eman2", label, fingerprint, missing=missing)
    inputs = _inputs(run, iteration, kept)
    for kind, this in kept.items():
        fingerprint = overwritten.with_kept(fingerprint, f"{run.name}/{kind}", this)
    if not inputs.kept and inputs.kind:
        fingerprint = Fingerprint(inputs=(*fingerprint.inputs, *fingerprint_of(directory, inputs.halves).inputs))
    try:
        facts, fault = _facts(run, iteration), None
    except NotReadyError as error:
        return Round(key, "eman2", label, fingerprint, missing=error.faults)
    except RefineHooksError as error:
        facts, fault = Facts(), str(error)
    return Round(
        key, "eman2", label, fingerprint, facts, fault=fault, complete=_complete(run, iteration), inputs=inputs
    )


def _missing(run: Run, iteration: int) -> tuple[str, ...]:
    missing = [path.name for path in run.pair(iteration) if not path.is_file()]
    if ("masked", iteration) not in run.curves and iteration == max(run.halves):
        missing.append(f"the end of post-processing ({run.curve('masked', iteration).name})")
    return tuple(missing)


def _complete(run: Run, iteration: int) -> bool:
    """Whether the times prove that post-processing has ended: curve, then both halves, then the map of all particles."""
    halves_ns = [mtime_ns(path) for path in run.pair(iteration)]
    order = (mtime_ns(run.curve("masked", iteration)), min(halves_ns), max(halves_ns), mtime_ns(run.map(iteration)))
    return order[0] > 0 and list(order) == sorted(order) and whole_hdf(run.map(iteration), run.memory)


def _inputs(run: Run, iteration: int, kept: dict[str, Kept | None]) -> Inputs:
    saved = tuple(this for this in kept.values() if this is not None)
    masks = tuple(run.masks_of(iteration))
    post = kept["unmasked"]
    if post is not None and not post.discarded:
        masks = tuple(post.folder / file.name for file in post.files[2:]) or masks
    for kind in (IN_PLACE, *KINDS):
        origin: Origin = "regularised" if kind == "unmasked" else "found"
        this = kept[kind]
        if this is not None and this.halves is not None:
            return Inputs(run, origin, kind, this.halves, saved, masks)
        if kind != IN_PLACE and not saved and iteration_of(run, kind) == iteration:
            return Inputs(run, origin, kind, run.unnumbered(kind), (), masks)
    return Inputs(run, "regularised", "", run.pair(iteration), saved, masks)


def _facts(run: Run, iteration: int) -> Facts:
    header, _ = (run.memory.file(read_hdf_header, path) for path in run.pair(iteration))
    said: dict[str, object] = {}
    for name in run.settings:
        said |= run.memory.file(read_settings, run.folder / name)
    symmetry = said.get("sym")
    return Facts(
        voxel_size_A=header.voxel_size_A,
        symmetry=symmetry.upper() if isinstance(symmetry, str) else None,
        molecular_mass_kDa=positive_number(said.get("mass")),
    )
