"""A copy of each round's last line, packed, in a file of its own: what a deleted or cut log held is written again from there."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from refine_hooks.files.reading import open_plain
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LONGEST_LINE, LogIndex
from refine_hooks.log.lines import parsed_line
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Key, Origin

FOLDER = "records"
_ENDING = ".json.gz"


def copy_line(store: Store, record: RoundRecord, text: bytes) -> None:
    """Keep the line of a round, before it is written to the log: a watch that is killed between the two lacks nothing.

    Raises:
        StorageError: no room.
    """
    store.write_parts(store.record_path(record.key), [gzip.compress(text, 6, mtime=0)])


def lacking(store: Store, index: LogIndex) -> Iterator[RoundRecord]:
    """The rounds that were measured and that a log does not hold, in the order in which they were measured.

    A copy that is damaged, or lies where none of this log's belongs, is passed over.
    """
    known = {store.record_path(one.key) for one in index.summaries()}
    known |= {store.record_path(one.key) for one in index.superseded()}
    found = sorted(
        (measured_at, path)
        for path in (store.out / FOLDER).rglob(f"*{_ENDING}")
        if path not in known and (measured_at := _lacks(index, store, path)) is not None
    )
    for _, path in found:
        record = _read(path)
        if record is not None and index.summary(record.key) is None:
            yield record


def half_maps_without_line(store: Store, named: Iterable[tuple[Key, str]]) -> list[tuple[Path, Path]]:
    """Pairs of half maps below the store that belong to none of these rounds.

    Args:
        store: the output folder.
        named: keys and labels of the rounds that are known.
    """
    known = {store.half_map_paths(key, label)[0] for key, label in named}
    found = []
    for one in sorted((store.out / "half_maps").rglob("*_half1.mrc")):
        stem = one.name.removesuffix("_half1.mrc")
        plain = next(
            (stem.removesuffix(f"_{origin}") for origin in get_args(Origin) if stem.endswith(f"_{origin}")), stem
        )
        two = one.with_name(f"{stem}_half2.mrc")
        if known.isdisjoint(one.with_name(f"{name}_half1.mrc") for name in (stem, plain)) and two.is_file():
            found.append((one, two))
    return found


def _lacks(index: LogIndex, store: Store, path: Path) -> datetime | None:
    """When a round was measured that a log lacks; None where this is no copy of such a one."""
    record = _read(path)
    if record is None or index.summary(record.key) is not None or store.record_path(record.key) != path:
        return None
    return record.measured_at


def _read(path: Path) -> RoundRecord | None:
    try:
        with gzip.GzipFile(fileobj=open_plain(path)) as stream:
            line = parsed_line(stream.read(LONGEST_LINE))
    except (OSError, EOFError, zlib.error, ValidationError):
        return None
    return line if isinstance(line, RoundRecord) else None
