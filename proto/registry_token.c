/* What owners say of their tokens: versions, bound content, published recipes, grants and approvals. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"
#include "proto/receipt_room.h"

#include <string.h>

/* --- Assets ------------------------------------------------------------------------------------------------------------ */

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
    ROW(r->asset, r->asset_count) = (struct asset){.dt = b->dt,
                                                   .owner = record->header.author,
                                                   .ddo = ddo,
                                                   .record = record,
                                                   .first = record,
                                                   .version = 1};
    enum err err = index_add(&r->assets, ROW(r->asset, r->asset_count).dt.bytes, r->asset_count);
    r->asset_count++;
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

/* The highest version of this lineage that counts. */
static const struct asset_version *newest_version(const struct registry *r, const struct asset *a,
                                                  const struct lineage *l)
{
    for (uint32_t next = a->versions_plus_one; next != 0; next = ROW(r->version, next - 1).next_plus_one) {
        const struct asset_version *v = &ROW(r->version, next - 1);
        if (lineage_covers(l, v->record) && standing_before_freeze(r, v->record)) return v;
    }
    return NULL;
}

/* The highest it ever said: what may follow must not hang on when a freeze was heard of. */
static uint64_t highest_said(const struct registry *r, const struct asset *a, const struct lineage *l)
{
    for (uint32_t next = a->versions_plus_one; next != 0; next = ROW(r->version, next - 1).next_plus_one)
        if (lineage_covers(l, ROW(r->version, next - 1).record)) return ROW(r->version, next - 1).version;
    return 0;
}

uint64_t registry_version_next(const struct registry *r, const struct asset *a)
{
    struct lineage l;
    lineage_of(r, &l, registry_holder(r, a->owner));
    return highest_said(r, a, &l) + 1;
}

void asset_refresh(struct registry *r, struct asset *a)
{
    struct lineage l;
    ++*r->looked;
    lineage_of(r, &l, registry_holder(r, a->owner));
    const struct asset_version *v = newest_version(r, a, &l);
    if (v == NULL) return; /* none is left: registry_asset says so */
    a->record = v->record;
    a->ddo = v->ddo;
    a->version = v->version;
}

/* A later version keeps what others rely on: type, and for a dataset schema, unit and budget. */
static struct verdict check_update(const struct registry *r, const struct asset *a, struct node_id author,
                                   const struct body_ASSET *b, const struct ddo *ddo)
{
    struct lineage l;
    struct verdict speaks = succession_speaks(r, author, a);
    if (speaks.refusal != REFUSAL_NONE) return speaks;
    lineage_of(r, &l, author);
    if (b->version <= highest_said(r, a, &l)) return verdict_refuse(REFUSAL_EXISTS, b->dt.bytes);
    if (ddo->type != a->ddo->type) return verdict_refuse(REFUSAL_ASSET, b->dt.bytes);
    if (ddo->type == ASSET_DATASET) {
        bool same = ID_EQUAL(ddo->schema.hash, a->ddo->schema.hash) && ddo->budget == a->ddo->budget &&
                    ddo->currency == a->ddo->currency && span_equal(ddo->unit_column, a->ddo->unit_column);
        if (!same) return verdict_refuse(REFUSAL_SCHEMA, b->dt.bytes);
    }
    return VERDICT_OK;
}

static void asset_bind(struct registry *r, struct asset *a, const struct record *record,
                       const struct body_ASSET *b, const struct policy *policy)
{
    ROW(r->binding, r->binding_count) =
        (struct binding){record, b->dt, b->compose, b->content, b->manifest, policy, a->bindings_plus_one};
    enum err err = index_add(&r->bindings, record->id.bytes, r->binding_count);
    ASSERT(err == OK); /* as many places as bindings, and one of each record */
    a->bindings_plus_one = ++r->binding_count;
}

/* Said once by a lineage. Of keys that all claim to replace one, each may say it: only the holder's counts. */
static bool published_before(const struct registry *r, uint32_t first, struct node_id author)
{
    struct lineage l;
    lineage_of(r, &l, author);
    for (uint32_t next = first == INDEX_NONE ? 0 : first + 1; next != 0;
         next = ROW(r->workflow, next - 1).next_plus_one)
        if (lineage_covers(&l, ROW(r->workflow, next - 1).record)) return true;
    return false;
}

static void asset_publish(struct registry *r, const struct asset *a, const struct record *record,
                          const struct workflow *w)
{
    uint32_t first = index_find(&r->workflows, w->hash.bytes), at = r->workflow_count;
    if (published_before(r, first, record->header.author)) return;
    ROW(r->workflow, r->workflow_count++) = (struct published){w, record, a->owner, 0};
    if (first != INDEX_NONE) {
        ROW(r->workflow, at).next_plus_one = ROW(r->workflow, first).next_plus_one;
        ROW(r->workflow, first).next_plus_one = at + 1;
        return;
    }
    enum err err = index_add(&r->workflows, ROW(r->workflow, at).workflow->hash.bytes, at);
    ASSERT(err == OK); /* as many places as workflows */
}

/* The documents of an asset record, each checked against its schema before anything is changed. */
struct asset_parts {
    const struct ddo *ddo;
    const struct policy *policy;     /* NULL: binds no content */
    const struct workflow *workflow; /* NULL: publishes none */
};

static struct verdict refuse_document(enum err err, struct dt dt)
{
    return err == ERR_NO_MEMORY ? verdict_refuse(REFUSAL_FULL, NULL)
                                : verdict_refuse(REFUSAL_MALFORMED, dt.bytes);
}

/* Kept by this registry, or read once for all who have the same bytes. */
#define KEEP_DOCUMENT(type, nth)                                                                             \
    static enum err keep_##type(struct registry *r, const struct type **out, struct span bytes)              \
    {                                                                                                        \
        const void **shared = shelf_document(r->shelf, bytes, nth);                                          \
        if (shared != NULL && *shared != NULL) {                                                             \
            *out = *shared;                                                                                  \
            return OK;                                                                                       \
        }                                                                                                    \
        const struct json_room room = {shared != NULL ? &r->shelf->documents : r->kept, r->scratch};         \
        TRY(type##_keep(out, room, bytes));                                                                  \
        if (shared != NULL) *shared = *out;                                                                  \
        return OK;                                                                                           \
    }
KEEP_DOCUMENT(ddo, 0)
KEEP_DOCUMENT(policy, 1)
KEEP_DOCUMENT(workflow, 2)
#undef KEEP_DOCUMENT

static struct verdict read_parts(struct registry *r, const struct body_ASSET *b, struct asset_parts *out)
{
    *out = (struct asset_parts){NULL, NULL, NULL};
    if (r->version_count == CAP_ASSETS) return verdict_refuse(REFUSAL_FULL, NULL);
    enum err err = keep_ddo(r, &out->ddo, b->ddo);
    if (err == OK && !ID_EQUAL(out->ddo->dt, b->dt)) err = ERR_CONFLICT;
    if (err != OK) return refuse_document(err, b->dt);
    if (!ID_IS_ZERO(b->content)) {
        if (out->ddo->type != ASSET_DATASET) return verdict_refuse(REFUSAL_ASSET, b->dt.bytes);
        err = keep_policy(r, &out->policy, b->policy);
        if (err != OK) return refuse_document(err, b->dt);
        if (r->binding_count == CAP_ASSETS) return verdict_refuse(REFUSAL_FULL, NULL);
    }
    if (b->workflow.len == 0) return VERDICT_OK;
    if (out->ddo->type != ASSET_ALGORITHM) return verdict_refuse(REFUSAL_ASSET, b->dt.bytes);
    err = keep_workflow(r, &out->workflow, b->workflow);
    if (err != OK) return refuse_document(err, b->dt);
    if (!ID_EQUAL(out->workflow->app_id, b->dt)) return verdict_refuse(REFUSAL_APP, b->dt.bytes);
    return r->workflow_count < CAP_JOBS ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static size_t parts_cost(const struct asset_parts *parts)
{
    size_t cost = ddo_cost(parts->ddo);
    if (parts->policy != NULL) cost += policy_cost(parts->policy);
    if (parts->workflow != NULL) cost += workflow_cost(parts->workflow);
    return cost;
}

static struct verdict apply_parts(struct registry *r, const struct record *record, const struct body_ASSET *b,
                                  const struct asset_parts *parts)
{
    struct asset *a = asset_find(r, b->dt);
    struct verdict v = a == NULL ? asset_register(r, record, b, parts->ddo)
                                 : check_update(r, a, record->header.author, b, parts->ddo);
    if (v.refusal != REFUSAL_NONE) return v;
    a = asset_find(r, b->dt);
    ROW(r->version, r->version_count) =
        (struct asset_version){record, parts->ddo, b->version, a->versions_plus_one};
    a->versions_plus_one = ++r->version_count;
    asset_refresh(r, a);
    if (parts->policy != NULL) asset_bind(r, a, record, b, parts->policy);
    if (parts->workflow != NULL) asset_publish(r, a, record, parts->workflow);
    return VERDICT_OK;
}

struct verdict asset_apply(struct registry *r, const struct record *record, const struct body_ASSET *b)
{
    struct asset_parts parts;
    size_t mark = arena_mark(r->kept);
    struct verdict v = read_parts(r, b, &parts);
    size_t cost = v.refusal == REFUSAL_NONE ? parts_cost(&parts) : 0;
    if (v.refusal == REFUSAL_NONE) v = share_check_kept(r, record->header.author, cost);
    if (v.refusal == REFUSAL_NONE) v = apply_parts(r, record, b, &parts);
    if (v.refusal != REFUSAL_NONE) {
        arena_release(r->kept, mark);
        return v;
    }
    ASSERT(arena_mark(r->kept) - mark <= cost);
    share_take_kept(r, record->header.author, cost);
    return v;
}

/* 0: anybody's. */
static enum role role_of(enum asset_type type)
{
    return type == ASSET_DATASET ? ROLE_OWNER : type == ASSET_ALGORITHM ? ROLE_ALGORITHM : 0;
}

static struct verdict check_owner_role(const struct registry *r, struct node_id owner, enum asset_type type)
{
    return role_of(type) == 0 ? VERDICT_OK : registry_check_role(r, owner, role_of(type));
}

struct verdict publication_check_room(const struct registry *r, const struct workflow *w)
{
    const struct charter *c = registry_charter_bytes(r);
    if (c == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    return receipt_room_ever(c, w) ? VERDICT_OK : verdict_refuse(REFUSAL_RECEIPT_ROOM, w->hash.bytes);
}

struct verdict asset_preview(struct registry *r, struct node_id author, const struct body_ASSET *b)
{
    size_t mark = arena_mark(r->kept);
    const struct asset *known = asset_find(r, b->dt);
    struct asset_parts parts;
    struct verdict v = read_parts(r, b, &parts);
    if (v.refusal == REFUSAL_NONE) v = check_owner_role(r, author, parts.ddo->type);
    if (v.refusal == REFUSAL_NONE && parts.workflow != NULL) v = publication_check_room(r, parts.workflow);
    if (v.refusal == REFUSAL_NONE)
        v = known != NULL ? check_update(r, known, author, b, parts.ddo) : check_registration(r, author, b);
    if (v.refusal == REFUSAL_NONE) v = share_check_kept(r, author, parts_cost(&parts));
    arena_release(r->kept, mark);
    return v;
}

/* --- Grants ------------------------------------------------------------------------------------------------------------ */

/* What the owner's own chain decides. Services, ops and the higher token are looked up when a run is asked about. */
static struct verdict check_grant(const struct registry *r, struct node_id author, const struct body_GRANT *b)
{
    if (succession_speaks(r, author, asset_find(r, b->lower)).refusal != REFUSAL_NONE)
        return verdict_refuse(REFUSAL_NOT_OWNER, b->lower.bytes);
    if (ID_IS_ZERO(b->higher)) return verdict_refuse(REFUSAL_ASSET, b->higher.bytes);
    if (ID_EQUAL(b->lower, b->higher)) return verdict_refuse(REFUSAL_CYCLE, b->lower.bytes);
    return r->grant_count < CAP_GRANTS ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

struct verdict grant_apply(struct registry *r, const struct record *record, const struct body_GRANT *b)
{
    struct verdict v = check_grant(r, record->header.author, b);
    if (v.refusal != REFUSAL_NONE) return v;
    struct asset *a = asset_find(r, b->lower);
    ROW(r->grant, r->grant_count) =
        (struct grant){.record = record, .body = *b, .next_plus_one = a->grants_plus_one};
    revocation_of_grant(r, r->grant_count);
    a->grants_plus_one = ++r->grant_count;
    return VERDICT_OK;
}

struct verdict grant_check_op(const struct registry *r, const struct body_GRANT *b, struct hash32 op)
{
    const struct ddo *ddo = asset_find(r, b->lower)->ddo;
    if (b->service >= ddo->service_count) return verdict_refuse(REFUSAL_SERVICE, b->lower.bytes);
    const struct service *service = &ddo->service[b->service];
    for (uint32_t i = 0; i < service->op_count; i++)
        if (ID_EQUAL(service->op[i], op)) return VERDICT_OK;
    return verdict_refuse(REFUSAL_SERVICE, op.bytes);
}

struct verdict grant_check_limits(const struct body_GRANT *b, const struct workflow *w, uint64_t app_slots)
{
    return app_slots <= b->slots_max && w->epsilon_nano <= b->epsilon_max
               ? VERDICT_OK
               : verdict_refuse(REFUSAL_GRANT_LIMIT, b->lower.bytes);
}

/* Follow grants upwards from `from`: would reaching `target` close a circle? Each token is visited once. */
static bool grant_reaches(struct registry *r, struct dt from, struct dt target)
{
    size_t mark = arena_mark(r->scratch);
    bool *seen = ARENA_ARRAY(r->scratch, bool, r->asset_count + 1);
    uint32_t *queue = ARENA_ARRAY(r->scratch, uint32_t, r->asset_count + 1), count = 0;
    bool reached = ID_EQUAL(from, target);
    ASSERT(seen != NULL && queue != NULL);
    uint32_t row = index_find(&r->assets, from.bytes);
    if (!reached && row != INDEX_NONE) {
        seen[row] = true;
        queue[count++] = row;
    }
    for (uint32_t i = 0; i < count && !reached; i++) {
        for (uint32_t next = ROW(r->asset, queue[i]).grants_plus_one; next != 0 && !reached;
             next = ROW(r->grant, next - 1).next_plus_one) {
            struct dt higher = ROW(r->grant, next - 1).body.higher;
            reached = ID_EQUAL(higher, target);
            row = index_find(&r->assets, higher.bytes);
            if (row == INDEX_NONE || seen[row]) continue;
            seen[row] = true;
            queue[count++] = row;
        }
    }
    arena_release(r->scratch, mark);
    return reached;
}

static struct verdict check_granted_ops(const struct registry *r, const struct body_GRANT *b)
{
    if (b->ops.len == 0) return verdict_refuse(REFUSAL_GRANT_OP, b->lower.bytes);
    for (size_t at = 0; at + 32 <= b->ops.len; at += 32) {
        struct hash32 op;
        memcpy(op.bytes, b->ops.data + at, sizeof op.bytes);
        if (registry_op(r, op) == NULL) return verdict_refuse(REFUSAL_OP, op.bytes);
        struct verdict v = grant_check_op(r, b, op);
        if (v.refusal != REFUSAL_NONE) return v;
    }
    return VERDICT_OK;
}

struct verdict grant_preview(struct registry *r, struct node_id author, const struct body_GRANT *b)
{
    struct verdict v = check_grant(r, author, b);
    if (v.refusal != REFUSAL_NONE) return v;
    v = check_owner_role(r, author, asset_find(r, b->lower)->ddo->type);
    if (v.refusal != REFUSAL_NONE) return v;
    if (asset_find(r, b->higher) == NULL) return verdict_refuse(REFUSAL_ASSET, b->higher.bytes);
    if (grant_reaches(r, b->higher, b->lower)) return verdict_refuse(REFUSAL_CYCLE, b->lower.bytes);
    return check_granted_ops(r, b);
}

/* --- Approvals --------------------------------------------------------------------------------------------------------- */

static bool ranges_overlap(const struct body_APPROVAL *a, const struct body_APPROVAL *b)
{
    return a->slot_first <= b->slot_last && b->slot_first <= a->slot_last;
}

/* Two folds over an owner's lineage, of what it allots to anybody (DESIGN §9 "Budget by slots") and how many slots to one
 * app; revoked, expired and inherited ones stay in both. Ranges of one recipe never overlap, and recipes count apart, so
 * lengths add up; all of them together are below 2^64, a slot having 32 bits. */
struct allotment {
    uint64_t cost, app_slots;
};

static uint64_t slots_of(const struct body_APPROVAL *b)
{
    return b->slot_last - b->slot_first + 1;
}

/* The next of an asset's approvals that its lineage gave; NULL: no more. */
static const struct approval *next_own(const struct registry *r, const struct lineage *l, uint32_t *next)
{
    while (*next != 0) {
        const struct approval *p = &ROW(r->approval, *next - 1);
        *next = p->next_plus_one;
        if (lineage_covers(l, p->record)) return p;
    }
    return NULL;
}

/* No sum of what was accepted overflows: it is within a budget. */
static struct allotment allotted(const struct registry *r, const struct asset *a, const struct lineage *l,
                                 struct dt app)
{
    struct allotment sum = {0, 0};
    uint32_t next = a->approvals_plus_one;
    for (const struct approval *p; (p = next_own(r, l, &next)) != NULL;) {
        sum.cost += slots_of(&p->body) * p->body.cost;
        if (ID_EQUAL(p->body.app, app)) sum.app_slots += slots_of(&p->body);
    }
    return sum;
}

uint64_t registry_allotted(const struct registry *r, const struct asset *a)
{
    const struct dt none = {{0}};
    struct lineage l;
    lineage_of(r, &l, registry_holder(r, a->owner));
    return allotted(r, a, &l, none).cost;
}

uint64_t registry_allotted_slots(const struct registry *r, const struct asset *a, struct dt app)
{
    struct lineage l;
    lineage_of(r, &l, registry_holder(r, a->owner));
    return allotted(r, a, &l, app).app_slots;
}

bool registry_slot_revoked(const struct registry *r, const struct asset *a, struct compose_hash compose,
                           uint64_t slot)
{
    struct lineage l;
    uint32_t next = a->approvals_plus_one;
    lineage_of(r, &l, registry_holder(r, a->owner));
    for (const struct approval *p; (p = next_own(r, &l, &next)) != NULL;) {
        const bool allots = p->body.slot_first <= slot && slot <= p->body.slot_last;
        if (allots && ID_EQUAL(p->body.compose, compose) && registry_revoked(r, p)) return true;
    }
    return false;
}

uint64_t registry_last_slot(const struct registry *r, const struct asset *a, struct compose_hash compose)
{
    struct lineage l;
    uint64_t last = 0;
    uint32_t next = a->approvals_plus_one;
    lineage_of(r, &l, registry_holder(r, a->owner));
    for (const struct approval *p; (p = next_own(r, &l, &next)) != NULL;)
        if (ID_EQUAL(p->body.compose, compose) && p->body.slot_last > last) last = p->body.slot_last;
    return last;
}

static bool overlaps_earlier(const struct registry *r, const struct asset *a, const struct lineage *l,
                             const struct body_APPROVAL *b)
{
    uint32_t next = a->approvals_plus_one;
    for (const struct approval *other; (other = next_own(r, l, &next)) != NULL;)
        if (ID_EQUAL(other->body.compose, b->compose) && ranges_overlap(&other->body, b)) return true;
    return false;
}

static struct verdict check_approval(const struct registry *r, const struct asset *a, struct node_id author,
                                     const struct body_APPROVAL *b, struct allotment *out)
{
    struct lineage l;
    uint64_t sum;
    if (succession_speaks(r, author, a).refusal != REFUSAL_NONE)
        return verdict_refuse(REFUSAL_NOT_OWNER, b->dataset.bytes);
    if (a->ddo->type != ASSET_DATASET) return verdict_refuse(REFUSAL_ASSET, b->dataset.bytes);
    if (r->approval_count == CAP_APPROVALS) return verdict_refuse(REFUSAL_FULL, NULL);
    if (b->slot_first == 0 || b->slot_last < b->slot_first)
        return verdict_refuse(REFUSAL_SLOT_RANGE, b->dataset.bytes);
    if (a->ddo->currency != CURRENCY_EPSILON || b->delta != 0)
        return verdict_refuse(REFUSAL_COST, b->dataset.bytes);
    lineage_of(r, &l, author);
    if (overlaps_earlier(r, a, &l, b)) return verdict_refuse(REFUSAL_OVERLAP, b->dataset.bytes);
    struct allotment before = allotted(r, a, &l, b->app);
    if (__builtin_mul_overflow(slots_of(b), b->cost, &sum) ||
        __builtin_add_overflow(sum, before.cost, &sum) || sum > a->ddo->budget)
        return verdict_refuse(REFUSAL_BUDGET, b->dataset.bytes);
    *out = (struct allotment){sum, before.app_slots + slots_of(b)};
    return VERDICT_OK;
}

struct verdict approval_apply(struct registry *r, const struct record *record, const struct body_APPROVAL *b)
{
    struct asset *a = asset_find(r, b->dataset);
    struct allotment sum;
    struct verdict v = check_approval(r, a, record->header.author, b, &sum);
    if (v.refusal != REFUSAL_NONE) return v;
    ROW(r->approval, r->approval_count) = (struct approval){.record = record,
                                                            .body = *b,
                                                            .next_plus_one = a->approvals_plus_one,
                                                            .app_slots = sum.app_slots,
                                                            .text = TEXT_UNREAD};
    revocation_of_approval(r, r->approval_count);
    a->approvals_plus_one = ++r->approval_count;
    return VERDICT_OK;
}

void registry_await_keys(struct registry *r)
{
    r->await_keys = true;
}

void registry_share(struct registry *r, struct shelf *shelf)
{
    r->shelf = shelf;
}

bool approval_signed(const struct approval *p, const struct member *owner)
{
    return owner != NULL && p->key_state == KEY_RIGHT && ID_EQUAL(p->key, owner->approval);
}

uint32_t registry_approval_count(const struct registry *r)
{
    return r->approval_count;
}

bool registry_approval_unread(const struct registry *r, uint32_t index, struct node_id *key)
{
    ASSERT(index < r->approval_count);
    const struct approval *p = &ROW(r->approval, index);
    const struct member *m = registry_member(r, p->record->header.author);
    if (m == NULL || (p->key_state != KEY_UNREAD && ID_EQUAL(p->key, m->approval))) return false;
    *key = m->approval;
    return true;
}

void registry_approval_read(struct registry *r, uint32_t index, struct node_id key, enum approval_key state)
{
    ASSERT(index < r->approval_count);
    ROW(r->approval, index).key = key;
    ROW(r->approval, index).key_state = state;
}

struct verdict approval_preview(struct registry *r, struct node_id author, const struct body_APPROVAL *b)
{
    const struct published *p = registry_workflow(r, b->compose);
    struct allotment sum;
    if (p == NULL) return verdict_refuse(REFUSAL_WORKFLOW, b->compose.bytes);
    if (!ID_EQUAL(p->workflow->app_id, b->app)) return verdict_refuse(REFUSAL_APP, b->app.bytes);
    struct verdict v = check_approval(r, asset_find(r, b->dataset), author, b, &sum);
    if (v.refusal == REFUSAL_NONE) v = registry_check_role(r, author, ROLE_OWNER);
    if (v.refusal == REFUSAL_NONE) v = publication_check_room(r, p->workflow);
    if (v.refusal != REFUSAL_NONE) return v;
    const struct grant *g = registry_grant(r, b->dataset, b->app, 0); /* the newest: it may come later, too */
    return g == NULL ? VERDICT_OK : grant_check_limits(&g->body, p->workflow, sum.app_slots);
}
