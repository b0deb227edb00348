/* See refine_hooks/sums/coefficients.py: image transforms times shift, CTF and weight. Each loop over a row stands on its own, so
   that the compiler makes vectors of it: 3 instead of 9 ns a coefficient. */
#include "arrays.h"

#define TURN 6.283185307179586

typedef struct { double c0, c1, c2, quartic; } polynomial;

/* sin(2 pi t) to 4e-8, t = c0 + c1 x + (c2 - quartic x^2) x^2, as t (1 - 4 t^2) P(t^2), which is zero where the sine is. */
static void ctf_row(int64_t end, float *restrict ctf, polynomial t_of) {
    /* Least squares on Chebyshev nodes of sin(2 pi t) / (t (1 - 4 t^2)) in t^2 for |t| <= 1/2. */
    const float p0 = 6.28318529f, p1 = -16.20895571f, p2 = 16.76915684f, p3 = -9.62396967f, p4 = 3.51241571f, p5 = -0.79040007f;
    for (int32_t i = 0; i < (int32_t)end; i++) {
        double x = i, x2 = x * x, turns = t_of.c0 + x * t_of.c1 + x2 * (t_of.c2 - t_of.quartic * x2);
        float t = (float)(turns - rint(turns)), u = t * t;
        ctf[i] = t * (1 - 4 * u) * (p0 + u * (p1 + u * (p2 + u * (p3 + u * (p4 + u * p5)))));
    }
}

/* What a row of an image is multiplied by, and its weights; an envelope of 0 leaves the weights as they are. */
static void factor_row(
    int64_t end, float *restrict factor, float *restrict weight, const float *restrict ctf, const float *restrict falloff,
    float image_scale, float weight_scale, const double *kind, float envelope
) {
    float k0 = (float)kind[0], k1 = (float)kind[1], k2 = (float)kind[2];
    for (int64_t x = 0; x < end; x++) {
        factor[x] = image_scale * falloff[x] * (k0 * ctf[x] + k1 + k2 * fabsf(ctf[x]));
        weight[x] = weight_scale * falloff[x] * ctf[x] * ctf[x];
    }
    if (envelope != 0)
        for (int64_t x = 0; x < end; x++)
            weight[x] *= envelope * falloff[x];
}

/* A row of an image times exp(i (shift_x x + shift_y y)) and the factor, with the weight beside it; the parts are computed by
   themselves, so that each coefficient is written at once. */
static void weighted_row(
    int64_t end, float *restrict row, const complex64 *restrict image, const float *restrict factor,
    const float *restrict weight, const float *restrict cos_x, const float *restrict sin_x, complex64 turn_y
) {
    float re[end], im[end];
    for (int64_t x = 0; x < end; x++) {
        float a = (cos_x[x] * turn_y.re - sin_x[x] * turn_y.im) * factor[x];
        float b = (sin_x[x] * turn_y.re + cos_x[x] * turn_y.im) * factor[x];
        re[x] = image[x].re * a - image[x].im * b;
        im[x] = image[x].re * b + image[x].im * a;
    }
    for (int64_t x = 0; x < end; x++)
        *(four *)(row + 4 * x) = (four){re[x], im[x], weight[x], 0};
}

/* Cosines and sines of 0, 1, 2... times an angle. */
static void turns_of(double angle, int64_t count, float *restrict cosines, float *restrict sines) {
    double c = cos(angle), s = sin(angle), re = 1, im = 0;
    for (int64_t x = 0; x < count; x++) {
        double next = re * c - im * s;
        cosines[x] = (float)re, sines[x] = (float)im;
        im = re * s + im * c, re = next;
    }
}

/* Multiply image transforms [image, ky, kx] by shift, CTF and weight, and set the weights beside them.
   `first_negative`: the first row whose ky is negative; the two programs differ in the Nyquist row of an even box. `furthest`:
   coefficients with kx^2 + ky^2 above it are left out, and their place in `out` as it is. `chi` [image, 5]: the phase of the CTF in
   turns as a polynomial of (kx, ky) in pixels: coefficients of kx^2 + ky^2, kx^2 - ky^2, 2 kx ky, -(kx^2 + ky^2)^2 and 1. `shift`
   [image, 2]: phase in radians per pixel of kx and of ky. `weight` [image, 3]: the image is multiplied by w0 exp(w1 k^2), its
   weight is w2 exp(w1 k^2). `kind` [image, 3]: the factor of the image is k0 sin + k1 + k2 |sin|, with sin the CTF. `enveloped`:
   the exponential belongs to the CTF and stands in the weight squared. `out` [image, ky, kx, 4]: real, imaginary, weight, 0. */
void weigh(
    complex_array transforms, int64_t first_negative, double furthest, double_array chi, double_array shift, double_array weight,
    double_array kind, int64_t enveloped, float_array out
) {
    int64_t n = transforms.shape[1], nh = transforms.shape[2];
    float falloff[nh], ctf[nh], factor[nh], weights[nh];
    float cos_x[nh], sin_x[nh], cos_y[nh], sin_y[nh];
    for (int64_t p = 0; p < transforms.shape[0]; p++) {
        const double *c = ROW1(chi, p), *turn = ROW1(shift, p), *w = ROW1(weight, p);
        turns_of(turn[0], nh, cos_x, sin_x);
        turns_of(turn[1], nh, cos_y, sin_y);
        for (int64_t x = 0; x < nh; x++)
            falloff[x] = (float)exp(w[1] * (x * x));
        for (int64_t j = 0; j < n; j++) {
            int64_t ky = j < first_negative ? j : j - n, at = ky < 0 ? -ky : ky, end = columns_up_to(furthest, ky, nh);
            double square = (double)(ky * ky);
            polynomial t_of = {
                c[4] + (c[0] - c[1]) * square - c[3] * square * square, 2 * c[2] * ky, c[0] + c[1] - 2 * c[3] * square, c[3]};
            ctf_row(end, ctf, t_of);
            factor_row(
                end, factor, weights, ctf, falloff, (float)w[0] * falloff[at], (float)w[2] * falloff[at], ROW1(kind, p),
                enveloped ? falloff[at] : 0
            );
            complex64 turned = {cos_y[at], ky < 0 ? -sin_y[at] : sin_y[at]};
            weighted_row(end, ROW2(out, p, j), ROW2(transforms, p, j), factor, weights, cos_x, sin_x, turned);
        }
    }
}

/* 64 random bits of a number (splitmix64; Steele et al. 2014, doi:10.1145/2660193.2660195). */
static inline uint64_t random_bits(uint64_t number) {
    uint64_t z = number * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Turn weighed coefficients [image, ky, kx, 4] with kx^2 + ky^2 above beyond[image] by random angles, in place. The angles are those
   of the image's number in `rows`; `turns` [256]: where they point to. Columns that hold both ky and -ky stay those of a real image. */
void turn_at_random(
    float_array values, int64_t first_negative, double_array beyond, int64_array rows, int64_t seed, complex_array turns
) {
    int64_t n = values.shape[1], nh = values.shape[2];
    const complex64 *turn = turns.at;
    for (int64_t p = 0; p < values.shape[0]; p++) {
        uint64_t first = random_bits((uint64_t)(seed + rows.at[p]));
        for (int64_t j = 0; j < n; j++) {
            int64_t y = j < first_negative ? j : j - n, square = y * y;
            uint64_t word = 0;
            float *row = ROW2(values, p, j);
            for (int64_t x = 0; x < nh; x++) {
                int own_mate = x == 0 || 2 * x == n;
                if ((x & 7) == 0 || own_mate)
                    word = random_bits(first + (uint64_t)((own_mate ? (y < 0 ? -y : y) : j) * nh + x + 1));
                if ((double)(x * x + square) <= beyond.at[p])
                    continue;
                complex64 t = turn[(word >> 8 * (x & 7)) & 255];
                if (own_mate && (y == 0 || 2 * y == n || 2 * y == -n))
                    continue;
                if (own_mate && y < 0)
                    t.im = -t.im;
                float re = row[4 * x], im = row[4 * x + 1];
                row[4 * x] = re * t.re - im * t.im;
                row[4 * x + 1] = re * t.im + im * t.re;
            }
        }
    }
}

/* Multiply transforms [image, ky, kx] by exp(2 pi i (kx^2 + ky^2) (tilt_x kx + tilt_y ky) + ...) in place. `tilt` [image, 4]: turns
   per pixel^3 along kx and ky, and turns per pixel along kx and ky. */
void untilt(complex_array transforms, int64_t first_negative, double_array tilt) {
    int64_t n = transforms.shape[1];
    for (int64_t p = 0; p < transforms.shape[0]; p++) {
        const double *t = ROW1(tilt, p);
        for (int64_t j = 0; j < n; j++) {
            int64_t y = j < first_negative ? j : j - n;
            complex64 *row = ROW2(transforms, p, j);
            for (int64_t x = 0; x < transforms.shape[2]; x++) {
                double turns = (double)(x * x + y * y) * (t[0] * x + t[1] * y) + t[2] * x + t[3] * y;
                float re = (float)cos(TURN * turns), im = (float)sin(TURN * turns);
                row[x] = (complex64){row[x].re * re - row[x].im * im, row[x].re * im + row[x].im * re};
            }
        }
    }
}

/* Multiply transforms [image, ky, kx] by factors [ky, kx] in place. */
void whiten(complex_array transforms, float_array factors) {
    for (int64_t p = 0; p < transforms.shape[0]; p++)
        for (int64_t j = 0; j < transforms.shape[1]; j++) {
            complex64 *row = ROW2(transforms, p, j);
            const float *factor = ROW1(factors, j);
            for (int64_t x = 0; x < transforms.shape[2]; x++)
                row[x] = (complex64){row[x].re * factor[x], row[x].im * factor[x]};
        }
}

/* Add the sum and the sum of squares of line[begin..end-1] to both. */
static inline void add_span(const float *line, int64_t begin, int64_t end, double *sum, double *squares) {
    double total = 0, square = 0;
    for (int64_t x = begin; x < end; x++) {
        total += line[x];
        square += (double)line[x] * line[x];
    }
    *sum += total;
    *squares += square;
}

/* Of each image [image, y, x] the sum and the sum of squares of what is farther than `radius` from its centre, and how many pixels
   that are: `found` [image, 3]. */
void background(float_array images, double radius, double_array found) {
    int64_t n = images.shape[1], centre = n / 2;
    for (int64_t p = 0; p < images.shape[0]; p++) {
        double sum = 0, squares = 0;
        int64_t count = 0;
        for (int64_t y = 0; y < n; y++) {
            double left = radius * radius - (double)((y - centre) * (y - centre));
            int64_t reach = radius < 0 || left < 0 ? -1 : (int64_t)sqrt(left);
            int64_t begin = most(centre - reach, 0), end = least(centre + reach + 1, n);
            add_span(ROW2(images, p, y), 0, begin, &sum, &squares);
            add_span(ROW2(images, p, y), end, n, &sum, &squares);
            count += begin + n - end;
        }
        double *to = ROW1(found, p);
        to[0] = sum, to[1] = squares, to[2] = (double)count;
    }
}

/* Brought to variance 1 in `outside`, images [image, y, x] times `soft` [y, x], and where that is not 1 so much of their mean in
   `ring`; 0 for an image whose background has no variance. */
void outside_of_particles(float_array images, bool_array outside, bool_array ring, double_array soft, float_array out) {
    int64_t pixels = images.shape[1] * images.shape[2];
    for (int64_t p = 0; p < images.shape[0]; p++) {
        const float *image = ROW1(images, p);
        float *to = ROW1(out, p);
        double sum = 0, squares = 0, of_ring = 0;
        int64_t count = 0, in_ring = 0;
        for (int64_t i = 0; i < pixels; i++) {
            double value = image[i], counted = outside.at[i] ? value : 0;
            sum += counted;
            squares += counted * counted;
            count += outside.at[i];
            of_ring += ring.at[i] ? value : 0;
            in_ring += ring.at[i];
        }
        double mean = sum / (double)most(count, 1), spread = sqrt(squares / (double)most(count, 1) - mean * mean);
        double filled = of_ring / (double)most(in_ring, 1);
        for (int64_t i = 0; i < pixels; i++)
            to[i] = spread > 0 ? (float)((image[i] * soft.at[i] + (1 - soft.at[i]) * filled) / spread) : 0;
    }
}

/* Add the power of each transform [image, ky, kx] to `power` [ky, kx]. */
void add_power(complex_array transforms, double_array power) {
    int64_t count = transforms.shape[1] * transforms.shape[2];
    for (int64_t p = 0; p < transforms.shape[0]; p++) {
        const complex64 *value = ROW1(transforms, p);
        for (int64_t i = 0; i < count; i++)
            power.at[i] += (double)value[i].re * value[i].re + (double)value[i].im * value[i].im;
    }
}

/* Half precision, as the integers that hold it, in single precision. A multiplication moves the exponent, and brings what lies below
   the normal numbers into their form. */
void widen(int16_array halves, float_array out) {
    for (int64_t i = 0; i < halves.shape[0]; i++) {
        uint32_t bits = (uint16_t)halves.at[i], size = (bits & 0x7fff) << 13, made;
        float value;
        memcpy(&value, &size, sizeof value);
        value *= 0x1p112f;
        memcpy(&made, &value, sizeof made);
        made |= (size >= 0x0f800000 ? 0x7f800000 : 0) | (bits & 0x8000) << 16; /* infinite or NaN; negative */
        memcpy(out.at + i, &made, sizeof made);
    }
}
