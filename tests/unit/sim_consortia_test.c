/* Consortia of one world: each goes as it would alone, what befalls one touches no other, and a checker that fires names it. */
#include "crypto/secret.h"
#include "sim/simulation_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { PARTIES = 7, MANY = 3 };
static const size_t arena_cap = (size_t)1 << 30;

struct world {
    struct simulation *sim;
    struct arena arena;
};

/* In canonical form: `before` the parties. */
static struct world *world_of(const char *before, uint32_t halls)
{
    static char text[4096];
    struct world *w = calloc(1, sizeof *w);
    struct scenario *scenario = NULL;
    struct json_fault fault = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    w->arena = arena_make(memory, arena_cap);
    (void)snprintf(text, sizeof text,
                   "{%s\"name\":\"several\",\"network\":{\"loss_ppm\":20000},\"parties\":["
                   "{\"count\":4,\"jurisdiction\":\"EU\",\"name\":\"seat\",\"region\":[\"sweden\",\"france\","
                   "\"italy\"],\"roles\":[\"custodian\",\"owner\",\"steward\"],\"rows\":3},"
                   "{\"count\":%u,\"drift_ppm\":%d,\"jurisdiction\":\"EU\",\"name\":\"hall\",\"region\":["
                   "\"ireland\",\"uk\"],"
                   "\"roles\":[\"compute\"]},"
                   "{\"jurisdiction\":\"EU\",\"name\":\"office\",\"region\":\"germany\",\"roles\":["
                   "\"algorithm\",\"requester\"]}],\"perigee\":\"scenario/1\"}",
                   before, halls, halls > 2 ? 200 : 0);
    if (crypto_init() != OK || scenario_parse(&scenario, &w->arena, span_text(text), &fault) != OK)
        fail_msg("%s: %s", fault.path, fault.expected);
    assert_int_equal(scenario->party_count, PARTIES - 2 + halls);
    assert_int_equal(simulation_new(&w->sim, &w->arena, scenario, 1, &fault), OK);
    return w;
}

static struct world *world(const char *before)
{
    return world_of(before, 2);
}

static void leave(struct world *w)
{
    simulation_free(w->sim);
    assert_int_equal(munmap(w->arena.data, arena_cap), 0);
    free(w);
}

static void play(struct world *w)
{
    while (simulation_run(w->sim, UINT64_MAX)) {
    }
}

static void all_settled(const struct world *w)
{
    if (simulation_violation(w->sim) != NULL) fail_msg("%s", simulation_violation(w->sim));
    for (uint32_t i = 0; i < w->sim->count; i++) {
        assert_int_equal(w->sim->consortium[i].counts.runs_settled, 1);
        assert_true(w->sim->consortium[i].ended); /* all held the same then */
    }
}

static struct hash32 hash_of(const struct world *w, uint32_t consortium)
{
    return simulation_hash_of(w->sim, consortium);
}

static void each_goes_as_alone(void **state)
{
    (void)state;
    struct world *alone = world(""), *many = world("\"consortia\":3,"), *again = world("\"consortia\":3,");
    play(alone);
    play(many);
    play(again);
    all_settled(many);
    assert_true(ID_EQUAL(hash_of(many, 0), simulation_hash(alone->sim)));
    assert_true(ID_EQUAL(simulation_hash(many->sim), simulation_hash(again->sim)));
    assert_false(ID_EQUAL(simulation_hash(many->sim), hash_of(many, 0)));
    for (uint32_t i = 1; i < MANY; i++) {
        const struct consortium *a = &many->sim->consortium[i - 1], *b = &many->sim->consortium[i];
        assert_false(ID_EQUAL(hash_of(many, i - 1), hash_of(many, i)));
        assert_false(ID_EQUAL(a->cast->consortium, b->cast->consortium));
        assert_false(ID_EQUAL(a->cast->player[0].id, b->cast->player[0].id));
        assert_false(ID_EQUAL(a->papers->dataset[0].dt, b->papers->dataset[0].dt));
        assert_int_not_equal(net_region(many->sim->net, place_of(a, 0)),
                             net_region(many->sim->net, place_of(b, 0)));
        assert_int_equal(net_region(many->sim->net, place_of(a, PARTIES - 1)),
                         net_region(many->sim->net, place_of(b, PARTIES - 1)));
    }
    struct simulation_counts counts, one;
    simulation_counts(many->sim, &counts);
    simulation_counts(alone->sim, &one);
    assert_int_equal(counts.runs_settled, MANY);
    assert_true(counts.events > 2 * one.events && counts.settle_ms_most >= one.settle_ms_most);
    leave(alone);
    leave(many);
    leave(again);
}

/* One falls as it computes, and one of its seats is cut off. */
static void what_befalls_one(void **state)
{
    (void)state;
    struct world *fine = world("\"consortia\":3,"),
                 *hurt = world("\"consortia\":3,\"faults\":["
                               "{\"at_ms\":900,\"consortium\":2,\"for_ms\":2000,\"kind\":\"elected\"},"
                               "{\"at_ms\":300,\"consortium\":2,\"for_ms\":900,\"kind\":\"part\",\"party\":"
                               "\"seat-2\"}],");
    play(fine);
    play(hurt);
    all_settled(hurt);
    assert_true(ID_EQUAL(hash_of(fine, 0), hash_of(hurt, 0)));
    assert_false(ID_EQUAL(hash_of(fine, 1), hash_of(hurt, 1)));
    assert_true(ID_EQUAL(hash_of(fine, 2), hash_of(hurt, 2)));
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(hurt->sim->consortium[i].counts.crashes, i == 1);
        assert_int_equal(hurt->sim->consortium[i].counts.parts, i == 1);
    }
    leave(fine);
    leave(hurt);
}

/* All others have ended by then, and what would be left for them to do is done no more. */
static void who_ends_later(void **state)
{
    (void)state;
    struct world *w = world("\"consortia\":3,\"faults\":["
                            "{\"at_ms\":100,\"consortium\":3,\"for_ms\":30000,\"kind\":\"part\",\"party\":"
                            "\"office\"}],");
    const struct consortium *last = &w->sim->consortium[2];
    while (simulation_run(w->sim, 1) && w->sim->open > 1) {
    }
    assert_false(last->ended);
    const uint64_t events = w->sim->consortium[0].counts.events;
    play(w);
    all_settled(w);
    assert_int_equal(w->sim->consortium[0].counts.events, events);
    assert_true(w->sim->now_ns >= UINT64_C(30100000000));
    leave(w);
}

/* The first has ended, and its nodes are gone, before the second begins. */
static void one_after_another(void **state)
{
    (void)state;
    struct world *alone = world(""), *w = world("\"consortia\":3,\"founded_every_ms\":60000,"),
                 *again = world("\"consortia\":3,\"founded_every_ms\":60000,");
    const struct consortium *first = &w->sim->consortium[0], *second = &w->sim->consortium[1];
    play(alone);
    assert_int_equal(simulation_founded(w->sim), 1);
    while (simulation_run(w->sim, 1) && simulation_founded(w->sim) == 1) {
    }
    assert_int_equal(simulation_founded(w->sim), 2);
    assert_int_equal(w->sim->now_ns, UINT64_C(60000000000));
    assert_true(first->closed && first->station == NULL && !second->ended);
    assert_true(ID_EQUAL(hash_of(w, 0), simulation_hash(alone->sim)));
    assert_int_equal(first->counts.runs_settled, 1);
    play(w);
    play(again);
    all_settled(w);
    assert_int_equal(simulation_founded(w->sim), MANY);
    assert_true(w->sim->consortium[2].run[0].asked_ms > 120000);
    assert_true(w->sim->consortium[2].run[0].settled_ms < 180000);
    assert_true(ID_EQUAL(simulation_hash(w->sim), simulation_hash(again->sim)));
    leave(alone);
    leave(w);
    leave(again);
}

/* What is to befall the second befalls it as long after its beginning. */
static void its_faults_wait_for_it(void **state)
{
    (void)state;
    struct world *w = world("\"consortia\":2,\"faults\":[{\"at_ms\":100,\"for_ms\":20000,\"kind\":\"part\","
                            "\"party\":\"office\"}],\"for_ms\":40000,\"founded_every_ms\":50000,");
    play(w);
    all_settled(w);
    for (uint32_t i = 0; i < 2; i++) {
        const struct consortium *s = &w->sim->consortium[i];
        assert_int_equal(s->counts.parts, 1);
        assert_in_range(s->run[0].settled_ms, i * 50000 + 20100, i * 50000 + 40000);
    }
    leave(w);
}

/* Of more than 64, which dial each other, and with clocks that are wrong from their own beginning on. */
static void large_ones_in_turn(void **state)
{
    (void)state;
    struct world *w = world_of("\"consortia\":2,\"founded_every_ms\":400,", 65);
    const struct consortium *second = &w->sim->consortium[1];
    while (simulation_run(w->sim, 1) && simulation_founded(w->sim) == 1) {
    }
    assert_int_equal(second->begin_ns, 400000000);
    for (uint32_t i = 0; i < second->count; i++) {
        const struct station *n = &second->station[i];
        const uint64_t later_ns = n->player->party->drift_ppm != 0 ? 10002000 : 10000000;
        assert_int_equal(station_clock_ns(n), second->begin_ns);
        assert_int_equal(station_true_ns(n, second->begin_ns + later_ns), second->begin_ns + 10000000);
    }
    assert_true(simulation_run(w->sim, 2000));
    assert_true(second->counts.messages > 0);
    assert_int_equal(simulation_error(w->sim), OK);
    leave(w);
}

/* A receipt nobody waited for: time is over for one of them. */
static void a_checker_names_it(void **state)
{
    (void)state;
    struct world *w = world("\"consortia\":3,\"faults\":[{\"at_ms\":100,\"consortium\":2,\"for_ms\":30000,"
                            "\"kind\":\"part\",\"party\":\"office\"}],\"for_ms\":20000,");
    play(w);
    assert_non_null(simulation_violation(w->sim));
    assert_non_null(strstr(simulation_violation(w->sim), "live: in consortium 2 time is up"));
    w->sim->violation[0] = 0;
    watch_violation(&w->sim->consortium[2], "budget", "slot %d", 7);
    assert_string_equal(simulation_violation(w->sim), "budget: in consortium 3 slot 7");
    leave(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_goes_as_alone),     cmocka_unit_test(what_befalls_one),
        cmocka_unit_test(who_ends_later),         cmocka_unit_test(one_after_another),
        cmocka_unit_test(its_faults_wait_for_it), cmocka_unit_test(large_ones_in_turn),
        cmocka_unit_test(a_checker_names_it)};
    return cmocka_run_group_tests_name("sim_consortia", tests, NULL, NULL);
}
