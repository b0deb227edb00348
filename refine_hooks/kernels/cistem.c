/* See refine_hooks/masks/cistem.py, refine_hooks/sums/cistem.py and refine_hooks/curves/cistem.py. */
#include "packed.h"

/* How far from the centre the voxels of a row lie whose squared distance is at most `square`, -1 for none. */
static inline int64_t reach_of(int64_t square) { return square < 0 ? -1 : (int64_t)sqrt((double)square); }

/* Sums over a ring mask in the planes first..last: sum and number of the voxels in the outer edge, sum and number in the inner
   edge, and the sum of the squared mask. `values` is the mask at each squared distance from the centre, 0 beyond; `zones` are 0
   inside, 1 in the outer edge, 2 in the inner edge, 3 in the hole; up to the squared distance `core` all is inside (-1: nowhere). */
void ring_sums(
    float_array voxels, double_array values, int8_array zones, int64_t core, int64_t first, int64_t last, double_array out
) {
    int64_t n = voxels.shape[0], centre = n / 2, outer_count = 0, inner_count = 0;
    double outer = 0, inner = 0, squares = 0;
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < n; y++) {
            int64_t row = (z - centre) * (z - centre) + (y - centre) * (y - centre);
            int64_t reach = reach_of(values.shape[0] - 1 - row), inside = reach_of(core - row);
            int64_t begin = most(centre - reach, 0), end = least(centre + reach + 1, n);
            int64_t core_begin = most(centre - inside, begin), core_end = least(centre + inside + 1, end);
            const float *line = ROW2(voxels, z, y);
            squares += most(core_end - core_begin, 0);
            for (int64_t x = begin; x < end; x++) {
                if (x == core_begin && core_end > core_begin)
                    x = core_end;
                if (x >= end)
                    break;
                int64_t at = row + (x - centre) * (x - centre);
                squares += values.at[at] * values.at[at];
                if (zones.at[at] == 1)
                    outer += line[x], outer_count++;
                else if (zones.at[at] == 2)
                    inner += line[x], inner_count++;
            }
        }
    const double found[] = {outer, outer_count, inner, inner_count, squares};
    for (int i = 0; i < 5; i++)
        out.at[i] = found[i];
}

/* m * v + (1 - m) * mean - base in the planes first..last; the mean is `outside` or, from zone 2 on, `inside`. */
void ring_apply(
    float_array voxels, float_array out, double_array values, int8_array zones, double outside, double inside, double base,
    int64_t first, int64_t last
) {
    int64_t n = voxels.shape[0], centre = n / 2;
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < n; y++) {
            int64_t row = (z - centre) * (z - centre) + (y - centre) * (y - centre);
            const float *line = ROW2(voxels, z, y);
            float *to = ROW2(out, z, y);
            for (int64_t x = 0; x < n; x++) {
                int64_t at = row + (x - centre) * (x - centre);
                if (at >= values.shape[0])
                    to[x] = (float)(outside - base);
                else if (zones.at[at] == 0)
                    to[x] = (float)(line[x] - base);
                else
                    to[x] = (float)(values.at[at] * line[x] + (1 - values.at[at]) * (zones.at[at] == 1 ? outside : inside) - base);
            }
        }
}

/* Sum and number of the voxels farther than `radius_px` from the centre in the planes first..last. */
void outside_sum(float_array voxels, double radius_px, int64_t first, int64_t last, double_array out) {
    int64_t n = voxels.shape[0], centre = n / 2, count = 0;
    double total = 0, limit = radius_px * radius_px;
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < n; y++) {
            int64_t row = (z - centre) * (z - centre) + (y - centre) * (y - centre);
            const float *line = ROW2(voxels, z, y);
            for (int64_t x = 0; x < n; x++) {
                int beyond = (double)(row + (x - centre) * (x - centre)) > limit;
                total += beyond ? line[x] : 0;
                count += beyond;
            }
        }
    out.at[0] = total;
    out.at[1] = (double)count;
}

/* data / (weight + constant) where weight is not 0, else 0, in the planes first..last; `alternate` multiplies by (-1)^(z+y+x),
   which moves the origin from the corner to the centre of an even box. `out` may be `data`; `unfit` counts what is not finite. */
void quotient(
    complex_array data, float_array weight, complex_array out, double constant, int64_t alternate, int64_t first, int64_t last,
    int64_array unfit
) {
    for (int64_t z = first; z < last; z++)
        for (int64_t y = 0; y < data.shape[1]; y++) {
            const complex64 *value = ROW2(data, z, y);
            const float *w = ROW2(weight, z, y);
            complex64 *to = ROW2(out, z, y);
            for (int64_t x = 0; x < data.shape[2]; x++) {
                float sign = alternate && (z + y + x) % 2 ? -1.0f : 1.0f;
                float factor = w[x] != 0 ? sign / (w[x] + (float)constant) : 0.0f;
                complex64 result = {value[x].re * factor, value[x].im * factor};
                unfit.at[0] += !(isfinite(result.re) && isfinite(result.im));
                to[x] = result;
            }
        }
}

static inline coefficients less(coefficients a, four re, four im) { return (coefficients){a.re - re, a.im - im}; }

/* |F|^2 + |F'|^2, Re F F' and Im F F', 0 where F F' has no imaginary part; both of its products are rounded, so that those that
   cancel do so exactly. */
typedef struct { four power, real, imaginary; } products;
static inline products products_of(coefficients f, coefficients g) {
    four one = f.re * g.im, two = f.im * g.re;
    four_numbers crosses = one != -two;
    four power = f.re * f.re + f.im * f.im + g.re * g.re + g.im * g.im, real = f.re * g.re - f.im * g.im, both = one + two;
    return (products){(four)((four_numbers)power & crosses), (four)((four_numbers)real & crosses),
                      (four)((four_numbers)both & crosses)};
}

typedef struct { const float *octant; four mean_re, mean_im; } taken_away;

/* The products [kx, 4] of kx = start..stop, put there or, of kx = 0 always, added to what is there: of both signs of kx or, of an
   own line or kx = 0, of one. Where `odd`, the mask's transform has the other sign. */
static inline void split_line(
    const complex64 *line, const complex64 *opposite, int64_t columns, int64_t start, int64_t stop, int both, int odd,
    taken_away mean, int add, float *to
) {
    for (int64_t kx = start; kx < stop; kx += kx ? 4 : 1) {
        int64_t minus = kx ? columns - kx : 0, count = kx ? stop - kx : 1;
        float sign = (odd + kx) % 2 ? -1.0f : 1.0f;
        four scale = {0}, signs = {sign, -sign, sign, -sign};
        if (mean.octant && count >= 4)
            scale = *(const four *)(mean.octant + kx) * signs;
        for (int64_t i = 0; mean.octant && count < 4 && i < count; i++)
            scale[i] = mean.octant[kx + i] * signs[i];
        four re = mean.mean_re * scale, im = mean.mean_im * scale;
        products p = products_of(less(taken(line + kx, 1, count), re, im), less(taken(opposite + minus, -1, count), re, im));
        if (both && kx) {
            products other = products_of(less(taken(line + minus, -1, count), re, im),
                                         less(taken(opposite + kx, 1, count), re, im));
            p = (products){p.power + other.power, p.real + other.real, p.imaginary + other.imaginary};
        }
        put_by_column(p.power, p.real, p.imaginary, (four){0}, add || !kx, to + 4 * kx, 4);
    }
}

/* Sums [shell, 4] of |F|^2 + |F'|^2, Re F F' and Im F F' over ky = begin..end and their negatives, F' = F(-k), each split between
   the two shells it lies between. `radius` is the radius in shells of every |k|^2 that counts; the transform of the mask is `mean`
   times `octant`, which has one voxel where nothing is taken away. */
void split_sums(
    complex_array slab, int64_t begin, int64_t end, int64_t kept, float_array octant, double mean_re, double mean_im,
    double_array radius, double_array sums
) {
    int64_t n = slab.shape[0], columns = slab.shape[2];
    float re = (float)mean_re, im = (float)mean_im, found[4 * (kept + 4)];
    taken_away mean = {0, {re, re, re, re}, {im, im, im, im}};
    for (int64_t ky = begin; ky < end; ky++) {
        int own = ky == 0 || 2 * ky == n;
        int64_t row = ky - begin, mirror = own ? row : end - begin + ky - most(begin, 1);
        for (int64_t kz = 0; 2 * kz <= n; kz++) {
            int64_t square = kz * kz + ky * ky, stop = columns_within(radius.shape[0], square, kept);
            if (!stop)
                break;
            mean.octant = octant.shape[0] > 1 ? ROW2(octant, kz, ky) : 0;
            memset(found, 0, 16 * sizeof *found);
            for (int side = 0; side < (kz == 0 || 2 * kz == n ? 1 : 2); side++) {
                int64_t iz = side ? n - kz : kz, own_kz = 2 * iz < n ? kz : -kz;
                /* Of kx = 0 cisTEM takes one of each two mates, but none where kz, or ky on kz = 0, is -N/2. */
                int mates = own_kz > 0 || (2 * ky < n && ky > 0 && 2 * own_kz > -n);
                split_line(ROW2(slab, iz, row), ROW2(slab, (n - iz) % n, mirror), columns, mates ? 0 : 1, stop, !own,
                           (int)((iz + ky) & 1), mean, side, found);
            }
            for (int i = 0; i < 4; i++)
                found[i] *= ky > 0 ? 0.25f : 1;
            for (int64_t kx = 0; kx < stop; kx++) {
                double r = radius.at[square + kx * kx];
                int64_t shell = (int64_t)r;
                add_times(sums.at + 4 * shell, 1 - (r - shell), found + 4 * kx);
                add_times(sums.at + 4 * shell + 4, r - shell, found + 4 * kx);
            }
        }
    }
}
