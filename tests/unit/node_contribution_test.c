/* contribution: limits, clipping and sums over fabricated rows, against a recount by the rule; no DuckDB. */
#include "node/contribution.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CELLS = 3, STATISTICS = 3, ROWS = 20000 };

struct row {
    struct tables_unit unit;
    uint32_t cell;
    int64_t value;
    uint8_t valid;
};

static struct row rows[ROWS];
static uint64_t seed;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static struct step step_make(uint32_t rows_per_unit)
{
    struct step s = {.cell_count = CELLS, .statistic_count = STATISTICS, .rows_per_unit = rows_per_unit};
    s.statistic[0] = (struct statistic){.kind = STATISTIC_COUNT};
    s.statistic[1] = (struct statistic){.kind = STATISTIC_COUNT, .column = SPAN_LITERAL("v")};
    s.statistic[2] = (struct statistic){
        .kind = STATISTIC_SUM, .column = SPAN_LITERAL("v"), .places = 2, .lower = -500, .upper = 1500};
    return s;
}

/* Few units with many rows and many with one; values inside, at and far outside the bounds. */
static void rows_make(uint32_t unit_count)
{
    static const int64_t values[] = {-500, 1500, -501, 1501, 0, INT64_MAX, INT64_MIN, GRID_LIMIT};
    memset(rows, 0, sizeof rows);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint64_t unit = next() % 4 == 0 ? next() % 3 : next() % unit_count;
        memcpy(rows[i].unit.bytes, &unit, sizeof unit);
        rows[i].cell = next() % 10 == 0 ? TABLES_NO_CELL : (uint32_t)(next() % CELLS);
        rows[i].valid = next() % 8 != 0;
        rows[i].value = next() % 4 == 0 ? values[next() % 8] : (int64_t)(next() % 3000) - 1000;
        if (!rows[i].valid) rows[i].value = 0;
    }
}

static void shuffle(void)
{
    for (uint32_t i = ROWS; i-- > 1;) {
        uint32_t j = (uint32_t)(next() % (i + 1));
        struct row held = rows[i];
        rows[i] = rows[j];
        rows[j] = held;
    }
}

enum { LANES = 3 };

/* Chunks of any size, each in any lane. */
static enum err feed(struct contribution *c, bool units, uint32_t from, uint32_t to)
{
    static struct tables_unit unit[DUCKDB_CHUNK_ROWS];
    static uint32_t cell[DUCKDB_CHUNK_ROWS];
    static int64_t value[DUCKDB_CHUNK_ROWS];
    static uint64_t valid[DUCKDB_CHUNK_ROWS / 64];
    while (from < to) {
        uint32_t count = 1 + (uint32_t)(next() % DUCKDB_CHUNK_ROWS);
        if (count > to - from) count = to - from;
        bool all = true;
        memset(valid, next() % 2 == 0 ? 0 : 255,
               sizeof valid); /* what lies behind the last row is no one's */
        for (uint32_t i = 0; i < count; i++, from++) {
            const uint64_t bit = UINT64_C(1) << (i % 64);
            unit[i] = rows[from].unit;
            cell[i] = rows[from].cell;
            value[i] = rows[from].value;
            valid[i / 64] = rows[from].valid ? valid[i / 64] | bit : valid[i / 64] & ~bit;
            all = all && rows[from].valid;
        }
        const uint64_t *bits = all ? NULL : valid;
        struct tables_chunk chunk = {count, (uint32_t)(next() % LANES), units ? unit : NULL,
                                     cell,  {NULL, NULL, value},        {NULL, bits, bits}};
        TRY(contribution_add(c, &chunk));
    }
    return OK;
}

static void run(grid_wide sums[STATISTICS * CELLS], const struct step *step, bool units, uint32_t part_count)
{
    struct engine *engine;
    struct contribution *c;
    assert_int_equal(engine_open(&engine, ENGINE_CPU), OK);
    assert_int_equal(contribution_open(&c, step, units, LANES, engine), OK);
    for (uint32_t part = 0; part < part_count; part++) {
        contribution_part(c, part, part_count, part_count == 1 ? 0 : ROWS / part_count);
        assert_int_equal(feed(c, units, 0, ROWS), OK);
        assert_int_equal(contribution_unit_end(c), OK);
    }
    assert_int_equal(contribution_sums(c, sums), OK);
    contribution_close(c);
    engine_close(engine);
}

/* --- The rule, read plainly ----------------------------------------------------------------------------------------- */

static int64_t clipped(const struct row *r)
{
    if (!r->valid || r->value < -500) return r->valid ? -500 : 0;
    return r->value > 1500 ? 1500 : r->value;
}

static int row_order(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    int unit = memcmp(&a->unit, &b->unit, sizeof a->unit);
    if (unit != 0) return unit;
    if (a->cell != b->cell) return a->cell < b->cell ? -1 : 1;
    if (a->valid != b->valid) return a->valid < b->valid ? -1 : 1;
    return clipped(a) < clipped(b) ? -1 : clipped(a) > clipped(b);
}

static void expect(int64_t sums[STATISTICS * CELLS], bool units, uint32_t limit)
{
    static struct row sorted[ROWS];
    memcpy(sorted, rows, sizeof rows);
    qsort(sorted, ROWS, sizeof *sorted, row_order);
    uint32_t of_unit = 0;
    memset(sums, 0, STATISTICS * CELLS * sizeof *sums);
    for (uint32_t i = 0; i < ROWS; i++) {
        if (i == 0 || memcmp(&sorted[i].unit, &sorted[i - 1].unit, sizeof sorted[i].unit) != 0) of_unit = 0;
        if (sorted[i].cell == TABLES_NO_CELL) continue;
        if (units && ++of_unit > limit) continue;
        sums[sorted[i].cell] += 1;
        sums[CELLS + sorted[i].cell] += sorted[i].valid;
        if (sorted[i].valid) sums[2 * CELLS + sorted[i].cell] += 2 * clipped(&sorted[i]) - 1000;
    }
}

static void same(const grid_wide *got, const int64_t *want)
{
    for (uint32_t i = 0; i < STATISTICS * CELLS; i++) assert_true(got[i] == want[i]);
}

static void bounds_each_unit(void **state)
{
    (void)state;
    static const uint32_t unit_counts[] = {1, 40, 3000, 1u << 30};
    for (uint32_t u = 0; u < 4; u++) {
        for (uint32_t limit = 1; limit <= 27; limit = limit * 3) {
            grid_wide got[STATISTICS * CELLS];
            int64_t want[STATISTICS * CELLS];
            struct step step = step_make(limit);
            seed = 88172645463325252u + u * 100 + limit;
            rows_make(unit_counts[u]);
            expect(want, true, limit);
            run(got, &step, true, 1);
            same(got, want);
            shuffle();
            run(got, &step, true, 1);
            same(got, want);
            run(got, &step, true, 5); /* more often, less at a time */
            same(got, want);
        }
    }
}

static void counts_every_row_without_units(void **state)
{
    (void)state;
    grid_wide got[STATISTICS * CELLS];
    int64_t want[STATISTICS * CELLS];
    struct step step = step_make(1);
    seed = 1234567;
    rows_make(7);
    expect(want, false, 1);
    run(got, &step, false, 1);
    same(got, want);
    shuffle();
    run(got, &step, false, 1);
    same(got, want);
    for (uint32_t i = 0; i < ROWS - 5000; i++)
        rows[i].valid = 1; /* whole batches without a NULL, and some with */
    expect(want, false, 1);
    run(got, &step, false, 1);
    same(got, want);
}

/* Batches so short that a chunk's bits are cut anywhere. */
static void short_batches_keep_their_bits(void **state)
{
    (void)state;
    grid_wide wide[STATISTICS * CELLS], got[STATISTICS * CELLS];
    struct step step = step_make(1);
    seed = 7654321;
    rows_make(7);
    run(got, &step, false, 1);
    step.statistic[2].upper = 99999999999999999; /* 46 rows */
    run(wide, &step, false, 1);
    for (uint32_t i = 0; i < 2 * CELLS; i++) assert_true(wide[i] == got[i]);
    assert_true(wide[2 * CELLS] != got[2 * CELLS]);
}

/* Bounds so wide that a batch holds few rows: 128 bits take what int64 could not. */
static void wide_bounds_do_not_wrap(void **state)
{
    (void)state;
    struct step step = step_make(1);
    step.statistic[2].lower = -99999999999999999;
    step.statistic[2].upper = 99999999999999999;
    memset(rows, 0, sizeof rows);
    for (uint32_t i = 0; i < ROWS; i++) rows[i] = (struct row){.value = INT64_MAX, .valid = 1};
    grid_wide got[STATISTICS * CELLS];
    run(got, &step, false, 1);
    assert_true(got[2 * CELLS] == (grid_wide)ROWS * 199999999999999998);
}

static void a_row_takes_what_the_header_says(void **state)
{
    (void)state;
    struct step step = step_make(1);
    assert_int_equal(contribution_row_bytes(&step), 20 + 1 + 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_each_unit),
        cmocka_unit_test(counts_every_row_without_units),
        cmocka_unit_test(short_batches_keep_their_bits),
        cmocka_unit_test(wide_bounds_do_not_wrap),
        cmocka_unit_test(a_row_takes_what_the_header_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
