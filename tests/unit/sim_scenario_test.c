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
    "{\"at_ms\":14,\"for_ms\":9,\"kind\":\"twin\",\"party\":\"hall\"},"
    "{\"at_ms\":15,\"every_ms\":40,\"for_ms\":30,\"jurisdiction\":\"EU\",\"kind\":\"part\",\"oneway\":true,"
    "\"times\":3},"
    "{\"at_ms\":16,\"for_ms\":7,\"kind\":\"split\",\"other_region\":\"us-east\",\"region\":\"sweden\"},"
    "{\"at_ms\":17,\"jurisdiction\":\"EU\",\"kind\":\"revoke\",\"target\":\"dataset\"},"
    "{\"at_ms\":18,\"for_ms\":7,\"kind\":\"flood\",\"party\":\"hall\",\"per_second\":30}],"
    "\"for_ms\":60000,\"name\":\"small\",\"network\":{\"loss_ppm\":100},"
    "\"parties\":["
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\","
    "\"roles\":[\"custodian\",\"owner\",\"steward\"],\"rows\":10},"
    "{\"bandwidth_kbps\":2000,\"enclaves\":1,\"jurisdiction\":\"US\",\"latency_ms\":270,\"loss_ppm\":9,"
    "\"name\":\"hall\",\"region\":\"us-east\",\"roles\":[\"algorithm\",\"compute\",\"requester\"],"
    "\"speed_percent\":50},"
    "{\"jurisdiction\":\"US\",\"name\":\"mute\",\"refuses\":true,\"region\":\"us-west\",\"roles\":[\"owner\"]"
    ","
    "\"rows\":5}],"
    "\"perigee\":\"scenario/"
    "1\",\"study\":{\"compute_ms\":5,\"epsilon\":\"0.5\",\"every_ms\":7,\"go_on\":true,"
    "\"runs\":2},\"trust\":\"central\"}";

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
    assert_int_equal(s->party_count, 3);
    assert_string_equal(regions_at(s->party[1].region)->name, "us-east");
    assert_int_equal(s->party[0].rows, 10);
    assert_int_equal(s->k, 1);
    assert_int_equal(s->f, 0);
    assert_int_equal(s->q, 1);
    assert_int_equal(s->t, 1);
    assert_int_equal(s->s, 1);
    assert_int_equal(s->lease_ms, 5000);
    assert_int_equal(s->epsilon_nano, 500000000);
    assert_int_equal(s->fault_count, 10);
    assert_int_equal(s->trust, TRUST_CENTRAL);
    assert_int_equal(s->party[1].latency_ms, 270);
    assert_int_equal(s->party[1].loss_ppm, 9);
    assert_int_equal(s->party[1].bandwidth_kbps, 2000);
    assert_int_equal(s->party[1].enclaves, 1);
    assert_int_equal(s->party[1].speed_percent, 50);
    assert_true(s->party[2].refuses && !s->party[0].refuses && s->go_on && !s->race);
    assert_true(s->fault[6].oneway && !s->fault[7].oneway);
    assert_int_equal(s->fault[6].again, 2);
    assert_int_equal(s->fault[6].every_ms, 40);
    assert_int_equal(s->fault[0].again, 0);
    assert_int_equal(s->fault[2].by_ms, -500);
    assert_int_equal(s->fault[3].of.party, 1);
    assert_int_equal(s->fault[3].other.party, 0);
    assert_int_equal(s->fault[4].target, TARGET_RECIPE);
    assert_int_equal(s->fault[4].phase, RUN_KEYED);
    assert_int_equal(s->fault[9].per_second, 30);
    assert_int_equal(s->fault[0].kind, FAULT_CRASH);
    assert_int_equal(s->fault[1].kind, FAULT_ELECTED);
    assert_int_equal(scenario_count(s, ROLE_COMPUTE | ROLE_OWNER), 3);
}

/* A fault of a jurisdiction or of a region befalls those of its parties that it can befall. */
static void whom_a_fault_befalls(void **state)
{
    (void)state;
    struct scenario *s;
    struct json_fault fault;
    assert_int_equal(parse(&s, whole, &fault), OK);
    const struct scenario_fault *part = &s->fault[6], *split = &s->fault[7], *revoke = &s->fault[8];
    assert_true(scenario_befalls(s, part, 0) && !scenario_befalls(s, part, 1));
    assert_true(scenario_has(s, &split->of, 0) && !scenario_has(s, &split->of, 1));
    assert_true(scenario_has(s, &split->other, 1) && !scenario_has(s, &split->other, 2));
    assert_true(scenario_befalls(s, revoke, 0) && !scenario_befalls(s, revoke, 2));
    const char *in_the_us =
        with("\"jurisdiction\":\"EU\",\"kind\":\"revoke\"", "\"jurisdiction\":\"US\",\"kind\":\"revoke\"");
    assert_int_equal(parse(&s, in_the_us, &fault), OK);
    assert_true(!scenario_befalls(s, &s->fault[8], 1) &&
                scenario_befalls(s, &s->fault[8], 2));  /* hall has no rows */
    assert_false(scenario_befalls(s, &s->fault[1], 0)); /* elected: of nobody */
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
    assert_int_equal(s->fault[9].per_second, 30);
    assert_int_equal(s->trust, TRUST_CENTRAL);
    assert_int_equal(scenario_write(&b, s), OK);
    assert_true(span_equal(buffer_span(&a), buffer_span(&b)));
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *from, *to, *path;
    } wrong[] = {
        {"\"name\":\"small\"", "\"nodes\":10000000", ""},
        {"\"faults\":[", "\"consortia\":2,\"faults\":[", "consortia"}, /* its trust is central */
        {"\"loss_ppm\":100", "\"loss\":100", "network"},
        {"\"loss_ppm\":100", "\"loss_ppm\":-1", "network.loss_ppm"},
        {"\"every_ms\":7", "\"every_ms\":-7", "study.every_ms"},
        {"\"region\":\"us-east\"", "\"region\":\"atlantis\"", "parties[1].region"},
        {"\"region\":\"us-east\",", "", "parties[1]"},
        {"\"name\":\"hall\"", "\"name\":\"north\"", "parties[1].name"},
        {"\"roles\":[\"algorithm\",\"compute\",\"requester\"]", "\"roles\":[\"algorithm\",\"compute\"]",
         "parties"},
        {"\"roles\":[\"algorithm\",\"compute\",\"requester\"]", "\"roles\":[\"device\"]", "parties[1].maker"},
        {"\"roles\":[\"algorithm\",\"compute\",\"requester\"]", "\"roles\":[\"compute\",\"device\"]",
         "parties[1].roles"},
        {"\"name\":\"hall\"", "\"maker\":\"north\",\"name\":\"hall\"", "parties[1].maker"},
        {"\"region\":\"us-east\"", "\"region\":[\"us-east\"]", "parties[1].region"},
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
        {"\"latency_ms\":270", "\"latency_ms\":-270", "parties[1].latency_ms"},
        {"\"latency_ms\":270", "\"latency_ms\":0", "parties[1].latency_ms"},
        {"\"loss_ppm\":9", "\"loss_ppm\":1000000", "parties[1].loss_ppm"},
        {"\"bandwidth_kbps\":2000", "\"bandwidth_kbps\":0", "parties[1].bandwidth_kbps"},
        {"\"enclaves\":1", "\"enclaves\":100", "parties[1].enclaves"},
        {"\"speed_percent\":50", "\"speed_percent\":0", "parties[1].speed_percent"},
        {"\"rows\":10", "\"rows\":10,\"speed_percent\":50", "parties[0].speed_percent"},
        {"\"jurisdiction\":\"EU\",\"name\"", "\"enclaves\":1,\"jurisdiction\":\"EU\",\"name\"",
         "parties[0].enclaves"},
        {"\"name\":\"hall\",", "\"name\":\"hall\",\"refuses\":true,", "parties[1].refuses"},
        {"\"name\":\"north\",\"region\"", "\"name\":\"north\",\"refuses\":true,\"region\"", "parties"},
        {"\"charter\":{\"k\":1", "\"charter\":{\"k\":2", "charter.k"}, /* two bring rows, one approves */
        {"\"jurisdiction\":\"EU\",\"kind\":\"part\"", "\"jurisdiction\":\"JP\",\"kind\":\"part\"",
         "faults[6].jurisdiction"},
        {"\"kind\":\"part\",\"oneway\":true", "\"kind\":\"part\",\"oneway\":1", "faults[6].oneway"},
        {"\"jurisdiction\":\"EU\",\"kind\":\"part\"", "\"kind\":\"part\"", "faults[6].party"},
        {"\"kind\":\"part\",\"oneway\":true,", "\"kind\":\"part\",\"oneway\":true,\"party\":\"hall\",",
         "faults[6].party"},
        {"\"every_ms\":40", "\"every_ms\":30", "faults[6].every_ms"}, /* one would begin as one ends */
        {"\"every_ms\":40,", "", "faults[6]"},
        {"\"times\":3", "\"times\":0", "faults[6].times"},
        {"\"other_region\":\"us-east\"", "\"other_region\":\"atlantis\"", "faults[7].other_region"},
        {"\"other_region\":\"us-east\"", "\"other_region\":\"japan\"", "faults[7].other_region"},
        {"\"other_region\":\"us-east\"", "\"other\":\"north\"", "faults[7].other"},
        {"\"other_region\":\"us-east\",", "", "faults[7].other"},
        {"\"kind\":\"revoke\",\"target\":\"dataset\"", "\"kind\":\"revoke\",\"oneway\":true", "faults[8]"},
        {"\"kind\":\"revoke\",\"target\":\"dataset\"", "\"kind\":\"revoke\",\"times\":2", "faults[8]"},
        {"\"per_second\":30", "\"per_second\":0", "faults[9].per_second"},
        {"\"kind\":\"flood\"", "\"kind\":\"replay\"", "faults[9]"},
        {"\"go_on\":true", "\"go_on\":\"yes\"", "study.go_on"},
        {"\"trust\":\"central\"", "\"trust\":\"me\"", "trust"},
        {"\"for_ms\":20,\"kind\":\"elected\"", "\"kind\":\"retype\",\"party\":\"hall\"", "faults[1]"},
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

/* --- Many alike ------------------------------------------------------------------------------------------------------------ */

#define DEVICES                                                                                              \
    "{\"count\":7,\"jurisdiction\":\"EU\",\"maker\":\"mill\",\"name\":\"band\",\"region\":[\"sweden\","      \
    "\"italy\"],"                                                                                            \
    "\"roles\":[\"device\"]},"

static const char many[] = "{\"faults\":[{\"at_ms\":1,\"for_ms\":2,\"kind\":\"crash\",\"party\":\"band\"},"
                           "{\"at_ms\":1,\"for_ms\":2,\"kind\":\"crash\",\"party\":\"band-7\"}],"
                           "\"for_ms\":60000,\"name\":\"many\",\"parties\":[" DEVICES
                           "{\"count\":3,\"jurisdiction\":\"EU\",\"name\":\"seat\",\"region\":\"france\","
                           "\"roles\":[\"custodian\",\"owner\",\"steward\"],\"rows\":10},"
                           "{\"jurisdiction\":\"EU\",\"name\":\"mill\",\"region\":\"italy\","
                           "\"roles\":[\"algorithm\",\"compute\",\"maker\",\"requester\"]}],"
                           "\"perigee\":\"scenario/1\"}";

static const char *many_with(const char *from, const char *to)
{
    static char text[4096];
    const char *at = strstr(many, from);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - many), many, to, at + strlen(from));
    return text;
}

static void many_are_said_once(void **state)
{
    struct scenario *s;
    struct json_fault fault;
    (void)state;
    assert_int_equal(parse(&s, many, &fault), OK);
    assert_int_equal(s->party_count, 11);
    assert_true(span_equal_text(s->party[0].name, "band-1") && span_equal_text(s->party[6].name, "band-7"));
    assert_true(span_equal_text(s->party[7].name, "seat-1") && span_equal_text(s->party[10].name, "mill"));
    for (uint32_t i = 0; i < 7; i++) {
        assert_string_equal(regions_at(s->party[i].region)->name, i % 2 == 0 ? "sweden" : "italy");
        assert_int_equal(s->party[i].maker, 10);
    }
    assert_int_equal(s->party[10].devices, 7);
    assert_int_equal(s->maker_devices, 7);
    assert_string_equal(regions_at(s->party[9].region)->name, "france");
    assert_int_equal(scenario_count(s, ROLE_CUSTODIAN), 3);
}

/* All of a kind by its name, or one of it. */
static void a_fault_befalls_a_kind(void **state)
{
    struct scenario *s;
    struct json_fault fault;
    (void)state;
    assert_int_equal(parse(&s, many, &fault), OK);
    for (uint32_t i = 0; i < s->party_count; i++) {
        assert_int_equal(scenario_befalls(s, &s->fault[0], i), i < 7);
        assert_int_equal(scenario_befalls(s, &s->fault[1], i), i == 6);
    }
}

static void a_kind_is_written_once(void **state)
{
    static uint8_t written[SCENARIO_BYTES_MAX], again[SCENARIO_BYTES_MAX];
    struct buffer a = BUFFER_OF(written), b = BUFFER_OF(again);
    struct scenario *s;
    struct json_fault fault;
    (void)state;
    assert_int_equal(parse(&s, many, &fault), OK);
    assert_int_equal(scenario_write(&a, s), OK);
    buffer_put_zero(&a);
    assert_non_null(strstr((const char *)written, DEVICES));
    assert_non_null(strstr((const char *)written, "\"party\":\"band\"}"));
    assert_int_equal(parse(&s, (const char *)written, &fault), OK);
    assert_int_equal(s->party_count, 11);
    assert_int_equal(scenario_write(&b, s), OK);
    buffer_put_zero(&b);
    assert_string_equal((const char *)written, (const char *)again);
    s->fault_count = 0; /* and one by one, when some of them are gone */
    for (uint32_t i = 1; i < s->party_count; i++) s->party[i - 1] = s->party[i];
    for (uint32_t i = 0; i < 6; i++) s->party[i].maker--;
    s->party_count--;
    b.len = 0;
    assert_int_equal(scenario_write(&b, s), OK);
    buffer_put_zero(&b);
    assert_int_equal(parse(&s, (const char *)again, &fault), OK);
    assert_int_equal(s->party_count, 10);
    assert_true(span_equal_text(s->party[0].name, "band-2") && s->party[0].kind == NULL);
    assert_true(s->party[6].kind != NULL);
}

/* --- Many consortia -------------------------------------------------------------------------------------------------------- */

static void each_stands_elsewhere(void **state)
{
    static uint8_t written[SCENARIO_BYTES_MAX], room[1 << 16] __attribute__((aligned(16)));
    struct buffer b = BUFFER_OF(written);
    struct arena rest = arena_make(room, sizeof room);
    struct scenario *s;
    const struct scenario *second;
    struct json_fault fault;
    (void)state;
    assert_int_equal(parse(&s,
                           many_with("{\"faults\":[{\"at_ms\":1,",
                                     "{\"consortia\":90,\"faults\":[{\"at_ms\":1,\"consortium\":90,"),
                           &fault),
                     OK);
    assert_int_equal(s->consortia, 90);
    assert_int_equal(scenario_nodes(s), 990);
    assert_int_equal(s->fault[0].consortium, 90);
    assert_int_equal(s->fault[1].consortium, 0);
    assert_int_equal(scenario_turned(&second, &rest, s, 0), OK);
    assert_ptr_equal(second, s);
    assert_int_equal(scenario_turned(&second, &rest, s, 1), OK);
    for (uint32_t i = 0; i < 7; i++)
        assert_string_equal(regions_at(second->party[i].region)->name, i % 2 == 0 ? "italy" : "sweden");
    assert_string_equal(regions_at(second->party[8].region)->name, "france");
    assert_int_equal(s->founded_every_ms, 0);
    s->founded_every_ms = 700;
    assert_int_equal(scenario_write(&b, s), OK);
    buffer_put_zero(&b);
    assert_int_equal(parse(&s, (const char *)written, &fault), OK);
    assert_int_equal(s->consortia, 90);
    assert_int_equal(s->founded_every_ms, 700);
    assert_int_equal(s->fault[0].consortium, 90);
}

/* Bands stand in seven of eight regions, and in another seven in each consortium; this befalls one of several. */
static const char *elsewhere(const char *fault)
{
    static char text[4096];
    static const char begin[] = "{\"faults\":[";
    const char *rest =
        many_with("[\"sweden\",\"italy\"]", "[\"sweden\",\"italy\",\"uk\",\"us-east\",\"japan\","
                                            "\"india\",\"brazil\",\"ireland\"]");
    (void)snprintf(text, sizeof text, "{\"consortia\":9,\"faults\":[{\"at_ms\":1,%s},%s", fault,
                   rest + strlen(begin));
    return text;
}

/* Whom a fault befalls must be there in each consortium that it comes to. */
static void whom_it_befalls_is_there(void **state)
{
    static const struct {
        const char *fault, *path, *expected;
    } cases[] = {
        {"\"consortium\":2,\"for_ms\":2,\"kind\":\"crash\",\"region\":\"ireland\"", NULL, NULL},
        {"\"consortium\":1,\"for_ms\":2,\"kind\":\"crash\",\"region\":\"ireland\"", "faults[0].region",
         "somebody there"},
        {"\"consortium\":9,\"for_ms\":2,\"kind\":\"crash\",\"region\":\"ireland\"", "faults[0].region",
         "somebody there"},
        {"\"consortium\":2,\"for_ms\":2,\"kind\":\"crash\",\"region\":\"sweden\"", "faults[0].region",
         "somebody there"},
        {"\"for_ms\":2,\"kind\":\"crash\",\"region\":\"sweden\"", "faults[0].region", "somebody there"},
        {"\"consortium\":1,\"for_ms\":2,\"kind\":\"split\",\"other\":\"band-1\",\"region\":\"uk\"", NULL,
         NULL},
        {"\"consortium\":3,\"for_ms\":2,\"kind\":\"split\",\"other\":\"band-1\",\"region\":\"uk\"",
         "faults[0].other", "nobody who is on the first side"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scenario *s;
        struct json_fault fault;
        const enum err err = parse(&s, elsewhere(cases[i].fault), &fault);
        if (cases[i].path == NULL ? err != OK
                                  : err == OK || strcmp(fault.path, cases[i].path) != 0 ||
                                        strstr(fault.expected, cases[i].expected) == NULL)
            fail_msg("%s: at \"%s\", expected %s", cases[i].fault, fault.path, fault.expected);
    }
}

static void many_that_are_refused(void **state)
{
    static const struct {
        const char *from, *to, *path, *expected;
    } wrong[] = {
        {"\"count\":7", "\"count\":10000000", "parties[0].count", "16384"},
        {"\"count\":7", "\"count\":0", "parties[0].count", "1"},
        {"{\"faults\"", "{\"consortia\":0,\"faults\"", "consortia", "1"},
        {"{\"faults\"", "{\"consortia\":10000000,\"faults\"", "consortia", "131072"},
        {"{\"faults\"", "{\"consortia\":11916,\"faults\"", "consortia", "at most 131072 nodes in all"},
        {"{\"faults\"", "{\"consortia\":91,\"faults\"", "crypto", "real or modelled"},
        {"\"name\":\"many", "\"founded_every_ms\":5,\"name\":\"many", "founded_every_ms",
         "more than one of consortia"},
        {"{\"faults\":[{\"at_ms\":1,", "{\"consortia\":2,\"faults\":[{\"at_ms\":1,\"consortium\":3,",
         "faults[0].consortium", "2"},
        {"{\"faults\":[", "{\"faults\":[{\"at_ms\":1,\"kind\":\"equivocate\",\"party\":\"seat\"},",
         "faults[0].party", "no custodian, steward, maker or device"},
        {"{\"faults\":[", "{\"faults\":[{\"at_ms\":1,\"kind\":\"equivocate\",\"party\":\"band-7\"},",
         "faults[0].party", "no custodian, steward, maker or device"},
        {"\"count\":3", "\"count\":16380", "parties[1].count", "at most 16384 parties in all"},
        {"\"count\":3", "\"count\":33", "parties", "at most 32 custodians and 32 stewards among them"},
        {"\"count\":3", "\"count\":17", "parties", "1 to 16 owners with rows"},
        {"\"count\":7", "\"count\":2000", "parties", "devices of one maker"},
        {"{\"faults\"", "{\"crypto\":\"fast\",\"faults\"", "crypto", "real"},
        {"\"name\":\"mill\"", "\"name\":\"band\"", "parties[2].name", "a name that no other party has"},
        {"\"name\":\"mill\"", "\"name\":\"band-7\"", "parties[2].name", "a name that no other party has"},
        {"\"name\":\"seat\"", "\"name\":\"band\"", "parties[1].name", "a name that no other party has"},
        {"\"name\":\"band\"", "\"name\":\"a23456789-123456789-123456789-123456789-123456789-123456789\"",
         "parties[0].name", "at most 58 characters"},
        {"\"maker\":\"mill\"", "\"maker\":\"seat-1\"", "parties[0].maker", "a party with the role maker"},
        {"\"maker\":\"mill\"", "\"maker\":\"nobody\"", "parties[0].maker", "a party with the role maker"},
        {"\"party\":\"band-7\"", "\"party\":\"band-8\"", "faults[1].party", "a party, or of a kind"},
        {"\"party\":\"band-7\"", "\"party\":\"band-07\"", "faults[1].party", "a party, or of a kind"},
        {"[\"sweden\",\"italy\"]", "[]", "parties[0].region", "1"},
        {"[\"sweden\",\"italy\"]", "[\"sweden\",\"atlantis\"]", "parties[0].region", "a region of the table"},
        {"[\"sweden\",\"italy\"]", "[\"sweden\",\"sweden\"]", "parties[0].region", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct scenario *s;
        struct json_fault fault;
        assert_int_not_equal(parse(&s, many_with(wrong[i].from, wrong[i].to), &fault), OK);
        if (strncmp(fault.path, wrong[i].path, strlen(wrong[i].path)) != 0 ||
            strstr(fault.expected, wrong[i].expected) == NULL)
            fail_msg("%s: refused at \"%s\", expected %s", wrong[i].to, fault.path, fault.expected);
    }
    struct scenario *s;
    struct json_fault fault;
    assert_int_equal(parse(&s, many_with("\"name\":\"mill\"", "\"name\":\"band-8\""), &fault), ERR_NOT_FOUND);
    assert_string_equal(fault.path, "parties[0].maker"); /* that name is free; nobody is called mill now */
}

/* 999 that stand by, and eleven others. */
static const char *crowd(const char *crypto)
{
    static char text[4096];
    const char *one = "{\"count\":999,\"jurisdiction\":\"EU\",\"name\":\"audit\",\"region\":\"france\","
                      "\"roles\":[\"auditor\"]},";
    const char *at = strstr(many, DEVICES);
    (void)snprintf(text, sizeof text, "{%s%.*s%s%s", crypto, (int)(at - many) - 1, many + 1, one, at);
    return text;
}

static void how_signatures_are_made(void **state)
{
    static uint8_t written[SCENARIO_BYTES_MAX];
    struct buffer b = BUFFER_OF(written);
    struct scenario *s;
    struct json_fault fault;
    (void)state;
    assert_int_equal(parse(&s, many, &fault), OK);
    assert_int_equal(s->crypto, SCENARIO_CRYPTO_REAL);
    assert_int_not_equal(parse(&s, crowd(""), &fault), OK);
    assert_string_equal(fault.path, "crypto");
    assert_int_equal(parse(&s, crowd("\"crypto\":\"real\","), &fault), OK);
    assert_int_equal(s->crypto, SCENARIO_CRYPTO_REAL);
    assert_int_equal(scenario_write(&b, s), OK);
    buffer_put_zero(&b);
    assert_int_equal(parse(&s, (const char *)written, &fault), OK);
    assert_int_equal(parse(&s, crowd("\"crypto\":\"modelled\","), &fault), OK);
    assert_int_equal(s->crypto, SCENARIO_CRYPTO_MODELLED);
    b.len = 0;
    assert_int_equal(scenario_write(&b, s), OK);
    buffer_put_zero(&b);
    assert_int_equal(parse(&s, (const char *)written, &fault), OK);
    assert_int_equal(s->crypto, SCENARIO_CRYPTO_MODELLED);
    assert_int_equal(s->party_count, 1010);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_whole_one),
                                       cmocka_unit_test(whom_a_fault_befalls),
                                       cmocka_unit_test(written_it_reads_the_same),
                                       cmocka_unit_test(what_is_refused),
                                       cmocka_unit_test(thresholds_in_the_scenarios_words),
                                       cmocka_unit_test(roles_in_any_order),
                                       cmocka_unit_test(many_are_said_once),
                                       cmocka_unit_test(a_fault_befalls_a_kind),
                                       cmocka_unit_test(a_kind_is_written_once),
                                       cmocka_unit_test(each_stands_elsewhere),
                                       cmocka_unit_test(whom_it_befalls_is_there),
                                       cmocka_unit_test(many_that_are_refused),
                                       cmocka_unit_test(how_signatures_are_made),
                                       cmocka_unit_test(a_large_one)};
    return cmocka_run_group_tests_name("sim_scenario", tests, NULL, NULL);
}
