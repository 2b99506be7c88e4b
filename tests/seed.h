/* seed: what a randomised test draws from: PERIGEE_SEED, or a number of its own. With its own it meets all that it is there for, and
 * may check that it did; another seed may leave something out. */
#ifndef PERIGEE_TESTS_SEED_H
#define PERIGEE_TESTS_SEED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline bool seed_is_own(void)
{
    const char *from = getenv("PERIGEE_SEED");
    return from == NULL || from[0] == 0;
}

static inline uint64_t seed_or(uint64_t own)
{
    return seed_is_own() ? own : strtoull(getenv("PERIGEE_SEED"), NULL, 10);
}

#endif
