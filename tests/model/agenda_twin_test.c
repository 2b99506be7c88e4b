/* The agenda against a list that is kept sorted by hand: the same entries in the same order, whatever is added when. Each seed mixes
 * its own kinds of gaps: none, few nanoseconds, exponential of any mean, years, the end of time; it fills, empties and refills.
 * PERIGEE_SEED=7: other gaps. */
#include "sim/agenda.h"
#include "sim/chance.h"
#include "tests/effort.h"
#include "tests/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { SEEDS = EFFORT(600), STEPS = 1500, ENTRIES_MAX = 12000 };

static uint64_t base_seed;

/* --- The naive one ---------------------------------------------------------------------------------------------------- */

struct list {
    struct agenda_entry entry[ENTRIES_MAX];
    uint32_t count;
};

/* Behind all that are not later. */
static void list_add(struct list *l, struct agenda_entry e)
{
    uint32_t place = l->count;
    assert_true(l->count < ENTRIES_MAX);
    while (place > 0 && l->entry[place - 1].at_ns > e.at_ns) place--;
    memmove(&l->entry[place + 1], &l->entry[place], (l->count - place) * sizeof e);
    l->entry[place] = e;
    l->count++;
}

static struct agenda_entry list_take(struct list *l)
{
    const struct agenda_entry first = l->entry[0];
    l->count--;
    memmove(&l->entry[0], &l->entry[1], l->count * sizeof first);
    return first;
}

/* --- Both ------------------------------------------------------------------------------------------------------------- */

struct pair {
    struct agenda *agenda;
    struct list list;
    struct chance chance;
    uint64_t now_ns, mean_ns;
    uint32_t added;
    uint64_t sum_agenda, sum_list; /* over all that was given, in its order */
};

static void sum_add(uint64_t *sum, const struct agenda_entry *e)
{
    *sum = (*sum ^ e->at_ns) * UINT64_C(0x100000001b3);
    *sum = (*sum ^ e->who) * UINT64_C(0x100000001b3);
    *sum = (*sum ^ e->what) * UINT64_C(0x100000001b3);
}

static void pair_add(struct pair *p, uint64_t gap_ns)
{
    const uint64_t room_ns = UINT64_MAX - 1 - p->now_ns;
    const struct agenda_entry e = {p->now_ns + (gap_ns < room_ns ? gap_ns : room_ns), p->added, ~p->added};
    p->added++;
    assert_int_equal(agenda_add(p->agenda, e), OK);
    list_add(&p->list, e);
    assert_int_equal(agenda_count(p->agenda), p->list.count);
}

static bool pair_next(struct pair *p)
{
    struct agenda_entry given;
    const bool any = p->list.count > 0;
    assert_true(agenda_peek(p->agenda) == (any ? p->list.entry[0].at_ns : UINT64_MAX));
    assert_int_equal(agenda_next(p->agenda, &given), any);
    if (!any) return false;
    const struct agenda_entry expected = list_take(&p->list);
    assert_true(given.at_ns == expected.at_ns && given.who == expected.who && given.what == expected.what);
    sum_add(&p->sum_agenda, &given);
    sum_add(&p->sum_list, &expected);
    p->now_ns = given.at_ns;
    return true;
}

static struct pair *pair_new(uint64_t seed, uint64_t entries_max)
{
    struct pair *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->chance = chance_stream(seed, "agenda", 0);
    assert_int_equal(agenda_new(&p->agenda, entries_max), OK);
    return p;
}

static void pair_free(struct pair *p)
{
    while (pair_next(p)) {
    }
    assert_true(p->sum_agenda == p->sum_list);
    assert_int_equal(agenda_count(p->agenda), 0);
    agenda_free(p->agenda);
    free(p);
}

/* --- Random operations ------------------------------------------------------------------------------------------------ */

static uint64_t any_gap(struct pair *p)
{
    switch (chance_below(&p->chance, 16)) {
    case 0: return 0;
    case 1: return chance_below(&p->chance, 4);
    case 2: return chance_below(&p->chance, 1000);
    case 3: return chance_exponential(&p->chance, p->mean_ns / 1000);
    case 4: return chance_exponential(&p->chance, p->mean_ns * 100);
    case 5: return chance_next(&p->chance) >> chance_below(&p->chance, 64); /* of any size */
    case 6: return p->mean_ns; /* as others that are added now: at one time */
    case 7: return UINT64_C(31557600000000000) * chance_below(&p->chance, 9);
    default: return chance_exponential(&p->chance, p->mean_ns);
    }
}

static void one_step(struct pair *p)
{
    uint32_t count = 1;
    switch (chance_below(&p->chance, 128)) {
    case 0: /* a burst at one time, which a later entry joins in between */
        for (uint64_t gap_ns = any_gap(p), i = chance_below(&p->chance, 200); i > 0; i--) pair_add(p, gap_ns);
        return;
    case 1: /* close to each other, but for one */
        for (uint64_t i = chance_below(&p->chance, 200); i > 0; i--)
            pair_add(p, p->mean_ns + chance_below(&p->chance, 64));
        pair_add(p, 2 * p->mean_ns);
        return;
    case 2: /* other times */ p->mean_ns = UINT64_C(1) << chance_below(&p->chance, 45); return;
    case 3:
        if (chance_ppm(&p->chance, 200000))
            while (pair_next(p)) {
            }
        return;
    case 4: count = 100; break;
    default: break;
    }
    for (; count > 0 && p->list.count < ENTRIES_MAX - 400; count--) pair_add(p, any_gap(p));
    for (count = (uint32_t)chance_below(&p->chance, p->list.count > 3000 ? 6 : 4); count > 0; count--)
        (void)pair_next(p);
}

static void test_same_order(void **state)
{
    (void)state;
    for (uint64_t seed = base_seed; seed < base_seed + SEEDS; seed++) {
        struct pair *p = pair_new(seed, ENTRIES_MAX);
        p->mean_ns = UINT64_C(1) << chance_below(&p->chance, 45);
        for (uint32_t i = 0; i < STEPS && p->list.count < ENTRIES_MAX - 400; i++) one_step(p);
        pair_free(p);
    }
}

/* The hold model with so many entries that slots are crowded, in times of every density: the list would take too long to fill, so
 * that order is checked by what defines it. */
static void hold(uint32_t pending, uint64_t mean_ns)
{
    struct agenda *a;
    struct chance c = chance_stream(base_seed, "hold", mean_ns);
    struct agenda_entry e, before = {0, 0, 0};
    uint32_t added = 0;
    uint64_t given = 0;
    assert_int_equal(agenda_new(&a, pending), OK);
    for (; added < pending; added++) {
        e = (struct agenda_entry){chance_exponential(&c, mean_ns), added, 0};
        assert_int_equal(agenda_add(a, e), OK);
    }
    assert_int_equal(agenda_add(a, e), ERR_FULL);
    for (; agenda_next(a, &e); given++) {
        assert_true(e.at_ns > before.at_ns ||
                    (e.at_ns == before.at_ns && (e.who > before.who || given == 0)));
        before = e;
        if (added == 4 * pending) continue;
        e = (struct agenda_entry){e.at_ns + chance_exponential(&c, mean_ns), added++, 0};
        assert_int_equal(agenda_add(a, e), OK);
    }
    assert_int_equal(given, 4 * pending);
    agenda_free(a);
}

static void test_hold_at_every_density(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= 52; bits += 4) hold(60000, UINT64_C(1) << bits);
}

/* --- Cases by hand ---------------------------------------------------------------------------------------------------- */

/* Entries of the open slot's time, of the present instant among others, come in their place. */
static void test_added_while_its_time_is_open(void **state)
{
    struct pair *p = pair_new(0, ENTRIES_MAX);
    (void)state;
    for (uint64_t i = 0; i < 1500; i++) pair_add(p, 100000 + i * 20);
    for (uint32_t i = 0; i < 500; i++) {
        assert_true(pair_next(p));
        pair_add(p, 0); /* at the present instant, twice: in this order */
        pair_add(p, 0);
        pair_add(p, 1);
        pair_add(p, 20); /* where another is already */
        pair_add(p, 10000);
    }
    pair_free(p);
}

/* As many as are sorted at once, one given, and then more for their time than there is room. */
static void test_open_and_full(void **state)
{
    struct pair *p = pair_new(0, ENTRIES_MAX);
    (void)state;
    for (uint64_t i = 0; i < 2048; i++) pair_add(p, (UINT64_C(5) << 24) + i * 8000);
    assert_true(pair_next(p));
    pair_add(p, 100);
    for (uint64_t i = 0; i < 1000; i++)
        pair_add(p, 2047 * 8000); /* behind all of them, where no others need to move */
    for (uint32_t i = 0; i < 1000; i++) assert_true(pair_next(p));
    pair_add(p, 100);
    pair_free(p);
}

/* A hundred thousand at one instant, at time 0 and later, with the others' times close by. */
static void test_bursts(void **state)
{
    enum { BURST = 100000 };
    struct agenda *a;
    struct agenda_entry e;
    (void)state;
    assert_int_equal(agenda_new(&a, 3 * BURST), OK);
    for (uint32_t i = 0; i < BURST; i++) {
        assert_int_equal(agenda_add(a, (struct agenda_entry){0, i, 0}), OK);
        assert_int_equal(agenda_add(a, (struct agenda_entry){1000000007, i, 1}), OK);
        assert_int_equal(agenda_add(a, (struct agenda_entry){1000000006 + i % 3 * 2, i, 2}), OK);
    }
    for (uint32_t i = 0; i < BURST; i++) assert_true(agenda_next(a, &e) && e.at_ns == 0 && e.who == i);
    for (uint32_t i = 0; i < BURST; i += 3)
        assert_true(agenda_next(a, &e) && e.at_ns == 1000000006 && e.who == i);
    for (uint32_t i = 0; i < BURST; i++)
        assert_true(agenda_next(a, &e) && e.at_ns == 1000000007 && e.who == i && e.what == 1);
    for (uint32_t i = 0; i < BURST - (BURST + 2) / 3; i++) assert_true(agenda_next(a, &e) && e.what == 2);
    assert_false(agenda_next(a, &e));
    agenda_free(a);
}

static void test_ends_of_time(void **state)
{
    struct pair *p = pair_new(0, ENTRIES_MAX);
    (void)state;
    pair_add(p, UINT64_MAX - 1);
    pair_add(p, 0);
    pair_add(p, UINT64_MAX - 2);
    pair_add(p, UINT64_C(1) << 63);
    pair_add(p, UINT64_MAX - 1);
    for (uint32_t i = 0; i < 4; i++) assert_true(pair_next(p));
    pair_add(p, 0);
    assert_true(pair_next(p));
    assert_true(p->now_ns == UINT64_MAX - 1);
    pair_add(p, 0);
    assert_true(pair_next(p));
    assert_true(pair_next(p));
    assert_false(pair_next(p));
    pair_add(p, 0);
    pair_free(p);
}

/* Looking opens nothing: what is earlier than the next may still be added. */
static void test_peek_changes_nothing(void **state)
{
    struct pair *p = pair_new(0, ENTRIES_MAX);
    (void)state;
    pair_add(p, 100);
    assert_true(pair_next(p));
    for (uint64_t gap_ns = UINT64_C(1) << 50; gap_ns > 0; gap_ns /= 2) {
        pair_add(p, gap_ns);
        assert_true(agenda_peek(p->agenda) == 100 + gap_ns);
    }
    pair_free(p);
}

/* --- Limits ----------------------------------------------------------------------------------------------------------- */

/* Full means full, whatever the entries are spread over; what is refused has changed nothing. */
static void test_full(void **state)
{
    static const uint64_t limits[] = {0, 1, 31, 32, 4000};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct pair *p = pair_new(i, limits[i]);
        const struct agenda_entry more = {UINT64_MAX - 1, 0, 0};
        p->mean_ns = 1000;
        for (uint32_t round = 0; round < 3; round++) {
            while (p->list.count < limits[i]) pair_add(p, any_gap(p));
            assert_int_equal(agenda_add(p->agenda, more), ERR_FULL);
            assert_int_equal(agenda_count(p->agenda), limits[i]);
            for (uint64_t n = limits[i] / 2; n > 0; n--) assert_true(pair_next(p));
        }
        pair_free(p);
    }
}

/* The most blocks there can be: one begun in each of as many slots as there are, and a crowded slot among them. */
static void test_every_slot_taken(void **state)
{
    enum { CROWD = 3100 };
    struct pair *p = pair_new(0, 8 * 256 + CROWD);
    (void)state;
    for (uint32_t i = 0; i < CROWD; i++) pair_add(p, UINT64_C(0x0101010101000000) + i % 1024 * 0x4001);
    for (uint32_t level = 0; level < 8; level++)
        for (uint64_t digit = level == 0 ? 0 : 1; digit < 256; digit++)
            if (level < 7 || digit < 255) pair_add(p, digit << 8 * level);
    pair_free(p);
}

static void test_no_memory(void **state)
{
    struct agenda *a = NULL;
    struct rlimit was, tight;
    (void)state;
    assert_int_equal(agenda_new(&a, UINT64_MAX), ERR_NO_MEMORY);
    assert_int_equal(agenda_new(&a, UINT64_C(1) << 40), ERR_NO_MEMORY);
    assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
    tight = was;
    tight.rlim_cur = 1 << 30;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    const enum err err = agenda_new(&a, UINT64_C(1) << 30);
    assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_null(a);
    agenda_free(a);
}

static void test_programming_errors(void **state)
{
    const struct agenda_entry before = {999, 0, 0}, never = {UINT64_MAX, 0, 0};
    struct pair *p = pair_new(0, ENTRIES_MAX);
    (void)state;
    pair_add(p, 1000);
    pair_add(p, 5000);
    assert_true(pair_next(p));
    expect_assert_failure(assert_int_equal(agenda_add(p->agenda, before), OK));
    expect_assert_failure(assert_int_equal(agenda_add(p->agenda, never), OK));
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_order),
        cmocka_unit_test(test_hold_at_every_density),
        cmocka_unit_test(test_added_while_its_time_is_open),
        cmocka_unit_test(test_open_and_full),
        cmocka_unit_test(test_bursts),
        cmocka_unit_test(test_ends_of_time),
        cmocka_unit_test(test_peek_changes_nothing),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_every_slot_taken),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_programming_errors),
    };
    base_seed = seed_or(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
