/* rows: output `rows`, the table of each step as it is (PROTOCOL.md "Output of rows"). Only with privacy none.
 * The gate's other half: gate_check and gate_run hand workflows of output rows over to here.
 * Rules:
 * - Runtime `select`: the row-wise SELECT over each input in the workflow's order, rows appended; every input gives columns of
 *   the same names and types. Runtime `sql`: one statement over all inputs (sql_check.h).
 * - Every value is DuckDB's cast to VARCHAR, floats as well (shortest text that reads back the same). What has no place in
 *   canonical JSON, control characters, becomes U+FFFD; NULL is null.
 * - The document always has exactly `bytes` bytes: neither the number of rows nor their length shows. What does not fit, and
 *   whatever else goes wrong with rows at hand, is ERR_REFUSED and nothing else.
 * - The order is DuckDB's, and a run repeats it to the byte: the tables must have been opened with one thread. Then operators
 *   run one after another over the files' rows in their order; hash tables are seeded by nothing and sized by rows alone, since
 *   without a place to spill no memory limit changes a plan; the optimiser, which looks at statistics, is off.
 * Threads: one at a time. Ownership: borrows everything. */
#ifndef PERIGEE_NODE_ROWS_H
#define PERIGEE_NODE_ROWS_H

#include "node/gate.h"

/* gate_check for a workflow of output rows. */
MUST_USE enum err rows_check(const struct workflow *w, const struct gate_input *inputs, char *why,
                             size_t why_len);
/* Run every step and write output/1 of exactly `bytes`, for which `out` has room. On ERR_REFUSED `out` is as it was. */
MUST_USE enum err rows_write(struct buffer *out, const struct gate *g, size_t bytes);

#endif
