"""One round of a watched project -> its record, with half maps, masks and pictures on disk."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks import measure
from refine_hooks.errors import InputError, NotReadyError, RefineHooksError
from refine_hooks.files.mrc import Map
from refine_hooks.files.reading import read_ahead
from refine_hooks.log.records import RoundRecord
from refine_hooks.measure import NamedMask
from refine_hooks.model import HalfMaps, InputFile, MaskRole, ProgramMask, Round
from refine_hooks.settings import Settings
from refine_hooks.watch import products
from refine_hooks.watch.state import Watch

logger = logging.getLogger(__name__)

_MAPS_OF_A_ROUND = 5  # two half maps, two masks and a sharpened map


def measured(w: Watch, round_: Round) -> RoundRecord | None:
    """One round -> its record, with half maps, masks and pictures on disk.

    Returns:
        None where the log holds the same state and nothing more honest could be had.

    Raises:
        NotReadyError: the inputs changed while they were read.
        RefineHooksError: it cannot be measured; says why.
    """
    began = time.monotonic()
    reported = w.opened.reported(round_)
    halves = half_maps(w, round_)
    if w.would_be_poorer(round_, None if halves is None else halves.origin):
        logger.warning(
            f"{round_.key} {round_.label}: not measured again, since the log holds better half maps than can be had now"
        )
        return None
    known = w.known_without(round_)
    if known is not None and (None if halves is None else halves.origin) in (known.origin, None):
        return None
    if halves is None:
        return measure.reported_record(round_, reported)
    w.room_bytes = _MAPS_OF_A_ROUND * halves.half1.voxels.nbytes
    w.store.require_room(w.room_bytes)
    masks = [*_users_masks(w.settings, halves), *_programs_masks(w, round_, halves)]
    measurement = measure.measure_halves(halves, round_.facts, w.settings, masks, reported)
    if changed(w, round_):
        raise NotReadyError(
            f"{round_.label}: its files changed while they were read; measured again once they are still"
        )
    half_record = products.write_half_maps(w.store, round_.key, round_.label, halves)
    w.store.checkpoint_path(round_.key).unlink(missing_ok=True)
    mask_records = products.write_masks(w.store, round_.key, round_.label, measurement)
    products.write_pictures(w.store, round_.key, round_.label, measurement, _views(w, round_))
    sharpened = Map(measurement.sharpened, measurement.voxel_size_A) if measurement.sharpened is not None else None
    return measure.round_record(
        round_,
        halves,
        measurement,
        half_record,
        mask_records,
        measured_in_s=time.monotonic() - began,
        former=w.index.before(round_.key),
        sharpened_path=products.write_sharpened(w.store, round_.key, round_.label, sharpened),
    )


def half_maps(w: Watch, round_: Round) -> HalfMaps | None:
    """The most honest half maps that can be had: found, merged, or - where asked for - reconstructed from the particles.

    Raises:
        InputError: what is there cannot be used, and the particles cannot stand in for it.
        RefineHooksError: see `refine_hooks.programs.adapter.Project.half_maps`.
    """
    read_ahead(w.project / file.name for file in round_.fingerprint.inputs)
    halves = None if round_.fault else w.opened.half_maps(round_)
    poor = halves is None or halves.origin == "regularised"
    if w.reconstruct == "always" or (w.reconstruct == "missing" and poor):
        from refine_hooks.reconstruct import Desk, reconstructed

        desk = Desk(w.inserting, w.stop.is_set, w.store.checkpoint_path(round_.key))
        made = reconstructed(w.opened, round_, w.settings, desk)
        if made is not None and round_.fault:
            made = replace(made, notes=(*made.notes, f"what the program left cannot be used: {round_.fault}"))
        halves = made or halves
    if halves is None and round_.fault:
        raise InputError(round_.fault)
    return halves


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


def _programs_masks(w: Watch, round_: Round, halves: HalfMaps) -> Iterator[NamedMask]:
    """The program's own masks; a name that the user gave to another mask is the user's."""
    try:
        found = w.opened.masks(round_, halves)
    except RefineHooksError as error:
        found = {"refinement": ProgramMask(None, note=f"not used: {error}")}
    for name, mask in found.items():
        if name not in w.settings.masks:
            yield _named(name, mask, halves)


def _named(name: str, own: ProgramMask, halves: HalfMaps) -> NamedMask:
    usable, note = own.mask, own.note
    if usable is not None:
        try:
            measure.require_compatible(usable, halves.half1, str(own.path or f"the program's mask {name}"))
        except RefineHooksError as error:
            usable, note = None, f"not used: {error}"
    role: MaskRole = "refinement" if name == "refinement" else "program"
    return NamedMask(name, usable, own.path, role, parameters=own.parameters, note=note, cistem_edge=own.cistem_edge)


def _views(w: Watch, round_: Round) -> NDArray[np.float64] | None:
    """The directions of view are for a picture only: without them the round is as good."""
    try:
        return w.opened.viewing_directions(round_)
    except Exception as error:
        logger.warning(f"{round_.key} {round_.label}: no picture of the views ({error or type(error).__name__})")
        return None


def changed(w: Watch, round_: Round) -> bool:
    """Whether the round is in another state than when it was scanned; one that is gone was read whole or not at all.

    Files that differ are only a reason to scan again: their names may have been given to another round since, while this one's
    are in the spool.
    """
    if not any(_differs(w.project / known.name, known) for known in round_.fingerprint.inputs):
        return False
    try:
        rounds = list(w.opened.rounds())
    except Exception:
        return True
    return any(now.key == round_.key and now.fingerprint != round_.fingerprint for now in rounds)


def _differs(path: Path, known: InputFile) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) != (known.size, known.mtime_ns)
