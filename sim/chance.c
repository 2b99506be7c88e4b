#include "sim/chance.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

__extension__ typedef unsigned __int128 chance_wide;

struct chance chance_stream(uint64_t seed, const char *component, uint64_t index)
{
    uint8_t numbers[16];
    struct chance c;
    store_u64(numbers, seed);
    store_u64(numbers + 8, index);
    const struct hash32 hash =
        HASH_FRAMED("perigee/sim-chance/v1", span_make(numbers, sizeof numbers), span_text(component));
    for (uint32_t i = 0; i < 4; i++) c.state[i] = load_u64(hash.bytes + 8 * (size_t)i);
    ASSERT((c.state[0] | c.state[1] | c.state[2] | c.state[3]) != 0);
    return c;
}

static uint64_t rotated(uint64_t x, uint32_t by)
{
    return x << by | x >> (64 - by);
}

/* xoshiro256**: the linear engine moves on by one, the scrambler hides that it is linear. */
uint64_t chance_next(struct chance *c)
{
    uint64_t *s = c->state;
    const uint64_t result = rotated(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotated(s[3], 45);
    return result;
}

/* Lemire, Fast Random Integer Generation in an Interval, ACM TOMACS 29:1, 2019: the upper half of number times limit, drawn again
 * where the lower half falls into the 2^64 mod limit values that would favour some results. */
uint64_t chance_below(struct chance *c, uint64_t limit)
{
    ASSERT(limit > 0);
    chance_wide product = (chance_wide)chance_next(c) * limit;
    if ((uint64_t)product < limit) {
        const uint64_t favoured = -limit % limit;
        while ((uint64_t)product < favoured) product = (chance_wide)chance_next(c) * limit;
    }
    return (uint64_t)(product >> 64);
}

uint64_t chance_within(struct chance *c, uint64_t low, uint64_t high)
{
    ASSERT(low <= high);
    const uint64_t width = high - low;
    return width == UINT64_MAX ? chance_next(c) : low + chance_below(c, width + 1);
}

bool chance_ppm(struct chance *c, uint32_t parts_per_million)
{
    ASSERT(parts_per_million <= 1000000);
    return chance_below(c, 1000000) < parts_per_million;
}

/* --- Exponential gaps ------------------------------------------------------------------------------------------------- */

#define LN2 UINT64_C(0xb17217f7d1cf79ab) /* ln 2, times 2^64, rounded down */

/* The sum of (ln 2)^i / i! for i = 1..k, k = 2, 3, ..., times 2^64, rounded down; it converges to 1. */
static const uint64_t ln2_sums[] = {
    UINT64_C(0xeef193f6d75a96fc), UINT64_C(0xfd27186259aaf6c2), UINT64_C(0xff9d6dd050f4c5a7),
    UINT64_C(0xfff4cfcfef1e626b), UINT64_C(0xfffee81886e1c62f), UINT64_C(0xffffe7fe850e0bb5),
    UINT64_C(0xfffffe2a8731b17d), UINT64_C(0xffffffdfac6eeadc), UINT64_C(0xfffffffdf9640067),
    UINT64_C(0xffffffffe22ec79c), UINT64_C(0xfffffffffe6a9ded), UINT64_C(0xffffffffffebff81),
    UINT64_C(0xffffffffffff1417), UINT64_C(0xfffffffffffff5ce), UINT64_C(0xffffffffffffff95),
    UINT64_C(0xfffffffffffffffb),
};
enum { LN2_SUMS = sizeof ln2_sums / sizeof ln2_sums[0] };

/* Knuth, The Art of Computer Programming, 2, 3.4.1, algorithm S (Ahrens, Dieter): how often the value halves, and where in the last
 * halving it lies, which is u itself below ln 2 and else ln 2 times the least of k numbers. 63 halvings stand for more. */
uint64_t chance_exponential(struct chance *c, uint64_t mean_ns)
{
    ASSERT(mean_ns <= CHANCE_MEAN_NS_MAX);
    const uint32_t halvings = (uint32_t)__builtin_ctzll(chance_next(c) | UINT64_C(1) << 63);
    uint64_t rest = chance_next(c);
    if (rest >= LN2) {
        uint32_t k = 0;
        while (k < LN2_SUMS && rest >= ln2_sums[k]) k++;
        uint64_t least = UINT64_MAX;
        for (uint32_t i = 0; i < k + 2; i++) {
            const uint64_t u = chance_next(c);
            if (u < least) least = u;
        }
        rest = (uint64_t)((chance_wide)least * LN2 >> 64);
    }
    const chance_wide means = (chance_wide)LN2 * halvings + rest; /* times 2^64, below 45 of them */
    return (uint64_t)(means * mean_ns >> 64);
}
