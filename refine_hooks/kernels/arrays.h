/* What the kernels are given: arrays of numpy, with their steps counted in elements; along the last axis the step is 1. */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct { float re, im; } complex64;
/* Four floats that one instruction works on, wherever they lie. */
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

#define ARRAY(type) struct { type *at; int64_t shape[4], step[4]; }
typedef ARRAY(float) float_array;
typedef ARRAY(double) double_array;
typedef ARRAY(complex64) complex_array;
typedef ARRAY(uint8_t) bool_array;
typedef ARRAY(uint8_t) byte_array;
typedef ARRAY(int8_t) int8_array;
typedef ARRAY(int16_t) int16_array;
typedef ARRAY(int32_t) int32_array;
typedef ARRAY(int64_t) int64_array;

#define ROW1(a, i) ((a).at + (i) * (a).step[0])
#define ROW2(a, i, j) (ROW1(a, i) + (j) * (a).step[1])
#define ROW3(a, i, j, k) (ROW2(a, i, j) + (k) * (a).step[2])

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
/* One instruction each, where fmin and fmax are calls for the sake of NaN. */
static inline double lower(double a, double b) { return a < b ? a : b; }
static inline double higher(double a, double b) { return a > b ? a : b; }

/* How many kx lie within the shells that `labels` knows, where `square` is kz^2 + ky^2; at most `columns`. */
static inline int64_t columns_within(int64_t labels, int64_t square, int64_t columns) {
    return square < labels ? least(columns, (int64_t)sqrt((double)(labels - 1 - square)) + 1) : 0;
}

/* How many coefficients of the row ky, from kx = 0, have kx^2 + ky^2 up to `furthest`; at most `columns`. */
static inline int64_t columns_up_to(double furthest, int64_t ky, int64_t columns) {
    double left = furthest - (double)(ky * ky);
    return left < 0 ? 0 : (int64_t)lower(sqrt(left), (double)(columns - 1)) + 1;
}
