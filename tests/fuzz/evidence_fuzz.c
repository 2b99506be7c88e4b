/* evidence: any bytes under a policy that allows everything allowable; and the same bytes signed by the SIMULATED root
 * (its secret is public), so that the checks behind the signature are reached as well. */
#include "crypto/evidence.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <string.h>

enum { SIGNED_BYTES = 190, EVIDENCE_BYTES = 254 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct hash32 binding = {{0x33}};
static struct evidence_policy policy = {
    .allow_simulated = true, .measurement_count = 1, .max_age_ms = UINT64_MAX};

static void check(struct span input)
{
    struct evidence_result out;
    const char *field = "unset";
    enum err err;
    /* Accept whatever measurement and time it claims: what remains are the form and the bindings. */
    if (input.len >= 36) memcpy(policy.measurement[0].bytes, input.data + 4, 32);
    err = evidence_check(&out, &field, input, binding, UINT64_MAX, &policy);
    if (err != OK) {
        ASSERT(err == ERR_EVIDENCE && field != NULL && strcmp(field, "unset") != 0);
        ASSERT(out.kind != EVIDENCE_SIMULATED && ID_IS_ZERO(out.measurement));
        return;
    }
    /* Accepted: then it is exactly what evidence_simulate writes for these facts. */
    struct evidence_facts facts = {.measurement = out.measurement,
                                   .platform_id = out.platform_id,
                                   .has_gpu = out.has_gpu,
                                   .gpu_confidential = out.gpu_confidential,
                                   .time_ms = out.time_ms};
    uint8_t again_bytes[EVIDENCE_BYTES];
    struct buffer again = BUFFER_OF(again_bytes);
    memcpy(facts.gpu_model, out.gpu_model, sizeof facts.gpu_model);
    ASSERT(field == NULL);
    ASSERT(evidence_simulate(&again, &facts, binding) == OK);
    ASSERT(span_equal(span_make(again_bytes, SIGNED_BYTES), span_make(input.data, SIGNED_BYTES)));
}

static void check_signed(struct span input)
{
    struct identity_secret root;
    struct signature sig;
    uint8_t copy[EVIDENCE_BYTES];
    if (input.len != EVIDENCE_BYTES) return;
    memcpy(copy, input.data, EVIDENCE_BYTES);
    memcpy(root.bytes, "SIMULATED-TEST-ROOT-NOT-A-SECRET", 32);
    ASSERT(identity_sign(&sig, &root,
                         HASH_FRAMED("perigee/simulated-evidence/v1", span_make(copy, SIGNED_BYTES))) == OK);
    memcpy(copy + SIGNED_BYTES, sig.bytes, 64);
    check(SPAN_OF(copy));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static bool ready;
    if (!ready) ASSERT(crypto_init() == OK);
    ready = true;
    check(span_make(bytes, len));
    check_signed(span_make(bytes, len));
    return 0;
}
