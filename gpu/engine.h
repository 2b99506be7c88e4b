/* engine: the numeric engine's front. Today: clipped integer group sums, the exact part of the privacy gate.
 *
 * Rules:
 * - Integers only, so a result doesn't depend on backend, order, blocking or thread count: identical to the
 * last bit. That is why one engine id, pinned into every run, covers all backends.
 * - Sums never wrap: a call whose bounds times rows could leave int64 is refused before any row is read.
 * Bounds and row count are public, so a refusal tells nothing about the data. Nothing else about the rows is
 * reported either: no clip counts, no number of dropped rows.
 * - A CUDA device is an option. At open it must repeat a built-in set of cases bit for bit, or it is not used
 * and engine_why says so. A device that fails during a call is dropped, and the CPU repeats the call: same
 * bits. Threads: the CPU backend keeps nothing outside calls, so any number of threads may call at once; a
 * device takes one at a time. Several engines are independent. Ownership: the engine is freed by engine_close;
 * arrays stay the caller's. Scratch that held sums is wiped. */
#ifndef PERIGEE_GPU_ENGINE_H
#define PERIGEE_GPU_ENGINE_H

#include "proto/base/err.h"

#include <stdint.h>

enum engine_backend { ENGINE_CPU, ENGINE_CUDA };

enum { ENGINE_MEASURE_COUNT_MAX = 64, ENGINE_GROUP_COUNT_MAX = 1 << 20 };
#define ENGINE_ROW_COUNT_MAX ((uint64_t)UINT32_MAX)
#define ENGINE_ID            "int-gate/1"

struct engine;

/* Rows as the gate sees them: bounded, rounded to the grid, each in one group. A group index outside
 * [0, group_count) drops the row from every measure (its key is outside the public domain). */
struct engine_rows {
    const uint32_t *groups; /* row_count */
    uint64_t row_count;
    uint32_t group_count; /* at least 1 */
};

/* One measure: for each group g, sums[g] = sum over its rows of min(max(value, lower), upper), and counts[g]
 * = the number of values in that sum. A row whose validity bit (bit i % 64 of word i / 64) is 0 is NULL and
 * counts nowhere. */
struct engine_measure {
    const int64_t *values; /* row_count */
    const uint64_t *valid; /* ceil(row_count / 64) words; NULL: every row is valid */
    int64_t lower, upper;  /* inclusive */
    int64_t *sums;         /* out: group_count, overwritten */
    uint64_t *counts;      /* out: group_count, overwritten */
};

/* `preferred` ENGINE_CUDA falls back to the CPU when no device passes. ERR_NO_MEMORY. */
MUST_USE enum err engine_open(struct engine **out, enum engine_backend preferred);
void engine_close(struct engine *e); /* NULL is fine */
enum engine_backend engine_backend(const struct engine *e);
const char *engine_name(const struct engine *e); /* "cpu", or "cuda: " and the device's name */
const char *engine_id(const struct engine *e);   /* ENGINE_ID */
const char *engine_why(const struct engine *e);  /* why CUDA is not in use although preferred; "" otherwise */

/* ERR_TOO_LARGE: a count over its cap. ERR_RANGE: lower > upper, no group, or bounds times rows leave int64.
 * ERR_NO_MEMORY. On an error the outputs are unspecified and must not be used. */
MUST_USE enum err engine_group_sums(struct engine *e, const struct engine_rows *rows,
                                    const struct engine_measure *measures, uint32_t measure_count);

#endif
