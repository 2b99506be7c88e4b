/* contribution: from rows to exact sums, with every unit's share bounded (PROTOCOL.md "Rows to integers").
 *
 * Rules:
 * - A unit contributes at most step->rows_per_unit rows over everything between two calls of contribution_unit_end. Which
 *   rows stay is decided by their bytes alone (the canonical row order), so arrival order, threads and how the rows were
 *   split over inputs change nothing.
 * - A sum's row adds 2 value - (lower + upper), the value clipped to its bounds: an integer of magnitude at most
 *   upper - lower. NULL adds nothing. A count's row adds 1. So replacing a unit's rows changes a statistic, over all
 *   its cells together, by at most statistic_sensitivity.
 * - Integers only, and no wrap: batches go through the engine, their sums into 128 bits.
 * - Rows come in lanes, one to a thread: each has its own batch and its own sums, and only what is kept is shared. Without a
 *   unit column a row is a unit: it goes straight into its lane's batch and no table is kept. With one, each kept row
 *   takes 20 bytes, 1 for each statistic that reads a column and 8 more for each sum (two sums: 38 bytes; 20 million
 *   units: 760 MB), sorted in place; rows over the limit are dropped whenever the table is full, so it grows with the
 *   units and not with the rows. contribution_part divides the units into parts, so that a caller who reads the inputs
 *   once for each part needs only that fraction at a time.
 * - Memory of a lane: a batch, and a few times cells by statistics; 7 MB with the most there may be of both.
 * Errors: ERR_NO_MEMORY; the engine's. Threads: contribution_add any number, each with a lane of its own; the rest one, while
 * nobody adds. Everything that held rows or sums is wiped. */
#ifndef PERIGEE_NODE_CONTRIBUTION_H
#define PERIGEE_NODE_CONTRIBUTION_H

#include "gpu/engine.h"
#include "node/grid.h"
#include "node/tables.h"

struct contribution;

/* The step and the engine must outlive it. `units`: rows carry a unit. */
MUST_USE enum err contribution_open(struct contribution **out, const struct step *step, bool units,
                                    uint32_t lane_count, struct engine *engine);
void contribution_close(struct contribution *c); /* NULL is fine */
/* Bytes of a kept row. */
uint32_t contribution_row_bytes(const struct step *step);
/* From here on only units of this part count; parts are 0 to part_count - 1. Only between unit ends. `rows_expected` is a
 * public guess at the part's rows: room for them is reserved at once, and untouched room costs nothing. */
void contribution_part(struct contribution *c, uint32_t part, uint32_t part_count, uint64_t rows_expected);
/* The chunk's lane is below lane_count. */
MUST_USE enum err contribution_add(struct contribution *c, const struct tables_chunk *chunk);
/* No further row belongs to a unit seen so far. */
MUST_USE enum err contribution_unit_end(struct contribution *c);
/* After the last unit end: cell_count sums of each statistic, statistic by statistic. */
MUST_USE enum err contribution_sums(struct contribution *c, grid_wide *sums);

#endif
