/* What custodians do, watched where it leaves them: votes, and what is sealed to enclaves. Certificates, wherever one is shown.
 * Whether the conditions hold is worked out from the records that the node holds (sim/ledger.h), and every promise is looked for
 * on its disk. */
#include "sim/simulation_state.h"

#include "crypto/tdh2.h"
#include "proto/promise.h"

#include <string.h>

#define NAMED(n) (int)(n)->player->party->name.len, (const char *)(n)->player->party->name.data

static int custodian_of(const struct station *n)
{
    return charter_custodian(n->consortium->cast->founding, n->player->id);
}

static bool promised(const struct station *n, enum promise_kind kind, const uint8_t subject[32],
                     uint64_t number, struct span value)
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, subject, number);
    return disk_promised(n->disk, SPAN_OF(key), value);
}

static bool has_slot(const struct station *n, const struct ledger_run *run)
{
    return promised(n, PROMISE_SLOT, run->compose.bytes, run->slot, ID_SPAN(run->run));
}

/* --- Votes ---------------------------------------------------------------------------------------------------------------- */

/* By what it did in other terms: none later may have had its vote, and no lease that it gave may run. */
static void watch_terms(struct station *n, const struct ledger_run *run, uint32_t custodian, uint64_t term)
{
    struct consortium *s = n->consortium;
    const uint64_t most_ns =
        (uint64_t)s->scenario->lease_ms * 750000; /* of a lease, whatever its work waited */
    for (uint32_t i = 0; i < run->term_count; i++) {
        const struct ledger_seat *seat = &run->term[i].seat[custodian];
        const unsigned long long other = run->term[i].term;
        if (seat->voted && other > term)
            watch_violation(s, "one-certificate", "%.*s votes in term %llu, after term %llu", NAMED(n),
                            (unsigned long long)term, other);
        if (seat->released && other < term && now_of(s) < seat->held_ns + most_ns)
            watch_violation(s, "one-certificate", "%.*s votes in term %llu while its lease of term %llu runs",
                            NAMED(n), (unsigned long long)term, other);
    }
}

void watch_vote(struct station *n, uint32_t to, const struct body_VOTE *vote)
{
    struct consortium *s = n->consortium;
    struct ledger_run *run = ledger_run_find(&s->ledger, vote->run);
    const struct node_id node = s->station[to].player->id;
    const int custodian = custodian_of(n);
    if (vote->refusal != REFUSAL_NONE || n->byzantine) return;
    if (custodian < 0 || run == NULL) {
        watch_violation(s, "one-certificate",
                        "%.*s votes for a run that nobody asked for, or is no custodian", NAMED(n));
        return;
    }
    struct ledger_seat *seat = &ledger_term_of(run, vote->term)->seat[custodian];
    if (!promised(n, PROMISE_VOTE, vote->run.bytes, vote->term, ID_SPAN(node)))
        watch_violation(s, "one-certificate", "%.*s votes in term %llu before that is on its disk", NAMED(n),
                        (unsigned long long)vote->term);
    if (!has_slot(n, run))
        watch_violation(s, "budget", "%.*s votes for slot %llu before that is on its disk", NAMED(n),
                        (unsigned long long)run->slot);
    if (seat->voted && !ID_EQUAL(seat->voted_for, node))
        watch_violation(s, "one-certificate", "%.*s votes for two nodes in term %llu", NAMED(n),
                        (unsigned long long)vote->term);
    watch_terms(n, run, (uint32_t)custodian, vote->term);
    seat->voted = true;
    seat->voted_for = node;
}

/* --- Certificates ---------------------------------------------------------------------------------------------------------- */

/* Each vote by another custodian, signed, and on that one's disk. */
static const char *objection_to(struct consortium *s, const struct certificate *c)
{
    const struct charter *charter = s->cast->founding;
    const struct hash32 message = certificate_vote_hash(c);
    if (c->vote_count < charter->q) return "it has fewer than q votes";
    for (uint32_t i = 0; i < c->vote_count; i++) {
        if (c->custodian[i] >= charter->custodian_count) return "a vote is by no custodian";
        if (i > 0 && c->custodian[i] <= c->custodian[i - 1]) return "a custodian's vote is in it twice";
        const struct node_id author = charter->member[charter->custodian[c->custodian[i]]].node;
        if (notary_verify(s->cast->notary, author, message, &c->vote[i]) != OK)
            return "a vote's signature does not hold";
        const struct station *voter = &s->station[cast_find(s->cast, author)->number];
        if (!voter->byzantine && !promised(voter, PROMISE_VOTE, c->run.bytes, c->term, ID_SPAN(c->node)))
            return "a vote is not on its custodian's disk";
    }
    return NULL;
}

void watch_certificate(struct station *n, struct span bytes)
{
    struct consortium *s = n->consortium;
    struct certificate c;
    const struct hash32 hash = certificate_hash(bytes);
    if (ledger_certificate_find(&s->ledger, hash) != NULL) return;
    struct ledger_run *run = NULL;
    if (certificate_decode(&c, bytes) == OK) run = ledger_run_find(&s->ledger, c.run);
    if (run == NULL) {
        watch_violation(s, "one-certificate", "%.*s shows a certificate of no run", NAMED(n));
        return;
    }
    const char *objection = objection_to(s, &c);
    struct ledger_term *term = ledger_term_of(run, c.term);
    if (objection != NULL)
        watch_violation(s, "one-certificate", "%.*s shows a certificate of term %llu: %s", NAMED(n),
                        (unsigned long long)c.term, objection);
    if (!ID_IS_ZERO(term->node) && !ID_EQUAL(term->node, c.node))
        watch_violation(s, "one-certificate", "two nodes are certified in term %llu",
                        (unsigned long long)c.term);
    term->node = c.node;
    ledger_certify(&s->ledger, &(struct ledger_certificate){hash, c.run, c.term, c.node});
}

/* --- What is sealed to enclaves --------------------------------------------------------------------------------------------- */

/* NULL: it is gone. */
static struct guest_place *guest_of(struct consortium *s, struct node_id enclave)
{
    for (uint32_t i = 0; i < s->guest_count; i++) {
        if (s->guest[i].guest == NULL) continue;
        const struct node_id id = guest_id(s->guest[i].guest);
        if (ID_EQUAL(id, enclave)) return &s->guest[i];
    }
    return NULL;
}

/* To an enclave with this key, where the certificate says? Of one that is gone nobody has the key any more. */
static bool elects(struct consortium *s, const struct ledger_certificate *c, struct node_id enclave)
{
    const struct guest_place *p = guest_of(s, enclave);
    return p == NULL || (ID_EQUAL(p->run, c->run) && p->term == c->term &&
                         ID_EQUAL(s->station[p->station].player->id, c->node));
}

static const char *const evidence_names[] = {"true", "stale", "that of another worker", "another enclave's"};

/* A part of a key leaves: under which certificate, to whom. */
static void watch_recipient(struct station *n, struct run_id run, uint64_t term, struct hash32 certificate,
                            struct node_id enclave, bool same_key)
{
    struct consortium *s = n->consortium;
    const struct ledger_certificate *c = ledger_certificate_find(&s->ledger, certificate);
    const struct guest_place *p = guest_of(s, enclave);
    if (p != NULL && p->evidence != GUEST_TRUE)
        watch_violation(s, "quorum-release", "%.*s releases to an enclave whose evidence is %s", NAMED(n),
                        evidence_names[p->evidence]);
    if (c == NULL || !ID_EQUAL(c->run, run) || c->term != term)
        watch_violation(s, "quorum-release", "%.*s releases under no certificate of this run and term",
                        NAMED(n));
    else if (!elects(s, c, enclave))
        watch_violation(s, "quorum-release",
                        "%.*s releases to an enclave that the certificate does not elect", NAMED(n));
    if (!same_key)
        watch_violation(s, "quorum-release", "%.*s seals shares to another key than it signed for", NAMED(n));
    if (!promised(n, PROMISE_RELEASE, run.bytes, term, ID_SPAN(enclave)))
        watch_violation(s, "quorum-release", "%.*s releases before that is on its disk", NAMED(n));
}

/* Whoever gives something for a run, by what it holds of it. NULL: there is none. */
static struct ledger_run *watch_run(struct station *n, struct run_id id, const char *what)
{
    struct consortium *s = n->consortium;
    struct ledger_run *run = ledger_run_find(&s->ledger, id);
    if (run == NULL) {
        watch_violation(s, "quorum-release", "%.*s gives %s for no run", NAMED(n), what);
        return NULL;
    }
    const char *objection = ledger_objection(&s->ledger, core_chain(n->core), run, station_wall_ms(n));
    if (objection != NULL)
        watch_violation(s, "quorum-release", "%.*s gives %s: %s", NAMED(n), what, objection);
    if (!has_slot(n, run))
        watch_violation(s, "budget", "%.*s gives %s before the slot is on its disk", NAMED(n), what);
    return run;
}

/* What shares, leases and commits need alike. */
static struct ledger_seat *watch_standing(struct station *n, struct run_id id, uint64_t term,
                                          const char *what)
{
    struct consortium *s = n->consortium;
    struct ledger_run *run = watch_run(n, id, what);
    const int custodian = custodian_of(n);
    if (run == NULL) return NULL;
    if (custodian < 0) {
        watch_violation(s, "quorum-release", "%.*s gives %s and is no custodian", NAMED(n), what);
        return NULL;
    }
    struct ledger_seat *seat = &ledger_term_of(run, term)->seat[custodian];
    for (uint32_t i = 0; i < run->term_count; i++)
        if (run->term[i].term > term && run->term[i].seat[custodian].voted)
            watch_violation(s, "quorum-release", "%.*s gives %s in term %llu, after its vote in term %llu",
                            NAMED(n), what, (unsigned long long)term, (unsigned long long)run->term[i].term);
    return seat;
}

static void watch_release(struct station *n, const struct body_RELEASE *b, const struct kem_public *to)
{
    struct consortium *s = n->consortium;
    struct ledger_seat *seat = watch_standing(n, b->run, b->term, "shares");
    if (seat == NULL) return;
    if (seat->released && !ID_EQUAL(seat->enclave, b->enclave))
        watch_violation(s, "quorum-release", "%.*s releases to two enclaves in term %llu", NAMED(n),
                        (unsigned long long)b->term);
    watch_recipient(n, b->run, b->term, b->certificate, b->enclave, ID_EQUAL(*to, b->kem));
    if (!seat->released) seat->held_ns = now_of(s);
    seat->released = true;
    seat->enclave = b->enclave;
    seat->answered_ns = now_of(s);
    ledger_run_find(&s->ledger, b->run)->released |= UINT32_C(1) << custodian_of(n);
}

/* An owner's, of its own data. */
static void watch_half(struct station *n, const struct body_OWNER_RELEASE *b, const struct kem_public *to)
{
    struct consortium *s = n->consortium;
    const struct dataset *own = papers_of(s->papers, n->player);
    struct guest_place *p = guest_of(s, b->enclave);
    if (watch_run(n, b->run, "half of a key") == NULL) return;
    watch_recipient(n, b->run, b->term, b->certificate, b->enclave, ID_EQUAL(*to, b->kem));
    if (own == NULL || !ID_EQUAL(own->dt, b->dt))
        watch_violation(s, "quorum-release", "%.*s gives half of the key of another's data", NAMED(n));
    else if (p != NULL)
        p->halves |= UINT32_C(1) << own->number;
}

static void watch_lease(struct station *n, const struct body_LEASE *b)
{
    struct consortium *s = n->consortium;
    struct ledger_seat *seat = watch_standing(n, b->run, b->term, "a lease");
    if (seat == NULL) return;
    if (!seat->released || !ID_EQUAL(seat->enclave, b->enclave))
        watch_violation(s, "quorum-release", "%.*s gives a lease to an enclave that it released nothing to",
                        NAMED(n));
    if (b->round > seat->round) {
        seat->round = b->round;
        seat->held_ns = now_of(s);
    }
    seat->answered_ns = now_of(s);
}

static void watch_commit(struct station *n, const struct body_COMMIT *b)
{
    struct consortium *s = n->consortium;
    struct ledger_seat *seat = watch_standing(n, b->run, b->term, "a commit");
    if (seat == NULL) return;
    struct ledger_run *run = ledger_run_find(&s->ledger, b->run);
    const uint32_t custodian = (uint32_t)custodian_of(n);
    if (!seat->released)
        watch_violation(s, "one-output", "%.*s commits to what an enclave made that it released nothing to",
                        NAMED(n));
    if (b->index != 0)
        watch_violation(s, "one-output", "%.*s commits to output %llu, where one is allowed", NAMED(n),
                        (unsigned long long)b->index);
    if ((run->committed >> custodian & 1) != 0 && !ID_EQUAL(run->commitment[custodian], b->commitment))
        watch_violation(s, "one-output", "%.*s commits to two outputs of one run", NAMED(n));
    if (!promised(n, PROMISE_COMMIT, b->run.bytes, b->index, ID_SPAN(b->commitment)))
        watch_violation(s, "one-output", "%.*s commits before that is on its disk", NAMED(n));
    run->committed |= UINT32_C(1) << custodian;
    run->commitment[custodian] = b->commitment;
}

/* The answer to an enclave, before it is sealed: what an answer begins with is proto/enclave.h's. */
static void watch_answer(struct station *n, const struct crypto_job *job)
{
    static union body b;
    struct body_SHARE_ANSWER answer;
    struct record r;
    if (job->box.len < 2) return;
    const uint8_t tag = job->box.data[0];
    struct span packed = span_make(job->box.data + 1, job->box.len - 1);
    const bool part_of_key = tag == ANSWER_SHARES || tag == ANSWER_HALF;
    if (part_of_key && body_decode(&answer, KIND_SHARE_ANSWER, packed) == OK) packed = answer.release;
    if (tag == ANSWER_REFUSAL || record_unpack(&r, packed) != OK ||
        body_decode(&b, r.header.kind, r.body) != OK)
        return;
    if (tag == ANSWER_SHARES && r.header.kind == KIND_RELEASE) watch_release(n, &b.RELEASE, &job->kem);
    if (tag == ANSWER_HALF && r.header.kind == KIND_OWNER_RELEASE) watch_half(n, &b.OWNER_RELEASE, &job->kem);
    if (tag == ANSWER_LEASE && r.header.kind == KIND_LEASE) watch_lease(n, &b.LEASE);
    if (tag == ANSWER_COMMIT && r.header.kind == KIND_COMMIT) watch_commit(n, &b.COMMIT);
}

/* --- recipe-lock -------------------------------------------------------------------------------------------------------------- */

/* App, recipe, owner, content, policy: as this owner sealed its data for, which the scenario knows. */
static bool is_sealed_for(const struct papers *p, const uint8_t label[LABEL_IDS_BYTES])
{
    for (uint32_t i = 0; i < p->dataset_count; i++) {
        const struct dataset *d = &p->dataset[i];
        if (ids_equal(label, p->app.bytes) && ids_equal(label + 32, p->compose.bytes) &&
            ids_equal(label + 64, d->owner->id.bytes) && ids_equal(label + 96, d->content.bytes) &&
            ids_equal(label + 128, d->policy_hash.bytes))
            return true;
    }
    return false;
}

/* The noise of a run follows from its id alone: whatever else it followed from, a failover would draw another. */
static bool is_noise_of(const struct ledger *l, struct hash32 input)
{
    for (uint32_t i = 0; i < l->runs; i++) {
        const struct hash32 own = HASH_FRAMED("perigee/noise/v1", ID_SPAN(l->run[i].run));
        if (ID_EQUAL(own, input)) return true;
    }
    return false;
}

static void watch_labels(struct station *n, const struct crypto_job *job)
{
    if (!is_noise_of(&n->consortium->ledger, job->hash))
        watch_violation(n->consortium, "one-output", "%.*s computes a share of noise that is no run's",
                        NAMED(n));
    for (uint32_t i = 0; i < job->part_count; i++)
        if (!is_sealed_for(n->consortium->papers, job->parts.data + (size_t)i * SHARE_PART_BYTES))
            watch_violation(n->consortium, "recipe-lock",
                            "%.*s computes a share under a label that nothing was sealed for", NAMED(n));
}

void watch_keyed(struct station *n, const struct crypto_job *job, enum err err)
{
    if (job->op == CRYPTO_SEAL && err == OK) watch_answer(n, job);
    if (job->op == CRYPTO_SHARES) watch_labels(n, job);
}

/* --- residency ----------------------------------------------------------------------------------------------------------------- */

/* Ciphertext goes to a node that is elected for a run over this owner's data, and to no other. */
void watch_blob(struct station *n, uint32_t to, const struct message_BLOB *m)
{
    struct consortium *s = n->consortium;
    const struct dataset *own = papers_of(s->papers, n->player);
    const struct node_id node = s->station[to].player->id;
    (void)m;
    for (uint32_t i = 0; own != NULL && i < s->ledger.certificates; i++) {
        const struct ledger_certificate *c = &s->ledger.certificate[i];
        const struct ledger_run *run = ledger_run_find(&s->ledger, c->run);
        for (uint32_t j = 0; ID_EQUAL(c->node, node) && j < run->input_count; j++)
            if (ID_EQUAL(run->input[j], own->dt)) return;
    }
    watch_violation(s, "residency",
                    "%.*s serves a sealed chunk to party %u, which no run over its data elects", NAMED(n),
                    to);
}
