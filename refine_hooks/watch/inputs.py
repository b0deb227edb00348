"""What a watched project gives for one round: half maps, masks, viewing directions; and whether its files changed."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks import measure
from refine_hooks.errors import InputError, RefineHooksError
from refine_hooks.files.mrc import read_map
from refine_hooks.files.reading import read_ahead
from refine_hooks.log.records import RoundRecord
from refine_hooks.measure import NamedMask
from refine_hooks.model import HalfMaps, InputFile, MaskRole, ProgramMask, Round
from refine_hooks.settings import Settings
from refine_hooks.watch.config import WatchConfig
from refine_hooks.watch.known import KnownRounds
from refine_hooks.watch.measure_round import Callbacks, MeasureConfig, measure_round
from refine_hooks.watch.owners import Counts

logger = logging.getLogger(__name__)

_OF_BOTH = ("independence", "masked", "masked_by", "joined_below_A", "valid_shells", "images")


def measured(config: WatchConfig, known: KnownRounds, round_: Round, counts: Counts) -> RoundRecord | None:
    """One round of a watched project -> its record; see `refine_hooks.watch.measure_round.measure_round`.

    Args:
        config: the watch's.
        known: what its log holds.
        round_: as the scan found it.
        counts: learn how much room on the disk the files of the round take, and know what else is to be reconstructed.

    Returns:
        None where the log holds the same state and no more trustworthy half maps can be had.

    Raises:
        NotReadyError: the inputs changed while they were read.
        RefineHooksError: it cannot be measured; says why.
    """
    former = known.formerly(round_)
    before = known.index.records([former])[:1] if former is not None else []
    callbacks = Callbacks(
        half_maps=lambda each: half_maps(config, each, counts, before),
        masks=lambda each, halves: [*_users_masks(config.settings, halves), *_programs_masks(config, each, halves)],
        reported=config.opened.reported,
        worth_measuring=lambda each, halves: _worth_measuring(known, each, halves),
        needs_bytes=counts.needs_bytes,
        changed=lambda each: changed(config, each),
        viewing_directions=lambda each: _viewing_directions(config, each),
        duplicates=config.opened.duplicates,
    )
    previous = known.index.before(round_.key)
    record = measure_round(MeasureConfig(config.settings, config.store), round_, previous, callbacks)
    return record.model_copy(update={"supersedes": former}) if record is not None and former is not None else record


def _worth_measuring(known: KnownRounds, round_: Round, halves: HalfMaps | None) -> bool:
    """Whether these half maps give more than the log holds of the round."""
    origin = None if halves is None else halves.origin
    if known.would_be_poorer(round_, origin):
        logger.warning(
            f"{round_.key} {round_.label}: not measured again, since the log holds better half maps than can be had now"
        )
        return False
    bare = known.without_half_maps(round_)
    return bare is None or origin not in (bare.origin, None)


def half_maps(
    config: WatchConfig, round_: Round, counts: Counts, before: Iterable[RoundRecord] = ()
) -> HalfMaps | None:
    """The most trustworthy half maps that can be had: found, merged, or - where asked for - reconstructed from the particles.

    Args:
        config: the watch's.
        round_: as the scan found it.
        counts: know what else is to be reconstructed.
        before: what was measured of it before the program had named it: where its inputs are gone, these half maps are left.

    Raises:
        InputError: what is there cannot be used, and the particles cannot stand in for it.
        RefineHooksError: see `refine_hooks.programs.adapter.Project.half_maps`.
    """
    read_ahead(config.project / file.path for file in round_.fingerprint.inputs)
    halves = None if round_.fault else config.opened.half_maps(round_)
    if halves is None:
        halves = next(filter(None, (_written_before(config, record) for record in before)), None)
    poor = halves is None or halves.origin == "regularised"
    asked = config.reconstruct == "always" or (config.reconstruct == "missing" and poor)
    if asked and not round_.starting and config.opened.names_particles(round_):
        from refine_hooks.reconstruct import Desk, reconstructed

        path = config.store.checkpoint_path(round_.key)
        desk = Desk(
            config.inserting,
            config.asked_to_stop.is_set,
            path,
            require=lambda size: config.store.prepare(path, size),
            in_all=counts.particles,
        )
        counts.particles = max(0, counts.particles - (round_.facts.particles or 0))
        made = reconstructed(config.opened, round_, config.settings, desk)
        if made is not None and round_.fault:
            made = replace(made, notes=(*made.notes, f"what the program left cannot be used: {round_.fault}"))
        halves = made or halves
    if halves is None and round_.fault:
        raise InputError(round_.fault)
    return halves


def _written_before(config: WatchConfig, record: RoundRecord) -> HalfMaps | None:
    """The half maps that were written for a record; None where they are there no more."""
    known = record.half_maps
    if known is None or known.paths is None:
        return None
    try:
        one, two = (read_map(config.store.path(path)) for path in known.paths)
    except RefineHooksError:
        return None
    fields = {name: getattr(known, name) for name in _OF_BOTH}
    note = "made from its Fourier sums while the program had not named it yet; these are gone"
    return HalfMaps(one, two, known.origin, notes=(note,), **fields)


def _users_masks(settings: Settings, halves: HalfMaps) -> Iterator[NamedMask]:
    for name, file in settings.masks.items():
        path = Path(file)
        try:
            mask = measure.read_users_mask(name, path, halves.half1)
            assert mask.map is not None
            measure.require_compatible(mask.map, halves.half1, str(path))
            yield mask
        except RefineHooksError as error:
            yield NamedMask(name, None, path, note=f"not used: {error}")


def _programs_masks(config: WatchConfig, round_: Round, halves: HalfMaps) -> Iterator[NamedMask]:
    """The program's own masks; a name that the user gave to another mask is the user's."""
    try:
        found = config.opened.masks(round_, halves)
    except RefineHooksError as error:
        found = {"refinement": ProgramMask(None, note=f"not used: {error}")}
    for name, mask in found.items():
        if name not in config.settings.masks:
            yield _named(name, mask, halves)


def _named(name: str, own: ProgramMask, halves: HalfMaps) -> NamedMask:
    usable, note = own.mask, own.note
    if usable is not None:
        try:
            measure.require_compatible(usable, halves.half1, str(own.path or f"the program's mask {name}"))
        except RefineHooksError as error:
            usable, note = None, f"not used: {error}"
    role: MaskRole = "refinement" if name == "refinement" else "program"
    how = {"cistem_edge": own.cistem_edge, "of_a_part": own.of_a_part}
    return NamedMask(name, usable, own.path, role, parameters=own.parameters, note=note, **how)


def _viewing_directions(config: WatchConfig, round_: Round) -> NDArray[np.float64] | None:
    """The viewing directions are for a picture only: without them the round is measured all the same."""
    try:
        return config.opened.viewing_directions(round_)
    except Exception as error:
        logger.warning(
            f"{round_.key} {round_.label}: no picture of the viewing directions ({error or type(error).__name__})"
        )
        return None


def changed(config: WatchConfig, round_: Round) -> bool:
    """Whether the round is in another state than when it was scanned; one that is gone was read whole or not at all.

    Files that differ are only a reason to scan again: their names may have been given to another round since, while this one's
    are in the spool.
    """
    if not any(_differs(config.project / known.path, known) for known in round_.fingerprint.inputs):
        return False
    try:
        rounds = list(config.opened.rounds())
    except Exception:
        return True
    return any(now.key == round_.key and now.fingerprint != round_.fingerprint for now in rounds)


def _differs(path: Path, known: InputFile) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) != (known.size, known.mtime_ns)
