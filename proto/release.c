#include "proto/release.h"

#include <string.h>

static struct verdict check_custodian(const struct registry *r, struct node_id self)
{
    const struct charter *charter = registry_charter(r);
    if (charter == NULL || registry_committee(r) == NULL)
        return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    return charter_custodian(charter, self) < 0 ? verdict_refuse(REFUSAL_NOT_CUSTODIAN, self.bytes)
                                                : VERDICT_OK;
}

/* What all need: who answers is in touch and in time, a run that holds now, its slot, no later term. */
static struct verdict check_run(struct registry *r, const struct promises *p, struct run_id run,
                                uint64_t term, uint64_t now_ms, enum refusal standing,
                                const struct run_entry **out)
{
    if (standing != REFUSAL_NONE) return verdict_refuse(standing, NULL);
    const struct run_entry *entry = registry_run(r, run);
    if (entry == NULL) return verdict_refuse(REFUSAL_UNKNOWN_RUN, run.bytes);
    if (record_run_end_ms(&entry->record->header) <= now_ms) return verdict_refuse(REFUSAL_RUN_EXPIRED, NULL);
    struct verdict v = registry_check_record(r, entry->record);
    if (v.refusal != REFUSAL_NONE) return v;
    if (promise_term(p, run) > term) return verdict_refuse(REFUSAL_TERM, NULL);
    const uint8_t *holder = promise_get(p, PROMISE_SLOT, entry->body.compose.bytes, entry->body.slot);
    if (holder != NULL && memcmp(holder, run.bytes, 32) != 0)
        return verdict_refuse(REFUSAL_SLOT_SPENT, holder);
    *out = entry;
    return registry_check_run(r, &entry->body, entry->record->header.author, now_ms);
}

/* Only the owner of that very input has a half of its key, and only if it kept one. */
static struct verdict check_owner(const struct registry *r, const struct body_RUN *run, uint32_t party,
                                  struct node_id self)
{
    uint32_t input = party - VETO_PARTY;
    if (input >= run_input_count(run)) return verdict_refuse(REFUSAL_INPUTS, NULL);
    const struct asset *a = registry_asset(r, run_input_at(run, input).dt);
    if (!registry_holds(r, a, self)) return verdict_refuse(REFUSAL_NOT_OWNER, self.bytes);
    return registry_vetoed(r, run, input) ? VERDICT_OK : verdict_refuse(REFUSAL_ENVELOPE, a->dt.bytes);
}

static struct verdict check_certificate(struct registry *r, const struct release_ask *ask,
                                        const struct run_entry *run)
{
    const struct certificate *c = ask->certificate;
    if (c == NULL || certificate_check(c, registry_charter(r)) != OK)
        return verdict_refuse(REFUSAL_CERTIFICATE, NULL);
    bool same = ID_EQUAL(c->run, ask->run) && c->term == ask->term && c->epoch == run->body.epoch &&
                ID_EQUAL(c->compose, run->body.compose) && c->slot == run->body.slot;
    if (!same) return verdict_refuse(REFUSAL_CERTIFICATE, c->run.bytes);
    /* Residency and export are judged for the elected node: through no other one may an answer go. */
    if (!ID_EQUAL(ask->host, c->node)) return verdict_refuse(REFUSAL_CERTIFICATE, ask->host.bytes);
    return registry_check_node(r, &run->body, c->node);
}

static struct verdict check_evidence(struct registry *r, const struct release_ask *ask,
                                     const struct run_entry *run)
{
    const struct published *p = registry_workflow(r, run->body.compose);
    if (ask->evidence_err != OK && ask->evidence_err != ERR_EVIDENCE)
        return verdict_refuse(REFUSAL_TROUBLE, NULL); /* it was not judged at all */
    if (ask->evidence_err != OK) {
        bool binding = ask->evidence_field != NULL && (strcmp(ask->evidence_field, "report-data") == 0 ||
                                                       strcmp(ask->evidence_field, "gpu-nonce") == 0);
        bool worker = ask->evidence_field != NULL && strcmp(ask->evidence_field, "measurement") == 0;
        bool gpu = ask->evidence_field != NULL && strcmp(ask->evidence_field, "gpu") == 0;
        bool ahead = ask->evidence_field != NULL && strcmp(ask->evidence_field, "ahead") == 0;
        enum refusal why = ahead     ? REFUSAL_CLOCK
                           : binding ? REFUSAL_BINDING
                           : worker  ? REFUSAL_MEASUREMENT
                           : gpu     ? REFUSAL_GPU
                                     : REFUSAL_EVIDENCE;
        return verdict_refuse(why, NULL);
    }
    bool need_gpu,
        accept_simulated; /* now: an owner may have asked for more since the evidence was checked */
    release_evidence_policy(r, &run->body, &need_gpu, &accept_simulated);
    if (need_gpu && !ask->evidence.gpu_confidential) return verdict_refuse(REFUSAL_GPU, NULL);
    if (ask->evidence.simulated && !accept_simulated) return verdict_refuse(REFUSAL_EVIDENCE, NULL);
    if (p == NULL || !registry_worker(r, p->workflow->workers, ask->evidence.measurement))
        return verdict_refuse(REFUSAL_MEASUREMENT, ask->evidence.measurement.bytes);
    if (!registry_platform_admitted(r, ask->certificate->node, ask->evidence.platform))
        return verdict_refuse(REFUSAL_PLATFORM, ask->evidence.platform.bytes);
    /* Adverts come every two seconds: one that this custodian has not seen since it started comes before the enclave gives up. */
    if (!ask->platform_known) return verdict_refuse(REFUSAL_TROUBLE, ask->evidence.platform.bytes);
    if (!ID_EQUAL(ask->platform, ask->evidence.platform))
        return verdict_refuse(REFUSAL_PLATFORM, ask->evidence.platform.bytes);
    return VERDICT_OK;
}

struct verdict release_decide(struct registry *r, const struct promises *p, struct node_id self,
                              const struct release_ask *ask)
{
    const struct run_entry *run = NULL;
    bool owner = ask->party >= VETO_PARTY;
    struct verdict v = owner ? VERDICT_OK : check_custodian(r, self);
    if (v.refusal == REFUSAL_NONE) v = check_run(r, p, ask->run, ask->term, ask->now_ms, ask->standing, &run);
    if (v.refusal == REFUSAL_NONE && owner) v = check_owner(r, &run->body, ask->party, self);
    if (v.refusal == REFUSAL_NONE) v = check_certificate(r, ask, run);
    if (v.refusal == REFUSAL_NONE) v = check_evidence(r, ask, run);
    if (v.refusal != REFUSAL_NONE) return v;
    bool complete = ask->envelope_count == run_input_count(&run->body) &&
                    ask->half_count == registry_veto_count(r, &run->body);
    if (!complete) return verdict_refuse(REFUSAL_ENVELOPE, NULL);
    const uint8_t *served = promise_get(p, PROMISE_RELEASE, ask->run.bytes, ask->term);
    if (served != NULL && memcmp(served, ask->enclave.bytes, 32) != 0)
        return verdict_refuse(REFUSAL_OTHER_KEY, served);
    return VERDICT_OK;
}

/* Is the node that brings this the one to which shares were released, and may it, and the worker on it, have them now? */
static struct verdict check_released(struct registry *r, const struct promises *p,
                                     const struct lease_ask *ask, const struct run_entry *entry)
{
    const uint8_t *host = promise_get(p, PROMISE_HOST, ask->run.bytes, ask->term);
    const uint8_t *worker = promise_get(p, PROMISE_WORKER, ask->run.bytes, ask->term);
    const struct published *w = registry_workflow(r, entry->body.compose);
    struct node_id node;
    struct hash32 measurement;
    if (host == NULL || worker == NULL || w == NULL) return verdict_refuse(REFUSAL_NOT_RELEASED, NULL);
    memcpy(node.bytes, host, sizeof node.bytes);
    memcpy(measurement.bytes, worker, sizeof measurement.bytes);
    if (!ID_EQUAL(ask->host, node)) return verdict_refuse(REFUSAL_CERTIFICATE, ask->host.bytes);
    struct verdict v = registry_check_node(r, &entry->body, node);
    if (v.refusal != REFUSAL_NONE) return v;
    return registry_worker(r, w->workflow->workers, measurement)
               ? VERDICT_OK
               : verdict_refuse(REFUSAL_MEASUREMENT, worker);
}

struct verdict lease_decide(struct registry *r, const struct promises *p, struct node_id self,
                            const struct lease_ask *ask)
{
    const struct run_entry *run = NULL;
    struct verdict v = check_custodian(r, self);
    if (v.refusal == REFUSAL_NONE) v = check_run(r, p, ask->run, ask->term, ask->now_ms, ask->standing, &run);
    if (v.refusal != REFUSAL_NONE) return v;
    const uint8_t *served = promise_get(p, PROMISE_RELEASE, ask->run.bytes, ask->term);
    if (served == NULL || memcmp(served, ask->enclave.bytes, 32) != 0)
        return verdict_refuse(REFUSAL_NOT_RELEASED, NULL);
    return check_released(r, p, ask, run);
}

struct verdict commit_decide(struct registry *r, const struct promises *p, struct node_id self,
                             const struct commit_ask *ask)
{
    struct verdict v = lease_decide(r, p, self, &ask->holder);
    if (v.refusal != REFUSAL_NONE) return v;
    if (ask->index != 0)
        return verdict_refuse(REFUSAL_OUTPUT_TYPE, NULL); /* this version has one output per run */
    const uint8_t *bound = promise_get(p, PROMISE_COMMIT, ask->holder.run.bytes, ask->index);
    if (bound != NULL && memcmp(bound, ask->commitment.bytes, 32) != 0)
        return verdict_refuse(REFUSAL_COMMIT_CONFLICT, bound);
    return VERDICT_OK;
}

void release_evidence_policy(struct registry *r, const struct body_RUN *run, bool *need_gpu,
                             bool *accept_simulated)
{
    const struct charter *charter = registry_charter(r);
    const struct published *p = registry_workflow(r, run->compose);
    *need_gpu = p == NULL || p->workflow->need_gpu;
    *accept_simulated =
        charter != NULL && charter->accept_simulated && p != NULL && p->workflow->accept_simulated;
    for (uint32_t i = 0; i < run_input_count(run); i++) {
        const struct asset *a = registry_asset(r, run_input_at(run, i).dt);
        const struct binding *bound =
            a != NULL ? registry_binding_of(r, a, run_input_at(run, i).binding) : NULL;
        const struct binding *newest = a != NULL ? registry_binding(r, a, run->compose) : NULL;
        if (bound == NULL || newest == NULL || bound->policy->need_gpu || newest->policy->need_gpu)
            *need_gpu = true;
    }
}

void release_evidence_job(struct crypto_job *job, struct registry *r, const struct body_RUN *run,
                          uint64_t now_ms)
{
    const struct charter *charter = registry_charter(r);
    const struct published *p = registry_workflow(r, run->compose);
    ASSERT(charter != NULL && p != NULL);
    job->op = CRYPTO_EVIDENCE;
    job->measurements = registry_workers(r, p->workflow->workers);
    job->age_max_ms = charter->evidence_age_max_ms;
    job->ahead_max_ms = charter_ahead_max_ms(charter);
    job->now_ms = now_ms;
    release_evidence_policy(r, run, &job->need_gpu, &job->accept_simulated);
}
