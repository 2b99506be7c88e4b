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
