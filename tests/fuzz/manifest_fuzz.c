/* manifest/1: any bytes. What is accepted is canonical, so the writer gives the same bytes again. */
#include "proto/base/caps.h"
#include "proto/base/panic.h"
#include "proto/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static _Alignas(16) uint8_t memory[1 << 22];
static uint8_t written[CAP_DOCUMENT_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena = arena_make(memory, sizeof memory);
    struct manifest *m = NULL;
    struct json_fault fault;
    struct buffer out = BUFFER_OF(written);
    if (manifest_parse(&m, &arena, span_make(bytes, len), &fault) == OK) {
        ASSERT(manifest_write(&out, m) == OK);
        ASSERT(span_equal(buffer_span(&out), span_make(bytes, len)));
        ASSERT(m->chunk_count == m->plain_len / MANIFEST_CHUNK_BYTES + 1);
    }
    memset(memory, 0, arena.used);
    return 0;
}
