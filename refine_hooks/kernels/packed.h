/* Coefficients of two volumes in one transform (refine_hooks/fsc/packed.py), four columns at a time. */
#include "arrays.h"

typedef struct { four re, im; } coefficients;
typedef int32_t four_numbers __attribute__((vector_size(16), aligned(4), may_alias));
typedef double four_doubles __attribute__((vector_size(32), aligned(8), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
#define OF_FOURS __builtin_shufflevector
#else
#define OF_FOURS(a, b, ...) __builtin_shuffle(a, b, (four_numbers){__VA_ARGS__})
#endif

/* Up to four coefficients from `at` on, or from there back where `step` is -1; those beyond `count` are 0. */
static inline coefficients taken(const complex64 *at, int step, int64_t count) {
    if (count >= 4) {
        const four *low = (const four *)(step > 0 ? at : at - 3), a = low[0], b = low[1];
        if (step > 0)
            return (coefficients){OF_FOURS(a, b, 0, 2, 4, 6), OF_FOURS(a, b, 1, 3, 5, 7)};
        return (coefficients){OF_FOURS(a, b, 6, 4, 2, 0), OF_FOURS(a, b, 7, 5, 3, 1)};
    }
    coefficients some = {{0}, {0}};
    for (int64_t i = 0; i < count; i++) {
        some.re[i] = at[step * i].re;
        some.im[i] = at[step * i].im;
    }
    return some;
}

/* Four values of each of four kinds -> for each of the four columns its four kinds, added to what is there or put there. */
static inline void put_by_column(four a, four b, four c, four d, int add, float *to, int64_t apart) {
    four ab = OF_FOURS(a, b, 0, 4, 1, 5), cd = OF_FOURS(c, d, 0, 4, 1, 5);
    four ab2 = OF_FOURS(a, b, 2, 6, 3, 7), cd2 = OF_FOURS(c, d, 2, 6, 3, 7);
    four columns[] = {OF_FOURS(ab, cd, 0, 1, 4, 5), OF_FOURS(ab, cd, 2, 3, 6, 7), OF_FOURS(ab2, cd2, 0, 1, 4, 5),
                      OF_FOURS(ab2, cd2, 2, 3, 6, 7)};
    for (int i = 0; i < 4; i++) {
        if (add)
            columns[i] += *(four *)(to + i * apart);
        *(four *)(to + i * apart) = columns[i];
    }
}

static inline void add_times(double *to, double weight, const float *kinds) {
    four_doubles *sums = (four_doubles *)to, values = __builtin_convertvector(*(const four *)kinds, four_doubles);
    *sums += weight * values;
}
