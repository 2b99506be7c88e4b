/* gate_twin: the privacy gate against a naive twin on random workflows and random rows.
 * The twin shares no code with the gate: rows are structures, never SQL or CSV; values are integers of thousandths; it
 * sorts tuples where the gate sorts bytes, sums one row at a time and reads the document with strtoll. Only the noise
 * sampler is the product's (it has vectors of its own): the twin calls it per cell, as PROTOCOL.md says. */
#include "crypto/stream.h"
#include "gpu/noise.h"
#include "node/gate.h"
#include "tests/effort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ROUNDS = EFFORT(40),
    ROWS_MAX = 300,
    INPUTS_MAX = 3,
    TEXT = ROWS_MAX * 64,
    NULL_VALUE = INT32_MIN,
    TWIN_STATS_MAX = 4
};

struct person {
    int unit;      /* < 0: NULL */
    int sex, site; /* places in the domains; 3 is outside, < 0: NULL */
    int64_t x[2];  /* thousandths, or NULL_VALUE */
    bool kept;     /* the WHERE */
};

struct twin_statistic {
    bool sum;
    int column; /* 0, 1; -1: rows */
    int places;
    int64_t lower, upper;
    uint64_t epsilon_nano;
};

struct world {
    int input_count, row_count[INPUTS_MAX], owner[INPUTS_MAX];
    struct person row[INPUTS_MAX][ROWS_MAX];
    bool units, global, sexes, sites, header, none;
    int limit, statistic_count;
    struct twin_statistic statistic[TWIN_STATS_MAX];
};

static struct world world;
static uint64_t seed = UINT64_C(0x2545f4914f6cdd1d);

static int pick(int below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int)((seed >> 33) % (uint64_t)below);
}

/* --- Making a world ------------------------------------------------------------------------------------------------- */

static int64_t pick_value(void)
{
    static const int64_t special[] = {0, 500, -500, 5, -5, 1500, 149, 145, 99999999, -99999999};
    if (pick(6) == 0) return NULL_VALUE;
    return pick(3) == 0 ? special[pick(10)] : pick(40001) - 20000;
}

static void make_rows(void)
{
    for (int i = 0; i < world.input_count; i++) {
        int people = 1 + pick(60);
        world.row_count[i] = pick(ROWS_MAX);
        for (int r = 0; r < world.row_count[i]; r++)
            world.row[i][r] = (struct person){pick(20) == 0 ? -1 : pick(people),
                                              pick(5) - 1,
                                              pick(5) - 1,
                                              {pick_value(), pick_value()},
                                              pick(5) != 0};
    }
}

static void make_world(void)
{
    world.input_count = 1 + pick(INPUTS_MAX);
    for (int i = 0; i < world.input_count; i++) world.owner[i] = pick(2);
    world.units = pick(4) != 0;
    world.global = pick(2) == 0;
    world.sexes = pick(4) != 0;
    world.sites = pick(2) == 0;
    world.header = pick(2) == 0;
    world.none = pick(4) == 0;
    world.limit = world.units ? 1 + pick(4) : 1;
    world.statistic_count = 1 + pick(TWIN_STATS_MAX);
    for (int i = 0; i < world.statistic_count; i++) {
        struct twin_statistic *s = &world.statistic[i];
        *s = (struct twin_statistic){
            pick(2) == 0, pick(3) - 1, pick(4), 0, 0, world.none ? 0 : 1 + (uint64_t)pick(3000000)};
        s->epsilon_nano *= 1000; /* few digits, as people write them */
        if (s->sum && s->column < 0) s->column = 0;
        s->lower = pick(3000) - 2000;
        s->upper = s->lower + 1 + pick(5000);
    }
    make_rows();
}

/* --- The twin ------------------------------------------------------------------------------------------------------- */

/* What a row gives: cell, then for each statistic whether it has a value, and the bounded value. */
struct tuple {
    int input_scope, unit;
    int64_t part[1 + 2 * TWIN_STATS_MAX];
};

static struct tuple tuples[INPUTS_MAX * ROWS_MAX];
static int tuple_count;

/* Thousandths to 10^-places, half away from zero. */
static int64_t rounded(int64_t thousandths, int places)
{
    int64_t unit = 1;
    for (int i = places; i < 3; i++) unit *= 10;
    int64_t size = thousandths < 0 ? -thousandths : thousandths;
    size = (2 * size + unit) / (2 * unit);
    return thousandths < 0 ? -size : size;
}

static void give(const struct person *p, int scope)
{
    struct tuple t = {.input_scope = scope, .unit = p->unit};
    if (!p->kept || (world.units && p->unit < 0)) return;
    if (world.sexes) {
        if (p->sex < 0 || p->sex > 1) return;
        t.part[0] = p->sex;
    }
    if (world.sites) {
        if (p->site < 0 || p->site > 2) return;
        t.part[0] = t.part[0] * 3 + p->site;
    }
    for (int i = 0; i < world.statistic_count; i++) {
        const struct twin_statistic *s = &world.statistic[i];
        if (s->column >= 0 && p->x[s->column] == NULL_VALUE) continue;
        t.part[1 + 2 * i] = 1;
        if (!s->sum) continue;
        int64_t v = rounded(p->x[s->column], s->places);
        if (v < s->lower) v = s->lower;
        if (v > s->upper) v = s->upper;
        t.part[2 + 2 * i] = v;
    }
    tuples[tuple_count++] = t;
}

static int tuple_order(const void *left, const void *right)
{
    const struct tuple *a = left, *b = right;
    if (a->input_scope != b->input_scope) return a->input_scope < b->input_scope ? -1 : 1;
    if (a->unit != b->unit) return a->unit < b->unit ? -1 : 1;
    for (int i = 0; i < 1 + 2 * TWIN_STATS_MAX; i++)
        if (a->part[i] != b->part[i]) return a->part[i] < b->part[i] ? -1 : 1;
    return 0;
}

static int cell_count(void)
{
    return (world.sexes ? 2 : 1) * (world.sites ? 3 : 1);
}

static void twin_sums(int64_t sums[TWIN_STATS_MAX][6])
{
    int of_unit = 0;
    tuple_count = 0;
    memset(sums, 0, sizeof(int64_t[TWIN_STATS_MAX][6]));
    for (int i = 0; i < world.input_count; i++)
        for (int r = 0; r < world.row_count[i]; r++)
            give(&world.row[i][r], world.global ? 0 : world.owner[i]);
    qsort(tuples, (size_t)tuple_count, sizeof *tuples, tuple_order);
    for (int t = 0; t < tuple_count; t++) {
        const struct tuple *now = &tuples[t];
        bool same = t > 0 && now->input_scope == now[-1].input_scope && now->unit == now[-1].unit;
        of_unit = same ? of_unit + 1 : 1;
        if (world.units && of_unit > world.limit) continue;
        for (int i = 0; i < world.statistic_count; i++) {
            const struct twin_statistic *s = &world.statistic[i];
            if (now->part[1 + 2 * i] == 0) continue;
            sums[i][now->part[0]] += s->sum ? 2 * now->part[2 + 2 * i] - s->lower - s->upper : 1;
        }
    }
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
    return b == 0 ? a : divisor(b, a % b);
}

static void twin_noise(int64_t sums[TWIN_STATS_MAX][6], const uint8_t seed32[32])
{
    for (int i = 0; i < world.statistic_count; i++) {
        const struct twin_statistic *s = &world.statistic[i];
        uint64_t top =
            2 * (uint64_t)world.limit * (s->sum ? (uint64_t)(s->upper - s->lower) : 1) * 1000000000u;
        uint64_t common = divisor(top, s->epsilon_nano);
        for (int cell = 0; cell < cell_count(); cell++) {
            uint8_t key[32];
            struct stream stream;
            int64_t noise;
            noise_cell_key(key, seed32, 0, (uint32_t)i, (uint32_t)cell);
            stream_open(&stream, key);
            assert_int_equal(noise_laplace(&stream, &noise, top / common, s->epsilon_nano / common), OK);
            stream_close(&stream);
            sums[i][cell] += noise;
        }
    }
}

/* --- The gate on the same world ------------------------------------------------------------------------------------- */

static const char *const sex_names[] = {"f", "m", "z", "other"};
static const char *const site_names[] = {"1", "2", "3", "99"};

static void put_value(struct buffer *out, int64_t thousandths)
{
    buffer_put_u8(out, ',');
    if (thousandths == NULL_VALUE) return;
    if (thousandths < 0) buffer_put_u8(out, '-');
    int64_t size = thousandths < 0 ? -thousandths : thousandths;
    buffer_put_decimal(out, size / 1000);
    buffer_put_u8(out, '.');
    for (int64_t unit = 100; unit > 0; unit /= 10) buffer_put_u8(out, (uint8_t)('0' + size / unit % 10));
}

static void put_person(struct buffer *out, const struct person *p)
{
    buffer_put_text(out, p->unit < 0 ? "NA" : "p-");
    if (p->unit >= 0) buffer_put_decimal(out, p->unit);
    buffer_put_u8(out, ',');
    buffer_put_text(out, p->sex < 0 ? "NA" : sex_names[p->sex]);
    buffer_put_u8(out, ',');
    buffer_put_text(out, p->site < 0 ? "NA" : site_names[p->site]);
    put_value(out, p->x[0]);
    put_value(out, p->x[1]);
    buffer_put_text(out, p->kept ? ",true\n" : ",false\n");
}

static int write_rows(int input)
{
    static uint8_t text[TEXT];
    struct buffer out = BUFFER_OF(text);
    if (world.header) buffer_put_text(&out, "id,sex,site,x0,x1,keep\n");
    for (int r = 0; r < world.row_count[input]; r++) put_person(&out, &world.row[input][r]);
    assert_int_equal(buffer_done(&out), OK);
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, out.len), (ssize_t)out.len);
    return fd;
}

static void make_schema(struct schema *schema)
{
    static const char *const names[] = {"id", "sex", "site", "x0", "x1", "keep"};
    static const enum column_type types[] = {COLUMN_TEXT,    COLUMN_TEXT,    COLUMN_INTEGER,
                                             COLUMN_DECIMAL, COLUMN_DECIMAL, COLUMN_BOOLEAN};
    schema->column_count = 6;
    for (int i = 0; i < 6; i++) schema->column[i] = (struct column){span_text(names[i]), types[i]};
}

static void make_step(struct step *step)
{
    static const char *const names[] = {"s0", "s1", "s2", "s3"};
    *step =
        (struct step){.select = SPAN_LITERAL("SELECT id AS unit, sex, site, x0, x1 FROM input WHERE keep"),
                      .runtime = RUNTIME_SELECT,
                      .rows_per_unit = (uint32_t)world.limit,
                      .statistic_count = (uint32_t)world.statistic_count,
                      .cell_count = (uint32_t)cell_count()};
    if (world.sexes)
        step->group[step->group_count++] =
            (struct group_column){SPAN_LITERAL("sex"), 2, {SPAN_LITERAL("f"), SPAN_LITERAL("m")}};
    if (world.sites)
        step->group[step->group_count++] = (struct group_column){
            SPAN_LITERAL("site"), 3, {SPAN_LITERAL("1"), SPAN_LITERAL("2"), SPAN_LITERAL("3")}};
    for (int i = 0; i < world.statistic_count; i++) {
        const struct twin_statistic *s = &world.statistic[i];
        step->statistic[i] =
            (struct statistic){span_text(names[i]),
                               s->sum ? STATISTIC_SUM : STATISTIC_COUNT,
                               s->column < 0 ? SPAN_NONE : span_text(s->column == 0 ? "x0" : "x1"),
                               (uint32_t)s->places,
                               s->lower,
                               s->upper,
                               s->epsilon_nano};
    }
}

static void run_gate(struct buffer *out, const uint8_t seed32[32])
{
    static struct workflow w;
    static struct step step;
    static struct schema schema;
    struct gate_input input[INPUTS_MAX];
    int fd[INPUTS_MAX];
    char why[512];
    make_schema(&schema);
    make_step(&step);
    w = (struct workflow){.step = &step,
                          .step_count = 1,
                          .output = OUTPUT_AGGREGATE,
                          .output_bytes_max = 16384,
                          .scope = world.global ? SCOPE_GLOBAL : SCOPE_PER_OWNER,
                          .privacy_none = world.none,
                          .unit_column = world.units ? SPAN_LITERAL("unit") : SPAN_NONE,
                          .input_count = (uint32_t)world.input_count};
    struct gate g = {.workflow = &w, .input = input, .seed32 = seed32, .unit_bytes_max = UINT64_C(1) << 20};
    assert_int_equal(engine_open(&g.engine, ENGINE_CPU), OK);
    assert_int_equal(tables_open(&g.tables, 1 + (uint32_t)pick(4), UINT64_C(256) << 20, why, sizeof why), OK);
    for (int i = 0; i < world.input_count; i++) {
        w.input[i].owner.bytes[0] = (uint8_t)world.owner[i];
        fd[i] = write_rows(i);
        input[i] = (struct gate_input){&schema, world.units ? SPAN_LITERAL("id") : SPAN_NONE,
                                       (uint64_t)world.row_count[i]};
        struct tables_source source = {fd[i], TABLES_CSV, world.header, ',', SPAN_LITERAL("NA"), &schema};
        assert_int_equal(tables_add(g.tables, &source), OK);
    }
    assert_int_equal(tables_lock(g.tables, why, sizeof why), OK);
    enum err err = gate_check(&w, input, why, sizeof why);
    if (err != OK) print_message("%s\n", why);
    assert_int_equal(err, OK);
    assert_int_equal(gate_run(out, &g), OK);
    tables_close(g.tables);
    engine_close(g.engine);
    for (int i = 0; i < world.input_count; i++) (void)close(fd[i]);
}

/* The numbers of the document's cells, in order. */
static void read_values(int64_t got[TWIN_STATS_MAX][6], const char *document)
{
    const char *at = document;
    for (int cell = 0; cell < cell_count(); cell++) {
        at = strstr(at, "\"values\":[");
        assert_non_null(at);
        at += strlen("\"values\":[");
        for (int i = 0; i < world.statistic_count; i++) {
            char *end;
            got[i][cell] = strtoll(at, &end, 10);
            assert_true(end > at);
            at = end + 1;
        }
    }
    assert_null(strstr(at, "\"values\":["));
}

static void agrees(void)
{
    static uint8_t room[16384];
    struct buffer out = buffer_make(room, sizeof room - 1);
    int64_t want[TWIN_STATS_MAX][6], got[TWIN_STATS_MAX][6];
    uint8_t seed32[32];
    for (int i = 0; i < 32; i++) seed32[i] = (uint8_t)pick(256);
    twin_sums(want);
    if (!world.none) twin_noise(want, seed32);
    run_gate(&out, seed32);
    room[out.len] = 0;
    read_values(got, (const char *)room);
    for (int i = 0; i < world.statistic_count; i++)
        for (int cell = 0; cell < cell_count(); cell++) assert_int_equal(got[i][cell], want[i][cell]);
}

static void gate_and_twin_agree(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        make_world();
        agrees();
    }
}

int main(void)
{
    const struct duckdb *api;
    char why[512];
    if (duckdb_load(&api, why, sizeof why) != OK) {
        print_message("SKIPPED: %s\n", why);
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(gate_and_twin_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
