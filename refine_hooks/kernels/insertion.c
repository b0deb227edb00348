/* See refine_hooks/sums/insertion.py: coefficients of images spread over the sums, tile by tile.

   Layout of the sums while they grow: [z, y, x, 4] with real, imaginary, weight and a pad, so that one voxel is one vector of 16
   bytes and two neighbours in x are one half of a cache line; z and y run from -half - 1 to half + 1, x from 0 to half + 1, which
   leaves one margin row on every side for neighbours that fall out of the box.

   A block of particles touches every voxel several times, and the sums are far larger than the caches. So the rows of all its
   images are first cut into pieces where they pass from one tile of z and y to the next, the pieces are sorted by tile, and then
   tile after tile is filled while it lies near the core. A tile is filled by one thread, in the order of the particles: the sums do
   not depend on the number of threads or the size of blocks and tiles, not even in their last bit.

   A row's points are walked in turns: as they fall (AS_IT_FALLS); the Hermitian mates of those with x < 0 (MATES); and, where
   cisTEM's edge is wanted, once more those with x in -1..0 for their neighbours at x = 0, which stay where they fall (EDGE). */
#include "arrays.h"

enum { AS_IT_FALLS, MATES, EDGE, TURNS };

/* A part of a row of an image, within one tile. `at`: the coefficient where the row begins. */
typedef struct { int32_t at, pair, ky, turn, first, end; } piece;
typedef struct { int64_t first, end; } range;

/* The grid: its last logical index, box_3d // 2; whether the box is even, which ends at half - 1 while mates end at half and are
   folded over to -half later; whether what belongs to x = 0 stays where it falls when x is in -1..0, as with cisTEM, or all of the
   point goes to its mate; and the edge of a tile in planes and in rows. Tiles are counted along y, then along z. */
typedef struct { int64_t half, even, one_sided, edge; } grid;

static inline int64_t tiles_across(grid g) { return (2 * g.half + 3 + g.edge - 1) / g.edge; }

/* Room around a tile, in steps of the grid, for points that rounding moves across its edge; each is looked at again. */
static const double spare = 0.02;

/* The part of the integers `in` where low <= slope x + offset < high, and hardly more. */
static inline range between(double slope, double offset, double low, double high, range in) {
    if (fabs(slope) < 1e-9)
        return low - spare <= offset && offset < high + spare ? in : (range){in.end, in.end};
    double u = (low - spare - offset) / slope, v = (high + spare - offset) / slope;
    double first = lower(u, v), last = higher(u, v);
    if (last < in.first || first >= in.end)
        return (range){in.end, in.end};
    return (range){
        most(in.first, (int64_t)ceil(higher(first, -1))), least(in.end, (int64_t)floor(lower(last, (double)in.end + 1)) + 1)};
}

/* The part of `in` where slope x + offset >= 0 (positive) or < 0, to within rounding; as `insert_piece` clips x. */
static inline range side(double slope, double offset, int positive, range in) {
    if (fabs(slope) < 1e-12)
        return (offset >= 0) == positive ? in : (range){in.end, in.end};
    int64_t cut = (int64_t)higher(lower(ceil(-offset / slope), 1e6), -1e6);
    return (slope > 0) == positive ? (range){most(in.first, cut), in.end} : (range){in.first, least(in.end, cut)};
}

/* The part of kx that a turn walks; `slope` and `offset` give x along the row as it falls. */
static inline range part_of_turn(int turn, double slope, double offset, range in) {
    range part = side(slope, offset, turn == AS_IT_FALLS, in);
    return turn == EDGE && part.end > part.first ? between(slope, offset, -1, 0, part) : part;
}

/* Planes and rows that a turn may write. */
static inline range writable(int turn, grid g) {
    return (range){g.even && turn == MATES ? 2 : 1, g.even && turn != MATES ? 2 * g.half + 1 : 2 * g.half + 2};
}

/* The tiles that the points `in` may write to. */
static inline range tiles_between(double slope, double offset, range in, range within, int64_t edge) {
    double u = slope * (double)in.first + offset, v = slope * (double)(in.end - 1) + offset;
    double first = lower(u, v) - spare, last = higher(u, v) + 1 + spare;
    if (in.end <= in.first || last < (double)within.first || first >= (double)within.end)
        return (range){0, 0};
    return (range){
        (int64_t)higher(first, (double)within.first) / edge, (int64_t)lower(last, (double)within.end - 1) / edge + 1};
}

/* Add the pieces of one row, with the number of their tile behind each; returns how many there are then. Beyond the end of `pieces`
   they are only counted. `row` is a piece of all that is to be inserted of it; `m` is the matrix of its pair. */
static int64_t cut_row(piece row, const double *m, grid g, int32_array pieces, int64_t count) {
    int64_t across = tiles_across(g);
    for (int turn = AS_IT_FALLS; turn < (g.one_sided ? TURNS : EDGE); turn++) {
        range part = part_of_turn(turn, m[0], m[1] * row.ky, (range){row.first, row.end}), within = writable(turn, g);
        double sign = turn == MATES ? -1 : 1, middle = (double)(g.half + 1);
        double y_slope = sign * m[2], y = sign * m[3] * row.ky + middle, z_slope = sign * m[4], z = sign * m[5] * row.ky + middle;
        range z_tiles = tiles_between(z_slope, z, part, within, g.edge);
        for (int64_t i = z_tiles.first; i < z_tiles.end; i++) {
            range slab = between(z_slope, z, (double)(i * g.edge - 1), (double)((i + 1) * g.edge), part);
            range y_tiles = tiles_between(y_slope, y, slab, within, g.edge);
            for (int64_t j = y_tiles.first; j < y_tiles.end; j++) {
                range inside = between(y_slope, y, (double)(j * g.edge - 1), (double)((j + 1) * g.edge), slab);
                if (inside.end <= inside.first)
                    continue;
                if (count < pieces.shape[0]) {
                    int32_t *to = ROW1(pieces, count);
                    *(piece *)to = (piece){row.at, row.pair, row.ky, turn, (int32_t)inside.first, (int32_t)inside.end};
                    to[6] = (int32_t)(i * across + j);
                }
                count++;
            }
        }
    }
    return count;
}

/* Pieces in the order of their tiles, and within a tile in the order they came. */
static void sort(int32_array pieces, int64_t count, int64_array starts, int32_array out) {
    int64_t tiles = starts.shape[0] - 1;
    memset(starts.at, 0, sizeof(int64_t) * (size_t)(tiles + 1));
    for (int64_t i = 0; i < count; i++)
        starts.at[ROW1(pieces, i)[6]]++;
    for (int64_t t = 0, before = 0; t <= tiles; t++) {
        int64_t here = starts.at[t];
        starts.at[t] = before;
        before += here;
    }
    /* Each start moves to the tile's end, which is the start of the next. */
    for (int64_t i = 0; i < count; i++)
        memcpy(ROW1(out, starts.at[ROW1(pieces, i)[6]]++), ROW1(pieces, i), sizeof(piece));
    memmove(starts.at + 1, starts.at, sizeof(int64_t) * (size_t)tiles);
    starts.at[0] = 0;
}

/* Cut the rows of images into pieces, each within one tile, and sort them by tile. `matrices` [pair, 6]: volume coordinates x, y, z,
   each per kx and per ky, of an image and one symmetry mate; `first_pair` is the number of the first one, and each image makes
   `mates` pairs. `box`: edge of the images. `first_negative`, `furthest`: as in `weigh`. `pieces` [piece, 7]: room to work in.
   `starts` [tile + 1] is filled with where the pieces of each tile start, `out` [piece, 6] with the pieces, and `count` with how many
   there are: with more than there is room for nothing else is filled. */
void cut_rows(
    double_array matrices, int64_t first_pair, int64_t mates, int64_t box, int64_t first_negative, double furthest, int64_t half,
    int64_t even, int64_t one_sided, int64_t edge, int32_array pieces, int64_array starts, int32_array out, int64_array count
) {
    grid g = {half, even, one_sided, edge};
    int64_t columns = box / 2 + 1, found = 0;
    for (int64_t p = 0; p < matrices.shape[0]; p++)
        for (int64_t j = 0; j < box; j++) {
            int64_t ky = j < first_negative ? j : j - box, pair = first_pair + p, end = columns_up_to(furthest, ky, columns);
            int64_t at = (pair / mates * box + j) * columns, begin = ky >= 0 ? 0 : 1;
            piece row = {(int32_t)at, (int32_t)pair, (int32_t)ky, AS_IT_FALLS, (int32_t)begin, (int32_t)end};
            found = cut_row(row, ROW1(matrices, p), g, pieces, found);
        }
    if (found <= pieces.shape[0])
        sort(pieces, found, starts, out);
    count.at[0] = found;
}

/* Where coefficients are added: the sums, the steps from row to row and from plane to plane, and which planes and rows. */
typedef struct { float *sums; int64_t row, plane, half; range z, y; } target;

static inline int64_t clipped(float x, int64_t last) { return most(0, least((int32_t)x, last)); }

/* Have the eight neighbours of a coming point fetched. */
static inline void ask_for(target to, float x, float y, float z) {
    int64_t ix = clipped(x, to.half), iy = clipped(y, 2 * to.half + 1), iz = clipped(z, 2 * to.half + 1);
    const float *at = to.sums + iz * to.plane + iy * to.row + ix * 4;
    __builtin_prefetch(at, 1);
    __builtin_prefetch(at + to.row, 1);
    __builtin_prefetch(at + to.plane, 1);
    __builtin_prefetch(at + to.plane + to.row, 1);
}

static inline void spread(float *at, four value, float weight, float left, float right) {
    four *place = (four *)at;
    place[0] += value * (weight * left);
    place[1] += value * (weight * right);
}

/* Add one coefficient to those of its eight neighbours that are to be filled. */
static inline void deposit(target to, four value, float x, float y, float z, int turn, int one_sided) {
    int32_t ix = (int32_t)x, iy = (int32_t)y, iz = (int32_t)z;
    float fx = x - ix, fy = y - iy, fz = z - iz;
    float left = one_sided && turn == MATES && ix == 0 ? 0 : 1 - fx, right = turn == EDGE ? 0 : fx;
    float *at = to.sums + iz * to.plane + iy * to.row + ix * 4;
    int low = iy >= to.y.first, high = iy + 1 < to.y.end;
    if (iz >= to.z.first) {
        if (low)
            spread(at, value, (1 - fz) * (1 - fy), left, right);
        if (high)
            spread(at + to.row, value, (1 - fz) * fy, left, right);
    }
    if (iz + 1 < to.z.end) {
        if (low)
            spread(at + to.plane, value, fz * (1 - fy), left, right);
        if (high)
            spread(at + to.plane + to.row, value, fz * fy, left, right);
    }
}

/* Spread the points of a piece, those of them that fall into the tile; `m` is the matrix of its pair. */
static inline void insert_piece(const float *values, piece part, const double *m, target to, int one_sided) {
    const float ahead = 3; /* points that are fetched; a piece has about ten */
    double sign = part.turn == MATES ? -1 : 1, middle = (double)(to.half + 1), ky = part.ky;
    float xs = (float)(sign * m[0]), xo = (float)(sign * m[1] * ky), ys = (float)(sign * m[2]), zs = (float)(sign * m[4]);
    float yo = (float)(sign * m[3] * ky + middle), zo = (float)(sign * m[5] * ky + middle);
    float x_end = (float)(to.half + 1), y_low = (float)(to.y.first - 1), y_end = (float)to.y.end;
    float z_low = (float)(to.z.first - 1), z_end = (float)to.z.end;
    four flip = {1, (float)sign, 1, 1};
    const four *row = (const four *)values + part.at;
    for (int32_t k = part.first; k < part.end; k++) {
        float kx = (float)k, x = xs * kx + xo, y = ys * kx + yo, z = zs * kx + zo;
        if (part.turn == EDGE) {
            if (x <= -1)
                continue;
            x = x < 0 ? -x : 0;
        }
        x = x > 0 ? x : 0;
        if (y < y_low || y >= y_end || z < z_low || z >= z_end || x >= x_end)
            continue;
        ask_for(to, xs * (kx + ahead) + xo, ys * (kx + ahead) + yo, zs * (kx + ahead) + zo);
        deposit(to, row[k] * flip, x, y, z, part.turn, one_sided);
    }
}

/* Fill the tiles first..last-1. `values`: coefficients [image, ky, kx, 4], flat; `matrices` [pair, 6] of all pairs; `sums`
   [z, y, x, 4]; `pieces` [part, piece, 6] and `starts` [part, tile + 1] as `cut_rows` leaves them, for one part of the pairs after the
   other. */
void fill_tiles(
    float_array values, double_array matrices, float_array sums, int64_t half, int64_t even, int64_t one_sided, int64_t edge,
    int32_array pieces, int64_array starts, int64_t first, int64_t last
) {
    const int coming = 3; /* pieces whose coefficients are fetched */
    grid g = {half, even, one_sided, edge};
    int64_t across = tiles_across(g);
    for (int64_t t = first; t < last; t++) {
        int64_t z = t / across * edge, y = t % across * edge;
        for (int64_t part = 0; part < starts.shape[0]; part++) {
            int64_t end = ROW1(starts, part)[t + 1];
            for (int64_t i = ROW1(starts, part)[t]; i < end; i++) {
                piece next = *(piece *)ROW2(pieces, part, least(i + coming, end - 1)), now = *(piece *)ROW2(pieces, part, i);
                for (int32_t k = next.first; k < next.end; k += 4)
                    __builtin_prefetch(values.at + ((int64_t)next.at + k) * 4);
                range in = writable(now.turn, g);
                target to = {sums.at, sums.step[1], sums.step[0], half,
                             {most(z, in.first), least(z + edge, in.end)}, {most(y, in.first), least(y + edge, in.end)}};
                insert_piece(values.at, now, ROW1(matrices, now.pair), to, (int)one_sided);
            }
        }
    }
}
