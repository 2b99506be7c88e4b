/* A link message from any peer. What is accepted is encoded again to the very bytes. */
#include "proto/base/panic.h"
#include "proto/wire/body.h"

enum { INPUT_MAX = CAP_MESSAGE_BYTES + 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t written[INPUT_MAX];
    static union message_body body;
    enum message code;
    struct buffer b = BUFFER_OF(written);
    if (len > INPUT_MAX || message_decode(&code, &body, span_make(bytes, len)) != OK) return 0;
    ASSERT(message_known((uint64_t)code) && bytes[0] == (uint8_t)code);
    message_encode(&b, code, &body);
    ASSERT(buffer_done(&b) == OK && span_equal(buffer_span(&b), span_make(bytes, len)));
    return 0;
}
