/* sim: the simulated world, for the command line: node/main.c includes this header and no other of the folder.
 * A scenario (canonical JSON, sim/scenario.h) and a seed make one run of the production protocol under virtual time; what comes of it
 * is a report, simulation/1 (docs/SIMULATION.md "Reports"), and whatever else is wished for: the same bytes for the same scenario and
 * seed on every machine. */
#ifndef PERIGEE_SIM_SIM_H
#define PERIGEE_SIM_SIM_H

#include "proto/base/span.h"

#include <stdio.h>

#define SIM_SEED_MAX ((UINT64_C(1) << 53) - 1)

/* What can be had beside the report. SIM_DETAIL is more in the report, and comes with each of the others. */
enum sim_output { SIM_DETAIL = 1, SIM_CSV = 2, SIM_HTML = 4, SIM_TRACE = 8, SIM_DOT = 16 };

/* How the study is run; SIM_TRUST_CENTRAL: both ways, side by side. */
enum sim_trust { SIM_TRUST_AS_WRITTEN, SIM_TRUST_FEDERATED, SIM_TRUST_CENTRAL };

struct sim_progress { /* planned: when it is over if each run is when the next is asked for */
    uint64_t virtual_ms, virtual_ms_planned, events;
    uint32_t runs_ended, runs;
};
struct sim_wish {
    struct span scenario;
    uint64_t seed; /* at most SIM_SEED_MAX */
    /* After every event, with what has passed: it must be quick. False: stop, all is of what was done so far. NULL: never asked. */
    bool (*go_on)(void *context, const struct sim_progress *progress);
    uint32_t outputs; /* bits of enum sim_output */
    /* Each of them but SIM_DETAIL, at the end; `name` tells the files of SIM_CSV apart. The bytes are valid during the call. */
    void (*take)(void *context, enum sim_output output, const char *name, struct span bytes);
    void *context; /* of both */
    enum sim_trust trust;
};

/* The report, from malloc. ERR_NO_MEMORY; or the scenario's errors, with one line for people in `fault`. A property that does not hold
 * is no error of this call: the report says so. */
MUST_USE enum err sim_run(uint8_t **report, size_t *len, const struct sim_wish *wish, char *fault,
                          size_t cap);
/* A swarm (sim/swarm.h): the scenario that this seed draws, canonical text from malloc. ERR_NO_MEMORY. */
MUST_USE enum err sim_draw(uint8_t **scenario, size_t *len, uint64_t seed);
/* A smaller scenario in which the same property (the violation's first word) does not hold under the same seed; at worst the
 * same one. It is run as often as `tries` says at most; `go_on` is asked as in a run. From malloc. Errors as of sim_run. */
MUST_USE enum err sim_shrink(uint8_t **scenario, size_t *len, const struct sim_wish *wish,
                             const char *violation, uint32_t tries);
/* A grid of scenarios (sim/sweep.h). `sweep` and `scenario` are canonical JSON; the latter is what the file that the sweep names holds,
 * or nothing. The scenario of every point has been read when this is OK. Errors as of sim_run. */
struct sim_sweep;
MUST_USE enum err sim_sweep_open(struct sim_sweep **out, struct span sweep, struct span scenario, char *fault,
                                 size_t cap);
void sim_sweep_close(struct sim_sweep *s); /* or NULL */
uint64_t sim_sweep_cells(const struct sim_sweep *s);
void sim_sweep_cell(const struct sim_sweep *s, uint32_t *point, uint64_t *seed, uint64_t cell);
/* Canonical text from malloc: the scenario of a point, and the values that make it. ERR_NO_MEMORY. */
MUST_USE enum err sim_sweep_scenario(const struct sim_sweep *s, uint8_t **text, size_t *len, uint32_t point);
MUST_USE enum err sim_sweep_values(const struct sim_sweep *s, uint8_t **text, size_t *len, uint32_t point);
/* A record of CSV (RFC 4180), as SIM_CSV has them: words of any bytes. */
void sim_csv(FILE *out, const struct span *word, uint32_t count);
/* Of the table of regions, or NULL at its end. */
const char *sim_region(uint32_t index);

#endif
