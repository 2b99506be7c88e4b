/* Group sums against a naive twin, on whatever backend this machine gives; refusals; and the check that keeps
 * a device which differs in one bit out of use. */
#include "gpu/bench.h"
#include "gpu/engine.h"
#include "gpu/group_sums.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

__extension__ typedef __int128 wide;

static struct engine *engines[2]; /* the CPU; the preferred device, or the CPU again where there is none */

static uint64_t seed = 20261120;

static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void *make(size_t count, size_t size)
{
    void *made = malloc(count * size + 1);
    assert_non_null(made);
    return made;
}

/* Rows one by one into 128 bits: too slow and too simple to be wrong. */
static void twin(const struct engine_rows *rows, const struct engine_measure *m, wide *sums, uint64_t *counts)
{
    for (uint32_t g = 0; g < rows->group_count; g++) sums[g] = 0, counts[g] = 0;
    for (uint64_t i = 0; i < rows->row_count; i++) {
        int64_t value = m->values[i];
        if (rows->groups[i] >= rows->group_count) continue;
        if (m->valid != NULL && (m->valid[i / 64] & UINT64_C(1) << i % 64) == 0) continue;
        if (value < m->lower) value = m->lower;
        if (value > m->upper) value = m->upper;
        sums[rows->groups[i]] += value;
        counts[rows->groups[i]]++;
    }
}

static void expect_twin(const struct engine_rows *rows, struct engine_measure *measures,
                        uint32_t measure_count)
{
    wide *sums = make(rows->group_count, sizeof *sums);
    uint64_t *counts = make(rows->group_count, sizeof *counts);
    for (int e = 0; e < 2; e++) {
        for (uint32_t i = 0; i < measure_count; i++) {
            measures[i].sums = make(rows->group_count, sizeof(int64_t));
            measures[i].counts = make(rows->group_count, sizeof(uint64_t));
            memset(measures[i].sums, 0x3c + e, rows->group_count * sizeof(int64_t));
            memset(measures[i].counts, 0x3c + e, rows->group_count * sizeof(uint64_t));
        }
        assert_int_equal(engine_group_sums(engines[e], rows, measures, measure_count), OK);
        for (uint32_t i = 0; i < measure_count; i++) {
            twin(rows, &measures[i], sums, counts);
            for (uint32_t g = 0; g < rows->group_count; g++) {
                assert_true(measures[i].sums[g] == sums[g]);
                assert_true(measures[i].counts[g] == counts[g]);
            }
            free(measures[i].sums);
            free(measures[i].counts);
        }
    }
    free(sums);
    free(counts);
}

struct table {
    struct engine_rows rows;
    struct engine_measure measures[5];
    uint32_t *groups;
    int64_t *values[5];
    uint64_t *valid[5];
};

static void table_make(struct table *t, uint64_t row_count, uint32_t group_count, uint32_t group_range)
{
    t->groups = make(row_count, sizeof *t->groups);
    for (uint64_t i = 0; i < row_count; i++) t->groups[i] = (uint32_t)(random_u64() % group_range);
    t->rows = (struct engine_rows){t->groups, row_count, group_count};
    for (int m = 0; m < 5; m++) {
        t->values[m] = make(row_count, sizeof(int64_t));
        t->valid[m] = make(row_count / 64 + 1, sizeof(uint64_t));
        int shift = (int)(random_u64() % 64);
        for (uint64_t i = 0; i < row_count; i++) {
            uint64_t draw = random_u64();
            t->values[m][i] =
                draw % 50 == 0 ? (draw % 100 == 0 ? INT64_MIN : INT64_MAX) : (int64_t)draw >> shift;
        }
        for (uint64_t i = 0; i <= row_count / 64; i++) t->valid[m][i] = random_u64() | random_u64();
        int64_t bound = (int64_t)((INT64_MAX / (row_count + 1)) >> (random_u64() % 50));
        int64_t lower = random_u64() % 2 == 0 ? -bound : bound / 2;
        if (random_u64() % 4 == 0) lower = bound; /* every value is the one */
        t->measures[m] =
            (struct engine_measure){t->values[m], m % 2 == 0 ? t->valid[m] : NULL, lower, bound, NULL, NULL};
    }
}

static void table_free(struct table *t)
{
    free(t->groups);
    for (int m = 0; m < 5; m++) {
        free(t->values[m]);
        free(t->valid[m]);
    }
}

static void random_tables(void **state)
{
    (void)state;
    for (int round = 0; round < 150; round++) {
        struct table t;
        uint64_t row_count = random_u64() % (round % 10 == 0 ? 40000 : 700);
        uint32_t group_count = 1 + (uint32_t)(random_u64() % (round % 7 == 0 ? 6000 : 40));
        table_make(&t, row_count, group_count, group_count + 1 + group_count / 5);
        expect_twin(&t.rows, t.measures, (uint32_t)(random_u64() % 6));
        table_free(&t);
    }
}

static void many_groups_and_many_rows(void **state)
{
    struct table t;
    (void)state;
    table_make(&t, 1000000, 1000000, 1000001);
    expect_twin(&t.rows, t.measures, 2);
    table_free(&t);
    table_make(&t, (1 << 22) + 131, 37, 39); /* more than one device chunk, not a multiple of 64 */
    expect_twin(&t.rows, t.measures, 1);
    table_free(&t);
}

static void order_changes_nothing(void **state)
{
    enum { ROWS = 5000, GROUPS = 9 };
    static int64_t sums[2][GROUPS];
    static uint64_t counts[2][GROUPS];
    struct table t;
    (void)state;
    table_make(&t, ROWS, GROUPS, GROUPS);
    for (int e = 0; e < 2; e++) {
        for (int turn = 0; turn < 2; turn++) {
            struct engine_measure m = t.measures[1];
            m.sums = sums[turn];
            m.counts = counts[turn];
            assert_int_equal(engine_group_sums(engines[e], &t.rows, &m, 1), OK);
            for (uint32_t i = ROWS - 1; i > 0; i--) {
                uint32_t j = (uint32_t)(random_u64() % (i + 1));
                int64_t value = t.values[1][i];
                uint32_t group = t.groups[i];
                t.values[1][i] = t.values[1][j], t.groups[i] = t.groups[j];
                t.values[1][j] = value, t.groups[j] = group;
            }
        }
        assert_memory_equal(sums[0], sums[1], sizeof sums[0]);
        assert_memory_equal(counts[0], counts[1], sizeof counts[0]);
    }
    table_free(&t);
}

static void ends_of_int64(void **state)
{
    static uint32_t groups[4096];
    static int64_t values[4096];
    (void)state;
    values[0] = INT64_MIN;
    struct engine_rows one = {groups, 1, 1};
    struct engine_measure all = {values, NULL, INT64_MIN, INT64_MAX, NULL, NULL};
    expect_twin(&one, &all, 1);
    values[0] = INT64_MAX;
    expect_twin(&one, &all, 1);
    for (int i = 0; i < 4096; i++) values[i] = INT64_MIN;
    struct engine_rows rows = {groups, 4096, 1};
    struct engine_measure lowest = {values, NULL, INT64_MIN / 4096, INT64_MAX / 4096, NULL, NULL};
    expect_twin(&rows, &lowest, 1); /* the sum is INT64_MIN itself */
    for (int i = 0; i < 4096; i++) values[i] = INT64_MAX;
    expect_twin(&rows, &lowest, 1);
}

static void nothing_left(void **state)
{
    static uint32_t groups[300];
    static int64_t values[300];
    static uint64_t none[5];
    int64_t sums[3] = {7, 7, 7};
    uint64_t counts[3] = {7, 7, 7};
    (void)state;
    struct engine_measure m = {values, none, 5,
                               9,      sums, counts}; /* a NULL isn't a value at the lower bound */
    struct engine_rows rows = {groups, 300, 3};
    struct engine_rows empty = {NULL, 0, 3};
    for (int e = 0; e < 2; e++) {
        assert_int_equal(engine_group_sums(engines[e], &rows, &m, 1), OK);
        for (int g = 0; g < 3; g++) assert_true(sums[g] == 0 && counts[g] == 0);
        m.values = NULL;
        memset(sums, 1, sizeof sums);
        assert_int_equal(engine_group_sums(engines[e], &empty, &m, 1), OK);
        for (int g = 0; g < 3; g++) assert_true(sums[g] == 0 && counts[g] == 0);
        assert_int_equal(engine_group_sums(engines[e], &empty, NULL, 0), OK);
        m.values = values;
    }
    for (int i = 0; i < 300; i++) groups[i] = i % 2 == 0 ? 3 : UINT32_MAX; /* every key outside the domain */
    m.valid = NULL;
    expect_twin(&rows, &m, 1);
}

static enum err call(uint64_t row_count, uint32_t group_count, int64_t lower, int64_t upper,
                     uint32_t measure_count)
{
    static uint32_t groups[4];
    static int64_t values[4];
    static int64_t sums[4];
    static uint64_t counts[4];
    static struct engine_measure measures[ENGINE_MEASURE_COUNT_MAX + 1];
    struct engine_rows rows = {groups, row_count, group_count};
    for (int i = 0; i <= ENGINE_MEASURE_COUNT_MAX; i++)
        measures[i] = (struct engine_measure){values, NULL, lower, upper, sums, counts};
    enum err cpu = engine_group_sums(engines[0], &rows, measures, measure_count);
    assert_int_equal(engine_group_sums(engines[1], &rows, measures, measure_count), cpu);
    return cpu;
}

/* Refused before a row is read: the row counts here are far beyond the arrays. */
static void refusals(void **state)
{
    (void)state;
    assert_int_equal(call(4, 4, -1, 1, ENGINE_MEASURE_COUNT_MAX), OK);
    assert_int_equal(call(4, 4, -1, 1, ENGINE_MEASURE_COUNT_MAX + 1), ERR_TOO_LARGE);
    assert_int_equal(call(ENGINE_ROW_COUNT_MAX + 1, 1, 0, 0, 1), ERR_TOO_LARGE);
    assert_int_equal(call(1, ENGINE_GROUP_COUNT_MAX + 1, 0, 0, 1), ERR_TOO_LARGE);
    assert_int_equal(call(1, 0, 0, 0, 1), ERR_RANGE);
    assert_int_equal(call(1, 1, 1, 0, 1), ERR_RANGE);
    assert_int_equal(call(2, 1, 0, INT64_MAX, 1), ERR_RANGE);
    assert_int_equal(call(2, 1, 0, INT64_MAX / 2, 1), OK);
    assert_int_equal(call(2, 1, 0, INT64_MAX / 2 + 1, 1), ERR_RANGE);
    assert_int_equal(call(2, 1, INT64_MIN / 2, 0, 1), OK);
    assert_int_equal(call(2, 1, INT64_MIN / 2 - 1, 0, 1), ERR_RANGE);
    assert_int_equal(call(3, 1, INT64_MIN, INT64_MIN, 1), ERR_RANGE);
    assert_int_equal(call(UINT32_MAX, 1, -(INT64_C(1) << 32), 0, 1), ERR_RANGE);
}

/* --- The check at open: each of these differs from the CPU somewhere, and none may pass. --------------- */

enum fault {
    FAULT_NONE,
    FAULT_LAST_ROW,
    FAULT_UPPER,
    FAULT_NULLS,
    FAULT_CARRY,
    FAULT_SILENT,
    FAULT_COUNT,
    FAULT_FAILS
};

static enum err faulty(void *device, const struct engine_rows *rows, const struct engine_measure *measures,
                       uint32_t measure_count)
{
    enum fault fault = *(const enum fault *)device;
    struct engine_rows seen = *rows;
    struct engine_measure seen_measures[ENGINE_MEASURE_COUNT_MAX];
    if (fault == FAULT_FAILS) return ERR_UNAVAILABLE;
    if (fault == FAULT_SILENT) return OK;
    memcpy(seen_measures, measures, measure_count * sizeof *measures);
    if (fault == FAULT_LAST_ROW && seen.row_count > 0) seen.row_count--;
    for (uint32_t i = 0; i < measure_count; i++) {
        if (fault == FAULT_UPPER && seen_measures[i].upper > seen_measures[i].lower) seen_measures[i].upper--;
        if (fault == FAULT_NULLS) seen_measures[i].valid = NULL;
    }
    TRY(group_sums_cpu(&seen, seen_measures, measure_count));
    for (uint32_t i = 0; i < measure_count; i++) {
        for (uint32_t g = 0; g < rows->group_count; g++) {
            if (fault == FAULT_CARRY) measures[i].sums[g] = (int32_t)measures[i].sums[g];
            if (fault == FAULT_COUNT) measures[i].counts[g] = rows->row_count / rows->group_count;
        }
    }
    return OK;
}

static void the_check_refuses_what_differs(void **state)
{
    enum fault fault = FAULT_NONE;
    (void)state;
    assert_int_equal(group_sums_check(faulty, &fault), OK);
    for (fault = FAULT_LAST_ROW; fault <= FAULT_COUNT; fault++)
        assert_int_equal(group_sums_check(faulty, &fault), ERR_CONFLICT);
    fault = FAULT_FAILS;
    assert_int_equal(group_sums_check(faulty, &fault), ERR_UNAVAILABLE);
}

static void names_and_reasons(void **state)
{
    (void)state;
    assert_int_equal(engine_backend(engines[0]), ENGINE_CPU);
    assert_string_equal(engine_name(engines[0]), "cpu");
    assert_string_equal(engine_why(engines[0]), "");
    assert_string_equal(engine_id(engines[0]),
                        engine_id(engines[1])); /* a run may fail over between backends */
    print_message("preferred CUDA, got \"%s\", why \"%s\"\n", engine_name(engines[1]),
                  engine_why(engines[1]));
    if (engine_backend(engines[1]) == ENGINE_CPU) {
        assert_string_equal(engine_name(engines[1]), "cpu");
        assert_true(engine_why(engines[1])[0] != '\0');
    } else {
        assert_memory_equal(engine_name(engines[1]), "cuda: ", 6);
        assert_string_equal(engine_why(engines[1]), "");
    }
}

static void bench_measures(void **state)
{
    struct bench_group_sums b;
    (void)state;
    assert_int_equal(bench_group_sums(&b, 200000, 32), OK);
    assert_true(b.cpu_seconds > 0 && b.cpu_read_seconds > 0);
    assert_int_equal(b.cuda, engine_backend(engines[1]) == ENGINE_CUDA);
    if (b.cuda) assert_true(b.cuda_seconds > 0 && b.cuda_kernel_seconds > 0 && b.cuda_copy_seconds > 0);
    assert_int_equal(bench_group_sums(&b, 0, 1), ERR_RANGE);
    assert_int_equal(bench_group_sums(&b, 1, 0), ERR_RANGE);
    assert_int_equal(bench_group_sums(&b, ENGINE_ROW_COUNT_MAX + 1, 1), ERR_RANGE);
    assert_int_equal(bench_group_sums(&b, 1, ENGINE_GROUP_COUNT_MAX + 1), ERR_RANGE);
}

static int open_engines(void **state)
{
    (void)state;
    return engine_open(&engines[0], ENGINE_CPU) == OK && engine_open(&engines[1], ENGINE_CUDA) == OK ? 0 : -1;
}

static int close_engines(void **state)
{
    (void)state;
    engine_close(engines[0]);
    engine_close(engines[1]);
    engine_close(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_tables),
        cmocka_unit_test(many_groups_and_many_rows),
        cmocka_unit_test(order_changes_nothing),
        cmocka_unit_test(ends_of_int64),
        cmocka_unit_test(nothing_left),
        cmocka_unit_test(refusals),
        cmocka_unit_test(the_check_refuses_what_differs),
        cmocka_unit_test(names_and_reasons),
        cmocka_unit_test(bench_measures),
    };
    return cmocka_run_group_tests(tests, open_engines, close_engines);
}
