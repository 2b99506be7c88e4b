/* How much a question looks at: each row of those it is about a few times at most, whatever else is in the tables. */
#include "proto/registry_state.h"
#include "tests/scene_change.h"

enum { ROWS_MAX = CAP_GRANTS }; /* more than any author's part of a table */

/* Rows that one check of the scene's run looks at. */
static uint64_t steps_of_check(struct scene *s)
{
    *s->registry->looked = 0;
    ACCEPTED(change_check(s));
    return *s->registry->looked;
}

/* A record that is given up again if it has no place; false then. */
static bool say(struct scene *s, uint32_t node, enum kind kind, const void *body, uint64_t expires_ms)
{
    struct verdict v = scene_apply(s, node, kind, body, expires_ms);
    if (v.refusal != REFUSAL_FULL) ACCEPTED(v);
    return v.refusal == REFUSAL_NONE;
}

/* All revocations of nothing that one owner has places for. */
static uint32_t fill_revocations(struct scene *s, uint32_t owner)
{
    struct body_REVOCATION b = {.target = REVOKE_APPROVAL, .approval_signature = SPAN_NONE};
    uint32_t said = 0;
    while (said < (CAP_REVOCATIONS + 3) / 4) { /* the next would void all of its owner's */
        b.subject.bytes[0] = 7;
        store_u64(b.subject.bytes + 8, said++);
        assert_true(say(s, owner, KIND_REVOCATION, &b, 0));
    }
    return said;
}

/* All grants, each expired, that this owner has places for. */
static void fill_grants(struct scene *s, uint32_t owner)
{
    uint32_t said = 0;
    while (said < ROWS_MAX && say(s, owner, KIND_GRANT, &s->grant[owner], 1)) said++;
    assert_in_range(said, 1, ROWS_MAX - 1);
}

/* All approvals, of slots that nobody asks for. */
static void fill_approvals(struct scene *s, uint32_t owner)
{
    struct body_APPROVAL b = s->approval[owner];
    uint32_t said = 0;
    b.cost = 0;
    do {
        b.slot_first = b.slot_last = 1000 + said++;
    } while (said < ROWS_MAX && say(s, owner, KIND_APPROVAL, &b, 0));
    assert_in_range(said, 1, ROWS_MAX - 1);
}

static void fill_jobs(struct scene *s)
{
    uint32_t said = 0;
    while (said < ROWS_MAX && say(s, WORLD_ALGORITHM, KIND_JOB, &s->job, 0)) said++;
    assert_in_range(said, 1, ROWS_MAX - 1);
}

/* Revocations cost nothing: what they cover is marked when they are applied. */
static void test_revocations_are_not_looked_at(void **state)
{
    (void)state;
    struct scene *s = change_none();
    uint64_t before = steps_of_check(s);
    assert_true(before > 0);
    for (uint32_t owner = 0; owner < 2; owner++) assert_true(fill_revocations(s, owner) > 1000);
    assert_int_equal(steps_of_check(s), before);
    scene_free(s);
}

/* Grants and approvals are asked for twice for each input, jobs once. */
static void test_full_tables(void **state)
{
    (void)state;
    struct scene *s = change_none();
    for (uint32_t owner = 0; owner < 2; owner++) {
        fill_revocations(s, owner);
        fill_grants(s, owner);
        fill_approvals(s, owner);
    }
    fill_jobs(s);
    const struct registry *r = s->registry;
    uint64_t rows = r->grant_count + r->approval_count + r->job_count;
    assert_true(rows > 2 * (CAP_GRANTS / 4 + CAP_APPROVALS / 4));
    assert_in_range(steps_of_check(s), 1, 2 * rows);
    scene_free(s);
}

/* What marks must not depend on: whether the revocation or what it covers is applied first. */
static void test_marks_in_any_order(void **state)
{
    (void)state;
    for (uint32_t late = 0; late < 2; late++) {
        struct scene *s = change_none();
        struct node_id owner = world->node[0].id;
        struct body_REVOCATION b = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
        struct body_GRANT grant = s->grant[0];
        struct body_APPROVAL approval = s->approval[0];
        approval.slot_first = approval.slot_last = 77;
        approval.cost = 0;
        memcpy(b.subject.bytes, world->dataset[0].dt.bytes, 32);
        const struct record *revocation = scene_record_at(s, owner, 1002, KIND_REVOCATION, &b, 0);
        const struct record *covered[2] = {scene_record_at(s, owner, 1000, KIND_GRANT, &grant, 0),
                                           scene_record_at(s, owner, 1001, KIND_APPROVAL, &approval, 0)};
        if (late == 0) ACCEPTED(registry_apply(s->registry, revocation));
        for (uint32_t i = 0; i < 2; i++) ACCEPTED(registry_apply(s->registry, covered[i]));
        if (late == 1) ACCEPTED(registry_apply(s->registry, revocation));
        const struct asset *a = registry_asset(s->registry, world->dataset[0].dt);
        struct approval_view v = registry_approval(s->registry, a, s->run.compose, 77, s->now_ms);
        assert_true(v.approval != NULL && v.revoked && registry_revoked(s->registry, v.approval));
        assert_null(registry_grant(s->registry, a->dt, world->app, s->now_ms));
        ACCEPTED(registry_apply(s->registry, scene_record_at(s, owner, 1003, KIND_GRANT, &grant, 0)));
        assert_non_null(registry_grant(s->registry, a->dt, world->app, s->now_ms));
        scene_free(s);
    }
}

/* By all stewards but the first owner, whose place one of them is to take. */
static uint64_t steps_of_member(struct scene *s, struct node_id node, struct node_id replaces)
{
    const struct body_MEMBER b = {.node = node,
                                  .organisation = SPAN_LITERAL("north"),
                                  .jurisdiction = SPAN_LITERAL("EU"),
                                  .roles = ROLE_OWNER,
                                  .approval = node,
                                  .platforms = SPAN_NONE,
                                  .replaces = replaces,
                                  .last_seq = s->approval_record[0]->header.seq};
    const uint64_t seq = ID_IS_ZERO(replaces) ? 0 : 1;
    for (uint32_t i = 1; i < 4; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, &b, 0));
    if (seq != 0) ACCEPTED(registry_apply(s->registry, scene_record_at(s, node, seq, KIND_MEMBER, &b, 0)));
    *s->registry->looked = 0;
    ACCEPTED(scene_apply(s, 1, KIND_MEMBER, &b, 0)); /* the same word again */
    return *s->registry->looked;
}

/* Who is no steward admits nobody, and costs nothing. */
static uint64_t steps_of_a_refusal(struct scene *s, struct node_id replaces)
{
    const struct body_MEMBER b = {.node = {{0x15}},
                                  .organisation = SPAN_LITERAL("north"),
                                  .jurisdiction = SPAN_LITERAL("EU"),
                                  .roles = ROLE_OWNER,
                                  .platforms = SPAN_NONE,
                                  .replaces = replaces,
                                  .last_seq = 1};
    *s->registry->looked = 0;
    assert_int_not_equal(scene_apply(s, WORLD_COMPUTE, KIND_MEMBER, &b, 0).refusal, REFUSAL_NONE);
    return *s->registry->looked;
}

/* A member's record looks at what hangs on it: nothing, unless it takes a key's place, and then that one's tokens. */
static void test_members_look_at_what_they_inherit(void **state)
{
    (void)state;
    struct scene *s = change_none();
    const struct node_id heir = {{0x11}}, guest = {{0x12}}, nobody = {{0}}, stranger = {{0x13}},
                         other = {{0x14}};
    assert_true(s->registry->asset_count >= 3);
    const uint32_t all = s->registry->asset_count;
    assert_int_equal(steps_of_member(s, heir, world->node[0].id), all + 1);
    assert_int_equal(steps_of_member(s, guest, nobody), 0);
    assert_int_equal(steps_of_member(s, other, stranger), all);
    assert_int_equal(steps_of_a_refusal(s, world->node[0].id), 0);
    const struct asset *a = registry_asset(s->registry, world->dataset[0].dt);
    assert_true(registry_holds(s->registry, a, heir));
    scene_free(s);
}

enum { DAY = 300 }; /* approvals of one slot each, and runs in all of them but the last */

static void run_in(struct scene *s, uint64_t slot)
{
    struct body_RUN b = s->run;
    b.slot = slot;
    assert_true(say(s, s->requester, KIND_RUN, &b, s->run_expires_ms));
}

static void approve_a_day(struct scene *s, uint32_t owner)
{
    struct body_APPROVAL b = s->approval[owner];
    b.cost = 0;
    for (uint32_t i = 0; i < DAY; i++) {
        b.slot_first = b.slot_last = 1000 + i;
        assert_true(say(s, owner, KIND_APPROVAL, &b, 0));
    }
}

/* The lowest free slot is found without asking of each used one who allotted it. */
static void test_a_plan_after_many_runs(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_RUN run;
    uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    struct run_wish wish = {.compose = s->run.compose, .parameters = s->run.parameters};
    for (uint32_t owner = 0; owner < 2; owner++) approve_a_day(s, owner);
    for (uint64_t slot = s->approval[0].slot_first; slot <= s->approval[0].slot_last; slot++) run_in(s, slot);
    for (uint32_t i = 0; i + 1 < DAY; i++) run_in(s, 1000 + i);
    *s->registry->looked = 0;
    struct verdict v =
        registry_plan_run(s->registry, &run, inputs, &wish, world->node[s->requester].id, s->now_ms);
    assert_int_equal(v.refusal,
                     REFUSAL_COST); /* of an approval that costs nothing: the plan got as far as that */
    assert_int_equal(run.slot, 1000 + DAY - 1);
    assert_in_range(*s->registry->looked, 1, 16 * DAY);
    scene_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revocations_are_not_looked_at),
        cmocka_unit_test(test_full_tables),
        cmocka_unit_test(test_marks_in_any_order),
        cmocka_unit_test(test_members_look_at_what_they_inherit),
        cmocka_unit_test(test_a_plan_after_many_runs),
    };
    return change_main("proto_registry_steps", tests, COUNT(tests));
}
