"""Coefficients spread over the sums, tile by tile: see kernels/insertion.c.

Work is begun here and handed back as futures, so that the workers need not wait for each other between one thing and the next.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refine_hooks.kernels import FLOAT, INT, array, kernel
from refine_hooks.sums.plan import Floats

Futures = list[Future[Any]]

_TASKS_PER_THREAD, _TILES_PER_THREAD = 4, 2
_TILE_EDGE = 33  # measured on 1 MB of L2 and 32 MB of L3: from 22 to 44 within 5 %
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
    array("float32", 4, written=True),
    INT,
    INT,
    INT,
    INT,
    array("int32", 3),
    array("int64", 2),
    INT,
    INT,
)


class Team(NamedTuple):
    """Workers, and how many they are."""

    pool: ThreadPoolExecutor
    threads: int


def finish(work: Futures) -> None:
    """Wait for work that was begun; raises what it raised."""
    for each in work:
        each.result()


@dataclass(frozen=True, slots=True)
class Grid:
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
        """Tiles along y, and along z."""
        return -(-(2 * self.half + 3) // self.tile_edge)


def tile_edge(half: int, threads: int) -> int:
    """Edge of the tiles of a grid, small enough that some threads find work in them."""
    return max(1, min(_TILE_EDGE, int((2 * half + 3) / np.sqrt(_TILES_PER_THREAD * threads))))


class Pieces:
    """The rows of some images, cut where they pass from tile to tile and sorted by tile; each thread cuts a share of them.

    Args:
        grid: of the sums.
        pairs: matrices [pair, 3, 2] of an image and one symmetry mate.
        mates: how many pairs an image makes.
        team: who cuts them; at work when this returns.
    """

    def __init__(self, grid: Grid, pairs: NDArray[np.float64], mates: int, team: Team) -> None:
        self._grid, self._pairs, self._mates, self._team = grid, pairs.reshape(-1, 6), mates, team
        self._starts = np.empty((team.threads, grid.tiles_across**2 + 1), np.int64)
        most_often_enough = grid.box_px * (grid.tiles_across // 2 + 4)
        self._begin(-(-len(pairs) // team.threads) * most_often_enough)

    def _begin(self, room: int) -> None:
        self._pieces = np.empty((self._team.threads, room, 6), np.int32)
        cuts = np.linspace(0, len(self._pairs), self._team.threads + 1).astype(int).tolist()
        self._counts = [self._team.pool.submit(self._cut, n, slice(*cut)) for n, cut in enumerate(pairwise(cuts))]

    def _cut(self, number: int, share: slice) -> int:
        """How many pieces a share makes; see ``cut_rows``."""
        grid, count, pieces = self._grid, np.zeros(1, np.int64), self._pieces[number]
        room = np.empty((len(pieces), 7), np.int32)
        of_images = share.start, self._mates, grid.box_px, grid.first_negative, grid.furthest
        _cut_rows(self._pairs[share], *of_images, *grid.of_sums, room, self._starts[number], pieces, count)
        return int(count[0])

    def fill(self, values: Floats, sums: Floats) -> Futures:
        """Begin to add coefficients [particle, ky, kx, 4] to the sums of one half, once all is cut."""
        while (wanted := max(count.result() for count in self._counts)) > self._pieces.shape[1]:
            self._begin(wanted)
        before = self._starts.sum(axis=0)
        tasks = _TASKS_PER_THREAD * self._team.threads if self._team.threads > 1 else 1
        cuts = np.searchsorted(before, np.linspace(0, before[-1], tasks + 1)[1:-1]).tolist()
        cut = self._pieces, self._starts
        tiles_of = pairwise([0, *cuts, len(before) - 1])
        given = values.reshape(-1), self._pairs, sums, *self._grid.of_sums, *cut
        return [self._team.pool.submit(_fill_tiles, *given, *tiles) for tiles in tiles_of]
