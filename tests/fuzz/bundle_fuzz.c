/* A consortium id, then a bundle from anywhere. What opens is packed again to the very bytes, and what it hands out covers
 * every record. The seeds are the bundle of the test world (tests/world.h) and parts of it. */
#include "proto/base/panic.h"
#include "proto/bundle.h"
#include "proto/wire/pack.h"

#include <string.h>
#include <sys/mman.h>

enum { INPUT_MAX = 1 << 17, ARENA_BYTES = 1 << 29 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint8_t written[INPUT_MAX + 16], packed[CAP_HEADER_BYTES + CAP_BODY_BYTES + 128];

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

static void check_bundle(const struct bundle *b, struct span bytes)
{
    struct buffer again = BUFFER_OF(written);
    pack_array(&again, b->record_count);
    for (uint32_t i = 0; i < b->record_count; i++) {
        struct buffer one = BUFFER_OF(packed);
        record_pack(&one, &b->record[i]);
        pack_bin(&again, buffer_span(&one));
        ASSERT(ids_equal(b->ids.data + (size_t)i * 32, b->record[i].id.bytes));
        ASSERT(ID_EQUAL(b->check[i].author, b->record[i].header.author));
    }
    ASSERT(buffer_done(&again) == OK && span_equal(buffer_span(&again), bytes));
    ASSERT(b->check_count >= b->record_count && b->refused <= b->record_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct consortium_id consortium;
    struct bundle *b = NULL;
    struct verdict v;
    if (len < 32 || len > INPUT_MAX) return 0;
    memcpy(consortium.bytes, bytes, 32);
    struct span input = span_make(bytes + 32, len - 32);
    enum err err = bundle_open(&b, &v, fresh_arena(), input, consortium, UINT64_C(1767225600500));
    if (err != OK && err != ERR_REFUSED) return 0;
    ASSERT((err == OK) == (v.refusal == REFUSAL_NONE));
    if (err == OK) ASSERT(b->run != NULL && b->workflow != NULL && b->refused == b->record_count);
    check_bundle(b, input);
    return 0;
}
