/* gate: the only way out of an enclave (DESIGN §9 "Privacy"; PROTOCOL.md "Rows to integers", "Output"). Aggregates are made
 * here; output `rows`, which only privacy none has, by rows.h.
 *
 * Under differential privacy an op never aggregates: its SELECT gives rows, and the gate bounds, clips, sums, adds noise
 * and emits every cell of the public domains. What differential privacy rests on, in order:
 *   select_check   a row's result depends on that row alone, and cannot fail
 *   contribution   a unit's rows move the integers by at most statistic_sensitivity
 *   noise          exact discrete Laplace of scale sensitivity / epsilon, each cell from its own stream
 *   gate_output    post-processing, and a length that depends on the workflow only
 * Rules:
 * - Neighbouring: one unit's rows are replaced by any others of the same or of a new unit, at the same public row count.
 *   A unit is the dataset's own: the SELECT's unit must be the unit column that the dataset was registered with, or the
 *   claim would be about something else. Scope `per-owner` bounds a unit within the inputs of each owner, `global` over
 *   all inputs.
 * - Whether a run is possible is decided from public things (workflow, schemas, row counts) by gate_check, before a row is
 *   read; it says why. What goes wrong after that is ERR_REFUSED and GATE_FAILED, whatever it was: also a field that is not of
 *   its declared type, in any column and row, and rows that are not as many as they were said to be.
 * - With `privacy: none` the same integers without noise, labelled so; or rows.
 * - Timing is not hidden here: DuckDB, the sort and the sampler take time that depends on rows and on the noise. The
 *   caller releases on a fixed tick.
 * - Rows become sums in DuckDB's threads (tables_scan): a sum of integers is the same in any order.
 * Memory: DuckDB's limit (tables.h), for each of its threads at most 8 MB of rows and sums on their way, and with a unit column
 * about unit_bytes_max for kept rows; the inputs are read as many times as that needs (contribution.h).
 * Threads: one at a time; DuckDB's inside. Ownership: borrows everything. */
#ifndef PERIGEE_NODE_GATE_H
#define PERIGEE_NODE_GATE_H

#include "gpu/engine.h"
#include "node/gate_output.h"
#include "node/grid.h"
#include "node/tables.h"

#define GATE_FAILED "computation failed" /* the one reason a failed run gives */

/* What is public about an input, in the workflow's order. */
struct gate_input {
    const struct schema *schema;
    struct span unit_column; /* of the dataset's description; empty: a row is a unit */
    uint64_t row_count;      /* of the manifest */
};

/* What gate_plan_make found good: each step's SELECT over each input, as it is run. */
struct gate_plan;

struct gate {
    const struct workflow *workflow;
    const struct gate_plan *plan;   /* of this workflow and these inputs; NULL: made for the call */
    const struct gate_input *input; /* workflow->input_count */
    /* Of the workflow's parameters; NULL when it has none. */
    const struct parameter_choice *choice;
    struct tables *tables; /* locked; table i is input i */
    struct engine *engine;
    const uint8_t *seed32;   /* of the run's noise; NULL only with privacy none */
    uint64_t unit_bytes_max; /* at least 1 MiB */
};

/* Can this workflow run on these inputs, whatever a requester chooses? ERR_SQL, ERR_POLICY, ERR_RANGE, ERR_TOO_LARGE,
 * ERR_UNAVAILABLE; `why` in words. Public: a console shows it when a workflow is written, an owner when it is approved. */
MUST_USE enum err gate_check(const struct workflow *w, const struct gate_input *inputs, char *why,
                             size_t why_len);
/* The same, and what was made for it kept; workflow and inputs must outlive it. */
MUST_USE enum err gate_plan_make(struct gate_plan **out, const struct workflow *w,
                                 const struct gate_input *inputs, char *why, size_t why_len);
void gate_plan_free(struct gate_plan *plan); /* NULL is fine */

/* Run every step and write output/1. Without a plan, a public refusal is gate_check's error; everything else is ERR_REFUSED
 * and leaves `out` as it was. out needs gate_output_bytes of room. */
MUST_USE enum err gate_run(struct buffer *out, const struct gate *g);

/* The exact integers of one step before noise: cell_count for each statistic, statistic by statistic. For tests of the
 * sensitivity; nothing in the product but the gate calls it. ERR_REFUSED. */
MUST_USE enum err gate_sums(grid_wide *sums, const struct gate *g, uint32_t step_index);

#endif
