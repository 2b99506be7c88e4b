/* What records alone say about a run: may it exist, who may compute it, and what a new one would look like. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"
#include "proto/receipt_room.h"

#include <string.h>

struct run_input run_input_at(const struct body_RUN *run, uint32_t index)
{
    struct run_input input;
    ASSERT((index + 1) * (size_t)RUN_INPUT_BYTES <= run->inputs.len);
    const uint8_t *at = run->inputs.data + (size_t)index * RUN_INPUT_BYTES;
    memcpy(input.dt.bytes, at, 32);
    memcpy(input.content.bytes, at + 32, 32);
    memcpy(input.manifest.bytes, at + 64, 32);
    memcpy(input.binding.bytes, at + 96, 32);
    return input;
}

uint32_t run_input_count(const struct body_RUN *run)
{
    return (uint32_t)(run->inputs.len / RUN_INPUT_BYTES);
}

static bool names_requester(const struct workflow *w, struct node_id node)
{
    for (uint32_t i = 0; i < w->requester_count; i++)
        if (ID_EQUAL(w->requester[i], node)) return true;
    return false;
}

static struct verdict check_parameters(const struct registry *r, const struct workflow *w,
                                       const struct body_RUN *run)
{
    struct parameter_choice choice;
    enum err err = parameters_choose(&choice, &w->parameters, r->scratch, run->parameters, NULL);
    if (err == ERR_NO_MEMORY) return verdict_refuse(REFUSAL_FULL, NULL);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_PARAMETERS, NULL);
}

static struct verdict check_recipe(const struct registry *r, const struct body_RUN *run,
                                   const struct published *p)
{
    const struct workflow *w = p->workflow;
    const struct charter *charter = registry_charter(r);
    const struct committee *committee = registry_committee(r);
    struct verdict role = registry_check_role(r, registry_holder(r, p->provider), ROLE_ALGORITHM);
    if (role.refusal != REFUSAL_NONE) return role;
    if (!ID_EQUAL(w->app_id, run->app)) return verdict_refuse(REFUSAL_APP, run->app.bytes);
    if (!ID_EQUAL(run->charter, charter->hash)) return verdict_refuse(REFUSAL_CHARTER, run->charter.bytes);
    if (run->epoch != committee->body.epoch) return verdict_refuse(REFUSAL_CHARTER, run->charter.bytes);
    if (!span_equal(run->engine, w->engine)) return verdict_refuse(REFUSAL_ENGINE, NULL);
    const struct job *job = registry_job(r, run->compose);
    if (job == NULL) return verdict_refuse(REFUSAL_NO_JOB, run->compose.bytes);
    if (registry_endorsements(r, job) < charter->s)
        return verdict_refuse(REFUSAL_NOT_ENDORSED, job->record->id.bytes);
    for (uint32_t i = 0; i < w->step_count; i++) {
        const struct op *op = registry_op(r, w->step[i].op);
        if (op == NULL) return verdict_refuse(REFUSAL_OP, w->step[i].op.bytes);
        bool emits = span_equal_text(op->output, output_type_names[w->output]);
        if (!emits || op->runtime != w->step[i].runtime)
            return verdict_refuse(REFUSAL_OUTPUT_TYPE, op->hash.bytes);
        if (op->step != NULL && template_misfit(op->step, &w->step[i]) != TEMPLATE_PART_COUNT)
            return verdict_refuse(REFUSAL_TEMPLATE, op->hash.bytes);
    }
    return check_parameters(r, w, run);
}

/* Who must do something about it: nobody but the holder can. */
static struct verdict refuse_holder(const struct registry *r, const struct asset *a, enum refusal why)
{
    const struct node_id holder = registry_holder(r, a->owner);
    return verdict_refuse(why, ID_IS_ZERO(holder) ? a->owner.bytes : holder.bytes);
}

static struct verdict check_holder(const struct registry *r, struct node_id owner)
{
    const struct node_id holder = registry_holder(r, owner);
    return ID_IS_ZERO(holder) ? verdict_refuse(REFUSAL_FROZEN, owner.bytes)
                              : registry_check_author(r, holder);
}

static bool grant_names(const struct grant *g, struct hash32 op)
{
    for (size_t at = 0; at + 32 <= g->body.ops.len; at += 32)
        if (ids_equal(g->body.ops.data + at, op.bytes)) return true;
    return false;
}

static struct verdict check_grant(const struct registry *r, const struct workflow *w, const struct asset *a,
                                  uint64_t now_ms)
{
    const struct grant *g = registry_grant(r, a->dt, w->app_id, now_ms);
    if (g == NULL) { /* what takes back the approval with it is named as such */
        bool revoked = registry_approval(r, a, w->hash, 0, now_ms).revoked;
        return refuse_holder(r, a, revoked ? REFUSAL_REVOKED : REFUSAL_NO_GRANT);
    }
    uint64_t expires = g->record->header.expires_ms;
    if (expires != 0 && expires <= now_ms) return refuse_holder(r, a, REFUSAL_GRANT_EXPIRED);
    for (uint32_t i = 0; i < w->step_count; i++) {
        if (!grant_names(g, w->step[i].op)) return refuse_holder(r, a, REFUSAL_GRANT_OP);
        struct verdict v = grant_check_op(r, &g->body, w->step[i].op);
        if (v.refusal != REFUSAL_NONE) return refuse_holder(r, a, v.refusal);
    }
    return VERDICT_OK;
}

enum err registry_text_hash(struct hash32 *out, const struct registry *r, const struct workflow *w,
                            struct dt dataset)
{
    size_t mark = arena_mark(r->scratch);
    uint8_t *text = arena_take(r->scratch, WORKFLOW_RENDER_BYTES_MAX, 1);
    if (text == NULL) return ERR_NO_MEMORY;
    struct buffer b = buffer_make(text, WORKFLOW_RENDER_BYTES_MAX);
    workflow_render(&b, w, dataset);
    *out = sha256(buffer_span(&b));
    enum err err = buffer_done(&b);
    arena_release(r->scratch, mark);
    return err;
}

/* The enclave checks it again, but then the slot is spent. */
static struct verdict check_text(const struct registry *r, const struct workflow *w, const struct approval *p,
                                 const struct asset *a)
{
    struct approval *kept = (struct approval *)(uintptr_t)p; /* a row of this registry's */
    if (kept->text == TEXT_UNREAD) {
        struct hash32 shown;
        if (registry_text_hash(&shown, r, w, p->body.dataset) != OK)
            return verdict_refuse(REFUSAL_FULL, NULL);
        kept->text = ID_EQUAL(shown, p->body.text) ? TEXT_RIGHT : TEXT_WRONG;
    }
    return kept->text == TEXT_RIGHT ? VERDICT_OK : refuse_holder(r, a, REFUSAL_NO_APPROVAL);
}

/* After check_grant. */
static struct verdict check_approval(const struct registry *r, const struct workflow *w,
                                     const struct asset *a, uint64_t slot, uint64_t now_ms)
{
    struct approval_view any = registry_approval(r, a, w->hash, 0, now_ms);
    if (any.approval == NULL) return refuse_holder(r, a, REFUSAL_NO_APPROVAL);
    struct approval_view view = registry_approval(r, a, w->hash, slot, now_ms);
    if (view.approval == NULL) return refuse_holder(r, a, REFUSAL_SLOT_RANGE);
    if (view.revoked) return refuse_holder(r, a, REFUSAL_REVOKED);
    if (view.expired) return refuse_holder(r, a, REFUSAL_APPROVAL_EXPIRED);
    if (!ID_EQUAL(view.approval->body.app, w->app_id)) return refuse_holder(r, a, REFUSAL_APP);
    if (w->epsilon_nano > view.approval->body.cost) return refuse_holder(r, a, REFUSAL_COST);
    const struct grant *g = registry_grant(r, a->dt, w->app_id, now_ms);
    if (grant_check_limits(&g->body, w, view.approval->app_slots).refusal != REFUSAL_NONE)
        return refuse_holder(r, a, REFUSAL_GRANT_LIMIT);
    return check_text(r, w, view.approval, a);
}

/* One input: the dataset, the content bound for this very recipe, the grant and the owner's own approval. */
static struct verdict check_input(const struct registry *r, const struct workflow *w,
                                  const struct workflow_input *slot_input, const struct run_input *input,
                                  uint64_t slot, uint64_t now_ms)
{
    const struct node_id holder = registry_holder(r, slot_input->owner);
    struct verdict v = check_holder(r, slot_input->owner);
    if (v.refusal == REFUSAL_NONE) v = registry_check_role(r, holder, ROLE_OWNER);
    const struct asset *a = registry_asset(r, input->dt);
    if (v.refusal != REFUSAL_NONE) return v;
    if (a == NULL || a->ddo->type != ASSET_DATASET) return verdict_refuse(REFUSAL_ASSET, input->dt.bytes);
    if (!ID_EQUAL(a->owner, slot_input->owner)) return verdict_refuse(REFUSAL_NOT_OWNER, input->dt.bytes);
    if (!ID_EQUAL(a->ddo->schema.hash, slot_input->schema))
        return verdict_refuse(REFUSAL_SCHEMA, input->dt.bytes);
    const struct binding *b = registry_binding_of(r, a, input->binding);
    if (b == NULL || !ID_EQUAL(b->compose, w->hash)) return refuse_holder(r, a, REFUSAL_CONTENT);
    if (!ID_EQUAL(b->content, input->content) || !ID_EQUAL(b->manifest, input->manifest))
        return refuse_holder(r, a, REFUSAL_CONTENT);
    v = check_grant(r, w, a, now_ms);
    return v.refusal == REFUSAL_NONE ? check_approval(r, w, a, slot, now_ms) : v;
}

static const struct workflow_input *find_input(const struct workflow *w, struct dt dt)
{
    for (uint32_t i = 0; i < w->input_count; i++)
        if (ID_EQUAL(w->input[i].dt, dt)) return &w->input[i];
    return NULL;
}

static bool same_holder(const struct registry *r, const struct asset *a, const struct asset *b)
{
    struct node_id one = registry_holder(r, a->owner), other = registry_holder(r, b->owner);
    return ID_EQUAL(one, other);
}

static uint32_t distinct_owners(const struct registry *r, const struct body_RUN *run)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run_input_count(run); i++) {
        const struct asset *a = registry_asset(r, run_input_at(run, i).dt);
        bool seen = a == NULL;
        for (uint32_t j = 0; j < i && !seen; j++) {
            const struct asset *b = registry_asset(r, run_input_at(run, j).dt);
            seen = b != NULL && same_holder(r, a, b);
        }
        if (!seen) count++;
    }
    return count;
}

/* Inputs come in the workflow's order, each once; enough distinct owners take part. */
static struct verdict check_inputs(const struct registry *r, const struct workflow *w,
                                   const struct body_RUN *run, uint64_t now_ms)
{
    const struct workflow_input *last = NULL;
    uint32_t count = run_input_count(run);
    if (count == 0 || count > w->input_count) return verdict_refuse(REFUSAL_INPUTS, NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct run_input input = run_input_at(run, i);
        const struct workflow_input *named = find_input(w, input.dt);
        if (named == NULL || (last != NULL && named <= last))
            return verdict_refuse(REFUSAL_INPUTS, input.dt.bytes);
        last = named;
        struct verdict v = check_input(r, w, named, &input, run->slot, now_ms);
        if (v.refusal != REFUSAL_NONE) return v;
    }
    uint32_t needed = w->owners_min > r->charter->k ? w->owners_min : r->charter->k;
    if (distinct_owners(r, run) < needed) return verdict_refuse(REFUSAL_OWNERS, NULL);
    return VERDICT_OK;
}

/* Who gets the output: it is sealed to their member records. */
static struct verdict check_readers(const struct registry *r, const struct workflow *w)
{
    for (uint32_t i = 0; i < w->reader_count; i++)
        if (registry_member(r, w->reader[i]) == NULL)
            return verdict_refuse(REFUSAL_NOT_MEMBER, w->reader[i].bytes);
    return VERDICT_OK;
}

static struct verdict check_formed(const struct registry *r, const struct body_RUN *run)
{
    if (registry_charter(r) == NULL || registry_committee(r) == NULL)
        return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    return registry_workflow(r, run->compose) != NULL ? VERDICT_OK
                                                      : verdict_refuse(REFUSAL_WORKFLOW, run->compose.bytes);
}

struct verdict registry_check_recipe(const struct registry *r, const struct body_RUN *run)
{
    struct verdict v = check_formed(r, run);
    return v.refusal == REFUSAL_NONE ? check_recipe(r, run, registry_workflow(r, run->compose)) : v;
}

struct verdict registry_check_inputs(const struct registry *r, const struct body_RUN *run, uint64_t now_ms)
{
    struct verdict v = check_formed(r, run);
    return v.refusal == REFUSAL_NONE
               ? check_inputs(r, registry_workflow(r, run->compose)->workflow, run, now_ms)
               : v;
}

bool registry_vetoed(const struct registry *r, const struct body_RUN *run, uint32_t input)
{
    struct run_input named = run_input_at(run, input);
    const struct asset *a = registry_asset(r, named.dt);
    const struct binding *bound = a != NULL ? registry_binding_of(r, a, named.binding) : NULL;
    return bound != NULL && bound->policy->owner_veto;
}

uint32_t registry_veto_count(const struct registry *r, const struct body_RUN *run)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run_input_count(run); i++) count += registry_vetoed(r, run, i);
    return count;
}

/* Whatever the records that justify it come to. */
static struct verdict check_room(const struct registry *r, const struct workflow *w,
                                 const struct body_RUN *run, struct node_id requester)
{
    const struct receipt_parts_count parts = {.inputs = run_input_count(run),
                                              .vetoes = registry_veto_count(r, run),
                                              .readers = receipt_room_readers(w, requester)};
    return receipt_room_fits(r->charter, w, &parts) ? VERDICT_OK
                                                    : verdict_refuse(REFUSAL_RECEIPT_ROOM, w->hash.bytes);
}

struct verdict registry_check_run(const struct registry *r, const struct body_RUN *run,
                                  struct node_id requester, uint64_t now_ms)
{
    struct verdict formed = check_formed(r, run);
    if (formed.refusal != REFUSAL_NONE) return formed;
    const struct workflow *w = registry_workflow(r, run->compose)->workflow;
    if (!names_requester(w, requester)) return verdict_refuse(REFUSAL_REQUESTER, requester.bytes);
    struct verdict v = registry_check_role(r, requester, ROLE_REQUESTER);
    if (v.refusal == REFUSAL_NONE) v = check_room(r, w, run, requester);
    if (v.refusal == REFUSAL_NONE) v = registry_check_recipe(r, run);
    if (v.refusal == REFUSAL_NONE) v = check_readers(r, w);
    return v.refusal == REFUSAL_NONE ? check_inputs(r, w, run, now_ms) : v;
}

static struct verdict input_taken_back(const struct registry *r, const struct workflow_input *input,
                                       const struct body_RUN *run)
{
    const struct verdict holder = check_holder(r, input->owner);
    const struct asset *a = registry_asset(r, input->dt);
    if (holder.refusal == REFUSAL_FROZEN) return holder;
    const bool revoked = a != NULL && registry_slot_revoked(r, a, run->compose, run->slot);
    return revoked ? refuse_holder(r, a, REFUSAL_REVOKED) : VERDICT_OK;
}

struct verdict registry_run_taken_back(const struct registry *r, const struct run_entry *run)
{
    const struct published *p = registry_workflow(r, run->body.compose);
    struct verdict v = registry_check_record(r, run->record);
    if (v.refusal == REFUSAL_FROZEN || v.refusal == REFUSAL_REVOKED) return v;
    v = VERDICT_OK;
    for (uint32_t i = 0; p != NULL && i < run_input_count(&run->body) && v.refusal == REFUSAL_NONE; i++) {
        const struct workflow_input *input = find_input(p->workflow, run_input_at(&run->body, i).dt);
        if (input != NULL) v = input_taken_back(r, input, &run->body);
    }
    return v;
}

/* --- Slots --------------------------------------------------------------------------------------------------------------- */

/* One key for recipe and slot: two recipes that meet in one would share 192 bits of their hashes, and then only look longer. */
static void slot_key(uint8_t out[32], struct compose_hash compose, uint64_t slot)
{
    memcpy(out, compose.bytes, 32);
    store_u64(out, load_u64(out) ^ slot);
}

static uint32_t slot_first(const struct registry *r, struct compose_hash compose, uint64_t slot)
{
    uint8_t key[32];
    slot_key(key, compose, slot);
    return index_find(&r->slots, key);
}

void run_link(struct registry *r, uint32_t row)
{
    struct run_entry *run = &ROW(r->run, row);
    slot_key(run->slot_key, run->body.compose, run->body.slot);
    uint32_t first = index_find(&r->slots, run->slot_key);
    if (first != INDEX_NONE) {
        run->next_plus_one = ROW(r->run, first).next_plus_one;
        ROW(r->run, first).next_plus_one = row + 1;
        return;
    }
    enum err err = index_add(&r->slots, run->slot_key, row);
    ASSERT(err == OK); /* as many places as runs */
}

void run_settle(struct registry *r, uint32_t row)
{
    struct run_entry *first = &ROW(r->run, index_find(&r->slots, ROW(r->run, row).slot_key));
    if (first->holder_plus_one == 0) first->holder_plus_one = row + 1;
}

static bool in_slot(const struct run_entry *run, struct compose_hash compose, uint64_t slot)
{
    return ID_EQUAL(run->body.compose, compose) && run->body.slot == slot;
}

const struct run_entry *registry_slot_holder(const struct registry *r, struct compose_hash compose,
                                             uint64_t slot)
{
    uint32_t first = slot_first(r, compose, slot);
    if (first == INDEX_NONE || ROW(r->run, first).holder_plus_one == 0) return NULL;
    const struct run_entry *holder = &ROW(r->run, ROW(r->run, first).holder_plus_one - 1);
    return in_slot(holder, compose, slot) ? holder : NULL;
}

bool registry_run_named(const struct registry *r, const struct run_entry *run)
{
    const struct published *p = registry_workflow(r, run->body.compose);
    return p != NULL && names_requester(p->workflow, run->record->header.author);
}

/* A run that uses this slot and may be executed after `after_ms`, or has a receipt; NULL when there is none. */
static const struct run_entry *slot_user(const struct registry *r, const struct workflow *w, uint64_t slot,
                                         uint64_t after_ms)
{
    uint32_t first = slot_first(r, w->hash, slot);
    for (uint32_t next = first == INDEX_NONE ? 0 : first + 1; next != 0;
         next = ROW(r->run, next - 1).next_plus_one) {
        const struct run_entry *run = &ROW(r->run, next - 1);
        if (!in_slot(run, w->hash, slot)) continue;
        const bool counts = names_requester(w, run->record->header.author) && registry_counts(r, run->record);
        if (run->receipt != NULL || (counts && record_run_end_ms(&run->record->header) > after_ms))
            return run;
    }
    return NULL;
}

/* --- Plans --------------------------------------------------------------------------------------------------------------- */

/* Is this input among those wished for? */
static bool wished(const struct run_wish *wish, struct dt dataset)
{
    for (size_t at = 0; at + 32 <= wish->datasets.len; at += 32)
        if (ids_equal(wish->datasets.data + at, dataset.bytes)) return true;
    return wish->datasets.len == 0;
}

/* Every wish is an input of the workflow, and none is said twice. */
static struct verdict check_wish(const struct run_wish *wish, const struct workflow *w)
{
    for (size_t at = 0; at + 32 <= wish->datasets.len; at += 32) {
        struct dt dataset;
        memcpy(dataset.bytes, wish->datasets.data + at, 32);
        struct run_wish before = {.datasets = span_make(wish->datasets.data, at)};
        if (find_input(w, dataset) == NULL || (at > 0 && wished(&before, dataset)))
            return verdict_refuse(REFUSAL_INPUTS, dataset.bytes);
    }
    return VERDICT_OK;
}

/* Does a live approval of every owner whose input is wished for allot this slot? */
static bool slot_allotted(const struct registry *r, const struct workflow *w, const struct run_wish *wish,
                          uint64_t slot, uint64_t now_ms)
{
    for (uint32_t i = 0; i < w->input_count; i++) {
        if (!wished(wish, w->input[i].dt)) continue;
        const struct asset *a = registry_asset(r, w->input[i].dt);
        if (a == NULL) return false;
        struct approval_view view = registry_approval(r, a, w->hash, slot, now_ms);
        if (view.approval == NULL || view.revoked || view.expired) return false;
    }
    return true;
}

/* A question to each slot where an allotment may begin to be free: where an approval begins, or behind a slot that is used. */
typedef bool slot_fits(const struct registry *r, const struct workflow *w, const struct run_wish *wish,
                       uint64_t slot, uint64_t now_ms);

/* What looks at approvals comes last: almost every slot is used. */
static bool slot_free(const struct registry *r, const struct workflow *w, const struct run_wish *wish,
                      uint64_t slot, uint64_t now_ms)
{
    return slot_user(r, w, slot, 0) == NULL && slot_allotted(r, w, wish, slot, now_ms);
}

/* The lowest that fits; 0: none. */
static uint64_t lowest_slot(const struct registry *r, const struct workflow *w, const struct run_wish *wish,
                            uint64_t now_ms, slot_fits *fits)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < r->approval_count; i++) {
        const struct body_APPROVAL *b = &ROW(r->approval, i).body;
        if (ID_EQUAL(b->compose, w->hash) && b->slot_first < lowest &&
            fits(r, w, wish, b->slot_first, now_ms))
            lowest = b->slot_first;
    }
    for (uint32_t i = 0; i < r->run_count; i++) {
        const struct run_entry *run = &ROW(r->run, i);
        if (ID_EQUAL(run->body.compose, w->hash) && run->body.slot + 1 < lowest &&
            names_requester(w, run->record->header.author) && fits(r, w, wish, run->body.slot + 1, now_ms))
            lowest = run->body.slot + 1;
    }
    return lowest != UINT64_MAX ? lowest : 0;
}

/* The slot of a plan. Where all that is allotted is used, one of those, so that the plan is refused for it; where nothing is
 * allotted by all, slot 1, so that the check of the run says who has not. */
static uint64_t plan_slot(const struct registry *r, const struct workflow *w, const struct run_wish *wish,
                          uint64_t now_ms)
{
    if (wish->slot != 0) return wish->slot;
    uint64_t slot = lowest_slot(r, w, wish, now_ms, slot_free);
    if (slot == 0) slot = lowest_slot(r, w, wish, now_ms, slot_allotted);
    return slot != 0 ? slot : 1;
}

static struct verdict plan_inputs(struct registry *r, struct buffer *out, const struct workflow *w,
                                  const struct run_wish *wish)
{
    struct verdict v = check_wish(wish, w);
    for (uint32_t i = 0; i < w->input_count && v.refusal == REFUSAL_NONE; i++) {
        if (!wished(wish, w->input[i].dt)) continue;
        const struct asset *a = registry_asset(r, w->input[i].dt);
        v = check_holder(r, w->input[i].owner);
        if (v.refusal != REFUSAL_NONE) return v;
        if (a == NULL) return verdict_refuse(REFUSAL_ASSET, w->input[i].dt.bytes);
        const struct binding *bound = registry_binding(r, a, wish->compose);
        if (bound == NULL) return refuse_holder(r, a, REFUSAL_CONTENT);
        buffer_put(out, ID_SPAN(a->dt));
        buffer_put(out, ID_SPAN(bound->content));
        buffer_put(out, ID_SPAN(bound->manifest));
        buffer_put(out, ID_SPAN(bound->record->id));
    }
    ASSERT(!out->overflow);
    return v;
}

struct verdict registry_plan_run(struct registry *r, struct body_RUN *out, uint8_t *inputs,
                                 const struct run_wish *wish, struct node_id requester, uint64_t now_ms)
{
    const struct charter *charter = registry_charter(r);
    const struct committee *committee = registry_committee(r);
    const struct published *p = registry_workflow(r, wish->compose);
    if (charter == NULL || committee == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (p == NULL) return verdict_refuse(REFUSAL_WORKFLOW, wish->compose.bytes);
    const struct workflow *w = p->workflow;
    struct buffer b = buffer_make(inputs, (size_t)RUN_INPUT_BYTES * CAP_INPUTS);
    struct verdict v = plan_inputs(r, &b, w, wish);
    if (v.refusal != REFUSAL_NONE) return v;
    *out = (struct body_RUN){
        wish->compose,   w->app_id,     plan_slot(r, w, wish, now_ms), w->engine, wish->parameters,
        buffer_span(&b), charter->hash, committee->body.epoch};
    v = registry_check_run(r, out, requester, now_ms);
    if (v.refusal != REFUSAL_NONE) return v;
    const struct run_entry *user = slot_user(r, w, out->slot, wish->slot != 0 ? now_ms : 0);
    return user == NULL ? VERDICT_OK : verdict_refuse(REFUSAL_SLOT_SPENT, user->record->id.bytes);
}

static bool jurisdiction_allowed(const struct span *list, uint32_t count, struct span jurisdiction)
{
    for (uint32_t i = 0; i < count; i++)
        if (span_equal(list[i], jurisdiction)) return true;
    return count == 0;
}

static struct verdict check_policy(const struct registry *r, const struct policy *p, const struct asset *a,
                                   struct span jurisdiction)
{
    if (p->export_to == EXPORT_NONE) return refuse_holder(r, a, REFUSAL_EXPORT);
    if (!jurisdiction_allowed(p->jurisdiction, p->jurisdiction_count, jurisdiction))
        return refuse_holder(r, a, REFUSAL_RESIDENCY);
    return VERDICT_OK;
}

struct verdict registry_check_node(struct registry *r, const struct body_RUN *run, struct node_id node)
{
    const struct member *m = registry_member(r, node);
    const struct published *p = registry_workflow(r, run->compose);
    if (m == NULL || (m->roles & ROLE_COMPUTE) == 0) return verdict_refuse(REFUSAL_NOT_COMPUTE, node.bytes);
    if (p == NULL) return verdict_refuse(REFUSAL_WORKFLOW, run->compose.bytes);
    const struct workflow *w = p->workflow;
    if (!jurisdiction_allowed(w->jurisdiction, w->jurisdiction_count, m->jurisdiction))
        return verdict_refuse(REFUSAL_RESIDENCY, node.bytes);
    for (uint32_t i = 0; i < run_input_count(run); i++) {
        struct run_input input = run_input_at(run, i);
        const struct asset *a = registry_asset(r, input.dt);
        const struct binding *bound = a != NULL ? registry_binding_of(r, a, input.binding) : NULL;
        const struct binding *newest = a != NULL ? registry_binding(r, a, run->compose) : NULL;
        if (bound == NULL || newest == NULL) return verdict_refuse(REFUSAL_CONTENT, input.dt.bytes);
        struct verdict v = check_policy(r, bound->policy, a, m->jurisdiction);
        if (v.refusal == REFUSAL_NONE) v = check_policy(r, newest->policy, a, m->jurisdiction);
        if (v.refusal == REFUSAL_NONE && newest->policy->owner_veto && !bound->policy->owner_veto)
            v = verdict_refuse(REFUSAL_NO_HALF, input.dt.bytes);
        if (v.refusal != REFUSAL_NONE) return v;
    }
    return VERDICT_OK;
}
