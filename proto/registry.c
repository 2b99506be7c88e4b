/* The tables, and what is in force: questions that records answer when asked. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"

/* --- Memory ------------------------------------------------------------------------------------------------------------ */

/* X(table, rows): there is room for all rows of a table from the start. */
#define TABLES(X)                                                                                            \
    X(tally, TALLY_COUNT_MAX)                                                                                \
    X(member, CAP_DECISIONS)                                                                                 \
    X(device, CAP_DEVICES)                                                                                   \
    X(founder, FOUNDERS_MAX)                                                                                 \
    X(asset, CAP_ASSETS)                                                                                     \
    X(version, CAP_ASSETS)                                                                                   \
    X(binding, CAP_ASSETS)                                                                                   \
    X(workflow, CAP_JOBS)                                                                                    \
    X(op, CAP_DECISIONS)                                                                                     \
    X(grant, CAP_GRANTS)                                                                                     \
    X(approval, CAP_APPROVALS)                                                                               \
    X(job, CAP_JOBS)                                                                                         \
    X(run, CAP_RUNS)                                                                                         \
    X(revocation, CAP_REVOCATIONS)                                                                           \
    X(frozen, CAP_WRITERS)                                                                                   \
    X(gap, CAP_WRITERS)                                                                                      \
    X(removal, CAP_REMOVALS)                                                                                 \
    X(workers, CAP_DECISIONS)                                                                                \
    X(writer, CAP_WRITERS)                                                                                   \
    X(committee, CAP_COMMITTEES)

/* X(index, rows) */
#define INDEXES(X)                                                                                           \
    X(writers, CAP_WRITERS)                                                                                  \
    X(tallies, TALLY_COUNT_MAX)                                                                              \
    X(members, CAP_DECISIONS)                                                                                \
    X(heirs, CAP_DECISIONS)                                                                                  \
    X(devices, CAP_DEVICES)                                                                                  \
    X(removals, CAP_REMOVALS)                                                                                \
    X(assets, CAP_ASSETS)                                                                                    \
    X(bindings, CAP_ASSETS)                                                                                  \
    X(workflows, CAP_JOBS)                                                                                   \
    X(ops, CAP_DECISIONS)                                                                                    \
    X(slots, CAP_RUNS)                                                                                       \
    X(runs, CAP_RUNS)

enum {
    /* Whatever needs memory for the time of a call. An op with its code: bytes, text and nodes (json.h); any other document,
     * with the arrays that are not kept, is smaller. */
    REGISTRY_SCRATCH_BYTES = 35 * (CAP_DOCUMENT_BYTES + CAP_CODE_BYTES),
    /* The charter: its text once more, if any of it is escaped, and its members, each of 200 bytes of it at least. */
    FOUNDERS_MAX = CAP_DOCUMENT_BYTES / 200,
    CHARTER_KEPT_BYTES =
        2 * CAP_DOCUMENT_BYTES + sizeof(struct charter) + FOUNDERS_MAX * (sizeof(struct charter_member) + 32),
};
_Static_assert(REGISTRY_SCRATCH_BYTES >=
                   33 * CAP_DOCUMENT_BYTES + CAP_SERVICES * CAP_SERVICES * sizeof(struct service_workflow),
               "a ddo");
_Static_assert((size_t)REGISTRY_SCRATCH_BYTES >= ARENA_BYTES(1, WORKFLOW_RENDER_BYTES_MAX), "a rendering");
_Static_assert((size_t)REGISTRY_SCRATCH_BYTES >= ARENA_BYTES(1, PARAMETERS_SCRATCH_BYTES),
               "a choice of parameters");
_Static_assert((size_t)REGISTRY_SCRATCH_BYTES >=
                   ARENA_BYTES(CAP_ASSETS + 1, 1) + ARENA_BYTES(CAP_ASSETS + 1, 4),
               "a walk through all tokens");

static size_t heap_bytes(void)
{
    size_t bytes = 0;
#define ADD_TABLE(table, rows) bytes += rows_bytes(rows, sizeof *((struct registry *)NULL)->table.of);
#define ADD_INDEX(x, rows)     bytes += index_bytes(rows);
    TABLES(ADD_TABLE)
    INDEXES(ADD_INDEX)
#undef ADD_TABLE
#undef ADD_INDEX
    return bytes;
}

size_t registry_heap_bytes(void)
{
    return ARENA_BYTES(1, sizeof(struct registry)) + ARENA_BYTES(1, sizeof(uint64_t)) +
           ARENA_BYTES(1, heap_bytes()) + ARENA_BYTES(1, CHARTER_KEPT_BYTES);
}

size_t registry_bytes(void)
{
    return registry_heap_bytes() + ARENA_BYTES(1, CAP_KEPT_BYTES) + ARENA_BYTES(1, REGISTRY_SCRATCH_BYTES);
}

size_t registry_scratch_bytes(void)
{
    return REGISTRY_SCRATCH_BYTES;
}

static enum err allocate(struct registry *r, struct arena *arena, struct arena *heap)
{
    uint64_t salt = load_u64(r->consortium.bytes);
    struct arena *near = heap != NULL ? heap : arena;
    r->looked = ARENA_NEW(near, uint64_t);
    r->charter_kept = arena_part(near, &r->part[1], CHARTER_KEPT_BYTES);
    if (heap == NULL) heap = arena_part(arena, &r->heap, heap_bytes());
    if (r->charter_kept == NULL || heap == NULL) return ERR_NO_MEMORY;
#define TAKE_TABLE(table, most) rows_init(&r->table.rows, heap, most);
#define TAKE_INDEX(x, rows)     index_init_in(&r->x, heap, rows, salt);
    TABLES(TAKE_TABLE)
    INDEXES(TAKE_INDEX)
#undef TAKE_TABLE
#undef TAKE_INDEX
    if (r->scratch == NULL) r->scratch = arena_part(arena, &r->part[0], REGISTRY_SCRATCH_BYTES);
    r->kept = arena_part(arena, &r->part[2], CAP_KEPT_BYTES);
    return r->kept != NULL ? OK : ERR_NO_MEMORY; /* the last: an arena that was full stays full */
}

enum err registry_new_in(struct registry **out, struct arena *arena, struct registry_room room,
                         struct consortium_id consortium, struct span charter)
{
    struct registry *r = ARENA_NEW(room.heap != NULL ? room.heap : arena, struct registry);
    if (r == NULL) return ERR_NO_MEMORY;
    ASSERT(room.scratch == NULL || room.scratch->cap >= REGISTRY_SCRATCH_BYTES);
    r->arena = arena;
    r->scratch = room.scratch;
    r->consortium = consortium;
    TRY(allocate(r, arena, room.heap));
    *out = r;
    return charter.len > 0 ? registry_found(r, charter) : OK;
}

enum err registry_new(struct registry **out, struct arena *arena, struct consortium_id consortium,
                      struct span charter)
{
    const size_t before = arena_mark(arena);
    TRY(registry_new_in(out, arena, (struct registry_room){NULL, NULL}, consortium, charter));
    ASSERT(arena_mark(arena) - before == registry_bytes());
    return OK;
}

struct arena *registry_arena(const struct registry *r)
{
    return r->arena;
}

/* --- The charter ------------------------------------------------------------------------------------------------------- */

static struct member member_of_charter(const struct charter_member *m)
{
    return (struct member){m->node, m->organisation, m->jurisdiction, m->roles, m->kem,
                           m->dkg,  m->approval,     m->platforms,    NULL,     NULL};
}

enum err registry_found(struct registry *r, struct span bytes)
{
    const struct charter *charter;
    struct hash32 hash = sha256(bytes);
    if (!ids_equal(hash.bytes, r->consortium.bytes)) return ERR_HASH;
    TRY(charter_keep(&charter, (struct json_room){r->charter_kept, r->scratch}, bytes));
    ASSERT(charter->member_count <= FOUNDERS_MAX);
    for (uint32_t i = 0; i < charter->member_count; i++)
        ROW(r->founder, i) = member_of_charter(&charter->member[i]);
    r->charter = charter;
    return OK;
}

/* --- Decided jointly --------------------------------------------------------------------------------------------------- */

const struct charter *registry_charter(const struct registry *r)
{
    return r->charter_tally != NULL && tally_decided(r, r->charter_tally) ? r->charter : NULL;
}

const struct charter *registry_charter_bytes(const struct registry *r)
{
    return r->charter;
}

const struct committee *registry_committee(const struct registry *r)
{
    const struct charter *charter = registry_charter(r);
    const struct committee *best = NULL;
    for (uint32_t i = 0; charter != NULL && i < r->committee_count; i++) {
        const struct committee *c = &ROW(r->committee, i);
        if (!tally_decided(r, c->tally)) continue;
        if (best == NULL || tally_before(c->tally, best->tally)) best = c;
    }
    return best;
}

const struct op *registry_op(const struct registry *r, struct hash32 op)
{
    uint32_t row = index_find(&r->ops, op.bytes);
    return row != INDEX_NONE && tally_decided(r, ROW(r->op, row).tally) ? &ROW(r->op, row).kept.op : NULL;
}

static bool supersedes(const struct worker_set *a, const struct worker_set *b)
{
    if (a->body.version != b->body.version) return a->body.version > b->body.version;
    return tally_before(a->tally, b->tally);
}

const struct worker_set *registry_worker_set(const struct registry *r, struct span set)
{
    const struct worker_set *best = NULL;
    for (uint32_t i = 0; i < r->workers_count; i++) {
        const struct worker_set *w = &ROW(r->workers, i);
        if (!span_equal(w->body.name, set) || !tally_decided(r, w->tally)) continue;
        if (best == NULL || supersedes(w, best)) best = w;
    }
    return best;
}

struct span registry_workers(const struct registry *r, struct span set)
{
    const struct worker_set *w = registry_worker_set(r, set);
    return w != NULL ? w->body.measurements : SPAN_NONE;
}

static bool lists(struct span measurements, struct hash32 measurement)
{
    for (size_t at = 0; at + 32 <= measurements.len; at += 32)
        if (ids_equal(measurements.data + at, measurement.bytes)) return true;
    return false;
}

bool registry_worker(const struct registry *r, struct span set, struct hash32 measurement)
{
    return lists(registry_workers(r, set), measurement);
}

/* Most sets are not asked whether they are in force: a steward may have named thousands that nobody decided. */
bool registry_worker_known(const struct registry *r, struct hash32 measurement)
{
    for (uint32_t i = 0; i < r->workers_count; i++) {
        const struct worker_set *w = &ROW(r->workers, i);
        if (lists(w->body.measurements, measurement) && tally_decided(r, w->tally) &&
            registry_worker_set(r, w->body.name) == w)
            return true;
    }
    return false;
}

/* --- Said by one author ------------------------------------------------------------------------------------------------ */

struct asset *asset_find(const struct registry *r, struct dt dt)
{
    uint32_t row = index_find(&r->assets, dt.bytes);
    return row != INDEX_NONE ? &ROW(r->asset, row) : NULL;
}

const struct asset *registry_asset(const struct registry *r, struct dt dt)
{
    const struct asset *a = asset_find(r, dt);
    return a != NULL && registry_counts_for(r, a, a->first) ? a : NULL;
}

const struct binding *registry_binding(const struct registry *r, const struct asset *a,
                                       struct compose_hash compose)
{
    struct holding h;
    holding_of(r, &h, a->owner);
    for (uint32_t next = a->bindings_plus_one; next != 0; next = ROW(r->binding, next - 1).next_plus_one) {
        const struct binding *b = &ROW(r->binding, next - 1);
        ++*r->looked;
        if (ID_EQUAL(b->compose, compose) && holding_counts(&h, b->record)) return b;
    }
    return NULL;
}

const struct binding *registry_binding_of(const struct registry *r, const struct asset *a,
                                          struct record_id record)
{
    uint32_t row = index_find(&r->bindings, record.bytes);
    const struct binding *b = row != INDEX_NONE ? &ROW(r->binding, row) : NULL;
    return b != NULL && ID_EQUAL(b->dt, a->dt) && registry_counts_for(r, a, b->record) ? b : NULL;
}

const struct published *registry_workflow(const struct registry *r, struct compose_hash compose)
{
    uint32_t row = index_find(&r->workflows, compose.bytes);
    for (uint32_t next = row == INDEX_NONE ? 0 : row + 1; next != 0;
         next = ROW(r->workflow, next - 1).next_plus_one) {
        const struct published *p = &ROW(r->workflow, next - 1);
        struct holding h;
        holding_of(r, &h, p->provider);
        if (holding_counts(&h, p->record)) return p;
    }
    return NULL;
}

const struct run_entry *registry_run(const struct registry *r, struct run_id run)
{
    uint32_t row = index_find(&r->runs, run.bytes);
    return row != INDEX_NONE ? &ROW(r->run, row) : NULL;
}

/* Who replaced a key has its grants, too; those of an author either all count or none. */
static const struct grant *grant_of(const struct registry *r, struct node_id owner, uint32_t at_plus_one,
                                    struct dt higher)
{
    struct holding h;
    holding_of(r, &h, owner);
    if (standing_gap(r, h.holder) || !h.standing[0].member || h.standing[0].voided) return NULL;
    for (uint32_t next = at_plus_one; next != 0; next = ROW(r->grant, next - 1).next_plus_one) {
        const struct grant *g = &ROW(r->grant, next - 1);
        ++*r->looked;
        if (!ID_EQUAL(g->body.higher, higher) || g->revoked || holding_voided(&h, g->record)) continue;
        if (holding_counts(&h, g->record)) return g;
    }
    return NULL;
}

const struct grant *registry_grant_newest(const struct registry *r, struct dt lower, struct dt higher)
{
    const struct asset *a = asset_find(r, lower);
    return a != NULL ? grant_of(r, a->owner, a->grants_plus_one, higher) : NULL;
}

const struct grant *registry_grant_before(const struct registry *r, const struct grant *g)
{
    return grant_of(r, asset_find(r, g->body.lower)->owner, g->next_plus_one, g->body.higher);
}

const struct grant *registry_grant(const struct registry *r, struct dt lower, struct dt higher,
                                   uint64_t now_ms)
{
    const struct grant *newest = registry_grant_newest(r, lower, higher);
    for (const struct grant *g = newest; g != NULL; g = registry_grant_before(r, g))
        if (g->record->header.expires_ms == 0 || g->record->header.expires_ms > now_ms) return g;
    return newest;
}

uint32_t registry_endorsements(const struct registry *r, const struct job *job)
{
    const struct tally *t = tally_at(r, job->endorsement);
    return t != NULL ? tally_count(r, t) : 0;
}

const struct job *registry_job(const struct registry *r, struct compose_hash compose)
{
    const struct published *p = registry_workflow(r, compose);
    const struct job *posted = NULL;
    if (p == NULL) return NULL;
    struct holding h;
    holding_of(r, &h, p->provider);
    for (uint32_t i = 0; i < r->job_count; i++) {
        const struct job *j = &ROW(r->job, i);
        ++*r->looked;
        if (!ID_EQUAL(j->body.compose, compose) || !holding_counts(&h, j->record)) continue;
        if (r->charter != NULL && registry_endorsements(r, j) >= r->charter->s) return j;
        posted = j;
    }
    return posted;
}

struct approval_view registry_approval(const struct registry *r, const struct asset *a,
                                       struct compose_hash compose, uint64_t slot, uint64_t now_ms)
{
    struct approval_view none = {NULL, false, false};
    const struct node_id holder = registry_holder(r, a->owner);
    if (standing_gap(r, holder)) return none;
    const struct standing owner = standing_of(r, holder);
    const struct member *member = r->await_keys ? registry_member(r, holder) : NULL;
    for (uint32_t next = a->approvals_plus_one; next != 0; next = ROW(r->approval, next - 1).next_plus_one) {
        const struct approval *p = &ROW(r->approval, next - 1);
        ++*r->looked;
        if (!ID_EQUAL(p->body.compose, compose) || !ID_EQUAL(p->record->header.author, holder)) continue;
        if (!standing_counts(&owner, p->record)) continue;
        if (r->await_keys && !approval_signed(p, member)) continue;
        if (slot != 0 && (slot < p->body.slot_first || slot > p->body.slot_last)) continue;
        uint64_t expires = p->record->header.expires_ms;
        struct approval_view view = {p, owner.voided || p->revoked, expires != 0 && expires <= now_ms};
        if (!view.revoked && !view.expired) return view;
        if (none.approval == NULL) none = view;
    }
    return none;
}

/* --- Everything of one kind -------------------------------------------------------------------------------------------- */

const struct asset *registry_asset_at(const struct registry *r, uint32_t i)
{
    return i < r->asset_count ? &ROW(r->asset, i) : NULL;
}

const struct published *registry_workflow_at(const struct registry *r, uint32_t i)
{
    return i < r->workflow_count ? &ROW(r->workflow, i) : NULL;
}

const struct run_entry *registry_run_at(const struct registry *r, uint32_t i)
{
    return i < r->run_count ? &ROW(r->run, i) : NULL;
}

const struct job *registry_job_at(const struct registry *r, uint32_t i)
{
    return i < r->job_count ? &ROW(r->job, i) : NULL;
}

const struct tally *registry_tally_at(const struct registry *r, uint32_t i)
{
    return i < r->tally_count ? &ROW(r->tally, i) : NULL;
}

const struct grant *registry_grant_at(const struct registry *r, uint32_t i)
{
    return i < r->grant_count ? &ROW(r->grant, i) : NULL;
}

const struct approval *registry_approval_at(const struct registry *r, uint32_t i)
{
    return i < r->approval_count ? &ROW(r->approval, i) : NULL;
}

const struct binding *registry_binding_at(const struct registry *r, uint32_t i)
{
    return i < r->binding_count ? &ROW(r->binding, i) : NULL;
}

const struct revocation *registry_revocation_at(const struct registry *r, uint32_t i)
{
    return i < r->revocation_count ? &ROW(r->revocation, i) : NULL;
}
