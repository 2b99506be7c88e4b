/* Whom this node dials, by view.h: contacts in and out, who is a party, what is kept of it (PROTOCOL.md "Contacts", "Views").
 * A local value: key "contacts"; value: be16 length | packed contact, for each, those first that are dialled first. Signatures in it were
 * checked when they came. */
#include "proto/contact.h"
#include "proto/core_state.h"
#include "proto/election.h"

#include <string.h>

enum {
    CONTACT_EVERY_MS = 3600000,
    CONTACT_LIFE_MS = 7 * 86400000,
    VIEW_TICK_MS = 1000,
    ASK_MOST_MS = 60000,
    CONTACT_LIFE_LEAST_MS = 86400000,
    CONTACT_FIRST_MS =
        120000, /* the second one: the first may have come too soon after one before a restart */
    KEEP_EVERY_MS = 10000,
    WORKERS_TURN_MS = 120000, /* then others may have the run */
    FIRST_AGAIN_MS = 10000,   /* who that is is looked for again */
    LOOKS_A_TICK = 8,         /* for as many runs */
    WANTED_BYTES = 256,       /* what it costs who asks to have one looked for */
    NS_A_MS = 1000000,
};
static const uint8_t key_bytes[8] = {'c', 'o', 'n', 't', 'a', 'c', 't', 's'};

/* --- Who is what ---------------------------------------------------------------------------------------------------------- */

static bool is_custodian(const struct core *c, struct node_id node)
{
    return charter_custodian(registry_charter_bytes(c->registry), node) >= 0;
}

static bool is_up(struct core *c, struct node_id node)
{
    const struct peer *p = peer_find(c, node);
    return p != NULL && p->view.up;
}

/* Whatever runs there are. */
static bool is_party_by_role(const struct core *c, const struct member *own, const struct member *m)
{
    const bool custodian = is_custodian(c, own->node), computes = (own->roles & ROLE_COMPUTE) != 0;
    const bool shows = c->dialling.must_show || c->takes_back;
    return (is_custodian(c, m->node) && (custodian || computes || shows)) ||
           (custodian && (m->roles & ROLE_COMPUTE) != 0);
}

/* Two that may be linked for what they are to each other: a device has no parties, and is nobody's. */
static bool two_members(struct core *c, struct node_id node, const struct member **own,
                        const struct member **m)
{
    *own = registry_member(c->registry, c->options.self);
    *m = registry_member(c->registry, node);
    return *own != NULL && *m != NULL && *own != *m && (*own)->admission == NULL && (*m)->admission == NULL;
}

/* A run as this node sees it. */
struct sight {
    struct run_track *track;
    const struct run_entry *run;
    uint32_t number;
};

static void want(struct core *c, struct node_id node, enum parties_why why, const struct sight *of)
{
    const struct member *own, *m;
    if (two_members(c, node, &own, &m) && !is_party_by_role(c, own, m))
        parties_want(&c->dialling.parties, node, why, of->number);
}

/* Whoever does it needs its inputs' owners, and tells who asked for it. */
static void want_askers(struct core *c, enum parties_why why, const struct sight *of)
{
    want(c, of->run->record->header.author, why, of);
    for (uint32_t i = 0; i < run_input_count(&of->run->body); i++) {
        const struct asset *a = registry_asset(c->registry, run_input_at(&of->run->body, i).dt);
        if (a != NULL) want(c, registry_holder(c->registry, a->owner), why, of);
    }
}

static bool is_asker(const struct core *c, const struct run_entry *run)
{
    bool own = ID_EQUAL(run->record->header.author, c->options.self);
    for (uint32_t i = 0; i < run_input_count(&run->body) && !own; i++) {
        const struct asset *a = registry_asset(c->registry, run_input_at(&run->body, i).dt);
        own = a != NULL && ID_EQUAL(registry_holder(c->registry, a->owner), c->options.self);
    }
    return own;
}

/* All draw the same, and others when nothing came of it; for a run that nobody may do, nobody. Whoever may ask for runs may ask for
 * thousands: of all that are open some are looked at a tick, and each again once all others have been. */
static void look_for_first(struct core *c, const struct sight *of)
{
    struct run_track *t = of->track;
    const struct header *h = &of->run->record->header;
    const uint64_t passed_ms = c->wall_ms > h->time_ms ? c->wall_ms - h->time_ms : 0;
    c->dialling.seeking++;
    if (c->now.ns < t->first_ns || c->dialling.looks == LOOKS_A_TICK) return;
    c->dialling.looks++;
    t->first_ns =
        c->now.ns + (FIRST_AGAIN_MS + (int64_t)c->dialling.sought * VIEW_TICK_MS / LOOKS_A_TICK) * NS_A_MS;
    t->first_count = 0;
    if (registry_check_run(c->registry, &of->run->body, h->author, c->wall_ms).refusal == REFUSAL_NONE)
        t->first_count = election_first(c->registry, &of->run->body, t->view.run,
                                        1 + passed_ms / WORKERS_TURN_MS, t->first, ELECTION_FIRST_MAX);
}

/* And these, since some of them can be dialled by nobody, who has its enclave; while that one is not linked, some who may have it
 * next. */
static void want_workers(struct core *c, const struct sight *of)
{
    const struct run_view *v = &of->track->view;
    const bool works = v->state >= RUN_ELECTED && v->state < RUN_SETTLED;
    if (works) want(c, v->node, PARTIES_OF_ASKER, of);
    if (works && (ID_EQUAL(v->node, c->options.self) || is_up(c, v->node))) return;
    look_for_first(c, of);
    for (uint32_t i = 0; i < of->track->first_count; i++) want(c, of->track->first[i], PARTIES_OF_WAITER, of);
}

static void look_at_work(struct core *c, const struct sight *of)
{
    switch (of->track->phase) {
    case CANDIDATE_HOLDER: want_askers(c, PARTIES_OF_HOLDER, of); break;
    case CANDIDATE_PREVOTE:
    case CANDIDATE_VOTE: want_askers(c, PARTIES_OF_CANDIDATE, of); break;
    case CANDIDATE_WAITING:
        if (of->track->view.verdict.refusal == REFUSAL_INPUT_MISSING) want_askers(c, PARTIES_OF_WAITER, of);
        break;
    case CANDIDATE_IDLE:
    case CANDIDATE_DONE: break;
    }
}

static void look_at_runs(struct core *c)
{
    c->dialling.sought = c->dialling.seeking;
    c->dialling.looks = c->dialling.seeking = 0;
    parties_begin(&c->dialling.parties);
    for (uint32_t i = 0; i < c->track_count; i++) {
        struct run_track *t = &c->track[i];
        const struct sight sight = {t, registry_run(c->registry, t->view.run), i};
        if (sight.run == NULL) continue;
        look_at_work(c, &sight);
        if (track_open(t) && is_asker(c, sight.run)) want_workers(c, &sight);
    }
    parties_end(&c->dialling.parties, c->now.ns);
}

/* It signs nothing before custodians have compared heads with it, and what it signed, or took back, must reach them: until q of them are
 * seen to hold all of its chain they are its parties. */
static void look_at_own_chain(struct core *c)
{
    struct dialling *d = &c->dialling;
    struct record_id head;
    const struct author *own = chain_author(&c->chain, c->options.self);
    const uint64_t tip =
        own != NULL ? chain_shown(&c->chain, chain_author_row(&c->chain, own->node), &head) : 0;
    uint32_t holding = is_custodian(c, c->options.self);
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct peer_view *p = &c->peer[i].view;
        holding += p->up && p->own_seq >= tip && is_custodian(c, p->node);
    }
    if (holding >= registry_charter_bytes(c->registry)->q) d->shown_seq = tip;
    d->must_show = c->unshown || tip > d->shown_seq;
}

/* There are other parties than before: their contacts are asked for soon. */
static void look_for_others(struct core *c)
{
    struct dialling *d = &c->dialling;
    struct node_id all = {{d->must_show}};
    for (uint32_t i = 0; i < d->parties.count; i++)
        for (size_t at = 0; at < sizeof all.bytes; at++) all.bytes[at] ^= d->parties.row[i].node.bytes[at];
    if (ID_EQUAL(all, d->wanted)) return;
    d->wanted = all;
    d->want_every_ms = VIEW_TICK_MS;
    d->want_next_ns = c->now.ns;
}

/* Are all whom charter or stewards admitted few enough to be linked with each other? */
static uint32_t members_up_to(const struct core *c, uint32_t most)
{
    const struct member *m;
    uint32_t at = 0, count = 0;
    while (count < most && (m = registry_member_next(c->registry, &at)) != NULL && m->admission == NULL)
        count++; /* devices come last */
    return count;
}

static void look_at_parties(struct core *c)
{
    struct dialling *d = &c->dialling;
    const uint32_t members = members_up_to(c, VIEW_ALL + 1);
    if (members != d->members) d->ask_every_ms = VIEW_TICK_MS; /* others may be known now */
    d->members = members;
    if (members <= VIEW_ALL) return;
    look_at_own_chain(c);
    look_at_runs(c);
    look_for_others(c);
}

bool core_party(struct core *c, struct node_id node)
{
    const struct member *own, *m;
    return two_members(c, node, &own, &m) &&
           (c->dialling.members <= VIEW_ALL || is_party_by_role(c, own, m) ||
            parties_has(&c->dialling.parties, node));
}

/* --- What the view asks ------------------------------------------------------------------------------------------------------- */

static bool x_member(void *context, struct node_id node, struct view_member *out)
{
    struct core *c = context;
    const struct member *m = core_lasting(c, node);
    if (m == NULL) return false;
    const bool party = core_party(c, node), needed = party || is_custodian(c, node);
    const bool computes = m->admission == NULL && (m->roles & ROLE_COMPUTE) != 0;
    const enum view_need need = needed ? VIEW_NEEDED : computes ? VIEW_COMPUTES : VIEW_ANYBODY;
    *out = (struct view_member){party, need, m->jurisdiction, m->organisation};
    return true;
}

static bool x_linked(void *context, struct node_id node)
{
    return is_up(context, node);
}

static void x_dial(void *context, struct node_id node, struct span address)
{
    struct effect *e = emit(context, EFFECT_DIAL);
    e->peer = node;
    e->bytes = scratch_copy(context, address);
}

static void x_hang_up(void *context, struct node_id node)
{
    emit(context, EFFECT_HANG_UP)->peer = node;
}

size_t contacts_bytes(const struct caps *caps)
{
    return view_bytes(caps->contacts);
}

enum err contacts_begin(struct core *c, struct arena *arena)
{
    const struct view_holder holder = {x_member, x_linked, x_dial, x_hang_up, c};
    c->dialling.ask_every_ms = c->dialling.want_every_ms = VIEW_TICK_MS;
    return view_new(&c->view, arena, c->options.caps->contacts,
                    c->options.salt ^ load_u64(c->options.self.bytes), &holder);
}

/* --- Contacts of others ------------------------------------------------------------------------------------------------------- */

bool contacts_want(struct core *c, const struct record *r)
{
    const struct header *h = &r->header;
    return !ID_EQUAL(h->author, c->options.self) && core_lasting(c, h->author) != NULL &&
           h->expires_ms >= h->time_ms + CONTACT_LIFE_LEAST_MS &&
           h->expires_ms <= h->time_ms + CONTACT_LIFE_MS && view_newer(c->view, h->author, h->time_ms);
}

/* May this node dial it? What leads back to whoever dials is no address, but among nodes of one machine. */
static bool leads_there(const struct core *c, struct span address)
{
    return contact_valid(address) &&
           (!contact_local(address) || (c->options.announce.len > 0 && contact_local(c->options.announce)));
}

static struct view_contact contact_of(const struct record *r, struct span address, struct span packed)
{
    return (struct view_contact){r->header.author, address, packed, r->header.time_ms, r->header.expires_ms};
}

void contacts_said(struct core *c, const struct record *r, const struct body_CONTACT *b)
{
    if (!contacts_want(c, r) || !leads_there(c, b->address)) return;
    struct buffer packed = scratch_buffer(c, record_bytes_max(r));
    record_pack(&packed, r);
    const struct view_contact contact = contact_of(r, b->address, buffer_span(&packed));
    if (!view_learn(c->view, &contact)) return;
    c->dialling.ask_every_ms = VIEW_TICK_MS;
    const int64_t soon_ns = c->now.ns + (int64_t)VIEW_TICK_MS * NS_A_MS;
    if (c->dialling.ask_next_ns > soon_ns) c->dialling.ask_next_ns = soon_ns;
}

/* A packed record as the message that carries it. */
static bool tell(struct core *c, struct peer *p, struct span packed)
{
    struct record r;
    const enum err err = record_unpack(&r, packed);
    ASSERT(err == OK);
    if (!sync_afford(c, p, packed.len + CAP_HEADER_BYTES)) return false;
    struct buffer b = scratch_buffer(c, record_bytes_max(&r));
    record_encode(&b, &r);
    send_message(c, p->view.node, buffer_span(&b));
    return true;
}

void contacts_get(struct core *c, struct node_id from, const struct message_CONTACTS_GET *m)
{
    struct span drawn[CONTACTS_ASKED_MAX];
    struct peer *p = peer_find(c, from);
    if (p == NULL || !core_member(c, from, 0)) return;
    if (c->dialling.own_len > 0 && !tell(c, p, span_make(c->dialling.own, c->dialling.own_len))) return;
    const uint32_t count = view_draw(c->view, from, drawn, (uint32_t)m->count);
    for (uint32_t i = 0; i < count && step_has_room(c) && tell(c, p, drawn[i]); i++) continue;
}

void contacts_wanted(struct core *c, struct node_id from, const struct message_CONTACTS_WANT *m)
{
    struct peer *p = peer_find(c, from);
    if (p == NULL || !core_member(c, from, 0)) return;
    for (size_t at = 0; at < m->nodes.len && step_has_room(c); at += sizeof(struct node_id)) {
        struct node_id node;
        memcpy(node.bytes, m->nodes.data + at, sizeof node.bytes);
        if (!sync_afford(c, p, WANTED_BYTES)) return; /* known or not */
        const struct span packed = view_packed(c->view, node);
        if (packed.len > 0 && !tell(c, p, packed)) return;
    }
}

/* --- The own one ---------------------------------------------------------------------------------------------------------------- */

void contacts_signed(struct core *c, const struct record *r)
{
    struct buffer b = BUFFER_OF(c->dialling.own);
    record_pack(&b, r);
    ASSERT(!b.overflow);
    const int64_t again_ms = c->dialling.own_len == 0 ? CONTACT_FIRST_MS : CONTACT_EVERY_MS;
    c->dialling.own_next_ns = c->now.ns + again_ms * NS_A_MS;
    c->dialling.own_len = (uint16_t)b.len;
}

static void announce(struct core *c)
{
    struct dialling *d = &c->dialling;
    const struct body_CONTACT body = {c->options.announce};
    if (c->options.announce.len == 0 || c->now.ns < d->own_next_ns || !core_member(c, c->options.self, 0))
        return;
    d->own_next_ns = c->now.ns + (int64_t)ASK_MOST_MS * NS_A_MS; /* if nothing comes of it */
    author_ephemeral(c, KIND_CONTACT, &body, c->wall_ms + CONTACT_LIFE_MS);
}

void contacts_peer_up(struct core *c, struct node_id node)
{
    struct peer *p = peer_find(c, node);
    if (p == NULL || c->dialling.own_len == 0 || !core_member(c, node, 0)) return;
    (void)tell(c, p, span_make(c->dialling.own, c->dialling.own_len));
}

/* --- Now and then ------------------------------------------------------------------------------------------------------------------ */

/* A linked member, drawn; NULL: there is none. */
static struct peer *any_member(struct core *c, uint32_t *linked)
{
    struct peer *found = NULL;
    *linked = 0;
    for (uint32_t i = 0; i < c->peer_count; i++) {
        struct peer *p = &c->peer[i];
        if (!p->view.up || core_lasting(c, p->view.node) == NULL) continue;
        if (view_chance(c->view, ++*linked) == 0) found = p;
    }
    return found;
}

static void ask(struct core *c, const struct peer *p)
{
    struct dialling *d = &c->dialling;
    const struct message_CONTACTS_GET get = {CONTACTS_ASKED_MAX};
    struct buffer b = scratch_buffer(c, 16);
    message_encode(&b, MESSAGE_CONTACTS_GET_CODE, &get);
    send_message(c, p->view.node, buffer_span(&b));
    d->ask_next_ns =
        c->now.ns + (int64_t)(d->ask_every_ms / 2 + view_chance(c->view, d->ask_every_ms)) * NS_A_MS;
    d->ask_every_ms = d->ask_every_ms * 2 < ASK_MOST_MS ? d->ask_every_ms * 2 : ASK_MOST_MS;
}

/* Parties that this node can neither reach nor dial, CONTACTS_ASKED_MAX of them, drawn (algorithm R, Vitter 1985). */
static struct span unknown_parties(struct core *c)
{
    struct buffer b = scratch_buffer(c, sizeof(struct node_id) * CONTACTS_ASKED_MAX);
    const struct member *m;
    uint32_t seen = 0;
    for (uint32_t at = 0; (m = registry_member_next(c->registry, &at)) != NULL && m->admission == NULL;) {
        if (!core_party(c, m->node) || is_up(c, m->node) || view_packed(c->view, m->node).len > 0) continue;
        const uint32_t place = seen < CONTACTS_ASKED_MAX ? seen : (uint32_t)view_chance(c->view, seen + 1);
        if (seen++ < CONTACTS_ASKED_MAX)
            buffer_put(&b, ID_SPAN(m->node));
        else if (place < CONTACTS_ASKED_MAX)
            memcpy(b.data + place * sizeof m->node, m->node.bytes, sizeof m->node);
    }
    return buffer_span(&b);
}

/* What is drawn of many is the one that is needed by luck, and late. */
static void ask_for_parties(struct core *c, const struct peer *p)
{
    struct dialling *d = &c->dialling;
    const struct span nodes = unknown_parties(c);
    const struct message_CONTACTS_WANT want = {nodes};
    struct buffer b = scratch_buffer(c, nodes.len + 16);
    message_encode(&b, MESSAGE_CONTACTS_WANT_CODE, &want);
    if (nodes.len > 0) send_message(c, p->view.node, buffer_span(&b));
    d->want_next_ns = c->now.ns + (int64_t)d->want_every_ms * NS_A_MS;
    d->want_every_ms = d->want_every_ms * 2 < ASK_MOST_MS ? d->want_every_ms * 2 : ASK_MOST_MS;
}

/* What the next start dials first. */
static void keep(struct core *c, uint32_t linked)
{
    struct dialling *d = &c->dialling;
    struct span kept[VIEW_KEPT_MAX];
    if (c->now.ns < d->keep_next_ns || linked == 0)
        return; /* cut off, it would keep those that it tries in vain */
    d->keep_next_ns = c->now.ns + (int64_t)KEEP_EVERY_MS * NS_A_MS;
    const uint32_t count = view_kept(c->view, kept);
    struct buffer b = scratch_buffer(c, VIEW_KEPT_MAX * (2 + VIEW_PACKED_MAX));
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_u16(&b, (uint16_t)kept[i].len);
        buffer_put(&b, kept[i]);
    }
    const struct hash32 hash = sha256(buffer_span(&b));
    if (count == 0 || ID_EQUAL(hash, d->kept)) return;
    d->kept = hash;
    struct effect *e = emit(c, EFFECT_STORE);
    e->keep[0] = (struct keep){KEEP_LOCAL, SPAN_OF(key_bytes), buffer_span(&b)};
    e->keep_count = 1;
}

void contacts_tick(struct core *c)
{
    struct dialling *d = &c->dialling;
    uint32_t linked;
    if (c->now.ns < d->next_ns || !step_has_room(c)) return;
    d->next_ns = c->now.ns + (int64_t)VIEW_TICK_MS * NS_A_MS;
    if (core_lasting(c, c->options.self) == NULL) {
        view_end(c->view);
        return;
    }
    look_at_parties(c);
    announce(c);
    const struct peer *p = any_member(c, &linked);
    if (p != NULL && c->now.ns >= d->ask_next_ns) ask(c, p);
    if (p != NULL && d->members > VIEW_ALL && c->now.ns >= d->want_next_ns) ask_for_parties(c, p);
    view_tick(c->view, c->now.ns, c->wall_ms, linked);
    keep(c, linked);
}

/* --- Over a restart ------------------------------------------------------------------------------------------------------------------ */

static enum err restore_one(struct core *c, struct cursor *at)
{
    struct span packed;
    struct record r;
    uint16_t len;
    union body *body = arena_take(&c->room->scratch, 1, sizeof *body);
    ASSERT(body != NULL);
    TRY(cursor_u16(at, &len));
    TRY(cursor_take(at, &packed, len));
    if (len > VIEW_PACKED_MAX) return ERR_TOO_LARGE;
    TRY(record_unpack(&r, packed));
    if (r.header.kind != KIND_CONTACT) return ERR_KIND;
    TRY(body_decode(body, KIND_CONTACT, r.body));
    if (!leads_there(c, body->CONTACT.address)) return OK; /* this node announced another address then */
    const struct view_contact contact = contact_of(&r, body->CONTACT.address, packed);
    view_restore(c->view, &contact);
    return OK;
}

void contacts_restore(struct core *c, struct span key, struct span value)
{
    struct cursor at = cursor_make(value);
    ASSERT(!c->ready);
    if (!span_equal(key, SPAN_OF(key_bytes))) return; /* somebody else's local value */
    while (cursor_left(&at) > 0)
        if (restore_one(c, &at) != OK) {
            notice(c, "the stored contacts are damaged: others are asked for them", SPAN_NONE, NULL);
            return;
        }
}

struct view_counts core_contacts(const struct core *c)
{
    return view_count(c->view);
}
