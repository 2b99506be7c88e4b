#include "proto/skew.h"

#include "proto/base/panic.h"

int64_t skew_clock(uint64_t wall_ms, struct instant now)
{
    ASSERT(wall_ms <= INT64_MAX);
    return (int64_t)wall_ms - now.ns / 1000000;
}

int64_t skew_median(int64_t *clock, uint32_t count)
{
    ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++) {
        int64_t moved = clock[i];
        uint32_t at = i;
        for (; at > 0 && clock[at - 1] > moved; at--) clock[at] = clock[at - 1];
        clock[at] = moved;
    }
    return clock[count / 2];
}
