#include "proto/approval.h"

#include "crypto/hash.h"

struct hash32 approval_sign_hash(struct consortium_id consortium, struct node_id owner,
                                 const struct body_APPROVAL *body, uint64_t expires_ms)
{
    uint8_t first[8], last[8], cost[8], delta[8], expires[8];
    store_u64(first, body->slot_first);
    store_u64(last, body->slot_last);
    store_u64(cost, body->cost);
    store_u64(delta, body->delta);
    store_u64(expires, expires_ms);
    return HASH_FRAMED("perigee/approval/v1", ID_SPAN(consortium), ID_SPAN(owner), ID_SPAN(body->app),
                       ID_SPAN(body->compose), ID_SPAN(body->dataset), SPAN_OF(first), SPAN_OF(last),
                       SPAN_OF(cost), SPAN_OF(delta), ID_SPAN(body->text), SPAN_OF(expires));
}

struct hash32 succession_sign_hash(struct consortium_id consortium, struct node_id before,
                                   struct node_id after)
{
    return HASH_FRAMED("perigee/succession/v1", ID_SPAN(consortium), ID_SPAN(before), ID_SPAN(after));
}
