/* The text an approval signs the hash of: compared byte for byte with tests/unit/golden, since every changed byte
 * changes what owners sign; and the list of changes between two recipes. On a mismatch the new text is left in
 * NAME.actual in the current folder. */
#include "proto/workflow.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

static _Alignas(16) uint8_t memory[1 << 20];
static struct arena arena;
static uint8_t rendered[WORKFLOW_RENDER_BYTES_MAX + 1];

static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    arena = arena_make(memory, sizeof memory);
    return 0;
}

static struct workflow *parse(struct span bytes)
{
    struct workflow *w = NULL;
    struct json_fault fault;
    enum err err = workflow_parse(&w, &arena, bytes, &fault);
    if (err != OK) fail_msg("%s: %s: %s", err_name(err), fault.path, fault.expected);
    return w;
}

static const char *render(const struct workflow *w, struct dt own)
{
    struct buffer out = {rendered, 0, WORKFLOW_RENDER_BYTES_MAX, false};
    workflow_render(&out, w, own);
    assert_int_equal(buffer_done(&out), OK);
    rendered[out.len] = 0;
    return (const char *)rendered;
}

static const char *diff(const struct workflow *old, const struct workflow *w)
{
    struct buffer out = {rendered, 0, WORKFLOW_RENDER_BYTES_MAX, false};
    workflow_diff(&out, old, w);
    assert_int_equal(buffer_done(&out), OK);
    rendered[out.len] = 0;
    return (const char *)rendered;
}

static void write_actual(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s.actual", name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) return;
    (void)fputs(text, file);
    (void)fclose(file);
}

static void assert_golden(const char *name, const char *text)
{
    static char expected[1 << 16];
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/tests/unit/golden/%s", PERIGEE_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    size_t len = file == NULL ? 0 : fread(expected, 1, sizeof expected - 1, file);
    if (file != NULL) (void)fclose(file);
    expected[len] = 0;
    if (strcmp(expected, text) == 0) return;
    write_actual(name, text);
    fail_msg("%s differs; the new text is in %s.actual", name, name);
}

static void test_golden(void **state)
{
    (void)state;
    struct workflow *w = parse(span_text(sample_workflow));
    assert_golden("workflow_render.txt", render(w, w->input[1].dt));
}

static void test_golden_rows(void **state)
{
    (void)state;
    struct workflow *w = parse(span_text(sample_workflow_rows));
    assert_golden("workflow_render_rows.txt", render(w, (struct dt){{0}}));
}

static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void test_own_dataset(void **state)
{
    (void)state;
    struct workflow *w = parse(span_text(sample_workflow));
    struct dt stranger = {{1}};
    assert_true(contains(render(w, w->input[1].dt), "cleveland  <-- YOUR DATASET"));
    assert_true(contains(render(w, stranger), "YOUR DATASET IS NOT AMONG THEM"));
    assert_false(contains(render(w, (struct dt){{0}}), "YOUR DATASET"));
}

static void test_what_must_stand_out(void **state)
{
    (void)state;
    struct workflow *w = parse(span_text(sample_workflow));
    const char *text = render(w, (struct dt){{0}});
    assert_true(contains(text, "SIMULATED"));
    assert_false(contains(text, "PRIVACY: NONE"));
    assert_true(contains(text, "present at all 2 owners, up to epsilon 3."));
    assert_true(
        contains(text, "SELECT patient_id, age_band, sex, y AS positive, trestbps AS resting_bp FROM input"));
    assert_true(contains(text, "    $min_age: a whole number from 18 to 90\n"));
    assert_true(contains(text, "    $site: one of \"north\", \"south\"\n"));
    assert_true(contains(text, "80 to 200.5, rounded to 1 decimal place and taken relative to 140.25"));
    assert_true(contains(text, "bp_mean = 140.25 + bp_sum / n"));
    text = render(parse(span_text(sample_workflow_rows)), (struct dt){{0}});
    assert_true(contains(text, "PRIVACY: NONE"));
    assert_false(contains(text, "THE REQUESTER CHOOSES"));
    assert_true(contains(text, "THE ROWS THIS QUERY YIELDS ARE THE OUTPUT"));
    w = parse(sample_with(sample_workflow, "\"simulated\",\"tdx\"", "\"tdx\""));
    assert_false(contains(render(w, (struct dt){{0}}), "SIMULATED"));
}

static void test_diff_golden(void **state)
{
    (void)state;
    struct workflow *old = parse(span_text(sample_workflow));
    struct workflow *rows = parse(span_text(sample_workflow_rows));
    assert_golden("workflow_diff.txt", diff(old, rows));
}

static void test_diff_of_one_field(void **state)
{
    (void)state;
    static const struct {
        const char *find, *replace, *expected;
    } changes[] = {
        {"Blood pressure", "Pressure",
         "changed: description\n    was: Blood pressure by age\n    now: Pressure by age\n"},
        {"[\"EU\",\"CH\"]", "[\"EU\"]", "removed: may run in CH\n"},
        {"[\"EU\",\"CH\"]", "[\"EU\",\"CH\",\"US\"]", "added:   may run in US\n"},
        {"[\"EU\",\"CH\"]", "[\"CH\",\"EU\"]", "Only the order or the extra data changed.\n"},
        {"\"ticket\":17", "\"ticket\":18", "Only the order or the extra data changed.\n"},
        {"\"rows_per_unit\":2", "\"rows_per_unit\":3",
         "changed: step 1 rows used of each unit\n    was: 2\n    now: 3\n"},
        {"\"lower\":\"80\"", "\"lower\":\"70\"",
         "changed: step 1 result bp_sum\n    was: sum of resting_bp, limited to 80 to 200.5, decimal places "
         "1, epsilon "
         "0.75\n    now: sum of resting_bp, limited to 70 to 200.5, decimal places 1, epsilon 0.75\n"},
        {"\"upper\":90", "\"upper\":80",
         "changed: chosen for each run: min_age\n    was: a whole number from 18 to 90\n    now: a whole "
         "number "
         "from 18 to 80\n"},
        {"\"north\",\"south\"", "\"north\",\"west\"",
         "changed: chosen for each run: site\n    was: one of \"north\", \"south\"\n    now: one of "
         "\"north\", "
         "\"west\"\n"},
        {"\"gpu\":\"none\"", "\"gpu\":\"required\"",
         "changed: confidential GPU\n    was: not required\n    now: required\n"},
        {"[\"tdx\"]", "[\"simulated\",\"tdx\"]", "added:   SIMULATED evidence accepted\n"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        setup(NULL);
        bool weaker = i + 1 == sizeof changes / sizeof changes[0];
        struct workflow *old = weaker
                                   ? parse(sample_with(sample_workflow, "\"simulated\",\"tdx\"", "\"tdx\""))
                                   : parse(span_text(sample_workflow));
        struct workflow *changed =
            weaker ? parse(span_text(sample_workflow))
                   : parse(sample_with(sample_workflow, changes[i].find, changes[i].replace));
        assert_string_equal(diff(old, changed), changes[i].expected);
    }
}

static void test_diff_of_nothing(void **state)
{
    (void)state;
    struct workflow *w = parse(span_text(sample_workflow));
    assert_string_equal(diff(w, w), "Nothing changed.\n");
    assert_string_equal(diff(NULL, w), "No recipe was approved before this one.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_golden, setup),
        cmocka_unit_test_setup(test_golden_rows, setup),
        cmocka_unit_test_setup(test_own_dataset, setup),
        cmocka_unit_test_setup(test_what_must_stand_out, setup),
        cmocka_unit_test_setup(test_diff_golden, setup),
        cmocka_unit_test_setup(test_diff_of_one_field, setup),
        cmocka_unit_test_setup(test_diff_of_nothing, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
