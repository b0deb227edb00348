/* See refine_hooks/sums/relion.py. */
#include "arrays.h"

static inline int64_t distance_along(int64_t index, int64_t edge) { return index < edge / 2 ? index : edge - index; }

static inline double looked_up(double_array table, double step, int64_t z, int64_t y, int64_t x) {
    int64_t entry = (int64_t)(sqrt((double)(x * x + y * y + z * z)) * step);
    return entry < table.shape[0] ? table.at[entry] : 0;
}

/* Multiply the sections `begin`..`end`-1 of `density`, whose first is z = `first` of real space, by the blob's transform, in place.
   It is looked up in a table: the entry below, 0 beyond its end. RELION takes the middle index of its odd grid for a step that is
   one too far; only what a point and its mate share has an effect on real weights, so the mean of both is taken. */
void weigh_with_blob(double_array density, int64_t first, double_array table, double step, int64_t begin, int64_t end) {
    int64_t edge = density.shape[1], half = edge / 2;
    for (int64_t section = begin; section < end; section++)
        for (int64_t y = 0; y < edge; y++) {
            int64_t z = first + section, far_z = distance_along(z, edge), far_y = distance_along(y, edge);
            int64_t mate_z = distance_along(edge - z, edge), mate_y = distance_along(edge - y, edge);
            double *line = ROW2(density, section, y);
            for (int64_t x = 0; x < edge; x++) {
                double value = looked_up(table, step, far_z, far_y, distance_along(x, edge));
                if (z == half || (half <= y && y <= half + 1) || (half <= x && x <= half + 1))
                    value = (value + looked_up(table, step, mate_z, mate_y, distance_along(edge - x, edge))) / 2;
                line[x] *= value;
            }
        }
}

/* Divide the factors within the radius by the size of the density, never by less than 1e-6, in place; 0 beyond. Planes
   begin..end-1, of which the density holds the rows from `row` on. Where nothing was ever added a factor grows a million
   times with every turn, which a double holds. */
void divide_by_density(double_array factors, double_array density, int64_t row, int64_t square, int64_t begin, int64_t end) {
    int64_t edge = factors.shape[0], half = edge / 2;
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = row; y < row + density.shape[1]; y++) {
            int64_t kz = z <= half ? z : z - edge, ky = y <= half ? y : y - edge, plane = kz * kz + ky * ky;
            double *factor = ROW2(factors, z, y);
            const double *d = ROW2(density, z, y - row);
            for (int64_t x = 0; x < factors.shape[2]; x++) {
                double by = fabs(d[x]) > 1e-6 ? fabs(d[x]) : 1e-6;
                factor[x] = plane + x * x < square ? factor[x] / by : 0;
            }
        }
}
