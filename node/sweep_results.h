/* sweep_results: what came of the cells of a sweep: a line of canonical JSON each (docs/SIMULATION.md "Sweeps"), of which the tables are
 * made.
 * Rules: a line follows from the cell alone, so that the tables are the same bytes wherever and in whatever order cells were run. What
 * is not known is left out of a line, and empty in the CSV. Cells count from 1 here, as people see them.
 * Ownership: sweep_results_free. Threads: one. */
#ifndef PERIGEE_NODE_SWEEP_RESULTS_H
#define PERIGEE_NODE_SWEEP_RESULTS_H

#include "node/simulator.h"

#include <jansson.h>
#include <stdio.h>

struct sweep_results {
    uint64_t count, done;
    char **line;                          /* `count`; NULL: not there yet */
    uint64_t violations, violation_first; /* the lowest such cell; 0: none */
    uint64_t virtual_ms, events;          /* of all that is there */
};

/* Of one cell: values as its sweep has them, and the report. Its length; 0: it has no place in `cap`. */
size_t sweep_results_line(uint8_t *out, size_t cap, uint64_t cell, uint64_t seed, struct span values,
                          const json_t *report);

MUST_USE enum err sweep_results_new(struct sweep_results *r, uint64_t count);
void sweep_results_free(struct sweep_results *r);
/* The line, read, for the caller to free; NULL: it is none, of no cell, or was there already. */
json_t *sweep_results_put(struct sweep_results *r, struct span line);

/* All of it, in the order of the cells. ERR_NO_MEMORY. */
MUST_USE enum err sweep_results_csv(const struct sweep_results *r, FILE *out, simulator_csv *csv);
MUST_USE enum err sweep_results_lines(const struct sweep_results *r, FILE *out);
/* A row for each choice of values that `seeds` cells of it follow each other for: medians over those cells that have the number (of an
 * even count the lower one of the two in the middle), and how many cells broke a property. */
struct sweep_results_point {
    json_t *values; /* borrowed */
    uint64_t cells, violations;
    int64_t settle_ms, messages, bytes, delivery_p99_us; /* below 0: no cell has it */
};
typedef void sweep_results_show(void *context, const struct sweep_results_point *point);
MUST_USE enum err sweep_results_points(const struct sweep_results *r, uint64_t seeds,
                                       sweep_results_show *show, void *context);
/* "charter.lease_ms 5000, network.loss_ppm 0" */
void sweep_results_words(char *out, size_t cap, json_t *values);

#endif
