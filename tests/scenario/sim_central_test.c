/* The same study at one machine, beside the protocol: who could read what is told from what happened, and what was taken back was read. */
#include "node/yaml_json.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A shipped scenario; `change` may be NULL. */
static json_t *outcome(const char *name, enum sim_trust trust, void (*change)(json_t *scenario))
{
    json_t *value;
    char path[512], fault[512] = "";
    uint8_t *report;
    size_t len;
    (void)snprintf(path, sizeof path, PERIGEE_SOURCE_DIR "/configs/scenarios/%s.yaml", name);
    if (yaml_json_load(&value, path, fault, sizeof fault) != OK) fail_msg("%s", fault);
    if (change != NULL) change(value);
    char *text = yaml_json_canonical(value);
    json_decref(value);
    const struct sim_wish wish = {
        .scenario = span_text(text), .seed = 1, .outputs = SIM_DETAIL, .trust = trust};
    if (sim_run(&report, &len, &wish, fault, sizeof fault) != OK) fail_msg("%s: %s", name, fault);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    free(report);
    free(text);
    assert_non_null(object);
    return object;
}

static json_t *played(const char *name, enum sim_trust trust, void (*change)(json_t *scenario))
{
    json_t *object = outcome(name, trust, change);
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
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static const json_t *mode(const json_t *report, const char *trust)
{
    size_t i;
    const json_t *m;
    json_array_foreach(json_object_get(report, "modes"), i,
                       m) if (strcmp(word(m, "trust"), trust) == 0) return m;
    return NULL;
}

/* Rows that a party could read; of one owner, or (NULL) of all. */
static json_int_t readable(const json_t *report, const char *trust, const char *party, const char *owner)
{
    size_t i;
    const json_t *r;
    json_int_t rows = 0;
    json_array_foreach(json_object_get(report, "readers"), i, r)
    {
        const bool its = party == NULL || strcmp(word(r, "party"), party) == 0;
        if (its && strcmp(word(r, "trust"), trust) == 0 &&
            (owner == NULL || strcmp(word(r, "owner"), owner) == 0))
            rows += number(r, "readable_rows");
    }
    return rows;
}

static void side_by_side(void **state)
{
    (void)state;
    json_t *report = played("cardio-renal", SIM_TRUST_CENTRAL, NULL),
           *again = played("cardio-renal", SIM_TRUST_CENTRAL, NULL),
           *alone = played("cardio-renal", SIM_TRUST_AS_WRITTEN, NULL);
    const json_t *central = mode(report, "central"), *federated = mode(report, "federated");
    assert_true(json_equal(report, again));
    assert_string_equal(word(report, "trust"), "central");
    assert_string_equal(word(alone, "trust"), "federated");
    assert_true(json_equal(federated, mode(alone, "federated")));
    assert_null(mode(alone, "central"));
    assert_int_equal(number(central, "settled"), 4);
    assert_int_equal(number(federated, "settled"), 4);
    /* One machine has all; with the protocol nobody has any, and both give the requester a result alone. */
    assert_int_equal(readable(report, "central", "gpu-dublin", NULL), 1400);
    assert_int_equal(readable(report, "central", NULL, NULL), 1400);
    assert_int_equal(readable(report, "federated", NULL, NULL), 0);
    assert_int_equal(number(central, "readers"), 1);
    assert_int_equal(number(federated, "readers"), 0);
    assert_int_equal(number(federated, "together"), 3);
    assert_null(json_object_get(central, "together")); /* nothing is sealed */
    /* Zurich, cleveland and the machine are in three jurisdictions, two hospitals and the machine in one. */
    assert_in_range(number(central, "plaintext_abroad"), 700 * 11, 2 * 700 * 11);
    assert_int_equal(number(central, "sealed_abroad"), 0);
    assert_int_equal(number(federated, "plaintext_abroad"), 0);
    assert_true(number(federated, "sealed_abroad") >= 4 * 700 * 11);
    assert_true(number(central, "settle_median_ms") < number(federated, "settle_median_ms"));
    json_decref(report);
    json_decref(again);
    json_decref(alone);
}

/* Any three custodians beside the owner: t is three, and that was tried. */
static void who_could_read_together(void **state)
{
    (void)state;
    json_t *report = played("cardio-renal", SIM_TRUST_FEDERATED, NULL);
    size_t i;
    const json_t *e;
    json_array_foreach(json_object_get(report, "exposure"), i, e) assert_int_equal(number(e, "together"), 3);
    assert_int_equal(i, 4);
    assert_int_equal(number(mode(report, "federated"), "together"), 3);
    json_decref(report);
}

/* The five that take back while the second run is computed are too late: it settles, and their rows lie there. */
static void taken_back_too_late(void **state)
{
    (void)state;
    json_t *report = played("revocation-storm", SIM_TRUST_CENTRAL, NULL);
    assert_int_equal(number(mode(report, "federated"), "settled"), 2);
    assert_int_equal(number(mode(report, "central"), "settled"), 3);
    assert_int_equal(number(json_object_get(report, "runs"), "requested"), 3); /* two are left then */
    assert_int_equal(readable(report, "central", "gpu-london", "aachen"), 120);
    assert_int_equal(readable(report, "central", "gpu-london", NULL), 1240);
    json_decref(report);
}

/* Of an owner that refuses nobody has anything; what lies abroad is what was sent there. */
static void refused(void **state)
{
    (void)state;
    json_t *report = played("cross-bank-fraud", SIM_TRUST_CENTRAL, NULL);
    assert_int_equal(number(mode(report, "central"), "settled"), 4);
    assert_int_equal(readable(report, "central", "gpu-london", "thames"), 800);
    assert_int_equal(readable(report, "central", NULL, "clyde"), 0);
    json_decref(report);
}

static void short_lives(json_t *scenario)
{
    (void)json_object_set_new(scenario, "trust", json_string("central"));
    (void)json_object_set_new(json_object_get(scenario, "study"), "expires_ms", json_integer(25000));
}

/* One run at a time, the machine falls again and again, and what is lost is computed again; runs may come to their end. As written in the
 * scenario, too, and overridden. */
static void waiting_for_the_one_machine(void **state)
{
    (void)state;
    json_t *report = played("gpu-scarcity", SIM_TRUST_CENTRAL, NULL);
    assert_int_equal(number(mode(report, "central"), "settled"), 8);
    assert_true(number(report, "crashes") >= 2);
    assert_true(number(mode(report, "central"), "settle_most_ms") >= 8 * 5000 - 8 * 500 + 2 * 4000);
    json_decref(report);
    report = played("gpu-scarcity", SIM_TRUST_AS_WRITTEN, short_lives);
    const json_t *runs = json_object_get(report, "runs");
    assert_string_equal(word(report, "trust"), "central");
    assert_int_equal(number(runs, "settled") + number(runs, "ended"), 8);
    assert_true(number(runs, "settled") >= 3 && number(runs, "ended") >= 2);
    json_decref(report);
    report = played("gpu-scarcity", SIM_TRUST_FEDERATED, short_lives);
    assert_string_equal(word(report, "trust"), "federated");
    assert_null(mode(report, "central"));
    json_decref(report);
}

static void too_short(json_t *scenario)
{
    (void)json_object_set_new(scenario, "for_ms", json_integer(20000));
}

/* A property that does not hold ends it, in its own world and at its own time: the pipeline is not played any more. */
static void broken_with_the_protocol(void **state)
{
    (void)state;
    json_t *report = outcome("cardio-renal", SIM_TRUST_CENTRAL, too_short);
    assert_string_equal(word(report, "trust"), "federated");
    assert_memory_equal(word(report, "violation"), "live: ", 6);
    assert_in_range(number(report, "virtual_ms"), 20000, 20100);
    assert_non_null(mode(report, "federated"));
    assert_null(mode(report, "central"));
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(side_by_side),
                                       cmocka_unit_test(who_could_read_together),
                                       cmocka_unit_test(taken_back_too_late),
                                       cmocka_unit_test(refused),
                                       cmocka_unit_test(waiting_for_the_one_machine),
                                       cmocka_unit_test(broken_with_the_protocol)};
    return cmocka_run_group_tests_name("sim_central", tests, NULL, NULL);
}
