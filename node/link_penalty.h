/* link_penalty: who broke the rules lately, by address or node. Three offences within a minute and the offender is
 * left alone for a while. A small fixed table: when it is full the oldest entry gives way, so that a crowd of offenders
 * costs no memory. Pure; times are milliseconds of one clock. */
#ifndef PERIGEE_NODE_LINK_PENALTY_H
#define PERIGEE_NODE_LINK_PENALTY_H

#include "proto/base/ids.h"

enum { LINK_PENALTY_ROWS = 128, LINK_PENALTY_OFFENCES = 3, LINK_PENALTY_MEMORY_MS = 60000 };

struct link_penalty {
    struct {
        struct hash32 who;
        uint32_t offences;
        uint64_t last_ms, until_ms; /* last_ms 0: the row is free */
    } row[LINK_PENALTY_ROWS];
};

struct hash32 link_penalty_address(const char *address);
struct hash32 link_penalty_node(struct node_id node);
/* Whether this offence brought the penalty. now_ms is not 0. */
bool link_penalty_add(struct link_penalty *p, struct hash32 who, uint64_t now_ms, uint64_t penalty_ms);
bool link_penalty_holds(const struct link_penalty *p, struct hash32 who, uint64_t now_ms);

#endif
