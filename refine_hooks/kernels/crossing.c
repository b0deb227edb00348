/* See refine_hooks/fsc/crossing.py. */
#include "arrays.h"

#define TOGETHER 4 /* shells that are worked on at once */
typedef double quad __attribute__((vector_size(32), aligned(8), may_alias));

/* What is known of ln(S / N) in some shells; rows of the symmetric matrices have room for whole groups of shells. */
typedef struct {
    int64_t shells, room;
    double_array measured, carried, place;
    const double *scale, *precision, *prior; /* variance of a shell is its spread times the scale */
    double middle;
} model;

static void widened(double_array matrix, int64_t room, double *out) {
    for (int64_t i = 0; i < matrix.shape[0]; i++)
        for (int64_t j = 0; j < room; j++)
            out[i * room + j] = j < matrix.shape[1] ? ROW1(matrix, i)[j] : 0;
}

typedef union { double number; int64_t bits; } parts_of_double;

/* exp to 2e-16 of itself for -700..700: in a loop it is worked out for several numbers at once. */
static inline double exponential(double in) {
    int32_t twos = (int32_t)(in * 1.4426950408889634 + copysign(0.5, in));
    double rest = (in - twos * 0x1.62e42fefa0000p-1) - twos * 0x1.cf79abc9e3b39p-40, sum = 1.0 / 6227020800.0;
#define TERM(over) sum = sum * rest + 1.0 / over
    TERM(479001600), TERM(39916800), TERM(3628800), TERM(362880), TERM(40320), TERM(5040), TERM(720), TERM(120), TERM(24), TERM(6);
    TERM(2), TERM(1), TERM(1);
    parts_of_double power = {.bits = ((int64_t)twos + 1023) << 52};
    return sum * power.number;
}

/* Log density of ln(S / N), but for a constant; the sd is that of refine_hooks.fsc.sampling_sd, of a curve out of which the mask's
   own part was taken. */
static double log_density(const model *m, const double *found) {
    int64_t n = m->shells;
    double error[n], slope[n], far[n], away[n], variance[n], total = 0, of_level = 0, of_both = 0, of_slope = 0, product = 1;
    const double *carried = m->carried.at, *measured = m->measured.at, *place = m->place.at;
    for (int64_t i = 0; i < n; i++)
        far[i] = lower(higher(-found[i], -700), 700);
    for (int64_t i = 0; i < n; i++) {
        double expected = 1 / (1 + exponential(far[i]));
        double plain = expected * (1 - carried[i]) + carried[i];
        double spread = (1 - plain) * (1 - plain) * (1 + 2 * plain - plain * plain);
        error[i] = measured[i] - expected;
        slope[i] = expected * (1 - expected);
        variance[i] = spread > 1e-6 ? spread : 1e-6;
    }
    for (int64_t i = 0; i < n; i++) {
        variance[i] *= m->scale[i];
        double known = 1 / sqrt(variance[i]);
        error[i] *= known;
        slope[i] *= known;
    }
    for (int64_t i = 0; i < n; i++) {
        product *= variance[i];
        if (i % 8 == 7 || i == n - 1) { /* one logarithm for several shells; their product stays a number */
            total -= 0.5 * log(product);
            product = 1;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        away[i] = found[i] - m->middle;
        far[i] = slope[i] * place[i];
    }
    for (int64_t begin = 0; begin < n; begin += TOGETHER) {
        quad misfit = {0}, drawn = {0}, one = {0}, other = {0};
        const double *precision = m->precision + begin, *prior = m->prior + begin;
        for (int64_t j = 0; j < n; j++, precision += m->room, prior += m->room) {
            quad known = *(const quad *)precision;
            misfit += known * error[j];
            one += known * slope[j];
            other += known * far[j];
            drawn += *(const quad *)prior * away[j];
        }
        for (int64_t i = begin; i < least(n, begin + TOGETHER); i++) {
            total -= 0.5 * (error[i] * misfit[i - begin] + away[i] * drawn[i - begin]);
            of_level += slope[i] * one[i - begin];
            of_both += slope[i] * other[i - begin];
            of_slope += far[i] * other[i - begin];
        }
    }
    return total + log(fmax(of_level * of_slope - of_both * of_both, 1e-300));
}

/* Minus the log density of the normal distribution that steps are drawn from. */
static double against(const double *away, double_array precision) {
    int64_t n = precision.shape[0];
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            total += 0.5 * away[i] * ROW1(precision, i)[j] * away[j];
    return total;
}

/* Draws [draw, shell] about the mode, each on an ellipse through the one before; every so manieth is kept. Steps are `root` times
   the normal numbers [draw, shell], and have the precision `drawn_by`. */
void crossing_draws(
    double_array mode, double_array root, double_array drawn_by, double_array measured, double_array counts, double_array carried,
    double_array precision, double_array prior, double middle, double_array place, double_array normal, double_array uniform,
    int64_t every, double_array kept
) {
    const double turn = 6.283185307179586;
    int64_t n = mode.shape[0], used = 0, known = uniform.shape[0];
    int64_t room = (n + TOGETHER - 1) / TOGETHER * TOGETHER;
    double scale[n], wide_precision[n * room], wide_prior[n * room];
    for (int64_t i = 0; i < n; i++) {
        double rest = higher(1 - carried.at[i], 1e-6);
        scale[i] = 1 / (counts.at[i] * rest * rest);
    }
    widened(precision, room, wide_precision);
    widened(prior, room, wide_prior);
    model m = {n, room, measured, carried, place, scale, wide_precision, wide_prior, middle};
    double away[n], other[n], tried[n], found[n], density = log_density(&m, mode.at);
    for (int64_t i = 0; i < n; i++)
        away[i] = 0;
    for (int64_t draw = 0; draw < normal.shape[0]; draw++) {
        for (int64_t i = 0; i < n; i++) {
            other[i] = 0;
            for (int64_t j = 0; j <= i; j++)
                other[i] += ROW1(root, i)[j] * ROW1(normal, draw)[j];
        }
        double lowest = density + log(uniform.at[used]), angle = turn * uniform.at[(used + 1) % known];
        double low = angle - turn, high = angle;
        used = (used + 2) % known;
        while (high - low > 1e-6) {
            double along = cos(angle), across = sin(angle);
            for (int64_t i = 0; i < n; i++) {
                tried[i] = away[i] * along + other[i] * across;
                found[i] = mode.at[i] + tried[i];
            }
            double reached = log_density(&m, found) + against(tried, drawn_by);
            if (reached > lowest) {
                for (int64_t i = 0; i < n; i++)
                    away[i] = tried[i];
                density = reached;
                break;
            }
            if (angle < 0)
                low = angle;
            else
                high = angle;
            angle = low + (high - low) * uniform.at[used];
            used = (used + 1) % known;
        }
        if (draw % every == 0)
            for (int64_t i = 0; i < n; i++)
                ROW1(kept, draw / every)[i] = mode.at[i] + away[i];
    }
}
