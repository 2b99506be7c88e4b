/* simulator: how the command line reaches the simulator. That is another folder's, and node/main.c alone knows both sides
 * (DESIGN §3): it hands the function over before the command line is read. */
#ifndef PERIGEE_NODE_SIMULATOR_H
#define PERIGEE_NODE_SIMULATOR_H

#include "proto/base/span.h"

/* As sim/sim.h struct sim_wish. */
struct simulator_wish {
    struct span scenario;
    uint64_t seed;
    bool (*go_on)(void *context, uint64_t virtual_ms, uint64_t events);
    void *context;
};
struct simulator {
    enum err (*run)(uint8_t **report, size_t *len, const struct simulator_wish *wish, char *fault,
                    size_t cap);
    const char *(*region)(uint32_t index); /* NULL at the end of the table */
};

void simulator_use(const struct simulator *s);
const struct simulator *simulator_in_use(void); /* NULL: this program has none */

#endif
