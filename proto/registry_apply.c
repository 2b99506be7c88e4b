/* Applying a record, and saying beforehand whether it would be refused. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"
#include "proto/certificate.h"
#include "proto/enclave.h"

#include <string.h>

/* A member's body, in its longest form. */
enum { MEMBER_BYTES_MAX = 1024 };

/* --- Everybody's part of the tables ------------------------------------------------------------------------------------- */

static const uint32_t share_places[SHARE_COUNT] = {
    [SHARE_VERSION] = CAP_ASSETS,     [SHARE_WORKFLOW] = CAP_JOBS,          [SHARE_GRANT] = CAP_GRANTS,
    [SHARE_APPROVAL] = CAP_APPROVALS, [SHARE_REVOCATION] = CAP_REVOCATIONS, [SHARE_JOB] = CAP_JOBS,
    [SHARE_RUN] = CAP_RUNS,           [SHARE_DEVICE] = CAP_DEVICES,
};

/* Bit per table that a record with this body takes a place of. */
static uint32_t shares_of(enum kind kind, const union body *b)
{
    if (kind == KIND_ASSET)
        return UINT32_C(1) << SHARE_VERSION | (b->ASSET.workflow.len > 0 ? UINT32_C(1) << SHARE_WORKFLOW : 0);
    if (kind == KIND_MEMBER) return registry_is_device(&b->MEMBER) ? UINT32_C(1) << SHARE_DEVICE : 0;
    if (kind == KIND_GRANT) return UINT32_C(1) << SHARE_GRANT;
    if (kind == KIND_APPROVAL) return UINT32_C(1) << SHARE_APPROVAL;
    if (kind == KIND_REVOCATION) return UINT32_C(1) << SHARE_REVOCATION;
    if (kind == KIND_JOB) return UINT32_C(1) << SHARE_JOB;
    return kind == KIND_RUN ? UINT32_C(1) << SHARE_RUN : 0;
}

static bool share_left(const struct registry *r, struct node_id author, uint32_t shares)
{
    uint32_t row = index_find(&r->writers, author.bytes);
    if (row == INDEX_NONE) return shares == 0 || r->writer_count < CAP_WRITERS;
    for (uint32_t i = 0; i < SHARE_COUNT; i++)
        if ((shares >> i & 1) != 0 && ROW(r->writer, row).used[i] >= (share_places[i] + 3) / 4) return false;
    return true;
}

bool registry_waits(const struct registry *r, struct node_id author)
{
    uint32_t row = index_find(&r->writers, author.bytes);
    bool used = false;
    for (uint32_t i = 0; row != INDEX_NONE && i < SHARE_COUNT; i++)
        used |= ROW(r->writer, row).used[i] >= (share_places[i] + SMALL_PART - 1) / SMALL_PART;
    if (row != INDEX_NONE) used |= ROW(r->writer, row).kept_bytes >= CAP_KEPT_BYTES / SMALL_PART;
    return used && !registry_admitted(r, author);
}

/* After share_left has said yes. */
static struct writer *need_writer(struct registry *r, struct node_id author)
{
    uint32_t row = index_find(&r->writers, author.bytes);
    if (row != INDEX_NONE) return &ROW(r->writer, row);
    struct writer *w = &ROW(r->writer, r->writer_count);
    *w = (struct writer){.node = author};
    enum err err = index_add(&r->writers, w->node.bytes, r->writer_count++);
    ASSERT(err == OK); /* as many places as writers */
    return w;
}

static void share_take(struct registry *r, struct node_id author, uint32_t shares)
{
    if (shares == 0) return;
    struct writer *w = need_writer(r, author);
    for (uint32_t i = 0; i < SHARE_COUNT; i++) w->used[i] += shares >> i & 1;
}

struct verdict share_check_kept(const struct registry *r, struct node_id author, size_t cost)
{
    uint32_t row = index_find(&r->writers, author.bytes);
    size_t used = row != INDEX_NONE ? ROW(r->writer, row).kept_bytes : 0;
    return used + cost <= CAP_KEPT_BYTES / 4 ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, author.bytes);
}

void share_take_kept(struct registry *r, struct node_id author, size_t cost)
{
    need_writer(r, author)->kept_bytes += cost;
}

/* --- Revocations, jobs, runs ------------------------------------------------------------------------------------------- */

/* A grant is for no recipe. */
static bool speaks_of(const struct revocation *v, const struct record *record, struct compose_hash compose,
                      struct dt dataset)
{
    const uint8_t *subject = v->body.subject.bytes;
    return v->body.target == REVOKE_ALL ||
           (v->body.target == REVOKE_APPROVAL && ids_equal(subject, record->id.bytes)) ||
           (v->body.target == REVOKE_COMPOSE && ids_equal(subject, compose.bytes)) ||
           (v->body.target == REVOKE_DATASET && ids_equal(subject, dataset.bytes));
}

/* Only what comes before it in its author's chain. */
static bool covers(const struct revocation *v, const struct record *record, struct compose_hash compose,
                   struct dt dataset)
{
    return v->record->header.seq >= record->header.seq && speaks_of(v, record, compose, dataset);
}

static void meet_grant(const struct revocation *v, struct grant *g)
{
    const struct compose_hash none = {{0}};
    g->revoked = g->revoked || covers(v, g->record, none, g->body.lower);
}

static void meet_approval(const struct revocation *v, struct approval *p)
{
    p->revoked = p->revoked || covers(v, p->record, p->body.compose, p->body.dataset);
}

/* The row that ends one list of an author becomes its first. */
static void link_first(uint32_t *first_plus_one, uint32_t *next_plus_one, uint32_t row)
{
    *next_plus_one = *first_plus_one;
    *first_plus_one = row + 1;
}

/* It acts out of turn, so what it covers may come before it or after. */
void revocation_of_grant(struct registry *r, uint32_t row)
{
    struct grant *g = &ROW(r->grant, row);
    struct writer *w = need_writer(r, g->record->header.author);
    link_first(&w->grants_plus_one, &g->author_next_plus_one, row);
    for (uint32_t next = w->revocations_plus_one; next != 0;
         next = ROW(r->revocation, next - 1).author_next_plus_one)
        meet_grant(&ROW(r->revocation, next - 1), g);
}

void revocation_of_approval(struct registry *r, uint32_t row)
{
    struct approval *p = &ROW(r->approval, row);
    struct writer *w = need_writer(r, p->record->header.author);
    link_first(&w->approvals_plus_one, &p->author_next_plus_one, row);
    for (uint32_t next = w->revocations_plus_one; next != 0;
         next = ROW(r->revocation, next - 1).author_next_plus_one)
        meet_approval(&ROW(r->revocation, next - 1), p);
}

static void revoke_step(struct registry *r, const struct revocation *v, const struct lineage *l,
                        const struct writer *w)
{
    const struct compose_hash none = {{0}};
    for (uint32_t next = w->grants_plus_one; next != 0; next = ROW(r->grant, next - 1).author_next_plus_one) {
        struct grant *g = &ROW(r->grant, next - 1);
        if (lineage_covers(l, g->record)) g->revoked |= speaks_of(v, g->record, none, g->body.lower);
    }
    for (uint32_t next = w->approvals_plus_one; next != 0;
         next = ROW(r->approval, next - 1).author_next_plus_one) {
        struct approval *p = &ROW(r->approval, next - 1);
        if (lineage_covers(l, p->record))
            p->revoked |= speaks_of(v, p->record, p->body.compose, p->body.dataset);
    }
}

/* What it inherited lies before all that it says itself. Approvals are over with the key that gave them; taken back, they stay
 * so though the heir should not stand. */
static void revoke_inherited(struct registry *r, const struct revocation *v)
{
    struct lineage l;
    lineage_of(r, &l, v->record->header.author);
    for (uint32_t i = 1; i < l.count; i++) {
        uint32_t row = index_find(&r->writers, l.step[i].node.bytes);
        if (row != INDEX_NONE) revoke_step(r, v, &l, &ROW(r->writer, row));
    }
}

void succession_revocations(struct registry *r, struct node_id heir)
{
    uint32_t row = index_find(&r->writers, heir.bytes);
    uint32_t next = row != INDEX_NONE ? ROW(r->writer, row).revocations_plus_one : 0;
    for (; next != 0; next = ROW(r->revocation, next - 1).author_next_plus_one)
        revoke_inherited(r, &ROW(r->revocation, next - 1));
}

static void revoke(struct registry *r, uint32_t row)
{
    struct revocation *v = &ROW(r->revocation, row);
    struct writer *w = need_writer(r, v->record->header.author);
    link_first(&w->revocations_plus_one, &v->author_next_plus_one, row);
    for (uint32_t next = w->grants_plus_one; next != 0; next = ROW(r->grant, next - 1).author_next_plus_one)
        meet_grant(v, &ROW(r->grant, next - 1));
    for (uint32_t next = w->approvals_plus_one; next != 0;
         next = ROW(r->approval, next - 1).author_next_plus_one)
        meet_approval(v, &ROW(r->approval, next - 1));
    revoke_inherited(r, v);
}

static struct verdict apply_revocation(struct registry *r, const struct record *record,
                                       const struct body_REVOCATION *b)
{
    uint32_t share = UINT32_C(1) << SHARE_REVOCATION;
    if (r->revocation_count == CAP_REVOCATIONS || !share_left(r, record->header.author, share)) {
        registry_void(r, record->header.author);
        return verdict_refuse(REFUSAL_FULL, NULL);
    }
    ROW(r->revocation, r->revocation_count) = (struct revocation){.record = record, .body = *b};
    share_take(r, record->header.author, share);
    revoke(r, r->revocation_count);
    device_revoke(r, &ROW(r->revocation, r->revocation_count++));
    return VERDICT_OK;
}

static struct verdict check_job(const struct registry *r)
{
    return r->job_count < CAP_JOBS ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict apply_job(struct registry *r, const struct record *record, const struct body_JOB *b)
{
    struct verdict v = check_job(r);
    if (v.refusal != REFUSAL_NONE) return v;
    struct job *job = &ROW(r->job, r->job_count++);
    *job = (struct job){.record = record, .body = *b};
    tally_endorsement_key(job->endorsement, record->id);
    return v;
}

static struct verdict check_run(const struct registry *r, const struct body_RUN *b)
{
    if (b->slot == 0 || b->inputs.len == 0 || b->inputs.len % RUN_INPUT_BYTES != 0)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    return r->run_count < CAP_RUNS ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict apply_run(struct registry *r, const struct record *record, const struct body_RUN *b)
{
    struct verdict v = check_run(r, b);
    if (v.refusal != REFUSAL_NONE) return v;
    ROW(r->run, r->run_count) = (struct run_entry){.record = record, .body = *b};
    enum err err = index_add(&r->runs, record->id.bytes, r->run_count);
    ASSERT(err == OK); /* as many places as runs */
    run_link(r, r->run_count++);
    return v;
}

/* --- Receipts ---------------------------------------------------------------------------------------------------------- */

/* Is it by the node that was elected? The core receipt, to which q custodians committed, names the certificate. */
static bool by_elected(const struct record *receipt)
{
    union body body;
    struct core_receipt core;
    struct certificate certificate;
    if (body_decode(&body, KIND_RECEIPT, receipt->body) != OK ||
        core_receipt_decode(&core, body.RECEIPT.core) != OK ||
        certificate_decode(&certificate, body.RECEIPT.certificate) != OK)
        return false;
    struct hash32 hash = certificate_hash(body.RECEIPT.certificate);
    return ID_EQUAL(hash, core.certificate) && ID_EQUAL(body.RECEIPT.run, core.run) &&
           ID_EQUAL(certificate.run, core.run) && ID_EQUAL(certificate.node, receipt->header.author);
}

/* Whatever arrived first: the elected node's own, and among equals the one with the smallest id. */
static bool receipt_before(const struct record *a, const struct record *b)
{
    bool elected = by_elected(a);
    if (elected != by_elected(b)) return elected;
    return memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes) < 0;
}

void registry_settle(struct registry *r, struct run_id run, const struct record *receipt)
{
    uint32_t row = index_find(&r->runs, run.bytes);
    if (row == INDEX_NONE) return;
    struct run_entry *entry = &ROW(r->run, row);
    if (entry->receipt == NULL || receipt_before(receipt, entry->receipt)) entry->receipt = receipt;
    run_settle(r, row);
}

/* --- Applying ---------------------------------------------------------------------------------------------------------- */

static struct verdict apply_body(struct registry *r, const struct record *record, const union body *b)
{
    switch (record->header.kind) {
    case KIND_MEMBER:
        if (registry_is_device(&b->MEMBER)) return device_apply(r, record, &b->MEMBER);
        if (succession_is_claim(&record->header, &b->MEMBER)) return succession_apply(r, record);
        return joint_apply(r, record, b);
    case KIND_CHARTER:
    case KIND_COMMITTEE:
    case KIND_OP:
    case KIND_ENDORSEMENT:
    case KIND_REMOVAL:
    case KIND_WORKERS: return joint_apply(r, record, b);
    case KIND_ASSET: return asset_apply(r, record, &b->ASSET);
    case KIND_GRANT: return grant_apply(r, record, &b->GRANT);
    case KIND_APPROVAL: return approval_apply(r, record, &b->APPROVAL);
    case KIND_REVOCATION: return apply_revocation(r, record, &b->REVOCATION);
    case KIND_JOB: return apply_job(r, record, &b->JOB);
    case KIND_RUN: return apply_run(r, record, &b->RUN);
    case KIND_RECEIPT: return VERDICT_OK;     /* acts through registry_settle, once its commits are checked */
    case KIND_SLOT_RETURN: return VERDICT_OK; /* no effect yet: the slot stays allotted */
    case KIND_ADVERT:
    case KIND_PROGRESS:
    case KIND_CONTACT:
    case KIND_JOIN:
    case KIND_KEYGEN_ROUND1:
    case KIND_KEYGEN_SIGN:
    case KIND_PREVOTE_ASK:
    case KIND_PREVOTE:
    case KIND_VOTE_ASK:
    case KIND_VOTE:
    case KIND_RELEASE:
    case KIND_OWNER_RELEASE:
    case KIND_REFUSAL:
    case KIND_COMMIT:
    case KIND_SHARE_ASK:
    case KIND_SHARE_ANSWER:
    case KIND_COMMIT_ASK:
    case KIND_LEASE:
    case KIND_LEASE_ASK:
    case KIND_ENDING: break;
    }
    return verdict_refuse(REFUSAL_MALFORMED, NULL);
}

/* No freeze and no expiry holds them up: negative records, and receipts, which prove themselves whoever signs the record. */
static bool acts_always(enum kind kind)
{
    return kind == KIND_REVOCATION || kind == KIND_REMOVAL || kind == KIND_RECEIPT;
}

bool registry_may_expire(enum kind kind)
{
    return kind == KIND_GRANT || kind == KIND_APPROVAL || kind == KIND_RUN || kind == KIND_RECEIPT;
}

/* Another key may hold what this body's node is to inherit; nobody else's token hangs on it. */
static void refresh_inherited(struct registry *r, const struct body_MEMBER *b)
{
    if (r->claim_count == 0 || ID_IS_ZERO(b->replaces)) return;
    for (uint32_t i = 0; i < r->asset_count; i++) {
        ++*r->looked;
        if (succession_passes(r, ROW(r->asset, i).owner, b->replaces)) asset_refresh(r, &ROW(r->asset, i));
    }
}

struct verdict registry_apply(struct registry *r, const struct record *record)
{
    union body body;
    ASSERT(record->body_known && kind_class(record->header.kind) == CLASS_CHAINED);
    if (body_decode(&body, record->header.kind, record->body) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    if (acts_always(record->header.kind)) return apply_body(r, record, &body);
    const struct frozen *f = standing_frozen(r, record->header.author);
    const bool voided = f != NULL && record->header.seq >= f->seq;
    if (voided && record->header.kind != KIND_RUN) /* a run counts no more, but a receipt may settle it */
        return verdict_refuse(REFUSAL_FROZEN, record->header.author.bytes);
    if (record->header.expires_ms != 0 && !registry_may_expire(record->header.kind))
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    uint32_t shares = shares_of(record->header.kind, &body);
    if (!share_left(r, record->header.author, shares)) return verdict_refuse(REFUSAL_FULL, NULL);
    struct verdict v = apply_body(r, record, &body);
    if (v.refusal != REFUSAL_NONE) return v;
    if (record->header.kind == KIND_MEMBER) refresh_inherited(r, &body.MEMBER);
    share_take(r, record->header.author, shares);
    return v;
}

/* --- Previews of own records ------------------------------------------------------------------------------------------- */

static struct verdict preview_job(const struct registry *r, struct node_id author, const struct body_JOB *b)
{
    const struct published *p = registry_workflow(r, b->compose);
    struct verdict v = check_job(r);
    if (v.refusal != REFUSAL_NONE) return v;
    if (p == NULL) return verdict_refuse(REFUSAL_WORKFLOW, b->compose.bytes);
    return ID_EQUAL(registry_holder(r, p->provider), author)
               ? registry_check_role(r, author, ROLE_ALGORITHM)
               : verdict_refuse(REFUSAL_NOT_OWNER, b->app.bytes);
}

/* The token that this body speaks of, if any, is the author's to speak of. One that nobody registered is refused later. */
static struct verdict preview_holder(const struct registry *r, struct node_id author, enum kind kind,
                                     const union body *body)
{
    const struct dt dt = kind == KIND_ASSET      ? body->ASSET.dt
                         : kind == KIND_GRANT    ? body->GRANT.lower
                         : kind == KIND_APPROVAL ? body->APPROVAL.dataset
                                                 : (struct dt){{0}};
    const struct asset *a = asset_find(r, dt);
    const struct node_id holder = a != NULL ? registry_holder(r, a->owner) : author;
    if (ID_IS_ZERO(holder)) return verdict_refuse(REFUSAL_FROZEN, a->owner.bytes);
    return ID_EQUAL(holder, author) ? VERDICT_OK : verdict_refuse(REFUSAL_NOT_OWNER, dt.bytes);
}

/* Nobody endorses what can never run. */
static struct verdict preview_endorsement(const struct registry *r, const struct body_ENDORSEMENT *b)
{
    const struct published *p = NULL;
    for (uint32_t i = 0; i < r->job_count && p == NULL; i++)
        if (ID_EQUAL(ROW(r->job, i).record->id, b->job))
            p = registry_workflow(r, ROW(r->job, i).body.compose);
    return p != NULL ? publication_check_room(r, p->workflow) : VERDICT_OK;
}

/* A claim is told by its bytes. */
static struct hash32 claim_hash(enum kind kind, const union body *body)
{
    uint8_t bytes[MEMBER_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    if (kind != KIND_MEMBER) return (struct hash32){{0}};
    body_encode(&b, kind, &body->MEMBER);
    ASSERT(!b.overflow);
    return sha256(buffer_span(&b));
}

struct verdict registry_preview(struct registry *r, struct node_id author, enum kind kind,
                                const union body *body)
{
    bool device = kind == KIND_MEMBER && registry_is_device(&body->MEMBER);
    bool joint = kind == KIND_CHARTER || kind == KIND_MEMBER || kind == KIND_OP || kind == KIND_ENDORSEMENT ||
                 kind == KIND_REMOVAL || kind == KIND_WORKERS || kind == KIND_COMMITTEE;
    const struct frozen *f = standing_frozen(r, author);
    if (f != NULL && f->seq != UINT64_MAX) return verdict_refuse(REFUSAL_FROZEN, author.bytes);
    const struct header h = {.author = author, .body_hash = claim_hash(kind, body)};
    if (kind == KIND_MEMBER && succession_is_claim(&h, &body->MEMBER)) return succession_preview(r, &h);
    if (joint && !device) {
        struct verdict v = joint_preview(r, author, kind, body);
        bool endorses = v.refusal == REFUSAL_NONE && kind == KIND_ENDORSEMENT;
        return endorses ? preview_endorsement(r, &body->ENDORSEMENT) : v;
    }
    if (registry_waits(r, author)) return verdict_refuse(REFUSAL_FULL, author.bytes);
    if (kind != KIND_REVOCATION && !share_left(r, author, shares_of(kind, body)))
        return verdict_refuse(REFUSAL_FULL, author.bytes);
    if (device) return device_preview(r, author, &body->MEMBER);
    const struct verdict held = preview_holder(r, author, kind, body);
    if (held.refusal != REFUSAL_NONE) return held;
    if (kind == KIND_ASSET) return asset_preview(r, author, &body->ASSET);
    if (kind == KIND_GRANT) return grant_preview(r, author, &body->GRANT);
    if (kind == KIND_APPROVAL) return approval_preview(r, author, &body->APPROVAL);
    if (kind == KIND_JOB) return preview_job(r, author, &body->JOB);
    if (kind == KIND_RUN) return check_run(r, &body->RUN);
    return VERDICT_OK;
}
