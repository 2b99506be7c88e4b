/* Links of a large world: there when somebody dialled and a handshake's round trips are over, gone for both when one falls, hangs up or is
 * cut off. */
#include "crypto/secret.h"
#include "sim/simulation_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { DEVICES = 70, OFFICE = DEVICES, HALL, NORTH };

static struct simulation *sim;
static struct consortium *s; /* the one that there is */
static struct arena arena;
static size_t arena_cap = (size_t)1 << 30;

/* The devices stand in Sweden and Italy in turn. */
static void begin(const char *faults)
{
    static char text[4096];
    struct scenario *scenario;
    struct json_fault fault = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    arena = arena_make(memory, arena_cap);
    (void)snprintf(
        text, sizeof text,
        "{%s\"name\":\"many\",\"parties\":["
        "{\"count\":%d,\"jurisdiction\":\"EU\",\"maker\":\"office\",\"name\":\"band\",\"region\":[\"sweden\","
        "\"italy\"],\"roles\":[\"device\"]},"
        "{\"jurisdiction\":\"EU\",\"name\":\"office\",\"region\":\"germany\",\"roles\":[\"algorithm\","
        "\"maker\",\"requester\"]},"
        "{\"jurisdiction\":\"EU\",\"name\":\"hall\",\"region\":\"ireland\",\"roles\":[\"compute\"]},"
        "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\",\"roles\":[\"custodian\","
        "\"owner\",\"steward\"],\"rows\":3}],\"perigee\":\"scenario/"
        "1\",\"study\":{\"every_ms\":60000,\"runs\":2}}",
        faults, DEVICES);
    if (crypto_init() != OK || scenario_parse(&scenario, &arena, span_text(text), &fault) != OK)
        fail_msg("%s: %s", fault.path, fault.expected);
    assert_int_equal(simulation_new(&sim, &arena, scenario, 1, &fault), OK);
    s = sim->consortium;
}

static int end(void **state)
{
    (void)state;
    simulation_free(sim);
    s = NULL;
    return munmap(arena.data, arena_cap);
}

static void until_ns(uint64_t ns)
{
    while (now_of(s) < ns && simulation_run(sim, 1)) {
    }
    if (simulation_violation(sim) != NULL) fail_msg("%s", simulation_violation(sim));
}

static bool hears(uint32_t number, uint32_t peer)
{
    const struct peer_view *p;
    for (uint32_t i = 0; (p = core_peer_at(s->station[number].core, i)) != NULL; i++)
        if (ID_EQUAL(p->node, s->station[peer].player->id)) return p->up;
    return false;
}

/* Two devices without a link, in Sweden and in Italy. */
static void find_strangers(uint32_t *a, uint32_t *b)
{
    for (*a = 0; *a < DEVICES; *a += 2)
        for (*b = 1; *b < DEVICES; *b += 2)
            if (!consortium_linked(s, *a, *b)) return;
    fail();
}

static void nothing_is_there_by_itself(void **state)
{
    (void)state;
    begin("");
    for (uint32_t a = 0; a < s->count; a++) assert_int_equal(consortium_neighbours(s, a), 0);
}

static void a_handshake_later(void **state)
{
    uint32_t a, b;
    (void)state;
    begin("");
    until_ns(500000000);
    find_strangers(&a, &b);
    const uint64_t from_ns = now_of(s), trip_ns = net_round_trip_ns(s->net, a, b);
    consortium_dial(s, a, b);
    consortium_dial(s, b, a); /* the one that comes second finds it */
    while (!consortium_linked(s, a, b) && simulation_run(sim, 1)) {
    }
    assert_int_equal(now_of(s) - from_ns, trip_ns * 5 / 2);
    assert_false(hears(a, b));
    const uint32_t neighbours = consortium_neighbours(s, a);
    until_ns(now_of(s) + 10);
    assert_true(hears(a, b) && hears(b, a));
    assert_int_equal(consortium_neighbours(s, a), neighbours);
    assert_int_not_equal(consortium_link(s, a, b), 0);
    assert_int_equal(consortium_link(s, a, b), consortium_link(s, b, a));
}

static void hung_up_for_both(void **state)
{
    uint32_t a, b;
    (void)state;
    begin("");
    until_ns(500000000);
    find_strangers(&a, &b);
    consortium_dial(s, a, b);
    until_ns(700000000);
    assert_true(hears(a, b) && hears(b, a));
    const uint64_t before = consortium_link(s, a, b);
    consortium_hang_up(s, b, a);
    consortium_hang_up(s, b, a); /* there is nothing any more */
    assert_false(consortium_linked(s, a, b));
    until_ns(now_of(s) + 10);
    assert_false(hears(a, b) || hears(b, a));
    consortium_dial(s, b, a);
    until_ns(now_of(s) + 200000000);
    assert_true(hears(a, b) && consortium_link(s, a, b) != before);
}

static void who_falls_has_none(void **state)
{
    uint32_t a, b;
    (void)state;
    begin("");
    until_ns(500000000);
    find_strangers(&a, &b);
    consortium_dial(s, a, b);
    station_crash(&s->station[b]); /* during the handshake, and back before it is over */
    assert_int_equal(station_start(&s->station[b]), OK);
    assert_int_equal(consortium_neighbours(s, b), 0);
    until_ns(now_of(s) + net_round_trip_ns(s->net, a, b) * 5 / 2 + 10);
    assert_false(consortium_linked(s, a, b) || hears(a, b));
    station_crash(&s->station[b]);
    consortium_dial(s, a, b); /* to who is down: nothing */
    consortium_dial(s, b, a);
    until_ns(now_of(s) + 200000000);
    assert_int_equal(consortium_neighbours(s, b), 0);
    for (uint32_t i = 0; i < s->count; i++)
        if (i != b) assert_false(hears(i, b));
}

/* Each in Sweden with one in Italy, and the office with the hall. */
static void dial_some(void)
{
    until_ns(500000000);
    for (uint32_t a = 0; a < DEVICES; a += 2) consortium_dial(s, a, a + 1);
    consortium_dial(s, OFFICE, HALL);
}

/* From 1 s to 2 s Sweden is kept from Italy; everybody else reaches both. */
static void none_over_a_split(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":1000,\"for_ms\":1000,\"kind\":\"split\",\"other_region\":\"italy\","
          "\"region\":\"sweden\"}],");
    dial_some();
    until_ns(900000000);
    uint32_t over = 0;
    for (uint32_t a = 0; a < DEVICES; a += 2)
        for (uint32_t b = 1; b < DEVICES; b += 2) over += consortium_linked(s, a, b);
    assert_true(over > 0);
    until_ns(1000000100);
    for (uint32_t a = 0; a < DEVICES; a += 2)
        for (uint32_t b = 1; b < DEVICES; b += 2) {
            assert_false(consortium_linked(s, a, b) || hears(a, b) || hears(b, a));
            consortium_dial(s, a, b);
        }
    assert_true(consortium_linked(s, OFFICE, HALL));
    until_ns(1900000000);
    for (uint32_t a = 0; a < DEVICES; a += 2) assert_false(consortium_linked(s, a, 1));
    until_ns(2000001000);
    consortium_dial(s, 0, 1);
    until_ns(2300000000);
    assert_true(hears(0, 1) && hears(1, 0));
}

/* A link that stands is held; none comes up, since a handshake needs both directions. */
static void none_one_way(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":1000,\"for_ms\":1000,\"kind\":\"split\",\"oneway\":true,"
          "\"other_region\":\"italy\",\"region\":\"sweden\"}],");
    dial_some();
    until_ns(1000000100);
    uint32_t a, b, stands = 0;
    for (a = 0; a < DEVICES; a += 2)
        for (b = 1; b < DEVICES; b += 2) stands += consortium_linked(s, a, b);
    assert_true(stands > 0);
    find_strangers(&a, &b);
    consortium_dial(s, a, b);
    consortium_dial(s, b, a);
    until_ns(1900000000);
    assert_false(consortium_linked(s, a, b));
    until_ns(2000001000);
    consortium_dial(s, a, b);
    until_ns(2300000000);
    assert_true(consortium_linked(s, a, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_is_there_by_itself, end),
        cmocka_unit_test_teardown(a_handshake_later, end),
        cmocka_unit_test_teardown(hung_up_for_both, end),
        cmocka_unit_test_teardown(who_falls_has_none, end),
        cmocka_unit_test_teardown(none_over_a_split, end),
        cmocka_unit_test_teardown(none_one_way, end),
    };
    return cmocka_run_group_tests_name("sim_links", tests, NULL, NULL);
}
