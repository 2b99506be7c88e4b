/* sim: the simulated world, for the command line: node/main.c includes this header and no other of the folder.
 * A scenario (canonical JSON, sim/scenario.h) and a seed make one run of the production protocol under virtual time; what comes of it
 * is a report, simulation/1 (docs/SIMULATION.md "Reports"), the same bytes for the same scenario and seed on every machine. */
#ifndef PERIGEE_SIM_SIM_H
#define PERIGEE_SIM_SIM_H

#include "proto/base/span.h"

#define SIM_SEED_MAX ((UINT64_C(1) << 53) - 1)

struct sim_wish {
    struct span scenario;
    uint64_t seed; /* at most SIM_SEED_MAX */
    /* Now and then, with what has passed; false: stop, the report is of what was done so far. NULL: never asked. */
    bool (*go_on)(void *context, uint64_t virtual_ms, uint64_t events);
    void *context;
};

/* The report, from malloc. ERR_NO_MEMORY; or the scenario's errors, with one line for people in `fault`. A property that does not hold
 * is no error of this call: the report says so. */
MUST_USE enum err sim_run(uint8_t **report, size_t *len, const struct sim_wish *wish, char *fault,
                          size_t cap);
/* Of the table of regions, or NULL at its end. */
const char *sim_region(uint32_t index);

#endif
