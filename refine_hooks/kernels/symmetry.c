/* See refine_hooks/sums/insertion.py: a point group or a helix applied to sums [z, y, x, (real, imaginary, weight, pad)]; z and y run from
   -half - 1 to half + 1, x from 0 to half + 1. */
#include "arrays.h"

/* Add up each coefficient of the plane x = 0 and its Hermitian mate, in place. */
void complete_mates(float_array sums, int64_t half) {
    int64_t middle = half + 1;
    for (int64_t z = -half; z <= half; z++)
        for (int64_t y = z < 0 ? 0 : 1; y <= half; y++) {
            float *one = ROW2(sums, middle + z, middle + y), *other = ROW2(sums, middle - z, middle - y);
            float re = one[0] + other[0], im = one[1] - other[1], weight = one[2] + other[2];
            one[0] = other[0] = re;
            one[1] = im, other[1] = -im;
            one[2] = other[2] = weight;
        }
    ROW2(sums, middle, middle)[1] = 0;
}

/* What the sums hold at a symmetry mate of (x, y, z), trilinearly. */
static inline four at_mate(float_array sums, const double *m, int64_t x, int64_t y, int64_t z, int64_t middle) {
    double u = m[0] * x + m[1] * y + m[2] * z, v = m[3] * x + m[4] * y + m[5] * z, w = m[6] * x + m[7] * y + m[8] * z;
    double turn = u < 0 ? -1.0 : 1.0;
    u *= turn, v *= turn, w *= turn;
    int64_t i = (int64_t)u, j = (int64_t)floor(v), k = (int64_t)floor(w);
    float fx = (float)(u - i), fy = (float)(v - j), fz = (float)(w - k);
    four found = {0, 0, 0, 0};
    for (int dz = 0; dz < 2; dz++)
        for (int dy = 0; dy < 2; dy++) {
            const four *left = (const four *)ROW3(sums, middle + k + dz, middle + j + dy, i);
            found += (dz ? fz : 1 - fz) * (dy ? fy : 1 - fy) * ((1 - fx) * left[0] + fx * left[1]);
        }
    return found * (four){1, (float)turn, 1, 1};
}

/* The planes first..last-1 of `out`: at every point within `half` the sum of what the sums hold at its symmetry mates, else 0.
   `matrices` [operator, 9] act on (x, y, z), and `phases` [operator] in radians turn each by so much a step of z; the plane x = 0
   of the sums is complete. */
void symmetrise(float_array sums, double_array matrices, double_array phases, int64_t half, float_array out, int64_t first,
                int64_t last) {
    int64_t middle = half + 1, count = matrices.shape[0];
    for (int64_t iz = first; iz < last; iz++) {
        float along[count], across[count];
        for (int64_t m = 0; m < count; m++) {
            double angle = phases.at[m] * (double)(iz - middle);
            along[m] = (float)cos(angle), across[m] = (float)sin(angle);
        }
        for (int64_t iy = 0; iy < out.shape[1]; iy++) {
            int64_t z = iz - middle, y = iy - middle;
            four *row = (four *)ROW2(out, iz, iy);
            for (int64_t x = 0; x < out.shape[2]; x++) {
                row[x] = (four){0, 0, 0, 0};
                if (x * x + y * y + z * z > half * half)
                    continue;
                for (int64_t m = 0; m < count; m++) {
                    four mate = at_mate(sums, ROW1(matrices, m), x, y, z, middle);
                    four turned = {-mate[1], mate[0], 0, 0};
                    row[x] += mate * (four){along[m], along[m], 1, 1} + turned * across[m];
                }
            }
        }
    }
}
