/* An enclave whose host says anything, after anything. The input is a packed array: what the executor gives (keys, salt,
 * evidence, output), then frames; an empty frame is a tick of a second. Cryptography is trivial: every signature holds, a
 * box is its plaintext behind 48 bytes, so the fuzzer reaches what keys would keep it from. Invariants hold after each step,
 * and nothing happens after the wipe. The seed is a session of the test world up to its first chunk. */
#include "proto/base/panic.h"
#include "proto/enclave.h"
#include "proto/wire/pack.h"

#include <string.h>
#include <sys/mman.h>

enum { INPUT_MAX = 1 << 17, ARENA_BYTES = 1 << 29, FRAMES_MAX = 256, QUEUE_MAX = 512, STEPS_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct answer {
    uint64_t token;
    enum err err;
    struct span bytes;
};
struct session {
    struct arena *arena;
    struct enclave *enclave;
    struct span keys, salt, evidence, output;
    struct answer queue[QUEUE_MAX];
    uint32_t head, tail;
    bool wiped, gone, ended;
    struct instant now;
};

/* The same zeroed memory each time. */
static struct arena *fresh_arena(void)
{
    static struct arena arena;
    if (arena.data == NULL) {
        void *memory = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ASSERT(memory != MAP_FAILED);
        arena = arena_make(memory, ARENA_BYTES);
    }
    ASSERT(madvise(arena.data, ARENA_BYTES, MADV_DONTNEED) == 0);
    arena.used = 0;
    return &arena;
}

static void give(struct session *s, const struct enclave_effect *f, enum err err, struct span bytes)
{
    struct span kept;
    ASSERT(s->tail - s->head < QUEUE_MAX && arena_copy(s->arena, &kept, bytes) == OK);
    s->queue[s->tail++ % QUEUE_MAX] = (struct answer){f->token, err, kept};
}

static void seal(struct session *s, const struct enclave_effect *f)
{
    static uint8_t box[1 << 21];
    ASSERT(f->bytes.len + KEM_OVERHEAD_BYTES <= sizeof box);
    memset(box, 0, KEM_OVERHEAD_BYTES);
    memcpy(box + KEM_OVERHEAD_BYTES, f->bytes.data, f->bytes.len);
    give(s, f, OK, span_make(box, f->bytes.len + KEM_OVERHEAD_BYTES));
}

static void open_box(struct session *s, const struct enclave_effect *f)
{
    static uint8_t view[ANSWER_BYTES_MAX];
    struct buffer b = BUFFER_OF(view);
    struct span shares;
    ASSERT(f->bytes.len >= KEM_OVERHEAD_BYTES);
    struct span plain = span_make(f->bytes.data + KEM_OVERHEAD_BYTES, f->bytes.len - KEM_OVERHEAD_BYTES);
    enum err err = enclave_answer_view(&b, &shares, plain);
    give(s, f, err, err == OK ? buffer_span(&b) : SPAN_NONE);
}

static void commit(struct session *s, const struct enclave_effect *f)
{
    struct hash32 salt;
    memcpy(salt.bytes, s->salt.data, 32);
    salt = enclave_commitment(salt, f->bytes);
    give(s, f, OK, ID_SPAN(salt));
}

static void execute(struct session *s, const struct enclave_effect *f)
{
    static const uint8_t signature[64], facts[sizeof(struct evidence_out)];
    ASSERT(!s->wiped || f->type == ENCLAVE_EXIT);
    switch (f->type) {
    case ENCLAVE_FRAME:
        ASSERT(f->bytes.len > 0 && !s->ended);
        s->ended = f->bytes.data[0] == FRAME_RESULT || f->bytes.data[0] == FRAME_FAILED;
        break;
    case ENCLAVE_KEYS: give(s, f, OK, s->keys); break;
    case ENCLAVE_EVIDENCE: give(s, f, OK, s->evidence); break;
    case ENCLAVE_SIGN: give(s, f, OK, SPAN_OF(signature)); break;
    case ENCLAVE_SEAL: seal(s, f); break;
    case ENCLAVE_OPEN: open_box(s, f); break;
    case ENCLAVE_CONTENT_ID: give(s, f, OK, ID_SPAN(f->manifest->content)); break;
    case ENCLAVE_UNLOCK: give(s, f, OK, s->salt); break;
    case ENCLAVE_CHECK_EVIDENCE: give(s, f, OK, SPAN_OF(facts)); break;
    case ENCLAVE_COMPUTE: give(s, f, OK, s->output); break;
    case ENCLAVE_COMMITMENT: commit(s, f); break;
    case ENCLAVE_VERIFY:
    case ENCLAVE_CHECK_SHARES:
    case ENCLAVE_INPUT_BEGIN:
    case ENCLAVE_INPUT_CHUNK: give(s, f, OK, SPAN_NONE); break;
    case ENCLAVE_WIPE: s->wiped = true; break;
    case ENCLAVE_EXIT:
        ASSERT(s->wiped && s->ended);
        s->gone = true;
        break;
    }
}

static void step(struct session *s, const struct enclave_event *event)
{
    uint32_t count;
    enclave_step(s->enclave, event);
    enclave_check(s->enclave);
    const struct enclave_effect *effects = enclave_effects(s->enclave, &count);
    for (uint32_t i = 0; i < count; i++) execute(s, &effects[i]);
}

/* One frame, or a tick, then every answer that it leads to. */
static void drive(struct session *s, struct span frame)
{
    struct enclave_event event = {
        .type = ENCLAVE_EVENT_FRAME, .wall_ms = UINT64_C(1767225600500), .bytes = frame};
    if (frame.len == 0) {
        event.type = ENCLAVE_EVENT_TICK;
        s->now.ns += 1000000000;
    }
    event.now = s->now;
    step(s, &event);
    for (uint32_t i = 0; s->head != s->tail && i < STEPS_MAX; i++) {
        const struct answer *a = &s->queue[s->head++ % QUEUE_MAX];
        struct enclave_event done = {.type = ENCLAVE_EVENT_DONE,
                                     .now = s->now,
                                     .wall_ms = event.wall_ms,
                                     .err = a->err,
                                     .bytes = a->bytes,
                                     .token = a->token};
        step(s, &done);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct session s;
    struct cursor c = cursor_make(span_make(bytes, len));
    struct span *given[] = {&s.keys, &s.salt, &s.evidence, &s.output}, frame;
    uint32_t count;
    if (len > INPUT_MAX) return 0;
    memset(&s, 0, sizeof s);
    if (unpack_array(&c, FRAMES_MAX + 4, &count) != OK || count < 4) return 0;
    for (uint32_t i = 0; i < 4; i++)
        if (unpack_bin(&c, INPUT_MAX, given[i]) != OK) return 0;
    if (s.salt.len != 32) return 0;
    s.arena = fresh_arena();
    ASSERT(enclave_new(&s.enclave, s.arena) == OK);
    for (uint32_t i = 4; i < count && !s.gone && unpack_bin(&c, INPUT_MAX, &frame) == OK; i++)
        drive(&s, frame);
    if (s.gone) drive(&s, SPAN_NONE);
    return 0;
}
