#include "node/link_tunnel.h"

#include "node/link_place.h"
#include "node/link_wire.h"
#include "proto/base/caps.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TUNNEL_GIVE_BACK = LINK_TUNNEL_WINDOW / 4, TUNNELS_LOOK_TICKS = 5 };

struct link_tunnel {
    struct link_tunnel *next;       /* of the relay's link */
    struct link_wire *relay, *wire; /* wire: the link inside, while it is open */
    struct node_id peer;
    struct link_queue arrived;
    uint32_t room;   /* may be sent */
    uint32_t theirs; /* may arrive */
    uint32_t eaten;  /* has been read and not been given back */
    bool asked;
    uint64_t next_ms, needed_ms; /* not asked for before; when a link with that node was needed last */
    uint32_t delay_ms;
};

static void tunnel_say(struct link_tunnel *t, enum link_tunnel_type type, uint32_t room)
{
    link_wire_send_tunnel(t->relay, &(struct link_tunnel_frame){.type = type, .node = t->peer, .room = room});
}

/* --- The wire inside ------------------------------------------------------------------------------------ */

bool link_tunnel_dials(const struct link_tunnel *t)
{
    const struct node_id *self = &t->relay->links->options.self;
    return memcmp(self->bytes, t->peer.bytes, sizeof self->bytes) < 0;
}

struct node_id link_tunnel_relay(const struct link_tunnel *t)
{
    return t->relay->peer;
}

struct node_id link_tunnel_peer(const struct link_tunnel *t)
{
    return t->peer;
}

void link_tunnel_begins(struct link_tunnel *t, struct link_wire *w)
{
    ASSERT(t->wire == NULL && t->arrived.first == NULL);
    t->wire = w;
    t->room = t->theirs = LINK_TUNNEL_WINDOW;
    t->eaten = 0;
}

static void tunnel_ask_later(struct link_tunnel *t)
{
    t->asked = false;
    links_schedule(t->relay->links, &t->next_ms, &t->delay_ms, t->relay->links->pace.retry_max_ms);
}

void link_tunnel_ends(struct link_tunnel *t, bool steady)
{
    t->wire = NULL;
    link_queue_clear(&t->arrived);
    if (steady) t->delay_ms = t->relay->links->pace.retry_min_ms;
    tunnel_ask_later(t);
    tunnel_say(t, TUNNEL_CLOSE, 0);
}

size_t link_tunnel_write(struct link_tunnel *t, struct span bytes)
{
    size_t at = 0;
    while (t->wire != NULL && at < bytes.len && t->room > link_tunnel_cost(0)) {
        size_t len = bytes.len - at, most = t->room - link_tunnel_cost(0);
        if (len > most) len = most;
        if (len > LINK_TUNNEL_BYTES_MAX) len = LINK_TUNNEL_BYTES_MAX;
        const struct link_tunnel_frame f = {
            .type = TUNNEL_BYTES, .node = t->peer, .bytes = span_make(bytes.data + at, len)};
        t->room -= link_tunnel_cost(len);
        at += len;
        link_wire_send_tunnel(t->relay, &f);
    }
    return at;
}

bool link_tunnel_pending(const struct link_tunnel *t)
{
    return t->arrived.first != NULL;
}

static size_t take_some(struct link_tunnel *t, uint8_t *out, size_t cap)
{
    struct link_message *m = t->arrived.first;
    const size_t len = m->len - m->sent < cap ? m->len - m->sent : cap;
    memcpy(out, m->bytes + m->sent, len);
    m->sent += len;
    if (m->sent == m->len) {
        t->eaten += link_tunnel_cost(m->len);
        link_queue_pop(&t->arrived);
    }
    return len;
}

size_t link_tunnel_take(struct link_tunnel *t, uint8_t *out, size_t cap)
{
    size_t len = 0;
    while (t->arrived.first != NULL && len < cap) len += take_some(t, out + len, cap - len);
    if (t->eaten >= TUNNEL_GIVE_BACK) {
        const uint32_t room = t->eaten;
        t->theirs += room;
        t->eaten = 0;
        tunnel_say(t, TUNNEL_ROOM, room);
    }
    return len;
}

/* --- What the relay says -------------------------------------------------------------------------------- */

static struct link_tunnel *tunnel_to(const struct link_wire *relay, struct node_id peer)
{
    for (struct link_tunnel *t = relay->tunnels; t != NULL; t = t->next) {
        if (ID_EQUAL(t->peer, peer)) return t;
    }
    return NULL;
}

static void tunnel_address(const struct link_tunnel *t, char *out, size_t cap)
{
    char peer[17], relay[17];
    hex_encode(peer, t->peer.bytes, 8);
    hex_encode(relay, t->relay->peer.bytes, 8);
    (void)snprintf(out, cap, "%s through %s", peer, relay);
}

static const char *opened(struct link_wire *relay, struct node_id peer)
{
    struct link_tunnel *t = tunnel_to(relay, peer);
    char address[64];
    if (t != NULL && t->wire != NULL) return "it opened a tunnel that is open";
    if (t != NULL && links_find(relay->links, peer) == NULL) {
        t->asked = false;
        tunnel_address(t, address, sizeof address);
        links_add(relay->links, &(struct link_origin){.tunnel = t, .address = address});
        if (t->wire != NULL) return NULL;
    }
    if (t != NULL) tunnel_ask_later(t);
    link_wire_send_tunnel(relay, &(struct link_tunnel_frame){.type = TUNNEL_CLOSE, .node = peer});
    return NULL;
}

static const char *arrived(struct link_tunnel *t, struct span bytes)
{
    const uint32_t cost = link_tunnel_cost(bytes.len);
    if (cost > t->theirs) return "more came through a tunnel than it may hold";
    t->theirs -= cost;
    if (link_queue_add(&t->arrived, bytes) != OK)
        link_wire_drop(t->wire, false, "out of memory");
    else if (t->wire->waits == 0)
        links_wait(t->wire->links, t->wire);
    return NULL;
}

static const char *got_room(struct link_tunnel *t, uint32_t room)
{
    if (room > LINK_TUNNEL_WINDOW - t->room) return "a tunnel was given more room than was taken";
    t->room += room;
    link_wire_room(t->wire);
    return NULL;
}

const char *link_tunnel_said(struct link_wire *relay, const struct link_tunnel_frame *f)
{
    if (f->type == TUNNEL_OFFER) relay->offers = true;
    if (f->type == TUNNEL_OPEN) return opened(relay, f->node);
    struct link_tunnel *t = tunnel_to(relay, f->node);
    if (t == NULL || f->type == TUNNEL_OFFER) return NULL;
    if (f->type == TUNNEL_CLOSE && t->wire == NULL) tunnel_ask_later(t);
    if (t->wire == NULL) return NULL; /* it crossed our close */
    if (f->type == TUNNEL_BYTES) return arrived(t, f->bytes);
    if (f->type == TUNNEL_ROOM) return got_room(t, f->room);
    link_wire_drop(t->wire, false, "the relay closed the tunnel");
    return NULL;
}

void link_tunnels_end(struct link_wire *relay, const char *reason)
{
    for (struct link_tunnel *t = relay->tunnels; t != NULL; t = t->next) {
        if (t->wire != NULL) link_wire_drop(t->wire, false, reason);
    }
}

static void tunnel_free(struct link_tunnel *t)
{
    link_queue_clear(&t->arrived);
    free(t);
}

void link_tunnels_free(struct link_wire *relay)
{
    while (relay->tunnels != NULL) {
        struct link_tunnel *t = relay->tunnels;
        relay->tunnels = t->next;
        tunnel_free(t);
    }
}

/* --- Asking --------------------------------------------------------------------------------------------- */

/* Who asks tells the relay whom it wants to talk with: only one that its own configuration or the stewards vouch for. */
static bool may_relay(const struct link_wire *w)
{
    return w->stage == LINK_UP && w->offers && (w->dialled || link_place_member(w->links, w->peer));
}

static bool any_relay(const struct links *l)
{
    for (const struct link_wire *w = l->wires; w != NULL; w = w->next) {
        if (may_relay(w)) return true;
    }
    return false;
}

/* Will a dial of ours find this node, as far as is known? */
static bool dial_is_hopeful(const struct links *l, struct node_id peer)
{
    for (const struct link_dial *d = l->dials; d != NULL; d = d->next) {
        bool names_it = ID_EQUAL(d->expected, peer) || ID_EQUAL(d->found, peer);
        if (names_it && !d->said_unreachable && !d->in_vain) return true;
    }
    return false;
}

static struct link_tunnel *tunnel_new(struct link_wire *relay, struct node_id peer)
{
    struct link_tunnel *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->relay = relay;
    t->peer = peer;
    t->delay_ms = relay->links->pace.retry_min_ms;
    link_queue_init(&t->arrived, LINK_TUNNEL_WINDOW);
    links_schedule(relay->links, &t->next_ms, &t->delay_ms, relay->links->pace.retry_max_ms);
    t->next = relay->tunnels;
    relay->tunnels = t;
    return t;
}

static void ask(struct link_wire *relay, struct node_id peer)
{
    struct links *l = relay->links;
    struct link_tunnel *t = tunnel_to(relay, peer);
    char address[64];
    if (t == NULL && (t = tunnel_new(relay, peer)) == NULL) return;
    tunnel_address(t, address, sizeof address);
    if (t->asked || t->wire != NULL || links_now(l) < t->next_ms) return;
    if (link_penalty_holds(&l->penalty, link_penalty_address(address), links_now(l))) return;
    t->asked = true;
    tunnel_say(t, TUNNEL_ASK, 0);
}

struct needed {
    struct node_id node[CAP_PEERS];
    uint32_t count;
};

static bool is_needed(const struct needed *n, struct node_id peer)
{
    for (uint32_t i = 0; i < n->count; i++) {
        if (ID_EQUAL(n->node[i], peer)) return true;
    }
    return false;
}

/* Whom this node need not be linked with any more is not asked for, so that no more stand than there may be links. An open tunnel stays
 * for a while, since it may be needed yet at its other end. */
static void forget_others(struct link_wire *relay, const struct needed *n)
{
    const uint64_t now_ms = links_now(relay->links);
    for (struct link_tunnel **at = &relay->tunnels; *at != NULL;) {
        struct link_tunnel *t = *at;
        if (is_needed(n, t->peer)) t->needed_ms = now_ms;
        if (t->wire != NULL && now_ms - t->needed_ms >= relay->links->pace.dead_ms)
            link_wire_drop(t->wire, false, "a tunnel that is not needed any more");
        if (t->wire != NULL || is_needed(n, t->peer)) {
            at = &t->next;
            continue;
        }
        if (t->asked) tunnel_say(t, TUNNEL_CLOSE, 0);
        *at = t->next;
        tunnel_free(t);
    }
}

void link_tunnels_tick(struct links *l)
{
    const struct links_options *o = &l->options;
    struct needed needed;
    if (o->members == NULL || links_now(l) < l->tunnels_ms) return;
    l->tunnels_ms = links_now(l) + TUNNELS_LOOK_TICKS * (uint64_t)l->pace.tick_ms;
    if (!any_relay(l) || !link_place_member(l, o->self)) return;
    const uint32_t most = l->pace.places < CAP_PEERS ? l->pace.places : CAP_PEERS;
    needed.count = o->members(o->context, needed.node, most);
    for (struct link_wire *w = l->wires; w != NULL; w = w->next) forget_others(w, &needed);
    for (uint32_t i = 0; i < needed.count; i++) {
        const struct node_id peer = needed.node[i];
        if (ID_EQUAL(peer, o->self) || links_find(l, peer) != NULL || dial_is_hopeful(l, peer)) continue;
        for (struct link_wire *w = l->wires; w != NULL; w = w->next) {
            if (may_relay(w)) ask(w, peer);
        }
    }
}
