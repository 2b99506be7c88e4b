/* skew: how far this node's clock is from the custodians' (DESIGN §4 "Time").
 * A clock is kept as a difference, wall clock minus this node's monotonic one: it stays what it is while both run true, so a
 * sample is good until the next one, and a step of the own wall clock shows at once. The time a message took counts as
 * its sender being behind.
 * Why f liars do no harm: a valid charter has q > 2f (2q > n+f and n >= q+f), so of q or more clocks fewer than half lie,
 * and the median is between two honest ones. Liars can neither stop a custodian that is within skew_max of every honest
 * one, nor let one go on that is further than skew_max from each of them. Pure. */
#ifndef PERIGEE_PROTO_SKEW_H
#define PERIGEE_PROTO_SKEW_H

#include "proto/base/ids.h"

/* `now` is this node's; `wall_ms` its own or a peer's at that moment. */
int64_t skew_clock(uint64_t wall_ms, struct instant now);
/* The middle one, of an even count the upper; count is at least 1. Sorts them. */
int64_t skew_median(int64_t *clock, uint32_t count);

#endif
