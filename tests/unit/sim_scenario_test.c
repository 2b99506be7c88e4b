/* A scenario is taken as a whole or refused in one line: with the path, and what was expected there. */
#include "proto/charter.h"
#include "proto/core.h"
#include "sim/regions.h"
#include "sim/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t memory[8 << 20];

static const char whole[] =
    "{\"charter\":{\"k\":1,\"lease_ms\":5000},"
    "\"faults\":[{\"at_ms\":10,\"for_ms\":20,\"kind\":\"crash\",\"party\":\"north\"},"
    "{\"at_ms\":10,\"for_ms\":20,\"kind\":\"elected\"},"
    "{\"at_ms\":11,\"by_ms\":-500,\"for_ms\":20,\"kind\":\"clock\",\"party\":\"hall\"},"
    "{\"at_ms\":12,\"for_ms\":20,\"kind\":\"split\",\"other\":\"north\",\"party\":\"hall\"},"
    "{\"at_ms\":13,\"kind\":\"revoke\",\"party\":\"north\",\"phase\":\"keyed\",\"target\":\"recipe\"},"
    "{\"at_ms\":14,\"for_ms\":9,\"kind\":\"twin\",\"party\":\"hall\"}],"
    "\"for_ms\":60000,\"name\":\"small\",\"network\":{\"loss_ppm\":100},"
    "\"parties\":["
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\","
    "\"roles\":[\"custodian\",\"owner\",\"steward\"],\"rows\":10},"
    "{\"jurisdiction\":\"US\",\"name\":\"hall\",\"region\":\"us-east\","
    "\"roles\":[\"algorithm\",\"compute\",\"requester\"]}],"
    "\"perigee\":\"scenario/1\",\"study\":{\"compute_ms\":5,\"epsilon\":\"0.5\",\"every_ms\":7,\"runs\":2}}";

static enum err parse(struct scenario **out, const char *text, struct json_fault *fault)
{
    memset(memory, 0, sizeof memory);
    static struct arena arena;
    arena = arena_make(memory, sizeof memory);
    *fault = (struct json_fault){{0}, {0}, OK};
    return scenario_parse(out, &arena, span_text(text), fault);
}

/* `whole` with the first `from` replaced. */
static const char *with(const char *from, const char *to)
{
    static char text[4096];
    const char *at = strstr(whole, from);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
    return text;
}

static void a_whole_one(void **state)
{
    (void)state;
    struct scenario *s;
    struct json_fault fault;
    assert_int_equal(parse(&s, whole, &fault), OK);
    assert_true(span_equal_text(s->name, "small"));
    assert_int_equal(s->party_count, 2);
    assert_string_equal(regions_at(s->party[1].region)->name, "us-east");
    assert_int_equal(s->party[0].rows, 10);
    assert_int_equal(s->k, 1);
    assert_int_equal(s->f, 0);
    assert_int_equal(s->q, 1);
    assert_int_equal(s->t, 1);
    assert_int_equal(s->s, 1);
    assert_int_equal(s->lease_ms, 5000);
    assert_int_equal(s->epsilon_nano, 500000000);
    assert_int_equal(s->fault_count, 6);
    assert_int_equal(s->fault[2].by_ms, -500);
    assert_int_equal(s->fault[3].party, 1);
    assert_int_equal(s->fault[3].other, 0);
    assert_int_equal(s->fault[4].target, TARGET_RECIPE);
    assert_int_equal(s->fault[4].phase, RUN_KEYED);
    assert_int_equal(s->fault[0].kind, FAULT_CRASH);
    assert_int_equal(s->fault[1].kind, FAULT_ELECTED);
    assert_int_equal(scenario_count(s, ROLE_COMPUTE | ROLE_OWNER), 2);
}

static void written_it_reads_the_same(void **state)
{
    static uint8_t written[SCENARIO_BYTES_MAX], again[SCENARIO_BYTES_MAX];
    struct buffer a = BUFFER_OF(written), b = BUFFER_OF(again);
    struct scenario *s;
    struct json_fault fault;
    (void)state;
    assert_int_equal(parse(&s, whole, &fault), OK);
    assert_int_equal(scenario_write(&a, s), OK);
    buffer_put_zero(&a);
    assert_int_equal(parse(&s, (const char *)written, &fault), OK);
    assert_int_equal(s->fault[4].phase, RUN_KEYED);
    assert_int_equal(scenario_write(&b, s), OK);
    assert_true(span_equal(buffer_span(&a), buffer_span(&b)));
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *from, *to, *path;
    } wrong[] = {
        {"\"name\":\"small\"", "\"nodes\":10000000", ""},
        {"\"loss_ppm\":100", "\"loss\":100", "network"},
        {"\"loss_ppm\":100", "\"loss_ppm\":-1", "network.loss_ppm"},
        {"\"every_ms\":7", "\"every_ms\":-7", "study.every_ms"},
        {"\"region\":\"us-east\"", "\"region\":\"atlantis\"", "parties[1].region"},
        {"\"region\":\"us-east\",", "", "parties[1]"},
        {"\"name\":\"hall\"", "\"name\":\"north\"", "parties[1].name"},
        {"\"roles\":[\"algorithm\",\"compute\",\"requester\"]", "\"roles\":[\"algorithm\",\"compute\"]",
         "parties"},
        {"\"roles\":[\"algorithm\",\"compute\",\"requester\"]", "\"roles\":[\"device\"]", "parties[1].roles"},
        {"\"party\":\"north\"", "\"party\":\"south\"", "faults[0].party"},
        {"\"kind\":\"elected\"", "\"kind\":\"eleted\"", "faults[1].kind"},
        {"\"by_ms\":-500", "\"by_ms\":-5000000000", "faults[2].by_ms"},
        {"\"other\":\"north\"", "\"other\":\"hall\"", "faults[3].other"},
        {"\"phase\":\"keyed\"", "\"phase\":\"settled\"", "faults[4].phase"},
        {"\"kind\":\"revoke\",\"party\":\"north\"", "\"kind\":\"revoke\",\"party\":\"hall\"",
         "faults[4].party"},
        {"\"kind\":\"twin\",\"party\":\"hall\"", "\"kind\":\"twin\",\"party\":\"north\"", "faults[5].party"},
        {"\"epsilon\":\"0.5\"", "\"epsilon\":\"-0.5\"", "study.epsilon"},
        {"\"runs\":2", "\"runs\":100000", "study.runs"},
        {"scenario/1", "scenario/2", "perigee"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct scenario *s;
        struct json_fault fault;
        const enum err err = parse(&s, with(wrong[i].from, wrong[i].to), &fault);
        assert_int_not_equal(err, OK);
        assert_int_not_equal(fault.expected[0], 0);
        if (strncmp(fault.path, wrong[i].path, strlen(wrong[i].path)) != 0)
            fail_msg("%s: refused at \"%s\", expected %s", wrong[i].to, fault.path, fault.expected);
    }
}

/* Thresholds: said by their name in the scenario, with what they may be, whether they were written or follow. */
static void thresholds_in_the_scenarios_words(void **state)
{
    static const struct {
        const char *charter, *path, *expected;
    } wrong[] = {
        {"{\"f\":1,\"k\":1}", "charter.f", "0 to 0, there being 1 custodians (3 f < n)"},
        {"{\"f\":2,\"k\":1}", "charter.f", "0 to 0, there being 1 custodians (3 f < n)"},
        {"{\"k\":1,\"q\":2}", "charter.q", "1 to 1, there being 1 custodians of which f may fail"},
        {"{\"k\":1,\"t\":2}", "charter.t", "1 to 1, there being 1 custodians of which f may fail"},
        {"{\"k\":1,\"s\":2}", "charter.s", "1 to 1, there being 1 stewards"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct scenario *s;
        struct json_fault fault;
        assert_int_equal(parse(&s, with("{\"k\":1,\"lease_ms\":5000}", wrong[i].charter), &fault), ERR_RANGE);
        assert_string_equal(fault.path, wrong[i].path);
        assert_string_equal(fault.expected, wrong[i].expected);
    }
}

static void roles_in_any_order(void **state)
{
    struct scenario *s;
    struct json_fault fault;
    (void)state;
    const char *text = with("[\"custodian\",\"owner\",\"steward\"]", "[\"steward\",\"custodian\",\"owner\"]");
    assert_int_equal(parse(&s, text, &fault), OK);
    assert_int_equal(s->party[0].roles, ROLE_CUSTODIAN | ROLE_OWNER | ROLE_STEWARD);
    text = with("[\"custodian\",\"owner\",\"steward\"]", "[\"steward\",\"custodian\",\"steward\"]");
    assert_int_equal(parse(&s, text, &fault), ERR_DUPLICATE);
}

/* The limit is the scenario's own, not that of the documents that travel. */
static void a_large_one(void **state)
{
    enum { PARTIES = 60, LONG = SCENARIO_BYTES_MAX + 1 };
    struct scenario *s;
    struct json_fault fault;
    char *text = malloc(LONG + 1);
    assert_non_null(text);
    (void)state;
    const char *tail = strstr(whole, "\"for_ms\":60000"), *head = strstr(whole, "\"faults\"");
    int len = snprintf(text, LONG + 1, "%.*s\"faults\":[", (int)(head - whole), whole);
    for (uint32_t i = 0; i < SCENARIO_FAULTS_MAX; i++)
        len += snprintf(text + len, (size_t)(LONG + 1 - len),
                        "%s{\"at_ms\":%u,\"for_ms\":20,\"kind\":\"crash\",\"party\":\"north\"}",
                        i > 0 ? "," : "", 10000 + i);
    len += snprintf(text + len, (size_t)(LONG + 1 - len), "],%s", tail);
    assert_int_equal(parse(&s, text, &fault), OK);
    assert_int_equal(s->fault_count, SCENARIO_FAULTS_MAX);
    memset(text, ' ', LONG);
    text[LONG] = 0;
    assert_int_equal(parse(&s, text, &fault), ERR_TOO_LARGE);
    assert_string_equal(fault.path, "scenario");
    text[LONG - 1] = 0; /* of the limit's length: read, and found to be none */
    assert_int_equal(parse(&s, text, &fault), ERR_NOT_CANONICAL);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_one),        cmocka_unit_test(written_it_reads_the_same),
        cmocka_unit_test(what_is_refused),    cmocka_unit_test(thresholds_in_the_scenarios_words),
        cmocka_unit_test(roles_in_any_order), cmocka_unit_test(a_large_one)};
    return cmocka_run_group_tests_name("sim_scenario", tests, NULL, NULL);
}
