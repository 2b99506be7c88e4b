/* What owners say of their tokens: budgets and slots, versions, bound content, published recipes and their jobs, grants. */
#include "tests/scene_change.h"

/* --- Budget and slots --------------------------------------------------------------------------------------------------------- */

/* The dataset has eight; the scene allots two slots of one. */
static void test_budget_fold(void **state)
{
    (void)state;
    struct scene *s = change_none();
    uint64_t one = UINT64_C(1000000000);
    assert_true(change_allotted(s) == 2 * one);
    REFUSED(change_approve(s, 3, 9, one), REFUSAL_BUDGET); /* seven more: nine */
    assert_true(change_allotted(s) == 2 * one);
    ACCEPTED(change_approve(s, 3, 7, one));
    REFUSED(change_approve(s, 10, 10, one + 1), REFUSAL_BUDGET);
    ACCEPTED(change_approve(s, 10, 10, one)); /* to the last billionth */
    REFUSED(change_approve(s, 11, 11, 1), REFUSAL_BUDGET);
    ACCEPTED(change_approve(s, 12, 12, 0));
    assert_true(change_allotted(s) == 8 * one);
    scene_free(s);
}

static void test_budget_does_not_overflow(void **state)
{
    (void)state;
    struct scene *s = change_none();
    REFUSED(change_approve(s, 10, UINT32_MAX, UINT_TIME), REFUSAL_BUDGET);
    REFUSED(change_approve(s, 10, 10, UINT_TIME), REFUSAL_BUDGET);
    assert_true(change_allotted(s) == UINT64_C(2000000000));
    scene_free(s);
}

/* Revoked, expired or voided: what was allotted stays allotted. */
static void test_budget_is_never_given_back(void **state)
{
    (void)state;
    struct scene *s = change_none();
    uint64_t one = UINT64_C(1000000000);
    change_revoke(s, 0, REVOKE_APPROVAL, s->approval_record[0]->id.bytes);
    s->now_ms += 2000000; /* the scene's approvals have expired, too */
    assert_true(change_allotted(s) == 2 * one);
    REFUSED(change_approve(s, 3, 9, one), REFUSAL_BUDGET);
    REFUSED(change_approve(s, 1, 1, one), REFUSAL_OVERLAP);
    scene_free(s);
}

static void test_slot_ranges(void **state)
{
    (void)state;
    struct scene *s = change_none();
    REFUSED(change_approve(s, 2, 3, 0), REFUSAL_OVERLAP);
    REFUSED(change_approve(s, 1, 1, 0), REFUSAL_OVERLAP);
    REFUSED(change_approve(s, 1, 9, 0), REFUSAL_OVERLAP);
    REFUSED(change_approve(s, 0, 0, 0), REFUSAL_SLOT_RANGE);
    REFUSED(change_approve(s, 5, 4, 0), REFUSAL_SLOT_RANGE);
    ACCEPTED(change_approve(s, 3, 3, 0));
    struct body_APPROVAL other = s->approval[0];
    other.compose.bytes[0] ^= 1; /* the same numbers of another recipe */
    ACCEPTED(scene_apply(s, 0, KIND_APPROVAL, &other, 0));
    scene_free(s);
}

static void test_approval_of_what_is_not_ones_own(void **state)
{
    (void)state;
    struct scene *s = change_none();
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
    struct scene *s = change_none();
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

/* --- Tokens -------------------------------------------------------------------------------------------------------------------------- */

static struct verdict asset_twice(struct scene *s, const struct body_ASSET *body, uint32_t node)
{
    union body b = {.ASSET = *body};
    return change_offer(s, node, KIND_ASSET, &b);
}

static void test_asset_versions(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_ASSET b = scene_asset(s, 0, 2, false);
    REFUSED(asset_twice(s, &b, 0), REFUSAL_EXISTS);
    b.version = 4;
    REFUSED(asset_twice(s, &b, 1), REFUSAL_NOT_OWNER);
    b.ddo.len--;
    REFUSED(asset_twice(s, &b, 0), REFUSAL_MALFORMED);
    b = scene_asset(s, 0, 4, false);
    ACCEPTED(asset_twice(s, &b, 0)); /* what lies between is not needed: a bundle leaves it out */
    assert_int_equal(registry_asset(s->registry, b.dt)->version, 4);
    b.version = 3;
    REFUSED(asset_twice(s, &b, 0), REFUSAL_EXISTS);
    scene_free(s);
}

/* What others rely on stays: budget, currency, schema, unit, kind of token. */
static void test_asset_keeps_its_facts(void **state)
{
    (void)state;
    for (uint32_t bend = 0; bend < 6; bend++) {
        struct scene *s = change_none();
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
    struct scene *s = change_none();
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
    ACCEPTED(change_check(s)); /* the run keeps the content it pinned */
    scene_free(s);
}

static void test_asset_registration(void **state)
{
    (void)state;
    struct scene *s = change_scene(SCENE_ASSET, NULL);
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
    struct scene *s = change_none();
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
    struct scene *s = change_none();
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

/* --- Jobs ------------------------------------------------------------------------------------------------------------------ */

static void test_job_preview(void **state)
{
    (void)state;
    struct scene *s = change_none();
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
    struct scene *s = change_scene(SCENE_JOB, NULL);
    s->job.compose = s->workflow->hash;
    const struct record *job = scene_record(s, WORLD_COMPUTE, KIND_JOB, &s->job, 0);
    struct body_ENDORSEMENT e = {job->id};
    ACCEPTED(registry_apply(s->registry, job));
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_ENDORSEMENT, &e, 0));
    REFUSED(change_check(s), REFUSAL_NO_JOB);
    scene_free(s);
}

/* --- Grants ---------------------------------------------------------------------------------------------------------------------------- */

static void test_grant_refusals(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_GRANT b = s->grant[1];
    union body preview = {.GRANT = b};
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_NOT_OWNER);
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_GRANT, &preview), REFUSAL_NOT_OWNER);
    b = s->grant[0];
    b.lower.bytes[0] ^= 1;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_NOT_OWNER);
    b = s->grant[0];
    b.higher = b.lower;
    preview.GRANT = b;
    REFUSED(change_offer(s, 0, KIND_GRANT, &preview), REFUSAL_CYCLE);
    memset(preview.GRANT.higher.bytes, 0, 32);
    REFUSED(change_offer(s, 0, KIND_GRANT, &preview), REFUSAL_ASSET);
    preview.GRANT = s->grant[0];
    preview.GRANT.higher.bytes[0] ^= 1;
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_GRANT, &preview), REFUSAL_ASSET);
    ACCEPTED(scene_apply(s, 0, KIND_GRANT, &preview.GRANT, 0)); /* the higher token may arrive later */
    scene_free(s);
}

static struct verdict preview_grant(struct scene *s, uint64_t service, struct span ops)
{
    union body b = {.GRANT = s->grant[0]};
    b.GRANT.service = service;
    b.GRANT.ops = ops;
    return registry_preview(s->registry, world->node[0].id, KIND_GRANT, &b);
}

/* Nobody signs a grant that no run could use: of a service there is not, of no op, of one that nobody registered or that the
 * service does not offer. Others may say such a thing: it grants nothing (changes_of_run). */
static void test_grant_that_grants_nothing(void **state)
{
    (void)state;
    struct scene *s = change_none();
    const uint8_t unknown[32] = {1};
    ACCEPTED(preview_grant(s, 0, s->grant[0].ops));
    REFUSED(preview_grant(s, 1, s->grant[0].ops), REFUSAL_SERVICE);
    REFUSED(preview_grant(s, 0, SPAN_NONE), REFUSAL_GRANT_OP);
    REFUSED(preview_grant(s, 0, SPAN_OF(unknown)), REFUSAL_OP);
    s->ddo[0]->service[0].op_count = 0;
    struct body_ASSET without = scene_asset(s, 0, 3, false);
    ACCEPTED(scene_apply(s, 0, KIND_ASSET, &without, 0));
    REFUSED(preview_grant(s, 0, s->grant[0].ops), REFUSAL_SERVICE);
    REFUSED(change_check(s),
            REFUSAL_SERVICE); /* what the owner takes back from its service, its grant gives no more */
    scene_free(s);
}

static struct verdict run_in(struct scene *s, uint64_t slot)
{
    s->run.slot = slot;
    return change_check(s);
}

static struct verdict preview_approval(struct scene *s, uint64_t first, uint64_t last)
{
    union body b = {.APPROVAL = s->approval[0]};
    b.APPROVAL.slot_first = first;
    b.APPROVAL.slot_last = last;
    return registry_preview(s->registry, world->node[0].id, KIND_APPROVAL, &b);
}

/* A grant's slots are counted, whatever their numbers and recipes: all that the owner ever allotted to the app for this
 * dataset, in the order it did. What is beyond them is not run; what was within them still is. */
static void test_grant_counts_slots(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->grant[0].slots_max = 4;
    s->approval[0].slot_first = 8;
    s->approval[0].slot_last = 9;
    s->approval[1].slot_last = 20;
    s->grant[1].slots_max = 20;
    s->approval[0].cost = s->approval[1].cost = s->workflow->epsilon_nano;
    for (uint32_t i = 0; i < 2; i++) s->ddo[i]->budget = UINT64_C(100000000000);
    scene_build(s);
    ACCEPTED(run_in(s, 9));
    struct body_APPROVAL other = s->approval[0]; /* of another recipe of the same app */
    other.compose.bytes[0] ^= 1;
    other.slot_first = other.slot_last = 1;
    ACCEPTED(scene_apply(s, 0, KIND_APPROVAL, &other, 0));
    change_revoke(s, 0, REVOKE_COMPOSE, other.compose.bytes); /* takes nothing back */
    REFUSED(preview_approval(s, 11, 12), REFUSAL_GRANT_LIMIT);
    ACCEPTED(preview_approval(s, 11, 11));
    ACCEPTED(change_approve(s, 11, 11, s->workflow->epsilon_nano));
    ACCEPTED(run_in(s, 11));
    REFUSED(preview_approval(s, 12, 12), REFUSAL_GRANT_LIMIT);
    struct body_APPROVAL beyond = s->approval[0];
    beyond.slot_first = beyond.slot_last = 12;
    ACCEPTED(scene_apply(s, 0, KIND_APPROVAL, &beyond, 0));
    REFUSED(run_in(s, 12), REFUSAL_GRANT_LIMIT);
    ACCEPTED(run_in(s, 11));
    struct body_GRANT wider = s->grant[0];
    wider.slots_max = 5;
    ACCEPTED(scene_apply(s, 0, KIND_GRANT, &wider, 0));
    ACCEPTED(run_in(s, 12));
    scene_free(s);
}

/* Without the role that a thing needs, nobody signs it. */
static void test_previews_ask_for_roles(void **state)
{
    (void)state;
    struct scene *s = change_none();
    union body asset = {.ASSET = scene_asset(s, 0, 3, false)};
    union body grant = {.GRANT = s->grant[0]}, job = {.JOB = s->job};
    ACCEPTED(registry_preview(s->registry, world->node[0].id, KIND_ASSET, &asset));
    ACCEPTED(registry_preview(s->registry, world->node[0].id, KIND_GRANT, &grant));
    ACCEPTED(registry_preview(s->registry, world->node[WORLD_ALGORITHM].id, KIND_JOB, &job));
    ACCEPTED(preview_approval(s, 5, 5));
    change_role(s, 0, ROLE_OWNER);
    change_role(s, WORLD_ALGORITHM, ROLE_ALGORITHM);
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_ASSET, &asset), REFUSAL_ROLE);
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_GRANT, &grant), REFUSAL_ROLE);
    REFUSED(registry_preview(s->registry, world->node[WORLD_ALGORITHM].id, KIND_JOB, &job), REFUSAL_ROLE);
    REFUSED(preview_approval(s, 5, 5), REFUSAL_ROLE);
    scene_free(s);
}

/* A recipe none of whose runs can have a receipt is not published, endorsed or approved. */
static void test_nobody_signs_for_an_impossible_recipe(void **state)
{
    (void)state;
    for (uint32_t possible = 0; possible < 2; possible++) {
        static uint8_t bytes[CAP_DOCUMENT_BYTES];
        struct buffer b = BUFFER_OF(bytes);
        struct scene *s = scene_new(world);
        /* the requester and the algorithm provider read: 192 bytes each come on top */
        s->workflow->output_bytes_max = 40960 / 2 - 192 + (possible == 1 ? 0 : 1);
        scene_build(s);
        enum refusal why = possible == 1 ? REFUSAL_NONE : REFUSAL_RECEIPT_ROOM;
        union body asset = {.ASSET = {.dt = world->app, .version = 9}};
        asset.ASSET.ddo = registry_asset(s->registry, world->app)->ddo->bytes;
        assert_int_equal(workflow_write(&b, s->workflow), OK);
        asset.ASSET.workflow = buffer_span(&b);
        REFUSED(registry_preview(s->registry, world->node[WORLD_ALGORITHM].id, KIND_ASSET, &asset), why);
        union body endorsement = {.ENDORSEMENT = {s->job_record->id}};
        REFUSED(registry_preview(s->registry, world->node[3].id, KIND_ENDORSEMENT, &endorsement), why);
        REFUSED(preview_approval(s, 5, 5), why);
        REFUSED(change_check(s), why);
        scene_free(s);
    }
}

/* The newest live grant is the one that holds. */
static void test_grant_newest(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_GRANT b = s->grant[0];
    b.ops = SPAN_NONE;
    const struct record *narrower = scene_record(s, 0, KIND_GRANT, &b, s->now_ms + 10);
    ACCEPTED(registry_apply(s->registry, narrower));
    REFUSED(change_check(s), REFUSAL_GRANT_OP);
    s->now_ms += 10; /* it has expired: the older one holds again */
    ACCEPTED(change_check(s));
    s->now_ms -= 10;
    change_revoke(s, 0, REVOKE_APPROVAL,
                  narrower->id.bytes); /* revoked by its record's id, as an approval is */
    ACCEPTED(change_check(s));
    scene_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_fold),
        cmocka_unit_test(test_budget_does_not_overflow),
        cmocka_unit_test(test_budget_is_never_given_back),
        cmocka_unit_test(test_slot_ranges),
        cmocka_unit_test(test_approval_of_what_is_not_ones_own),
        cmocka_unit_test(test_approval_preview),
        cmocka_unit_test(test_asset_versions),
        cmocka_unit_test(test_asset_keeps_its_facts),
        cmocka_unit_test(test_asset_is_all_or_nothing),
        cmocka_unit_test(test_asset_registration),
        cmocka_unit_test(test_workflow_publication),
        cmocka_unit_test(test_algorithms_bind_no_content),
        cmocka_unit_test(test_job_preview),
        cmocka_unit_test(test_job_of_the_provider_only),
        cmocka_unit_test(test_grant_refusals),
        cmocka_unit_test(test_grant_that_grants_nothing),
        cmocka_unit_test(test_grant_counts_slots),
        cmocka_unit_test(test_nobody_signs_for_an_impossible_recipe),
        cmocka_unit_test(test_previews_ask_for_roles),
        cmocka_unit_test(test_grant_newest),
    };
    return cmocka_run_group_tests_name("proto_registry_token", tests, change_set_up, change_tear_down);
}
