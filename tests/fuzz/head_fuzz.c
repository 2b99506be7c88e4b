/* Any bytes as the head of a request: every beginning of them is judged as the whole is or waits for more, and what is said
 * of a bad one can be shown. */
#include "node/http_head.h"
#include "proto/base/panic.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { PIECES = 64 };

static void check_fault(const struct http_fault *why)
{
    ASSERT(why->status >= 400 && why->status < 600 && why->reason[0] != 0);
    ASSERT(strstr(why->detail, "expected ") != NULL && strstr(why->detail, "came") != NULL);
    for (const char *at = why->detail; *at != 0; at++) ASSERT(*at >= 0x20 && *at < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct http_fault whole = {0, "", ""}, part = {0, "", ""};
    const enum http_head_state state = http_head_read(span_make(bytes, len), &whole);
    if (state == HTTP_HEAD_BAD) check_fault(&whole);
    if (len >= HTTP_HEAD_MAX) ASSERT(state != HTTP_HEAD_MORE);
    for (size_t i = 0; i < PIECES; i++) {
        const size_t piece = len * i / PIECES;
        const enum http_head_state early = http_head_read(span_make(bytes, piece), &part);
        if (early == HTTP_HEAD_MORE) continue;
        ASSERT(early == state);
        if (state == HTTP_HEAD_BAD)
            ASSERT(part.status == whole.status && strcmp(part.reason, whole.reason) == 0);
    }
    return 0;
}
