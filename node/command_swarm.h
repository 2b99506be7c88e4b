/* command_swarm: perigee sim --swarm N: scenarios drawn from seeds, each in a process of its own (cells.h), until one breaks a property.
 * Rules: what comes of a seed is that seed's, however many run at once; the lowest one that breaks something is told, with its
 * property and the one command that shows it again, and its scenario is made smaller and left in a file. A process that stops is a
 * finding like any other. Threads: one. */
#ifndef PERIGEE_NODE_COMMAND_SWARM_H
#define PERIGEE_NODE_COMMAND_SWARM_H

#include "node/cells.h"
#include "node/client.h"
#include "node/simulator.h"

enum { SWARM_SEEDS_MAX = 1000000 };

struct swarm_wish {
    uint64_t first, count, jobs;
    bool whole;       /* the failing scenario is left as it was drawn */
    const char *file; /* where it goes; NULL: swarm-SEED.yaml */
};

int command_swarm(const struct client *c, const struct simulator *s, const struct swarm_wish *wish);

#endif
