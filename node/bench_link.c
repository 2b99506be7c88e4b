/* P4: one peer link over TCP on the loopback, messages of 1 MiB one way, each end on a loop and thread of its own, against the
 * bare session cipher on pieces of the same size: one thread seals them while another opens as many. */
#include "node/bench.h"

#include "crypto/bare.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "node/link_wire.h"
#include "proto/base/panic.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINK_MIB = 256, LINK_MESSAGE = 1 << 20, LINK_PATIENCE_MS = 60000 };

struct end {
    uv_loop_t loop;
    struct identity_secret identity;
    struct kem_secret key;
    struct node_id id, peer;
    struct links *links;
    bool up, closed;
    uint32_t got;
};

struct pair {
    struct end in, out;
    pthread_t thread; /* of `out` */
    uv_async_t go;    /* to `out`: there is something to send, or it is over */
    uv_check_t turn;
    uv_timer_t patience; /* of `in` */
    bool late;
    atomic_uint to_send;
    atomic_bool over;
    uint32_t sent;
    uint8_t *message;
};

static void on_up(void *context, struct node_id peer)
{
    struct end *e = context;
    e->peer = peer;
    e->up = true;
}

static void on_down(void *context, struct node_id peer, const char *reason)
{
    (void)peer;
    (void)reason;
    ((struct end *)context)->up = false;
}

static void on_message(void *context, struct node_id peer, struct span message)
{
    (void)peer;
    ((struct end *)context)->got += message.len == LINK_MESSAGE;
}

static void on_log(void *context, const char *line)
{
    (void)context;
    (void)fprintf(stderr, "perigee bench: %s\n", line);
}

static void on_closed(void *context)
{
    ((struct end *)context)->closed = true;
}

static enum err end_open(struct end *e, const char *listen)
{
    struct kem_public unused;
    const struct links_options options = {.loop = &e->loop,
                                          .self = e->id,
                                          .identity = &e->identity,
                                          .link_secret = &e->key,
                                          .listen = listen,
                                          .context = e,
                                          .up = on_up,
                                          .down = on_down,
                                          .message = on_message,
                                          .log = on_log};
    kem_generate(&e->key, &unused);
    return links_open(&e->links, &options);
}

static void end_close(struct end *e)
{
    if (e->links != NULL) links_close(e->links, on_closed, e);
    (void)uv_run(&e->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&e->loop);
}

/* --- The sender ------------------------------------------------------------------------------------------------------- */

/* As much as the queue takes; the rest when the loop has turned. */
static void send_some(struct pair *p)
{
    const struct span message = span_make(p->message, LINK_MESSAGE);
    while (p->out.up && p->sent < atomic_load(&p->to_send)) {
        enum err err = links_send(p->out.links, p->out.peer, message, true);
        if (err != OK) return;
        p->sent++;
    }
}

static void on_turn(uv_check_t *check)
{
    send_some(check->data);
}

static void on_go(uv_async_t *async)
{
    struct pair *p = async->data;
    if (!atomic_load(&p->over)) {
        send_some(p);
        return;
    }
    uv_close((uv_handle_t *)&p->turn, NULL);
    uv_close((uv_handle_t *)&p->go, NULL);
    links_close(p->out.links, on_closed, &p->out);
}

static void *sender(void *context)
{
    struct pair *p = context;
    (void)uv_run(&p->out.loop, UV_RUN_DEFAULT);
    return NULL;
}

static enum err sender_start(struct pair *p)
{
    char address[64];
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%u", links_port(p->in.links));
    TRY(end_open(&p->out, NULL));
    TRY(links_dial(p->out.links, address, p->in.id));
    if (uv_async_init(&p->out.loop, &p->go, on_go) != 0) return ERR_IO;
    if (uv_check_init(&p->out.loop, &p->turn) != 0) return ERR_IO;
    p->go.data = p->turn.data = p;
    if (uv_check_start(&p->turn, on_turn) != 0) return ERR_IO;
    return pthread_create(&p->thread, NULL, sender, p) == 0 ? OK : ERR_NO_MEMORY;
}

static void sender_stop(struct pair *p)
{
    atomic_store(&p->over, true);
    (void)uv_async_send(&p->go);
    (void)pthread_join(p->thread, NULL);
    (void)uv_loop_close(&p->out.loop);
}

/* --- The receiver ----------------------------------------------------------------------------------------------------- */

static void on_late(uv_timer_t *timer)
{
    ((struct pair *)timer->data)->late = true;
}

static enum err receive(struct pair *p, uint32_t count)
{
    (void)uv_timer_start(&p->patience, on_late, LINK_PATIENCE_MS, 0);
    while (!p->late && (!p->in.up || p->in.got < count)) (void)uv_run(&p->in.loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&p->patience);
    return p->late ? ERR_NOT_READY : OK;
}

static enum err time_link(double *seconds, struct pair *p)
{
    const double began = bench_now();
    p->in.got = 0;
    (void)atomic_fetch_add(&p->to_send, LINK_MIB);
    (void)uv_async_send(&p->go);
    TRY(receive(p, LINK_MIB));
    *seconds = bench_now() - began;
    return OK;
}

/* --- The limit -------------------------------------------------------------------------------------------------------- */

static void bare_part(void *context, uint32_t index, uint32_t count)
{
    static uint8_t plain[2][LINK_FRAME_MAX], sealed[2][LINK_FRAME_MAX];
    const uint32_t pieces = LINK_MIB * (LINK_MESSAGE / LINK_PIECE_MAX + 1);
    (void)context;
    (void)count;
    bare_link_seal(sealed[index], span_make(plain[index], LINK_PIECE_MAX));
    const struct span opens = span_make(sealed[index], LINK_PIECE_MAX + NOISE_TAG_BYTES);
    for (uint32_t i = 0; i < pieces; i++) {
        if (index == 0)
            bare_link_seal(sealed[index], span_make(plain[index], LINK_PIECE_MAX));
        else
            bare_link_open(plain[index], opens);
    }
}

/* --- All of it -------------------------------------------------------------------------------------------------------- */

static enum err pair_init(struct pair *p)
{
    memset(p, 0, sizeof *p);
    p->message = calloc(1, LINK_MESSAGE);
    if (p->message == NULL) return ERR_NO_MEMORY;
    identity_generate(&p->in.identity, &p->in.id);
    identity_generate(&p->out.identity, &p->out.id);
    if (uv_loop_init(&p->in.loop) != 0 || uv_loop_init(&p->out.loop) != 0) return ERR_NO_MEMORY;
    if (uv_timer_init(&p->in.loop, &p->patience) != 0) return ERR_IO;
    p->patience.data = p;
    return end_open(&p->in, "tcp://127.0.0.1:0");
}

static enum err all_rounds(struct pair *p, double *link, double *bare)
{
    TRY(receive(p, 0)); /* until the link is up */
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        bare[i] = bench_on_threads(2, bare_part, NULL);
        TRY(time_link(&link[i], p));
    }
    return OK;
}

enum err bench_link(const struct bench *b)
{
    static struct pair p;
    double link[BENCH_ROUNDS], bare[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
    TRY(pair_init(&p));
    enum err err = sender_start(&p);
    if (err == OK) err = all_rounds(&p, link, bare);
    if (p.thread != 0) sender_stop(&p);
    uv_close((uv_handle_t *)&p.patience, NULL);
    end_close(&p.in);
    free(p.message);
    if (err != OK) return err;
    for (int i = 0; i < BENCH_ROUNDS; i++) ratio[i] = bare[i] / link[i];
    bench_print(b, "link_1MiB_messages", LINK_MIB / bench_median(link, BENCH_ROUNDS), "MiB/s",
                bench_median(ratio, BENCH_ROUNDS), "bare_session_cipher");
    return OK;
}
