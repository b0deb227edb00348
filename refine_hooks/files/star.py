"""STAR text by the rules of RELION's own reader, which are not those of CIF."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError

_WORD = re.compile(r"""(['"])(?P<quoted>.*?)\1(?=\s|$)|\S+""")


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


def parse_star(text: str, source: str) -> dict[str, Block]:
    """The blocks of STAR text, by the rules of RELION's own reader (metadata_table.cpp, readStarList and readStarLoop).

    Values are split at blanks that are not in quotes; ``$`` and names such as ``data_1.mrc`` are values like any other, as is a
    quote that nothing closes, which RELION refuses. A loop ends at an empty line.

    See `refine_hooks.programs.relion.star.read_star`.
    """
    blocks: dict[str, Block] = {}
    block: Block | None = None
    names: list[str] | None = None
    rows: list[list[str]] = []

    def finish() -> None:
        if block is not None and names is not None and rows:
            block.columns.update(zip(names, map(list, zip(*rows, strict=True)), strict=True))

    for number, line in enumerate(text.split("\n"), 1):
        words = _words(line)
        if names and words and (rows or not words[0].startswith(("_", "#"))):
            rows.append(_row(words, names, number, source))
        elif line.startswith("data_"):
            finish()
            names, rows = None, []
            block = blocks.setdefault(words[0][5:], Block({}, {}))
        elif not words:
            finish()
            names, rows = (None, []) if names else (names, rows)
        elif words[0].startswith("#"):
            continue
        elif block is None:
            raise NotReadyError(f"{source}: line {number}: {line[:60]!r} stands before any table")
        elif words[0] == "loop_":
            finish()
            names, rows = [], []
        elif words[0].startswith("_") and names is not None:
            names.append(words[0][1:])
        elif words[0].startswith("_"):
            block.values[words[0][1:]] = words[1] if len(words) > 1 else ""
    finish()
    return blocks


def _words(line: str) -> list[str]:
    if "'" not in line and '"' not in line:
        return line.split()
    return [word["quoted"] if word[1] else word[0] for word in _WORD.finditer(line)]


def _row(words: list[str], names: list[str], number: int, source: str) -> list[str]:
    if len(words) < len(names):
        raise NotReadyError(
            f"{source}: line {number}: has {len(words)} of {len(names)} values; it is being written, or torn"
        )
    return words[: len(names)]
