#include "tests/scene_change.h"

struct world *world;

int change_set_up(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

int change_tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

/* --- Said in a scene ---------------------------------------------------------------------------------------------------- */

struct verdict change_offer(struct scene *s, uint32_t node, enum kind kind, const union body *body)
{
    struct verdict previewed = registry_preview(s->registry, world->node[node].id, kind, body);
    struct verdict applied = scene_apply(s, node, kind, body, 0);
    assert_int_equal(previewed.refusal, applied.refusal);
    return applied;
}

struct verdict change_approve(struct scene *s, uint64_t first, uint64_t last, uint64_t cost)
{
    union body b = {.APPROVAL = s->approval[0]};
    b.APPROVAL.slot_first = first;
    b.APPROVAL.slot_last = last;
    b.APPROVAL.cost = cost;
    return change_offer(s, 0, KIND_APPROVAL, &b);
}

uint64_t change_allotted(const struct scene *s)
{
    return registry_allotted(s->registry, registry_asset(s->registry, world->dataset[0].dt));
}

void change_revoke(struct scene *s, uint32_t owner, enum revocation_target target, const uint8_t *subject)
{
    struct body_REVOCATION b = {.target = target, .approval_signature = SPAN_NONE};
    if (subject != NULL) memcpy(b.subject.bytes, subject, 32);
    ACCEPTED(scene_apply(s, owner, KIND_REVOCATION, &b, 0));
}

void change_remove(struct scene *s, uint32_t node, uint64_t last_seq)
{
    struct body_REMOVAL b = {world->node[node].id, last_seq};
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_REMOVAL, &b, 0));
}

void change_role(struct scene *s, uint32_t node, enum role role)
{
    struct member *m = (struct member *)(uintptr_t)registry_member(s->registry, world->node[node].id);
    assert_true(m != NULL && (m->roles & role) != 0);
    m->roles ^= role;
}

struct verdict change_check(struct scene *s)
{
    return registry_check_run(s->registry, &s->run, world->node[s->requester].id, s->now_ms);
}

/* --- Of a run ----------------------------------------------------------------------------------------------------------- */

static void other_requester(struct scene *s)
{
    s->requester = WORLD_ALGORITHM;
}
static void two_endorsers(struct scene *s)
{
    s->endorsers = 2;
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
static void no_dataset(struct scene *s)
{
    s->ddo[0]->type = ASSET_COMPUTE;
}
static void other_owner(struct scene *s)
{
    s->workflow->input[0].owner = world->node[2].id;
}
static void other_schema(struct scene *s)
{
    s->workflow->input[0].schema.bytes[0] ^= 1;
}
static void owner_frozen(struct scene *s)
{
    registry_freeze(s->registry, world->node[1].id, 9000);
}
static void owner_gap(struct scene *s)
{
    registry_gap(s->registry, world->node[1].id, true);
}
static void owner_void(struct scene *s)
{
    registry_void(s->registry, world->node[0].id);
}
static void grant_no_op(struct scene *s)
{
    s->grant[1].ops = SPAN_NONE;
}
static void grant_no_service(struct scene *s)
{
    s->grant[1].service = 1;
}
static void service_no_op(struct scene *s)
{
    s->ddo[0]->service[0].op_count = 0;
}
static void grant_expired(struct scene *s)
{
    s->grant_expires_ms[1] = s->now_ms;
}
static void grant_slots(struct scene *s)
{
    s->grant[1].slots_max = 0;
}
static void grant_epsilon(struct scene *s)
{
    s->grant[0].epsilon_max--;
}
static void approval_expired(struct scene *s)
{
    s->approval_expires_ms[1] = s->now_ms;
}
static void approval_revoked(struct scene *s)
{
    change_revoke(s, 0, REVOKE_APPROVAL, s->approval_record[0]->id.bytes);
}
static void compose_revoked(struct scene *s)
{
    change_revoke(s, 1, REVOKE_COMPOSE, s->workflow->hash.bytes);
}
static void approval_slots(struct scene *s)
{
    s->approval[1].slot_first = s->approval[1].slot_last = 2;
}
static void approval_cheap(struct scene *s)
{
    s->approval[1].cost--;
}
static void approval_app(struct scene *s)
{
    s->approval[1].app.bytes[0] ^= 1;
}
static void approval_text(struct scene *s)
{
    s->approval[0].text.bytes[31] ^= 1;
}
static void owner_no_owner(struct scene *s)
{
    change_role(s, 1, ROLE_OWNER);
}
static void provider_no_provider(struct scene *s)
{
    change_role(s, WORLD_ALGORITHM, ROLE_ALGORITHM);
}
static void requester_no_requester(struct scene *s)
{
    change_role(s, WORLD_REQUESTER, ROLE_REQUESTER);
}
static void output_of_a_mebibyte(struct scene *s)
{
    s->workflow->output_bytes_max = 1 << 20;
}
static void reader_is_stranger(struct scene *s)
{
    memset(s->workflow->reader[0].bytes, 0x5a, 32);
    s->workflow->reader_count = 1;
}

const struct change changes_of_run[CHANGES_OF_RUN] = {
    {"the charter is not decided", REFUSAL_CONSORTIUM_FORMING, SCENE_CHARTER, NULL, NULL, SUBJECT_ANY},
    {"there is no committee", REFUSAL_CONSORTIUM_FORMING, SCENE_COMMITTEE, NULL, NULL, SUBJECT_ANY},
    {"the workflow is not published", REFUSAL_WORKFLOW, SCENE_WORKFLOW | SCENE_JOB, NULL, NULL, SUBJECT_ANY},
    {"a requester it does not name", REFUSAL_REQUESTER, 0, other_requester, NULL, SUBJECT_ANY},
    {"no job", REFUSAL_NO_JOB, SCENE_JOB, NULL, NULL, SUBJECT_ANY},
    {"s-1 endorsements", REFUSAL_NOT_ENDORSED, 0, two_endorsers, NULL, SUBJECT_ANY},
    {"the op is not registered", REFUSAL_OP, SCENE_OP, NULL, NULL, SUBJECT_ANY},
    {"the op emits rows", REFUSAL_OUTPUT_TYPE, 0, op_of_rows, NULL, SUBJECT_ANY},
    {"the op's template wants a sum and a mean", REFUSAL_TEMPLATE, 0, op_of_means, NULL, SUBJECT_ANY},
    {"the op has another runtime", REFUSAL_OUTPUT_TYPE, 0, op_of_sql, NULL, SUBJECT_ANY},
    {"the owner equivocated", REFUSAL_FROZEN, 0, NULL, owner_frozen, SUBJECT_OWNER_1},
    {"a record of the owner is missing", REFUSAL_GAP, 0, NULL, owner_gap, SUBJECT_OWNER_1},
    {"a revocation of the owner found no place", REFUSAL_REVOKED, 0, NULL, owner_void, SUBJECT_OWNER_0},
    {"the dataset is not registered", REFUSAL_ASSET, SCENE_ASSET, NULL, NULL, SUBJECT_DATASET_0},
    {"the token is not a dataset", REFUSAL_ASSET, SCENE_BINDING | SCENE_APPROVAL, no_dataset, NULL,
     SUBJECT_DATASET_0},
    {"the workflow names another owner", REFUSAL_NOT_OWNER, 0, other_owner, NULL, SUBJECT_DATASET_0},
    {"the workflow names another schema", REFUSAL_SCHEMA, 0, other_schema, NULL, SUBJECT_DATASET_0},
    {"nothing is bound", REFUSAL_CONTENT, SCENE_BINDING, NULL, NULL, SUBJECT_OWNER_0},
    {"no grant", REFUSAL_NO_GRANT, SCENE_GRANT, NULL, NULL, SUBJECT_OWNER_0},
    {"the grant does not name the op", REFUSAL_GRANT_OP, 0, grant_no_op, NULL, SUBJECT_OWNER_1},
    {"the grant is for a service there is not", REFUSAL_SERVICE, 0, grant_no_service, NULL, SUBJECT_OWNER_1},
    {"the service does not offer the op", REFUSAL_SERVICE, 0, service_no_op, NULL, SUBJECT_OWNER_0},
    {"the grant has expired", REFUSAL_GRANT_EXPIRED, 0, grant_expired, NULL, SUBJECT_OWNER_1},
    {"the grant allows fewer slots", REFUSAL_GRANT_LIMIT, 0, grant_slots, NULL, SUBJECT_OWNER_1},
    {"the grant allows less epsilon", REFUSAL_GRANT_LIMIT, 0, grant_epsilon, NULL, SUBJECT_OWNER_0},
    {"no approval", REFUSAL_NO_APPROVAL, SCENE_APPROVAL, NULL, NULL, SUBJECT_OWNER_0},
    {"the approval has expired", REFUSAL_APPROVAL_EXPIRED, 0, approval_expired, NULL, SUBJECT_OWNER_1},
    {"the approval is revoked", REFUSAL_REVOKED, 0, NULL, approval_revoked, SUBJECT_OWNER_0},
    {"the recipe is revoked", REFUSAL_REVOKED, 0, NULL, compose_revoked, SUBJECT_OWNER_1},
    {"the approval allots other slots", REFUSAL_SLOT_RANGE, 0, approval_slots, NULL, SUBJECT_OWNER_1},
    {"the approval allows less", REFUSAL_COST, 0, approval_cheap, NULL, SUBJECT_OWNER_1},
    {"the approval is for another app", REFUSAL_APP, 0, approval_app, NULL, SUBJECT_OWNER_1},
    {"the approval signs another text", REFUSAL_NO_APPROVAL, 0, approval_text, NULL, SUBJECT_OWNER_0},
    {"the owner was not admitted as one", REFUSAL_ROLE, 0, NULL, owner_no_owner, SUBJECT_OWNER_1},
    {"the provider was not admitted as one", REFUSAL_ROLE, 0, NULL, provider_no_provider, SUBJECT_ANY},
    {"the requester was not admitted as one", REFUSAL_ROLE, 0, NULL, requester_no_requester, SUBJECT_ANY},
    {"no receipt has room for the output", REFUSAL_RECEIPT_ROOM, 0, output_of_a_mebibyte, NULL, SUBJECT_ANY},
    {"a reader is no member", REFUSAL_NOT_MEMBER, 0, reader_is_stranger, NULL, SUBJECT_ANY},
};

const enum refusal refusals_of_run[REFUSALS_OF_RUN] = {REFUSAL_CONSORTIUM_FORMING,
                                                       REFUSAL_WORKFLOW,
                                                       REFUSAL_REQUESTER,
                                                       REFUSAL_NOT_MEMBER,
                                                       REFUSAL_ROLE,
                                                       REFUSAL_RECEIPT_ROOM,
                                                       REFUSAL_APP,
                                                       REFUSAL_CHARTER,
                                                       REFUSAL_ENGINE,
                                                       REFUSAL_PARAMETERS,
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
                                                       REFUSAL_SERVICE,
                                                       REFUSAL_GRANT_LIMIT,
                                                       REFUSAL_GRANT_EXPIRED,
                                                       REFUSAL_NO_APPROVAL,
                                                       REFUSAL_SLOT_RANGE,
                                                       REFUSAL_COST,
                                                       REFUSAL_APPROVAL_EXPIRED};

/* --- Of what a custodian is asked --------------------------------------------------------------------------------------- */

static const uint8_t other32[32] = {0x0e};

static void no_custodian(struct scene *s)
{
    s->self = world->node[WORLD_COMPUTE].id;
}
static void isolated(struct scene *s)
{
    s->vote.standing = s->release.standing = s->commit.holder.standing = REFUSAL_ISOLATED;
}
static void run_without_expiry(struct scene *s)
{
    s->run_expires_ms = 0;
}
static void a_day_on(struct scene *s)
{
    s->vote.now_ms += RUN_LIFE_MAX_MS;
    s->release.now_ms += RUN_LIFE_MAX_MS;
    s->commit.holder.now_ms += RUN_LIFE_MAX_MS;
}
static void promise_lost(struct scene *s)
{
    s->vote.standing = s->release.standing = s->commit.holder.standing = REFUSAL_PROMISE_LOST;
}

static void clock_off(struct scene *s)
{
    s->vote.standing = s->release.standing = s->commit.holder.standing = REFUSAL_CLOCK;
}
static void run_expired(struct scene *s)
{
    s->run_expires_ms = s->now_ms;
}
static void requester_frozen(struct scene *s)
{
    registry_freeze(s->registry, world->node[WORLD_REQUESTER].id, s->run_record->header.seq);
}
static void requester_removed(struct scene *s)
{
    change_remove(s, WORLD_REQUESTER, 5);
}
static void requester_removed_since(struct scene *s)
{
    change_remove(s, WORLD_REQUESTER, 9000);
}
static void voted_later(struct scene *s)
{
    scene_promise(s, PROMISE_VOTE, s->run_id.bytes, 2, other32);
}
static void slot_of_another_run(struct scene *s)
{
    scene_promise(s, PROMISE_SLOT, s->run.compose.bytes, 1, other32);
}
static void no_export(struct scene *s)
{
    s->policy[1].export_to = EXPORT_NONE;
}
static void workflow_elsewhere(struct scene *s)
{
    s->workflow->jurisdiction[0] = SPAN_LITERAL("US");
}

/* The run record itself is not as the recipe is: another run, known here, is asked about. */
static void another_run(struct scene *s)
{
    const struct record *record = scene_record(s, WORLD_REQUESTER, KIND_RUN, &s->run, 0);
    ACCEPTED(registry_apply(s->registry, record));
    memcpy(s->vote.run.bytes, record->id.bytes, 32);
    s->release.run = s->commit.holder.run = s->vote.run;
}
static void run_of_another_app(struct scene *s)
{
    s->run.app.bytes[0] ^= 1;
    another_run(s);
}
static void run_of_another_charter(struct scene *s)
{
    s->run.charter.bytes[0] ^= 1;
    another_run(s);
}
static void run_of_another_engine(struct scene *s)
{
    s->run.engine = SPAN_LITERAL("other/1");
    another_run(s);
}
static void run_of_other_parameters(struct scene *s)
{
    s->run.parameters = SPAN_LITERAL("{\"min_age\":100}");
    another_run(s);
}
static void run_of_one_owner(struct scene *s)
{
    s->run.inputs.len = RUN_INPUT_BYTES;
    another_run(s);
}
static void run_of_one_input_twice(struct scene *s)
{
    change_repeated_input(s);
    another_run(s);
}

const struct change changes_of_custodian[CHANGES_OF_CUSTODIAN] = {
    {"not a custodian", REFUSAL_NOT_CUSTODIAN, 0, NULL, no_custodian, SUBJECT_ANY},
    {"isolated", REFUSAL_ISOLATED, 0, NULL, isolated, SUBJECT_ANY},
    {"a promise is lost", REFUSAL_PROMISE_LOST, 0, NULL, promise_lost, SUBJECT_ANY},
    {"the clock is off", REFUSAL_CLOCK, 0, NULL, clock_off, SUBJECT_ANY},
    {"an unknown run", REFUSAL_UNKNOWN_RUN, SCENE_RUN, NULL, NULL, SUBJECT_ANY},
    {"the run has expired", REFUSAL_RUN_EXPIRED, 0, run_expired, NULL, SUBJECT_ANY},
    {"a run without expiry, a day on", REFUSAL_RUN_EXPIRED, 0, run_without_expiry, a_day_on, SUBJECT_ANY},
    {"the requester equivocated", REFUSAL_FROZEN, 0, NULL, requester_frozen, SUBJECT_ANY},
    {"the requester was removed", REFUSAL_NOT_MEMBER, 0, NULL, requester_removed, SUBJECT_ANY},
    {"the requester was removed since", REFUSAL_NOT_MEMBER, 0, NULL, requester_removed_since, SUBJECT_ANY},
    {"a later term is known", REFUSAL_TERM, 0, NULL, voted_later, SUBJECT_ANY},
    {"the slot is another run's", REFUSAL_SLOT_SPENT, 0, NULL, slot_of_another_run, SUBJECT_ANY},
    {"an owner exports to nobody", REFUSAL_EXPORT, 0, no_export, NULL, SUBJECT_OWNER_1},
    {"the workflow stays elsewhere", REFUSAL_RESIDENCY, 0, workflow_elsewhere, NULL, SUBJECT_ANY},
    {"a run of another app", REFUSAL_APP, 0, NULL, run_of_another_app, SUBJECT_ANY},
    {"a run under another charter", REFUSAL_CHARTER, 0, NULL, run_of_another_charter, SUBJECT_ANY},
    {"a run on another engine", REFUSAL_ENGINE, 0, NULL, run_of_another_engine, SUBJECT_ANY},
    {"a run with what its recipe does not let choose", REFUSAL_PARAMETERS, 0, NULL, run_of_other_parameters,
     SUBJECT_ANY},
    {"a run with an input twice", REFUSAL_INPUTS, 0, NULL, run_of_one_input_twice, SUBJECT_ANY},
    {"a run of k-1 owners", REFUSAL_OWNERS, 0, NULL, run_of_one_owner, SUBJECT_ANY},
};

const enum refusal refusals_of_custodian[REFUSALS_OF_CUSTODIAN] = {
    REFUSAL_NOT_CUSTODIAN, REFUSAL_ISOLATED, REFUSAL_PROMISE_LOST, REFUSAL_CLOCK,  REFUSAL_UNKNOWN_RUN,
    REFUSAL_RUN_EXPIRED,   REFUSAL_TERM,     REFUSAL_SLOT_SPENT,   REFUSAL_EXPORT, REFUSAL_RESIDENCY};

void change_unnamed_input(struct scene *s)
{
    s->inputs[RUN_INPUT_BYTES] ^= 1;
}

void change_repeated_input(struct scene *s)
{
    memcpy(s->inputs + RUN_INPUT_BYTES, s->inputs, RUN_INPUT_BYTES);
}

/* --- Running them ------------------------------------------------------------------------------------------------------- */

struct scene *change_scene(uint32_t left_out, void (*before)(struct scene *s))
{
    struct scene *s = scene_new(world);
    s->left_out = left_out;
    if (before != NULL) before(s);
    scene_build(s);
    return s;
}

struct scene *change_none(void)
{
    return change_scene(0, NULL);
}

static void assert_subject(const struct verdict *v, enum change_subject subject)
{
    switch (subject) {
    case SUBJECT_ANY: break;
    case SUBJECT_OWNER_0: assert_memory_equal(v->subject.bytes, world->node[0].id.bytes, 32); break;
    case SUBJECT_OWNER_1: assert_memory_equal(v->subject.bytes, world->node[1].id.bytes, 32); break;
    case SUBJECT_DATASET_0: assert_memory_equal(v->subject.bytes, world->dataset[0].dt.bytes, 32); break;
    }
}

void change_run(const struct change *c, void (*prepare)(struct scene *s),
                struct verdict (*decide)(struct scene *s), bool seen[REFUSAL_COUNT])
{
    struct scene *s = change_scene(c->left_out, c->before);
    if (prepare != NULL) prepare(s);
    if (c->after != NULL) c->after(s);
    struct verdict v = decide(s);
    assert_string_equal(refusal_name(v.refusal), refusal_name(c->refusal));
    assert_subject(&v, c->subject);
    seen[v.refusal] = true;
    scene_free(s);
}

void change_all_seen(const bool seen[REFUSAL_COUNT], const enum refusal *list, size_t count, const char *by)
{
    for (size_t i = 0; i < count; i++)
        if (!seen[list[i]]) fail_msg("no case makes %s refuse with \"%s\"", by, refusal_name(list[i]));
}

static struct CMUnitTest tests[256];
static size_t test_count;

void change_add(const struct change *c, size_t count, CMUnitTestFunction function)
{
    assert_true(count <= COUNT(tests) - test_count);
    for (size_t i = 0; i < count; i++)
        tests[test_count++] = (struct CMUnitTest){c[i].name, function, NULL, NULL, (void *)(uintptr_t)&c[i]};
}

int change_main(const char *group, const struct CMUnitTest *rest, size_t count)
{
    assert_true(count <= COUNT(tests) - test_count);
    memcpy(tests + test_count, rest, count * sizeof *rest);
    return _cmocka_run_group_tests(group, tests, test_count + count, change_set_up, change_tear_down);
}
