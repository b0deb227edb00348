/* See refine_hooks/analysis/local.py. */
#include "arrays.h"

enum { ENTRIES = 1024, BINS = 256 };
static const double SDS = 3.0; /* a band is cut off so many standard deviations from its centre */

/* The shell of coefficients about a radius, from one square of the radius to another, and the weights in even steps of it. */
typedef struct { double low, high, per_entry; float weights[ENTRIES + 2]; } shell;

static shell shell_about(double centre, double sd, double scale) {
    shell s = {pow(fmax(0, centre - SDS * sd), 2), pow(centre + SDS * sd, 2), 0, {0}};
    s.per_entry = ENTRIES / (s.high - s.low);
    for (int i = 0; i < ENTRIES + 2; i++)
        s.weights[i] = (float)(scale * exp(-0.5 * pow((sqrt(s.low + i / s.per_entry) - centre) / sd, 2)));
    return s;
}

/* One row of `mx` coefficients, the weighted ones of the row kz, ky of a full transform; whether there are any. */
static int shell_row(const shell *s, complex_array whole, double_array steps, int64_t kz, int64_t ky, int64_t mx, complex64 *to) {
    int64_t nz = whole.shape[0], ny = whole.shape[1], nx = whole.shape[2];
    double square = kz * steps.at[0] * kz * steps.at[0] + ky * steps.at[1] * ky * steps.at[1];
    memset(to, 0, (size_t)mx * sizeof *to);
    if (square >= s->high || 2 * kz >= nz || 2 * kz < -nz || 2 * ky >= ny || 2 * ky < -ny)
        return 0;
    const complex64 *from = ROW2(whole, kz < 0 ? kz + nz : kz, ky < 0 ? ky + ny : ky);
    int64_t near = (int64_t)ceil(sqrt(fmax(0, s->low - square)) / steps.at[2]);
    int64_t far = least((least(mx, nx) - 1) / 2, (int64_t)(sqrt(s->high - square) / steps.at[2]));
    for (int64_t kx = near; kx <= far; kx++) {
        double beyond = square + kx * steps.at[2] * kx * steps.at[2] - s->low;
        float weight = s->weights[least(ENTRIES, most(0, (int64_t)(beyond * s->per_entry + 0.5)))];
        to[kx] = (complex64){from[kx].re * weight, from[kx].im * weight};
        if (kx)
            to[mx - kx] = (complex64){from[nx - kx].re * weight, from[nx - kx].im * weight};
    }
    return near <= far;
}

static inline complex64 times(complex64 a, complex64 b) {
    return (complex64){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static complex64 turned(int64_t k, int64_t edge) {
    double angle = 2 * 3.14159265358979323846 * (double)k / (double)edge;
    return (complex64){(float)cos(angle), (float)sin(angle)};
}

/* Planes begin..end of the transforms `out` [4, kz, ky, kx] of every second voxel of a band. The band is the coefficients near a
   radius, out of a full transform in FFT order; its voxels are twice as many along each edge as `out` has. The four transforms are
   those of the voxels [2z, 2y, 2x], [2z, 2y + 1, 2x + 1], [2z + 1, 2y, 2x + 1] and [2z + 1, 2y + 1, 2x]. `steps` is from one
   coefficient to the next along z, y, x in the units of the centre and sd of the Gaussian. */
void local_band(
    complex_array whole, double_array steps, double centre, double sd, int64_t begin, int64_t end, complex_array out
) {
    int64_t mz = out.shape[1], my = out.shape[2], mx = out.shape[3];
    double scale = (double)mz * my * mx / ((double)whole.shape[0] * whole.shape[1] * whole.shape[2]);
    shell s = shell_about(centre, sd, scale);
    complex64 rows[4][2 * mx], along_x[mx];
    for (int64_t x = 0; x < mx; x++)
        along_x[x] = turned(x, 2 * mx);
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < my; y++) {
            int any = 0;
            for (int i = 0; i < 4; i++)
                any |= shell_row(&s, whole, steps, i & 2 ? z - mz : z, i & 1 ? y - my : y, 2 * mx, rows[i]);
            if (!any) {
                for (int i = 0; i < 4; i++)
                    memset(ROW3(out, i, z, y), 0, (size_t)mx * sizeof(complex64));
                continue;
            }
            complex64 along_z = turned(z, 2 * mz), along_y = turned(y, 2 * my), along_both = times(along_z, along_y);
            complex64 *to0 = ROW3(out, 0, z, y), *to1 = ROW3(out, 1, z, y), *to2 = ROW3(out, 2, z, y), *to3 = ROW3(out, 3, z, y);
            for (int64_t x = 0; x < mx; x++) {
                complex64 sum[4], less[4];
                for (int i = 0; i < 4; i++) {
                    complex64 a = rows[i][x], b = rows[i][x + mx];
                    sum[i] = (complex64){a.re + b.re, a.im + b.im};
                    less[i] = (complex64){a.re - b.re, a.im - b.im};
                }
                complex64 odd_y = {less[0].re - less[1].re + less[2].re - less[3].re, less[0].im - less[1].im + less[2].im - less[3].im};
                complex64 odd_z = {less[0].re + less[1].re - less[2].re - less[3].re, less[0].im + less[1].im - less[2].im - less[3].im};
                complex64 odd_both = {sum[0].re - sum[1].re - sum[2].re + sum[3].re, sum[0].im - sum[1].im - sum[2].im + sum[3].im};
                to0[x] = (complex64){sum[0].re + sum[1].re + sum[2].re + sum[3].re, sum[0].im + sum[1].im + sum[2].im + sum[3].im};
                to1[x] = times(odd_y, times(along_y, along_x[x]));
                to2[x] = times(odd_z, times(along_z, along_x[x]));
                to3[x] = times(odd_both, along_both);
            }
        }
}

/* Sums [2, z, y, x] over the four voxels of the particle that `local_band` names, planes begin..end: the real parts squared, the
   imaginary ones squared. The particle is where `parts`, of the same edges in other voxels, is not 0. */
void local_pooled(complex_array voxels, int16_array parts, int64_t begin, int64_t end, float_array out) {
    static const int odd[4][3] = {{0, 0, 0}, {0, 1, 1}, {1, 0, 1}, {1, 1, 0}};
    int64_t nx = out.shape[3], nearest[3][2 * most(out.shape[1], most(out.shape[2], nx))];
    float inside[nx];
    for (int axis = 0; axis < 3; axis++)
        for (int64_t i = 0; i < 2 * out.shape[axis + 1]; i++)
            nearest[axis][i] = (int64_t)((double)i * parts.shape[axis] / (2 * out.shape[axis + 1]) + 0.5) % parts.shape[axis];
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < out.shape[2]; y++) {
            float *mean = ROW3(out, 0, z, y), *half = ROW3(out, 1, z, y);
            memset(mean, 0, (size_t)nx * sizeof *mean);
            memset(half, 0, (size_t)nx * sizeof *half);
            for (int i = 0; i < 4; i++) {
                const int16_t *part = ROW2(parts, nearest[0][2 * z + odd[i][0]], nearest[1][2 * y + odd[i][1]]);
                const complex64 *value = ROW3(voxels, i, z, y);
                for (int64_t x = 0; x < nx; x++)
                    inside[x] = part[nearest[2][2 * x + odd[i][2]]] ? 1 : 0;
                for (int64_t x = 0; x < nx; x++) {
                    mean[x] += inside[x] * value[x].re * value[x].re;
                    half[x] += inside[x] * value[x].im * value[x].im;
                }
            }
        }
}

/* Adds to `out` [2, part] the pooled sums of each part. */
void local_part_sums(float_array sums, int16_array parts, double_array out) {
    int64_t nz = sums.shape[1], ny = sums.shape[2], nx = sums.shape[3];
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++) {
            int64_t pz = least(parts.shape[0] - 1, (int64_t)((z + 0.25) * parts.shape[0] / nz + 0.5));
            int64_t py = least(parts.shape[1] - 1, (int64_t)((y + 0.25) * parts.shape[1] / ny + 0.5));
            const int16_t *row = ROW2(parts, pz, py);
            for (int64_t x = 0; x < nx; x++)
                if (ROW3(sums, 0, z, y)[x] + ROW3(sums, 1, z, y)[x] > 0) {
                    int64_t part = row[least(parts.shape[2] - 1, (int64_t)((x + 0.25) * parts.shape[2] / nx + 0.5))];
                    for (int i = 0; i < 2; i++)
                        ROW1(out, i)[part] += ROW3(sums, i, z, y)[x];
                }
        }
}

/* Local FSC, (mean - half) / (mean + half), at places [point, 3] between the voxels of local sums [2, z, y, x]. */
void local_correlations(float_array sums, float_array places, float_array out) {
    int64_t n[3] = {sums.shape[1], sums.shape[2], sums.shape[3]};
    for (int64_t p = 0; p < places.shape[0]; p++) {
        double mean = 0, half = 0, part[3];
        int64_t at[3][2];
        for (int axis = 0; axis < 3; axis++) {
            double place = ROW1(places, p)[axis], whole = floor(place);
            part[axis] = place - whole;
            for (int i = 0; i < 2; i++)
                at[axis][i] = most(0, least(n[axis] - 1, (int64_t)whole + i));
        }
        for (int i = 0; i < 8; i++) {
            int a = i >> 2, b = i >> 1 & 1, c = i & 1;
            double weight = (a ? part[0] : 1 - part[0]) * (b ? part[1] : 1 - part[1]) * (c ? part[2] : 1 - part[2]);
            mean += weight * ROW3(sums, 0, at[0][a], at[1][b])[at[2][c]];
            half += weight * ROW3(sums, 1, at[0][a], at[1][b])[at[2][c]];
        }
        out.at[p] = mean + half > 0 ? (float)((mean - half) / (mean + half)) : 0;
    }
}

/* Median of the logarithms of the neighbours within each point's own radius, points begin..end. `index` [z, y, x] is the number of
   the point at each place of the grid, -1 where there is none; the radius is in steps of the grid. */
void local_medians(
    float_array logs, int64_array places, int64_array index, float_array radius, double low, double width, int64_t begin, int64_t end,
    float_array out
) {
    for (int64_t p = begin; p < end; p++) {
        int64_t counts[BINS + 1] = {0}, total = 0, before = 0, bin = 0, reach = (int64_t)radius.at[p];
        const int64_t *place = ROW1(places, p);
        double square = (double)radius.at[p] * radius.at[p];
        for (int64_t i = most(0, place[0] - reach); i < least(index.shape[0], place[0] + reach + 1); i++)
            for (int64_t j = most(0, place[1] - reach); j < least(index.shape[1], place[1] + reach + 1); j++) {
                double left = square - (double)((i - place[0]) * (i - place[0])) - (double)((j - place[1]) * (j - place[1]));
                const int64_t *row = ROW2(index, i, j);
                for (int64_t k = most(0, place[2] - reach); k < least(index.shape[2], place[2] + reach + 1); k++)
                    if (row[k] >= 0 && (double)((k - place[2]) * (k - place[2])) <= left) {
                        counts[least(BINS, most(0, (int64_t)((logs.at[row[k]] - low) / width)))]++;
                        total++;
                    }
            }
        while (2 * (before + counts[bin]) < total)
            before += counts[bin++];
        out.at[p] = (float)(low + width * (bin + (0.5 * total - before) / counts[bin]));
    }
}
