/* swarm: scenarios drawn from seeds, and a failing one made smaller.
 * A drawn scenario has a safety phase, in which whatever is drawn goes wrong, and then SWARM_HEALED_MS in which nothing does: what
 * was asked for must settle, and nodes come to hold the same. Everything in it follows from the seed.
 * Ownership: texts are from malloc. Errors: ERR_NO_MEMORY. Single-threaded. */
#ifndef PERIGEE_SIM_SWARM_H
#define PERIGEE_SIM_SWARM_H

#include "sim/scenario.h"

enum { SWARM_FAULTS_MS = 45000, SWARM_HEALED_MS = 255000 };

/* Into the caller's memory: names point into static text. */
struct swarm_room {
    struct scenario_party party[SCENARIO_PARTIES_MAX];
    struct scenario_fault fault[SCENARIO_FAULTS_MAX];
};
void swarm_draw(struct scenario *out, struct swarm_room *room, uint64_t seed);

/* Does this scenario still break what is looked for? */
typedef bool swarm_breaks(void *context, const struct scenario *s);
/* Drops faults, runs, rows, parties and what else there is while it still breaks, `tries_max` times at most. */
void swarm_shrink(struct scenario *s, struct swarm_room *room, swarm_breaks *breaks, void *context,
                  uint32_t tries_max);

#endif
