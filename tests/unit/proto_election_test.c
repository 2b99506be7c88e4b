/* Votes: every refusal of election_decide by one change to a good case, and ranks. */
#include "proto/election.h"
#include "tests/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct voting {
    struct scene *s;
    struct promises promises;
    struct node_id self;
    struct election_ask ask;
};
struct change {
    const char *name;
    enum refusal refusal;
    void (*before)(struct scene *s);
    void (*after)(struct voting *v);
};

static struct world *world;
static bool seen[REFUSAL_COUNT];

static void promise(struct voting *v, enum promise_kind kind, const uint8_t subject[32], uint64_t number,
                    const uint8_t value[32])
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, subject, number);
    assert_int_equal(promise_set(&v->promises, key, value), OK);
}

static struct voting begin(void (*before)(struct scene *s))
{
    struct voting v = {.s = scene_new(world), .self = world->node[2].id};
    if (before != NULL) before(v.s);
    scene_build(v.s);
    assert_int_equal(promises_init(&v.promises, v.s->arena, 64, 1), OK);
    v.ask = (struct election_ask){v.s->run_id, 1, world->node[WORLD_COMPUTE].id, v.s->now_ms, false};
    return v;
}

static struct verdict decide(struct voting *v)
{
    return election_decide(v->s->registry, &v->promises, v->self, &v->ask);
}

/* --- One change, one refusal ---------------------------------------------------------------------------------------------- */

static const uint8_t other32[32] = {0x0e};

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
static void run_expired(struct scene *s)
{
    s->run_expires_ms = s->now_ms;
}
static void approval_expired(struct scene *s)
{
    s->approval_expires_ms[1] = s->now_ms;
}
static void no_export(struct scene *s)
{
    s->policy[1].export_to = EXPORT_NONE;
}
static void elsewhere(struct scene *s)
{
    s->workflow->jurisdiction[0] = SPAN_LITERAL("US");
}
static void no_custodian(struct voting *v)
{
    v->self = world->node[WORLD_COMPUTE].id;
}
static void isolated(struct voting *v)
{
    v->ask.isolated = true;
}
static void later_term(struct voting *v)
{
    v->ask.term = 2;
}
static void no_term(struct voting *v)
{
    v->ask.term = 0;
}
static void no_compute(struct voting *v)
{
    v->ask.node = world->node[WORLD_ALGORITHM].id;
}

static void requester_frozen(struct voting *v)
{
    registry_freeze(v->s->registry, world->node[WORLD_REQUESTER].id, v->s->run_record->header.seq);
}

static void requester_removed(struct voting *v)
{
    struct body_REMOVAL b = {world->node[WORLD_REQUESTER].id, 5};
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(scene_apply(v->s, i, KIND_REMOVAL, &b, 0).refusal, REFUSAL_NONE);
}

static void owner_gap(struct voting *v)
{
    registry_gap(v->s->registry, world->node[1].id, true);
}

static void revoked(struct voting *v)
{
    struct body_REVOCATION b = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(b.subject.bytes, v->s->run.compose.bytes, 32);
    assert_int_equal(scene_apply(v->s, 1, KIND_REVOCATION, &b, 0).refusal, REFUSAL_NONE);
}

static void slot_of_another_run(struct voting *v)
{
    promise(v, PROMISE_SLOT, v->s->run.compose.bytes, v->s->run.slot, other32);
}

static void voted_for_another(struct voting *v)
{
    promise(v, PROMISE_VOTE, v->s->run_id.bytes, 1, other32);
}

static void released_later(struct voting *v)
{
    promise(v, PROMISE_RELEASE, v->s->run_id.bytes, 2, other32);
}

static void voted_later(struct voting *v)
{
    promise(v, PROMISE_VOTE, v->s->run_id.bytes, 3, v->ask.node.bytes);
}

static const struct change changes[] = {
    {"the charter is not decided", REFUSAL_CONSORTIUM_FORMING, no_charter, NULL},
    {"there is no committee", REFUSAL_CONSORTIUM_FORMING, no_committee, NULL},
    {"not a custodian", REFUSAL_NOT_CUSTODIAN, NULL, no_custodian},
    {"isolated", REFUSAL_ISOLATED, NULL, isolated},
    {"an unknown run", REFUSAL_UNKNOWN_RUN, no_run, NULL},
    {"the run has expired", REFUSAL_RUN_EXPIRED, run_expired, NULL},
    {"the requester equivocated", REFUSAL_FROZEN, NULL, requester_frozen},
    {"the requester was removed", REFUSAL_NOT_MEMBER, NULL, requester_removed},
    {"a later term", REFUSAL_TERM, NULL, later_term},
    {"no term", REFUSAL_TERM, NULL, no_term},
    {"released in a later term", REFUSAL_TERM, NULL, released_later},
    {"voted in a later term", REFUSAL_TERM, NULL, voted_later},
    {"the slot is another run's", REFUSAL_SLOT_SPENT, NULL, slot_of_another_run},
    {"voted for another node", REFUSAL_VOTED, NULL, voted_for_another},
    {"an approval was revoked", REFUSAL_REVOKED, NULL, revoked},
    {"an approval has expired", REFUSAL_APPROVAL_EXPIRED, approval_expired, NULL},
    {"a record of an owner is missing", REFUSAL_GAP, NULL, owner_gap},
    {"no job", REFUSAL_NO_JOB, no_job, NULL},
    {"not a compute member", REFUSAL_NOT_COMPUTE, NULL, no_compute},
    {"an owner exports to nobody", REFUSAL_EXPORT, no_export, NULL},
    {"the workflow stays elsewhere", REFUSAL_RESIDENCY, elsewhere, NULL},
};
enum { CHANGES = sizeof changes / sizeof changes[0] };

static void test_change(void **state)
{
    const struct change *c = *state;
    struct voting v = begin(c->before);
    if (c->after != NULL) c->after(&v);
    struct verdict verdict = decide(&v);
    assert_string_equal(refusal_name(verdict.refusal), refusal_name(c->refusal));
    seen[verdict.refusal] = true;
    scene_free(v.s);
}

/* Beside these, whatever a run check or node check refuses (proto_registry_test): one of each stands for them. */
static void test_refusals_are_complete(void **state)
{
    (void)state;
    static const enum refusal own[] = {REFUSAL_CONSORTIUM_FORMING,
                                       REFUSAL_NOT_CUSTODIAN,
                                       REFUSAL_ISOLATED,
                                       REFUSAL_UNKNOWN_RUN,
                                       REFUSAL_RUN_EXPIRED,
                                       REFUSAL_FROZEN,
                                       REFUSAL_NOT_MEMBER,
                                       REFUSAL_TERM,
                                       REFUSAL_SLOT_SPENT,
                                       REFUSAL_VOTED,
                                       REFUSAL_REVOKED,
                                       REFUSAL_NOT_COMPUTE,
                                       REFUSAL_EXPORT,
                                       REFUSAL_RESIDENCY};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (!seen[own[i]]) fail_msg("no case gives \"%s\"", refusal_name(own[i]));
}

/* --- Granted, again and again, to one -------------------------------------------------------------------------------------- */

static void test_good(void **state)
{
    (void)state;
    struct voting v = begin(NULL);
    assert_int_equal(decide(&v).refusal, REFUSAL_NONE);
    promise(&v, PROMISE_SLOT, v.s->run.compose.bytes, 1, v.s->run_id.bytes);
    promise(&v, PROMISE_VOTE, v.s->run_id.bytes, 1, v.ask.node.bytes);
    assert_int_equal(decide(&v).refusal, REFUSAL_NONE); /* exactly this was promised */
    promise(&v, PROMISE_VOTE, other32, 1, other32);     /* other runs have no say */
    promise(&v, PROMISE_SLOT, v.s->run.compose.bytes, 2, other32);
    promise(&v, PROMISE_SLOT, other32, 1, other32);
    assert_int_equal(decide(&v).refusal, REFUSAL_NONE);
    scene_free(v.s);
}

static void test_run_expiry(void **state)
{
    (void)state;
    struct voting v = begin(NULL);
    v.ask.now_ms = v.s->run_expires_ms - 1; /* before the approvals', too */
    v.s->now_ms = v.ask.now_ms;
    assert_int_equal(decide(&v).refusal, REFUSAL_NONE);
    v.ask.now_ms++;
    assert_int_equal(decide(&v).refusal, REFUSAL_RUN_EXPIRED);
    scene_free(v.s);
}

/* --- Promises --------------------------------------------------------------------------------------------------------------- */

static void test_promises(void **state)
{
    (void)state;
    struct voting v = begin(NULL);
    struct promises p;
    uint8_t key[PROMISE_KEY_BYTES], a[32] = {1}, b[32] = {2};
    assert_int_equal(promises_init(&p, v.s->arena, 3, 1), OK);
    struct run_id run = v.s->run_id;
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
    scene_free(v.s);
}

/* --- Ranks ------------------------------------------------------------------------------------------------------------------- */

/* Compute members are told apart by rank: each number from 0 once, and only who may compute takes part. */
static void test_ranks(void **state)
{
    (void)state;
    enum { LATE = 5 };
    struct voting v = begin(NULL);
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
            assert_int_equal(scene_apply(v.s, j, KIND_MEMBER, &b, 0).refusal, REFUSAL_NONE);
    }
    for (uint32_t i = 0; i < LATE; i++) {
        uint32_t rank = election_rank(v.s->registry, &v.s->run, v.s->run_id, 1, node[i]);
        assert_true(rank < LATE && (taken >> rank & 1) == 0); /* the one abroad does not count */
        taken |= UINT32_C(1) << rank;
        moved |= rank != election_rank(v.s->registry, &v.s->run, v.s->run_id, 2, node[i]);
    }
    assert_true(moved); /* another term, another order */
    scene_free(v.s);
}

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

int main(void)
{
    static struct CMUnitTest tests[CHANGES + 5];
    const struct CMUnitTest rest[] = {
        cmocka_unit_test(test_refusals_are_complete),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_run_expiry),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_ranks),
    };
    for (size_t i = 0; i < CHANGES; i++)
        tests[i] =
            (struct CMUnitTest){changes[i].name, test_change, NULL, NULL, (void *)(uintptr_t)&changes[i]};
    memcpy(&tests[CHANGES], rest, sizeof rest);
    return cmocka_run_group_tests_name("proto_election", tests, set_up, tear_down);
}
