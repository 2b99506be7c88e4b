/* The fourteen defects of the original model, those that can occur here: tests by name (PROTOCOL.md "Records", DESIGN §5). */
#include "tests/scene_change.h"

/* 1. A missing grant must stop what depends on it, and inputs come from the recipe, not from the caller. */
static void defect_01_missing_grant_activates_nothing(void **state)
{
    (void)state;
    for (uint32_t owner = 0; owner < 2; owner++) {
        struct scene *s = change_none();
        change_revoke(s, owner, REVOKE_APPROVAL, s->grant_record[owner]->id.bytes);
        REFUSED(change_check(s), REFUSAL_NO_GRANT);
        scene_free(s);
    }
    struct scene *s = change_none();
    change_unnamed_input(s);
    REFUSED(change_check(s), REFUSAL_INPUTS);
    scene_free(s);
}

/* 2. An op is the hash of its document: other code is another op, which nobody registered or granted. */
static void defect_02_op_is_its_code(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    struct buffer out = BUFFER_OF(bytes);
    struct scene *s = change_none();
    struct hash32 before = s->op->hash;
    s->op->code.bytes[0] ^= 1;
    assert_int_equal(op_write(&out, s->op), OK);
    struct hash32 after = sha256(buffer_span(&out));
    assert_false(ID_EQUAL(before, after));
    assert_non_null(registry_op(s->registry, before));
    assert_null(registry_op(s->registry, after));
    struct body_OP op = {buffer_span(&out),
                         s->op->code_bytes}; /* a document that names other code than comes with it */
    REFUSED(scene_apply(s, 0, KIND_OP, &op, 0), REFUSAL_MALFORMED);
    assert_true(span_equal(registry_op(s->registry, before)->code_bytes, s->op->code_bytes));
    scene_free(s);
}

/* 3. Every input and every step is checked, not only the first. */
static void defect_03_the_last_input_is_checked(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->grant[1].ops = SPAN_NONE;
    scene_build(s);
    struct verdict v = change_check(s);
    assert_int_equal(v.refusal, REFUSAL_GRANT_OP);
    assert_memory_equal(v.subject.bytes, world->node[1].id.bytes, 32);
    scene_free(s);
}

/* 4. A bound of zero is a bound. */
static void defect_04_zero_is_a_value(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->grant[0].epsilon_max = 0;
    scene_build(s);
    REFUSED(change_check(s), REFUSAL_GRANT_LIMIT);
    scene_free(s);
    s = scene_new(world);
    s->approval[0].cost = 0;
    scene_build(s);
    REFUSED(change_check(s), REFUSAL_COST);
    scene_free(s);
}

/* 5. At the end of the chain nothing is left unbound: a grant without ops allows none, not all. */
static void defect_05_an_empty_list_allows_nothing(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    s->grant[0].ops = SPAN_NONE;
    scene_build(s);
    REFUSED(change_check(s), REFUSAL_GRANT_OP);
    scene_free(s);
}

/* 6. An algorithm over several owners' datasets can run. */
static void defect_06_a_union_can_run(void **state)
{
    (void)state;
    struct scene *s = change_none();
    assert_int_equal(run_input_count(&s->run), 2);
    ACCEPTED(change_check(s));
    ACCEPTED(registry_check_node(s->registry, &s->run, world->node[WORLD_COMPUTE].id));
    scene_free(s);
}

/* 7. One run has one record and one slot; an owner's dataset is in it once. */
static void defect_07_an_input_is_used_once(void **state)
{
    (void)state;
    struct scene *s = change_none();
    change_repeated_input(s);
    REFUSED(change_check(s), REFUSAL_INPUTS);
    scene_free(s);
}

static struct dt token(struct scene *s, uint32_t node, uint8_t number, struct hash32 *salt)
{
    (void)s;
    struct dt dt;
    memset(salt->bytes, number, 32);
    struct hash32 hash = HASH_FRAMED("perigee/dt/v1", ID_SPAN(world->node[node].id), ID_SPAN(*salt));
    memcpy(dt.bytes, hash.bytes, 32);
    return dt;
}

static struct dt register_compute(struct scene *s, uint32_t node, uint8_t number)
{
    static uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    struct hash32 salt;
    struct service service = {
        .type = SPAN_LITERAL("aggregate"), .endpoint = SPAN_LITERAL(""), .op_count = 1, .op = {world->op}};
    struct ddo d = {.dt = token(s, node, number, &salt),
                    .type = ASSET_COMPUTE,
                    .name = SPAN_LITERAL("link"),
                    .description = SPAN_LITERAL(""),
                    .jurisdiction = SPAN_LITERAL("EU"),
                    .service_count = 1,
                    .service = &service};
    assert_int_equal(ddo_write(&b, &d), OK);
    struct body_ASSET body = {.dt = d.dt,
                              .version = 1,
                              .salt = salt,
                              .ddo = buffer_span(&b),
                              .workflow = SPAN_LITERAL(""),
                              .policy = SPAN_LITERAL("")};
    ACCEPTED(scene_apply(s, node, KIND_ASSET, &body, 0));
    return d.dt;
}

static struct verdict preview_grant(struct scene *s, uint32_t node, struct dt lower, struct dt higher)
{
    union body b = {.GRANT = {.lower = lower, .higher = higher, .ops = ID_SPAN(world->op), .slots_max = 1}};
    struct verdict v = registry_preview(s->registry, world->node[node].id, KIND_GRANT, &b);
    if (v.refusal == REFUSAL_NONE) ACCEPTED(scene_apply(s, node, KIND_GRANT, &b.GRANT, 0));
    return v;
}

/* 8. Circles are refused, of any length, and looking for one ends: no token is visited twice. */
static void defect_08_circles_are_refused(void **state)
{
    (void)state;
    enum { LINKS = 24, COPIES = 20 };
    struct scene *s = change_none();
    struct dt dt[LINKS];
    struct body_GRANT self = s->grant[0];
    self.higher = self.lower;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &self, 0), REFUSAL_CYCLE);
    for (uint32_t i = 0; i < LINKS; i++) dt[i] = register_compute(s, i % WORLD_NODES, (uint8_t)(10 + i));
    for (uint32_t i = 0; i + 1 < LINKS; i++)
        for (uint32_t copy = 0; copy < COPIES; copy++) /* 20^23 ways through, if one went them all */
            ACCEPTED(preview_grant(s, i % WORLD_NODES, dt[i], dt[i + 1]));
    REFUSED(preview_grant(s, (LINKS - 1) % WORLD_NODES, dt[LINKS - 1], dt[0]), REFUSAL_CYCLE);
    REFUSED(preview_grant(s, 3, dt[3], dt[3]), REFUSAL_CYCLE);
    ACCEPTED(preview_grant(s, 0, dt[0], dt[LINKS - 1]));
    scene_free(s);
}

/* 9. The zero id is nobody and nothing. */
static void defect_09_zero_is_nobody(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct node_id nobody = {{0}};
    struct dt nothing = {{0}};
    struct hash32 none = {{0}};
    struct compose_hash no_recipe = {{0}};
    struct run_id no_run = {{0}};
    assert_null(registry_member(s->registry, nobody));
    assert_false(registry_may_write(s->registry, nobody));
    assert_null(registry_asset(s->registry, nothing));
    assert_null(registry_op(s->registry, none));
    assert_null(registry_workflow(s->registry, no_recipe));
    assert_null(registry_run(s->registry, no_run));
    struct body_GRANT b = s->grant[0];
    b.higher = nothing;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_ASSET);
    REFUSED(registry_check_run(s->registry, &s->run, nobody, s->now_ms), REFUSAL_REQUESTER);
    scene_free(s);
}

/* 10. What is signed names its consortium, author and place, so it cannot be said again elsewhere or later. */
static void defect_10_a_statement_has_one_place(void **state)
{
    (void)state;
    struct scene *s = change_none();
    const struct record *one = scene_record_at(s, world->node[0].id, 7, KIND_GRANT, &s->grant[0], 0);
    const struct record *other[4] = {scene_record_at(s, world->node[1].id, 7, KIND_GRANT, &s->grant[0], 0),
                                     scene_record_at(s, world->node[0].id, 8, KIND_GRANT, &s->grant[0], 0),
                                     scene_record_at(s, world->node[0].id, 7, KIND_GRANT, &s->grant[0], 1),
                                     NULL};
    world->consortium.bytes[0] ^= 1;
    other[3] = scene_record_at(s, world->node[0].id, 7, KIND_GRANT, &s->grant[0], 0);
    world->consortium.bytes[0] ^= 1;
    struct hash32 signed_one = record_sign_hash(KIND_GRANT, one->header_bytes);
    for (uint32_t i = 0; i < 4; i++) {
        struct hash32 signed_other = record_sign_hash(KIND_GRANT, other[i]->header_bytes);
        assert_true(span_equal(one->body, other[i]->body));
        assert_false(ID_EQUAL(signed_one, signed_other));
    }
    scene_free(s);
}

/* 11. A grant can be taken back, ends, and is for the services and ops it names. */
static void defect_11_grants_end(void **state)
{
    (void)state;
    struct scene *s = change_none();
    change_revoke(s, 0, REVOKE_APPROVAL, s->grant_record[0]->id.bytes);
    REFUSED(change_check(s), REFUSAL_NO_GRANT);
    scene_free(s);
    s = scene_new(world);
    s->grant_expires_ms[0] = s->now_ms + 5;
    scene_build(s);
    ACCEPTED(change_check(s));
    s->now_ms += 5;
    REFUSED(change_check(s), REFUSAL_GRANT_EXPIRED);
    scene_free(s);
}

/* 12. A thing is done or refused, never both: what is refused leaves no trace. */
static void defect_12_refused_means_not_done(void **state)
{
    (void)state;
    struct scene *s = change_none();
    uint32_t approvals = 0, grants = 0;
    while (registry_approval_at(s->registry, approvals) != NULL) approvals++;
    while (registry_grant_at(s->registry, grants) != NULL) grants++;
    REFUSED(change_approve(s, 1, 1, 0), REFUSAL_OVERLAP);
    REFUSED(change_approve(s, 9, 99, UINT64_C(1000000000)), REFUSAL_BUDGET);
    struct body_GRANT b = s->grant[0];
    b.higher = b.lower;
    REFUSED(scene_apply(s, 0, KIND_GRANT, &b, 0), REFUSAL_CYCLE);
    assert_null(registry_approval_at(s->registry, approvals));
    assert_null(registry_grant_at(s->registry, grants));
    assert_true(change_allotted(s) == UINT64_C(2000000000));
    ACCEPTED(change_check(s));
    scene_free(s);
}

/* 14. Documents are their bytes: a space more is another document, and nobody replaces one under its name. */
static void defect_14_documents_are_their_bytes(void **state)
{
    (void)state;
    struct scene *s = change_none();
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct body_ASSET b = scene_asset(s, 0, 3, false);
    memcpy(bytes, b.ddo.data, b.ddo.len);
    bytes[b.ddo.len] = ' ';
    b.ddo = span_make(bytes, b.ddo.len + 1);
    REFUSED(change_offer(s, 0, KIND_ASSET, &(union body){.ASSET = b}), REFUSAL_MALFORMED);
    static uint8_t op_bytes[4096];
    struct buffer out = BUFFER_OF(op_bytes);
    struct hash32 name = s->op->hash;
    s->op->description = SPAN_LITERAL("co unts");
    assert_int_equal(op_write(&out, s->op), OK);
    struct body_OP op = {buffer_span(&out), s->op->code_bytes};
    for (uint32_t i = 0; i < 4; i++) ACCEPTED(scene_apply(s, i, KIND_OP, &op, 0));
    assert_false(span_equal_text(registry_op(s->registry, name)->description, "co unts"));
    struct hash32 other = sha256(op.document);
    assert_non_null(registry_op(s->registry, other));
    scene_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defect_01_missing_grant_activates_nothing),
        cmocka_unit_test(defect_02_op_is_its_code),
        cmocka_unit_test(defect_03_the_last_input_is_checked),
        cmocka_unit_test(defect_04_zero_is_a_value),
        cmocka_unit_test(defect_05_an_empty_list_allows_nothing),
        cmocka_unit_test(defect_06_a_union_can_run),
        cmocka_unit_test(defect_07_an_input_is_used_once),
        cmocka_unit_test(defect_08_circles_are_refused),
        cmocka_unit_test(defect_09_zero_is_nobody),
        cmocka_unit_test(defect_10_a_statement_has_one_place),
        cmocka_unit_test(defect_11_grants_end),
        cmocka_unit_test(defect_12_refused_means_not_done),
        cmocka_unit_test(defect_14_documents_are_their_bytes),
    };
    return cmocka_run_group_tests_name("proto_registry_defect", tests, change_set_up, change_tear_down);
}
