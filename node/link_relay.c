#include "node/link_relay.h"

#include "node/link_place.h"
#include "node/link_wire.h"
#include "proto/base/caps.h"
#include "proto/base/panic.h"

#include <stdlib.h>

enum { RELAY_ASKS_MAX = CAP_PEERS };

/* Index 0 and 1: the two ends. */
struct link_passage {
    struct link_passage *next;
    struct link_wire *end[2];
    uint32_t room[2]; /* what this end may send */
    uint32_t owed[2]; /* room that the other end gave it and that waits for the rate */
    struct link_bucket bytes;
    uint64_t used_ms;
    bool closed;
};

static void say(struct link_wire *to, enum link_tunnel_type type, struct node_id node, uint32_t room)
{
    const struct link_tunnel_frame f = {.type = type, .by_relay = true, .node = node, .room = room};
    link_wire_send_tunnel(to, &f);
}

void link_relay_offer(struct link_wire *w)
{
    if (w->links->options.relay_tunnels > 0) say(w, TUNNEL_OFFER, w->peer, 0);
}

/* --- Passages ------------------------------------------------------------------------------------------- */

static struct link_passage *passage_of(const struct link_wire *w, struct node_id other, int *end)
{
    for (struct link_passage *p = w->links->passages; p != NULL; p = p->next) {
        if (p->closed) continue;
        for (*end = 0; *end < 2; ++*end) {
            if (p->end[*end] == w && ID_EQUAL(p->end[1 - *end]->peer, other)) return p;
        }
    }
    return NULL;
}

/* `except` knows, or is gone. */
static void passage_close(struct links *l, struct link_passage *p, const struct link_wire *except)
{
    if (p->closed) return;
    p->closed = true;
    l->status.tunnels--;
    for (int i = 0; i < 2; i++) {
        if (p->end[i] != except) say(p->end[i], TUNNEL_CLOSE, p->end[1 - i]->peer, 0);
    }
}

static bool has_room(const struct link_wire *w)
{
    uint32_t count = 0;
    for (const struct link_passage *p = w->links->passages; p != NULL; p = p->next)
        count += !p->closed && (p->end[0] == w || p->end[1] == w);
    return count < (w->links->options.relay_tunnels + 1) / 2;
}

static void passage_open(struct link_wire *one, struct link_wire *other)
{
    struct links *l = one->links;
    struct link_passage *p = calloc(1, sizeof *p);
    if (p == NULL) return;
    *p = (struct link_passage){.next = l->passages,
                               .end = {one, other},
                               .room = {LINK_TUNNEL_WINDOW, LINK_TUNNEL_WINDOW},
                               .used_ms = links_now(l)};
    l->passages = p;
    l->status.tunnels++;
    l->status.tunnels_total++;
    say(one, TUNNEL_OPEN, other->peer, 0);
    say(other, TUNNEL_OPEN, one->peer, 0);
}

/* --- Asks ----------------------------------------------------------------------------------------------- */

static bool has_asked(const struct link_wire *w, struct node_id node, uint32_t *at)
{
    for (*at = 0; *at < w->asks_count; ++*at) {
        if (ID_EQUAL(w->asks[*at], node)) return true;
    }
    return false;
}

static void take_back(struct link_wire *w, struct node_id node)
{
    uint32_t at;
    if (has_asked(w, node, &at)) w->asks[at] = w->asks[--w->asks_count];
}

static bool is_member(const struct link_wire *w)
{
    return link_place_member(w->links, w->peer);
}

/* Whether it opened. What is missing now may be there later: the ask stands, and its turn comes again. */
static bool try_open(struct link_wire *w, struct node_id node)
{
    struct links *l = w->links;
    struct link_wire *other = links_find(l, node);
    uint32_t at;
    if (other == NULL || other == w || other->relayed || !has_asked(other, w->peer, &at)) return false;
    if (l->status.tunnels >= l->options.relay_tunnels || !has_room(w) || !has_room(other)) return false;
    if (!is_member(w) || !is_member(other)) return false;
    take_back(w, node);
    take_back(other, w->peer);
    passage_open(w, other);
    return true;
}

static const char *asked(struct link_wire *w, struct node_id node)
{
    uint32_t at;
    int end;
    if (passage_of(w, node, &end) != NULL) return NULL; /* it crossed the open */
    if (has_asked(w, node, &at)) return NULL;
    if (w->asks_count == RELAY_ASKS_MAX) return "it asks for more tunnels than there may be links";
    if (w->asks == NULL) w->asks = calloc(RELAY_ASKS_MAX, sizeof *w->asks);
    if (w->asks == NULL) return NULL;
    w->asks[w->asks_count++] = node;
    (void)try_open(w, node);
    return NULL;
}

/* --- What passes ---------------------------------------------------------------------------------------- */

/* No passage has more than half of the rate. */
static void give(struct links *l, struct link_passage *p, int end)
{
    const uint32_t a_second = l->options.relay_bytes_a_second;
    const struct link_rate all = {a_second, a_second}, half = {a_second / 2, a_second / 2};
    const uint32_t part = link_bucket_draw(&p->bytes, half, links_now(l), p->owed[end]);
    const uint32_t room = link_bucket_draw(&l->passage_bytes, all, links_now(l), part);
    p->bytes.milli += (uint64_t)(part - room) * 1000;
    if (room == 0) return;
    p->owed[end] -= room;
    p->room[end] += room;
    say(p->end[end], TUNNEL_ROOM, p->end[1 - end]->peer, room);
}

static const char *pass_on(struct link_passage *p, int end, struct span bytes)
{
    struct link_wire *from = p->end[end];
    const uint32_t cost = link_tunnel_cost(bytes.len);
    if (cost > p->room[end]) return "it sent more through a tunnel than it may hold";
    p->room[end] -= cost;
    p->used_ms = links_now(from->links);
    from->links->status.tunnel_bytes += bytes.len;
    const struct link_tunnel_frame f = {
        .type = TUNNEL_BYTES, .by_relay = true, .node = from->peer, .bytes = bytes};
    link_wire_send_tunnel(p->end[1 - end], &f);
    return NULL;
}

static const char *give_room(struct link_passage *p, int end, uint32_t room)
{
    const int other = 1 - end;
    if (room > LINK_TUNNEL_WINDOW - p->room[other] - p->owed[other])
        return "it gave a tunnel more room than was taken";
    p->owed[other] += room;
    give(p->end[end]->links, p, other);
    return NULL;
}

const char *link_relay_said(struct link_wire *w, const struct link_tunnel_frame *f)
{
    int end;
    if (w->links->options.relay_tunnels == 0) return "it wants a tunnel, and this node offers none";
    if (f->type == TUNNEL_ASK) return asked(w, f->node);
    if (f->type == TUNNEL_CLOSE) take_back(w, f->node);
    struct link_passage *p = passage_of(w, f->node, &end);
    if (p == NULL) return NULL; /* it crossed a close */
    if (f->type == TUNNEL_BYTES) return pass_on(p, end, f->bytes);
    if (f->type == TUNNEL_ROOM) return give_room(p, end, f->room);
    passage_close(w->links, p, w);
    return NULL;
}

void link_relay_gone(struct link_wire *w)
{
    for (struct link_passage *p = w->links->passages; p != NULL; p = p->next) {
        if (p->end[0] == w || p->end[1] == w) passage_close(w->links, p, w);
    }
}

/* --- Time ----------------------------------------------------------------------------------------------- */

static void passage_tick(struct links *l, struct link_passage *p)
{
    const bool idle = links_now(l) - p->used_ms >= l->pace.dead_ms;
    if (!p->closed && (idle || !is_member(p->end[0]) || !is_member(p->end[1]))) passage_close(l, p, NULL);
    for (int i = 0; i < 2; i++) {
        if (!p->closed && p->owed[i] > 0) give(l, p, i);
    }
}

/* The asks of one peer a tick, in turn. */
static void asks_tick(struct links *l)
{
    uint64_t at = 0, count = 0;
    struct link_wire *w = l->wires;
    for (const struct link_wire *any = w; any != NULL; any = any->next) count++;
    if (count == 0) return;
    for (l->asks_turn++; at < l->asks_turn % count; at++) w = w->next;
    for (uint32_t i = 0; i < w->asks_count && w->stage == LINK_UP;) {
        if (!try_open(w, w->asks[i])) i++;
    }
}

void link_relay_tick(struct links *l)
{
    if (l->options.relay_tunnels == 0) return;
    for (struct link_passage *p = l->passages; p != NULL; p = p->next) passage_tick(l, p);
    asks_tick(l);
}

void link_relay_sweep(struct links *l)
{
    for (struct link_passage **at = &l->passages; *at != NULL;) {
        struct link_passage *p = *at;
        if (!p->closed) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free(p);
    }
}

void link_relay_close(struct links *l)
{
    for (struct link_passage *p = l->passages; p != NULL; p = p->next) p->closed = true;
    link_relay_sweep(l);
}
