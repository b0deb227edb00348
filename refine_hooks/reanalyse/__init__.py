"""Further measurements of rounds that were logged without them, from the half maps that are still on disk.

The log is never rewritten: what was measured is kept beside it, with the state of the files that it was made from.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from refine_hooks.errors import MapError, RefineHooksError
from refine_hooks.files.mrc import Volume, read_map
from refine_hooks.files.reading import parsed_json, read_text
from refine_hooks.log.convergence import Convergence
from refine_hooks.log.file import Place
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.local import LocalResolution
from refine_hooks.log.masks import MaskRecord, SphereParameters
from refine_hooks.log.records import Analysis, RoundRecord
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import Key
from refine_hooks.settings import Settings
from refine_hooks.sums.symmetry import order_of

if TYPE_CHECKING:
    from refine_hooks.analysis.local_record import LocalMeasured

logger = logging.getLogger(__name__)

_SAME_SUM = 1e-3


class PutOff(Exception):  # noqa: N818
    """Other work comes first: what was begun is begun anew later."""


@dataclass(slots=True)
class Analyses:
    """The further measurements of the rounds of one log, each from the log, from beside it, or made now.

    Attributes:
        store: the folder of the log.
    """

    store: Store
    _made: dict[Key, Analysis] = field(default_factory=dict)
    _tried: dict[Key, Place] = field(default_factory=dict)  # the lines whose rounds were measured locally, or cannot be
    _seq: int = -1

    def completed(self, record: RoundRecord) -> RoundRecord:
        """The record with the further measurements that there are."""
        if record.local is None or record.convergence is None:
            local, convergence = _kept_locally(self.store, record)
            found = {"local": record.local or local, "convergence": record.convergence or convergence}
            record = record.model_copy(update=found) if any(found.values()) else record
        if record.analysis is not None:
            return record
        analysis = self._made.get(record.key) or _kept(self.store, record)
        return record if analysis is None else record.model_copy(update={"analysis": analysis})

    def measure_locally(
        self, index: LogIndex, record: RoundRecord, settings: Settings, between: Callable[[], object] = bool
    ) -> bool:
        """Measure the local resolution and the convergence of a round that lacks them, and keep both; whether there is news.

        Args:
            index: the log.
            record: the round.
            settings: of the log.
            between: called again and again; what it raises, `PutOff` for one, ends the work.
        """
        source, known = local_source(self.store, record), self.completed(record)
        if known.convergence is not None and (known.local is not None or source is None):
            return False
        try:
            if source is None:
                return self._keep_by_numbers(index, record)
            self._measure_maps(index, known, source, between)
        except (RefineHooksError, OSError, MemoryError) as error:
            logger.warning(f"{record.key} {record.label}: no local resolution: {error}")
            return False
        return True

    def _measure_maps(
        self, index: LogIndex, record: RoundRecord, source: MaskRecord, between: Callable[[], object]
    ) -> None:
        from refine_hooks.reanalyse.beside import compared

        logger.info(
            f"{record.key} {record.label}: measuring the local resolution and the change against earlier rounds"
        )
        mask = _mask(self.store, record, source)
        local = record.local
        if local is None:
            former = index.before(record.key)
            before = self.completed(former) if former else None
            local = _measured_locally(self.store, record, mask, source, before, between)
        convergence = compared(self.store, index, record, mask, source.name, between)
        _keep_locally(self.store, record, source, local, convergence)

    def _keep_by_numbers(self, index: LogIndex, record: RoundRecord) -> bool:
        """Of a round without half maps: what its resolution and those before it say; whether there are several."""
        from refine_hooks.reanalyse.beside import compared

        convergence = compared(self.store, index, record, None, None)
        if convergence.rounds < 2:
            return False
        _keep_locally(self.store, record, None, None, convergence)
        return True

    def measure_newest_locally(
        self, index: LogIndex, settings: Settings, between: Callable[[], object] = bool
    ) -> list[Key]:
        """Measure the local resolution of the newest round of each run and class; which of them have one now that had not.

        Args:
            index: the log.
            settings: of the log.
            between: called again and again; where it raises `PutOff`, this round and those after it wait for the next call.
        """
        if settings.analysis.local == "never" or index.seq == self._seq:
            return []
        self._seq = index.seq
        found = []
        for newest in newest_of_series(index):
            if self._tried.get(newest.key) == newest.place:
                continue
            self._tried[newest.key] = newest.place
            try:
                records = index.records([newest.key])
                found += [one.key for one in records if self.measure_locally(index, one, settings, between)]
            except PutOff as other:
                logger.info(f"{newest.key} {newest.label}: the local resolution waits: {other}")
                self._seq = -1
                del self._tried[newest.key]
                break
        return found

    def analyse(self, index: LogIndex, settings: Settings) -> None:
        """Measure what is lacking of the newest ``audit.analyse_at_most`` rounds; older ones wait, which is said."""
        left = settings.audit.analyse_at_most
        for summary in reversed(index.summaries() if left else []):
            record = next(iter(index.records([summary.key])), None)
            if record is None or not _sources(self.store, record) or self.completed(record).analysis is not None:
                continue
            if left == 0:
                logger.info("older rounds are not analysed yet: audit again, or raise audit.analyse_at_most")
                return
            left -= 1
            analysis = _measured(self.store, record, settings)
            if analysis is not None:
                self._made[record.key] = analysis


def newest_of_series(index: LogIndex) -> list[RoundSummary]:
    """The newest round of each run and class."""
    series = {(known.key.run, known.key.class_id): known for known in index.summaries()}
    return [index.series(known.key)[-1] for known in series.values()]


def _sources(store: Store, record: RoundRecord) -> list[Path]:
    """The half maps and the mask file of a round's best curve; empty where they are gone, or say nothing."""
    curve, halves = record.headline_curve(), record.half_maps
    if curve is None or curve.resolution_A is None or curve.mask is None or halves is None or halves.paths is None:
        return []
    mask = record.mask(curve.mask)
    if mask is None or (mask.path is None and mask.role != "sphere"):
        return []
    paths = [store.path(path) for path in (*halves.paths, *([mask.path] if mask.path else []))]
    return paths if all(path.is_file() for path in paths) else []


def _state(store: Store, record: RoundRecord) -> str:
    """What an analysis depends on: the files' sizes and times, the curve, the program's version of the log."""
    curve = record.headline_curve()
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in _sources(store, record)]
    text = json.dumps([files, curve.model_dump(mode="json") if curve else None, record.schema_version])
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(store: Store, record: RoundRecord) -> Analysis | None:
    try:
        kept = parsed_json(read_text(store.analysis_path(record.key, record.label)))
        return Analysis.model_validate(kept["analysis"]) if kept["made_from"] == _state(store, record) else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _measured(store: Store, record: RoundRecord, settings: Settings) -> Analysis | None:
    from refine_hooks import measure

    curve, halves = record.headline_curve(), record.half_maps
    assert curve is not None
    assert halves is not None
    assert halves.paths is not None
    logger.info(f"{record.key} {record.label}: analysing directions, criteria and B factor")
    try:
        one, two = (read_map(store.path(path), record.voxel_size_A) for path in halves.paths)
        mask = record.mask(curve.mask or "")
        assert mask is not None
        values = _mask(store, record, mask)
        one, two = measure.without_solvent_level(one, two)
        analysis = measure.analysed(one, two, curve, values, record.symmetry, settings.fsc.threshold).record
    except (RefineHooksError, OSError, MemoryError) as error:
        logger.warning(f"{record.key} {record.label}: not analysed: {error}")
        return None
    kept = {"made_from": _state(store, record), "analysis": analysis.model_dump(mode="json")}
    try:
        store.write_text(store.analysis_path(record.key, record.label), json.dumps(kept))
    except (RefineHooksError, OSError) as error:
        logger.warning(
            f"{record.key} {record.label}: the analysis could not be kept ({error}); it is made again next time"
        )
    return analysis


def _mask(store: Store, record: RoundRecord, mask: MaskRecord) -> Volume:
    """The mask that made the curve: its file, or the sphere made again.

    Raises:
        MapError: the file is not what the curve was measured under.
    """
    from refine_hooks import masks

    if mask.path is None:
        sizes = mask.parameters
        if not isinstance(sizes, SphereParameters):
            raise MapError(f"{record.key}: the mask {mask.name!r} has no file")
        return masks.sphere(record.box_px, record.voxel_size_A, sizes.radius_A, sizes.edge_A)
    path = store.path(mask.path)
    found = read_map(path, record.voxel_size_A)
    values, _ = masks.checked(found.voxels, found.voxel_size_A, record.box_px, record.voxel_size_A, str(path))
    total = float(values.sum(dtype="float64"))
    expected = mask.volume_A3 / record.voxel_size_A**3
    if abs(total - expected) > _SAME_SUM * expected:
        raise MapError(
            f"{path}: the mask holds {total:.6g} voxels, the curve was measured under {expected:.6g}; it"
            " has changed, or was softened before use"
        )
    return values


def local_source(store: Store, record: RoundRecord) -> MaskRecord | None:
    """The mask in which the local resolution of a round is measured; None where its maps are gone, or say nothing."""
    curve, halves = record.headline_curve(), record.half_maps
    if curve is None or curve.resolution_A is None or halves is None or halves.paths is None:
        return None
    automask = next((mask for mask in record.masks if mask.role == "automask" and mask.volume_A3 > 0), None)
    mask = automask or record.mask(curve.mask)
    if mask is None or (mask.path is None and mask.role != "sphere"):
        return None
    paths = [store.path(path) for path in (*halves.paths, *([mask.path] if mask.path else []))]
    return mask if all(path.is_file() for path in paths) else None


def _local_state(store: Store, record: RoundRecord, mask: MaskRecord | None) -> str:
    """What a local resolution depends on; its map is a part of it: where it was deleted, it is made again."""
    halves, curve = record.half_maps, record.headline_curve()
    paths = () if mask is None or halves is None else halves.paths or ()
    files = [store.path(path) for path in (*paths, *([mask.path] if mask and mask.path else []))]
    # Where the project stands does not matter: one that was moved keeps what was measured.
    states = [(store.relative(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    there = store.local_path(record.key, record.label).is_file()
    text = json.dumps([states, there, curve.threshold if curve else None, record.schema_version])
    return hashlib.sha256(text.encode()).hexdigest()


def _kept_locally(store: Store, record: RoundRecord) -> tuple[LocalResolution | None, Convergence | None]:
    """What is kept beside the log of a round; that of half maps which retention has removed counts as well."""
    path = store.local_path(record.key, record.label)
    try:
        kept = parsed_json(read_text(path.with_suffix(".json")))
        mask = local_source(store, record)
        if mask is not None and kept["made_from"] != _local_state(store, record, mask):
            return None, None
        if kept["fingerprint"] != record.fingerprint.model_dump(mode="json"):
            return None, None
        local, convergence = kept["local"], kept["convergence"]
        return (
            None if local is None else LocalResolution.model_validate(local),
            None if convergence is None else Convergence.model_validate(convergence),
        )
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None, None


def _measured_locally(
    store: Store,
    record: RoundRecord,
    mask: Volume,
    about: MaskRecord,
    former: RoundRecord | None,
    between: Callable[[], object],
) -> LocalResolution | None:
    from refine_hooks.analysis.local_record import measured_locally
    from refine_hooks.reanalyse.beside import halves_of

    curve = record.headline_curve()
    assert curve is not None
    assert curve.resolution_A is not None
    one, two = halves_of(store, record)
    measured = measured_locally(
        one,
        two,
        mask,
        about,
        overall_A=curve.resolution_A,
        threshold=curve.threshold,
        symmetry_order=order_of(record.symmetry) or 1,
        between=between,
    )
    return None if measured is None else write_local(store, record, measured, former)


def write_local(
    store: Store, record: RoundRecord, measured: "LocalMeasured", former: RoundRecord | None
) -> LocalResolution:
    """Write the map of local resolutions; what the record holds of it, compared with the former round's.

    Raises:
        StorageError: no room.
    """
    from refine_hooks.analysis.local_record import changed

    path, local = store.local_path(record.key, record.label), measured.record
    if former is not None and former.local is not None and former.local.path is not None:
        before = store.path(former.local.path)
        if before.is_file() and (former.box_px, former.voxel_size_A) == (record.box_px, record.voxel_size_A):
            local = changed(local, measured.map, read_map(before), former.key)
    store.write_map(path, measured.map, f"refine_hooks local resolution: {record.key} {record.label}")
    _draw_locally(store, record, measured)
    return local.model_copy(update={"path": store.relative(path)})


def _draw_locally(store: Store, record: RoundRecord, measured: "LocalMeasured") -> None:
    """The picture that the page colours the map with; one that cannot be drawn harms nothing."""
    from refine_hooks.report.local_picture import write_local_picture

    try:
        write_local_picture(store, record.key, record.label, measured.map)
    except (OSError, ValueError) as error:
        logger.warning(f"{record.key} {record.label}: the local resolution could not be drawn: {error}")


def _keep_locally(
    store: Store, record: RoundRecord, mask: MaskRecord | None, local: LocalResolution | None, convergence: Convergence
) -> None:
    kept = {
        "made_from": _local_state(store, record, mask),
        "fingerprint": record.fingerprint.model_dump(mode="json"),
        "local": None if local is None else local.model_dump(mode="json"),
        "convergence": convergence.model_dump(mode="json"),
    }
    path = store.local_path(record.key, record.label).with_suffix(".json")
    store.write_text(path, json.dumps(kept))
