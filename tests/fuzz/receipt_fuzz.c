/* A receipt from anywhere. The first byte says how it comes: as text, which is written again to the very bytes, or as packed
 * parts (consortium, bundle, body, output, salt), which reach the links sooner. Replay never crashes, claims a link only
 * with the links before it, and hands out nothing it has not counted. The seeds are a receipt of the test world. */
#include "proto/base/panic.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"

#include <string.h>
#include <sys/mman.h>

enum { INPUT_MAX = 1 << 17, ARENA_BYTES = 1 << 29 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint8_t written[INPUT_MAX + 16];

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

static enum err read_packed(struct receipt_parts *out, struct span bytes)
{
    struct cursor c = cursor_make(bytes);
    struct span body;
    *out = (struct receipt_parts){.output = SPAN_NONE};
    TRY(unpack_array_of(&c, 5));
    TRY(unpack_fixed(&c, out->consortium.bytes, 32));
    TRY(unpack_bin(&c, INPUT_MAX, &out->bundle));
    TRY(unpack_bin(&c, INPUT_MAX, &body));
    TRY(unpack_bin(&c, INPUT_MAX, &out->output));
    TRY(unpack_fixed(&c, out->salt.bytes, 32));
    TRY(cursor_end(&c));
    return body_decode(&out->body, KIND_RECEIPT, body);
}

static void replay(const struct receipt_parts *parts, struct arena *arena)
{
    static struct receipt_replay r;
    if (receipt_replay(&r, arena, parts, parts->consortium) != OK) return;
    for (uint32_t l = LINK_DOCUMENT + 1; l < RECEIPT_LINK_COUNT; l++)
        ASSERT(r.err[LINK_DOCUMENT] == OK || r.err[l] == ERR_NOT_READY);
    if (r.err[LINK_RUN] == OK) ASSERT(r.bundle != NULL && r.bundle->run != NULL);
    if (r.err[LINK_RELEASES] == OK) ASSERT(r.release_count >= registry_charter(r.bundle->registry)->t);
    if (r.err[LINK_COMMITS] == OK) ASSERT(r.commit_count >= registry_charter(r.bundle->registry)->q);
    for (uint32_t i = 0; i < r.check_count; i++) ASSERT(r.check[i].link < RECEIPT_LINK_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct receipt_parts parts;
    if (len == 0 || len > INPUT_MAX) return 0;
    struct span input = span_make(bytes + 1, len - 1);
    struct arena *arena = fresh_arena();
    if (bytes[0] == 'p') {
        if (read_packed(&parts, input) == OK) replay(&parts, arena);
        return 0;
    }
    struct json_fault fault;
    struct buffer b = BUFFER_OF(written);
    if (receipt_parse(&parts, arena, input, &fault) != OK) {
        ASSERT(fault.err != OK);
        return 0;
    }
    ASSERT(receipt_write(&b, &parts) == OK && span_equal(buffer_span(&b), input));
    replay(&parts, arena);
    return 0;
}
