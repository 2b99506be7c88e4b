/* link_door: how often what peers bring about may happen. A bucket fills with time and holds so much; the door has one for
 * all connections and one for each address, of half the rate, so that no address keeps the others out. Addresses are in a
 * small fixed table, where the one heard of longest ago gives way. Pure; times are milliseconds of one clock, never 0. */
#ifndef PERIGEE_NODE_LINK_DOOR_H
#define PERIGEE_NODE_LINK_DOOR_H

#include "proto/base/ids.h"

enum { LINK_DOOR_ROWS = 128 };

struct link_rate {
    uint32_t a_second, most;
};
struct link_bucket {
    uint64_t milli, filled_ms; /* filled_ms 0: full */
};
bool link_bucket_take(struct link_bucket *b, struct link_rate rate, uint64_t now_ms);
/* As much of `wanted` as there is. */
uint32_t link_bucket_draw(struct link_bucket *b, struct link_rate rate, uint64_t now_ms, uint32_t wanted);

struct link_door {
    struct link_bucket all;
    struct {
        struct hash32 who;
        struct link_bucket bucket;
    } row[LINK_DOOR_ROWS];
};
bool link_door_opens(struct link_door *d, const struct link_rate *rate, struct hash32 who, uint64_t now_ms);

#endif
