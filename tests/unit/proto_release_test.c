/* The release function and the commit function: every refusal by one change to a good case, and none left out. */
#include "proto/release.h"
#include "tests/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct asking {
    struct scene *s;
    struct promises promises;
    struct node_id self;
    struct certificate certificate;
    struct release_ask release;
    struct commit_ask commit;
};
struct change {
    const char *name;
    enum refusal refusal;
    void (*before)(struct scene *s);
    void (*after)(struct asking *a);
};

static struct world *world;
static bool release_seen[REFUSAL_COUNT], commit_seen[REFUSAL_COUNT];
static const uint8_t other32[32] = {0x0e};

static void promise(struct asking *a, enum promise_kind kind, const uint8_t subject[32], uint64_t number,
                    const uint8_t value[32])
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, subject, number);
    assert_int_equal(promise_set(&a->promises, key, value), OK);
}

static void make_certificate(struct asking *a)
{
    a->certificate = (struct certificate){.consortium = world->consortium,
                                          .epoch = 1,
                                          .run = a->s->run_id,
                                          .compose = a->s->run.compose,
                                          .slot = 1,
                                          .term = 1,
                                          .node = world->node[WORLD_COMPUTE].id,
                                          .vote_count = 3,
                                          .custodian = {0, 1, 3}};
}

/* Custodian 2 is asked; it voted, but for nobody yet, which is no matter. */
static struct asking *begin(void (*before)(struct scene *s))
{
    static struct asking a;
    a = (struct asking){.s = scene_new(world), .self = world->node[2].id};
    if (before != NULL) before(a.s);
    scene_build(a.s);
    assert_int_equal(promises_init(&a.promises, a.s->arena, 64, 1), OK);
    make_certificate(&a);
    struct node_id enclave = {{0xe0}};
    a.release = (struct release_ask){.run = a.s->run_id,
                                     .term = 1,
                                     .enclave = enclave,
                                     .certificate = &a.certificate,
                                     .envelope_count = 2,
                                     .evidence = {world->measurement, world->platform, a.s->now_ms, true},
                                     .platform_known = true,
                                     .platform = world->platform,
                                     .now_ms = a.s->now_ms};
    a.commit = (struct commit_ask){
        .run = a.s->run_id, .term = 1, .enclave = enclave, .commitment = {{0xcc}}, .now_ms = a.s->now_ms};
    return &a;
}

static struct verdict decide_release(struct asking *a)
{
    return release_decide(a->s->registry, &a->promises, a->self, &a->release);
}

static struct verdict decide_commit(struct asking *a)
{
    return commit_decide(a->s->registry, &a->promises, a->self, &a->commit);
}

static void released(struct asking *a)
{
    promise(a, PROMISE_RELEASE, a->s->run_id.bytes, 1, a->commit.enclave.bytes);
    promise(a, PROMISE_HOST, a->s->run_id.bytes, 1, a->certificate.node.bytes);
    promise(a, PROMISE_WORKER, a->s->run_id.bytes, 1, world->measurement.bytes);
}

/* --- What both refuse ---------------------------------------------------------------------------------------------------------- */

static void no_charter(struct scene *s)
{
    s->left_out = SCENE_CHARTER;
}
static void no_committee(struct scene *s)
{
    s->left_out = SCENE_COMMITTEE;
}
static void no_run(struct scene *s)
{
    s->left_out = SCENE_RUN;
}
static void no_job(struct scene *s)
{
    s->left_out = SCENE_JOB;
}
static void no_op(struct scene *s)
{
    s->left_out = SCENE_OP;
}
static void no_grant(struct scene *s)
{
    s->left_out = SCENE_GRANT;
}
static void no_approval(struct scene *s)
{
    s->left_out = SCENE_APPROVAL;
}
static void no_workflow(struct scene *s)
{
    s->left_out = SCENE_WORKFLOW | SCENE_JOB;
}
static void no_asset(struct scene *s)
{
    s->left_out = SCENE_ASSET;
}
static void no_binding(struct scene *s)
{
    s->left_out = SCENE_BINDING;
}
static void two_endorsers(struct scene *s)
{
    s->endorsers = 2;
}
static void other_requester(struct scene *s)
{
    s->requester = WORLD_ALGORITHM;
}
static void run_expired(struct scene *s)
{
    s->run_expires_ms = s->now_ms;
}
static void grant_expired(struct scene *s)
{
    s->grant_expires_ms[1] = s->now_ms;
}
static void grant_no_op(struct scene *s)
{
    s->grant[1].ops = SPAN_NONE;
}
static void grant_limit(struct scene *s)
{
    s->grant[1].slots_max = 0;
}
static void approval_expired(struct scene *s)
{
    s->approval_expires_ms[1] = s->now_ms;
}
static void approval_cheap(struct scene *s)
{
    s->approval[1].cost--;
}
static void approval_app(struct scene *s)
{
    s->approval[1].app.bytes[0] ^= 1;
}
static void slots_elsewhere(struct scene *s)
{
    s->approval[1].slot_first = s->approval[1].slot_last = 2;
}
static void wrong_schema(struct scene *s)
{
    s->workflow->input[0].schema.bytes[0] ^= 1;
}
static void other_owner(struct scene *s)
{
    s->workflow->input[0].owner = world->node[2].id;
}
static void op_of_rows(struct scene *s)
{
    s->op->output = SPAN_LITERAL("rows");
}
static void op_of_means(struct scene *s)
{
    scene_template(s, "mean");
}
static void no_custodian(struct asking *a)
{
    a->self = world->node[WORLD_COMPUTE].id;
}
static void owner_gap(struct asking *a)
{
    registry_gap(a->s->registry, world->node[1].id, true);
}
static void owner_frozen(struct asking *a)
{
    registry_freeze(a->s->registry, world->node[1].id, 9000);
}

static void isolated(struct asking *a)
{
    a->release.isolated = a->commit.isolated = true;
}

static void requester_frozen(struct asking *a)
{
    registry_freeze(a->s->registry, world->node[WORLD_REQUESTER].id, a->s->run_record->header.seq);
}

static void requester_removed(struct asking *a)
{
    struct body_REMOVAL b = {world->node[WORLD_REQUESTER].id, 9000};
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(scene_apply(a->s, i, KIND_REMOVAL, &b, 0).refusal, REFUSAL_NONE);
}

static void revoked(struct asking *a)
{
    struct body_REVOCATION b = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(b.subject.bytes, a->s->run.compose.bytes, 32);
    assert_int_equal(scene_apply(a->s, 1, KIND_REVOCATION, &b, 0).refusal, REFUSAL_NONE);
}

static void slot_of_another_run(struct asking *a)
{
    promise(a, PROMISE_SLOT, a->s->run.compose.bytes, 1, other32);
}

static void voted_later(struct asking *a)
{
    promise(a, PROMISE_VOTE, a->s->run_id.bytes, 2, other32);
}

/* The run record itself is not as the recipe is: another run, known here, is asked about. */
static void another_run(struct asking *a, void (*bend)(struct body_RUN *run))
{
    struct scene *s = a->s;
    bend(&s->run);
    const struct record *record = scene_record(s, WORLD_REQUESTER, KIND_RUN, &s->run, 0);
    assert_int_equal(registry_apply(s->registry, record).refusal, REFUSAL_NONE);
    memcpy(a->release.run.bytes, record->id.bytes, 32);
    memcpy(a->commit.run.bytes, record->id.bytes, 32);
}

static void bend_app(struct body_RUN *run)
{
    run->app.bytes[0] ^= 1;
}
static void bend_charter(struct body_RUN *run)
{
    run->charter.bytes[0] ^= 1;
}
static void bend_engine(struct body_RUN *run)
{
    run->engine = SPAN_LITERAL("other/1");
}
static void bend_inputs(struct body_RUN *run)
{
    run->inputs.len = RUN_INPUT_BYTES;
}
static void bend_twice(struct body_RUN *run)
{
    memcpy((uint8_t *)(uintptr_t)run->inputs.data + RUN_INPUT_BYTES, run->inputs.data, RUN_INPUT_BYTES);
}
static void run_of_another_app(struct asking *a)
{
    another_run(a, bend_app);
}
static void run_of_another_charter(struct asking *a)
{
    another_run(a, bend_charter);
}
static void run_of_another_engine(struct asking *a)
{
    another_run(a, bend_engine);
}
static void run_of_one_owner(struct asking *a)
{
    another_run(a, bend_inputs);
}
static void run_of_one_input_twice(struct asking *a)
{
    another_run(a, bend_twice);
}

static const struct change common[] = {
    {"the charter is not decided", REFUSAL_CONSORTIUM_FORMING, no_charter, NULL},
    {"there is no committee", REFUSAL_CONSORTIUM_FORMING, no_committee, NULL},
    {"not a custodian", REFUSAL_NOT_CUSTODIAN, NULL, no_custodian},
    {"isolated", REFUSAL_ISOLATED, NULL, isolated},
    {"an unknown run", REFUSAL_UNKNOWN_RUN, no_run, NULL},
    {"the run has expired", REFUSAL_RUN_EXPIRED, run_expired, NULL},
    {"the requester equivocated", REFUSAL_FROZEN, NULL, requester_frozen},
    {"the requester was removed", REFUSAL_NOT_MEMBER, NULL, requester_removed},
    {"a later term is known", REFUSAL_TERM, NULL, voted_later},
    {"the slot is another run's", REFUSAL_SLOT_SPENT, NULL, slot_of_another_run},
    {"the workflow is not published", REFUSAL_WORKFLOW, no_workflow, NULL},
    {"a requester it does not name", REFUSAL_REQUESTER, other_requester, NULL},
    {"another app", REFUSAL_APP, NULL, run_of_another_app},
    {"another charter", REFUSAL_CHARTER, NULL, run_of_another_charter},
    {"another engine", REFUSAL_ENGINE, NULL, run_of_another_engine},
    {"no job", REFUSAL_NO_JOB, no_job, NULL},
    {"s-1 endorsements", REFUSAL_NOT_ENDORSED, two_endorsers, NULL},
    {"the op is not registered", REFUSAL_OP, no_op, NULL},
    {"the op emits rows", REFUSAL_OUTPUT_TYPE, op_of_rows, NULL},
    {"the op's template wants a sum and a mean", REFUSAL_TEMPLATE, op_of_means, NULL},
    {"an input twice", REFUSAL_INPUTS, NULL, run_of_one_input_twice},
    {"k-1 owners", REFUSAL_OWNERS, NULL, run_of_one_owner},
    {"an owner equivocated", REFUSAL_FROZEN, NULL, owner_frozen},
    {"a record of an owner is missing", REFUSAL_GAP, NULL, owner_gap},
    {"the dataset is not registered", REFUSAL_ASSET, no_asset, NULL},
    {"the workflow names another owner", REFUSAL_NOT_OWNER, other_owner, NULL},
    {"the workflow names another schema", REFUSAL_SCHEMA, wrong_schema, NULL},
    {"nothing is bound", REFUSAL_CONTENT, no_binding, NULL},
    {"no grant", REFUSAL_NO_GRANT, no_grant, NULL},
    {"the grant does not name the op", REFUSAL_GRANT_OP, grant_no_op, NULL},
    {"the grant has expired", REFUSAL_GRANT_EXPIRED, grant_expired, NULL},
    {"the grant allows less", REFUSAL_GRANT_LIMIT, grant_limit, NULL},
    {"no approval", REFUSAL_NO_APPROVAL, no_approval, NULL},
    {"the approval has expired", REFUSAL_APPROVAL_EXPIRED, approval_expired, NULL},
    {"the approval is revoked", REFUSAL_REVOKED, NULL, revoked},
    {"the slot is not allotted", REFUSAL_SLOT_RANGE, slots_elsewhere, NULL},
    {"the approval allows less", REFUSAL_COST, approval_cheap, NULL},
    {"the approval is for another app", REFUSAL_APP, approval_app, NULL},
};

/* --- What only a release refuses -------------------------------------------------------------------------------------------------- */

static void no_certificate(struct asking *a)
{
    a->release.certificate = NULL;
}
static void few_votes(struct asking *a)
{
    a->certificate.vote_count = 2;
}
static void no_such_custodian(struct asking *a)
{
    a->certificate.custodian[2] = 4;
}
static void one_vote_twice(struct asking *a)
{
    a->certificate.custodian[1] = 0;
}
static void certificate_consortium(struct asking *a)
{
    a->certificate.consortium.bytes[0] ^= 1;
}
static void certificate_run(struct asking *a)
{
    a->certificate.run.bytes[0] ^= 1;
}
static void certificate_term(struct asking *a)
{
    a->certificate.term = 2;
}
static void certificate_epoch(struct asking *a)
{
    a->certificate.epoch = 2;
}
static void certificate_compose(struct asking *a)
{
    a->certificate.compose.bytes[0] ^= 1;
}
static void certificate_slot(struct asking *a)
{
    a->certificate.slot = 2;
}
static void elects_no_compute(struct asking *a)
{
    a->certificate.node = world->node[WORLD_ALGORITHM].id;
}
static void no_export(struct scene *s)
{
    s->policy[1].export_to = EXPORT_NONE;
}
static void elsewhere(struct scene *s)
{
    s->workflow->jurisdiction[0] = SPAN_LITERAL("US");
}
static void evidence_bad(struct asking *a)
{
    a->release.evidence_err = ERR_EVIDENCE;
}
static void no_platform(struct asking *a)
{
    a->release.platform_known = false;
}
static void other_platform(struct asking *a)
{
    a->release.platform.bytes[0] ^= 1;
}
static void other_worker(struct asking *a)
{
    a->release.evidence.measurement.bytes[0] ^= 1;
}
static void no_workers(struct scene *s)
{
    s->left_out = SCENE_WORKERS;
}
static void few_envelopes(struct asking *a)
{
    a->release.envelope_count = 1;
}
static void many_envelopes(struct asking *a)
{
    a->release.envelope_count = 3;
}

static void evidence_field(struct asking *a, const char *field)
{
    evidence_bad(a);
    a->release.evidence_field = field;
}

static void unbound_report(struct asking *a)
{
    evidence_field(a, "report-data");
}
static void unbound_gpu(struct asking *a)
{
    evidence_field(a, "gpu-nonce");
}
static void unknown_worker(struct asking *a)
{
    evidence_field(a, "measurement");
}
static void no_gpu(struct asking *a)
{
    evidence_field(a, "gpu");
}
static void bad_time(struct asking *a)
{
    evidence_field(a, "time");
}

static void served_another(struct asking *a)
{
    promise(a, PROMISE_RELEASE, a->s->run_id.bytes, 1, other32);
}

static const struct change release_only[] = {
    {"no certificate that holds", REFUSAL_CERTIFICATE, NULL, no_certificate},
    {"q-1 votes", REFUSAL_CERTIFICATE, NULL, few_votes},
    {"one vote twice", REFUSAL_CERTIFICATE, NULL, one_vote_twice},
    {"a vote of no custodian", REFUSAL_CERTIFICATE, NULL, no_such_custodian},
    {"a certificate of another consortium", REFUSAL_CERTIFICATE, NULL, certificate_consortium},
    {"a certificate of another run", REFUSAL_CERTIFICATE, NULL, certificate_run},
    {"a certificate of another term", REFUSAL_CERTIFICATE, NULL, certificate_term},
    {"a certificate of another epoch", REFUSAL_CERTIFICATE, NULL, certificate_epoch},
    {"a certificate of another recipe", REFUSAL_CERTIFICATE, NULL, certificate_compose},
    {"a certificate of another slot", REFUSAL_CERTIFICATE, NULL, certificate_slot},
    {"the elected is no compute member", REFUSAL_NOT_COMPUTE, NULL, elects_no_compute},
    {"an owner exports to nobody", REFUSAL_EXPORT, no_export, NULL},
    {"the workflow stays elsewhere", REFUSAL_RESIDENCY, elsewhere, NULL},
    {"the evidence does not verify", REFUSAL_EVIDENCE, NULL, evidence_bad},
    {"the evidence is old", REFUSAL_EVIDENCE, NULL, bad_time},
    {"the evidence binds another key", REFUSAL_BINDING, NULL, unbound_report},
    {"the GPU's evidence binds another key", REFUSAL_BINDING, NULL, unbound_gpu},
    {"the evidence shows another worker", REFUSAL_MEASUREMENT, NULL, unknown_worker},
    {"the worker is not in the set", REFUSAL_MEASUREMENT, NULL, other_worker},
    {"the set is not registered", REFUSAL_MEASUREMENT, no_workers, NULL},
    {"no GPU evidence where it is demanded", REFUSAL_GPU, NULL, no_gpu},
    {"the elected advertised no platform", REFUSAL_PLATFORM, NULL, no_platform},
    {"the elected advertised another platform", REFUSAL_PLATFORM, NULL, other_platform},
    {"an envelope too few", REFUSAL_ENVELOPE, NULL, few_envelopes},
    {"an envelope too many", REFUSAL_ENVELOPE, NULL, many_envelopes},
    {"another enclave key was served", REFUSAL_OTHER_KEY, NULL, served_another},
};

/* --- What only a commit refuses --------------------------------------------------------------------------------------------------- */

static void other_index(struct asking *a)
{
    a->commit.index = 1;
}

static void bound_to_another(struct asking *a)
{
    promise(a, PROMISE_COMMIT, a->s->run_id.bytes, 0, other32);
}

static void host_removed(struct asking *a)
{
    struct body_REMOVAL b = {world->node[WORLD_COMPUTE].id, 9000};
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(scene_apply(a->s, i, KIND_REMOVAL, &b, 0).refusal, REFUSAL_NONE);
}

static const struct change commit_only[] = {
    {"the node was removed since", REFUSAL_NOT_COMPUTE, NULL, host_removed},
    {"an owner exports to nobody any more", REFUSAL_EXPORT, no_export, NULL},
    {"the workflow stays elsewhere", REFUSAL_RESIDENCY, elsewhere, NULL},
    {"the worker is in the set no more", REFUSAL_MEASUREMENT, no_workers, NULL},
    {"a second output", REFUSAL_OUTPUT_TYPE, NULL, other_index},
    {"another output is committed", REFUSAL_COMMIT_CONFLICT, NULL, bound_to_another},
};

enum {
    COMMON = sizeof common / sizeof common[0],
    RELEASES = sizeof release_only / sizeof release_only[0],
    COMMITS = sizeof commit_only / sizeof commit_only[0],
};

static void test_release_change(void **state)
{
    const struct change *c = *state;
    struct asking *a = begin(c->before);
    if (c->after != NULL) c->after(a);
    struct verdict v = decide_release(a);
    assert_string_equal(refusal_name(v.refusal), refusal_name(c->refusal));
    release_seen[v.refusal] = true;
    scene_free(a->s);
}

static void test_commit_change(void **state)
{
    const struct change *c = *state;
    struct asking *a = begin(c->before);
    released(a);
    if (c->after != NULL) c->after(a);
    struct verdict v = decide_commit(a);
    assert_string_equal(refusal_name(v.refusal), refusal_name(c->refusal));
    commit_seen[v.refusal] = true;
    scene_free(a->s);
}

static void test_not_released(void **state)
{
    (void)state;
    struct asking *a = begin(NULL);
    assert_int_equal(decide_commit(a).refusal, REFUSAL_NOT_RELEASED); /* to nobody */
    scene_free(a->s);
    a = begin(NULL);
    released(a);
    a->commit.enclave.bytes[0] ^= 1;
    assert_int_equal(decide_commit(a).refusal, REFUSAL_NOT_RELEASED); /* to another enclave */
    commit_seen[REFUSAL_NOT_RELEASED] = true;
    scene_free(a->s);
    a = begin(NULL);
    promise(a, PROMISE_RELEASE, a->s->run_id.bytes, 1, a->commit.enclave.bytes);
    assert_int_equal(decide_commit(a).refusal, REFUSAL_NOT_RELEASED); /* to whom, nobody knows */
    scene_free(a->s);
}

/* --- Nothing is left out ------------------------------------------------------------------------------------------------------------ */

/* What the two functions can refuse with: those of check_common and of what it calls, then their own. Whoever adds a refusal
 * adds it here, with a case. */
static const enum refusal common_refusals[] = {REFUSAL_CONSORTIUM_FORMING,
                                               REFUSAL_NOT_CUSTODIAN,
                                               REFUSAL_ISOLATED,
                                               REFUSAL_UNKNOWN_RUN,
                                               REFUSAL_RUN_EXPIRED,
                                               REFUSAL_FROZEN,
                                               REFUSAL_NOT_MEMBER,
                                               REFUSAL_TERM,
                                               REFUSAL_SLOT_SPENT,
                                               REFUSAL_WORKFLOW,
                                               REFUSAL_REQUESTER,
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
                                               REFUSAL_GAP,
                                               REFUSAL_ASSET,
                                               REFUSAL_NOT_OWNER,
                                               REFUSAL_SCHEMA,
                                               REFUSAL_CONTENT,
                                               REFUSAL_NO_GRANT,
                                               REFUSAL_GRANT_OP,
                                               REFUSAL_GRANT_EXPIRED,
                                               REFUSAL_GRANT_LIMIT,
                                               REFUSAL_NO_APPROVAL,
                                               REFUSAL_APPROVAL_EXPIRED,
                                               REFUSAL_REVOKED,
                                               REFUSAL_SLOT_RANGE,
                                               REFUSAL_COST};
static const enum refusal release_refusals[] = {REFUSAL_CERTIFICATE, REFUSAL_NOT_COMPUTE, REFUSAL_EXPORT,
                                                REFUSAL_RESIDENCY,   REFUSAL_EVIDENCE,    REFUSAL_BINDING,
                                                REFUSAL_MEASUREMENT, REFUSAL_GPU,         REFUSAL_PLATFORM,
                                                REFUSAL_ENVELOPE,    REFUSAL_OTHER_KEY};
static const enum refusal commit_refusals[] = {
    REFUSAL_NOT_RELEASED, REFUSAL_OUTPUT_TYPE, REFUSAL_COMMIT_CONFLICT, REFUSAL_NOT_COMPUTE,
    REFUSAL_EXPORT,       REFUSAL_RESIDENCY,   REFUSAL_MEASUREMENT};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void assert_seen(const bool *seen, const enum refusal *list, size_t count, const char *by)
{
    for (size_t i = 0; i < count; i++)
        if (!seen[list[i]]) fail_msg("no case makes %s refuse with \"%s\"", by, refusal_name(list[i]));
}

static bool listed(enum refusal r, const enum refusal *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == r) return true;
    return false;
}

static void test_refusals_are_complete(void **state)
{
    (void)state;
    assert_seen(release_seen, common_refusals, COUNT(common_refusals), "a release");
    assert_seen(release_seen, release_refusals, COUNT(release_refusals), "a release");
    assert_seen(commit_seen, common_refusals, COUNT(common_refusals), "a commit");
    assert_seen(commit_seen, commit_refusals, COUNT(commit_refusals), "a commit");
    for (unsigned r = 1; r < REFUSAL_COUNT; r++) {
        bool both = listed((enum refusal)r, common_refusals, COUNT(common_refusals));
        if (release_seen[r])
            assert_true(both || listed((enum refusal)r, release_refusals, COUNT(release_refusals)));
        if (commit_seen[r])
            assert_true(both || listed((enum refusal)r, commit_refusals, COUNT(commit_refusals)));
    }
}

/* --- Granted ------------------------------------------------------------------------------------------------------------------------- */

static void test_release_good(void **state)
{
    (void)state;
    struct asking *a = begin(NULL);
    assert_int_equal(decide_release(a).refusal, REFUSAL_NONE);
    released(a);
    assert_int_equal(decide_release(a).refusal, REFUSAL_NONE); /* the same enclave again */
    promise(a, PROMISE_SLOT, a->s->run.compose.bytes, 1, a->s->run_id.bytes);
    assert_int_equal(decide_release(a).refusal, REFUSAL_NONE);
    scene_free(a->s);
}

/* Who voted for another candidate in this term serves the one whom q others elected. */
static void test_release_to_whom_others_elected(void **state)
{
    (void)state;
    struct asking *a = begin(NULL);
    promise(a, PROMISE_VOTE, a->s->run_id.bytes, 1, other32);
    assert_int_equal(decide_release(a).refusal, REFUSAL_NONE);
    scene_free(a->s);
}

static void test_commit_good(void **state)
{
    (void)state;
    struct asking *a = begin(NULL);
    released(a);
    assert_int_equal(decide_commit(a).refusal, REFUSAL_NONE);
    promise(a, PROMISE_COMMIT, a->s->run_id.bytes, 0, a->commit.commitment.bytes);
    assert_int_equal(decide_commit(a).refusal, REFUSAL_NONE); /* the same again, as after a lost answer */
    scene_free(a->s);
}

/* The last revocation point: released already, revoked since. */
static void test_commit_after_revocation(void **state)
{
    (void)state;
    struct asking *a = begin(NULL);
    assert_int_equal(decide_release(a).refusal, REFUSAL_NONE);
    released(a);
    revoked(a);
    assert_int_equal(decide_commit(a).refusal, REFUSAL_REVOKED);
    assert_int_equal(decide_release(a).refusal, REFUSAL_REVOKED);
    scene_free(a->s);
}

/* --- The policy evidence is checked under: the strictest of all ------------------------------------------------------------------------ */

static void policy_is(void (*before)(struct scene *s), bool need_gpu, bool accept_simulated)
{
    struct asking *a = begin(before);
    bool gpu, simulated;
    release_evidence_policy(a->s->registry, &a->s->run, &gpu, &simulated);
    assert_int_equal(gpu, need_gpu);
    assert_int_equal(simulated, accept_simulated);
    scene_free(a->s);
}

static void workflow_gpu(struct scene *s)
{
    s->workflow->need_gpu = true;
}
static void owner_gpu(struct scene *s)
{
    s->policy[1].need_gpu = true;
}
static void workflow_strict(struct scene *s)
{
    s->workflow->accept_simulated = false;
    s->workflow->accept_tdx = true;
}

static void test_evidence_policy(void **state)
{
    (void)state;
    policy_is(NULL, false, true);
    policy_is(workflow_gpu, true, true);
    policy_is(owner_gpu, true, true);
    policy_is(workflow_strict, false, false);
    policy_is(no_workflow, true, false);
    policy_is(no_charter, false, false);
    policy_is(no_binding, true, true);
    struct asking *a = begin(NULL);
    bool gpu, simulated;
    a->s->policy[0].need_gpu = true; /* a newer binding asks for more */
    struct body_ASSET body = scene_asset(a->s, 0, 3, true);
    assert_int_equal(scene_apply(a->s, 0, KIND_ASSET, &body, 0).refusal, REFUSAL_NONE);
    release_evidence_policy(a->s->registry, &a->s->run, &gpu, &simulated);
    assert_true(gpu);
    scene_free(a->s);
    a = begin(owner_gpu);
    a->s->policy[1].need_gpu =
        false; /* or for less, which does not loosen what the run's content was bound under */
    body = scene_asset(a->s, 1, 3, true);
    assert_int_equal(scene_apply(a->s, 1, KIND_ASSET, &body, 0).refusal, REFUSAL_NONE);
    release_evidence_policy(a->s->registry, &a->s->run, &gpu, &simulated);
    assert_true(gpu);
    scene_free(a->s);
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

static struct CMUnitTest tests[2 * COMMON + RELEASES + COMMITS + 7];
static size_t test_count;

static void add(const struct change *c, size_t count, CMUnitTestFunction function)
{
    for (size_t i = 0; i < count; i++)
        tests[test_count++] = (struct CMUnitTest){c[i].name, function, NULL, NULL, (void *)(uintptr_t)&c[i]};
}

int main(void)
{
    const struct CMUnitTest rest[] = {
        cmocka_unit_test(test_not_released),    cmocka_unit_test(test_refusals_are_complete),
        cmocka_unit_test(test_release_good),    cmocka_unit_test(test_release_to_whom_others_elected),
        cmocka_unit_test(test_commit_good),     cmocka_unit_test(test_commit_after_revocation),
        cmocka_unit_test(test_evidence_policy),
    };
    add(common, COMMON, test_release_change);
    add(release_only, RELEASES, test_release_change);
    add(common, COMMON, test_commit_change);
    add(commit_only, COMMITS, test_commit_change);
    memcpy(&tests[test_count], rest, sizeof rest);
    return cmocka_run_group_tests_name("proto_release", tests, set_up, tear_down);
}
