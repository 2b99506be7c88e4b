/* grid: a value of any numeric column as an integer number of 10^-places (PROTOCOL.md "Rows to integers").
 * Half is rounded away from zero. Nothing fails: what a DECIMAL(18, places) cannot hold saturates at its ends, which lie
 * outside every statistic's bounds, so it clips like any value out of bounds. Exact integer arithmetic; the one
 * floating-point step is a division IEEE 754 rounds correctly, so every machine agrees. Pure. */
#ifndef PERIGEE_NODE_GRID_H
#define PERIGEE_NODE_GRID_H

#include <stdbool.h>
#include <stdint.h>

enum { GRID_PLACES_MAX = 18, GRID_SCALE_MAX = 38 };
#define GRID_LIMIT INT64_C(999999999999999999) /* DECIMAL(18)'s largest magnitude */

__extension__ typedef __int128 grid_wide;

/* value / 10^scale; scale is at most GRID_SCALE_MAX, places at most GRID_PLACES_MAX. */
int64_t grid_from_decimal(grid_wide value, uint32_t scale, uint32_t places);
/* False for NaN. A double that is the nearest one to a tie counts as the tie: 0.145 at two places is 0.15. */
bool grid_from_double(int64_t *out, double value, uint32_t places);

/* The same integers for a column at once, where it is cheap; the two above are the rule. */
/* Each value becomes what grid_from_decimal gives of it; scale - places is at most GRID_PLACES_MAX. */
void grid_from_integers(int64_t *values, uint32_t count, uint32_t scale, uint32_t places);
/* A NaN gives 0 and loses its bit (i % 64 of word i / 64); no other bit changes. Returns the number of NaNs. */
uint32_t grid_from_doubles(int64_t *out, uint64_t *valid, const double *values, uint32_t count,
                           uint32_t places);

#endif
