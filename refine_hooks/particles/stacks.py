"""Particle stacks: what can be known before the work begins, and images in blocks through mrcfile's memory map."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import MapError, NotReadyError, ParticlesError
from refine_hooks.files.mrc import read_header
from refine_hooks.particles import Integers, Particles

Images = NDArray[np.float32]


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
    """The images of each block as float32 [image, y, x]; a stack stays mapped while its blocks follow each other.

    Two buffers take turns, since fresh memory for each block would cost as much as reading it: images are valid until those of
    the next block but one are asked for.

    Raises:
        ParticlesError: the stack became shorter, or cannot be read.
    """
    mapped: Any = None
    stack = -1
    largest = max((block.rows.size * block.box_px**2 for block in plan), default=0)
    buffers = np.empty(largest, np.float32), np.empty(largest, np.float32)
    for number, block in enumerate(plan):
        if block.stack != stack:
            mapped, stack = _mapped(particles.stacks[block.stack]), block.stack
        shape = block.rows.size, block.box_px, block.box_px
        images = buffers[number % 2][: int(np.prod(shape))].reshape(shape)
        _take(mapped, particles.image[block.rows] - 1, images)
        yield images


def _mapped(path: Path) -> Any:
    import mrcfile

    # A stack that is cut off under its map ends the process with a bus error, so the size is looked at once more.
    try:
        header = read_header(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stack = mrcfile.mmap(path, mode="r", permissive=True).data
    except (NotReadyError, MapError, OSError, ValueError) as error:
        raise ParticlesError(f"{path}: the particle stack cannot be read any more ({error})") from error
    if stack is None:
        raise ParticlesError(
            f"{path}: the particle stack cannot be mapped into memory; is it an MRC file in mode 0, 1, 2, 6 or 12?"
        )
    return stack.reshape(header.nz, header.ny, header.nx)


def _take(stack: Any, wanted: Integers, images: Images) -> None:
    if wanted.size and wanted[-1] - wanted[0] == wanted.size - 1 and np.all(np.diff(wanted) == 1):
        images[:] = stack[wanted[0] : wanted[-1] + 1]
    else:
        for i, n in enumerate(wanted):
            images[i] = stack[n]
