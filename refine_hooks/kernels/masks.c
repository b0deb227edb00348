/* See refine_hooks/masks: shapes.py, solvent.py, density.py and morphology.py. */
#include "arrays.h"

/* Planes begin..end of a body of revolution; `profile` is its value at each squared distance from the centre. */
void turned(float_array profile, float_array mask, int64_t begin, int64_t end) {
    int64_t n = mask.shape[0], centre = n / 2;
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < n; y++) {
            int64_t square = (z - centre) * (z - centre) + (y - centre) * (y - centre);
            int64_t reach = columns_within(profile.shape[0], square, n) - 1;
            float *row = ROW2(mask, z, y);
            for (int64_t x = most(0, centre - reach); x < least(n, centre + reach + 1); x++)
                row[x] = profile.at[square + (x - centre) * (x - centre)];
        }
}

typedef struct { int64_t begin, end; } range;

/* The voxels of a row that lie in a sphere about the box's centre. */
static inline range in_sphere(int64_t n, int64_t z, int64_t y, double radius_px) {
    int64_t middle = n / 2;
    double rest = radius_px * radius_px - (double)((z - middle) * (z - middle)) - (double)((y - middle) * (y - middle));
    if (rest < 0)
        return (range){0, 0};
    int64_t reach = (int64_t)sqrt(rest);
    return (range){most(0, middle - reach), least(n, middle + reach + 1)};
}

/* Count and sum of squares of the noise in planes begin..end of a sphere; voxels without noise were masked away. */
void noise_sums(float_array noise, double radius_px, double quiet, int64_t begin, int64_t end, double_array sums) {
    int64_t n = noise.shape[0];
    double count = 0, squares = 0;
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < n; y++) {
            const float *row = ROW2(noise, z, y);
            range in = in_sphere(n, z, y, radius_px);
            for (int64_t x = in.begin; x < in.end; x++) {
                int loud = fabsf(row[x]) > quiet;
                count += loud;
                squares += loud ? row[x] * row[x] : 0;
            }
        }
    sums.at[0] = count;
    sums.at[1] = squares;
}

/* The histograms [2, bin, 4] of planes begin..end: count, sum and sum of squares of the signal in a sphere, then of what lies
   about it. */
void tally(
    float_array signal, float_array noise, double radius_px, double quiet, double low, double width, int64_t begin, int64_t end,
    double_array tables
) {
    int64_t n = noise.shape[0], bins = tables.shape[1];
    double per_width = 1 / width, *inside = tables.at, *about = ROW1(tables, 1);
    int32_t places[n];
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < n; y++) {
            const float *quiet_row = ROW2(noise, z, y), *row = ROW2(signal, z, y);
            range in = in_sphere(n, z, y, radius_px);
            for (int64_t x = 0; x < n; x++)
                places[x] = (int32_t)higher(0, lower((double)(bins - 1), ((double)row[x] - low) * per_width));
            for (int64_t x = 0; x < n; x++) {
                if (!(fabsf(quiet_row[x]) > quiet))
                    continue;
                double value = row[x], *bin = (x < in.begin || x >= in.end ? about : inside) + 4 * places[x];
                bin[0] += 1;
                bin[1] += value;
                bin[2] += value * value;
            }
        }
}

typedef struct { int64_t low, high; float share; } place;

/* The two voxels of a grid of m about a place, and the share of the second. */
static inline place about(double at, int64_t m) {
    int64_t low = least(most((int64_t)floor(at), 0), m - 1);
    return (place){low, least(low + 1, m - 1), (float)fmin(fmax(at - low, 0), 1)};
}

/* Planes begin..end of a soft mask: trilinear in the distance, then its edge from a table of 1025; beyond it is 0. */
void soft_edge(
    float_array distance, double_array places, double inner, double edge, float_array table, float_array mask, int64_t begin,
    int64_t end
) {
    int64_t n = mask.shape[0], m = distance.shape[0];
    float row[m];
    place along[n];
    for (int64_t x = 0; x < n; x++)
        along[x] = about(places.at[x], m);
    for (int64_t z = begin; z < end; z++) {
        place pz = along[z];
        for (int64_t y = 0; y < n; y++) {
            place py = along[y];
            const float *a = ROW2(distance, pz.low, py.low), *b = ROW2(distance, pz.low, py.high);
            const float *c = ROW2(distance, pz.high, py.low), *d = ROW2(distance, pz.high, py.high);
            float nearest = 1e30f, *to = ROW2(mask, z, y);
            for (int64_t x = 0; x < m; x++) {
                float low = a[x] + py.share * (b[x] - a[x]), high = c[x] + py.share * (d[x] - c[x]);
                row[x] = low + pz.share * (high - low) - (float)inner;
                nearest = row[x] < nearest ? row[x] : nearest;
            }
            memset(to, 0, (size_t)n * sizeof *to);
            if (nearest >= edge)
                continue;
            for (int64_t x = 0; x < n; x++) {
                place px = along[x];
                float value = row[px.low] + px.share * (row[px.high] - row[px.low]);
                if (value <= 0)
                    to[x] = 1;
                else if (value < edge)
                    to[x] = table.at[(int64_t)(value / edge * 1024)];
            }
        }
    }
}

/* min over q of (p - q)^2 + squares[q] at each p, of a line of n (Felzenszwalb & Huttenlocher 2012, doi:10.4086/toc.2012.v008a019);
   `at` and `from` are scratch: the places of the parabolas in the lower envelope, and where each begins. */
static void envelope(float *line, int64_t step, int64_t n, double *squares, int64_t *at, double *from) {
    int64_t last = -1;
    for (int64_t q = 0; q < n; q++) {
        squares[q] = line[q * step];
        if (isinf(squares[q]))
            continue;
        double begin = -INFINITY;
        while (last >= 0) {
            int64_t v = at[last];
            begin = (squares[q] + (double)(q * q) - squares[v] - (double)(v * v)) / (2.0 * (double)(q - v));
            if (begin > from[last])
                break;
            last--;
        }
        last++;
        at[last] = q;
        from[last] = last ? begin : -INFINITY;
    }
    if (last < 0)
        return;
    for (int64_t p = 0, i = 0; p < n; p++) {
        while (i < last && from[i + 1] < (double)p)
            i++;
        line[p * step] = (float)((double)((p - at[i]) * (p - at[i])) + squares[at[i]]);
    }
}

/* Distance of each voxel that is set to the nearest one that is not, in voxels; infinite where all are set. */
void distances(bool_array set, float_array out) {
    int64_t nz = set.shape[0], ny = set.shape[1], nx = set.shape[2], longest = most(nz, most(ny, nx));
    double squares[longest], from[longest];
    int64_t at[longest];
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++) {
            const uint8_t *row = ROW2(set, z, y);
            float *to = ROW2(out, z, y), away = INFINITY;
            for (int64_t x = 0; x < nx; x++)
                to[x] = away = row[x] ? away + 1 : 0;
            away = INFINITY;
            for (int64_t x = nx - 1; x >= 0; x--) {
                away = row[x] ? away + 1 : 0;
                to[x] = away < to[x] ? away * away : to[x] * to[x];
            }
        }
    for (int64_t z = 0; z < nz; z++)
        for (int64_t x = 0; x < nx; x++)
            envelope(ROW1(out, z) + x, out.step[1], ny, squares, at, from);
    for (int64_t y = 0; y < ny; y++)
        for (int64_t x = 0; x < nx; x++) {
            envelope(ROW2(out, 0, y) + x, out.step[0], nz, squares, at, from);
            for (int64_t z = 0; z < nz; z++)
                ROW2(out, z, y)[x] = sqrtf(ROW2(out, z, y)[x]);
        }
}
