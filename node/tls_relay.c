#include "node/tls_relay.h"

#include "crypto/secret.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RELAY_WATCH_MS = 500,
    RELAY_LINGER_MS = 2000,
    RELAY_OUT_BYTES = TLS_PIECE_BYTES + 2048,
    RELAY_TURN_US = 2000,
    RELAY_PULL_BYTES = 4096,
    /* Of ciphertext without a word in it: four records. What only asks for new keys costs more to hear than to send. */
    RELAY_BARREN_BYTES = 65536,
};

struct relay {
    struct tls_relays *all;
    struct relay *next, **link;
    struct tls *tls;
    uv_poll_t outer_poll, inner_poll;
    int outer, inner; /* inner: -1 until the handshake is done */
    uint32_t handles_open;
    bool gone;
    bool spoke; /* it has said something inside: from then on the door watches it */
    struct in6_addr from;
    bool deaf;   /* the inner side takes nothing any more: it has answered */
    bool ending; /* it has said everything */
    bool
        lingering; /* and so has this side: what the client still sends is read, so that no reset overtakes the answer */
    uint64_t since_ms; /* it came, or took something, last */
    size_t in_len, in_sent, out_len, out_sent;
    size_t barren;               /* bytes from the client since the last that said something */
    uint8_t in[TLS_PIECE_BYTES]; /* plaintext for the inner side */
    uint8_t out[RELAY_OUT_BYTES];
};

struct tls_relays {
    struct tls_relays_options options;
    struct relay *relays;
    uint32_t count, memory_count; /* connected; with those the loop still holds */
    uv_timer_t watch;
    bool watch_open;
    void (*closed)(void *context);
    void *closed_context;
};

/* --- Leaving -------------------------------------------------------------------------------------------------------- */

static void relays_freed(struct tls_relays *r)
{
    if (r->memory_count > 0 || r->watch_open) return;
    void (*closed)(void *) = r->closed;
    void *context = r->closed_context;
    free(r);
    if (closed != NULL) closed(context);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct relay *c = handle->data;
    struct tls_relays *r = c->all;
    if (--c->handles_open > 0) return;
    tls_free(c->tls);
    secret_wipe(c->in, sizeof c->in);
    free(c);
    r->memory_count--;
    if (r->closed != NULL) relays_freed(r);
}

static void close_poll(uv_poll_t *poll, int fd)
{
    (void)uv_poll_stop(poll);
    uv_close((uv_handle_t *)poll, on_poll_closed);
    (void)close(fd);
}

static void drop(struct relay *c)
{
    if (c->gone) return;
    c->gone = true;
    c->all->count--;
    *c->link = c->next;
    if (c->next != NULL) c->next->link = c->link;
    close_poll(&c->outer_poll, c->outer);
    if (c->inner >= 0) close_poll(&c->inner_poll, c->inner);
}

/* --- Pieces --------------------------------------------------------------------------------------------------------- */

enum moved { MOVED_NONE, MOVED_SOME, MOVED_END };

/* What waits, as far as the socket takes it. */
static enum moved push(int fd, const uint8_t *bytes, size_t *sent, size_t len)
{
    const ssize_t took = send(fd, bytes + *sent, len - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (took > 0) *sent += (size_t)took;
    if (took > 0) return MOVED_SOME;
    return errno == EAGAIN || errno == EINTR ? MOVED_NONE : MOVED_END;
}

static enum moved pull(int fd, uint8_t *out, size_t cap, size_t *len)
{
    const ssize_t got = recv(fd, out, cap, MSG_DONTWAIT);
    if (got > 0) *len = (size_t)got;
    if (got > 0) return MOVED_SOME;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? MOVED_NONE : MOVED_END;
}

static bool out_waits(struct relay *c)
{
    if (c->out_sent == c->out_len) {
        c->out_sent = 0;
        c->out_len = tls_take(c->tls, c->out, sizeof c->out);
    }
    return c->out_len > 0;
}

static enum moved shake_hands(struct relay *c)
{
    int pair[2];
    const enum err err = tls_handshake(c->tls);
    if (err == ERR_NOT_READY) return MOVED_NONE;
    if (err != OK || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return MOVED_END;
    if (uv_poll_init(c->all->options.loop, &c->inner_poll, pair[0]) != 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return MOVED_END;
    }
    c->inner = pair[0];
    c->inner_poll.data = c;
    c->handles_open++;
    c->since_ms = uv_now(c->all->options.loop);
    c->all->options.enter(c->all->options.context, pair[1]);
    return MOVED_SOME;
}

/* Who speaks HTTP to a port with TLS would only see it close. Nothing of the request is looked at, and nothing follows. */
static bool is_clear_http(const struct relay *c, struct span first)
{
    static const char *const methods[] = {"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS "};
    if (c->inner >= 0 || c->barren > 0) return false;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (first.len > strlen(methods[i]) && memcmp(first.data, methods[i], strlen(methods[i])) == 0)
            return true;
    return false;
}

static enum moved refuse_clear(struct relay *c)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n"
        "{\"detail\":\"this port speaks TLS, and a token sent in the clear is no secret any more: use "
        "https://\","
        "\"reason\":\"tls\",\"status\":400,\"title\":\"Bad request\",\"type\":\"urn:perigee:tls\"}";
    size_t sent = 0;
    (void)push(c->outer, (const uint8_t *)answer, &sent, sizeof answer - 1);
    return MOVED_END;
}

/* From the client, one piece: into the engine, out of it, to the inner side. */
static enum moved move_in(struct relay *c)
{
    uint8_t cipher[RELAY_PULL_BYTES];
    size_t len = 0;
    if (c->lingering) return pull(c->outer, cipher, sizeof cipher, &len);
    if (c->deaf) return MOVED_NONE;
    if (c->in_sent < c->in_len) {
        const enum moved moved = push(c->inner, c->in, &c->in_sent, c->in_len);
        c->deaf = moved == MOVED_END;
        if (!c->deaf) return moved;
    }
    c->in_sent = c->in_len = 0;
    if (c->inner >= 0 && !c->deaf) {
        struct buffer plain = buffer_make(c->in, sizeof c->in);
        const enum err err = tls_read(c->tls, &plain);
        c->in_len = plain.len;
        if (plain.len > 0) c->barren = 0;
        c->spoke |= plain.len > 0;
        if (plain.len > 0) return MOVED_SOME;
        if (err != ERR_NOT_READY || c->barren > RELAY_BARREN_BYTES) return MOVED_END;
    }
    if (out_waits(c))
        return MOVED_NONE; /* what it says may ask for answers, and it does not take those there are */
    const enum moved moved = pull(c->outer, cipher, sizeof cipher, &len);
    if (is_clear_http(c, span_make(cipher, len))) return refuse_clear(c);
    tls_feed(c->tls, span_make(cipher, len));
    c->barren += len;
    return moved;
}

/* From the inner side, one piece. Its end is the end, once the client has what was said. */
static enum moved move_out(struct relay *c)
{
    uint8_t plain[TLS_PIECE_BYTES];
    size_t len = 0;
    if (out_waits(c)) {
        const enum moved moved = push(c->outer, c->out, &c->out_sent, c->out_len);
        if (moved == MOVED_SOME) c->since_ms = uv_now(c->all->options.loop);
        return moved;
    }
    if (c->ending && !c->lingering) {
        c->lingering = shutdown(c->outer, SHUT_WR) == 0;
        c->since_ms = uv_now(c->all->options.loop);
        return c->lingering ? MOVED_SOME : MOVED_END;
    }
    if (c->inner < 0 || c->ending) return MOVED_NONE;
    const enum moved moved = pull(c->inner, plain, sizeof plain, &len);
    if (moved == MOVED_END) {
        tls_finish(c->tls);
        c->ending = true;
        return MOVED_SOME;
    }
    if (moved == MOVED_SOME && tls_write(c->tls, span_make(plain, len)) != OK) return MOVED_END;
    secret_wipe(plain, len);
    return moved;
}

/* --- Turns ---------------------------------------------------------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events);

static void want(uv_poll_t *poll, int events)
{
    if (events == 0)
        (void)uv_poll_stop(poll);
    else
        (void)uv_poll_start(poll, events, on_ready);
}

/* `again`: its turn was over before its work was, and some of that is in the engine, where no socket tells of it. A socket that
 * takes something says so at once, and the others have their turn between. */
static void wait_for_more(struct relay *c, bool again)
{
    const bool in = c->in_sent < c->in_len, out = out_waits(c);
    const bool hears = c->lingering || !(in || out || c->deaf || c->ending);
    want(&c->outer_poll, (hears ? UV_READABLE : 0) | (out || again ? UV_WRITABLE : 0));
    if (c->inner >= 0) want(&c->inner_poll, (out || c->ending ? 0 : UV_READABLE) | (in ? UV_WRITABLE : 0));
}

/* Both ways in turn, so that neither waits for the other, and not for long: others have theirs. */
static void turn(struct relay *c)
{
    const uint64_t end_ns = uv_hrtime() + RELAY_TURN_US * 1000ull;
    bool again = true;
    while (again && uv_hrtime() < end_ns) {
        const enum moved hands = c->inner < 0 ? shake_hands(c) : MOVED_NONE;
        const enum moved out = hands != MOVED_END ? move_out(c) : MOVED_END;
        const bool hears = out != MOVED_END && (!c->ending || c->lingering);
        const enum moved in = hears ? move_in(c) : MOVED_NONE;
        if (hands == MOVED_END && out_waits(c)) (void)push(c->outer, c->out, &c->out_sent, c->out_len);
        if (hands == MOVED_END || out == MOVED_END || in == MOVED_END) {
            drop(c);
            return;
        }
        again = hands != MOVED_NONE || out != MOVED_NONE || in != MOVED_NONE;
    }
    wait_for_more(c, again);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct relay *c = poll->data;
    (void)status;
    (void)events;
    if (!c->gone) turn(c);
}

/* --- Coming in ------------------------------------------------------------------------------------------------------ */

/* Zero where it is no address of the internet. */
static struct in6_addr address_of(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    struct in6_addr out = {{{0}}};
    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0) return out;
    if (peer.ss_family == AF_INET6) out = ((const struct sockaddr_in6 *)(const void *)&peer)->sin6_addr;
    if (peer.ss_family == AF_INET)
        memcpy(out.s6_addr + 12, &((const struct sockaddr_in *)(const void *)&peer)->sin_addr, 4);
    return out;
}

static bool is_of(const struct relay *c, const struct in6_addr *from)
{
    return from == NULL || memcmp(&c->from, from, sizeof *from) == 0;
}

/* Who has said nothing yet gives its place to who comes; one address has at most half of all, and then gives its own. */
static bool make_room(struct tls_relays *r, const struct in6_addr *from)
{
    uint32_t same = 0;
    struct relay *oldest = NULL;
    for (struct relay *c = r->relays; c != NULL; c = c->next) same += is_of(c, from);
    const struct in6_addr *of = same >= TLS_RELAY_MAX / 2 ? from : NULL;
    if (of == NULL && r->count < TLS_RELAY_MAX) return true;
    for (struct relay *c = r->relays; c != NULL; c = c->next)
        if (!c->spoke && is_of(c, of) && (oldest == NULL || c->since_ms < oldest->since_ms)) oldest = c;
    if (oldest != NULL) drop(oldest);
    return oldest != NULL;
}

void tls_relays_take(struct tls_relays *r, int fd)
{
    const struct in6_addr from = address_of(fd);
    struct relay *c = make_room(r, &from) ? calloc(1, sizeof *c) : NULL;
    if (c == NULL || tls_new(&c->tls, r->options.end, NULL) != OK ||
        uv_poll_init(r->options.loop, &c->outer_poll, fd) != 0) {
        if (c != NULL) tls_free(c->tls);
        free(c);
        (void)close(fd);
        return;
    }
    c->all = r;
    c->outer = fd;
    c->inner = -1;
    c->from = from;
    c->outer_poll.data = c;
    c->handles_open = 1;
    c->since_ms = uv_now(r->options.loop);
    c->next = r->relays;
    c->link = &r->relays;
    if (c->next != NULL) c->next->link = &c->next;
    r->relays = c;
    r->count++;
    r->memory_count++;
    turn(c);
}

static void on_watch(uv_timer_t *timer)
{
    struct tls_relays *r = timer->data;
    for (struct relay *c = r->relays, *next; c != NULL; c = next) {
        next = c->next;
        const uint64_t waited_ms = uv_now(timer->loop) - c->since_ms;
        const bool late = c->inner < 0 && waited_ms >= TLS_RELAY_SECONDS * 1000;
        const bool stalled = c->out_sent < c->out_len && waited_ms >= TLS_RELAY_STALL_SECONDS * 1000;
        const bool lingered = c->lingering && waited_ms >= RELAY_LINGER_MS;
        if (late || stalled || lingered) drop(c);
    }
}

/* --- Opening and closing -------------------------------------------------------------------------------------------- */

enum err tls_relays_open(struct tls_relays **out, const struct tls_relays_options *options)
{
    struct tls_relays *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL) return ERR_NO_MEMORY;
    r->options = *options;
    (void)uv_timer_init(options->loop, &r->watch);
    r->watch.data = r;
    r->watch_open = true;
    (void)uv_timer_start(&r->watch, on_watch, RELAY_WATCH_MS, RELAY_WATCH_MS);
    *out = r;
    return OK;
}

uint32_t tls_relays_count(const struct tls_relays *r)
{
    return r->count;
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct tls_relays *r = handle->data;
    r->watch_open = false;
    relays_freed(r);
}

void tls_relays_close(struct tls_relays *r, void (*closed)(void *context), void *context)
{
    r->closed = closed;
    r->closed_context = context;
    while (r->relays != NULL) drop(r->relays);
    uv_close((uv_handle_t *)&r->watch, on_watch_closed);
}
