/* link: several link sets on one loop, and a peer made by hand over a plain socket that says what we like. */
#include "node/link.h"

#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "node/link_wire.h"
#include "proto/base/caps.h"
#include "proto/base/panic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { FINISH = LINK_LENGTH_BYTES + LINK_FINISH_BYTES }; /* message 3 in its frame */
enum {
    NODES = 12,
    MEMBERS = 4,
    ALL = 3,
    PATIENCE_MS = 20000,
    LOG_MAX = 8192,
    BIG_BYTES = 1 << 20,
    BIG_COUNT = 12
};

struct node {
    struct identity_secret identity;
    struct kem_secret key;
    struct node_id id;
    struct consortium_id consortium;
    struct links *links;
    bool closed;
    int up, ups, downs;
    char log[LOG_MAX];
    char reason[128]; /* of the last down */
    /* What arrived: the numbers of messages, by class. */
    uint32_t control_next, bulk_next, bulk_seen_at_marker;
    bool wrong, marker;
    struct links *close_on_message;
    uint32_t relay_tunnels, relay_rate;
    enum link_standing standing; /* in everybody's eyes */
    bool unneeded;               /* nobody has to be linked with it */
};

static uv_loop_t loop;
static uv_timer_t patience;
static bool out_of_patience;
static struct node node[NODES];
static const struct node_id anybody;

static const struct links_pace fast = {.tick_ms = 10,
                                       .handshake_ms = 300,
                                       .ping_ms = 50,
                                       .dead_ms = 250,
                                       .retry_min_ms = 10,
                                       .retry_max_ms = 50,
                                       .penalty_ms = 60000,
                                       .places = CAP_PEERS,
                                       .told_min_ms = 10,
                                       .told_max_ms = 50,
                                       .stay_ms = 10000,
                                       .half_open_max = 4,
                                       .half_open_ms = 1000,
                                       .accept = {.a_second = 0, .most = 100},
                                       .lines = {.a_second = 0, .most = 100}};

/* --- Nodes ---------------------------------------------------------------------------------------------- */

static void on_up(void *context, struct node_id peer)
{
    struct node *n = context;
    (void)peer;
    n->up++;
    n->ups++;
}

static void on_down(void *context, struct node_id peer, const char *reason)
{
    struct node *n = context;
    (void)peer;
    n->up--;
    n->downs++;
    (void)snprintf(n->reason, sizeof n->reason, "%s", reason);
}

/* A message: class 'c', 'b' or 'm' (a marker), its number, then bytes that follow from the number. */
static size_t message_make(uint8_t *out, char class, uint32_t number, size_t len)
{
    out[0] = (uint8_t) class;
    store_u32(out + 1, number);
    for (size_t i = 5; i < len; i++) out[i] = (uint8_t)(number * 31 + i + (i >> 11));
    return len;
}

static bool message_is_whole(struct span m)
{
    uint32_t number = load_u32(m.data + 1);
    for (size_t i = 5; i < m.len; i++) {
        if (m.data[i] != (uint8_t)(number * 31 + i + (i >> 11))) return false;
    }
    return true;
}

static void closed(void *context)
{
    ((struct node *)context)->closed = true;
}

static void on_message(void *context, struct node_id peer, struct span message)
{
    struct node *n = context;
    (void)peer;
    if (n->close_on_message != NULL) links_close(n->links, closed, n);
    if (message.len < 5 || !message_is_whole(message)) {
        n->wrong = true;
        return;
    }
    uint32_t number = load_u32(message.data + 1);
    if (message.data[0] == 'm') {
        n->marker = true;
        n->bulk_seen_at_marker = n->bulk_next;
        return;
    }
    uint32_t *next = message.data[0] == 'b' ? &n->bulk_next : &n->control_next;
    if (number != *next) n->wrong = true;
    ++*next;
}

static void on_log(void *context, const char *line)
{
    struct node *n = context;
    size_t len = strlen(n->log);
    (void)snprintf(n->log + len, sizeof n->log - len, "%s\n", line);
}

static enum link_standing standing(void *context, struct node_id id)
{
    (void)context;
    for (int i = 0; i < NODES; i++) {
        if (ID_EQUAL(node[i].id, id)) return node[i].standing;
    }
    return LINK_STRANGER;
}

static uint32_t members(void *context, struct node_id *out, uint32_t cap)
{
    uint32_t count = 0;
    for (int i = 0; i < NODES && count < cap; i++) {
        if (standing(context, node[i].id) >= LINK_MEMBER && !node[i].unneeded) out[count++] = node[i].id;
    }
    return count;
}

static enum err node_try(struct node *n, const char *listen)
{
    const struct links_options options = {.loop = &loop,
                                          .self = n->id,
                                          .identity = &n->identity,
                                          .link_secret = &n->key,
                                          .consortium = n->consortium,
                                          .listen = listen,
                                          .relay_tunnels = n->relay_tunnels,
                                          .relay_bytes_a_second = n->relay_rate,
                                          .context = n,
                                          .standing = standing,
                                          .members = members,
                                          .up = on_up,
                                          .down = on_down,
                                          .message = on_message,
                                          .log = on_log};
    n->closed = false;
    n->up = 0;
    return links_open(&n->links, &options);
}

static void node_open(struct node *n, const char *listen)
{
    assert_int_equal(node_try(n, listen), OK);
}

static char *node_address(const struct node *n)
{
    static char text[NODES][64];
    char *out = text[n - node];
    (void)snprintf(out, sizeof text[0], "tcp://127.0.0.1:%u", links_port(n->links));
    return out;
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    out_of_patience = true;
}

#define RUN_UNTIL(condition)                                                                                 \
    do {                                                                                                     \
        out_of_patience = false;                                                                             \
        (void)uv_timer_start(&patience, on_patience, PATIENCE_MS, 0);                                        \
        while (!(condition) && !out_of_patience) (void)uv_run(&loop, UV_RUN_ONCE);                           \
        (void)uv_timer_stop(&patience);                                                                      \
        assert_false(out_of_patience);                                                                       \
    } while (0)

static void run_for(uint32_t ms)
{
    out_of_patience = false;
    (void)uv_timer_start(&patience, on_patience, ms, 0);
    while (!out_of_patience) (void)uv_run(&loop, UV_RUN_ONCE);
}

static void node_close(struct node *n)
{
    links_close(n->links, closed, n);
    RUN_UNTIL(n->closed);
    n->links = NULL;
}

static int setup(void **state)
{
    (void)state;
    memset(node, 0, sizeof node);
    assert_int_equal(crypto_init(), OK);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_timer_init(&loop, &patience), 0);
    for (int i = 0; i < NODES; i++) {
        struct kem_public unused;
        identity_generate(&node[i].identity, &node[i].id);
        kem_generate(&node[i].key, &unused);
        memset(node[i].consortium.bytes, 0xc0, sizeof node[i].consortium.bytes);
        node[i].standing = i < MEMBERS ? LINK_MEMBER : LINK_STRANGER;
    }
    return 0;
}

/* Closes what is open; nothing may be left in the loop. */
static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < NODES; i++) {
        if (node[i].links != NULL) node_close(&node[i]);
    }
    uv_close((uv_handle_t *)&patience, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static enum err send_text(struct node *from, const struct node *to, char class, uint32_t number, size_t len)
{
    static uint8_t bytes[CAP_MESSAGE_BYTES];
    return links_send(from->links, to->id, span_make(bytes, message_make(bytes, class, number, len)),
                      class == 'b');
}

static uint32_t refused(const struct node *n)
{
    struct links_status status;
    links_status(n->links, &status);
    return status.refused;
}

/* --- A peer by hand ------------------------------------------------------------------------------------- */

struct raw {
    const struct node *self; /* whose keys it has; NULL: node 2's */
    int fd;
    struct noise *noise;
    uint8_t in[4 * 65536];
    size_t len;
    bool eof;
};

static struct raw raw;

/* From the address 127.0.0.`from`. */
static void raw_connect_from(struct raw *r, const struct node *to, uint8_t from)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(links_port(to->links))};
    struct sockaddr_in own = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    own.sin_addr.s_addr = htonl(0x7f000000U | from);
    const struct node *self = r->self;
    memset(r, 0, sizeof *r);
    r->self = self;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(bind(r->fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void raw_connect(struct raw *r, const struct node *to)
{
    raw_connect_from(r, to, 1);
}

static void raw_close(struct raw *r)
{
    (void)close(r->fd);
    noise_free(r->noise);
    r->noise = NULL;
}

static void raw_send(const struct raw *r, const void *bytes, size_t len)
{
    assert_int_equal(send(r->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void raw_poll(struct raw *r)
{
    ssize_t got = recv(r->fd, r->in + r->len, sizeof r->in - r->len, MSG_DONTWAIT);
    if (got > 0) r->len += (size_t)got;
    if (got == 0 || (got < 0 && errno == ECONNRESET)) r->eof = true;
}

#define RAW_UNTIL(r, condition) RUN_UNTIL((raw_poll(r), (condition)))

static void raw_send_frame(const struct raw *r, struct span content)
{
    uint8_t frame[LINK_LENGTH_BYTES + LINK_FRAME_MAX];
    store_u32(frame, (uint32_t)content.len);
    memcpy(frame + LINK_LENGTH_BYTES, content.data, content.len);
    raw_send(r, frame, LINK_LENGTH_BYTES + content.len);
}

static void raw_send_piece(struct raw *r, uint8_t flags, size_t len)
{
    static uint8_t plain[LINK_FRAME_MAX], sealed[LINK_FRAME_MAX];
    plain[0] = flags;
    memset(plain + 1, 7, len);
    assert_int_equal(noise_encrypt(r->noise, sealed, span_make(plain, 1 + len)), OK);
    raw_send_frame(r, span_make(sealed, 1 + len + NOISE_TAG_BYTES));
}

/* While the link stands. */
static void raw_send_ping(const struct raw *r)
{
    uint8_t plain = 0, frame[LINK_LENGTH_BYTES + 1 + NOISE_TAG_BYTES];
    store_u32(frame, 1 + NOISE_TAG_BYTES);
    if (noise_encrypt(r->noise, frame + LINK_LENGTH_BYTES, span_make(&plain, 1)) == OK)
        (void)send(r->fd, frame, sizeof frame, MSG_NOSIGNAL);
}

/* Its keys, by hand, up to and with message 3. proof_of names whose proof is shown. */
static void raw_handshake(struct raw *r, const struct node *to, const struct node *proof_of,
                          size_t finish_bytes)
{
    const struct node *self = r->self != NULL ? r->self : &node[2];
    uint8_t prologue[LINK_PROLOGUE_MAX], proof[LINK_PROOF_BYTES],
        room[512]; /* of message 3, the first bytes */
    struct kem_public key;
    struct link_public own;
    struct buffer out = BUFFER_OF(room);
    raw_connect(r, to);
    assert_int_equal(noise_new(&r->noise, true, &self->key, link_prologue(prologue, self->consortium)), OK);
    assert_int_equal(noise_write(r->noise, &out, SPAN_NONE), OK);
    raw_send_frame(r, buffer_span(&out));
    RAW_UNTIL(r, r->len == LINK_LENGTH_BYTES + LINK_ANSWER_BYTES);
    out.len = 0;
    assert_int_equal(noise_read(r->noise, &out, span_make(r->in + LINK_LENGTH_BYTES, LINK_ANSWER_BYTES)), OK);
    struct node_id answered;
    assert_int_equal(link_proof_check(&answered, buffer_span(&out), self->consortium, noise_remote(r->noise)),
                     OK);
    assert_true(ID_EQUAL(answered, to->id));
    r->len = 0;
    kem_public_of(&key, &self->key);
    memcpy(own.bytes, key.bytes, sizeof own.bytes);
    assert_int_equal(link_proof_make(proof, &proof_of->identity, self->id, self->consortium, own), OK);
    out.len = 0;
    assert_int_equal(noise_write(r->noise, &out, SPAN_OF(proof)), OK);
    memmove(room + LINK_LENGTH_BYTES, room, out.len);
    store_u32(room, (uint32_t)out.len);
    raw_send(r, room, finish_bytes);
}

static void raw_up(struct raw *r, struct node *to)
{
    raw_handshake(r, to, &node[2], FINISH);
    RUN_UNTIL(to->up == 1);
}

/* --- Two and three nodes -------------------------------------------------------------------------------- */

static void two_nodes(const char *listen, const char *address)
{
    node_open(&node[0], listen);
    node_open(&node[1], NULL);
    assert_int_equal(
        links_dial(node[1].links, address == NULL ? node_address(&node[0]) : address, node[0].id), OK);
    assert_int_equal(send_text(&node[1], &node[0], 'c', 0, 100), ERR_NOT_FOUND);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
    assert_int_equal(send_text(&node[1], &node[0], 'c', 0, 100), OK);
    assert_int_equal(send_text(&node[0], &node[1], 'c', 0, 5), OK);
    assert_int_equal(send_text(&node[0], &node[1], 'b', 0, CAP_MESSAGE_BYTES), OK);
    RUN_UNTIL(node[0].control_next == 1 && node[1].control_next == 1 && node[1].bulk_next == 1);
    assert_false(node[0].wrong || node[1].wrong);
    struct links_status status;
    links_status(node[1].links, &status);
    assert_int_equal(status.up, 1);
    assert_int_equal(status.refused, 0);
    assert_int_equal(status.queued_bytes, 0);
    assert_true(status.bytes_in > CAP_MESSAGE_BYTES && status.bytes_out > 100);
    links_status(node[0].links, &status);
    assert_int_equal(status.accepted, 1);
    static uint8_t large[CAP_MESSAGE_BYTES + 1];
    assert_int_equal(links_send(node[1].links, node[0].id, SPAN_OF(large), true), ERR_TOO_LARGE);
    assert_int_equal(links_send(node[1].links, node[0].id, SPAN_NONE, true), ERR_USAGE);
    assert_int_equal(links_send(node[1].links, node[2].id, SPAN_LITERAL("x"), true), ERR_NOT_FOUND);
    node_close(&node[0]);
    RUN_UNTIL(node[1].up == 0);
    assert_int_equal(node[0].downs, 0); /* closing is no surprise */
    assert_int_equal(node[1].downs, 1);
}

static void tcp(void **state)
{
    (void)state;
    two_nodes("tcp://127.0.0.1:0", NULL);
}

static void ipc(void **state)
{
    (void)state;
    char folder[] = "/tmp/perigee-link-XXXXXX", address[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address, sizeof address, "ipc://%s/peer", folder);
    two_nodes(address, address);
    assert_int_equal(rmdir(folder), 0);
}

static void whoever_answers(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), anybody), OK);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), anybody),
                     OK); /* the same wish again */
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
    run_for(300);
    assert_true(node[0].up == 1 && node[1].up == 1);
    assert_int_equal(node[1].downs, 0);
}

/* Everybody dials everybody: each pair keeps one link and stops changing its mind. */
static void crossing(void **state)
{
    (void)state;
    for (int i = 0; i < ALL; i++) node_open(&node[i], "tcp://127.0.0.1:0");
    for (int i = 0; i < ALL; i++) {
        for (int j = 0; j < ALL; j++) {
            if (i != j) assert_int_equal(links_dial(node[i].links, node_address(&node[j]), node[j].id), OK);
        }
    }
    RUN_UNTIL(node[0].up == 2 && node[1].up == 2 && node[2].up == 2);
    run_for(500);
    int ups[ALL];
    for (int i = 0; i < ALL; i++) ups[i] = node[i].ups;
    run_for(700);
    for (int i = 0; i < ALL; i++) {
        assert_int_equal(node[i].up, 2);
        assert_int_equal(node[i].ups, ups[i]);
        assert_int_equal(refused(&node[i]), 0);
        for (int j = 0; j < ALL; j++) {
            if (i != j) assert_int_equal(send_text(&node[i], &node[j], 'm', 1, 50), OK);
        }
    }
    RUN_UNTIL(node[0].marker && node[1].marker && node[2].marker);
}

static void bulk_and_control(void **state)
{
    (void)state;
    uint32_t control[2] = {0, 0};
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
    for (uint32_t i = 0; i < BIG_COUNT; i++) {
        assert_int_equal(send_text(&node[0], &node[1], 'b', i, BIG_BYTES), OK);
        assert_int_equal(send_text(&node[1], &node[0], 'b', i, BIG_BYTES), OK);
    }
    assert_int_equal(send_text(&node[0], &node[1], 'm', 0, 64), OK);
    assert_int_equal(send_text(&node[1], &node[0], 'm', 0, 200000), OK); /* control of several pieces */
    while (node[0].bulk_next < BIG_COUNT || node[1].bulk_next < BIG_COUNT) {
        for (int i = 0; i < 2; i++) {
            assert_int_equal(send_text(&node[i], &node[1 - i], 'c', control[i], 5 + 997 * (control[i] % 90)),
                             OK);
            control[i]++;
        }
        uint32_t before = node[0].control_next + node[1].bulk_next;
        RUN_UNTIL(node[0].control_next + node[1].bulk_next > before);
    }
    RUN_UNTIL(node[0].control_next == control[1] && node[1].control_next == control[0]);
    for (int i = 0; i < 2; i++) {
        assert_false(node[i].wrong);
        assert_true(node[i].marker);
        assert_true(node[i].bulk_seen_at_marker <
                    BIG_COUNT / 2); /* control went past the bulk that was queued first */
    }
}

static void full_queues(void **state)
{
    (void)state;
    uint32_t bulk = 0, control = 0;
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
    while (send_text(&node[0], &node[1], 'b', bulk, BIG_BYTES) == OK) bulk++;
    while (send_text(&node[0], &node[1], 'c', control, BIG_BYTES) == OK) control++;
    assert_int_equal(send_text(&node[0], &node[1], 'b', bulk, BIG_BYTES), ERR_FULL);
    assert_int_equal(send_text(&node[0], &node[1], 'c', control, BIG_BYTES), ERR_FULL);
    assert_true(bulk >= 62 && bulk <= 65 && control >= 3 && control <= 5);
    RUN_UNTIL(node[1].bulk_next == bulk &&
              node[1].control_next == control); /* none of the accepted is lost */
    assert_false(node[1].wrong);
    assert_int_equal(send_text(&node[0], &node[1], 'b', bulk, BIG_BYTES), OK);
}

static void reconnects(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    char *address = strdup(node_address(&node[0]));
    assert_non_null(address);
    node_open(&node[1], NULL);
    links_set_pace(node[1].links, &fast);
    assert_int_equal(links_dial(node[1].links, address, node[0].id), OK);
    RUN_UNTIL(node[1].up == 1);
    for (int i = 2; i < 5; i++) {
        node_close(&node[0]);
        RUN_UNTIL(node[1].up == 0);
        run_for(50);
        node_open(&node[0], address);
        RUN_UNTIL(node[1].ups == i && node[0].up == 1);
    }
    assert_string_equal(node[1].reason, "the peer closed it");
    assert_non_null(strstr(node[1].log, "cannot reach tcp://127.0.0.1:"));
    free(address);
    node[0].control_next = 0;
    assert_int_equal(send_text(&node[1], &node[0], 'c', 0, 100), OK);
    RUN_UNTIL(node[0].control_next == 1);
}

static void link_at_a_fast_pace(void)
{
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    links_set_pace(node[0].links, &fast);
    links_set_pace(node[1].links, &fast);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
}

/* A link without traffic stays up for many times what silence may last; the pings keep it. */
static void idle_links_stay(void **state)
{
    (void)state;
    link_at_a_fast_pace();
    run_for(5 * fast.dead_ms);
    assert_int_equal(node[0].downs + node[1].downs, 0);
    assert_true(node[0].up == 1 && node[1].up == 1);
}

/* Who was not let run hears nobody meanwhile, and blames nobody for it. */
static void a_standstill_ends_no_link(void **state)
{
    (void)state;
    link_at_a_fast_pace();
    for (int i = 0; i < 3; i++) {
        uv_sleep(2 * fast.dead_ms);
        run_for(fast.dead_ms / 2);
    }
    assert_int_equal(node[0].downs + node[1].downs, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    bool *due = prepare->data;
    if (!*due) return;
    *due = false;
    assert_int_equal(send_text(&node[1], &node[0], 'c', node[0].control_next, 100), OK);
    uv_sleep(2 * fast.dead_ms);
}

/* It may begin between the loop's timers and its sockets: what is then read is heard before the next tick. */
static void a_standstill_before_a_message_ends_no_link(void **state)
{
    uv_prepare_t prepare;
    bool due = false;
    (void)state;
    link_at_a_fast_pace();
    assert_int_equal(uv_prepare_init(&loop, &prepare), 0);
    prepare.data = &due;
    assert_int_equal(uv_prepare_start(&prepare, on_prepare), 0);
    for (int i = 0; i < 3; i++) {
        due = true;
        run_for(2 * fast.dead_ms);
        assert_false(due);
    }
    uv_close((uv_handle_t *)&prepare, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(node[0].downs + node[1].downs, 0);
}

/* --- Refusals ------------------------------------------------------------------------------------------- */

static void port_in_use(void **state)
{
    (void)state;
    struct links *kept;
    node_open(&node[0], "tcp://127.0.0.1:0");
    assert_int_equal(node_try(&node[1], node_address(&node[0])), ERR_BUSY);
    assert_null(node[1].links);
    assert_non_null(strstr(node[1].log, node_address(&node[0])));
    assert_non_null(strstr(node[1].log, "in use"));
    static const char *const bad[] = {
        "", "tcp://", "http://127.0.0.1:1", "127.0.0.1:7001", "inproc://x", "tcp://127.0.0.1:99999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(node_try(&node[1], bad[i]), OK);
        kept = node[1].links;
        assert_null(kept);
    }
    assert_int_equal(links_dial(node[0].links, "http://127.0.0.1:1", anybody), ERR_USAGE);
    assert_int_equal(links_dial(node[0].links, "tcp://127.0.0.1", anybody), ERR_USAGE);
    assert_int_equal(links_dial(node[0].links, "", anybody), ERR_USAGE);
}

static void wrong_consortium(void **state)
{
    (void)state;
    node[1].consortium.bytes[31] ^= 1;
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    links_set_pace(node[1].links, &fast);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(strstr(node[1].log, "left alone") != NULL);
    assert_non_null(strstr(node[1].log, "another consortium"));
    uint32_t accepted_before, tries = refused(&node[1]);
    struct links_status status;
    links_status(node[0].links, &status);
    accepted_before = status.accepted;
    assert_int_equal(tries, LINK_PENALTY_OFFENCES);
    run_for(300); /* not redialled */
    links_status(node[0].links, &status);
    assert_int_equal(status.accepted, accepted_before);
    assert_int_equal(refused(&node[1]), tries);
    assert_int_equal(node[0].ups + node[1].ups, 0);
}

static void wrong_node(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[2].id), OK);
    RUN_UNTIL(strstr(node[1].log, "another node answered") != NULL);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
    assert_int_equal(links_dial(node[0].links, node_address(&node[0]), anybody), OK);
    RUN_UNTIL(strstr(node[0].log, "ourselves") != NULL);
    assert_int_equal(node[0].up, 1);
}

static void garbage_and_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\xff\xff\xff\xff", 4},
        {"\0\0\0\0", 4},
        {"\0\0\0\x1f", 4},
        {"\0\0\0\x21", 4},
        {"\0\0\0\xa0", 4}, /* the length of message 3, too early */
    };
    struct links_pace pace = fast;
    pace.penalty_ms = 1;
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        raw_connect(&raw, &node[0]);
        raw_send(&raw, bad[i].bytes, bad[i].len);
        RAW_UNTIL(&raw, raw.eof);
        assert_int_equal(raw.len, 0);
        assert_int_equal(refused(&node[0]), i + 1);
        raw_close(&raw);
    }
    assert_non_null(strstr(node[0].log, "malformed handshake"));
    assert_int_equal(node[0].ups, 0);
}

static void truncated_handshakes(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    raw_connect(&raw, &node[0]); /* nothing at all */
    raw_close(&raw);
    raw_connect(&raw, &node[0]);
    raw_send(&raw, "\0\0\0\x20half", 8);
    raw_close(&raw);
    for (size_t len = 0; len < FINISH; len += 41) {
        raw_handshake(&raw, &node[0], &node[2], len);
        raw_close(&raw);
        run_for(20);
    }
    assert_int_equal(node[0].ups, 0);
    raw_up(&raw, &node[0]);
    raw_close(&raw);
    RUN_UNTIL(node[0].up == 0);
}

/* A proof made by another identity: the static key is the peer's, the node id is not. */
static void stolen_name(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    raw_handshake(&raw, &node[0], &node[1], FINISH);
    RAW_UNTIL(&raw, raw.eof);
    raw_close(&raw);
    assert_non_null(strstr(node[0].log, "proof does not hold"));
    assert_int_equal(node[0].ups, 0);
}

static void replayed_handshake_data(void **state)
{
    (void)state;
    uint8_t frame[LINK_FINISH_BYTES] = {0};
    node_open(&node[0], "tcp://127.0.0.1:0");
    raw_handshake(&raw, &node[0], &node[2], 0);
    raw_send_frame(&raw, SPAN_OF(frame)); /* right length, wrong bytes */
    RAW_UNTIL(&raw, raw.eof);
    raw_close(&raw);
    assert_non_null(strstr(node[0].log, "does not open"));
    assert_int_equal(node[0].ups, 0);
}

static int closed_count(struct raw *many, int count)
{
    int closed_so_far = 0;
    for (int i = 0; i < count; i++) {
        raw_poll(&many[i]);
        closed_so_far += many[i].eof;
    }
    return closed_so_far;
}

/* Of one address half of what may be half open: another still comes in. */
static void half_open_cap(void **state)
{
    (void)state;
    static struct raw many[8];
    struct links_pace pace = fast;
    pace.handshake_ms = 2000;
    pace.half_open_ms = 60000;
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    for (int i = 0; i < 8; i++) raw_connect_from(&many[i], &node[0], i < 4 ? 2 : i < 6 ? 3 : 4);
    RUN_UNTIL(closed_count(many, 8) >= 4);
    assert_int_equal(closed_count(many, 4), 2);
    assert_int_equal(closed_count(many + 4, 2), 0);
    assert_int_equal(closed_count(many + 6, 2), 2); /* all that may be are half open */
    assert_int_equal(refused(&node[0]), 4);
    for (int i = 0; i < 8; i++) RAW_UNTIL(&many[i], many[i].eof); /* the others run out of time */
    assert_non_null(strstr(node[0].log, "no handshake in time"));
    for (int i = 0; i < 8; i++) raw_close(&many[i]);
}

/* The one that has taken longest gives way, once it had the time for a handshake. */
static void half_open_gives_way(void **state)
{
    (void)state;
    static struct raw many[4];
    struct links_pace pace = fast;
    pace.handshake_ms = 60000;
    pace.half_open_ms = 0;
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    for (int i = 0; i < 4; i++) {
        raw_connect_from(&many[i], &node[0], (uint8_t)(2 + i));
        struct links_status status;
        RUN_UNTIL((links_status(node[0].links, &status), status.accepted == (uint32_t)i + 1));
    }
    raw_up(&raw, &node[0]);
    RAW_UNTIL(&many[0], many[0].eof);
    assert_non_null(strstr(node[0].log, "others wait"));
    assert_int_equal(closed_count(many, 4), 1);
    for (int i = 0; i < 4; i++) raw_close(&many[i]);
    raw_close(&raw);
}

/* Nobody gives way to one that comes too soon and is turned away itself. */
static void half_open_stays(void **state)
{
    (void)state;
    static struct raw many[4];
    struct links_status status;
    struct links_pace pace = fast;
    pace.handshake_ms = 60000;
    pace.half_open_ms = 0;
    pace.accept = (struct link_rate){.a_second = 0, .most = 4};
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    for (int i = 0; i < 4; i++) {
        raw_connect_from(&many[i], &node[0], (uint8_t)(2 + i));
        RUN_UNTIL((links_status(node[0].links, &status), status.accepted == (uint32_t)i + 1));
    }
    raw_connect_from(&raw, &node[0], 6);
    RAW_UNTIL(&raw, raw.eof);
    assert_int_equal(refused(&node[0]), 1);
    assert_null(strstr(node[0].log, "others wait"));
    assert_int_equal(closed_count(many, 4), 0);
    for (int i = 0; i < 4; i++) raw_close(&many[i]);
    raw_close(&raw);
}

/* Three offences shut the address out. */
static void address_shut_out(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &fast);
    for (int i = 0; i < 3; i++) {
        raw_connect(&raw, &node[0]);
        raw_send(&raw, "nonsense", 8);
        RAW_UNTIL(&raw, raw.eof);
        raw_close(&raw);
    }
    assert_non_null(strstr(node[0].log, "left alone"));
    struct links_status before, after;
    links_status(node[0].links, &before);
    raw_connect(&raw, &node[0]);
    RAW_UNTIL(&raw, raw.eof);
    raw_close(&raw);
    links_status(node[0].links, &after);
    assert_int_equal(after.accepted, before.accepted);
    assert_int_equal(after.refused, before.refused + 1);
}

/* Not an address behind which a proven peer is linked, and the log does not say so. */
static void address_of_a_peer(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1);
    for (int i = 0; i < 4; i++) {
        raw_connect(&raw, &node[0]);
        raw_send(&raw, "nonsense", 8);
        RAW_UNTIL(&raw, raw.eof);
        raw_close(&raw);
    }
    assert_int_equal(refused(&node[0]), 4);
    assert_non_null(strstr(node[0].log, "ended"));
    assert_null(strstr(node[0].log, "left alone"));
    raw_up(&raw, &node[0]);
    raw_close(&raw);
}

/* One address gets half of what all may, and whoever is turned away takes nothing from the others. */
static void accept_rate(void **state)
{
    (void)state;
    static const struct {
        uint8_t from;
        bool let_in;
    } come[] = {{2, true}, {2, false}, {2, false}, {2, false}, {3, true}, {4, false}};
    struct links_pace pace = fast;
    uint32_t let_in = 0;
    pace.accept = (struct link_rate){.a_second = 0, .most = 2};
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    for (size_t i = 0; i < sizeof come / sizeof come[0]; i++) {
        struct links_status status;
        raw_connect_from(&raw, &node[0], come[i].from);
        RUN_UNTIL((links_status(node[0].links, &status), status.accepted + status.refused == i + 1));
        let_in += come[i].let_in;
        assert_int_equal(status.accepted, let_in);
        raw_close(&raw);
        run_for(20); /* it sees that it is closed, before more come */
    }
}

/* What peers do fills no disk with lines. */
static void lines_are_few(void **state)
{
    (void)state;
    struct links_pace pace = fast;
    pace.lines = (struct link_rate){.a_second = 0, .most = 1};
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    for (int i = 0; i < 2; i++) {
        raw_connect(&raw, &node[0]);
        raw_send(&raw, "nonsense", 8);
        RAW_UNTIL(&raw, raw.eof);
        raw_close(&raw);
    }
    const char *line = strstr(node[0].log, "ended");
    assert_non_null(line);
    assert_null(strstr(line + 1, "ended"));
    assert_int_equal(refused(&node[0]), 2);
}

/* Nobody is waited for who says on and takes nothing. */
static void deaf_peer_is_dropped(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 20];
    struct links_pace pace = fast;
    pace.dead_ms = 2000; /* longer than a busy machine may keep this loop from hearing the pings */
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    raw_up(&raw, &node[0]);
    for (int i = 0; i < 16; i++)
        assert_int_equal(links_send(node[0].links, node[2].id, SPAN_OF(bytes), true), OK);
    RUN_UNTIL((raw_send_ping(&raw), node[0].up == 0));
    assert_string_equal(node[0].reason, "it has read nothing for too long");
    raw_close(&raw);
}

enum fault { FAULT_FLAGS, FAULT_EMPTY, FAULT_LONG, FAULT_SEAL, FAULT_SHORT, FAULT_HUGE, FAULT_COUNT };

static void commit_fault(struct raw *r, enum fault fault)
{
    uint8_t bytes[64] = {0};
    switch (fault) {
    case FAULT_FLAGS: raw_send_piece(r, 4 | LINK_LAST, 10); return;
    case FAULT_EMPTY: raw_send_piece(r, LINK_LAST, 0); return;
    case FAULT_LONG:
        for (int i = 0; i < 17; i++) {
            raw_send_piece(r, LINK_BULK, LINK_PIECE_MAX);
            run_for(5);
        }
        return;
    case FAULT_SEAL: raw_send_frame(r, SPAN_OF(bytes)); return;
    case FAULT_SHORT: raw_send_frame(r, span_make(bytes, LINK_FRAME_MIN - 1)); return;
    case FAULT_HUGE: raw_send(r, "\0\1\0\0", 4); return;
    case FAULT_COUNT: return;
    }
}

static void proven_peer_breaks_framing(void **state)
{
    (void)state;
    static const char *const reason[FAULT_COUNT] = {
        "malformed frame",       "malformed frame", "a message larger than a message may be",
        "a frame does not open", "malformed frame", "malformed frame"};
    struct links_pace pace = fast;
    pace.penalty_ms = 1;
    pace.dead_ms = PATIENCE_MS;
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        raw_up(&raw, &node[0]);
        raw_send_piece(&raw, 0, 0); /* a ping is no message */
        commit_fault(&raw, (enum fault)fault);
        RAW_UNTIL(&raw, raw.eof);
        raw_close(&raw);
        assert_int_equal(node[0].up, 0);
        assert_string_equal(node[0].reason, reason[fault]);
        assert_int_equal(refused(&node[0]), fault + 1);
        run_for(5);
    }
    assert_int_equal(node[0].control_next + node[0].bulk_next, 0);
    assert_false(node[0].wrong); /* nothing was delivered */
}

static void proven_peer_shut_out(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    for (int i = 0; i < 3; i++) {
        raw_up(&raw, &node[0]);
        commit_fault(&raw, FAULT_FLAGS);
        RAW_UNTIL(&raw, raw.eof);
        raw_close(&raw);
    }
    raw_handshake(&raw, &node[0], &node[2], FINISH);
    RAW_UNTIL(&raw, raw.eof);
    raw_close(&raw);
    assert_int_equal(node[0].ups, 3);
    assert_non_null(strstr(node[0].log, "broke the rules a moment ago"));
    node_open(&node[1], NULL); /* others at the same address are welcome */
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1);
}

/* What the core finds malformed counts as broken framing does. */
static void malformed_messages_shut_out(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    for (int i = 0; i < 3; i++) {
        raw_up(&raw, &node[0]);
        RUN_UNTIL(node[0].up == 1);
        links_offend(node[0].links, node[2].id, "a malformed message");
        assert_int_equal(node[0].up, 0);
        assert_string_equal(node[0].reason, "a malformed message");
        links_offend(node[0].links, node[2].id, "a malformed message"); /* there is no link: nothing */
        RAW_UNTIL(&raw, raw.eof);
        raw_close(&raw);
    }
    assert_int_equal(refused(&node[0]), 3);
    raw_handshake(&raw, &node[0], &node[2], FINISH);
    RAW_UNTIL(&raw, raw.eof);
    raw_close(&raw);
    assert_int_equal(node[0].ups, 3);
}

static void silent_peer_is_pinged_then_dropped(void **state)
{
    (void)state;
    uint8_t plain[64];
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &fast);
    raw_up(&raw, &node[0]);
    RAW_UNTIL(&raw, raw.eof);
    assert_string_equal(node[0].reason, "nothing heard for too long");
    assert_true(raw.len >= 2 * (LINK_LENGTH_BYTES + LINK_FRAME_MIN));
    assert_int_equal(load_u32(raw.in), LINK_FRAME_MIN);
    assert_int_equal(noise_decrypt(raw.noise, plain, span_make(raw.in + LINK_LENGTH_BYTES, LINK_FRAME_MIN)),
                     OK);
    assert_int_equal(plain[0], 0);
    raw_close(&raw);
}

/* The newer of two links that a peer dialled is the one it has. */
static void returning_peer(void **state)
{
    (void)state;
    static struct raw first;
    node_open(&node[0], "tcp://127.0.0.1:0");
    raw_up(&first, &node[0]);
    raw_handshake(&raw, &node[0], &node[2], FINISH);
    RAW_UNTIL(&first, first.eof);
    assert_int_equal(node[0].up, 1);
    assert_int_equal(node[0].ups, 2);
    assert_int_equal(node[0].downs, 1);
    raw_close(&first);
    raw_close(&raw);
    RUN_UNTIL(node[0].up == 0);
}

/* --- Closing -------------------------------------------------------------------------------------------- */

static void close_in_the_middle(void **state)
{
    (void)state;
    static struct raw waiting[3];
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    char text[64];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(silent, 4), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(text, sizeof text, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    assert_int_equal(links_dial(node[0].links, text, anybody), OK); /* connected, never answered */
    assert_int_equal(links_dial(node[0].links, "tcp://127.0.0.1:1", anybody), OK); /* refused */
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), anybody), OK);
    for (int i = 0; i < 3; i++) raw_connect(&waiting[i], &node[0]);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
    for (uint32_t i = 0; i < 8; i++) assert_int_equal(send_text(&node[0], &node[1], 'b', i, BIG_BYTES), OK);
    node_close(&node[0]);
    node_open(&node[0], NULL); /* and at once after opening, with a dial that has just begun */
    assert_int_equal(links_dial(node[0].links, text, anybody), OK);
    node_close(&node[0]);
    for (int i = 0; i < 3; i++) raw_close(&waiting[i]);
    (void)close(silent);
}

static void close_from_a_message(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1);
    node[0].close_on_message = node[0].links;
    for (uint32_t i = 0; i < 5; i++) assert_int_equal(send_text(&node[1], &node[0], 'c', i, 100), OK);
    RUN_UNTIL(node[0].closed);
    node[0].links = NULL;
    assert_int_equal(node[0].control_next, 1);
}

/* --- Parts ---------------------------------------------------------------------------------------------- */

static void penalties(void **state)
{
    (void)state;
    static struct link_penalty p;
    struct hash32 who = link_penalty_address("192.0.2.1");
    assert_false(link_penalty_holds(&p, who, 1));
    assert_false(link_penalty_add(&p, who, 1000, 30000));
    assert_false(link_penalty_add(&p, who, 2000, 30000));
    assert_false(link_penalty_holds(&p, who, 2000));
    assert_true(link_penalty_add(&p, who, 3000, 30000));
    for (uint64_t t = 3000; t < 3010; t++) /* it is left alone already */
        assert_false(link_penalty_add(&p, who, t, 30000));
    assert_true(link_penalty_holds(&p, who, 32999));
    assert_false(link_penalty_holds(&p, who, 33000));
    assert_false(link_penalty_holds(&p, link_penalty_address("192.0.2.2"), 3000));
    struct hash32 slow = link_penalty_node(node[0].id);
    for (uint64_t t = 1; t < 10; t++) /* rare offences are forgotten */
        assert_false(link_penalty_add(&p, slow, 5000 + t * (LINK_PENALTY_MEMORY_MS + 1), 30000));
    for (uint32_t i = 0; i < 3 * LINK_PENALTY_ROWS;
         i++) { /* a crowd pushes the oldest out, and nothing breaks */
        struct node_id id = {{(uint8_t)i, (uint8_t)(i >> 8), 1}};
        assert_false(link_penalty_add(&p, link_penalty_node(id), 1000000 + i, 30000));
    }
    assert_false(link_penalty_holds(&p, slow, 1000000));
}

static void pieces(void **state)
{
    (void)state;
    struct link_pieces p = {0};
    struct span m;
    assert_int_equal(link_pieces_add(&p, &m, SPAN_NONE), ERR_TRUNCATED);
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\0")), OK);
    assert_null(m.data);
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\1one")), OK);
    assert_true(span_equal_text(m, "one"));
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\2bu")), OK);
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\0con")), OK);
    assert_null(m.data);
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\0")), OK); /* a ping in between */
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\1trol")), OK);
    assert_true(span_equal_text(m, "control"));
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\3lk")), OK);
    assert_true(span_equal_text(m, "bulk"));
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\1")), ERR_SYNTAX);
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\2")), ERR_SYNTAX);
    assert_int_equal(link_pieces_add(&p, &m, SPAN_LITERAL("\4x")), ERR_SYNTAX);
    link_pieces_free(&p);
}

/* --- Through a relay ------------------------------------------------------------------------------------ */

static bool relayed(const struct node *n, const struct node *peer, const struct node *relay)
{
    struct node_id via;
    return links_via(n->links, peer->id, &via) && ID_EQUAL(via, relay->id);
}

/* A busy machine may let a quarter of a second pass. */
static struct links_pace patient;

static void be_patient(struct node *n)
{
    patient = fast;
    patient.dead_ms = 4000;
    patient.handshake_ms = 4000;
    links_set_pace(n->links, &patient);
}

/* Node 2 relays, nodes 0 and 1 only dial it, on ports of nobody's. */
static void relay_open(const char *listen)
{
    node[2].relay_tunnels = 4;
    node[2].relay_rate = 64 << 20;
    node_open(&node[2], listen);
    be_patient(&node[2]);
}

static void two_through_a_relay(void)
{
    relay_open("tcp://127.0.0.1:0");
    for (int i = 0; i < 2; i++) {
        node_open(&node[i], NULL);
        be_patient(&node[i]);
        assert_int_equal(links_dial(node[i].links, node_address(&node[2]), node[2].id), OK);
    }
    RUN_UNTIL(node[0].up == 2 && node[1].up == 2);
    assert_true(relayed(&node[0], &node[1], &node[2]) && relayed(&node[1], &node[0], &node[2]));
}

/* A port that takes connections and says nothing. */
static int mute_listen(char address[64])
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t len = sizeof own;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
    (void)snprintf(address, 64, "tcp://127.0.0.1:%u", ntohs(own.sin_port));
    return fd;
}

/* Where one is said to be something else answers: no link comes of that, and so one comes through the relay. */
static void an_address_where_another_answers_keeps_no_tunnel_away(void **state)
{
    (void)state;
    char address[64];
    const int mute = mute_listen(address);
    relay_open("tcp://127.0.0.1:0");
    for (int i = 0; i < 2; i++) {
        node_open(&node[i], NULL);
        links_set_pace(node[i].links, &fast);
        assert_int_equal(links_dial_for_now(node[i].links, address, node[1 - i].id), OK);
        assert_int_equal(links_dial(node[i].links, node_address(&node[2]), node[2].id), OK);
    }
    RUN_UNTIL(node[0].up == 2 && node[1].up == 2);
    assert_true(relayed(&node[0], &node[1], &node[2]));
    (void)close(mute);
}

static void through_a_relay(void **state)
{
    (void)state;
    struct links_status status;
    two_through_a_relay();
    for (uint32_t i = 0; i < BIG_COUNT; i++) {
        assert_int_equal(send_text(&node[0], &node[1], 'b', i, BIG_BYTES), OK);
        assert_int_equal(send_text(&node[1], &node[0], 'b', i, BIG_BYTES), OK);
    }
    assert_int_equal(send_text(&node[0], &node[1], 'm', 0, 5), OK);
    assert_int_equal(send_text(&node[1], &node[2], 'c', 0, 5), OK);
    RUN_UNTIL(node[0].bulk_next == BIG_COUNT && node[1].bulk_next == BIG_COUNT && node[2].control_next == 1);
    assert_false(node[0].wrong || node[1].wrong);
    assert_true(node[1].marker && node[1].bulk_seen_at_marker < BIG_COUNT);
    links_status(node[2].links, &status);
    assert_int_equal(status.tunnels, 1);
    assert_int_equal(status.tunnels_total, 1);
    assert_int_equal(status.up, 2);
    assert_true(status.tunnel_bytes > 2 * (uint64_t)BIG_COUNT * BIG_BYTES);
    links_status(node[0].links, &status);
    assert_int_equal(status.up, 2);
    assert_int_equal(status.relayed, 1);
    run_for(3 * patient.dead_ms / 2); /* pings keep it */
    assert_int_equal(node[0].downs + node[1].downs, 0);
}

static uint32_t asks_of(const struct node *n)
{
    const struct link_wire *w = links_find(node[2].links, n->id);
    return w != NULL ? w->asks_count : 0;
}

/* Parties change with runs: what was for those of an earlier one takes no place at the relay. */
static void a_tunnel_that_is_not_needed(void **state)
{
    (void)state;
    node[3].standing = LINK_MEMBER; /* it is not there */
    two_through_a_relay();
    RUN_UNTIL(asks_of(&node[0]) == 1);
    node[3].unneeded = true;
    RUN_UNTIL(asks_of(&node[0]) == 0);
    assert_true(relayed(&node[0], &node[1], &node[2]));
    node[0].unneeded = node[1].unneeded = true;
    RUN_UNTIL(node[0].up == 1 && node[1].up == 1 && node[2].links->status.tunnels == 0);
    run_for(300);
    assert_int_equal(asks_of(&node[0]) + asks_of(&node[1]), 0);
    assert_int_equal(node[2].links->status.tunnels_total, 1);
    node[0].unneeded = node[1].unneeded = false;
    RUN_UNTIL(node[0].up == 2 && node[1].up == 2);
}

static void the_relay_comes_back(void **state)
{
    (void)state;
    two_through_a_relay();
    const char *address = node_address(&node[2]); /* as long as nobody asks again */
    node_close(&node[2]);
    RUN_UNTIL(node[0].up == 0 && node[1].up == 0);
    relay_open(address);
    RUN_UNTIL(node[0].up == 2 && node[1].up == 2);
    assert_true(relayed(&node[0], &node[1], &node[2]));
}

static void direct_takes_over(void **state)
{
    (void)state;
    two_through_a_relay();
    node_close(&node[0]);
    RUN_UNTIL(node[1].up == 1);
    node_open(&node[0], "tcp://127.0.0.1:0");
    be_patient(&node[0]);
    assert_int_equal(links_dial(node[0].links, node_address(&node[2]), node[2].id), OK);
    RUN_UNTIL(node[0].up == 2 && node[1].up == 2);
    assert_true(relayed(&node[0], &node[1], &node[2]));
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), anybody), OK);
    RUN_UNTIL(node[0].up == 2 && node[1].up == 2 && !relayed(&node[0], &node[1], &node[2]) &&
              !relayed(&node[1], &node[0], &node[2]));
    const int ups = node[0].ups;
    RUN_UNTIL(node[2].links->status.tunnels == 0);
    run_for(300);
    assert_int_equal(node[0].ups, ups);
    assert_int_equal(node[2].links->status.tunnels_total, 2);
}

/* --- Places --------------------------------------------------------------------------------------------- */

/* Of node 0: two for strangers, two for devices, one kept for custodians. Its guests are by hand, and say nothing. */
enum { PLACES = 8 };
static struct raw guest[NODES];

static void places_open_for(uint32_t stay_ms)
{
    struct links_pace pace = links_pace_usual;
    pace.places = PLACES;
    pace.kept = 1;
    pace.stay_ms = stay_ms;
    pace.dead_ms = 100 * PATIENCE_MS;
    node_open(&node[0], "tcp://127.0.0.1:0");
    links_set_pace(node[0].links, &pace);
}

static void places_open(void)
{
    places_open_for(100 * PATIENCE_MS);
}

static bool is_up(int i)
{
    return links_find(node[0].links, node[i].id) != NULL;
}

static void guest_comes(int i, enum link_standing as)
{
    node[i].standing = as;
    guest[i].self = &node[i];
    raw_handshake(&guest[i], &node[0], &node[i], FINISH);
}

static void guests_stay(int first, int last, enum link_standing as)
{
    for (int i = first; i <= last; i++) {
        guest_comes(i, as);
        RUN_UNTIL(is_up(i));
    }
}

static void guest_is_refused(int i, enum link_standing as, const char *why)
{
    const uint32_t before = refused(&node[0]);
    node[0].log[0] = '\0';
    guest_comes(i, as);
    RAW_UNTIL(&guest[i], guest[i].eof);
    raw_close(&guest[i]);
    guest[i].fd = 0;
    assert_non_null(strstr(node[0].log, why));
    assert_int_equal(refused(&node[0]), before + 1);
    assert_false(is_up(i));
}

/* Without blame: nobody was refused, and the log says why. */
static void guest_gave_way(int i)
{
    RAW_UNTIL(&guest[i], guest[i].eof);
    assert_false(is_up(i));
    assert_string_equal(node[0].reason, "its place goes to a node that comes before it");
    assert_non_null(strstr(node[0].log, node[0].reason));
}

static void guests_close(void)
{
    for (int i = 0; i < NODES; i++) {
        if (guest[i].fd != 0) raw_close(&guest[i]);
        guest[i].fd = 0;
    }
}

static const char no_place[] = "as many links are up as there may be";
static const char no_strangers_place[] = "as many links with strangers are up as there may be";
static const char no_devices_place[] = "as many links with devices are up as there may be";

static void strangers_have_a_quarter(void **state)
{
    (void)state;
    places_open();
    guests_stay(4, 5, LINK_STRANGER);
    guest_is_refused(6, LINK_STRANGER, no_strangers_place);
    guests_stay(1, 1, LINK_MEMBER);
    raw.self = &node[4]; /* one that comes again has a place */
    raw_handshake(&raw, &node[0], &node[4], FINISH);
    RAW_UNTIL(&guest[4], guest[4].eof);
    RUN_UNTIL(is_up(4));
    assert_true(is_up(5) && node[0].up == 3);
    node[5].standing = LINK_MEMBER; /* admitted since */
    guests_stay(6, 6, LINK_STRANGER);
    assert_int_equal(node[0].downs, 1);
    raw_close(&raw);
    raw.self = NULL;
    guests_close();
}

/* So that who comes has its time, too: but not of whom our configuration names, nor of members. */
static void who_stays_longest_gives_way(void **state)
{
    (void)state;
    places_open_for(50);
    assert_int_equal(links_dial(node[0].links, "tcp://127.0.0.1:1", node[4].id), OK);
    guests_stay(4, 5, LINK_STRANGER);
    guests_stay(6, 7, LINK_DEVICE);
    run_for(100);
    guests_stay(8, 8, LINK_STRANGER);
    guest_gave_way(5);
    assert_true(is_up(4) && is_up(6) && is_up(7));
    guests_stay(9, 9, LINK_DEVICE);
    guest_gave_way(6);
    assert_true(is_up(4) && is_up(7) && is_up(8));
    guests_close();
}

static void devices_have_a_quarter(void **state)
{
    (void)state;
    places_open();
    guests_stay(4, 5, LINK_STRANGER);
    guests_stay(6, 7, LINK_DEVICE);
    guest_is_refused(8, LINK_DEVICE, no_devices_place);
    guest_is_refused(9, LINK_STRANGER, no_strangers_place);
    guests_stay(8, 8, LINK_MEMBER);
    assert_int_equal(node[0].downs, 0);
    guests_close();
}

/* Members that were removed since are strangers, more than could come as such: all but the place that is kept. */
static void strangers_give_way(void **state)
{
    (void)state;
    places_open();
    guests_stay(4, 10, LINK_MEMBER);
    for (int i = 4; i <= 10; i++) node[i].standing = LINK_STRANGER;
    guests_stay(1, 1, LINK_MEMBER);
    guest_gave_way(10);
    node_open(&node[2], "tcp://127.0.0.1:0");
    assert_int_equal(links_dial(node[0].links, node_address(&node[2]), node[2].id), OK);
    RUN_UNTIL(is_up(2));
    guest_gave_way(9);
    guests_stay(3, 3, LINK_DEVICE);
    guest_gave_way(8);
    for (int i = 4; i <= 7; i++) node[i].standing = LINK_MEMBER;
    guests_stay(11, 11, LINK_MEMBER); /* and devices, where there is no stranger */
    guest_gave_way(3);
    assert_int_equal(refused(&node[0]), 0);
    assert_int_equal(node[0].up, PLACES - 1);
    guests_close();
}

static void members_leave_custodians_their_places(void **state)
{
    (void)state;
    places_open();
    guests_stay(4, 10, LINK_MEMBER);
    guest_is_refused(11, LINK_MEMBER, no_place);
    guest_is_refused(11, LINK_DEVICE, no_place);
    guest_is_refused(11, LINK_STRANGER, no_place);
    guests_stay(1, 1, LINK_CUSTODIAN);
    guest_is_refused(11, LINK_MEMBER, no_place);
    guest_is_refused(11, LINK_CUSTODIAN, no_place); /* more than a charter names: members stay */
    assert_int_equal(node[0].downs, 0);
    raw_close(&guest[10]);
    guest[10].fd = 0;
    RUN_UNTIL(!is_up(10));
    guests_stay(11, 11, LINK_MEMBER); /* the place that was kept is taken: no other is */
    guests_close();
}

/* Who was told whom to dial finds it, though it knows no member yet. */
static void strangers_give_way_to_who_is_named(void **state)
{
    (void)state;
    places_open();
    guests_stay(4, 5, LINK_STRANGER);
    node_open(&node[2], "tcp://127.0.0.1:0");
    node[2].standing = LINK_STRANGER;
    assert_int_equal(links_dial(node[0].links, node_address(&node[2]), anybody), OK);
    RUN_UNTIL(is_up(2));
    guest_gave_way(5);
    guest_is_refused(5, LINK_STRANGER, no_strangers_place);
    for (int i = 6; i <= 7; i++)
        assert_int_equal(links_dial(node[0].links, "tcp://127.0.0.1:1", node[i].id), OK);
    guests_stay(6, 6, LINK_STRANGER); /* it was quicker to dial */
    guest_gave_way(4);
    guest_is_refused(7, LINK_STRANGER, no_strangers_place);
    assert_int_equal(node[0].up, 2);
    guests_close();
}

/* The relay is the only one that a member could take the place of, and what that member comes through. */
static void a_relay_gives_way_to_nobody_behind_it(void **state)
{
    (void)state;
    places_open();
    guests_stay(4, 9, LINK_MEMBER);
    node[2].standing = LINK_STRANGER;
    node[2].relay_tunnels = 4;
    node[2].relay_rate = 64 << 20;
    node_open(&node[2], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(links_dial(node[i].links, node_address(&node[2]), node[2].id), OK);
    RUN_UNTIL(strstr(node[0].log, no_place) != NULL);
    assert_true(is_up(2));
    assert_int_equal(node[0].downs, 0);
    node[9].standing = LINK_STRANGER;
    node[2].standing = LINK_MEMBER;
    RUN_UNTIL(relayed(&node[0], &node[1], &node[2]));
    guest_gave_way(9);
    assert_int_equal(node[0].downs, 1);
    guests_close();
}

/* --- A relay, or an end, by hand -------------------------------------------------------------------------- */

enum { TAP_COUNT = 3, TAP_PING_MS = 50 };

/* One side by hand of a direct link: says what it likes in tunnels. */
struct tap {
    struct raw r;
    uint64_t pinged_ms, bytes, room, room_first;
    uint32_t asks, opens, closes, offers;
    struct node_id about; /* the last ask, open or close */
};
static struct tap tap[TAP_COUNT];

static void tap_up(struct tap *t, struct node *to, const struct node *self)
{
    const int up = to->up;
    memset(t, 0, sizeof *t);
    t->r.self = self;
    raw_handshake(&t->r, to, self, FINISH);
    RUN_UNTIL(to->up == up + 1);
}

static void tap_say(struct tap *t, struct link_tunnel_frame f)
{
    static uint8_t plain[1 + LINK_TUNNEL_FRAME_MAX], sealed[LINK_FRAME_MAX];
    struct buffer b = buffer_make(plain, sizeof plain);
    buffer_put_u8(&b, LINK_TUNNEL);
    link_tunnel_put(&b, &f);
    assert_int_equal(noise_encrypt(t->r.noise, sealed, buffer_span(&b)), OK);
    raw_send_frame(&t->r, span_make(sealed, b.len + NOISE_TAG_BYTES));
}

static void tap_bytes(struct tap *t, struct node_id about, size_t len)
{
    static const uint8_t zeros[LINK_TUNNEL_BYTES_MAX];
    tap_say(t,
            (struct link_tunnel_frame){.type = TUNNEL_BYTES, .node = about, .bytes = span_make(zeros, len)});
}

/* The next frame of a tunnel that has arrived; it lives until the next call. */
static bool tap_next(struct tap *t, struct link_tunnel_frame *f)
{
    static uint8_t plain[LINK_FRAME_MAX];
    struct span frame;
    if (t->r.fd == 0) return false;
    raw_poll(&t->r);
    for (;;) {
        struct cursor c = cursor_make(span_make(t->r.in, t->r.len));
        if (link_frame_next(&c, &frame, LINK_FRAME_MIN, LINK_FRAME_MAX) != OK) return false;
        const size_t len = frame.len - NOISE_TAG_BYTES, used = LINK_LENGTH_BYTES + frame.len;
        assert_int_equal(noise_decrypt(t->r.noise, plain, frame), OK);
        memmove(t->r.in, t->r.in + used, t->r.len - used);
        t->r.len -= used;
        if (plain[0] != LINK_TUNNEL) continue;
        assert_int_equal(link_tunnel_read(f, span_make(plain + 1, len - 1)), OK);
        t->bytes += f->bytes.len;
        if (f->type == TUNNEL_ROOM && t->room_first == 0) t->room_first = f->room;
        t->room += f->room;
        t->asks += f->type == TUNNEL_ASK;
        t->opens += f->type == TUNNEL_OPEN;
        t->closes += f->type == TUNNEL_CLOSE;
        t->offers += f->type == TUNNEL_OFFER;
        if (f->type != TUNNEL_BYTES && f->type != TUNNEL_ROOM) t->about = f->node;
        return true;
    }
}

static void tap_ping(struct tap *t)
{
    if (t->r.fd == 0 || uv_now(&loop) - t->pinged_ms < TAP_PING_MS) return;
    t->pinged_ms = uv_now(&loop);
    raw_send_ping(&t->r);
}

static void taps_listen(void)
{
    struct link_tunnel_frame f;
    for (int i = 0; i < TAP_COUNT; i++) {
        tap_ping(&tap[i]);
        while (tap_next(&tap[i], &f)) {
        }
    }
}

#define TAPS_UNTIL(condition) RUN_UNTIL((taps_listen(), (condition)))

static void taps_close(void)
{
    for (int i = 0; i < TAP_COUNT; i++) {
        if (tap[i].r.fd != 0) raw_close(&tap[i].r);
    }
    memset(tap, 0, sizeof tap);
}

/* --- Hostile ends ----------------------------------------------------------------------------------------- */

static void tap_ask(struct tap *t, struct node_id whom)
{
    tap_say(t, (struct link_tunnel_frame){.type = TUNNEL_ASK, .node = whom});
}

/* Node 0 relays; nodes 1, 2 and 3 are by hand. */
static void relay_by_itself(uint32_t tunnels, uint32_t rate)
{
    node[0].relay_tunnels = tunnels;
    node[0].relay_rate = rate;
    node_open(&node[0], "tcp://127.0.0.1:0");
    be_patient(&node[0]);
    for (int i = 0; i < TAP_COUNT; i++) tap_up(&tap[i], &node[0], &node[1 + i]);
}

static void tunnel_between(int one, int other)
{
    tap_ask(&tap[one], node[1 + other].id);
    tap_ask(&tap[other], node[1 + one].id);
    TAPS_UNTIL(tap[one].opens == 1 && tap[other].opens == 1);
}

/* Its asks stand and open nothing, until it is a member. */
static void no_tunnel_for_a_stranger(void **state)
{
    (void)state;
    node[1].standing = LINK_STRANGER;
    relay_by_itself(4, 1 << 20);
    tap_ask(&tap[0], node[2].id);
    tap_ask(&tap[1], node[1].id);
    tap_ask(&tap[1], node[3].id);
    tap_ask(&tap[2], node[2].id);
    TAPS_UNTIL(tap[2].opens == 1); /* said after the others, and opened */
    const uint64_t turns = node[0].links->asks_turn + 2 * (TAP_COUNT + 1);
    TAPS_UNTIL(node[0].links->asks_turn >= turns);
    assert_int_equal(tap[0].opens, 0);
    assert_int_equal(tap[1].opens, 1);
    node[1].standing = LINK_MEMBER;
    TAPS_UNTIL(tap[0].opens == 1 && tap[1].opens == 2);
    node[1].standing = LINK_STRANGER; /* and as long as it is one */
    TAPS_UNTIL(tap[0].closes == 1 && tap[1].closes == 1);
    assert_int_equal(node[0].links->status.tunnels, 1);
    taps_close();
}

static void tunnels_have_their_part(void **state)
{
    (void)state;
    relay_by_itself(2, 1 << 20); /* one for each node */
    tunnel_between(0, 1);
    tap_ask(&tap[0], node[3].id);
    tap_ask(&tap[2], node[1].id);
    const uint64_t turns = node[0].links->asks_turn + 2 * (TAP_COUNT + 1);
    TAPS_UNTIL(node[0].links->asks_turn >= turns);
    assert_int_equal(tap[2].opens, 0);
    tap_say(&tap[1], (struct link_tunnel_frame){.type = TUNNEL_CLOSE, .node = node[1].id});
    TAPS_UNTIL(tap[0].closes == 1 && tap[2].opens == 1 && tap[0].opens == 2);
    for (uint32_t i = 0; i < CAP_PEERS + 1; i++) {
        struct node_id somebody = {{(uint8_t)i, (uint8_t)(i >> 8), 9}};
        if (!tap[1].r.eof) tap_ask(&tap[1], somebody);
    }
    TAPS_UNTIL(tap[1].r.eof);
    assert_non_null(strstr(node[0].log, "it asks for more tunnels"));
    assert_false(tap[0].r.eof || tap[2].r.eof);
    taps_close();
}

/* No more than a window waits for the other end, and whoever sends on without room is cut off. */
static void a_flooded_tunnel(void **state)
{
    (void)state;
    relay_by_itself(4, 1 << 20);
    tunnel_between(0, 1);
    tap_bytes(&tap[2], node[1].id, 100); /* of a tunnel that is not there: nothing */
    size_t sent = 0;
    for (; sent + link_tunnel_cost(LINK_TUNNEL_BYTES_MAX) <= LINK_TUNNEL_WINDOW;
         sent += link_tunnel_cost(LINK_TUNNEL_BYTES_MAX)) {
        tap_bytes(&tap[0], node[2].id, LINK_TUNNEL_BYTES_MAX);
        TAPS_UNTIL(tap[1].bytes >= sent - sent / LINK_TUNNEL_BYTES_MAX * LINK_TUNNEL_HEAD_BYTES);
    }
    const uint64_t whole = sent / link_tunnel_cost(LINK_TUNNEL_BYTES_MAX) * LINK_TUNNEL_BYTES_MAX;
    TAPS_UNTIL(tap[1].bytes == whole);
    assert_false(tap[0].r.eof);
    tap_bytes(&tap[0], node[2].id, LINK_TUNNEL_BYTES_MAX);
    TAPS_UNTIL(tap[0].r.eof && tap[1].closes == 1);
    assert_int_equal(tap[1].bytes, whole);
    assert_non_null(strstr(node[0].log, "it sent more through a tunnel than it may hold"));
    assert_false(tap[1].r.eof || tap[2].r.eof);
    assert_int_equal(node[0].links->status.tunnels, 0);
    taps_close();
}

static void room_that_was_not_taken(void **state)
{
    (void)state;
    relay_by_itself(4, 1 << 20);
    tunnel_between(0, 1);
    tap_bytes(&tap[0], node[2].id, 1000);
    TAPS_UNTIL(tap[1].bytes == 1000);
    const struct link_tunnel_frame right = {
        .type = TUNNEL_ROOM, .node = node[1].id, .room = link_tunnel_cost(1000)};
    tap_say(&tap[1], right);
    TAPS_UNTIL(tap[0].room == right.room);
    tap_say(&tap[1], (struct link_tunnel_frame){.type = TUNNEL_ROOM, .node = node[1].id, .room = 1});
    TAPS_UNTIL(tap[1].r.eof && tap[0].closes == 1);
    assert_false(tap[0].r.eof);
    taps_close();
}

/* A tunnel gets half of the rate at most, and all that it is owed in the end. */
static void room_at_a_rate(void **state)
{
    (void)state;
    enum { RATE = 200000, FRAMES = 15 };
    relay_by_itself(4, RATE);
    tunnel_between(0, 1);
    for (int i = 0; i < FRAMES; i++) {
        tap_bytes(&tap[0], node[2].id, LINK_TUNNEL_BYTES_MAX);
        TAPS_UNTIL(tap[1].bytes == (uint64_t)(i + 1) * LINK_TUNNEL_BYTES_MAX);
    }
    const uint32_t owed = FRAMES * link_tunnel_cost(LINK_TUNNEL_BYTES_MAX);
    tap_say(&tap[1], (struct link_tunnel_frame){.type = TUNNEL_ROOM, .node = node[1].id, .room = owed});
    TAPS_UNTIL(tap[0].room_first > 0);
    assert_int_equal(tap[0].room_first, RATE / 2);
    TAPS_UNTIL(tap[0].room == owed);
    taps_close();
}

static void an_idle_tunnel(void **state)
{
    (void)state;
    relay_by_itself(4, 1 << 20);
    links_set_pace(node[0].links, &fast);
    tunnel_between(0, 1);
    TAPS_UNTIL(tap[0].closes == 1 && tap[1].closes == 1);
    assert_false(tap[0].r.eof || tap[1].r.eof);
    taps_close();
}

static void no_tunnels_here(void **state)
{
    (void)state;
    relay_by_itself(0, 0);
    assert_int_equal(tap[0].offers, 0);
    tap_ask(&tap[0], node[2].id);
    TAPS_UNTIL(tap[0].r.eof);
    tap_bytes(&tap[1], node[1].id, 5);
    TAPS_UNTIL(tap[1].r.eof);
    tap_say(&tap[2], (struct link_tunnel_frame){.type = TUNNEL_ASK, .by_relay = true, .node = node[2].id});
    TAPS_UNTIL(tap[2].r.eof);
    taps_close();
}

/* --- A hostile relay -------------------------------------------------------------------------------------- */

enum malice { HONEST, FLIP, REPLAY, REORDER, WITHHOLD };

/* Passes on what one end says to the other, as its malice is, which ends with the first victim. */
static void evil_pass(int from, struct link_tunnel_frame *f, enum malice *malice)
{
    static uint8_t kept[LINK_TUNNEL_BYTES_MAX];
    static size_t kept_len;
    struct tap *to = &tap[1 - from];
    if (!ID_EQUAL(f->node, node[1 - from].id)) return;
    f->by_relay = true;
    f->node = node[from].id;
    static uint8_t bytes[LINK_TUNNEL_BYTES_MAX];
    if (f->bytes.len > 0) memcpy(bytes, f->bytes.data, f->bytes.len);
    f->bytes.data = bytes;
    if (f->type == TUNNEL_ASK || to->r.eof) return;
    if (f->type != TUNNEL_BYTES || from != 0 || *malice == HONEST) {
        tap_say(to, *f);
        return;
    }
    switch (*malice) {
    case HONEST: break;
    case FLIP: bytes[f->bytes.len - 1] ^= 1; break;
    case REPLAY: tap_say(to, *f); break;
    case REORDER:
        if (kept_len == 0) {
            kept_len = f->bytes.len;
            memcpy(kept, bytes, kept_len);
            return;
        }
        break;
    case WITHHOLD: return;
    }
    tap_say(to, *f);
    if (*malice == REORDER) {
        f->bytes = span_make(kept, kept_len);
        tap_say(to, *f);
        kept_len = 0;
    }
    *malice = HONEST;
}

static void evil_relay(enum malice *malice)
{
    struct link_tunnel_frame f;
    for (int i = 0; i < 2; i++) {
        tap_ping(&tap[i]);
        while (tap_next(&tap[i], &f)) evil_pass(i, &f, malice);
    }
    if (tap[0].asks == 0 || tap[1].asks == 0) return;
    for (int i = 0; i < 2; i++) {
        tap[i].asks = 0;
        tap_say(&tap[i],
                (struct link_tunnel_frame){.type = TUNNEL_OPEN, .by_relay = true, .node = node[1 - i].id});
    }
}

#define EVIL_UNTIL(condition) RUN_UNTIL((evil_relay(&malice), (condition)))

/* Nodes 0 and 1 listen and do not dial; node 2, by hand, is between them. */
static void evil_begin(void)
{
    enum malice malice = HONEST;
    node[3].standing = LINK_STRANGER; /* they want each other only */
    for (int i = 0; i < 2; i++) {
        node_open(&node[i], "tcp://127.0.0.1:0");
        be_patient(&node[i]);
        tap_up(&tap[i], &node[i], &node[2]);
        tap_say(&tap[i], (struct link_tunnel_frame){.type = TUNNEL_OFFER, .by_relay = true});
    }
    EVIL_UNTIL(node[0].up == 2 && node[1].up == 2);
}

/* The link through it ends, and nothing else: neither end holds it against the other, and it comes back. */
static void evil_once(enum malice malice)
{
    const int downs = node[1].downs;
    assert_int_equal(send_text(&node[0], &node[1], 'c', 0, 100), OK);
    assert_int_equal(send_text(&node[0], &node[1], 'c', 1, 100), OK);
    EVIL_UNTIL(node[1].downs == downs + 1);
    assert_true(malice == HONEST);
    assert_string_equal(node[1].reason, "a frame does not open");
    EVIL_UNTIL(node[0].up == 2 && node[1].up == 2);
    assert_false(tap[0].r.eof || tap[1].r.eof);
    for (int i = 0; i < 2; i++) {
        struct links *l = node[i].links;
        assert_false(link_penalty_holds(&l->penalty, link_penalty_node(node[1 - i].id), links_now(l)));
        node[i].control_next = 0;
    }
}

static void a_relay_that_flips(void **state)
{
    (void)state;
    evil_begin();
    evil_once(FLIP);
    evil_once(FLIP);
    enum malice malice = FLIP; /* the third time: this way is left alone, but not the peer */
    const int downs = node[1].downs;
    assert_int_equal(send_text(&node[0], &node[1], 'c', 0, 100), OK);
    EVIL_UNTIL(node[1].downs == downs + 1);
    const uint64_t looked = node[1].links->tunnels_ms;
    tap[1].asks = 0;
    EVIL_UNTIL(node[1].links->tunnels_ms > looked + 1000); /* twenty looks */
    assert_int_equal(tap[1].asks, 0);
    assert_non_null(strstr(node[1].log, "a frame does not open; left alone for a while"));
    assert_int_equal(links_dial(node[0].links, node_address(&node[1]), node[1].id), OK);
    EVIL_UNTIL(node[0].up == 2 && node[1].up == 2);
    taps_close();
}

static void a_relay_that_replays(void **state)
{
    (void)state;
    evil_begin();
    evil_once(REPLAY);
    taps_close();
}

static void a_relay_that_reorders(void **state)
{
    (void)state;
    evil_begin();
    evil_once(REORDER);
    taps_close();
}

static void a_relay_that_withholds(void **state)
{
    (void)state;
    evil_begin();
    enum malice malice = WITHHOLD;
    assert_int_equal(send_text(&node[0], &node[1], 'c', 0, 100), OK);
    EVIL_UNTIL(node[1].downs == 1);
    assert_string_equal(node[1].reason, "nothing heard for too long");
    malice = HONEST;
    EVIL_UNTIL(node[0].up == 2 && node[1].up == 2);
    assert_false(tap[0].r.eof || tap[1].r.eof);
    taps_close();
}

/* What a relay may not say ends the link with the relay. */
static void a_relay_that_breaks_the_rules(void **state)
{
    (void)state;
    enum malice malice = HONEST;
    evil_begin();
    tap_say(&tap[0], (struct link_tunnel_frame){.type = TUNNEL_OPEN, .by_relay = true, .node = node[3].id});
    EVIL_UNTIL(tap[0].closes == 1 && ID_EQUAL(tap[0].about, node[3].id)); /* not asked for: no, thank you */
    assert_int_equal(node[0].downs, 0);
    tap_say(&tap[0], (struct link_tunnel_frame){.type = TUNNEL_OPEN, .by_relay = true, .node = node[1].id});
    EVIL_UNTIL(tap[0].r.eof);
    assert_int_equal(node[0].downs, 2); /* and the one through it */
    tap_say(&tap[1],
            (struct link_tunnel_frame){
                .type = TUNNEL_ROOM, .by_relay = true, .node = node[0].id, .room = LINK_TUNNEL_WINDOW});
    EVIL_UNTIL(tap[1].r.eof);
    taps_close();
}

/* Who is no member and was not dialled learns nothing of whom this node wants to talk with. */
static void a_stranger_that_offers(void **state)
{
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    be_patient(&node[0]);
    node[2].standing = LINK_STRANGER;
    tap_up(&tap[0], &node[0], &node[2]);
    tap_up(&tap[1], &node[0], &node[3]);
    for (int i = 0; i < 2; i++)
        tap_say(&tap[i], (struct link_tunnel_frame){.type = TUNNEL_OFFER, .by_relay = true});
    TAPS_UNTIL(tap[1].asks == 1);
    assert_int_equal(tap[0].asks, 0);
    assert_true(ID_EQUAL(tap[1].about, node[1].id));
    taps_close();
}

static void tunnel_frames(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum err err;
    } bad[] = {{"", 0, ERR_TRUNCATED},        {"\0", 1, ERR_SYNTAX},
               {"\7", 1, ERR_SYNTAX},         {"\x81", 33, ERR_SYNTAX}, /* an ask of a relay's */
               {"\5", 1, ERR_SYNTAX},                                   /* an offer and an open of an end's */
               {"\6", 33, ERR_SYNTAX},        {"\1", 32, ERR_TRUNCATED},
               {"\1", 34, ERR_NOT_CANONICAL}, {"\x85", 2, ERR_NOT_CANONICAL},
               {"\2", 33, ERR_RANGE},         {"\2", LINK_TUNNEL_FRAME_MAX + 1, ERR_RANGE},
               {"\3", 36, ERR_TRUNCATED},     {"\3", 37, ERR_RANGE}}; /* no room */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        static uint8_t bytes[LINK_TUNNEL_FRAME_MAX + 1];
        struct link_tunnel_frame f;
        memset(bytes, 0, sizeof bytes);
        bytes[0] = (uint8_t)bad[i].bytes[0];
        assert_int_equal(link_tunnel_read(&f, span_make(bytes, bad[i].len)), bad[i].err);
    }
}

/* --- Dialled for now ------------------------------------------------------------------------------------ */

static uint32_t dial_count(const struct links *l)
{
    uint32_t count = 0;
    for (const struct link_dial *d = l->dials; d != NULL; d = d->next) count++;
    return count;
}

/* It comes back by itself while it is dialled, and goes for good when it is hung up. */
static void dialled_until_it_is_hung_up(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        node_open(&node[i], i == 0 ? "tcp://127.0.0.1:0" : NULL);
        links_set_pace(node[i].links, &fast);
    }
    assert_int_equal(links_dial_for_now(node[1].links, node_address(&node[0]), node[0].id), OK);
    assert_int_equal(links_dial_for_now(node[1].links, node_address(&node[0]), node[0].id), OK); /* as once */
    assert_int_equal(dial_count(node[1].links), 1);
    RUN_UNTIL(node[1].up == 1);
    links_offend(node[1].links, node[0].id, "a test");
    RUN_UNTIL(node[1].ups == 2 || node[1].up == 0);
    node[1].links->penalty = (struct link_penalty){0};
    RUN_UNTIL(node[1].up == 1);
    links_hang_up(node[1].links, node[0].id);
    assert_int_equal(node[1].up, 0);
    RUN_UNTIL(node[0].up == 0);
    run_for(200);
    assert_int_equal(node[1].up, 0);
    assert_int_equal(dial_count(node[1].links), 0);
    assert_int_equal(links_dial_for_now(node[1].links, node_address(&node[0]), node[0].id), OK);
    RUN_UNTIL(node[1].up == 1);
}

/* Whom the configuration names, and who dialled this node itself, stays. */
static void hanging_up_leaves_what_was_not_dialled_so(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        node_open(&node[i], "tcp://127.0.0.1:0");
        links_set_pace(node[i].links, &fast);
    }
    assert_int_equal(links_dial_for_now(node[1].links, node_address(&node[0]), node[0].id), OK);
    assert_int_equal(links_dial(node[1].links, node_address(&node[0]), node[0].id), OK);
    assert_int_equal(links_dial(node[2].links, node_address(&node[1]), node[1].id), OK);
    RUN_UNTIL(node[1].up == 2);
    links_hang_up(node[1].links, node[0].id);
    links_hang_up(node[1].links, node[2].id);
    run_for(100);
    assert_int_equal(node[1].up, 2);
    assert_int_equal(node[1].downs, 0);
}

/* In the middle of dialling, of a handshake, and while it waits to dial again; and with the links about to close. */
static void hung_up_before_there_is_a_link(void **state)
{
    struct raw mute = {0};
    (void)state;
    node_open(&node[0], "tcp://127.0.0.1:0");
    node_open(&node[1], NULL);
    links_set_pace(node[1].links, &fast);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(links_dial_for_now(node[1].links, node_address(&node[0]), node[0].id), OK);
        for (int turn = 0; turn < i; turn++) (void)uv_run(&loop, UV_RUN_NOWAIT);
        links_hang_up(node[1].links, node[0].id);
    }
    RUN_UNTIL(dial_count(node[1].links) == 0 && node[0].up == 0 && node[1].up == 0);
    char nobody_there[64];
    raw_connect(&mute, &node[0]); /* a port that was taken, and is not now */
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    assert_int_equal(getsockname(mute.fd, (struct sockaddr *)&own, &len), 0);
    raw_close(&mute);
    (void)snprintf(nobody_there, sizeof nobody_there, "tcp://127.0.0.1:%u", ntohs(own.sin_port));
    assert_int_equal(links_dial_for_now(node[1].links, nobody_there, node[0].id), OK);
    RUN_UNTIL(strstr(node[1].log, "cannot reach") != NULL);
    links_hang_up(node[1].links, node[0].id);
    RUN_UNTIL(dial_count(node[1].links) == 0);
    assert_int_equal(links_dial_for_now(node[1].links, node_address(&node[0]), node[0].id), OK);
    links_close(node[1].links, closed, &node[1]);
    assert_int_equal(links_dial_for_now(node[1].links, node_address(&node[0]), node[0].id),
                     OK); /* of no effect */
    links_hang_up(node[1].links, node[0].id);
    RUN_UNTIL(node[1].closed);
    node[1].links = NULL;
}

/* What cannot be dialled is said, and not without end. */
static void dials_in_vain_are_logged_with_measure(void **state)
{
    uint32_t lines = 0;
    (void)state;
    node_open(&node[1], NULL);
    links_set_pace(node[1].links, &fast);
    for (uint32_t i = 0; i < 100 + CAP_PEERS; i++)
        assert_int_equal(links_dial_for_now(node[1].links, "no address", node[0].id), ERR_USAGE);
    for (const char *at = node[1].log; (at = strstr(at, "cannot dial no address")) != NULL; at++) lines++;
    assert_true(lines > 0 && lines <= fast.lines.most);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(tcp),
        WITH_LOOP(ipc),
        WITH_LOOP(whoever_answers),
        WITH_LOOP(crossing),
        WITH_LOOP(bulk_and_control),
        WITH_LOOP(full_queues),
        WITH_LOOP(reconnects),
        WITH_LOOP(idle_links_stay),
        WITH_LOOP(a_standstill_ends_no_link),
        WITH_LOOP(a_standstill_before_a_message_ends_no_link),
        WITH_LOOP(port_in_use),
        WITH_LOOP(wrong_consortium),
        WITH_LOOP(wrong_node),
        WITH_LOOP(garbage_and_lengths),
        WITH_LOOP(truncated_handshakes),
        WITH_LOOP(stolen_name),
        WITH_LOOP(replayed_handshake_data),
        WITH_LOOP(half_open_cap),
        WITH_LOOP(half_open_gives_way),
        WITH_LOOP(half_open_stays),
        WITH_LOOP(lines_are_few),
        WITH_LOOP(deaf_peer_is_dropped),
        WITH_LOOP(address_shut_out),
        WITH_LOOP(address_of_a_peer),
        WITH_LOOP(accept_rate),
        WITH_LOOP(proven_peer_breaks_framing),
        WITH_LOOP(proven_peer_shut_out),
        WITH_LOOP(malformed_messages_shut_out),
        WITH_LOOP(silent_peer_is_pinged_then_dropped),
        WITH_LOOP(returning_peer),
        WITH_LOOP(close_in_the_middle),
        WITH_LOOP(close_from_a_message),
        WITH_LOOP(through_a_relay),
        WITH_LOOP(a_tunnel_that_is_not_needed),
        WITH_LOOP(the_relay_comes_back),
        WITH_LOOP(direct_takes_over),
        WITH_LOOP(strangers_have_a_quarter),
        WITH_LOOP(devices_have_a_quarter),
        WITH_LOOP(strangers_give_way),
        WITH_LOOP(members_leave_custodians_their_places),
        WITH_LOOP(who_stays_longest_gives_way),
        WITH_LOOP(strangers_give_way_to_who_is_named),
        WITH_LOOP(a_relay_gives_way_to_nobody_behind_it),
        WITH_LOOP(no_tunnel_for_a_stranger),
        WITH_LOOP(tunnels_have_their_part),
        WITH_LOOP(a_flooded_tunnel),
        WITH_LOOP(room_that_was_not_taken),
        WITH_LOOP(room_at_a_rate),
        WITH_LOOP(an_idle_tunnel),
        WITH_LOOP(no_tunnels_here),
        WITH_LOOP(a_relay_that_flips),
        WITH_LOOP(a_relay_that_replays),
        WITH_LOOP(a_relay_that_reorders),
        WITH_LOOP(a_relay_that_withholds),
        WITH_LOOP(a_relay_that_breaks_the_rules),
        WITH_LOOP(a_stranger_that_offers),
        WITH_LOOP(dialled_until_it_is_hung_up),
        WITH_LOOP(hanging_up_leaves_what_was_not_dialled_so),
        WITH_LOOP(dials_in_vain_are_logged_with_measure),
        WITH_LOOP(an_address_where_another_answers_keeps_no_tunnel_away),
        WITH_LOOP(hung_up_before_there_is_a_link),
        cmocka_unit_test(tunnel_frames),
        WITH_LOOP(penalties),
        cmocka_unit_test(pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
