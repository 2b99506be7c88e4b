/* Who counts: revocations, freezes, gaps, removals. */
#include "proto/registry_state.h"
#include "tests/scene_change.h"

/* --- Revocations ----------------------------------------------------------------------------------------------------------------- */

/* `offset` places further than owner 0's approval. */
static struct verdict after_revocation(uint64_t target, const uint8_t *subject, int offset)
{
    struct scene *s = change_none();
    struct body_REVOCATION b = {.target = target, .approval_signature = SPAN_NONE};
    if (subject != NULL) memcpy(b.subject.bytes, subject, 32);
    if (target == REVOKE_APPROVAL && subject == NULL)
        memcpy(b.subject.bytes, s->approval_record[0]->id.bytes, 32);
    if (target == REVOKE_COMPOSE && subject == NULL) memcpy(b.subject.bytes, s->workflow->hash.bytes, 32);
    uint64_t seq = s->approval_record[0]->header.seq + (uint64_t)(int64_t)offset;
    ACCEPTED(registry_apply(s->registry,
                            scene_record_at(s, world->node[0].id, seq, KIND_REVOCATION, &b, s->now_ms - 1)));
    struct verdict v = change_check(s);
    scene_free(s);
    return v;
}

/* An expiry (it has passed) does not end a revocation. */
static void test_revocation_covers(void **state)
{
    (void)state;
    uint8_t other[32] = {1};
    const uint8_t *dataset = world->dataset[0].dt.bytes;
    REFUSED(after_revocation(REVOKE_ALL, NULL, 50), REFUSAL_REVOKED);
    REFUSED(after_revocation(REVOKE_DATASET, dataset, 50), REFUSAL_REVOKED);
    REFUSED(after_revocation(REVOKE_APPROVAL, NULL, 50), REFUSAL_REVOKED);
    REFUSED(after_revocation(REVOKE_COMPOSE, NULL, 50), REFUSAL_REVOKED);
    ACCEPTED(after_revocation(REVOKE_APPROVAL, other, 50));
    ACCEPTED(after_revocation(REVOKE_COMPOSE, other, 50));
    ACCEPTED(after_revocation(REVOKE_DATASET, world->dataset[1].dt.bytes, 50));
}

/* What comes later in the chain is not covered by what was revoked before it. */
static void test_revocation_reaches_back_only(void **state)
{
    (void)state;
    REFUSED(after_revocation(REVOKE_COMPOSE, NULL, 1), REFUSAL_REVOKED);
    ACCEPTED(after_revocation(REVOKE_COMPOSE, NULL, -1));
    ACCEPTED(after_revocation(REVOKE_ALL, NULL, -3));
    REFUSED(after_revocation(REVOKE_ALL, NULL, -1), REFUSAL_NO_GRANT); /* between grant and approval */
}

/* A new approval after a revocation lives, in slots of its own. */
static void test_approval_after_revocation(void **state)
{
    (void)state;
    struct scene *s = change_none();
    change_revoke(s, 0, REVOKE_COMPOSE, s->workflow->hash.bytes);
    ACCEPTED(change_approve(s, 3, 3, UINT64_C(1000000000)));
    REFUSED(change_check(s), REFUSAL_REVOKED);
    s->run.slot = 3;
    REFUSED(change_check(s), REFUSAL_SLOT_RANGE); /* owner 1 allots two slots */
    struct approval_view v = registry_approval(s->registry, registry_asset(s->registry, world->dataset[0].dt),
                                               s->run.compose, 3, s->now_ms);
    assert_true(v.approval != NULL && !v.revoked && !v.expired);
    scene_free(s);
}

static void test_revocation_of_another_owner(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_REVOCATION b = {.target = REVOKE_ALL, .approval_signature = SPAN_NONE};
    ACCEPTED(scene_apply(s, 2, KIND_REVOCATION, &b, 0));
    memcpy(b.subject.bytes, s->approval_record[0]->id.bytes, 32);
    b.target = REVOKE_APPROVAL;
    ACCEPTED(scene_apply(s, 1, KIND_REVOCATION, &b, 0));
    ACCEPTED(change_check(s));
    scene_free(s);
}

/* --- Standing: freezes, gaps, removals -------------------------------------------------------------------------------------------- */

static void test_freeze_voids_and_rolls_back(void **state)
{
    (void)state;
    struct scene *s = change_none();
    s->ddo[0]->description = SPAN_LITERAL("newer");
    struct body_ASSET body = scene_asset(s, 0, 3, false);
    const struct record *newer = scene_record(s, 0, KIND_ASSET, &body, 0);
    ACCEPTED(registry_apply(s->registry, newer));
    const struct asset *a = registry_asset(s->registry, world->dataset[0].dt);
    assert_int_equal(a->version, 3);
    assert_true(span_equal_text(a->ddo->description, "newer"));
    registry_freeze(s->registry, world->node[0].id, newer->header.seq);
    assert_int_equal(a->version, 2);
    assert_false(span_equal_text(a->ddo->description, "newer"));
    assert_false(registry_counts(s->registry, newer));
    assert_true(registry_counts(s->registry, s->approval_record[0]));
    struct approval_view v = registry_approval(s->registry, a, s->run.compose, 1, s->now_ms);
    assert_true(v.approval != NULL && v.revoked);
    assert_null(registry_grant(s->registry, a->dt, world->app, s->now_ms));
    REFUSED(scene_apply(s, 0, KIND_ASSET, &body, 0), REFUSAL_FROZEN);
    registry_freeze(s->registry, world->node[0].id, 50); /* a lower fork shows up: nothing of it ever was */
    assert_null(registry_asset(s->registry, world->dataset[0].dt));
    registry_freeze(s->registry, world->node[0].id, 9000);
    assert_null(registry_asset(s->registry, world->dataset[0].dt));
    scene_free(s);
}

static void test_gap_suspends_and_closes(void **state)
{
    (void)state;
    struct scene *s = change_none();
    registry_gap(s->registry, world->node[0].id, true);
    registry_gap(s->registry, world->node[0].id, true);
    const struct asset *a = registry_asset(s->registry, world->dataset[0].dt);
    assert_non_null(a); /* nothing could have taken it back */
    assert_null(registry_approval(s->registry, a, s->run.compose, 0, s->now_ms).approval);
    assert_null(registry_grant(s->registry, a->dt, world->app, s->now_ms));
    assert_non_null(registry_charter(s->registry)); /* though owner 0 is one of the stewards it needs */
    REFUSED(change_check(s), REFUSAL_GAP);
    registry_gap(s->registry, world->node[0].id, false);
    ACCEPTED(change_check(s));
    scene_free(s);
}

static struct verdict remove_member(struct scene *s, uint32_t steward, uint32_t node, uint64_t last_seq)
{
    struct body_REMOVAL b = {world->node[node].id, last_seq};
    return scene_apply(s, steward, KIND_REMOVAL, &b, 0);
}

static void test_removal(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct node_id requester = world->node[WORLD_REQUESTER].id;
    for (uint32_t i = 0; i < 2; i++) {
        ACCEPTED(remove_member(s, i, WORLD_REQUESTER, s->run_record->header.seq - 1));
        assert_non_null(registry_member(s->registry, requester)); /* s-1 stewards */
    }
    ACCEPTED(remove_member(s, 2, WORLD_REQUESTER, s->run_record->header.seq - 1));
    assert_null(registry_member(s->registry, requester));
    assert_true(registry_may_write(s->registry, requester)); /* what it signed before must still be had */
    assert_false(registry_counts(s->registry, s->run_record));
    REFUSED(registry_check_record(s->registry, s->run_record), REFUSAL_NOT_MEMBER);
    REFUSED(change_check(s), REFUSAL_NOT_MEMBER);
    const struct member *m;
    uint32_t members = 0;
    for (uint32_t at = 0; (m = registry_member_next(s->registry, &at)) != NULL; members++) {
        assert_false(ID_EQUAL(m->node, requester));
        assert_ptr_equal(registry_member(s->registry, m->node), m);
    }
    assert_int_equal(members, WORLD_NODES - 1);
    scene_free(s);
}

/* A member's removal voids its grants and approvals, also those at or below its last seq. */
static void test_removal_voids_approvals(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct node_id provider = world->node[WORLD_ALGORITHM].id;
    assert_false(standing_of(s->registry, provider).voided);
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(remove_member(s, i, WORLD_ALGORITHM, 1000));
    assert_true(registry_counts(s->registry, s->job_record));
    assert_true(standing_of(s->registry, provider).voided);
    scene_free(s);
}

/* A removal is negative: a steward's voice for it counts whatever else of that steward is missing; not what it said after
 * it equivocated. Of two voices of one steward the earlier stands, whichever came first. */
static void test_removal_acts_whatever_is_missing(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct node_id requester = world->node[WORLD_REQUESTER].id;
    struct body_REMOVAL b = {requester, 1};
    const struct record *early = scene_record(s, 0, KIND_REMOVAL, &b, 0);
    ACCEPTED(scene_apply(s, 0, KIND_REMOVAL, &b, 0));
    for (uint32_t i = 1; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_REMOVAL, &b, 0));
    registry_gap(s->registry, world->node[0].id, true);
    assert_null(registry_member(s->registry, requester));
    registry_freeze(s->registry, world->node[0].id, early->header.seq + 1);
    assert_non_null(
        registry_member(s->registry, requester)); /* the requester is a member again, with two against it */
    ACCEPTED(registry_apply(s->registry, early));
    assert_null(registry_member(s->registry, requester));
    scene_free(s);
}

static void test_removal_of_the_seated_is_refused(void **state)
{
    (void)state;
    struct scene *s = change_none();
    REFUSED(remove_member(s, 0, 3, 1), REFUSAL_CHARTER);
    union body b = {.REMOVAL = {world->node[3].id, 1}};
    REFUSED(registry_preview(s->registry, world->node[0].id, KIND_REMOVAL, &b), REFUSAL_CHARTER);
    b.REMOVAL.node = world->node[WORLD_COMPUTE].id;
    ACCEPTED(registry_preview(s->registry, world->node[0].id, KIND_REMOVAL, &b));
    REFUSED(registry_preview(s->registry, world->node[WORLD_COMPUTE].id, KIND_REMOVAL, &b),
            REFUSAL_NOT_STEWARD);
    scene_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revocation_covers),
        cmocka_unit_test(test_revocation_reaches_back_only),
        cmocka_unit_test(test_approval_after_revocation),
        cmocka_unit_test(test_revocation_of_another_owner),
        cmocka_unit_test(test_freeze_voids_and_rolls_back),
        cmocka_unit_test(test_gap_suspends_and_closes),
        cmocka_unit_test(test_removal),
        cmocka_unit_test(test_removal_voids_approvals),
        cmocka_unit_test(test_removal_acts_whatever_is_missing),
        cmocka_unit_test(test_removal_of_the_seated_is_refused),
    };
    return cmocka_run_group_tests_name("proto_registry_standing", tests, change_set_up, change_tear_down);
}
