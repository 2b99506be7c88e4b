/* gate_sums over random tables of every type: the same integers as a plain recount of the same rows, from CSV and from Parquet,
 * with one thread and several, one input and several, with a condition and without, as rows and as units of one row each. */
#include "node/gate.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    COLUMNS = 6,
    GROUPS = 2,
    CELLS = 12,
    STATISTICS = 9,
    COUNTS = 3,
    INPUTS = 3,
    ROWS_MAX = 300000,
    LINE_BYTES = 128
};

#define UNIT_BYTES (UINT64_C(8) << 20)
#define LONG_TEXT  "a text of more than twelve bytes"

static char why[512];
static uint64_t seed = 0x853c49e6748fea9bu;

static uint32_t pick(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* --- Rows ----------------------------------------------------------------------------------------------------------- */

/* A NULL is a text of length 0, or has_* false. */
struct row {
    const char *g;
    bool has_flag, flag, has_a, has_x;
    int64_t a;
    double x;
};

static const char *const group_texts[] = {"f", "m", LONG_TEXT, LONG_TEXT "?", "q", "", "ff", "a text of mo"};
static const struct group_column by_text = {
    SPAN_STATIC("g"),
    4,
    {SPAN_STATIC("m"), SPAN_STATIC(LONG_TEXT), SPAN_STATIC("f"), SPAN_STATIC("a text of mo")}};
static const struct group_column by_flag = {
    SPAN_STATIC("h"), 3, {SPAN_STATIC("true"), SPAN_STATIC("nothing"), SPAN_STATIC("false")}};

static bool only_nulls;

/* `dull`: few different values and no NULL, as dictionaries and constants like it. */
static struct row make_row(bool dull)
{
    static const int64_t integers[] = {0, 1, -1, INT64_MAX, INT64_MIN, 127, -128, GRID_LIMIT};
    static const double reals[] = {0.05, -0.05, 1e308, -1e308, 0.145, 2.675, 1e15, -44.95};
    struct row r = {
        .g = group_texts[pick(dull ? 2 : 8)], .has_flag = dull || pick(5) > 0, .flag = pick(2) == 0};
    r.has_a = dull || pick(6) > 0;
    r.has_x = dull || pick(6) > 0;
    r.a = dull ? 7 : pick(4) == 0 ? integers[pick(8)] : (int64_t)pick(400) - 200;
    r.x = dull ? (double)pick(3) / 4 : pick(4) == 0 ? reals[pick(8)] : ((double)pick(40000) - 20000) / 64;
    if (dull && only_nulls) r = (struct row){.g = ""};
    if (!dull && pick(50) == 0) r.x = pick(2) == 0 ? NAN : INFINITY;
    return r;
}

static size_t put_row(char *at, uint32_t id, const struct row *r)
{
    size_t len = (size_t)snprintf(at, LINE_BYTES, "%u,%s,%s,", id, r->g,
                                  !r->has_flag ? ""
                                  : r->flag    ? "true"
                                               : "false");
    if (r->has_a) len += (size_t)snprintf(at + len, LINE_BYTES, "%lld", (long long)r->a);
    len += (size_t)snprintf(at + len, LINE_BYTES, ",");
    if (r->has_x) len += (size_t)snprintf(at + len, LINE_BYTES, "%.17g", r->x);
    return len + (size_t)snprintf(at + len, LINE_BYTES, ",2020-01-02\n");
}

/* --- The recount ---------------------------------------------------------------------------------------------------- */

/* $ stands for a condition or nothing. */
static const char select_text[] =
    "SELECT id AS u, g, flag AS h, a, x, flag AS b, CAST(a AS DECIMAL(18,1)) AS d, CAST(x AS FLOAT) AS r, "
    "CAST(a AS "
    "HUGEINT) AS w, CAST(a AS TINYINT) AS t, CAST(x AS DECIMAL(9,4)) AS p, dt FROM input";

static const struct statistic statistics[STATISTICS] = {
    {.name = SPAN_STATIC("rows"), .kind = STATISTIC_COUNT},
    {.name = SPAN_STATIC("texts"), .kind = STATISTIC_COUNT, .column = SPAN_STATIC("g")},
    {.name = SPAN_STATIC("reals"), .kind = STATISTIC_COUNT, .column = SPAN_STATIC("x")},
    {.name = SPAN_STATIC("xs"),
     .kind = STATISTIC_SUM,
     .column = SPAN_STATIC("x"),
     .places = 2,
     .lower = -9000,
     .upper = 20000},
    {.name = SPAN_STATIC("flags"), .kind = STATISTIC_SUM, .column = SPAN_STATIC("b"), .upper = 1},
    {.name = SPAN_STATIC("wide"),
     .kind = STATISTIC_SUM,
     .column = SPAN_STATIC("w"),
     .places = 3,
     .lower = -100000,
     .upper = 90000},
    {.name = SPAN_STATIC("tiny"),
     .kind = STATISTIC_SUM,
     .column = SPAN_STATIC("t"),
     .lower = -100,
     .upper = 100},
    {.name = SPAN_STATIC("floats"),
     .kind = STATISTIC_SUM,
     .column = SPAN_STATIC("r"),
     .places = 1,
     .lower = -1000,
     .upper = 3},
    {.name = SPAN_STATIC("as"),
     .kind = STATISTIC_SUM,
     .column = SPAN_STATIC("a"),
     .places = 1,
     .lower = -2000,
     .upper = 1990},
};

static uint32_t place_of(const struct group_column *group, const char *text)
{
    for (uint32_t i = 0; i < group->domain_count; i++)
        if (span_equal_text(group->domain[i], text)) return i;
    return TABLES_NO_CELL;
}

static uint32_t cell_of(const struct row *r)
{
    const uint32_t text = r->g[0] == 0 ? TABLES_NO_CELL : place_of(&by_text, r->g);
    const uint32_t flag = r->has_flag ? place_of(&by_flag, r->flag ? "true" : "false") : TABLES_NO_CELL;
    return text == TABLES_NO_CELL || flag == TABLES_NO_CELL ? TABLES_NO_CELL
                                                            : text * by_flag.domain_count + flag;
}

static bool value_of(int64_t *value, const struct row *r, uint32_t statistic)
{
    const uint32_t places = statistics[statistic].places;
    *value = 0;
    switch (statistic) {
    case 0:
    case 1: return true;
    case 2:
    case 3: return r->has_x && grid_from_double(value, r->x, places);
    case 4: *value = r->flag; return r->has_flag;
    case 7:
        return r->has_x && grid_from_double(value, (double)(float)r->x, places) &&
               (isinf(r->x) || fabs(r->x) < 3e38);
    case 6: *value = grid_from_decimal(r->a, 0, places); return r->has_a && r->a >= -128 && r->a <= 127;
    default: *value = grid_from_decimal(r->a, 0, places); return r->has_a;
    }
}

static void recount(grid_wide *sums, const struct row *r)
{
    const uint32_t cell = cell_of(r);
    if (cell == TABLES_NO_CELL) return;
    for (uint32_t i = 0; i < STATISTICS; i++) {
        const struct statistic *s = &statistics[i];
        int64_t value;
        if (!value_of(&value, r, i)) continue;
        value = value < s->lower ? s->lower : value > s->upper ? s->upper : value;
        sums[i * CELLS + cell] += s->kind == STATISTIC_COUNT ? 1 : 2 * value - (s->lower + s->upper);
    }
}

/* --- The gate ------------------------------------------------------------------------------------------------------- */

struct table {
    char csv[32], parquet[40];
    int fd;
    uint64_t row_count;
};

static const struct schema *schema(void)
{
    static struct schema s;
    static const char *const names[COLUMNS] = {"id", "g", "flag", "a", "x", "dt"};
    static const enum column_type types[COLUMNS] = {COLUMN_TEXT,    COLUMN_TEXT,    COLUMN_BOOLEAN,
                                                    COLUMN_INTEGER, COLUMN_DECIMAL, COLUMN_DATE};
    s.column_count = COLUMNS;
    for (uint32_t i = 0; i < COLUMNS; i++)
        s.column[i] = (struct column){.name = span_text(names[i]), .type = types[i]};
    return &s;
}

/* Rows into a CSV file, and what they add to the sums, with the condition a > 0 and without. */
static void make_table(struct table *t, uint32_t rows, bool dull, grid_wide *all, grid_wide *positive)
{
    static uint32_t id;
    char line[2 * LINE_BYTES];
    (void)snprintf(t->csv, sizeof t->csv, "/tmp/perigee-sums-XXXXXX");
    t->fd = mkstemp(t->csv);
    assert_true(t->fd >= 0);
    FILE *file = fdopen(dup(t->fd), "w");
    assert_non_null(file);
    assert_true(fputs("id,g,flag,a,x,dt\n", file) >= 0);
    for (uint32_t i = 0; i < rows; i++) {
        const struct row r = make_row(dull);
        assert_int_equal(fwrite(line, 1, put_row(line, id, &r), file) > 0, true);
        id++;
        recount(all, &r);
        if (r.has_a && r.a > 0) recount(positive, &r);
    }
    assert_int_equal(fclose(file), 0);
    t->row_count = rows;
}

static void make_parquet(struct table *t)
{
    struct duckdb_session s;
    char sql[1024];
    (void)snprintf(t->parquet, sizeof t->parquet, "%s.parquet", t->csv);
    (void)snprintf(
        sql, sizeof sql,
        "COPY (SELECT * FROM read_csv('%s', header=true, auto_detect=false, delim=',', columns={'id': "
        "'VARCHAR', "
        "'g': 'VARCHAR', 'flag': 'BOOLEAN', 'a': 'BIGINT', 'x': 'DOUBLE', 'dt': 'DATE'})) TO '%s' (FORMAT "
        "parquet, ROW_GROUP_SIZE 20000)",
        t->csv, t->parquet);
    assert_int_equal(duckdb_session_open(&s, 1, UINT64_C(512) << 20, why, sizeof why), OK);
    if (duckdb_session_run(&s, sql, why, sizeof why) != OK) fail_msg("%s", why);
    duckdb_session_close(&s);
    (void)close(t->fd);
    t->fd = open(t->parquet, O_RDONLY | O_CLOEXEC);
    assert_true(t->fd >= 0);
}

struct trial {
    struct table table[INPUTS];
    uint32_t input_count, threads;
    enum tables_format format;
    bool units, filtered, counts_only;
};

static enum err sums_of(grid_wide *sums, const struct trial *t)
{
    static struct workflow w;
    static struct step step;
    struct gate_input input[INPUTS];
    char sql[sizeof select_text + 32];
    (void)snprintf(sql, sizeof sql, "%s%s", select_text, t->filtered ? " WHERE a > 0" : "");
    step = (struct step){.select = span_text(sql),
                         .runtime = RUNTIME_SELECT,
                         .rows_per_unit = 1,
                         .group_count = GROUPS,
                         .cell_count = CELLS,
                         .statistic_count = t->counts_only ? COUNTS : STATISTICS};
    step.group[0] = by_text;
    step.group[1] = by_flag;
    memcpy(step.statistic, statistics, sizeof statistics);
    w = (struct workflow){
        .step = &step, .step_count = 1, .input_count = t->input_count, .privacy_none = true};
    w.output_bytes_max = 65536;
    if (t->units) w.unit_column = SPAN_LITERAL("u");
    struct gate g = {.workflow = &w, .input = input, .unit_bytes_max = UNIT_BYTES};
    assert_int_equal(tables_open(&g.tables, t->threads, UINT64_C(512) << 20, why, sizeof why), OK);
    for (uint32_t i = 0; i < t->input_count; i++) {
        const struct tables_source source = {t->table[i].fd, t->format, true, ',', SPAN_NONE, schema()};
        input[i] = (struct gate_input){.schema = schema(), .row_count = t->table[i].row_count};
        assert_int_equal(tables_add(g.tables, &source), OK);
    }
    if (tables_lock(g.tables, why, sizeof why) != OK) fail_msg("%s", why);
    if (gate_check(&w, input, why, sizeof why) != OK) fail_msg("%s", why);
    assert_int_equal(engine_open(&g.engine, ENGINE_CPU), OK);
    enum err err = gate_sums(sums, &g, 0);
    tables_close(g.tables);
    engine_close(g.engine);
    return err;
}

static void expect(const struct trial *t, const grid_wide *want)
{
    static grid_wide sums[STATISTICS * CELLS];
    assert_int_equal(sums_of(sums, t), OK);
    for (uint32_t i = 0; i < STATISTICS * CELLS; i++) {
        if (sums[i] != want[i])
            print_message(
                "statistic %u cell %u: %lld, not %lld (format %d, %u threads, units %d, filtered %d)\n",
                i / CELLS, i % CELLS, (long long)sums[i], (long long)want[i], t->format, t->threads, t->units,
                t->filtered);
        assert_true(sums[i] == want[i]);
    }
}

static void expect_all_ways(struct trial *t, const grid_wide *all, const grid_wide *positive)
{
    for (t->threads = 1; t->threads <= 3; t->threads += 2)
        for (int way = 0; way < 4; way++) {
            t->units = way / 2 != 0;
            t->filtered = way % 2 != 0;
            expect(t, t->filtered ? positive : all);
        }
}

static void trial(uint32_t input_count, const uint32_t rows[INPUTS], bool dull)
{
    grid_wide all[STATISTICS * CELLS] = {0}, positive[STATISTICS * CELLS] = {0};
    struct trial t = {.input_count = input_count, .format = TABLES_CSV};
    for (uint32_t i = 0; i < input_count; i++) make_table(&t.table[i], rows[i], dull, all, positive);
    expect_all_ways(&t, all, positive);
    t.format = TABLES_PARQUET;
    for (uint32_t i = 0; i < input_count; i++) make_parquet(&t.table[i]);
    expect_all_ways(&t, all, positive);
    for (uint32_t i = 0; i < input_count; i++) {
        (void)close(t.table[i].fd);
        (void)unlink(t.table[i].csv);
        (void)unlink(t.table[i].parquet);
    }
}

static void sums_are_those_of_a_recount(void **state)
{
    (void)state;
    trial(1, (uint32_t[]){30000, 0, 0}, false);
    trial(3, (uint32_t[]){3000, 0, 2049}, false);
}

static void so_are_those_of_no_row_and_of_dull_ones(void **state)
{
    (void)state;
    trial(1, (uint32_t[]){0, 0, 0}, false);
    trial(2, (uint32_t[]){1, 45000, 0}, true);
    only_nulls = true;
    trial(1, (uint32_t[]){3000, 0, 0}, true);
    only_nulls = false;
}

/* Whatever a manifest says its rows are, others are refused: also a number that would have no part of them read. */
static void a_wrong_number_of_rows_is_refused(void **state)
{
    /* The last one has 2^32 parts of rows of 22 bytes. */
    static const uint64_t wrong[] = {0, 4, 6, UINT64_C(1) << 45, UINT64_C(0xffffffff) * UNIT_BYTES / 22 + 1};
    grid_wide all[STATISTICS * CELLS] = {0}, positive[STATISTICS * CELLS] = {0}, sums[STATISTICS * CELLS];
    struct trial t = {.input_count = 1, .threads = 2, .format = TABLES_CSV, .counts_only = true};
    (void)state;
    make_table(&t.table[0], 5, true, all, positive);
    for (int way = 0; way < 4; way++) {
        t.units = way / 2 != 0;
        t.filtered = way % 2 != 0;
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            t.table[0].row_count = wrong[i];
            assert_int_equal(sums_of(sums, &t), ERR_REFUSED);
        }
        t.table[0].row_count = 5;
        assert_int_equal(sums_of(sums, &t), OK);
    }
    (void)close(t.table[0].fd);
    (void)unlink(t.table[0].csv);
}

int main(void)
{
    const struct duckdb *api;
    if (duckdb_load(&api, why, sizeof why) != OK) {
        print_message("SKIPPED: %s\n", why);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_a_recount),
        cmocka_unit_test(so_are_those_of_no_row_and_of_dull_ones),
        cmocka_unit_test(a_wrong_number_of_rows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
