/* Replaying a receipt: one function per link. Each believes only what the links before it have established, and the anchor. */
#include "proto/receipt.h"

#include "proto/base/panic.h"
#include "proto/field.h"
#include "proto/release.h"
#include "proto/wire/pack.h"

#include <string.h>

enum { STATEMENT_MAX = 4096, CHECKS_BEYOND_BUNDLE = 3 * CAP_CUSTODIANS + CAP_INPUTS + 3 };

struct statements {
    uint32_t count;
    struct record record[CAP_CUSTODIANS];
};
struct replay {
    struct receipt_replay *out;
    struct arena *arena;
    const struct receipt_parts *parts;
    struct signature_check *check;
    struct statements releases, halves, commits;
    struct record ending;
    /* Set once the bundle is open. */
    const struct bundle *bundle;
    const struct charter *charter;
    const struct body_RUN *run;
    const struct workflow *workflow;
};

static enum err refused(struct replay *p, enum receipt_link link, struct verdict v)
{
    p->out->verdict[link] = v;
    return v.refusal == REFUSAL_NONE ? OK : ERR_REFUSED;
}

static void add_check(struct replay *p, enum receipt_link link, struct node_id author, struct hash32 message,
                      const struct signature *signature)
{
    p->check[p->out->check_count++] = (struct signature_check){author, message, *signature, link};
}

static void add_statement(struct replay *p, enum receipt_link link, const struct record *r)
{
    add_check(p, link, r->header.author, record_sign_hash(r->header.kind, r->header_bytes), &r->signature);
}

/* --- Document: every part has its shape ------------------------------------------------------------------------------- */

static enum err read_statement(struct statements *out, struct cursor *c, enum kind kind)
{
    struct span one;
    struct record *r = &out->record[out->count];
    if (out->count == CAP_CUSTODIANS) return ERR_RANGE;
    TRY(unpack_bin(c, STATEMENT_MAX, &one));
    TRY(record_unpack(r, one));
    if (r->header.kind != kind || !r->body_known) return ERR_KIND;
    out->count++;
    return OK;
}

static enum err read_commits(struct statements *out, struct span packed)
{
    struct cursor c = cursor_make(packed);
    uint32_t count;
    TRY(unpack_array(&c, CAP_CUSTODIANS, &count));
    for (uint32_t i = 0; i < count; i++) TRY(read_statement(out, &c, KIND_COMMIT));
    return cursor_end(&c);
}

/* Custodians' releases, then those of owners who keep a veto: the first that is no release begins them. */
static enum err read_releases(struct statements *releases, struct statements *halves, struct span packed)
{
    struct cursor c = cursor_make(packed);
    uint32_t count, i = 0;
    TRY(unpack_array(&c, RELEASES_MAX, &count));
    for (struct cursor at = c; i < count && read_statement(releases, &at, KIND_RELEASE) == OK; i++) c = at;
    for (; i < count; i++) TRY(read_statement(halves, &c, KIND_OWNER_RELEASE));
    return cursor_end(&c);
}

static uint64_t median_time(const struct statements *s)
{
    uint64_t time_ms[CAP_CUSTODIANS];
    for (uint32_t i = 0; i < s->count; i++) time_ms[i] = s->record[i].header.time_ms;
    return enclave_median_ms(time_ms, s->count);
}

static enum err link_document(struct replay *p)
{
    const struct body_RECEIPT *b = &p->parts->body;
    struct verdict ignored;
    TRY(core_receipt_decode(&p->out->core, b->core));
    TRY(certificate_decode(&p->out->certificate, b->certificate));
    TRY(read_releases(&p->releases, &p->halves, b->releases));
    TRY(read_commits(&p->commits, b->commits));
    TRY(record_unpack(&p->ending, b->ending));
    if (p->ending.header.kind != KIND_ENDING || !p->ending.body_known) return ERR_KIND;
    p->out->median_ms = median_time(&p->releases);
    enum err err = bundle_open(&p->out->bundle, &ignored, p->arena, p->parts->bundle, p->parts->consortium,
                               p->out->median_ms);
    return err == ERR_REFUSED || err == ERR_CONSORTIUM ? OK : err; /* which rule: asked link by link below */
}

/* --- The consortium --------------------------------------------------------------------------------------------------- */

/* A record of this kind in the bundle had no effect. */
static bool kind_refused(const struct replay *p, enum kind kind)
{
    const struct bundle *b = p->bundle;
    return b->refused < b->record_count && b->record[b->refused].header.kind == kind;
}

static enum err link_consortium(struct replay *p, struct consortium_id anchor)
{
    if (ID_IS_ZERO(anchor)) return ERR_MISSING_FIELD;
    if (!ID_EQUAL(anchor, p->parts->consortium) || p->bundle == NULL) return ERR_CONSORTIUM;
    return registry_charter_bytes(p->bundle->registry) != NULL ? OK : ERR_HASH;
}

static enum err link_records(struct replay *p)
{
    if (kind_refused(p, KIND_MEMBER)) return refused(p, LINK_RECORDS, p->bundle->refused_why);
    return refused(p, LINK_RECORDS, bundle_check_authors(p->bundle));
}

static enum err link_charter(struct replay *p)
{
    if (kind_refused(p, KIND_CHARTER)) return refused(p, LINK_CHARTER, p->bundle->refused_why);
    if (p->charter == NULL) return refused(p, LINK_CHARTER, verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL));
    return OK;
}

static enum err link_committee(struct replay *p)
{
    if (kind_refused(p, KIND_COMMITTEE)) return refused(p, LINK_COMMITTEE, p->bundle->refused_why);
    if (registry_committee(p->bundle->registry) == NULL)
        return refused(p, LINK_COMMITTEE, verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL));
    return OK;
}

/* --- What was allowed --------------------------------------------------------------------------------------------------- */

static enum err link_recipe(struct replay *p)
{
    static const enum kind kinds[] = {KIND_OP, KIND_ASSET, KIND_JOB, KIND_ENDORSEMENT};
    for (uint32_t i = 0; i < 4; i++)
        if (kind_refused(p, kinds[i])) return refused(p, LINK_RECIPE, p->bundle->refused_why);
    if (p->run == NULL) return refused(p, LINK_RECIPE, verdict_refuse(REFUSAL_UNKNOWN_RUN, NULL));
    return refused(p, LINK_RECIPE, registry_check_recipe(p->bundle->registry, p->run));
}

static enum err link_approvals(struct replay *p)
{
    if (kind_refused(p, KIND_GRANT) || kind_refused(p, KIND_APPROVAL))
        return refused(p, LINK_APPROVALS, p->bundle->refused_why);
    TRY(refused(p, LINK_APPROVALS, registry_check_inputs(p->bundle->registry, p->run, p->out->median_ms)));
    return refused(p, LINK_APPROVALS, bundle_check_approvals(p->bundle));
}

static enum err link_run(struct replay *p)
{
    const struct record *record = p->bundle->run->record;
    if (p->bundle->refused < p->bundle->record_count) return refused(p, LINK_RUN, p->bundle->refused_why);
    if (!ids_equal(record->id.bytes, p->parts->body.run.bytes) ||
        !ID_EQUAL(p->out->core.run, p->parts->body.run))
        return refused(p, LINK_RUN, verdict_refuse(REFUSAL_UNKNOWN_RUN, p->parts->body.run.bytes));
    return refused(p, LINK_RUN, bundle_check_at(p->bundle, p->out->median_ms));
}

static enum err link_certificate(struct replay *p)
{
    const struct certificate *c = &p->out->certificate;
    const struct core_receipt *core = &p->out->core;
    struct hash32 hash = certificate_hash(p->parts->body.certificate), message = certificate_vote_hash(c);
    if (!ID_EQUAL(hash, core->certificate)) return ERR_HASH;
    TRY(certificate_check(c, p->charter));
    bool same = ID_EQUAL(c->run, core->run) && c->term == core->term && c->epoch == p->run->epoch &&
                ID_EQUAL(c->compose, p->run->compose) && c->slot == p->run->slot;
    if (!same) return refused(p, LINK_CERTIFICATE, verdict_refuse(REFUSAL_CERTIFICATE, c->run.bytes));
    for (uint32_t i = 0; i < c->vote_count; i++)
        add_check(p, LINK_CERTIFICATE, p->charter->member[p->charter->custodian[c->custodian[i]]].node,
                  message, &c->vote[i]);
    return refused(p, LINK_CERTIFICATE, registry_check_node(p->bundle->registry, p->run, c->node));
}

/* What it says about keys is checked over the binding, by whoever can. */
static enum err link_evidence(struct replay *p)
{
    const struct core_receipt *core = &p->out->core;
    struct crypto_job *job = &p->out->evidence_job;
    struct hash32 hash = enclave_evidence_hash(p->parts->body.evidence);
    if (kind_refused(p, KIND_WORKERS)) return refused(p, LINK_EVIDENCE, p->bundle->refused_why);
    if (!ID_EQUAL(hash, core->evidence)) return ERR_HASH;
    release_evidence_job(job, p->bundle->registry, p->run, p->out->median_ms);
    job->box = p->parts->body.evidence;
    job->hash = enclave_binding(core->consortium, core->run, core->term, core->compose, core->certificate,
                                core->enclave, core->kem);
    if (p->out->simulated && !job->accept_simulated)
        return refused(p, LINK_EVIDENCE, verdict_refuse(REFUSAL_EVIDENCE, NULL));
    if (job->measurements.len == 0)
        return refused(p, LINK_EVIDENCE, verdict_refuse(REFUSAL_MEASUREMENT, NULL));
    return OK;
}

/* --- Statements of custodians --------------------------------------------------------------------------------------------- */

/* By custodians of this charter, each once, in charter order. */
static enum err check_signers(struct replay *p, const struct statements *s, uint32_t needed,
                              enum receipt_link link)
{
    int last = -1;
    if (s->count < needed) return ERR_NOT_READY;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct header *h = &s->record[i].header;
        int place = charter_custodian(p->charter, h->author);
        if (place < 0) return ERR_ROLE;
        if (place <= last) return ERR_NOT_CANONICAL;
        if (!ID_EQUAL(h->consortium, p->parts->consortium)) return ERR_CONSORTIUM;
        last = place;
        add_statement(p, link, &s->record[i]);
    }
    return OK;
}

static enum err check_release(const struct replay *p, const struct record *record)
{
    union body body;
    const struct core_receipt *core = &p->out->core;
    const struct body_RELEASE *b = &body.RELEASE;
    TRY(body_decode(&body, KIND_RELEASE, record->body));
    bool same = ID_EQUAL(b->run, core->run) && b->term == core->term &&
                ID_EQUAL(b->certificate, core->certificate) && ID_EQUAL(b->enclave, core->enclave) &&
                ID_EQUAL(b->kem, core->kem) && ID_EQUAL(b->challenge, core->challenge);
    return same ? bundle_check_heads(p->bundle, b->heads) : ERR_CONFLICT;
}

static enum err check_half(const struct replay *p, const struct record *record, uint32_t input)
{
    union body body;
    const struct core_receipt *core = &p->out->core;
    const struct body_OWNER_RELEASE *b = &body.OWNER_RELEASE;
    struct dt dt = run_input_at(p->run, input).dt;
    const struct asset *a = registry_asset(p->bundle->registry, dt);
    TRY(body_decode(&body, KIND_OWNER_RELEASE, record->body));
    bool same = ID_EQUAL(b->run, core->run) && b->term == core->term &&
                ID_EQUAL(b->certificate, core->certificate) && ID_EQUAL(b->enclave, core->enclave) &&
                ID_EQUAL(b->kem, core->kem) && ID_EQUAL(b->challenge, core->challenge) && ID_EQUAL(b->dt, dt);
    if (!same) return ERR_CONFLICT;
    if (!registry_holds(p->bundle->registry, a, record->header.author)) return ERR_ROLE;
    if (!ID_EQUAL(record->header.consortium, p->parts->consortium)) return ERR_CONSORTIUM;
    return bundle_check_heads(p->bundle, b->heads);
}

/* One of each owner who keeps a veto, in the run's order, and no others. */
static enum err check_halves(struct replay *p)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < run_input_count(p->run); i++) {
        if (!registry_vetoed(p->bundle->registry, p->run, i)) continue;
        if (next == p->halves.count) return ERR_MISSING_FIELD;
        TRY(check_half(p, &p->halves.record[next], i));
        add_statement(p, LINK_RELEASES, &p->halves.record[next++]);
    }
    return next == p->halves.count ? OK : ERR_CONFLICT;
}

static enum err link_releases(struct replay *p)
{
    const struct core_receipt *core = &p->out->core;
    uint32_t count = p->releases.count;
    TRY(check_signers(p, &p->releases, p->charter->t, LINK_RELEASES));
    if (core->release_count != count + p->halves.count) return ERR_CONFLICT;
    for (uint32_t i = 0; i < count; i++) {
        if (!ID_EQUAL(core->release[i], p->releases.record[i].id)) return ERR_HASH;
        TRY(check_release(p, &p->releases.record[i]));
    }
    for (uint32_t i = 0; i < p->halves.count; i++)
        if (!ID_EQUAL(core->release[count + i], p->halves.record[i].id)) return ERR_HASH;
    return check_halves(p);
}

static enum err link_core(struct replay *p)
{
    const struct core_receipt *core = &p->out->core;
    add_check(p, LINK_CORE, core->enclave, core_receipt_hash(p->parts->body.core),
              &p->parts->body.core_signature);
    if (!ID_EQUAL(core->consortium, p->parts->consortium)) return ERR_CONSORTIUM;
    if (!ID_EQUAL(core->bundle, p->bundle->hash)) return ERR_HASH;
    bool same = ID_EQUAL(core->compose, p->run->compose) && span_equal(core->engine, p->workflow->engine);
    return same ? OK : ERR_CONFLICT;
}

static enum err check_commit(const struct replay *p, const struct record *record)
{
    union body body;
    const struct core_receipt *core = &p->out->core;
    const struct body_COMMIT *b = &body.COMMIT;
    struct hash32 hash = core_receipt_hash(p->parts->body.core);
    TRY(body_decode(&body, KIND_COMMIT, record->body));
    bool same = ID_EQUAL(b->run, core->run) && b->term == core->term && b->index == 0 &&
                ID_EQUAL(b->commitment, core->commitment) && ID_EQUAL(b->core, hash);
    return same ? bundle_check_heads(p->bundle, b->heads) : ERR_CONFLICT;
}

static enum err link_commits(struct replay *p)
{
    TRY(check_signers(p, &p->commits, p->charter->q, LINK_COMMITS));
    for (uint32_t i = 0; i < p->commits.count; i++) TRY(check_commit(p, &p->commits.record[i]));
    return OK;
}

/* --- Output and end of life ------------------------------------------------------------------------------------------------ */

/* The document says of itself what it is and which recipe made it. */
static enum err check_document(const struct replay *p)
{
    const struct json *root = NULL;
    struct json_reader r;
    struct compose_hash compose;
    TRY(json_parse(&root, p->arena, p->parts->output, NULL));
    json_reader_init(&r, root, "", NULL);
    json_read_version(&r, "output/1");
    json_read_hex(&r, "compose", compose.bytes, 32);
    if (r.err != OK) return r.err;
    return ID_EQUAL(compose, p->run->compose) ? OK : ERR_CONFLICT;
}

static enum err link_output(struct replay *p)
{
    if (!p->out->output_known) return ERR_NOT_FOUND;
    struct hash32 commitment = enclave_commitment(p->parts->salt, p->parts->output);
    if (!ID_EQUAL(commitment, p->out->core.commitment)) return ERR_HASH;
    if (p->parts->output.len > p->workflow->output_bytes_max) return ERR_TOO_LARGE;
    add_check(p, LINK_OUTPUT, p->out->core.enclave, response_hash(p->out->core.run, p->parts->output),
              &p->parts->response);
    return check_document(p);
}

static enum err link_ending(struct replay *p)
{
    union body body;
    const struct core_receipt *core = &p->out->core;
    const struct body_ENDING *b = &body.ENDING;
    struct hash32 hash = core_receipt_hash(p->parts->body.core),
                  statements = enclave_statements_hash(p->parts->body.releases, p->parts->body.commits);
    TRY(body_decode(&body, KIND_ENDING, p->ending.body));
    add_statement(p, LINK_ENDING, &p->ending);
    bool same = ID_EQUAL(p->ending.header.author, core->enclave) && ID_EQUAL(b->run, core->run) &&
                b->term == core->term && ID_EQUAL(b->core, hash) && ID_EQUAL(b->statements, statements);
    if (!ID_EQUAL(p->ending.header.consortium, p->parts->consortium)) return ERR_CONSORTIUM;
    return same ? OK : ERR_CONFLICT;
}

/* --- All of them ----------------------------------------------------------------------------------------------------------- */

static enum err take_bundle(struct replay *p)
{
    p->bundle = p->out->bundle;
    p->check = ARENA_ARRAY(p->arena, struct signature_check, p->bundle->check_count + CHECKS_BEYOND_BUNDLE);
    if (p->check == NULL) return ERR_NO_MEMORY;
    memcpy(p->check, p->bundle->check, p->bundle->check_count * sizeof *p->check);
    p->out->check = p->check;
    p->out->check_count = p->bundle->check_count;
    p->charter = registry_charter(p->bundle->registry);
    if (p->bundle->run != NULL) p->run = &p->bundle->run->body;
    if (p->bundle->workflow != NULL) p->workflow = p->bundle->workflow->workflow;
    return OK;
}

/* Nothing after them can be judged without a charter, a run and its workflow. */
static bool groundless(const struct replay *p)
{
    return p->charter == NULL || p->run == NULL || p->workflow == NULL;
}

static void replay_links(struct replay *p, struct consortium_id anchor)
{
    enum err *err = p->out->err;
    err[LINK_CONSORTIUM] = link_consortium(p, anchor);
    if (p->bundle == NULL) return;
    err[LINK_RECORDS] = link_records(p);
    err[LINK_CHARTER] = link_charter(p);
    err[LINK_COMMITTEE] = link_committee(p);
    err[LINK_RECIPE] = link_recipe(p);
    if (groundless(p)) return;
    err[LINK_APPROVALS] = link_approvals(p);
    err[LINK_RUN] = link_run(p);
    err[LINK_CERTIFICATE] = link_certificate(p);
    err[LINK_EVIDENCE] = link_evidence(p);
    err[LINK_RELEASES] = link_releases(p);
    err[LINK_CORE] = link_core(p);
    err[LINK_COMMITS] = link_commits(p);
    err[LINK_OUTPUT] = link_output(p);
    err[LINK_ENDING] = link_ending(p);
}

enum err receipt_replay(struct receipt_replay *out, struct arena *arena, const struct receipt_parts *parts,
                        struct consortium_id anchor)
{
    struct replay *p = ARENA_NEW(arena, struct replay);
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < RECEIPT_LINK_COUNT; i++) out->err[i] = ERR_NOT_READY;
    if (p == NULL) return ERR_NO_MEMORY;
    *p = (struct replay){.out = out, .arena = arena, .parts = parts};
    out->simulated = receipt_simulated(parts->body.evidence);
    out->output_known = parts->output.len > 0;
    out->err[LINK_DOCUMENT] = link_document(p);
    if (out->err[LINK_DOCUMENT] == ERR_NO_MEMORY) return ERR_NO_MEMORY;
    out->release_count = p->releases.count;
    out->half_count = p->halves.count;
    out->commit_count = p->commits.count;
    if (out->err[LINK_DOCUMENT] != OK) return OK;
    if (out->bundle != NULL) TRY(take_bundle(p));
    replay_links(p, anchor);
    return OK;
}
