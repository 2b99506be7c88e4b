#include "node/grid.h"

#include "proto/base/panic.h"

#include <math.h>

__extension__ typedef unsigned __int128 grid_magnitude;

static grid_magnitude power_of_ten(uint32_t exponent)
{
    grid_magnitude power = 1;
    for (uint32_t i = 0; i < exponent; i++) power *= 10;
    return power;
}

static int64_t with_sign(grid_magnitude magnitude, bool negative)
{
    int64_t bounded = magnitude > (grid_magnitude)GRID_LIMIT ? GRID_LIMIT : (int64_t)magnitude;
    return negative ? -bounded : bounded;
}

int64_t grid_from_decimal(grid_wide value, uint32_t scale, uint32_t places)
{
    ASSERT(scale <= GRID_SCALE_MAX && places <= GRID_PLACES_MAX);
    bool negative = value < 0;
    grid_magnitude magnitude = negative ? (grid_magnitude)0 - (grid_magnitude)value : (grid_magnitude)value;
    if (scale <= places) {
        if (magnitude > (grid_magnitude)GRID_LIMIT)
            return with_sign(magnitude, negative); /* cannot come back */
        return with_sign(magnitude * power_of_ten(places - scale), negative);
    }
    grid_magnitude divisor = power_of_ten(scale - places);
    grid_magnitude quotient = magnitude / divisor, rest = magnitude % divisor;
    return with_sign(quotient + (rest >= divisor - rest ? 1 : 0), negative);
}

/* Is value (>= 0, below 10^(18 - places)) at or above the tie after k = floor(value 10^places)? `product` is
 * value 2^shift 10^places. */
static bool reaches_tie(double value, grid_magnitude product, uint32_t shift, uint64_t k, uint32_t places)
{
    if (k < UINT64_C(1) << 52) {
        double tie = (double)(2 * k + 1) / (2.0 * (double)(uint64_t)power_of_ten(places));
        return value >= tie;
    }
    grid_magnitude rest = product - ((grid_magnitude)k << shift);
    return rest >= (grid_magnitude)1 << (shift - 1);
}

bool grid_from_double(int64_t *out, double value, uint32_t places)
{
    ASSERT(places <= GRID_PLACES_MAX);
    if (isnan(value)) return false;
    bool negative = signbit(value) != 0;
    double magnitude = fabs(value);
    if (magnitude >= (double)(uint64_t)power_of_ten(GRID_PLACES_MAX - places)) {
        *out = negative ? -GRID_LIMIT : GRID_LIMIT;
        return true;
    }
    int exponent;
    grid_magnitude product =
        (grid_magnitude)(uint64_t)ldexp(frexp(magnitude, &exponent), 53) * power_of_ten(places);
    exponent -= 53; /* magnitude = that integer times 2^exponent */
    if (exponent >= 0) {
        *out = with_sign(product << exponent, negative);
        return true;
    }
    uint32_t shift = (uint32_t)-exponent;
    uint64_t k = shift < 128 ? (uint64_t)(product >> shift) : 0;
    *out =
        with_sign((grid_magnitude)k + (reaches_tie(magnitude, product, shift, k, places) ? 1 : 0), negative);
    return true;
}

/* --- Columns -------------------------------------------------------------------------------------------------------- */

/* What is beyond `most` in magnitude would leave the grid when multiplied. */
static void multiply(int64_t *values, uint32_t count, int64_t factor)
{
    const int64_t most = GRID_LIMIT / factor;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t value = values[i], inside = value > most || value < -most ? 0 : value;
        const int64_t limit = value > 0 ? GRID_LIMIT : -GRID_LIMIT;
        values[i] = inside == value ? inside * factor : limit;
    }
}

/* divisor is 10 at least: no quotient of 64 bits leaves the grid. */
static void divide(int64_t *values, uint32_t count, uint64_t divisor)
{
    for (uint32_t i = 0; i < count; i++) {
        const bool negative = values[i] < 0;
        const uint64_t magnitude = negative ? (uint64_t)0 - (uint64_t)values[i] : (uint64_t)values[i];
        const uint64_t quotient = magnitude / divisor, rest = magnitude - quotient * divisor;
        const int64_t rounded = (int64_t)(quotient + (rest >= divisor - rest ? 1 : 0));
        values[i] = negative ? -rounded : rounded;
    }
}

void grid_from_integers(int64_t *values, uint32_t count, uint32_t scale, uint32_t places)
{
    ASSERT(places <= GRID_PLACES_MAX && scale <= places + GRID_PLACES_MAX);
    if (scale <= places)
        multiply(values, count, (int64_t)power_of_ten(places - scale));
    else
        divide(values, count, (uint64_t)power_of_ten(scale - places));
}

/* Below 2^40 a product of doubles is off by less than 2^-12, and so is the double nearest to a tie. Further from a tie than
 * NEAR_TIE, then, the product's own fraction decides; nearer, k is exact and the rule is a comparison. */
#define PRODUCT_MAX 0x1p40
#define NEAR_TIE    0x1p-10

uint32_t grid_from_doubles(int64_t *out, uint64_t *valid, const double *values, uint32_t count,
                           uint32_t places)
{
    uint32_t nans = 0;
    ASSERT(places <= GRID_PLACES_MAX);
    const double power = (double)(uint64_t)power_of_ten(places);
    for (uint32_t i = 0; i < count; i++) {
        const double magnitude = fabs(values[i]), product = magnitude * power;
        if (!(product < PRODUCT_MAX)) { /* NaN as well */
            out[i] = 0;
            if (grid_from_double(&out[i], values[i], places)) continue;
            valid[i / 64] &= ~(UINT64_C(1) << (i % 64));
            nans++;
            continue;
        }
        const int64_t k = (int64_t)product;
        const double rest = product - (double)k;
        bool up = rest > 0.5;
        if (fabs(rest - 0.5) < NEAR_TIE) up = magnitude >= (double)(2 * k + 1) / (2.0 * power);
        const int64_t rounded = k + (up ? 1 : 0);
        out[i] = values[i] < 0 ? -rounded : rounded;
    }
    return nans;
}
