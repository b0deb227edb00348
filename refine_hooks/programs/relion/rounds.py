"""Which rounds a RELION job has, whether they are whole, and where their half maps are.

RELION writes every file in place under its final name. The model table of a half is closed after that half's map, so a round is
there when the tables of both halves are; the optimiser's table comes first and proves nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.model import Origin, Round
from refine_hooks.programs.relion.files import Iteration, Job, list_job, whole_header, written_at
from refine_hooks.programs.relion.look import View, awaited, has_tables, inputs_of, round_of, unread
from refine_hooks.programs.relion.postprocess import postprocess_of
from refine_hooks.programs.relion.spool import sums_of
from refine_hooks.programs.relion.tables import Model, read_model
from refine_hooks.settings import Settings

_REWRITTEN_AFTER_NS = 60 * 10**9
_RUNNING_WITHIN_NS = 6 * 3600 * 10**9


def job_rounds(directory: Path, job: Job, settings: Settings, spool: Path) -> Iterator[Round]:
    """Every round and class of one job that is on disk now, oldest first."""
    listing = list_job(job.folder)
    for series in dict.fromkeys(iteration.series for iteration in listing.iterations):
        iterations = [i for i in listing.iterations if i.series == series]
        view = View(directory, job, listing, iterations, settings, spool)
        for iteration in iterations:
            if iteration.number is not None:
                yield from _numbered(view, iteration)
            else:
                yield from _final(view, iteration)


def _numbered(view: View, iteration: Iteration) -> Iterator[Round]:
    if not iteration.split:
        if (0, "model.star") in iteration.files:
            yield from _joint(view, iteration)
        return
    if has_tables(iteration):
        yield from _halves(view, iteration)
        return
    if _is_the_end(view, iteration):
        return  # its maps are those of the final, un-numbered round
    optimiser = view.optimiser(iteration)
    if optimiser is not None and optimiser.gradient:
        return  # gradient refinement writes its tables every tenth iteration only
    if _unfiltered_pairs(iteration):
        yield from _without_tables(view, iteration)
    elif any(what.endswith(".mrc") for _, what in iteration.files):
        yield awaited(view, iteration, "class", 1, ("the model tables of both halves",))


def _is_the_end(view: View, iteration: Iteration) -> bool:
    """Whether this number is that of the joined round: RELION writes its tables without the number."""
    last = max((i.number for i in view.iterations if i.number is not None and has_tables(i)), default=-1)
    final = any(i.number is None and has_tables(i) for i in view.iterations)
    return final and iteration.number is not None and iteration.number > last


def _unfiltered_pairs(iteration: Iteration) -> list[tuple[str, int]]:
    return [c for c in sorted(iteration.classes) if iteration.half_pair(*c, "_unfil.mrc")]


def _joint(view: View, iteration: Iteration) -> Iterator[Round]:
    """Rounds without halves: 3D classification, initial model."""
    table = view.path(iteration, 0, "model.star")
    try:
        model = view.job.memory.file(read_model, table)
    except RefineHooksError as error:
        yield unread(view, iteration, error)
        return
    for number in range(1, len(model.classes) + 1):
        inputs = inputs_of(view, iteration, "class", number, model, None, None)
        yield round_of(view, iteration, inputs, [table], complete=True)


def _halves(view: View, iteration: Iteration) -> Iterator[Round]:
    """Rounds of two halves, each with its own model table."""
    tables = [view.path(iteration, half, "model.star") for half in (1, 2)]
    unlisted = [table.name for half, table in enumerate(tables, 1) if (half, "model.star") not in iteration.files]
    if unlisted:
        yield awaited(view, iteration, "class", 1, tuple(f"{name}: is not there" for name in unlisted))
        return
    try:
        models = [view.job.memory.file(read_model, table) for table in tables]
    except RefineHooksError as error:
        yield unread(view, iteration, error)
        return
    kind = "body" if models[0].bodies else "class"
    same = _same_state(models[0], models[1])
    for number in range(1, len(models[0].classes) + 1):
        yield from _of_both(view, iteration, kind, number, models, tables, same)


def _of_both(
    view: View, iteration: Iteration, kind: str, number: int, models: list[Model], tables: list[Path], same: bool
) -> Iterator[Round]:
    try:
        origin, halves = _sources(view, iteration, kind, number, models[0])
    except NotReadyError as error:
        yield awaited(view, iteration, kind, number, error.faults)
        return
    except RefineHooksError as error:
        inputs = inputs_of(view, iteration, kind, number, models[0], None, None)
        yield round_of(view, iteration, inputs, tables, fault=str(error))
        return
    inputs = inputs_of(view, iteration, kind, number, models[0], origin, halves)
    inputs = replace(inputs, images=(models[0].particles, models[1].particles))
    complete = same and (halves is None or _in_order(halves, tables))
    yield round_of(view, iteration, inputs, tables, complete=complete)


def _same_state(first: Model, second: Model) -> bool:
    """Both halves' tables carry the same FSC: if not, one of them is of an earlier writing of this iteration."""
    if first.current_size_px != second.current_size_px or len(first.classes) != len(second.classes):
        return False
    pairs = ((a.gold_standard, b.gold_standard) for a, b in zip(first.classes, second.classes, strict=True))
    return all(
        (a is None) == (b is None) and (a is None or b is None or np.array_equal(a, b, equal_nan=True))
        for a, b in pairs
    )


def _in_order(halves: tuple[Path, Path], tables: list[Path]) -> bool:
    """Whether each half's map was written before its table; not so in a copied project, where times say nothing."""
    newest = tables if len(tables) == len(halves) else [tables[0]] * len(halves)
    return all(written_at(half) <= written_at(table) for half, table in zip(halves, newest, strict=True))


def _sources(
    view: View, iteration: Iteration, kind: str, number: int, model: Model
) -> tuple[Origin | None, tuple[Path, Path] | None]:
    """The most trustworthy pair of this iteration: unfiltered maps, else sums, else the filtered maps.

    Maps are written before the tables: where there are tables and no maps, they have been removed.

    Raises:
        NotReadyError: the pair that is there is not whole.
        MapError, SumsError: it cannot be what RELION writes.
    """
    unfiltered = iteration.half_pair(kind, number, "_unfil.mrc")
    if unfiltered:
        return _origin_of_unfil(view, iteration), _whole_maps(view, unfiltered, model)
    sums = _sums(view, iteration, kind, number)
    if sums:
        return "merged", sums
    filtered = iteration.half_pair(kind, number, ".mrc")
    if filtered and iteration.number is not None:
        return "regularised", _whole_maps(view, filtered, model)
    return None, None


def _origin_of_unfil(view: View, iteration: Iteration) -> Origin:
    """Gradient refinement that corrects its FSC for the solvent writes its regularised references under the name ``_unfil``."""
    optimiser = view.optimiser(iteration)
    by_gradient = optimiser is not None and optimiser.gradient and iteration.number is not None
    return "regularised" if by_gradient else "found"


def _whole_maps(view: View, names: tuple[str, str], model: Model | None) -> tuple[Path, Path]:
    first, second = (view.job.folder / name for name in names)
    for path in (first, second):
        header = whole_header(view.job, path)
        if model is not None and header.nx != model.box_px:
            raise NotReadyError(f"{path}: has a box of {header.nx} px, its model table one of {model.box_px} px")
    return first, second


def _sums(view: View, iteration: Iteration, kind: str, number: int) -> tuple[Path, Path] | None:
    """The tables of both halves' arrays; None where there are none, or none of this run."""
    optimiser = view.optimiser(iteration)
    if optimiser is not None and not (optimiser.external or optimiser.blush):
        return None  # left by an earlier run in this folder
    return sums_of(view.job, view.spool, iteration.stem, kind, number)


def _without_tables(view: View, iteration: Iteration) -> Iterator[Round]:
    """Unfiltered halves whose tables have not come: RELION writes them minutes later, or the run was stopped there."""
    for kind, number in _unfiltered_pairs(iteration):
        names = iteration.half_pair(kind, number, "_unfil.mrc")
        assert names is not None
        try:
            halves = _whole_maps(view, names, None)
            # Times far in the future are those of a clock that has been put back, and nothing to wait for.
            waited_s = abs(time.time() - max(written_at(path) for path in halves) / 1e9)
        except NotReadyError as error:
            yield awaited(view, iteration, kind, number, error.faults)
            continue
        if not view.listing.ended and waited_s < view.settings.watch.metadata_wait_s:
            yield awaited(view, iteration, kind, number, ("the model tables of both halves",))
            continue
        origin = _origin_of_unfil(view, iteration)
        inputs = inputs_of(view, iteration, kind, number, _model_before(view, iteration), origin, halves)
        note = "RELION stopped before it had written this iteration's tables: resolution and curves are of none"
        yield round_of(view, iteration, inputs, list(halves), note=note)


def _model_before(view: View, iteration: Iteration) -> Model | None:
    before = view.before(iteration)
    if before is None:
        return None
    for half in (1, 0):
        if (half, "model.star") in before.files:
            try:
                return view.job.memory.file(read_model, view.path(before, half, "model.star"))
            except RefineHooksError:
                return None
    return None


def _final(view: View, iteration: Iteration) -> Iterator[Round]:
    """The last, joined round: un-numbered names, unfiltered halves that share nothing."""
    pairs = _unfiltered_pairs(iteration)
    if (0, "model.star") not in iteration.files:
        for kind, number in pairs:
            yield awaited(view, iteration, kind, number, ("the final model table",))
        return
    table = view.path(iteration, 0, "model.star")
    try:
        model = view.job.memory.file(read_model, table)
    except RefineHooksError as error:
        yield unread(view, iteration, error)
        return
    superseded, note = _older_than_the_rest(view, table)
    kind = "body" if model.bodies else "class"
    for number in range(1, len(model.classes) + 1):
        if superseded:
            yield awaited(view, iteration, kind, number, (note,))
        else:
            yield from _final_of_class(view, iteration, kind, number, model, table, note)


def _final_of_class(
    view: View, iteration: Iteration, kind: str, number: int, model: Model, table: Path, note: str
) -> Iterator[Round]:
    try:
        origin, halves = _sources(view, iteration, kind, number, model)
        complete = halves is None or _in_order(halves, [table])
    except NotReadyError as error:
        yield awaited(view, iteration, kind, number, error.faults)
        return
    except RefineHooksError as error:
        inputs = inputs_of(view, iteration, kind, number, model, None, None)
        yield round_of(view, iteration, inputs, [table], fault=str(error))
        return
    inputs = inputs_of(view, iteration, kind, number, model, origin, halves)
    inputs = replace(inputs, images=_images_of_last(view, iteration))
    if halves is not None:
        inputs = replace(inputs, postprocess=postprocess_of(view.job, halves))
    tables = [table] if inputs.postprocess is None else [table, inputs.postprocess.path]
    yield round_of(view, iteration, inputs, tables, complete=complete and not note, note=note)


def _older_than_the_rest(view: View, table: Path) -> tuple[bool, str]:
    """Whether the final round is of an earlier run in this folder that is being continued now; and what to say of it."""
    if view.listing.succeeded:
        return False, ""
    numbered = [
        written_at(view.path(i, h, w))
        for i in sorted((i for i in view.iterations if i.number is not None), key=lambda i: i.number or 0)
        for h, w in i.files
        if w == "model.star"
    ]
    newest_ns = max(numbered, default=0)
    if newest_ns <= written_at(table) + _REWRITTEN_AFTER_NS or not _one_after_another(numbered):
        return False, ""
    if abs(time.time_ns() - newest_ns) < _RUNNING_WITHIN_NS:
        return True, "the new end of this run, which was continued: the final round here is older than its iterations"
    return False, "is older than the numbered iterations beside it: it may belong to an earlier run in this folder"


def _one_after_another(written_ns: list[int]) -> bool:
    """Whether tables, by their iterations, are as old as a run leaves them, or a second one over its first; not so in a copy."""
    back = sum(before > after + _REWRITTEN_AFTER_NS for before, after in pairwise(written_ns))
    return back <= 1


def _images_of_last(view: View, iteration: Iteration) -> tuple[int | None, int | None]:
    """Particles in each half, of the last numbered iteration: the final table repeats the first half's only."""
    before = view.before(iteration)
    if before is None or (1, "model.star") not in before.files or (2, "model.star") not in before.files:
        return None, None
    try:
        tables = [view.path(before, half, "model.star") for half in (1, 2)]
        first, second = (view.job.memory.file(read_model, table).particles for table in tables)
    except RefineHooksError:
        return None, None
    return first, second
