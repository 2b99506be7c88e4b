/* Members that break the protocol in what they send: one withholds, one replays, one floods, one equivocates, many eclipse somebody together. The core of each
 * is the production core and keeps to the protocol; this stands between it and its links. Whatever it adds goes round the watch, which is for what nodes say.
 * Bounded: of what was told or sent the last REPLAY_MOST messages are kept, as the slices that they came in, and none is said again while any
 * of the last turn is under way; of what is made up so many as there are slices for are under way. Memory is taken when a party
 * begins, and each is used again.
 * A stream of randomness of its own: a world in which nobody does so is the same world. */
#include "sim/simulation_state.h"

#include "crypto/identity.h"
#include "proto/base/panic.h"
#include "proto/heads.h"

#include <stdlib.h>
#include <string.h>

enum {
    REPLAY_MOST = 128, /* messages kept, and said again in one turn */
    SWAPPED_PPM = 250000,
    FLOOD_UNDER_WAY = 64,
    FLOOD_A_SECOND = 20, /* if the scenario does not say */
    FLOOD_IDS = 64,
    FLOOD_HEADS = 8,
    FLOOD_BYTES = 4096, /* the longest of them */
    FRIENDS_SHOWN = 8,  /* at most, in one turn */
    MS_NS = 1000000,
};
#define SECOND_NS       UINT64_C(1000000000)
#define REPLAY_EVERY_NS SECOND_NS
#define REPLAY_PAST_NS  (3 * SECOND_NS)

struct past {
    struct slice *slice; /* NULL: none */
    uint64_t at_ns;
};

struct adversary {
    struct chance chance;
    bool withholds, replays;
    uint32_t floods_a_second;     /* 0: it does not flood */
    uint64_t replay_ns, flood_ns; /* its next turn; another one in the agenda is of a fault that is over */
    struct past past[REPLAY_MOST];
    uint32_t past_next;  /* the oldest */
    uint64_t arrived_ns; /* all that it has said again, by then */
    struct slice *made[FLOOD_UNDER_WAY];
    const struct scenario_fault *eclipse; /* whose other side is kept from all others; NULL: it does not */
    uint64_t eclipse_ns;
    struct slice *contact; /* its own, as its core told it last */
};

static const struct adversary nobody;

static const struct adversary *seen_of(const struct station *n)
{
    return n->adversary != NULL ? n->adversary : &nobody;
}

bool adversary_at_work(const struct station *n)
{
    const struct adversary *a = seen_of(n);
    return a->withholds || a->replays || a->floods_a_second > 0 || a->eclipse != NULL;
}

/* To everybody who is linked: how many were told, and when the last one of all so far hears it. */
static uint32_t tell_all(struct station *n, struct slice *slice, uint64_t *last_ns)
{
    uint32_t told = 0;
    const struct consortium *s = n->consortium;
    const uint32_t neighbours = consortium_neighbours(s, n->number);
    for (uint32_t i = 0; i < neighbours; i++) {
        const uint32_t to = consortium_neighbour(s, n->number, i);
        if (!consortium_linked(s, n->number, to)) continue;
        const uint64_t arrives_ns = station_carry_slice(n, to, slice);
        if (arrives_ns > *last_ns) *last_ns = arrives_ns;
        told++;
    }
    return told;
}

/* --- Withholding --------------------------------------------------------------------------------------------------------- */

static bool is_question(struct span message)
{
    if (message.len == 0) return false;
    const uint8_t code = message.data[0];
    return code == MESSAGE_WANT_CODE || code == MESSAGE_GET_CODE || code == MESSAGE_BRANCH_GET_CODE;
}

static bool asks_for_contacts(struct span message)
{
    return message.len > 0 &&
           (message.data[0] == MESSAGE_CONTACTS_GET_CODE || message.data[0] == MESSAGE_CONTACTS_WANT_CODE);
}

/* A chained record of somebody else; its own it signs and shows. */
static bool is_passed_on(const struct station *n, struct span message)
{
    struct header h;
    return census_chained(&h, message) && !ID_EQUAL(h.author, n->player->id);
}

bool adversary_keeps(struct station *n, struct span message)
{
    const struct adversary *a = seen_of(n);
    const bool keeps = (a->withholds || a->eclipse != NULL) && is_passed_on(n, message);
    n->consortium->counts.withheld += keeps;
    return keeps;
}

/* --- Replaying ----------------------------------------------------------------------------------------------------------- */

/* What goes to many is one slice. */
static void remember(struct station *n, struct slice *slice)
{
    struct adversary *a = n->adversary;
    const struct past *last = &a->past[(a->past_next + REPLAY_MOST - 1) % REPLAY_MOST];
    struct past *next = &a->past[a->past_next];
    if (last->slice == slice) return;
    slice_drop(next->slice);
    slice->refs++;
    *next = (struct past){slice, now_of(n->consortium)};
    a->past_next = (a->past_next + 1) % REPLAY_MOST;
}

static void forget(struct adversary *a)
{
    for (uint32_t i = 0; i < REPLAY_MOST; i++) {
        slice_drop(a->past[i].slice);
        a->past[i] = (struct past){NULL, 0};
    }
}

static bool is_own_contact(const struct station *n, struct span message)
{
    static union message_body m;
    enum message code;
    struct header h;
    return message.len > 0 && message.data[0] == MESSAGE_RECORD_CODE &&
           message_decode(&code, &m, message) == OK && header_decode(&h, m.RECORD.header) == OK &&
           h.kind == KIND_CONTACT && ID_EQUAL(h.author, n->player->id);
}

void adversary_sent(struct station *n, struct slice *slice)
{
    if (seen_of(n)->replays && n->core != NULL) remember(n, slice);
    if (seen_of(n)->eclipse != NULL && is_own_contact(n, span_make(slice->bytes, slice->len))) {
        slice_drop(n->adversary->contact);
        slice->refs++;
        n->adversary->contact = slice;
    }
}

bool adversary_hears(struct station *n, struct slice *slice)
{
    const struct adversary *a = seen_of(n);
    const struct span message = span_make(slice->bytes, slice->len);
    if (a->replays) remember(n, slice);
    const bool silent = ((a->withholds || a->eclipse != NULL) && is_question(message)) ||
                        (a->eclipse != NULL && asks_for_contacts(message));
    n->consortium->counts.withheld += silent;
    return silent;
}

/* Those of the last seconds, oldest first, but some in the place of others. */
static uint32_t out_of_order(struct adversary *a, struct slice *order[REPLAY_MOST], uint64_t now_ns)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < REPLAY_MOST; i++) {
        const struct past *p = &a->past[(a->past_next + i) % REPLAY_MOST];
        if (p->slice != NULL && now_ns - p->at_ns <= REPLAY_PAST_NS) order[count++] = p->slice;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!chance_ppm(&a->chance, SWAPPED_PPM)) continue;
        const uint64_t other = chance_below(&a->chance, count);
        struct slice *slice = order[i];
        order[i] = order[other];
        order[other] = slice;
    }
    return count;
}

void adversary_replay(struct station *n)
{
    struct adversary *a = n->adversary;
    struct consortium *s = n->consortium;
    struct slice *order[REPLAY_MOST];
    if (!a->replays || a->replay_ns != now_of(s)) return;
    a->replay_ns += REPLAY_EVERY_NS;
    consortium_later(s, a->replay_ns, n->number, WHAT_REPLAY);
    if (n->core == NULL || now_of(s) < a->arrived_ns) return;
    const uint32_t count = out_of_order(a, order, now_of(s));
    for (uint32_t i = 0; i < count; i++) s->counts.replayed += tell_all(n, order[i], &a->arrived_ns);
}

/* --- Flooding ------------------------------------------------------------------------------------------------------------ */

static void draw_bytes(struct chance *c, uint8_t out[32])
{
    for (size_t at = 0; at < 32; at += 8) store_u64(out + at, chance_next(c));
}

/* Of records that there are not. */
static void make_announcement(struct adversary *a, struct buffer *out)
{
    uint8_t ids[FLOOD_IDS * 32];
    for (size_t at = 0; at < sizeof ids; at += 32) draw_bytes(&a->chance, ids + at);
    const struct message_ANNOUNCE m = {SPAN_OF(ids)};
    message_encode(out, MESSAGE_ANNOUNCE_CODE, &m);
}

/* Of members' chains, far ahead of what they are. */
static void make_heads(struct station *n, struct buffer *out)
{
    uint8_t heads[FLOOD_HEADS * HEADS_ITEM_BYTES];
    struct chance *c = &n->adversary->chance;
    const struct cast *cast = n->consortium->cast;
    for (uint8_t *item = heads; item < heads + sizeof heads; item += HEADS_ITEM_BYTES) {
        memcpy(item, cast->player[chance_below(c, cast->count)].id.bytes, 32);
        store_u64(item + 32, chance_within(c, 1, UINT32_MAX));
        draw_bytes(c, item + 40);
    }
    const struct message_HEADS m = {station_wall_ms(n), 0, 0, {{0}}, SPAN_OF(heads)};
    message_encode(out, MESSAGE_HEADS_CODE, &m);
}

/* Of a key that nobody had before. */
static void make_join(struct station *n, struct buffer *out)
{
    struct identity_secret secret;
    struct node_id id;
    draw_bytes(&n->adversary->chance, secret.bytes);
    const enum err err = identity_public(&id, &secret);
    ASSERT(err == OK);
    const struct body_JOIN body = {.node = id,
                                   .organisation = SPAN_LITERAL("nobody"),
                                   .jurisdiction = n->player->party->jurisdiction,
                                   .roles = ROLE_COMPUTE,
                                   .kem = n->player->kem,
                                   .approval = id,
                                   .platforms = SPAN_LITERAL(""),
                                   .consent = SPAN_LITERAL("")};
    buffer_put(out, fault_statement(n, id, &secret, KIND_JOIN, &body));
}

static void make(struct station *n, struct slice *slice)
{
    struct buffer b = buffer_make(slice->bytes, FLOOD_BYTES);
    switch (chance_below(&n->adversary->chance, 3)) {
    case 0: make_announcement(n->adversary, &b); break;
    case 1: make_heads(n, &b); break;
    default: make_join(n, &b);
    }
    ASSERT(!b.overflow);
    slice->len = b.len;
}

/* A slice that nothing under way is in any more. */
static struct slice *free_slice(const struct adversary *a)
{
    for (uint32_t i = 0; i < FLOOD_UNDER_WAY; i++)
        if (a->made[i]->refs == 1) return a->made[i];
    return NULL;
}

void adversary_flood(struct station *n)
{
    struct adversary *a = n->adversary;
    struct consortium *s = n->consortium;
    if (a->floods_a_second == 0 || a->flood_ns != now_of(s)) return;
    a->flood_ns += SECOND_NS / a->floods_a_second;
    consortium_later(s, a->flood_ns, n->number, WHAT_FLOOD);
    struct slice *slice = n->core != NULL ? free_slice(a) : NULL;
    if (slice == NULL) return;
    uint64_t unused = 0;
    make(n, slice);
    s->counts.flooded += tell_all(n, slice, &unused);
}

/* --- Eclipsing ----------------------------------------------------------------------------------------------------------- */

/* Some of its like, drawn, whose contacts are known. */
static void show_friends(struct station *n, uint32_t to)
{
    struct adversary *a = n->adversary;
    struct consortium *s = n->consortium;
    for (uint32_t i = 0; i < FRIENDS_SHOWN; i++) {
        const struct station *friend = &s->station[chance_below(&a->chance, s->count)];
        const struct adversary *of = seen_of(friend);
        if (of->eclipse != a->eclipse || of->contact == NULL) continue;
        (void)station_carry_slice(n, to, of->contact);
        s->counts.flooded++;
    }
}

void adversary_eclipse(struct station *n)
{
    struct adversary *a = n->adversary;
    struct consortium *s = n->consortium;
    if (a->eclipse == NULL || a->eclipse_ns != now_of(s)) return;
    a->eclipse_ns += SECOND_NS;
    consortium_later(s, a->eclipse_ns, n->number, WHAT_ECLIPSE);
    for (uint32_t i = 0; i < s->count && n->core != NULL; i++) {
        if (i == n->number || !scenario_has(s->scenario, &a->eclipse->other, i)) continue;
        consortium_dial(s, n->number, i);
        if (consortium_linked(s, n->number, i)) show_friends(n, i);
    }
}

/* --- Equivocating -------------------------------------------------------------------------------------------------------- */

/* What it says is the same; when it says that it said it is not. As long as nobody knows better it counts as the other does. */
static struct span second_of(const struct station *n, const struct record *last)
{
    static union body body;
    struct header h = last->header;
    struct record r;
    const enum err err = body_decode(&body, h.kind, last->body);
    ASSERT(err == OK);
    h.time_ms++;
    const struct span message = fault_record(&r, n, &n->player->secret, h, &body);
    if (h.kind != KIND_APPROVAL) (void)ledger_take(&n->consortium->ledger, &r); /* it would allot twice */
    return message;
}

void adversary_equivocate(struct station *n)
{
    const struct consortium *s = n->consortium;
    const struct author *own = n->core != NULL ? chain_author(core_chain(n->core), n->player->id) : NULL;
    const struct record *last =
        own != NULL ? chain_get(core_chain(n->core), n->player->id, own->applied) : NULL;
    if (last == NULL || n->equivocates) return; /* it has said nothing yet, or did so before */
    struct slice *slice = slice_of(second_of(n, last));
    const uint32_t neighbours = consortium_neighbours(s, n->number);
    uint32_t linked = 0;
    for (uint32_t i = 0; i < neighbours; i++) {
        const uint32_t to = consortium_neighbour(s, n->number, i);
        if (!consortium_linked(s, n->number, to) || linked++ % 2 != 0) continue;
        (void)station_carry_slice(n, to, slice);
        n->equivocates = true;
    }
    slice_drop(slice);
}

/* --- In their time ------------------------------------------------------------------------------------------------------- */

static struct adversary *adversary_of(struct station *n)
{
    static const uint8_t none[FLOOD_BYTES];
    if (n->adversary != NULL) return n->adversary;
    struct adversary *a = calloc(1, sizeof *a);
    ASSERT(a != NULL);
    a->chance = chance_stream(n->consortium->cast->seed, "adversary", n->number);
    for (uint32_t i = 0; i < FLOOD_UNDER_WAY; i++) a->made[i] = slice_of(SPAN_OF(none));
    n->adversary = a;
    return a;
}

void adversary_set(struct station *n, const struct scenario_fault *f, bool on)
{
    struct adversary *a = adversary_of(n);
    const uint64_t now_ns = now_of(n->consortium);
    if (f->kind == FAULT_WITHHOLD) a->withholds = on;
    if (f->kind == FAULT_REPLAY) {
        a->replays = on;
        a->replay_ns = now_ns;
        if (on) consortium_later(n->consortium, now_ns, n->number, WHAT_REPLAY);
        forget(a);
    }
    if (f->kind == FAULT_ECLIPSE) {
        if (!on && a->eclipse == f) a->eclipse = NULL;
        if (!on || a->eclipse != NULL) return; /* one at a time */
        a->eclipse = f;
        a->eclipse_ns = now_ns;
        consortium_later(n->consortium, now_ns, n->number, WHAT_ECLIPSE);
    }
    if (f->kind != FAULT_FLOOD) return;
    a->floods_a_second = !on ? 0 : f->per_second > 0 ? f->per_second : FLOOD_A_SECOND;
    a->flood_ns = now_ns;
    if (on) consortium_later(n->consortium, now_ns, n->number, WHAT_FLOOD);
}

void adversary_free(struct station *n)
{
    struct adversary *a = n->adversary;
    if (a == NULL) return;
    forget(a);
    slice_drop(a->contact);
    for (uint32_t i = 0; i < FLOOD_UNDER_WAY; i++) slice_drop(a->made[i]);
    free(a);
    n->adversary = NULL;
}
