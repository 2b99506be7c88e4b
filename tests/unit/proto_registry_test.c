/* The registry, rule by rule. A run check, a plan, a node check and a preview are good as the scene comes, and every refusal
 * they can give is produced by one change. Rules of tokens, budgets, revocations and joint decisions follow; the fourteen
 * defects of the model this one makes strict are tests by name (PROTOCOL.md "Records", DESIGN §5). */
#include "proto/certificate.h"
#include "proto/enclave.h"
#include "proto/registry.h"
#include "tests/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static bool seen[REFUSAL_COUNT];

#define REFUSED(expression, why)                                                                             \
    do {                                                                                                     \
        struct verdict refused_v = (expression);                                                             \
        assert_string_equal(refusal_name(refused_v.refusal), refusal_name(why));                             \
    } while (0)
#define ACCEPTED(expression) REFUSED(expression, REFUSAL_NONE)

static struct scene *good_scene(void)
{
    struct scene *s = scene_new(world);
    scene_build(s);
    return s;
}

static struct verdict check(const struct scene *s)
{
    return registry_check_run(s->registry, &s->run, world->node[s->requester].id, s->now_ms);
}

/* --- Run checks: one change, one refusal ------------------------------------------------------------------------------------ */

struct change {
    const char *name;
    enum refusal refusal;
    void (*before)(struct scene *s); /* before the records are made; or */
    void (*after)(struct scene *s);  /* after the registry is built */
    const char *subject; /* whom the refusal names: "owner", "dataset" or NULL when it is not asserted */
};

static void no_charter(struct scene *s)
{
    s->left_out = SCENE_CHARTER;
}
static void no_committee(struct scene *s)
{
    s->left_out = SCENE_COMMITTEE;
}
static void no_workflow(struct scene *s)
{
    s->left_out = SCENE_WORKFLOW | SCENE_JOB;
}
static void no_job(struct scene *s)
{
    s->left_out = SCENE_JOB;
}
static void no_op(struct scene *s)
{
    s->left_out = SCENE_OP;
}
static void no_asset(struct scene *s)
{
    s->left_out = SCENE_ASSET;
}
static void no_binding(struct scene *s)
{
    s->left_out = SCENE_BINDING;
}
static void no_grant(struct scene *s)
{
    s->left_out = SCENE_GRANT;
}
static void no_approval(struct scene *s)
{
    s->left_out = SCENE_APPROVAL;
}
static void two_endorsers(struct scene *s)
{
    s->endorsers = 2;
}
static void other_requester(struct scene *s)
{
    s->requester = WORLD_ALGORITHM;
}
static void wrong_app(struct scene *s)
{
    s->run.app.bytes[0] ^= 1;
}
static void wrong_charter(struct scene *s)
{
    s->run.charter.bytes[0] ^= 1;
}
static void wrong_epoch(struct scene *s)
{
    s->run.epoch = 2;
}
static void wrong_engine(struct scene *s)
{
    s->run.engine = SPAN_LITERAL("other/1");
}
static void no_inputs(struct scene *s)
{
    s->run.inputs.len = 0;
}
static void one_input(struct scene *s)
{
    s->run.inputs.len = RUN_INPUT_BYTES;
}
static void unnamed_input(struct scene *s)
{
    s->inputs[RUN_INPUT_BYTES] ^= 1;
}
static void wrong_content(struct scene *s)
{
    s->inputs[32] ^= 1;
}
static void wrong_manifest(struct scene *s)
{
    s->inputs[64] ^= 1;
}
static void unknown_binding(struct scene *s)
{
    s->inputs[96] ^= 1;
}
static void grant_expired(struct scene *s)
{
    s->grant_expires_ms[0] = s->now_ms;
}
static void grant_slots(struct scene *s)
{
    s->grant[0].slots_max = 0;
}
static void grant_epsilon(struct scene *s)
{
    s->grant[0].epsilon_max--;
}
static void grant_no_op(struct scene *s)
{
    s->grant[0].ops = SPAN_NONE;
}
static void approval_expired(struct scene *s)
{
    s->approval_expires_ms[0] = s->now_ms;
}
static void approval_cheap(struct scene *s)
{
    s->approval[0].cost--;
}
static void approval_other_app(struct scene *s)
{
    s->approval[0].app.bytes[0] ^= 1;
}
static void approval_other_text(struct scene *s)
{
    s->approval[0].text.bytes[31] ^= 1;
}
static void reader_is_stranger(struct scene *s)
{
    memset(s->workflow->reader[0].bytes, 0x5a, 32);
    s->workflow->reader_count = 1;
}
static void slot_not_allotted(struct scene *s)
{
    s->run.slot = 3;
}
static void owner_frozen(struct scene *s)
{
    registry_freeze(s->registry, world->node[0].id, 9000);
}
static void owner_gap(struct scene *s)
{
    registry_gap(s->registry, world->node[0].id, true);
}
static void owner_void(struct scene *s)
{
    registry_void(s->registry, world->node[0].id);
}
static void wrong_schema(struct scene *s)
{
    s->workflow->input[0].schema.bytes[0] ^= 1;
}

/* So that only the requester's own membership is at stake. */
static void other_reader(struct scene *s)
{
    s->workflow->reader[0] = world->node[WORLD_ALGORITHM].id;
    s->workflow->reader_count = 1;
}

static void requester_removed(struct scene *s)
{
    struct body_REMOVAL b = {world->node[WORLD_REQUESTER].id, 1};
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_REMOVAL, &b, 0));
}

static void swapped_inputs(struct scene *s)
{
    uint8_t kept[RUN_INPUT_BYTES];
    memcpy(kept, s->inputs, sizeof kept);
    memcpy(s->inputs, s->inputs + RUN_INPUT_BYTES, RUN_INPUT_BYTES);
    memcpy(s->inputs + RUN_INPUT_BYTES, kept, sizeof kept);
}

static void repeated_input(struct scene *s)
{
    memcpy(s->inputs + RUN_INPUT_BYTES, s->inputs, RUN_INPUT_BYTES);
}

static void too_many_inputs(struct scene *s)
{
    memcpy(s->inputs + (size_t)2 * RUN_INPUT_BYTES, s->inputs, RUN_INPUT_BYTES);
    s->run.inputs.len = (size_t)3 * RUN_INPUT_BYTES;
}

static void op_of_rows(struct scene *s)
{
    s->op->output = SPAN_LITERAL("rows");
}
static void op_of_means(struct scene *s)
{
    scene_template(s, "mean");
}

static void op_of_sql(struct scene *s)
{
    s->op->output = SPAN_LITERAL("rows");
    s->op->runtime = RUNTIME_SQL;
}

static void other_owner(struct scene *s)
{
    s->workflow->input[0].owner = world->node[2].id;
}

static void no_dataset(struct scene *s)
{
    struct ddo *d = s->ddo[0];
    d->type = ASSET_COMPUTE;
    s->left_out = SCENE_BINDING | SCENE_APPROVAL;
}

/* Content bound for another recipe is not bound for this one. */
static void bound_for_another(struct scene *s)
{
    struct body_ASSET body = scene_asset(s, 0, 3, true);
    body.compose.bytes[0] ^= 1;
    const struct record *record = scene_record(s, 0, KIND_ASSET, &body, 0);
    ACCEPTED(registry_apply(s->registry, record));
    memcpy(s->inputs + 96, record->id.bytes, 32);
}

static void revoke(struct scene *s, uint64_t target, const uint8_t *subject)
{
    struct body_REVOCATION b = {.target = target, .approval_signature = SPAN_NONE};
    if (subject != NULL) memcpy(b.subject.bytes, subject, 32);
    ACCEPTED(scene_apply(s, 0, KIND_REVOCATION, &b, 0));
}

static void approval_revoked(struct scene *s)
{
    revoke(s, REVOKE_APPROVAL, s->approval_record[0]->id.bytes);
}
static void compose_revoked(struct scene *s)
{
    revoke(s, REVOKE_COMPOSE, s->workflow->hash.bytes);
}

static const struct change run_changes[] = {
    {"the charter is not decided", REFUSAL_CONSORTIUM_FORMING, no_charter, NULL, NULL},
    {"there is no committee", REFUSAL_CONSORTIUM_FORMING, no_committee, NULL, NULL},
    {"the workflow is not published", REFUSAL_WORKFLOW, no_workflow, NULL, NULL},
    {"a requester it does not name", REFUSAL_REQUESTER, other_requester, NULL, NULL},
    {"a requester who is no member", REFUSAL_NOT_MEMBER, other_reader, requester_removed, NULL},
    {"another app", REFUSAL_APP, NULL, wrong_app, NULL},
    {"another charter", REFUSAL_CHARTER, NULL, wrong_charter, NULL},
    {"another epoch", REFUSAL_CHARTER, NULL, wrong_epoch, NULL},
    {"another engine", REFUSAL_ENGINE, NULL, wrong_engine, NULL},
    {"no job", REFUSAL_NO_JOB, no_job, NULL, NULL},
    {"s-1 endorsements", REFUSAL_NOT_ENDORSED, two_endorsers, NULL, NULL},
    {"the op is not registered", REFUSAL_OP, no_op, NULL, NULL},
    {"the op emits rows", REFUSAL_OUTPUT_TYPE, op_of_rows, NULL, NULL},
    {"the op's template wants a sum and a mean", REFUSAL_TEMPLATE, op_of_means, NULL, NULL},
    {"the op has another runtime", REFUSAL_OUTPUT_TYPE, op_of_sql, NULL, NULL},
    {"no inputs", REFUSAL_INPUTS, NULL, no_inputs, NULL},
    {"an input the workflow does not name", REFUSAL_INPUTS, NULL, unnamed_input, NULL},
    {"inputs in another order", REFUSAL_INPUTS, NULL, swapped_inputs, NULL},
    {"an input twice", REFUSAL_INPUTS, NULL, repeated_input, NULL},
    {"more inputs than the workflow", REFUSAL_INPUTS, NULL, too_many_inputs, NULL},
    {"k-1 owners", REFUSAL_OWNERS, NULL, one_input, NULL},
    {"the owner equivocated", REFUSAL_FROZEN, NULL, owner_frozen, "owner"},
    {"a record of the owner is missing", REFUSAL_GAP, NULL, owner_gap, "owner"},
    {"a revocation of the owner found no place", REFUSAL_REVOKED, NULL, owner_void, "owner"},
    {"the dataset is not registered", REFUSAL_ASSET, no_asset, NULL, "dataset"},
    {"the token is not a dataset", REFUSAL_ASSET, no_dataset, NULL, "dataset"},
    {"the workflow names another owner", REFUSAL_NOT_OWNER, other_owner, NULL, "dataset"},
    {"the workflow names another schema", REFUSAL_SCHEMA, wrong_schema, NULL, "dataset"},
    {"nothing is bound", REFUSAL_CONTENT, no_binding, NULL, "owner"},
    {"bound by an unknown record", REFUSAL_CONTENT, NULL, unknown_binding, "owner"},
    {"bound for another recipe", REFUSAL_CONTENT, NULL, bound_for_another, "owner"},
    {"another content", REFUSAL_CONTENT, NULL, wrong_content, "owner"},
    {"another manifest", REFUSAL_CONTENT, NULL, wrong_manifest, "owner"},
    {"no grant", REFUSAL_NO_GRANT, no_grant, NULL, "owner"},
    {"the grant does not name the op", REFUSAL_GRANT_OP, grant_no_op, NULL, "owner"},
    {"the grant has expired", REFUSAL_GRANT_EXPIRED, grant_expired, NULL, "owner"},
    {"the grant allows fewer slots", REFUSAL_GRANT_LIMIT, grant_slots, NULL, "owner"},
    {"the grant allows less epsilon", REFUSAL_GRANT_LIMIT, grant_epsilon, NULL, "owner"},
    {"no approval", REFUSAL_NO_APPROVAL, no_approval, NULL, "owner"},
    {"the approval has expired", REFUSAL_APPROVAL_EXPIRED, approval_expired, NULL, "owner"},
    {"the approval is revoked", REFUSAL_REVOKED, NULL, approval_revoked, "owner"},
    {"the recipe is revoked", REFUSAL_REVOKED, NULL, compose_revoked, "owner"},
    {"the slot is not allotted", REFUSAL_SLOT_RANGE, NULL, slot_not_allotted, "owner"},
    {"the approval allows less", REFUSAL_COST, approval_cheap, NULL, "owner"},
    {"the approval is for another app", REFUSAL_APP, approval_other_app, NULL, "owner"},
    {"the approval signs another text", REFUSAL_NO_APPROVAL, approval_other_text, NULL, "owner"},
    {"a reader is no member", REFUSAL_NOT_MEMBER, reader_is_stranger, NULL, NULL},
};
enum { RUN_CHANGES = sizeof run_changes / sizeof run_changes[0] };

static void test_run_change(void **state)
{
    const struct change *c = *state;
    struct scene *s = scene_new(world);
    if (c->before != NULL) c->before(s);
    scene_build(s);
    if (c->after != NULL) c->after(s);
    struct verdict v = check(s);
    assert_string_equal(refusal_name(v.refusal), refusal_name(c->refusal));
    if (c->subject != NULL && strcmp(c->subject, "owner") == 0)
        assert_memory_equal(v.subject.bytes, world->node[0].id.bytes, 32);
    if (c->subject != NULL && strcmp(c->subject, "dataset") == 0)
        assert_memory_equal(v.subject.bytes, world->dataset[0].dt.bytes, 32);
    seen[v.refusal] = true;
    scene_free(s);
}

/* What the scene is unless changed, and what registry_run.c can say; whoever adds a refusal there adds a case here. */
static void test_run_refusals_are_complete(void **state)
{
    (void)state;
    static const enum refusal all[] = {REFUSAL_CONSORTIUM_FORMING,
                                       REFUSAL_WORKFLOW,
                                       REFUSAL_REQUESTER,
                                       REFUSAL_NOT_MEMBER,
                                       REFUSAL_APP,
                                       REFUSAL_CHARTER,
                                       REFUSAL_ENGINE,
                                       REFUSAL_NO_JOB,
                                       REFUSAL_NOT_ENDORSED,
                                       REFUSAL_OP,
                                       REFUSAL_OUTPUT_TYPE,
                                       REFUSAL_TEMPLATE,
                                       REFUSAL_INPUTS,
                                       REFUSAL_OWNERS,
                                       REFUSAL_FROZEN,
                                       REFUSAL_GAP,
                                       REFUSAL_REVOKED,
                                       REFUSAL_ASSET,
                                       REFUSAL_NOT_OWNER,
                                       REFUSAL_SCHEMA,
                                       REFUSAL_CONTENT,
                                       REFUSAL_NO_GRANT,
                                       REFUSAL_GRANT_OP,
                                       REFUSAL_GRANT_LIMIT,
                                       REFUSAL_GRANT_EXPIRED,
                                       REFUSAL_NO_APPROVAL,
                                       REFUSAL_SLOT_RANGE,
                                       REFUSAL_COST,
                                       REFUSAL_APPROVAL_EXPIRED};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!seen[all[i]]) fail_msg("no case gives \"%s\"", refusal_name(all[i]));
    struct scene *s = good_scene();
    ACCEPTED(check(s));
    ACCEPTED(registry_check_recipe(s->registry, &s->run));
    ACCEPTED(registry_check_inputs(s->registry, &s->run, s->now_ms));
    scene_free(s);
}

/* --- Plans ------------------------------------------------------------------------------------------------------------------- */

static struct verdict plan_of(struct scene *s, uint64_t slot, struct span datasets, struct body_RUN *out)
{
    static uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    const struct run_wish wish = {s->workflow->hash, slot, datasets};
    return registry_plan_run(s->registry, out, inputs, &wish, world->node[s->requester].id, s->now_ms);
}

static struct verdict plan(struct scene *s, uint64_t slot, struct body_RUN *out)
{
    return plan_of(s, slot, SPAN_NONE, out);
}

/* A run may use some of the inputs: their owners alone are asked, and there must be k of them. */
static void test_plan_of_some(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    struct body_RUN run;
    uint8_t both[64], twice[64], unknown[32];
    s->left_out = SCENE_RUN;
    s->workflow->owners_min = 1;
    s->approval[0].slot_first = s->approval[0].slot_last = 5; /* and of owner 1, slots from 1 on */
    scene_build(s);
    const struct dt first = s->workflow->input[0].dt, second = s->workflow->input[1].dt;
    memcpy(both, second.bytes, 32); /* any order */
    memcpy(both + 32, first.bytes, 32);
    memcpy(twice, second.bytes, 32);
    memcpy(twice + 32, second.bytes, 32);
    memset(unknown, 7, sizeof unknown);
    REFUSED(plan_of(s, 0, SPAN_OF(unknown), &run), REFUSAL_INPUTS);
    REFUSED(plan_of(s, 0, SPAN_OF(twice), &run), REFUSAL_INPUTS);
    REFUSED(plan_of(s, 5, SPAN_OF(both), &run), REFUSAL_SLOT_RANGE);
    struct verdict v = plan_of(s, 0, ID_SPAN(second), &run);
    if (registry_charter(s->registry)->k > 1) {
        REFUSED(v, REFUSAL_OWNERS);
    } else {
        ACCEPTED(v);
    }
    assert_int_equal(run_input_count(&run), 1);
    assert_memory_equal(run_input_at(&run, 0).dt.bytes, second.bytes, 32);
    assert_int_equal(run.slot, 1);
    scene_free(s);
}

static void test_plan(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    struct body_RUN run;
    s->left_out = SCENE_RUN;
    scene_build(s);
    ACCEPTED(plan(s, 0, &run));
    assert_int_equal(run.slot, 1);
    assert_true(span_equal(run.inputs, s->run.inputs));
    assert_true(ID_EQUAL(run.compose, s->run.compose) && ID_EQUAL(run.app, s->run.app) && run.epoch == 1);
    ACCEPTED(plan(s, 2, &run));
    assert_int_equal(run.slot, 2);
    REFUSED(plan(s, 3, &run), REFUSAL_SLOT_RANGE);
    ACCEPTED(registry_apply(s->registry, s->run_record));
    ACCEPTED(plan(s, 0, &run));
    assert_int_equal(run.slot, 2); /* slot 1 is named by a run */
    scene_free(s);
}

/* Owners whose allotments overlap in part: the lowest slot that all of them allot. */
static void test_plan_takes_a_slot_all_allot(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    struct body_RUN run;
    s->approval[0].slot_first = 1;
    s->approval[0].slot_last = 4;
    s->approval[1].slot_first = 3;
    s->approval[1].slot_last = 8;
    s->left_out = SCENE_RUN;
    scene_build(s);
    ACCEPTED(plan(s, 0, &run));
    assert_int_equal(run.slot, 3);
    scene_free(s);
}

static void plan_refused(void (*before)(struct scene *s), enum refusal why)
{
    struct scene *s = scene_new(world);
    struct body_RUN run;
    before(s);
    scene_build(s);
    REFUSED(plan(s, 0, &run), why);
    scene_free(s);
}

static void test_plan_refusals(void **state)
{
    (void)state;
    plan_refused(no_charter, REFUSAL_CONSORTIUM_FORMING);
    plan_refused(no_committee, REFUSAL_CONSORTIUM_FORMING);
    plan_refused(no_workflow, REFUSAL_WORKFLOW);
    plan_refused(no_asset, REFUSAL_ASSET);
    plan_refused(no_binding, REFUSAL_CONTENT);
    plan_refused(no_approval, REFUSAL_NO_APPROVAL);
    plan_refused(other_requester, REFUSAL_REQUESTER);
    struct scene *s = good_scene();
    struct body_RUN run;
    registry_gap(s->registry, world->node[1].id, true);
    REFUSED(plan(s, 0, &run), REFUSAL_GAP);
    registry_gap(s->registry, world->node[1].id, false);
    registry_freeze(s->registry, world->node[1].id, 9000);
    REFUSED(plan(s, 0, &run), REFUSAL_FROZEN);
    scene_free(s);
}

static void test_plan_slot_spent(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_RUN run;
    struct body_RECEIPT receipt = {.run = s->run_id};
    ACCEPTED(plan(s, 1, &run)); /* asked for by name, it may still be had: no run of it has ended */
    assert_null(registry_slot_holder(s->registry, s->run.compose, 1));
    registry_settle(s->registry, s->run_id, scene_record(s, 4, KIND_RECEIPT, &receipt, 0));
    assert_non_null(registry_slot_holder(s->registry, s->run.compose, 1));
    assert_null(registry_slot_holder(s->registry, s->run.compose, 2));
    REFUSED(plan(s, 1, &run), REFUSAL_SLOT_SPENT);
    scene_free(s);
}

/* --- Receipts ------------------------------------------------------------------------------------------------------------------ */

static const struct record *receipt_of(struct scene *s, uint32_t author, uint32_t node)
{
    static uint8_t bytes[2][4096];
    struct buffer certificate = buffer_make(bytes[0], sizeof bytes[0]);
    struct buffer core = buffer_make(bytes[1], sizeof bytes[1]);
    struct certificate elects = world_certificate(world, 1);
    elects.run = s->run_id;
    elects.node = world->node[node].id;
    certificate_encode(&certificate, &elects);
    struct core_receipt facts = {.run = s->run_id,
                                 .term = 1,
                                 .certificate = certificate_hash(buffer_span(&certificate)),
                                 .engine = s->run.engine};
    core_receipt_encode(&core, &facts);
    struct body_RECEIPT body = {
        .run = s->run_id, .core = buffer_span(&core), .certificate = buffer_span(&certificate)};
    return scene_record(s, author, KIND_RECEIPT, &body, 0);
}

static const struct record *settled_by(struct scene *s, const struct record *const *receipt, uint32_t first,
                                       uint32_t second)
{
    struct run_entry *entry = (struct run_entry *)(uintptr_t)registry_run(s->registry, s->run_id);
    entry->receipt = NULL;
    registry_settle(s->registry, s->run_id, receipt[first]);
    registry_settle(s->registry, s->run_id, receipt[second]);
    return entry->receipt;
}

/* Any member may carry the commits in a record of its own, with whatever it likes beside them. */
static void test_receipt_of_the_elected(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    const struct record *receipt[3];
    receipt[0] = receipt_of(s, WORLD_COMPUTE, WORLD_COMPUTE);
    receipt[1] = receipt_of(s, WORLD_ALGORITHM, WORLD_COMPUTE);
    receipt[2] = receipt_of(s, WORLD_REQUESTER, WORLD_COMPUTE);
    uint32_t smaller = memcmp(receipt[1]->id.bytes, receipt[2]->id.bytes, 32) < 0 ? 1 : 2;
    for (uint32_t other = 1; other < 3; other++) {
        assert_ptr_equal(settled_by(s, receipt, 0, other), receipt[0]);
        assert_ptr_equal(settled_by(s, receipt, other, 0), receipt[0]);
        assert_ptr_equal(settled_by(s, receipt, other, 3 - other), receipt[smaller]);
    }
    scene_free(s);
}

/* --- Compute nodes -------------------------------------------------------------------------------------------------------------- */

static struct verdict check_node(struct scene *s, uint32_t node)
{
    return registry_check_node(s->registry, &s->run, world->node[node].id);
}

static void node_refused(void (*before)(struct scene *s), enum refusal why)
{
    struct scene *s = scene_new(world);
    before(s);
    scene_build(s);
    REFUSED(check_node(s, WORLD_COMPUTE), why);
    scene_free(s);
}

static void workflow_elsewhere(struct scene *s)
{
    s->workflow->jurisdiction[0] = SPAN_LITERAL("US");
}
static void policy_no_export(struct scene *s)
{
    s->policy[0].export_to = EXPORT_NONE;
}

static void policy_elsewhere(struct scene *s)
{
    s->policy[0].jurisdiction_count = 1;
    s->policy[0].jurisdiction[0] = SPAN_LITERAL("CH");
}

static void policy_here(struct scene *s)
{
    s->policy[0].jurisdiction_count = 2;
    s->policy[0].jurisdiction[0] = SPAN_LITERAL("CH");
    s->policy[0].jurisdiction[1] = SPAN_LITERAL("EU");
    s->policy[1].export_to = EXPORT_ANY;
}

static void test_node_refusals(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    policy_here(s);
    scene_build(s);
    ACCEPTED(check_node(s, WORLD_COMPUTE));
    REFUSED(check_node(s, WORLD_ALGORITHM), REFUSAL_NOT_COMPUTE);
    struct node_id stranger = {{9}};
    REFUSED(registry_check_node(s->registry, &s->run, stranger), REFUSAL_NOT_COMPUTE);
    s->inputs[96] ^= 1;
    REFUSED(check_node(s, WORLD_COMPUTE), REFUSAL_CONTENT);
    s->inputs[96] ^= 1;
    s->run.compose.bytes[0] ^= 1;
    REFUSED(check_node(s, WORLD_COMPUTE), REFUSAL_WORKFLOW);
    scene_free(s);
    node_refused(workflow_elsewhere, REFUSAL_RESIDENCY);
    node_refused(policy_no_export, REFUSAL_EXPORT);
    node_refused(policy_elsewhere, REFUSAL_RESIDENCY);
}

/* A newer binding with a wider policy does not widen what the run's own content was bound under; a narrower one narrows. */
static void test_node_by_the_pinned_and_the_newest_policy(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    policy_elsewhere(s);
    scene_build(s);
    s->policy[0].jurisdiction_count = 0;
    struct body_ASSET wider = scene_asset(s, 0, 3, true);
    ACCEPTED(scene_apply(s, 0, KIND_ASSET, &wider, 0));
    REFUSED(check_node(s, WORLD_COMPUTE), REFUSAL_RESIDENCY);
    scene_free(s);
    s = good_scene();
    ACCEPTED(check_node(s, WORLD_COMPUTE));
    policy_no_export(s);
    struct body_ASSET narrower = scene_asset(s, 0, 3, true);
    ACCEPTED(scene_apply(s, 0, KIND_ASSET, &narrower, 0));
    REFUSED(check_node(s, WORLD_COMPUTE), REFUSAL_EXPORT);
    scene_free(s);
}

/* --- Budget and slots --------------------------------------------------------------------------------------------------------- */

static struct verdict approve(struct scene *s, uint64_t first, uint64_t last, uint64_t cost)
{
    struct body_APPROVAL b = s->approval[0];
    union body preview;
    b.slot_first = first;
    b.slot_last = last;
    b.cost = cost;
    preview.APPROVAL = b;
    struct verdict previewed = registry_preview(s->registry, world->node[0].id, KIND_APPROVAL, &preview);
    struct verdict applied = scene_apply(s, 0, KIND_APPROVAL, &b, 0);
    assert_int_equal(previewed.refusal, applied.refusal);
    return applied;
}

static uint64_t allotted(const struct scene *s)
{
    return registry_asset(s->registry, world->dataset[0].dt)->allotted;
}

/* The dataset has eight; the scene allots two slots of one. */
static void test_budget_fold(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    uint64_t one = UINT64_C(1000000000);
    assert_true(allotted(s) == 2 * one);
    REFUSED(approve(s, 3, 9, one), REFUSAL_BUDGET); /* seven more: nine */
    assert_true(allotted(s) == 2 * one);
    ACCEPTED(approve(s, 3, 7, one));
    REFUSED(approve(s, 10, 10, one + 1), REFUSAL_BUDGET);
    ACCEPTED(approve(s, 10, 10, one)); /* to the last billionth */
    REFUSED(approve(s, 11, 11, 1), REFUSAL_BUDGET);
    ACCEPTED(approve(s, 12, 12, 0));
    assert_true(allotted(s) == 8 * one);
    scene_free(s);
}

static void test_budget_does_not_overflow(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    REFUSED(approve(s, 10, UINT32_MAX, UINT_TIME), REFUSAL_BUDGET);
    REFUSED(approve(s, 10, 10, UINT_TIME), REFUSAL_BUDGET);
    assert_true(allotted(s) == UINT64_C(2000000000));
    scene_free(s);
}

/* Revoked, expired or voided: what was allotted stays allotted. */
static void test_budget_is_never_given_back(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    uint64_t one = UINT64_C(1000000000);
    approval_revoked(s);
    s->now_ms += 2000000; /* the scene's approvals have expired, too */
    assert_true(allotted(s) == 2 * one);
    REFUSED(approve(s, 3, 9, one), REFUSAL_BUDGET);
    REFUSED(approve(s, 1, 1, one), REFUSAL_OVERLAP);
    scene_free(s);
}

static void test_slot_ranges(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    REFUSED(approve(s, 2, 3, 0), REFUSAL_OVERLAP);
    REFUSED(approve(s, 1, 1, 0), REFUSAL_OVERLAP);
    REFUSED(approve(s, 1, 9, 0), REFUSAL_OVERLAP);
    REFUSED(approve(s, 0, 0, 0), REFUSAL_SLOT_RANGE);
    REFUSED(approve(s, 5, 4, 0), REFUSAL_SLOT_RANGE);
    ACCEPTED(approve(s, 3, 3, 0));
    struct body_APPROVAL other = s->approval[0];
    other.compose.bytes[0] ^= 1; /* the same numbers of another recipe */
    ACCEPTED(scene_apply(s, 0, KIND_APPROVAL, &other, 0));
    scene_free(s);
}

static void test_approval_of_what_is_not_ones_own(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_APPROVAL b = s->approval[1];
    REFUSED(scene_apply(s, 0, KIND_APPROVAL, &b, 0), REFUSAL_NOT_OWNER);
    b.dataset.bytes[0] ^= 1;
    REFUSED(scene_apply(s, 0, KIND_APPROVAL, &b, 0), REFUSAL_NOT_OWNER);
    b = s->approval[0];
    b.dataset = world->app;
    REFUSED(scene_apply(s, WORLD_ALGORITHM, KIND_APPROVAL, &b, 0), REFUSAL_ASSET);
    b = s->approval[0];
    b.slot_first = b.slot_last = 5;
    b.cost = 0;
    b.delta = 1; /* a pure-epsilon ledger has none */
    REFUSED(scene_apply(s, 0, KIND_APPROVAL, &b, 0), REFUSAL_COST);
    scene_free(s);
}

static void test_approval_preview(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    union body b = {.APPROVAL = s->approval[0]};
    b.APPROVAL.slot_first = b.APPROVAL.slot_last = 3;
    ACCEPTED(registry_preview(s->registry, world->node[0].id, KIND_APPROVAL, &b));
    b.APPROVAL.app.bytes[0] ^= 1;
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_APPROVAL, &b), REFUSAL_APP);
    b.APPROVAL.compose.bytes[0] ^= 1;
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_APPROVAL, &b), REFUSAL_WORKFLOW);
    registry_freeze(s->registry, world->node[0].id, 9000);
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_APPROVAL, &b), REFUSAL_FROZEN);
    scene_free(s);
}

/* --- Revocations ----------------------------------------------------------------------------------------------------------------- */

/* `offset` places further than owner 0's approval. */
static struct verdict after_revocation(uint64_t target, const uint8_t *subject, int offset)
{
    struct scene *s = good_scene();
    struct body_REVOCATION b = {.target = target, .approval_signature = SPAN_NONE};
    if (subject != NULL) memcpy(b.subject.bytes, subject, 32);
    if (target == REVOKE_APPROVAL && subject == NULL)
        memcpy(b.subject.bytes, s->approval_record[0]->id.bytes, 32);
    if (target == REVOKE_COMPOSE && subject == NULL) memcpy(b.subject.bytes, s->workflow->hash.bytes, 32);
    uint64_t seq = s->approval_record[0]->header.seq + (uint64_t)(int64_t)offset;
    ACCEPTED(registry_apply(s->registry,
                            scene_record_at(s, world->node[0].id, seq, KIND_REVOCATION, &b, s->now_ms - 1)));
    struct verdict v = check(s);
    scene_free(s);
    return v;
}

/* An expiry (it has passed) does not end a revocation. */
static void test_revocation_covers(void **state)
{
    (void)state;
    uint8_t other[32] = {1};
    const uint8_t *dataset = world->dataset[0].dt.bytes;
    REFUSED(after_revocation(REVOKE_ALL, NULL, 50),
            REFUSAL_NO_GRANT); /* of the grant, too, which is asked first */
    REFUSED(after_revocation(REVOKE_DATASET, dataset, 50), REFUSAL_NO_GRANT);
    REFUSED(after_revocation(REVOKE_APPROVAL, NULL, 50), REFUSAL_REVOKED);
    REFUSED(after_revocation(REVOKE_COMPOSE, NULL, 50), REFUSAL_REVOKED);
    ACCEPTED(after_revocation(REVOKE_APPROVAL, other, 50));
    ACCEPTED(after_revocation(REVOKE_COMPOSE, other, 50));
    ACCEPTED(after_revocation(REVOKE_DATASET, world->dataset[1].dt.bytes, 50));
}

/* What comes later in the chain is not covered by what was revoked before it. */
static void test_revocation_reaches_back_only(void **state)
{
    (void)state;
    REFUSED(after_revocation(REVOKE_COMPOSE, NULL, 1), REFUSAL_REVOKED);
    ACCEPTED(after_revocation(REVOKE_COMPOSE, NULL, -1));
    ACCEPTED(after_revocation(REVOKE_ALL, NULL, -3));
    REFUSED(after_revocation(REVOKE_ALL, NULL, -1), REFUSAL_NO_GRANT); /* between grant and approval */
}

/* A new approval after a revocation lives, in slots of its own. */
static void test_approval_after_revocation(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    compose_revoked(s);
    ACCEPTED(approve(s, 3, 3, UINT64_C(1000000000)));
    REFUSED(check(s), REFUSAL_REVOKED);
    s->run.slot = 3;
    REFUSED(check(s), REFUSAL_SLOT_RANGE); /* owner 1 allots two slots */
    struct approval_view v = registry_approval(s->registry, registry_asset(s->registry, world->dataset[0].dt),
                                               s->run.compose, 3, s->now_ms);
    assert_true(v.approval != NULL && !v.revoked && !v.expired);
    scene_free(s);
}

static void test_revocation_of_another_owner(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_REVOCATION b = {.target = REVOKE_ALL, .approval_signature = SPAN_NONE};
    ACCEPTED(scene_apply(s, 2, KIND_REVOCATION, &b, 0));
    memcpy(b.subject.bytes, s->approval_record[0]->id.bytes, 32);
    b.target = REVOKE_APPROVAL;
    ACCEPTED(scene_apply(s, 1, KIND_REVOCATION, &b, 0));
    ACCEPTED(check(s));
    scene_free(s);
}

/* --- Standing: freezes, gaps, removals -------------------------------------------------------------------------------------------- */

static void test_freeze_voids_and_rolls_back(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    s->ddo[0]->description = SPAN_LITERAL("newer");
    struct body_ASSET body = scene_asset(s, 0, 3, false);
    const struct record *newer = scene_record(s, 0, KIND_ASSET, &body, 0);
    ACCEPTED(registry_apply(s->registry, newer));
    const struct asset *a = registry_asset(s->registry, world->dataset[0].dt);
    assert_int_equal(a->version, 3);
    assert_true(span_equal_text(a->ddo->description, "newer"));
    registry_freeze(s->registry, world->node[0].id, newer->header.seq);
    assert_int_equal(a->version, 2);
    assert_false(span_equal_text(a->ddo->description, "newer"));
    assert_false(registry_counts(s->registry, newer));
    assert_true(registry_counts(s->registry, s->approval_record[0]));
    struct approval_view v = registry_approval(s->registry, a, s->run.compose, 1, s->now_ms);
    assert_true(v.approval != NULL && v.revoked);
    assert_null(registry_grant(s->registry, a->dt, world->app, s->now_ms));
    REFUSED(scene_apply(s, 0, KIND_ASSET, &body, 0), REFUSAL_FROZEN);
    registry_freeze(s->registry, world->node[0].id, 50); /* a lower fork shows up: nothing of it ever was */
    assert_null(registry_asset(s->registry, world->dataset[0].dt));
    registry_freeze(s->registry, world->node[0].id, 9000);
    assert_null(registry_asset(s->registry, world->dataset[0].dt));
    scene_free(s);
}

static void test_gap_suspends_and_closes(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    registry_gap(s->registry, world->node[0].id, true);
    registry_gap(s->registry, world->node[0].id, true);
    const struct asset *a = registry_asset(s->registry, world->dataset[0].dt);
    assert_non_null(a); /* nothing could have taken it back */
    assert_null(registry_approval(s->registry, a, s->run.compose, 0, s->now_ms).approval);
    assert_null(registry_grant(s->registry, a->dt, world->app, s->now_ms));
    assert_non_null(registry_charter(s->registry)); /* though owner 0 is one of the stewards it needs */
    REFUSED(check(s), REFUSAL_GAP);
    registry_gap(s->registry, world->node[0].id, false);
    ACCEPTED(check(s));
    scene_free(s);
}

static struct verdict remove_member(struct scene *s, uint32_t steward, uint32_t node, uint64_t last_seq)
{
    struct body_REMOVAL b = {world->node[node].id, last_seq};
    return scene_apply(s, steward, KIND_REMOVAL, &b, 0);
}

static void test_removal(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct node_id requester = world->node[WORLD_REQUESTER].id;
    for (uint32_t i = 0; i < 2; i++) {
        ACCEPTED(remove_member(s, i, WORLD_REQUESTER, s->run_record->header.seq - 1));
        assert_non_null(registry_member(s->registry, requester)); /* s-1 stewards */
    }
    ACCEPTED(remove_member(s, 2, WORLD_REQUESTER, s->run_record->header.seq - 1));
    assert_null(registry_member(s->registry, requester));
    assert_true(registry_may_write(s->registry, requester)); /* what it signed before must still be had */
    assert_false(registry_counts(s->registry, s->run_record));
    REFUSED(registry_check_record(s->registry, s->run_record), REFUSAL_NOT_MEMBER);
    REFUSED(check(s), REFUSAL_NOT_MEMBER);
    for (uint32_t i = 0; registry_member_at(s->registry, i) != NULL; i++)
        assert_false(ID_EQUAL(registry_member_at(s->registry, i)->node, requester));
    scene_free(s);
}

/* A member's removal voids its grants and approvals, also those at or below its last seq. */
static void test_removal_voids_approvals(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct compose_hash compose = {{0}};
    struct dt none = {{0}};
    assert_false(registry_revoked(s->registry, s->job_record, compose, none));
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(remove_member(s, i, WORLD_ALGORITHM, 1000));
    assert_true(registry_counts(s->registry, s->job_record));
    assert_true(registry_revoked(s->registry, s->job_record, compose, none));
    scene_free(s);
}

/* A removal is negative: a steward's voice for it counts whatever else of that steward is missing; not what it said after
 * it equivocated. Of two voices of one steward the earlier stands, whichever came first. */
static void test_removal_acts_whatever_is_missing(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct node_id requester = world->node[WORLD_REQUESTER].id;
    struct body_REMOVAL b = {requester, 1};
    const struct record *early = scene_record(s, 0, KIND_REMOVAL, &b, 0);
    ACCEPTED(scene_apply(s, 0, KIND_REMOVAL, &b, 0));
    for (uint32_t i = 1; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_REMOVAL, &b, 0));
    registry_gap(s->registry, world->node[0].id, true);
    assert_null(registry_member(s->registry, requester));
    registry_freeze(s->registry, world->node[0].id, early->header.seq + 1);
    assert_non_null(
        registry_member(s->registry, requester)); /* the requester is a member again, with two against it */
    ACCEPTED(registry_apply(s->registry, early));
    assert_null(registry_member(s->registry, requester));
    scene_free(s);
}

static void test_removal_of_the_seated_is_refused(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    REFUSED(remove_member(s, 0, 3, 1), REFUSAL_CHARTER);
    union body b = {.REMOVAL = {world->node[3].id, 1}};
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_REMOVAL, &b), REFUSAL_CHARTER);
    b.REMOVAL.node = world->node[WORLD_COMPUTE].id;
    ACCEPTED(registry_preview(s->registry, world->node[0].id, KIND_REMOVAL, &b));
    REFUSED(registry_preview(s->registry, world->node[WORLD_COMPUTE].id, KIND_REMOVAL, &b),
            REFUSAL_NOT_MEMBER);
    scene_free(s);
}

/* --- Joint decisions ---------------------------------------------------------------------------------------------------------------- */

static struct body_MEMBER late_member(uint8_t number, const char *organisation)
{
    struct body_MEMBER b = {.organisation = span_text(organisation),
                            .jurisdiction = SPAN_LITERAL("EU"),
                            .roles = ROLE_COMPUTE,
                            .platforms = SPAN_LITERAL("")};
    memset(b.node.bytes, number, 32);
    b.approval = b.node;
    return b;
}

static void test_joint_needs_s(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_MEMBER b = late_member(0xd1, "late");
    for (uint32_t i = 0; i < 3; i++) {
        assert_null(registry_member(s->registry, b.node));
        assert_false(registry_may_write(s->registry, b.node));
        ACCEPTED(scene_apply(s, i, KIND_MEMBER, &b, 0));
    }
    const struct member *m = registry_member(s->registry, b.node);
    assert_non_null(m);
    assert_true(m->roles == ROLE_COMPUTE && span_equal_text(m->organisation, "late"));
    assert_int_equal(tally_count(s->registry, m->tally), 3);
    assert_int_equal(tally_needed(s->registry, m->tally), 3);
    ACCEPTED(scene_apply(s, 3, KIND_MEMBER, &b, 0));
    assert_int_equal(tally_count(s->registry, m->tally), 4);
    scene_free(s);
}

static void test_joint_counts_an_author_once(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_MEMBER b = late_member(0xd1, "late");
    for (uint32_t i = 0; i < 6; i++) ACCEPTED(scene_apply(s, i % 2, KIND_MEMBER, &b, 0));
    assert_null(registry_member(s->registry, b.node));
    struct body_MEMBER other = late_member(0xd1, "another"); /* other bytes, another decision */
    ACCEPTED(scene_apply(s, 2, KIND_MEMBER, &other, 0));
    assert_null(registry_member(s->registry, b.node));
    scene_free(s);
}

static void test_joint_only_by_the_eligible(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_MEMBER b = late_member(0xd1, "late");
    for (uint32_t i = WORLD_COMPUTE; i < WORLD_NODES; i++)
        REFUSED(scene_apply(s, i, KIND_MEMBER, &b, 0), REFUSAL_NOT_MEMBER);
    for (uint32_t i = 0; i < 40; i++) { /* more than a tally holds: they take no place in it */
        struct node_id nobody = {{(uint8_t)(i + 1), 7}};
        REFUSED(registry_apply(s->registry, scene_record_at(s, nobody, 1, KIND_MEMBER, &b, 0)),
                REFUSAL_NOT_MEMBER);
    }
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, &b, 0));
    assert_non_null(registry_member(s->registry, b.node));
    scene_free(s);
}

static void test_joint_loses_a_frozen_author(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_MEMBER b = late_member(0xd1, "late");
    const struct record *third = scene_record(s, 2, KIND_MEMBER, &b, 0);
    for (uint32_t i = 0; i < 2; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, &b, 0));
    ACCEPTED(registry_apply(s->registry, third));
    assert_non_null(registry_member(s->registry, b.node));
    registry_freeze(s->registry, world->node[2].id, third->header.seq + 1);
    assert_non_null(registry_member(s->registry, b.node));
    registry_freeze(s->registry, world->node[2].id, third->header.seq);
    assert_null(registry_member(s->registry, b.node));
    assert_true(registry_may_write(s->registry, b.node)); /* its revocations are kept meanwhile */
    ACCEPTED(scene_apply(s, 3, KIND_MEMBER, &b, 0));
    assert_non_null(registry_member(s->registry, b.node));
    scene_free(s);
}

/* One kind's body can be another's, too: an op record with a job's id for a document must not stand in an endorsement's way. */
static void test_joint_by_kind_and_body(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->endorsers = 0;
    scene_build(s);
    struct body_OP op = {ID_SPAN(s->job_record->id), SPAN_NONE};
    struct body_ENDORSEMENT endorsement = {s->job_record->id};
    REFUSED(scene_apply(s, 3, KIND_OP, &op, 0), REFUSAL_MALFORMED);
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_ENDORSEMENT, &endorsement, 0));
    assert_int_equal(registry_endorsements(s->registry, registry_job(s->registry, s->run.compose)), 3);
    ACCEPTED(check(s));
    scene_free(s);
}

static void test_member_smallest_body(void **state)
{
    (void)state;
    struct node_id node = late_member(0xd1, "").node;
    struct span first = SPAN_NONE;
    for (uint32_t order = 0; order < 2; order++) {
        struct scene *s = good_scene();
        for (uint32_t i = 0; i < 6; i++) {
            bool second = (i >= 3) != (order == 1);
            struct body_MEMBER b = late_member(0xd1, second ? "late" : "later");
            ACCEPTED(scene_apply(s, i % 3, KIND_MEMBER, &b, 0));
        }
        const struct member *m = registry_member(s->registry, node);
        assert_non_null(m);
        if (order == 0)
            first = span_equal_text(m->organisation, "late") ? SPAN_LITERAL("late") : SPAN_LITERAL("later");
        else
            assert_true(span_equal(m->organisation, first));
        scene_free(s);
    }
}

static void test_no_seat_by_admission(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    union body b = {.MEMBER = late_member(0xd1, "late")};
    b.MEMBER.roles |= ROLE_STEWARD;
    REFUSED(scene_apply(s, 0, KIND_MEMBER, &b.MEMBER, 0), REFUSAL_MALFORMED);
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_MEMBER, &b), REFUSAL_MALFORMED);
    b.MEMBER.roles = ROLE_CUSTODIAN;
    REFUSED(scene_apply(s, 0, KIND_MEMBER, &b.MEMBER, 0), REFUSAL_MALFORMED);
    scene_free(s);
}

/* Who has gone is nobody: records of a member whose admission no longer holds count nowhere. */
static void test_records_of_no_member(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_MEMBER b = late_member(0xd1, "late");
    const struct record *run = scene_record_at(s, b.node, 1, KIND_RUN, &s->run, 0);
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, &b, 0));
    ACCEPTED(registry_apply(s->registry, run));
    assert_true(registry_counts(s->registry, run));
    registry_freeze(s->registry, world->node[0].id, 100);
    assert_false(registry_counts(s->registry, run));
    REFUSED(registry_check_record(s->registry, run), REFUSAL_NOT_MEMBER);
    scene_free(s);
}

/* All but f of them: f may equivocate, each of the others has checked all n certificate signatures. */
static void test_committee_needs_all_but_f(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    uint32_t count = 0;
    s->left_out = SCENE_COMMITTEE;
    scene_build(s);
    for (uint32_t i = 0; i < world->record_count; i++) {
        if (world->record[i]->header.kind != KIND_COMMITTEE) continue;
        assert_int_equal(registry_committee(s->registry) != NULL, count >= 3);
        ACCEPTED(registry_apply(s->registry, world->record[i]));
        count++;
    }
    assert_int_equal(count, 4);
    registry_freeze(s->registry, world->node[3].id, 1);
    assert_non_null(registry_committee(s->registry));
    registry_freeze(s->registry, world->node[2].id, 2);
    assert_null(registry_committee(s->registry));
    scene_free(s);
}

/* Decided by all, and still no committee: shares for another number of custodians, another charter, another epoch. */
static void test_committee_shape(void **state)
{
    (void)state;
    union body b;
    for (uint32_t i = 0; i < world->record_count; i++)
        if (world->record[i]->header.kind == KIND_COMMITTEE)
            assert_int_equal(body_decode(&b, KIND_COMMITTEE, world->record[i]->body), OK);
    for (uint32_t bend = 0; bend < 5; bend++) {
        struct scene *s = scene_new(world);
        struct body_COMMITTEE body = b.COMMITTEE;
        s->left_out = SCENE_COMMITTEE;
        scene_build(s);
        if (bend == 1) body.epoch = 2;
        if (bend == 2) body.charter.bytes[0] ^= 1;
        if (bend == 3) body.shares_a.len -= 32;
        if (bend == 4) body.signatures_b.len -= 64;
        for (uint32_t i = 0; i < 4; i++) ACCEPTED(scene_apply(s, i, KIND_COMMITTEE, &body, 0));
        assert_int_equal(registry_committee(s->registry) != NULL, bend == 0);
        scene_free(s);
    }
}

static void test_workers(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct hash32 other = {{1}};
    assert_true(registry_worker(s->registry, SPAN_LITERAL("default"), world->measurement));
    assert_false(registry_worker(s->registry, SPAN_LITERAL("default"), other));
    assert_false(registry_worker(s->registry, SPAN_LITERAL("spare"), world->measurement));
    struct body_WORKERS b = {SPAN_LITERAL("spare"), ID_SPAN(other)};
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(registry_worker(s->registry, SPAN_LITERAL("spare"), other));
        ACCEPTED(scene_apply(s, i, KIND_WORKERS, &b, 0));
    }
    assert_true(registry_worker(s->registry, SPAN_LITERAL("spare"), other));
    scene_free(s);
}

/* --- Tokens -------------------------------------------------------------------------------------------------------------------------- */

static struct verdict asset_twice(struct scene *s, const struct body_ASSET *body, uint32_t node)
{
    union body b = {.ASSET = *body};
    struct verdict previewed = registry_preview(s->registry, world->node[node].id, KIND_ASSET, &b);
    struct verdict applied = scene_apply(s, node, KIND_ASSET, body, 0);
    assert_int_equal(previewed.refusal, applied.refusal);
    return applied;
}

static void test_asset_versions(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_ASSET b = scene_asset(s, 0, 2, false);
    REFUSED(asset_twice(s, &b, 0), REFUSAL_EXISTS);
    b.version = 4;
    REFUSED(asset_twice(s, &b, 0), REFUSAL_EXISTS);
    b.version = 3;
    REFUSED(asset_twice(s, &b, 1), REFUSAL_NOT_OWNER);
    b.ddo.len--;
    REFUSED(asset_twice(s, &b, 0), REFUSAL_MALFORMED);
    b = scene_asset(s, 0, 3, false);
    ACCEPTED(asset_twice(s, &b, 0));
    assert_int_equal(registry_asset(s->registry, b.dt)->version, 3);
    scene_free(s);
}

/* What others rely on stays: budget, currency, schema, unit, kind of token. */
static void test_asset_keeps_its_facts(void **state)
{
    (void)state;
    for (uint32_t bend = 0; bend < 6; bend++) {
        struct scene *s = good_scene();
        struct ddo *d = s->ddo[0];
        if (bend == 0) d->budget++;
        if (bend == 1) d->currency = CURRENCY_ZCDP;
        if (bend == 2) d->schema.column[1].name = SPAN_LITERAL("ages");
        if (bend == 3) d->unit_column = SPAN_LITERAL("");
        if (bend == 4) d->type = ASSET_COMPUTE;
        if (bend == 5) d->description = SPAN_LITERAL("may change");
        struct body_ASSET b = scene_asset(s, 0, 3, false);
        struct verdict v = asset_twice(s, &b, 0);
        static const enum refusal expected[6] = {REFUSAL_SCHEMA, REFUSAL_MALFORMED, REFUSAL_SCHEMA,
                                                 REFUSAL_SCHEMA, REFUSAL_ASSET,     REFUSAL_NONE};
        assert_int_equal(v.refusal, expected[bend]);
        scene_free(s);
    }
}

/* A refused asset record changes nothing: its version is still to be had. */
static void test_asset_is_all_or_nothing(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_ASSET b = scene_asset(s, 0, 3, true);
    b.policy = SPAN_LITERAL("{}");
    REFUSED(asset_twice(s, &b, 0), REFUSAL_MALFORMED);
    assert_int_equal(registry_asset(s->registry, b.dt)->version, 2);
    b = scene_asset(s, 0, 3, true);
    b.workflow = world->workflow; /* a dataset publishes none */
    REFUSED(asset_twice(s, &b, 0), REFUSAL_ASSET);
    assert_int_equal(registry_asset(s->registry, b.dt)->version, 2);
    b = scene_asset(s, 0, 3, true);
    ACCEPTED(asset_twice(s, &b, 0));
    const struct asset *a = registry_asset(s->registry, b.dt);
    assert_true(registry_binding(s->registry, a, s->run.compose) !=
                registry_binding_of(s->registry, a, s->binding[0]->id));
    ACCEPTED(check(s)); /* the run keeps the content it pinned */
    scene_free(s);
}

static void test_asset_registration(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->left_out = SCENE_ASSET;
    scene_build(s);
    struct body_ASSET b = scene_asset(s, 0, 1, false);
    b.version = 2;
    REFUSED(asset_twice(s, &b, 0), REFUSAL_ASSET);
    b.version = 1;
    b.salt.bytes[0] ^= 1;
    REFUSED(asset_twice(s, &b, 0), REFUSAL_NOT_OWNER);
    b.salt.bytes[0] ^= 1;
    REFUSED(asset_twice(s, &b, 1), REFUSAL_NOT_OWNER);
    ACCEPTED(asset_twice(s, &b, 0));
    scene_free(s);
}

static struct verdict publish(struct scene *s, struct span workflow)
{
    union body first;
    const struct asset *a = registry_asset(s->registry, world->app);
    assert_int_equal(body_decode(&first, KIND_ASSET, a->record->body), OK);
    struct body_ASSET b = first.ASSET;
    b.version = a->version + 1;
    b.workflow = workflow;
    return asset_twice(s, &b, WORLD_ALGORITHM);
}

static void test_workflow_publication(void **state)
{
    (void)state;
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct buffer out = BUFFER_OF(bytes);
    struct scene *s = good_scene();
    REFUSED(publish(s, SPAN_LITERAL("{}")), REFUSAL_MALFORMED);
    s->workflow->app_id.bytes[0] ^= 1;
    assert_int_equal(workflow_write(&out, s->workflow), OK);
    REFUSED(publish(s, buffer_span(&out)), REFUSAL_APP);
    s->workflow->app_id.bytes[0] ^= 1;
    s->workflow->description = SPAN_LITERAL("another");
    out.len = 0;
    assert_int_equal(workflow_write(&out, s->workflow), OK);
    ACCEPTED(publish(s, buffer_span(&out)));
    ACCEPTED(publish(s, buffer_span(&out))); /* the same again is the same */
    struct hash32 hash = sha256(buffer_span(&out));
    struct compose_hash compose;
    memcpy(compose.bytes, hash.bytes, 32);
    const struct published *p = registry_workflow(s->registry, compose);
    assert_true(p != NULL && ID_EQUAL(p->provider, world->node[WORLD_ALGORITHM].id));
    scene_free(s);
}

/* Content is a dataset's. */
static void test_algorithms_bind_no_content(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    union body first;
    const struct asset *a = registry_asset(s->registry, world->app);
    assert_int_equal(body_decode(&first, KIND_ASSET, a->record->body), OK);
    struct body_ASSET bound = scene_asset(s, 0, 2, true), b = first.ASSET;
    b.version = a->version + 1;
    b.workflow = SPAN_LITERAL("");
    b.content = bound.content;
    b.policy = bound.policy;
    REFUSED(asset_twice(s, &b, WORLD_ALGORITHM), REFUSAL_ASSET);
    scene_free(s);
}

static void test_job_preview(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    union body b = {.JOB = s->job};
    ACCEPTED(registry_preview(s->registry, world->node[WORLD_ALGORITHM].id, KIND_JOB, &b));
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_JOB, &b), REFUSAL_NOT_OWNER);
    b.JOB.compose.bytes[0] ^= 1;
    REFUSED(registry_preview(s->registry, world->node[WORLD_ALGORITHM].id, KIND_JOB, &b), REFUSAL_WORKFLOW);
    scene_free(s);
}

/* A job of somebody else over this workflow is none, however well endorsed. */
static void test_job_of_the_provider_only(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->left_out = SCENE_JOB;
    scene_build(s);
    s->job.compose = s->workflow->hash;
    const struct record *job = scene_record(s, WORLD_COMPUTE, KIND_JOB, &s->job, 0);
    struct body_ENDORSEMENT e = {job->id};
    ACCEPTED(registry_apply(s->registry, job));
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_ENDORSEMENT, &e, 0));
    REFUSED(check(s), REFUSAL_NO_JOB);
    scene_free(s);
}

static void test_forming_preview(void **state)
{
    (void)state;
    struct registry *r;
    struct arena *arena = world_arena(world);
    union body b = {.WORKERS = {SPAN_LITERAL("default"), SPAN_NONE}};
    assert_int_equal(registry_new(&r, arena, world->consortium, SPAN_NONE), OK);
    REFUSED(registry_preview(r, world->node[0].id, KIND_WORKERS, &b), REFUSAL_CONSORTIUM_FORMING);
    assert_false(registry_may_write(r, world->node[0].id));
    world_arena_free(arena);
    struct consortium_id other = world->consortium;
    other.bytes[0] ^= 1;
    arena = world_arena(world);
    assert_int_equal(registry_new(&r, arena, other, world->charter), ERR_HASH);
    world_arena_free(arena);
}

static void test_charter_of_another_consortium(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_CHARTER b = {SPAN_LITERAL("{}")};
    REFUSED(scene_apply(s, 0, KIND_CHARTER, &b, 0), REFUSAL_CHARTER);
    scene_free(s);
}

static void test_run_records(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_RUN b = s->run;
    b.slot = 0;
    REFUSED(scene_apply(s, WORLD_REQUESTER, KIND_RUN, &b, 0), REFUSAL_MALFORMED);
    b = s->run;
    b.inputs.len--;
    REFUSED(scene_apply(s, WORLD_REQUESTER, KIND_RUN, &b, 0), REFUSAL_MALFORMED);
    b.inputs.len = 0;
    REFUSED(scene_apply(s, WORLD_REQUESTER, KIND_RUN, &b, 0), REFUSAL_MALFORMED);
    scene_free(s);
}

/* One member can fill its own part of a table, and nobody else's. */
static void test_no_author_fills_a_table(void **state)
{
    (void)state;
    static struct record junk[CAP_RUNS / 4 + 1];
    static uint8_t bytes[CAP_BODY_BYTES];
    struct scene *s = good_scene();
    struct buffer b = BUFFER_OF(bytes);
    struct body_RUN run = s->run;
    union body preview = {.RUN = run};
    uint32_t full = 0;
    body_encode(&b, KIND_RUN, &run);
    for (uint32_t i = 0; i < CAP_RUNS / 4 + 1; i++) {
        junk[i] =
            (struct record){.header = {.kind = KIND_RUN, .author = world->node[WORLD_ALGORITHM].id, .seq = 1},
                            .body = buffer_span(&b),
                            .body_known = true};
        store_u64(junk[i].id.bytes, i + 1);
        full += registry_apply(s->registry, &junk[i]).refusal == REFUSAL_FULL;
    }
    assert_int_equal(full, 1);
    REFUSED(registry_preview(s->registry, world->node[WORLD_ALGORITHM].id, KIND_RUN, &preview), REFUSAL_FULL);
    ACCEPTED(scene_apply(s, WORLD_REQUESTER, KIND_RUN, &run, 0));
    scene_free(s);
}

/* An expiry nobody looks at would be outlived by its record: such a record has no effect. */
static void test_expiry_only_where_it_is_kept(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_MEMBER b = late_member(0xd1, "late");
    for (uint32_t i = 0; i < 4; i++)
        REFUSED(scene_apply(s, i, KIND_MEMBER, &b, s->now_ms + 1), REFUSAL_MALFORMED);
    assert_null(registry_member(s->registry, b.node));
    assert_false(registry_may_expire(KIND_ASSET) || registry_may_expire(KIND_JOB));
    assert_true(registry_may_expire(KIND_GRANT) && registry_may_expire(KIND_APPROVAL) &&
                registry_may_expire(KIND_RUN));
    scene_free(s);
}

/* --- Grants ---------------------------------------------------------------------------------------------------------------------------- */

static void test_grant_refusals(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_GRANT b = s->grant[1];
    union body preview = {.GRANT = b};
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_NOT_OWNER);
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_GRANT, &preview), REFUSAL_NOT_OWNER);
    b = s->grant[0];
    b.lower.bytes[0] ^= 1;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_NOT_OWNER);
    b = s->grant[0];
    b.service = 1; /* the dataset offers one service, number 0 */
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_MALFORMED);
    preview.GRANT = s->grant[0];
    preview.GRANT.higher.bytes[0] ^= 1;
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_GRANT, &preview), REFUSAL_ASSET);
    ACCEPTED(scene_apply(s, 0, KIND_GRANT, &preview.GRANT, 0)); /* the higher token may arrive later */
    scene_free(s);
}

/* The newest live grant is the one that holds. */
static void test_grant_newest(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct body_GRANT b = s->grant[0];
    b.ops = SPAN_NONE;
    const struct record *narrower = scene_record(s, 0, KIND_GRANT, &b, s->now_ms + 10);
    ACCEPTED(registry_apply(s->registry, narrower));
    REFUSED(check(s), REFUSAL_GRANT_OP);
    s->now_ms += 10; /* it has expired: the older one holds again */
    ACCEPTED(check(s));
    s->now_ms -= 10;
    revoke(s, REVOKE_APPROVAL, narrower->id.bytes); /* revoked by its record's id, as an approval is */
    ACCEPTED(check(s));
    scene_free(s);
}

/* --- The fourteen defects of the original model, those that can occur here --------------------------------------------------------- */

/* 1. A missing grant must stop what depends on it, and inputs come from the recipe, not from the caller. */
static void defect_01_missing_grant_activates_nothing(void **state)
{
    (void)state;
    for (uint32_t owner = 0; owner < 2; owner++) {
        struct scene *s = good_scene();
        revoke(s, REVOKE_DATASET, world->dataset[0].dt.bytes);
        REFUSED(check(s), REFUSAL_NO_GRANT);
        scene_free(s);
    }
    struct scene *s = good_scene();
    unnamed_input(s);
    REFUSED(check(s), REFUSAL_INPUTS);
    scene_free(s);
}

/* 2. An op is the hash of its document: other code is another op, which nobody registered or granted. */
static void defect_02_op_is_its_code(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    struct buffer out = BUFFER_OF(bytes);
    struct scene *s = good_scene();
    struct hash32 before = s->op->hash;
    s->op->code.bytes[0] ^= 1;
    assert_int_equal(op_write(&out, s->op), OK);
    struct hash32 after = sha256(buffer_span(&out));
    assert_false(ID_EQUAL(before, after));
    assert_non_null(registry_op(s->registry, before));
    assert_null(registry_op(s->registry, after));
    struct body_OP op = {buffer_span(&out),
                         s->op->code_bytes}; /* a document that names other code than comes with it */
    REFUSED(scene_apply(s, 0, KIND_OP, &op, 0), REFUSAL_MALFORMED);
    assert_true(span_equal(registry_op(s->registry, before)->code_bytes, s->op->code_bytes));
    scene_free(s);
}

/* 3. Every input and every step is checked, not only the first. */
static void defect_03_the_last_input_is_checked(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->grant[1].ops = SPAN_NONE;
    scene_build(s);
    struct verdict v = check(s);
    assert_int_equal(v.refusal, REFUSAL_GRANT_OP);
    assert_memory_equal(v.subject.bytes, world->node[1].id.bytes, 32);
    scene_free(s);
}

/* 4. A bound of zero is a bound. */
static void defect_04_zero_is_a_value(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->grant[0].epsilon_max = 0;
    scene_build(s);
    REFUSED(check(s), REFUSAL_GRANT_LIMIT);
    scene_free(s);
    s = scene_new(world);
    s->approval[0].cost = 0;
    scene_build(s);
    REFUSED(check(s), REFUSAL_COST);
    scene_free(s);
}

/* 5. At the end of the chain nothing is left unbound: a grant without ops allows none, not all. */
static void defect_05_an_empty_list_allows_nothing(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->grant[0].ops = SPAN_NONE;
    scene_build(s);
    REFUSED(check(s), REFUSAL_GRANT_OP);
    scene_free(s);
}

/* 6. An algorithm over several owners' datasets can run. */
static void defect_06_a_union_can_run(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    assert_int_equal(run_input_count(&s->run), 2);
    ACCEPTED(check(s));
    ACCEPTED(check_node(s, WORLD_COMPUTE));
    scene_free(s);
}

/* 7. One run has one record and one slot; an owner's dataset is in it once. */
static void defect_07_an_input_is_used_once(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    repeated_input(s);
    REFUSED(check(s), REFUSAL_INPUTS);
    scene_free(s);
}

static struct dt token(struct scene *s, uint32_t node, uint8_t number, struct hash32 *salt)
{
    (void)s;
    struct dt dt;
    memset(salt->bytes, number, 32);
    struct hash32 hash = HASH_FRAMED("perigee/dt/v1", ID_SPAN(world->node[node].id), ID_SPAN(*salt));
    memcpy(dt.bytes, hash.bytes, 32);
    return dt;
}

static struct dt register_compute(struct scene *s, uint32_t node, uint8_t number)
{
    static uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    struct hash32 salt;
    struct service service = {.type = SPAN_LITERAL("aggregate"), .endpoint = SPAN_LITERAL("")};
    struct ddo d = {.dt = token(s, node, number, &salt),
                    .type = ASSET_COMPUTE,
                    .name = SPAN_LITERAL("link"),
                    .description = SPAN_LITERAL(""),
                    .jurisdiction = SPAN_LITERAL("EU"),
                    .service_count = 1,
                    .service = &service};
    assert_int_equal(ddo_write(&b, &d), OK);
    struct body_ASSET body = {.dt = d.dt,
                              .version = 1,
                              .salt = salt,
                              .ddo = buffer_span(&b),
                              .workflow = SPAN_LITERAL(""),
                              .policy = SPAN_LITERAL("")};
    ACCEPTED(scene_apply(s, node, KIND_ASSET, &body, 0));
    return d.dt;
}

static struct verdict preview_grant(struct scene *s, uint32_t node, struct dt lower, struct dt higher)
{
    union body b = {.GRANT = {.lower = lower, .higher = higher, .ops = SPAN_NONE, .slots_max = 1}};
    struct verdict v = registry_preview(s->registry, world->node[node].id, KIND_GRANT, &b);
    if (v.refusal == REFUSAL_NONE) ACCEPTED(scene_apply(s, node, KIND_GRANT, &b.GRANT, 0));
    return v;
}

/* 8. Circles are refused, of any length, and looking for one ends: no token is visited twice. */
static void defect_08_circles_are_refused(void **state)
{
    (void)state;
    enum { LINKS = 24, COPIES = 20 };
    struct scene *s = good_scene();
    struct dt dt[LINKS];
    struct body_GRANT self = s->grant[0];
    self.higher = self.lower;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &self, 0), REFUSAL_CYCLE);
    for (uint32_t i = 0; i < LINKS; i++) dt[i] = register_compute(s, i % WORLD_NODES, (uint8_t)(10 + i));
    for (uint32_t i = 0; i + 1 < LINKS; i++)
        for (uint32_t copy = 0; copy < COPIES; copy++) /* 20^23 ways through, if one went them all */
            ACCEPTED(preview_grant(s, i % WORLD_NODES, dt[i], dt[i + 1]));
    REFUSED(preview_grant(s, (LINKS - 1) % WORLD_NODES, dt[LINKS - 1], dt[0]), REFUSAL_CYCLE);
    REFUSED(preview_grant(s, 3, dt[3], dt[3]), REFUSAL_CYCLE);
    ACCEPTED(preview_grant(s, 0, dt[0], dt[LINKS - 1]));
    scene_free(s);
}

/* 9. The zero id is nobody and nothing. */
static void defect_09_zero_is_nobody(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    struct node_id nobody = {{0}};
    struct dt nothing = {{0}};
    struct hash32 none = {{0}};
    struct compose_hash no_recipe = {{0}};
    struct run_id no_run = {{0}};
    assert_null(registry_member(s->registry, nobody));
    assert_false(registry_may_write(s->registry, nobody));
    assert_null(registry_asset(s->registry, nothing));
    assert_null(registry_op(s->registry, none));
    assert_null(registry_workflow(s->registry, no_recipe));
    assert_null(registry_run(s->registry, no_run));
    struct body_GRANT b = s->grant[0];
    b.higher = nothing;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_ASSET);
    REFUSED(registry_check_run(s->registry, &s->run, nobody, s->now_ms), REFUSAL_REQUESTER);
    scene_free(s);
}

/* 10. What is signed names its consortium, author and place, so it cannot be said again elsewhere or later. */
static void defect_10_a_statement_has_one_place(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    const struct record *one = scene_record_at(s, world->node[0].id, 7, KIND_GRANT, &s->grant[0], 0);
    const struct record *other[4] = {scene_record_at(s, world->node[1].id, 7, KIND_GRANT, &s->grant[0], 0),
                                     scene_record_at(s, world->node[0].id, 8, KIND_GRANT, &s->grant[0], 0),
                                     scene_record_at(s, world->node[0].id, 7, KIND_GRANT, &s->grant[0], 1),
                                     NULL};
    world->consortium.bytes[0] ^= 1;
    other[3] = scene_record_at(s, world->node[0].id, 7, KIND_GRANT, &s->grant[0], 0);
    world->consortium.bytes[0] ^= 1;
    struct hash32 signed_one = record_sign_hash(KIND_GRANT, one->header_bytes);
    for (uint32_t i = 0; i < 4; i++) {
        struct hash32 signed_other = record_sign_hash(KIND_GRANT, other[i]->header_bytes);
        assert_true(span_equal(one->body, other[i]->body));
        assert_false(ID_EQUAL(signed_one, signed_other));
    }
    scene_free(s);
}

/* 11. A grant can be taken back, ends, and is for the services and ops it names. */
static void defect_11_grants_end(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    revoke(s, REVOKE_APPROVAL, s->grant_record[0]->id.bytes);
    REFUSED(check(s), REFUSAL_NO_GRANT);
    scene_free(s);
    s = scene_new(world);
    s->grant_expires_ms[0] = s->now_ms + 5;
    scene_build(s);
    ACCEPTED(check(s));
    s->now_ms += 5;
    REFUSED(check(s), REFUSAL_GRANT_EXPIRED);
    scene_free(s);
}

/* 12. A thing is done or refused, never both: what is refused leaves no trace. */
static void defect_12_refused_means_not_done(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    uint32_t approvals = 0, grants = 0;
    while (registry_approval_at(s->registry, approvals) != NULL) approvals++;
    while (registry_grant_at(s->registry, grants) != NULL) grants++;
    REFUSED(approve(s, 1, 1, 0), REFUSAL_OVERLAP);
    REFUSED(approve(s, 9, 99, UINT64_C(1000000000)), REFUSAL_BUDGET);
    struct body_GRANT b = s->grant[0];
    b.service = 7;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_MALFORMED);
    assert_null(registry_approval_at(s->registry, approvals));
    assert_null(registry_grant_at(s->registry, grants));
    assert_true(allotted(s) == UINT64_C(2000000000));
    ACCEPTED(check(s));
    scene_free(s);
}

/* 14. Documents are their bytes: a space more is another document, and nobody replaces one under its name. */
static void defect_14_documents_are_their_bytes(void **state)
{
    (void)state;
    struct scene *s = good_scene();
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct body_ASSET b = scene_asset(s, 0, 3, false);
    memcpy(bytes, b.ddo.data, b.ddo.len);
    bytes[b.ddo.len] = ' ';
    b.ddo = span_make(bytes, b.ddo.len + 1);
    REFUSED(asset_twice(s, &b, 0), REFUSAL_MALFORMED);
    static uint8_t op_bytes[4096];
    struct buffer out = BUFFER_OF(op_bytes);
    struct hash32 name = s->op->hash;
    s->op->description = SPAN_LITERAL("co unts");
    assert_int_equal(op_write(&out, s->op), OK);
    struct body_OP op = {buffer_span(&out), s->op->code_bytes};
    for (uint32_t i = 0; i < 4; i++) ACCEPTED(scene_apply(s, i, KIND_OP, &op, 0));
    assert_false(span_equal_text(registry_op(s->registry, name)->description, "co unts"));
    struct hash32 other = sha256(op.document);
    assert_non_null(registry_op(s->registry, other));
    scene_free(s);
}

/* --- All -------------------------------------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

static struct CMUnitTest tests[RUN_CHANGES + 64];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *argument)
{
    assert_true(test_count < sizeof tests / sizeof tests[0]);
    tests[test_count++] = (struct CMUnitTest){name, function, NULL, NULL, (void *)(uintptr_t)argument};
}
#define ADD(test) add(#test, test, NULL)

static void add_rules(void)
{
    ADD(test_plan);
    ADD(test_plan_of_some);
    ADD(test_plan_takes_a_slot_all_allot);
    ADD(test_plan_refusals);
    ADD(test_plan_slot_spent);
    ADD(test_receipt_of_the_elected);
    ADD(test_node_refusals);
    ADD(test_node_by_the_pinned_and_the_newest_policy);
    ADD(test_budget_fold);
    ADD(test_budget_does_not_overflow);
    ADD(test_budget_is_never_given_back);
    ADD(test_slot_ranges);
    ADD(test_approval_of_what_is_not_ones_own);
    ADD(test_approval_preview);
    ADD(test_revocation_covers);
    ADD(test_revocation_reaches_back_only);
    ADD(test_approval_after_revocation);
    ADD(test_revocation_of_another_owner);
    ADD(test_freeze_voids_and_rolls_back);
    ADD(test_gap_suspends_and_closes);
    ADD(test_removal);
    ADD(test_removal_voids_approvals);
    ADD(test_removal_acts_whatever_is_missing);
    ADD(test_removal_of_the_seated_is_refused);
    ADD(test_joint_needs_s);
    ADD(test_joint_counts_an_author_once);
    ADD(test_joint_only_by_the_eligible);
    ADD(test_joint_loses_a_frozen_author);
    ADD(test_joint_by_kind_and_body);
    ADD(test_member_smallest_body);
    ADD(test_no_seat_by_admission);
    ADD(test_records_of_no_member);
    ADD(test_committee_needs_all_but_f);
    ADD(test_committee_shape);
    ADD(test_workers);
    ADD(test_asset_versions);
    ADD(test_asset_keeps_its_facts);
    ADD(test_asset_is_all_or_nothing);
    ADD(test_asset_registration);
    ADD(test_workflow_publication);
    ADD(test_algorithms_bind_no_content);
    ADD(test_job_preview);
    ADD(test_job_of_the_provider_only);
    ADD(test_forming_preview);
    ADD(test_charter_of_another_consortium);
    ADD(test_run_records);
    ADD(test_no_author_fills_a_table);
    ADD(test_expiry_only_where_it_is_kept);
    ADD(test_grant_refusals);
    ADD(test_grant_newest);
}

static void add_defects(void)
{
    ADD(defect_01_missing_grant_activates_nothing);
    ADD(defect_02_op_is_its_code);
    ADD(defect_03_the_last_input_is_checked);
    ADD(defect_04_zero_is_a_value);
    ADD(defect_05_an_empty_list_allows_nothing);
    ADD(defect_06_a_union_can_run);
    ADD(defect_07_an_input_is_used_once);
    ADD(defect_08_circles_are_refused);
    ADD(defect_09_zero_is_nobody);
    ADD(defect_10_a_statement_has_one_place);
    ADD(defect_11_grants_end);
    ADD(defect_12_refused_means_not_done);
    ADD(defect_14_documents_are_their_bytes);
}

int main(void)
{
    for (size_t i = 0; i < RUN_CHANGES; i++) add(run_changes[i].name, test_run_change, &run_changes[i]);
    ADD(test_run_refusals_are_complete); /* after the cases that are to give them */
    add_rules();
    add_defects();
    /* The array is static so that tests can be added by name; what is empty at its end is not run. */
    return _cmocka_run_group_tests("proto_registry", tests, test_count, set_up, tear_down);
}
