/* See refine_hooks/particles/star.py: the rows of a long table, split at blanks that are not in quotes. */
#include "arrays.h"

enum { SKIPPED, NUMBER, TEXT, IMAGE };
enum { WHOLE, SHORT, NO_NUMBER, LONG };

static const int64_t most_digits = 100000000000000000; /* a mantissa below 10^18 fits 64 bits */

typedef struct { const uint8_t *at, *end; } span;

/* Powers of ten up to 22 are exact. */
static double power_of_ten(int64_t power) {
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    return power <= 22 ? exact[power] : pow(10.0, (double)power);
}

/* -1 or 1; the span begins behind the sign. */
static int sign_of(span *text) {
    if (text->at < text->end && (*text->at == '-' || *text->at == '+'))
        return *text->at++ == '-' ? -1 : 1;
    return 1;
}

/* Whether these three letters, small or not, stand there. */
static int is_word(span text, const char *word) {
    return text.end - text.at == 3 && (text.at[0] | 32) == word[0] && (text.at[1] | 32) == word[1] && (text.at[2] | 32) == word[2];
}

/* The power of ten that stands there, 0 where nothing does; returns 0 where it is something else. */
static int read_exponent(span text, int64_t *power) {
    int64_t value = 0;
    *power = 0;
    if (text.at == text.end)
        return 1;
    if ((*text.at++ | 32) != 'e')
        return 0;
    int sign = sign_of(&text);
    const uint8_t *digits = text.at;
    for (; text.at < text.end && *text.at >= '0' && *text.at <= '9'; text.at++)
        value = least(value * 10 + (*text.at - '0'), 400);
    *power = sign * value;
    return text.at == text.end && text.at > digits;
}

/* The number that stands there, to the last digit of a double or two; returns 0 where there is none. */
static int read_number(span text, double *number) {
    int sign = sign_of(&text), digits = 0, after = 0;
    int64_t mantissa = 0, power = 0, exponent;
    if (is_word(text, "nan"))
        return *number = NAN, 1;
    if (is_word(text, "inf"))
        return *number = sign * INFINITY, 1;
    for (; text.at < text.end; text.at++) {
        unsigned digit = (unsigned)(*text.at - '0');
        if (*text.at == '.' && !after) {
            after = 1;
            continue;
        }
        if (digit > 9)
            break;
        int kept = mantissa < most_digits;
        mantissa = kept ? mantissa * 10 + digit : mantissa;
        power += 1 - after - kept;
        digits++;
    }
    int fine = read_exponent(text, &exponent);
    power += exponent;
    double value = (double)mantissa;
    *number = sign * (power < 0 ? value / power_of_ten(-power) : value * power_of_ten(power));
    return fine && digits > 0;
}

/* The number of an image; the span then is its stack's name. Without an @ it is the first. Returns 0 where there is none. */
static int read_image(span *text, double *number) {
    const uint8_t *sign = text->at;
    while (sign < text->end && *sign != '@')
        sign++;
    if (sign == text->end)
        return *number = 1, 1;
    int fine = read_number((span){text->at, sign}, number);
    text->at = sign + 1;
    return fine && *number >= 0 && *number < (double)most_digits;
}

static int is_same(span one, span other) {
    return one.end - one.at == other.end - other.at && !memcmp(one.at, other.at, (size_t)(one.end - one.at));
}

/* The end of what is in the quotes that stand at the text's beginning; NULL where its row does not close them before a blank. */
static const uint8_t *closing_quote(span text) {
    for (const uint8_t *at = text.at + 1; at < text.end && *at != '\n'; at++)
        if (*at == *text.at && (at + 1 == text.end || at[1] <= ' '))
            return at;
    return NULL;
}

/* The next word of a row, without the quotes about it; returns 0 where the row ends, and then stands at the next. */
static int next_word(span *rest, span *word) {
    while (rest->at < rest->end && *rest->at <= ' ' && *rest->at != '\n')
        rest->at++;
    if (rest->at >= rest->end || *rest->at == '\n')
        return rest->at++, 0;
    const uint8_t *closing = *rest->at == '"' || *rest->at == '\'' ? closing_quote(*rest) : NULL;
    if (closing) {
        *word = (span){rest->at + 1, closing};
        rest->at = closing + 1;
        return 1;
    }
    word->at = rest->at;
    while (rest->at < rest->end && *rest->at > ' ')
        rest->at++;
    word->end = rest->at;
    return 1;
}

/* Read the chosen columns of the rows in raw[first:end].
   `kinds` of each column: a number, a text, or an image: a number, an @ and a text. `slots`: of each number its row in `numbers`, of
   each text that in `begins`, of each image that in both. `numbers` [slot, row] is filled, and `begins` and `ends` [slot, row] with
   where a text lies in `raw`; -1 where it is that of the row before. `found`: how many rows were read, WHOLE or what is wrong with
   the next one, its column, and how many values it has. */
void read_rows(
    byte_array raw, int64_t first, int64_t end, int64_array kinds, int64_array slots, double_array numbers, int64_array begins,
    int64_array ends, int64_array found
) {
    int64_t columns = kinds.shape[0], row = 0, column, state = WHOLE;
    span rest = {raw.at + first, raw.at + end}, word, last[most(begins.shape[0], 1)];
    for (int64_t slot = 0; slot < begins.shape[0]; slot++)
        last[slot] = (span){raw.at, raw.at};
    while (state == WHOLE && rest.at < rest.end) {
        for (column = 0; state == WHOLE && next_word(&rest, &word); column++) {
            int64_t kind = column < columns ? kinds.at[column] : SKIPPED, slot = kind ? slots.at[column] : 0;
            if (kind == SKIPPED)
                continue;
            int fine = kind == IMAGE    ? read_image(&word, ROW1(numbers, slot) + row)
                       : kind == NUMBER ? read_number(word, ROW1(numbers, slot) + row)
                                        : 1;
            if (!fine) {
                state = NO_NUMBER;
                break;
            }
            if (kind == NUMBER)
                continue;
            ROW1(begins, slot)[row] = row > 0 && is_same(word, last[slot]) ? -1 : word.at - raw.at;
            ROW1(ends, slot)[row] = word.end - raw.at;
            last[slot] = word;
        }
        if (state == WHOLE && column > 0 && column != columns)
            state = column < columns ? SHORT : LONG;
        row += state == WHOLE && column > 0;
    }
    found.at[0] = row;
    found.at[1] = state;
    found.at[2] = state == NO_NUMBER ? column : 0;
    found.at[3] = state == SHORT || state == LONG ? column : 0;
}
