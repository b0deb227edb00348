/* See refine_hooks/sums/tiles.py: coefficients of images spread over the sums, tile by tile.

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

/* A coordinate along a row: slope x + offset, and 1 / slope, which a row shares with all others of its image. */
typedef struct { double slope, offset, inverse; } course;

/* The part of the integers `in` where low <= slope x + offset < high, and hardly more. */
static inline range between(course of, double low, double high, range in) {
    if (fabs(of.slope) < 1e-9)
        return low - spare <= of.offset && of.offset < high + spare ? in : (range){in.end, in.end};
    double u = (low - spare - of.offset) * of.inverse, v = (high + spare - of.offset) * of.inverse;
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

/* The part of kx that a turn walks; `x` is along the row as it falls. */
static inline range part_of_turn(int turn, course x, range in) {
    range part = side(x.slope, x.offset, turn == AS_IT_FALLS, in);
    return turn == EDGE && part.end > part.first ? between(x, -1, 0, part) : part;
}

/* Planes and rows that a turn may write. */
static inline range writable(int turn, grid g) {
    return (range){g.even && turn == MATES ? 2 : 1, g.even && turn != MATES ? 2 * g.half + 1 : 2 * g.half + 2};
}

/* The tiles that the points `in` may write to. */
static inline range tiles_between(course of, range in, range within, int64_t edge) {
    double u = of.slope * (double)in.first + of.offset, v = of.slope * (double)(in.end - 1) + of.offset;
    double first = lower(u, v) - spare, last = higher(u, v) + 1 + spare;
    if (in.end <= in.first || last < (double)within.first || first >= (double)within.end)
        return (range){0, 0};
    return (range){
        (int64_t)higher(first, (double)within.first) / edge, (int64_t)lower(last, (double)within.end - 1) / edge + 1};
}

/* Add the pieces of one row, with the number of their tile behind each; returns how many there are then. Beyond the end of `pieces`
   they are only counted. `row` is a piece of all that is to be inserted of it; `m` is the matrix of its pair, `inverse` holds one
   divided by what x, y and z change per kx. */
static int64_t cut_row(piece row, const double *m, const double *inverse, grid g, int32_array pieces, int64_t count) {
    int64_t across = tiles_across(g);
    double ky = row.ky, middle = (double)(g.half + 1);
    for (int turn = AS_IT_FALLS; turn < (g.one_sided ? TURNS : EDGE); turn++) {
        range part = part_of_turn(turn, (course){m[0], m[1] * ky, inverse[0]}, (range){row.first, row.end});
        if (part.end <= part.first)
            continue;
        range within = writable(turn, g);
        double sign = turn == MATES ? -1 : 1;
        course y = {sign * m[2], sign * m[3] * ky + middle, sign * inverse[1]};
        course z = {sign * m[4], sign * m[5] * ky + middle, sign * inverse[2]};
        range z_tiles = tiles_between(z, part, within, g.edge);
        for (int64_t i = z_tiles.first; i < z_tiles.end; i++) {
            range slab = between(z, (double)(i * g.edge - 1), (double)((i + 1) * g.edge), part);
            range y_tiles = tiles_between(y, slab, within, g.edge);
            for (int64_t j = y_tiles.first; j < y_tiles.end; j++) {
                range inside = between(y, (double)(j * g.edge - 1), (double)((j + 1) * g.edge), slab);
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

/* Cut the rows of images into pieces, each within one tile, and sort them by tile. `matrices` [pair, 6]: volume coordinates x, y,
   z, each per kx and per ky, of an image and one symmetry mate; `first_pair` is the number of the first one, and each image makes
   `mates` pairs. `box`: edge of the images. `first_negative`, `furthest`: as in `weigh`. `pieces` [piece, 7]: room to work in.
   `starts` [tile + 1] is filled with where the pieces of each tile start, `out` [piece, 6] with the pieces, and `count` with how
   many there are: with more than there is room for nothing else is filled. */
void cut_rows(
    double_array matrices, int64_t first_pair, int64_t mates, int64_t box, int64_t first_negative, double furthest, int64_t half,
    int64_t even, int64_t one_sided, int64_t edge, int32_array pieces, int64_array starts, int32_array out, int64_array count
) {
    grid g = {half, even, one_sided, edge};
    int64_t columns = box / 2 + 1, found = 0;
    for (int64_t p = 0; p < matrices.shape[0]; p++) {
        const double *m = ROW1(matrices, p), inverse[3] = {1 / m[0], 1 / m[2], 1 / m[4]};
        for (int64_t j = 0; j < box; j++) {
            int64_t ky = j < first_negative ? j : j - box, pair = first_pair + p, end = columns_up_to(furthest, ky, columns);
            int64_t at = (pair / mates * box + j) * columns, begin = ky >= 0 ? 0 : 1;
            piece row = {(int32_t)at, (int32_t)pair, (int32_t)ky, AS_IT_FALLS, (int32_t)begin, (int32_t)end};
            found = cut_row(row, m, inverse, g, pieces, found);
        }
    }
    if (found <= pieces.shape[0])
        sort(pieces, found, starts, out);
    count.at[0] = found;
}

/* Where coefficients are added: in which planes and rows of the grid, the voxel one before both at x = 0, and the steps to the next
   plane and row. */
typedef struct { int32_t half; range z, y; four *corner; int32_t plane, row; } target;

enum { POINTS = 8, NEAR_NEAR = 1, NEAR_FAR = 2, FAR_NEAR = 4, FAR_FAR = 8, ALL = 15 };
typedef float floats __attribute__((vector_size(4 * POINTS)));
typedef int32_t ints __attribute__((vector_size(4 * POINTS)));

/* Some points of a row: the voxel before each, counted from the corner, the weights of its neighbours in x, those in z and y, and
   which of these to fill. */
typedef struct { ints at, filled; floats left, right, weight[4]; } points;

/* Where a piece's points fall: x, y and z at kx = 0 and for a step of kx. */
typedef struct { float x, y, z, dx, dy, dz; } line;

static line line_of(piece part, const double *m, int64_t half) {
    double sign = part.turn == MATES ? -1 : 1, middle = (double)(half + 1), ky = part.ky;
    return (line){(float)(sign * m[1] * ky), (float)(sign * m[3] * ky + middle), (float)(sign * m[5] * ky + middle),
                  (float)(sign * m[0]), (float)(sign * m[2]), (float)(sign * m[4])};
}

static inline floats where(ints mask, floats values) { return (floats)((ints)values & mask); }

/* The points from kx = `first` on, all at once. */
static inline points locate(line from, int32_t first, int edge, int mates_one_sided, target in) {
    const ints steps = {0, 1, 2, 3, 4, 5, 6, 7};
    floats kx = __builtin_convertvector(steps + first, floats);
    floats x = from.dx * kx + from.x, y = from.dy * kx + from.y, z = from.dz * kx + from.z;
    x = edge ? -x : x;
    int32_t z_corner = (int32_t)in.z.first - 1, y_corner = (int32_t)in.y.first - 1;
    ints inside = (x < (float)(edge ? 1 : in.half + 1)) & (y >= (float)y_corner) & (y < (float)in.y.end);
    inside &= (z >= (float)z_corner) & (z < (float)in.z.end);
    x = where(x > 0, x);
    ints ix = __builtin_convertvector(x, ints), iy = __builtin_convertvector(y, ints), iz = __builtin_convertvector(z, ints);
    floats fx = x - __builtin_convertvector(ix, floats), fy = y - __builtin_convertvector(iy, floats);
    floats fz = z - __builtin_convertvector(iz, floats);
    ints low = iy > y_corner, high = iy < (int32_t)in.y.end - 1;
    ints near = iz > z_corner, far = iz < (int32_t)in.z.end - 1;
    ints filled = (near & low & NEAR_NEAR) | (near & high & NEAR_FAR) | (far & low & FAR_NEAR) | (far & high & FAR_FAR);
    return (points){
        .at = (iz - z_corner) * in.plane + (iy - y_corner) * in.row + ix,
        .filled = inside & filled,
        .left = mates_one_sided ? where(ix > 0, 1 - fx) : 1 - fx,
        .right = edge ? fx - fx : fx,
        .weight = {(1 - fz) * (1 - fy), (1 - fz) * fy, fz * (1 - fy), fz * fy},
    };
}

static inline void add(four *at, four left, four right, float weight) {
    at[0] += left * weight;
    at[1] += right * weight;
}

/* Add one coefficient to those of its eight neighbours that are to be filled. */
static inline void deposit(target to, const points *all, int i, four value) {
    four left = value * all->left[i], right = value * all->right[i], *at = to.corner + all->at[i];
    int filled = all->filled[i];
    if (filled == ALL) {
        add(at, left, right, all->weight[0][i]);
        add(at + to.row, left, right, all->weight[1][i]);
        add(at + to.plane, left, right, all->weight[2][i]);
        add(at + to.plane + to.row, left, right, all->weight[3][i]);
        return;
    }
    if (filled & NEAR_NEAR)
        add(at, left, right, all->weight[0][i]);
    if (filled & NEAR_FAR)
        add(at + to.row, left, right, all->weight[1][i]);
    if (filled & FAR_NEAR)
        add(at + to.plane, left, right, all->weight[2][i]);
    if (filled & FAR_FAR)
        add(at + to.plane + to.row, left, right, all->weight[3][i]);
}

/* Spread the points of a piece, those of them that fall into the tile; `m` is the matrix of its pair. */
static inline void insert_piece(const float *values, piece part, const double *m, target to, int one_sided) {
    line from = line_of(part, m, to.half);
    const four *row = (const four *)values + part.at;
    four flip = {1, part.turn == MATES ? -1 : 1, 1, 1};
    for (int32_t k = part.first; k < part.end; k += POINTS) {
        points all = locate(from, k, part.turn == EDGE, one_sided && part.turn == MATES, to);
        int here = (int)least(POINTS, part.end - k);
        for (int i = 0; i < here; i++)
            deposit(to, &all, i, row[k + i] * flip);
    }
}

/* What a turn may write of a tile. */
static inline target target_of(range in, float_array sums, int64_t half, int64_t z, int64_t y, int64_t edge) {
    range zs = {most(z, in.first), least(z + edge, in.end)}, ys = {most(y, in.first), least(y + edge, in.end)};
    four *corner = (four *)ROW2(sums, zs.first - 1, ys.first - 1);
    return (target){(int32_t)half, zs, ys, corner, (int32_t)(sums.step[0] / 4), (int32_t)(sums.step[1] / 4)};
}

/* Fill the tiles first..last-1. `values`: coefficients [image, ky, kx, 4], flat; `matrices` [pair, 6] of all pairs; `sums`
   [z, y, x, 4]; `pieces` [part, piece, 6] and `starts` [part, tile + 1] as `cut_rows` leaves them, for one part of the pairs after
   the other. */
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
                target to = target_of(writable(now.turn, g), sums, half, z, y, edge);
                insert_piece(values.at, now, ROW1(matrices, now.pair), to, (int)one_sided);
            }
        }
    }
}

/* The sums [z, y, x, 4] as a half transform in FFT order, planes first..last-1: `data` and `weight` [kz, ky, kx]. What fell on
   +Nyquist in an even box is folded over to -Nyquist. */
void unfold(float_array sums, int64_t half, complex_array data, float_array weight, int64_t first, int64_t last) {
    int64_t edge = data.shape[0], middle = half + 1, end = 2 * half + 1;
    int64_t folded = edge % 2 ? -1 : edge / 2;
    for (int64_t kz = first; kz < last; kz++)
        for (int64_t ky = 0; ky < edge; ky++) {
            int64_t z = middle + (2 * kz < edge ? kz : kz - edge), y = middle + (2 * ky < edge ? ky : ky - edge);
            const four *row = (const four *)ROW2(sums, z, y);
            const four *over_y = (const four *)ROW2(sums, z, end), *over_z = (const four *)ROW2(sums, end, y);
            const four *over_both = (const four *)ROW2(sums, end, end);
            for (int64_t x = 0; x < data.shape[2]; x++) {
                four total = row[x];
                if (ky == folded)
                    total += over_y[x];
                if (kz == folded)
                    total += over_z[x];
                if (kz == folded && ky == folded)
                    total += over_both[x];
                ROW2(data, kz, ky)[x] = (complex64){total[0], total[1]};
                ROW2(weight, kz, ky)[x] = total[2];
            }
        }
}
