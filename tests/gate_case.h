/* gate_case: a workflow of one step, inputs as CSV text, and the gate over them. For the tests of the gate. */
#ifndef PERIGEE_TESTS_GATE_CASE_H
#define PERIGEE_TESTS_GATE_CASE_H

#include "node/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct gate_case {
    struct workflow workflow;
    struct step step;
    struct schema schema;
    struct parameter parameter[2]; /* n: any whole number; t: f, m, u1 or % */
    struct parameter_choice choice;
    struct gate_input input[CAP_INPUTS];
    int fd[CAP_INPUTS];
    uint32_t threads;
    uint64_t unit_bytes_max;
    uint8_t seed32[32];
};

static inline void gate_case_column(struct gate_case *c, const char *name, enum column_type type)
{
    c->schema.column[c->schema.column_count].name = span_text(name);
    c->schema.column[c->schema.column_count++].type = type;
}

/* Columns id, g, a, x, flag, d; group g over {f, m}; statistics: rows, count of v, sum of v in [-10, 90] to one decimal
 * place, and the mean. C rows per unit. */
static inline void gate_case_init(struct gate_case *c, const char *select, const char *unit,
                                  uint32_t rows_per_unit)
{
    memset(c, 0, sizeof *c);
    gate_case_column(c, "id", COLUMN_TEXT);
    gate_case_column(c, "g", COLUMN_TEXT);
    gate_case_column(c, "a", COLUMN_INTEGER);
    gate_case_column(c, "x", COLUMN_DECIMAL);
    gate_case_column(c, "flag", COLUMN_BOOLEAN);
    gate_case_column(c, "d", COLUMN_DATE);
    struct step *s = &c->step;
    s->select = span_text(select);
    s->runtime = RUNTIME_SELECT;
    s->rows_per_unit = rows_per_unit;
    s->group_count = 1;
    s->group[0] = (struct group_column){SPAN_LITERAL("g"), 2, {SPAN_LITERAL("f"), SPAN_LITERAL("m")}};
    s->cell_count = 2;
    s->statistic_count = 3;
    s->statistic[0] =
        (struct statistic){.name = SPAN_LITERAL("rows"), .kind = STATISTIC_COUNT, .epsilon_nano = 250000000};
    s->statistic[1] = (struct statistic){.name = SPAN_LITERAL("n"),
                                         .kind = STATISTIC_COUNT,
                                         .column = SPAN_LITERAL("v"),
                                         .epsilon_nano = 250000000};
    s->statistic[2] = (struct statistic){.name = SPAN_LITERAL("total"),
                                         .kind = STATISTIC_SUM,
                                         .column = SPAN_LITERAL("v"),
                                         .places = 1,
                                         .lower = -100,
                                         .upper = 900,
                                         .epsilon_nano = 500000000};
    s->derived_count = 1;
    s->derived[0] = (struct derived){SPAN_LITERAL("mean"), SPAN_LITERAL("total"), SPAN_LITERAL("n")};
    c->parameter[0] = (struct parameter){
        .name = SPAN_LITERAL("n"), .type = PARAMETER_INTEGER, .lower = -JSON_INT_MAX, .upper = JSON_INT_MAX};
    c->parameter[1] = (struct parameter){
        .name = SPAN_LITERAL("t"),
        .type = PARAMETER_TEXT,
        .domain_count = 4,
        .domain = {SPAN_LITERAL("f"), SPAN_LITERAL("m"), SPAN_LITERAL("u1"), SPAN_LITERAL("%")}};
    c->workflow.parameters = (struct parameters){2, c->parameter};
    c->choice.of = &c->workflow.parameters;
    c->choice.value[1].text = c->parameter[1].domain[0];
    c->workflow.step = s;
    c->workflow.step_count = 1;
    c->workflow.output = OUTPUT_AGGREGATE;
    c->workflow.output_bytes_max = 8192;
    c->workflow.scope = SCOPE_PER_OWNER;
    c->workflow.unit_column = span_text(unit);
    c->workflow.epsilon_nano = 1000000000;
    c->threads = 1;
    c->unit_bytes_max = UINT64_C(64) << 20;
    memset(c->seed32, 7, sizeof c->seed32);
}

/* One more input; its lines follow a header line. Owner: any small number. */
static inline void gate_case_input(struct gate_case *c, uint8_t owner, const char *lines)
{
    static const char header[] = "id,g,a,x,flag,d\n";
    uint32_t i = c->workflow.input_count++;
    c->workflow.input[i].owner.bytes[0] = owner;
    c->input[i].schema = &c->schema;
    if (c->workflow.unit_column.len > 0) c->input[i].unit_column = SPAN_LITERAL("id");
    for (const char *at = lines; *at != 0; at++) c->input[i].row_count += *at == '\n';
    c->fd[i] = memfd_create("rows", MFD_CLOEXEC);
    assert_true(c->fd[i] >= 0);
    assert_int_equal(write(c->fd[i], header, strlen(header)), (ssize_t)strlen(header));
    assert_int_equal(write(c->fd[i], lines, strlen(lines)), (ssize_t)strlen(lines));
}

/* Forget the inputs. */
static inline void gate_case_clear(struct gate_case *c)
{
    for (uint32_t i = 0; i < c->workflow.input_count; i++) (void)close(c->fd[i]);
    memset(c->input, 0, sizeof c->input);
    c->workflow.input_count = 0;
}

static inline void gate_case_open(struct gate_case *c, struct gate *g)
{
    char why[512];
    struct engine *engine;
    *g = (struct gate){.workflow = &c->workflow,
                       .input = c->input,
                       .choice = &c->choice,
                       .seed32 = c->seed32,
                       .unit_bytes_max = c->unit_bytes_max};
    assert_int_equal(engine_open(&engine, ENGINE_CPU), OK);
    g->engine = engine;
    assert_int_equal(tables_open(&g->tables, c->threads, UINT64_C(256) << 20, why, sizeof why), OK);
    for (uint32_t i = 0; i < c->workflow.input_count; i++) {
        struct tables_source source = {c->fd[i], TABLES_CSV, true, ',', SPAN_LITERAL("?"), &c->schema};
        assert_int_equal(tables_add(g->tables, &source), OK);
    }
    assert_int_equal(tables_lock(g->tables, why, sizeof why), OK);
}

static inline void gate_case_close(struct gate *g)
{
    tables_close(g->tables);
    engine_close(g->engine);
}

static inline enum err gate_case_run(struct gate_case *c, struct buffer *out)
{
    struct gate g;
    gate_case_open(c, &g);
    enum err err = gate_run(out, &g);
    gate_case_close(&g);
    return err;
}

static inline enum err gate_case_sums(struct gate_case *c, grid_wide *sums)
{
    struct gate g;
    gate_case_open(c, &g);
    enum err err = gate_sums(sums, &g, 0);
    gate_case_close(&g);
    return err;
}

/* A test without DuckDB is skipped: say so and give ctest's number for it. */
static inline int gate_case_missing(void)
{
    const struct duckdb *api;
    char why[512];
    if (duckdb_load(&api, why, sizeof why) == OK) return 0;
    print_message("SKIPPED: %s\n", why);
    return 77;
}

#endif
