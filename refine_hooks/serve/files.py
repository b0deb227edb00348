"""Half maps, masks and pictures of a round. A browser names a round and a thing, never a path; the record names the file."""

import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from refine_hooks.errors import InputError
from refine_hooks.log.folder import Store, path_of, slug
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.report import page

_MRC_WORD_AT, _MRC_WORD = 208, b"MAP "
_PNG_WORD = b"\x89PNG\r\n\x1a\n"


def maps_of(record: RoundRecord) -> dict[str, str]:
    """Name of each volume that can be asked for -> its path as the record has it."""
    halves = record.half_maps.paths if record.half_maps and record.half_maps.paths else ()
    named = {f"half{number}": path for number, path in enumerate(halves, 1)}
    if record.analysis is not None and record.analysis.sharpened_path:
        named["sharpened"] = record.analysis.sharpened_path
    if record.local is not None and record.local.path:
        named["local"] = record.local.path
    return {**named, **{f"mask:{mask.name}": mask.path for mask in record.masks if mask.path is not None}}


def links(log: LogIndex, record: RoundRecord) -> dict[str, str]:
    """The volumes of a round that can be fetched now, and their addresses."""
    offered = {}
    for name in maps_of(record):
        try:
            handle, _ = opened_map(log, record, name)
        except InputError:
            continue
        os.close(handle)
        offered[name] = address(log, record, "file", name)
    return offered


def pictures(log: LogIndex, record: RoundRecord) -> dict[str, Any]:
    """The pictures of a round as the page wants them, each with its address."""
    return page.pictures(
        Store(log.out), record.key, record.label, lambda path: address(log, record, "picture", _kind(path))
    )


def address(log: LogIndex, record: RoundRecord, what: str, name: str) -> str:
    """Where the browser gets a file of a round, relative to the page; new whenever the round is measured anew."""
    measured = int(record.measured_at.timestamp())
    return f"api/log/{log.id}/{what}?" + urlencode({"key": str(record.key), "what": name, "at": measured})


def opened_map(log: LogIndex, record: RoundRecord, name: str) -> tuple[int, str]:
    """An open volume and the name to save it under.

    Raises:
        InputError: the record has none of that name, or the file is none that may be given away.
    """
    path = maps_of(record).get(name)
    if path is None:
        raise InputError(f"{record.key}: has no {name!r}")
    handle = opened_below(path_of(log.out, path), roots(log))
    if os.pread(handle, 4, _MRC_WORD_AT) != _MRC_WORD:
        os.close(handle)
        raise InputError(f"{record.key}: the file of {name!r} is no map")
    return handle, f"{slug(str(record.key))}_{slug(name)}.mrc"


def opened_picture(log: LogIndex, record: RoundRecord, what: str) -> int:
    """An open picture of a round.

    Raises:
        InputError: there is no such picture.
    """
    if what not in page.PICTURES:
        raise InputError(f"{record.key}: has no picture {what!r}")
    handle = opened_below(Store(log.out).picture_path(record.key, record.label, what), [log.out])
    if os.pread(handle, len(_PNG_WORD), 0) != _PNG_WORD:
        os.close(handle)
        raise InputError(f"{record.key}: {what} is no picture")
    return handle


def roots(log: LogIndex) -> list[Path]:
    """The folders whose files may be given away: the log's own, and the project's where the log lies inside it."""
    project = Path(log.start.project) if log.start else None
    inside = project is not None and log.out.resolve().parent == project.resolve()
    return [log.out, log.out.parent] if inside else [log.out]


def opened_below(path: Path, allowed: list[Path]) -> int:
    """An open regular file that truly lies below one of the folders, whatever links its path goes through.

    The check is made on what was opened, not on its name, so that no swap in between can change the answer.

    Raises:
        InputError: it is not there, is no plain file, or lies elsewhere.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: is not there any more") from error
    where = Path(f"/proc/self/fd/{handle}").resolve()
    plain = stat.S_ISREG(os.fstat(handle).st_mode)
    if not plain or not any(where.is_relative_to(root.resolve()) for root in allowed):
        os.close(handle)
        raise InputError(f"{path.name}: lies outside of the project")
    return handle


class HeldFile(FileResponse):
    """An open file as an answer (with ranges, so that a broken download can go on); closed whatever becomes of the answer."""

    def __init__(self, handle: int, media_type: str, filename: str | None = None) -> None:
        self._handle = handle
        super().__init__(
            f"/proc/self/fd/{handle}", media_type=media_type, filename=filename, stat_result=os.fstat(handle)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and close it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._handle)


def _kind(path: Path) -> str:
    return next(what for what in page.PICTURES if path.name.endswith(what))
