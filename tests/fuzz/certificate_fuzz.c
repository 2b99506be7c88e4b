/* A certificate from anywhere. What decodes is encoded again to the very bytes, and passes for a charter only with q votes
 * of its custodians. The vote's message covers everything but the votes. */
#include "proto/base/panic.h"
#include "proto/certificate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_charter(const struct certificate *c)
{
    struct charter charter = {.q = 3, .custodian_count = 4};
    memcpy(charter.hash.bytes, c->consortium.bytes, 32);
    if (certificate_check(c, &charter) == OK)
        ASSERT(c->term > 0 && c->vote_count >= 3 && c->custodian[c->vote_count - 1] < 4);
    charter.hash.bytes[0] ^= 1;
    ASSERT(certificate_check(c, &charter) == ERR_CONSORTIUM);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t written[CERTIFICATE_BYTES_MAX];
    struct certificate c;
    struct buffer b = BUFFER_OF(written);
    if (certificate_decode(&c, span_make(bytes, len)) != OK) return 0;
    certificate_encode(&b, &c);
    ASSERT(buffer_done(&b) == OK && span_equal(buffer_span(&b), span_make(bytes, len)));
    ASSERT(c.vote_count <= CAP_CUSTODIANS);
    for (uint32_t i = 1; i < c.vote_count; i++) ASSERT(c.custodian[i - 1] < c.custodian[i]);
    check_charter(&c);
    struct hash32 before = certificate_vote_hash(&c), after;
    c.term++;
    after = certificate_vote_hash(&c);
    ASSERT(!ID_EQUAL(before, after));
    return 0;
}
