/* release: may this custodian give its shares to this enclave, prolong its lease and sign its commit, and may this owner give
 * its half of a data key (DESIGN §8 "Release", `owner_veto`, §9 "Lease", "Commit").
 * One function, one table of refusals (refusal.h). Keyed results come in as facts already checked: the ask's signature,
 * the certificate's votes, the evidence. Policy applied is the strictest of workflow, owners' minimum and charter. Pure. */
#ifndef PERIGEE_PROTO_RELEASE_H
#define PERIGEE_PROTO_RELEASE_H

#include "proto/certificate.h"
#include "proto/event.h"
#include "proto/promise.h"
#include "proto/registry.h"

struct release_ask {
    struct run_id run;
    uint64_t term;
    uint32_t party; /* whom it is for: this custodian's index, or VETO_PARTY and an input of this owner */
    struct node_id host;    /* the peer that brought it: where the answer goes */
    struct node_id enclave; /* who signed the ask: the enclave's signing key */
    struct kem_public kem;
    const struct certificate *certificate; /* NULL: it did not decode or a vote's signature does not hold */
    uint32_t envelope_count, half_count;
    enum err evidence_err;      /* of the evidence check */
    const char *evidence_field; /* what failed, e.g. "report-data"; NULL when none */
    struct evidence_out evidence;
    bool platform_known; /* an advert of the elected node names a platform */
    struct hash32 platform;
    uint64_t now_ms;
    enum refusal standing; /* as in election.h */
};
struct verdict release_decide(struct registry *r, const struct promises *p, struct node_id self,
                              const struct release_ask *ask);

/* May this enclave, to which this custodian released, go on for another lease? */
struct lease_ask {
    struct run_id run;
    uint64_t term;
    struct node_id host; /* the peer that brought it */
    struct node_id enclave;
    uint64_t now_ms;
    enum refusal standing; /* as in election.h */
};
struct verdict lease_decide(struct registry *r, const struct promises *p, struct node_id self,
                            const struct lease_ask *ask);

struct commit_ask {
    struct lease_ask holder;
    uint64_t index;
    struct hash32 commitment;
};
struct verdict commit_decide(struct registry *r, const struct promises *p, struct node_id self,
                             const struct commit_ask *ask);

/* What evidence for this run is held against at this time: all of a CRYPTO_EVIDENCE job but the evidence and its binding. The
 * run's workflow and a charter are there. */
void release_evidence_job(struct crypto_job *job, struct registry *r, const struct body_RUN *run,
                          uint64_t now_ms);
/* Does the strictest policy in force for this run demand GPU evidence, and may evidence be simulated? */
void release_evidence_policy(struct registry *r, const struct body_RUN *run, bool *need_gpu,
                             bool *accept_simulated);

#endif
