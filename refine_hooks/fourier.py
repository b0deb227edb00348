"""Real Fourier transforms of cubic volumes, pruned to a mask's bounding box, and sums over their shells.

A half transform is the `scipy.fft.rfftn` of a float32 volume[z, y, x]: complex64 [kz, ky, kx], kz and ky in FFT order,
kx = 0..N//2, phase origin at the corner of the box. Shell k holds every coefficient of the *full* transform with
floor(|k| + 0.5) = k, k = 0..N//2; the half transform therefore counts twice everywhere but on kx = 0 and, in an even
box, on kx = N/2. Volumes are float32, sums are float64.

Planes are a half transform before its last step, [z, ky, kx] for the z of a bounding box only: x has been transformed for
the rows and y for the planes that the mask leaves. The step along z is made slab by slab, and where only shell sums are
wanted a slab is forgotten as soon as it is summed. One slab stays in a core's cache.
"""

import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.mrc import Volume
from refine_hooks.kernels import ADDRESS, FLOAT, INT, array, build, fft, kernel

HalfTransform = NDArray[np.complex64]
Planes = NDArray[np.complex64]
Box = tuple[slice, slice, slice]
Curve = NDArray[np.float64]
T = TypeVar("T")

_SLAB_BYTES = 1 << 20
_PADDED_AT_ONCE = 32
_RADICES = (2, 3, 5, 7, 11, 13)
_LONGEST_LINE = 1024  # so that the scratch of eight fits any stack
_rooms = threading.local()
_SLAB, _LABELS, _SUMS = array("complex64", 3), array("int16", 1), array("float64", 2, written=True)
_transform_lines = kernel("transform_lines", array("complex64", 3, written=True), INT, ADDRESS, INT, FLOAT)
_extent = kernel("extent", array("float32", 3), INT, INT, array("float64", 1, written=True))
_shell_sums = kernel("shell_sums", _SLAB, _SLAB, INT, _LABELS, _SUMS)
_voxels_in_shell = kernel("voxels_in_shell", INT, _LABELS, array("int64", 1, written=True))


@dataclass(frozen=True, slots=True)
class ShellSums:
    """Sums over the shells 0..N//2 of the full transforms of two volumes: Re sum F1 F2*, sum |F1|^2, sum |F2|^2."""

    cross: Curve
    power1: Curve
    power2: Curve


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a mask is not zero, and its sums.

    Attributes:
        box: the smallest box of slices [z, y, x] outside of which it is zero; None for a mask that is zero everywhere.
        total: sum of m.
        squares: sum of m^2.
    """

    box: Box | None
    total: float
    squares: float


def workers() -> int:
    """How many threads a transform may use: the cores that this process is allowed on, no more than OMP_NUM_THREADS."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(asked)) if asked.isdecimal() and int(asked) else allowed


def in_slabs(work: Callable[[int, int], T], count: int, step: int) -> list[T]:
    """``work(begin, end)`` over 0..count, ``step`` at a time, on all cores; results in order."""
    begins = range(0, count, max(1, step))
    results: list[Any] = [None] * len(begins)
    number = itertools.count()

    def share() -> None:
        while (n := next(number)) < len(begins):
            results[n] = work(begins[n], min(count, begins[n] + begins.step))

    helpers = [_helpers().submit(share) for _ in range(min(workers(), len(begins)) - 1)]
    try:
        share()
    finally:
        # One that has not begun has nothing left to do; waiting for it could be for ever, were this call inside another one.
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()
    return results


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that stay, and with them their scratch: starting them for every call costs as much as a slab."""
    return ThreadPoolExecutor(max(1, workers() - 1), thread_name_prefix="slabs")


def beside(work: Callable[..., T], *given: Any) -> Future[T]:
    """``work`` on these arguments in a thread that stays; it must not wait for another work of this kind."""
    return _beside().submit(work, *given)


@cache
def _beside() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="beside")


def _without_threads() -> None:
    """A forked process has none of them."""
    _helpers.cache_clear()
    _beside.cache_clear()


os.register_at_fork(after_in_child=_without_threads)


def slab_of(box_px: int) -> int:
    """How many planes of a half transform fit a core's cache."""
    return max(1, _SLAB_BYTES // (8 * box_px * (box_px // 2 + 1)))


def room(shape: tuple[int, ...], slot: int = 0) -> Planes:
    """Scratch of this thread and slot, not set to anything; the next call for the slot gives the same memory again.

    A slab's worth of fresh memory costs as much as its transform, because the system hands it out page by page.
    """
    held: dict[int, Planes] = _rooms.__dict__.setdefault("held", {})
    size = math.prod(shape)
    if slot not in held or held[slot].size < size:
        held[slot] = np.empty(size, np.complex64)
    return held[slot][:size].reshape(shape)


def transform(volume: Volume) -> HalfTransform:
    """Half transform of a whole volume, [kz, ky, kx]; in memory ky comes first, since slabs are taken of ky."""
    n = len(volume)
    out = np.empty((n, n, n // 2 + 1), np.complex64)

    def planes(begin: int, end: int) -> None:
        rows = fft.rfftn(volume[begin:end], axes=(2,))
        in_place(rows, 1)
        out[:, begin:end] = rows.transpose(1, 0, 2)

    in_slabs(planes, n, slab_of(n))
    in_slabs(lambda begin, end: in_place(out[begin:end], 1), n, slab_of(n))
    return out.transpose(1, 0, 2)


def inverse(half: HalfTransform) -> Volume:
    """The real volume of a half transform [kz, ky, kx] of an even or an odd cube, which is overwritten."""
    in_place(half, 0, backward=True)
    in_place(half, 1, backward=True)
    return np.asarray(fft.irfft(half, n=len(half), axis=2), np.float32)


def padded_inverse(transform: HalfTransform, box_px: int) -> Volume:
    """The real volume of a half transform padded with zeros to ``box_px``, as cisTEM resizes in Fourier space.

    Axis by axis and in slabs, which is cheaper than padding first.

    Args:
        transform: half transform [kz, ky, kx] of an even or an equal box, coefficients divided by their number.
        box_px: edge of the result; at least that of the transform.
    """
    options: dict[str, Any] = {"workers": workers(), "overwrite_x": True, "norm": "forward"}
    columns = fft.ifft(_padded(transform, 0, box_px), axis=0, **options)
    voxels = np.empty((box_px,) * 3, np.float32)
    for z in range(0, box_px, _PADDED_AT_ONCE):
        rows = fft.ifft(_padded(columns[z : z + _PADDED_AT_ONCE], 1, box_px), axis=1, **options)
        wide = np.zeros((*rows.shape[:2], box_px // 2 + 1), np.complex64)
        wide[:, :, : rows.shape[2]] = rows
        voxels[z : z + _PADDED_AT_ONCE] = fft.irfft(wide, n=box_px, axis=2, **options)
    return voxels


def _padded(transform: HalfTransform, axis: int, box_px: int) -> HalfTransform:
    """Zeros between the positive and the negative frequencies of one axis; -Nyquist is copied to +Nyquist as cisTEM does."""
    n = transform.shape[axis]
    if n == box_px:
        return transform
    shape = list(transform.shape)
    shape[axis] = box_px
    out = np.zeros(shape, np.complex64)
    source, target = np.moveaxis(transform, axis, 0), np.moveaxis(out, axis, 0)
    target[: (n + 1) // 2] = source[: (n + 1) // 2]
    target[box_px - n // 2 :] = source[n - n // 2 :]
    if n % 2 == 0:
        target[n // 2] = source[n // 2]
    return out


def in_place(lines: Planes, axis: int, *, backward: bool = False) -> None:
    """Transform complex lines [.., .., ..] along one axis where they are."""
    n = lines.shape[axis]
    if powers := powers_of(n):
        _transform_lines(lines, axis, powers.address, backward, 1 / n if backward else 1.0)
        return
    step = fft.ifft if backward else fft.fft
    result = step(lines, axis=axis, overwrite_x=True)
    if result.ctypes.data != lines.ctypes.data:
        lines[...] = result


class Powers(NamedTuple):
    """exp(-2 pi i k / n) for all k below n, and where they stand in memory."""

    values: NDArray[np.complex64]
    address: int


@lru_cache(maxsize=16)
def powers_of(length: int) -> Powers | None:
    """What the kernels need that transform lines of this length; None where they don't, or scipy does it faster."""
    rest = length
    for radix in _RADICES:
        while rest % radix == 0:
            rest //= radix
    if rest > 1 or length > _LONGEST_LINE or build.variant() == "plain":
        return None
    values = np.exp(-2j * np.pi / length * np.arange(length)).astype(np.complex64)
    values.flags.writeable = False
    return Powers(values, values.ctypes.data)


def extent(mask: Volume) -> Extent:
    """Bounding box and sums of a mask [z, y, x]."""
    return joined_extent(in_slabs(lambda begin, end: extent_of_planes(mask, begin, end), mask.shape[0], 16))


def extent_of_planes(mask: Volume, begin: int, end: int) -> Curve:
    """Bounding box and sums of the planes begin..end of a mask, for `joined_extent`."""
    found = np.empty(8)
    _extent(mask, begin, end, found)
    return found


def joined_extent(of_planes: Sequence[Curve]) -> Extent:
    """That of a whole mask from those of its planes."""
    parts = np.array(of_planes)
    total, squares = float(parts[:, 6].sum()), float(parts[:, 7].sum())
    filled = parts[parts[:, 1] > 0]
    if not len(filled):
        return Extent(None, total, squares)
    z, y, x = (slice(int(filled[:, i].min()), int(filled[:, i + 1].max())) for i in (0, 2, 4))
    return Extent((z, y, x), total, squares)


def shell_sums(half1: HalfTransform, half2: HalfTransform) -> ShellSums:
    """Shell sums of two half transforms."""
    n = half1.shape[0]
    labels = shell_of_square(n)

    def work(begin: int, end: int) -> Curve:
        sums = np.zeros((n // 2 + 1, 4))
        _shell_sums(half1[:, begin:end], half2[:, begin:end], begin, labels, sums)
        return sums

    return _added(in_slabs(work, n, max(slab_of(n), n // 16)))


def _added(parts: list[Curve]) -> ShellSums:
    cross, power1, power2, _ = 2 * np.sum(parts, axis=0).T
    return ShellSums(cross, power1, power2)


@lru_cache(maxsize=8)
def shell_of_square(box_px: int) -> NDArray[np.int16]:
    """floor(sqrt(s) + 0.5) for the squares s = |k|^2 of the shells 0..N//2."""
    last = box_px // 2
    return np.floor(np.sqrt(np.arange(last * last + last + 1)) + 0.5).astype(np.int16)


@lru_cache(maxsize=8)
def voxels_in_shell(box_px: int) -> NDArray[np.int64]:
    """How many coefficients of the full transform lie in each shell 0..N//2; not to be written to."""
    counts = np.zeros(box_px // 2 + 1, np.int64)
    _voxels_in_shell(box_px, shell_of_square(box_px), counts)
    counts.flags.writeable = False
    return counts


def shell_frequency_per_A(box_px: int, voxel_size_A: float) -> Curve:
    """Frequency of the shells 0..N//2 in 1/Angstrom."""
    return np.arange(box_px // 2 + 1) / (box_px * voxel_size_A)
