"""The reader plug-in of napari: a measured round as layers. See ``napari.yaml``, the manifest of npe2."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refine_hooks.errors import InputError
from refine_hooks.files.mrc import Map, read_map
from refine_hooks.log.folder import LOG_NAME, path_of
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.report.viewer import half_map_files, newest_shown

Layer = tuple[Any, dict[str, Any], str]


def reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """A function that opens a round, where ``path`` is a log or a half map that a log names; None where it is neither.

    Of a log the newest round is opened whose half maps are on disk; of a half map, its round.
    """
    if not isinstance(path, str):
        path = path[0] if len(path) == 1 else ""
    return _layers if _found(Path(path)) is not None else None


def _layers(path: str | Sequence[str]) -> list[Layer]:
    """Average, half maps, and masks of a round as layers of napari: arrays [z, y, x], scaled to Angstrom.

    Raises:
        InputError: its maps are not on disk any more.
    """
    found = _found(Path(path if isinstance(path, str) else path[0]))
    if found is None:
        raise InputError(f"{path}: is neither a log nor a half map that a log names")
    record, folder = found
    one, two = (read_map(file) for file in half_map_files(record, folder))
    scale = (one.voxel_size_A,) * 3
    about = {"scale": scale, "units": ("angstrom",) * 3, "metadata": {"refine_hooks": record.model_dump(mode="json")}}
    average = (one.voxels + two.voxels) / 2
    layers: list[Layer] = [_image(f"{record.label}, average", average, about, visible=True)]
    layers += [_image(f"half map {n}", half.voxels, about, visible=False) for n, half in enumerate((one, two), 1)]
    for mask in record.masks:
        file = None if mask.path is None else path_of(folder, mask.path)
        if file is not None and file.is_file():
            shown = mask.role == "automask"
            layers.append(_labels(f"mask: {mask.name}", read_map(file), len(layers) - 2, about, visible=shown))
    return layers


def _image(name: str, values: Any, about: dict[str, Any], visible: bool) -> Layer:
    limits = [float(values.min()), float(values.max())]
    return values, {"name": name, "contrast_limits": limits, "visible": visible, **about}, "image"


def _labels(name: str, mask: Map, number: int, about: dict[str, Any], visible: bool) -> Layer:
    """The voxels where the mask is over 1/2, under a number of their own; its edge is drawn as a contour."""
    values = np.where(mask.voxels > 0.5, number, 0).astype(np.uint8)
    return values, {"name": name, "opacity": 0.4, "visible": visible, **about}, "labels"


def _found(path: Path) -> tuple[RoundRecord, Path] | None:
    """The round that a path means, and the folder of its log."""
    if path.name == LOG_NAME:
        return _newest(path)
    path = path.absolute()
    return next((found for folder in path.parents if (found := _of_half(folder / LOG_NAME, path)) is not None), None)


def _newest(log: Path) -> tuple[RoundRecord, Path] | None:
    index = LogIndex(log)
    index.refresh()
    record = newest_shown(index)
    return None if record is None else (record, log.parent)


def _of_half(log: Path, half: Path) -> tuple[RoundRecord, Path] | None:
    if not log.is_file():
        return None
    index = LogIndex(log)
    index.refresh()
    records = (index.record(known.key) for known in reversed(index.summaries()))
    return next(((one, log.parent) for one in records if half in half_map_files(one, log.parent)), None)
