/* Whom a node's runs need links with: against all that are wanted, sorted; and that each has its turn. */
#include "proto/parties.h"
#include "tests/effort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
enum { NODES = 200, WANTS = 300 };

static struct parties parties;
static uint64_t state_of_chance;

static int setup(void **state)
{
    (void)state;
    memset(&parties, 0, sizeof parties);
    state_of_chance = 7;
    return 0;
}

static uint32_t chance(uint32_t below)
{
    state_of_chance = state_of_chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state_of_chance >> 33) % below;
}

static struct node_id id_of(uint32_t n)
{
    return (struct node_id){{(uint8_t)n, (uint8_t)(n >> 8), 1}};
}

/* Ten runs of sixteen owners each, of which this node holds one. */
enum { RUNS = 10, OWNERS = 16 };
static void want_all(uint32_t held, int64_t now_ns)
{
    parties_begin(&parties);
    for (uint32_t run = 0; run < RUNS; run++)
        for (uint32_t i = 0; i < OWNERS; i++)
            parties_want(&parties, id_of(run * OWNERS + i),
                         run == held ? PARTIES_OF_HOLDER : PARTIES_OF_WAITER, run);
    parties_end(&parties, now_ns);
}

static bool has_all_of(uint32_t run)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < OWNERS; i++) count += parties_has(&parties, id_of(run * OWNERS + i));
    return count == OWNERS;
}

static void test_who_is_held_for_stays(void **state)
{
    bool had[RUNS] = {false};
    (void)state;
    for (uint32_t s = 0; s < 10 * PARTIES_TURN_MS / 1000; s++) {
        want_all(7, s * SECOND);
        assert_int_equal(parties.count, PARTIES_MAX);
        assert_true(has_all_of(7));
        for (uint32_t run = 0; run < RUNS; run++) had[run] |= has_all_of(run);
    }
    for (uint32_t run = 0; run < RUNS; run++) assert_true(had[run]); /* and each of the others for a while */
}

static void test_a_turn_lasts(void **state)
{
    (void)state;
    want_all(7, 0);
    want_all(7, SECOND);
    const uint32_t first = parties.first_run;
    for (int64_t s = 2; s < PARTIES_TURN_MS / 1000; s++) {
        want_all(7, s * SECOND);
        assert_int_equal(parties.first_run, first);
    }
    want_all(7, (PARTIES_TURN_MS / 1000 + 1) * SECOND);
    assert_int_not_equal(parties.first_run, first);
}

/* One that wants more than is left does not stay the first. */
static void test_one_too_large_gives_way(void **state)
{
    (void)state;
    for (uint32_t s = 0; s < 3; s++) {
        parties_begin(&parties);
        for (uint32_t i = 0; i < PARTIES_MAX; i++) parties_want(&parties, id_of(i), PARTIES_OF_HOLDER, 0);
        parties_want(&parties, id_of(100), PARTIES_OF_WAITER, parties.first_run);
        const uint32_t first = parties.first_run;
        parties_end(&parties, (int64_t)s * 2 * PARTIES_TURN_MS * 1000000);
        assert_int_equal(parties.first_run, first + 1);
    }
}

/* --- Against the naive way ---------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const uint64_t x = ((const struct party *)a)->key, y = ((const struct party *)b)->key;
    return (x > y) - (x < y);
}

/* One party a run, so that no two keys are alike. */
static void check_against_sorted(uint32_t nodes)
{
    struct party all[NODES];
    for (uint32_t n = 0; n < nodes; n++) all[n] = (struct party){id_of(n), UINT64_MAX};
    parties_begin(&parties);
    for (uint32_t i = 0; i < WANTS; i++) {
        const uint32_t n = chance(nodes), run = i * 7919 % WANTS;
        const enum parties_why why = (enum parties_why)chance(PARTIES_OF_WAITER + 1);
        const uint64_t key = (uint64_t)why << 32 | (uint32_t)(run - parties.first_run);
        if (key < all[n].key) all[n].key = key;
        parties_want(&parties, id_of(n), why, run);
    }
    qsort(all, nodes, sizeof all[0], by_key);
    uint32_t wanted = 0;
    for (uint32_t n = 0; n < nodes; n++) wanted += all[n].key != UINT64_MAX;
    for (uint32_t n = 0; n < nodes; n++)
        assert_int_equal(parties_has(&parties, all[n].node), n < wanted && n < PARTIES_MAX);
}

static void test_against_all_sorted(void **state)
{
    const uint32_t rounds = EFFORT(3000);
    (void)state;
    for (uint32_t i = 0; i < rounds; i++) {
        parties.first_run = chance(WANTS);
        check_against_sorted(1 + chance(NODES));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test_who_is_held_for_stays, setup),
                                       cmocka_unit_test_setup(test_a_turn_lasts, setup),
                                       cmocka_unit_test_setup(test_one_too_large_gives_way, setup),
                                       cmocka_unit_test_setup(test_against_all_sorted, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
