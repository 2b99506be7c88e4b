#include "sim/ledger.h"

#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEASE_SLACK_MS = 20
}; /* two clocks, each at its bound of drift, over the longest of leases that tests use */

static void *grown(void *rows, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap) return rows;
    *cap = *cap == 0 ? 16 : 2 * *cap;
    rows = realloc(rows, *cap * size);
    ASSERT(rows != NULL);
    return rows;
}

/* A new row of a list, zeroed. */
#define LEDGER_ADD(l, list, count)                                                                           \
    (memset(((l)->list = grown((l)->list, (l)->count, &(l)->count##_cap, sizeof *(l)->list)) + (l)->count,   \
            0, sizeof *(l)->list),                                                                           \
     &(l)->list[(l)->count++])

void ledger_free(struct ledger *l)
{
    for (uint32_t i = 0; i < l->runs; i++) free(l->run[i].term);
    free(l->approval);
    free(l->grant);
    free(l->job);
    free(l->endorsement);
    free(l->revocation);
    free(l->run);
    free(l->certificate);
}

/* --- Records ------------------------------------------------------------------------------------------------------------ */

static struct ledger_place place_of(const struct record *r)
{
    return (struct ledger_place){r->header.author, r->header.seq, r->id};
}

static bool known(const void *rows, uint32_t count, size_t size, struct record_id id)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct ledger_place *at = (const void *)((const uint8_t *)rows + i * size);
        if (ID_EQUAL(at->id, id)) return true; /* the place is the first in every row */
    }
    return false;
}

static bool take_approval(struct ledger *l, const struct record *r, const struct body_APPROVAL *b)
{
    if (known(l->approval, l->approvals, sizeof *l->approval, r->id)) return false;
    *LEDGER_ADD(l, approval, approvals) = (struct ledger_approval){place_of(r), *b, r->header.expires_ms};
    return true;
}

static bool take_grant(struct ledger *l, const struct record *r, const struct body_GRANT *b)
{
    if (known(l->grant, l->grants, sizeof *l->grant, r->id)) return false;
    *LEDGER_ADD(l, grant, grants) =
        (struct ledger_grant){place_of(r), b->lower, b->higher, r->header.expires_ms};
    return true;
}

static bool take_job(struct ledger *l, const struct record *r, const struct body_JOB *b)
{
    if (known(l->job, l->jobs, sizeof *l->job, r->id)) return false;
    *LEDGER_ADD(l, job, jobs) = (struct ledger_job){place_of(r), b->compose};
    return true;
}

static bool take_endorsement(struct ledger *l, const struct record *r, const struct body_ENDORSEMENT *b)
{
    if (known(l->endorsement, l->endorsements, sizeof *l->endorsement, r->id)) return false;
    *LEDGER_ADD(l, endorsement, endorsements) = (struct ledger_endorsement){place_of(r), b->job};
    return true;
}

static bool take_revocation(struct ledger *l, const struct record *r, const struct body_REVOCATION *b)
{
    if (known(l->revocation, l->revocations, sizeof *l->revocation, r->id)) return false;
    *LEDGER_ADD(l, revocation, revocations) =
        (struct ledger_revocation){place_of(r), b->target, b->subject, 0};
    return true;
}

static bool take_run(struct ledger *l, const struct record *r, const struct body_RUN *b)
{
    if (known(l->run, l->runs, sizeof *l->run, r->id)) return false;
    struct ledger_run *run = LEDGER_ADD(l, run, runs);
    *run = (struct ledger_run){.at = place_of(r),
                               .app = b->app,
                               .compose = b->compose,
                               .slot = b->slot,
                               .ends_ms = record_run_end_ms(&r->header),
                               .input_count = run_input_count(b),
                               .no_keys_ns = UINT64_MAX,
                               .no_output_ns = UINT64_MAX,
                               .no_lease_ns = UINT64_MAX};
    memcpy(run->run.bytes, r->id.bytes, sizeof run->run.bytes);
    for (uint32_t i = 0; i < run->input_count; i++) run->input[i] = run_input_at(b, i).dt;
    return true;
}

bool ledger_take(struct ledger *l, const struct record *r)
{
    static union body b;
    if (r->header.seq == 0 || !r->body_known || body_decode(&b, r->header.kind, r->body) != OK) return false;
    if (r->header.kind == KIND_APPROVAL) return take_approval(l, r, &b.APPROVAL);
    if (r->header.kind == KIND_GRANT) return take_grant(l, r, &b.GRANT);
    if (r->header.kind == KIND_JOB) return take_job(l, r, &b.JOB);
    if (r->header.kind == KIND_ENDORSEMENT) return take_endorsement(l, r, &b.ENDORSEMENT);
    if (r->header.kind == KIND_REVOCATION) return take_revocation(l, r, &b.REVOCATION);
    return r->header.kind == KIND_RUN && take_run(l, r, &b.RUN);
}

uint64_t ledger_allotted(const struct ledger *l, struct dt dataset)
{
    uint64_t sum = 0, cost;
    for (uint32_t i = 0; i < l->approvals; i++) {
        const struct body_APPROVAL *b = &l->approval[i].body;
        if (!ID_EQUAL(b->dataset, dataset)) continue;
        if (__builtin_mul_overflow(b->slot_last - b->slot_first + 1, b->cost, &cost) ||
            __builtin_add_overflow(sum, cost, &sum))
            return UINT64_MAX;
    }
    return sum;
}

/* --- Runs and certificates ------------------------------------------------------------------------------------------------ */

struct ledger_run *ledger_run_find(struct ledger *l, struct run_id run)
{
    for (uint32_t i = 0; i < l->runs; i++)
        if (ID_EQUAL(l->run[i].run, run)) return &l->run[i];
    return NULL;
}

void ledger_bypassed(struct ledger *l, struct record_id run)
{
    for (uint32_t i = 0; i < l->runs; i++) l->run[i].bypassed |= ID_EQUAL(l->run[i].at.id, run);
}

struct ledger_term *ledger_term_of(struct ledger_run *run, uint64_t term)
{
    for (uint32_t i = 0; i < run->term_count; i++)
        if (run->term[i].term == term) return &run->term[i];
    run->term = grown(run->term, run->term_count, &run->term_cap, sizeof *run->term);
    struct ledger_term *t = &run->term[run->term_count++];
    memset(t, 0, sizeof *t);
    t->term = term;
    return t;
}

const struct ledger_certificate *ledger_certificate_find(const struct ledger *l, struct hash32 hash)
{
    for (uint32_t i = 0; i < l->certificates; i++)
        if (ID_EQUAL(l->certificate[i].hash, hash)) return &l->certificate[i];
    return NULL;
}

void ledger_certify(struct ledger *l, const struct ledger_certificate *certificate)
{
    *LEDGER_ADD(l, certificate, certificates) = *certificate;
}

/* --- What holds, by the records of one node --------------------------------------------------------------------------------- */

static bool held(const struct chain *view, const struct ledger_place *at)
{
    const struct record *r = chain_get(view, at->author, at->seq);
    return r != NULL && ID_EQUAL(r->id, at->id);
}

/* Positive records act in their turn, but not from the place on in which their author has signed two. */
static bool acts(const struct chain *view, const struct ledger_place *at)
{
    const struct author *a = chain_author(view, at->author);
    return a != NULL && at->seq <= a->applied && (a->frozen == 0 || at->seq < a->frozen) && held(view, at);
}

/* Of who has none of its approvals and grants act. */
static bool is_frozen(const struct chain *view, const struct ledger_place *at)
{
    const struct author *a = chain_author(view, at->author);
    return a != NULL && a->frozen != 0;
}

static bool speaks_of(const struct ledger_revocation *v, const struct ledger_place *at,
                      const struct compose_hash *compose, struct dt dataset)
{
    if (!ID_EQUAL(v->at.author, at->author) || v->at.seq < at->seq) return false;
    switch ((enum revocation_target)v->target) {
    case REVOKE_ALL: return true;
    case REVOKE_APPROVAL: return ids_equal(v->subject.bytes, at->id.bytes);
    case REVOKE_COMPOSE: return compose != NULL && ids_equal(v->subject.bytes, compose->bytes);
    case REVOKE_DATASET: return ids_equal(v->subject.bytes, dataset.bytes);
    case REVOKE_DEVICE: break;
    }
    return false;
}

static bool revoked(const struct ledger *l, const struct chain *view, const struct ledger_place *at,
                    const struct compose_hash *compose, struct dt dataset)
{
    for (uint32_t i = 0; i < l->revocations; i++) /* negative ones act as soon as they are held */
        if (speaks_of(&l->revocation[i], at, compose, dataset) && held(view, &l->revocation[i].at))
            return true;
    return false;
}

static bool allots(const struct ledger_approval *a, const struct ledger_run *run, struct dt dataset)
{
    return ID_EQUAL(a->body.dataset, dataset) && ID_EQUAL(a->body.compose, run->compose) &&
           a->body.slot_first <= run->slot && run->slot <= a->body.slot_last;
}

static bool approved(const struct ledger *l, const struct chain *view, const struct ledger_run *run,
                     struct dt dataset, uint64_t wall_ms)
{
    for (uint32_t i = 0; i < l->approvals; i++) {
        const struct ledger_approval *a = &l->approval[i];
        const bool in_time = a->expires_ms == 0 || a->expires_ms > wall_ms;
        if (allots(a, run, dataset) && in_time && acts(view, &a->at) && !is_frozen(view, &a->at) &&
            !revoked(l, view, &a->at, &a->body.compose, dataset))
            return true;
    }
    return false;
}

static bool granted(const struct ledger *l, const struct chain *view, const struct ledger_run *run,
                    struct dt dataset, uint64_t wall_ms)
{
    for (uint32_t i = 0; i < l->grants; i++) {
        const struct ledger_grant *g = &l->grant[i];
        const bool in_time = g->expires_ms == 0 || g->expires_ms > wall_ms;
        if (ID_EQUAL(g->lower, dataset) && ID_EQUAL(g->higher, run->app) && in_time && acts(view, &g->at) &&
            !is_frozen(view, &g->at) && !revoked(l, view, &g->at, NULL, dataset))
            return true;
    }
    return false;
}

/* By s distinct stewards. */
static bool endorsed(const struct ledger *l, const struct chain *view, const struct ledger_job *job)
{
    uint32_t stewards = 0;
    for (uint32_t i = 0; i < l->endorsements; i++) {
        const struct ledger_endorsement *e = &l->endorsement[i];
        const int steward = charter_steward(l->charter, e->at.author);
        if (ID_EQUAL(e->job, job->at.id) && steward >= 0 && acts(view, &e->at))
            stewards |= UINT32_C(1) << steward;
    }
    return (uint32_t)__builtin_popcount(stewards) >= l->charter->s;
}

static bool posted(const struct ledger *l, const struct chain *view, const struct ledger_run *run)
{
    for (uint32_t i = 0; i < l->jobs; i++)
        if (ID_EQUAL(l->job[i].compose, run->compose) && acts(view, &l->job[i].at) &&
            endorsed(l, view, &l->job[i]))
            return true;
    return false;
}

const char *ledger_objection(const struct ledger *l, const struct chain *view, const struct ledger_run *run,
                             uint64_t wall_ms)
{
    if (!acts(view, &run->at)) return "it does not hold the run";
    if (run->ends_ms <= wall_ms) return "the run is past its end";
    if (!posted(l, view, run)) return "no job that s stewards endorse is held";
    for (uint32_t i = 0; i < run->input_count; i++) {
        if (!approved(l, view, run, run->input[i], wall_ms))
            return "an owner has not approved this slot, or has taken that back";
        if (!granted(l, view, run, run->input[i], wall_ms))
            return "an owner has not granted its dataset, or has taken that back";
    }
    return NULL;
}

/* --- Taken back ------------------------------------------------------------------------------------------------------------- */

/* Every approval that allots this input's slot is covered, and none came after. */
static bool covers_input(const struct ledger *l, const struct ledger_revocation *v,
                         const struct ledger_run *run, struct dt dataset)
{
    uint32_t covered = 0;
    for (uint32_t i = 0; i < l->approvals; i++) {
        const struct ledger_approval *a = &l->approval[i];
        if (!allots(a, run, dataset)) continue;
        if (!speaks_of(v, &a->at, &a->body.compose, dataset)) return false;
        covered++;
    }
    return covered > 0;
}

bool ledger_covers(const struct ledger *l, const struct ledger_revocation *v, const struct ledger_run *run)
{
    for (uint32_t i = 0; i < run->input_count; i++)
        if (covers_input(l, v, run, run->input[i])) return true;
    return false;
}

bool ledger_taken_back(const struct ledger *l, const struct ledger_run *run)
{
    for (uint32_t i = 0; i < l->revocations; i++)
        if (ledger_covers(l, &l->revocation[i], run)) return true;
    return false;
}

static uint32_t bits(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

/* Of custodians that keep to what they know: without so many there are not `needed` others. All of them are enough, for the rest
 * shall never be more than quorums bear: what so many give all the same is a break, and is to be seen. */
static uint32_t enough(const struct ledger *l, uint32_t needed)
{
    const uint32_t n = l->charter->custodian_count, others = n - needed + 1, honest = n - bits(l->lax);
    return others < honest ? others : honest;
}

static void bar(struct ledger *l, struct ledger_run *run, uint64_t now_ns)
{
    const uint32_t q = l->charter->q, t = l->charter->t;
    uint32_t known_by = 0;
    for (uint32_t i = 0; i < l->revocations; i++)
        if (ledger_covers(l, &l->revocation[i], run)) known_by |= l->revocation[i].known;
    known_by &= ~l->lax;
    if (run->no_keys_ns == UINT64_MAX && bits(known_by & ~run->released) >= enough(l, t))
        run->no_keys_ns = now_ns;
    if (run->no_output_ns == UINT64_MAX && bits(known_by & ~run->committed) >= enough(l, q))
        run->no_output_ns = now_ns;
    if (run->no_lease_ns == UINT64_MAX && bits(known_by) >= enough(l, q)) run->no_lease_ns = now_ns;
}

void ledger_bar(struct ledger *l, uint64_t now_ns)
{
    for (uint32_t i = 0; l->revocations > 0 && i < l->runs; i++) bar(l, &l->run[i], now_ns);
}

void ledger_lax(struct ledger *l, struct node_id custodian, uint64_t now_ns)
{
    const int place = charter_custodian(l->charter, custodian);
    ASSERT(place >= 0);
    l->lax |= UINT32_C(1) << place;
    for (uint32_t i = 0; i < l->runs; i++)
        l->run[i].no_keys_ns = l->run[i].no_output_ns = l->run[i].no_lease_ns = UINT64_MAX;
    ledger_bar(l, now_ns);
}

/* --- Leases ------------------------------------------------------------------------------------------------------------------ */

/* A round has q answers, each later than its beginning: so no round began after the q-th latest of all answers. */
uint64_t ledger_lease_end_ns(const struct ledger *l, const struct ledger_term *t, struct node_id enclave)
{
    uint64_t qth_ns = 0;
    for (uint32_t i = 0; i < l->charter->custodian_count; i++) {
        uint32_t as_late = bits(l->lax); /* which always do */
        const struct ledger_seat *seat = &t->seat[i];
        if ((l->lax >> i & 1) != 0 || !seat->released || !ID_EQUAL(seat->enclave, enclave)) continue;
        for (uint32_t j = 0; j < l->charter->custodian_count; j++) {
            const struct ledger_seat *other = &t->seat[j];
            as_late += (l->lax >> j & 1) == 0 && other->released && ID_EQUAL(other->enclave, enclave) &&
                       other->answered_ns >= seat->answered_ns;
        }
        if (as_late >= l->charter->q && seat->answered_ns > qth_ns) qth_ns = seat->answered_ns;
    }
    return qth_ns == 0 ? 0 : qth_ns + ((uint64_t)l->charter->lease_ms + LEASE_SLACK_MS) * 1000000;
}
