/* meta/1: any bytes. What is accepted is canonical, so the writer gives the same bytes again. */
#include "node/meta.h"
#include "proto/base/panic.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static _Alignas(16) uint8_t memory[1 << 16];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t written[META_BYTES_MAX];
    struct arena arena = arena_make(memory, sizeof memory);
    struct meta meta;
    struct json_fault fault;
    struct buffer out = BUFFER_OF(written);
    if (meta_parse(&meta, &arena, span_make(bytes, len), &fault) == OK) {
        ASSERT(meta_write(&out, &meta) == OK);
        ASSERT(span_equal(buffer_span(&out), span_make(bytes, len)));
    }
    memset(memory, 0, arena.used);
    return 0;
}
