#include "node/link_wire.h"

#include "crypto/noise.h"
#include "node/link_place.h"
#include "node/link_relay.h"
#include "node/link_tunnel.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIRE_CONTROL_BYTES_MAX = 4 << 20,
    WIRE_BULK_BYTES_MAX = 64 << 20,
    WIRE_TUNNEL_BYTES_MAX = 64 << 20,
    WIRE_HANDSHAKE_IN_BYTES = LINK_LENGTH_BYTES + LINK_ANSWER_BYTES,
    WIRE_HANDSHAKE_OUT_BYTES = 2 * LINK_LENGTH_BYTES + LINK_HELLO_BYTES + LINK_ANSWER_BYTES,
    WIRE_IN_BYTES = 2 * (LINK_LENGTH_BYTES + LINK_FRAME_MAX),
    WIRE_OUT_BYTES =
        2 * (LINK_LENGTH_BYTES + LINK_FRAME_MAX), /* control that waited, and one piece of bulk */
    WIRE_STEADY_MS = 2000, /* a link that stood this long was a good one: redial soon */
    WIRE_TURN_NS = 200000, /* no link takes the loop for longer while others wait, but for one message */
    WIRE_HEAVY_NS =
        20000000, /* who has taken this much lately, and more than a part of the time, waits for the others */
    WIRE_SHARE = 10,
};

static void wire_pump(struct link_wire *w);

/* --- Queues --------------------------------------------------------------------------------------------- */

void link_queue_init(struct link_queue *q, size_t bytes_max)
{
    q->last = &q->first;
    q->bytes_max = bytes_max;
}

enum err link_queue_add(struct link_queue *q, struct span bytes)
{
    if (bytes.len + sizeof(struct link_message) > q->bytes_max - q->bytes) return ERR_FULL;
    struct link_message *m = malloc(sizeof *m + bytes.len);
    if (m == NULL) return ERR_NO_MEMORY;
    *m = (struct link_message){.len = bytes.len};
    memcpy(m->bytes, bytes.data, bytes.len);
    *q->last = m;
    q->last = &m->next;
    q->bytes += bytes.len + sizeof *m;
    return OK;
}

void link_queue_pop(struct link_queue *q)
{
    struct link_message *m = q->first;
    q->first = m->next;
    if (q->first == NULL) q->last = &q->first;
    q->bytes -= m->len + sizeof *m;
    free(m);
}

void link_queue_clear(struct link_queue *q)
{
    while (q->first != NULL) link_queue_pop(q);
}

/* --- Beginning and end ---------------------------------------------------------------------------------- */

static void wire_read(struct link_wire *w)
{
    if (w->relayed) { /* what comes later asks for a turn of its own */
        if (link_tunnel_pending(w->tunnel)) links_wait(w->links, w);
        return;
    }
    nng_iov room = {.iov_buf = w->in + w->in_len, .iov_len = w->in_cap - w->in_len};
    ASSERT(!w->reading.busy && room.iov_len > 0);
    w->reading.busy = true;
    (void)nng_aio_set_iov(w->reading.aio, 1, &room);
    nng_stream_recv(w->stream, w->reading.aio);
}

static enum err wire_put_handshake(struct link_wire *w, struct span payload)
{
    struct buffer out =
        buffer_make(w->out + w->out_len + LINK_LENGTH_BYTES, w->out_cap - w->out_len - LINK_LENGTH_BYTES);
    TRY(noise_write(w->noise, &out, payload));
    store_u32(w->out + w->out_len, (uint32_t)out.len);
    w->out_len += LINK_LENGTH_BYTES + out.len;
    return OK;
}

static enum err wire_start(struct link_wire *w)
{
    uint8_t room[LINK_PROLOGUE_MAX];
    struct span prologue = link_prologue(room, w->links->options.consortium);
    if (!w->relayed) TRY(link_op_init(&w->reading, w->links, LINK_OP_READ, w));
    if (!w->relayed) TRY(link_op_init(&w->writing, w->links, LINK_OP_WRITE, w));
    w->in_cap = WIRE_HANDSHAKE_IN_BYTES;
    w->out_cap = WIRE_HANDSHAKE_OUT_BYTES;
    w->in = malloc(w->in_cap);
    w->out = malloc(w->out_cap);
    if (w->in == NULL || w->out == NULL) return ERR_NO_MEMORY;
    TRY(noise_new(&w->noise, w->dialled, w->links->options.link_secret, prologue));
    return w->dialled ? wire_put_handshake(w, SPAN_NONE) : OK;
}

static void wire_init(struct link_wire *w, struct links *l, const struct link_origin *from)
{
    w->links = l;
    w->stream = from->stream;
    w->dial = from->dial;
    w->tunnel = from->tunnel;
    w->relayed = from->tunnel != NULL;
    w->dialled = w->relayed ? link_tunnel_dials(from->tunnel) : from->dial != NULL;
    if (w->relayed) w->via = link_tunnel_relay(from->tunnel);
    w->since_ms = w->heard_ms = w->said_ms = links_now(l);
    (void)snprintf(w->address, sizeof w->address, "%s", from->address);
    link_queue_init(&w->queue[LINK_CONTROL], WIRE_CONTROL_BYTES_MAX);
    link_queue_init(&w->queue[LINK_BULKY], WIRE_BULK_BYTES_MAX);
    link_queue_init(&w->queue[LINK_TUNNELLED], WIRE_TUNNEL_BYTES_MAX);
}

enum err link_wire_new(struct link_wire **out, struct links *l, const struct link_origin *origin)
{
    struct link_wire *w = calloc(1, sizeof *w);
    if (w == NULL) {
        if (origin->stream != NULL) nng_stream_free(origin->stream);
        return ERR_NO_MEMORY;
    }
    wire_init(w, l, origin);
    enum err err = wire_start(w);
    if (err != OK) {
        w->stage = LINK_DEAD;
        link_wire_free(w);
        return err;
    }
    *out = w;
    if (w->relayed) link_tunnel_begins(w->tunnel, w);
    wire_read(w);
    wire_pump(w);
    return OK;
}

void link_wire_free(struct link_wire *w)
{
    ASSERT(w->stage == LINK_DEAD);
    if (w->stream != NULL) nng_stream_close(w->stream);
    link_op_free(&w->reading);
    link_op_free(&w->writing);
    if (w->stream != NULL) nng_stream_free(w->stream);
    for (int lane = 0; lane < LINK_QUEUE_COUNT; lane++) link_queue_clear(&w->queue[lane]);
    link_tunnels_free(w);
    free(w->asks);
    link_pieces_free(&w->pieces);
    noise_free(w->noise);
    free(w->in);
    free(w->out);
    free(w);
}

static void wire_redial_later(struct link_wire *w)
{
    struct links *l = w->links;
    struct link_dial *d = w->dial;
    bool steady = w->up_ms != 0 && links_now(l) - w->up_ms >= WIRE_STEADY_MS;
    if (w->relayed) link_tunnel_ends(w->tunnel, steady);
    w->tunnel = NULL;
    if (d == NULL) return;
    d->wire = NULL;
    d->in_vain = w->up_ms == 0;
    if (steady) d->delay_ms = l->pace.retry_min_ms;
    links_dial_later(d, l);
}

/* Whom an offence is put down to: what is not known to come from the peer itself, to where it came from. */
enum blame { BLAME_NOBODY, BLAME_PEER, BLAME_PLACE };

static void wire_blame(struct link_wire *w, enum blame blame, bool was_up, const char *reason)
{
    struct links *l = w->links;
    char name[17] = "";
    if (was_up) hex_encode(name, w->peer.bytes, 8);
    struct hash32 who = blame == BLAME_PEER ? link_penalty_node(w->peer) : link_penalty_address(w->address);
    bool boxed = link_penalty_add(&l->penalty, who, links_now(l), l->pace.penalty_ms);
    bool alone = boxed && (was_up || w->dial != NULL || links_shut_out(l, w->address));
    l->status.refused++;
    if (links_may_log(l, alone))
        links_log(l, "link with %s%s%s ended: %s%s", name, was_up ? " at " : "", w->address, reason,
                  alone ? "; left alone for a while" : "");
}

static void wire_end(struct link_wire *w, enum blame blame, const char *reason)
{
    struct links *l = w->links;
    bool was_up = w->stage == LINK_UP;
    if (w->stage == LINK_DEAD) return;
    w->stage = LINK_DEAD;
    if (w->stream != NULL) nng_stream_close(w->stream);
    if (blame != BLAME_NOBODY) wire_blame(w, blame, was_up, reason);
    wire_redial_later(w);
    link_tunnels_end(w, reason);
    link_relay_gone(w);
    if (!was_up) return;
    l->status.up--;
    if (w->relayed) l->status.relayed--;
    if (!l->closing) l->options.down(l->options.context, w->peer, reason);
}

void link_wire_drop(struct link_wire *w, bool offence, const char *reason)
{
    wire_end(w, !offence ? BLAME_NOBODY : w->stage == LINK_UP ? BLAME_PEER : BLAME_PLACE, reason);
}

/* --- Writing -------------------------------------------------------------------------------------------- */

static enum err wire_put_frame(struct link_wire *w, uint8_t flags, struct span bytes)
{
    uint8_t *at = w->out + w->out_len, *plain = w->links->plain_out;
    size_t len = 1 + bytes.len;
    plain[0] = flags;
    if (bytes.len > 0) memcpy(plain + 1, bytes.data, bytes.len);
    TRY(noise_encrypt(w->noise, at + LINK_LENGTH_BYTES, span_make(plain, len)));
    store_u32(at, (uint32_t)(len + NOISE_TAG_BYTES));
    w->out_len += LINK_LENGTH_BYTES + len + NOISE_TAG_BYTES;
    return OK;
}

/* The next piece of the first message of a lane, if the buffer has room for it. */
static bool wire_put_piece(struct link_wire *w, enum link_class lane, enum err *err)
{
    struct link_queue *q = &w->queue[lane];
    struct link_message *m = q->first;
    if (m == NULL) return false;
    size_t len = m->len - m->sent < LINK_PIECE_MAX ? m->len - m->sent : LINK_PIECE_MAX;
    if (LINK_LENGTH_BYTES + LINK_FRAME_MIN + len > w->out_cap - w->out_len) return false;
    bool last = m->sent + len == m->len;
    uint8_t flags = (uint8_t)((lane == LINK_BULKY ? LINK_BULK : 0) | (last ? LINK_LAST : 0));
    if (lane == LINK_TUNNELLED) flags = LINK_TUNNEL; /* always whole */
    *err = wire_put_frame(w, flags, span_make(m->bytes + m->sent, len));
    if (*err != OK) return false;
    m->sent += len;
    if (last) link_queue_pop(q);
    return true;
}

/* Into a tunnel at once, as far as it has room: then it waits for link_wire_room. */
static void wire_write_tunnel(struct link_wire *w)
{
    w->out_at += link_tunnel_write(w->tunnel, span_make(w->out + w->out_at, w->out_len - w->out_at));
    w->writing.busy = w->out_at < w->out_len;
    if (w->writing.busy) return;
    w->out_at = w->out_len = 0;
    w->said_ms = links_now(w->links);
}

static void wire_write(struct link_wire *w)
{
    if (w->relayed) {
        wire_write_tunnel(w);
        return;
    }
    nng_iov rest = {.iov_buf = w->out + w->out_at, .iov_len = w->out_len - w->out_at};
    ASSERT(!w->writing.busy && rest.iov_len > 0);
    w->writing.busy = true;
    (void)nng_aio_set_iov(w->writing.aio, 1, &rest);
    nng_stream_send(w->stream, w->writing.aio);
}

/* Until it has proven who it is a peer gets buffers of a few hundred bytes. */
static enum err grow(uint8_t **bytes, size_t *cap, size_t wanted)
{
    if (*cap >= wanted) return OK;
    uint8_t *grown = realloc(*bytes, wanted);
    if (grown == NULL) return ERR_NO_MEMORY;
    *bytes = grown;
    *cap = wanted;
    return OK;
}

static enum err wire_fill(struct link_wire *w)
{
    enum err err = grow(&w->out, &w->out_cap, WIRE_OUT_BYTES);
    while (err == OK && wire_put_piece(w, LINK_CONTROL, &err)) {
    }
    if (err == OK) (void)wire_put_piece(w, LINK_BULKY, &err);
    if (err == OK) (void)wire_put_piece(w, LINK_TUNNELLED, &err);
    return err;
}

/* One write is under way at a time. It takes the control messages that wait, at most one piece of bulk and one frame of
 * a tunnel, so these never keep control waiting for longer than one of each. */
static void wire_pump(struct link_wire *w)
{
    while (w->stage != LINK_DEAD && !w->writing.busy) {
        if (w->stage == LINK_UP && wire_fill(w) != OK) link_wire_drop(w, false, "a frame could not be made");
        if (w->stage == LINK_DEAD || w->out_len == 0) return;
        wire_write(w);
    }
}

void link_wire_write_done(struct link_wire *w)
{
    if (w->stage == LINK_DEAD) return;
    int result = nng_aio_result(w->writing.aio);
    if (result != 0) {
        link_wire_drop(w, false, nng_strerror(result));
        return;
    }
    size_t count = nng_aio_count(w->writing.aio); /* may be a part only */
    w->out_at += count;
    w->links->status.bytes_out += count;
    w->said_ms = links_now(w->links);
    if (w->out_at < w->out_len) {
        wire_write(w);
        return;
    }
    w->out_at = w->out_len = 0;
    wire_pump(w);
}

void link_wire_room(struct link_wire *w)
{
    if (w->stage == LINK_DEAD || !w->writing.busy) return;
    wire_write(w);
    wire_pump(w);
}

void link_wire_send_tunnel(struct link_wire *w, const struct link_tunnel_frame *frame)
{
    struct buffer b = BUFFER_OF(w->links->tunnel_frame);
    if (w->stage != LINK_UP) return;
    link_tunnel_put(&b, frame);
    if (link_wire_send(w, buffer_span(&b), LINK_TUNNELLED) != OK)
        link_wire_drop(w, false, "more frames of tunnels wait than may");
}

enum err link_wire_send(struct link_wire *w, struct span message, enum link_class lane)
{
    TRY(link_queue_add(&w->queue[lane], message));
    wire_pump(w);
    return OK;
}

/* --- Handshake ------------------------------------------------------------------------------------------ */

/* Of two links with one peer: a direct one before one through another node. The one dialled by the smaller node id. Of two that we dialled, the older: we end the
 * newer before the peer has heard who we are. Of two that they dialled, for the same reason, the newer. */
static bool wire_is_preferred(const struct link_wire *w, const struct link_wire *other)
{
    const struct node_id *self = &w->links->options.self;
    if (w->relayed != other->relayed) return other->relayed;
    if (w->dialled == other->dialled) return !w->dialled;
    bool ours_is_smaller = memcmp(self->bytes, w->peer.bytes, sizeof self->bytes) < 0;
    return ours_is_smaller == w->dialled;
}

static const char *wire_refusal(struct link_wire *w)
{
    struct links *l = w->links;
    if (ID_EQUAL(w->peer, l->options.self)) return "it is ourselves";
    if (w->dial != NULL && !ID_IS_ZERO(w->dial->expected) && !ID_EQUAL(w->peer, w->dial->expected))
        return "another node answered than the one expected at this address";
    if (w->relayed && !ID_EQUAL(w->peer, link_tunnel_peer(w->tunnel)))
        return "another node answered than the one that the tunnel should lead to";
    if (link_penalty_holds(&l->penalty, link_penalty_node(w->peer), links_now(l)))
        return "the node broke the rules a moment ago";
    return NULL;
}

static void wire_unwanted(struct link_wire *w, const char *refusal)
{
    struct links *l = w->links;
    if ((w->dial == NULL || !w->dial->said_unreachable) && links_may_log(l, false))
        links_log(l, "link with %s not wanted: %s", w->address, refusal);
    if (w->dial != NULL) w->dial->said_unreachable = true;
    l->status.refused++;
}

static void wire_give_way(struct link_wire *w, const struct link_wire *to)
{
    static const char reason[] = "its place goes to a node that comes before it";
    char name[17];
    if (ID_EQUAL(w->peer, to->peer)) {
        link_wire_drop(w, false, "another link with this node takes its place");
        return;
    }
    hex_encode(name, w->peer.bytes, 8);
    if (links_may_log(w->links, false))
        links_log(w->links, "link with %s at %s ended: %s", name, w->address, reason);
    link_wire_drop(w, false, reason);
}

static void wire_up(struct link_wire *w)
{
    struct links *l = w->links;
    const char *refusal = wire_refusal(w);
    if (w->dial != NULL) w->dial->found = w->peer;
    struct link_wire *other = links_find(l, w->peer), *gives_way = other;
    if (refusal == NULL && other == NULL) refusal = link_place_find(w, &gives_way);
    if (refusal != NULL) {
        wire_unwanted(w, refusal);
    } else if (other != NULL && !wire_is_preferred(w, other)) {
        refusal = "another link with this node stays";
    }
    if (refusal != NULL || grow(&w->in, &w->in_cap, WIRE_IN_BYTES) != OK) {
        link_wire_drop(w, false, refusal == NULL ? "out of memory" : refusal);
        return;
    }
    if (gives_way != NULL) wire_give_way(gives_way, w);
    if (l->closing || w->stage != LINK_HANDSHAKE) return;
    w->stage = LINK_UP;
    w->up_ms = links_now(l);
    l->status.up++;
    if (w->relayed) l->status.relayed++;
    if (w->dial != NULL) w->dial->said_unreachable = false;
    if (!w->relayed) link_relay_offer(w);
    if (w->stage == LINK_UP) l->options.up(l->options.context, w->peer);
}

static const char *handshake_reason(enum err err)
{
    if (err == ERR_DECRYPT)
        return "handshake does not open: another consortium or protocol, or damage on the way";
    if (err == ERR_SIGNATURE || err == ERR_KEY) return "handshake proof does not hold";
    return "malformed handshake";
}

/* Messages 1 (empty payload), 2 and 3 (proofs); PROTOCOL.md "Link handshake". Each has one length. */
static size_t handshake_bytes(const struct link_wire *w)
{
    if (w->dialled) return LINK_ANSWER_BYTES;
    return w->said_hello ? LINK_FINISH_BYTES : LINK_HELLO_BYTES;
}

static enum err wire_handshake(struct link_wire *w, struct span frame)
{
    uint8_t room[LINK_PROOF_BYTES];
    struct buffer payload = BUFFER_OF(room);
    TRY(noise_read(w->noise, &payload, frame));
    if (frame.len == LINK_HELLO_BYTES)
        w->said_hello = true;
    else
        TRY(link_proof_check(&w->peer, buffer_span(&payload), w->links->options.consortium,
                             noise_remote(w->noise)));
    if (noise_writes_next(w->noise)) TRY(wire_put_handshake(w, SPAN_OF(w->links->proof)));
    if (noise_done(w->noise)) wire_up(w);
    return OK;
}

/* --- Reading -------------------------------------------------------------------------------------------- */

/* Frames of tunnels are for the two parts that know them: what a relay says for our own tunnels, the rest for the relay here. */
static enum err wire_tunnelled(struct link_wire *w, struct span bytes)
{
    struct link_tunnel_frame f;
    if (w->relayed) return ERR_SYNTAX; /* none runs through another */
    TRY(link_tunnel_read(&f, bytes));
    const char *breach = f.by_relay ? link_tunnel_said(w, &f) : link_relay_said(w, &f);
    if (breach != NULL) link_wire_drop(w, true, breach);
    return OK;
}

static enum err wire_message(struct link_wire *w, struct span frame)
{
    struct links *l = w->links;
    struct span message;
    TRY(noise_decrypt(w->noise, l->plain_in, frame));
    if (l->plain_in[0] == LINK_TUNNEL)
        return wire_tunnelled(w, span_make(l->plain_in + 1, frame.len - NOISE_TAG_BYTES - 1));
    TRY(link_pieces_add(&w->pieces, &message, span_make(l->plain_in, frame.len - NOISE_TAG_BYTES)));
    if (message.data != NULL) l->options.message(l->options.context, w->peer, message);
    return OK;
}

/* unframed: it is a length that breaks the rules. */
static void wire_refuse(struct link_wire *w, enum err err, bool unframed)
{
    const char *reason = "malformed frame";
    if (w->stage == LINK_HANDSHAKE) reason = handshake_reason(err);
    if (w->stage == LINK_UP && err == ERR_DECRYPT) reason = "a frame does not open";
    if (w->stage == LINK_UP && err == ERR_TOO_LARGE) reason = "a message larger than a message may be";
    if (err == ERR_NO_MEMORY) reason = "out of memory";
    bool by_relay = w->relayed && (unframed || err == ERR_DECRYPT); /* it may be */
    wire_end(w,
             err == ERR_NO_MEMORY              ? BLAME_NOBODY
             : by_relay || w->stage != LINK_UP ? BLAME_PLACE
                                               : BLAME_PEER,
             reason);
}

/* One frame from `at` on; false when there is no whole one. The buffer may move while a frame is handled. */
static bool wire_frame(struct link_wire *w, size_t *at)
{
    struct cursor c = cursor_make(span_make(w->in + *at, w->in_len - *at));
    struct span frame;
    bool up = w->stage == LINK_UP;
    size_t min = up ? LINK_FRAME_MIN : handshake_bytes(w), max = up ? LINK_FRAME_MAX : min;
    enum err err = link_frame_next(&c, &frame, min, max);
    if (err == ERR_NOT_READY) return false;
    const bool unframed = err != OK;
    if (err == OK) *at += LINK_LENGTH_BYTES + frame.len;
    if (err == OK) err = up ? wire_message(w, frame) : wire_handshake(w, frame);
    if (err != OK) wire_refuse(w, err, unframed);
    return err == OK;
}

/* What a link has taken of the loop lately: falls by a tenth of the time that passes. */
static void wire_spend(struct link_wire *w, uint64_t begun_ns)
{
    const uint64_t now = uv_hrtime(), back = (begun_ns - w->spent_at_ns) / WIRE_SHARE;
    w->spent_ns = (w->spent_ns > back ? w->spent_ns - back : 0) + (now - begun_ns);
    w->spent_at_ns = begun_ns;
}

static void wire_take(struct link_wire *w)
{
    const size_t count = link_tunnel_take(w->tunnel, w->in + w->in_len, w->in_cap - w->in_len);
    w->in_len += count;
    if (count > 0) w->heard_ms = links_now(w->links);
}

/* The frames that are here, as long as a turn may be: the rest waits behind what others have said. */
void link_wire_go_on(struct link_wire *w)
{
    const uint64_t begun_ns = uv_hrtime();
    size_t at = 0;
    bool more = true;
    w->waits = 0;
    if (w->relayed) wire_take(w);
    while (w->stage != LINK_DEAD && !w->links->closing && more && uv_hrtime() - begun_ns < WIRE_TURN_NS)
        more = wire_frame(w, &at);
    wire_spend(w, begun_ns);
    if (w->stage == LINK_DEAD || w->links->closing) return;
    memmove(w->in, w->in + at, w->in_len - at);
    w->in_len -= at;
    if (more)
        links_wait(w->links, w);
    else
        wire_read(w);
    wire_pump(w);
}

void link_wire_read_done(struct link_wire *w)
{
    if (w->stage == LINK_DEAD) return;
    int result = nng_aio_result(w->reading.aio);
    if (result != 0) {
        link_wire_drop(w, false, result == NNG_ECONNSHUT ? "the peer closed it" : nng_strerror(result));
        return;
    }
    size_t count = nng_aio_count(w->reading.aio);
    w->in_len += count;
    w->links->status.bytes_in += count;
    w->heard_ms = links_now(w->links);
    if (w->spent_ns > WIRE_HEAVY_NS)
        links_wait(w->links, w);
    else
        link_wire_go_on(w);
}

/* --- Time ----------------------------------------------------------------------------------------------- */

static void wire_ping(struct link_wire *w)
{
    if (grow(&w->out, &w->out_cap, WIRE_OUT_BYTES) == OK && wire_put_frame(w, 0, SPAN_NONE) == OK)
        wire_pump(w);
}

void link_wire_tick(struct link_wire *w)
{
    const struct links_pace *pace = &w->links->pace;
    uint64_t now = links_now(w->links);
    if (w->stage == LINK_HANDSHAKE && now - w->since_ms >= pace->handshake_ms)
        link_wire_drop(w, !w->dialled && !w->relayed, "no handshake in time");
    if (w->stage != LINK_UP) return;
    if (now - w->heard_ms >= pace->dead_ms)
        link_wire_drop(w, false, "nothing heard for too long");
    else if (w->writing.busy && now - w->said_ms >= pace->dead_ms)
        link_wire_drop(w, false, "it has read nothing for too long");
    else if (now - w->said_ms >= pace->ping_ms && !w->writing.busy)
        wire_ping(w);
}
