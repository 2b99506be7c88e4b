/* Revocation in flight: an owner takes everything back while a run is on its way, at every phase, among production cores and
 * enclaves under virtual time (DESIGN §13 revoke-final). */
#include "tests/cluster.h"
#include "tests/effort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static struct cluster *cluster;
static struct run_id run;

static void begin(uint64_t seed)
{
    struct cluster_options options = {.seed = seed, .enclaves = true, .compute_ms = 5000};
    world = world_new();
    cluster = cluster_new(world, &options);
    cluster_run(cluster, 5000);
    struct verdict v = cluster_request(cluster, 1, &run);
    assert_string_equal(refusal_name(v.refusal), "none");
}

static void end(void)
{
    cluster_free(cluster);
    world_free(world);
}

static const struct cluster_start *start(void)
{
    uint32_t count;
    const struct cluster_start *s = cluster_starts(cluster, &count);
    return count > 0 ? s : NULL;
}

static enum run_state phase;
static bool in_phase(struct cluster *c)
{
    (void)c;
    return start() != NULL && start()->state == phase;
}

static bool enclave_gone(struct cluster *c)
{
    (void)c;
    return start()->gone;
}

static void expect_state_at(uint32_t node, const char *state, const char *reason)
{
    struct run_view view;
    assert_true(core_run(cluster_core(cluster, node), run, &view));
    assert_string_equal(run_state_name(view.state), state);
    assert_string_equal(refusal_name(view.verdict.refusal), reason);
}

static void expect_state(const char *state, const char *reason)
{
    expect_state_at(WORLD_REQUESTER, state, reason);
}

static bool all_others_show_it_revoked(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        struct run_view view;
        if (cluster_core(c, i) == NULL || i == start()->node) continue;
        if (!core_run(cluster_core(c, i), run, &view) || view.state != RUN_REVOKED) return false;
    }
    return true;
}

static void all_show_it_revoked(void)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (cluster_core(cluster, i) != NULL) expect_state_at(i, "revoked", "revoked");
}

static void revoke(uint32_t owner, enum revocation_target target)
{
    struct body_REVOCATION body = {.target = target, .approval_signature = SPAN_NONE};
    if (target == REVOKE_COMPOSE) memcpy(body.subject.bytes, world->compose.bytes, 32);
    if (target == REVOKE_DATASET) memcpy(body.subject.bytes, world->dataset[owner].dt.bytes, 32);
    if (target == REVOKE_APPROVAL) memcpy(body.subject.bytes, world->approval[owner]->id.bytes, 32);
    struct verdict v = cluster_author(cluster, owner, KIND_REVOCATION, &body, 0, NULL);
    assert_string_equal(refusal_name(v.refusal), "none");
}

/* Before the commit nothing leaves: the enclave is gone within a lease and its third, and nobody tries again. */
static void before_the_commit(uint64_t seed, enum run_state at, uint32_t owner, enum revocation_target target)
{
    uint32_t count;
    begin(seed);
    phase = at;
    assert_true(cluster_until(cluster, in_phase, 20000));
    revoke(owner, target);
    assert_true(cluster_until(cluster, enclave_gone, 1500));
    assert_int_not_equal(start()->state, RUN_RELEASED);
    cluster_run(cluster, 20000);
    (void)cluster_starts(cluster, &count);
    assert_int_equal(count, 1);
    expect_state("revoked", "revoked");
    end();
}

/* Every owner, whatever it takes back, at every phase; under a sanitizer one of the four things in turn. */
static void test_before_the_commit(void **state)
{
    (void)state;
    static const enum run_state phases[] = {RUN_REQUESTED, RUN_ATTESTED, RUN_KEYED, RUN_COMPUTING};
    static const enum revocation_target targets[] = {REVOKE_ALL, REVOKE_APPROVAL, REVOKE_COMPOSE,
                                                     REVOKE_DATASET};
    const size_t count = sizeof targets / sizeof targets[0], each = EFFORT(count);
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
        for (uint32_t owner = 0; owner < WORLD_DATASETS; owner++)
            for (size_t j = 0; j < each; j++)
                before_the_commit(++seed, phases[i], owner, targets[(i + owner + j) % count]);
}

/* What its node said before, or says without knowing. */
static void a_late_word(enum run_state said)
{
    const uint32_t node = start()->node;
    union body body = {
        .PROGRESS = {.run = run, .term = start()->term, .state = said, .certificate = SPAN_NONE}};
    cluster_inject(cluster, node, WORLD_REQUESTER,
                   cluster_forge(cluster, node, 0, (struct record_id){{0}}, KIND_PROGRESS, &body));
    cluster_run(cluster, 50);
}

/* The elected node is stopped and says nothing: others wait for the lease that its enclave may have, and no longer. What it says
 * when it is back, and when it would count as silent, changes nothing. */
static void test_while_its_node_is_stopped(void **state)
{
    (void)state;
    begin(11);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    cluster_run(cluster, 500); /* all have heard so */
    cluster_pause(cluster, start()->node, true);
    revoke(0, REVOKE_APPROVAL);
    cluster_run(cluster, world_lease_ms / 2);
    struct run_view view; /* why it waits is said already if a custodian was asked meanwhile */
    assert_true(core_run(cluster_core(cluster, WORLD_REQUESTER), run, &view));
    assert_int_equal(view.state, RUN_COMPUTING);
    assert_true(cluster_until(cluster, all_others_show_it_revoked, world_lease_ms / 2 + 1000));
    assert_true(start()->gone || start()->state < RUN_RELEASED);
    a_late_word(RUN_COMPUTING);
    expect_state("revoked", "revoked");
    cluster_run(cluster, 30000);
    cluster_pause(cluster, start()->node, false);
    cluster_run(cluster, 120000);
    all_show_it_revoked();
    end();
}

/* The same when it was silent for so long that the run counts as failed: that was no end, as another might have gone on with it. */
static void test_after_its_node_fell_silent(void **state)
{
    (void)state;
    begin(12);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    cluster_run(cluster, 500);
    cluster_crash(cluster, start()->node == WORLD_COMPUTE ? CLUSTER_SECOND : WORLD_COMPUTE);
    cluster_pause(cluster, start()->node, true);
    cluster_run(cluster, 120000);
    expect_state("failed", "timeout");
    revoke(0, REVOKE_APPROVAL);
    assert_true(cluster_until(cluster, all_others_show_it_revoked, 2000));
    cluster_pause(cluster, start()->node, false);
    cluster_run(cluster, 20000);
    all_show_it_revoked();
    end();
}

/* Whoever has not heard of it keys and commits; n - q + 1 that have are enough to hold the output. */
static void test_enough_have_heard(void **state)
{
    (void)state;
    begin(7);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    cluster_part(cluster, 1u << 0 | 1u << 1,
                 true); /* owner 0 reaches custodian 1 alone; the rest goes on without them */
    revoke(0, REVOKE_COMPOSE);
    cluster_run(cluster, 20000);
    assert_int_not_equal(start()->state, RUN_RELEASED);
    cluster_part(cluster, 1u << 0 | 1u << 1, false);
    cluster_run(cluster, 60000);
    uint32_t count;
    const struct cluster_start *s = cluster_starts(cluster, &count);
    for (uint32_t i = 0; i < count; i++) assert_int_not_equal(s[i].state, RUN_RELEASED);
    end();
}

/* After the commit it comes too late for this run, and stops the next. */
static void test_after_the_commit(void **state)
{
    (void)state;
    begin(9);
    phase = RUN_COMMITTED;
    assert_true(cluster_until(cluster, in_phase, 30000));
    revoke(1, REVOKE_COMPOSE);
    cluster_run(cluster, 20000);
    expect_state("settled", "none");
    struct verdict v = cluster_request(cluster, 2, NULL);
    assert_string_equal(refusal_name(v.refusal), "revoked");
    end();
}

/* All know of the commit, and its node cannot keep the receipt, for so long that the run counts as failed: a revocation now does not
 * undo an output that has left. When the disk has room again, it settles. */
static void test_after_a_commit_and_silence(void **state)
{
    (void)state;
    begin(13);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    const uint32_t node = start()->node;
    cluster_crash(cluster, node == WORLD_COMPUTE ? CLUSTER_SECOND : WORLD_COMPUTE);
    cluster_fail_store(cluster, node, ERR_FULL);
    phase = RUN_RELEASED;
    assert_true(cluster_until(cluster, in_phase, 30000));
    cluster_run(cluster, 120000);
    expect_state("failed", "timeout");
    revoke(0, REVOKE_APPROVAL);
    cluster_run(cluster, 10000);
    expect_state("failed", "timeout");
    cluster_fail_store(cluster, node, OK);
    cluster_run(cluster, 60000);
    expect_state("settled", "none");
    end();
}

static bool another_is_at_work(struct cluster *c)
{
    uint32_t count;
    struct run_view view;
    const struct cluster_start *s = cluster_starts(c, &count);
    return count > 1 && core_run(cluster_core(c, WORLD_REQUESTER), run, &view) &&
           view.term == s[count - 1].term && view.state >= RUN_ELECTED;
}

static bool shown_as_failed(struct cluster *c)
{
    struct run_view view;
    return core_run(cluster_core(c, WORLD_REQUESTER), run, &view) && view.state == RUN_FAILED;
}

/* All know of the commit, its node cannot keep the receipt, and another was elected when an owner revokes: what was committed to
 * may still come, so who knows of it shows the run as failed, which is no end, and not as revoked, nor as one that goes on. */
static void test_after_a_commit_and_another_term(void **state)
{
    (void)state;
    begin(15);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    const uint32_t node = start()->node;
    cluster_fail_store(cluster, node, ERR_FULL);
    phase = RUN_RELEASED;
    assert_true(cluster_until(cluster, in_phase, 30000));
    assert_true(cluster_until(cluster, another_is_at_work, 60000));
    revoke(0, REVOKE_APPROVAL);
    assert_true(cluster_until(cluster, shown_as_failed, 2 * world_lease_ms));
    for (uint32_t i = 0; i < 60; i++) {
        cluster_run(cluster, 2000);
        expect_state("failed", "revoked");
    }
    cluster_fail_store(cluster, node, OK);
    cluster_run(cluster, 60000);
    expect_state("settled", "none");
    end();
}

/* The same when the enclave elected later has ended and nobody else begins: it does not wait as one that was asked for again. */
static void test_after_a_commit_and_nobody_else(void **state)
{
    (void)state;
    begin(17);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    const struct cluster_start *s = start();
    const uint32_t node = s->node;
    cluster_crash(cluster, node == WORLD_COMPUTE ? CLUSTER_SECOND : WORLD_COMPUTE);
    cluster_fail_store(cluster, node, ERR_FULL);
    phase = RUN_RELEASED;
    assert_true(cluster_until(cluster, in_phase, 30000));
    cluster_run(cluster, 200);
    cluster_pause(cluster, node, true);
    expect_state("committed", "none");
    union body ended = {.PROGRESS = {.run = run,
                                     .term = s->term,
                                     .state = RUN_REQUESTED,
                                     .reason = REFUSAL_INPUT_MISSING,
                                     .certificate = SPAN_NONE}};
    cluster_inject(cluster, node, WORLD_REQUESTER,
                   cluster_forge(cluster, node, 0, (struct record_id){{0}}, KIND_PROGRESS, &ended));
    cluster_run(cluster, 50);
    expect_state("requested", "input-missing");
    revoke(0, REVOKE_APPROVAL);
    cluster_run(cluster, 5000);
    expect_state("failed", "revoked");
    end();
}

/* That a computation failed is an end, and its enclave's to say: of a run that fell silent a party to its keys cannot say so. */
static void test_a_party_ends_no_run(void **state)
{
    (void)state;
    begin(16);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    cluster_run(cluster, 500);
    const uint32_t node = start()->node;
    cluster_crash(cluster, node == WORLD_COMPUTE ? CLUSTER_SECOND : WORLD_COMPUTE);
    cluster_pause(cluster, node, true);
    cluster_run(cluster, 120000);
    expect_state("failed", "timeout");
    union body body = {.REFUSAL = {.run = run,
                                   .term = start()->term,
                                   .enclave = cluster_id(cluster, node),
                                   .refusal = REFUSAL_COMPUTATION,
                                   .detail = SPAN_LITERAL("")}};
    cluster_inject(cluster, 1, WORLD_REQUESTER,
                   cluster_forge(cluster, 1, 0, (struct record_id){{0}}, KIND_REFUSAL, &body));
    cluster_run(cluster, 500);
    expect_state("failed", "timeout");
    cluster_pause(cluster, node, false);
    cluster_run(cluster, 120000);
    expect_state("settled", "none");
    end();
}

/* A node that would compute in its place says why it does not: the run is no less silent for that. */
static void test_silence_seen_by_who_waits(void **state)
{
    (void)state;
    begin(14);
    phase = RUN_COMPUTING;
    assert_true(cluster_until(cluster, in_phase, 20000));
    cluster_run(cluster, 500);
    const uint32_t node = start()->node, other = node == WORLD_COMPUTE ? CLUSTER_SECOND : WORLD_COMPUTE;
    cluster_crash(cluster, 1); /* an owner of an input: nobody else begins */
    cluster_pause(cluster, node, true);
    cluster_run(cluster, 120000);
    revoke(0, REVOKE_APPROVAL);
    cluster_run(cluster, 5000);
    expect_state_at(other, "revoked", "revoked");
    expect_state("revoked", "revoked");
    end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_the_commit),
        cmocka_unit_test(test_while_its_node_is_stopped),
        cmocka_unit_test(test_after_its_node_fell_silent),
        cmocka_unit_test(test_enough_have_heard),
        cmocka_unit_test(test_after_the_commit),
        cmocka_unit_test(test_after_a_commit_and_silence),
        cmocka_unit_test(test_after_a_commit_and_another_term),
        cmocka_unit_test(test_after_a_commit_and_nobody_else),
        cmocka_unit_test(test_a_party_ends_no_run),
        cmocka_unit_test(test_silence_seen_by_who_waits),
    };
    return cmocka_run_group_tests_name("proto_revocation", tests, NULL, NULL);
}
