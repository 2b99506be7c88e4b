/* simulator: how the command line reaches the simulator. That is another folder's, and node/main.c alone knows both sides
 * (DESIGN §3): it hands the function over before the command line is read. */
#ifndef PERIGEE_NODE_SIMULATOR_H
#define PERIGEE_NODE_SIMULATOR_H

#include "proto/base/span.h"

#include <stdio.h>

/* As those of sim/sim.h, where their rules are. */
enum simulator_output {
    SIMULATOR_DETAIL = 1,
    SIMULATOR_CSV = 2,
    SIMULATOR_HTML = 4,
    SIMULATOR_TRACE = 8,
    SIMULATOR_DOT = 16
};
enum simulator_trust { SIMULATOR_AS_WRITTEN, SIMULATOR_FEDERATED, SIMULATOR_CENTRAL };
struct simulator_progress {
    uint64_t virtual_ms, virtual_ms_planned, events;
    uint32_t runs_ended, runs;
};
struct simulator_wish {
    struct span scenario;
    uint64_t seed;
    bool (*go_on)(void *context, const struct simulator_progress *progress);
    uint32_t outputs;
    void (*take)(void *context, enum simulator_output output, const char *name, struct span bytes);
    void *context;
    enum simulator_trust trust;
};
struct sim_sweep;                                                               /* sim/sim.h */
typedef void simulator_csv(FILE *out, const struct span *word, uint32_t count); /* one record */
struct simulator {
    enum err (*run)(uint8_t **report, size_t *len, const struct simulator_wish *wish, char *fault,
                    size_t cap);
    const char *(*region)(uint32_t index); /* NULL at the end of the table */
    enum err (*draw)(uint8_t **scenario, size_t *len, uint64_t seed);
    enum err (*shrink)(uint8_t **scenario, size_t *len, const struct simulator_wish *wish,
                       const char *violation, uint32_t tries);
    /* A grid of scenarios; cells are counted from 0. */
    enum err (*sweep_open)(struct sim_sweep **out, struct span sweep, struct span scenario, char *fault,
                           size_t cap);
    void (*sweep_close)(struct sim_sweep *s);
    uint64_t (*sweep_cells)(const struct sim_sweep *s);
    void (*sweep_cell)(const struct sim_sweep *s, uint32_t *point, uint64_t *seed, uint64_t cell);
    enum err (*sweep_scenario)(const struct sim_sweep *s, uint8_t **text, size_t *len, uint32_t point);
    enum err (*sweep_values)(const struct sim_sweep *s, uint8_t **text, size_t *len, uint32_t point);
    simulator_csv *csv;
};

void simulator_use(const struct simulator *s);
const struct simulator *simulator_in_use(void); /* NULL: this program has none */

#endif
