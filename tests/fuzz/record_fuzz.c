/* A packed record from anywhere. What is accepted is packed again to the very bytes, its header too; a flipped bit of the
 * header is another record or none. */
#include "proto/base/panic.h"
#include "proto/record.h"

#include <string.h>

enum { INPUT_MAX = 1 << 17 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint8_t written[INPUT_MAX + 16];

static void check_header(struct span bytes)
{
    struct header h;
    struct buffer b = BUFFER_OF(written);
    if (header_decode(&h, bytes) != OK) return;
    header_encode(&b, &h);
    ASSERT(buffer_done(&b) == OK && span_equal(buffer_span(&b), bytes));
    bool chained = kind_class(h.kind) == CLASS_CHAINED;
    ASSERT(chained == (h.seq > 0) && ID_IS_ZERO(h.prev) == (h.seq <= 1));
}

static void check_flip(const struct record *r)
{
    uint8_t header[CAP_HEADER_BYTES];
    struct record other;
    size_t at = r->id.bytes[0] % r->header_bytes.len;
    memcpy(header, r->header_bytes.data, r->header_bytes.len);
    header[at] ^= (uint8_t)(1u << (r->id.bytes[1] & 7));
    struct span bytes = span_make(header, r->header_bytes.len);
    if (record_open(&other, bytes, &r->signature, r->body) == OK) ASSERT(!ID_EQUAL(other.id, r->id));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct record r;
    struct buffer b = BUFFER_OF(written);
    if (len > INPUT_MAX) return 0;
    check_header(span_make(bytes, len));
    if (record_unpack(&r, span_make(bytes, len)) != OK) return 0;
    record_pack(&b, &r);
    ASSERT(buffer_done(&b) == OK && span_equal(buffer_span(&b), span_make(bytes, len)));
    ASSERT(r.body_known == (r.body.len > 0));
    if (r.body_known) ASSERT(r.body.len == r.header.body_len);
    check_header(r.header_bytes);
    check_flip(&r);
    return 0;
}
