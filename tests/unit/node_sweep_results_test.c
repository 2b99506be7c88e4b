/* Lines of cells become tables: in the cells' order whatever order they come in, CSV as RFC 4180 has it, medians over seeds. */
#include "node/sweep_results.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put(struct sweep_results *r, uint64_t cell, const char *values, const char *report)
{
    uint8_t line[4096];
    json_t *read = json_loads(report, 0, NULL);
    assert_non_null(read);
    const size_t len = sweep_results_line(line, sizeof line, cell, 40 + cell, span_text(values), read);
    json_decref(read);
    assert_int_not_equal(len, 0);
    read = sweep_results_put(r, span_make(line, len));
    assert_non_null(read);
    json_decref(read);
    assert_null(sweep_results_put(r, span_make(line, len))); /* once */
}

#define RAN(settled, median, messages, more)                                                                 \
    "{\"bytes\":9,\"delivery\":{\"count\":0,\"p99_us\":7},\"hash\":\"ab\",\"messages\":" messages            \
    ",\"runs\":{\"requested\":2,\"settle_median_ms\":" median ",\"settled\":" settled                        \
    "},\"virtual_ms\":5" more "}"

static struct sweep_results six(void)
{
    struct sweep_results r;
    assert_int_equal(sweep_results_new(&r, 6), OK);
    put(&r, 5, "{\"a\":\"x,\\\"y\\\"\",\"b\":true}", RAN("2", "50", "8", ""));
    put(&r, 4, "{\"a\":\"x,\\\"y\\\"\",\"b\":true}",
        RAN("2", "10", "6", ",\"violation\":\"live: late, or never\""));
    put(&r, 6, "{\"a\":\"x,\\\"y\\\"\",\"b\":true}", RAN("0", "0", "7", ",\"violation\":\"live: no\""));
    put(&r, 1, "{\"a\":3,\"b\":true}", RAN("0", "0", "1", ""));
    put(&r, 3, "{\"a\":3,\"b\":true}", RAN("0", "0", "3", ""));
    put(&r, 2, "{\"a\":3,\"b\":true}", RAN("0", "0", "2", ""));
    assert_int_equal(r.done, 6);
    assert_int_equal(r.violations, 2);
    assert_int_equal(r.violation_first, 4);
    assert_int_equal(r.virtual_ms, 30);
    return r;
}

static char *written(const struct sweep_results *r, enum err (*write)(const struct sweep_results *, FILE *))
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_int_equal(write(r, out), OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

static enum err csv_of(const struct sweep_results *r, FILE *out)
{
    return sweep_results_csv(r, out, sim_csv);
}

static void tables(void **state)
{
    struct sweep_results r = six();
    char *csv = written(&r, csv_of), *lines = written(&r, sweep_results_lines);
    static const char *const rows[] = {
        "cell,a,b,seed,requested,settled,ended,settle_least_ms,settle_median_ms,",
        "1,3,true,41,2,0,,,,,1,9,0,,,,,,,,,,,5,,,ab,\r\n", "\r\n2,3,true,42,", "\r\n3,3,true,43,",
        "\r\n4,\"x,\"\"y\"\"\",true,44,2,2,,,10,,6,9,0,,,,,,,,,,,5,,,ab,\"live: late, or never\"\r\n5,"};
    (void)state;
    const char *at = csv;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *row = strstr(at, rows[i]);
        if (row == NULL) fail_msg("no \"%s\" in its place in:\n%s", rows[i], csv);
        at = row + 1;
    }
    assert_ptr_equal(
        strstr(lines,
               "{\"bytes\":9,\"cell\":1,\"deliveries\":0,\"hash\":\"ab\",\"messages\":1,\"requested\":2,"
               "\"seed\":41,\"settled\":0,\"values\":{\"a\":3,\"b\":true},\"virtual_ms\":5}\n"),
        lines);
    assert_null(strstr(lines, "p99"));
    free(csv);
    free(lines);
    sweep_results_free(&r);
}

struct rows {
    uint32_t count;
    struct sweep_results_point row[2];
    char words[2][64];
};

static void show(void *context, const struct sweep_results_point *point)
{
    struct rows *rows = context;
    assert_true(rows->count < 2);
    sweep_results_words(rows->words[rows->count], sizeof rows->words[0], point->values);
    rows->row[rows->count++] = *point;
}

static void medians(void **state)
{
    struct sweep_results r = six();
    struct rows rows = {0};
    (void)state;
    assert_int_equal(sweep_results_points(&r, 3, show, &rows), OK);
    assert_int_equal(rows.count, 2);
    assert_string_equal(rows.words[0], "a 3, b true");
    assert_string_equal(rows.words[1], "a x,\"y\", b true");
    assert_int_equal(rows.row[0].cells, 3);
    assert_int_equal(rows.row[0].settle_ms, -1); /* nothing settled */
    assert_int_equal(rows.row[0].messages, 2);
    assert_int_equal(rows.row[0].violations, 0);
    assert_int_equal(rows.row[1].settle_ms, 10); /* the lower one of two */
    assert_int_equal(rows.row[1].messages, 7);
    assert_int_equal(rows.row[1].bytes, 9);
    assert_int_equal(rows.row[1].delivery_p99_us, -1);
    assert_int_equal(rows.row[1].violations, 2);
    sweep_results_free(&r);
}

static void what_is_no_line(void **state)
{
    struct sweep_results r;
    static const char *const wrong[] = {"",
                                        "{",
                                        "[]",
                                        "{}",
                                        "{\"cell\":0}",
                                        "{\"cell\":3}",
                                        "{\"cell\":\"1\"}",
                                        "{\"cell\":1,\"values\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,"
                                        "\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,"
                                        "\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1}}"};
    uint8_t line[64];
    json_t *report =
        json_loads("{\"violation\":\"one that is longer than there is room for in the line\"}", 0, NULL);
    (void)state;
    assert_int_equal(sweep_results_new(&r, 2), OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_null(sweep_results_put(&r, span_text(wrong[i])));
    assert_int_equal(r.done, 0);
    assert_int_equal(sweep_results_line(line, sizeof line, 1, 1, span_text("{}"), report), 0);
    json_decref(report);
    sweep_results_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables), cmocka_unit_test(medians),
                                       cmocka_unit_test(what_is_no_line)};
    return cmocka_run_group_tests_name("node_sweep_results", tests, NULL, NULL);
}
