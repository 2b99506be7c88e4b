/* What a swarm draws is a scenario like any other, from its seed alone; written it reads the same; and shrinking leaves what the failure
 * needs, no more. */
#include "proto/charter.h"
#include "sim/cast.h"
#include "sim/swarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 120, ARENA_BYTES_HERE = 64 << 20 };

static uint8_t text[SCENARIO_BYTES_MAX], again[SCENARIO_BYTES_MAX];

static struct span write_to(uint8_t *bytes, const struct scenario *s)
{
    struct buffer b = buffer_make(bytes, SCENARIO_BYTES_MAX);
    assert_int_equal(scenario_write(&b, s), OK);
    return buffer_span(&b);
}

/* It parses, quorums intersect, and it is written the same again. */
static void drawn_scenarios_are_whole(void **state)
{
    static struct swarm_room room;
    void *memory = malloc(ARENA_BYTES_HERE);
    uint32_t kinds = 0, vetoes = 0;
    (void)state;
    assert_non_null(memory);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scenario drawn, *read;
        struct json_fault fault = {{0}, {0}, OK};
        struct cast *cast;
        memset(memory, 0, ARENA_BYTES_HERE / 4);
        struct arena arena = arena_make(memory, ARENA_BYTES_HERE / 4);
        swarm_draw(&drawn, &room, seed);
        const struct span first = write_to(text, &drawn);
        if (scenario_parse(&read, &arena, first, &fault) != OK ||
            cast_make(&cast, &arena, read, seed, &fault) != OK)
            fail_msg("seed %u: %s: expected %s", (unsigned)seed, fault.path, fault.expected);
        assert_true(span_equal(first, write_to(again, read)));
        for (uint32_t i = 0; i < read->party_count; i++) vetoes += read->party[i].veto;
        for (uint32_t i = 0; i < read->fault_count; i++) {
            const struct scenario_fault *f = &read->fault[i];
            kinds |= UINT32_C(1) << f->kind;
            assert_true(f->at_ms + f->for_ms <= SWARM_FAULTS_MS);
        }
    }
    /* Makers, and links that are dialled, are of larger worlds. */
    const uint32_t others = UINT32_C(1) << FAULT_SYBIL | UINT32_C(1) << FAULT_ECLIPSE;
    assert_int_equal(kinds, ((UINT32_C(1) << FAULT_KIND_COUNT) - 1) & ~others);
    assert_true(vetoes > 0);
    free(memory);
}

static void one_seed_one_scenario(void **state)
{
    static struct swarm_room room;
    struct scenario s;
    (void)state;
    swarm_draw(&s, &room, 7);
    const struct span first = write_to(text, &s);
    swarm_draw(&s, &room, 8);
    assert_false(span_equal(first, write_to(again, &s)));
    swarm_draw(&s, &room, 7);
    assert_true(span_equal(first, write_to(again, &s)));
}

/* As if a crash of this party broke it, while two nodes compute and two runs are asked for. */
struct hunted {
    const char *name;
    uint32_t asked;
};

static bool is_hunted(void *context, const struct scenario *s)
{
    struct hunted *h = context;
    bool crashes = false;
    h->asked++;
    for (uint32_t i = 0; i < s->fault_count; i++)
        crashes |=
            s->fault[i].kind == FAULT_CRASH && span_equal_text(s->party[s->fault[i].of.party].name, h->name);
    return crashes && s->runs >= 2 && scenario_count(s, ROLE_COMPUTE) >= 2;
}

/* Somebody else computes than who has a seat. */
static bool apart(const struct scenario *s)
{
    for (uint32_t i = 0; i < s->party_count; i++)
        if ((s->party[i].roles & ROLE_CUSTODIAN) != 0 && (s->party[i].roles & ROLE_COMPUTE) != 0)
            return false;
    return true;
}

static void shrinking_leaves_what_is_needed(void **state)
{
    static struct swarm_room room;
    struct scenario s;
    uint64_t seed = 0;
    struct hunted h = {"alder", 0};
    (void)state;
    do swarm_draw(&s, &room, ++seed);
    while (s.fault_count < 8 || s.runs < 3 || s.party_count < 9 || !is_hunted(&h, &s) || !apart(&s));
    h.asked = 0;
    swarm_shrink(&s, &room, is_hunted, &h, 1000);
    assert_true(is_hunted(&h, &s));
    assert_int_equal(s.fault_count, 1);
    assert_int_equal(s.runs, 2);
    assert_int_equal(scenario_count(&s, ROLE_COMPUTE), 2);
    assert_int_equal(scenario_count(&s, ROLE_CUSTODIAN), 1);
    assert_int_equal(s.loss_ppm, 0);
    assert_false(s.race);
    swarm_draw(&s, &room, seed);
    h.asked = 0;
    swarm_shrink(&s, &room, is_hunted, &h, 5);
    assert_int_equal(h.asked, 5);
    assert_true(is_hunted(&h, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(drawn_scenarios_are_whole),
                                       cmocka_unit_test(one_seed_one_scenario),
                                       cmocka_unit_test(shrinking_leaves_what_is_needed)};
    return cmocka_run_group_tests_name("sim_swarm", tests, NULL, NULL);
}
