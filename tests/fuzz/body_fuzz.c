/* A body of any kind: the first byte names the kind, the rest is the body. What is accepted is encoded again to the very
 * bytes. */
#include "proto/base/panic.h"
#include "proto/wire/body.h"

enum { INPUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t written[INPUT_MAX];
    static union body body;
    struct buffer b = BUFFER_OF(written);
    if (len == 0 || len > INPUT_MAX) return 0;
    struct span input = span_make(bytes + 1, len - 1);
    enum err err = body_decode(&body, (enum kind)bytes[0], input);
    if (!kind_known(bytes[0])) ASSERT(err == ERR_KIND);
    if (err != OK) return 0;
    body_encode(&b, (enum kind)bytes[0], &body);
    ASSERT(buffer_done(&b) == OK && span_equal(buffer_span(&b), input));
    return 0;
}
