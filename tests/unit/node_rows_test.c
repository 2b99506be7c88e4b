/* Output rows through the gate: select over each input, sql over all, values as text, a length that says nothing, an order
 * that repeats itself, and what fails without saying why. */
#include "node/gate.h"
#include "node/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { OUTPUT_MAX = 65536, ARENA_BYTES = 40 * OUTPUT_MAX };

/* --- A workflow of output rows over a few inputs ---------------------------------------------------------------------- */

struct rows_case {
    struct workflow workflow;
    struct step step[2];
    struct schema schema[CAP_INPUTS];
    struct gate_input input[CAP_INPUTS];
    struct parameter parameter;
    struct parameter_choice choice;
    const char *csv[CAP_INPUTS];
    uint64_t rows_claimed; /* beyond those there are */
    uint64_t memory_bytes;
};

static void init(struct rows_case *c, enum op_runtime runtime, const char *select)
{
    memset(c, 0, sizeof *c);
    c->workflow.step = c->step;
    c->workflow.step_count = 1;
    c->workflow.output = OUTPUT_ROWS;
    c->workflow.output_bytes_max = 2048;
    c->workflow.privacy_none = true;
    c->step[0] = (struct step){.runtime = runtime, .select = span_text(select)};
    c->memory_bytes = UINT64_C(256) << 20;
    c->choice.of = &c->workflow.parameters;
}

/* A quoted newline ends no line; the last line need not end. */
static uint64_t lines_of(const char *csv)
{
    uint64_t lines = 0;
    bool quoted = false, begun = false;
    for (const char *at = csv; *at != 0; at++) {
        if (*at == '"') quoted = !quoted;
        begun = quoted || *at != '\n';
        lines += !begun;
    }
    return lines + begun;
}

/* Columns as "name" and a letter for each: t i d b D. */
static void add(struct rows_case *c, const char *name, const char *const *columns, const char *types,
                const char *csv)
{
    static const char letters[] = "tidbD";
    static const enum column_type type[] = {COLUMN_TEXT, COLUMN_INTEGER, COLUMN_DECIMAL, COLUMN_BOOLEAN,
                                            COLUMN_DATE};
    uint32_t i = c->workflow.input_count++;
    c->workflow.input[i].name = span_text(name);
    c->input[i].schema = &c->schema[i];
    c->schema[i].column_count = (uint32_t)strlen(types);
    for (uint32_t j = 0; types[j] != 0; j++)
        c->schema[i].column[j] =
            (struct column){span_text(columns[j]), type[strchr(letters, types[j]) - letters]};
    c->csv[i] = csv;
}

static int memfd_of(const char *text)
{
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static enum err run(struct rows_case *c, struct buffer *out)
{
    char why[512];
    int fd[CAP_INPUTS];
    struct gate g = {.workflow = &c->workflow,
                     .input = c->input,
                     .choice = &c->choice,
                     .unit_bytes_max = UINT64_C(1) << 20};
    assert_int_equal(tables_open(&g.tables, 1, c->memory_bytes, why, sizeof why), OK);
    for (uint32_t i = 0; i < c->workflow.input_count; i++) {
        fd[i] = memfd_of(c->csv[i]);
        c->input[i].row_count = lines_of(c->csv[i]) + c->rows_claimed;
        struct tables_source source = {fd[i], TABLES_CSV, false, ',', SPAN_LITERAL("?"), &c->schema[i]};
        assert_int_equal(tables_add(g.tables, &source), OK);
    }
    assert_int_equal(tables_lock(g.tables, why, sizeof why), OK);
    enum err err = gate_run(out, &g);
    tables_close(g.tables);
    for (uint32_t i = 0; i < c->workflow.input_count; i++) (void)close(fd[i]);
    return err;
}

/* The document in `text`, whose padding is checked and cut away. */
static const char *output_of(struct rows_case *c, char text[OUTPUT_MAX])
{
    char why[512];
    struct buffer out = {(uint8_t *)text, 0, OUTPUT_MAX, false};
    assert_int_equal(gate_check(&c->workflow, c->input, why, sizeof why), OK);
    assert_int_equal(run(c, &out), OK);
    assert_int_equal(out.len, c->workflow.output_bytes_max);
    void *memory = calloc(1, ARENA_BYTES);
    struct arena arena = arena_make(memory, ARENA_BYTES);
    const struct json *root;
    assert_int_equal(json_parse(&root, &arena, buffer_span(&out), NULL),
                     OK); /* canonical as all documents are */
    free(memory);
    text[out.len] = 0;
    char *pad = strstr(text, "\"pad\":\"") + 7, *end = strchr(pad, '"');
    assert_int_equal(strspn(pad, " "), end - pad);
    memmove(pad, end, strlen(end) + 1);
    return text;
}

static void expect(struct rows_case *c, const char *steps)
{
    char text[OUTPUT_MAX], expected[OUTPUT_MAX];
    (void)snprintf(
        expected, sizeof expected,
        "{\"compose\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"pad\":\"\","
        "\"perigee\":\"output/1\",\"privacy\":\"none\",\"steps\":[%s]}",
        steps);
    assert_string_equal(output_of(c, text), expected);
}

static void expect_public(struct rows_case *c, enum err expected, const char *word)
{
    char why[512], text[64];
    struct buffer out = BUFFER_OF(text);
    enum err err = gate_check(&c->workflow, c->input, why, sizeof why);
    if (err != expected || strstr(why, word) == NULL) print_message("%s: %s\n", err_name(err), why);
    assert_int_equal(err, expected);
    assert_non_null(strstr(why, word));
    assert_non_null(strstr(why, "allowed"));
    assert_int_equal(gate_run(&out, &(struct gate){.workflow = &c->workflow, .input = c->input}), expected);
}

static void expect_failure(struct rows_case *c)
{
    static char text[OUTPUT_MAX];
    char why[512];
    struct buffer out = BUFFER_OF(text);
    memset(text, 'x', sizeof text);
    assert_int_equal(gate_check(&c->workflow, c->input, why, sizeof why), OK);
    assert_int_equal(run(c, &out), ERR_REFUSED);
    assert_int_equal(out.len, 0);
    for (uint32_t i = 0; i < c->workflow.output_bytes_max; i++)
        assert_int_equal(text[i], 0); /* no row is left */
}

static const char *const people[] = {"id", "age", "x", "flag", "d"};

/* --- What comes out ------------------------------------------------------------------------------------------------------- */

static void select_appends_input_after_input(void **state)
{
    (void)state;
    struct rows_case c;
    init(&c, RUNTIME_SELECT, "SELECT id, age + 1 AS older, x, flag, d FROM input WHERE age > 3");
    add(&c, "b", people, "tidbD", "bea,40,0.1,true,2020-02-29\nlow,1,1,true,2020-01-01\n");
    add(&c, "a", people, "tidbD", "ann,?,1,false,\ncid,50,1e300,,1999-12-31\ncat,4,-0.0,?,\n");
    expect(&c,
           "{\"columns\":[{\"name\":\"id\",\"type\":\"VARCHAR\"},{\"name\":\"older\",\"type\":\"BIGINT\"},"
           "{\"name\":\"x\",\"type\":\"DOUBLE\"},{\"name\":\"flag\",\"type\":\"BOOLEAN\"},"
           "{\"name\":\"d\",\"type\":\"DATE\"}],"
           "\"rows\":[[\"bea\",\"41\",\"0.1\",\"true\",\"2020-02-29\"],"
           "[\"cid\",\"51\",\"1e+300\",null,\"1999-12-31\"],[\"cat\",\"5\",\"-0.0\",null,null]]}");
}

static void sql_joins_the_inputs(void **state)
{
    (void)state;
    static const char *const visits[] = {"id", "value"};
    struct rows_case c;
    init(&c, RUNTIME_SQL,
         "SELECT p.id, count(v.value) AS n, avg(v.value) AS mean, sum(p.age)::DECIMAL(6,2) AS a FROM people "
         "p LEFT JOIN "
         "\"visits.csv\" v ON p.id = v.id GROUP BY p.id HAVING max(p.age) < 90 ORDER BY n DESC, p.id");
    add(&c, "people", people, "tidbD", "ann,30,1,,\nbea,40,1,,\ncid,50,1,,\nold,90,1,,\n");
    add(&c, "visits.csv", visits, "td", "cid,1\nann,2\nann,4\nzoe,9\ncid,?\nold,3\n");
    expect(&c, "{\"columns\":[{\"name\":\"id\",\"type\":\"VARCHAR\"},{\"name\":\"n\",\"type\":\"BIGINT\"},"
               "{\"name\":\"mean\",\"type\":\"DOUBLE\"},{\"name\":\"a\",\"type\":\"DECIMAL\"}],"
               "\"rows\":[[\"ann\",\"2\",\"3.0\",\"60.00\"],[\"cid\",\"1\",\"1.0\",\"100.00\"],"
               "[\"bea\",\"0\",null,\"40.00\"]]}");
}

static void each_step_has_its_table(void **state)
{
    (void)state;
    struct rows_case c;
    init(&c, RUNTIME_SELECT, "SELECT id FROM input");
    add(&c, "people", people, "tidbD", "ann,30,1,,\n");
    c.step[1] =
        (struct step){.runtime = RUNTIME_SQL, .select = SPAN_LITERAL("SELECT count(*) AS n FROM people")};
    c.workflow.step_count = 2;
    expect(&c, "{\"columns\":[{\"name\":\"id\",\"type\":\"VARCHAR\"}],\"rows\":[[\"ann\"]]},"
               "{\"columns\":[{\"name\":\"n\",\"type\":\"BIGINT\"}],\"rows\":[[\"1\"]]}");
    c.csv[0] = "";
    expect(&c, "{\"columns\":[{\"name\":\"id\",\"type\":\"VARCHAR\"}],\"rows\":[]},"
               "{\"columns\":[{\"name\":\"n\",\"type\":\"BIGINT\"}],\"rows\":[[\"0\"]]}");
}

static void values_are_text_without_controls(void **state)
{
    (void)state;
    static const char *const names[] = {"t"};
    struct rows_case c;
    init(&c, RUNTIME_SELECT, "SELECT t FROM input");
    add(&c, "a", names, "t",
        "a\tb\x01\x7f\n\"q\"\"\\ \"\n\xc3\xa9\xf0\x9f\x98\x80\nC1 \xc2\x85 "
        "end\n\xef\xbf\xbe\n\"two\nlines\"\n?\n");
    expect(&c, "{\"columns\":[{\"name\":\"t\",\"type\":\"VARCHAR\"}],\"rows\":[[\"a\xef\xbf\xbd"
               "b\xef\xbf\xbd\xef\xbf\xbd\"],[\"q\\\"\\\\ \"],[\"\xc3\xa9\xf0\x9f\x98\x80\"],[\"C1 "
               "\xef\xbf\xbd end\"],"
               "[\"\xef\xbf\xbe\"],[\"two\xef\xbf\xbdlines\"],[null]]}");
}

static void floats_are_the_shortest_text(void **state)
{
    (void)state;
    static const char *const names[] = {"x"};
    struct rows_case c;
    init(&c, RUNTIME_SQL,
         "SELECT x, CAST(x AS FLOAT) AS f, x / 0 AS i, sum(x) OVER (ORDER BY x) AS s FROM a ORDER BY x");
    add(&c, "a", names, "d", "0.1\n0.2\n0.3\nnan\n");
    expect(&c, "{\"columns\":[{\"name\":\"x\",\"type\":\"DOUBLE\"},{\"name\":\"f\",\"type\":\"FLOAT\"},"
               "{\"name\":\"i\",\"type\":\"DOUBLE\"},{\"name\":\"s\",\"type\":\"DOUBLE\"}],\"rows\":["
               "[\"0.1\",\"0.1\",\"inf\",\"0.1\"],[\"0.2\",\"0.2\",\"inf\",\"0.30000000000000004\"],"
               "[\"0.3\",\"0.3\",\"inf\",\"0.6000000000000001\"],[\"nan\",\"nan\",\"nan\",\"nan\"]]}");
}

static void a_parameter_is_the_runs(void **state)
{
    (void)state;
    struct rows_case c;
    init(&c, RUNTIME_SQL, "SELECT id, $least AS least FROM people WHERE age >= $least");
    add(&c, "people", people, "tidbD", "ann,30,1,,\nbea,40,1,,\n");
    c.parameter =
        (struct parameter){.name = SPAN_LITERAL("least"), .type = PARAMETER_INTEGER, .lower = 0, .upper = 90};
    c.workflow.parameters = (struct parameters){1, &c.parameter};
    c.choice.value[0].integer = 35;
    expect(&c,
           "{\"columns\":[{\"name\":\"id\",\"type\":\"VARCHAR\"},{\"name\":\"least\",\"type\":\"BIGINT\"}],"
           "\"rows\":[[\"bea\",\"35\"]]}");
    c.choice.value[0].integer = 41;
    c.step[0] = (struct step){.runtime = RUNTIME_SELECT,
                              .select = SPAN_LITERAL("SELECT id FROM input WHERE age < $least")};
    expect(&c, "{\"columns\":[{\"name\":\"id\",\"type\":\"VARCHAR\"}],\"rows\":[[\"ann\"],[\"bea\"]]}");
}

/* --- What shows of the rows: nothing but themselves ----------------------------------------------------------------------- */

static void the_length_says_nothing(void **state)
{
    (void)state;
    static char text[OUTPUT_MAX];
    static const char *const csv[] = {"", "ann,30,1,,\n", "ann,30,1,,\nbea,40,1,,\ncid,50,,,\n"};
    struct rows_case c;
    init(&c, RUNTIME_SELECT, "SELECT id, x FROM input");
    add(&c, "people", people, "tidbD", "");
    for (size_t i = 0; i < 3; i++) {
        c.csv[0] = csv[i];
        c.workflow.output_bytes_max = 1000; /* of no class */
        struct buffer out = BUFFER_OF(text);
        assert_int_equal(run(&c, &out), OK);
        assert_int_equal(out.len, 1000);
    }
}

/* The last row that fits fits to the byte; one byte more is a failure, which says what every failure says. */
static void too_many_rows_fail(void **state)
{
    (void)state;
    static char csv[8192], text[OUTPUT_MAX];
    struct rows_case c;
    size_t len = 0;
    init(&c, RUNTIME_SELECT, "SELECT id FROM input");
    add(&c, "people", people, "tidbD", csv);
    for (int i = 0; i < 100; i++) len += (size_t)snprintf(csv + len, sizeof csv - len, "%04d,1,1,,\n", i);
    size_t needed = strlen(output_of(&c, text));
    c.workflow.output_bytes_max = (uint32_t)needed;
    assert_int_equal(strlen(output_of(&c, text)), needed);
    c.workflow.output_bytes_max--;
    expect_failure(&c);
    c.workflow.output_bytes_max++;
    (void)snprintf(csv + len, sizeof csv - len, "x,1,1,,\n");
    expect_failure(&c);
    init(&c, RUNTIME_SQL,
         "SELECT a.id FROM people a, people b, people c"); /* ends at the first row too many */
    add(&c, "people", people, "tidbD", csv);
    expect_failure(&c);
}

/* Rows that are not as many as the manifest says, and a field that no SELECT reads. */
static void what_the_gate_checks_is_checked(void **state)
{
    (void)state;
    static char text[OUTPUT_MAX];
    struct rows_case c;
    init(&c, RUNTIME_SELECT, "SELECT id FROM input");
    add(&c, "people", people, "tidbD", "ann,30,1,,\nbea,40,1,,\n");
    (void)output_of(&c, text);
    c.rows_claimed = 1;
    expect_failure(&c);
    c.rows_claimed = 0;
    c.csv[0] = "ann,30,1,,\nbea,old,1,,\n";
    expect_failure(&c);
}

static void what_rows_do_fails_alike(void **state)
{
    (void)state;
    static const char *const failing[] = {
        "SELECT sqrt(x * -1) AS v FROM people",
        "SELECT age * age * age * age AS v FROM people",
        "SELECT (SELECT id FROM people) AS v FROM people", /* more than one */
        "SELECT regexp_matches(id, id) AS v FROM people",
    };
    struct rows_case c;
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
        init(&c, RUNTIME_SQL, failing[i]);
        add(&c, "people", people, "tidbD", "ann,30,1,,\n(,9223372036854775807,4,,\n");
        expect_failure(&c);
    }
}

static void what_is_public_is_said(void **state)
{
    (void)state;
    struct rows_case c;
    init(&c, RUNTIME_SQL, "SELECT id FROM people JOIN others USING (id)");
    add(&c, "people", people, "tidbD", "");
    expect_public(&c, ERR_SQL,
                  "found the table 'others'"); /* a run may have fewer inputs than its workflow */
    c.step[0].select = SPAN_LITERAL("SELECT id FROM read_csv('x')");
    expect_public(&c, ERR_SQL, "TABLE_FUNCTION");
    c.step[0] =
        (struct step){.runtime = RUNTIME_SELECT, .select = SPAN_LITERAL("SELECT count(*) AS n FROM input")};
    expect_public(&c, ERR_SQL, "count_star");
    c.step[0].select = SPAN_LITERAL("SELECT id, age AS v FROM input");
    c.workflow.output_bytes_max = 210;
    expect_public(&c, ERR_TOO_LARGE, "max_bytes");
    c.workflow.output_bytes_max = 2048;
    add(&c, "more", people, "tddbD", "");
    expect_public(&c, ERR_SQL, "found the output 'v' of type DOUBLE for input more; allowed: BIGINT");
    c.workflow.privacy_none = false;
    char why[200];
    assert_int_equal(gate_check(&c.workflow, c.input, why, sizeof why), ERR_POLICY);
}

/* --- Again ---------------------------------------------------------------------------------------------------------------- */

/* Many rows, more than DuckDB handles at once, in no order of their own. */
static void make_many(char *csv, size_t cap)
{
    size_t len = 0;
    uint32_t draw = 1;
    for (int i = 0; i < 20000; i++) {
        draw = draw * 1664525 + 1013904223;
        len += (size_t)snprintf(csv + len, cap - len, "p%u,%u,%u.%u,,\n", draw >> 20, draw >> 25, draw >> 18,
                                draw >> 28);
    }
}

/* Same bytes from run to run, whatever memory the machine grants: hash tables, joins, windows, ties, sums of floats. */
static void runs_repeat_themselves(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "SELECT id, count(*) AS n, sum(x) AS s, avg(x) AS m FROM people GROUP BY id LIMIT 700",
        "SELECT a.id, sum(a.x * b.x) AS s, first(b.age) AS f FROM people a JOIN people b ON a.id = b.id "
        "GROUP BY a.id LIMIT "
        "700",
        "SELECT id, row_number() OVER (PARTITION BY age) AS r, sum(x) OVER (PARTITION BY age ORDER BY id) AS "
        "s FROM people "
        "LIMIT 700",
        "SELECT DISTINCT id FROM people LIMIT 900",
        "SELECT age, string_agg(id, ',') AS ids FROM (SELECT age, id FROM people LIMIT 3000) GROUP BY age "
        "ORDER BY count(*) "
        "DESC",
        "(SELECT id FROM people EXCEPT SELECT id FROM people WHERE age > 60) LIMIT 900",
        "SELECT id, x FROM people ORDER BY age LIMIT 900", /* ties */
        "SELECT id FROM people WHERE x > (SELECT median(x) FROM people) LIMIT 900",
    };
    static char text[2][OUTPUT_MAX];
    const size_t cap = 1 << 20;
    char *csv = malloc(cap);
    make_many(csv, cap);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct rows_case c;
        init(&c, RUNTIME_SQL, queries[i]);
        c.workflow.output_bytes_max = OUTPUT_MAX - 1;
        add(&c, "people", people, "tidbD", csv);
        (void)output_of(&c, text[0]);
        assert_true(strlen(text[0]) > 5000);
        c.memory_bytes = UINT64_C(3) << 30;
        assert_string_equal(output_of(&c, text[1]), text[0]);
        c.memory_bytes = UINT64_C(96) << 20;
        assert_string_equal(output_of(&c, text[1]), text[0]);
    }
    free(csv);
}

/* An ORDER BY holds over more rows than one chunk has. */
static void order_by_holds(void **state)
{
    (void)state;
    static char text[OUTPUT_MAX];
    char *csv = malloc(1 << 20), before[16] = "";
    make_many(csv, 1 << 20);
    struct rows_case c;
    init(&c, RUNTIME_SQL, "SELECT DISTINCT id FROM people ORDER BY id");
    c.workflow.output_bytes_max = OUTPUT_MAX - 1;
    add(&c, "people", people, "tidbD", csv);
    uint32_t count = 0;
    for (const char *at = strstr(output_of(&c, text), "\"rows\":"); (at = strstr(at, "[\"p")) != NULL;
         count++) {
        char id[16] = "";
        size_t len = strcspn(at + 2, "\"");
        assert_true(len < sizeof id);
        memcpy(id, at + 2, len);
        assert_true(strcmp(before, id) < 0);
        memcpy(before, id, sizeof id);
        at += 3;
    }
    assert_true(count > 3000);
    free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_appends_input_after_input),
        cmocka_unit_test(sql_joins_the_inputs),
        cmocka_unit_test(each_step_has_its_table),
        cmocka_unit_test(values_are_text_without_controls),
        cmocka_unit_test(floats_are_the_shortest_text),
        cmocka_unit_test(a_parameter_is_the_runs),
        cmocka_unit_test(the_length_says_nothing),
        cmocka_unit_test(too_many_rows_fail),
        cmocka_unit_test(what_the_gate_checks_is_checked),
        cmocka_unit_test(what_rows_do_fails_alike),
        cmocka_unit_test(what_is_public_is_said),
        cmocka_unit_test(runs_repeat_themselves),
        cmocka_unit_test(order_by_holds),
    };
    const struct duckdb *api;
    char why[512];
    if (duckdb_load(&api, why, sizeof why) != OK) {
        print_message("SKIPPED: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
