/* See refine_hooks/fourier.py. */
#include "arrays.h"

/* Bounds z0, z1, y0, y1, x0, x1 of what is not zero in planes begin..end, sum, and sum of squares. */
void extent(float_array mask, int64_t begin, int64_t end, double_array out) {
    int64_t ny = mask.shape[1], nx = mask.shape[2];
    int64_t z0 = mask.shape[0], z1 = 0, y0 = ny, y1 = 0, x0 = nx, x1 = 0;
    double total = 0, squares = 0;
    for (int64_t z = begin; z < end; z++)
        for (int64_t y = 0; y < ny; y++) {
            const float *row = ROW2(mask, z, y);
            int filled = 0;
            for (int64_t x = 0; x < nx; x++)
                filled |= row[x] != 0;
            if (!filled)
                continue;
            double sum = 0, sum_of_squares = 0;
            for (int64_t x = 0; x < nx; x++) {
                sum += row[x];
                sum_of_squares += row[x] * row[x];
            }
            total += sum;
            squares += sum_of_squares;
            z0 = least(z0, z), z1 = z + 1, y0 = least(y0, y), y1 = most(y1, y + 1);
            int64_t x = 0;
            while (x < x0 && row[x] == 0)
                x++;
            x0 = least(x0, x);
            for (x = nx; x > x1 && row[x - 1] == 0;)
                x--;
            x1 = most(x1, x);
        }
    const double found[] = {z0, z1, y0, y1, x0, x1, total, squares};
    for (int i = 0; i < 8; i++)
        out.at[i] = found[i];
}

/* Sums [shell, 4] of F1 F2*, |F1|^2, |F2|^2 over slabs [kz, ky, kx] whose first ky index is `first`, in halves; the fourth keeps
   a shell's sums in one cache line. */
void shell_sums(complex_array slab1, complex_array slab2, int64_t first, int16_array labels, double_array sums) {
    int64_t n = slab1.shape[0], columns = slab1.shape[2];
    float products[3][columns];
    for (int64_t iz = 0; iz < n; iz++)
        for (int64_t row = 0; row < slab1.shape[1]; row++) {
            int64_t kz = least(iz, n - iz), ky = least(first + row, n - first - row), square = kz * kz + ky * ky;
            int64_t stop = columns_within(labels.shape[0], square, columns);
            if (!stop)
                continue;
            const complex64 *a = ROW2(slab1, iz, row), *b = ROW2(slab2, iz, row);
            for (int64_t kx = 0; kx < stop; kx++) {
                products[0][kx] = a[kx].re * b[kx].re + a[kx].im * b[kx].im;
                products[1][kx] = a[kx].re * a[kx].re + a[kx].im * a[kx].im;
                products[2][kx] = b[kx].re * b[kx].re + b[kx].im * b[kx].im;
            }
            for (int i = 0; i < 3; i++) { /* these columns stand once in the full transform */
                products[i][0] *= 0.5f;
                if (2 * (stop - 1) == n)
                    products[i][stop - 1] *= 0.5f;
            }
            for (int64_t kx = 0; kx < stop; kx++) {
                double *shell = sums.at + 4 * labels.at[square + kx * kx];
                for (int i = 0; i < 3; i++)
                    shell[i] += products[i][kx];
            }
        }
}

/* Sums [shell, 4] of 1, |F1|^2, |F2|^2 and |F1|^2 |F2|^2 over every so manieth plane begin..end of half transforms [ky, kz, kx], of what
   is as far away as `first` and no farther than `last`. */
void products_of_powers(
    complex_array half1, complex_array half2, int64_t begin, int64_t end, int64_t every, int64_t first, int64_t last,
    int16_array labels, double_array sums
) {
    int64_t n = half1.shape[1];
    for (int64_t iy = begin; iy < end; iy += every)
        for (int64_t iz = 0; iz < n; iz++) {
            int64_t ky = least(iy, n - iy), kz = least(iz, n - iz), square = ky * ky + kz * kz;
            int64_t start = columns_within(first * first, square, half1.shape[2]);
            int64_t stop = columns_within(last * last + 1, square, half1.shape[2]);
            const complex64 *a = ROW2(half1, iy, iz), *b = ROW2(half2, iy, iz);
            for (int64_t kx = start; kx < stop; kx++) {
                double one = a[kx].re * a[kx].re + a[kx].im * a[kx].im, two = b[kx].re * b[kx].re + b[kx].im * b[kx].im;
                double *shell = sums.at + 4 * labels.at[square + kx * kx];
                shell[0] += 1;
                shell[1] += one;
                shell[2] += two;
                shell[3] += one * two;
            }
        }
}

/* Coefficients of the full transform of a box of n in each shell. */
void voxels_in_shell(int64_t n, int16_array labels, int64_array counts) {
    int64_t last = n / 2;
    for (int64_t iz = 0; iz <= last; iz++)
        for (int64_t iy = 0; iy <= last; iy++) {
            int64_t square = iz * iz + iy * iy, stop = columns_within(labels.shape[0], square, last + 1);
            int64_t mirrors = (iz == 0 || 2 * iz == n ? 1 : 2) * (iy == 0 || 2 * iy == n ? 1 : 2);
            for (int64_t kx = 0; kx < stop; kx++)
                counts.at[labels.at[square + kx * kx]] += mirrors * (kx == 0 || 2 * kx == n ? 1 : 2);
        }
}
