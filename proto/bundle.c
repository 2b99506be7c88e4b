/* Collecting a bundle from a registry; opening one is bundle_open.c. */
#include "proto/bundle.h"

#include "proto/base/panic.h"
#include "proto/certificate.h"
#include "proto/receipt_room.h"
#include "proto/wire/pack.h"

#include <string.h>

struct selection {
    uint32_t count;
    bool overflow;
    const struct record *record[BUNDLE_RECORDS_MAX];
};

/* The same record may be wanted twice: an op used by two steps, one owner behind two inputs. */
static void add(struct selection *s, const struct record *record)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->record[i] == record) return;
    if (s->count == BUNDLE_RECORDS_MAX) {
        s->overflow = true;
        return;
    }
    s->record[s->count++] = record;
}

/* Every voice that counts. Others would only give a verifier more to read. */
static void add_tally(struct selection *s, const struct registry *r, const struct tally *t)
{
    const struct charter *charter = registry_charter_bytes(r);
    for (uint32_t i = 0; t != NULL && charter != NULL && i < t->author_count; i++) {
        struct node_id author = t->vote[i]->header.author;
        int place =
            t->kind == KIND_COMMITTEE ? charter_custodian(charter, author) : charter_steward(charter, author);
        if (place >= 0 && registry_counts(r, t->vote[i])) add(s, t->vote[i]);
    }
}

static void add_tallies(struct selection *s, const struct registry *r, enum kind kind)
{
    const struct tally *t;
    for (uint32_t i = 0; (t = registry_tally_at(r, i)) != NULL; i++)
        if (t->kind == kind) add_tally(s, r, t);
}

/* The records by which a node is a member, or was one until another took its place, and its own claim to a place; founders are
 * named by the charter itself. A device's maker is none itself. */
static void add_member(struct selection *s, struct registry *r, struct node_id node)
{
    const struct member *m = registry_member_ever(r, node);
    const struct record *claim = registry_claim(r, node);
    if (claim != NULL && registry_counts(r, claim))
        add_tally(s, r, registry_tally(r, KIND_MEMBER, claim->header.body_hash));
    if (claim != NULL && registry_counts(r, claim)) add(s, claim);
    if (m != NULL && m->admission != NULL) {
        add(s, m->admission);
        m = registry_member(r, m->admission->header.author);
    }
    if (m != NULL && m->tally != NULL) add_tally(s, r, m->tally);
}

/* Who computed is decided after this is collected, so every compute member is there. The requester is added by its name: the
 * run may be only planned yet. */
static void add_members(struct selection *s, struct registry *r, const struct selection *rest,
                        const struct workflow *w)
{
    const struct member *m;
    for (uint32_t i = 0; i < rest->count; i++) add_member(s, r, rest->record[i]->header.author);
    for (uint32_t i = 0; w != NULL && i < w->reader_count; i++) add_member(s, r, w->reader[i]);
    for (uint32_t at = 0; (m = registry_member_next(r, &at)) != NULL;)
        if ((m->roles & ROLE_COMPUTE) != 0) add_member(s, r, m->node);
}

static void add_workers(struct selection *s, const struct registry *r, const struct workflow *w)
{
    const struct worker_set *set = registry_worker_set(r, w->workers);
    if (set != NULL) add_tally(s, r, set->tally);
}

static void add_ops(struct selection *s, const struct registry *r, const struct workflow *w)
{
    const struct tally *t;
    for (uint32_t i = 0; (t = registry_tally_at(r, i)) != NULL; i++) {
        union body body;
        if (t->kind != KIND_OP || body_decode(&body, KIND_OP, t->vote[0]->body) != OK) continue;
        struct hash32 op = sha256(body.OP.document);
        for (uint32_t j = 0; j < w->step_count; j++)
            if (ID_EQUAL(w->step[j].op, op)) add_tally(s, r, t);
    }
}

/* What a replay needs of a token: its registration, the versions it looks at, and the newest, which has the description. A
 * registry takes them oldest first. */
enum { VERSIONS_MAX = 4 };

static uint64_t version_of(const struct record *asset)
{
    struct body_ASSET body;
    enum err err = body_decode(&body, KIND_ASSET, asset->body);
    ASSERT(err == OK); /* it was applied */
    return body.version;
}

static void add_versions(struct selection *s, const struct registry *r,
                         const struct record *version[VERSIONS_MAX])
{
    for (uint32_t i = 0; i < VERSIONS_MAX; i++) {
        uint32_t first = i;
        for (uint32_t j = i + 1; j < VERSIONS_MAX; j++)
            if (version_of(version[j]) < version_of(version[first])) first = j;
        const struct record *next = version[first];
        version[first] = version[i];
        version[i] = next;
        if (registry_counts(r, next)) add(s, next);
    }
}

static void add_dataset(struct selection *s, const struct registry *r, const struct body_RUN *run,
                        const struct run_input *input)
{
    const struct asset *a = registry_asset(r, input->dt);
    if (a == NULL) return;
    const struct binding *bound = registry_binding_of(r, a, input->binding);
    const struct binding *newest = registry_binding(r, a, run->compose);
    const struct record *version[VERSIONS_MAX] = {a->first, bound != NULL ? bound->record : a->first,
                                                  newest != NULL ? newest->record : a->first, a->record};
    add_versions(s, r, version);
}

static void add_algorithm(struct selection *s, const struct registry *r, const struct body_RUN *run)
{
    const struct asset *a = registry_asset(r, run->app);
    const struct published *p = registry_workflow(r, run->compose);
    if (a == NULL) return;
    const struct record *published = p != NULL ? p->record : a->first;
    const struct record *version[VERSIONS_MAX] = {a->first, published, published, published};
    add_versions(s, r, version);
}

/* Expiry is judged when the bundle is opened: along come those of which every newer one ends earlier. */
static void add_grants(struct selection *s, const struct registry *r, struct dt lower, struct dt higher)
{
    uint64_t end = 0;
    const struct grant *g = registry_grant_newest(r, lower, higher);
    for (; g != NULL && end != UINT64_MAX; g = registry_grant_before(r, g)) {
        uint64_t expires_ms = g->record->header.expires_ms;
        if (expires_ms != 0 && expires_ms <= end) continue;
        end = expires_ms == 0 ? UINT64_MAX : expires_ms;
        add(s, g->record);
    }
}

static void add_job(struct selection *s, const struct registry *r, const struct job *job)
{
    uint8_t bytes[64];
    struct buffer b = BUFFER_OF(bytes);
    if (job == NULL) return;
    struct body_ENDORSEMENT body = {job->record->id};
    body_encode(&b, KIND_ENDORSEMENT, &body);
    add(s, job->record);
    add_tally(s, r, registry_tally(r, KIND_ENDORSEMENT, sha256(buffer_span(&b))));
}

/* Ranges of one owner never overlap, so at most one approval of each applies to the slot. */
static void add_approval(struct selection *s, const struct registry *r, const struct body_RUN *run,
                         struct dt dt)
{
    const struct asset *a = registry_asset(r, dt);
    if (a == NULL) return;
    struct approval_view view = registry_approval(r, a, run->compose, run->slot, 0);
    if (view.approval != NULL && !view.revoked) add(s, view.approval->record);
}

static void add_rest(struct selection *s, const struct registry *r, const struct body_RUN *run,
                     const struct workflow *w)
{
    const struct committee *committee = registry_committee(r);
    uint32_t inputs = run_input_count(run);
    if (committee != NULL) add_tally(s, r, committee->tally);
    if (w != NULL) {
        add_workers(s, r, w);
        add_ops(s, r, w);
    }
    for (uint32_t i = 0; i < inputs; i++) {
        struct run_input input = run_input_at(run, i);
        add_dataset(s, r, run, &input);
    }
    add_algorithm(s, r, run);
    for (uint32_t i = 0; i < inputs; i++) add_grants(s, r, run_input_at(run, i).dt, run->app);
    add_job(s, r, registry_job(r, run->compose));
    for (uint32_t i = 0; i < inputs; i++) add_approval(s, r, run, run_input_at(run, i).dt);
}

static void put_record(struct buffer *out, const struct record *record)
{
    uint8_t bytes[CAP_HEADER_BYTES + 64 + CAP_BODY_BYTES + 16];
    struct buffer packed = BUFFER_OF(bytes);
    record_pack(&packed, record);
    ASSERT(!packed.overflow);
    pack_bin(out, buffer_span(&packed));
}

static void put_selection(struct buffer *out, const struct selection *s)
{
    for (uint32_t i = 0; i < s->count; i++) put_record(out, s->record[i]);
}

/* All but the run's own record, in the bundle's order. */
struct selections {
    struct selection charter, members, rest;
};

static uint32_t selected(const struct selections *all)
{
    return all->charter.count + all->members.count + all->rest.count;
}

static enum err select_all(struct selections *all, struct registry *r, const struct body_RUN *run,
                           struct node_id requester)
{
    const struct published *p = registry_workflow(r, run->compose);
    const struct workflow *w = p != NULL ? p->workflow : NULL;
    all->charter.count = all->members.count = all->rest.count = 0;
    all->charter.overflow = all->members.overflow = all->rest.overflow = false;
    add_tallies(&all->charter, r, KIND_CHARTER);
    add_rest(&all->rest, r, run, w);
    add_members(&all->members, r, &all->rest, w);
    add_member(&all->members, r, requester);
    bool overflow = all->charter.overflow || all->members.overflow || all->rest.overflow;
    return overflow || selected(all) >= BUNDLE_RECORDS_MAX ? ERR_FULL : OK;
}

enum err bundle_collect(struct buffer *out, struct registry *r, struct run_id run)
{
    struct selections all;
    const struct run_entry *entry = registry_run(r, run);
    if (entry == NULL) return ERR_NOT_FOUND;
    TRY(select_all(&all, r, &entry->body, entry->record->header.author));
    pack_array(out, selected(&all) + 1);
    put_selection(out, &all.charter);
    put_selection(out, &all.members);
    put_selection(out, &all.rest);
    put_record(out, entry->record);
    if (out->len > BUNDLE_BYTES_MAX) return ERR_TOO_LARGE;
    return buffer_done(out);
}

/* Header, signature and body with what frames them; rounded up. */
enum { RECORD_FRAME_BYTES = CAP_HEADER_BYTES + 64 + 16 };

static size_t selection_bytes(const struct selection *s)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < s->count; i++) bytes += RECORD_FRAME_BYTES + s->record[i]->body.len;
    return bytes;
}

struct verdict bundle_check_room(struct registry *r, const struct body_RUN *run, struct node_id requester)
{
    struct selections all;
    const struct published *p = registry_workflow(r, run->compose);
    if (p == NULL) return verdict_refuse(REFUSAL_WORKFLOW, run->compose.bytes);
    enum err err = select_all(&all, r, run, requester);
    size_t own = RECORD_FRAME_BYTES + 512 + run->parameters.len + run->inputs.len;
    size_t bytes =
        own + selection_bytes(&all.charter) + selection_bytes(&all.members) + selection_bytes(&all.rest);
    const struct receipt_parts_count parts = {
        run_input_count(run), receipt_room_readers(p->workflow, requester), registry_veto_count(r, run),
        selected(&all) + 1, CERTIFICATE_BYTES_MAX};
    bool fits = err == OK && bytes <= BUNDLE_BYTES_MAX &&
                receipt_room_fits(registry_charter_bytes(r), p->workflow, &parts);
    return fits ? VERDICT_OK : verdict_refuse(REFUSAL_RECEIPT_ROOM, run->compose.bytes);
}

static enum err find_all(const struct record **found, struct arena *scratch, const struct chain *chain,
                         struct span ids)
{
    struct index index;
    uint32_t count = (uint32_t)(ids.len / 32), left = count;
    TRY(index_init(&index, scratch, count, load_u64(ids.data)));
    for (uint32_t i = 0; i < count; i++) {
        if (index_find(&index, ids.data + (size_t)i * 32) != INDEX_NONE) return ERR_DUPLICATE;
        TRY(index_add(&index, ids.data + (size_t)i * 32, i));
    }
    for (uint32_t i = 0; i < chain->entry_count && left > 0; i++) {
        const struct record *record = &ROW(chain->entry, i).record;
        uint32_t row = index_find(&index, record->id.bytes);
        if (row == INDEX_NONE || found[row] != NULL || !record->body_known) continue;
        found[row] = record;
        left--;
    }
    return left == 0 ? OK : ERR_NOT_FOUND;
}

enum err bundle_gather(struct buffer *out, struct arena *scratch, const struct chain *chain, struct span ids)
{
    const struct record *found[BUNDLE_RECORDS_MAX] = {NULL};
    if (ids.len == 0 || ids.len % 32 != 0 || ids.len / 32 > BUNDLE_RECORDS_MAX) return ERR_RANGE;
    size_t mark = arena_mark(scratch);
    enum err err = find_all(found, scratch, chain, ids);
    arena_release(scratch, mark);
    TRY(err);
    pack_array(out, (uint32_t)(ids.len / 32));
    for (size_t i = 0; i < ids.len / 32; i++) put_record(out, found[i]);
    return buffer_done(out);
}
