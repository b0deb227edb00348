/* See refine_hooks/analysis/local.py. */
#include "arrays.h"

enum { ENTRIES = 512, BINS = 256 };
static const double SDS = 3.0; /* a band is cut off so many standard deviations from its centre */

/* Planes begin..end of the coefficients near a radius, out of a full transform in FFT order, as the transform of the same edges in
   fewer voxels; `steps` is from one coefficient to the next along z, y, x in the units of the centre and sd of the Gaussian. */
void local_band(
    complex_array whole, double_array steps, double centre, double sd, int64_t begin, int64_t end, complex_array out
) {
    int64_t mz = out.shape[0], my = out.shape[1], mx = out.shape[2], nz = whole.shape[0], ny = whole.shape[1], nx = whole.shape[2];
    double scale = (double)mz * my * mx / ((double)nz * ny * nx), per_entry = ENTRIES / (2 * SDS * sd);
    double low = fmax(0, centre - SDS * sd), high = centre + SDS * sd;
    float table[ENTRIES + 2];
    for (int i = 0; i < ENTRIES + 2; i++)
        table[i] = (float)(scale * exp(-0.5 * pow(2 * SDS * i / ENTRIES - SDS, 2)));
    for (int64_t iz = begin; iz < end; iz++)
        for (int64_t iy = 0; iy < my; iy++) {
            complex64 *to = ROW2(out, iz, iy);
            for (int64_t ix = 0; ix < mx; ix++)
                to[ix] = (complex64){0, 0};
            int64_t kz = 2 * iz < mz ? iz : iz - mz, ky = 2 * iy < my ? iy : iy - my;
            double square = kz * steps.at[0] * kz * steps.at[0] + ky * steps.at[1] * ky * steps.at[1];
            if (square >= high * high)
                continue;
            const complex64 *from = ROW2(whole, kz < 0 ? kz + nz : kz, ky < 0 ? ky + ny : ky);
            int64_t near = (int64_t)ceil(sqrt(fmax(0, low * low - square)) / steps.at[2]);
            int64_t far = least((mx - 1) / 2, (int64_t)(sqrt(high * high - square) / steps.at[2]));
            for (int64_t kx = near; kx <= far; kx++) {
                double radius = sqrt(square + kx * steps.at[2] * kx * steps.at[2]);
                float weight = table[least(ENTRIES, most(0, (int64_t)((radius - centre + SDS * sd) * per_entry + 0.5)))];
                to[kx] = (complex64){from[kx].re * weight, from[kx].im * weight};
                if (kx)
                    to[mx - kx] = (complex64){from[nx - kx].re * weight, from[nx - kx].im * weight};
            }
        }
}

/* Sums [3, z, y, x] over 2 x 2 x 2 voxels of the particle, planes begin..end: their number, the real parts squared, the imaginary
   ones squared. The particle is where `parts`, of the same edges in other voxels, is not 0. */
void local_pooled(complex_array voxels, int16_array parts, int64_t begin, int64_t end, float_array out) {
    int64_t nearest[3][2 * most(out.shape[1], most(out.shape[2], out.shape[3]))];
    for (int axis = 0; axis < 3; axis++)
        for (int64_t i = 0; i < 2 * out.shape[axis + 1]; i++)
            nearest[axis][i] = (int64_t)((double)i * parts.shape[axis] / voxels.shape[axis] + 0.5) % parts.shape[axis];
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < out.shape[2]; y++)
            for (int64_t x = 0; x < out.shape[3]; x++) {
                float count = 0, mean = 0, half = 0;
                for (int64_t i = 2 * z; i < 2 * z + 2; i++)
                    for (int64_t j = 2 * y; j < 2 * y + 2; j++) {
                        const int16_t *part = ROW2(parts, nearest[0][i], nearest[1][j]);
                        const complex64 *value = ROW2(voxels, i, j);
                        for (int64_t k = 2 * x; k < 2 * x + 2; k++)
                            if (part[nearest[2][k]]) {
                                count += 1;
                                mean += value[k].re * value[k].re;
                                half += value[k].im * value[k].im;
                            }
                    }
                ROW3(out, 0, z, y)[x] = count;
                ROW3(out, 1, z, y)[x] = mean;
                ROW3(out, 2, z, y)[x] = half;
            }
}

/* Adds to `out` [3, part] the pooled sums of each part. */
void local_part_sums(float_array sums, int16_array parts, double_array out) {
    int64_t nz = sums.shape[1], ny = sums.shape[2], nx = sums.shape[3];
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++) {
            int64_t pz = least(parts.shape[0] - 1, (int64_t)((z + 0.25) * parts.shape[0] / nz + 0.5));
            int64_t py = least(parts.shape[1] - 1, (int64_t)((y + 0.25) * parts.shape[1] / ny + 0.5));
            const int16_t *row = ROW2(parts, pz, py);
            for (int64_t x = 0; x < nx; x++)
                if (ROW3(sums, 0, z, y)[x] > 0) {
                    int64_t part = row[least(parts.shape[2] - 1, (int64_t)((x + 0.25) * parts.shape[2] / nx + 0.5))];
                    for (int i = 0; i < 3; i++)
                        ROW1(out, i)[part] += ROW3(sums, i, z, y)[x];
                }
        }
}

/* A volume [z, y, x] convolved along all axes with one symmetric kernel whose right half is `weights`, its middle first; zero
   outside. `one` and `row` are scratch: as large as the volume, and as one of its rows with the kernel's reach on either side. */
void local_smoothed(float_array values, float_array weights, float_array one, float_array row, float_array out) {
    int64_t nz = values.shape[0], ny = values.shape[1], nx = values.shape[2], reach = weights.shape[0] - 1;
    for (int64_t z = 0; z < nz; z++) {
        for (int64_t y = 0; y < ny; y++) {
            float *to = ROW2(one, z, y);
            for (int64_t x = 0; x < nx; x++)
                to[x] = 0;
            for (int64_t t = most(-reach, -z); t <= least(reach, nz - 1 - z); t++) {
                const float *from = ROW2(values, z + t, y), weight = weights.at[t < 0 ? -t : t];
                for (int64_t x = 0; x < nx; x++)
                    to[x] += weight * from[x];
            }
        }
        for (int64_t y = 0; y < ny; y++) {
            float *to = ROW2(out, z, y), *line = row.at + reach;
            for (int64_t x = -reach; x < nx + reach; x++)
                line[x] = 0;
            for (int64_t t = most(-reach, -y); t <= least(reach, ny - 1 - y); t++) {
                const float *from = ROW2(one, z, y + t), weight = weights.at[t < 0 ? -t : t];
                for (int64_t x = 0; x < nx; x++)
                    line[x] += weight * from[x];
            }
            for (int64_t x = 0; x < nx; x++)
                to[x] = weights.at[0] * line[x];
            for (int64_t t = 1; t <= reach; t++)
                for (int64_t x = 0; x < nx; x++)
                    to[x] += weights.at[t] * (line[x - t] + line[x + t]);
        }
    }
}

/* Local FSC, (mean - half) / (mean + half), at places [point, 3] between the voxels of local sums [3, z, y, x]. */
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
            mean += weight * ROW3(sums, 1, at[0][a], at[1][b])[at[2][c]];
            half += weight * ROW3(sums, 2, at[0][a], at[1][b])[at[2][c]];
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
