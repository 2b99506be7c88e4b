/* A view beside a twin that only notes what anybody could see of it: who is known, dialled and linked, and since when. Members come and
 * go, become parties and are none, fall silent, move, dial this node themselves; it starts again from what it kept. */
#include "proto/view.h"
#include "tests/effort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 24, STEPS = 4000, WEEK_MS = 7 * 86400000, NS_A_MS = 1000000, DIALS_A_TICK = 4 };
#define START_MS UINT64_C(1700000000000)

static struct twin {
    bool member, party, answers, linked; /* what is so */
    bool known, dialled;                 /* what the view has said, or must have taken */
    uint64_t time_ms;
    int64_t up_ns, down_ns, alone_until_ns;
    uint32_t failures;
    char address[32];
    uint8_t packed[12];
} node[NODES];
static struct view *view;
static void *memory;
static uint64_t seed;
static int64_t now;
static bool alone;
static uint32_t chosen; /* dialled in this tick, and no parties */

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

static struct node_id id_of(uint32_t n)
{
    return (struct node_id){{(uint8_t)n, 1}};
}

static uint64_t wall_ms(void)
{
    return START_MS + (uint64_t)(now / NS_A_MS);
}

/* --- What the view asks and says ------------------------------------------------------------------------------------------- */

static bool on_member(void *context, struct node_id id, struct view_member *out)
{
    static const char *const names[] = {"AA", "BB", "CC", "DD"};
    const struct twin *t = &node[id.bytes[0]];
    (void)context;
    *out = (struct view_member){.party = t->party,
                                .need = t->party ? VIEW_NEEDED : VIEW_ANYBODY,
                                .jurisdiction = span_text(names[id.bytes[0] % 4]),
                                .organisation = span_text(names[id.bytes[0] / 8])};
    return t->member;
}

static bool on_linked(void *context, struct node_id id)
{
    (void)context;
    return node[id.bytes[0]].linked;
}

static uint32_t mesh(void)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < NODES; n++) count += node[n].dialled && !node[n].party;
    return count;
}

static void on_dial(void *context, struct node_id id, struct span address)
{
    struct twin *t = &node[id.bytes[0]];
    (void)context;
    assert_true(t->known && t->member && !t->linked);
    assert_true(!t->dialled || t->party);
    if (!t->party) {
        chosen++;
        assert_true(alone || now >= t->alone_until_ns);
    }
    if (!t->dialled) assert_true(span_equal_text(address, t->address));
    t->dialled = true;
    t->up_ns = 0;
    t->down_ns = now;
    t->linked = t->answers;
}

/* In vain: the time until it is dialled again doubles, but not for what this node's own network did. */
static void on_hang_up(void *context, struct node_id id)
{
    struct twin *t = &node[id.bytes[0]];
    (void)context;
    assert_true(t->dialled);
    if (t->known && !t->linked && !t->party) {
        int64_t ms = (int64_t)VIEW_AGAIN_MS << t->failures;
        if (ms > VIEW_AGAIN_MOST_MS) ms = VIEW_AGAIN_MOST_MS;
        assert_true(now - t->down_ns >= (int64_t)VIEW_LOST_MS * NS_A_MS);
        t->alone_until_ns = now + ms * NS_A_MS;
        t->failures += !alone && t->failures < 16;
    }
    t->dialled = t->linked = false;
    t->up_ns = 0;
}

static void begin(void)
{
    static const struct view_holder holder = {on_member, on_linked, on_dial, on_hang_up, NULL};
    free(memory);
    memory = calloc(1, view_bytes(NODES));
    struct arena arena = arena_make(memory, view_bytes(NODES));
    assert_int_equal(view_new(&view, &arena, NODES, draw(UINT32_MAX), &holder), OK);
}

/* --- What happens ------------------------------------------------------------------------------------------------------------ */

static struct view_contact contact_of(uint32_t n)
{
    struct twin *t = &node[n];
    t->packed[0] = (uint8_t)n;
    return (struct view_contact){id_of(n), span_text(t->address), SPAN_OF(t->packed), t->time_ms,
                                 t->time_ms + WEEK_MS};
}

/* It says where it is: what is not a minute later is not taken. */
static void say(uint32_t n)
{
    struct twin *t = &node[n], before = *t;
    const uint64_t time_ms = wall_ms() - draw(2 * VIEW_NEWER_MS);
    const bool newer = !t->known || time_ms >= t->time_ms + VIEW_NEWER_MS;
    assert_int_equal(view_newer(view, id_of(n), time_ms), newer);
    t->time_ms = time_ms;
    (void)snprintf(t->address, sizeof t->address, "tcp://10.0.0.%u:%u", n, (uint32_t)draw(3) + 1);
    const struct view_contact c = contact_of(n);
    assert_int_equal(view_learn(view, &c), !before.known);
    t->known = true;
    if (newer) return;
    t->time_ms = before.time_ms;
    memcpy(t->address, before.address, sizeof t->address);
}

/* A link of this node's comes of its dial, or of another's. */
static void something_happens(void)
{
    struct twin *t = &node[draw(NODES)];
    switch (draw(12)) {
    case 0: t->member = !t->member; break;
    case 1: t->party = !t->party; break;
    case 2:
    case 3: t->answers = !t->answers; break;
    case 4: t->linked = false; break;
    case 5: t->linked |= t->member && !t->dialled; break;
    case 6:
        for (uint32_t n = 0; n < NODES && draw(8) == 0; n++) node[n].linked = node[n].answers = false;
        break;
    default: say((uint32_t)(t - node)); break;
    }
}

static void starts_again(void)
{
    struct span kept[VIEW_KEPT_MAX];
    bool is_kept[NODES] = {false};
    const uint32_t count = view_kept(view, kept);
    for (uint32_t i = 0; i < count; i++) is_kept[kept[i].data[0]] = true;
    begin();
    for (uint32_t n = 0; n < NODES; n++) {
        struct twin *t = &node[n];
        assert_true(is_kept[n] || !t->dialled);
        assert_true(t->known || !is_kept[n]);
        if (t->dialled) t->linked = false;
        t->known = is_kept[n];
        t->dialled = false;
        t->failures = 0;
        t->alone_until_ns = 0;
        const struct view_contact c = contact_of(n);
        if (is_kept[n]) view_restore(view, &c);
    }
}

/* --- A tick, and what must be so after it ------------------------------------------------------------------------------------- */

static void before_tick(struct twin *t)
{
    if (!t->member || (t->known && t->time_ms + WEEK_MS <= wall_ms() && !t->linked)) {
        t->known = false;
        t->failures = 0;
        t->alone_until_ns = 0;
    }
    if (!t->dialled) return;
    if (t->linked && t->up_ns == 0) t->up_ns = now;
    if (!t->linked && t->up_ns != 0) t->down_ns = now;
    if (!t->linked) t->up_ns = 0;
    if (t->linked && now - t->up_ns >= (int64_t)VIEW_STEADY_MS * NS_A_MS) t->failures = 0;
}

static void tick(void)
{
    uint32_t linked = 0, known = 0, undialled = 0;
    for (uint32_t n = 0; n < NODES; n++) linked += node[n].linked && node[n].member;
    for (uint32_t n = 0; n < NODES; n++) before_tick(&node[n]);
    alone = linked == 0;
    chosen = 0;
    view_tick(view, now, wall_ms(), linked);
    view_check(view);
    for (uint32_t n = 0; n < NODES; n++) {
        const struct twin *t = &node[n];
        known += t->known;
        undialled += t->known && !t->dialled && !t->linked;
        assert_true(!t->dialled || t->known);
        assert_true(!t->party || !t->known || t->linked || t->dialled);
    }
    assert_int_equal(view_count(view).known, known);
    if (alone) /* whoever is known is tried */
        assert_true(undialled == 0 || chosen >= DIALS_A_TICK || mesh() >= VIEW_LINKS);
}

/* Often about as many as a contact lives. */
static uint64_t some_days_ms(void)
{
    enum { HOUR_MS = 3600000 };
    return draw(2) == 0 ? draw(2 * WEEK_MS) : WEEK_MS - HOUR_MS + draw(2 * HOUR_MS);
}

static void test_view_and_twin(void **state)
{
    (void)state;
    for (uint32_t round = 1; round <= EFFORT(90); round++) {
        seed = round;
        now = NS_A_MS;
        memset(node, 0, sizeof node);
        for (uint32_t n = 0; n < NODES; n++) node[n].member = node[n].answers = draw(4) > 0;
        begin();
        for (uint32_t step = 0; step < STEPS; step++) {
            for (uint64_t n = draw(4); n-- > 0;) something_happens();
            if (draw(400) == 0) starts_again();
            now += (int64_t)(draw(200) == 0 ? some_days_ms() : 250 + draw(4000)) * NS_A_MS;
            tick();
        }
    }
    free(memory);
    memory = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_view_and_twin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
