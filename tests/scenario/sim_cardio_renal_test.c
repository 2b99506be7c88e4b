/* The shipped scenario, played by the production protocol: four runs settle though the elected node is lost, a hospital cut off and another
 * one crashed; every property holds; and one seed gives one run. */
#include "node/yaml_json.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 3 };

static char *scenario(void)
{
    json_t *value;
    char fault[512];
    assert_int_equal(yaml_json_load(&value, PERIGEE_SOURCE_DIR "/configs/scenarios/cardio-renal.yaml", fault,
                                    sizeof fault),
                     OK);
    char *text = yaml_json_canonical(value);
    json_decref(value);
    assert_non_null(text);
    return text;
}

static json_t *played(const char *text, uint64_t seed)
{
    char fault[512] = "";
    uint8_t *report;
    size_t len;
    const struct sim_wish wish = {.scenario = span_text(text), .seed = seed};
    assert_int_equal(sim_run(&report, &len, &wish, fault, sizeof fault), OK);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    free(report);
    assert_non_null(object);
    return object;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void all_runs_settle(void **state)
{
    (void)state;
    char *text = scenario();
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        json_t *report = played(text, seed);
        const json_t *runs = json_object_get(report, "runs");
        const char *violation = json_string_value(json_object_get(report, "violation"));
        if (violation != NULL) fail_msg("seed %u: %s", (unsigned)seed, violation);
        assert_int_equal(number(runs, "settled"), 4);
        assert_int_equal(number(runs, "ended"), 0);
        assert_true(number(report, "crashes") == 2 && number(report, "partitions") == 1);
        size_t i;
        const json_t *e;
        json_array_foreach(json_object_get(report, "exposure"), i, e)
            assert_true(number(e, "enclaves") >= 4); /* once for each run, and again after a failover */
        json_decref(report);
    }
    free(text);
}

static void one_seed_one_run(void **state)
{
    (void)state;
    char *text = scenario();
    json_t *first = played(text, 7), *again = played(text, 7), *other = played(text, 8);
    assert_true(json_equal(first, again));
    assert_string_not_equal(json_string_value(json_object_get(first, "hash")),
                            json_string_value(json_object_get(other, "hash")));
    json_decref(first);
    json_decref(again);
    json_decref(other);
    free(text);
}

/* Stopped, it tells of what was done so far. */
static bool stop_after(void *context, const struct sim_progress *progress)
{
    const uint64_t *most = context;
    assert_true(progress->runs == 4 && progress->runs_ended <= 4 && progress->virtual_ms_planned == 80000);
    return progress->events < *most;
}

static void a_stopped_one_tells(void **state)
{
    (void)state;
    char *text = scenario(), fault[512];
    uint64_t most = 1000;
    uint8_t *report;
    size_t len;
    const struct sim_wish wish = {
        .scenario = span_text(text), .seed = 1, .go_on = stop_after, .context = &most};
    assert_int_equal(sim_run(&report, &len, &wish, fault, sizeof fault), OK);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    assert_int_equal(number(object, "events"), most); /* it is asked after each */
    assert_true(json_is_true(json_object_get(object, "interrupted")));
    assert_true(number(json_object_get(object, "runs"), "settled") < 4);
    json_decref(object);
    free(report);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_runs_settle), cmocka_unit_test(one_seed_one_run),
                                       cmocka_unit_test(a_stopped_one_tells)};
    return cmocka_run_group_tests_name("sim_cardio_renal", tests, NULL, NULL);
}
