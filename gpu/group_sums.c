#include "gpu/group_sums.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

/* Consecutive rows often share a group; adding them into different tables breaks the chain of store-to-load
 * waits. Above PRIVATE_GROUPS_MAX groups the tables would fall out of the second-level cache and rows rarely
 * collide: one. */
enum { TABLES = 4, PRIVATE_GROUPS_MAX = 2048 };
/* One block of group indices stays in the second-level cache while every measure passes over it. */
enum { BLOCK_ROWS = 16384 };

/* Sums are kept modulo 2^64; the engine has proven that none leaves int64. */
struct cell {
    uint64_t sum;
    uint64_t count;
};

struct tables {
    struct cell
        *cells; /* measure_count x table_count x (group_count + 1): the last cell takes dropped values */
    uint32_t table_count;
    size_t stride;
};

static int64_t clip(int64_t value, int64_t lower, int64_t upper)
{
    int64_t raised = value < lower ? lower : value;
    return raised > upper ? upper : raised;
}

/* 0 for a NULL, else 1, without a branch on the data. */
static uint64_t valid_bit(const uint64_t *valid, uint64_t row)
{
    return valid[row / 64] >> (row % 64) & 1;
}

static size_t cell_index(const struct engine_rows *rows, const struct engine_measure *m, uint64_t row)
{
    uint32_t group = rows->groups[row];
    bool kept = group < rows->group_count;
    if (m->valid != NULL) kept &= valid_bit(m->valid, row) == 1;
    return kept ? group : rows->group_count;
}

static void add(struct cell *cell, int64_t value)
{
    cell->sum += (uint64_t)value;
    cell->count++;
}

static void block_add(struct cell *cells, const struct tables *t, const struct engine_rows *rows,
                      const struct engine_measure *m, uint64_t begin, uint64_t end)
{
    uint64_t row = begin;
    if (t->table_count == TABLES) {
        for (; row + TABLES <= end; row += TABLES) {
            for (uint64_t lane = 0; lane < TABLES; lane++) {
                struct cell *table = cells + lane * t->stride;
                add(table + cell_index(rows, m, row + lane), clip(m->values[row + lane], m->lower, m->upper));
            }
        }
    }
    for (; row < end; row++) add(cells + cell_index(rows, m, row), clip(m->values[row], m->lower, m->upper));
}

static void measure_finish(const struct engine_measure *m, const struct cell *cells, const struct tables *t,
                           uint32_t group_count)
{
    for (uint32_t group = 0; group < group_count; group++) {
        struct cell total = {0, 0};
        for (uint32_t table = 0; table < t->table_count; table++) {
            total.sum += cells[table * t->stride + group].sum;
            total.count += cells[table * t->stride + group].count;
        }
        memcpy(&m->sums[group], &total.sum, sizeof total.sum); /* two's complement, as int64_t is */
        m->counts[group] = total.count;
    }
}

enum err group_sums_cpu(const struct engine_rows *rows, const struct engine_measure *measures,
                        uint32_t measure_count)
{
    struct tables t = {NULL, rows->group_count <= PRIVATE_GROUPS_MAX ? TABLES : 1,
                       (size_t)rows->group_count + 1};
    size_t measure_stride = t.table_count * t.stride;
    ASSERT(rows->group_count > 0 && measure_count > 0);
    t.cells = calloc(measure_count * measure_stride, sizeof *t.cells);
    if (t.cells == NULL) return ERR_NO_MEMORY;
    for (uint64_t begin = 0; begin < rows->row_count; begin += BLOCK_ROWS) {
        uint64_t end = rows->row_count - begin < BLOCK_ROWS ? rows->row_count : begin + BLOCK_ROWS;
        for (uint32_t i = 0; i < measure_count; i++)
            block_add(t.cells + i * measure_stride, &t, rows, &measures[i], begin, end);
    }
    for (uint32_t i = 0; i < measure_count; i++)
        measure_finish(&measures[i], t.cells + i * measure_stride, &t, rows->group_count);
    secret_wipe(t.cells, measure_count * measure_stride * sizeof *t.cells);
    free(t.cells);
    return OK;
}
