"""EMAN2's tables of FSCs, and the iteration that an un-numbered pair of raw copies is proven to be of by one."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.files.hdf import read_hdf_map
from refine_hooks.fourier import transform
from refine_hooks.fsc import fsc
from refine_hooks.programs._reading import read_text
from refine_hooks.programs.eman2.folder import Run, mtime_ns

_SAME = 0.03


def iteration_of(run: Run, kind: str) -> int | None:
    """The iteration that a pair of `refine_hooks.programs.eman2.folder.KINDS` is of; None where none is certain.

    EMAN2 does not always write the raw copies anew, so their FSC must be its own unmasked one, whatever the times say.
    """
    last = run.last("unmasked")
    if kind != "raw" or not last:
        return run.iteration_of(kind)
    pair, (number, table) = run.unnumbered("raw"), last[0]
    state = ("raw", *((path, mtime_ns(path)) for path in (*pair, table)))
    return number if run.memory.of(state, lambda: _agrees(pair, table)) else None


def _agrees(pair: tuple[Path, Path], table: Path) -> bool:
    try:
        one, two = (read_hdf_map(path) for path in pair)
        stated = read_curve(table, one.box_px, one.box_px * one.voxel_size_A)
    except (RefineHooksError, OSError):
        return False
    if one.voxels.shape != two.voxels.shape:
        return False
    measured = fsc(transform(one.voxels), transform(two.voxels))
    known = np.isfinite(stated)
    return bool(known[1:].any()) and bool(np.abs(measured[known] - stated[known]).max() <= _SAME)


def read_curve(path: Path, box_px: int, extent_A: float) -> NDArray[np.float64]:
    """A text file of frequency (1/A) and correlation, by shell 0..N//2; NaN where it has no row.

    Raises:
        NotReadyError: not there, or cut off.
    """
    values = np.full(box_px // 2 + 1, np.nan)
    for line in read_text(path).splitlines():
        try:
            frequency_per_A, correlation = (float(word) for word in line.split()[:2])
            shell = round(frequency_per_A * extent_A)
        except (ValueError, OverflowError) as error:
            if line.lstrip().startswith("#") or not line.strip():
                continue
            raise NotReadyError(f"{path}: {line!r} is no row of a curve; it is being written") from error
        if 0 <= shell < values.size and abs(correlation) <= 1 + 1e-6:
            values[shell] = correlation
    return values
