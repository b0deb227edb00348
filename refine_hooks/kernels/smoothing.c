/* See refine_hooks/analysis/local.py and refine_hooks/masks/smooth.py. */
#include "arrays.h"

/* Where the neighbour i of a line of n lies, mirrored at its ends as often as it takes. */
static inline int64_t mirrored_to(int64_t i, int64_t n) {
    if (i >= 0 && i < n)
        return i;
    int64_t at = (i % (2 * n) + 2 * n) % (2 * n);
    return least(at, 2 * n - 1 - at);
}

enum { FOURS = 9, SPAN = 4 * FOURS }; /* floats that stay in registers while they are summed */

static inline void weigh_span(
    const float *from, const int64_t *places, const float *weights, int64_t count, float *restrict to
) {
    four sums[FOURS] = {{0}};
    for (int64_t t = 0; t < count; t++) {
        const four *row = (const four *)(from + places[t]), weight = {weights[t], weights[t], weights[t], weights[t]};
#pragma GCC unroll 9
        for (int i = 0; i < FOURS; i++)
            sums[i] += weight * row[i];
    }
    memcpy(to, sums, sizeof sums);
}

/* The sum of rows that lie `places[t]` floats from `from`, each times its weight. */
static void weigh_rows(
    const float *from, const int64_t *places, const float *weights, int64_t count, float *restrict to, int64_t n
) {
    for (int64_t x = 0; n >= SPAN && x < n; x += SPAN) {
        x = least(x, n - SPAN); /* the last one overlaps */
        weigh_span(from + x, places, weights, count, to + x);
    }
    for (int64_t x = 0; n < SPAN && x < n; x++) {
        to[x] = 0;
        for (int64_t t = 0; t < count; t++)
            to[x] += weights[t] * from[places[t] + x];
    }
}

/* The places and weights of the lines about the one in the middle, of lines that lie `step` apart; how many they are. */
static int64_t about_line(
    int64_t middle, int64_t lines, int64_t step, float_array half, int mirror, int64_t *places, float *weights
) {
    int64_t reach = half.shape[0] - 1, count = 0;
    for (int64_t t = -reach; t <= reach; t++) {
        int64_t at = mirror ? mirrored_to(middle + t, lines) : middle + t;
        if (at < 0 || at >= lines)
            continue;
        places[count] = at * step;
        weights[count++] = half.at[t < 0 ? -t : t];
    }
    return count;
}

/* Planes begin..end of a volume [z, y, x] convolved along all axes with one symmetric kernel whose right half is `half`, its
   middle first; zero outside, or mirrored at the faces. `planes` and `row` are scratch: as large as these planes, and as a row with
   the kernel's reach on either side. */
void smoothed(
    float_array values, float_array half, int64_t mirror, int64_t begin, int64_t end, float_array planes, float_array row,
    float_array out
) {
    int64_t nz = values.shape[0], ny = values.shape[1], nx = values.shape[2], reach = half.shape[0] - 1, count;
    int64_t places[2 * reach + 1];
    float *line = row.at + reach, weights[2 * reach + 1];
    for (int64_t y = 0; y < ny; y++) /* all z of a row at once, since they are sums of nearly the same rows */
        for (int64_t z = begin; z < end; z++) {
            count = about_line(z, nz, values.step[0], half, (int)mirror, places, weights);
            weigh_rows(ROW2(values, 0, y), places, weights, count, ROW2(planes, z - begin, y), nx);
        }
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < ny; y++) {
            count = about_line(y, ny, planes.step[1], half, (int)mirror, places, weights);
            weigh_rows(ROW1(planes, z - begin), places, weights, count, line, nx);
            for (int64_t t = 1; t <= reach; t++) {
                line[-t] = mirror ? line[mirrored_to(-t, nx)] : 0;
                line[nx - 1 + t] = mirror ? line[mirrored_to(nx - 1 + t, nx)] : 0;
            }
            for (int64_t t = -reach; t <= reach; t++) {
                places[t + reach] = t;
                weights[t + reach] = half.at[t < 0 ? -t : t];
            }
            weigh_rows(line, places, weights, 2 * reach + 1, ROW2(out, z, y), nx);
        }
}
