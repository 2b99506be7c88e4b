/* parties: whom a node's runs need links with, PARTIES_MAX at a time (PROTOCOL.md "Views"): for the runs that cannot wait first, and of
 * those alike in turn. Begin, say all that are wanted, end; then ask. Pure. */
#ifndef PERIGEE_PROTO_PARTIES_H
#define PERIGEE_PROTO_PARTIES_H

#include "proto/base/ids.h"

enum { PARTIES_MAX = 64, PARTIES_TURN_MS = 60000 };

/* What such a run is to this node, what cannot wait first. */
enum parties_why {
    PARTIES_OF_HOLDER,    /* it has the run's enclave */
    PARTIES_OF_CANDIDATE, /* it asks for votes */
    PARTIES_OF_ASKER,     /* it has a part in what another has */
    PARTIES_OF_WAITER,    /* nobody has the run */
};
struct party {
    struct node_id node;
    uint64_t key; /* the least comes first */
};
struct parties { /* zeroed: none */
    uint32_t count, first_run;
    int64_t turn_ns;   /* when another run is the first */
    uint64_t left_out; /* the least key that found no place; UINT64_MAX: all did */
    struct party row[PARTIES_MAX];
};

void parties_begin(struct parties *p);
/* `run`: its number among all. */
void parties_want(struct parties *p, struct node_id node, enum parties_why why, uint32_t run);
void parties_end(struct parties *p, int64_t now_ns);
bool parties_has(const struct parties *p, struct node_id node);

#endif
