/* The scenarios that are shipped beside cardio-renal: each shows what its description says, with every property watched. */
#include "node/yaml_json.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 1, OWNERS_MAX = 16 };

static json_t *loaded(const char *name)
{
    json_t *value;
    char path[512], fault[512] = "";
    (void)snprintf(path, sizeof path, PERIGEE_SOURCE_DIR "/configs/scenarios/%s.yaml", name);
    if (yaml_json_load(&value, path, fault, sizeof fault) != OK) fail_msg("%s", fault);
    assert_true(json_string_length(json_object_get(value, "description")) > 0);
    assert_string_equal(json_string_value(json_object_get(value, "name")), name);
    return value;
}

/* The report; takes the scenario. */
static json_t *outcome(json_t *value, const char *name, uint64_t seed)
{
    char fault[512] = "";
    uint8_t *report;
    size_t len;
    char *text = yaml_json_canonical(value);
    json_decref(value);
    const struct sim_wish wish = {.scenario = span_text(text), .seed = seed, .outputs = SIM_DETAIL};
    if (sim_run(&report, &len, &wish, fault, sizeof fault) != OK) fail_msg("%s: %s", name, fault);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    free(report);
    free(text);
    assert_non_null(object);
    return object;
}

static json_t *played(const char *name, uint64_t seed)
{
    json_t *object = outcome(loaded(name), name, seed);
    const char *violation = json_string_value(json_object_get(object, "violation"));
    if (violation != NULL) fail_msg("%s, seed %u: %s", name, (unsigned)seed, violation);
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

static void runs(const json_t *report, json_int_t settled, json_int_t ended)
{
    const json_t *all = json_object_get(report, "runs");
    assert_int_equal(number(all, "requested"), settled + ended);
    assert_int_equal(number(all, "settled"), settled);
    assert_int_equal(number(all, "ended"), ended);
}

/* Enclaves that had each owner's rows, in the order of the scenario. */
static void exposure(const json_t *report, const int enclaves[OWNERS_MAX], size_t owners)
{
    const json_t *rows = json_object_get(report, "exposure");
    assert_int_equal(json_array_size(rows), owners);
    for (size_t i = 0; i < owners; i++)
        assert_int_equal(number(json_array_get(rows, i), "enclaves"), enclaves[i]);
}

/* How many runs of the timeline were decided there. */
static uint32_t decided_at(const json_t *report, const char *node)
{
    size_t i;
    const json_t *run;
    uint32_t count = 0;
    json_array_foreach(json_object_get(report, "timeline"), i, run) count +=
        strcmp(word(run, "node"), node) == 0 && strcmp(word(run, "state"), "settled") == 0;
    return count;
}

static const json_t *row_of(const json_t *report, const char *table, const char *column, const char *name)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(report, table), i,
                       row) if (strcmp(word(row, column), name) == 0) return row;
    fail_msg("%s has no %s", table, name);
    return NULL;
}

/* One bank refuses, one takes back between the second run and the third; four are left, and enough. */
static void cross_bank_fraud(const json_t *report)
{
    static const int enclaves[OWNERS_MAX] = {4, 2, 4, 0, 4, 4};
    runs(report, 4, 0);
    exposure(report, enclaves, 6);
    assert_int_equal(decided_at(report, "gpu-london") + decided_at(report, "gpu-virginia"), 4);
}

/* A recipe of another output type is another recipe, for which no data is sealed. */
static void supply_chain(const json_t *report)
{
    runs(report, 3, 0);
    assert_int_equal(number(json_object_get(report, "runs"), "barred"), 1);
    assert_string_equal(word(json_object_get(report, "runs"), "barred_for"), "content-not-bound");
    assert_int_equal(decided_at(report, "gpu-osaka") + decided_at(report, "gpu-frankfurt"), 3);
}

static void rare_disease(const json_t *report)
{
    static const int enclaves[OWNERS_MAX] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 2, 2, 0, 2};
    runs(report, 2, 0);
    exposure(report, enclaves, 16);
}

static bool is_within(json_int_t ms, json_int_t from_ms, json_int_t to_ms)
{
    return ms >= from_ms && ms < to_ms;
}

/* Nobody comes to keys and nothing settles while the union is cut off: three of seven are no quorum, nor are four. What was on its
 * way when it began has half a second. */
static void partition_of_a_jurisdiction(const json_t *report)
{
    size_t i;
    const json_t *run;
    runs(report, 4, 0);
    assert_int_equal(number(report, "partitions"), 2);
    json_array_foreach(json_object_get(report, "timeline"), i, run)
    {
        static const char *const steps[] = {"keyed_ms", "settled_ms"};
        for (size_t j = 0; j < 2; j++) {
            const json_int_t ms = number(run, steps[j]);
            assert_true(ms > 0 && !is_within(ms, 33500, 58000) && !is_within(ms, 92500, 132000));
        }
    }
    assert_true(number(json_array_get(json_object_get(report, "timeline"), 1), "term") > 1);
}

/* Five take back while the second run is keyed, before their rows are opened; another one when the third is committed. */
static void revocation_storm(const json_t *report)
{
    static const char *const states[] = {"settled", "ended", "settled"};
    const json_t *timeline = json_object_get(report, "timeline");
    runs(report, 2, 1);
    for (size_t i = 0; i < 3; i++) assert_string_equal(word(json_array_get(timeline, i), "state"), states[i]);
    assert_null(json_object_get(json_array_get(timeline, 1), "committed_ms"));
    for (size_t i = 0; i < 8; i++) {
        const json_int_t enclaves =
            number(json_array_get(json_object_get(report, "exposure"), i), "enclaves");
        assert_int_equal(enclaves, i < 5 ? 1 : 2); /* of the second run no enclave opened any */
    }
}

static void lossy_satellite_silo(const json_t *report)
{
    json_int_t again = 0, others = 0;
    size_t i;
    const json_t *path;
    runs(report, 3, 0);
    assert_true(number(row_of(report, "nodes", "node", "ice-station"), "cuts") >= 2);
    json_array_foreach(json_object_get(report, "paths"), i, path)
    {
        const bool its =
            strcmp(word(path, "from"), "australia") == 0 || strcmp(word(path, "to"), "australia") == 0;
        *(its ? &again : &others) += number(path, "retransmitted");
    }
    assert_true(again > 20 && others == 0);
}

/* Of one node: is this enclave gone before the next begins? */
static void one_at_a_time(const json_t *report, const char *node)
{
    size_t i;
    const json_t *e;
    json_int_t gone_ms = 0;
    json_array_foreach(json_object_get(report, "elections"), i, e)
    {
        if (strcmp(word(e, "node"), node) != 0) continue;
        assert_true(number(e, "elected_ms") >= gone_ms);
        assert_true(number(e, "gone_ms") > 0);
        gone_ms = number(e, "gone_ms");
    }
    assert_true(gone_ms > 0);
}

static void gpu_scarcity(const json_t *report)
{
    runs(report, 8, 0);
    one_at_a_time(report, "gpu-fast");
    one_at_a_time(report, "gpu-slow");
    assert_true(decided_at(report, "gpu-fast") >= 2 && decided_at(report, "gpu-slow") >= 2);
    assert_true(number(json_object_get(report, "runs"), "settle_most_ms") > 8 * 5000); /* it waited */
    assert_true(json_array_size(json_object_get(report, "elections")) > 8);            /* and one was lost */
}

static void byzantine_third(const json_t *report)
{
    runs(report, 4, 0);
    /* A run each, one of the elected that fell, and one that votes for whoever asks brought about: with honest votes it is five. */
    assert_true(json_array_size(json_object_get(report, "elections")) >= 6);
}

/* The study goes on while they are at it, and ends long before they do: the others hold the same by then. Each did what it is there for, at
 * the rate that it is said to: 20 messages a second to whom it is linked with. */
static void byzantine_members(const json_t *report)
{
    const json_t *adversaries = json_object_get(report, "adversaries");
    const json_int_t ms = number(report, "virtual_ms"), loud = number(adversaries, "flooded");
    runs(report, 4, 0);
    assert_true(ms < 60000);
    assert_true(loud > ms / 1000 * 20 * 8 && loud <= (ms / 1000 + 1) * 20 * 9);
    assert_true(number(adversaries, "replayed") > ms / 2);
    assert_true(number(adversaries, "withheld") > 1000);
    for (size_t i = 0; i < 4; i++) /* and no run waits for another term */
        assert_int_equal(number(json_array_get(json_object_get(report, "timeline"), i), "term"), 1);
}

/* Its data is in every run, and it holds the same as the others, while they are at it. */
static void eclipse(const json_t *report)
{
    const json_t *adversaries = json_object_get(report, "adversaries");
    runs(report, 4, 0);
    exposure(report, (const int[OWNERS_MAX]){4, 4, 4}, 3);
    assert_true(number(report, "virtual_ms") < 300000);
    assert_true(number(adversaries, "withheld") > 5000 && number(adversaries, "flooded") > 1000);
}

/* The run that hangs on who has lied ends, and nothing after it comes of its data or to its enclaves. */
static void equivocation(const json_t *report)
{
    size_t i;
    const json_t *row;
    runs(report, 5, 1);
    json_array_foreach(json_object_get(report, "timeline"), i, row)
    {
        const json_int_t asked_ms = number(row, "requested_ms");
        const bool ended = strcmp(json_string_value(json_object_get(row, "state")), "ended") == 0;
        assert_int_equal(ended, asked_ms < 6000 && number(row, "settled_ms") == 0);
        if (asked_ms > 12000)
            assert_string_not_equal(json_string_value(json_object_get(row, "node")), "hall-1");
    }
    json_array_foreach(json_object_get(report, "exposure"), i,
                       row) if (strcmp(json_string_value(json_object_get(row, "owner")), "clinic") == 0)
        assert_in_range(number(row, "enclaves"), 1, 3);
}

static const struct {
    const char *name;
    void (*shows)(const json_t *report);
} shipped[] = {{"cross-bank-fraud", cross_bank_fraud},
               {"supply-chain", supply_chain},
               {"rare-disease", rare_disease},
               {"partition-of-a-jurisdiction", partition_of_a_jurisdiction},
               {"revocation-storm", revocation_storm},
               {"lossy-satellite-silo", lossy_satellite_silo},
               {"gpu-scarcity", gpu_scarcity},
               {"byzantine-third", byzantine_third},
               {"byzantine-members", byzantine_members},
               {"equivocation", equivocation},
               {"eclipse", eclipse}};

static void each_shows_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shipped / sizeof shipped[0]; i++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            print_message("%s, seed %u\n", shipped[i].name, (unsigned)seed);
            json_t *report = played(shipped[i].name, seed);
            shipped[i].shows(report);
            json_decref(report);
        }
}

/* As many liars among custodians as quorums do not bear: each hall has an honest one of its own, and is certified in the same term. That
 * this is seen says that the checkers look. */
static void more_liars_are_seen(void **state)
{
    (void)state;
    static const char name[] = "liars-at-the-threshold",
                      said[] = "one-certificate: two nodes are certified in term 1";
    json_t *report = outcome(loaded(name), name, 1);
    if (strncmp(word(report, "violation"), said, sizeof said - 1) != 0)
        fail_msg("%s", word(report, "violation"));
    json_decref(report);
}

/* With sixty of the thousand, which are minutes of work: each comes to hold what all hold. */
static void wearables(void **state)
{
    enum { BANDS = 60, OTHERS = 11 };
    size_t i, bands = 0;
    json_t *scenario = loaded("wearables"), *party;
    const json_t *node;
    (void)state;
    json_array_foreach(json_object_get(scenario, "parties"), i, party) if (number(party, "count") == 1000)
        assert_int_equal(json_object_set_new(party, "count", json_integer(BANDS)), 0);
    json_t *report = outcome(scenario, "wearables", 1);
    const char *violation = json_string_value(json_object_get(report, "violation"));
    if (violation != NULL) fail_msg("%s", violation);
    runs(report, 1, 0);
    assert_string_equal(word(report, "crypto"), "modelled");
    assert_int_equal(json_array_size(json_object_get(report, "nodes")), BANDS + OTHERS);
    json_array_foreach(json_object_get(report, "nodes"), i, node)
    {
        if (strncmp(word(node, "node"), "band-", 5) != 0) continue;
        assert_true(number(node, "took_effect") >= BANDS);
        bands++;
    }
    assert_int_equal(bands, BANDS);
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_shows_what_it_says),
                                       cmocka_unit_test(more_liars_are_seen), cmocka_unit_test(wearables)};
    return cmocka_run_group_tests_name("sim_shipped", tests, NULL, NULL);
}
