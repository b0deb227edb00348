/* See refine_hooks/analysis: cones.py, criteria.py, turns.py, blocks.py, directions.py and imposed.py. */
#include "arrays.h"

/* Sums [axis, shell, 4] of F1 F2*, |F1|^2, |F2|^2 and 1 in double cones about the axes [3, axis] whose half angle has the cosine
   `narrow`; after the last axis stands the whole shell. */
void cone_sums(
    complex_array slab1, complex_array slab2, int64_t first, int16_array labels, float_array axes, double narrow, double_array sums
) {
    int64_t n = slab1.shape[0], count = axes.shape[1];
    const float *az = ROW1(axes, 0), *ay = ROW1(axes, 1), *ax = ROW1(axes, 2);
    int64_t words = (count + 8) / 8;
    uint8_t within[8 * words]; /* 0 or 1 an axis; one bit in eight, so that eight of them are passed over at once */
    memset(within, 0, sizeof within);
    within[count] = 1;
    for (int64_t iz = 0; iz < n; iz++)
        for (int64_t row = 0; row < slab1.shape[1]; row++) {
            int64_t kz = 2 * iz < n ? iz : iz - n, iy = first + row, ky = 2 * iy < n ? iy : iy - n;
            int64_t stop = columns_within(labels.shape[0], kz * kz + ky * ky, n / 2 + 1);
            const complex64 *a = ROW2(slab1, iz, row), *b = ROW2(slab2, iz, row);
            for (int64_t kx = kz || ky ? 0 : 1; kx < stop; kx++) {
                int64_t square = kz * kz + ky * ky + kx * kx, shell = labels.at[square];
                double weight = kx == 0 || 2 * kx == n ? 0.5 : 1.0;
                const double values[] = {
                    weight * (a[kx].re * b[kx].re + a[kx].im * b[kx].im), weight * (a[kx].re * a[kx].re + a[kx].im * a[kx].im),
                    weight * (b[kx].re * b[kx].re + b[kx].im * b[kx].im), weight,
                };
                float limit = (float)narrow * sqrtf((float)square);
                for (int64_t axis = 0; axis < count; axis++)
                    within[axis] = fabsf(az[axis] * kz + ay[axis] * ky + ax[axis] * kx) >= limit;
                for (int64_t i = 0; i < words; i++) {
                    uint64_t eight;
                    memcpy(&eight, within + 8 * i, sizeof eight);
                    for (; eight; eight &= eight - 1) {
                        double *to = ROW2(sums, 8 * i + __builtin_ctzll(eight) / 8, shell);
                        for (int j = 0; j < 4; j++)
                            to[j] += values[j];
                    }
                }
            }
        }
}

/* Per shell [11, shell]: count, sums of the real and imaginary parts of both, and their second moments (rr, ii, ri of each). */
void moments(complex_array slab1, complex_array slab2, int64_t first, int16_array labels, double_array out) {
    int64_t n = slab1.shape[0], step = out.step[0];
    for (int64_t iz = 0; iz < n; iz++)
        for (int64_t row = 0; row < slab1.shape[1]; row++) {
            int64_t kz = least(iz, n - iz), ky = least(first + row, n - first - row), square = kz * kz + ky * ky;
            int64_t stop = columns_within(labels.shape[0], square, (n + 1) / 2);
            const complex64 *a = ROW2(slab1, iz, row), *b = ROW2(slab2, iz, row);
            for (int64_t kx = 1; kx < stop; kx++) {
                double *to = out.at + labels.at[square + kx * kx];
                const float values[] = {
                    1, a[kx].re, a[kx].im, b[kx].re, b[kx].im, a[kx].re * a[kx].re, a[kx].im * a[kx].im, a[kx].re * a[kx].im,
                    b[kx].re * b[kx].re, b[kx].im * b[kx].im, b[kx].re * b[kx].im,
                };
                for (int i = 0; i < 11; i++)
                    to[i * step] += values[i];
            }
        }
}

/* Correlation [rotation, hand] of values with a cloud [z, y, x] at places [place, 3] that the rotations [rotation, 3, 3] turn. */
void turn_scores(
    complex_array cloud, int64_t middle, double_array rotations, double_array places, complex_array values, double_array out
) {
    int64_t count = places.shape[0];
    for (int64_t number = 0; number < rotations.shape[0]; number++) {
        const double *r = ROW1(rotations, number);
        double same = 0, other = 0, power = 1e-30;
        for (int64_t i = 0; i < count; i++) {
            const double *p = ROW1(places, i);
            double at[3];
            for (int axis = 0; axis < 3; axis++)
                at[axis] = r[3 * axis] * p[0] + r[3 * axis + 1] * p[1] + r[3 * axis + 2] * p[2] + middle;
            int64_t iz = (int64_t)at[0], iy = (int64_t)at[1], ix = (int64_t)at[2];
            float fz = at[0] - iz, fy = at[1] - iy, fx = at[2] - ix;
            const complex64 *c = ROW2(cloud, iz, iy) + ix; /* two complex numbers beside each other are four floats */
            int64_t y = cloud.step[1], z = cloud.step[0];
            four lower = (1 - fy) * *(const four *)c + fy * *(const four *)(c + y);
            four upper = (1 - fy) * *(const four *)(c + z) + fy * *(const four *)(c + z + y);
            four between = (1 - fz) * lower + fz * upper;
            float re = (1 - fx) * between[0] + fx * between[2], im = (1 - fx) * between[1] + fx * between[3];
            complex64 v = values.at[i];
            float real = v.re * re, imaginary = v.im * im;
            same += real + imaginary;
            other += real - imaginary; /* the map turned inside out has the conjugate */
            power += re * re + im * im;
        }
        double scale = 2 * sqrt(count / power);
        ROW1(out, number)[0] = same * scale;
        ROW1(out, number)[1] = other * scale;
    }
}

/* F2 moved: times the phases of its place. */
static inline complex64 moved(complex64 f, complex64 plane, complex64 along) {
    complex64 phase = {plane.re * along.re - plane.im * along.im, plane.re * along.im + plane.im * along.re};
    return (complex64){f.re * phase.re - f.im * phase.im, f.re * phase.im + f.im * phase.re};
}

static inline complex64 product_of(complex64 a, complex64 b) {
    return (complex64){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* Sums [shell, 4] over the full transform of Re F1 F2*, |F1|^2 and |F2|^2 of half transforms [kz, ky, kx], the second of which is
   moved by phases along each axis. */
void moved_sums(
    complex_array one, complex_array two, complex_array phase_z, complex_array phase_y, complex_array phase_x,
    int16_array labels, double_array sums
) {
    int64_t n = one.shape[0], columns = one.shape[2];
    for (int64_t iz = 0; iz < n; iz++)
        for (int64_t iy = 0; iy < n; iy++) {
            int64_t kz = least(iz, n - iz), ky = least(iy, n - iy), square = kz * kz + ky * ky;
            int64_t stop = columns_within(labels.shape[0], square, columns);
            const complex64 *a = ROW2(one, iz, iy), *b = ROW2(two, iz, iy);
            complex64 plane = product_of(phase_z.at[iz], phase_y.at[iy]);
            float cross[columns], power1[columns], power2[columns];
            for (int64_t kx = 0; kx < stop; kx++) {
                complex64 c = moved(b[kx], plane, phase_x.at[kx]);
                cross[kx] = a[kx].re * c.re + a[kx].im * c.im;
                power1[kx] = a[kx].re * a[kx].re + a[kx].im * a[kx].im;
                power2[kx] = b[kx].re * b[kx].re + b[kx].im * b[kx].im;
            }
            for (int64_t kx = 0; kx < stop; kx++) {
                double *shell = ROW1(sums, labels.at[square + kx * kx]), twice = kx == 0 || 2 * kx == n ? 1 : 2;
                shell[0] += twice * cross[kx];
                shell[1] += twice * power1[kx];
                shell[2] += twice * power2[kx];
            }
        }
}

/* What a shift's least squares takes: sums [15] over the full transform of f Im F1 F2* (z, y, x), then of f f (zz, yy, xx, zy, zx,
   yx) times Re F1 F2*, and times a weight of its own; `weights` [shell, 2] are those of the products and that one, and f are radians
   a voxel, `step` to a coefficient. */
void shift_sums(
    complex_array one, complex_array two, complex_array phase_z, complex_array phase_y, complex_array phase_x,
    int16_array labels, double_array weights, double step, double_array sums
) {
    int64_t n = one.shape[0], columns = one.shape[2];
    for (int64_t iz = 0; iz < n; iz++)
        for (int64_t iy = 0; iy < n; iy++) {
            int64_t kz = 2 * iz < n ? iz : iz - n, ky = 2 * iy < n ? iy : iy - n, square = kz * kz + ky * ky;
            int64_t stop = columns_within(labels.shape[0], square, columns);
            const complex64 *a = ROW2(one, iz, iy), *b = ROW2(two, iz, iy);
            complex64 plane = product_of(phase_z.at[iz], phase_y.at[iy]);
            double slope = 0, of_x = 0, held[2][3] = {{0}};
            for (int64_t kx = 0; kx < stop; kx++) {
                complex64 c = moved(b[kx], plane, phase_x.at[kx]);
                const double *weight = ROW1(weights, labels.at[square + kx * kx]);
                double twice = kx == 0 || 2 * kx == n ? 1 : 2, own = twice * weight[1], f = kx * step;
                double real = twice * weight[0] * (a[kx].re * c.re + a[kx].im * c.im);
                double imaginary = twice * weight[0] * (a[kx].im * c.re - a[kx].re * c.im);
                slope += imaginary, of_x += f * imaginary;
                held[0][0] += real, held[0][1] += f * real, held[0][2] += f * f * real;
                held[1][0] += own, held[1][1] += f * own, held[1][2] += f * f * own;
            }
            double z = kz * step, y = ky * step;
            sums.at[0] += z * slope, sums.at[1] += y * slope, sums.at[2] += of_x;
            for (int i = 0; i < 2; i++) {
                double *to = sums.at + 3 + 6 * i;
                to[0] += z * z * held[i][0], to[1] += y * y * held[i][0], to[2] += held[i][2];
                to[3] += z * y * held[i][0], to[4] += z * held[i][1], to[5] += y * held[i][1];
            }
        }
}

/* Sums [z, y, x of the block, 5] of both halves less a level near theirs, of their squares and of their product. */
void level_sums(
    float_array half1, float_array half2, double near1, double near2, int64_array edges, int64_t begin, int64_t end,
    double_array out
) {
    int64_t count = edges.shape[0] - 1;
    for (int64_t bz = begin; bz < end; bz++)
        for (int64_t z = edges.at[bz]; z < edges.at[bz + 1]; z++)
            for (int64_t by = 0; by < count; by++)
                for (int64_t y = edges.at[by]; y < edges.at[by + 1]; y++) {
                    const float *row1 = ROW2(half1, z, y), *row2 = ROW2(half2, z, y);
                    for (int64_t bx = 0; bx < count; bx++) {
                        double first = 0, second = 0, squares1 = 0, squares2 = 0, products = 0;
                        for (int64_t x = edges.at[bx]; x < edges.at[bx + 1]; x++) {
                            double a = row1[x] - near1, b = row2[x] - near2;
                            first += a;
                            second += b;
                            squares1 += a * a;
                            squares2 += b * b;
                            products += a * b;
                        }
                        double *cell = ROW3(out, bz - begin, by, bx);
                        cell[0] += first;
                        cell[1] += second;
                        cell[2] += squares1;
                        cell[3] += squares2;
                        cell[4] += products;
                    }
                }
}

/* Which cell of the cube's three faces a direction lies in; `places` says where along a side of `cells` a tangent of -1..1 lies. */
static inline int64_t cell_of(double z, double y, double x, const int64_t *places, int64_t count, int64_t cells) {
    double az = fabs(z), ay = fabs(y), ax = fabs(x), u, v, half = (count - 1) / 2.0;
    int64_t face;
    if (az >= ay && az >= ax)
        face = 0, u = y / z, v = x / z;
    else if (ay >= ax)
        face = 1, u = z / y, v = x / y;
    else
        face = 2, u = z / x, v = y / x;
    return (face * cells + places[(int64_t)((u + 1) * half)]) * cells + places[(int64_t)((v + 1) * half)];
}

/* Sums [2, cell] of |F1 - F2|^2 times its shell's weight, and of 1, over k and -k once; the halves are [ky, kz, kx]. */
void cell_sums(
    complex_array half1, complex_array half2, int64_array rows, int64_t last, int16_array labels, double_array weight,
    int64_array places, int64_t cells, double_array sums
) {
    int64_t n = half1.shape[1];
    double *power = ROW1(sums, 0), *held = ROW1(sums, 1);
    for (int64_t row = 0; row < rows.shape[0]; row++) {
        int64_t iy = rows.at[row], ky = 2 * iy < n ? iy : iy - n;
        for (int64_t kz = -last; kz <= last; kz++) {
            const complex64 *a = ROW2(half1, iy, (kz + n) % n), *b = ROW2(half2, iy, (kz + n) % n);
            int64_t square = kz * kz + ky * ky, stop = columns_within(labels.shape[0], square, last + 1);
            for (int64_t kx = 0; kx < stop; kx++) {
                double scale = weight.at[labels.at[square + kx * kx]];
                if (scale == 0)
                    continue;
                double own = kx == 0 ? 0.5 : 1.0, re = a[kx].re - b[kx].re, im = a[kx].im - b[kx].im;
                int64_t cell = cell_of((double)kz, (double)ky, (double)kx, places.at, places.shape[0], cells);
                power[cell] += own * scale * (re * re + im * im);
                held[cell] += own;
            }
        }
    }
}

/* Sums [3, cell] of Re F1 F2*, of 1 and of 1, each times its weight [3, shell], over k and -k once; the halves are [ky, kz, kx]. */
void cell_products(
    complex_array half1, complex_array half2, int64_array rows, int64_t last, int16_array labels, double_array weights,
    int64_array places, int64_t cells, double_array sums
) {
    int64_t n = half1.shape[1];
    for (int64_t row = 0; row < rows.shape[0]; row++) {
        int64_t iy = rows.at[row], ky = 2 * iy < n ? iy : iy - n;
        for (int64_t kz = -last; kz <= last; kz++) {
            const complex64 *a = ROW2(half1, iy, (kz + n) % n), *b = ROW2(half2, iy, (kz + n) % n);
            int64_t square = kz * kz + ky * ky, stop = columns_within(labels.shape[0], square, last + 1);
            for (int64_t kx = 0; kx < stop; kx++) {
                int64_t shell = labels.at[square + kx * kx];
                if (ROW1(weights, 1)[shell] == 0)
                    continue;
                double own = kx == 0 ? 0.5 : 1.0, cross = (double)a[kx].re * b[kx].re + (double)a[kx].im * b[kx].im;
                int64_t cell = cell_of((double)kz, (double)ky, (double)kx, places.at, places.shape[0], cells);
                ROW1(sums, 0)[cell] += own * ROW1(weights, 0)[shell] * cross;
                ROW1(sums, 1)[cell] += own * ROW1(weights, 1)[shell];
                ROW1(sums, 2)[cell] += own * ROW1(weights, 2)[shell];
            }
        }
    }
}

/* The four weights of a cubic B-spline about a place, and the first of the voxels that they belong to. */
static inline int64_t cubic(double at, double weights[4]) {
    double low = floor(at), t = at - low, s = 1 - t;
    weights[0] = s * s * s / 6;
    weights[1] = 2.0 / 3 - t * t * (2 - t) / 2;
    weights[2] = 2.0 / 3 - s * s * (2 - s) / 2;
    weights[3] = t * t * t / 6;
    return (int64_t)low - 1;
}

static inline int64_t wrapped(int64_t i, int64_t n) { return (i % n + n) % n; }

/* Values at places [place, 3] of the cubic spline that has these coefficients [z, y, x] and repeats itself with the box. */
void spline_values(double_array coefficients, double_array places, double_array out) {
    int64_t n = coefficients.shape[0];
    for (int64_t i = 0; i < places.shape[0]; i++) {
        double weights[3][4], value = 0;
        int64_t first[3];
        for (int axis = 0; axis < 3; axis++)
            first[axis] = cubic(ROW1(places, i)[axis], weights[axis]);
        for (int dz = 0; dz < 4; dz++)
            for (int dy = 0; dy < 4; dy++) {
                const double *row = ROW2(coefficients, wrapped(first[0] + dz, n), wrapped(first[1] + dy, n));
                double along = 0;
                for (int dx = 0; dx < 4; dx++)
                    along += weights[2][dx] * row[wrapped(first[2] + dx, n)];
                value += weights[0][dz] * weights[1][dy] * along;
            }
        out.at[i] = value;
    }
}

/* Weights of a cubic spline's four coefficients about a place that lies `over` beyond the second. */
static inline four spline_weights(float over) {
    float left = 1 - over, a = over * over * over / 6, b = left * left * left / 6;
    return (four){b, 2.0f / 3 - over * over * (2 - over) / 2, 2.0f / 3 - left * left * (2 - left) / 2, a};
}

/* A map at the places that a rotation [3, 3] about its middle gives, from the coefficients of its cubic spline, which go on one voxel
   before its box and two beyond; 0 where a place lies outside. */
void spline_turned(float_array coefficients, double_array rotation, float_array out) {
    int64_t n = out.shape[0], middle = n / 2;
    const double *r = rotation.at;
    for (int64_t z = 0; z < n; z++)
        for (int64_t y = 0; y < n; y++)
            for (int64_t x = 0; x < n; x++) {
                double at[3];
                int inside = 1;
                for (int i = 0; i < 3; i++) {
                    at[i] = r[3 * i] * (z - middle) + r[3 * i + 1] * (y - middle) + r[3 * i + 2] * (x - middle) + middle;
                    inside &= at[i] >= 0 && at[i] <= n - 1;
                }
                ROW2(out, z, y)[x] = 0;
                if (!inside)
                    continue;
                int64_t iz = (int64_t)at[0], iy = (int64_t)at[1], ix = (int64_t)at[2];
                four wz = spline_weights(at[0] - iz), wy = spline_weights(at[1] - iy), sum = {0};
                for (int a = 0; a < 4; a++)
                    for (int b = 0; b < 4; b++)
                        sum += wz[a] * wy[b] * *(const four *)(ROW2(coefficients, iz + a, iy + b) + ix);
                sum *= spline_weights(at[2] - ix);
                ROW2(out, z, y)[x] = sum[0] + sum[1] + sum[2] + sum[3];
            }
}
