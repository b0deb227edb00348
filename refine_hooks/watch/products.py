"""What a measured round leaves behind under ``--out``: half maps, masks and pictures."""

import hashlib
import logging
import os
from pathlib import Path
from typing import get_args

from refine_hooks.analysis.views import Views
from refine_hooks.errors import StorageError
from refine_hooks.files.mrc import Map
from refine_hooks.log.curves import Curve
from refine_hooks.log.folder import Store
from refine_hooks.log.headline import best_curve
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.measure import Measurement
from refine_hooks.model import HalfMaps, Key, MaskRole, Origin, rank

logger = logging.getLogger(__name__)

_IN_ONE_LINE: tuple[MaskRole, ...] = ("sphere", "automask", "user", "refinement")
_LABEL_AT = 224  # of an MRC header, bytes


def write_half_maps(store: Store, key: Key, label: str, halves: HalfMaps) -> HalfMapsRecord:
    """Write half maps that exist nowhere yet, and say where they all are.

    Raises:
        StorageError: no room.
    """
    paths = halves.paths
    if paths is None:
        paths = _free_paths(store.half_map_paths(key, label), halves.origin)
        store.require_room(2 * halves.half1.voxels.nbytes)
        for number, (path, half) in enumerate(zip(paths, (halves.half1, halves.half2), strict=True), 1):
            store.write_map(path, half, f"refine_hooks {halves.origin} half {number}: {key} {label}")
    return HalfMapsRecord(
        origin=halves.origin,
        independence=halves.independence,
        paths=(store.relative(paths[0]), store.relative(paths[1])),
        masked=halves.masked,
        masked_by=halves.masked_by,
        joined_below_A=halves.joined_below_A,
        valid_shells=halves.valid_shells,
        images=halves.images,
    )


def _free_paths(paths: tuple[Path, Path], origin: Origin) -> tuple[Path, Path]:
    """Names for two half maps: others where these hold maps of a more trustworthy origin, which nothing writes over."""
    if all(rank(_origin_of(path)) <= rank(origin) for path in paths):
        return paths
    one, two = (
        path.with_name(f"{path.stem.removesuffix(f'_half{n}')}_{origin}_half{n}.mrc") for n, path in enumerate(paths, 1)
    )
    return one, two


def _origin_of(path: Path) -> Origin | None:
    """What the label of a map that was written here says; None where there is none."""
    try:
        with path.open("rb") as stream:
            label = os.pread(stream.fileno(), 80, _LABEL_AT).decode("ascii", "replace")
    except OSError:
        return None
    return next((origin for origin in get_args(Origin) if label.startswith(f"refine_hooks {origin} half")), None)


def write_masks(
    store: Store, key: Key, label: str, measurement: Measurement, keep: bool = True
) -> tuple[MaskRecord, ...]:
    """Write the masks that have no file yet (the sphere needs none), and hash every file.

    Raises:
        StorageError: no room.
    """
    records = []
    for mask in measurement.masks:
        record, path = mask.record, None
        if record.path is not None:
            path = Path(record.path)
        elif keep and mask.values is not None and record.role != "sphere":
            path = store.mask_path(key, label, record.name)
            store.write_map(
                path, Map(mask.values, measurement.voxel_size_A), f"refine_hooks mask {record.name}: {key} {label}"
            )
        if path is not None and path.is_file():
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            record = record.model_copy(update={"path": store.relative(path), "sha256": digest})
        records.append(record)
    return tuple(records)


def write_sharpened(store: Store, key: Key, label: str, sharpened: Map | None) -> str | None:
    """Write the map to look at, where there is one; its path as the record holds it.

    Raises:
        StorageError: no room.
    """
    if sharpened is None:
        return None
    path = store.sharpened_path(key, label)
    store.write_map(path, sharpened, f"refine_hooks FSC-weighted, sharpened: {key} {label}")
    return store.relative(path)


def one_line(record: RoundRecord) -> str:
    """A round in one line for people: its half maps, and each mask's resolution with its interval; no number of filtered halves."""
    begin = f"{record.key} {record.label} [{_halves(record)}]: "
    if "filtered" in record.headline_withheld:
        return f"{begin}no resolution, since the program filters these half maps{_stated(record)}"
    numbers = [_read_off(record, curve) for curve in record.curves if _in_one_line(record, curve)]
    if not numbers:
        return f"{begin}only what the program reported{_stated(record)}"
    return f"{begin}FSC = {record.curves[0].threshold:g}: {', '.join(numbers)}"


def _halves(record: RoundRecord) -> str:
    """Where the half maps come from, and what makes their resolution no gold standard."""
    halves = record.half_maps
    if halves is None:
        return "no half maps"
    from refine_hooks.report.words import INDEPENDENCE

    return (
        halves.origin
        if halves.independence == "independent"
        else f"{halves.origin}; {INDEPENDENCE[halves.independence]}"
    )


def _in_one_line(record: RoundRecord, curve: Curve) -> bool:
    """Whether it is the curve that a mask is read with, or the scaled one of the sphere, beside which it is to be seen."""
    if curve.mask is None or record.role(curve) not in _IN_ONE_LINE:
        return False
    read = record.under(curve.mask, "corrected") or record.under(curve.mask)
    return curve is read or (curve.kind == "scaled" and record.role(curve) == "sphere")


def _read_off(record: RoundRecord, curve: Curve) -> str:
    if curve.resolution_A is None:
        return f"{curve.name} no crossing to {_end_A(record, curve):.2f} A"
    spread = f" (90 % {curve.interval_A[0]:.2f}-{curve.interval_A[1]:.2f})" if curve.interval_A else ""
    return f"{curve.name} {curve.resolution_A:.2f} A{spread}"


def _stated(record: RoundRecord) -> str:
    stated = record.reported
    if stated is None:
        return ""
    return f"; it states {stated.resolution_A:.2f} A{f' at FSC {stated.level:g}' if stated.level is not None else ''}"


def _end_A(record: RoundRecord, curve: Curve) -> float:
    """Where a curve ends: at Nyquist, or where the reconstruction was cut."""
    last = max(shell for shell, value in enumerate(curve.correlation) if value is not None)
    return 1 / record.frequency_per_A[last] if last else float("inf")


def write_pictures(
    store: Store,
    key: Key,
    label: str,
    measurement: Measurement,
    views: Views | None,
    mass_kDa: float | None = None,
) -> None:
    """Slices, mask surfaces and views of a round; a picture that cannot be drawn harms nothing.

    Raises:
        StorageError: no room.
    """
    from refine_hooks.report.pictures import write_pictures as draw

    mask = next((m.values for m in measurement.masks if m.record.role == "automask"), None)
    best = best_curve(measurement.curves, [m.record for m in measurement.masks])
    resolution_A = best.resolution_A if best is not None else None
    try:
        draw(store, key, label, Map(measurement.average, measurement.voxel_size_A), mask, views, resolution_A, mass_kDa)
    except StorageError:
        raise
    except Exception as error:
        logger.warning(f"{key} {label}: no pictures ({type(error).__name__}: {error})")
