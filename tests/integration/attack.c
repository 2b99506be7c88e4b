/* attack: a peer that speaks the wire by hand, for shell tests of real nodes.
 *   attack KIND HOME PORT FROM [ARGUMENT...]
 * With the keys of the data directory HOME, from the address 127.0.0.FROM, it does what KIND says to the node on
 * 127.0.0.PORT, until SIGTERM; then it says in one line of JSON how often. `ask`, which is honest, ends by itself. */
#include "tests/integration/attack.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "node/file.h"
#include "node/home.h"
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

enum { SOCKETS = 192, CROWD = 24, ASKS_MAX = 10000 };

static void on_term(int number)
{
    (void)number;
    stopped = 1;
}

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
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
    if (count == 0 || count > ASKS_MAX) die("expected how many times");
    wire_open_patiently(&w, a, NULL);
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

/* A whole session of its own (deaf as it asks: what is thrown away would be missing from the answer), said again byte for byte. */
static void attack_replay(struct attack *a)
{
    static struct wire w;
    static uint8_t bytes[REPLAY_BYTES];
    uint8_t room[128];
    struct buffer b = BUFFER_OF(room);
    wire_open_patiently(&w, a, bytes);
    struct message_GET get = {a->victim, 1, 1};
    message_encode(&b, MESSAGE_GET_CODE, &get);
    if (!wire_send(&w, buffer_span(&b), true) || wire_receive(&w).data == NULL) die("no session");
    size_t len = w.record_len;
    wire_close(&w);
    while (!stopped) say_and_wait(a, bytes, len);
}

/* --- Who is who it says, and breaks the rules ---------------------------------------------------------------------------------- */

void flood(struct attack *a, bool deaf, bool (*next)(struct attack *a, struct wire *w, bool deaf))
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
    bytes[0] = bytes[0] % MESSAGE_CONTACTS_WANT_CODE + 1;
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

bool send_join(struct attack *a, struct wire *w, bool forged, bool deaf)
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
    wire_open_patiently(&w, a, NULL);
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
             {"promises", attack_promises},
             {"wants", attack_wants},
             {"roots", attack_roots},
             {"branches", attack_branches},
             {"unasked", attack_unasked},
             {"pairs", attack_pairs},
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
