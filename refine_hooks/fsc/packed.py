"""Both half maps in one complex transform, pruned to a mask's bounding box, and the shell sums of the two.

With F the transform of v1 + i v2, and F' = F(-k): |F1|^2 + |F2|^2 = (|F|^2 + |F'|^2) / 2, |F1|^2 - |F2|^2 = Re F F' and
Re F1 F2* = Im F F' / 2. One complex transform is made in place, where two real ones need room for what they return; and
masked halves, randomised or not, are never wanted one by one.

Planes are the transform before its last step, complex64 [z of the box, ky, kx] with both signs of ky and kx in FFT order. The
step along z takes the columns of ky and -ky together, since F' is there.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Box, Curve, Planes, ShellSums, in_place, in_slabs, powers_of, room, shell_of_square
from refine_hooks.kernels import ADDRESS, INT, array, kernel

_SLAB_BYTES = 1 << 20
_APART = 8  # coefficients: a line of the cache
_ROWS, _VOLUME = array("complex64", 3, written=True), array("float32", 3)
_FILLED = array("int64", 1, written=True)
_pack = kernel("pack", _VOLUME, _VOLUME, _VOLUME, INT, INT, _ROWS, _FILLED)
_mask_rows = kernel("mask_rows", _ROWS, _VOLUME, INT, INT, _FILLED)
_along_z = kernel("columns", array("complex64", 3), INT, INT, INT, INT, ADDRESS, _ROWS)
_sum_slab = kernel(
    "packed_sums", array("complex64", 4), INT, INT, INT, array("int16", 1), array("float64", 2, written=True)
)

Fill = Callable[[Planes, int, int], None]
Work = Callable[[Planes, int, int, int], Curve]
Block = tuple[slice, slice, Planes]


def new_planes(box: Box, box_px: int) -> Planes:
    """Room for the planes of a bounding box; not set to anything.

    Rows and planes are farther apart than they need be: at powers of two all of a line shares a few places of the cache.
    """
    count, row = box[0].stop - box[0].start, box_px + _APART
    held = np.empty((count, box_px * row + _APART), np.complex64)
    return held[:, : box_px * row].reshape(count, box_px, row)[:, :, :box_px]


def masked(half1: Volume, half2: Volume, mask: Volume, box: Box, out: Planes | None = None) -> Planes:
    """Planes of two volumes [z, y, x] under one mask whose bounding box is ``box``."""
    n = len(half1)
    planes = new_planes(box, n) if out is None else out
    z, y, x = box

    def work(begin: int, end: int) -> None:
        part = planes[begin:end]
        here = slice(z.start + begin, z.start + end)
        filled = np.array([n, 0])
        _pack(half1[here, y], half2[here, y], mask[here, y], x.start, x.stop, part[:, y], filled)
        _forward(part, y, filled)

    in_slabs(work, len(planes), _slab(n, n))
    return planes


def remasked(planes: Planes, mask: Volume, box: Box, known: int) -> None:
    """Planes of two volumes -> planes of the two under a mask, in place.

    Args:
        planes: of the volumes themselves, over the z of ``box``.
        mask: float32 [z, y, x].
        box: its bounding box.
        known: |kx| from which on the planes are zero.
    """
    n = planes.shape[1]
    z, y, x = box

    def work(begin: int, end: int) -> None:
        part = planes[begin:end]
        for kx in _below(known, n):
            in_place(part[:, :, kx], 1, backward=True)
        in_place(part[:, y], 2, backward=True)
        filled = np.array([n, 0])
        _mask_rows(part[:, y], mask[z.start + begin : z.start + end, y], x.start, x.stop, filled)
        _forward(part, y, filled)

    in_slabs(work, len(planes), _slab(n, n))


def _forward(part: Planes, y: slice, filled: NDArray[np.int64]) -> None:
    """Of rows that are set in ``y``, and not 0 in ``filled``, counted from there."""
    part[:, : y.start] = 0
    part[:, y.stop :] = 0
    first, end = filled.tolist()
    in_place(part[:, y.start + first : y.start + max(first, end)], 2)
    in_place(part, 1)


def _below(known: int, box_px: int) -> list[slice]:
    """Where the frequencies below ``known`` stand in FFT order."""
    if 2 * known > box_px:
        return [slice(0, box_px)]
    return [slice(0, known), *([slice(box_px - known + 1, box_px)] if known > 1 else [])]


def middle(planes: Planes, known: int) -> list[Block]:
    """A copy of what planes hold at |ky| and |kx| below ``known``, with its place."""
    below = _below(known, planes.shape[1])
    return [(ky, kx, planes[:, ky, kx].copy()) for ky in below for kx in below]


def added(planes: Planes, blocks: Sequence[Block]) -> None:
    """Add a `middle` to planes, in place."""
    for ky, kx, block in blocks:
        planes[:, ky, kx] += block


def synthesised(fill: Fill, box: Box, windows: Sequence[Planes], known: int) -> None:
    """Planes of two volumes over the z of ``box``, from their coefficients.

    Args:
        fill: ``fill(slab, begin, end)`` writes the coefficients of ky = begin..end and then of the ky = -begin..-end that are
            not the same, as [kz, row, kx].
        box: bounding box of the mask that comes next.
        windows: where the planes go: the first to planes of this box, the others to those of boxes that are moved along z, each
            by the same share of the whole, so that none overlaps where there is room for all.
        known: |kx| and |ky| from which on the coefficients are zero.
    """
    n = windows[0].shape[1]
    places = [(np.arange(box[0].start, box[0].stop) + i * (n // len(windows))) % n for i in range(len(windows))]

    def work(begin: int, end: int) -> None:
        rows = rows_of(begin, end, n)
        slab = room((n, len(rows), n))
        if begin >= known:
            for planes in windows:
                planes[:, rows] = 0
            return
        fill(slab, begin, end)
        for kx in _below(known, n):
            in_place(slab[:, :, kx], 0, backward=True)
        for planes, z in zip(windows, places, strict=True):
            for row, ky in enumerate(rows):
                planes[:, ky] = slab[z, row]

    in_slabs(work, n // 2 + 1, _slab(2 * n, n))


def rows_of(begin: int, end: int, box_px: int) -> list[int]:
    """ky = begin..end, then their negatives in FFT order; one that is its own negative stands there once."""
    return [*range(begin, end), *(box_px - ky for ky in range(begin, end) if 0 < 2 * ky < box_px)]


def summed(planes: Sequence[Planes], z: slice, reach: float, *works: Work) -> list[Curve]:
    """What each of the works adds up over the whole transform; the transform itself is never kept.

    Args:
        planes: of one pair of volumes, or of several under one mask.
        z: of the mask's bounding box.
        reach: no coefficient farther than this from the origin is wanted, in voxels.
        works: ``work(slabs, begin, end, kept)`` is given the coefficients of ky = begin..end and then of the ky = -begin..-end
            that are not the same, as [pair, kz, row, column]; the columns of kx = 0..kept - 1 come first and those of .., -2, -1
            last. It returns sums.
    """
    n = planes[0].shape[1]

    def work(begin: int, end: int) -> list[Curve]:
        kept = min(n // 2, int(np.sqrt(max(reach**2 - begin**2, 0)))) + 1
        rows, columns = len(rows_of(begin, end, n)), kept + min(kept - 1, (n - 1) // 2)
        slabs = room((len(planes), n, rows, columns + _APART))[..., :columns]
        for slab, one in zip(slabs, planes, strict=True):
            _columns(one, z, begin, end, kept, slab)
        return [np.asarray(each(slabs, begin, end, kept)) for each in works]

    parts = in_slabs(work, n // 2 + 1, _slab(2 * n, n))
    return [np.sum([part[number] for part in parts], axis=0) for number in range(len(works))]


def _columns(planes: Planes, z: slice, begin: int, end: int, kept: int, slab: Planes) -> None:
    """The step along z for ky = begin..end and their negatives, to [kz, row, column]: kx = 0..kept - 1, then the last kx."""
    n, columns = len(slab), slab.shape[2]
    if powers := powers_of(n):
        _along_z(planes, z.start, begin, end, kept, powers.address, slab)
        return
    slab[: z.start] = 0
    slab[z.stop :] = 0
    for row, ky in enumerate(rows_of(begin, end, n)):
        slab[z, row, :kept] = planes[:, ky, :kept]
        slab[z, row, kept:] = planes[:, ky, n - (columns - kept) :]
    in_place(slab, 0)


def shell_work(box_px: int, last: int | None = None) -> tuple[float, Work]:
    """The reach of the shells 0..N//2, or up to another one, and the work that sums over them.

    See `sums_of_pair` and `sums_of_two_pairs`.
    """
    last = box_px // 2 if last is None else last
    labels = shell_of_square(box_px)[: last * (last + 1) + 1]

    def work(slabs: Planes, begin: int, end: int, kept: int) -> Curve:
        sums = np.zeros((last + 1, 4 if len(slabs) == 1 else 8))  # in cache lines
        _sum_slab(slabs, begin, end, kept, labels, sums)
        return sums

    return last + 0.5, work


def sums_of_pair(found: Curve) -> ShellSums:
    """What `shell_work` adds up for one pair."""
    whole, difference, cross = found.T[0], 2 * found.T[1], found.T[2]
    return ShellSums(cross, (whole + difference) / 2, (whole - difference) / 2)


def sums_of_two_pairs(found: Curve) -> list[ShellSums]:
    """What `shell_work` adds up for two pairs, (a1, a2) and (b1, b2): of a1 a2, b1 b2, a1 b2 and b1 a2."""
    a1, b1, a2, b2, *cross = found.T / 2
    return [ShellSums(*sums) for sums in zip(cross, (a1, b1, a1, b1), (a2, b2, b2, a2), strict=True)]


def sums(planes: Planes, box: Box, last: int | None = None) -> ShellSums:
    """Shell sums of the two volumes, over the shells 0..N//2 or up to another one."""
    reach, work = shell_work(planes.shape[1], last)
    return sums_of_pair(summed([planes], box[0], reach, work)[0])


def _slab(rows: int, columns: int) -> int:
    return max(1, _SLAB_BYTES // (8 * rows * columns))
