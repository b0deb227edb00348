"""The compiled loop over the rows of a long STAR table."""

# numba compiles these functions by what they are called with; annotations would say nothing to it.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import numpy as np

from refine_hooks.kernels.jit import njit

SKIPPED, NUMBER, TEXT, IMAGE = 0, 1, 2, 3
WHOLE, SHORT, NO_NUMBER = 0, 1, 2
_BLANK, _LINE, _AT, _DOT, _PLUS, _MINUS = 32, 10, 64, 46, 43, 45
_MOST_DIGITS = 10**17


@njit(cache=True, nogil=True, error_model="numpy")
def read_rows(raw, first, end, kinds, slots, numbers, begins, ends):
    """Read the chosen columns of rows that are split at blanks.

    Args:
        raw: uint8 bytes of the file.
        first, end: where the rows begin and end.
        kinds: `SKIPPED`, `NUMBER`, `TEXT` or `IMAGE` (a number, an @ and a text) of each column.
        slots: of each number its row in ``numbers``, of each text that in ``begins``, of each image that in both.
        numbers: float64 [slot, row], filled.
        begins, ends: int64 [slot, row], filled: where a text lies in ``raw``; -1 where it is that of the row before.

    Returns:
        How many rows were read, `WHOLE` or what is wrong with the next one, its column, and how many values it has.
    """
    last = np.zeros((2, begins.shape[0]), np.int64)
    at, row = first, 0
    while at < end:
        at, column, fine = _read_row(raw, at, end, kinds, slots, numbers[:, row], begins[:, row], ends[:, row], last)
        if not fine:
            return row, NO_NUMBER, column, 0
        if 0 < column < kinds.size:
            return row, SHORT, 0, column
        if column:
            row += 1
    return row, WHOLE, 0, 0


@njit(inline="always")
def _read_row(raw, at, end, kinds, slots, numbers, begins, ends, last):
    """One row; where the next begins, how many values this has, and False if one that should be a number is none."""
    column = 0
    while True:
        while at < end and raw[at] <= _BLANK and raw[at] != _LINE:
            at += 1
        if at >= end or raw[at] == _LINE:
            return at + 1, column, True
        begin = at
        while at < end and raw[at] > _BLANK:
            at += 1
        kind, fine = kinds[column] if column < kinds.size else SKIPPED, True
        if kind == IMAGE:
            numbers[slots[column]], begin, fine = _image(raw, begin, at)
        elif kind == NUMBER:
            numbers[slots[column]], fine = _number(raw, begin, at)
        if not fine:
            return at, column, False
        if kind >= TEXT:
            slot = slots[column]
            same = _same(raw, begin, at, last[0, slot], last[1, slot])
            begins[slot], ends[slot] = -1 if same else begin, at
            last[0, slot], last[1, slot] = begin, at
        column += 1


@njit(inline="always")
def _image(raw, begin, end):
    """The number of an image, where its stack's name begins, and whether there is one; without an @ it is the first."""
    sign = begin
    while sign < end and raw[sign] != _AT:
        sign += 1
    if sign == end:
        return 1.0, begin, True
    value, fine = _number(raw, begin, sign)
    return value, sign + 1, fine and 0 <= value < _MOST_DIGITS


@njit(inline="always")
def _same(raw, begin, end, other_begin, other_end):
    same = end - begin == other_end - other_begin
    at = 0
    while same and begin + at < end:
        same = raw[begin + at] == raw[other_begin + at]
        at += 1
    return same


@njit(inline="always")
def _word(raw, begin, end, first, second, third):
    """Whether three letters, small or not, stand there."""
    return (
        end - begin == 3 and raw[begin] | 32 == first and raw[begin + 1] | 32 == second and raw[begin + 2] | 32 == third
    )


@njit(inline="always")
def _sign(raw, at, end):
    """-1 or 1, and where the digits begin."""
    if at < end and (raw[at] == _MINUS or raw[at] == _PLUS):
        return -1 if raw[at] == _MINUS else 1, at + 1
    return 1, at


@njit(cache=True, nogil=True, error_model="numpy")
def _number(raw, begin, end):
    """The number that stands in raw[begin:end], to the last digit of a float64 or two, and whether it is one."""
    sign, at = _sign(raw, begin, end)
    if _word(raw, at, end, 110, 97, 110):
        return np.nan, True
    if _word(raw, at, end, 105, 110, 102):
        return sign * np.inf, True
    mantissa, digits, power, after = 0, 0, 0, 0
    while at < end:
        if raw[at] == _DOT and not after:
            after = 1
        elif 48 <= raw[at] <= 57:
            digits += 1
            kept = mantissa < _MOST_DIGITS
            mantissa = mantissa * 10 + (raw[at] - 48) if kept else mantissa
            power += 1 - after - kept
        else:
            break
        at += 1
    exponent, fine = _exponent(raw, at, end)
    power += exponent
    value = mantissa / 10.0**-power if power < 0 else mantissa * 10.0**power
    return sign * value, fine and digits > 0


@njit(inline="always")
def _exponent(raw, at, end):
    """The power of ten that stands there, 0 where nothing does; False where it is something else."""
    if at == end:
        return 0, True
    if raw[at] | 32 != 101:
        return 0, False
    sign, at = _sign(raw, at + 1, end)
    value, digits = 0, 0
    while at < end and 48 <= raw[at] <= 57:
        value = min(value * 10 + (raw[at] - 48), 400)
        digits += 1
        at += 1
    return sign * value, at == end and digits > 0
