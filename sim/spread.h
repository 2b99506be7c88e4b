/* spread: how a quantity is distributed, as a histogram whose buckets grow with the values: 32 to each doubling, so that what is
 * read from it is at most one part in 32 too large; below 64 each value has its own. Integers only.
 * Ownership: the caller's. Threads: whoever holds it. */
#ifndef PERIGEE_SIM_SPREAD_H
#define PERIGEE_SIM_SPREAD_H

#include <stdint.h>

enum { SPREAD_PART_BITS = 5, SPREAD_BITS_MAX = 42 };
#define SPREAD_PARTS     (UINT32_C(1) << SPREAD_PART_BITS)
#define SPREAD_VALUE_MAX ((UINT64_C(1) << SPREAD_BITS_MAX) - 1) /* what is larger counts as that */
#define SPREAD_BUCKETS   (SPREAD_PARTS * (SPREAD_BITS_MAX - SPREAD_PART_BITS + 1))

struct spread {
    uint64_t count, most; /* of values; the largest of them */
    uint32_t bucket[SPREAD_BUCKETS];
};

void spread_add(struct spread *s, uint64_t value);
uint64_t spread_least_of(uint32_t bucket); /* the values that it counts */
uint64_t spread_most_of(uint32_t bucket);
/* At most so many millionths of the values are larger than it is: 500000 is the median. 0 of nothing. */
uint64_t spread_quantile(const struct spread *s, uint32_t ppm);

#endif
