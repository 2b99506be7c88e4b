/* attack: a peer that speaks the wire by hand, for shell tests of real nodes.
 *   attack KIND HOME PORT FROM [ARGUMENT...]
 * With the keys of the data directory HOME, from the address 127.0.0.FROM, it does what KIND says to the node on
 * 127.0.0.PORT, until SIGTERM; then it says in one line of JSON how often. `ask`, which is honest, ends by itself. */
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/noise.h"
#include "crypto/secret.h"
#include "node/file.h"
#include "node/home.h"
#include "node/link_frame.h"
#include "proto/base/caps.h"
#include "proto/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    SOCKETS = 192,
    CROWD = 24,
    PATIENCE_MS = 20000,
    ASKS_MAX = 10000,
    MESSAGE_BYTES = CAP_MESSAGE_BYTES,
    REPLAY_BYTES = 4096
};

struct attack {
    struct home home;
    uint16_t port;
    uint8_t from;
    const char *argument;
    char **more;
    struct node_id victim; /* who answered the handshake */
    uint64_t sent, links, dropped, refused;
    uint64_t seq; /* of the last record of its own chain */
    struct record_id head;
};

struct wire {
    int fd;
    struct noise *noise;
    uint8_t in[2 * (LINK_LENGTH_BYTES + LINK_FRAME_MAX)], plain[LINK_FRAME_MAX];
    size_t in_len, used; /* `used`: of the frame the last message was in */
    struct link_pieces pieces;
    uint8_t *record; /* a copy of what is sent goes here, if anywhere */
    size_t record_len;
};

static volatile sig_atomic_t stopped;

static void on_term(int number)
{
    (void)number;
    stopped = 1;
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int die(const char *what)
{
    (void)fprintf(stderr, "attack: %s\n", what);
    exit(1);
}

/* --- Sockets -------------------------------------------------------------------------------------------------------------- */

static int dial(const struct attack *a)
{
    struct sockaddr_in own = {.sin_family = AF_INET},
                       to = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    own.sin_addr.s_addr = htonl(0x7f000000U | a->from);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&own, sizeof own) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0) (void)close(fd);
    return -1;
}

/* False when the other side has ended it. What it says meanwhile is thrown away, unless `deaf`. */
static bool put(struct wire *w, const void *bytes, size_t len, bool deaf)
{
    static uint8_t away[1 << 16];
    for (size_t done = 0; done < len && !stopped;) {
        struct pollfd p = {w->fd, (short)(POLLOUT | (deaf ? 0 : POLLIN)), 0};
        if (poll(&p, 1, 100) <= 0) continue;
        if ((p.revents & (POLLERR | POLLHUP)) != 0) return false;
        if ((p.revents & POLLIN) != 0 && recv(w->fd, away, sizeof away, MSG_DONTWAIT) == 0) return false;
        if ((p.revents & POLLOUT) == 0) continue;
        ssize_t step = send(w->fd, (const uint8_t *)bytes + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (step < 0 && errno != EAGAIN) return false;
        if (step > 0) done += (size_t)step;
    }
    return !stopped;
}

static bool get(int fd, void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, PATIENCE_MS) <= 0) return false;
        ssize_t step = recv(fd, (uint8_t *)bytes + done, len - done, 0);
        if (step <= 0) return false;
        done += (size_t)step;
    }
    return true;
}

/* --- A link ---------------------------------------------------------------------------------------------------------------- */

static void wire_close(struct wire *w)
{
    if (w->fd >= 0) (void)close(w->fd);
    noise_free(w->noise);
    link_pieces_free(&w->pieces);
    *w = (struct wire){.fd = -1};
}

static bool wire_put(struct wire *w, struct span content, bool deaf)
{
    static uint8_t frame[LINK_LENGTH_BYTES + LINK_FRAME_MAX];
    store_u32(frame, (uint32_t)content.len);
    memcpy(frame + LINK_LENGTH_BYTES, content.data, content.len);
    size_t len = LINK_LENGTH_BYTES + content.len;
    if (w->record != NULL && w->record_len + len <= REPLAY_BYTES) {
        memcpy(w->record + w->record_len, frame, len);
        w->record_len += len;
    }
    return put(w, frame, len, deaf);
}

/* Hello, answer, finish. `replay` receives what was sent. */
static bool wire_open(struct wire *w, struct attack *a, struct consortium_id consortium, uint8_t *replay)
{
    uint8_t prologue[LINK_PROLOGUE_MAX], proof[LINK_PROOF_BYTES], room[512],
        answer[LINK_LENGTH_BYTES + LINK_ANSWER_BYTES];
    struct buffer out = BUFFER_OF(room);
    struct kem_public key;
    struct link_public own;
    *w = (struct wire){.fd = dial(a), .record = replay};
    if (w->fd < 0) return false;
    kem_public_of(&key, a->home.link);
    memcpy(own.bytes, key.bytes, sizeof own.bytes);
    if (link_proof_make(proof, a->home.identity, a->home.node, consortium, own) != OK ||
        noise_new(&w->noise, true, a->home.link, link_prologue(prologue, consortium)) != OK ||
        noise_write(w->noise, &out, SPAN_NONE) != OK)
        die("no handshake could be made");
    bool good = wire_put(w, buffer_span(&out), true) && get(w->fd, answer, sizeof answer);
    out.len = 0;
    good = good &&
           noise_read(w->noise, &out, span_make(answer + LINK_LENGTH_BYTES, LINK_ANSWER_BYTES)) == OK &&
           link_proof_check(&a->victim, buffer_span(&out), consortium, noise_remote(w->noise)) == OK;
    out.len = 0;
    good = good && noise_write(w->noise, &out, SPAN_OF(proof)) == OK && wire_put(w, buffer_span(&out), true);
    if (!good) wire_close(w);
    return good;
}

static bool wire_piece(struct wire *w, uint8_t flags, struct span bytes, bool deaf)
{
    static uint8_t plain[LINK_FRAME_MAX], sealed[LINK_FRAME_MAX];
    plain[0] = flags;
    memcpy(plain + 1, bytes.data, bytes.len);
    if (noise_encrypt(w->noise, sealed, span_make(plain, 1 + bytes.len)) != OK) die("a frame does not close");
    return wire_put(w, span_make(sealed, 1 + bytes.len + NOISE_TAG_BYTES), deaf);
}

static bool wire_send(struct wire *w, struct span message, bool deaf)
{
    const uint8_t lane = message_bulk((enum message)message.data[0]) ? LINK_BULK : 0;
    for (size_t at = 0; at < message.len;) {
        size_t len = message.len - at < LINK_PIECE_MAX ? message.len - at : LINK_PIECE_MAX;
        uint8_t last = at + len == message.len ? LINK_LAST : 0;
        if (!wire_piece(w, lane | last, span_make(message.data + at, len), deaf)) return false;
        at += len;
    }
    return true;
}

/* The next message; it lives until the next call. Empty: the link has ended, or nothing came in time. */
static struct span wire_receive(struct wire *w)
{
    struct span message = SPAN_NONE, frame;
    memmove(w->in, w->in + w->used, w->in_len - w->used);
    w->in_len -= w->used;
    w->used = 0;
    while (message.data == NULL && !stopped) {
        struct cursor c = cursor_make(span_make(w->in + w->used, w->in_len - w->used));
        enum err err = link_frame_next(&c, &frame, LINK_FRAME_MIN, LINK_FRAME_MAX);
        if (err == ERR_NOT_READY) {
            memmove(w->in, w->in + w->used, w->in_len - w->used);
            w->in_len -= w->used;
            w->used = 0;
            struct pollfd p = {w->fd, POLLIN, 0};
            ssize_t step = poll(&p, 1, PATIENCE_MS) == 1
                               ? recv(w->fd, w->in + w->in_len, sizeof w->in - w->in_len, 0)
                               : 0;
            if (step <= 0) return SPAN_NONE;
            w->in_len += (size_t)step;
            continue;
        }
        if (err != OK || noise_decrypt(w->noise, w->plain, frame) != OK ||
            link_pieces_add(&w->pieces, &message, span_make(w->plain, frame.len - NOISE_TAG_BYTES)) != OK)
            return SPAN_NONE;
        w->used += LINK_LENGTH_BYTES + frame.len;
    }
    return message;
}

/* --- Honest ---------------------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Asks for the node's first record and waits for it, so many times: every one is answered. How long did it take? */
static void attack_ask(struct attack *a)
{
    static uint32_t took[ASKS_MAX];
    static struct wire w;
    uint8_t room[128];
    const uint32_t count = (uint32_t)strtoul(a->argument, NULL, 10);
    if (count == 0 || count > ASKS_MAX || !wire_open(&w, a, a->home.consortium, NULL)) die("no link");
    for (uint32_t i = 0; i < count; i++) {
        struct buffer b = BUFFER_OF(room);
        struct message_GET get = {a->victim, 1, 1};
        message_encode(&b, MESSAGE_GET_CODE, &get);
        struct span message = SPAN_NONE;
        uint64_t begun = now_us();
        if (!wire_send(&w, buffer_span(&b), true)) die("an honest peer's link has ended");
        do message = wire_receive(&w);
        while (message.data != NULL && message.data[0] != MESSAGE_RECORD_CODE);
        if (message.data == NULL) die("an honest request has no answer");
        took[i] = (uint32_t)(now_us() - begun);
        pause_ms(2);
    }
    qsort(took, count, sizeof took[0], by_size);
    (void)printf("{\"asked\":%u,\"median_us\":%u,\"p99_us\":%u}\n", count, took[count / 2],
                 took[count - 1 - count / 100]);
    wire_close(&w);
}

/* --- Who proves nothing ------------------------------------------------------------------------------------------------------ */

/* Half of them say nothing, half say a byte now and then. */
static void attack_slow(struct attack *a)
{
    int fd[SOCKETS];
    const uint8_t hello[LINK_LENGTH_BYTES] = {0, 0, 0, LINK_HELLO_BYTES};
    for (int i = 0; i < SOCKETS; i++) fd[i] = -1;
    for (uint64_t turn = 0; !stopped; turn++, pause_ms(50)) {
        for (int i = 0; i < SOCKETS; i++) {
            uint8_t byte;
            if (fd[i] >= 0 && recv(fd[i], &byte, 1, MSG_DONTWAIT) == 0) {
                (void)close(fd[i]);
                fd[i] = -1;
                a->dropped++;
            }
            if (fd[i] < 0 && (fd[i] = dial(a)) >= 0) a->links++;
            if (fd[i] >= 0 && i % 2 == 0 && turn % 20 == (uint64_t)i % 20)
                (void)send(fd[i], hello + turn / 20 % sizeof hello, 1, MSG_NOSIGNAL);
        }
    }
}

/* Comes and goes as fast as it can. */
static void attack_knock(struct attack *a)
{
    while (!stopped) {
        int fd = dial(a);
        if (fd < 0) continue;
        a->links++;
        (void)close(fd);
    }
}

static void say_and_wait(struct attack *a, const void *bytes, size_t len)
{
    struct wire w = {.fd = dial(a)};
    uint8_t byte;
    if (w.fd < 0) return;
    a->links++;
    (void)put(&w, bytes, len, true);
    struct pollfd p = {w.fd, POLLIN, 0};
    while (!stopped && poll(&p, 1, 100) >= 0) {
        if (p.revents != 0 && recv(w.fd, &byte, 1, 0) <= 0) break;
    }
    a->dropped += !stopped;
    (void)close(w.fd);
    pause_ms(5);
}

static void attack_garbage(struct attack *a)
{
    uint8_t bytes[2 * LINK_LENGTH_BYTES + LINK_HELLO_BYTES + LINK_FINISH_BYTES];
    while (!stopped) {
        random_fill(bytes, sizeof bytes);
        if (a->links % 2 == 0) { /* a hello of the right length, and a finish of it */
            store_u32(bytes, LINK_HELLO_BYTES);
            store_u32(bytes + LINK_LENGTH_BYTES + LINK_HELLO_BYTES, LINK_FINISH_BYTES);
        }
        say_and_wait(a, bytes, sizeof bytes);
    }
}

/* A node of another consortium: the first answer says so, and it ends the link itself. */
static void attack_foreign(struct attack *a)
{
    struct wire w;
    struct consortium_id other = a->home.consortium;
    other.bytes[0] ^= 1;
    while (!stopped) {
        if (wire_open(&w, a, other, NULL)) die("a node of another consortium was let in");
        a->refused++;
        pause_ms(5);
    }
}

/* A whole session of its own, said again byte for byte. */
static void attack_replay(struct attack *a)
{
    static struct wire w;
    static uint8_t bytes[REPLAY_BYTES];
    uint8_t room[128];
    struct buffer b = BUFFER_OF(room);
    if (!wire_open(&w, a, a->home.consortium, bytes)) die("no link");
    struct message_GET get = {a->victim, 1, 1};
    message_encode(&b, MESSAGE_GET_CODE, &get);
    if (!wire_send(&w, buffer_span(&b), false) || wire_receive(&w).data == NULL) die("no session");
    size_t len = w.record_len;
    wire_close(&w);
    while (!stopped) say_and_wait(a, bytes, len);
}

/* --- Who is who it says, and breaks the rules ---------------------------------------------------------------------------------- */

/* Says what `next` makes until the link ends, and comes again. */
static void flood(struct attack *a, bool deaf, bool (*next)(struct attack *a, struct wire *w, bool deaf))
{
    static struct wire w;
    while (!stopped) {
        if (!wire_open(&w, a, a->home.consortium, NULL)) {
            a->refused++;
            pause_ms(20);
            continue;
        }
        a->links++;
        while (!stopped && next(a, &w, deaf)) a->sent++;
        a->dropped += !stopped;
        wire_close(&w);
    }
}

static bool next_oversized(struct attack *a, struct wire *w, bool deaf)
{
    static const uint8_t piece[LINK_PIECE_MAX];
    static const uint8_t length[LINK_LENGTH_BYTES] = {0x7f, 0xff, 0xff, 0xff};
    if (a->links % 2 == 0) return put(w, length, sizeof length, deaf) && put(w, piece, sizeof piece, deaf);
    return wire_piece(w, LINK_BULK, SPAN_OF(piece), deaf);
}

static bool next_malformed(struct attack *a, struct wire *w, bool deaf)
{
    uint8_t bytes[200];
    (void)a;
    random_fill(bytes, sizeof bytes);
    bytes[0] = bytes[0] % 7 + 1;
    return wire_send(w, SPAN_OF(bytes), deaf);
}

/* A record of this author's, signed by `signer`. */
static bool send_record(struct wire *w, struct header *h, const void *body,
                        const struct identity_secret *signer, struct record_id *id, bool deaf)
{
    static uint8_t built[CAP_BODY_BYTES + 1024], message[CAP_BODY_BYTES + 2048];
    struct buffer b = BUFFER_OF(built), m = BUFFER_OF(message);
    struct signature signature = {{0}};
    struct record r;
    size_t header_len;
    if (record_build(&b, &header_len, h, body) != OK) die("no record");
    struct span header = span_make(built, header_len);
    if (signer != NULL && identity_sign(&signature, signer, record_sign_hash(h->kind, header)) != OK)
        die("no signature");
    if (record_open(&r, header, &signature, span_make(built + header_len, b.len - header_len)) != OK)
        die("no record of its own");
    record_encode(&m, &r);
    if (id != NULL) *id = r.id;
    return wire_send(w, buffer_span(&m), deaf);
}

/* Requests to join, each of a fresh key; forged ones are not signed. */
static bool send_join(struct attack *a, struct wire *w, bool forged, bool deaf)
{
    struct identity_secret secret;
    struct node_id author;
    identity_generate(&secret, &author);
    struct body_MEMBER b = {.node = author,
                            .organisation = SPAN_LITERAL("nobody"),
                            .jurisdiction = SPAN_LITERAL("CH"),
                            .roles = 1,
                            .approval = author,
                            .platforms = SPAN_LITERAL("")};
    struct header h = {.kind = KIND_JOIN,
                       .consortium = a->home.consortium,
                       .author = author,
                       .time_ms = wall_ms(),
                       .residency = SPAN_LITERAL("")};
    return send_record(w, &h, &b, forged ? NULL : &secret, NULL, deaf);
}

static bool next_forged(struct attack *a, struct wire *w, bool deaf)
{
    return send_join(a, w, true, deaf);
}
static bool next_join(struct attack *a, struct wire *w, bool deaf)
{
    return send_join(a, w, false, deaf);
}

static bool next_get(struct attack *a, struct wire *w, bool deaf)
{
    uint8_t room[128];
    struct buffer b = BUFFER_OF(room);
    struct message_GET get = {a->victim, 1, 256};
    message_encode(&b, MESSAGE_GET_CODE, &get);
    return wire_send(w, buffer_span(&b), deaf);
}

/* As many authors as fit, all of them ahead. */
static bool next_heads(struct attack *a, struct wire *w, bool deaf)
{
    static uint8_t heads[72 * 900], room[sizeof heads + 64];
    struct buffer b = BUFFER_OF(room);
    random_fill(heads, sizeof heads);
    for (size_t at = 0; at < sizeof heads; at += 72) {
        memcpy(heads + at, a->victim.bytes, 32);
        store_u64(heads + at + 32, 1000 + at);
    }
    struct message_HEADS m = {wall_ms(), 0, 0, {{0}}, SPAN_OF(heads)};
    message_encode(&b, MESSAGE_HEADS_CODE, &m);
    return wire_send(w, buffer_span(&b), deaf);
}

static bool next_box(struct attack *a, struct wire *w, bool deaf)
{
    static uint8_t box[60000], room[sizeof box + 128];
    struct buffer b = BUFFER_OF(room);
    struct message_RELAY m = {.term = 1, .answer = a->sent % 2, .box = SPAN_OF(box)};
    random_fill(m.run.bytes, sizeof m.run.bytes);
    message_encode(&b, MESSAGE_RELAY_CODE, &m);
    return wire_send(w, buffer_span(&b), deaf);
}

/* A chunk nobody asked for. */
static bool next_blob(struct attack *a, struct wire *w, bool deaf)
{
    static uint8_t chunk[1 << 20], cid[36] = {0x01, 0x55, 0x1e, 0x20}, room[sizeof chunk + 128];
    struct buffer b = BUFFER_OF(room);
    struct message_BLOB m = {SPAN_OF(cid), 0, SPAN_OF(chunk)};
    (void)a;
    message_encode(&b, MESSAGE_BLOB_CODE, &m);
    return wire_send(w, buffer_span(&b), deaf);
}

/* Records of its own chain, one after the other, as large as they may be, and without any meaning. */
static bool next_record(struct attack *a, struct wire *w, bool deaf)
{
    static uint8_t ddo[CAP_DOCUMENT_BYTES];
    struct body_ASSET b = {
        .version = 1, .ddo = SPAN_OF(ddo), .workflow = SPAN_LITERAL(""), .policy = SPAN_LITERAL("")};
    struct header h = {.kind = KIND_ASSET,
                       .consortium = a->home.consortium,
                       .author = a->home.node,
                       .seq = a->seq + 1,
                       .prev = a->head,
                       .time_ms = wall_ms(),
                       .residency = SPAN_LITERAL("")};
    struct record_id id;
    if (a->seq == strtoul(a->argument, NULL, 10)) return pause_ms(20), true; /* all said */
    if (!send_record(w, &h, &b, a->home.identity, &id, deaf)) return false;
    a->seq++;
    a->head = id;
    return true;
}

static void attack_oversized(struct attack *a)
{
    flood(a, false, next_oversized);
}
static void attack_malformed(struct attack *a)
{
    flood(a, false, next_malformed);
}
static void attack_forged(struct attack *a)
{
    flood(a, false, next_forged);
}
static void attack_joins(struct attack *a)
{
    flood(a, false, next_join);
}
static void attack_gets(struct attack *a)
{
    flood(a, false, next_get);
}
static void attack_heads(struct attack *a)
{
    flood(a, false, next_heads);
}
static void attack_boxes(struct attack *a)
{
    flood(a, false, next_box);
}
static void attack_blobs(struct attack *a)
{
    flood(a, false, next_blob);
}
static void attack_records(struct attack *a)
{
    flood(a, false, next_record);
}
static void attack_deaf(struct attack *a)
{
    flood(a, true, next_get);
}

/* As many at once as one address may have half open, each with a key of its own, all asking as fast as they can. */
static void attack_crowd(struct attack *a)
{
    static struct wire w[CROWD];
    for (int i = 0; i < CROWD; i++) w[i].fd = -1;
    while (!stopped) {
        for (int i = 0; i < CROWD && !stopped; i++) {
            bool up = w[i].fd >= 0;
            if (!up) identity_generate(a->home.identity, &a->home.node);
            if (!up && (up = wire_open(&w[i], a, a->home.consortium, NULL))) a->links++;
            for (int n = 0; n < 64 && up; n++, a->sent++) up = next_get(a, &w[i], false);
            if (up || w[i].fd < 0) continue;
            a->dropped += !stopped;
            wire_close(&w[i]);
        }
    }
}

/* --- Chunks ------------------------------------------------------------------------------------------------------------------- */

/* With another node's certificate (arguments: the run, its certificate, a cid, in hex): why it is refused. */
static void attack_stale(struct attack *a)
{
    static struct wire w;
    static uint8_t certificate[4096], room[4096 + 128];
    uint8_t cid[36];
    struct buffer b = BUFFER_OF(room);
    struct message_BLOB_GET m = {.cid = SPAN_OF(cid)};
    const size_t len = a->more[0] == NULL ? 0 : strlen(a->more[0]) / 2;
    if (len > sizeof certificate || hex_decode(m.run.bytes, 32, span_text(a->argument)) != OK ||
        hex_decode(certificate, len, span_text(a->more[0])) != OK ||
        hex_decode(cid, sizeof cid, span_text(a->more[1])) != OK)
        die("expected RUN CERTIFICATE CID");
    m.certificate = span_make(certificate, len);
    if (!wire_open(&w, a, a->home.consortium, NULL)) die("no link");
    message_encode(&b, MESSAGE_BLOB_GET_CODE, &m);
    if (!wire_send(&w, buffer_span(&b), true)) die("no link");
    for (struct span got; (got = wire_receive(&w)).data != NULL;) {
        union message_body body;
        enum message code;
        if (message_decode(&code, &body, got) != OK || code != MESSAGE_BLOB_CODE) continue;
        (void)printf("{\"refusal\":%u,\"bytes\":%zu}\n", (unsigned)body.BLOB.refusal, body.BLOB.bytes.len);
        return;
    }
    die("no answer");
}

/* Other bytes, a part, none. */
static bool answer_chunk(const struct attack *a, struct wire *w, struct span cid)
{
    static uint8_t chunk[1 << 20], room[sizeof chunk + 128];
    static const size_t lens[] = {sizeof chunk, 1, 0};
    struct buffer b = BUFFER_OF(room);
    struct message_BLOB m = {cid, 0, span_make(chunk, lens[a->sent % 3])};
    if (strcmp(a->argument, "withhold") == 0) return true;
    message_encode(&b, MESSAGE_BLOB_CODE, &m);
    return wire_send(w, buffer_span(&b), true);
}

/* In an owner's name: whoever asks for a chunk gets a wrong one, or no answer (ARGUMENT withhold). */
static void attack_lie(struct attack *a)
{
    static struct wire w;
    while (!stopped) {
        struct span got;
        if (!wire_open(&w, a, a->home.consortium, NULL)) {
            a->refused++;
            pause_ms(20);
            continue;
        }
        a->links++;
        while ((got = wire_receive(&w)).data != NULL) {
            union message_body body;
            enum message code;
            if (message_decode(&code, &body, got) != OK || code != MESSAGE_BLOB_GET_CODE) continue;
            a->sent++;
            if (!answer_chunk(a, &w, body.BLOB_GET.cid)) break;
        }
        a->dropped += !stopped;
        wire_close(&w);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------------- */

static const struct attack_kind {
    const char *name;
    void (*run)(struct attack *a);
} kinds[] = {{"ask", attack_ask},
             {"slow", attack_slow},
             {"knock", attack_knock},
             {"garbage", attack_garbage},
             {"foreign", attack_foreign},
             {"replay", attack_replay},
             {"oversized", attack_oversized},
             {"malformed", attack_malformed},
             {"forged", attack_forged},
             {"joins", attack_joins},
             {"gets", attack_gets},
             {"heads", attack_heads},
             {"boxes", attack_boxes},
             {"blobs", attack_blobs},
             {"records", attack_records},
             {"deaf", attack_deaf},
             {"crowd", attack_crowd},
             {"stale", attack_stale},
             {"lie", attack_lie}};

int main(int argc, char **argv)
{
    static struct attack a;
    char fault[256];
    const struct sigaction action = {.sa_handler = on_term};
    if (argc < 5) die("expected KIND HOME PORT FROM [ARGUMENT]");
    if (crypto_init() != OK || home_open(&a.home, argv[2], SPAN_NONE, fault, sizeof fault) != OK) die(fault);
    a.port = (uint16_t)strtoul(argv[3], NULL, 10);
    a.from = (uint8_t)strtoul(argv[4], NULL, 10);
    a.argument = argc > 5 ? argv[5] : "";
    a.more = argv + (argc > 5 ? 6 : argc);
    (void)sigaction(SIGTERM, &action, NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, argv[1]) != 0) continue;
        kinds[i].run(&a);
        if (stopped)
            (void)printf("{\"sent\":%llu,\"links\":%llu,\"dropped\":%llu,\"refused\":%llu}\n",
                         (unsigned long long)a.sent, (unsigned long long)a.links,
                         (unsigned long long)a.dropped, (unsigned long long)a.refused);
        home_close(&a.home);
        return 0;
    }
    die("no such kind");
}
