/* Whom a node dials: a view alone, in a world of members that is what a test says it is. */
#include "proto/view.h"
#include "tests/effort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 400, WEEK_MS = 7 * 86400000 };
#define SECOND   INT64_C(1000000000)
#define START_MS UINT64_C(1700000000000)

static struct {
    bool member, party, answers; /* answers: whoever dials it has a link at once */
    bool dialled, linked;        /* linked by whom it may be */
    enum view_need need;
    char jurisdiction[8], organisation[8], address[64];
} node[NODES];
static uint32_t dials;
static struct view *view;
static void *memory;
static int64_t now;

static struct node_id id_of(uint32_t n)
{
    struct node_id id = {{(uint8_t)n, (uint8_t)(n >> 8), 1}};
    return id;
}

static uint32_t number_of(struct node_id id)
{
    return id.bytes[0] | (uint32_t)id.bytes[1] << 8;
}

static bool on_member(void *context, struct node_id id, struct view_member *out)
{
    const uint32_t n = number_of(id);
    (void)context;
    *out = (struct view_member){node[n].party, node[n].need, span_text(node[n].jurisdiction),
                                span_text(node[n].organisation)};
    return node[n].member;
}

static bool on_linked(void *context, struct node_id id)
{
    (void)context;
    return node[number_of(id)].linked;
}

static void on_dial(void *context, struct node_id id, struct span address)
{
    const uint32_t n = number_of(id);
    (void)context;
    assert_true(!node[n].dialled || (node[n].party && !node[n].linked)); /* again, of a party */
    assert_true(span_equal_text(address, node[n].address));
    const bool was = node[n].dialled;
    node[n].dialled = true;
    node[n].linked |= node[n].answers;
    dials += !was;
}

static void on_hang_up(void *context, struct node_id id)
{
    const uint32_t n = number_of(id);
    (void)context;
    assert_true(node[n].dialled);
    node[n].dialled = node[n].linked = false;
}

static void new_view(uint32_t contacts, uint64_t salt)
{
    static const struct view_holder holder = {on_member, on_linked, on_dial, on_hang_up, NULL};
    free(memory);
    memory = calloc(1, view_bytes(contacts));
    struct arena arena = arena_make(memory, view_bytes(contacts));
    assert_int_equal(view_new(&view, &arena, contacts, salt, &holder), OK);
    now = SECOND;
    dials = 0;
}

/* Every node a member of its own organisation that answers, in one jurisdiction. */
static int setup(void **state)
{
    (void)state;
    memset(node, 0, sizeof node);
    for (uint32_t n = 0; n < NODES; n++) {
        node[n].member = node[n].answers = true;
        (void)snprintf(node[n].jurisdiction, sizeof node[n].jurisdiction, "CH");
        (void)snprintf(node[n].organisation, sizeof node[n].organisation, "o%u", n);
        (void)snprintf(node[n].address, sizeof node[n].address, "tcp://n%u:7001", n);
    }
    new_view(NODES, 7);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    memory = NULL;
    return 0;
}

static struct view_contact contact(uint32_t n, uint64_t time_ms, uint8_t packed[4])
{
    packed[0] = (uint8_t)n;
    packed[1] = (uint8_t)(n >> 8);
    return (struct view_contact){.node = id_of(n),
                                 .address = span_text(node[n].address),
                                 .packed = span_make(packed, 4),
                                 .time_ms = time_ms,
                                 .expires_ms = time_ms + WEEK_MS};
}

static bool learn(uint32_t n)
{
    uint8_t packed[4];
    const struct view_contact c = contact(n, START_MS, packed);
    return view_learn(view, &c);
}

static void learn_all(uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n < to; n++) assert_true(learn(n));
}

static uint32_t linked(void)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < NODES; n++) count += node[n].linked;
    return count;
}

static uint32_t dialled(uint32_t from, uint32_t to)
{
    uint32_t count = 0;
    for (uint32_t n = from; n < to; n++) count += node[n].dialled;
    return count;
}

static void run(uint32_t seconds)
{
    for (uint32_t i = 0; i < seconds; i++, now += SECOND) {
        view_tick(view, now, START_MS + (uint64_t)(now / 1000000), linked());
        if (i % 64 == 0) view_check(view);
    }
    view_check(view);
}

/* --- Parties ------------------------------------------------------------------------------------------------------------- */

static void test_parties_are_dialled_for_as_long_as_they_are_that(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 40; n++) node[n].party = true;
    node[3].answers = false;
    learn_all(0, 40);
    run(1);
    assert_int_equal(dialled(0, 40), 40);
    run(600);
    assert_int_equal(dialled(0, 40), 40); /* nobody is let go, nor who does not answer */
    assert_int_equal(dials, 40);
    const struct view_counts counts = view_count(view);
    assert_true(counts.known == 40 && counts.dialled == 40 && counts.parties == 40);
    node[5].member = false;
    run(1);
    assert_false(node[5].dialled);
    assert_int_equal(view_count(view).known, 39);
}

/* Those that this node had to be linked with for a while do not push others out of its mesh. */
static void test_who_was_a_party_is_let_go_first(void **state)
{
    bool before[NODES];
    (void)state;
    for (uint32_t n = 300; n < 300 + VIEW_LINKS; n++) node[n].linked = true;
    learn_all(0, 200);
    run(VIEW_STEADY_MS / 1000);
    for (uint32_t n = 0; n < 200; n++) before[n] = node[n].dialled;
    uint32_t parties = 0;
    for (uint32_t n = 0; n < 200 && parties < 4; n++)
        if (!before[n]) node[n].party = true, parties++;
    run(3);
    assert_int_equal(dialled(0, 200), VIEW_DIALLED + 4);
    for (uint32_t n = 0; n < 200; n++) node[n].party = false;
    run(4);
    for (uint32_t n = 0; n < 200; n++) assert_int_equal(node[n].dialled, before[n]);
}

static void test_who_is_linked_already_is_not_dialled(void **state)
{
    (void)state;
    node[0].party = true;
    node[0].linked = node[1].linked = true;
    learn_all(0, 2);
    run(5);
    assert_int_equal(dials, 0);
    node[0].linked = false;
    run(1);
    assert_true(node[0].dialled);
}

/* --- Some of the others ----------------------------------------------------------------------------------------------------- */

static void test_some_of_many(void **state)
{
    (void)state;
    learn_all(0, 200);
    run(120);
    assert_int_equal(dialled(0, 200), VIEW_LINKS); /* few are linked: more are dialled */
    for (uint32_t n = 300; n < 300 + VIEW_LINKS; n++) node[n].linked = true; /* they dialled this node */
    run(VIEW_LINKS);
    assert_int_equal(dialled(0, 200), VIEW_DIALLED);
    run(3600);
    assert_int_equal(dialled(0, 200), VIEW_DIALLED);
}

static void test_others_are_drawn_otherwise(void **state)
{
    bool before[NODES], differs = false;
    (void)state;
    learn_all(0, 200);
    run(10);
    for (uint32_t n = 0; n < 200; n++) before[n] = node[n].dialled;
    assert_int_equal(setup(state), 0);
    new_view(NODES, 8);
    learn_all(0, 200);
    run(10);
    for (uint32_t n = 0; n < 200; n++) differs |= before[n] != node[n].dialled;
    assert_true(differs);
}

static void test_who_does_not_answer_is_left_alone_for_longer_each_time(void **state)
{
    uint32_t times = 0;
    (void)state;
    node[0].answers = false;
    node[300].linked = true; /* it is not alone */
    learn_all(0, 1);
    int64_t begun[8] = {0};
    for (uint32_t i = 0; i < 2000 && times < 5; i++) {
        const bool was = node[0].dialled;
        run(1);
        if (!was && node[0].dialled) begun[times++] = now;
        if (was && !node[0].dialled) assert_true(now - begun[times - 1] >= VIEW_TRY_MS / 1000 * SECOND);
    }
    assert_int_equal(times, 5);
    for (uint32_t i = 1; i < 5; i++) {
        const int64_t alone_s = (begun[i] - begun[i - 1]) / SECOND - VIEW_TRY_MS / 1000;
        const int64_t wanted_s = (int64_t)(VIEW_AGAIN_MS / 1000) << (i - 1);
        if (alone_s < wanted_s || alone_s > wanted_s + 3)
            fail_msg("left alone for %d s, not %d s", (int)alone_s, (int)wanted_s);
    }
    node[0].answers = true;
    run(VIEW_AGAIN_MS / 1000 * 16 + 30);
    assert_true(node[0].linked);
}

static void test_jurisdictions(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 5; n++) (void)snprintf(node[n].jurisdiction, 8, "DE");
    for (uint32_t n = 5; n < 10; n++) (void)snprintf(node[n].jurisdiction, 8, "US");
    for (uint32_t n = 300; n < 320; n++) node[n].linked = true; /* it dials no more than it must */
    for (uint64_t salt = 1; salt <= 50; salt++) {
        for (uint32_t n = 0; n < 200; n++) node[n].dialled = node[n].linked = false;
        new_view(NODES, salt);
        learn_all(0, 200);
        run(3);
        assert_int_equal(dialled(0, 200), VIEW_DIALLED);
        assert_true(dialled(0, 5) >= 1 && dialled(5, 10) >= 1 && dialled(10, 200) >= 1);
    }
}

static void test_organisations(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 190; n++) (void)snprintf(node[n].organisation, 8, "many");
    for (uint32_t n = 300; n < 320; n++) node[n].linked = true;
    learn_all(0, 200);
    run(5);
    assert_int_equal(dialled(190, 200), VIEW_DIALLED - dialled(0, 190));
    assert_true(dialled(0, 190) <= VIEW_OF_ORGANISATION);
    for (uint32_t n = 190; n < 200; n++) node[n].member = false; /* there is no other: then of that one */
    run(5);
    assert_int_equal(dialled(0, 190), VIEW_DIALLED);
}

/* --- Turns, anchors -------------------------------------------------------------------------------------------------------------- */

static void test_turns_and_anchors(void **state)
{
    bool stayed[NODES], ever[NODES] = {false};
    (void)state;
    for (uint32_t n = 300; n < 313; n++) node[n].linked = true;
    learn_all(0, 200);
    run(60);
    for (uint32_t n = 0; n < 200; n++) stayed[n] = node[n].dialled;
    for (uint32_t i = 0; i < 4 * 3600; i++) {
        run(1);
        assert_true(dialled(0, 200) >= VIEW_DIALLED);
        for (uint32_t n = 0; n < 200; n++) stayed[n] &= node[n].dialled, ever[n] |= node[n].dialled;
    }
    uint32_t stayers = 0, seen = 0;
    for (uint32_t n = 0; n < 200; n++) stayers += stayed[n], seen += ever[n];
    assert_int_equal(stayers, VIEW_ANCHORS);
    assert_true(seen > 30 && seen < 80); /* about 48 turns */
}

static void test_what_was_kept_is_dialled_first(void **state)
{
    struct span kept[VIEW_KEPT_MAX];
    uint8_t packed[VIEW_KEPT_MAX][4];
    bool first[NODES] = {false};
    (void)state;
    for (uint32_t n = 300; n < 313; n++) node[n].linked = true;
    learn_all(0, 100);
    run(700);
    const uint32_t count = view_kept(view, kept);
    assert_int_equal(count, VIEW_DIALLED);
    struct view_contact restored[VIEW_KEPT_MAX];
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t n = kept[i].data[0] | (uint32_t)kept[i].data[1] << 8;
        assert_true(node[n].dialled);
        restored[i] = contact(n, START_MS, packed[i]);
        first[n] = true;
    }
    for (uint32_t n = 0; n < NODES; n++) node[n].dialled = node[n].linked = false;
    for (uint32_t n = 300; n < 313; n++) node[n].linked = true;
    new_view(NODES, 99);
    for (uint32_t i = 0; i < count; i++) view_restore(view, &restored[i]);
    learn_all(100, 300); /* and as many others come at once as anybody likes */
    run(5);
    for (uint32_t n = 0; n < 300; n++) assert_int_equal(node[n].dialled, first[n]);
}

/* Their network was away: they are dialled before others again, and kept meanwhile. */
static void test_anchors_outlast_a_cut(void **state)
{
    struct span kept[VIEW_KEPT_MAX];
    uint8_t packed[2][4];
    (void)state;
    for (uint32_t n = 0; n < 100; n++) node[n].answers = false;
    for (uint32_t n = 0; n < 2; n++) {
        const struct view_contact c = contact(n, START_MS, packed[n]);
        view_restore(view, &c);
    }
    learn_all(2, 100);
    run(30);
    assert_true(view_kept(view, kept) >= 2);
    assert_true(kept[0].data[0] < 2 && kept[1].data[0] < 2);
    for (uint32_t n = 0; n < 2; n++) node[n].answers = true;
    run(120);
    assert_true(node[0].linked && node[1].linked);
}

/* A blip of a few seconds changes no anchor, and a longer one of them alone neither. */
static void test_anchors_outlast_a_blip(void **state)
{
    struct span kept[VIEW_KEPT_MAX];
    (void)state;
    for (uint32_t n = 300; n < 313; n++) node[n].linked = true;
    learn_all(0, 100);
    run(30);
    assert_true(view_kept(view, kept) >= VIEW_ANCHORS);
    const uint32_t one = kept[0].data[0], two = kept[1].data[0];
    for (uint32_t n = 0; n < 100; n++) node[n].linked = false;
    run(3);
    for (uint32_t n = 0; n < 100; n++) node[n].linked = node[n].dialled;
    run(30);
    assert_true(node[one].linked && node[two].linked);
    node[one].linked = node[one].answers = false; /* it starts again, and takes its time */
    run(100);
    node[one].answers = true;
    run(130);
    assert_true(node[one].linked);
    assert_int_equal(view_kept(view, kept) >= VIEW_ANCHORS, true);
    assert_true((kept[0].data[0] == one && kept[1].data[0] == two) ||
                (kept[0].data[0] == two && kept[1].data[0] == one));
}

/* However often they were dialled in vain. */
static void test_who_is_alone_tries_whomever_it_knows(void **state)
{
    (void)state;
    learn_all(0, 5);
    for (uint32_t n = 0; n < 5; n++) node[n].answers = false;
    run(3 * 3600);
    for (uint32_t n = 0; n < 5; n++) node[n].answers = true;
    run(VIEW_TRY_MS / 1000 + 2);
    assert_true(linked() > 0);
}

/* Those kept over a restart have gone, and fill all places of a node that was cut off; others have come back. */
static void test_who_was_kept_keeps_nobody_out(void **state)
{
    uint8_t packed[VIEW_LINKS][4];
    (void)state;
    for (uint32_t n = 0; n < VIEW_LINKS; n++) {
        node[n].answers = false;
        const struct view_contact c = contact(n, START_MS, packed[n]);
        view_restore(view, &c);
    }
    learn_all(VIEW_LINKS, 100);
    node[300].linked = true;
    run(600);
    for (uint32_t n = 0; n < NODES; n++) node[n].linked = node[n].answers = false;
    run(600);
    for (uint32_t n = VIEW_LINKS; n < NODES; n++) node[n].answers = true;
    run((VIEW_AGAIN_MS + 2 * VIEW_TRY_MS) / 1000);
    assert_true(linked() > 0);
}

/* Who was kept and stays away while others are there is kept no longer; what stands is kept before it. */
static void test_who_was_kept_and_is_gone_is_forgotten(void **state)
{
    struct span kept[VIEW_KEPT_MAX];
    uint8_t packed[VIEW_KEPT_MAX][4];
    (void)state;
    for (uint32_t n = 0; n < VIEW_KEPT_MAX; n++) {
        node[n].answers = false;
        const struct view_contact c = contact(n, START_MS, packed[n]);
        view_restore(view, &c);
    }
    learn_all(VIEW_KEPT_MAX, 100);
    run(600);
    assert_int_equal(view_kept(view, kept), VIEW_KEPT_MAX);
    for (uint32_t i = 0; i < VIEW_DIALLED; i++) assert_true(kept[i].data[0] >= VIEW_KEPT_MAX);
    run(3 * 3600);
    const uint32_t count = view_kept(view, kept);
    assert_true(count >= VIEW_DIALLED && count <= VIEW_LINKS);
    for (uint32_t i = 0; i < count; i++) assert_true(node[kept[i].data[0]].linked);
}

/* However long it was alone: whom it tried in vain then is not left alone for that once somebody is there. */
static void test_an_outage_of_its_own_says_nothing_of_others(void **state)
{
    (void)state;
    learn_all(0, 100);
    for (uint32_t n = 0; n < 100; n++) node[n].answers = false;
    run(24 * 3600);
    node[300].linked = true;
    for (uint32_t n = 0; n < 100; n++) node[n].answers = true;
    run((VIEW_AGAIN_MS + VIEW_TRY_MS) / 1000 + 5);
    assert_true(dialled(0, 100) >= VIEW_DIALLED && linked() >= VIEW_DIALLED);
}

/* --- Contacts ------------------------------------------------------------------------------------------------------------------------ */

/* A party is dialled where it is now once the link that it had is gone, and another node when its turn comes. */
static void test_who_moves(void **state)
{
    uint8_t packed[4];
    (void)state;
    node[0].party = true;
    learn_all(0, 1);
    run(2);
    assert_true(node[0].linked);
    (void)snprintf(node[0].address, sizeof node[0].address, "tcp://10.9.9.9:7001");
    assert_false(view_newer(view, id_of(0), START_MS));
    assert_false(view_newer(view, id_of(0), START_MS + VIEW_NEWER_MS - 1));
    assert_true(view_newer(view, id_of(0), START_MS + VIEW_NEWER_MS));
    struct view_contact c = contact(0, START_MS + VIEW_NEWER_MS, packed);
    assert_false(view_learn(view, &c)); /* known, but it is taken */
    c.address = SPAN_LITERAL("tcp://10.1.1.1:1");
    c.time_ms = START_MS;
    assert_false(view_learn(view, &c)); /* what is older is not */
    run(2);
    assert_int_equal(dials, 1);
    node[0].linked = node[0].answers = false;
    run(VIEW_TRY_MS / 1000 - 1);
    assert_int_equal(dials, 1);
    node[0].answers = true;
    run(4);
    assert_int_equal(dials, 2); /* on_dial saw the new address */
    assert_true(node[0].linked);
}

static void test_a_party_is_dialled_again(void **state)
{
    (void)state;
    node[0].party = true;
    node[0].answers = false;
    learn_all(0, 1);
    run(VIEW_TRY_MS / 1000 - 1);
    node[0].answers = true; /* the first time the dial found no place */
    run(3);
    assert_true(node[0].linked);
}

static void test_who_is_no_member_dials_nobody(void **state)
{
    (void)state;
    learn_all(0, 30);
    run(5);
    view_end(view);
    assert_int_equal(dialled(0, 30), 0);
}

static void test_a_full_table_keeps_whom_it_needs(void **state)
{
    (void)state;
    new_view(32, 5);
    node[0].party = node[1].party = true;
    learn_all(0, 32);
    run(10);
    bool needed[NODES];
    for (uint32_t n = 0; n < 32; n++) needed[n] = node[n].dialled;
    for (uint32_t n = 32; n < 300; n++) assert_false(learn(n)); /* no more than before */
    assert_int_equal(view_count(view).known, 32);
    for (uint32_t n = 0; n < 32; n++)
        if (needed[n]) assert_false(view_newer(view, id_of(n), START_MS));
}

static bool is_known(uint32_t n)
{
    return !view_newer(view, id_of(n), START_MS);
}

/* Custodians and parties stay, and find a place; who computes gives way to them only, and others give way to all. */
static void test_a_full_table_forgets_nobody_that_is_needed(void **state)
{
    enum { ROWS = 32, NEEDED = 4, COMPUTING = 8 };
    (void)state;
    for (uint32_t n = 0; n < COMPUTING; n++) node[n].need = n < NEEDED ? VIEW_NEEDED : VIEW_COMPUTES;
    new_view(ROWS, 5);
    learn_all(0, ROWS);
    for (uint32_t n = ROWS; n < 200; n++) (void)learn(n);
    for (uint32_t n = 0; n < COMPUTING; n++) assert_true(is_known(n));
    for (uint32_t n = 200; n < 200 + ROWS; n++) node[n].need = VIEW_COMPUTES, (void)learn(n);
    for (uint32_t n = 0; n < COMPUTING; n++) assert_true(is_known(n));
    assert_false(is_known(200 + ROWS - 1)); /* no more than there is room for */
    for (uint32_t n = 250; n < 260; n++) {
        (void)learn(n);
        assert_false(is_known(n));
        (void)snprintf(node[n].organisation, sizeof node[n].organisation, "many");
        node[n].need = VIEW_NEEDED;
        (void)learn(n);
        assert_true(is_known(n)); /* be it of an organisation that has its quarter */
    }
    for (uint32_t n = 0; n < NEEDED; n++) assert_true(is_known(n));
}

/* However many contacts one organisation has, it takes a quarter of a full table. */
static void test_a_full_table_is_not_one_hands(void **state)
{
    (void)state;
    for (uint32_t n = 100; n < NODES; n++) (void)snprintf(node[n].organisation, 8, "many");
    new_view(64, 5);
    learn_all(0, 64);
    for (uint32_t n = 100; n < NODES; n++) (void)learn(n);
    uint32_t honest = 0;
    for (uint32_t n = 0; n < 64; n++) honest += !view_newer(view, id_of(n), START_MS);
    assert_int_equal(honest, 48);
}

static void test_contacts_expire(void **state)
{
    (void)state;
    learn_all(0, 2);
    node[0].answers = false;
    run(2);
    view_tick(view, now, START_MS + WEEK_MS, linked());
    assert_int_equal(view_count(view).known, 1); /* who is linked is known to be there */
    assert_true(node[1].linked);
}

static void test_what_others_are_told(void **state)
{
    struct span drawn[CONTACTS_ASKED_MAX];
    bool ever[NODES] = {false};
    (void)state;
    assert_int_equal(view_draw(view, id_of(0), drawn, CONTACTS_ASKED_MAX), 0);
    learn_all(0, 40);
    for (uint32_t i = 0; i < 400; i++) {
        assert_int_equal(view_draw(view, id_of(3), drawn, 8), 8);
        for (uint32_t k = 0; k < 8; k++) ever[drawn[k].data[0]] = true;
    }
    for (uint32_t n = 0; n < 40; n++) assert_int_equal(ever[n], n != 3);
    assert_int_equal(view_draw(view, id_of(3), drawn, 0), 0);
}

/* A share of those known is one hand's, each in an organisation of its own; it answers everybody and dials everybody. Are all that a node has
 * dialled itself ever of it? By chance with the share to the eighth: 2.6e-6 of a fifth, 1.4e-4 of a third, and 0.0039 of a half, which is what is tested. */
static void test_eclipse(void **state)
{
    const uint32_t seeds = EFFORT(4000);
    uint32_t eclipsed = 0;
    (void)state;
    for (uint64_t salt = 1; salt <= seeds; salt++) {
        for (uint32_t n = 0; n < NODES; n++) node[n].dialled = node[n].linked = false;
        for (uint32_t n = 0; n < 40; n++)
            node[n].linked = n % 2 == 1 && n < 20; /* some of its have dialled this one */
        new_view(128, salt);
        learn_all(0, 100);
        for (uint32_t n = 100; n < 116; n++) node[n].linked = true;
        run(2);
        uint32_t hostile = 0, all = 0;
        for (uint32_t n = 0; n < 100; n++) all += node[n].dialled, hostile += node[n].dialled && n % 2 == 1;
        assert_int_equal(all, VIEW_DIALLED);
        eclipsed += hostile == all;
    }
    if (eclipsed > seeds / 100) fail_msg("%u of %u", eclipsed, seeds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parties_are_dialled_for_as_long_as_they_are_that, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_who_was_a_party_is_let_go_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_linked_already_is_not_dialled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_some_of_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_are_drawn_otherwise, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_does_not_answer_is_left_alone_for_longer_each_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_jurisdictions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_organisations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turns_and_anchors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_kept_is_dialled_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anchors_outlast_a_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anchors_outlast_a_blip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_alone_tries_whomever_it_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_was_kept_keeps_nobody_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_was_kept_and_is_gone_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_outage_of_its_own_says_nothing_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_party_is_dialled_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_no_member_dials_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_table_keeps_whom_it_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_table_forgets_nobody_that_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_table_is_not_one_hands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contacts_expire, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_others_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eclipse, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
