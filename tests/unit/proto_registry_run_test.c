/* Runs: every refusal of a run check, a plan and a node check by one change to a good scene, and which receipt settles. */
#include "proto/enclave.h"
#include "tests/scene_change.h"

static bool seen[REFUSAL_COUNT];

/* --- Run checks: one change, one refusal ------------------------------------------------------------------------------------ */

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
static void no_parameters(struct scene *s)
{
    s->run.parameters = SPAN_NONE;
}
static void parameter_too_low(struct scene *s)
{
    s->run.parameters = SPAN_LITERAL("{\"min_age\":17}");
}
static void one_parameter_more(struct scene *s)
{
    s->run.parameters = SPAN_LITERAL("{\"max_age\":90,\"min_age\":20}");
}
static void parameters_spelled_otherwise(struct scene *s)
{
    s->run.parameters = SPAN_LITERAL("{\"min_age\": 20}");
}
static void workflow_without_parameters(struct scene *s)
{
    s->workflow->parameters.count = 0;
}
static void no_inputs(struct scene *s)
{
    s->run.inputs.len = 0;
}
static void one_input(struct scene *s)
{
    s->run.inputs.len = RUN_INPUT_BYTES;
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
static void slot_not_allotted(struct scene *s)
{
    s->run.slot = 3;
}

/* So that only the requester's own membership is at stake. */
static void other_reader(struct scene *s)
{
    s->workflow->reader[0] = world->node[WORLD_ALGORITHM].id;
    s->workflow->reader_count = 1;
}

static void requester_removed(struct scene *s)
{
    change_remove(s, WORLD_REQUESTER, 1);
}

static void swapped_inputs(struct scene *s)
{
    uint8_t kept[RUN_INPUT_BYTES];
    memcpy(kept, s->inputs, sizeof kept);
    memcpy(s->inputs, s->inputs + RUN_INPUT_BYTES, RUN_INPUT_BYTES);
    memcpy(s->inputs + RUN_INPUT_BYTES, kept, sizeof kept);
}

static void too_many_inputs(struct scene *s)
{
    memcpy(s->inputs + (size_t)2 * RUN_INPUT_BYTES, s->inputs, RUN_INPUT_BYTES);
    s->run.inputs.len = (size_t)3 * RUN_INPUT_BYTES;
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

static const struct change changes[] = {
    {"a requester who is no member", REFUSAL_NOT_MEMBER, 0, other_reader, requester_removed, SUBJECT_ANY},
    {"another app", REFUSAL_APP, 0, NULL, wrong_app, SUBJECT_ANY},
    {"another charter", REFUSAL_CHARTER, 0, NULL, wrong_charter, SUBJECT_ANY},
    {"another epoch", REFUSAL_CHARTER, 0, NULL, wrong_epoch, SUBJECT_ANY},
    {"another engine", REFUSAL_ENGINE, 0, NULL, wrong_engine, SUBJECT_ANY},
    {"no parameters", REFUSAL_PARAMETERS, 0, NULL, no_parameters, SUBJECT_ANY},
    {"a parameter below its bounds", REFUSAL_PARAMETERS, 0, NULL, parameter_too_low, SUBJECT_ANY},
    {"a parameter the workflow does not have", REFUSAL_PARAMETERS, 0, NULL, one_parameter_more, SUBJECT_ANY},
    {"parameters in another spelling", REFUSAL_PARAMETERS, 0, NULL, parameters_spelled_otherwise,
     SUBJECT_ANY},
    {"parameters where there are none", REFUSAL_PARAMETERS, 0, workflow_without_parameters, NULL,
     SUBJECT_ANY},
    {"no inputs", REFUSAL_INPUTS, 0, NULL, no_inputs, SUBJECT_ANY},
    {"an input the workflow does not name", REFUSAL_INPUTS, 0, NULL, change_unnamed_input, SUBJECT_ANY},
    {"inputs in another order", REFUSAL_INPUTS, 0, NULL, swapped_inputs, SUBJECT_ANY},
    {"an input twice", REFUSAL_INPUTS, 0, NULL, change_repeated_input, SUBJECT_ANY},
    {"more inputs than the workflow", REFUSAL_INPUTS, 0, NULL, too_many_inputs, SUBJECT_ANY},
    {"k-1 owners", REFUSAL_OWNERS, 0, NULL, one_input, SUBJECT_ANY},
    {"bound by an unknown record", REFUSAL_CONTENT, 0, NULL, unknown_binding, SUBJECT_OWNER_0},
    {"bound for another recipe", REFUSAL_CONTENT, 0, NULL, bound_for_another, SUBJECT_OWNER_0},
    {"another content", REFUSAL_CONTENT, 0, NULL, wrong_content, SUBJECT_OWNER_0},
    {"another manifest", REFUSAL_CONTENT, 0, NULL, wrong_manifest, SUBJECT_OWNER_0},
    {"the slot is not allotted", REFUSAL_SLOT_RANGE, 0, NULL, slot_not_allotted, SUBJECT_OWNER_0},
};

static void test_change(void **state)
{
    change_run(*state, NULL, change_check, seen);
}

static void test_refusals_are_complete(void **state)
{
    (void)state;
    change_all_seen(seen, refusals_of_run, REFUSALS_OF_RUN, "a run check");
    struct scene *s = change_none();
    ACCEPTED(change_check(s));
    ACCEPTED(registry_check_recipe(s->registry, &s->run));
    ACCEPTED(registry_check_inputs(s->registry, &s->run, s->now_ms));
    parameter_too_low(s); /* what a receipt is replayed with: the recipe's half has the parameters */
    REFUSED(registry_check_recipe(s->registry, &s->run), REFUSAL_PARAMETERS);
    ACCEPTED(registry_check_inputs(s->registry, &s->run, s->now_ms));
    scene_free(s);
}

/* --- Plans ------------------------------------------------------------------------------------------------------------------- */

static struct verdict plan_of(struct scene *s, uint64_t slot, struct span datasets, struct body_RUN *out)
{
    static uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    const struct run_wish wish = {s->workflow->hash, slot, datasets, s->run.parameters};
    return registry_plan_run(s->registry, out, inputs, &wish, world->node[s->requester].id, s->now_ms);
}

static struct verdict plan(struct scene *s, uint64_t slot, struct body_RUN *out)
{
    return plan_of(s, slot, SPAN_NONE, out);
}

static void some_may_run(struct scene *s)
{
    s->workflow->owners_min = 1;
    s->approval[0].slot_first = s->approval[0].slot_last = 5; /* and of owner 1, slots from 1 on */
}

/* A run may use some of the inputs: their owners alone are asked, and there must be k of them. */
static void test_plan_of_some(void **state)
{
    (void)state;
    struct scene *s = change_scene(SCENE_RUN, some_may_run);
    struct body_RUN run;
    uint8_t both[64], twice[64], unknown[32];
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
    struct scene *s = change_scene(SCENE_RUN, NULL);
    struct body_RUN run;
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

static void plan_refused(uint32_t left_out, void (*before)(struct scene *s), enum refusal why)
{
    struct scene *s = change_scene(left_out, before);
    struct body_RUN run;
    REFUSED(plan(s, 0, &run), why);
    scene_free(s);
}

static void other_requester(struct scene *s)
{
    s->requester = WORLD_ALGORITHM;
}

static void test_plan_refusals(void **state)
{
    (void)state;
    plan_refused(SCENE_CHARTER, NULL, REFUSAL_CONSORTIUM_FORMING);
    plan_refused(SCENE_COMMITTEE, NULL, REFUSAL_CONSORTIUM_FORMING);
    plan_refused(SCENE_WORKFLOW | SCENE_JOB, NULL, REFUSAL_WORKFLOW);
    plan_refused(SCENE_ASSET, NULL, REFUSAL_ASSET);
    plan_refused(SCENE_BINDING, NULL, REFUSAL_CONTENT);
    plan_refused(SCENE_APPROVAL, NULL, REFUSAL_NO_APPROVAL);
    plan_refused(0, other_requester, REFUSAL_REQUESTER);
    struct scene *s = change_none();
    struct body_RUN run;
    registry_gap(s->registry, world->node[1].id, true);
    REFUSED(plan(s, 0, &run), REFUSAL_GAP);
    registry_gap(s->registry, world->node[1].id, false);
    registry_freeze(s->registry, world->node[1].id, 9000);
    REFUSED(plan(s, 0, &run), REFUSAL_FROZEN);
    scene_free(s);
}

static void ends_soon(struct scene *s)
{
    s->run_expires_ms = s->now_ms + 10;
}

static void test_plan_slot_spent(void **state)
{
    (void)state;
    struct scene *s = change_scene(0, ends_soon);
    struct body_RUN run;
    struct body_RECEIPT receipt = {.run = s->run_id};
    REFUSED(plan(s, 1, &run), REFUSAL_SLOT_SPENT); /* a run in it may still be executed */
    s->now_ms += 10;
    ACCEPTED(plan(s, 1, &run)); /* nobody may start that one now: asked for by name, its slot may be had */
    ACCEPTED(plan(s, 0, &run));
    assert_int_equal(run.slot, 2); /* but who names none gets one that is certainly unspent */
    assert_null(registry_slot_holder(s->registry, s->run.compose, 1));
    registry_settle(s->registry, s->run_id, scene_record(s, 4, KIND_RECEIPT, &receipt, 0));
    assert_non_null(registry_slot_holder(s->registry, s->run.compose, 1));
    assert_null(registry_slot_holder(s->registry, s->run.compose, 2));
    REFUSED(plan(s, 1, &run), REFUSAL_SLOT_SPENT);
    const struct run_entry *spent = registry_slot_holder(s->registry, s->run.compose, 1);
    registry_freeze(s->registry, world->node[WORLD_REQUESTER].id, spent->record->header.seq);
    REFUSED(plan(s, 1, &run), REFUSAL_SLOT_SPENT); /* whoever asked for it */
    scene_free(s);
}

static const struct run_entry *add_run(struct scene *s, uint32_t node, uint64_t slot)
{
    struct run_id id;
    s->run.slot = slot;
    const struct record *record = scene_record(s, node, KIND_RUN, &s->run, s->run_expires_ms);
    ACCEPTED(registry_apply(s->registry, record));
    memcpy(id.bytes, record->id.bytes, sizeof id.bytes);
    return registry_run(s->registry, id);
}

/* Whom the workflow does not name takes no slot away, and nobody need follow its runs. */
static void test_junk_runs_use_no_slot(void **state)
{
    (void)state;
    struct scene *s = change_scene(SCENE_RUN, NULL);
    struct body_RUN run;
    for (uint64_t slot = 1; slot <= 2; slot++)
        assert_false(registry_run_named(s->registry, add_run(s, WORLD_ALGORITHM, slot)));
    ACCEPTED(plan(s, 0, &run));
    assert_int_equal(run.slot, 1);
    assert_true(registry_run_named(s->registry, add_run(s, WORLD_REQUESTER, 1)));
    ACCEPTED(plan(s, 0, &run));
    assert_int_equal(run.slot, 2);
    s->run.compose.bytes[0] ^= 1; /* not before its recipe is known */
    assert_false(registry_run_named(s->registry, add_run(s, WORLD_ALGORITHM, 1)));
    scene_free(s);
}

static void apart(struct scene *s)
{
    s->approval[1].slot_first = 5;
    s->approval[1].slot_last = 6;
}

/* Whether proof that its author signed two in its place comes before or after: it does not count, and a receipt settles it. */
static void test_run_of_a_frozen_author(void **state)
{
    (void)state;
    for (int before = 0; before < 2; before++) {
        struct scene *s = change_none();
        struct body_RECEIPT receipt = {.run = s->run_id};
        const uint64_t seq = world->node[WORLD_REQUESTER].seq + 1;
        if (before != 0) registry_freeze(s->registry, world->node[WORLD_REQUESTER].id, seq);
        const struct run_entry *run = add_run(s, WORLD_REQUESTER, 2);
        if (before == 0) registry_freeze(s->registry, world->node[WORLD_REQUESTER].id, seq);
        REFUSED(registry_check_record(s->registry, run->record), REFUSAL_FROZEN);
        REFUSED(registry_run_taken_back(s->registry, run), REFUSAL_FROZEN);
        memcpy(receipt.run.bytes, run->record->id.bytes, 32);
        registry_settle(s->registry, receipt.run, scene_record(s, 4, KIND_RECEIPT, &receipt, 0));
        assert_ptr_equal(registry_slot_holder(s->registry, s->run.compose, 2), run);
        scene_free(s);
    }
}

/* A run is over when what allots its very slot is taken back; one whose approval has not come yet is not, whatever else was. */
static void test_taken_back(void **state)
{
    (void)state;
    struct scene *s = change_none();
    const struct run_entry *later = add_run(s, WORLD_REQUESTER, 3),
                           *run = registry_run(s->registry, s->run_id);
    ACCEPTED(registry_run_taken_back(s->registry, run));
    change_revoke(s, 0, REVOKE_COMPOSE, s->workflow->hash.bytes);
    const struct verdict back = registry_run_taken_back(s->registry, run);
    REFUSED(back, REFUSAL_REVOKED);
    assert_memory_equal(back.subject.bytes, world->node[0].id.bytes, 32);
    ACCEPTED(registry_run_taken_back(s->registry, later));
    registry_gap(s->registry, world->node[0].id, true);
    REFUSED(registry_run_taken_back(s->registry, run), REFUSAL_REVOKED); /* whatever else is missing */
    registry_gap(s->registry, world->node[0].id, false);
    ACCEPTED(change_approve(s, 3, 3, UINT64_C(1000000000)));
    ACCEPTED(registry_run_taken_back(s->registry, later));
    registry_freeze(s->registry, world->node[1].id, 9000);
    REFUSED(registry_run_taken_back(s->registry, later), REFUSAL_FROZEN);
    scene_free(s);
}

/* Where no slot is free, the plan is refused for that. */
static void test_plan_without_a_free_slot(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_RUN run;
    const struct run_entry *second = add_run(s, WORLD_REQUESTER, 2);
    struct verdict v = plan(s, 0, &run);
    REFUSED(v, REFUSAL_SLOT_SPENT);
    assert_memory_equal(v.subject.bytes, s->run_id.bytes, 32);
    registry_freeze(s->registry, world->node[WORLD_REQUESTER].id, second->record->header.seq);
    ACCEPTED(plan(s, 0, &run)); /* a run that does not count uses none */
    assert_int_equal(run.slot, 2);
    scene_free(s);
    plan_refused(SCENE_RUN, apart, REFUSAL_SLOT_RANGE);
}

/* The run with a receipt holds its slot, whatever was said before and after it in the same slot. */
static void test_slot_holder_among_many(void **state)
{
    (void)state;
    struct scene *s = change_scene(SCENE_RUN, NULL);
    const struct run_entry *run[5];
    for (uint32_t i = 0; i < 5; i++) run[i] = add_run(s, i % 2 == 0 ? WORLD_ALGORITHM : WORLD_REQUESTER, 1);
    (void)add_run(s, WORLD_REQUESTER, 2);
    struct body_RECEIPT receipt = {.run = s->run_id};
    memcpy(receipt.run.bytes, run[3]->record->id.bytes, 32);
    registry_settle(s->registry, receipt.run, scene_record(s, 4, KIND_RECEIPT, &receipt, 0));
    assert_ptr_equal(registry_slot_holder(s->registry, s->run.compose, 1), run[3]);
    assert_null(registry_slot_holder(s->registry, s->run.compose, 2));
    assert_null(registry_slot_holder(s->registry, s->run.compose, 3));
    scene_free(s);
}

/* --- Compute nodes -------------------------------------------------------------------------------------------------------------- */

static struct verdict check_node(struct scene *s, uint32_t node)
{
    return registry_check_node(s->registry, &s->run, world->node[node].id);
}

static void node_refused(void (*before)(struct scene *s), enum refusal why)
{
    struct scene *s = change_scene(0, before);
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
    struct scene *s = change_scene(0, policy_here);
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
    struct scene *s = change_scene(0, policy_elsewhere);
    s->policy[0].jurisdiction_count = 0;
    struct body_ASSET wider = scene_asset(s, 0, 3, true);
    ACCEPTED(scene_apply(s, 0, KIND_ASSET, &wider, 0));
    REFUSED(check_node(s, WORLD_COMPUTE), REFUSAL_RESIDENCY);
    scene_free(s);
    s = change_none();
    ACCEPTED(check_node(s, WORLD_COMPUTE));
    policy_no_export(s);
    struct body_ASSET narrower = scene_asset(s, 0, 3, true);
    ACCEPTED(scene_apply(s, 0, KIND_ASSET, &narrower, 0));
    REFUSED(check_node(s, WORLD_COMPUTE), REFUSAL_EXPORT);
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
    struct scene *s = change_none();
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

/* --- Run records ----------------------------------------------------------------------------------------------------------- */

static void test_run_records(void **state)
{
    (void)state;
    struct scene *s = change_none();
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
    struct scene *s = change_none();
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

int main(void)
{
    static const struct CMUnitTest rest[] = {
        cmocka_unit_test(test_refusals_are_complete),
        cmocka_unit_test(test_plan_of_some),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_plan_takes_a_slot_all_allot),
        cmocka_unit_test(test_plan_refusals),
        cmocka_unit_test(test_plan_slot_spent),
        cmocka_unit_test(test_run_of_a_frozen_author),
        cmocka_unit_test(test_taken_back),
        cmocka_unit_test(test_junk_runs_use_no_slot),
        cmocka_unit_test(test_plan_without_a_free_slot),
        cmocka_unit_test(test_slot_holder_among_many),
        cmocka_unit_test(test_node_refusals),
        cmocka_unit_test(test_node_by_the_pinned_and_the_newest_policy),
        cmocka_unit_test(test_receipt_of_the_elected),
        cmocka_unit_test(test_run_records),
        cmocka_unit_test(test_no_author_fills_a_table),
    };
    change_add(changes_of_run, CHANGES_OF_RUN, test_change);
    change_add(changes, COUNT(changes), test_change);
    return change_main("proto_registry_run", rest, COUNT(rest));
}
