"""A long STAR table, of which a few columns are wanted, by the rules of RELION's own reader (see `refine_hooks.files.star`).

Measured on a table of 850,000 particles and 22 columns (300 MB), fourteen columns turned into arrays: 1.5 s of CPU and 0.42 GB
(with gemmi 0.7.5 and numpy, on one of 301 MB, 18.8 s and 1.7 GB).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError, ParticlesError
from refine_hooks.files.reading import read_bytes
from refine_hooks.files.star import Block, parse_star
from refine_hooks.kernels import INT, array, kernel

_ENDS = re.compile(rb"\n[ \t\r]*(?:\n|\Z)")
_SPACE = b" \t\r"
# What kernels/star.c calls the columns, and what is wrong with a row.
_NUMBER, _TEXT, _IMAGE = 1, 2, 3
_SHORT, _NO_NUMBER, _LONG = 1, 2, 3
_COUNTS, _PLACES = array("int64", 1), array("int64", 2, written=True)
_read_rows = kernel(
    "read_rows",
    array("uint8", 1),
    INT,
    INT,
    _COUNTS,
    _COUNTS,
    array("float64", 2, written=True),
    _PLACES,
    _PLACES,
    array("int64", 1, written=True),
)


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts: row i says ``different[which[i]]``."""

    which: NDArray[np.int64]
    different: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The loop with a given label, and all the other blocks of its file.

    Attributes:
        labels: of all its columns, without the leading underscore.
        rows: how many there are.
        first_line: the number of the line that its first row stands in, from 1.
        numbers: the wanted columns that are there.
        texts: the same; of an image ``NUMBER@STACK`` the stack here, and the number above.
        others: everything else in the file.
    """

    labels: tuple[str, ...]
    rows: int
    first_line: int
    numbers: dict[str, NDArray[np.float64]]
    texts: dict[str, Texts]
    others: dict[str, Block]


def read_table(path: Path, label: str, numbers: set[str], texts: set[str]) -> Table:
    """The loop that has the column ``label``, which holds images: ``NUMBER@STACK`` (without a number it is the first).

    Args:
        path: the file.
        label: without the leading underscore, like the others.
        numbers: columns of numbers.
        texts: columns of texts.

    Raises:
        ParticlesError: the file cannot be read, there is no such loop, a row has too few or too many values, or a number is none:
            says which line.
    """
    try:
        raw = read_bytes(path)
    except OSError as error:
        raise ParticlesError(f"{path}: cannot be read ({error})") from error
    loop = _loop_with(raw, label)
    try:
        if loop is None:
            parse_star(raw[: 1 << 20].decode("utf-8", "replace"), str(path))
            raise ParticlesError(f"{path}: holds no table with {label}, so it is no particle file of RELION")
        begin, labels, first, end = loop
        others = parse_star((raw[:begin] + raw[end:]).decode("utf-8", "replace"), str(path))
    except NotReadyError as error:
        raise ParticlesError(str(error)) from error
    return _columns(path, raw, (first, end), labels, {label}, numbers, texts, others)


def _loop_with(raw: bytes, label: str) -> tuple[int, tuple[str, ...], int, int] | None:
    """Where the loop with this column begins, its labels, and where its rows begin and end."""
    found = re.search(rb"^_" + label.encode() + rb"(?=\s)", raw, re.M)
    begin = -1 if found is None else raw.rfind(b"\nloop_", 0, found.start())
    if begin < 0:
        return None
    labels: list[str] = []
    at = raw.find(b"\n", begin + 1) + 1
    while 0 < at < len(raw) and raw[at : at + 64].lstrip(_SPACE)[:1] in (b"_", b"#"):
        stop = raw.find(b"\n", at) + 1 or len(raw)
        word = raw[at:stop].split(maxsplit=1)[0]
        labels += [word[1:].decode("utf-8", "replace")] if word.startswith(b"_") else []
        at = stop
    end = _ENDS.search(raw, max(at - 1, 0))
    return begin + 1, tuple(labels), at, len(raw) if end is None else end.start() + 1


def _columns(
    path: Path,
    raw: bytes,
    span: tuple[int, int],
    labels: tuple[str, ...],
    images: set[str],
    numbers: set[str],
    texts: set[str],
    others: dict[str, Block],
) -> Table:
    # The last of several columns of one label counts, as in RELION.
    last = {name: i for i, name in enumerate(labels)}
    with_number = sorted((images | numbers) & set(last), key=lambda name: (name not in images, name))
    with_text = sorted((images | texts) & set(last), key=lambda name: (name not in images, name))
    kinds, slots = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for kind, names in ((_NUMBER, with_number), (_TEXT, with_text)):
        for slot, name in enumerate(names):
            kinds[last[name]], slots[last[name]] = _IMAGE if name in images else kind, slot
    most = raw.count(b"\n", *span) + 1
    values = np.empty((len(with_number), most))
    begins, ends = np.empty((len(with_text), most), np.int64), np.empty((len(with_text), most), np.int64)
    found = np.zeros(4, np.int64)
    _read_rows(np.frombuffer(raw, np.uint8), *span, kinds, slots, values, begins, ends, found)
    first_line = raw.count(b"\n", 0, span[0]) + 1
    rows, state, column, filled = found.tolist()
    _refuse(path, labels, first_line, rows, state, column, filled)
    return Table(
        labels,
        rows,
        first_line,
        {name: values[slot, :rows] for slot, name in enumerate(with_number)},
        {name: _texts(raw, begins[slot, :rows], ends[slot]) for slot, name in enumerate(with_text)},
        others,
    )


def _refuse(
    path: Path, labels: tuple[str, ...], first_line: int, row: int, state: int, column: int, values: int
) -> None:
    where = f"{path}: line {first_line + row}"
    if state in (_SHORT, _LONG):
        raise ParticlesError(f"{where}: has {values} of {len(labels)} values; the file is torn, or the row was edited")
    if state == _NO_NUMBER:
        raise ParticlesError(f"{where}: {labels[column]} is no number; the file is torn, or the row was edited")


def _texts(raw: bytes, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Texts:
    changes = np.flatnonzero(begins >= 0)
    known: dict[bytes, int] = {}
    of_change = np.array(
        [known.setdefault(raw[begins[row] : ends[row]], len(known)) for row in changes.tolist()], np.int64
    )
    which = of_change[np.cumsum(begins >= 0) - 1] if changes.size else np.empty(0, np.int64)
    return Texts(which, tuple(text.decode("utf-8", "replace") for text in known))
