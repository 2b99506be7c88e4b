#include "gpu/group_sums.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <stdbool.h>
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
    /* (measure_count + 1) x table_count x (group_count + 1): the last cell takes dropped values, the last measure counts the
     * rows, for all measures without NULLs. */
    struct cell *cells;
    uint32_t table_count;
    size_t stride;
};

/* What a pass over rows adds to a cell. */
enum adds { ADDS_SUM = 1, ADDS_COUNT = 2 };

/* What the row loop reads, by value: the compiler must not fear that adding to a cell changes a bound. */
struct pass {
    const uint32_t *groups;
    const int64_t *values;
    const uint64_t *valid;
    int64_t lower, upper;
    uint32_t group_count;
};

/* Dropped values go to the spare cell. At -O2 clip and selection become conditional moves, no branch on a row. */
static inline void add_row(struct cell *table, struct pass p, uint64_t row, bool nullable, int adds)
{
    uint32_t group = p.groups[row];
    uint32_t index = group < p.group_count ? group : p.group_count;
    if (nullable && (p.valid[row / 64] >> (row % 64) & 1) == 0) index = p.group_count;
    if ((adds & ADDS_SUM) != 0) {
        int64_t value = p.values[row];
        value = value < p.lower ? p.lower : value;
        value = value > p.upper ? p.upper : value;
        table[index].sum += (uint64_t)value;
    }
    if ((adds & ADDS_COUNT) != 0) table[index].count++;
}

static inline void add_rows(struct cell *cells, size_t stride, struct pass p, uint64_t begin, uint64_t end,
                            bool nullable, int adds)
{
    uint64_t row = begin;
    for (; row + TABLES <= end; row += TABLES) {
        add_row(cells, p, row, nullable, adds);
        add_row(cells + stride, p, row + 1, nullable, adds);
        add_row(cells + 2 * stride, p, row + 2, nullable, adds);
        add_row(cells + 3 * stride, p, row + 3, nullable, adds);
    }
    for (; row < end; row++) add_row(cells, p, row, nullable, adds);
}

static bool has_sum(const struct engine_measure *m)
{
    return m->lower < m->upper; /* else every value is clipped to one, and its sum is a product */
}

/* NULL: count the rows themselves. */
static void block_add(struct cell *cells, const struct tables *t, const struct engine_rows *rows,
                      const struct engine_measure *m, uint64_t begin, uint64_t end)
{
    struct pass p = {.groups = rows->groups, .group_count = rows->group_count};
    size_t stride = t->table_count == TABLES ? t->stride : 0; /* one table: every lane adds into it */
    if (m == NULL) {
        add_rows(cells, stride, p, begin, end, false, ADDS_COUNT);
        return;
    }
    p.values = m->values;
    p.valid = m->valid;
    p.lower = m->lower;
    p.upper = m->upper;
    if (p.valid == NULL && has_sum(m))
        add_rows(cells, stride, p, begin, end, false, ADDS_SUM);
    else if (p.valid != NULL && has_sum(m))
        add_rows(cells, stride, p, begin, end, true, ADDS_SUM | ADDS_COUNT);
    else if (p.valid != NULL)
        add_rows(cells, stride, p, begin, end, true, ADDS_COUNT);
}

/* `counts` of a measure without NULLs are those of the rows. */
static void measure_finish(const struct engine_measure *m, const struct cell *cells,
                           const struct cell *counts, const struct tables *t, uint32_t group_count)
{
    for (uint32_t group = 0; group < group_count; group++) {
        struct cell total = {0, 0};
        for (uint32_t table = 0; table < t->table_count; table++) {
            total.sum += cells[table * t->stride + group].sum;
            total.count += counts[table * t->stride + group].count;
        }
        if (!has_sum(m)) total.sum = (uint64_t)m->lower * total.count;
        memcpy(&m->sums[group], &total.sum, sizeof total.sum); /* two's complement, as int64_t is */
        m->counts[group] = total.count;
    }
}

static bool counts_rows(const struct engine_measure *measures, uint32_t measure_count)
{
    bool found = false;
    for (uint32_t i = 0; i < measure_count; i++) found = found || measures[i].valid == NULL;
    return found;
}

enum err group_sums_cpu(const struct engine_rows *rows, const struct engine_measure *measures,
                        uint32_t measure_count)
{
    struct tables t = {NULL, rows->group_count <= PRIVATE_GROUPS_MAX ? TABLES : 1,
                       (size_t)rows->group_count + 1};
    const size_t measure_stride = t.table_count * t.stride;
    ASSERT(rows->group_count > 0 && measure_count > 0);
    t.cells = calloc((measure_count + 1) * measure_stride, sizeof *t.cells);
    if (t.cells == NULL) return ERR_NO_MEMORY;
    struct cell *counts = t.cells + measure_count * measure_stride;
    for (uint64_t begin = 0; begin < rows->row_count; begin += BLOCK_ROWS) {
        uint64_t end = rows->row_count - begin < BLOCK_ROWS ? rows->row_count : begin + BLOCK_ROWS;
        if (counts_rows(measures, measure_count)) block_add(counts, &t, rows, NULL, begin, end);
        for (uint32_t i = 0; i < measure_count; i++)
            block_add(t.cells + i * measure_stride, &t, rows, &measures[i], begin, end);
    }
    for (uint32_t i = 0; i < measure_count; i++) {
        const struct cell *cells = t.cells + i * measure_stride;
        measure_finish(&measures[i], cells, measures[i].valid == NULL ? counts : cells, &t,
                       rows->group_count);
    }
    secret_wipe(t.cells, (measure_count + 1) * measure_stride * sizeof *t.cells);
    free(t.cells);
    return OK;
}
