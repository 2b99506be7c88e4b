/* The release function and the commit function: every refusal by one change to a good case, and none left out. */
#include "tests/scene_change.h"

static bool release_seen[REFUSAL_COUNT], commit_seen[REFUSAL_COUNT];
static const uint8_t other32[32] = {0x0e};

static struct verdict decide_release(struct scene *s)
{
    return release_decide(s->registry, &s->promises, s->self, &s->release);
}

static struct verdict decide_commit(struct scene *s)
{
    return commit_decide(s->registry, &s->promises, s->self, &s->commit);
}

static void released(struct scene *s)
{
    scene_promise(s, PROMISE_RELEASE, s->run_id.bytes, 1, s->commit.holder.enclave.bytes);
    scene_promise(s, PROMISE_HOST, s->run_id.bytes, 1, s->certificate.node.bytes);
    scene_promise(s, PROMISE_WORKER, s->run_id.bytes, 1, world->measurement.bytes);
}

/* --- What only a release refuses -------------------------------------------------------------------------------------------------- */

static void no_certificate(struct scene *s)
{
    s->release.certificate = NULL;
}
static void few_votes(struct scene *s)
{
    s->certificate.vote_count = 2;
}
static void no_such_custodian(struct scene *s)
{
    s->certificate.custodian[2] = 4;
}
static void one_vote_twice(struct scene *s)
{
    s->certificate.custodian[1] = 0;
}
static void certificate_consortium(struct scene *s)
{
    s->certificate.consortium.bytes[0] ^= 1;
}
static void certificate_run(struct scene *s)
{
    s->certificate.run.bytes[0] ^= 1;
}
static void certificate_term(struct scene *s)
{
    s->certificate.term = 2;
}
static void certificate_epoch(struct scene *s)
{
    s->certificate.epoch = 2;
}
static void certificate_compose(struct scene *s)
{
    s->certificate.compose.bytes[0] ^= 1;
}
static void certificate_slot(struct scene *s)
{
    s->certificate.slot = 2;
}
static void elects_no_compute(struct scene *s)
{
    s->certificate.node = s->release.host = world->node[WORLD_ALGORITHM].id;
}
static void another_brings_it(struct scene *s)
{
    s->release.host = s->commit.holder.host = world->node[WORLD_ALGORITHM].id;
}
static void evidence_bad(struct scene *s)
{
    s->release.evidence_err = ERR_EVIDENCE;
}
static void no_platform(struct scene *s)
{
    s->release.platform_known = false;
}
static void other_platform(struct scene *s)
{
    s->release.platform.bytes[0] ^= 1;
}
static void other_worker(struct scene *s)
{
    s->release.evidence.measurement.bytes[0] ^= 1;
}
static void elects_a_named_machine(struct scene *s, const struct hash32 *platform)
{
    struct node_id late = {{0xd1}};
    struct body_MEMBER body = {.node = late,
                               .organisation = SPAN_LITERAL("late"),
                               .jurisdiction = SPAN_LITERAL("EU"),
                               .roles = ROLE_COMPUTE,
                               .approval = late,
                               .platforms = ID_SPAN(*platform)};
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, &body, 0));
    s->certificate.node = s->release.host = late;
}
static void platform_not_admitted(struct scene *s)
{
    static const struct hash32 other = {{0x0f}};
    elects_a_named_machine(s, &other);
}
static void few_envelopes(struct scene *s)
{
    s->release.envelope_count = 1;
}
static void many_envelopes(struct scene *s)
{
    s->release.envelope_count = 3;
}

static void evidence_field(struct scene *s, const char *field)
{
    evidence_bad(s);
    s->release.evidence_field = field;
}

static void unbound_report(struct scene *s)
{
    evidence_field(s, "report-data");
}
static void unbound_gpu(struct scene *s)
{
    evidence_field(s, "gpu-nonce");
}
static void unknown_worker(struct scene *s)
{
    evidence_field(s, "measurement");
}
static void no_gpu(struct scene *s)
{
    evidence_field(s, "gpu");
}
static void bad_time(struct scene *s)
{
    evidence_field(s, "time");
}

static void evidence_ahead(struct scene *s)
{
    evidence_field(s, "ahead");
}
static void not_judged(struct scene *s)
{
    s->release.evidence_err = ERR_NO_MEMORY;
}

static void served_another(struct scene *s)
{
    scene_promise(s, PROMISE_RELEASE, s->run_id.bytes, 1, other32);
}

static void workflow_gpu(struct scene *s)
{
    s->workflow->need_gpu = true;
}
static void owner_gpu(struct scene *s)
{
    s->policy[1].need_gpu = true;
}
static void owner_veto(struct scene *s)
{
    s->policy[1].owner_veto = true;
}
static void workflow_strict(struct scene *s)
{
    s->workflow->accept_simulated = false;
    s->workflow->accept_tdx = true;
}

static const struct change release_only[] = {
    {"no certificate that holds", REFUSAL_CERTIFICATE, 0, NULL, no_certificate, SUBJECT_ANY},
    {"q-1 votes", REFUSAL_CERTIFICATE, 0, NULL, few_votes, SUBJECT_ANY},
    {"one vote twice", REFUSAL_CERTIFICATE, 0, NULL, one_vote_twice, SUBJECT_ANY},
    {"a vote of no custodian", REFUSAL_CERTIFICATE, 0, NULL, no_such_custodian, SUBJECT_ANY},
    {"a certificate of another consortium", REFUSAL_CERTIFICATE, 0, NULL, certificate_consortium,
     SUBJECT_ANY},
    {"a certificate of another run", REFUSAL_CERTIFICATE, 0, NULL, certificate_run, SUBJECT_ANY},
    {"a certificate of another term", REFUSAL_CERTIFICATE, 0, NULL, certificate_term, SUBJECT_ANY},
    {"a certificate of another epoch", REFUSAL_CERTIFICATE, 0, NULL, certificate_epoch, SUBJECT_ANY},
    {"a certificate of another recipe", REFUSAL_CERTIFICATE, 0, NULL, certificate_compose, SUBJECT_ANY},
    {"a certificate of another slot", REFUSAL_CERTIFICATE, 0, NULL, certificate_slot, SUBJECT_ANY},
    {"the elected is no compute member", REFUSAL_NOT_COMPUTE, 0, NULL, elects_no_compute, SUBJECT_ANY},
    {"another node than the elected brings it", REFUSAL_CERTIFICATE, 0, NULL, another_brings_it, SUBJECT_ANY},
    {"the evidence does not verify", REFUSAL_EVIDENCE, 0, NULL, evidence_bad, SUBJECT_ANY},
    {"the evidence is old", REFUSAL_EVIDENCE, 0, NULL, bad_time, SUBJECT_ANY},
    {"the evidence is of a time to come", REFUSAL_CLOCK, 0, NULL, evidence_ahead, SUBJECT_ANY},
    {"the evidence could not be judged", REFUSAL_TROUBLE, 0, NULL, not_judged, SUBJECT_ANY},
    {"the evidence binds another key", REFUSAL_BINDING, 0, NULL, unbound_report, SUBJECT_ANY},
    {"the GPU's evidence binds another key", REFUSAL_BINDING, 0, NULL, unbound_gpu, SUBJECT_ANY},
    {"the evidence shows another worker", REFUSAL_MEASUREMENT, 0, NULL, unknown_worker, SUBJECT_ANY},
    {"the worker is not in the set", REFUSAL_MEASUREMENT, 0, NULL, other_worker, SUBJECT_ANY},
    {"the set is not registered", REFUSAL_MEASUREMENT, SCENE_WORKERS, NULL, NULL, SUBJECT_ANY},
    {"no GPU evidence where it is demanded", REFUSAL_GPU, 0, NULL, no_gpu, SUBJECT_ANY},
    {"a GPU is demanded, and what is shown is open to its host", REFUSAL_GPU, 0, workflow_gpu, NULL,
     SUBJECT_ANY},
    {"an owner demands a GPU", REFUSAL_GPU, 0, owner_gpu, NULL, SUBJECT_ANY},
    {"evidence that the workflow does not take", REFUSAL_EVIDENCE, 0, workflow_strict, NULL, SUBJECT_ANY},
    {"the elected advertised no platform", REFUSAL_TROUBLE, 0, NULL, no_platform, SUBJECT_ANY},
    {"the elected advertised another platform", REFUSAL_PLATFORM, 0, NULL, other_platform, SUBJECT_ANY},
    {"a platform that the stewards did not admit", REFUSAL_PLATFORM, 0, NULL, platform_not_admitted,
     SUBJECT_ANY},
    {"an envelope too few", REFUSAL_ENVELOPE, 0, NULL, few_envelopes, SUBJECT_ANY},
    {"an envelope too many", REFUSAL_ENVELOPE, 0, NULL, many_envelopes, SUBJECT_ANY},
    {"another enclave key was served", REFUSAL_OTHER_KEY, 0, NULL, served_another, SUBJECT_ANY},
};

/* --- What only a commit refuses --------------------------------------------------------------------------------------------------- */

static void other_index(struct scene *s)
{
    s->commit.index = 1;
}

static void bound_to_another(struct scene *s)
{
    scene_promise(s, PROMISE_COMMIT, s->run_id.bytes, 0, other32);
}

static void host_removed(struct scene *s)
{
    change_remove(s, WORLD_COMPUTE, 9000);
}

static const struct change commit_only[] = {
    {"the node was removed since", REFUSAL_NOT_COMPUTE, 0, NULL, host_removed, SUBJECT_ANY},
    {"the worker is in the set no more", REFUSAL_MEASUREMENT, SCENE_WORKERS, NULL, NULL, SUBJECT_ANY},
    {"another node than shares went through brings it", REFUSAL_CERTIFICATE, 0, NULL, another_brings_it,
     SUBJECT_ANY},
    {"a second output", REFUSAL_OUTPUT_TYPE, 0, NULL, other_index, SUBJECT_ANY},
    {"another output is committed", REFUSAL_COMMIT_CONFLICT, 0, NULL, bound_to_another, SUBJECT_ANY},
};

static void test_release_change(void **state)
{
    change_run(*state, NULL, decide_release, release_seen);
}

static void test_commit_change(void **state)
{
    change_run(*state, released, decide_commit, commit_seen);
}

static void test_not_released(void **state)
{
    (void)state;
    struct scene *s = change_none();
    REFUSED(decide_commit(s), REFUSAL_NOT_RELEASED); /* to nobody */
    scene_free(s);
    s = change_none();
    released(s);
    s->commit.holder.enclave.bytes[0] ^= 1;
    REFUSED(decide_commit(s), REFUSAL_NOT_RELEASED); /* to another enclave */
    commit_seen[REFUSAL_NOT_RELEASED] = true;
    scene_free(s);
    s = change_none();
    scene_promise(s, PROMISE_RELEASE, s->run_id.bytes, 1, s->commit.holder.enclave.bytes);
    REFUSED(decide_commit(s), REFUSAL_NOT_RELEASED); /* to whom, nobody knows */
    scene_free(s);
}

/* --- An owner's half ---------------------------------------------------------------------------------------------------------------- */

static struct scene *of_an_owner(uint32_t party)
{
    struct scene *s = change_scene(0, owner_veto);
    s->release.party = party;
    s->release.half_count = 1;
    return s;
}

/* The scene's node is owner 0; its second input is another's, and under a veto. */
static void test_a_half_is_its_owners(void **state)
{
    (void)state;
    struct scene *s = of_an_owner(VETO_PARTY + 1);
    s->self = world->node[1].id;
    ACCEPTED(decide_release(s));
    s->release.half_count = 0;
    REFUSED(decide_release(s), REFUSAL_ENVELOPE);
    s->release.half_count = 1;
    s->self = world->node[0].id;
    REFUSED(decide_release(s), REFUSAL_NOT_OWNER);
    s->release.party = VETO_PARTY; /* its own, over which it keeps none */
    REFUSED(decide_release(s), REFUSAL_ENVELOPE);
    s->release.party = VETO_PARTY + 2;
    REFUSED(decide_release(s), REFUSAL_INPUTS);
    scene_free(s);
}

/* What the run's content was sealed without cannot be had afterwards: a new run names what was sealed since. */
static void test_a_veto_since(void **state)
{
    (void)state;
    struct scene *s = change_none();
    owner_veto(s);
    struct body_ASSET body = scene_asset(s, 1, 3, true);
    ACCEPTED(scene_apply(s, 1, KIND_ASSET, &body, 0));
    REFUSED(decide_release(s), REFUSAL_NO_HALF);
    scene_free(s);
}

/* --- Nothing is left out ------------------------------------------------------------------------------------------------------------ */

/* What the two functions can refuse with beside what is common to all. Whoever adds a refusal adds it here, with a case. */
static const enum refusal release_refusals[] = {
    REFUSAL_CERTIFICATE, REFUSAL_NOT_COMPUTE, REFUSAL_EVIDENCE, REFUSAL_BINDING,   REFUSAL_MEASUREMENT,
    REFUSAL_GPU,         REFUSAL_PLATFORM,    REFUSAL_ENVELOPE, REFUSAL_OTHER_KEY, REFUSAL_TROUBLE};
static const enum refusal commit_refusals[] = {REFUSAL_NOT_RELEASED,    REFUSAL_OUTPUT_TYPE,
                                               REFUSAL_COMMIT_CONFLICT, REFUSAL_NOT_COMPUTE,
                                               REFUSAL_MEASUREMENT,     REFUSAL_CERTIFICATE};

static bool listed(enum refusal r, const enum refusal *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == r) return true;
    return false;
}

static void assert_exactly(const bool *seen, const enum refusal *own, size_t count, const char *by)
{
    change_all_seen(seen, refusals_of_run, REFUSALS_OF_RUN, by);
    change_all_seen(seen, refusals_of_custodian, REFUSALS_OF_CUSTODIAN, by);
    change_all_seen(seen, own, count, by);
    for (unsigned i = 1; i < REFUSAL_COUNT; i++) {
        enum refusal r = (enum refusal)i;
        if (seen[i])
            assert_true(listed(r, own, count) || listed(r, refusals_of_run, REFUSALS_OF_RUN) ||
                        listed(r, refusals_of_custodian, REFUSALS_OF_CUSTODIAN));
    }
}

static void test_refusals_are_complete(void **state)
{
    (void)state;
    assert_exactly(release_seen, release_refusals, COUNT(release_refusals), "a release");
    assert_exactly(commit_seen, commit_refusals, COUNT(commit_refusals), "a commit");
}

/* --- Granted ------------------------------------------------------------------------------------------------------------------------- */

static void test_release_to_a_named_machine(void **state)
{
    (void)state;
    struct scene *s = change_none();
    elects_a_named_machine(s, &world->platform);
    ACCEPTED(decide_release(s));
    scene_free(s);
}

static void test_release_with_a_gpu(void **state)
{
    (void)state;
    struct scene *s = change_scene(0, owner_gpu);
    s->release.evidence.gpu_confidential = true;
    ACCEPTED(decide_release(s));
    scene_free(s);
}

static void test_release_good(void **state)
{
    (void)state;
    struct scene *s = change_none();
    ACCEPTED(decide_release(s));
    released(s);
    ACCEPTED(decide_release(s)); /* the same enclave again */
    scene_promise(s, PROMISE_SLOT, s->run.compose.bytes, 1, s->run_id.bytes);
    ACCEPTED(decide_release(s));
    scene_free(s);
}

/* Who voted for another candidate in this term serves the one whom q others elected. */
static void test_release_to_whom_others_elected(void **state)
{
    (void)state;
    struct scene *s = change_none();
    scene_promise(s, PROMISE_VOTE, s->run_id.bytes, 1, other32);
    ACCEPTED(decide_release(s));
    scene_free(s);
}

static void test_commit_good(void **state)
{
    (void)state;
    struct scene *s = change_none();
    released(s);
    ACCEPTED(decide_commit(s));
    scene_promise(s, PROMISE_COMMIT, s->run_id.bytes, 0, s->commit.commitment.bytes);
    ACCEPTED(decide_commit(s)); /* the same again, as after a lost answer */
    scene_free(s);
}

/* The last revocation point: released already, revoked since. */
static void test_commit_after_revocation(void **state)
{
    (void)state;
    struct scene *s = change_none();
    ACCEPTED(decide_release(s));
    released(s);
    change_revoke(s, 1, REVOKE_COMPOSE, s->run.compose.bytes);
    REFUSED(decide_commit(s), REFUSAL_REVOKED);
    REFUSED(decide_release(s), REFUSAL_REVOKED);
    scene_free(s);
}

/* --- The policy evidence is checked under: the strictest of all ------------------------------------------------------------------------ */

static void policy_is(uint32_t left_out, void (*before)(struct scene *s), bool need_gpu,
                      bool accept_simulated)
{
    struct scene *s = change_scene(left_out, before);
    bool gpu, simulated;
    release_evidence_policy(s->registry, &s->run, &gpu, &simulated);
    assert_int_equal(gpu, need_gpu);
    assert_int_equal(simulated, accept_simulated);
    scene_free(s);
}

static void test_evidence_policy(void **state)
{
    (void)state;
    policy_is(0, NULL, false, true);
    policy_is(0, workflow_gpu, true, true);
    policy_is(0, owner_gpu, true, true);
    policy_is(0, workflow_strict, false, false);
    policy_is(SCENE_WORKFLOW | SCENE_JOB, NULL, true, false);
    policy_is(SCENE_CHARTER, NULL, false, false);
    policy_is(SCENE_BINDING, NULL, true, true);
    struct scene *s = change_none();
    bool gpu, simulated;
    s->policy[0].need_gpu = true; /* a newer binding asks for more */
    struct body_ASSET body = scene_asset(s, 0, 3, true);
    ACCEPTED(scene_apply(s, 0, KIND_ASSET, &body, 0));
    release_evidence_policy(s->registry, &s->run, &gpu, &simulated);
    assert_true(gpu);
    scene_free(s);
    s = change_scene(0, owner_gpu);
    s->policy[1].need_gpu =
        false; /* or for less, which does not loosen what the run's content was bound under */
    body = scene_asset(s, 1, 3, true);
    ACCEPTED(scene_apply(s, 1, KIND_ASSET, &body, 0));
    release_evidence_policy(s->registry, &s->run, &gpu, &simulated);
    assert_true(gpu);
    scene_free(s);
}

int main(void)
{
    static const struct CMUnitTest rest[] = {
        cmocka_unit_test(test_not_released),
        cmocka_unit_test(test_refusals_are_complete),
        cmocka_unit_test(test_release_good),
        cmocka_unit_test(test_release_to_whom_others_elected),
        cmocka_unit_test(test_commit_good),
        cmocka_unit_test(test_commit_after_revocation),
        cmocka_unit_test(test_evidence_policy),
        cmocka_unit_test(test_release_with_a_gpu),
        cmocka_unit_test(test_release_to_a_named_machine),
        cmocka_unit_test(test_a_half_is_its_owners),
        cmocka_unit_test(test_a_veto_since),
    };
    change_add(changes_of_run, CHANGES_OF_RUN, test_release_change);
    change_add(changes_of_custodian, CHANGES_OF_CUSTODIAN, test_release_change);
    change_add(release_only, COUNT(release_only), test_release_change);
    change_add(changes_of_run, CHANGES_OF_RUN, test_commit_change);
    change_add(changes_of_custodian, CHANGES_OF_CUSTODIAN, test_commit_change);
    change_add(commit_only, COUNT(commit_only), test_commit_change);
    return change_main("proto_release", rest, COUNT(rest));
}
