"""Compiled loops that spread coefficients over the sums, tile by tile; imported only when particles are inserted.

Layout of the sums while they grow: float32 [z, y, x, 4] with real, imaginary, weight and a pad, so that one voxel is one
16-byte vector and two neighbours in x are one half of a cache line; z and y run from -half - 1 to half + 1, x from 0 to
half + 1, which leaves one margin row on every side for neighbours that fall out of the box.

A block of particles touches every voxel several times, and the sums are far larger than the caches. So the rows of all its images
are first cut into pieces where they pass from one tile of z and y to the next, the pieces are sorted by tile, and then tile after
tile is filled while it lies near the core. A tile is filled by one thread, in the order of the particles: the sums do not depend
on the number of threads or the size of blocks and tiles, not even in their last bit.
"""

# numba compiles these functions by what they are called with; annotations would say nothing to it.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, untyped-decorator"

import numpy as np

from refine_hooks.kernels.jit import njit
from refine_hooks.sums._kernels import FAST, ONE, ZERO, columns_within
from refine_hooks.sums._spreading import prefetch, spread

_LOOK_AHEAD = np.float32(3)  # in points; a piece has about ten
_PIECES_AHEAD = 3  # whose coefficients are fetched
# Room around a tile, in steps of the grid, for points that rounding moves across its edge; each is looked at again.
_SPARE = 0.02


@njit(inline="always")
def _between(slope, offset, low, high, first, last):
    """The part of the integers first..last-1 where low <= slope x + offset < high, and hardly more."""
    if abs(slope) < 1e-9:
        return (first, last) if low - _SPARE <= offset < high + _SPARE else (last, last)
    u, v = (low - _SPARE - offset) / slope, (high + _SPARE - offset) / slope
    u, v = min(u, v), max(u, v)
    if v < first or u >= last:
        return last, last
    return max(first, int(np.ceil(max(u, -1.0)))), min(last, int(np.floor(min(v, last + 1.0))) + 1)


@njit(inline="always")
def _side(slope, offset, positive, first, last):
    """The part of first..last-1 where slope x + offset >= 0 (positive) or < 0, to within rounding; as `_insert_piece` clips x."""
    if abs(slope) < 1e-12:
        return (first, last) if (offset >= 0) == positive else (last, last)
    cut = int(max(min(np.ceil(-offset / slope), 1e6), -1e6))
    if (slope > 0) == positive:
        return max(first, cut), last
    return first, min(last, cut)


@njit(inline="always")
def _of_turn(turn, slope, offset, begin, end):
    """The part of kx = begin..end-1 that a turn walks; ``slope`` and ``offset`` give x along the row as it falls."""
    if turn == 0:
        return _side(slope, offset, True, begin, end)
    first, last = _side(slope, offset, False, begin, end)
    if turn == 2 and last > first:
        first, last = _between(slope, offset, -1.0, 0.0, first, last)
    return first, last


@njit(inline="always")
def _valid(turn, half, even):
    """Planes and rows that a turn may write: an even box ends at half - 1, but mates are kept up to half."""
    return 2 if even and turn == 1 else 1, 2 * half + 1 if even and turn != 1 else 2 * half + 2


@njit(inline="always")
def _tiles_between(slope, offset, first, last, low, high, edge):
    """The first and the last tile that the points first..last-1 may write to; none if the last one is smaller."""
    u, v = slope * first + offset, slope * (last - 1) + offset
    u, v = min(u, v) - _SPARE, max(u, v) + 1 + _SPARE
    if v < low or u >= high:
        return 0, -1
    return int(max(u, low)) // edge, int(min(v, high - 1.0)) // edge


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _cut_row(at, pair, ky, matrix, begin, end, half, even, one_sided, edge, across, pieces, count):
    """Add the pieces of one row; see `cut`. Beyond the end of ``pieces`` they are only counted."""
    for turn in range(3 if one_sided else 2):
        first, last = _of_turn(turn, matrix[0, 0], matrix[0, 1] * ky, begin, end)
        if last <= first:
            continue
        g = -1.0 if turn == 1 else 1.0
        ys, yo = g * matrix[1, 0], g * matrix[1, 1] * ky + half + 1
        zs, zo = g * matrix[2, 0], g * matrix[2, 1] * ky + half + 1
        low, high = _valid(turn, half, even)
        z_tile, z_last = _tiles_between(zs, zo, first, last, low, high, edge)
        while z_tile <= z_last:
            a, b = _between(zs, zo, z_tile * edge - 1.0, (z_tile + 1) * edge, first, last)
            y_tile, y_last = _tiles_between(ys, yo, a, b, low, high, edge) if b > a else (0, -1)
            while y_tile <= y_last:
                c, d = _between(ys, yo, y_tile * edge - 1.0, (y_tile + 1) * edge, a, b)
                if d > c:
                    if count < pieces.shape[0]:
                        piece = pieces[count]
                        piece[0], piece[1], piece[2], piece[3], piece[4], piece[5] = at, pair, ky, turn, c, d
                        piece[6] = z_tile * across + y_tile
                    count += 1
                y_tile += 1
            z_tile += 1
    return count


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _sort(pieces, count, across, starts, out):
    """Pieces in the order of their tiles, and within a tile in the order they came."""
    place = np.zeros(across * across, np.int64)
    for i in range(count):
        place[pieces[i, 6]] += 1
    starts[0] = 0
    for t in range(across * across):
        starts[t + 1] = starts[t] + place[t]
        place[t] = starts[t]
    for i in range(count):
        at = place[pieces[i, 6]]
        place[pieces[i, 6]] = at + 1
        for c in range(6):
            out[at, c] = pieces[i, c]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def cut(matrices, first_pair, mates, box, first_negative, furthest, half, even, one_sided, edge, pieces, starts, out):
    """Cut the rows of images into pieces, each within one tile, and sort them by tile; returns how many there are.

    A row's points are walked in turns: as they fall (0); the Hermitian mates of those with x < 0 (1); and, where cisTEM's edge is
    wanted, once more those with x in -1..0 for their neighbours at x = 0, which stay where they fall (2).

    Args:
        matrices: float64 [pair, 3, 2]: volume coordinates (x, y, z) per kx and per ky of an image and one symmetry mate.
        first_pair: number of the first one.
        mates: how many pairs each image makes.
        box: edge of the images in pixels.
        first_negative, furthest: as in `weigh`.
        half: last logical index of the volume's box, box_3d // 2.
        even: the volume's box is even: it ends at half - 1, and mates, which end at half, are folded over to -half later.
        one_sided: what belongs to x = 0 stays where it falls when x is in -1..0 (as cisTEM does), otherwise all of the
            point goes to its Hermitian mate.
        edge: of a tile, in planes and in rows; tiles are counted along y, then along z.
        pieces: int32 [piece, 7], room to work in.
        starts: int64 [tile + 1], filled: where the pieces of each tile start.
        out: int32 [piece, (coefficient where the row begins, pair, ky, turn, first kx, end)], filled.
    """
    columns, across = box // 2 + 1, (2 * half + 3 + edge - 1) // edge
    count = 0
    for p in range(matrices.shape[0]):
        for j in range(box):
            ky = j if j < first_negative else j - box
            if furthest < ky * ky:
                continue
            begin, end = 0 if ky >= 0 else 1, columns_within(furthest, ky, columns)
            pair = first_pair + p
            at = (pair // mates * box + j) * columns
            count = _cut_row(at, pair, ky, matrices[p], begin, end, half, even, one_sided, edge, across, pieces, count)
    if count <= pieces.shape[0]:
        _sort(pieces, count, across, starts, out)
    return count


@njit(inline="always")
def _ask_ahead(sums, row, plane, half, x, y, z):
    """Have the eight neighbours of a coming point fetched."""
    edge = 2 * half + 1
    ix = min(max(int(np.int32(x)), 0), half)
    iy = min(max(int(np.int32(y)), 0), edge)
    iz = min(max(int(np.int32(z)), 0), edge)
    at = iz * plane + iy * row + ix * 4
    prefetch(sums, at)
    prefetch(sums, at + row)
    prefetch(sums, at + plane)
    prefetch(sums, at + plane + row)


@njit(inline="always")
def _deposit(sums, row, plane, values, source, sign, x, y, z, tile, turn, one_sided):
    """Add one coefficient to those of its eight neighbours that lie in the tile."""
    ix, iy, iz = int(np.int32(x)), int(np.int32(y)), int(np.int32(z))
    fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
    left, right = ONE - fx, fx
    if one_sided and turn == 1 and ix == 0:
        left = ZERO
    elif turn == 2:
        right = ZERO
    at = iz * plane + iy * row + ix * 4
    if iz >= tile[0]:
        if iy >= tile[2]:
            w = (ONE - fz) * (ONE - fy)
            spread(sums, at, values, source, sign, w * left, w * right)
        if iy + 1 < tile[3]:
            w = (ONE - fz) * fy
            spread(sums, at + row, values, source, sign, w * left, w * right)
    if iz + 1 < tile[1]:
        if iy >= tile[2]:
            w = fz * (ONE - fy)
            spread(sums, at + plane, values, source, sign, w * left, w * right)
        if iy + 1 < tile[3]:
            w = fz * fy
            spread(sums, at + plane + row, values, source, sign, w * left, w * right)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", forceinline=True)
def _insert_piece(values, at, ky, matrix, turn, first, last, sums, half, even, one_sided, tile):
    """Spread the points first..last-1 of a row, those of them that fall into the tile; ``at`` is where the row's values begin."""
    row = (half + 2) * 4
    plane = row * (2 * half + 3)
    g = -1.0 if turn == 1 else 1.0
    xs, xo = np.float32(g * matrix[0, 0]), np.float32(g * matrix[0, 1] * ky)
    ys, yo = np.float32(g * matrix[1, 0]), np.float32(g * matrix[1, 1] * ky + half + 1)
    zs, zo = np.float32(g * matrix[2, 0]), np.float32(g * matrix[2, 1] * ky + half + 1)
    low, high = _valid(turn, half, even)
    mine = max(tile[0], low), min(tile[1], high), max(tile[2], low), min(tile[3], high)
    for k in range(first, last):
        kx = np.float32(k)
        x, y, z = xs * kx + xo, ys * kx + yo, zs * kx + zo
        if turn == 2:
            if x <= -ONE:
                continue
            x = -min(x, ZERO)
        x = max(x, ZERO)
        if y < mine[2] - 1 or y >= mine[3] or z < mine[0] - 1 or z >= mine[1] or x >= half + 1:
            continue
        ahead = kx + _LOOK_AHEAD
        _ask_ahead(sums, row, plane, half, xs * ahead + xo, ys * ahead + yo, zs * ahead + zo)
        _deposit(sums, row, plane, values, at + 4 * k, np.float32(g), x, y, z, mine, turn, one_sided)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def insert(values, matrices, sums, half, even, one_sided, edge, pieces, starts, tiles):
    """Spread image coefficients over the eight neighbours of where they belong, inside some tiles.

    Args:
        values: float32, flat: [image, ky, kx, 4].
        matrices: float64 [pair, 3, 2], of all pairs.
        sums: float32, flat: [z, y, x, 4], see the module.
        half, even, one_sided, edge: as in `cut`.
        pieces, starts: int32 [part, piece, 6] and int64 [part, tile + 1] as `cut` leaves them, for one part of the pairs after
            the other.
        tiles: (first, end) of the tiles that this call fills.
    """
    across = (2 * half + 3 + edge - 1) // edge
    for t in range(tiles[0], tiles[1]):
        z, y = t // across * edge, t % across * edge
        tile = z, z + edge, y, y + edge
        for part in range(starts.shape[0]):
            end = starts[part, t + 1]
            for i in range(starts[part, t], end):
                coming = pieces[part, min(i + _PIECES_AHEAD, end - 1)]
                for k in range(coming[4], coming[5], 4):
                    prefetch(values, (coming[0] + k) * 4)
                piece = pieces[part, i]
                at, pair, ky, turn, first, last = (
                    np.int64(piece[0]),
                    piece[1],
                    np.int64(piece[2]),
                    piece[3],
                    piece[4],
                    piece[5],
                )
                _insert_piece(values, at * 4, ky, matrices[pair], turn, first, last, sums, half, even, one_sided, tile)
