"""Partial sums on disk: what a killed insertion goes on from.

One file: a few values that say what the sums are of, then the sums as numpy writes them. It is written beside, synced and
renamed, so that at any moment the file is whole or not there.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from refine_hooks.maps import beside
from refine_hooks.particles import COLUMNS
from refine_hooks.sums.insertion import Floats, Plan

_VERSION = 1


def fingerprint(plan: Plan) -> str:
    """A hash of everything that the sums depend on, the stacks by their names, sizes and times."""
    stacks = []
    for path in plan.particles.stacks:
        status = path.stat()
        stacks.append((str(path), status.st_size, status.st_mtime_ns))
    words = (_VERSION, plan.package, plan.symmetry, plan.padding, plan.box_px, plan.voxel_size_A, plan.boxes, stacks)
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
        with path.open("rb") as stream:
            head = json.loads(np.load(stream, allow_pickle=False).tobytes())
            if head["of"] != what:
                return 0
            saved = np.load(stream, allow_pickle=False)
            if saved.shape != sums.shape or saved.dtype != sums.dtype:
                return 0
            sums[:] = saved
            return int(head["done"])
    except (OSError, ValueError, KeyError, EOFError):
        return 0
