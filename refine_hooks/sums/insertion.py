"""Fourier sums from particle images: read in blocks, transformed, weighted, spread over the neighbours of where they belong.

Threads share one pair of sums without races and without copies: each task owns tiles of the volume (kernels/insertion.c), so the
result is the same to the last bit for any number of threads and any block size. Memory is therefore the sums of both halves,
32 (2H + 3)^2 (H + 2) bytes with H = padding * box / 2 (0.28 GB at box 256 for cisTEM, 2.2 GB for RELION, whose grid is twice as
fine), plus the coefficients of a block (`block_bytes`), two times 32 MB of images, and some 50 MB that say which parts of them
fall into which tile. A block is larger than what is read at once, since each one goes through all of the sums: at box 256 they
take as long to pass as 100 particles take to add.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from refine_hooks.fourier import in_slabs, workers
from refine_hooks.kernels import FLOAT, INT, array, kernel
from refine_hooks.particles import Particles
from refine_hooks.particles.stacks import Block, Images, blocks, read_images
from refine_hooks.sums import FourierSums, coefficients
from refine_hooks.sums.plan import Floats, Plan
from refine_hooks.sums.substitution import turn_at_random
from refine_hooks.sums.symmetry import of_helix, rotations, turn_about

Progress = Callable[[int, int], None]

_BLOCK_BYTES = 192 << 20
_READ_BYTES = 32 << 20
_PART_BYTES = 2 << 20  # images whose transforms stay near the core while they are weighed
_TASKS_PER_THREAD = 4
_ROWS_AT_ONCE = 3 << 14  # of images; their pieces take up to 1 kB each
_SUMS, _SUMS_WRITTEN = array("float32", 4), array("float32", 4, written=True)
_complete_mates = kernel("complete_mates", _SUMS_WRITTEN, INT)
_symmetrise = kernel("symmetrise", _SUMS, array("float64", 2), array("float64", 1), INT, _SUMS_WRITTEN, INT, INT)
_COUNTS = array("int64", 1, written=True)
_cut_rows = kernel(
    "cut_rows",
    array("float64", 2),
    INT,
    INT,
    INT,
    INT,
    FLOAT,
    INT,
    INT,
    INT,
    INT,
    array("int32", 2, written=True),
    _COUNTS,
    array("int32", 2, written=True),
    _COUNTS,
)
_fill_tiles = kernel(
    "fill_tiles",
    array("float32", 1),
    array("float64", 2),
    _SUMS_WRITTEN,
    INT,
    INT,
    INT,
    INT,
    array("int32", 3),
    array("int64", 2),
    INT,
    INT,
)
_unfold = kernel("unfold", _SUMS, INT, array("complex64", 3, written=True), array("float32", 3, written=True), INT, INT)
_TILE_EDGE = 33  # measured on 1 MB of L2 and 32 MB of L3: from 22 to 44 within 5 %


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
    values = _aligned((max(b.rows.size * b.box_px * (b.box_px // 2 + 1) for b in work), 4) if work else (0,))
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(1) as reader:
        images = read_images(todo.particles, [part for block in work for part in _read_at_once(block)])
        coming: Future[Images | None] = reader.submit(next, images, None)
        done = begin
        for block in work:
            rules, ready = coefficients.rules(todo, block), 0
            shape = block.rows.size, block.box_px, block.box_px // 2 + 1, 4
            room = values.reshape(-1)[: int(np.prod(shape))].reshape(shape)
            while ready < block.rows.size:
                current = coming.result()
                coming = reader.submit(next, images, None)
                assert current is not None
                _prepare(rules, ready, current, room, pool, threads)
                ready += len(current)
            _add_block(todo, rules, room, sums, pool, threads)
            done += block.rows.size
            yield done


def _read_at_once(block: Block) -> list[Block]:
    step = max(1, _READ_BYTES // (4 * block.box_px**2))
    return [replace(block, rows=block.rows[a : a + step]) for a in range(0, block.rows.size, step)]


def _prepare(
    rules: coefficients.Rules, first: int, images: Images, values: Floats, pool: ThreadPoolExecutor, threads: int
) -> None:
    """The coefficients of the particles ``first`` and following of a block."""
    step = max(1, min(_PART_BYTES // images[0].nbytes, -(-len(images) // threads)))

    def of_some(a: int) -> None:
        some = images[a : a + step]
        part = slice(first + a, first + a + len(some))
        coefficients.prepare(rules, part, some, values[part])

    for _ in pool.map(of_some, range(0, len(images), step)):
        pass


def _add_block(
    plan: Plan, rules: coefficients.Rules, values: Floats, sums: Floats, pool: ThreadPoolExecutor, threads: int
) -> None:
    """Add a block to the sums of its sets, and with random phases to the two sums after them, where that is asked for."""
    rows = rules.particles
    grid = _grid(plan, rules, threads)
    matrices = _matrices(plan, rows, rules.block.box_px)
    ends = np.searchsorted(rows.half, np.arange(1, plan.sets + 2)).tolist()
    from_A = plan.substituted_from_A
    for number, cut in enumerate(pairwise(ends)):
        mine = slice(*cut)
        more = None if from_A is None else _Substituted(rules, mine.start, from_A, sums[plan.sets + number % 2])
        _insert_half(grid, matrices[mine], values[mine], sums[number], more, pool, threads)


@dataclass(frozen=True, slots=True)
class _Substituted:
    """Sums of the same coefficients with random phases beyond a resolution."""

    rules: coefficients.Rules
    first: int
    from_A: float
    sums: Floats

    def turn(self, values: Floats, begin: int, pool: ThreadPoolExecutor, threads: int) -> None:
        """Turn coefficients in place; they are those of particles ``begin`` and following of this half."""
        known, step = self.rules, -(-len(values) // threads)

        def of_some(a: int) -> None:
            some = values[a : a + step]
            own = slice(self.first + begin + a, self.first + begin + a + len(some))
            pixel_A = known.particles.pixel_size_A[own]
            turn_at_random(some, known.first_negative, known.rows[own], pixel_A, self.from_A)

        for _ in pool.map(of_some, range(0, len(values), step)):
            pass


@dataclass(frozen=True, slots=True)
class _Grid:
    """What the compiled loops ask of a plan and of the box of a block's images, in the order they take it."""

    box_px: int
    first_negative: int
    furthest: float
    half: int
    even: bool
    one_sided: bool
    tile_edge: int

    @property
    def of_sums(self) -> tuple[int, bool, bool, int]:
        """Those of it that belong to the sums."""
        return self.half, self.even, self.one_sided, self.tile_edge

    @property
    def tiles_across(self) -> int:
        return -(-(2 * self.half + 3) // self.tile_edge)


def _grid(plan: Plan, rules: coefficients.Rules, threads: int) -> _Grid:
    planes = 2 * plan.half + 3
    enough_tiles = int(planes / np.sqrt(_TASKS_PER_THREAD * threads))
    return _Grid(
        box_px=rules.block.box_px,
        first_negative=rules.first_negative,
        furthest=rules.furthest,
        half=plan.half,
        even=plan.padding * plan.box_px % 2 == 0,
        one_sided=plan.package == "cistem",
        tile_edge=max(1, min(_TILE_EDGE, enough_tiles)),
    )


def _insert_half(
    grid: _Grid,
    matrices: NDArray[np.float64],
    values: Floats,
    sums: Floats,
    substituted: _Substituted | None,
    pool: ThreadPoolExecutor,
    threads: int,
) -> None:
    """Add coefficients [particle, ky, kx, 4] to the sums of one half; matrices are [particle, mate, 3, 2]."""
    particles, mates = matrices.shape[:2]
    step = max(1, _ROWS_AT_ONCE // (grid.box_px * mates))
    for begin in range(0, particles, step):
        some = slice(begin, begin + step)
        pairs = matrices[some].reshape(-1, 3, 2)
        pieces, starts = _cut(grid, pairs, mates, pool, threads)
        _insert_pieces(grid, pairs, values[some], sums, pieces, starts, pool, threads)
        if substituted is not None:
            substituted.turn(values[some], begin, pool, threads)
            _insert_pieces(grid, pairs, values[some], substituted.sums, pieces, starts, pool, threads)


def _cut(
    grid: _Grid, pairs: NDArray[np.float64], mates: int, pool: ThreadPoolExecutor, threads: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The pieces of a share of the pairs for each thread, sorted by tile: see ``cut_rows`` in kernels/insertion.c."""
    shares = [slice(a, b) for a, b in pairwise(np.linspace(0, len(pairs), threads + 1).astype(int).tolist())]
    starts = np.empty((threads, grid.tiles_across**2 + 1), np.int64)
    room = -(-len(pairs) // threads) * grid.box_px * (grid.tiles_across // 2 + 4)  # most often enough

    def of_share(number: int) -> int:
        share, count = shares[number], np.zeros(1, np.int64)
        _cut_rows(
            flat[share],
            share.start,
            mates,
            grid.box_px,
            grid.first_negative,
            grid.furthest,
            *grid.of_sums,
            np.empty((room, 7), np.int32),
            starts[number],
            pieces[number],
            count,
        )
        return int(count[0])

    flat = pairs.reshape(-1, 6)
    pieces = np.empty((threads, room, 6), np.int32)
    while (wanted := max(pool.map(of_share, range(threads)))) > room:
        room = wanted
        pieces = np.empty((threads, room, 6), np.int32)
    return pieces, starts


def _insert_pieces(
    grid: _Grid,
    pairs: NDArray[np.float64],
    values: Floats,
    sums: Floats,
    pieces: NDArray[np.int32],
    starts: NDArray[np.int64],
    pool: ThreadPoolExecutor,
    threads: int,
) -> None:
    before = starts.sum(axis=0)
    tasks = _TASKS_PER_THREAD * threads if threads > 1 else 1
    cuts = np.searchsorted(before, np.linspace(0, before[-1], tasks + 1)[1:-1]).tolist()

    def of_tiles(tiles: tuple[int, int]) -> None:
        _fill_tiles(values.reshape(-1), pairs.reshape(-1, 6), sums, *grid.of_sums, pieces, starts, *tiles)

    for _ in pool.map(of_tiles, pairwise([0, *cuts, len(before) - 1])):
        pass


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
