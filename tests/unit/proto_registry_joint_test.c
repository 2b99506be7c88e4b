/* Joint decisions: who is counted, how many it takes, and what each such kind puts in force. */
#include "tests/scene_change.h"

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
    struct scene *s = change_none();
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

/* Once a member's platforms are named, no other is its; with none named, any may be. */
static void test_platforms(void **state)
{
    (void)state;
    struct scene *s = change_none();
    const struct hash32 one = {{1}}, two = {{2}}, three = {{3}};
    uint8_t both[64];
    struct body_MEMBER b = late_member(0xd1, "late");
    memcpy(both, one.bytes, 32);
    memcpy(both + 32, two.bytes, 32);
    b.platforms = SPAN_OF(both);
    assert_false(registry_platform_admitted(s->registry, b.node, one));
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, &b, 0));
    assert_true(span_equal(registry_member(s->registry, b.node)->platforms, b.platforms));
    assert_true(registry_platform_admitted(s->registry, b.node, one));
    assert_true(registry_platform_admitted(s->registry, b.node, two));
    assert_false(registry_platform_admitted(s->registry, b.node, three));
    assert_true(registry_platform_admitted(s->registry, world->node[WORLD_COMPUTE].id, three));
    change_remove(s, WORLD_COMPUTE, 5);
    assert_false(registry_platform_admitted(s->registry, world->node[WORLD_COMPUTE].id, three));
    scene_free(s);
}

static void test_joint_counts_an_author_once(void **state)
{
    (void)state;
    struct scene *s = change_none();
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
    struct scene *s = change_none();
    struct body_MEMBER b = late_member(0xd1, "late");
    for (uint32_t i = WORLD_COMPUTE; i < WORLD_NODES; i++)
        REFUSED(scene_apply(s, i, KIND_MEMBER, &b, 0), REFUSAL_NOT_STEWARD);
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
    struct scene *s = change_none();
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
    ACCEPTED(change_check(s));
    scene_free(s);
}

static void test_member_smallest_body(void **state)
{
    (void)state;
    struct node_id node = late_member(0xd1, "").node;
    struct span first = SPAN_NONE;
    for (uint32_t order = 0; order < 2; order++) {
        struct scene *s = change_none();
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
    struct scene *s = change_none();
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
    struct scene *s = change_none();
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
    struct scene *s = change_scene(SCENE_COMMITTEE, NULL);
    uint32_t count = 0;
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

/* No committee, and no place taken: shares for another number of custodians, another charter, another epoch. */
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
        enum refusal why = bend == 0 ? REFUSAL_NONE : bend < 3 ? REFUSAL_CHARTER : REFUSAL_MALFORMED;
        for (uint32_t i = 0; i < 4; i++) REFUSED(scene_apply(s, i, KIND_COMMITTEE, &body, 0), why);
        assert_int_equal(registry_committee(s->registry) != NULL, bend == 0);
        scene_free(s);
    }
}

static void test_workers(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct hash32 other = {{1}};
    assert_true(registry_worker(s->registry, SPAN_LITERAL("default"), world->measurement));
    assert_false(registry_worker(s->registry, SPAN_LITERAL("default"), other));
    assert_false(registry_worker(s->registry, SPAN_LITERAL("spare"), world->measurement));
    struct body_WORKERS b = {SPAN_LITERAL("spare"), 1, ID_SPAN(other)};
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(registry_worker(s->registry, SPAN_LITERAL("spare"), other));
        ACCEPTED(scene_apply(s, i, KIND_WORKERS, &b, 0));
    }
    assert_true(registry_worker(s->registry, SPAN_LITERAL("spare"), other));
    scene_free(s);
}

static void register_set(struct scene *s, uint64_t version, const struct hash32 *measurement)
{
    struct body_WORKERS b = {SPAN_LITERAL("spare"), version, span_make(measurement->bytes, 32)};
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_WORKERS, &b, 0));
}

/* An upgrade is no toss of a coin, and a bad measurement can be taken back: the highest version is in force, whatever was
 * decided first; among equals the smallest hash of a body. */
static void test_workers_highest_version(void **state)
{
    (void)state;
    for (uint32_t value = 0; value < 8; value++) {
        struct scene *s = change_none();
        struct hash32 old = {{1}}, next = {{(uint8_t)(2 + value)}};
        register_set(s, 2, &next);
        register_set(s, 1, &old);
        assert_true(registry_worker(s->registry, SPAN_LITERAL("spare"), next));
        assert_false(registry_worker(s->registry, SPAN_LITERAL("spare"), old));
        assert_int_equal(registry_worker_set(s->registry, SPAN_LITERAL("spare"))->body.version, 2);
        register_set(s, 3, &old);
        assert_true(registry_worker(s->registry, SPAN_LITERAL("spare"), old));
        register_set(s, 3, &next);
        bool kept = registry_worker(s->registry, SPAN_LITERAL("spare"), old);
        scene_free(s);
        s = change_none();
        register_set(s, 3, &next);
        register_set(s, 3, &old);
        assert_int_equal(registry_worker(s->registry, SPAN_LITERAL("spare"), old), kept);
        scene_free(s);
    }
}

static void test_workers_named(void **state)
{
    (void)state;
    struct scene *s = change_none();
    union body b = {.WORKERS = {SPAN_LITERAL("Default set"), 1, SPAN_NONE}};
    REFUSED(change_offer(s, 0, KIND_WORKERS, &b), REFUSAL_MALFORMED);
    b.WORKERS = (struct body_WORKERS){SPAN_LITERAL(""), 1, SPAN_NONE};
    REFUSED(change_offer(s, 0, KIND_WORKERS, &b), REFUSAL_MALFORMED);
    b.WORKERS = (struct body_WORKERS){SPAN_LITERAL("default"), 0, SPAN_NONE};
    REFUSED(change_offer(s, 0, KIND_WORKERS, &b), REFUSAL_MALFORMED);
    b.WORKERS.version = 2;
    ACCEPTED(change_offer(s, 0, KIND_WORKERS, &b));
    scene_free(s);
}

static void test_forming_preview(void **state)
{
    (void)state;
    struct registry *r;
    struct arena *arena = world_arena(world);
    union body b = {.WORKERS = {SPAN_LITERAL("default"), 1, SPAN_NONE}};
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
    struct scene *s = change_none();
    struct body_CHARTER b = {SPAN_LITERAL("{}")};
    REFUSED(scene_apply(s, 0, KIND_CHARTER, &b, 0), REFUSAL_CHARTER);
    scene_free(s);
}

/* An expiry nobody looks at would be outlived by its record: such a record has no effect. */
static void test_expiry_only_where_it_is_kept(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_MEMBER b = late_member(0xd1, "late");
    for (uint32_t i = 0; i < 4; i++)
        REFUSED(scene_apply(s, i, KIND_MEMBER, &b, s->now_ms + 1), REFUSAL_MALFORMED);
    assert_null(registry_member(s->registry, b.node));
    assert_false(registry_may_expire(KIND_ASSET) || registry_may_expire(KIND_JOB));
    assert_true(registry_may_expire(KIND_GRANT) && registry_may_expire(KIND_APPROVAL) &&
                registry_may_expire(KIND_RUN));
    scene_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joint_needs_s),
        cmocka_unit_test(test_joint_counts_an_author_once),
        cmocka_unit_test(test_platforms),
        cmocka_unit_test(test_joint_only_by_the_eligible),
        cmocka_unit_test(test_joint_loses_a_frozen_author),
        cmocka_unit_test(test_joint_by_kind_and_body),
        cmocka_unit_test(test_member_smallest_body),
        cmocka_unit_test(test_no_seat_by_admission),
        cmocka_unit_test(test_records_of_no_member),
        cmocka_unit_test(test_committee_needs_all_but_f),
        cmocka_unit_test(test_committee_shape),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_workers_highest_version),
        cmocka_unit_test(test_workers_named),
        cmocka_unit_test(test_forming_preview),
        cmocka_unit_test(test_charter_of_another_consortium),
        cmocka_unit_test(test_expiry_only_where_it_is_kept),
    };
    return cmocka_run_group_tests_name("proto_registry_joint", tests, change_set_up, change_tear_down);
}
