/* A custodian's answers to an enclave: shares, leases and commit signatures (DESIGN §8 "Release", §9 "Lease", "Commit"); and an
 * owner's, who keeps a veto over an input: its half of the data key. Both go the same way; what is computed and signed differs.
 * An ask arrives as a sealed box relayed by the enclave's untrusted host. Steps: open the box, verify the enclave's
 * signature and the certificate's votes, check the evidence, decide (release.c), compute shares, sign the release
 * statement, make it durable, seal the answer to the enclave, send. Every refusal is signed, goes back to the enclave and
 * to the requester. Asks are idempotent by (run, term, kind, enclave key): the sealed answer is kept and sent again. */
#include "proto/core_state.h"

#include "proto/enclave.h"
#include "proto/release.h"

#include <string.h>

enum { STAGE_SHARES = ANSWER_SHARES, STAGE_COMMIT = ANSWER_COMMIT, STAGE_LEASE = ANSWER_LEASE };

/* What an ask needs on its way; kept in p->side. p->block is for the statement being signed. */
struct ask {
    struct record record;
    struct body_SHARE_ASK share;
    struct body_COMMIT_ASK commit;
    struct body_LEASE_ASK lease;
    struct certificate certificate;
    bool certificate_good;
    struct release_ask facts;
    uint8_t shares[SHARE_BYTES * (CAP_INPUTS + 1)]; /* or a half */
    size_t shares_len;
    uint8_t plain[ANSWER_BYTES_MAX]; /* the answer before it is sealed */
    uint8_t statement[4096];         /* packed signed RELEASE, OWNER_RELEASE, LEASE or COMMIT */
    size_t statement_len;
    uint8_t opened[40960]; /* the box's plaintext, which the spans above borrow from */
};

static struct ask *ask_of(struct pending *p)
{
    return (struct ask *)(void *)p->side;
}

static bool for_owner(const struct pending *p)
{
    return p->party >= VETO_PARTY;
}

static uint8_t release_tag(const struct pending *p)
{
    return for_owner(p) ? ANSWER_HALF : ANSWER_SHARES;
}

static struct kem_public ask_kem(const struct pending *p)
{
    const struct ask *a = (const struct ask *)(const void *)p->side;
    return a->facts.kem;
}

/* Shares are in it, and its memory is used again. */
static void ask_end(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    if (a != NULL) {
        memset(a->shares, 0, sizeof a->shares);
        memset(a->plain, 0, sizeof a->plain);
    }
    pending_end(c, p);
}

/* --- Sending an answer --------------------------------------------------------------------------------------------------------------- */

static const struct answer *answer_find(const struct core *c, const struct pending *p, uint8_t tag,
                                        struct node_id enclave)
{
    for (uint32_t i = 0; i < c->answer_count; i++) {
        const struct answer *a = &c->answer[i];
        bool same = ID_EQUAL(a->run, p->run) && a->term == p->term && a->party == p->party;
        if (same && a->tag == tag && ID_EQUAL(a->enclave, enclave)) return a;
    }
    return NULL;
}

static void relay_back(struct core *c, const struct pending *p, struct span box)
{
    struct message_RELAY m = {p->run, p->term, 1, p->party, box};
    struct buffer b = scratch_buffer(c, box.len + 128);
    message_encode(&b, MESSAGE_RELAY_CODE, &m);
    send_message(c, p->peer, buffer_span(&b));
}

static void on_sealed(struct core *c, struct pending *p, const struct event *event)
{
    struct ask *a = ask_of(p);
    if (event->err == OK) {
        relay_back(c, p, event->bytes);
        bool repeatable = a->plain[0] == release_tag(p) || a->plain[0] == ANSWER_COMMIT;
        if (repeatable && c->answer_count < c->options.caps->answers) {
            struct answer *kept = &c->answer[c->answer_count];
            *kept = (struct answer){p->run,    p->term, p->party, a->plain[0], a->record.header.author,
                                    SPAN_NONE, false};
            if (arena_copy(&c->answers, &kept->box, event->bytes) == OK) c->answer_count++;
        }
    }
    ask_end(c, p);
}

static enum custodian_ask ask_named(uint64_t stage)
{
    return stage == STAGE_SHARES ? ASK_SHARES : stage == STAGE_COMMIT ? ASK_COMMIT : ASK_LEASE;
}

/* What `plain` holds goes to the enclave. */
static void seal_plain(struct core *c, struct pending *p, const struct buffer *plain)
{
    struct hash32 context = relay_context(p->run, p->term, p->party, 1);
    ASSERT(!plain->overflow);
    if (plain->data[0] != ANSWER_REFUSAL) answered(c, ask_named(plain->data[0]), p->run, VERDICT_OK);
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_SEAL, on_sealed);
    job->kem = ask_kem(p);
    job->box = buffer_span(plain);
    job->context = scratch_copy(c, ID_SPAN(context));
}

static void seal_answer(struct core *c, struct pending *p, uint8_t tag, struct span content)
{
    struct buffer plain = BUFFER_OF(ask_of(p)->plain);
    buffer_put_u8(&plain, tag);
    buffer_put(&plain, content);
    seal_plain(c, p, &plain);
}

/* --- Refusing ----------------------------------------------------------------------------------------------------------------------------- */

static void on_refusal_signed(struct core *c, struct pending *p, const struct event *event)
{
    struct record r;
    if (event->err != OK || event->bytes.len != 64) {
        ask_end(c, p);
        return;
    }
    memcpy(p->signature.bytes, event->bytes.data, 64);
    enum err err = record_open(&r, span_make(p->block, p->header_len), &p->signature,
                               span_make(p->block + p->header_len, p->len - p->header_len));
    ASSERT(err == OK);
    struct buffer packed = scratch_buffer(c, 2048), message = scratch_buffer(c, 2048);
    record_pack(&packed, &r);
    record_encode(&message, &r);
    const struct run_entry *run = registry_run(c->registry, p->run);
    if (run != NULL && !ID_EQUAL(run->record->header.author, c->options.self))
        send_message(c, run->record->header.author, buffer_span(&message));
    seal_answer(c, p, ANSWER_REFUSAL, buffer_span(&packed));
}

static void refuse(struct core *c, struct pending *p, uint64_t stage, struct verdict v)
{
    struct body_REFUSAL body = {p->run, p->term,   ask_of(p)->record.header.author,
                                stage,  v.refusal, SPAN_NONE};
    uint8_t detail[80];
    struct buffer text = BUFFER_OF(detail);
    if (!ID_IS_ZERO(v.subject)) buffer_put_hex(&text, ID_SPAN(v.subject));
    body.detail = buffer_span(&text);
    answered(c, ask_named(stage), p->run, v);
    if (v.refusal != REFUSAL_TROUBLE) /* of that trouble() has told */
        peer_notice(c, p->peer, "refused an enclave's ask for run", ID_SPAN(p->run), refusal_name(v.refusal));
    author_sign_into(c, p, KIND_REFUSAL, &body, on_refusal_signed);
}

/* --- Heads: what this custodian has seen of each input's owner --------------------------------------------------------------------------- */

static struct span heads_of(struct core *c, const struct body_RUN *run)
{
    struct buffer b = scratch_buffer(c, HEAD_BYTES * CAP_INPUTS);
    for (uint32_t i = 0; i < run_input_count(run); i++) {
        const struct asset *asset = registry_asset(c->registry, run_input_at(run, i).dt);
        const struct author *owner =
            asset != NULL ? chain_author(&c->chain, registry_holder(c->registry, asset->owner)) : NULL;
        struct record_id none = {{0}};
        buffer_put_u64(&b, owner != NULL ? owner->applied : 0);
        buffer_put(&b, owner != NULL ? ID_SPAN(owner->head) : ID_SPAN(none));
    }
    return scratch_copy(c, buffer_span(&b));
}

static void keep_statement(struct ask *a, struct pending *p)
{
    struct record r;
    struct buffer packed = BUFFER_OF(a->statement);
    enum err err = record_open(&r, span_make(p->block, p->header_len), &p->signature,
                               span_make(p->block + p->header_len, p->len - p->header_len));
    ASSERT(err == OK);
    record_pack(&packed, &r);
    ASSERT(!packed.overflow);
    a->statement_len = packed.len;
}

static bool take_signature(struct core *c, struct pending *p, const struct event *event)
{
    if (event->err == OK && event->bytes.len == 64) {
        memcpy(p->signature.bytes, event->bytes.data, 64);
        keep_statement(ask_of(p), p);
        return true;
    }
    ask_end(c, p);
    return false;
}

/* --- Deciding ------------------------------------------------------------------------------------------------------------------------------- */

/* What this custodian knows at this moment. It is asked before every step that binds or sends: records go on arriving
 * while shares are computed, signed and stored, and a revocation among them counts. */
static struct verdict decide_release_now(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    const struct advert *advert = a->certificate_good ? advert_find(c, a->certificate.node) : NULL;
    a->facts.certificate = a->certificate_good ? &a->certificate : NULL;
    a->facts.platform_known = advert != NULL;
    if (advert != NULL) a->facts.platform = advert->platform;
    a->facts.now_ms = c->wall_ms;
    a->facts.standing = core_standing(c);
    struct verdict v = release_decide(c->registry, &c->promises, c->options.self, &a->facts);
    if (v.refusal != REFUSAL_TROUBLE) return v;
    bool judged = a->facts.evidence_err == OK || a->facts.evidence_err == ERR_EVIDENCE;
    return trouble(c, p->peer, p->run,
                   judged ? "the elected node has not told its platform here yet"
                          : err_text(a->facts.evidence_err));
}

static struct lease_ask holder_of(const struct core *c, const struct pending *p)
{
    const struct ask *a = (const struct ask *)(const void *)p->side;
    return (struct lease_ask){.run = p->run,
                              .term = p->term,
                              .host = p->peer,
                              .enclave = a->record.header.author,
                              .now_ms = c->wall_ms,
                              .standing = core_standing(c)};
}

/* Has the store not acknowledged the release that a lease or a commit depends on? A full disk may never. */
static bool unkept(struct core *c, const struct pending *p)
{
    const struct run_track *t = track_find(c, p->run);
    return t != NULL && t->unkept_term != 0 && t->unkept_term == p->term;
}

static struct verdict decide_lease_now(struct core *c, const struct pending *p)
{
    struct lease_ask facts = holder_of(c, p);
    if (unkept(c, p)) return verdict_refuse(REFUSAL_NOT_RELEASED, NULL);
    return lease_decide(c->registry, &c->promises, c->options.self, &facts);
}

static struct verdict decide_commit_now(struct core *c, const struct pending *p)
{
    const struct ask *a = (const struct ask *)(const void *)p->side;
    struct commit_ask facts = {holder_of(c, p), a->commit.index, a->commit.commitment};
    if (unkept(c, p)) return verdict_refuse(REFUSAL_NOT_RELEASED, NULL);
    return commit_decide(c->registry, &c->promises, c->options.self, &facts);
}

/* --- Shares ---------------------------------------------------------------------------------------------------------------------------------- */

static void on_release_stored(struct core *c, struct pending *p, const struct event *event)
{
    struct ask *a = ask_of(p);
    if (event->err != OK) {
        notice(c, "a release could not be stored; no share leaves", SPAN_NONE, err_text(event->err));
        ask_end(c, p);
        return;
    }
    struct run_track *t = track_find(c, p->run);
    if (t != NULL && t->unkept_term == p->term) t->unkept_term = 0;
    struct verdict v = decide_release_now(c, p);
    if (v.refusal != REFUSAL_NONE) {
        refuse(c, p, STAGE_SHARES, v);
        return;
    }
    struct body_SHARE_ANSWER answer = {span_make(a->statement, a->statement_len),
                                       span_make(a->shares, a->shares_len)};
    struct buffer plain = BUFFER_OF(a->plain);
    buffer_put_u8(&plain, release_tag(p));
    body_encode(&plain, KIND_SHARE_ANSWER, &answer);
    notice(c, for_owner(p) ? "released its half of a key for run" : "released shares for run",
           ID_SPAN(p->run), NULL);
    seal_plain(c, p, &plain);
}

/* What a release binds to: the slot, the enclave's key, and for the commit who holds the shares and with what worker. */
enum { RELEASE_PROMISES = 4 };
_Static_assert((int)RELEASE_PROMISES <= (int)KEEP_MAX, "a release is one durable batch");
struct release_promises {
    uint8_t key[RELEASE_PROMISES][PROMISE_KEY_BYTES];
    const uint8_t *value[RELEASE_PROMISES];
};

static struct release_promises release_promises(const struct ask *a, const struct pending *p,
                                                const struct run_entry *run)
{
    struct release_promises made = {.value = {p->run.bytes, a->record.header.author.bytes,
                                              a->certificate.node.bytes,
                                              a->facts.evidence.measurement.bytes}};
    promise_key(made.key[0], PROMISE_SLOT, run->body.compose.bytes, run->body.slot);
    promise_key(made.key[1], PROMISE_RELEASE, p->run.bytes, p->term);
    promise_key(made.key[2], PROMISE_HOST, p->run.bytes, p->term);
    promise_key(made.key[3], PROMISE_WORKER, p->run.bytes, p->term);
    return made;
}

/* All of it in one durable batch. This custodian may have voted for another candidate in this term: the certificate's q
 * voters decide, and the loser's voter serves the winner too. */
static void on_release_signed(struct core *c, struct pending *p, const struct event *event)
{
    if (!take_signature(c, p, event)) return;
    struct ask *a = ask_of(p);
    const struct run_entry *run = registry_run(c->registry, p->run);
    struct release_promises made = release_promises(a, p, run);
    struct keep items[RELEASE_PROMISES];
    for (uint32_t i = 0; i < RELEASE_PROMISES; i++)
        items[i] = (struct keep){KEEP_PROMISE, scratch_copy(c, SPAN_OF(made.key[i])),
                                 scratch_copy(c, span_make(made.value[i], 32))};
    ask_store(c, p, on_release_stored, items, RELEASE_PROMISES);
}

/* Only a proof that fails is the asker's: the envelope is not under the label built here. The rest is this node's own. */
static struct verdict shares_failed(struct core *c, const struct pending *p, enum err err)
{
    if (err == ERR_PROOF || (for_owner(p) && err == ERR_DECRYPT))
        return verdict_refuse(REFUSAL_ENVELOPE, NULL);
    return trouble(c, p->peer, p->run, err_text(err));
}

static void sign_release(struct core *c, struct pending *p, const struct run_entry *run)
{
    struct ask *a = ask_of(p);
    struct body_RELEASE body = {.run = p->run,
                                .term = p->term,
                                .certificate = certificate_hash(a->share.certificate),
                                .enclave = a->record.header.author,
                                .kem = a->share.kem,
                                .challenge = a->share.challenge,
                                .lease_ms = registry_charter_bytes(c->registry)->lease_ms,
                                .heads = heads_of(c, &run->body),
                                .shares = sha256(span_make(a->shares, a->shares_len))};
    author_sign_into(c, p, KIND_RELEASE, &body, on_release_signed);
}

static void sign_owner_release(struct core *c, struct pending *p, const struct run_entry *run)
{
    struct ask *a = ask_of(p);
    struct body_OWNER_RELEASE body = {.run = p->run,
                                      .term = p->term,
                                      .certificate = certificate_hash(a->share.certificate),
                                      .enclave = a->record.header.author,
                                      .kem = a->share.kem,
                                      .challenge = a->share.challenge,
                                      .heads = heads_of(c, &run->body),
                                      .dt = run_input_at(&run->body, p->party - VETO_PARTY).dt,
                                      .half = sha256(span_make(a->shares, a->shares_len))};
    author_sign_into(c, p, KIND_OWNER_RELEASE, &body, on_release_signed);
}

static void on_shares(struct core *c, struct pending *p, const struct event *event)
{
    struct ask *a = ask_of(p);
    const struct run_entry *run = registry_run(c->registry, p->run);
    struct verdict v = event->err == OK ? decide_release_now(c, p) : shares_failed(c, p, event->err);
    if (v.refusal != REFUSAL_NONE) {
        refuse(c, p, STAGE_SHARES, v);
        return;
    }
    ASSERT(event->bytes.len <= sizeof a->shares && run != NULL);
    memcpy(a->shares, event->bytes.data, event->bytes.len);
    a->shares_len = event->bytes.len;
    if (for_owner(p))
        sign_owner_release(c, p, run);
    else
        sign_release(c, p, run);
}

/* The label is built here, from the run and this node's own records; the asker supplies only what is sealed under it. */
static void put_label(struct core *c, struct buffer *out, const struct run_entry *run, uint32_t i)
{
    struct run_input input = run_input_at(&run->body, i);
    const struct asset *asset = registry_asset(c->registry, input.dt);
    const struct binding *bound = registry_binding_of(c->registry, asset, input.binding);
    buffer_put(out, ID_SPAN(run->body.app));
    buffer_put(out, ID_SPAN(run->body.compose));
    buffer_put(out, ID_SPAN(asset->owner));
    buffer_put(out, ID_SPAN(input.content));
    buffer_put(out, ID_SPAN(bound->policy->hash));
}

static void compute_shares(struct core *c, struct pending *p, const struct run_entry *run)
{
    struct ask *a = ask_of(p);
    struct buffer parts = scratch_buffer(c, SHARE_PART_BYTES * CAP_INPUTS);
    for (uint32_t i = 0; i < run_input_count(&run->body); i++) {
        put_label(c, &parts, run, i);
        buffer_put(&parts, span_make(a->share.envelopes.data + (size_t)i * ENVELOPE_BYTES, ENVELOPE_BYTES));
    }
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_SHARES, on_shares);
    job->parts = buffer_span(&parts);
    job->part_count = run_input_count(&run->body);
    job->hash = HASH_FRAMED("perigee/noise/v1", ID_SPAN(p->run));
    job->epoch = (uint32_t)run->body.epoch;
    job->index = (uint32_t)own_custodian(c) + 1;
}

/* The ask has a box for each input under a veto, in the run's order. */
static void open_half(struct core *c, struct pending *p, const struct run_entry *run)
{
    struct buffer label = scratch_buffer(c, LABEL_IDS_BYTES);
    uint32_t input = p->party - VETO_PARTY, place = 0;
    for (uint32_t i = 0; i < input; i++) place += registry_vetoed(c->registry, &run->body, i);
    put_label(c, &label, run, input);
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_HALF, on_shares);
    job->box = scratch_copy(
        c, span_make(ask_of(p)->share.halves.data + (size_t)place * VETO_BOX_BYTES, VETO_BOX_BYTES));
    job->parts = buffer_span(&label);
    job->hash = HASH_FRAMED("perigee/group-key/v1", ID_SPAN(registry_committee(c->registry)->body.key_a));
}

/* A table that is full contradicts nobody. */
static struct verdict promised(struct core *c, const struct pending *p, enum err err,
                               enum refusal contradiction)
{
    if (err == OK) return VERDICT_OK;
    return err == ERR_CONFLICT ? verdict_refuse(contradiction, NULL)
                               : trouble(c, p->peer, p->run, err_text(err));
}

/* Memory first, so that a second ask in flight sees it; the store follows before anything leaves. */
static enum err promise_release(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    const struct run_entry *run = registry_run(c->registry, p->run);
    struct release_promises made = release_promises(a, p, run);
    for (uint32_t i = 0; i < RELEASE_PROMISES; i++)
        TRY(promise_set(&c->promises, made.key[i], made.value[i]));
    return OK;
}

/* A custodian's release is the first lease: what it signs says so. An owner's is none: it has no votes to hold back. */
static void decide_release(struct core *c, struct pending *p)
{
    struct verdict v = decide_release_now(c, p);
    bool known = promise_get(&c->promises, PROMISE_RELEASE, p->run.bytes, p->term) != NULL;
    if (v.refusal == REFUSAL_NONE) v = promised(c, p, promise_release(c, p), REFUSAL_OTHER_KEY);
    if (v.refusal == REFUSAL_NONE && !for_owner(p) && !elect_hold(c, p->run, p->term, 0))
        v = trouble(c, p->peer, p->run, err_text(ERR_FULL));
    struct run_track *t = track_find(c, p->run);
    if (!known && v.refusal == REFUSAL_NONE && !for_owner(p) && t != NULL) t->unkept_term = (uint32_t)p->term;
    const struct run_entry *run = registry_run(c->registry, p->run);
    if (v.refusal != REFUSAL_NONE)
        refuse(c, p, STAGE_SHARES, v);
    else if (for_owner(p))
        open_half(c, p, run);
    else
        compute_shares(c, p, run);
}

static void on_evidence(struct core *c, struct pending *p, const struct event *event)
{
    struct ask *a = ask_of(p);
    a->facts.evidence_err = event->err;
    if (event->err == OK && event->bytes.len == sizeof a->facts.evidence)
        memcpy(&a->facts.evidence, event->bytes.data, sizeof a->facts.evidence);
    static const char *const fields[] = {"report-data", "gpu-nonce", "measurement", "gpu", "ahead"};
    for (uint32_t i = 0; event->err != OK && i < sizeof fields / sizeof fields[0]; i++)
        if (span_equal_text(event->bytes, fields[i])) a->facts.evidence_field = fields[i];
    decide_release(c, p);
}

static void check_evidence(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    const struct run_entry *run = registry_run(c->registry, p->run);
    const struct published *w = run != NULL ? registry_workflow(c->registry, run->body.compose) : NULL;
    if (w == NULL || registry_charter(c->registry) == NULL) {
        decide_release(c, p); /* refuses: nothing to check the evidence against */
        return;
    }
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_EVIDENCE, on_evidence);
    release_evidence_job(job, c->registry, &run->body, c->wall_ms);
    job->box = a->share.evidence;
    job->hash =
        enclave_binding(c->options.consortium, p->run, p->term, run->body.compose,
                        certificate_hash(a->share.certificate), a->record.header.author, a->share.kem);
}

/* --- Leases --------------------------------------------------------------------------------------------------------------------------------- */

static void on_lease_signed(struct core *c, struct pending *p, const struct event *event)
{
    if (!take_signature(c, p, event)) return;
    struct ask *a = ask_of(p);
    struct verdict v = decide_lease_now(c, p);
    if (v.refusal != REFUSAL_NONE)
        refuse(c, p, STAGE_LEASE, v);
    else
        seal_answer(c, p, ANSWER_LEASE, span_make(a->statement, a->statement_len));
}

/* It counts from when the enclave asked, which was before this: what is held here lasts longer. */
static void decide_lease(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    const struct charter *charter = registry_charter(c->registry);
    struct verdict v = decide_lease_now(c, p);
    if (v.refusal == REFUSAL_NONE && !elect_hold(c, p->run, p->term, a->lease.round))
        v = trouble(c, p->peer, p->run, err_text(ERR_FULL));
    if (v.refusal != REFUSAL_NONE) {
        refuse(c, p, STAGE_LEASE, v);
        return;
    }
    struct body_LEASE body = {p->run, p->term, a->record.header.author, a->lease.round, charter->lease_ms};
    author_sign_into(c, p, KIND_LEASE, &body, on_lease_signed);
}

/* --- Commits ---------------------------------------------------------------------------------------------------------------------------------- */

static void on_commit_stored(struct core *c, struct pending *p, const struct event *event)
{
    struct ask *a = ask_of(p);
    if (event->err != OK) {
        notice(c, "a commit could not be stored and is not sent", SPAN_NONE, err_text(event->err));
        ask_end(c, p);
        return;
    }
    struct verdict v = decide_commit_now(c, p);
    if (v.refusal != REFUSAL_NONE) {
        refuse(c, p, STAGE_COMMIT, v);
        return;
    }
    notice(c, "signed the commit of run", ID_SPAN(p->run), NULL);
    seal_answer(c, p, ANSWER_COMMIT, span_make(a->statement, a->statement_len));
}

static void on_commit_signed(struct core *c, struct pending *p, const struct event *event)
{
    if (!take_signature(c, p, event)) return;
    struct ask *a = ask_of(p);
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, PROMISE_COMMIT, p->run.bytes, a->commit.index);
    struct keep item = {KEEP_PROMISE, scratch_copy(c, SPAN_OF(key)),
                        scratch_copy(c, ID_SPAN(a->commit.commitment))};
    ask_store(c, p, on_commit_stored, &item, 1);
}

static void decide_commit(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    const struct run_entry *run = registry_run(c->registry, p->run);
    struct verdict v = decide_commit_now(c, p);
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, PROMISE_COMMIT, p->run.bytes, a->commit.index);
    if (v.refusal == REFUSAL_NONE)
        v = promised(c, p, promise_set(&c->promises, key, a->commit.commitment.bytes),
                     REFUSAL_COMMIT_CONFLICT);
    if (v.refusal != REFUSAL_NONE) {
        refuse(c, p, STAGE_COMMIT, v);
        return;
    }
    struct body_COMMIT body = {
        p->run, p->term, a->commit.index, a->commit.commitment, a->commit.core, heads_of(c, &run->body)};
    author_sign_into(c, p, KIND_COMMIT, &body, on_commit_signed);
}

/* --- Arrival ---------------------------------------------------------------------------------------------------------------------------------- */

/* The enclave's signature decides whether there is an ask at all; the votes only whether its certificate counts. */
static void on_votes_checked(struct core *c, struct pending *p, const struct event *event)
{
    ask_of(p)->certificate_good = event->err == OK;
    if (event->err == OK) silence_own_vote(c, &ask_of(p)->certificate);
    if (c->silence != SILENCE_NONE)
        ask_end(c, p); /* as if it were not there */
    else
        check_evidence(c, p);
}

static void check_votes(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    const struct charter *charter = registry_charter(c->registry);
    struct buffer parts = scratch_buffer(c, VERIFY_PART_BYTES * CAP_CUSTODIANS);
    bool good = charter != NULL && certificate_decode(&a->certificate, a->share.certificate) == OK &&
                certificate_check(&a->certificate, charter) == OK;
    if (!good) {
        check_evidence(c, p);
        return;
    }
    struct hash32 message = certificate_vote_hash(&a->certificate);
    for (uint32_t i = 0; i < a->certificate.vote_count; i++) {
        buffer_put(&parts, ID_SPAN(charter->member[charter->custodian[a->certificate.custodian[i]]].node));
        buffer_put(&parts, ID_SPAN(message));
        buffer_put(&parts, SPAN_OF(a->certificate.vote[i].bytes));
    }
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_VERIFY, on_votes_checked);
    job->parts = buffer_span(&parts);
    job->part_count = a->certificate.vote_count;
}

/* Only through whom the first one went: what anybody else brings is judged, and refused. */
static bool repeat_answer(struct core *c, struct pending *p, uint8_t tag)
{
    struct ask *a = ask_of(p);
    const struct answer *known = answer_find(c, p, tag, a->record.header.author);
    const uint8_t *host = promise_get(&c->promises, PROMISE_HOST, p->run.bytes, p->term);
    if (known == NULL || host == NULL || !ids_equal(host, p->peer.bytes)) return false;
    relay_back(c, p, known->box);
    ask_end(c, p);
    return true;
}

static void on_ask_verified(struct core *c, struct pending *p, const struct event *event)
{
    struct ask *a = ask_of(p);
    if (event->err != OK) {
        ask_end(c, p);
        return;
    }
    enum kind kind = a->record.header.kind;
    if (kind == KIND_LEASE_ASK)
        decide_lease(c, p);
    else if (kind == KIND_COMMIT_ASK && !repeat_answer(c, p, ANSWER_COMMIT))
        decide_commit(c, p);
    else if (kind == KIND_SHARE_ASK && !repeat_answer(c, p, release_tag(p)))
        check_votes(c, p);
}

static enum err read_share_ask(struct ask *a, const struct pending *p)
{
    TRY(body_decode(&a->share, KIND_SHARE_ASK, a->record.body));
    if (!ID_EQUAL(a->share.run, p->run) || a->share.term != p->term) return ERR_CONFLICT;
    if (a->share.envelopes.len % ENVELOPE_BYTES != 0) return ERR_RANGE;
    if (a->share.halves.len % VETO_BOX_BYTES != 0) return ERR_RANGE;
    a->facts = (struct release_ask){.run = p->run,
                                    .term = p->term,
                                    .party = p->party,
                                    .host = p->peer,
                                    .enclave = a->record.header.author,
                                    .kem = a->share.kem,
                                    .envelope_count = (uint32_t)(a->share.envelopes.len / ENVELOPE_BYTES),
                                    .half_count = (uint32_t)(a->share.halves.len / VETO_BOX_BYTES),
                                    .evidence_err = ERR_EVIDENCE};
    return OK;
}

/* The answer to a commit or lease ask is a signature anyone may see: a wrong key to seal it to harms only the asker. */
static enum err read_commit_ask(struct ask *a, const struct pending *p)
{
    TRY(body_decode(&a->commit, KIND_COMMIT_ASK, a->record.body));
    a->facts.kem = a->commit.kem;
    return ID_EQUAL(a->commit.run, p->run) && a->commit.term == p->term ? OK : ERR_CONFLICT;
}

static enum err read_lease_ask(struct ask *a, const struct pending *p)
{
    TRY(body_decode(&a->lease, KIND_LEASE_ASK, a->record.body));
    a->facts.kem = a->lease.kem;
    bool this_one = ID_EQUAL(a->lease.run, p->run) && a->lease.term == p->term && a->lease.round > 0;
    return this_one ? OK : ERR_CONFLICT;
}

/* The facts that come from the ask itself. */
static enum err read_ask(struct core *c, struct pending *p)
{
    struct ask *a = ask_of(p);
    const struct header *h = &a->record.header;
    if (!ids_equal(h->consortium.bytes, c->options.consortium.bytes)) return ERR_CONSORTIUM;
    if (h->kind == KIND_SHARE_ASK) return read_share_ask(a, p);
    if (for_owner(p)) return ERR_KIND; /* leases and commits are the custodians' */
    if (h->kind == KIND_COMMIT_ASK) return read_commit_ask(a, p);
    return h->kind == KIND_LEASE_ASK ? read_lease_ask(a, p) : ERR_KIND;
}

/* The box holds the packed, signed ask. */
static void on_opened(struct core *c, struct pending *p, const struct event *event)
{
    bool ok = event->err == OK;
    if (ok) p->side = pool_take(&c->pool, sizeof(struct ask));
    struct ask *a = ask_of(p);
    ok = ok && a != NULL && event->bytes.len <= sizeof a->opened;
    if (ok) {
        memcpy(a->opened, event->bytes.data, event->bytes.len);
        ok = record_unpack(&a->record, span_make(a->opened, event->bytes.len)) == OK && read_ask(c, p) == OK;
    }
    if (!ok) {
        c->refused_messages++;
        ask_end(c, p);
        return;
    }
    ask_verify(c, p, on_ask_verified, a->record.header.author,
               record_sign_hash(a->record.header.kind, a->record.header_bytes), &a->record.signature);
}

/* A custodian under its own index, an owner under any input: whether that one is its, the decision says. */
static bool is_party(const struct core *c, uint64_t party)
{
    if (party >= VETO_PARTY) return party - VETO_PARTY < CAP_INPUTS;
    return own_custodian(c) >= 0 && party == (uint64_t)own_custodian(c);
}

void release_ask_box(struct core *c, struct node_id host, const struct message_RELAY *m)
{
    if (!is_party(c, m->party) || !core_member(c, host, ROLE_COMPUTE)) {
        c->refused_messages++;
        return;
    }
    struct pending *p = pending_for(c, host, on_opened);
    if (p == NULL) return; /* full: the enclave asks again */
    struct hash32 context = relay_context(m->run, m->term, (uint32_t)m->party, 0);
    p->run = m->run;
    p->term = m->term;
    p->party = (uint32_t)m->party;
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_OPEN, on_opened);
    job->box = scratch_copy(c, m->box);
    job->context = scratch_copy(c, ID_SPAN(context));
}
