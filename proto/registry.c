#include "proto/registry_state.h"

#include "proto/base/panic.h"
#include "proto/certificate.h"
#include "proto/enclave.h"

#include <string.h>

enum { CAP_WORKER_SETS = 64, CAP_COMMITTEES = 16 };

static struct member member_of_charter(const struct charter_member *m)
{
    return (struct member){m->node, m->organisation, m->jurisdiction, m->roles,
                           m->kem,  m->dkg,          m->approval,     NULL};
}

static enum err load_charter(struct registry *r, struct span bytes)
{
    struct charter *charter;
    struct hash32 hash = sha256(bytes);
    if (!ids_equal(hash.bytes, r->consortium.bytes)) return ERR_HASH;
    TRY(charter_parse(&charter, r->arena, bytes, NULL));
    r->founder = ARENA_ARRAY(r->arena, struct member, charter->member_count);
    if (r->founder == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < charter->member_count; i++)
        r->founder[i] = member_of_charter(&charter->member[i]);
    r->charter = charter;
    return OK;
}

static enum err allocate(struct registry *r, struct arena *arena);
static bool tally_decided(const struct registry *r, const struct tally *t);
static const struct member *find_member(const struct registry *r, struct node_id node);

enum err registry_new(struct registry **out, struct arena *arena, struct consortium_id consortium,
                      struct span charter)
{
    struct registry *r = ARENA_NEW(arena, struct registry);
    if (r == NULL) return ERR_NO_MEMORY;
    r->arena = arena;
    r->consortium = consortium;
    TRY(allocate(r, arena));
    *out = r;
    return charter.len > 0 ? load_charter(r, charter) : OK;
}

struct arena *registry_arena(const struct registry *r)
{
    return r->arena;
}

static enum err allocate(struct registry *r, struct arena *arena)
{
    uint64_t salt = load_u64(r->consortium.bytes);
    r->tally = ARENA_ARRAY(arena, struct tally, CAP_TALLIES);
    r->member = ARENA_ARRAY(arena, struct member_row, CAP_MEMBERS);
    r->asset = ARENA_ARRAY(arena, struct asset, CAP_ASSETS);
    r->version = ARENA_ARRAY(arena, struct asset_version, CAP_ASSETS);
    r->binding = ARENA_ARRAY(arena, struct binding, CAP_ASSETS);
    r->workflow = ARENA_ARRAY(arena, struct published, CAP_JOBS);
    r->op = ARENA_ARRAY(arena, struct op_row, CAP_OPS);
    r->grant = ARENA_ARRAY(arena, struct grant, CAP_GRANTS);
    r->approval = ARENA_ARRAY(arena, struct approval, CAP_APPROVALS);
    r->job = ARENA_ARRAY(arena, struct job, CAP_JOBS);
    r->run = ARENA_ARRAY(arena, struct run_entry, CAP_RUNS);
    r->revocation = ARENA_ARRAY(arena, struct revocation, CAP_REVOCATIONS);
    r->frozen = ARENA_ARRAY(arena, struct frozen, CAP_WRITERS);
    r->gap = ARENA_ARRAY(arena, struct node_id, CAP_WRITERS);
    r->removal = ARENA_ARRAY(arena, struct removal_row, CAP_MEMBERS);
    r->workers = ARENA_ARRAY(arena, struct workers_row, CAP_WORKER_SETS);
    r->writer = ARENA_ARRAY(arena, struct writer, CAP_WRITERS);
    r->committee = ARENA_ARRAY(arena, struct committee, CAP_COMMITTEES);
    if (r->committee == NULL) return ERR_NO_MEMORY; /* the last: an arena that was full stays full */
    TRY(index_init(&r->writers, arena, CAP_WRITERS, salt));
    TRY(index_init(&r->tallies, arena, CAP_TALLIES, salt));
    TRY(index_init(&r->members, arena, CAP_MEMBERS, salt));
    TRY(index_init(&r->assets, arena, CAP_ASSETS, salt));
    TRY(index_init(&r->workflows, arena, CAP_JOBS, salt));
    TRY(index_init(&r->ops, arena, CAP_OPS, salt));
    TRY(index_init(&r->jobs, arena, CAP_JOBS, salt));
    return index_init(&r->runs, arena, CAP_RUNS, salt);
}

/* --- Who counts ------------------------------------------------------------------------------------------------------- */

static struct frozen *find_frozen(const struct registry *r, struct node_id author)
{
    for (uint32_t i = 0; i < r->frozen_count; i++)
        if (ID_EQUAL(r->frozen[i].author, author)) return &r->frozen[i];
    return NULL;
}

/* Versions from the frozen seq on never were. */
static void roll_back(struct registry *r, struct asset *a, uint64_t seq)
{
    const struct asset_version *v = NULL;
    for (uint32_t next = a->versions_plus_one; next != 0; next = v->next_plus_one) {
        v = &r->version[next - 1];
        if (v->record->header.seq < seq) break;
    }
    if (v == NULL || v->record->header.seq >= seq) return; /* none is left: registry_asset says so */
    a->record = v->record;
    a->ddo = v->ddo;
    a->version = v->version;
}

void registry_freeze(struct registry *r, struct node_id author, uint64_t seq)
{
    struct frozen *f = find_frozen(r, author);
    if (f == NULL) {
        ASSERT(r->frozen_count < CAP_WRITERS); /* only members are frozen, and there are no more of them */
        f = &r->frozen[r->frozen_count++];
        *f = (struct frozen){author, seq};
    }
    if (seq < f->seq) f->seq = seq;
    for (uint32_t i = 0; i < r->asset_count; i++)
        if (ID_EQUAL(r->asset[i].owner, author)) roll_back(r, &r->asset[i], f->seq);
}

void registry_void(struct registry *r, struct node_id author)
{
    registry_freeze(r, author, UINT64_MAX);
}

static uint32_t find_gap(const struct registry *r, struct node_id author)
{
    uint32_t i = 0;
    while (i < r->gap_count && !ID_EQUAL(r->gap[i], author)) i++;
    return i;
}

static bool has_gap(const struct registry *r, struct node_id author)
{
    return find_gap(r, author) < r->gap_count;
}

void registry_gap(struct registry *r, struct node_id author, bool gap)
{
    uint32_t at = find_gap(r, author);
    if (gap == has_gap(r, author)) return;
    ASSERT(!gap || r->gap_count < CAP_WRITERS);
    if (gap)
        r->gap[r->gap_count++] = author;
    else
        r->gap[at] = r->gap[--r->gap_count];
}

/* The lowest last seq of this member's decided removals; UINT64_MAX when there is none. */
static uint64_t last_seq(const struct registry *r, struct node_id node)
{
    uint64_t last = UINT64_MAX;
    for (uint32_t i = 0; i < r->removal_count; i++) {
        const struct removal_row *row = &r->removal[i];
        if (!ID_EQUAL(row->body.node, node) || row->body.last_seq >= last) continue;
        if (tally_decided(r, &r->tally[row->tally])) last = row->body.last_seq;
    }
    return last;
}

/* An owner of whom nothing can be used just now: why. */
struct verdict registry_check_author(const struct registry *r, struct node_id author)
{
    const struct frozen *f = find_frozen(r, author);
    if (f != NULL)
        return verdict_refuse(f->seq != UINT64_MAX ? REFUSAL_FROZEN : REFUSAL_REVOKED, author.bytes);
    if (has_gap(r, author)) return verdict_refuse(REFUSAL_GAP, author.bytes);
    bool member = last_seq(r, author) == UINT64_MAX && find_member(r, author) != NULL;
    return member ? VERDICT_OK : verdict_refuse(REFUSAL_NOT_MEMBER, author.bytes);
}

struct verdict registry_check_record(const struct registry *r, const struct record *record)
{
    return registry_counts(r, record) ? VERDICT_OK : registry_check_author(r, record->header.author);
}

static bool before_freeze(const struct registry *r, const struct record *record)
{
    const struct frozen *f = find_frozen(r, record->header.author);
    return f == NULL || record->header.seq < f->seq;
}

/* Asks for membership too: who is no member any more, because those who admitted it count no more, never was one. */
bool registry_counts(const struct registry *r, const struct record *record)
{
    struct node_id author = record->header.author;
    return before_freeze(r, record) && record->header.seq <= last_seq(r, author) &&
           find_member(r, author) != NULL;
}

static bool tally_by_custodians(enum kind kind)
{
    return kind == KIND_COMMITTEE;
}

static bool eligible(const struct registry *r, enum kind kind, struct node_id author)
{
    return (tally_by_custodians(kind) ? charter_custodian(r->charter, author)
                                      : charter_steward(r->charter, author)) >= 0;
}

uint32_t tally_needed(const struct registry *r, const struct tally *t)
{
    if (r->charter == NULL) return UINT32_MAX;
    return tally_by_custodians(t->kind) ? r->charter->custodian_count - r->charter->f : r->charter->s;
}

uint32_t tally_count(const struct registry *r, const struct tally *t)
{
    uint32_t count = 0;
    if (r->charter == NULL) return 0;
    for (uint32_t i = 0; i < t->author_count; i++) {
        struct node_id author = t->vote[i]->header.author;
        bool counts = t->kind == KIND_REMOVAL ? before_freeze(r, t->vote[i]) : registry_counts(r, t->vote[i]);
        if (counts && eligible(r, t->kind, author)) count++;
    }
    return count;
}

static bool tally_decided(const struct registry *r, const struct tally *t)
{
    return tally_count(r, t) >= tally_needed(r, t);
}

static struct hash32 tally_key(enum kind kind, struct hash32 body_hash)
{
    uint8_t byte = (uint8_t)kind;
    return HASH_FRAMED("perigee/tally/v1", span_make(&byte, 1), ID_SPAN(body_hash));
}

const struct tally *registry_tally(const struct registry *r, enum kind kind, struct hash32 body_hash)
{
    struct hash32 key = tally_key(kind, body_hash);
    uint32_t row = index_find(&r->tallies, key.bytes);
    return row != INDEX_NONE ? &r->tally[row] : NULL;
}

static uint32_t seated_count(const struct charter *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->member_count; i++)
        if ((c->member[i].roles & (ROLE_STEWARD | ROLE_CUSTODIAN)) != 0) count++;
    return count;
}

/* One eligible author cannot fill the table against the others: each may open its part of it. */
static bool may_open_tally(const struct registry *r, struct node_id author)
{
    uint32_t opened = 0;
    if (r->tally_count == CAP_TALLIES) return false;
    if (r->charter == NULL) return true; /* a bundle: what it holds harms only itself */
    for (uint32_t i = 0; i < r->tally_count; i++)
        if (ID_EQUAL(r->tally[i].vote[0]->header.author, author)) opened++;
    return opened < CAP_TALLIES / seated_count(r->charter);
}

/* Add one eligible author's voice, once. *row is the tally. */
static struct verdict tally_add(struct registry *r, uint32_t *row, bool *fresh, const struct record *record)
{
    struct node_id author = record->header.author;
    struct hash32 key = tally_key(record->header.kind, record->header.body_hash);
    if (r->charter != NULL && !eligible(r, record->header.kind, author))
        return verdict_refuse(REFUSAL_NOT_MEMBER, author.bytes);
    *row = index_find(&r->tallies, key.bytes);
    *fresh = *row == INDEX_NONE;
    if (*fresh) {
        if (!may_open_tally(r, author)) return verdict_refuse(REFUSAL_FULL, NULL);
        *row = r->tally_count;
        struct tally *opened = &r->tally[*row];
        *opened = (struct tally){.kind = record->header.kind, .body_hash = record->header.body_hash};
        memcpy(opened->key, key.bytes, sizeof opened->key);
        if (index_add(&r->tallies, opened->key, *row) != OK) return verdict_refuse(REFUSAL_FULL, NULL);
        r->tally_count++;
    }
    struct tally *t = &r->tally[*row];
    for (uint32_t i = 0; i < t->author_count; i++) {
        if (!ID_EQUAL(t->vote[i]->header.author, author)) continue;
        /* Removals act out of turn: the earlier voice is the one a freeze may leave standing. */
        if (record->header.seq < t->vote[i]->header.seq) t->vote[i] = record;
        return VERDICT_OK;
    }
    if (t->author_count == CAP_STEWARDS) return verdict_refuse(REFUSAL_FULL, NULL);
    t->vote[t->author_count++] = record;
    return VERDICT_OK;
}

/* Where several decided bodies name one thing, the smallest hash is in force, whatever arrived first. */
static bool tally_before(const struct tally *a, const struct tally *b)
{
    return memcmp(a->body_hash.bytes, b->body_hash.bytes, 32) < 0;
}

/* --- Members ---------------------------------------------------------------------------------------------------------- */

static const struct charter_member *charter_find(const struct charter *c, struct node_id node)
{
    for (uint32_t i = 0; c != NULL && i < c->member_count; i++)
        if (ID_EQUAL(c->member[i].node, node)) return &c->member[i];
    return NULL;
}

static const struct member *find_member(const struct registry *r, struct node_id node)
{
    const struct charter_member *named = charter_find(r->charter, node);
    if (named != NULL) return &r->founder[named - r->charter->member];
    const struct member *best = NULL;
    uint32_t row = index_find(&r->members, node.bytes);
    for (uint32_t next = row == INDEX_NONE ? 0 : row + 1; next != 0;
         next = r->member[next - 1].next_plus_one) {
        const struct member *m = &r->member[next - 1].member;
        if (!tally_decided(r, m->tally)) continue;
        if (best == NULL || tally_before(m->tally, best->tally)) best = m;
    }
    return best;
}

const struct member *registry_member(struct registry *r, struct node_id node)
{
    return last_seq(r, node) == UINT64_MAX ? find_member(r, node) : NULL;
}

/* Were there ever enough voices for it, whoever of them was frozen since? */
static bool tally_was_decided(const struct registry *r, const struct tally *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; r->charter != NULL && i < t->author_count; i++)
        if (eligible(r, t->kind, t->vote[i]->header.author)) count++;
    return count >= tally_needed(r, t);
}

/* Another steward's voice may make a member again of who lost one: by then its revocations must be held. */
bool registry_may_write(const struct registry *r, struct node_id author)
{
    if (charter_find(r->charter, author) != NULL) return true;
    uint32_t row = index_find(&r->members, author.bytes);
    for (uint32_t next = row == INDEX_NONE ? 0 : row + 1; next != 0; next = r->member[next - 1].next_plus_one)
        if (tally_was_decided(r, r->member[next - 1].member.tally)) return true;
    return false;
}

const struct member *registry_member_at(struct registry *r, uint32_t index)
{
    uint32_t founders = r->charter != NULL ? r->charter->member_count : 0;
    for (uint32_t i = 0; i < founders; i++)
        if (registry_member(r, r->founder[i].node) != NULL && index-- == 0) return &r->founder[i];
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct member *m = &r->member[i].member;
        if (registry_member(r, m->node) == m && index-- == 0) return m;
    }
    return NULL;
}

/* --- Everybody's part of the tables ------------------------------------------------------------------------------------- */

static const uint32_t share_places[SHARE_COUNT] = {
    [SHARE_VERSION] = CAP_ASSETS,     [SHARE_WORKFLOW] = CAP_JOBS,          [SHARE_GRANT] = CAP_GRANTS,
    [SHARE_APPROVAL] = CAP_APPROVALS, [SHARE_REVOCATION] = CAP_REVOCATIONS, [SHARE_JOB] = CAP_JOBS,
    [SHARE_RUN] = CAP_RUNS,
};

/* Bit per table that a record with this body takes a place of. */
static uint32_t shares_of(enum kind kind, const union body *b)
{
    if (kind == KIND_ASSET)
        return UINT32_C(1) << SHARE_VERSION | (b->ASSET.workflow.len > 0 ? UINT32_C(1) << SHARE_WORKFLOW : 0);
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
        if ((shares >> i & 1) != 0 && r->writer[row].used[i] >= (share_places[i] + 3) / 4) return false;
    return true;
}

/* After share_left has said yes. */
static void share_take(struct registry *r, struct node_id author, uint32_t shares)
{
    uint32_t row = index_find(&r->writers, author.bytes);
    if (shares == 0) return;
    if (row == INDEX_NONE) {
        row = r->writer_count++;
        r->writer[row] = (struct writer){.node = author};
        enum err err = index_add(&r->writers, r->writer[row].node.bytes, row);
        ASSERT(err == OK); /* as many places as writers */
    }
    for (uint32_t i = 0; i < SHARE_COUNT; i++) r->writer[row].used[i] += shares >> i & 1;
}

/* --- Applying, kind by kind -------------------------------------------------------------------------------------------- */

static struct verdict apply_charter(struct registry *r, const struct record *record,
                                    const struct body_CHARTER *b)
{
    uint32_t row;
    bool fresh;
    struct hash32 hash = sha256(b->document);
    if (!ids_equal(hash.bytes, r->consortium.bytes)) return verdict_refuse(REFUSAL_CHARTER, hash.bytes);
    if (r->charter == NULL && load_charter(r, b->document) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal == REFUSAL_NONE) r->charter_tally_plus_one = row + 1;
    return v;
}

/* Keys and the right to admit come from the charter only. */
static struct verdict check_admission(const struct body_MEMBER *b)
{
    return (b->roles & (ROLE_CUSTODIAN | ROLE_STEWARD)) == 0
               ? VERDICT_OK
               : verdict_refuse(REFUSAL_MALFORMED, b->node.bytes);
}

static struct verdict apply_member(struct registry *r, const struct record *record,
                                   const struct body_MEMBER *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = check_admission(b);
    if (v.refusal == REFUSAL_NONE) v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) return v;
    if (r->member_count == CAP_MEMBERS) return verdict_refuse(REFUSAL_FULL, NULL);
    uint32_t at = r->member_count++;
    uint32_t first = index_find(&r->members, b->node.bytes);
    r->member[at].member = (struct member){b->node, b->organisation, b->jurisdiction, (uint32_t)b->roles,
                                           b->kem,  b->dkg,          b->approval,     &r->tally[row]};
    if (first != INDEX_NONE) {
        r->member[at].next_plus_one = r->member[first].next_plus_one;
        r->member[first].next_plus_one = at + 1;
        return VERDICT_OK;
    }
    enum err err = index_add(&r->members, r->member[at].member.node.bytes, at);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict apply_committee(struct registry *r, const struct record *record,
                                      const struct body_COMMITTEE *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) return v;
    if (r->committee_count == CAP_COMMITTEES) return verdict_refuse(REFUSAL_FULL, NULL);
    r->committee[r->committee_count++] = (struct committee){&r->tally[row], *b};
    return VERDICT_OK;
}

static struct verdict apply_op(struct registry *r, const struct record *record, const struct body_OP *b)
{
    uint32_t row;
    bool fresh;
    struct op *op;
    size_t mark = arena_mark(r->arena);
    if (op_open(&op, r->arena, b->document, b->code, NULL) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) {
        arena_release(r->arena, mark);
        return v;
    }
    if (r->op_count == CAP_OPS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->op[r->op_count] = (struct op_row){op, row};
    enum err err = index_add(&r->ops, op->hash.bytes, r->op_count++);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict apply_workers(struct registry *r, const struct record *record,
                                    const struct body_WORKERS *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) return v;
    if (r->workers_count == CAP_WORKER_SETS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->workers[r->workers_count++] = (struct workers_row){*b, row};
    return VERDICT_OK;
}

/* Whoever keeps keys or admits members leaves by another charter. */
static struct verdict check_removal(const struct registry *r, const struct body_REMOVAL *b)
{
    bool seated = r->charter != NULL &&
                  (charter_custodian(r->charter, b->node) >= 0 || charter_steward(r->charter, b->node) >= 0);
    return !seated ? VERDICT_OK : verdict_refuse(REFUSAL_CHARTER, b->node.bytes);
}

static struct verdict apply_removal(struct registry *r, const struct record *record,
                                    const struct body_REMOVAL *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = check_removal(r, b);
    if (r->removal_count == CAP_MEMBERS) v = verdict_refuse(REFUSAL_FULL, NULL);
    if (v.refusal == REFUSAL_NONE) v = tally_add(r, &row, &fresh, record);
    if (v.refusal == REFUSAL_NONE && fresh) r->removal[r->removal_count++] = (struct removal_row){*b, row};
    return v;
}

static struct verdict apply_tally_only(struct registry *r, const struct record *record)
{
    uint32_t row;
    bool fresh;
    return tally_add(r, &row, &fresh, record);
}

static struct verdict check_registration(const struct registry *r, struct node_id author,
                                         const struct body_ASSET *b)
{
    struct hash32 dt = HASH_FRAMED("perigee/dt/v1", ID_SPAN(author), ID_SPAN(b->salt));
    if (!ids_equal(dt.bytes, b->dt.bytes)) return verdict_refuse(REFUSAL_NOT_OWNER, b->dt.bytes);
    if (b->version != 1) return verdict_refuse(REFUSAL_ASSET, b->dt.bytes);
    return r->asset_count < CAP_ASSETS ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict asset_register(struct registry *r, const struct record *record,
                                     const struct body_ASSET *b, const struct ddo *ddo)
{
    struct verdict v = check_registration(r, record->header.author, b);
    if (v.refusal != REFUSAL_NONE) return v;
    r->asset[r->asset_count] = (struct asset){.dt = b->dt,
                                              .owner = record->header.author,
                                              .ddo = ddo,
                                              .record = record,
                                              .first = record,
                                              .version = 1};
    enum err err = index_add(&r->assets, r->asset[r->asset_count].dt.bytes, r->asset_count);
    r->asset_count++;
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

/* A later version keeps what others rely on: type, and for a dataset schema, unit and budget. */
static struct verdict asset_update(struct asset *a, const struct record *record, const struct body_ASSET *b,
                                   const struct ddo *ddo)
{
    if (!ID_EQUAL(a->owner, record->header.author)) return verdict_refuse(REFUSAL_NOT_OWNER, b->dt.bytes);
    if (b->version != a->version + 1) return verdict_refuse(REFUSAL_EXISTS, b->dt.bytes);
    if (ddo->type != a->ddo->type) return verdict_refuse(REFUSAL_ASSET, b->dt.bytes);
    if (ddo->type == ASSET_DATASET) {
        bool same = ID_EQUAL(ddo->schema.hash, a->ddo->schema.hash) && ddo->budget == a->ddo->budget &&
                    ddo->currency == a->ddo->currency && span_equal(ddo->unit_column, a->ddo->unit_column);
        if (!same) return verdict_refuse(REFUSAL_SCHEMA, b->dt.bytes);
    }
    a->ddo = ddo;
    a->record = record;
    a->version = b->version;
    return VERDICT_OK;
}

static void asset_bind(struct registry *r, struct asset *a, const struct record *record,
                       const struct body_ASSET *b, const struct policy *policy)
{
    r->binding[r->binding_count] =
        (struct binding){record, b->compose, b->content, b->manifest, policy, a->bindings_plus_one};
    a->bindings_plus_one = ++r->binding_count;
}

static void asset_publish(struct registry *r, const struct asset *a, const struct record *record,
                          const struct workflow *w)
{
    if (index_find(&r->workflows, w->hash.bytes) != INDEX_NONE) return;
    r->workflow[r->workflow_count] = (struct published){w, record, a->owner, 0};
    enum err err =
        index_add(&r->workflows, r->workflow[r->workflow_count].workflow->hash.bytes, r->workflow_count);
    ASSERT(err == OK); /* as many places as workflows */
    r->workflow_count++;
}

/* The documents of an asset record, each checked against its schema before anything is changed. */
struct asset_parts {
    struct ddo *ddo;
    struct policy *policy;     /* NULL: binds no content */
    struct workflow *workflow; /* NULL: publishes none */
};

static struct verdict read_parts(struct registry *r, const struct body_ASSET *b, struct asset_parts *out)
{
    *out = (struct asset_parts){NULL, NULL, NULL};
    if (ddo_parse(&out->ddo, r->arena, b->ddo, NULL) != OK || !ID_EQUAL(out->ddo->dt, b->dt))
        return verdict_refuse(REFUSAL_MALFORMED, b->dt.bytes);
    if (!ID_IS_ZERO(b->content)) {
        if (out->ddo->type != ASSET_DATASET) return verdict_refuse(REFUSAL_ASSET, b->dt.bytes);
        if (policy_parse(&out->policy, r->arena, b->policy, NULL) != OK)
            return verdict_refuse(REFUSAL_MALFORMED, b->dt.bytes);
        if (r->binding_count == CAP_ASSETS) return verdict_refuse(REFUSAL_FULL, NULL);
    }
    if (b->workflow.len == 0) return VERDICT_OK;
    if (out->ddo->type != ASSET_ALGORITHM) return verdict_refuse(REFUSAL_ASSET, b->dt.bytes);
    if (workflow_parse(&out->workflow, r->arena, b->workflow, NULL) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, b->dt.bytes);
    if (!ID_EQUAL(out->workflow->app_id, b->dt)) return verdict_refuse(REFUSAL_APP, b->dt.bytes);
    return r->workflow_count < CAP_JOBS ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct asset *find_asset(const struct registry *r, struct dt dt)
{
    uint32_t row = index_find(&r->assets, dt.bytes);
    return row != INDEX_NONE ? &r->asset[row] : NULL;
}

static struct verdict apply_parts(struct registry *r, const struct record *record, const struct body_ASSET *b,
                                  const struct asset_parts *parts)
{
    if (r->version_count == CAP_ASSETS) return verdict_refuse(REFUSAL_FULL, NULL);
    struct asset *a = find_asset(r, b->dt);
    struct verdict v =
        a == NULL ? asset_register(r, record, b, parts->ddo) : asset_update(a, record, b, parts->ddo);
    if (v.refusal != REFUSAL_NONE) return v;
    a = find_asset(r, b->dt);
    r->version[r->version_count] =
        (struct asset_version){record, parts->ddo, b->version, a->versions_plus_one};
    a->versions_plus_one = ++r->version_count;
    if (parts->policy != NULL) asset_bind(r, a, record, b, parts->policy);
    if (parts->workflow != NULL) asset_publish(r, a, record, parts->workflow);
    return VERDICT_OK;
}

static struct verdict apply_asset(struct registry *r, const struct record *record, const struct body_ASSET *b)
{
    struct asset_parts parts;
    size_t mark = arena_mark(r->arena);
    struct verdict v = read_parts(r, b, &parts);
    if (v.refusal == REFUSAL_NONE) v = apply_parts(r, record, b, &parts);
    if (v.refusal != REFUSAL_NONE) arena_release(r->arena, mark);
    return v;
}

/* Follow grants upwards from `from`: would reaching `target` close a circle? Each token is visited once. */
static bool grant_reaches(struct registry *r, struct dt from, struct dt target)
{
    size_t mark = arena_mark(r->arena);
    bool *seen = ARENA_ARRAY(r->arena, bool, r->asset_count + 1);
    uint32_t *queue = ARENA_ARRAY(r->arena, uint32_t, r->asset_count + 1), count = 0;
    bool reached = ID_EQUAL(from, target) || seen == NULL || queue == NULL; /* no memory: refuse */
    uint32_t row = index_find(&r->assets, from.bytes);
    if (!reached && row != INDEX_NONE) {
        seen[row] = true;
        queue[count++] = row;
    }
    for (uint32_t i = 0; i < count && !reached; i++) {
        for (uint32_t next = r->asset[queue[i]].grants_plus_one; next != 0 && !reached;
             next = r->grant[next - 1].next_plus_one) {
            struct dt higher = r->grant[next - 1].body.higher;
            reached = ID_EQUAL(higher, target);
            row = index_find(&r->assets, higher.bytes);
            if (row == INDEX_NONE || seen[row]) continue;
            seen[row] = true;
            queue[count++] = row;
        }
    }
    arena_release(r->arena, mark);
    return reached;
}

static struct verdict apply_grant(struct registry *r, const struct record *record, const struct body_GRANT *b)
{
    struct asset *a = find_asset(r, b->lower);
    if (a == NULL || !ID_EQUAL(a->owner, record->header.author))
        return verdict_refuse(REFUSAL_NOT_OWNER, b->lower.bytes);
    if (ID_IS_ZERO(b->higher)) return verdict_refuse(REFUSAL_ASSET, b->higher.bytes);
    if (ID_EQUAL(b->lower, b->higher)) return verdict_refuse(REFUSAL_CYCLE, b->lower.bytes);
    if (b->service >= a->ddo->service_count) return verdict_refuse(REFUSAL_MALFORMED, b->lower.bytes);
    if (r->grant_count == CAP_GRANTS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->grant[r->grant_count] = (struct grant){record, *b, a->grants_plus_one};
    a->grants_plus_one = ++r->grant_count;
    return VERDICT_OK;
}

static bool ranges_overlap(const struct body_APPROVAL *a, const struct body_APPROVAL *b)
{
    return a->slot_first <= b->slot_last && b->slot_first <= a->slot_last;
}

/* The budget fold: a pure function of this owner's own chain (DESIGN §9 "Budget by slots"). */
static struct verdict check_approval(const struct registry *r, const struct asset *a, struct node_id author,
                                     const struct body_APPROVAL *b, uint64_t *allotted)
{
    uint64_t slots, sum;
    if (a == NULL || !ID_EQUAL(a->owner, author)) return verdict_refuse(REFUSAL_NOT_OWNER, b->dataset.bytes);
    if (a->ddo->type != ASSET_DATASET) return verdict_refuse(REFUSAL_ASSET, b->dataset.bytes);
    if (b->slot_first == 0 || b->slot_last < b->slot_first)
        return verdict_refuse(REFUSAL_SLOT_RANGE, b->dataset.bytes);
    if (a->ddo->currency != CURRENCY_EPSILON || b->delta != 0)
        return verdict_refuse(REFUSAL_COST, b->dataset.bytes);
    for (uint32_t next = a->approvals_plus_one; next != 0; next = r->approval[next - 1].next_plus_one) {
        const struct body_APPROVAL *other = &r->approval[next - 1].body;
        if (ID_EQUAL(other->compose, b->compose) && ranges_overlap(other, b))
            return verdict_refuse(REFUSAL_OVERLAP, b->dataset.bytes);
    }
    slots = b->slot_last - b->slot_first + 1;
    if (__builtin_mul_overflow(slots, b->cost, &sum) || __builtin_add_overflow(sum, a->allotted, &sum) ||
        sum > a->ddo->budget)
        return verdict_refuse(REFUSAL_BUDGET, b->dataset.bytes);
    *allotted = sum;
    return VERDICT_OK;
}

static struct verdict apply_approval(struct registry *r, const struct record *record,
                                     const struct body_APPROVAL *b)
{
    struct asset *a = find_asset(r, b->dataset);
    uint64_t allotted = 0;
    struct verdict v = check_approval(r, a, record->header.author, b, &allotted);
    if (v.refusal != REFUSAL_NONE) return v;
    if (r->approval_count == CAP_APPROVALS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->approval[r->approval_count] = (struct approval){record, *b, a->approvals_plus_one, TEXT_UNREAD};
    a->approvals_plus_one = ++r->approval_count;
    a->allotted = allotted;
    return VERDICT_OK;
}

static struct verdict apply_revocation(struct registry *r, const struct record *record,
                                       const struct body_REVOCATION *b)
{
    for (uint32_t i = 0; i < r->revocation_count; i++)
        if (ID_EQUAL(r->revocation[i].record->id, record->id)) return VERDICT_OK;
    uint32_t share = UINT32_C(1) << SHARE_REVOCATION;
    if (r->revocation_count == CAP_REVOCATIONS || !share_left(r, record->header.author, share)) {
        registry_void(r, record->header.author);
        return verdict_refuse(REFUSAL_FULL, NULL);
    }
    r->revocation[r->revocation_count++] = (struct revocation){record, *b};
    share_take(r, record->header.author, share);
    return VERDICT_OK;
}

static struct verdict apply_job(struct registry *r, const struct record *record, const struct body_JOB *b)
{
    if (r->job_count == CAP_JOBS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->job[r->job_count] = (struct job){record, *b, 0};
    enum err err = index_add(&r->jobs, record->id.bytes, r->job_count++);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict apply_run(struct registry *r, const struct record *record, const struct body_RUN *b)
{
    if (b->slot == 0 || b->inputs.len == 0 || b->inputs.len % RUN_INPUT_BYTES != 0)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    if (r->run_count == CAP_RUNS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->run[r->run_count] = (struct run_entry){record, *b, NULL};
    enum err err = index_add(&r->runs, record->id.bytes, r->run_count++);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

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
    struct run_entry *entry = &r->run[row];
    if (entry->receipt == NULL || receipt_before(receipt, entry->receipt)) entry->receipt = receipt;
}

static struct verdict apply_body(struct registry *r, const struct record *record, const union body *b)
{
    switch (record->header.kind) {
    case KIND_CHARTER: return apply_charter(r, record, &b->CHARTER);
    case KIND_MEMBER: return apply_member(r, record, &b->MEMBER);
    case KIND_COMMITTEE: return apply_committee(r, record, &b->COMMITTEE);
    case KIND_ASSET: return apply_asset(r, record, &b->ASSET);
    case KIND_OP: return apply_op(r, record, &b->OP);
    case KIND_GRANT: return apply_grant(r, record, &b->GRANT);
    case KIND_APPROVAL: return apply_approval(r, record, &b->APPROVAL);
    case KIND_REVOCATION: return apply_revocation(r, record, &b->REVOCATION);
    case KIND_JOB: return apply_job(r, record, &b->JOB);
    case KIND_RUN: return apply_run(r, record, &b->RUN);
    case KIND_WORKERS: return apply_workers(r, record, &b->WORKERS);
    case KIND_RECEIPT: return VERDICT_OK; /* acts through registry_settle, once its commits are checked */
    case KIND_ENDORSEMENT: return apply_tally_only(r, record);
    case KIND_REMOVAL: return apply_removal(r, record, &b->REMOVAL);
    case KIND_SLOT_RETURN: return VERDICT_OK; /* no effect yet: the slot stays allotted */
    case KIND_ADVERT:
    case KIND_PROGRESS:
    case KIND_JOIN:
    case KIND_KEYGEN_ROUND1:
    case KIND_KEYGEN_SIGN:
    case KIND_PREVOTE_ASK:
    case KIND_PREVOTE:
    case KIND_VOTE_ASK:
    case KIND_VOTE:
    case KIND_RELEASE:
    case KIND_REFUSAL:
    case KIND_COMMIT:
    case KIND_SHARE_ASK:
    case KIND_SHARE_ANSWER:
    case KIND_COMMIT_ASK:
    case KIND_ENDING: break;
    }
    return verdict_refuse(REFUSAL_MALFORMED, NULL);
}

/* Negative records: no freeze and no expiry holds them up. */
static bool acts_always(enum kind kind)
{
    return kind == KIND_REVOCATION || kind == KIND_REMOVAL;
}

bool registry_may_expire(enum kind kind)
{
    return kind == KIND_GRANT || kind == KIND_APPROVAL || kind == KIND_RUN || kind == KIND_RECEIPT;
}

struct verdict registry_apply(struct registry *r, const struct record *record)
{
    union body body;
    ASSERT(record->body_known && kind_class(record->header.kind) == CLASS_CHAINED);
    if (body_decode(&body, record->header.kind, record->body) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    if (acts_always(record->header.kind)) return apply_body(r, record, &body);
    const struct frozen *f = find_frozen(r, record->header.author);
    if (f != NULL && record->header.seq >= f->seq)
        return verdict_refuse(REFUSAL_FROZEN, record->header.author.bytes);
    if (record->header.expires_ms != 0 && !registry_may_expire(record->header.kind))
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    uint32_t shares = shares_of(record->header.kind, &body);
    if (!share_left(r, record->header.author, shares)) return verdict_refuse(REFUSAL_FULL, NULL);
    struct verdict v = apply_body(r, record, &body);
    if (v.refusal == REFUSAL_NONE) share_take(r, record->header.author, shares);
    return v;
}

/* --- Previews of own records ------------------------------------------------------------------------------------------- */

static struct verdict preview_asset(struct registry *r, struct node_id author, const struct body_ASSET *b)
{
    size_t mark = arena_mark(r->arena);
    struct record record = {.header = {.kind = KIND_ASSET, .author = author}};
    const struct asset *known = find_asset(r, b->dt);
    struct asset copy = known != NULL ? *known : (struct asset){0};
    struct asset_parts parts;
    struct verdict v = read_parts(r, b, &parts);
    if (v.refusal == REFUSAL_NONE && r->version_count == CAP_ASSETS) v = verdict_refuse(REFUSAL_FULL, NULL);
    if (v.refusal == REFUSAL_NONE)
        v = known != NULL ? asset_update(&copy, &record, b, parts.ddo) : check_registration(r, author, b);
    arena_release(r->arena, mark);
    return v;
}

static struct verdict preview_grant(struct registry *r, struct node_id author, const struct body_GRANT *b)
{
    const struct asset *a = find_asset(r, b->lower);
    if (a == NULL || !ID_EQUAL(a->owner, author)) return verdict_refuse(REFUSAL_NOT_OWNER, b->lower.bytes);
    if (find_asset(r, b->higher) == NULL) return verdict_refuse(REFUSAL_ASSET, b->higher.bytes);
    if (grant_reaches(r, b->higher, b->lower)) return verdict_refuse(REFUSAL_CYCLE, b->lower.bytes);
    return VERDICT_OK;
}

static struct verdict preview_approval(struct registry *r, struct node_id author,
                                       const struct body_APPROVAL *b)
{
    const struct published *p = registry_workflow(r, b->compose);
    uint64_t allotted;
    if (p == NULL) return verdict_refuse(REFUSAL_WORKFLOW, b->compose.bytes);
    if (!ID_EQUAL(p->workflow->app_id, b->app)) return verdict_refuse(REFUSAL_APP, b->app.bytes);
    return check_approval(r, find_asset(r, b->dataset), author, b, &allotted);
}

static struct verdict preview_op(struct registry *r, const struct body_OP *b)
{
    struct op *op;
    size_t mark = arena_mark(r->arena);
    enum err err = op_open(&op, r->arena, b->document, b->code, NULL);
    arena_release(r->arena, mark);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_MALFORMED, NULL);
}

static struct verdict preview_joint(struct registry *r, struct node_id author, enum kind kind,
                                    const union body *body)
{
    if (r->charter == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (!eligible(r, kind, author)) return verdict_refuse(REFUSAL_NOT_MEMBER, author.bytes);
    if (kind == KIND_MEMBER) return check_admission(&body->MEMBER);
    if (kind == KIND_REMOVAL) return check_removal(r, &body->REMOVAL);
    return kind == KIND_OP ? preview_op(r, &body->OP) : VERDICT_OK;
}

static struct verdict preview_job(const struct registry *r, struct node_id author, const struct body_JOB *b)
{
    const struct published *p = registry_workflow(r, b->compose);
    if (p == NULL) return verdict_refuse(REFUSAL_WORKFLOW, b->compose.bytes);
    return ID_EQUAL(p->provider, author) ? VERDICT_OK : verdict_refuse(REFUSAL_NOT_OWNER, b->app.bytes);
}

struct verdict registry_preview(struct registry *r, struct node_id author, enum kind kind,
                                const union body *body)
{
    bool joint = kind == KIND_CHARTER || kind == KIND_MEMBER || kind == KIND_OP || kind == KIND_ENDORSEMENT ||
                 kind == KIND_REMOVAL || kind == KIND_WORKERS || kind == KIND_COMMITTEE;
    const struct frozen *f = find_frozen(r, author);
    if (f != NULL && f->seq != UINT64_MAX) return verdict_refuse(REFUSAL_FROZEN, author.bytes);
    if (joint) return preview_joint(r, author, kind, body);
    if (kind != KIND_REVOCATION && !share_left(r, author, shares_of(kind, body)))
        return verdict_refuse(REFUSAL_FULL, author.bytes);
    if (kind == KIND_ASSET) return preview_asset(r, author, &body->ASSET);
    if (kind == KIND_GRANT) return preview_grant(r, author, &body->GRANT);
    if (kind == KIND_APPROVAL) return preview_approval(r, author, &body->APPROVAL);
    if (kind == KIND_JOB) return preview_job(r, author, &body->JOB);
    return VERDICT_OK;
}

/* --- Lookups ------------------------------------------------------------------------------------------------------------ */

const struct charter *registry_charter(const struct registry *r)
{
    if (r->charter == NULL || r->charter_tally_plus_one == 0) return NULL;
    return tally_decided(r, &r->tally[r->charter_tally_plus_one - 1]) ? r->charter : NULL;
}

const struct charter *registry_charter_bytes(const struct registry *r)
{
    return r->charter;
}

static bool committee_shape(const struct charter *c, const struct body_COMMITTEE *b)
{
    uint32_t n = c->custodian_count;
    return b->epoch == 1 && ID_EQUAL(b->charter, c->hash) && b->shares_a.len == 32 * n &&
           b->shares_b.len == 32 * n && b->round1_a.len == n * (96 + 32 * c->t) &&
           b->round1_b.len == b->round1_a.len && b->signatures_a.len == 64 * n &&
           b->signatures_b.len == 64 * n;
}

const struct committee *registry_committee(const struct registry *r)
{
    const struct charter *charter = registry_charter(r);
    const struct committee *best = NULL;
    for (uint32_t i = 0; charter != NULL && i < r->committee_count; i++) {
        const struct committee *c = &r->committee[i];
        if (!committee_shape(charter, &c->body) || !tally_decided(r, c->tally)) continue;
        if (best == NULL || tally_before(c->tally, best->tally)) best = c;
    }
    return best;
}

const struct asset *registry_asset(const struct registry *r, struct dt dt)
{
    const struct asset *a = find_asset(r, dt);
    return a != NULL && registry_counts(r, a->first) ? a : NULL;
}

const struct binding *registry_binding(const struct registry *r, const struct asset *a,
                                       struct compose_hash compose)
{
    for (uint32_t next = a->bindings_plus_one; next != 0; next = r->binding[next - 1].next_plus_one) {
        const struct binding *b = &r->binding[next - 1];
        if (ID_EQUAL(b->compose, compose) && registry_counts(r, b->record)) return b;
    }
    return NULL;
}

const struct binding *registry_binding_of(const struct registry *r, const struct asset *a,
                                          struct record_id record)
{
    for (uint32_t next = a->bindings_plus_one; next != 0; next = r->binding[next - 1].next_plus_one) {
        const struct binding *b = &r->binding[next - 1];
        if (ID_EQUAL(b->record->id, record)) return registry_counts(r, b->record) ? b : NULL;
    }
    return NULL;
}

const struct published *registry_workflow(const struct registry *r, struct compose_hash compose)
{
    uint32_t row = index_find(&r->workflows, compose.bytes);
    return row != INDEX_NONE && registry_counts(r, r->workflow[row].record) ? &r->workflow[row] : NULL;
}

const struct op *registry_op(const struct registry *r, struct hash32 op)
{
    uint32_t row = index_find(&r->ops, op.bytes);
    return row != INDEX_NONE && tally_decided(r, &r->tally[r->op[row].tally]) ? r->op[row].op : NULL;
}

const struct run_entry *registry_run(const struct registry *r, struct run_id run)
{
    uint32_t row = index_find(&r->runs, run.bytes);
    return row != INDEX_NONE ? &r->run[row] : NULL;
}

bool registry_revoked(const struct registry *r, const struct record *record, struct compose_hash compose,
                      struct dt dataset)
{
    struct node_id author = record->header.author;
    if (find_frozen(r, author) != NULL || last_seq(r, author) != UINT64_MAX) return true;
    for (uint32_t i = 0; i < r->revocation_count; i++) {
        const struct revocation *v = &r->revocation[i];
        if (!ID_EQUAL(v->record->header.author, record->header.author)) continue;
        if (v->record->header.seq < record->header.seq) continue;
        bool covers = v->body.target == REVOKE_ALL;
        covers |= v->body.target == REVOKE_APPROVAL && ids_equal(v->body.subject.bytes, record->id.bytes);
        covers |= v->body.target == REVOKE_COMPOSE && ids_equal(v->body.subject.bytes, compose.bytes);
        covers |= v->body.target == REVOKE_DATASET && ids_equal(v->body.subject.bytes, dataset.bytes);
        if (covers) return true;
    }
    return false;
}

const struct grant *registry_grant(const struct registry *r, struct dt lower, struct dt higher,
                                   uint64_t now_ms)
{
    const struct asset *a = find_asset(r, lower);
    const struct grant *expired = NULL;
    struct compose_hash none = {{0}};
    if (a != NULL && has_gap(r, a->owner)) return NULL;
    for (uint32_t next = a == NULL ? 0 : a->grants_plus_one; next != 0;
         next = r->grant[next - 1].next_plus_one) {
        const struct grant *g = &r->grant[next - 1];
        if (!ID_EQUAL(g->body.higher, higher) || !registry_counts(r, g->record)) continue;
        if (registry_revoked(r, g->record, none, lower)) continue;
        bool live = g->record->header.expires_ms == 0 || g->record->header.expires_ms > now_ms;
        if (live) return g;
        if (expired == NULL) expired = g;
    }
    return expired;
}

uint32_t registry_endorsements(const struct registry *r, const struct job *job)
{
    uint8_t bytes[64];
    struct buffer b = BUFFER_OF(bytes);
    struct body_ENDORSEMENT body = {job->record->id};
    body_encode(&b, KIND_ENDORSEMENT, &body);
    const struct tally *t = registry_tally(r, KIND_ENDORSEMENT, sha256(buffer_span(&b)));
    return t != NULL ? tally_count(r, t) : 0;
}

const struct job *registry_job(const struct registry *r, struct compose_hash compose)
{
    const struct published *p = registry_workflow(r, compose);
    const struct job *posted = NULL;
    for (uint32_t i = 0; p != NULL && i < r->job_count; i++) {
        const struct job *j = &r->job[i];
        if (!ID_EQUAL(j->body.compose, compose) || !ID_EQUAL(j->record->header.author, p->provider)) continue;
        if (!registry_counts(r, j->record)) continue;
        if (r->charter != NULL && registry_endorsements(r, j) >= r->charter->s) return j;
        posted = j;
    }
    return posted;
}

struct span registry_workers(const struct registry *r, struct span set)
{
    const struct workers_row *best = NULL;
    for (uint32_t i = 0; i < r->workers_count; i++) {
        const struct workers_row *w = &r->workers[i];
        if (!span_equal(w->body.name, set) || !tally_decided(r, &r->tally[w->tally])) continue;
        if (best == NULL || tally_before(&r->tally[w->tally], &r->tally[best->tally])) best = w;
    }
    return best != NULL ? best->body.measurements : SPAN_NONE;
}

bool registry_worker(const struct registry *r, struct span set, struct hash32 measurement)
{
    struct span all = registry_workers(r, set);
    for (size_t at = 0; at + 32 <= all.len; at += 32)
        if (ids_equal(all.data + at, measurement.bytes)) return true;
    return false;
}

struct approval_view registry_approval(const struct registry *r, const struct asset *a,
                                       struct compose_hash compose, uint64_t slot, uint64_t now_ms)
{
    struct approval_view none = {NULL, false, false};
    if (has_gap(r, a->owner)) return none;
    for (uint32_t next = a->approvals_plus_one; next != 0; next = r->approval[next - 1].next_plus_one) {
        const struct approval *p = &r->approval[next - 1];
        if (!ID_EQUAL(p->body.compose, compose) || !registry_counts(r, p->record)) continue;
        if (slot != 0 && (slot < p->body.slot_first || slot > p->body.slot_last)) continue;
        uint64_t expires = p->record->header.expires_ms;
        struct approval_view view = {p, registry_revoked(r, p->record, compose, a->dt),
                                     expires != 0 && expires <= now_ms};
        if (!view.revoked && !view.expired) return view;
        if (none.approval == NULL) none = view;
    }
    return none;
}

const struct asset *registry_asset_at(const struct registry *r, uint32_t i)
{
    return i < r->asset_count ? &r->asset[i] : NULL;
}

const struct published *registry_workflow_at(const struct registry *r, uint32_t i)
{
    return i < r->workflow_count ? &r->workflow[i] : NULL;
}

const struct run_entry *registry_run_at(const struct registry *r, uint32_t i)
{
    return i < r->run_count ? &r->run[i] : NULL;
}

const struct job *registry_job_at(const struct registry *r, uint32_t i)
{
    return i < r->job_count ? &r->job[i] : NULL;
}

const struct tally *registry_tally_at(const struct registry *r, uint32_t i)
{
    return i < r->tally_count ? &r->tally[i] : NULL;
}

const struct grant *registry_grant_at(const struct registry *r, uint32_t i)
{
    return i < r->grant_count ? &r->grant[i] : NULL;
}

const struct approval *registry_approval_at(const struct registry *r, uint32_t i)
{
    return i < r->approval_count ? &r->approval[i] : NULL;
}

const struct binding *registry_binding_at(const struct registry *r, uint32_t i)
{
    return i < r->binding_count ? &r->binding[i] : NULL;
}

const struct asset_version *registry_version_at(const struct registry *r, uint32_t i)
{
    return i < r->version_count ? &r->version[i] : NULL;
}
