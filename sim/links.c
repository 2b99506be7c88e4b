/* Links between nodes: which are there, and what keeps two from each other.
 * In a world of up to SCENARIO_LINKED_MAX everybody has a link with everybody, whenever both are up and nothing keeps them apart. In a larger one a link is
 * there because one of the two dialled (sim/pairs.h), and is gone when either falls or hangs up, or something comes between them;
 * then it is for the cores to dial again. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"

#include <stdlib.h>

/* Half round trips: two of TCP, three of the handshake (PROTOCOL.md "Link handshake"). */
enum { HANDSHAKE_HALVES = 5 };

/* So long a stranger or device has its place (links_pace_usual of node/link.c). */
#define STAY_NS UINT64_C(10000000000)

/* Bits of a node: on which side of a cut it is. */
enum { SIDE_OF = 1, SIDE_OTHER = 2 };

/* A fault that cuts the links between two sides. */
struct cut {
    uint32_t fault;
    bool on;      /* it does now */
    bool one_way; /* it lets nothing through in one direction: no link comes up */
    uint64_t times;
    uint8_t *side; /* of each node */
};
struct links {
    struct pairs *pairs; /* NULL: everybody with everybody */
    struct cut *cut;
    uint32_t cut_count;
    struct dial *dial;
    uint32_t dial_count, dial_cap, free_plus_one;
};
/* A link that is about to come up. */
struct dial {
    uint32_t from, to, incarnation[2], next_free_plus_one;
};

/* --- The beginning ------------------------------------------------------------------------------------------------------- */

static bool is_cut(const struct scenario_fault *f)
{
    return f->kind == FAULT_PART || f->kind == FAULT_SPLIT;
}

static enum err cut_make(struct cut *c, const struct consortium *s, uint32_t fault)
{
    const struct scenario_fault *f = &s->scenario->fault[fault];
    c->fault = fault;
    c->side = calloc(s->count, sizeof *c->side);
    if (c->side == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < s->count; i++) {
        const bool of = scenario_has(s->scenario, &f->of, i);
        const bool other = f->kind == FAULT_SPLIT ? scenario_has(s->scenario, &f->other, i) : !of;
        c->side[i] = (uint8_t)((of ? SIDE_OF : 0) | (other ? SIDE_OTHER : 0));
    }
    return OK;
}

enum err links_begin(struct consortium *s)
{
    struct links *l = s->links = calloc(1, sizeof *l);
    if (l == NULL) return ERR_NO_MEMORY;
    l->cut = calloc(s->scenario->fault_count + 1, sizeof *l->cut);
    if (l->cut == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < s->scenario->fault_count; i++)
        if (is_cut(&s->scenario->fault[i]) && comes_to(&s->scenario->fault[i], s))
            TRY(cut_make(&l->cut[l->cut_count++], s, i));
    return s->count > SCENARIO_LINKED_MAX ? pairs_new(&l->pairs, s->count) : OK;
}

void links_free(struct links *l)
{
    if (l == NULL) return;
    for (uint32_t i = 0; i < l->cut_count; i++) free(l->cut[i].side);
    free(l->cut);
    free(l->dial);
    pairs_free(l->pairs);
    free(l);
}

/* --- What is there ------------------------------------------------------------------------------------------------------- */

static bool lies_between(const struct cut *c, uint32_t a, uint32_t b)
{
    return ((c->side[a] & SIDE_OF) != 0 && (c->side[b] & SIDE_OTHER) != 0) ||
           ((c->side[b] & SIDE_OF) != 0 && (c->side[a] & SIDE_OTHER) != 0);
}

static bool is_between(const struct consortium *s, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < s->links->cut_count; i++)
        if (s->links->cut[i].on && lies_between(&s->links->cut[i], a, b)) return true;
    return false;
}

static bool is_there(const struct station *n)
{
    return n->up && !n->cut;
}

static bool may_link(const struct consortium *s, uint32_t a, uint32_t b)
{
    return is_there(&s->station[a]) && is_there(&s->station[b]) && !is_between(s, a, b);
}

bool consortium_dials(const struct consortium *s)
{
    return s->links->pairs != NULL;
}

bool consortium_linked(const struct consortium *s, uint32_t a, uint32_t b)
{
    const struct pairs *pairs = s->links->pairs;
    return pairs != NULL ? pairs_serial(pairs, a, b) != 0 : may_link(s, a, b);
}

uint64_t consortium_link(const struct consortium *s, uint32_t a, uint32_t b)
{
    if (s->links->pairs != NULL) return pairs_serial(s->links->pairs, a, b);
    uint64_t breaks = s->station[a].links + s->station[b].links; /* none ever falls */
    for (uint32_t i = 0; i < s->links->cut_count; i++)
        if (lies_between(&s->links->cut[i], a, b)) breaks += s->links->cut[i].times;
    return breaks;
}

uint32_t consortium_neighbours(const struct consortium *s, uint32_t number)
{
    return s->links->pairs != NULL ? pairs_count(s->links->pairs, number) : s->count - 1;
}

uint32_t consortium_neighbour(const struct consortium *s, uint32_t number, uint32_t index)
{
    if (s->links->pairs != NULL) return pairs_at(s->links->pairs, number, index);
    return index < number ? index : index + 1;
}

/* --- Coming up, and going down --------------------------------------------------------------------------------------------- */

static void tell(struct consortium *s, uint32_t to, uint32_t peer, bool up)
{
    if (!s->station[to].up) return;
    const struct parcel p = {.type = up ? EVENT_PEER_UP : EVENT_PEER_DOWN,
                             .from = peer,
                             .incarnation = s->station[to].incarnation};
    consortium_post(s, now_of(s) + 1, to, &p);
}

static void tell_both(struct consortium *s, uint32_t a, uint32_t b, bool up)
{
    if (up) net_reconnect(s->net, place_of(s, a), place_of(s, b));
    tell(s, a, b, up);
    tell(s, b, a, up);
}

static void part(struct consortium *s, uint32_t a, uint32_t b)
{
    pairs_drop(s->links->pairs, a, b);
    tell_both(s, a, b, false);
}

static void part_from_all(struct consortium *s, uint32_t number)
{
    for (uint32_t i = pairs_count(s->links->pairs, number); i-- > 0;)
        part(s, number, pairs_at(s->links->pairs, number, i));
}

void links_of(struct consortium *s, uint32_t number, bool up)
{
    const struct station *n = &s->station[number];
    if (!up) s->station[number].links++;
    if (s->links->pairs != NULL) {
        if (!up) part_from_all(s, number);
        return;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (i == number || !is_there(&s->station[i]) || is_between(s, number, i)) continue;
        if (!up || !n->cut) tell_both(s, number, i, up); /* who was cut off before is gone once more */
    }
}

/* --- Dialling ------------------------------------------------------------------------------------------------------------- */

static bool is_reached(const struct consortium *s, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < s->links->cut_count; i++)
        if (s->links->cut[i].one_way && lies_between(&s->links->cut[i], from, to)) return false;
    return may_link(s, from, to);
}

static uint32_t dial_take(struct links *l)
{
    if (l->free_plus_one != 0) {
        const uint32_t at = l->free_plus_one - 1;
        l->free_plus_one = l->dial[at].next_free_plus_one;
        return at;
    }
    if (l->dial_count == l->dial_cap) {
        l->dial_cap = l->dial_cap == 0 ? 64 : 2 * l->dial_cap;
        l->dial = realloc(l->dial, l->dial_cap * sizeof *l->dial);
        ASSERT(l->dial != NULL);
    }
    return l->dial_count++;
}

void consortium_dial(struct consortium *s, uint32_t from, uint32_t to)
{
    struct links *l = s->links;
    if (l->pairs == NULL || from == to || consortium_linked(s, from, to) || !is_reached(s, from, to)) return;
    const uint32_t at = dial_take(l);
    l->dial[at] = (struct dial){from, to, {s->station[from].incarnation, s->station[to].incarnation}, 0};
    const uint64_t takes_ns =
        net_round_trip_ns(s->net, place_of(s, from), place_of(s, to)) * HANDSHAKE_HALVES / 2;
    consortium_later(s, now_of(s) + takes_ns, at, WHAT_DIALLED);
}

enum tier { TIER_STRANGER, TIER_DEVICE, TIER_MEMBER };
static enum tier tier_of(struct core *core, struct node_id node)
{
    const struct member *m = registry_member(core_registry(core), node);
    if (m == NULL) return TIER_STRANGER;
    return m->admission != NULL ? TIER_DEVICE : TIER_MEMBER;
}

/* The link of these that stands longest. Who has one of this node's by its people's word is not looked at here: it dials again. */
static bool oldest_alike(const struct consortium *s, uint32_t at, enum tier own, uint32_t *count,
                         uint32_t *oldest)
{
    uint64_t first = UINT64_MAX;
    *count = 0;
    for (uint32_t i = 0; i < pairs_count(s->links->pairs, at); i++) {
        const uint32_t other = pairs_at(s->links->pairs, at, i);
        if (tier_of(s->station[at].core, s->station[other].player->id) != own) continue;
        const uint64_t since_ns = pairs_since(s->links->pairs, at, other);
        ++*count;
        if (since_ns >= first) continue;
        first = since_ns;
        *oldest = other;
    }
    return first != UINT64_MAX && now_of(s) - first >= STAY_NS;
}

/* Of a node's places strangers have a quarter, and devices another; where that is full, who has stayed long enough gives way
 * (node/link_place.h). */
static bool is_welcome(struct consortium *s, uint32_t at, uint32_t from)
{
    struct core *core = s->station[at].core;
    uint32_t alike, oldest;
    if (core == NULL || pairs_count(s->links->pairs, at) >= CAP_PEERS) return false;
    const enum tier own = tier_of(core, s->station[from].player->id);
    if (own == TIER_MEMBER) return true;
    const bool gives_way = oldest_alike(s, at, own, &alike, &oldest);
    if (alike < CAP_PEERS / 4) return true;
    if (gives_way) part(s, at, oldest);
    return gives_way;
}

void links_dialled(struct consortium *s, uint32_t at)
{
    struct links *l = s->links;
    const struct dial d = l->dial[at];
    l->dial[at].next_free_plus_one = l->free_plus_one;
    l->free_plus_one = at + 1;
    const bool same = s->station[d.from].incarnation == d.incarnation[0] &&
                      s->station[d.to].incarnation == d.incarnation[1];
    if (!same || consortium_linked(s, d.from, d.to) || !is_reached(s, d.from, d.to)) return;
    if (!is_welcome(s, d.to, d.from)) return;
    pairs_add(l->pairs, d.from, d.to, now_of(s));
    tell_both(s, d.from, d.to, true);
}

void consortium_hang_up(struct consortium *s, uint32_t from, uint32_t to)
{
    if (s->links->pairs != NULL && consortium_linked(s, from, to)) part(s, from, to);
}

/* --- Cuts ----------------------------------------------------------------------------------------------------------------- */

static struct cut *cut_of(const struct consortium *s, uint32_t fault)
{
    for (uint32_t i = 0; i < s->links->cut_count; i++)
        if (s->links->cut[i].fault == fault) return &s->links->cut[i];
    UNREACHABLE();
}

typedef void each_link(struct consortium *s, uint32_t a, uint32_t b, uint64_t number);

/* Every link, or in a small world every pair, that leads over it, from the side that it is of. */
static void over(struct consortium *s, const struct cut *c, each_link *each, uint64_t number)
{
    for (uint32_t a = 0; a < s->count; a++) {
        const uint32_t count = consortium_neighbours(s, a);
        for (uint32_t i = 0; (c->side[a] & SIDE_OF) != 0 && i < count; i++) {
            const uint32_t index = s->links->pairs != NULL ? count - 1 - i : i; /* sim/pairs.h, pairs_at */
            const uint32_t b = consortium_neighbour(s, a, index);
            if ((c->side[b] & SIDE_OTHER) != 0) each(s, a, b, number);
        }
    }
}

static void end_one(struct consortium *s, uint32_t a, uint32_t b, uint64_t unused)
{
    (void)unused;
    if (s->links->pairs != NULL)
        part(s, a, b);
    else if (may_link(s, a, b))
        tell_both(s, a, b, false);
}

static void begin_one(struct consortium *s, uint32_t a, uint32_t b, uint64_t unused)
{
    (void)unused;
    if (may_link(s, a, b)) tell_both(s, a, b, true);
}

void links_cut(struct consortium *s, uint32_t fault)
{
    struct cut *c = cut_of(s, fault);
    ASSERT(!c->on);
    over(s, c, end_one, 0);
    c->on = true;
    c->times++;
}

void links_mend(struct consortium *s, uint32_t fault)
{
    struct cut *c = cut_of(s, fault);
    c->one_way = false;
    if (!c->on) return;
    c->on = false;
    if (s->links->pairs == NULL) over(s, c, begin_one, 0);
}

static void hold_one(struct consortium *s, uint32_t a, uint32_t b, uint64_t until_ns)
{
    net_clog_link(s->net, place_of(s, a), place_of(s, b), until_ns);
}

void links_hold(struct consortium *s, uint32_t fault, uint64_t until_ns)
{
    struct cut *c = cut_of(s, fault);
    c->one_way = true;
    over(s, c, hold_one, until_ns);
}
