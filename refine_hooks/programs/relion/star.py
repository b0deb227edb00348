"""STAR files that another program may be writing at this moment: a table is whole, or it is not there yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError
from refine_hooks.programs._reading import read_text


@dataclass(frozen=True, slots=True)
class Block:
    """One ``data_`` block: its single values by name, and its loops' columns by name (both with the leading underscore cut)."""

    values: dict[str, str]
    columns: dict[str, list[str]]

    def text(self, name: str) -> str:
        """A value, empty when it is missing or RELION's ``None``."""
        value = self.values.get(name, "")
        return "" if value == "None" else value

    def number(self, name: str) -> float | None:
        """A finite number; None when it is missing, no number, or infinite."""
        try:
            value = float(self.values[name])
        except (KeyError, ValueError):
            return None
        return value if np.isfinite(value) else None

    def whole(self, name: str) -> int | None:
        """An integer, None when missing."""
        value = self.number(name)
        return None if value is None else round(value)

    def array(self, name: str) -> NDArray[np.float64] | None:
        """A column as float64; what is no number becomes NaN; None when there is no such column."""
        column = self.columns.get(name)
        return None if column is None else np.array([_number(text) for text in column])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def read_star(path: Path, until: str = "") -> dict[str, Block]:
    """The blocks of a STAR file by name (without ``data_``).

    Args:
        path: the file.
        until: the block at which reading may end, e.g. a long table that nobody asks for; empty to read all.

    Raises:
        NotReadyError: not there, empty, or cut off in the middle of a table or a line.
        InputError: cannot be read.
    """
    text = read_text(path)
    end = text.find(f"\ndata_{until}") if until else -1
    if end < 0 and not text.endswith("\n"):
        raise NotReadyError(f"{path}: ends in the middle of a line; it is being written, or torn")
    return parse_star(text if end < 0 else text[: end + 1], str(path))


def parse_star(text: str, source: str) -> dict[str, Block]:
    """The blocks of STAR text; see `read_star`."""
    from gemmi import cif

    try:
        document = cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise NotReadyError(
            f"{source}: is no complete STAR file ({_first_line(error)}); it is being written, or torn"
        ) from error
    blocks: dict[str, Block] = {}
    for block in document:
        values: dict[str, str] = {}
        columns: dict[str, list[str]] = {}
        for item in block:
            if item.pair is not None:
                name, value = (str(part) for part in cast("tuple[str, str]", item.pair))
                values[name.lstrip("_")] = str(cif.as_string(value))
            elif item.loop is not None:
                for tag in item.loop.tags:
                    columns[tag.lstrip("_")] = [str(cif.as_string(value)) for value in block.find_loop(tag)]
        blocks[block.name] = Block(values, columns)
    return blocks


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
