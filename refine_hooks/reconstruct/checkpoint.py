"""Partial sums on disk: what a killed insertion goes on from.

One file: a few values that say what the sums are of, then the sums as numpy writes them. It is written beside, synced and
renamed, so that at any moment the file is whole or not there.
"""

import hashlib
import json
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_magic
from numpy.typing import NDArray

from refine_hooks.files.atomic import beside
from refine_hooks.files.reading import open_plain
from refine_hooks.particles import COLUMNS
from refine_hooks.sums.plan import Floats, Plan

_VERSION = 1
_LONGEST_HEAD = 1 << 16


def fingerprint(plan: Plan) -> str:
    """A hash of everything that the sums depend on, the stacks by their names, sizes and times."""
    stacks = []
    for path in plan.particles.stacks:
        status = path.stat()
        stacks.append((str(path), status.st_size, status.st_mtime_ns))
    words: tuple[Any, ...] = (_VERSION, plan.package, plan.symmetry, plan.padding, plan.box_px, plan.voxel_size_A)
    words += (plan.boxes, stacks, *(() if plan.substituted_from_A is None else (plan.substituted_from_A,)))
    digest = hashlib.sha256(json.dumps(words).encode())
    filters = [] if plan.whitening is None else [plan.whitening[box] for box in sorted(plan.whitening)]
    columns = [getattr(plan.particles, name) for name in COLUMNS]
    for values in (*columns, plan.amplitude, plan.falloff_A2, *filters):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def save(path: Path, what: str, done: int, sums: Floats) -> None:
    """Write the sums of the first ``done`` particles of the plan with the fingerprint ``what``.

    Raises:
        StorageError: no room, or the folder cannot be written to.
    """
    head = json.dumps({"of": what, "done": done}).encode()
    with beside(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.frombuffer(head, np.uint8), allow_pickle=False)
        np.save(stream, sums, allow_pickle=False)


def resume(path: Path, what: str, sums: Floats) -> int:
    """Fill ``sums`` from a checkpoint of the same plan; returns how many particles it holds, 0 where there is none.

    What a killed process left half written beside it is removed.
    """
    for torn in path.parent.glob(f".{path.name}.*.part"):
        torn.unlink(missing_ok=True)
    try:
        with BufferedReader(open_plain(path)) as stream:
            head = json.loads(_saved(stream, np.dtype(np.uint8), None).tobytes())
            if head["of"] != what:
                return 0
            done = head["done"]
            saved = _saved(stream, sums.dtype, sums.shape)
    except Exception:  # numpy reads the header as Python's own text, which can be wrong in every way
        return 0
    if not isinstance(done, int) or done < 0:
        return 0
    sums[:] = saved
    return done


def _saved(stream: Any, dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> NDArray[Any]:
    """The next array of a file, if it is of this kind; a shape of None stands for a short row.

    Raises:
        ValueError: it is of another kind, or cut off; numpy raises much else where a header is damaged.
    """
    if read_magic(stream) != (1, 0):
        raise ValueError("it is of another version")
    stated, by_column, kind = read_array_header_1_0(stream)
    if (
        by_column
        or kind != dtype
        or (stated != shape if shape else len(stated) != 1 or not 0 < stated[0] < _LONGEST_HEAD)
    ):
        raise ValueError("it is of another kind")
    values = np.empty(stated, dtype)
    if stream.readinto(values.reshape(-1).view(np.uint8).data) != values.nbytes:
        raise ValueError("it is cut off")
    return values
