/* Small scenarios, each for one thing that a swarm found or that a fault must not break: every property holds, and the run settles or
 * ends as it must. */
#include "sim/sim.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARTIES                                                                                              \
    "\"parties\":["                                                                                          \
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\","                                     \
    "\"roles\":[\"custodian\",\"owner\",\"steward\"],\"rows\":3},"                                           \
    "{\"jurisdiction\":\"EU\",\"name\":\"east\",\"region\":\"germany\",\"roles\":[\"custodian\","            \
    "\"steward\"]},"                                                                                         \
    "{\"jurisdiction\":\"EU\",\"name\":\"south\",\"region\":\"italy\",\"roles\":[\"custodian\",\"steward\"]" \
    "},"                                                                                                     \
    "{\"jurisdiction\":\"EU\",\"name\":\"west\",\"region\":\"france\",\"roles\":[\"custodian\",\"steward\"]" \
    "},"                                                                                                     \
    "{\"jurisdiction\":\"EU\",\"name\":\"hall\",\"region\":\"ireland\",\"roles\":[\"compute\"]},"            \
    "{\"jurisdiction\":\"EU\",\"name\":\"office\",\"region\":\"germany\","                                   \
    "\"roles\":[\"algorithm\",\"requester\"]}"

/* Its report. */
static json_t *reported(const char *text)
{
    char fault[512] = "";
    uint8_t *report;
    size_t len;
    const struct sim_wish wish = {.scenario = span_text(text), .seed = 1};
    if (sim_run(&report, &len, &wish, fault, sizeof fault) != OK) fail_msg("%s", fault);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    free(report);
    return object;
}

static const char *small(const char *faults, const char *study)
{
    static char text[4096];
    (void)snprintf(
        text, sizeof text,
        "{\"charter\":{\"lease_ms\":2000},\"faults\":[%s],\"for_ms\":200000,\"name\":\"small\"," PARTIES
        "],\"perigee\":\"scenario/1\","
        "\"study\":{%s}}",
        faults, study);
    return text;
}

/* Of the one run: has it settled, or ended otherwise? */
static void play(const char *faults, const char *study, int settled, int ended)
{
    json_t *report = reported(small(faults, study));
    const char *violation = json_string_value(json_object_get(report, "violation"));
    const json_t *runs = json_object_get(report, "runs");
    if (violation != NULL) fail_msg("%s", violation);
    assert_int_equal(json_integer_value(json_object_get(runs, "settled")), settled);
    assert_int_equal(json_integer_value(json_object_get(runs, "ended")), ended);
    json_decref(report);
}

static void breaks(const char *text, const char *expected)
{
    json_t *report = reported(text);
    const char *violation = json_string_value(json_object_get(report, "violation"));
    assert_non_null(violation);
    if (strncmp(violation, expected, strlen(expected)) != 0) fail_msg("%s", violation);
    json_decref(report);
}

/* Its release is never on its disk, so it gives no lease and no commit. */
static void a_custodian_with_a_full_disk_gives_nothing(void **state)
{
    (void)state;
    play("{\"at_ms\":0,\"for_ms\":20000,\"kind\":\"full\",\"party\":\"west\"}", "\"compute_ms\":6000", 1, 0);
    play("{\"at_ms\":400,\"for_ms\":20000,\"kind\":\"full\",\"party\":\"west\"}", "\"compute_ms\":6000", 1,
         0);
}

static void an_owner_takes_back(void **state)
{
    (void)state;
    play("{\"at_ms\":0,\"kind\":\"revoke\",\"party\":\"north\",\"phase\":\"keyed\",\"target\":\"approval\"}",
         "\"compute_ms\":6000", 0, 1);
    play("{\"at_ms\":0,\"kind\":\"revoke\",\"party\":\"north\",\"phase\":\"committed\",\"target\":\"all\"}",
         "\"compute_ms\":20", 1, 0);
}

static void hosts_cheat(void **state)
{
    (void)state;
    play("{\"at_ms\":0,\"for_ms\":9000,\"kind\":\"twin\",\"party\":\"hall\"}", "\"compute_ms\":300", 1, 0);
    play("{\"at_ms\":0,\"for_ms\":9000,\"kind\":\"rogue\",\"party\":\"hall\"}", "\"compute_ms\":300", 1, 0);
}

/* Who asked for it signs two records in one place: its run is void. All come to hold proof of that, which play() asks for. */
static void a_requester_equivocates(void **state)
{
    (void)state;
    play("{\"at_ms\":1500,\"kind\":\"equivocate\",\"party\":\"office\"}", "\"compute_ms\":6000", 0, 1);
}

/* What north signs while it is cut off it shows to nobody later, when it is asked. The others end without it. */
static void nobody_waits_for_who_withholds(void **state)
{
    (void)state;
    play("{\"at_ms\":0,\"for_ms\":190000,\"kind\":\"withhold\",\"party\":\"north\"},"
         "{\"at_ms\":10000,\"for_ms\":5000,\"kind\":\"part\",\"party\":\"north\"},"
         "{\"at_ms\":12000,\"kind\":\"revoke\",\"party\":\"north\",\"target\":\"dataset\"}",
         "\"compute_ms\":300,\"every_ms\":40000,\"runs\":2", 1, 0);
}

/* No share goes to an enclave whose evidence is not its own and of now: its host's candidacy comes to nothing. */
static void evidence_that_lies(void **state)
{
    static const char *const kinds[] = {"stale", "fake", "relay"};
    char fault[128];
    (void)state;
    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        (void)snprintf(fault, sizeof fault,
                       "{\"at_ms\":0,\"for_ms\":9000,\"kind\":\"%s\",\"party\":\"hall\"}", kinds[i]);
        play(fault, "\"compute_ms\":300", 0, 1);
    }
}

/* While it lasts, the first 9 seconds, the run waits: it settles in as little as `without` ms otherwise. */
static void holds_up(const char *kind, const char *party, int without)
{
    char fault[128];
    (void)snprintf(fault, sizeof fault, "{\"at_ms\":0,\"for_ms\":9000,\"kind\":\"%s\",\"party\":\"%s\"}",
                   kind, party);
    json_t *report = reported(small(fault, "\"compute_ms\":300"));
    const json_t *runs = json_object_get(report, "runs");
    assert_null(json_string_value(json_object_get(report, "violation")));
    assert_int_equal(json_integer_value(json_object_get(runs, "settled")), 1);
    assert_true(json_integer_value(json_object_get(runs, "settle_least_ms")) > without + 5000);
    json_decref(report);
}

static void who_is_waited_for(void **state)
{
    (void)state;
    json_t *report = reported(
        small("{\"at_ms\":100000,\"for_ms\":1,\"kind\":\"stall\",\"party\":\"hall\"}", "\"compute_ms\":300"));
    const int without =
        (int)json_integer_value(json_object_get(json_object_get(report, "runs"), "settle_least_ms"));
    json_decref(report);
    assert_true(without > 0 && without < 3000);
    holds_up("stall", "hall", without);
    holds_up("garble", "north", without);
    holds_up("starve", "north", without);
}

/* It gives to every enclave, and later tells of nobody's records. */
#define LAX(party)                                                                                           \
    "{\"at_ms\":0,\"for_ms\":60000,\"kind\":\"lax\",\"party\":\"" party "\"},"                               \
    "{\"at_ms\":4000,\"for_ms\":60000,\"kind\":\"withhold\",\"party\":\"" party "\"},"

/* One that gives to whoever asks gives too little. As many as a quorum are seen: they go on giving leases for what north, the only
 * honest one, has taken back, and which nobody lets the hall know. */
static void custodians_that_are_lax(void **state)
{
    (void)state;
    play("{\"at_ms\":0,\"for_ms\":60000,\"kind\":\"lax\",\"party\":\"west\"},"
         "{\"at_ms\":0,\"kind\":\"revoke\",\"party\":\"north\",\"phase\":\"keyed\",\"target\":\"approval\"}",
         "\"compute_ms\":6000", 0, 1);
    breaks(
        small(LAX("east") LAX("south") LAX(
                  "west") "{\"at_ms\":4000,\"for_ms\":60000,\"kind\":\"split\",\"other\":\"hall\",\"party\":"
                          "\"north\"},"
                          "{\"at_ms\":6000,\"kind\":\"revoke\",\"party\":\"north\",\"target\":\"approval\"}",
              "\"compute_ms\":20000"),
        "one-certificate: an enclave of party 4 goes on with the keys in term 1, ");
}

/* How many records nodes were given that they would not have signed. */
static void bypassed(const char *text, int settled, int at_least)
{
    json_t *report = reported(text);
    const char *violation = json_string_value(json_object_get(report, "violation"));
    const json_t *runs = json_object_get(report, "runs"), *by = json_object_get(report, "adversaries");
    if (violation != NULL) fail_msg("%s", violation);
    assert_int_equal(json_integer_value(json_object_get(runs, "settled")), settled);
    assert_true(json_integer_value(json_object_get(by, "bypassed")) >= at_least);
    json_decref(report);
}

/* Slots that are spent or were never allotted, asked for round its own node; and receipts with a byte changed, one of each run. */
static void people_go_round_their_node(void **state)
{
    (void)state;
    bypassed(small("{\"at_ms\":0,\"for_ms\":90000,\"kind\":\"probe\",\"party\":\"office\"}",
                   "\"compute_ms\":300,\"every_ms\":5000,\"runs\":4"),
             4, 20);
    bypassed(small("{\"at_ms\":0,\"for_ms\":90000,\"kind\":\"spoil\",\"party\":\"office\"}",
                   "\"compute_ms\":300,\"every_ms\":5000,\"runs\":4"),
             4, 3);
}

/* It admits keys that it made up before its own devices, which have no place then: nothing else comes of it. */
static void a_maker_admits_who_is_not_there(void **state)
{
    (void)state;
    static const char text[] =
        "{\"charter\":{\"lease_ms\":2000},\"faults\":["
        "{\"at_ms\":0,\"for_ms\":90000,\"kind\":\"sybil\",\"party\":\"maker\"}],"
        "\"for_ms\":200000,\"name\":\"small\"," PARTIES
        ",{\"jurisdiction\":\"EU\",\"name\":\"maker\",\"region\":\"italy\",\"roles\":[\"maker\"]},"
        "{\"count\":2,\"jurisdiction\":\"EU\",\"maker\":\"maker\",\"name\":\"watch\",\"region\":\"italy\","
        "\"roles\":[\"device\"]}],"
        "\"perigee\":\"scenario/1\",\"study\":{\"compute_ms\":300,\"every_ms\":5000,\"runs\":3}}";
    bypassed(text, 3, 10);
}

/* What is left goes on as long as it has a quorum; with less it does not, and that is seen. */
static void who_is_gone_for_good(void **state)
{
    (void)state;
    play("{\"at_ms\":0,\"kind\":\"lose\",\"party\":\"west\"},"
         "{\"at_ms\":0,\"for_ms\":4000,\"kind\":\"crash\",\"party\":\"west\"}",
         "\"compute_ms\":3000,\"every_ms\":5000,\"runs\":2", 2, 0);
    breaks(small("{\"at_ms\":0,\"kind\":\"lose\",\"party\":\"west\"},"
                 "{\"at_ms\":0,\"kind\":\"lose\",\"party\":\"south\"}",
                 "\"compute_ms\":3000"),
           "live: time is up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_custodian_with_a_full_disk_gives_nothing),
                                       cmocka_unit_test(an_owner_takes_back),
                                       cmocka_unit_test(hosts_cheat),
                                       cmocka_unit_test(a_requester_equivocates),
                                       cmocka_unit_test(nobody_waits_for_who_withholds),
                                       cmocka_unit_test(evidence_that_lies),
                                       cmocka_unit_test(who_is_waited_for),
                                       cmocka_unit_test(custodians_that_are_lax),
                                       cmocka_unit_test(people_go_round_their_node),
                                       cmocka_unit_test(who_is_gone_for_good),
                                       cmocka_unit_test(a_maker_admits_who_is_not_there)};
    return cmocka_run_group_tests_name("sim_faults", tests, NULL, NULL);
}
