"""Both half maps in one complex transform, pruned to a mask's bounding box, and the shell sums of the two.

With F the transform of v1 + i v2, and F' = F(-k): |F1|^2 + |F2|^2 = (|F|^2 + |F'|^2) / 2, |F1|^2 - |F2|^2 = Re F F' and
Re F1 F2* = Im F F' / 2. One complex transform is made in place, where two real ones need room for what they return; and
masked halves, randomised or not, are never wanted one by one.

Planes are the transform before its last step, complex64 [z of the box, ky, kx] with both signs of ky and kx in FFT order. The
step along z takes the columns of ky and -ky together, since F' is there.
"""

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import Box, Curve, Planes, ShellSums, in_place, in_slabs, room, shell_of_square
from refine_hooks.maps import Volume

_SLAB_BYTES = 1 << 20
_FAST = {"contract", "reassoc", "nsz"}

Fill = Callable[[Planes, int, int], bool]


def new_planes(box: Box, box_px: int) -> Planes:
    """Room for the planes of a bounding box; not set to anything."""
    return np.empty((box[0].stop - box[0].start, box_px, box_px), np.complex64)


def masked(half1: Volume, half2: Volume, mask: Volume, box: Box, out: Planes | None = None) -> Planes:
    """Planes of two volumes [z, y, x] under one mask whose bounding box is ``box``."""
    n = len(half1)
    planes = new_planes(box, n) if out is None else out
    z, y, x = box

    def work(begin: int, end: int) -> None:
        part = planes[begin:end]
        here = slice(z.start + begin, z.start + end)
        _pack(half1[here, y], half2[here, y], mask[here, y], x.start, x.stop, part[:, y])
        _forward(part, y)

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
    filled = [slice(0, n)] if 2 * known > n else [slice(0, known), *([slice(n - known + 1, n)] if known > 1 else [])]

    def work(begin: int, end: int) -> None:
        part = planes[begin:end]
        for kx in filled:
            in_place(part[:, :, kx], 1, backward=True)
        in_place(part[:, y], 2, backward=True)
        _mask_rows(part[:, y], mask[z.start + begin : z.start + end, y], x.start, x.stop)
        _forward(part, y)

    in_slabs(work, len(planes), _slab(n, n))


def _forward(part: Planes, y: slice) -> None:
    part[:, : y.start] = 0
    part[:, y.stop :] = 0
    in_place(part[:, y], 2)
    in_place(part, 1)


def synthesised(fill: Fill, box: Box, box_px: int, planes: Planes) -> None:
    """Planes of two volumes over the z of ``box``, from their coefficients.

    Args:
        fill: ``fill(slab, begin, end)`` writes the coefficients of ky = begin..end and then of the ky = -begin..-end that are
            not the same, as [kz, row, kx]; False when all of them are zero.
        box: bounding box of the mask that comes next.
        box_px: edge of the volumes.
        planes: where they go.
    """

    def work(begin: int, end: int) -> None:
        rows = rows_of(begin, end, box_px)
        slab = room((box_px, len(rows), box_px))
        if fill(slab, begin, end):
            in_place(slab, 0, backward=True)
            for row, ky in enumerate(rows):
                planes[:, ky] = slab[box[0], row]
        else:
            planes[:, rows] = 0

    in_slabs(work, box_px // 2 + 1, _slab(2 * box_px, box_px))


def rows_of(begin: int, end: int, box_px: int) -> list[int]:
    """ky = begin..end, then their negatives in FFT order; one that is its own negative stands there once."""
    return [*range(begin, end), *(box_px - ky for ky in range(begin, end) if 0 < 2 * ky < box_px)]


def sums(planes: Planes, box: Box) -> ShellSums:
    """Shell sums of the two volumes; the transform itself is never kept."""
    n = planes.shape[1]
    labels = shell_of_square(n)

    def work(begin: int, end: int) -> Curve:
        rows = rows_of(begin, end, n)
        kept = min(n // 2, int(np.sqrt((n // 2 + 0.5) ** 2 - begin**2))) + 1
        negative = min(kept - 1, (n - 1) // 2)
        slab = room((n, len(rows), kept + negative))
        slab[: box[0].start] = 0
        slab[box[0].stop :] = 0
        for row, ky in enumerate(rows):
            slab[box[0], row, :kept] = planes[:, ky, :kept]
            slab[box[0], row, kept:] = planes[:, ky, n - negative :]
        in_place(slab, 0)
        return np.asarray(_sum_slab(slab, begin, end, kept, labels))

    whole, difference, cross = np.sum(in_slabs(work, n // 2 + 1, _slab(2 * n, n)), axis=0)
    return ShellSums(cross, (whole + difference) / 2, (whole - difference) / 2)


def _slab(rows: int, columns: int) -> int:
    return max(1, _SLAB_BYTES // (8 * rows * columns))


@numba.njit(cache=True, nogil=True)
def _pack(half1: Volume, half2: Volume, mask: Volume, start: int, stop: int, rows: Planes) -> None:
    for z in range(rows.shape[0]):
        for y in range(rows.shape[1]):
            rows[z, y, :start] = 0
            rows[z, y, stop:] = 0
            for x in range(start, stop):
                value = mask[z, y, x]
                rows[z, y, x] = complex(half1[z, y, x] * value, half2[z, y, x] * value)


@numba.njit(cache=True, nogil=True)
def _mask_rows(rows: Planes, mask: Volume, start: int, stop: int) -> None:
    for z in range(rows.shape[0]):
        for y in range(rows.shape[1]):
            rows[z, y, :start] = 0
            rows[z, y, stop:] = 0
            for x in range(start, stop):
                rows[z, y, x] *= mask[z, y, x]


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _sum_slab(slab: Planes, begin: int, end: int, kept: int, labels: NDArray[np.int16]) -> Curve:
    """Sums [3, shell] of |F1|^2 + |F2|^2, |F1|^2 - |F2|^2 and Re F1 F2* over ky = begin..end and their negatives."""
    n = slab.shape[0]
    result = np.zeros((n // 2 + 1, 4))  # the fourth keeps a shell's sums in one cache line
    products = np.empty((3, kept), np.float32)
    for ky in range(begin, end):
        own = ky == 0 or 2 * ky == n
        mirror = ky - begin if own else end - begin + ky - max(begin, 1)
        for iz in range(n):
            square = min(iz, n - iz) ** 2 + ky * ky
            if square >= labels.size:
                continue
            stop = min(kept, int(np.sqrt(labels.size - 1 - square)) + 1)
            _multiply(slab[iz, ky - begin], slab[(n - iz) % n, mirror], stop, products)
            weight = 0.5 if own else 1.0
            for kx in range(stop):
                if kx == 0 or 2 * kx == n:  # the two signs are one coefficient
                    products[:, kx] *= np.float32(0.5)
                shell = labels[square + kx * kx]
                for i in range(3):
                    result[shell, i] += weight * products[i, kx]
    result[:, 1] *= 2
    return result[:, :3].T.copy()


@numba.njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _multiply(line: Planes, opposite: Planes, stop: int, products: Volume) -> None:
    """Products of F and F' for both signs of kx = 0..stop; ``opposite`` is the line of -kz and -ky."""
    columns = line.size
    for kx in range(stop):
        minus = columns - kx if kx else 0
        f, g, h, i = line[kx], opposite[minus], line[minus], opposite[kx]
        products[0, kx] = (
            f.real * f.real + f.imag * f.imag + g.real * g.real + g.imag * g.imag
            + h.real * h.real + h.imag * h.imag + i.real * i.real + i.imag * i.imag
        )  # fmt: skip
        products[1, kx] = f.real * g.real - f.imag * g.imag + h.real * i.real - h.imag * i.imag
        products[2, kx] = f.real * g.imag + f.imag * g.real + h.real * i.imag + h.imag * i.real
