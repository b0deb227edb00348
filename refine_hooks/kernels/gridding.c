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

static inline int64_t step_of(int64_t index, int64_t edge) { return index <= edge / 2 ? index : index - edge; }

/* One row of a padded half transform, in FFT order, for the steps kz and ky; null where `reach`, the furthest step that both grids
   have, is passed. */
static inline const float *padded_row(float_array values, int64_t kz, int64_t ky, int64_t reach) {
    int64_t n = values.shape[0];
    int apart = kz > reach || -kz > reach || ky > reach || -ky > reach;
    return apart ? 0 : ROW2(values, kz < 0 ? kz + n : kz, ky < 0 ? ky + n : ky);
}

/* The planes first..last-1 of the working grid `core`, in FFT order: what a padded half transform holds where kz^2 + ky^2 + kx^2 <
   `square`, else 0. */
void cut_core(float_array values, int64_t reach, int64_t square, float_array core, int64_t first, int64_t last) {
    int64_t edge = core.shape[0];
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < edge; y++) {
            int64_t kz = step_of(z, edge), ky = step_of(y, edge), row = kz * kz + ky * ky;
            const float *from = padded_row(values, kz, ky, reach);
            float *to = ROW2(core, z, y);
            int64_t end = from ? least(columns_within(square, row, core.shape[2]), reach + 1) : 0;
            for (int64_t x = 0; x < end; x++)
                to[x] = from[x];
            memset(to + end, 0, sizeof(float) * (size_t)(core.shape[2] - end));
        }
}

/* The same of a real part (`part` 0) or an imaginary one (1) times factors on the working grid, into a complex one. */
void cut_product(
    float_array values, float_array factors, int64_t reach, int64_t square, complex_array core, int64_t part, int64_t first,
    int64_t last
) {
    int64_t edge = core.shape[0];
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < edge; y++) {
            int64_t kz = step_of(z, edge), ky = step_of(y, edge), row = kz * kz + ky * ky;
            const float *from = padded_row(values, kz, ky, reach), *factor = ROW2(factors, z, y);
            float *to = (float *)ROW2(core, z, y) + part;
            int64_t end = from ? least(columns_within(square, row, core.shape[2]), reach + 1) : 0;
            for (int64_t x = 0; x < core.shape[2]; x++)
                to[2 * x] = x < end ? from[x] * factor[x] : 0;
        }
}

/* A row of sums as images are spread over them, [z, y, x, 4] with kz = ky = 0 in the middle, see insertion.c; null as above. */
static inline const four *inserted_row(float_array sums, int64_t kz, int64_t ky, int64_t reach) {
    int64_t middle = sums.shape[0] / 2;
    int apart = kz > reach || -kz > reach || ky > reach || -ky > reach;
    return apart ? 0 : (const four *)ROW2(sums, middle + kz, middle + ky);
}

/* The weights of such sums on the working grid, as `cut_core` cuts them. */
void cut_weights(float_array sums, int64_t reach, int64_t square, float_array core, int64_t first, int64_t last) {
    int64_t edge = core.shape[0];
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < edge; y++) {
            int64_t kz = step_of(z, edge), ky = step_of(y, edge), row = kz * kz + ky * ky;
            const four *from = inserted_row(sums, kz, ky, reach);
            float *to = ROW2(core, z, y);
            int64_t end = from ? least(columns_within(square, row, core.shape[2]), reach + 1) : 0;
            for (int64_t x = 0; x < end; x++)
                to[x] = from[x][2];
            memset(to + end, 0, sizeof(float) * (size_t)(core.shape[2] - end));
        }
}

/* Their coefficients times factors on the working grid. */
void cut_coefficients(
    float_array sums, float_array factors, int64_t reach, int64_t square, complex_array core, int64_t first, int64_t last
) {
    int64_t edge = core.shape[0];
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < edge; y++) {
            int64_t kz = step_of(z, edge), ky = step_of(y, edge), row = kz * kz + ky * ky;
            const four *from = inserted_row(sums, kz, ky, reach);
            const float *factor = ROW2(factors, z, y);
            complex64 *to = ROW2(core, z, y);
            int64_t end = from ? least(columns_within(square, row, core.shape[2]), reach + 1) : 0;
            for (int64_t x = 0; x < end; x++)
                to[x] = (complex64){from[x][0] * factor[x], from[x][1] * factor[x]};
            memset(to + end, 0, sizeof(complex64) * (size_t)(core.shape[2] - end));
        }
}

/* Sum and number of the weights of each shell, `sums` [shell, 2], in the planes first..last-1 of the working grid. `shells` has the
   shell of every kz^2 + ky^2 + kx^2 that counts. */
void weights_by_shell(float_array weights, int16_array shells, int64_t first, int64_t last, double_array sums) {
    int64_t edge = weights.shape[0];
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < edge; y++) {
            int64_t kz = step_of(z, edge), ky = step_of(y, edge), row = kz * kz + ky * ky;
            int64_t end = columns_within(shells.shape[0], row, weights.shape[2]);
            const float *w = ROW2(weights, z, y);
            for (int64_t x = 0; x < end; x++) {
                double *to = ROW1(sums, shells.at[row + x * x]);
                to[0] += w[x];
                to[1]++;
            }
        }
}

/* 1 / weight in the planes first..last-1, in place, where a weight counts as no less than `least_of` its shell; 0 where both are 0.
   What lies beyond the shells belongs to the last but one. */
void invert_weights(float_array weights, int16_array shells, double_array least_of, int64_t first, int64_t last) {
    int64_t edge = weights.shape[0], beyond = least_of.shape[0] - 2;
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < edge; y++) {
            int64_t kz = step_of(z, edge), ky = step_of(y, edge), row = kz * kz + ky * ky;
            int64_t known = columns_within(shells.shape[0], row, weights.shape[2]);
            float *w = ROW2(weights, z, y);
            for (int64_t x = 0; x < weights.shape[2]; x++) {
                double bounded = higher(w[x], least_of.at[x < known ? least(shells.at[row + x * x], beyond) : beyond]);
                w[x] = bounded > 0 ? (float)(1 / bounded) : 0;
            }
        }
}

/* Add each step of a padded grid [z, y, x] to its voxel of the map's transform. `across` tells the voxel's index of each step along
   z and y, `along` that of each along x; -1 for none. */
void add_into_voxels(float_array values, int64_array across, int64_array along, float_array voxels) {
    int64_t edge = values.shape[0], columns = values.shape[2];
    for (int64_t z = 0; z < edge; z++)
        for (int64_t y = 0; y < edge; y++) {
            if (across.at[z] < 0 || across.at[y] < 0)
                continue;
            const float *from = ROW2(values, z, y);
            float *to = ROW2(voxels, across.at[z], across.at[y]);
            for (int64_t x = 0; x < columns && along.at[x] >= 0; x++)
                to[along.at[x]] += from[x];
        }
}
