/* evidence: what an enclave or its platform shows, and its check, as pure functions of bytes, time and policy.
 * This release knows one kind, `simulated`: signed by a well-known test root whose private key is in the source. It
 * proves nothing about hardware, is refused unless the policy names it, and every surface says SIMULATED.
 * Real kinds (TDX, SNP, NVIDIA) will fill the same structures. Binding (DESIGN §10):
 * S = H("perigee/enclave/v1", consortium, run, term, compose, certificate, signing key, kem key);
 * GPU nonce = H("perigee/gpu/v1", S); report data = H("perigee/cpu/v1", S, H(GPU evidence) or zero32). */
#ifndef PERIGEE_CRYPTO_EVIDENCE_H
#define PERIGEE_CRYPTO_EVIDENCE_H

#include "crypto/types.h"
#include "proto/base/ids.h"

enum evidence_kind { EVIDENCE_SIMULATED = 1 };
enum { EVIDENCE_MAX = 16384, EVIDENCE_MEASUREMENTS_MAX = 16 };

struct evidence_policy {
    bool allow_simulated;
    bool need_gpu;
    uint32_t measurement_count; /* accepted worker measurements */
    struct hash32 measurement[EVIDENCE_MEASUREMENTS_MAX];
    uint64_t max_age_ms, max_ahead_ms; /* before and after the time of the check, for clocks differ */
};

/* Of measurements that are packed 32 bytes each; those that find no place are not accepted. */
struct evidence_policy evidence_policy_make(bool allow_simulated, bool need_gpu, uint64_t max_age_ms,
                                            uint64_t max_ahead_ms, struct span measurements);

struct evidence_result {
    enum evidence_kind kind;
    struct hash32 measurement;
    struct hash32 platform_id;
    bool has_gpu;
    bool gpu_confidential;
    uint64_t time_ms;
    char gpu_model[48];
};

/* Check `bytes` against the binding, the time and the policy. On refusal (always ERR_EVIDENCE) `*field` names what
 * failed ("signature", "report-data", "gpu-nonce", "gpu", "measurement", "age", "ahead", "kind", "canonical") and `out` is
 * zero; on success it is NULL. `need_gpu` asks for a GPU in confidential mode.
 * Further ahead of `now_ms` than the policy lets it be, two clocks disagree ("ahead"). */
MUST_USE enum err evidence_check(struct evidence_result *out, const char **field, struct span bytes,
                                 struct hash32 binding, uint64_t now_ms,
                                 const struct evidence_policy *policy);

struct evidence_facts {
    struct hash32 measurement;
    struct hash32 platform_id;
    bool has_gpu, gpu_confidential;
    char gpu_model[48];
    uint64_t time_ms;
};
/* ERR_RANGE: facts that cannot be stated (a model without GPU, text that is not printable ASCII), ERR_TOO_LARGE.
 * SIMULATED: made by the `process` driver, where no hardware root exists. */
MUST_USE enum err evidence_simulate(struct buffer *out, const struct evidence_facts *facts,
                                    struct hash32 binding);

#endif
