"""Particle stacks: what can be known before the work begins, and images in blocks, straight from the file.

Stacks are read, not memory-mapped: one that is cut off while it is read is an error then, and no bus error; and what the disk
brings goes where it is needed at once.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import MapError, NotReadyError, ParticlesError
from refine_hooks.files.mrc import MrcHeader, read_header
from refine_hooks.files.reading import open_plain
from refine_hooks.kernels import array, kernel
from refine_hooks.particles import Integers, Particles

Images = NDArray[np.float32]
_widen = kernel("widen", array("int16", 1), array("float32", 1, written=True))
_CONVERTED_AT_ONCE_BYTES = 1 << 20  # they stay near the core


@dataclass(frozen=True, slots=True)
class Block:
    """Particles that are read together: rows of the table, half 1 before half 2, each in stack order, all of one box."""

    rows: Integers
    stack: int
    box_px: int


def checked_boxes(particles: Particles) -> tuple[int, ...]:
    """The edge in pixels of every stack's images, after everything has been checked that headers tell.

    Raises:
        ParticlesError: stacks that are missing, short, not square or no MRC file, and images outside their stack; all at once.
    """
    faults: list[str] = []
    boxes = []
    for number, path in enumerate(particles.stacks):
        rows = np.flatnonzero(particles.used & (particles.stack == number))
        box, images = _box_and_images(path, faults) if rows.size else (0, 0)
        boxes.append(box)
        outside = rows[(particles.image[rows] < 1) | (particles.image[rows] > images)] if box else rows[:0]
        if outside.size:
            first = int(outside[0])
            faults.append(
                f"{path}: holds {images} images, but {particles.source} asks for image {particles.image[first]} "
                f"(particle {first + 1}, and {outside.size - 1} more); is this the stack that belongs to these parameters?"
            )
    if faults:
        raise ParticlesError(*faults)
    return tuple(boxes)


def _box_and_images(path: Path, faults: list[str]) -> tuple[int, int]:
    if not path.is_file():
        faults.append(
            f"{path}: the particle stack is not there; restore it, or name the folder that stack paths start from"
        )
        return 0, 0
    try:
        header = read_header(path)
    except NotReadyError as error:
        faults.append(f"{error}; the particle stack is shorter than it should be")
        return 0, 0
    except MapError as error:
        faults.extend(error.faults)
        return 0, 0
    if header.packed_by:
        faults.append(f"{path}: the particle stack is packed by {header.packed_by}; unpack it first")
        return 0, 0
    if header.nx != header.ny:
        faults.append(f"{path}: images are {header.nx} x {header.ny} pixels; only square ones can be reconstructed")
        return 0, 0
    return header.nx, header.nz


def blocks(particles: Particles, boxes: tuple[int, ...], images_at_once: int) -> list[Block]:
    """The used rows in the order of the stacks, cut into blocks of at most ``images_at_once`` of one stack."""
    used = np.flatnonzero(particles.used)
    order = used[np.lexsort((particles.image[used], particles.stack[used]))]
    plan = []
    for number in np.unique(particles.stack[order]):
        rows = order[particles.stack[order] == number]
        for i in range(0, rows.size, images_at_once):
            some = rows[i : i + images_at_once]
            by_half = some[np.argsort(particles.half[some], kind="stable")]
            plan.append(Block(by_half, int(number), boxes[number]))
    return plan


def read_images(particles: Particles, plan: list[Block]) -> Iterator[Images]:
    """The images of each block as float32 [image, y, x]; a stack stays open while its blocks follow each other.

    Two buffers take turns, since fresh memory for each block would cost as much as reading it: images are valid until those of
    the next block but one are asked for.

    Raises:
        ParticlesError: the stack became shorter or another, or cannot be read.
    """
    opened: _Stack | None = None
    largest = max((block.rows.size * block.box_px**2 for block in plan), default=0)
    buffers = np.empty(largest, np.float32), np.empty(largest, np.float32)
    try:
        for number, block in enumerate(plan):
            path = particles.stacks[block.stack]
            if opened is None or opened.path != path:
                if opened is not None:
                    opened.stream.close()
                opened = _opened(path, block.box_px)
            shape = block.rows.size, block.box_px, block.box_px
            images = buffers[number % 2][: int(np.prod(shape))].reshape(shape)
            _take(opened, particles.image[block.rows] - 1, images)
            yield images
    finally:
        if opened is not None:
            opened.stream.close()


@dataclass(frozen=True, slots=True)
class _Stack:
    path: Path
    header: MrcHeader
    stream: FileIO

    @property
    def image_bytes(self) -> int:
        return self.header.nx * self.header.ny * self.header.dtype.itemsize


def _opened(path: Path, box_px: int) -> _Stack:
    """A stack of a box that was looked at before; it may have changed."""
    try:
        header = read_header(path)
        if header.packed_by or (header.nx, header.ny) != (box_px, box_px):
            raise ParticlesError(f"{path}: the particle stack is not the one that it was when the work began")
        return _Stack(path, header, open_plain(path))
    except (NotReadyError, MapError, OSError) as error:
        raise ParticlesError(f"{path}: the particle stack cannot be read any more ({error})") from error


def _take(stack: _Stack, wanted: Integers, images: Images) -> None:
    """Images of some numbers, from 0; in the order of the file, and at once what follows each other there and in the block."""
    if wanted.max() >= stack.header.nz:
        raise ParticlesError(f"{stack.path}: the particle stack holds only {stack.header.nz} images now")
    order = np.argsort(wanted, kind="stable")
    follows = (np.diff(wanted[order]) == 1) & (np.diff(order) == 1)
    begins = [0, *(np.flatnonzero(~follows) + 1).tolist()]
    _announce(stack, int(wanted[order[0]]), int(wanted[order[-1]]), len(wanted))
    at_once = max(1, _CONVERTED_AT_ONCE_BYTES // stack.image_bytes)
    try:
        for begin, end in zip(begins, [*begins[1:], len(order)], strict=True):
            first, to = int(wanted[order[begin]]), int(order[begin])
            if stack.header.dtype == images.dtype:
                _fill(stack, first, images[to : to + end - begin])
                continue
            for i in range(0, end - begin, at_once):
                _convert(stack, first + i, images[to + i : to + min(i + at_once, end - begin)])
    except OSError as error:
        raise ParticlesError(f"{stack.path}: the particle stack cannot be read any more ({error.strerror})") from error


def _announce(stack: _Stack, first: int, last: int, count: int) -> None:
    """Have the system fetch a part of the stack of which most is wanted, in steps as large as the disk likes."""
    if hasattr(os, "posix_fadvise") and 2 * count > last - first:
        begin, size = stack.header.data_offset + first * stack.image_bytes, (last - first + 1) * stack.image_bytes
        os.posix_fadvise(stack.stream.fileno(), begin, size, os.POSIX_FADV_WILLNEED)


def _fill(stack: _Stack, first: int, stored: NDArray[np.generic]) -> None:
    """Images as they are stored, from number ``first`` on."""
    stack.stream.seek(stack.header.data_offset + first * stack.image_bytes)
    room = stored.reshape(-1).view(np.uint8).data
    while room:
        read = stack.stream.readinto(room)
        if not read:
            raise ParticlesError(f"{stack.path}: the particle stack became shorter while it was read")
        room = room[read:]


def _convert(stack: _Stack, first: int, images: Images) -> None:
    stored = np.empty(images.shape, stack.header.dtype)
    _fill(stack, first, stored)
    if stored.dtype == np.float16:
        _widen(stored.reshape(-1).view(np.int16), images.reshape(-1))
    else:
        images[:] = stored
    if stack.header.added:
        images += np.float32(stack.header.added)
