"""Fourier sums from particle images: read in blocks, transformed, weighted, spread over the neighbours of where they belong.

Threads share one pair of sums without races and without copies: each task owns tiles of the volume (kernels/insertion.c), so the
result is the same to the last bit for any number of threads and any block size. Memory is therefore the sums of both halves,
32 (2H + 3)^2 (H + 2) bytes with H = padding * box / 2 (0.28 GB at box 256 for cisTEM, 2.2 GB for RELION, whose grid is twice as
fine), plus the coefficients of one block or two (`block_bytes`), two times 32 MB of images, and some 50 MB that say which parts of
them fall into which tile. A block is larger than what is read at once, since each one goes through all of the sums: at box 256 they
take as long to pass as 100 particles take to add. Where two blocks have room, the next one's images are read and become
coefficients while one is added, so that workers do not wait for each other at each step.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import in_slabs, workers
from refine_hooks.kernels import INT, array, kernel
from refine_hooks.particles import Particles
from refine_hooks.particles.stacks import Block, blocks, read_images
from refine_hooks.sums import FourierSums, coefficients
from refine_hooks.sums.plan import Floats, Plan
from refine_hooks.sums.substitution import turn_at_random
from refine_hooks.sums.symmetry import of_helix, rotations, turn_about
from refine_hooks.sums.tiles import Futures, Grid, Pieces, Team, finish, tile_edge

Progress = Callable[[int, int], None]

_BLOCK_BYTES = 192 << 20
_READ_BYTES = 32 << 20
_PART_BYTES = 1 << 20  # images whose transforms stay near the core while they are weighed
_ROWS_AT_ONCE = 3 << 14  # of images; their pieces take up to 1 kB each
_SUMS, _SUMS_WRITTEN = array("float32", 4), array("float32", 4, written=True)
_complete_mates = kernel("complete_mates", _SUMS_WRITTEN, INT)
_symmetrise = kernel("symmetrise", _SUMS, array("float64", 2), array("float64", 1), INT, _SUMS_WRITTEN, INT, INT)
_unfold = kernel("unfold", _SUMS, INT, array("complex64", 3, written=True), array("float32", 3, written=True), INT, INT)


def empty_sums(plan: Plan) -> Floats:
    """Zeros of `Plan.sums_shape`, aligned to cache lines."""
    return _aligned(plan.sums_shape)


def _aligned(shape: tuple[int, ...]) -> Floats:
    count = int(np.prod(shape, dtype=np.int64))
    buffer = np.zeros(count + 16, np.float32)
    skip = (-buffer.ctypes.data % 64) // 4
    return buffer[skip : skip + count].reshape(shape)


def block_bytes(box_px: int) -> int:
    """Memory that one particle's coefficients take while its block is inserted."""
    return 16 * box_px * (box_px // 2 + 1)


def block_size(box_px: int, wanted: int, threads: int) -> int:
    """How many particles make a block: as many as wanted, unless they take more than about 200 MB."""
    return max(threads, min(wanted, _BLOCK_BYTES // block_bytes(box_px)))


def insert(plan: Plan, sums: Floats, *, begin: int = 0, threads: int = 0, block_particles: int = 512) -> Iterator[int]:
    """Add particles ``begin`` and following to ``sums``; yields how many are in the sums after each block.

    Between two yields nothing is half done: the caller may save the sums, or stop.

    Args:
        plan: what to insert.
        sums: see `empty_sums`; changed in place.
        begin: particles that the sums hold already.
        threads: 0 for all cores.
        block_particles: images inserted together.

    Raises:
        ParticlesError: an image holds a NaN, or the stack cannot be read any more.
    """
    threads = threads or workers()
    todo = plan.part(begin, len(plan))
    work = blocks(todo.particles, plan.boxes, block_size(max(plan.boxes), block_particles, threads))
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(1) as reader:
        for done in _Insertion(todo, sums, work, Team(pool, threads), reader).blocks_done():
            yield begin + done


@dataclass(frozen=True, slots=True)
class _Batch:
    """Particles of a block that are added to one of the sums together.

    Attributes:
        values: coefficients of the whole block [particle, ky, kx, 4].
        some: which of its particles these are.
        number: of their sum.
        matrices: of theirs, see `_matrices`.
        first, last: of the block.
    """

    rules: coefficients.Rules
    values: Floats
    some: slice
    number: int
    matrices: NDArray[np.float64]
    first: bool
    last: bool


class _Insertion:
    """One batch after the other. While one is added, the next is begun: its images are read and, where there is room for two
    blocks, become coefficients; its rows are cut; and Python does what comes between, so that no worker waits for that.
    """

    def __init__(self, plan: Plan, sums: Floats, work: list[Block], team: Team, reader: ThreadPoolExecutor) -> None:
        self._plan, self._sums, self._work, self._team, self._reader = plan, sums, work, team, reader
        self._images = read_images(plan.particles, [part for block in work for part in _read_at_once(block)])
        self._coming = reader.submit(next, self._images, None)
        self._preparing: Futures = []
        self._using: Futures = []

    def blocks_done(self) -> Iterator[int]:
        """How many particles are in the sums, after each block."""
        done, batches = 0, self._batches()
        batch = next(batches, None)
        pieces = self._begin(batch) if batch else None
        while batch and pieces:
            finish(self._preparing)
            filling, following = self._fill(batch, pieces), next(batches, None)
            if following and following.first and following.values.base is batch.values.base:
                finish(filling)
            pieces = self._begin(following) if following else None
            finish(filling)
            if batch.last:
                done += len(batch.rules.rows)
                yield done
            batch = following

    def _batches(self) -> Iterator[_Batch]:
        plan, largest = (
            self._plan,
            max((block.rows.size * block_bytes(block.box_px) for block in self._work), default=0),
        )
        rooms = [_aligned((largest // 4,)) for _ in range(2 if 2 * largest <= _BLOCK_BYTES else 1)]
        for count, block in enumerate(self._work):
            shape = block.rows.size, block.box_px, block.box_px // 2 + 1, 4
            values = rooms[count % len(rooms)][: int(np.prod(shape))].reshape(shape)
            rules = coefficients.rules(plan, block)
            matrices = _matrices(plan, rules.particles, block.box_px)
            step = max(1, _ROWS_AT_ONCE // (block.box_px * matrices.shape[1]))
            ends = np.searchsorted(rules.particles.half, np.arange(1, plan.sets + 2)).tolist()
            parts = [
                (number, slice(a, min(a + step, end)))
                for number, (begin, end) in enumerate(pairwise(ends))
                for a in range(begin, end, step)
            ] or [(0, slice(0, 0))]
            for i, (number, some) in enumerate(parts):
                yield _Batch(rules, values, some, number, matrices[some], i == 0, i == len(parts) - 1)

    def _begin(self, batch: _Batch) -> Pieces:
        if batch.first:
            self._preparing = self._prepare(batch)
        grid, mates = _grid(self._plan, batch.rules, self._team.threads), batch.matrices.shape[1]
        return Pieces(grid, batch.matrices.reshape(-1, 3, 2), mates, self._team)

    def _prepare(self, batch: _Batch) -> Futures:
        """Begin with the coefficients of a block, as its images come."""
        ready, begun = 0, []
        while ready < len(batch.values):
            images = self._coming.result()
            assert images is not None
            step = max(1, min(_PART_BYTES // images[0].nbytes, -(-len(images) // self._team.threads)))
            mine = []
            for a in range(0, len(images), step):
                some = images[a : a + step]
                part = slice(ready + a, ready + a + len(some))
                mine.append(self._team.pool.submit(coefficients.prepare, batch.rules, part, some, batch.values[part]))
            finish(self._using)  # the next images go where theirs are
            self._coming, self._using = self._reader.submit(next, self._images, None), mine
            ready += len(images)
            begun += mine
        return begun

    def _fill(self, batch: _Batch, pieces: Pieces) -> Futures:
        """Begin to add a batch to its sum, and with random phases to the sums that are of such, where that is asked for."""
        plan, values = self._plan, batch.values[batch.some]
        filling = pieces.fill(values, self._sums[batch.number])
        if plan.substituted_from_A is None:
            return filling
        finish(filling)
        finish(self._turn(batch, values, plan.substituted_from_A))
        return pieces.fill(values, self._sums[plan.sets + batch.number % 2])

    def _turn(self, batch: _Batch, values: Floats, from_A: float) -> Futures:
        known, step, begun = batch.rules, -(-len(values) // self._team.threads), []
        for a in range(0, len(values), max(1, step)):
            some = values[a : a + step]
            own = slice(batch.some.start + a, batch.some.start + a + len(some))
            of_own = known.first_negative, known.rows[own], known.particles.pixel_size_A[own], from_A
            begun.append(self._team.pool.submit(turn_at_random, some, *of_own))
        return begun


def _read_at_once(block: Block) -> list[Block]:
    step = max(1, _READ_BYTES // (4 * block.box_px**2))
    return [replace(block, rows=block.rows[a : a + step]) for a in range(0, block.rows.size, step)]


def _grid(plan: Plan, rules: coefficients.Rules, threads: int) -> Grid:
    return Grid(
        box_px=rules.block.box_px,
        first_negative=rules.first_negative,
        furthest=rules.furthest,
        half=plan.half,
        even=plan.padding * plan.box_px % 2 == 0,
        one_sided=plan.package == "cistem",
        tile_edge=tile_edge(plan.half, threads),
    )


def _matrices(plan: Plan, rows: Particles, box_px: int) -> NDArray[np.float64]:
    """Volume coordinates (x, y, z) in steps of the sums' grid per kx and ky: [particle, symmetry mate, 3, 2]."""
    angles = np.deg2rad(np.stack([rows.phi_deg, rows.theta_deg, rows.psi_deg]))
    (c1, c2, c3), (s1, s2, s3) = np.cos(angles), np.sin(angles)
    columns = [
        [c1 * c2 * c3 - s1 * s3, -c1 * c2 * s3 - s1 * c3],
        [s1 * c2 * c3 + c1 * s3, -s1 * c2 * s3 + c1 * c3],
        [-s2 * c3, s2 * s3],
    ]
    first = np.moveaxis(np.array(columns), 2, 0)
    scale = plan.box_px * plan.voxel_size_A / (box_px * rows.pixel_size_A)
    scale = np.where(np.abs(scale - 1) < 1e-5, 1.0, scale) * plan.padding
    mates = rotations(plan.symmetry, "cistem") if plan.package == "cistem" else turn_about((0, 0, 1), 0)[None]
    return np.ascontiguousarray(np.einsum("mij,pjk->pmik", mates, first * scale[:, None, None]))


def apply_symmetry(plan: Plan, sums: Floats, threads: int = 0) -> None:
    """Finish RELION's sums in place: mates on the plane x = 0 added up, then helix and point group by trilinear interpolation.

    cisTEM's need nothing: all symmetry mates were inserted, and mates are added up when the map is made. For a group other than
    C1 this takes the memory of one half set's sums in addition.
    """
    if plan.package == "cistem":
        return
    group = rotations(plan.symmetry, plan.package)
    steps = [(group, np.zeros(len(group)))]
    if plan.helix is not None:
        steps.insert(0, of_helix(plan.helix, 2 * plan.half * plan.voxel_size_A))
    steps = [step for step in steps if len(step[0]) > 1]
    room = np.empty_like(sums[0]) if steps else None
    for mine in sums:
        _complete_mates(mine, plan.half)
        for matrices, phases in steps:
            assert room is not None
            _summed_over_mates(mine, matrices, phases, plan.half, room, threads or workers())
            mine[:] = room


def _summed_over_mates(
    sums: Floats, matrices: NDArray[np.float64], phases: NDArray[np.float64], half: int, out: Floats, threads: int
) -> None:
    cuts = np.linspace(0, len(sums), 4 * threads + 1).astype(int).tolist()
    slab = partial(_symmetrise, sums, matrices.reshape(-1, 9), phases, half, out)
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(slab, *cut) for cut in pairwise(cuts)]:
            done.result()


def fourier_sums(plan: Plan, sums: Floats, half_set: int) -> FourierSums:
    """One half's sums as a half transform in FFT order.

    Args:
        plan: what was inserted.
        sums: the array that was filled.
        half_set: 1 or 2.
    """
    edge, half = plan.padding * plan.box_px, plan.half
    mine = sums[half_set - 1]
    data = np.empty((edge, edge, edge // 2 + 1), np.complex64)
    weight = np.empty(data.shape, np.float32)
    in_slabs(partial(_unfold, mine, half, data, weight), edge, 16)
    images = int(np.count_nonzero(plan.particles.half == half_set))
    return FourierSums(data, weight, plan.box_px, plan.voxel_size_A, images)


def sums_of(plan: Plan, *, threads: int = 0, block_particles: int = 512) -> Floats:
    """The sums of all particles of a plan, without checkpoints; what one worker of a cluster does with its share."""
    sums = empty_sums(plan)
    for _ in insert(plan, sums, threads=threads, block_particles=block_particles):
        pass
    return sums
