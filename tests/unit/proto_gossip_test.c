/* Who is sent a record, told of it and asked for it: one gossip object, whose links are what a test says they are. */
#include "proto/gossip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
enum { ITEMS = 256, LINKS = 12 };

static struct gossip *gossip;
static void *memory;
static int64_t now;
static bool held_before; /* what the holder says of any id */

/* What it did since the last `forget`, per link. */
static uint32_t sent[GOSSIP_LINKS_MAX], announced[GOSSIP_LINKS_MAX], wanted[GOSSIP_LINKS_MAX],
    absent[GOSSIP_LINKS_MAX];

static bool holds(void *context, struct record_id id)
{
    (void)context, (void)id;
    return held_before;
}

static bool full; /* what is sent finds no room */

static bool on_send(void *context, uint32_t link, uint64_t record)
{
    (void)context, (void)record;
    sent[link] += !full;
    return !full;
}

static void on_announce(void *context, uint32_t link, struct span ids)
{
    (void)context;
    assert_true(ids.len % 32 == 0 && ids.len <= (size_t)GOSSIP_ANNOUNCE_MAX * 32);
    announced[link] += (uint32_t)(ids.len / 32);
}

static void on_want(void *context, uint32_t link, struct span ids)
{
    (void)context;
    assert_true(ids.len % 32 == 0 && ids.len <= (size_t)GOSSIP_WANT_MAX * 32);
    wanted[link] += (uint32_t)(ids.len / 32);
}

static void on_absent(void *context, uint32_t link, struct span ids)
{
    (void)context;
    absent[link] += (uint32_t)(ids.len / 32);
}

static uint32_t sum(const uint32_t *of)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < GOSSIP_LINKS_MAX; i++) all += of[i];
    return all;
}

static void forget(void)
{
    memset(sent, 0, sizeof sent);
    memset(announced, 0, sizeof announced);
    memset(wanted, 0, sizeof wanted);
    memset(absent, 0, sizeof absent);
}

static int begin(void **state)
{
    (void)state;
    const struct gossip_holder holder = {holds, on_send, on_announce, on_want, on_absent, NULL};
    const size_t bytes = gossip_bytes(ITEMS);
    memory = calloc(1, bytes);
    struct arena arena = arena_make(memory, bytes);
    assert_int_equal(gossip_new(&gossip, &arena, ITEMS, 7, &holder), OK);
    for (uint32_t link = 0; link < LINKS; link++) gossip_link_up(gossip, link);
    now = MS;
    held_before = full = false;
    forget();
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static struct record_id id_of(uint32_t number)
{
    struct record_id id = {{0}};
    store_u32(id.bytes, number);
    store_u32(id.bytes + 28, number);
    return id;
}

static void pass(int64_t ms)
{
    const int64_t until = now + ms * MS;
    while (gossip_due(gossip) <= until) {
        if (gossip_due(gossip) > now) now = gossip_due(gossip);
        gossip_tick(gossip, now);
    }
    now = until;
}

static void announce_from(uint32_t link, uint32_t number)
{
    const struct record_id id = id_of(number);
    assert_true(gossip_on_announce(gossip, link, ID_SPAN(id), now));
}

static void arrives(uint32_t link, uint32_t number, size_t bytes)
{
    if (!gossip_arrived(gossip, link, id_of(number), now)) return;
    gossip_accepted(gossip, id_of(number), number, bytes, GOSSIP_NORMAL, now);
}

/* A record of others: four whole, the rest told after 20 ms, whoever sent it nothing. */
static void test_few_whole_others_told(void **state)
{
    (void)state;
    arrives(3, 1, 1000);
    assert_int_equal(sum(sent), GOSSIP_EAGER);
    assert_int_equal(sum(announced), 0);
    pass(GOSSIP_BATCH_MS);
    assert_int_equal(sum(announced), LINKS - 1 - GOSSIP_EAGER);
    for (uint32_t link = 0; link < LINKS; link++) assert_int_equal(sent[link] + announced[link], link != 3);
    forget();
    arrives(5, 1, 1000); /* another copy */
    pass(1000);
    assert_int_equal(sum(sent) + sum(announced) + sum(wanted), 0);
}

static void test_fewer_when_others_have_it(void **state)
{
    (void)state;
    announce_from(1, 1);
    arrives(3, 1, 1000);
    assert_int_equal(sum(sent), GOSSIP_EAGER - 1);
    announce_from(1, 2);
    announce_from(2, 2);
    forget();
    arrives(3, 2, 1000);
    assert_int_equal(sum(sent), GOSSIP_EAGER - 2);
    pass(GOSSIP_BATCH_MS);
    assert_int_equal(sent[1] + sent[2] + announced[1], 0);
}

static void test_long_ones_are_announced_only(void **state)
{
    (void)state;
    arrives(3, 1, GOSSIP_WHOLE_BYTES + 1);
    pass(GOSSIP_BATCH_MS);
    assert_int_equal(sum(sent), 0);
    assert_int_equal(sum(announced), LINKS - 1);
    const struct record_id id = id_of(1);
    assert_true(gossip_on_want(gossip, 7, ID_SPAN(id)));
    assert_int_equal(sent[7], 1);
    assert_true(gossip_on_want(
        gossip, 7, ID_SPAN(id))); /* what came of the first is its own to know; the holder bounds answers */
    assert_int_equal(sent[7], 2);
    const struct record_id other = id_of(2);
    assert_true(gossip_on_want(gossip, 7, ID_SPAN(other)));
    assert_int_equal(absent[7], 1);
}

static void test_own_and_urgent_go_to_all(void **state)
{
    (void)state;
    gossip_accepted(gossip, id_of(1), 1, 60000, GOSSIP_OWN, now);
    assert_int_equal(sum(sent), LINKS);
    forget();
    assert_true(gossip_arrived(gossip, 0, id_of(2), now));
    gossip_accepted(gossip, id_of(2), 2, 300, GOSSIP_URGENT, now);
    assert_int_equal(sum(sent), LINKS - 1);
    pass(1000);
    assert_int_equal(sum(announced), LINKS - 1); /* on a full link the record may have been lost */
    forget();
    assert_true(gossip_arrived(gossip, 0, id_of(3), now));
    gossip_accepted(gossip, id_of(3), 3, 300, GOSSIP_BY_AUTHOR,
                    now); /* the others have it from there, or ask */
    pass(1000);
    assert_int_equal(sum(sent), 0);
    assert_int_equal(sum(announced), LINKS - 1);
}

/* The first announcer is asked; when it says nothing another is, then two at once; what is told of by others meanwhile is no
 * reason to ask them. */
static void test_asked_in_turn(void **state)
{
    (void)state;
    for (uint32_t link = 0; link < 6; link++) announce_from(link, 1);
    assert_int_equal(wanted[0], 1);
    assert_int_equal(sum(wanted), 1);
    pass(GOSSIP_ASK_MS);
    assert_int_equal(sum(wanted), 2);
    assert_int_equal(wanted[0], 1);
    pass(GOSSIP_ASK_MS);
    assert_int_equal(sum(wanted), 4);
    forget();
    arrives(4, 1, 1000);
    pass(10000);
    assert_int_equal(sum(wanted), 0);
    assert_int_equal(gossip_due(gossip), INT64_MAX);
}

/* Who promises and does not deliver is asked after others; who delivers, before. */
static void test_broken_promises_count(void **state)
{
    (void)state;
    announce_from(0, 1);
    announce_from(1, 1);
    pass(GOSSIP_ASK_MS);
    arrives(1, 1, 1000);
    forget();
    announce_from(0, 2);
    assert_int_equal(sum(wanted), 0); /* there may be others */
    announce_from(1, 2);
    assert_int_equal(wanted[1], 1);
    arrives(1, 2, 1000);
    forget();
    announce_from(0, 3);
    pass(GOSSIP_ASK_MS); /* there are none */
    assert_int_equal(wanted[0], 1);
}

/* Who was sent it, or brought a copy, has promised nothing. */
static void test_no_promise_no_blame(void **state)
{
    (void)state;
    const struct record_id id = id_of(1);
    assert_true(gossip_arrived(gossip, 0, id, now)); /* unasked */
    assert_false(gossip_arrived(gossip, 1, id, now));
    gossip_dropped(gossip, id, true, now); /* no room to look at it */
    pass(GOSSIP_ASK_MS);
    assert_int_equal(wanted[1], 1);
    assert_true(gossip_on_absent(gossip, 1, ID_SPAN(id), now));
    pass(10000);
    forget();
    announce_from(1, 2);
    assert_int_equal(wanted[1], 1); /* at once, as from anybody good */
}

/* Links that come and go do not make more wanted than those that stay. */
/* However often a link comes and goes, what was wanted on its word leaves room for what others have. */
static void test_who_comes_and_goes_is_counted(void **state)
{
    (void)state;
    enum { TURNS = 2 * ITEMS / GOSSIP_WANT_MAX };
    static uint8_t ids[GOSSIP_WANT_MAX * 32];
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        for (uint32_t i = 0; i < GOSSIP_WANT_MAX; i++)
            memcpy(ids + 32 * i, id_of(1000 * (turn + 1) + i).bytes, 32);
        assert_true(gossip_on_announce(gossip, 0, SPAN_OF(ids), now));
        assert_true(gossip_on_announce(gossip, 1, SPAN_OF(ids), now));
        gossip_link_down(gossip, 0);
        gossip_link_up(gossip, 0);
    }
    announce_from(2, 1);
    assert_int_equal(wanted[2], 1);
    pass(60000);
    assert_int_equal(gossip_due(gossip), INT64_MAX);
}

/* Nor does what one announces and another brings that there is no room to look at. */
static void test_what_is_dropped_is_counted(void **state)
{
    (void)state;
    announce_from(0, 1);
    pass(10000); /* a promise that was not kept: it is not asked at once */
    for (uint32_t i = 0; i < 2 * ITEMS; i++) {
        announce_from(0, 1000 + i);
        if (gossip_arrived(gossip, 1, id_of(1000 + i), now))
            gossip_dropped(gossip, id_of(1000 + i), true, now);
    }
    announce_from(2, 2);
    assert_int_equal(wanted[2], 1);
}

static void test_absent_asks_another_at_once(void **state)
{
    (void)state;
    const struct record_id id = id_of(1);
    announce_from(0, 1);
    announce_from(1, 1);
    assert_true(gossip_on_absent(gossip, 0, ID_SPAN(id), now));
    assert_int_equal(wanted[1], 1);
    assert_true(gossip_on_absent(gossip, 1, ID_SPAN(id), now)); /* nobody is left */
    pass(GOSSIP_ASK_MS);
    assert_int_equal(gossip_due(gossip), INT64_MAX);
    announce_from(2, 1);
    assert_int_equal(wanted[2], 1);
}

static void test_a_link_that_goes_is_not_waited_for(void **state)
{
    (void)state;
    announce_from(0, 1);
    announce_from(1, 1);
    gossip_link_down(gossip, 0);
    pass(0);
    assert_int_equal(wanted[1], 1);
    gossip_link_up(gossip, 0); /* a new one in its place knows nothing */
    forget();
    arrives(1, 1, 1000);
    pass(GOSSIP_BATCH_MS);
    assert_int_equal(sent[0] + announced[0], 1);
}

/* What is promised without end is asked for within bounds, and given up. */
static void test_promises_without_end(void **state)
{
    (void)state;
    static uint8_t ids[GOSSIP_ANNOUNCE_MAX * 32];
    for (uint32_t i = 0; i < GOSSIP_ANNOUNCE_MAX; i++) memcpy(ids + 32 * i, id_of(1000 + i).bytes, 32);
    assert_true(gossip_on_announce(gossip, 0, SPAN_OF(ids), now));
    assert_int_equal(wanted[0], GOSSIP_WANT_MAX);
    announce_from(1, 1); /* another link has its own questions */
    assert_int_equal(wanted[1], 1);
    arrives(1, 1, 1000);
    pass(60000);
    assert_true(wanted[0] <= GOSSIP_WANT_MAX * (GOSSIP_ASK_TURNS + 1));
    assert_int_equal(gossip_due(gossip), INT64_MAX);
    forget();
    for (uint32_t link = 0; link < LINKS; link++)
        assert_true(gossip_on_announce(gossip, link, SPAN_OF(ids), now));
    assert_true(gossip_arrived(gossip, 3, id_of(3),
                               now)); /* the table is full of promises: it is taken all the same */
    gossip_accepted(gossip, id_of(4), 4, 1000, GOSSIP_OWN, now);
    assert_int_equal(sum(sent), LINKS); /* and one's own goes out */
}

/* One that is looked at is not looked at twice; when it does not hold, another may bring it; when it is of no use, nobody is asked. */
static void test_looked_at_once(void **state)
{
    (void)state;
    assert_true(gossip_arrived(gossip, 0, id_of(1), now));
    assert_false(gossip_arrived(gossip, 1, id_of(1), now));
    gossip_dropped(gossip, id_of(1), true, now);
    pass(GOSSIP_ASK_MS);
    assert_int_equal(wanted[1], 1);
    assert_true(gossip_arrived(gossip, 1, id_of(1), now));
    gossip_dropped(gossip, id_of(1), false, now);
    announce_from(2, 1);
    pass(10000);
    assert_int_equal(wanted[2], 0);
    assert_true(gossip_arrived(gossip, 2, id_of(1), now)); /* the heads brought it: it may be of use now */
}

/* What is of no use to this node takes no place, and ends a question. */
static void test_seen(void **state)
{
    (void)state;
    gossip_seen(gossip, 0, id_of(1), now);
    announce_from(1, 1);
    assert_int_equal(wanted[1], 1); /* nothing was noted */
    announce_from(2, 1);
    gossip_seen(gossip, 1, id_of(1), now);
    pass(10000);
    assert_int_equal(sum(wanted), 1);
}

/* What could not be sent may be asked for again. */
static void test_no_room_to_answer(void **state)
{
    (void)state;
    const struct record_id id = id_of(1);
    arrives(3, 1, GOSSIP_WHOLE_BYTES + 1);
    full = true;
    assert_true(gossip_on_want(gossip, 7, ID_SPAN(id)));
    full = false;
    assert_true(gossip_on_want(gossip, 7, ID_SPAN(id)));
    assert_int_equal(sent[7], 1);
}

/* Answers that come later and later make nobody wait for long. */
static void test_slow_answers(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 60; i++) {
        announce_from(0, 100 + i);
        const int64_t due = gossip_due(gossip);
        assert_true(due <= now + GOSSIP_ASK_MOST_MS * MS);
        now = due - 1;
        arrives(0, 100 + i, GOSSIP_WHOLE_BYTES + 1);
        pass(GOSSIP_BATCH_MS);
    }
}

/* One that answers later than anybody is waited for at first, and always truly: soon it is asked once, and in time at once. */
static void test_who_is_far(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 60; i++) {
        forget();
        announce_from(0, 100 + i);
        pass(600);
        arrives(0, 100 + i, GOSSIP_WHOLE_BYTES + 1);
        if (i >= 10) assert_int_equal(wanted[0], 1);
        pass(GOSSIP_BATCH_MS);
    }
    forget();
    announce_from(0, 300);
    assert_int_equal(wanted[0], 1); /* it is not below zero */
}

static void test_held_before_is_not_asked_for(void **state)
{
    (void)state;
    held_before = true;
    announce_from(0, 1);
    pass(10000);
    assert_int_equal(sum(wanted), 0);
}

/* More than there are places for: the oldest are forgotten, and what is forgotten is not announced again. */
static void test_more_than_places(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4 * ITEMS; i++) {
        arrives(0, i + 1, 1000);
        pass(GOSSIP_BATCH_MS);
    }
    for (uint32_t link = 1; link < LINKS; link++) assert_int_equal(sent[link] + announced[link], 4 * ITEMS);
}

static void test_malformed(void **state)
{
    (void)state;
    static uint8_t bytes[(GOSSIP_ANNOUNCE_MAX + 1) * 32];
    const size_t wrong[] = {0, 1, 31, 33, sizeof bytes};
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(gossip_on_announce(gossip, 0, span_make(bytes, wrong[i]), now));
        assert_false(gossip_on_want(gossip, 0, span_make(bytes, wrong[i])));
        assert_false(gossip_on_absent(gossip, 0, span_make(bytes, wrong[i]), now));
    }
    assert_false(gossip_on_want(gossip, 0, span_make(bytes, (GOSSIP_WANT_MAX + 1) * 32)));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_few_whole_others_told, begin, end),
        cmocka_unit_test_setup_teardown(test_fewer_when_others_have_it, begin, end),
        cmocka_unit_test_setup_teardown(test_long_ones_are_announced_only, begin, end),
        cmocka_unit_test_setup_teardown(test_own_and_urgent_go_to_all, begin, end),
        cmocka_unit_test_setup_teardown(test_asked_in_turn, begin, end),
        cmocka_unit_test_setup_teardown(test_broken_promises_count, begin, end),
        cmocka_unit_test_setup_teardown(test_no_promise_no_blame, begin, end),
        cmocka_unit_test_setup_teardown(test_who_comes_and_goes_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_dropped_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(test_absent_asks_another_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_a_link_that_goes_is_not_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(test_promises_without_end, begin, end),
        cmocka_unit_test_setup_teardown(test_looked_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_seen, begin, end),
        cmocka_unit_test_setup_teardown(test_no_room_to_answer, begin, end),
        cmocka_unit_test_setup_teardown(test_slow_answers, begin, end),
        cmocka_unit_test_setup_teardown(test_who_is_far, begin, end),
        cmocka_unit_test_setup_teardown(test_held_before_is_not_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(test_more_than_places, begin, end),
        cmocka_unit_test_setup_teardown(test_malformed, begin, end),
    };
    return cmocka_run_group_tests_name("proto_gossip", tests, NULL, NULL);
}
