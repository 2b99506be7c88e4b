/* Votes: every refusal of election_decide by one change to a good case, and ranks. */
#include "tests/scene_change.h"

static bool seen[REFUSAL_COUNT];
static const uint8_t other32[32] = {0x0e};

static struct verdict decide(struct scene *s)
{
    return election_decide(s->registry, &s->promises, s->self, &s->vote);
}

/* --- One change, one refusal ---------------------------------------------------------------------------------------------- */

static void far_term(struct scene *s)
{
    s->vote.term = election_term_max(registry_charter(s->registry),
                                     &registry_run(s->registry, s->run_id)->record->header, s->now_ms) +
                   1;
}
static void held(struct scene *s)
{
    s->vote.term = 2;
    s->vote.held = true;
}
static void no_term(struct scene *s)
{
    s->vote.term = 0;
}
static void no_compute(struct scene *s)
{
    s->vote.node = world->node[WORLD_ALGORITHM].id;
}
static void voted_for_another(struct scene *s)
{
    scene_promise(s, PROMISE_VOTE, s->run_id.bytes, 1, other32);
}
static void released_later(struct scene *s)
{
    scene_promise(s, PROMISE_RELEASE, s->run_id.bytes, 2, other32);
}
static void voted_later(struct scene *s)
{
    scene_promise(s, PROMISE_VOTE, s->run_id.bytes, 3, s->vote.node.bytes);
}

static const struct change changes[] = {
    {"a term too far ahead", REFUSAL_TERM, 0, NULL, far_term, SUBJECT_ANY},
    {"a lease that may run", REFUSAL_LEASE_HELD, 0, NULL, held, SUBJECT_ANY},
    {"no term", REFUSAL_TERM, 0, NULL, no_term, SUBJECT_ANY},
    {"released in a later term", REFUSAL_TERM, 0, NULL, released_later, SUBJECT_ANY},
    {"voted in a later term", REFUSAL_TERM, 0, NULL, voted_later, SUBJECT_ANY},
    {"voted for another node", REFUSAL_VOTED, 0, NULL, voted_for_another, SUBJECT_ANY},
    {"not a compute member", REFUSAL_NOT_COMPUTE, 0, NULL, no_compute, SUBJECT_ANY},
};

static void test_change(void **state)
{
    change_run(*state, NULL, decide, seen);
}

static void test_refusals_are_complete(void **state)
{
    (void)state;
    static const enum refusal own[] = {REFUSAL_VOTED, REFUSAL_NOT_COMPUTE, REFUSAL_LEASE_HELD};
    change_all_seen(seen, refusals_of_run, REFUSALS_OF_RUN, "a vote");
    change_all_seen(seen, refusals_of_custodian, REFUSALS_OF_CUSTODIAN, "a vote");
    change_all_seen(seen, own, COUNT(own), "a vote");
}

/* --- Granted, again and again, to one -------------------------------------------------------------------------------------- */

static void test_good(void **state)
{
    (void)state;
    struct scene *s = change_none();
    ACCEPTED(decide(s));
    scene_promise(s, PROMISE_SLOT, s->run.compose.bytes, 1, s->run_id.bytes);
    scene_promise(s, PROMISE_VOTE, s->run_id.bytes, 1, s->vote.node.bytes);
    ACCEPTED(decide(s));                                 /* exactly this was promised */
    scene_promise(s, PROMISE_VOTE, other32, 1, other32); /* other runs have no say */
    scene_promise(s, PROMISE_SLOT, s->run.compose.bytes, 2, other32);
    scene_promise(s, PROMISE_SLOT, other32, 1, other32);
    ACCEPTED(decide(s));
    scene_free(s);
}

static void test_run_expiry(void **state)
{
    (void)state;
    struct scene *s = change_none();
    s->vote.now_ms = s->run_expires_ms - 1; /* before the approvals', too */
    ACCEPTED(decide(s));
    s->vote.now_ms++;
    REFUSED(decide(s), REFUSAL_RUN_EXPIRED);
    scene_free(s);
}

/* --- Promises --------------------------------------------------------------------------------------------------------------- */

static void test_promises(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct promises p;
    uint8_t key[PROMISE_KEY_BYTES], a[32] = {1}, b[32] = {2};
    assert_int_equal(promises_init(&p, s->arena, 3, 1), OK);
    struct run_id run = s->run_id;
    assert_null(promise_get(&p, PROMISE_VOTE, run.bytes, 1));
    assert_int_equal(promise_term(&p, run), 0);
    promise_key(key, PROMISE_VOTE, run.bytes, 1);
    assert_int_equal(promise_set(&p, key, a), OK);
    assert_int_equal(promise_set(&p, key, a), OK);
    assert_int_equal(promise_set(&p, key, b), ERR_CONFLICT);
    assert_memory_equal(promise_get(&p, PROMISE_VOTE, run.bytes, 1), a, 32);
    assert_null(promise_get(&p, PROMISE_RELEASE, run.bytes, 1));
    assert_null(promise_get(&p, PROMISE_VOTE, run.bytes, 2));
    promise_key(key, PROMISE_RELEASE, run.bytes, 7);
    assert_int_equal(promise_set(&p, key, b), OK);
    promise_key(key, PROMISE_COMMIT, run.bytes, 9); /* by output index, not by term */
    assert_int_equal(promise_set(&p, key, b), OK);
    assert_int_equal(promise_term(&p, run), 7);
    promise_key(key, PROMISE_SLOT, run.bytes, 9);
    assert_int_equal(promise_set(&p, key, b), ERR_FULL);
    assert_null(promise_get(&p, PROMISE_SLOT, run.bytes, 9));
    promise_key(key, PROMISE_VOTE, run.bytes, 1);
    assert_int_equal(promise_set(&p, key, a), OK); /* what is there is there, full or not */
    assert_int_equal(promise_set(&p, key, b), ERR_CONFLICT);
    scene_free(s);
}

/* --- Ranks ------------------------------------------------------------------------------------------------------------------- */

/* Compute members are told apart by rank: each number from 0 once, and only who may compute takes part. */
static void test_ranks(void **state)
{
    (void)state;
    enum { LATE = 5 };
    struct scene *s = change_none();
    struct node_id node[LATE + 1] = {world->node[WORLD_COMPUTE].id};
    uint32_t taken = 0;
    bool moved = false;
    for (uint8_t i = 1; i <= LATE; i++) {
        struct body_MEMBER b = {.organisation = SPAN_LITERAL("hall"),
                                .jurisdiction = i == LATE ? SPAN_LITERAL("US") : SPAN_LITERAL("EU"),
                                .roles = ROLE_COMPUTE,
                                .platforms = SPAN_LITERAL("")};
        memset(b.node.bytes, 0xd0 + i, 32);
        node[i] = b.approval = b.node;
        for (uint32_t j = 0; j < 3; j++)
            assert_int_equal(scene_apply(s, j, KIND_MEMBER, &b, 0).refusal, REFUSAL_NONE);
    }
    for (uint32_t i = 0; i < LATE; i++) {
        uint32_t rank = election_rank(s->registry, &s->run, s->run_id, 1, node[i]);
        assert_true(rank < LATE && (taken >> rank & 1) == 0); /* the one abroad does not count */
        taken |= UINT32_C(1) << rank;
        moved |= rank != election_rank(s->registry, &s->run, s->run_id, 2, node[i]);
    }
    assert_true(moved); /* another term, another order */
    scene_free(s);
}

int main(void)
{
    static const struct CMUnitTest rest[] = {
        cmocka_unit_test(test_refusals_are_complete),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_run_expiry),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_ranks),
    };
    change_add(changes_of_run, CHANGES_OF_RUN, test_change);
    change_add(changes_of_custodian, CHANGES_OF_CUSTODIAN, test_change);
    change_add(changes, COUNT(changes), test_change);
    return change_main("proto_election", rest, COUNT(rest));
}
