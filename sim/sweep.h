/* sweep: one scenario many times, sweep/1 (docs/SIMULATION.md "Sweeps"): a grid of values that are put into it, each of them with each
 * seed. A point is one choice of values, a cell a point with a seed. Canonical JSON here; the command line makes that of YAML files.
 * Rules: points follow each other by their values, the last key's turning fastest, and a point's cells by their seeds; keys stand by
 * their names. So a cell's number means the same everywhere, and cells can be shared out among processes and machines. Values are put
 * in before the scenario is read as one: nothing that a scenario may not say can be said by a sweep. Everything is bounded; what is
 * refused is refused with its path and what was expected there.
 * Ownership: everything lives in the arena. Errors: the JSON reader's. Pure. */
#ifndef PERIGEE_SIM_SWEEP_H
#define PERIGEE_SIM_SWEEP_H

#include "proto/base/arena.h"
#include "proto/base/json.h"

enum {
    SWEEP_KEYS_MAX = 8,
    SWEEP_KEY_CHARS = 64,
    SWEEP_STEPS_MAX = 8, /* of a key: "faults[0].at_ms" has three */
    SWEEP_VALUES_MAX = 256,
    SWEEP_VALUE_CHARS = 64, /* of one that is text */
    SWEEP_POINTS_MAX = 10000,
    SWEEP_CELLS_MAX = 100000,
};

struct sweep_axis {
    struct span key; /* "network.loss_ppm", "faults[0].at_ms" */
    const struct json *values;
};
struct sweep {
    struct span name, description;
    const struct json *scenario; /* as it was written, whatever it is */
    uint32_t axis_count;
    struct sweep_axis axis[SWEEP_KEYS_MAX];
    uint64_t seed_first, seed_count;
    uint32_t points;
};
struct sweep_cell {
    uint32_t point;
    uint64_t seed;
};

/* `scenario`: what the file that the sweep names holds, as canonical JSON; nothing, if the sweep holds the scenario itself. */
MUST_USE enum err sweep_parse(struct sweep **out, struct arena *arena, struct span sweep,
                              struct span scenario, struct json_fault *fault);
uint64_t sweep_cells(const struct sweep *s);
struct sweep_cell sweep_cell_at(const struct sweep *s, uint64_t cell); /* of those that there are, from 0 */
/* The scenario of a point, for scenario_parse. ERR_TYPE: a key does not lead to a place in it; ERR_TOO_LARGE. */
MUST_USE enum err sweep_scenario(const struct sweep *s, struct buffer *out, struct arena *scratch,
                                 uint32_t point, struct json_fault *fault);
/* The values of a point: an object with the grid's keys. ERR_TOO_LARGE. */
MUST_USE enum err sweep_values(const struct sweep *s, struct buffer *out, uint32_t point);
/* Is the scenario of every point one? Otherwise *point is the first whose is not. */
MUST_USE enum err sweep_check(const struct sweep *s, uint32_t *point, struct arena *scratch,
                              struct json_fault *fault);

#endif
