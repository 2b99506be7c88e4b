/* charter/1: any bytes. What is accepted is canonical, so the writer gives the same bytes again, and its thresholds
 * hold. */
#include "proto/base/panic.h"
#include "proto/charter.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static _Alignas(16) uint8_t memory[1 << 22];
static uint8_t written[CAP_DOCUMENT_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena = arena_make(memory, sizeof memory);
    struct charter *c = NULL;
    struct json_fault fault;
    struct buffer out = BUFFER_OF(written);
    if (charter_parse(&c, &arena, span_make(bytes, len), &fault) == OK) {
        ASSERT(charter_write(&out, c) == OK);
        ASSERT(span_equal(buffer_span(&out), span_make(bytes, len)));
        ASSERT(2 * c->q > c->custodian_count + c->f && c->t > c->f && 2 * c->s > c->steward_count);
        ASSERT(charter_custodian(c, c->member[c->custodian[0]].node) == 0);
    }
    memset(memory, 0, arena.used);
    return 0;
}
