#include "sim/spread.h"

#include "proto/base/panic.h"

/* In the first two runs of SPREAD_PARTS a bucket is one value wide, in each later one twice as wide as in the one before. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < SPREAD_PARTS) return (uint32_t)value;
    const uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - SPREAD_PART_BITS;
    return SPREAD_PARTS * shift + (uint32_t)(value >> shift);
}

void spread_add(struct spread *s, uint64_t value)
{
    if (value > SPREAD_VALUE_MAX) value = SPREAD_VALUE_MAX;
    const uint32_t bucket = bucket_of(value);
    ASSERT(bucket < SPREAD_BUCKETS);
    s->count++;
    s->bucket[bucket]++;
    if (value > s->most) s->most = value;
}

static uint32_t shift_of(uint32_t bucket)
{
    ASSERT(bucket < SPREAD_BUCKETS);
    return bucket < 2 * SPREAD_PARTS ? 0 : bucket / SPREAD_PARTS - 1;
}

uint64_t spread_least_of(uint32_t bucket)
{
    const uint32_t shift = shift_of(bucket);
    return (uint64_t)(bucket - SPREAD_PARTS * shift) << shift;
}

uint64_t spread_most_of(uint32_t bucket)
{
    return spread_least_of(bucket) + ((UINT64_C(1) << shift_of(bucket)) - 1);
}

uint64_t spread_quantile(const struct spread *s, uint32_t ppm)
{
    const uint64_t wanted =
        s->count - s->count / 1000000 * (1000000 - ppm) - s->count % 1000000 * (1000000 - ppm) / 1000000;
    uint64_t passed = 0;
    for (uint32_t i = 0; i < SPREAD_BUCKETS; i++) {
        passed += s->bucket[i];
        if (passed == 0 || passed < wanted) continue;
        const uint64_t most = spread_most_of(i);
        return most < s->most ? most : s->most;
    }
    return 0;
}
