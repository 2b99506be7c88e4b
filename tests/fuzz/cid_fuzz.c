/* cid: any bytes as a CID and as its text. What is accepted has one spelling in each form. */
#include "crypto/cid.h"
#include "proto/base/panic.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void as_bytes(struct span input)
{
    enum cid_hash hash;
    struct hash32 digest;
    if (cid_parse(&hash, &digest, input) != OK) return;
    struct cid cid = cid_make(hash, digest), again;
    char text[CID_TEXT_CHARS + 1];
    ASSERT(span_equal(SPAN_OF(cid.bytes), input));
    cid_text(text, &cid);
    ASSERT(cid_from_text(&again, span_text(text)) == OK);
    ASSERT(memcmp(again.bytes, cid.bytes, CID_BYTES) == 0);
    enum err err = cid_check(&cid, input);
    ASSERT(err == ERR_HASH); /* a CID that names itself would be a broken hash */
}

static void as_text(struct span input)
{
    struct cid cid;
    char text[CID_TEXT_CHARS + 1];
    if (cid_from_text(&cid, input) != OK) return;
    cid_text(text, &cid);
    ASSERT(span_equal_text(input, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    as_bytes(span_make(bytes, len));
    as_text(span_make(bytes, len));
    return 0;
}
