/* Records to the mesh and from it: the core as holder of what spreads (gossip.h, PROTOCOL.md "Spreading"). */
#include "proto/core_state.h"

enum {
    URGENT_MOST = 16, /* of an author at once, and then one a second: beyond that they spread like others */
    WALK_AGAIN_MS = 10000,
    FRESH_MS = 600000, /* older ones come by heads: whoever catches up does not tell others what they have */
};
_Static_assert((int)CAP_SPREADING >= GOSSIP_LINKS_MAX * GOSSIP_WANT_MAX * 2,
               "what all links may make it want, and as much of what is held");

static struct core *core_of(void *context)
{
    return context;
}

static struct node_id peer_of(const struct core *c, uint32_t link)
{
    ASSERT(c->link_row[link] != 0);
    return c->peer[c->link_row[link] - 1].view.node;
}

static bool holds(void *context, struct record_id id)
{
    return chain_row(&core_of(context)->chain, id) != INDEX_NONE;
}

static struct span encoded(struct core *c, uint32_t row)
{
    if (c->said_row == row + 1) return c->said;
    const struct record *r = chain_at(&c->chain, row);
    struct buffer b = scratch_buffer(c, record_bytes_max(r));
    record_encode(&b, r);
    c->said_row = row + 1;
    c->said = buffer_span(&b);
    return c->said;
}

void mesh_send(struct core *c, struct node_id to, const struct record *held)
{
    send_message(c, to, encoded(c, chain_row(&c->chain, held->id)));
}

/* Answers have a budget; what is not sent may be asked for again, or comes by heads. */
static bool send_record(void *context, uint32_t link, uint64_t row)
{
    struct core *c = core_of(context);
    const struct record *r = chain_at(&c->chain, (uint32_t)row);
    struct peer *p = &c->peer[c->link_row[link] - 1];
    if (c->answering && !sync_afford(c, p, r->body.len + CAP_HEADER_BYTES)) return false;
    send_message(c, p->view.node, encoded(c, (uint32_t)row));
    return true;
}

/* The three have one shape. */
static void send_ids(struct core *c, uint32_t link, enum message code, struct span ids)
{
    const struct message_ANNOUNCE m = {ids};
    struct buffer b = scratch_buffer(c, ids.len + 16);
    message_encode(&b, code, &m);
    send_message(c, peer_of(c, link), buffer_span(&b));
}

static void send_announce(void *context, uint32_t link, struct span ids)
{
    send_ids(core_of(context), link, MESSAGE_ANNOUNCE_CODE, ids);
}

static void send_want(void *context, uint32_t link, struct span ids)
{
    send_ids(core_of(context), link, MESSAGE_WANT_CODE, ids);
}

static void send_absent(void *context, uint32_t link, struct span ids)
{
    send_ids(core_of(context), link, MESSAGE_ABSENT_CODE, ids);
}

size_t mesh_bytes(const struct caps *caps)
{
    return gossip_bytes(caps->spreading) + ARENA_BYTES(CAP_AUTHORS, sizeof(struct urgency));
}

enum err mesh_begin(struct core *c, struct arena *arena, uint64_t salt)
{
    const struct gossip_holder holder = {holds, send_record, send_announce, send_want, send_absent, c};
    c->urgency = ARENA_ARRAY(arena, struct urgency, CAP_AUTHORS);
    if (c->urgency == NULL) return ERR_NO_MEMORY;
    return gossip_new(&c->gossip, arena, c->options.caps->spreading, salt, &holder);
}

static void link_down(struct core *c, struct peer *p)
{
    gossip_link_down(c->gossip, p->link - 1);
    c->link_row[p->link - 1] = 0;
    p->link = 0;
}

/* Devices give way to other members, and all to custodians. */
static uint8_t weight_of(struct core *c, const struct peer *p)
{
    const int custodian = charter_custodian(registry_charter_bytes(c->registry), p->view.node);
    return custodian >= 0 ? 2 : core_tier(c, p->view.node) == TIER_MEMBER;
}

/* A free link, or the first of those that weigh least, if they weigh less. */
static uint32_t take_link(struct core *c, uint8_t weight)
{
    uint32_t least = 0;
    for (uint32_t link = 0; link < GOSSIP_LINKS_MAX; link++) {
        if (c->link_row[link] == 0) return link;
        if (c->link_weight[link] < c->link_weight[least]) least = link;
    }
    if (c->link_weight[least] >= weight) return GOSSIP_NOBODY;
    link_down(c, &c->peer[c->link_row[least] - 1]);
    return least;
}

static void link_up(struct core *c, struct peer *p)
{
    const uint8_t weight = weight_of(c, p);
    const uint32_t link = take_link(c, weight);
    if (link == GOSSIP_NOBODY) return;
    c->link_weight[link] = weight;
    c->link_row[link] = (uint32_t)(p - c->peer) + 1;
    p->link = link + 1;
    gossip_link_up(c->gossip, link);
}

void mesh_peer(struct core *c, struct peer *p)
{
    const bool belongs = p->view.up && core_member(c, p->view.node, 0);
    if (belongs && p->link == 0) link_up(c, p);
    if (!belongs && p->link != 0) link_down(c, p);
}

void mesh_peers(struct core *c)
{
    for (uint32_t i = 0; i < c->peer_count; i++) mesh_peer(c, &c->peer[i]);
}

/* In a consortium of few, who is linked here is linked with the others too, as far as it can be. */
static bool tells_all_itself(struct core *c, struct node_id author)
{
    const struct peer *p = peer_find(c, author);
    return c->chain.author_count <= GOSSIP_LINKS_MAX && p != NULL && p->link != 0;
}

static bool takes_back(enum kind kind)
{
    return kind == KIND_REVOCATION || kind == KIND_REMOVAL;
}

static struct urgency *urgency_of(struct core *c, struct node_id author)
{
    const uint32_t number = chain_author_number(&c->chain, author);
    ASSERT(number < c->chain.author_count);
    return &c->urgency[number];
}

bool mesh_may_hurry(struct core *c, struct node_id author)
{
    struct urgency *u = urgency_of(c, author);
    const int64_t past_s = (c->now.ns - u->since_ns) / 1000000000;
    u->spent = past_s < u->spent ? u->spent - (uint32_t)past_s : 0;
    u->since_ns = u->spent == 0 ? c->now.ns : u->since_ns + past_s * 1000000000;
    return u->spent < URGENT_MOST;
}

bool mesh_may_walk(struct core *c, struct node_id author)
{
    struct urgency *u = urgency_of(c, author);
    if (c->now.ns < u->walk_ns || !mesh_may_hurry(c, author)) return false;
    u->walk_ns = c->now.ns + (int64_t)WALK_AGAIN_MS * 1000000;
    return true;
}

void mesh_hurried(struct core *c, struct node_id author)
{
    urgency_of(c, author)->spent++;
}

static enum gossip_class class_of(struct core *c, const struct record *r, bool authored, bool fresh)
{
    if (authored) return GOSSIP_OWN;
    if (!fresh) return GOSSIP_BY_AUTHOR; /* by its id alone: who catches up has many of them */
    if (takes_back(r->header.kind) && mesh_may_hurry(c, r->header.author)) {
        mesh_hurried(c, r->header.author);
        return GOSSIP_URGENT;
    }
    return tells_all_itself(c, r->header.author) ? GOSSIP_BY_AUTHOR : GOSSIP_NORMAL;
}

/* Who is no member hears of what is open to it, from each that it is linked with. */
static void tell_strangers(struct core *c, const struct record *kept, uint32_t row)
{
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct peer_view *p = &c->peer[i].view;
        if (p->up && !core_member(c, p->node, 0) && ingest_open(c, kept, p->node))
            send_message(c, p->node, encoded(c, row));
    }
}

static bool moves_members(enum kind kind)
{
    return kind == KIND_CHARTER || kind == KIND_MEMBER || kind == KIND_REMOVAL || kind == KIND_REVOCATION;
}

void mesh_spread(struct core *c, const struct record *kept, bool authored)
{
    if (moves_members(kept->header.kind)) mesh_peers(c);
    const uint64_t time_ms = kept->header.time_ms;
    const uint32_t row = chain_row(&c->chain, kept->id);
    const bool fresh = time_ms + FRESH_MS > c->wall_ms && c->wall_ms + FRESH_MS > time_ms;
    if (fresh || takes_back(kept->header.kind)) /* also one that a wrong clock has dated */
        gossip_accepted(c->gossip, kept->id, row, kept->body.len, class_of(c, kept, authored, fresh),
                        c->now.ns);
    else
        gossip_forget(c->gossip, kept->id);
    tell_strangers(c, kept, row);
}

static uint32_t link_of(struct core *c, struct node_id peer)
{
    const struct peer *p = peer_find(c, peer);
    return p != NULL && p->link != 0 ? p->link - 1 : GOSSIP_NOBODY;
}

bool mesh_arrived(struct core *c, struct node_id from, struct record_id id)
{
    const uint32_t link = link_of(c, from);
    return link == GOSSIP_NOBODY || gossip_arrived(c->gossip, link, id, c->now.ns);
}

void mesh_seen(struct core *c, struct node_id from, struct record_id id)
{
    const uint32_t link = link_of(c, from);
    if (link != GOSSIP_NOBODY) gossip_seen(c->gossip, link, id, c->now.ns);
}

void mesh_dropped(struct core *c, struct record_id id, bool again)
{
    gossip_dropped(c->gossip, id, again, c->now.ns);
}

void mesh_announce(struct core *c, struct node_id from, const struct message_ANNOUNCE *m)
{
    const uint32_t link = link_of(c, from);
    if (link != GOSSIP_NOBODY && !gossip_on_announce(c->gossip, link, m->ids, c->now.ns))
        offence(c, from, "malformed message from");
}

void mesh_want(struct core *c, struct node_id from, const struct message_WANT *m)
{
    const uint32_t link = link_of(c, from);
    c->answering = true;
    const bool ok = link == GOSSIP_NOBODY || gossip_on_want(c->gossip, link, m->ids);
    c->answering = false;
    if (!ok) offence(c, from, "malformed message from");
}

void mesh_absent(struct core *c, struct node_id from, const struct message_ABSENT *m)
{
    const uint32_t link = link_of(c, from);
    if (link != GOSSIP_NOBODY && !gossip_on_absent(c->gossip, link, m->ids, c->now.ns))
        offence(c, from, "malformed message from");
}

void mesh_tick(struct core *c)
{
    gossip_tick(c->gossip, c->now.ns);
}
