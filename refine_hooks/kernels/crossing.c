/* See refine_hooks/fsc/crossing.py. */
#include "arrays.h"

/* What is known of ln(S / N) in some shells. */
typedef struct {
    int64_t shells;
    double_array measured, counts, carried, precision, prior, place;
    double middle;
} model;

/* Log density of ln(S / N), but for a constant; the sd is that of refine_hooks.fsc.sampling_sd, of a curve out of which the mask's
   own part was taken. */
static double log_density(const model *m, const double *found) {
    int64_t n = m->shells;
    double error[n], slope[n], total = 0, of_level = 0, of_both = 0, of_slope = 0;
    for (int64_t i = 0; i < n; i++) {
        double expected = 1 / (1 + exp(-found[i])), carried = m->carried.at[i];
        double plain = expected * (1 - carried) + carried;
        double spread = (1 - plain) * (1 - plain) * (1 + 2 * plain - plain * plain);
        double sd = sqrt(fmax(spread, 1e-6) / m->counts.at[i]) / fmax(1 - carried, 1e-6);
        error[i] = (m->measured.at[i] - expected) / sd;
        slope[i] = expected * (1 - expected) / sd;
        total -= log(sd);
    }
    for (int64_t i = 0; i < n; i++) {
        const double *precision = ROW1(m->precision, i), *prior = ROW1(m->prior, i), *place = m->place.at;
        double misfit = 0, away = 0, one = 0, other = 0;
        for (int64_t j = 0; j < n; j++) {
            misfit += precision[j] * error[j];
            away += prior[j] * (found[j] - m->middle);
            one += precision[j] * slope[j];
            other += precision[j] * slope[j] * place[j];
        }
        total -= 0.5 * (error[i] * misfit + (found[i] - m->middle) * away);
        of_level += slope[i] * one;
        of_both += slope[i] * other;
        of_slope += slope[i] * place[i] * other;
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
    model m = {n, measured, counts, carried, precision, prior, place, middle};
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
            for (int64_t i = 0; i < n; i++) {
                tried[i] = away[i] * cos(angle) + other[i] * sin(angle);
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
