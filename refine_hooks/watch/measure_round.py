"""One round -> its record, with half maps, masks and pictures on disk: the one sequence that the watch and ``measure`` share."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from refine_hooks import measure
from refine_hooks.analysis.views import Views
from refine_hooks.errors import NotReadyError
from refine_hooks.files.mrc import Map
from refine_hooks.log.checks import Checks, Duplicates
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.measure import NamedMask
from refine_hooks.model import FscCurve, HalfMaps, Round
from refine_hooks.settings import Settings
from refine_hooks.sums.symmetry import order_of
from refine_hooks.watch import products

_MAPS_OF_A_ROUND = 5  # two half maps, two masks and a sharpened map


@dataclass(frozen=True, slots=True)
class MeasureConfig:
    """How a round is measured, and where its files go.

    Attributes:
        settings: of the masks, curves and analyses.
        store: the output folder.
        keep_files: whether masks, pictures and a sharpened map are written there.
    """

    settings: Settings
    store: Store
    keep_files: bool = True


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Where the parts of a round come from, and who decides about it; each is called at most once, in this order.

    Attributes:
        reported: the program's own curves.
        half_maps: the half maps; None where there are none.
        worth_measuring: whether the log would gain by a record from these half maps.
        needs_bytes: learns how much room on the disk the files of the round take.
        masks: masks of the user and of the program, beside the sphere and the automask.
        changed: whether the inputs changed since the scan that found the round.
        viewing_directions: particles per bin of theta and phi.
        duplicates: particles that are in both half sets.
    """

    half_maps: Callable[[Round], HalfMaps | None]
    masks: Callable[[Round, HalfMaps], Iterable[NamedMask]]
    reported: Callable[[Round], list[FscCurve]] = lambda round_: []
    worth_measuring: Callable[[Round, HalfMaps | None], bool] = lambda round_, halves: True
    needs_bytes: Callable[[int], None] = lambda size: None
    changed: Callable[[Round], bool] = lambda round_: False
    viewing_directions: Callable[[Round], NDArray[np.float64] | None] = lambda round_: None
    duplicates: Callable[[Round], Duplicates | None] = lambda round_: None


def measure_round(
    config: MeasureConfig, round_: Round, previous: RoundRecord | None, callbacks: Callbacks
) -> RoundRecord | None:
    """Measure one round and write its files.

    Args:
        config: how, and where to.
        round_: as the scan found it.
        previous: the record of the round before, of the same run and class.
        callbacks: where its parts come from.

    Returns:
        None where ``worth_measuring`` says no; a record of the reported curves alone where there are no half maps.

    Raises:
        NotReadyError: the inputs changed while they were read.
        StorageError: there is no room for its files.
        RefineHooksError: it cannot be measured; says why.
    """
    began = time.monotonic()
    reported = callbacks.reported(round_)
    halves = callbacks.half_maps(round_)
    if not callbacks.worth_measuring(round_, halves):
        return None
    if halves is None:
        return measure.reported_record(round_, reported)
    if config.keep_files:
        needed_bytes = _MAPS_OF_A_ROUND * halves.half1.voxels.nbytes
        callbacks.needs_bytes(needed_bytes)
        config.store.require_room(needed_bytes)
    masks = list(callbacks.masks(round_, halves))
    measurement = measure.measure_halves(halves, round_.facts, config.settings, masks, reported)
    twice = callbacks.duplicates(round_)
    if twice is not None:
        checks = measurement.checks or Checks()
        measurement = replace(measurement, checks=checks.model_copy(update={"duplicates": twice}))
    if callbacks.changed(round_):
        raise NotReadyError(
            f"{round_.label}: its files changed while they were read; measured again once they are still"
        )
    return _written(config, round_, previous, halves, measurement, callbacks, began)


def _written(
    config: MeasureConfig,
    round_: Round,
    previous: RoundRecord | None,
    halves: HalfMaps,
    measurement: measure.Measurement,
    callbacks: Callbacks,
    began_s: float,
) -> RoundRecord:
    """The files of a measured round, and the record that names them."""
    store, key, label = config.store, round_.key, round_.label
    half_record = products.write_half_maps(store, key, label, halves)
    mask_records = products.write_masks(store, key, label, measurement, keep=config.keep_files)
    sharpened_path, views = None, _views(round_, callbacks)
    if config.keep_files:
        store.checkpoint_path(key).unlink(missing_ok=True)
        products.write_pictures(store, key, label, measurement, views, round_.facts.molecular_mass_kDa)
        if measurement.sharpened is not None:
            sharpened = Map(measurement.sharpened, measurement.voxel_size_A)
            sharpened_path = products.write_sharpened(store, key, label, sharpened)
    record = measure.round_record(
        round_,
        halves,
        measurement,
        half_record,
        mask_records,
        measured_in_s=time.monotonic() - began_s,
        former=previous,
        sharpened_path=sharpened_path,
    )
    if views is not None and not round_.starting:  # before the first iteration no map was made with these angles
        from refine_hooks.analysis.sampling import sampling

        record = record.model_copy(update={"sampling": sampling(views)})
    return _with_local(config, record, previous, halves, measurement)


def _with_local(
    config: MeasureConfig,
    record: RoundRecord,
    previous: RoundRecord | None,
    halves: HalfMaps,
    measurement: measure.Measurement,
) -> RoundRecord:
    """The record with the local resolution, where every round is to have one."""
    curve = record.headline_curve()
    if config.settings.analysis.local != "all" or curve is None or curve.resolution_A is None:
        return record
    made = {mask.record.role: mask for mask in measurement.masks if mask.values is not None}
    mask = made.get("automask") or next((m for m in made.values() if m.record.name == curve.mask), None)
    if mask is None or mask.values is None:
        return record
    from refine_hooks.analysis.local_record import measured_locally
    from refine_hooks.reanalyse import write_local

    found = measured_locally(
        halves.half1,
        halves.half2,
        mask.values,
        mask.record,
        overall_A=curve.resolution_A,
        threshold=curve.threshold,
        symmetry_order=order_of(record.symmetry) or 1,
    )
    if found is None:
        return record
    local = write_local(config.store, record, found, previous) if config.keep_files else found.record
    return record.model_copy(update={"local": local})


def _views(round_: Round, callbacks: Callbacks) -> Views | None:
    counts = callbacks.viewing_directions(round_)
    if counts is None:
        return None
    return Views(counts, round_.facts.symmetry, "cistem" if round_.program == "cistem" else "relion")
