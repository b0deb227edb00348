"""How many particle images a reconstruction must have used, from the parameter file that cisTEM wrote for it."""

import struct
from pathlib import Path

import numpy as np

from refine_hooks.files.reading import read_bytes

_TYPES = {2: "<i4", 3: "<f4", 5: "<i8", 6: "<f8", 7: "i1", 9: "<u4"}
_ACTIVE, _OCCUPANCY, _SUBSET = 2, 512, 1 << 32
_MOST_COLUMNS = 200


def images_in_parameters(path: Path) -> tuple[int, int] | None:
    """Particles of subset 1 and 2 that are active and have some occupancy; None where the file cannot tell.

    Args:
        path: a ``.cistem`` file: two int32 (columns, rows), for each column an int64 id and an int8 type, then packed rows.
    """
    try:
        raw = read_bytes(path)
        columns, count = struct.unpack_from("<2i", raw)
        if not 0 < columns <= _MOST_COLUMNS or count <= 0:
            return None
        fields = [struct.unpack_from("<qb", raw, 8 + 9 * n) for n in range(columns)]
        layout = np.dtype([(str(number), _TYPES[kind]) for number, kind in fields])
        table = np.frombuffer(raw, layout, count, 8 + 9 * columns)
        used = (table[str(_ACTIVE)] >= 0) & (table[str(_OCCUPANCY)] > 0)
        subset = table[str(_SUBSET)][used]
    except (OSError, struct.error, KeyError, ValueError):
        return None
    first, second = int(np.count_nonzero(subset == 1)), int(np.count_nonzero(subset == 2))
    return (first, second) if first + second == subset.size else None
