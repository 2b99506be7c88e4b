#include "node/link_penalty.h"

#include "crypto/hash.h"

#include <string.h>

struct hash32 link_penalty_address(const char *address)
{
    return HASH_FRAMED("perigee/link-address", span_text(address));
}

struct hash32 link_penalty_node(struct node_id node)
{
    return HASH_FRAMED("perigee/link-node", ID_SPAN(node));
}

bool link_penalty_add(struct link_penalty *p, struct hash32 who, uint64_t now_ms, uint64_t penalty_ms)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < LINK_PENALTY_ROWS; i++) {
        if (p->row[i].last_ms != 0 && ID_EQUAL(p->row[i].who, who)) {
            at = i;
            break;
        }
        if (p->row[i].last_ms < p->row[at].last_ms) at = i;
    }
    bool known = p->row[at].last_ms != 0 && ID_EQUAL(p->row[at].who, who);
    if (!known || now_ms - p->row[at].last_ms > LINK_PENALTY_MEMORY_MS)
        memset(&p->row[at], 0, sizeof p->row[at]);
    p->row[at].who = who;
    p->row[at].last_ms = now_ms;
    if (now_ms < p->row[at].until_ms) return false; /* it is left alone already */
    if (++p->row[at].offences < LINK_PENALTY_OFFENCES) return false;
    p->row[at].offences = 0;
    p->row[at].until_ms = now_ms + penalty_ms;
    return true;
}

bool link_penalty_holds(const struct link_penalty *p, struct hash32 who, uint64_t now_ms)
{
    for (uint32_t i = 0; i < LINK_PENALTY_ROWS; i++) {
        if (p->row[i].last_ms != 0 && ID_EQUAL(p->row[i].who, who)) return now_ms < p->row[i].until_ms;
    }
    return false;
}
