/* See refine_hooks/masks: shapes.py, solvent.py and density.py. */
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

/* The histogram [3, bin] of planes begin..end of a sphere: count, sum and sum of squares of the signal. */
void tally(
    float_array signal, float_array noise, double radius_px, double quiet, double low, double width, int64_t begin, int64_t end,
    double_array table
) {
    int64_t n = noise.shape[0], bins = table.shape[1];
    double *counts = ROW1(table, 0), *sums = ROW1(table, 1), *squares = ROW1(table, 2);
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < n; y++) {
            const float *quiet_row = ROW2(noise, z, y), *row = ROW2(signal, z, y);
            range in = in_sphere(n, z, y, radius_px);
            for (int64_t x = in.begin; x < in.end; x++) {
                if (!(fabsf(quiet_row[x]) > quiet))
                    continue;
                double value = row[x];
                int64_t i = most(0, least(bins - 1, (int64_t)((value - low) / width)));
                counts[i] += 1;
                sums[i] += value;
                squares[i] += value * value;
            }
        }
}

typedef struct { int64_t low, high; float share; } place;

/* The two voxels of a grid of m about a place, and the share of the second. */
static inline place about(double at, int64_t m) {
    int64_t low = least(most((int64_t)floor(at), 0), m - 1);
    return (place){low, least(low + 1, m - 1), (float)fmin(fmax(at - low, 0), 1)};
}

/* Planes begin..end of a soft mask: trilinear in the distance, then its edge from a table of 1025; beyond it stays 0. */
void soft_edge(
    float_array distance, double_array places, double inner, double edge, float_array table, float_array mask, int64_t begin,
    int64_t end
) {
    int64_t n = mask.shape[0], m = distance.shape[0];
    float row[m];
    for (int64_t z = begin; z < end; z++) {
        place pz = about(places.at[z], m);
        for (int64_t y = 0; y < n; y++) {
            place py = about(places.at[y], m);
            const float *a = ROW2(distance, pz.low, py.low), *b = ROW2(distance, pz.low, py.high);
            const float *c = ROW2(distance, pz.high, py.low), *d = ROW2(distance, pz.high, py.high);
            float nearest = 1e30f;
            for (int64_t x = 0; x < m; x++) {
                float low = a[x] + py.share * (b[x] - a[x]), high = c[x] + py.share * (d[x] - c[x]);
                row[x] = low + pz.share * (high - low) - (float)inner;
                nearest = row[x] < nearest ? row[x] : nearest;
            }
            if (nearest >= edge)
                continue;
            float *to = ROW2(mask, z, y);
            for (int64_t x = 0; x < n; x++) {
                place px = about(places.at[x], m);
                float value = row[px.low] + px.share * (row[px.high] - row[px.low]);
                if (value <= 0)
                    to[x] = 1;
                else if (value < edge)
                    to[x] = table.at[(int64_t)(value / edge * 1024)];
            }
        }
    }
}
