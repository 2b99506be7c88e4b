/* Faults of links, looked at while they last: of a jurisdiction, in one direction, and time and again. */
#include "crypto/secret.h"
#include "sim/simulation_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { NORTH, EAST, SOUTH, HALL, OFFICE };

#define PARTIES                                                                                              \
    "\"parties\":["                                                                                          \
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\",\"roles\":[\"custodian\",\"owner\","  \
    "\"steward\"],\"rows\":3},"                                                                              \
    "{\"jurisdiction\":\"EU\",\"name\":\"east\",\"region\":\"germany\",\"roles\":[\"custodian\","            \
    "\"steward\"]},"                                                                                         \
    "{\"jurisdiction\":\"CH\",\"name\":\"south\",\"region\":\"switzerland\",\"roles\":[\"custodian\","       \
    "\"steward\"]},"                                                                                         \
    "{%s\"name\":\"hall\",\"region\":\"us-east\",\"roles\":[\"compute\"]},"                                  \
    "{\"jurisdiction\":\"US\",\"name\":\"office\",\"region\":\"us-west\",\"roles\":[\"algorithm\","          \
    "\"requester\"]}],\"perigee\":\"scenario/1\","

static struct simulation *s;
static const char *hall = "\"jurisdiction\":\"US\","; /* what else is said of it */
static struct arena arena;
static size_t arena_cap = (size_t)1 << 30;

/* A world with these faults, in which runs go on for longer than they last. */
static void begin(const char *faults)
{
    static char text[4096];
    struct scenario *scenario;
    struct json_fault fault = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    arena = arena_make(memory, arena_cap);
    (void)snprintf(text, sizeof text,
                   "{%s\"for_ms\":200000,\"name\":\"small\"," PARTIES
                   "\"study\":{\"every_ms\":60000,\"runs\":2}}",
                   faults, hall);
    if (scenario_parse(&scenario, &arena, span_text(text), &fault) != OK) fail_msg("%s", fault.expected);
    assert_int_equal(simulation_new(&s, &arena, scenario, 1, &fault), OK);
    assert_int_equal(simulation_count(s, false), OK);
}

static int end(void **state)
{
    (void)state;
    simulation_free(s);
    s = NULL;
    return munmap(arena.data, arena_cap);
}

static void until_ms(uint64_t ms)
{
    while (s->now_ns < ms * 1000000 && simulation_run(s, 1)) {
    }
    if (simulation_violation(s) != NULL) fail_msg("%s", simulation_violation(s));
    assert_true(s->now_ns >= ms * 1000000);
}

/* How long what is sent now is under way; 0: it does not arrive. */
static uint64_t way_ms(uint32_t from, uint32_t to)
{
    uint64_t arrival_ns[NET_COPIES_MAX];
    return net_send(s->net, from, to, 100, s->now_ns, arrival_ns) > 0 ? (arrival_ns[0] - s->now_ns) / 1000000
                                                                      : 0;
}

static void a_jurisdiction_is_cut_off(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"for_ms\":9000,\"jurisdiction\":\"EU\",\"kind\":\"part\"},"
          "{\"at_ms\":7000,\"for_ms\":9000,\"kind\":\"part\",\"region\":\"sweden\"}],");
    until_ms(4900);
    assert_true(simulation_linked(s, NORTH, SOUTH));
    until_ms(5100);
    assert_true(simulation_linked(s, NORTH, EAST) && simulation_linked(s, SOUTH, HALL));
    assert_true(!simulation_linked(s, NORTH, SOUTH) && !simulation_linked(s, OFFICE, EAST));
    until_ms(14100); /* the first is over, the second is not */
    assert_true(simulation_linked(s, EAST, SOUTH) && !simulation_linked(s, NORTH, EAST));
    until_ms(16100);
    assert_true(simulation_linked(s, NORTH, EAST) && simulation_linked(s, NORTH, SOUTH));
    assert_int_equal(s->counts.parts, 2);
    assert_int_equal(census_node(s->census, NORTH)->cuts, 1); /* for as long as one of both lasted */
    assert_int_equal(census_node(s->census, EAST)->cuts, 1);
    assert_int_equal(census_node(s->census, SOUTH)->cuts, 0);
}

static void two_sides_are_cut_from_each_other(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"for_ms\":3000,\"jurisdiction\":\"US\",\"kind\":\"split\","
          "\"other_jurisdiction\":\"EU\"}],");
    until_ms(5100);
    assert_true(!simulation_linked(s, HALL, NORTH) && !simulation_linked(s, EAST, OFFICE));
    assert_true(simulation_linked(s, HALL, SOUTH) && simulation_linked(s, NORTH, SOUTH));
    until_ms(8100);
    assert_true(simulation_linked(s, HALL, NORTH) && simulation_linked(s, EAST, OFFICE));
}

/* A link that is mute in one direction is held up, and given up when the other side has heard nothing for 30 s. */
static void one_way(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"for_ms\":40000,\"kind\":\"part\",\"oneway\":true,\"party\":"
          "\"north\"}],");
    until_ms(5100);
    assert_true(simulation_linked(s, NORTH, SOUTH));
    assert_in_range(way_ms(NORTH, SOUTH), 39000, 40100);
    assert_in_range(way_ms(SOUTH, NORTH), 1, 200);
    assert_in_range(way_ms(SOUTH, HALL), 1, 200);
    until_ms(34900);
    assert_true(simulation_linked(s, NORTH, SOUTH));
    until_ms(35100);
    assert_true(!simulation_linked(s, NORTH, SOUTH) && simulation_linked(s, SOUTH, HALL));
    until_ms(45100);
    assert_true(simulation_linked(s, NORTH, SOUTH));
    assert_in_range(way_ms(NORTH, SOUTH), 1, 200);
}

static void a_short_one_is_a_delay(void **state)
{
    (void)state;
    begin(
        "\"faults\":[{\"at_ms\":5000,\"for_ms\":6000,\"kind\":\"split\",\"oneway\":true,\"other\":\"south\","
        "\"party\":\"north\"}],");
    until_ms(5100);
    const uint64_t link = simulation_link(s, NORTH, SOUTH);
    assert_in_range(way_ms(NORTH, SOUTH), 5000, 6100);
    assert_in_range(way_ms(NORTH, EAST), 1, 200);
    until_ms(40000);
    assert_int_equal(simulation_link(s, NORTH, SOUTH), link); /* it never broke */
}

static void time_and_again(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"every_ms\":10000,\"for_ms\":4000,\"jurisdiction\":\"EU\",\"kind\":"
          "\"crash\","
          "\"times\":3}],");
    for (uint64_t time = 0; time < 3; time++) {
        until_ms(5100 + 10000 * time);
        assert_true(s->station[NORTH].core == NULL && s->station[EAST].core == NULL);
        assert_non_null(s->station[SOUTH].core);
        until_ms(9100 + 10000 * time);
        assert_true(s->station[NORTH].core != NULL && s->station[EAST].core != NULL);
    }
    until_ms(36000);
    assert_int_equal(s->counts.crashes, 6);
}

/* 300 ms of hall's own in place of 2, and a second for 100,000 bytes. */
static void an_access_link_of_its_own(void **state)
{
    (void)state;
    hall = "\"bandwidth_kbps\":800,\"enclaves\":1,\"jurisdiction\":\"US\",\"latency_ms\":300,";
    begin("");
    hall = "\"jurisdiction\":\"US\",";
    uint64_t arrival_ns[NET_COPIES_MAX];
    until_ms(50000); /* its links are idle */
    const uint64_t way = way_ms(HALL, NORTH);
    assert_in_range(way, 350, 360); /* 50 ms from region to region, 2 ms of north's */
    assert_int_equal(net_send(s->net, HALL, NORTH, 100000, s->now_ns, arrival_ns), 1);
    assert_in_range((arrival_ns[0] - s->now_ns) / 1000000, way + 995, way + 1010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(a_jurisdiction_is_cut_off, end),
                                       cmocka_unit_test_teardown(two_sides_are_cut_from_each_other, end),
                                       cmocka_unit_test_teardown(one_way, end),
                                       cmocka_unit_test_teardown(a_short_one_is_a_delay, end),
                                       cmocka_unit_test_teardown(time_and_again, end),
                                       cmocka_unit_test_teardown(an_access_link_of_its_own, end)};
    if (crypto_init() != OK) return 1;
    return cmocka_run_group_tests_name("sim_fault", tests, NULL, NULL);
}
