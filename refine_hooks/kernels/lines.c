/* See refine_hooks/fourier.py: complex transforms of many lines, eight of them at a time, as Stockham's passes of mixed radix (Van
   Loan 1992, Computational Frameworks for the Fast Fourier Transform, 1.7): nothing is put in order between the passes. */
#include "arrays.h"

#define LANES 8
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef struct { lanes re, im; } eight;
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef double pairs __attribute__((vector_size(4 * LANES), aligned(4), may_alias)); /* complex64 each */

/* Elements of two vectors by their numbers. */
#if defined(__clang__) || __GNUC__ >= 12
#define OF_FLOATS __builtin_shufflevector
#define OF_PAIRS __builtin_shufflevector
#else
typedef int32_t float_numbers __attribute__((vector_size(4 * LANES)));
typedef int64_t pair_numbers __attribute__((vector_size(4 * LANES)));
#define OF_FLOATS(a, b, ...) __builtin_shuffle(a, b, (float_numbers){__VA_ARGS__})
#define OF_PAIRS(a, b, ...) __builtin_shuffle(a, b, (pair_numbers){__VA_ARGS__})
#endif

/* Coefficients 0..3 and 4..7 as eight; which lane is whose does not matter, so long as `parted` knows. Backward, real and imaginary
   parts change places on the way in and on the way out. */
static inline eight joined(loose a, loose b, int backward) {
    lanes re = OF_FLOATS(a, b, 0, 2, 8, 10, 4, 6, 12, 14), im = OF_FLOATS(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
    return backward ? (eight){im, re} : (eight){re, im};
}

static inline void parted(eight done, float factor, int backward, loose *a, loose *b) {
    eight v = {done.re * factor, done.im * factor};
    if (backward)
        v = (eight){v.im, v.re};
    *a = OF_FLOATS(v.re, v.im, 0, 8, 1, 9, 4, 12, 5, 13);
    *b = OF_FLOATS(v.re, v.im, 2, 10, 3, 11, 6, 14, 7, 15);
}

static inline void transpose(pairs *v) {
    pairs a = OF_PAIRS(v[0], v[1], 0, 4, 2, 6), b = OF_PAIRS(v[0], v[1], 1, 5, 3, 7);
    pairs c = OF_PAIRS(v[2], v[3], 0, 4, 2, 6), d = OF_PAIRS(v[2], v[3], 1, 5, 3, 7);
    v[0] = OF_PAIRS(a, c, 0, 1, 4, 5), v[1] = OF_PAIRS(b, d, 0, 1, 4, 5);
    v[2] = OF_PAIRS(a, c, 2, 3, 6, 7), v[3] = OF_PAIRS(b, d, 2, 3, 6, 7);
}

static inline eight plus(eight a, eight b) { return (eight){a.re + b.re, a.im + b.im}; }
static inline eight minus(eight a, eight b) { return (eight){a.re - b.re, a.im - b.im}; }
static inline eight turned(eight a) { return (eight){a.im, -a.re}; } /* by -i */
static inline eight scaled(eight a, float by) { return (eight){a.re * by, a.im * by}; }
static inline eight times(eight a, complex64 w) { return (eight){a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re}; }

static inline void two(const eight *a, eight *b) {
    b[0] = plus(a[0], a[1]);
    b[1] = minus(a[0], a[1]);
}

static inline void three(const eight *a, eight *b) {
    eight sum = plus(a[1], a[2]), middle = plus(a[0], scaled(sum, -0.5f));
    eight side = scaled(turned(minus(a[1], a[2])), 0.86602540378f);
    b[0] = plus(a[0], sum);
    b[1] = plus(middle, side);
    b[2] = minus(middle, side);
}

static inline void four_of(const eight *a, eight *b) {
    eight even = plus(a[0], a[2]), odd = minus(a[0], a[2]), sum = plus(a[1], a[3]), side = turned(minus(a[1], a[3]));
    b[0] = plus(even, sum);
    b[1] = plus(odd, side);
    b[2] = minus(even, sum);
    b[3] = minus(odd, side);
}

static inline void five(const eight *a, eight *b) {
    const float c1 = 0.30901699437f, c2 = -0.80901699437f, s1 = 0.95105651630f, s2 = 0.58778525229f;
    eight near = plus(a[1], a[4]), far = plus(a[2], a[3]), to1 = turned(minus(a[1], a[4])), to2 = turned(minus(a[2], a[3]));
    eight middle1 = plus(a[0], plus(scaled(near, c1), scaled(far, c2))), side1 = plus(scaled(to1, s1), scaled(to2, s2));
    eight middle2 = plus(a[0], plus(scaled(near, c2), scaled(far, c1))), side2 = minus(scaled(to1, s2), scaled(to2, s1));
    b[0] = plus(a[0], plus(near, far));
    b[1] = plus(middle1, side1);
    b[2] = plus(middle2, side2);
    b[3] = minus(middle2, side2);
    b[4] = minus(middle1, side1);
}

/* Any other radix, with the powers of exp(-2 pi i / radix) among those of the line. */
static inline void any(int radix, const complex64 *powers, int64_t apart, const eight *a, eight *b) {
    for (int k = 0; k < radix; k++) {
        b[k] = a[0];
        for (int j = 1; j < radix; j++)
            b[k] = plus(b[k], times(a[j], powers[(j * k) % radix * apart]));
    }
}

/* One pass over lines whose parts so far are `stride` long. */
#define PASS(name, RADIX, transformed)                                                                                       \
    static void name(int64_t n, int64_t stride, int radix, const complex64 *powers, const eight *from, eight *to) {         \
        int64_t parts = n / stride / (RADIX);                                                                                \
        for (int64_t p = 0; p < parts; p++)                                                                                  \
            for (int64_t q = 0; q < stride; q++) {                                                                           \
                eight a[16], b[16];                                                                                          \
                for (int j = 0; j < (RADIX); j++)                                                                            \
                    a[j] = from[q + stride * (p + parts * j)];                                                               \
                transformed;                                                                                                 \
                eight *end = to + q + stride * (RADIX) * p;                                                                  \
                end[0] = b[0];                                                                                               \
                for (int k = 1; k < (RADIX); k++)                                                                            \
                    end[stride * k] = p ? times(b[k], powers[p * k * stride]) : b[k];                                        \
            }                                                                                                                \
    }

PASS(pass_of_two, 2, two(a, b))
PASS(pass_of_three, 3, three(a, b))
PASS(pass_of_four, 4, four_of(a, b))
PASS(pass_of_five, 5, five(a, b))
PASS(pass_of_any, radix, any(radix, powers, n / radix, a, b))

static inline int radix_of(int64_t length) {
    int radix = length % 4 == 0 ? 4 : 2;
    while (length % radix)
        radix++;
    return radix;
}

/* The radix that is left for the last pass. */
static inline int radix_of_last(int64_t length) {
    int radix = radix_of(length);
    while (length > radix) {
        length /= radix;
        radix = radix_of(length);
    }
    return radix;
}

/* The passes of lines whose parts are n / rest long already, until parts of that length are left; where the result is. */
static eight *passed(int64_t n, int64_t rest, int64_t until, const complex64 *powers, eight *from, eight *other) {
    while (rest > until) {
        int radix = radix_of(rest);
        int64_t stride = n / rest;
        (radix == 2 ? pass_of_two : radix == 3 ? pass_of_three : radix == 4 ? pass_of_four : radix == 5 ? pass_of_five
                                                                                            : pass_of_any)(
            n, stride, radix, powers, from, other
        );
        eight *done = other;
        other = from, from = done, rest /= radix;
    }
    return from;
}

typedef struct {
    complex64 *at;
    int64_t step, apart; /* from one coefficient to the next, and from line to line */
    int64_t width;       /* how many lines there are, eight at most */
} few_lines;

static void take(few_lines from, int64_t count, int backward, eight *room) {
    complex64 few[LANES] = {{0, 0}};
    int64_t k = 0;
    if (from.width == LANES && from.step == 1)
        for (; k + 4 <= count; k += 4) {
            pairs low[4], high[4];
            for (int i = 0; i < 4; i++) {
                low[i] = *(pairs *)(from.at + k + i * from.apart);
                high[i] = *(pairs *)(from.at + k + (i + 4) * from.apart);
            }
            transpose(low);
            transpose(high);
            for (int i = 0; i < 4; i++)
                room[k + i] = joined((loose)low[i], (loose)high[i], backward);
        }
    else if (from.width == LANES && from.apart == 1)
        for (; k < count; k++)
            room[k] = joined(*(loose *)(from.at + k * from.step), *(loose *)(from.at + k * from.step + 4), backward);
    for (; k < count; k++) {
        for (int64_t i = 0; i < from.width; i++)
            few[i] = from.at[k * from.step + i * from.apart];
        room[k] = joined(*(loose *)few, *(loose *)(few + 4), backward);
    }
}

static void put_back(const eight *done, int64_t count, int backward, float factor, few_lines to) {
    complex64 few[LANES];
    int64_t k = 0;
    if (to.width == LANES && to.step == 1)
        for (; k + 4 <= count; k += 4) {
            pairs low[4], high[4];
            for (int i = 0; i < 4; i++)
                parted(done[k + i], factor, backward, (loose *)(low + i), (loose *)(high + i));
            transpose(low);
            transpose(high);
            for (int i = 0; i < 4; i++) {
                *(pairs *)(to.at + k + i * to.apart) = low[i];
                *(pairs *)(to.at + k + (i + 4) * to.apart) = high[i];
            }
        }
    else if (to.width == LANES && to.apart == 1)
        for (; k < count; k++)
            parted(done[k], factor, backward, (loose *)(to.at + k * to.step), (loose *)(to.at + k * to.step + 4));
    for (; k < count; k++) {
        parted(done[k], factor, backward, (loose *)few, (loose *)(few + 4));
        for (int64_t i = 0; i < to.width; i++)
            to.at[k * to.step + i * to.apart] = few[i];
    }
}

/* The first pass, of lines beside each other. */
static void first_pass(
    few_lines from, int64_t given, int64_t first, int64_t n, const complex64 *powers, int backward, eight *to
) {
    int64_t parts = n / 4;
    for (int64_t p = 0; p < parts; p++) {
        eight a[4], b[4];
        for (int j = 0; j < 4; j++) {
            int64_t k = p + parts * j - first;
            k += k < 0 ? n : 0;
            const complex64 *at = from.at + k * from.step;
            a[j] = k < given ? joined(*(loose *)at, *(loose *)(at + 4), backward) : (eight){{0}, {0}};
        }
        four_of(a, b);
        to[4 * p] = b[0];
        for (int k = 1; k < 4; k++)
            to[4 * p + k] = times(b[k], powers[p * k]);
    }
}

/* The last one, of lines beside each other, which are one part of that radix each. */
#define LAST(RADIX, transformed)                                                                                             \
    for (int64_t q = 0; q < n / (RADIX); q++) {                                                                              \
        eight a[16], b[16];                                                                                                  \
        for (int j = 0; j < (RADIX); j++)                                                                                    \
            a[j] = from[q + n / (RADIX) * j];                                                                                \
        transformed;                                                                                                         \
        for (int k = 0; k < (RADIX); k++) {                                                                                  \
            complex64 *at = to.at + (q + n / (RADIX) * k) * to.step;                                                         \
            parted(b[k], factor, backward, (loose *)at, (loose *)(at + 4));                                                  \
        }                                                                                                                    \
    }                                                                                                                        \
    break

static void last_pass(
    const eight *from, int64_t n, int radix, const complex64 *powers, int backward, float factor, few_lines to
) {
    switch (radix) {
    case 2: LAST(2, two(a, b));
    case 3: LAST(3, three(a, b));
    case 4: LAST(4, four_of(a, b));
    case 5: LAST(5, five(a, b));
    default: LAST(radix, any(radix, powers, n / radix, a, b));
    }
}

/* Lines of n coefficients: those that are given stand from `first` on, and go on at 0 where they come to the end. */
static void transform(
    few_lines from, int64_t given, int64_t first, const complex64 *powers, int64_t n, int backward, float factor, few_lines to
) {
    eight room[2 * n];
    if (from.width == LANES && from.apart == 1 && to.apart == 1 && n % 4 == 0 && n > 4) {
        int64_t rest = n / 4, last = radix_of_last(rest);
        first_pass(from, given, first, n, powers, backward, room);
        last_pass(passed(n, rest, last, powers, room, room + n), n, (int)last, powers, backward, factor, to);
        return;
    }
    int64_t to_end = least(given, n - first);
    if (given < n)
        memset(room, 0, (size_t)n * sizeof *room);
    take(from, to_end, backward, room + first);
    from.at += to_end * from.step;
    take(from, given - to_end, backward, room);
    put_back(passed(n, n, 1, powers, room, room + n), n, backward, factor, to);
}

/* Transform lines [z, y, x] along one axis in place, times a factor. `powers`: where those of exp(-2 pi i / n) stand, n of them; no
   prime factor of n is above 13. */
void transform_lines(complex_array lines, int64_t axis, const complex64 *powers, int64_t backward, double factor) {
    int64_t n = lines.shape[axis], across = axis == 2 ? 1 : 2, along = 3 - axis - across;
    for (int64_t outer = 0; outer < lines.shape[along]; outer++)
        for (int64_t line = 0; line < lines.shape[across]; line += LANES) {
            few_lines at = {lines.at + outer * lines.step[along] + line * lines.step[across], lines.step[axis], lines.step[across],
                            least(LANES, lines.shape[across] - line)};
            transform(at, n, 0, powers, n, (int)backward, (float)factor, at);
        }
}

/* The step along z of planes [z, ky, kx] that are zero but from `first` on: of ky = begin..end and then of the ky = -begin..-end that
   are not the same, to `slab` [kz, row, column] with the columns of kx = 0..kept - 1 and then those of the last kx. */
void columns(
    complex_array planes, int64_t first, int64_t begin, int64_t end, int64_t kept, const complex64 *powers, complex_array slab
) {
    int64_t n = slab.shape[0], filled = planes.shape[0];
    for (int64_t row = 0; row < slab.shape[1]; row++) {
        int64_t ky = row < end - begin ? begin + row : n - most(begin, 1) - (row - (end - begin));
        for (int64_t x = 0; x < slab.shape[2]; x += x < kept ? least(LANES, kept - x) : LANES) {
            int64_t width = least(LANES, (x < kept ? kept : slab.shape[2]) - x);
            int64_t kx = x < kept ? x : planes.shape[2] - slab.shape[2] + x;
            few_lines from = {ROW2(planes, 0, ky) + kx, planes.step[0], 1, width}, to = {ROW2(slab, 0, row) + x, slab.step[0], 1, width};
            transform(from, filled, first, powers, n, 0, 1, to);
        }
    }
}
