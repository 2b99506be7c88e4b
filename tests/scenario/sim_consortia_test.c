/* A dozen consortia of what is shipped as a continent of five hundred, or five thousand: all runs settle, all hold the same in each, one seed is one run, and
 * what befalls one of them is not seen in another. */
#include "node/yaml_json.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DOZEN = 12, NODES = 20, OWNERS = 4 };

/* Twelve of them, and of the faults those that come to each, or to one of the twelve. */
static json_t *dozen(const char *name)
{
    json_t *value;
    char path[512], fault[512] = "";
    (void)snprintf(path, sizeof path, PERIGEE_SOURCE_DIR "/configs/scenarios/%s.yaml", name);
    if (yaml_json_load(&value, path, fault, sizeof fault) != OK) fail_msg("%s", fault);
    assert_true(json_integer_value(json_object_get(value, "consortia")) >= 500);
    assert_int_equal(json_object_set_new(value, "consortia", json_integer(DOZEN)), 0);
    return value;
}

/* Takes the scenario. */
static json_t *outcome(json_t *value)
{
    char fault[512] = "";
    uint8_t *report;
    size_t len;
    char *text = yaml_json_canonical(value);
    json_decref(value);
    const struct sim_wish wish = {.scenario = span_text(text), .seed = 1, .outputs = SIM_DETAIL};
    if (sim_run(&report, &len, &wish, fault, sizeof fault) != OK) fail_msg("%s", fault);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    free(report);
    free(text);
    assert_non_null(object);
    const char *violation = json_string_value(json_object_get(object, "violation"));
    if (violation != NULL) fail_msg("%s", violation);
    return object;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *word(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* By what stands behind the @ of a name, from 1. */
static long consortium_of(const char *name)
{
    const char *at = strrchr(name, '@');
    assert_non_null(at);
    return strtol(at + 1, NULL, 10);
}

static void a_dozen_settle(void **state)
{
    size_t i;
    const json_t *row;
    uint32_t crashes[DOZEN + 1] = {0};
    (void)state;
    json_t *report = outcome(dozen("continental-10k"));
    assert_int_equal(number(report, "consortia"), DOZEN);
    assert_int_equal(number(json_object_get(report, "runs"), "settled"), DOZEN);
    assert_int_equal(number(json_object_get(report, "runs"), "ended"), 0);
    assert_int_equal(json_array_size(json_object_get(report, "nodes")), DOZEN * NODES);
    assert_int_equal(json_array_size(json_object_get(report, "exposure")), DOZEN * OWNERS);
    assert_int_equal(json_array_size(json_object_get(report, "timeline")), DOZEN);
    json_array_foreach(json_object_get(report, "timeline"), i, row)
    {
        assert_int_equal(number(row, "run"), i + 1);
        assert_string_equal(word(row, "state"), "settled");
        assert_int_equal(consortium_of(word(row, "node")), i + 1);
    }
    json_array_foreach(json_object_get(report, "readers"), i, row)
        assert_int_equal(consortium_of(word(row, "party")), consortium_of(word(row, "owner")));
    json_array_foreach(json_object_get(report, "nodes"), i, row) crashes[consortium_of(word(row, "node"))] +=
        (uint32_t)number(row, "crashes");
    for (uint32_t c = 1; c <= DOZEN; c++) assert_int_equal(crashes[c], c == 3 || c == 7);
    json_t *again = outcome(dozen("continental-10k"));
    assert_true(json_equal(report, again));
    json_decref(report);
    json_decref(again);
}

/* What each node did, but for those of the two that are spared. */
static void one_is_spared(void **state)
{
    size_t i;
    uint32_t unlike[2] = {0, 0};
    json_t *scenario = dozen("continental-10k"), *faults = json_object_get(scenario, "faults");
    (void)state;
    json_t *report = outcome(json_deep_copy(scenario));
    for (i = json_array_size(faults); i-- > 0;)
        if (json_object_get(json_array_get(faults, i), "consortium") != NULL)
            assert_int_equal(json_array_remove(faults, i), 0);
    json_t *spared = outcome(scenario);
    assert_int_equal(number(spared, "crashes"), 0);
    assert_int_equal(number(report, "crashes"), 2);
    for (i = 0; i < DOZEN * NODES; i++) {
        const json_t *a = json_array_get(json_object_get(report, "nodes"), i),
                     *b = json_array_get(json_object_get(spared, "nodes"), i);
        const long c = consortium_of(word(a, "node"));
        if (c != 3 && c != 7)
            assert_true(json_equal(a, b));
        else
            unlike[c == 7] += !json_equal(a, b);
    }
    assert_true(unlike[0] > 1 && unlike[1] > 1); /* the one that crashed, and others that saw it */
    json_decref(report);
    json_decref(spared);
}

/* The larger one is the same consortium, ten times as often. */
static void a_continent_of_more(void **state)
{
    (void)state;
    json_t *small = dozen("continental-10k"), *large = dozen("continental-100k");
    assert_true(json_equal(json_object_get(small, "parties"), json_object_get(large, "parties")));
    assert_true(json_equal(json_object_get(small, "study"), json_object_get(large, "study")));
    json_decref(large);
    json_decref(small);
}

static bool until_half(void *context, const struct sim_progress *p)
{
    (void)context;
    return p->runs_ended < DOZEN / 2;
}

/* Those of the larger one are founded one after another: all settle, and who stops it before has what was founded. */
static void a_dozen_in_turn(void **state)
{
    size_t i;
    const json_t *row;
    json_int_t last_ms = 0;
    char fault[512] = "";
    uint8_t *bytes;
    size_t len;
    (void)state;
    json_t *scenario = dozen("continental-100k");
    const json_int_t every_ms = number(scenario, "founded_every_ms");
    assert_true(every_ms > 0);
    json_t *report = outcome(json_deep_copy(scenario));
    assert_int_equal(number(json_object_get(report, "runs"), "settled"), DOZEN);
    assert_int_equal(json_array_size(json_object_get(report, "exposure")), DOZEN * OWNERS);
    json_array_foreach(json_object_get(report, "exposure"), i, row)
        assert_true(number(row, "together") > 0); /* as they were when it had ended */
    assert_true(number(report, "virtual_ms") > (DOZEN - 1) * every_ms);
    json_decref(report);

    (void)json_object_set_new(scenario, "founded_every_ms", json_integer(30000));
    char *text = yaml_json_canonical(scenario);
    const struct sim_wish half = {
        .scenario = span_text(text), .seed = 1, .outputs = SIM_DETAIL, .go_on = until_half};
    assert_int_equal(sim_run(&bytes, &len, &half, fault, sizeof fault), OK);
    report = json_loadb((const char *)bytes, len, 0, NULL);
    assert_true(json_is_true(json_object_get(report, "interrupted")));
    assert_int_equal(json_array_size(json_object_get(report, "exposure")), DOZEN / 2 * OWNERS);
    assert_int_equal(json_array_size(json_object_get(report, "timeline")), DOZEN / 2);
    json_array_foreach(json_object_get(report, "timeline"), i, row)
    {
        assert_true(i == 0 || number(row, "requested_ms") > last_ms + 20000);
        last_ms = number(row, "requested_ms");
    }
    json_decref(report);
    json_decref(scenario);
    free(bytes);
    free(text);
}

static void one_machine_for_many(void **state)
{
    char fault[512] = "";
    uint8_t *report;
    size_t len;
    (void)state;
    char *text = yaml_json_canonical(dozen("continental-10k"));
    const struct sim_wish wish = {.scenario = span_text(text), .seed = 1, .trust = SIM_TRUST_CENTRAL};
    assert_int_equal(sim_run(&report, &len, &wish, fault, sizeof fault), ERR_CONFLICT);
    assert_non_null(strstr(fault, "consortia: expected 1, where the study is run at one machine"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_dozen_settle), cmocka_unit_test(one_is_spared),
                                       cmocka_unit_test(a_continent_of_more),
                                       cmocka_unit_test(a_dozen_in_turn),
                                       cmocka_unit_test(one_machine_for_many)};
    return cmocka_run_group_tests_name("sim_consortia", tests, NULL, NULL);
}
