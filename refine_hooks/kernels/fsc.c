/* See refine_hooks/fsc: packed.py, spread.py and randomised.py. */
#include "packed.h"

/* The row of a mask in x = start..stop: whether it is anywhere not 0, and then `filled` from row y to row y. */
static inline int is_filled(const float *mask, int64_t start, int64_t stop, int64_t y, int64_array filled) {
    for (int64_t begin = start; begin < stop; begin += 32) {
        int any = 0;
        for (int64_t x = begin; x < least(begin + 32, stop); x++)
            any |= mask[x] != 0;
        if (any) {
            filled.at[0] = least(filled.at[0], y);
            filled.at[1] = most(filled.at[1], y + 1);
            return 1;
        }
    }
    return 0;
}

static inline void clear(complex64 *row, int64_t start, int64_t stop) {
    memset(row + start, 0, (size_t)(stop - start) * sizeof *row);
}

/* Rows [z, y, x] of half1 + i half2 under a mask, which is 0 outside of start..stop; `filled` is widened to the y of those that are
   not 0. */
void pack(
    float_array half1, float_array half2, float_array mask, int64_t start, int64_t stop, complex_array rows, int64_array filled
) {
    for (int64_t z = 0; z < rows.shape[0]; z++)
        for (int64_t y = 0; y < rows.shape[1]; y++) {
            const float *a = ROW2(half1, z, y), *b = ROW2(half2, z, y), *m = ROW2(mask, z, y);
            complex64 *row = ROW2(rows, z, y);
            if (!is_filled(m, start, stop, y, filled)) {
                clear(row, 0, rows.shape[2]);
                continue;
            }
            clear(row, 0, start);
            int64_t x = start;
            for (; x + 4 <= stop; x += 4) {
                four weight = *(const four *)(m + x), one = weight * *(const four *)(a + x), two = weight * *(const four *)(b + x);
                four *to = (four *)(row + x);
                to[0] = OF_FOURS(one, two, 0, 4, 1, 5);
                to[1] = OF_FOURS(one, two, 2, 6, 3, 7);
            }
            for (; x < stop; x++)
                row[x] = (complex64){a[x] * m[x], b[x] * m[x]};
            clear(row, stop, rows.shape[2]);
        }
}

/* Rows under a mask, in place; `filled` as in `pack`. */
void mask_rows(complex_array rows, float_array mask, int64_t start, int64_t stop, int64_array filled) {
    for (int64_t z = 0; z < rows.shape[0]; z++)
        for (int64_t y = 0; y < rows.shape[1]; y++) {
            const float *m = ROW2(mask, z, y);
            complex64 *row = ROW2(rows, z, y);
            if (!is_filled(m, start, stop, y, filled)) {
                clear(row, 0, rows.shape[2]);
                continue;
            }
            clear(row, 0, start);
            for (int64_t x = start; x < stop; x++)
                row[x] = (complex64){row[x].re * m[x], row[x].im * m[x]};
            clear(row, stop, rows.shape[2]);
        }
}

/* |F|^2 + |F'|^2, Re F F' and Im F F' for both signs of kx = 0..stop, [kx, 4]; `opposite` is the line of -kz and -ky. */
static inline void multiply(
    const complex64 *line, const complex64 *opposite, int64_t columns, int64_t stop, int add, float *products
) {
    for (int64_t kx = 0; kx < stop; kx += kx ? 4 : 1) {
        int64_t minus = kx ? columns - kx : 0, count = kx ? stop - kx : 1;
        coefficients f = taken(line + kx, 1, count), g = taken(opposite + minus, -1, count);
        coefficients h = taken(line + minus, -1, count), i = taken(opposite + kx, 1, count);
        four power = f.re * f.re + f.im * f.im + g.re * g.re + g.im * g.im
                   + h.re * h.re + h.im * h.im + i.re * i.re + i.im * i.im;
        four real = f.re * g.re - f.im * g.im + h.re * i.re - h.im * i.im;
        four imaginary = f.re * g.im + f.im * g.re + h.re * i.im + h.im * i.re;
        put_by_column(power, real, imaginary, (four){0}, add, products + 4 * kx, 4);
    }
}

typedef struct { four re1, im1, re2, im2; } parts;

/* 2 F1 = F + F'*, then 2 F2 = -i (F - F'*). */
static inline parts parts_of(coefficients f, coefficients g) {
    return (parts){f.re + g.re, f.im - g.im, f.im + g.im, g.re - f.re};
}

static inline four power_of(four re, four im, four re2, four im2) { return re * re + im * im + re2 * re2 + im2 * im2; }

/* 4 |a1|^2, |b1|^2, |a2|^2, |b2|^2, then 4 Re of a1 a2*, b1 b2*, a1 b2*, b1 a2* for both signs of kx = 0..stop, [kx, 8]. */
static inline void multiply_two(
    const complex64 *line1, const complex64 *opposite1, const complex64 *line2, const complex64 *opposite2,
    int64_t columns, int64_t stop, int add, float *products
) {
    for (int64_t kx = 0; kx < stop; kx += kx ? 4 : 1) {
        int64_t minus = kx ? columns - kx : 0, n = kx ? stop - kx : 1;
        parts a = parts_of(taken(line1 + kx, 1, n), taken(opposite1 + minus, -1, n));
        parts c = parts_of(taken(line1 + minus, -1, n), taken(opposite1 + kx, 1, n));
        parts b = parts_of(taken(line2 + kx, 1, n), taken(opposite2 + minus, -1, n));
        parts d = parts_of(taken(line2 + minus, -1, n), taken(opposite2 + kx, 1, n));
        put_by_column(power_of(a.re1, a.im1, c.re1, c.im1), power_of(b.re1, b.im1, d.re1, d.im1),
                      power_of(a.re2, a.im2, c.re2, c.im2), power_of(b.re2, b.im2, d.re2, d.im2), add, products + 8 * kx, 8);
        put_by_column(a.re1 * a.re2 + a.im1 * a.im2 + c.re1 * c.re2 + c.im1 * c.im2,
                      b.re1 * b.re2 + b.im1 * b.im2 + d.re1 * d.re2 + d.im1 * d.im2,
                      a.re1 * b.re2 + a.im1 * b.im2 + c.re1 * d.re2 + c.im1 * d.im2,
                      b.re1 * a.re2 + b.im1 * a.im2 + d.re1 * c.re2 + d.im1 * c.im2, add, products + 8 * kx + 4, 8);
    }
}

/* Add the products [kx, kinds] of kx = 0..stop to the sums of their shells. */
static inline void sort_in(int kinds, int64_t stop, double weight, const int16_t *labels, const float *products, double *sums) {
    for (int64_t kx = 0; kx < stop; kx++)
        for (int i = 0; i < kinds; i += 4)
            add_times(sums + kinds * labels[kx * kx] + i, weight, products + kinds * kx + i);
}

/* Sums [shell, 4 or 8] over ky = begin..end and their negatives of the products of one pair or of two. */
void packed_sums(
    complex_array slabs, int64_t begin, int64_t end, int64_t kept, int16_array labels, double_array sums
) {
    int64_t pairs = slabs.shape[0], n = slabs.shape[1], columns = slabs.shape[3];
    int kinds = pairs == 1 ? 4 : 8;
    float products[(kept + 4) * kinds];
    for (int64_t ky = begin; ky < end; ky++) {
        int own = ky == 0 || 2 * ky == n;
        int64_t row = ky - begin, mirror = own ? row : end - begin + ky - most(begin, 1);
        for (int64_t kz = 0; 2 * kz <= n; kz++) {
            int64_t square = kz * kz + ky * ky, stop = columns_within(labels.shape[0], square, kept);
            if (!stop)
                break;
            for (int side = 0; side < (kz == 0 || 2 * kz == n ? 1 : 2); side++) {
                int64_t iz = side ? n - kz : kz, opposite = (n - iz) % n;
                if (pairs == 1)
                    multiply(ROW3(slabs, 0, iz, row), ROW3(slabs, 0, opposite, mirror), columns, stop, side, products);
                else
                    multiply_two(ROW3(slabs, 0, iz, row), ROW3(slabs, 0, opposite, mirror), ROW3(slabs, 1, iz, row),
                                 ROW3(slabs, 1, opposite, mirror), columns, stop, side, products);
            }
            /* the two signs of kx, and of ky in its own plane, are one coefficient */
            for (int i = 0; i < kinds; i++) {
                products[i] *= 0.5f;
                if (2 * stop > n)
                    products[kinds * (n / 2) + i] *= n % 2 ? 1 : 0.5f;
            }
            if (pairs == 1)
                sort_in(4, stop, own ? 0.5 : 1.0, labels.at + square, products, sums.at);
            else
                sort_in(8, stop, own ? 0.5 : 1.0, labels.at + square, products, sums.at);
        }
    }
}

/* Mean power of a coefficient of each shell, of those whose strength is known. */
void spread(double_array strength, double_array spectrum, double_array out) {
    int64_t shells = strength.shape[0], last = shells - 1;
    for (int64_t shell = 0; shell < shells; shell++)
        for (int64_t q = 0; q < spectrum.shape[0]; q++) {
            if (q == 0 || shell == 0) {
                out.at[shell] += spectrum.at[q] * strength.at[least(most(shell, q), last)];
                continue;
            }
            double near = (double)((shell - q) * (shell - q)), far = (double)((shell + q) * (shell + q));
            double inner = near, total = 0;
            for (int64_t other = shell > q ? shell - q : q - shell; other <= shell + q; other++) {
                double outer = fmin(far, (other + 0.5) * (other + 0.5));
                total += (outer - inner) * strength.at[least(other, last)];
                inner = outer;
            }
            out.at[shell] += spectrum.at[q] * total / (far - near);
        }
}

/* Sums [z, y, x] of one, or of one times other, over the blocks begin..end along z, each `step` voxels wide. */
void block_sums(
    float_array one, float_array other, int64_t step, int64_t begin, int64_t end, int64_t product, float_array sums
) {
    int64_t n = one.shape[0], few = (n + step - 1) / step;
    float rows[n];
    for (int64_t block = begin; block < end; block++)
        for (int64_t part = 0; part < few; part++) {
            for (int64_t x = 0; x < n; x++)
                rows[x] = 0;
            for (int64_t z = block * step; z < least((block + 1) * step, n); z++)
                for (int64_t y = part * step; y < least((part + 1) * step, n); y++) {
                    const float *a = ROW2(one, z, y), *b = ROW2(other, z, y);
                    if (product)
                        for (int64_t x = 0; x < n; x++)
                            rows[x] += a[x] * b[x];
                    else
                        for (int64_t x = 0; x < n; x++)
                            rows[x] += a[x];
                }
            float *to = ROW2(sums, block - begin, part);
            for (int64_t first = 0; first < n; first += step, to++)
                for (int64_t x = first; x < least(first + step, n); x++)
                    *to += rows[x];
        }
}

/* Sums [2, z, y, x] of m^2 and of m^2 (half1 - half2)^2 over the blocks begin..end along z; `box` is z, z, y, y, x, x. */
void difference_sums(
    float_array half1, float_array half2, float_array mask, int64_t step, int64_t begin, int64_t end, int64_array box,
    float_array sums
) {
    int64_t thin = most(1, step / 8);
    const int64_t *z = box.at, *y = box.at + 2, *x = box.at + 4;
    for (int64_t iz = most(z[0], begin * step); iz < least(z[1], end * step); iz += thin)
        for (int64_t iy = y[0]; iy < y[1]; iy += thin) {
            const float *a = ROW2(half1, iz, iy), *b = ROW2(half2, iz, iy), *m = ROW2(mask, iz, iy);
            for (int64_t bx = x[0] / step; bx * step < x[1]; bx++) {
                float even = 0, own = 0;
                for (int64_t ix = most(x[0], bx * step); ix < least(x[1], (bx + 1) * step); ix++) {
                    float m2 = m[ix] * m[ix], d = a[ix] - b[ix];
                    even += m2;
                    own += m2 * d * d;
                }
                ROW3(sums, 0, iz / step - begin, iy / step)[bx] += even;
                ROW3(sums, 1, iz / step - begin, iy / step)[bx] += own;
            }
        }
}

#define STEP 0x9E3779B97F4A7C15u

/* SplitMix64's finaliser (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195). */
static inline uint64_t mixed(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

static inline complex64 times(complex64 a, complex64 b) {
    return (complex64){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* F = F1 + i F2 at k, and at -k, where F1 and F2 are the conjugates. */
static inline void put(complex64 *line, complex64 *opposite, int64_t n, int64_t kx, complex64 one, complex64 two) {
    line[kx] = (complex64){one.re - two.im, one.im + two.re};
    opposite[kx ? n - kx : 0] = (complex64){one.re + two.im, two.re - one.im};
}

static void put_randomised(
    complex64 *line, complex64 *opposite, int64_t n, const complex64 *row1, const complex64 *row2, int64_t low, int64_t columns,
    uint64_t stream, const complex64 *phasors, int fixed
) {
    for (int64_t begin = low; begin < columns; begin += 8) {
        uint64_t draw1 = mixed(stream + STEP), draw2 = mixed(stream + STEP + STEP);
        stream += STEP + STEP;
        for (int64_t i = 0; i < least(8, columns - begin); i++) {
            int64_t kx = begin + i;
            int own = fixed && (kx == 0 || 2 * kx == n); /* its own conjugate: it stays real */
            uint64_t kept = own ? 128 : 255;
            complex64 phase1 = phasors[(draw1 >> (8 * i)) & kept], phase2 = phasors[(draw2 >> (8 * i)) & kept];
            put(line, opposite, n, kx, times(row1[kx], phase1), times(row2[kx], phase2));
        }
    }
}

/* Coefficients [kz, row, kx] of v1 + i v2 for ky = begin..end and their negatives, from halves [ky, kz, kx]. With a seed what lies
   at and beyond the onset, its phases random, and 0 below; without one, where `randomise` is 0, what lies below. With a seed what is
   as far away as `known` or farther in any one direction is not written. The slab may be of a coarser box than the halves. */
void fill(
    complex_array half1, complex_array half2, complex_array slab, int64_t begin, int64_t end, int64_t onset, int64_t randomise,
    int64_t seed, complex_array phasors, int64_t known
) {
    int64_t whole = half1.shape[1], n = slab.shape[0], columns = least(least(half1.shape[2], n / 2 + 1), known);
    int64_t beyond = onset * onset - onset; /* |k| >= onset - 1/2 for whole squares above this */
    for (int64_t row = 0; row < slab.shape[1]; row++) {
        int64_t ky = row < end - begin ? begin + row : -(row - (end - begin) + most(begin, 1));
        int own = ky == 0 || 2 * ky == n;
        int64_t mirror = own ? row : ky > 0 ? end - begin + ky - most(begin, 1) : -ky - begin;
        int64_t of_y = (ky + whole) % whole;
        for (int64_t iz = 0; iz < n; iz++) {
            int64_t kz = least(iz, n - iz), of_z = 2 * iz < n ? iz : iz + whole - n, low = columns_within(beyond + 1, kz * kz + ky * ky, columns);
            if (kz >= known || most(ky, -ky) >= known)
                continue;
            complex64 *line = ROW2(slab, iz, row), *opposite = ROW2(slab, (n - iz) % n, mirror);
            const complex64 *row1 = ROW2(half1, of_y, of_z), *row2 = ROW2(half2, of_y, of_z), zero = {0, 0};
            for (int64_t kx = 0; kx < low; kx++)
                put(line, opposite, n, kx, randomise ? zero : row1[kx], randomise ? zero : row2[kx]);
            if (randomise) {
                uint64_t stream = mixed(mixed(((uint64_t)seed + 1) * STEP) + (uint64_t)(of_z * whole + of_y + 1) * STEP);
                put_randomised(line, opposite, n, row1, row2, low, columns, stream, phasors.at, own && (iz == 0 || 2 * iz == n));
            }
        }
    }
}
