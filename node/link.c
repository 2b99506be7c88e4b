#include "node/link.h"

#include "crypto/kem.h"
#include "crypto/secret.h"
#include "node/link_relay.h"
#include "node/link_tunnel.h"
#include "node/link_wire.h"
#include "proto/base/caps.h"
#include "proto/base/panic.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINKS_DIALS_MAX = CAP_PEERS, LINKS_ADDRESS_MAX = 256, LINKS_LINE_MAX = 512, LINKS_OPS_A_TURN = 64 };

const struct links_pace links_pace_usual = {.tick_ms = 100,
                                            .handshake_ms = 10000,
                                            .ping_ms = 10000,
                                            .dead_ms = 30000,
                                            .retry_min_ms = 100,
                                            .retry_max_ms = 5000,
                                            .penalty_ms = 30000,
                                            .places = CAP_PEERS,
                                            .kept = CAP_CUSTODIANS,
                                            .told_min_ms = 5000,
                                            .told_max_ms = 60000,
                                            .stay_ms = 10000,
                                            .half_open_max = 32,
                                            .half_open_ms = 1000,
                                            .accept = {.a_second = 32, .most = 128},
                                            .lines = {.a_second = 1, .most = 64}};

/* What came while this process was not let run is read after it: everybody would seem to have been silent for that long. So of
 * the time between two looks at the clock only a part counts, and the clock never goes back. */
uint64_t links_now(struct links *l)
{
    const uint64_t now_ms = uv_now(l->options.loop) + 1, counted_ms = l->pace.dead_ms / 4;
    const uint64_t since_ms = now_ms - l->looked_ms;
    if (l->looked_ms != 0 && since_ms > counted_ms) l->stood_ms += since_ms - counted_ms;
    l->looked_ms = now_ms;
    return now_ms - l->stood_ms; /* never 0, which means never */
}

void links_log(const struct links *l, const char *format, ...)
{
    char line[LINKS_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    l->options.log(l->options.context, line);
}

bool links_may_log(struct links *l, bool grave)
{
    const bool may = link_bucket_take(&l->lines[grave], l->pace.lines, links_now(l));
    if (may && l->lines_left_out > 0)
        links_log(l, "%u lines about links were left out: too many at once", l->lines_left_out);
    l->lines_left_out = may ? 0 : l->lines_left_out + 1;
    return may;
}

struct link_wire *links_find(struct links *l, struct node_id peer)
{
    for (struct link_wire *w = l->wires; w != NULL; w = w->next) {
        if (w->stage == LINK_UP && ID_EQUAL(w->peer, peer)) return w;
    }
    return NULL;
}

/* --- Operations ----------------------------------------------------------------------------------------- */

/* On a thread of nng's. */
static void op_finished(void *context)
{
    struct link_op *op = context;
    struct links *l = op->links;
    (void)pthread_mutex_lock(&l->lock);
    ASSERT(!op->finished);
    op->finished = true;
    op->next = NULL;
    *l->finished_last = op;
    l->finished_last = &op->next;
    (void)pthread_mutex_unlock(&l->lock);
    (void)uv_async_send(&l->wake);
}

enum err link_op_init(struct link_op *op, struct links *l, enum link_op_kind kind, void *owner)
{
    *op = (struct link_op){.links = l, .kind = kind, .owner = owner};
    return nng_aio_alloc(&op->aio, op_finished, op) == 0 ? OK : ERR_NO_MEMORY;
}

static void op_forget(struct link_op *op)
{
    struct links *l = op->links;
    (void)pthread_mutex_lock(&l->lock);
    for (struct link_op **at = &l->finished; *at != NULL; at = &(*at)->next) {
        if (*at != op) continue;
        *at = op->next;
        if (op->next == NULL) l->finished_last = at;
        break;
    }
    (void)pthread_mutex_unlock(&l->lock);
}

void link_op_free(struct link_op *op)
{
    if (op->aio == NULL) return;
    nng_aio_stop(op->aio);
    op_forget(op); /* the callback has run if it ever will */
    bool makes_stream = op->kind == LINK_OP_ACCEPT || op->kind == LINK_OP_DIAL;
    if (op->busy && makes_stream && nng_aio_result(op->aio) == 0)
        nng_stream_free(nng_aio_get_output(op->aio, 0));
    nng_aio_free(op->aio);
    op->aio = NULL;
}

static struct link_op *op_next(struct links *l)
{
    (void)pthread_mutex_lock(&l->lock);
    struct link_op *op = l->finished;
    if (op != NULL) {
        l->finished = op->next;
        if (op->next == NULL) l->finished_last = &l->finished;
        op->finished = false;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return op;
}

/* --- Accepting ------------------------------------------------------------------------------------------ */

static void accept_next(struct links *l)
{
    if (l->listener == NULL || l->accepting.busy) return;
    l->accepting.busy = true;
    nng_stream_listener_accept(l->listener, l->accepting.aio);
}

/* The address without the port, which changes with each connection. */
static void stream_address(char *out, size_t len, nng_stream *stream)
{
    nng_sockaddr sa;
    char text[INET6_ADDRSTRLEN] = "unknown";
    if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &sa) != 0) sa.s_family = NNG_AF_UNSPEC;
    if (sa.s_family == NNG_AF_INET) (void)inet_ntop(AF_INET, &sa.s_in.sa_addr, text, sizeof text);
    if (sa.s_family == NNG_AF_INET6) (void)inet_ntop(AF_INET6, sa.s_in6.sa_addr, text, sizeof text);
    if (sa.s_family == NNG_AF_IPC) (void)snprintf(text, sizeof text, "local socket");
    (void)snprintf(out, len, "%s", text);
}

static bool wire_is_accepted(const struct link_wire *w)
{
    return !w->dialled && !w->relayed;
}

/* An address behind which a proven peer is linked right now is not shut out for what others there do. */
bool links_shut_out(struct links *l, const char *address)
{
    if (!link_penalty_holds(&l->penalty, link_penalty_address(address), links_now(l))) return false;
    for (const struct link_wire *w = l->wires; w != NULL; w = w->next) {
        if (w->stage == LINK_UP && wire_is_accepted(w) && strcmp(w->address, address) == 0) return false;
    }
    return true;
}

static uint32_t half_open_count(const struct links *l, const char *address)
{
    uint32_t count = 0;
    for (const struct link_wire *w = l->wires; w != NULL; w = w->next) {
        bool there = address == NULL || strcmp(w->address, address) == 0;
        if (w->stage == LINK_HANDSHAKE && wire_is_accepted(w) && there) count++;
    }
    return count;
}

/* Room for one more of this address: no address has more than half of what may be half open, and when all is, the one that
 * has taken longest is to give way, if it had the time for a handshake. */
static bool half_open_room(struct links *l, struct link_wire **gives_way, const char *address)
{
    struct link_wire *oldest = NULL;
    *gives_way = NULL;
    if (half_open_count(l, address) >= (l->pace.half_open_max + 1) / 2) return false;
    if (half_open_count(l, NULL) < l->pace.half_open_max) return true;
    for (struct link_wire *w = l->wires; w != NULL; w = w->next) {
        if (w->stage != LINK_HANDSHAKE || !wire_is_accepted(w)) continue;
        if (oldest == NULL || w->since_ms <= oldest->since_ms) oldest = w; /* the newest stands first */
    }
    *gives_way = oldest;
    return oldest != NULL && links_now(l) - oldest->since_ms >= l->pace.half_open_ms;
}

/* Whoever will be turned away anyhow takes nothing from the rate of those who come after, nor anybody's place. */
static bool is_let_in(struct links *l, const char *address)
{
    struct link_wire *gives_way;
    bool room = !links_shut_out(l, address) && half_open_room(l, &gives_way, address);
    if (!room || !link_door_opens(&l->door, &l->pace.accept, link_penalty_address(address), links_now(l)))
        return false;
    if (gives_way != NULL) link_wire_drop(gives_way, true, "no handshake in time, and others wait");
    return true;
}

void links_add(struct links *l, const struct link_origin *origin)
{
    struct link_wire *w;
    if (link_wire_new(&w, l, origin) != OK) return;
    if (origin->dial != NULL && w->stage != LINK_DEAD) origin->dial->wire = w;
    w->next = l->wires;
    l->wires = w;
}

static void accepted(struct links *l)
{
    int result = nng_aio_result(l->accepting.aio);
    if (result != 0) return; /* tried again at the next tick: out of descriptors, or the peer has gone */
    nng_stream *stream = nng_aio_get_output(l->accepting.aio, 0);
    char address[96];
    stream_address(address, sizeof address, stream);
    accept_next(l);
    if (!is_let_in(l, address)) {
        l->status.refused++;
        nng_stream_free(stream);
        return;
    }
    l->status.accepted++;
    links_add(l, &(struct link_origin){.stream = stream, .address = address});
}

/* --- Dialling ------------------------------------------------------------------------------------------- */

/* Half the delay and up to half of it more, so that many nodes do not come back in step. */
void links_schedule(struct links *l, uint64_t *next_ms, uint32_t *delay_ms, uint32_t most_ms)
{
    uint32_t random;
    random_fill(&random, sizeof random);
    *next_ms = links_now(l) + *delay_ms / 2 + random % (*delay_ms / 2 + 1);
    *delay_ms = 2 * *delay_ms < most_ms ? 2 * *delay_ms : most_ms;
}

/* Where others say that somebody is, nobody may be: it is not knocked at as often as where our own configuration does. */
void links_dial_later(struct link_dial *d, struct links *l)
{
    links_schedule(l, &d->next_ms, &d->delay_ms, d->for_now ? l->pace.told_max_ms : l->pace.retry_max_ms);
}

struct node_id links_dial_peer(const struct link_dial *d)
{
    return ID_IS_ZERO(d->expected) ? d->found : d->expected;
}

static bool dial_is_satisfied(struct links *l, const struct link_dial *d)
{
    const struct node_id peer = links_dial_peer(d);
    const struct link_wire *w = ID_IS_ZERO(peer) ? NULL : links_find(l, peer);
    return w != NULL && !w->relayed;
}

static bool dial_must_wait(struct links *l, const struct link_dial *d)
{
    uint64_t now = links_now(l);
    if (link_penalty_holds(&l->penalty, link_penalty_address(d->address), now)) return true;
    return !ID_IS_ZERO(d->found) && link_penalty_holds(&l->penalty, link_penalty_node(d->found), now);
}

static void dial_tick(struct links *l, struct link_dial *d)
{
    if (d->gone || d->op.busy || d->wire != NULL || links_now(l) < d->next_ms) return;
    if (dial_is_satisfied(l, d) || dial_must_wait(l, d)) return;
    d->op.busy = true;
    nng_aio_set_timeout(d->op.aio, (nng_duration)l->pace.handshake_ms);
    nng_stream_dialer_dial(d->dialer, d->op.aio);
}

static void dialled(struct links *l, struct link_dial *d)
{
    int result = nng_aio_result(d->op.aio);
    if (d->gone) {
        if (result == 0) nng_stream_free(nng_aio_get_output(d->op.aio, 0));
        return;
    }
    if (result == 0) {
        links_add(l, &(struct link_origin){
                         .stream = nng_aio_get_output(d->op.aio, 0), .dial = d, .address = d->address});
        return;
    }
    if (!d->said_unreachable)
        links_log(l, "cannot reach %s: %s; trying on", d->address, nng_strerror(result));
    d->said_unreachable = true;
    links_dial_later(d, l);
}

static void dial_free(struct link_dial *d)
{
    if (d->dialer != NULL) nng_stream_dialer_close(d->dialer);
    link_op_free(&d->op);
    if (d->dialer != NULL) nng_stream_dialer_free(d->dialer);
    free(d->address);
    free(d);
}

static enum err dial_new(struct link_dial **out, struct links *l, const char *address,
                         struct node_id expected)
{
    struct link_dial *d = calloc(1, sizeof *d);
    *out = d;
    if (d == NULL) return ERR_NO_MEMORY;
    d->expected = expected;
    d->delay_ms = l->pace.retry_min_ms;
    d->address = strdup(address);
    if (d->address == NULL) return ERR_NO_MEMORY;
    TRY(link_op_init(&d->op, l, LINK_OP_DIAL, d));
    int result = nng_stream_dialer_alloc(&d->dialer, address);
    if (result == NNG_ENOMEM) return ERR_NO_MEMORY;
    return result == 0 ? OK : ERR_USAGE;
}

static bool address_is_known_kind(const char *address)
{
    if (strlen(address) >= LINKS_ADDRESS_MAX) return false;
    return strncmp(address, "tcp://", 6) == 0 || strncmp(address, "ipc://", 6) == 0;
}

static enum err dial_add(struct links *l, const char *address, struct node_id expected, bool for_now)
{
    uint32_t count = 0;
    struct link_dial *d;
    if (!address_is_known_kind(address)) return ERR_USAGE;
    for (d = l->dials; d != NULL; d = d->next, count++) {
        if (d->gone || strcmp(d->address, address) != 0 || !ID_EQUAL(d->expected, expected)) continue;
        d->for_now &= for_now;
        return OK;
    }
    if (count == LINKS_DIALS_MAX) return ERR_FULL;
    enum err err = dial_new(&d, l, address, expected);
    if (err != OK) {
        if (d != NULL) dial_free(d);
        return err;
    }
    d->for_now = for_now;
    if (for_now) d->delay_ms = l->pace.told_min_ms;
    d->next = l->dials;
    l->dials = d;
    dial_tick(l, d);
    return OK;
}

enum err links_dial(struct links *l, const char *address, struct node_id expected)
{
    return dial_add(l, address, expected, false);
}

enum err links_dial_for_now(struct links *l, const char *address, struct node_id expected)
{
    const enum err err = l->closing ? OK : dial_add(l, address, expected, true);
    if (err != OK && links_may_log(l, false)) links_log(l, "cannot dial %s: %s", address, err_text(err));
    return err;
}

void links_hang_up(struct links *l, struct node_id peer)
{
    for (struct link_dial *d = l->dials; d != NULL && !l->closing; d = d->next) {
        if (!d->for_now || d->gone || !ID_EQUAL(d->expected, peer)) continue;
        d->gone = true;
        if (d->wire != NULL) link_wire_drop(d->wire, false, "it is not dialled any more");
    }
}

/* --- The loop ------------------------------------------------------------------------------------------- */

static void handle(struct links *l, struct link_op *op)
{
    op->busy = false;
    switch (op->kind) {
    case LINK_OP_ACCEPT: accepted(l); return;
    case LINK_OP_DIAL: dialled(l, op->owner); return;
    case LINK_OP_READ: link_wire_read_done(op->owner); return;
    case LINK_OP_WRITE: link_wire_write_done(op->owner); return;
    }
    UNREACHABLE();
}

static void sweep(struct links *l)
{
    for (struct link_wire **at = &l->wires; *at != NULL;) {
        struct link_wire *w = *at;
        if (w->stage != LINK_DEAD) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        link_wire_free(w);
    }
    for (struct link_dial **at = &l->dials; *at != NULL;) {
        struct link_dial *d = *at;
        if (!d->gone) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        dial_free(d);
    }
    link_relay_sweep(l);
}

static void tear_down(struct links *l);

void links_wait(struct links *l, struct link_wire *w)
{
    w->waits = ++l->waits;
    (void)uv_async_send(&l->wake);
}

static struct link_wire *first_waiting(const struct links *l)
{
    struct link_wire *first = NULL;
    for (struct link_wire *w = l->wires; w != NULL; w = w->next) {
        if (w->stage == LINK_DEAD || w->waits == 0) continue;
        if (first == NULL || w->waits < first->waits) first = w;
    }
    return first;
}

/* Of those who say much one has its turn, after all who say little: so many of them delay nobody more than one does. */
static void on_wake(uv_async_t *wake)
{
    struct links *l = wake->data;
    struct link_op *op = NULL;
    for (int i = 0; i < LINKS_OPS_A_TURN && !l->closing && (op = op_next(l)) != NULL; i++) handle(l, op);
    struct link_wire *heavy = l->closing ? NULL : first_waiting(l);
    if (heavy != NULL) link_wire_go_on(heavy);
    /* There may be more: let others on the loop have their turn. */
    if (op != NULL || (!l->closing && first_waiting(l) != NULL)) (void)uv_async_send(wake);
    if (l->closing)
        tear_down(l);
    else
        sweep(l);
}

static void on_tick(uv_timer_t *tick)
{
    struct links *l = tick->data;
    (void)links_now(l); /* with nobody to ask about, too: a quiet time is no standstill */
    for (struct link_wire *w = l->wires; w != NULL && !l->closing; w = w->next) link_wire_tick(w);
    for (struct link_dial *d = l->dials; d != NULL && !l->closing; d = d->next) dial_tick(l, d);
    if (!l->closing) link_tunnels_tick(l);
    if (!l->closing) link_relay_tick(l);
    if (l->closing) return;
    accept_next(l);
    sweep(l);
}

enum err links_send(struct links *l, struct node_id peer, struct span message, bool bulk)
{
    if (message.len == 0) return ERR_USAGE;
    if (message.len > CAP_MESSAGE_BYTES) return ERR_TOO_LARGE;
    struct link_wire *w = l->closing ? NULL : links_find(l, peer);
    return w == NULL ? ERR_NOT_FOUND : link_wire_send(w, message, bulk ? LINK_BULKY : LINK_CONTROL);
}

void links_offend(struct links *l, struct node_id peer, const char *reason)
{
    struct link_wire *w = l->closing ? NULL : links_find(l, peer);
    if (w != NULL) link_wire_drop(w, true, reason);
}

void links_status(const struct links *l, struct links_status *out)
{
    *out = l->status;
    for (const struct link_wire *w = l->wires; w != NULL; w = w->next) {
        for (int lane = 0; lane < LINK_QUEUE_COUNT && w->stage == LINK_UP; lane++)
            out->queued_bytes += (uint32_t)w->queue[lane].bytes;
    }
}

bool links_via(struct links *l, struct node_id peer, struct node_id *relay)
{
    const struct link_wire *w = links_find(l, peer);
    if (w == NULL || !w->relayed) return false;
    *relay = w->via;
    return true;
}

/* --- Opening and closing -------------------------------------------------------------------------------- */

static enum err listen_error(const struct links *l, int result)
{
    if (result == 0) return OK;
    links_log(l, "cannot listen on %s: %s", l->listen, nng_strerror(result));
    if (result == NNG_EADDRINUSE) return ERR_BUSY;
    if (result == NNG_ENOMEM) return ERR_NO_MEMORY;
    return result == NNG_EADDRINVAL || result == NNG_EINVAL || result == NNG_ENOTSUP ? ERR_USAGE : ERR_IO;
}

static enum err start_listening(struct links *l)
{
    if (!address_is_known_kind(l->listen)) return listen_error(l, NNG_EADDRINVAL);
    TRY(link_op_init(&l->accepting, l, LINK_OP_ACCEPT, l));
    TRY(listen_error(l, nng_stream_listener_alloc(&l->listener, l->listen)));
    if (strncmp(l->listen, "ipc://", 6) == 0)
        TRY(listen_error(l, nng_stream_listener_set_int(l->listener, NNG_OPT_IPC_PERMISSIONS, 0600)));
    TRY(listen_error(l, nng_stream_listener_listen(l->listener)));
    accept_next(l);
    return OK;
}

static enum err prepare(struct links *l)
{
    struct kem_public key;
    struct link_public own;
    kem_public_of(&key, l->options.link_secret);
    memcpy(own.bytes, key.bytes, sizeof own.bytes);
    return link_proof_make(l->proof, l->options.identity, l->options.self, l->options.consortium, own);
}

static void handle_closed(uv_handle_t *handle)
{
    struct links *l = handle->data;
    if (--l->handles_open > 0) return;
    void (*closed)(void *) = l->closed;
    void *context = l->closed_context;
    (void)pthread_mutex_destroy(&l->lock);
    free(l->listen);
    free(l);
    if (closed != NULL) closed(context);
}

/* On the loop, with none of our calls on the stack. */
static void tear_down(struct links *l)
{
    if (uv_is_closing((uv_handle_t *)&l->wake)) return;
    if (l->listener != NULL) nng_stream_listener_close(l->listener);
    link_op_free(&l->accepting);
    if (l->listener != NULL) nng_stream_listener_free(l->listener);
    for (struct link_wire *w = l->wires; w != NULL; w = w->next) w->stage = LINK_DEAD;
    link_relay_close(l);
    sweep(l);
    while (l->dials != NULL) {
        struct link_dial *d = l->dials;
        l->dials = d->next;
        dial_free(d);
    }
    uv_close((uv_handle_t *)&l->tick, handle_closed);
    uv_close((uv_handle_t *)&l->wake, handle_closed);
}

void links_close(struct links *l, void (*closed)(void *context), void *context)
{
    ASSERT(!l->closing);
    l->closing = true;
    l->closed = closed;
    l->closed_context = context;
    (void)uv_timer_stop(&l->tick);
    (void)uv_async_send(&l->wake); /* the rest where no call of ours is on the stack */
}

enum err links_open(struct links **out, const struct links_options *options)
{
    *out = NULL;
    struct links *l = calloc(1, sizeof *l);
    if (l == NULL) return ERR_NO_MEMORY;
    l->options = *options;
    l->finished_last = &l->finished;
    if (options->listen != NULL && (l->listen = strdup(options->listen)) == NULL) {
        free(l);
        return ERR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)uv_timer_init(options->loop, &l->tick);
    (void)uv_async_init(options->loop, &l->wake, on_wake);
    l->tick.data = l->wake.data = l;
    l->handles_open = 2;
    struct links_pace pace = links_pace_usual;
    if (options->places > 0) pace.places = options->places;
    if (pace.kept > pace.places / 4) pace.kept = pace.places / 4;
    links_set_pace(l, &pace);
    enum err err = prepare(l);
    if (err == OK && l->listen != NULL) err = start_listening(l);
    if (err == OK)
        *out = l;
    else
        links_close(l, NULL, NULL);
    return err;
}

void links_set_pace(struct links *l, const struct links_pace *pace)
{
    l->pace = *pace;
    l->door = (struct link_door){0};
    memset(l->lines, 0, sizeof l->lines);
    (void)uv_timer_start(&l->tick, on_tick, pace->tick_ms, pace->tick_ms);
}

uint16_t links_port(const struct links *l)
{
    int port = 0;
    if (l->listener == NULL || nng_stream_listener_get_int(l->listener, NNG_OPT_TCP_BOUND_PORT, &port) != 0)
        return 0;
    return (uint16_t)port;
}
