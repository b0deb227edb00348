"""STAR files that another program may be writing at this moment: a table is whole, or it is not there yet."""

import time
from pathlib import Path

from refine_hooks.errors import InputError, NotReadyError
from refine_hooks.files.star import Block, parse_star
from refine_hooks.programs._reading import read_text

_STILL_WRITTEN_S = 60.0


def read_star(path: Path, until: str = "") -> dict[str, Block]:
    """The blocks of a STAR file by name (without ``data_``).

    Args:
        path: the file.
        until: the block at which reading may end, e.g. a long table that nobody asks for; empty to read all.

    Raises:
        NotReadyError: not there, empty, or cut off in the middle of a table or a line a moment ago.
        InputError: cannot be read, or cut off and not written since a minute.
    """
    text = read_text(path)
    end = text.find(f"\ndata_{until}") if until else -1
    try:
        return parse_star(_whole_lines(path, text) if end < 0 else text[: end + 1], str(path))
    except NotReadyError as error:
        # Times far in the future are those of a clock that has been put back.
        if abs(time.time() - path.stat().st_mtime) < _STILL_WRITTEN_S:
            raise
        raise InputError(f"{error}; it has not changed for a minute: restore it, or run the job again") from error


def _whole_lines(path: Path, text: str) -> str:
    if text.endswith("\n"):
        return text
    line = text.count("\n") + 1
    raise NotReadyError(f"{path}: line {line}: ends in the middle of a line; it is being written, or torn")
