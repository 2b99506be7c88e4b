/* A world of many: devices whose links are dialled, faults that befall a kind of them, one seed one run; and signatures at both levels come to
 * the same. */
#include "sim/sim.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BANDS                                                                                                \
    "\"maker\":\"mill\",\"name\":\"band\",\"region\":[\"sweden\",\"italy\",\"uk\"],\"roles\":[\"device\"]"
#define READERS "\"name\":\"reader\",\"region\":[\"sweden\",\"italy\",\"uk\"],\"roles\":[\"auditor\"]"

/* In canonical form: what is before the parties, how many there are of a crowd, and what it is. */
static const char *world(const char *before, unsigned count, const char *crowd)
{
    static char text[4096];
    (void)snprintf(
        text, sizeof text,
        "{%s\"for_ms\":120000,\"name\":\"many\",\"parties\":["
        "{\"count\":4,\"jurisdiction\":\"EU\",\"name\":\"seat\",\"region\":[\"sweden\",\"france\",\"italy\","
        "\"germany\"],\"roles\":[\"custodian\",\"steward\"]},"
        "{\"count\":%u,\"jurisdiction\":\"EU\",%s},"
        "{\"count\":2,\"jurisdiction\":\"EU\",\"name\":\"clinic\",\"region\":\"germany\",\"roles\":["
        "\"owner\"],"
        "\"rows\":100},"
        "{\"jurisdiction\":\"EU\",\"name\":\"mill\",\"region\":\"italy\",\"roles\":[\"algorithm\",\"maker\","
        "\"requester\"]},"
        "{\"jurisdiction\":\"EU\",\"name\":\"hall\",\"region\":\"ireland\",\"roles\":[\"compute\"]}],"
        "\"perigee\":\"scenario/1\"}",
        before, count, crowd);
    return text;
}

static json_t *played(const char *text)
{
    char fault[512] = "";
    uint8_t *report;
    size_t len;
    const struct sim_wish wish = {.scenario = span_text(text), .seed = 1, .outputs = SIM_DETAIL};
    if (sim_run(&report, &len, &wish, fault, sizeof fault) != OK) fail_msg("%s", fault);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    free(report);
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

static void one_run_settled(const json_t *report)
{
    const json_t *runs = json_object_get(report, "runs");
    assert_int_equal(number(runs, "settled"), 1);
    assert_int_equal(number(runs, "ended"), 0);
}

/* All come to hold all, though one device falls, and those of a region are cut off as they are admitted. */
static void a_hundred_and_fifty(void **state)
{
    enum { DEVICES = 142, PARTIES = DEVICES + 8, RECORDS = DEVICES };
    size_t i;
    const json_t *node;
    (void)state;
    json_t *report = played(world("\"crypto\":\"modelled\",\"faults\":["
                                  "{\"at_ms\":900,\"for_ms\":700,\"kind\":\"crash\",\"party\":\"band-7\"},"
                                  "{\"at_ms\":700,\"for_ms\":900,\"kind\":\"part\",\"region\":\"uk\"}],",
                                  DEVICES, BANDS));
    one_run_settled(report);
    assert_string_equal(word(report, "crypto"), "modelled");
    assert_int_equal(number(report, "crashes"), 1);
    assert_int_equal(number(report, "partitions"), 1);
    assert_int_equal(json_array_size(json_object_get(report, "nodes")), PARTIES);
    json_array_foreach(json_object_get(report, "nodes"), i, node)
    {
        const char *region = word(node, "region");
        assert_int_equal(number(node, "cuts"), strcmp(region, "uk") == 0);
        if (strcmp(word(node, "node"), "mill") != 0) assert_true(number(node, "took_effect") >= RECORDS);
    }
    json_decref(report);
}

/* More members than a node has links with: whoever has a part in the run finds whom it needs, though a custodian and the elected node fall. */
static void more_members_than_links(void **state)
{
    (void)state;
    json_t *report =
        played(world("\"crypto\":\"modelled\",\"faults\":["
                     "{\"at_ms\":1000,\"for_ms\":9000,\"kind\":\"elected\"},"
                     "{\"at_ms\":1000,\"for_ms\":30000,\"kind\":\"crash\",\"party\":\"seat-1\"}],",
                     100, READERS));
    one_run_settled(report);
    assert_int_equal(number(report, "crashes"), 2);
    json_decref(report);
}

static void one_seed_one_run(void **state)
{
    (void)state;
    const char *text = world("", 62, BANDS);
    json_t *first = played(text), *again = played(text);
    assert_true(json_equal(first, again));
    assert_string_equal(word(first, "crypto"), "real");
    json_decref(first);
    json_decref(again);
}

/* Other bytes, and the same that comes of them. */
static void both_levels(void **state)
{
    (void)state;
    json_t *real = played(world("\"crypto\":\"real\",", 12, BANDS)),
           *modelled = played(world("\"crypto\":\"modelled\",", 12, BANDS));
    one_run_settled(real);
    one_run_settled(modelled);
    assert_int_equal(number(real, "records_applied"), number(modelled, "records_applied"));
    assert_int_equal(number(real, "formed_ms"), number(modelled, "formed_ms"));
    assert_string_not_equal(word(real, "hash"), word(modelled, "hash"));
    json_decref(real);
    json_decref(modelled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_hundred_and_fifty),
                                       cmocka_unit_test(more_members_than_links),
                                       cmocka_unit_test(one_seed_one_run), cmocka_unit_test(both_levels)};
    return cmocka_run_group_tests_name("sim_many", tests, NULL, NULL);
}
