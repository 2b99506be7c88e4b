/* A custodian's core whose peers say anything, one after another. The input is a row of (peer u8, length u16, message); a length of
 * nothing is a tick of a second, or the end of that peer's link when its highest bit is set. It starts from the records of the test
 * world. Cryptography is trivial: every signature holds, a box is its plaintext behind 48 bytes, so the fuzzer reaches what keys
 * would keep it from. Invariants hold after each step, and what one message leads to ends. */
#include "proto/base/panic.h"
#include "proto/pump.h"
#include "tests/world.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 16, SELF = 0, QUEUE_MAX = 8192, ANSWERS_BYTES = 64 << 20, STEPS_MAX = 20000 };

struct host {
    struct world *world;
    struct arena core_arena, answers;
    struct core *core;
    struct event queue[QUEUE_MAX];
    uint32_t head, tail;
    struct instant now;
    uint64_t wall_ms;
};

static struct arena sparse(size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(memory != MAP_FAILED);
    return arena_make(memory, bytes);
}

static void empty(struct arena *arena)
{
    ASSERT(madvise(arena->data, arena->cap, MADV_DONTNEED) == 0);
    arena->used = 0;
}

static void push(struct host *h, struct event event)
{
    struct span kept;
    ASSERT(h->tail - h->head < QUEUE_MAX && arena_copy(&h->answers, &kept, event.bytes) == OK);
    event.bytes = kept;
    h->queue[h->tail++ % QUEUE_MAX] = event;
}

/* --- Executors -------------------------------------------------------------------------------------------------------- */

static struct span evidence(const struct host *h)
{
    static struct evidence_out out;
    out = (struct evidence_out){h->world->measurement, h->world->platform, h->wall_ms, true, false};
    return span_make(&out, sizeof out);
}

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    static uint8_t zeros[SHARE_BYTES * (CAP_INPUTS + 1)], box[1 << 17];
    struct event done = {.type = EVENT_CRYPTO, .token = token};
    switch (job->op) {
    case CRYPTO_VERIFY: break;
    case CRYPTO_SIGN: done.bytes = span_make(zeros, 64); break;
    case CRYPTO_OPEN:
        if (job->box.len < KEM_OVERHEAD_BYTES)
            done.err = ERR_DECRYPT;
        else
            done.bytes = span_make(job->box.data + KEM_OVERHEAD_BYTES, job->box.len - KEM_OVERHEAD_BYTES);
        break;
    case CRYPTO_SEAL:
        ASSERT(job->box.len <= sizeof box - KEM_OVERHEAD_BYTES);
        memcpy(box + KEM_OVERHEAD_BYTES, job->box.data, job->box.len);
        done.bytes = span_make(box, job->box.len + KEM_OVERHEAD_BYTES);
        break;
    case CRYPTO_EVIDENCE: done.bytes = evidence(context); break;
    case CRYPTO_SHARES: done.bytes = span_make(zeros, SHARE_BYTES * ((size_t)job->part_count + 1)); break;
    case CRYPTO_HALF:
    case CRYPTO_KEYGEN_BEGIN:
    case CRYPTO_KEYGEN_FINISH:
    case CRYPTO_KEYGEN_CHECK: done.err = ERR_REFUSED; break;
    }
    push(context, done);
}

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    (void)items;
    ASSERT(count <= KEEP_MAX);
    if (token != 0) push(context, (struct event){.type = EVENT_STORED, .token = token});
}

static void x_send(void *context, struct node_id peer, struct span message)
{
    struct host *h = context;
    ASSERT(message.len > 0 && message.len <= CAP_MESSAGE_BYTES);
    if (ID_EQUAL(peer, h->world->node[SELF].id))
        push(h, (struct event){.type = EVENT_MESSAGE, .peer = peer, .bytes = message});
}

static void x_offence(void *context, struct node_id peer)
{
    push(context, (struct event){.type = EVENT_PEER_DOWN, .peer = peer});
}

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    (void)context, (void)peer;
    ASSERT(cid.len == 36 && manifests.len % 32 == 0);
}

static void x_enclave(void *context, struct run_id run, struct span bytes)
{
    (void)context, (void)run, (void)bytes;
}

static void x_stop(void *context, struct run_id run)
{
    (void)context, (void)run;
}

static void x_dial(void *context, struct node_id peer, struct span address)
{
    (void)context, (void)peer, (void)address;
}

static void x_hang_up(void *context, struct node_id peer)
{
    (void)context, (void)peer;
}

static void x_reply(void *context, uint64_t token, struct verdict verdict, struct hash32 id)
{
    (void)context, (void)token, (void)verdict, (void)id;
}

static void x_notice(void *context, struct span line)
{
    (void)context;
    for (size_t i = 0; i < line.len; i++) ASSERT(line.data[i] >= 0x20 && line.data[i] != 0x7f);
}

/* --- Driving ---------------------------------------------------------------------------------------------------------- */

static void step(struct host *h, struct event event)
{
    const struct pump_executors executors = {h,        x_send,    x_offence, x_send_blob, x_store,
                                             x_crypto, x_enclave, x_enclave, x_enclave,   x_stop,
                                             x_dial,   x_hang_up, x_reply,   x_notice,    NULL};
    h->now.ns += 1000;
    event.now = h->now;
    event.wall_ms = h->wall_ms;
    pump_event(h->core, &executors, &event);
    core_check(h->core);
}

static void drive(struct host *h, struct event event)
{
    uint32_t steps = 0;
    push(h, event);
    while (h->head != h->tail) {
        step(h, h->queue[h->head++ % QUEUE_MAX]);
        ASSERT(++steps < STEPS_MAX);
    }
}

static void tick(struct host *h)
{
    h->now.ns += 1000000000;
    h->wall_ms += 1000;
    drive(h, (struct event){.type = EVENT_TICK});
}

/* It has read its store and seen what the other custodians hold. */
static void start(struct host *h)
{
    static uint8_t packed[CAP_BODY_BYTES + 1024];
    struct world *w = h->world;
    const struct core_options options = {
        .self = w->node[SELF].id, .consortium = w->consortium, .charter = w->charter, .caps = &caps_full};
    ASSERT(core_new(&h->core, &h->core_arena, &options) == OK);
    for (uint32_t i = 0; i < w->record_count; i++) {
        struct buffer b = BUFFER_OF(packed);
        record_pack(&b, w->record[i]);
        drive(h, (struct event){.type = EVENT_RESTORE_RECORD, .bytes = buffer_span(&b)});
    }
    drive(h, (struct event){.type = EVENT_READY});
    for (uint32_t i = 1; i < WORLD_NODES; i++) {
        struct buffer b = BUFFER_OF(packed);
        struct message_HEADS heads = {h->wall_ms, 0, 0, {{0}}, SPAN_NONE};
        message_encode(&b, MESSAGE_HEADS_CODE, &heads);
        drive(h, (struct event){.type = EVENT_PEER_UP, .peer = w->node[i].id});
        drive(h, (struct event){.type = EVENT_MESSAGE, .peer = w->node[i].id, .bytes = buffer_span(&b)});
    }
}

static struct host *fresh(void)
{
    static struct host h;
    if (h.world == NULL) {
        h.world = world_new();
        h.core_arena = sparse(core_arena_bytes(&caps_full));
        h.answers = sparse(ANSWERS_BYTES);
    }
    empty(&h.core_arena);
    empty(&h.answers);
    h.head = h.tail = 0;
    h.now = (struct instant){1000000000};
    h.wall_ms = h.world->now_ms;
    return &h;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct cursor c = cursor_make(span_make(bytes, len));
    struct span message;
    uint8_t who;
    uint16_t message_len;
    if (len > INPUT_MAX) return 0;
    struct host *h = fresh();
    start(h);
    while (cursor_u8(&c, &who) == OK && cursor_u16(&c, &message_len) == OK &&
           cursor_take(&c, &message, message_len) == OK) {
        const struct node_id peer = h->world->node[(who & 0x7f) % WORLD_NODES].id;
        if (message.len > 0)
            drive(h, (struct event){.type = EVENT_MESSAGE, .peer = peer, .bytes = message});
        else if ((who & 0x80) != 0)
            drive(h, (struct event){.type = EVENT_PEER_DOWN, .peer = peer});
        else
            tick(h);
    }
    return 0;
}
