/* Devices: whose word makes one, for how long, and how many of a maker. */
#include "tests/scene_change.h"

enum { MAKER = 0xe1, OTHER_MAKER = 0xe2, DEVICE = 0xd1, PLACES = 2, STEWARDS_NEEDED = 3 };

static struct node_id node_of(uint8_t number)
{
    struct node_id n;
    memset(n.bytes, number, sizeof n.bytes);
    return n;
}

static struct body_MEMBER member_of(uint8_t number, uint32_t roles, const char *organisation)
{
    return (struct body_MEMBER){.node = node_of(number),
                                .organisation = span_text(organisation),
                                .jurisdiction = SPAN_LITERAL("EU"),
                                .roles = roles,
                                .approval = node_of(number),
                                .platforms = SPAN_LITERAL("")};
}

static void by_stewards(struct scene *s, const struct body_MEMBER *b)
{
    for (uint32_t i = 0; i < STEWARDS_NEEDED; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, b, 0));
}

static void admit(struct scene *s, uint8_t number, uint32_t roles)
{
    struct body_MEMBER b = member_of(number, roles, "makers");
    by_stewards(s, &b);
}

static const struct record *word_for(struct scene *s, uint8_t maker, uint64_t seq, uint8_t device,
                                     const char *organisation)
{
    struct body_MEMBER b = member_of(device, ROLE_DEVICE, organisation);
    return scene_record_at(s, node_of(maker), seq, KIND_MEMBER, &b, 0);
}

static void name_device(struct scene *s, uint8_t maker, uint64_t seq, uint8_t device)
{
    ACCEPTED(registry_apply(s->registry, word_for(s, maker, seq, device, "makers")));
}

static const struct record *revocation_of(struct scene *s, uint8_t maker, uint64_t seq,
                                          enum revocation_target target, uint8_t device)
{
    struct body_REVOCATION b = {.target = target, .approval_signature = SPAN_NONE};
    memset(b.subject.bytes, device, sizeof b.subject.bytes);
    return scene_record_at(s, node_of(maker), seq, KIND_REVOCATION, &b, 0);
}

static void revoke(struct scene *s, uint8_t maker, uint64_t seq, enum revocation_target target,
                   uint8_t device)
{
    ACCEPTED(registry_apply(s->registry, revocation_of(s, maker, seq, target, device)));
}

static bool is_member(const struct scene *s, uint8_t number)
{
    return registry_member(s->registry, node_of(number)) != NULL;
}

/* A maker with one device. */
static struct scene *one_device(void)
{
    struct scene *s = change_none();
    admit(s, MAKER, ROLE_MAKER);
    name_device(s, MAKER, 1, DEVICE);
    return s;
}

static uint32_t listed(struct scene *s, uint8_t number)
{
    uint32_t count = 0;
    const struct member *m;
    for (uint32_t at = 0; (m = registry_member_next(s->registry, &at)) != NULL;)
        count += ID_EQUAL(m->node, node_of(number));
    return count;
}

/* --- What a device is -------------------------------------------------------------------------------------------------- */

static void test_device_is_a_member(void **state)
{
    (void)state;
    struct scene *s = change_none();
    admit(s, MAKER, ROLE_MAKER);
    assert_false(registry_may_write(s->registry, node_of(DEVICE)));
    name_device(s, MAKER, 1, DEVICE);
    const struct member *m = registry_member(s->registry, node_of(DEVICE));
    assert_true(m != NULL && m->roles == ROLE_DEVICE && m->tally == NULL);
    assert_true(m->admission != NULL && ID_EQUAL(m->admission->header.author, node_of(MAKER)));
    assert_true(span_equal_text(m->organisation, "makers"));
    assert_true(registry_may_write(s->registry, node_of(DEVICE)));
    assert_int_equal(listed(s, DEVICE), 1);
    ACCEPTED(registry_check_role(s->registry, node_of(DEVICE), ROLE_DEVICE));
    assert_null(registry_member(s->registry, node_of(MAKER))->admission);
    scene_free(s);
}

/* It has no voice, no seat, no other role, and small places. */
static void test_device_may_little(void **state)
{
    (void)state;
    struct scene *s = one_device();
    struct body_MEMBER b = member_of(0xd9, ROLE_COMPUTE, "makers");
    struct body_JOB job = s->job;
    struct node_id device = node_of(DEVICE);
    for (enum role role = ROLE_OWNER; role < ROLE_DEVICE; role = (enum role)(role << 1))
        REFUSED(registry_check_role(s->registry, device, role), REFUSAL_ROLE);
    REFUSED(registry_apply(s->registry, scene_record_at(s, device, 1, KIND_MEMBER, &b, 0)),
            REFUSAL_NOT_STEWARD);
    assert_true(registry_admitted(s->registry, node_of(MAKER)));
    assert_false(registry_admitted(s->registry, device));
    for (uint32_t i = 0; i < CAP_JOBS / SMALL_PART; i++) {
        assert_false(registry_waits(s->registry, device));
        ACCEPTED(registry_apply(s->registry, scene_record_at(s, device, 2 + i, KIND_JOB, &job, 0)));
    }
    assert_true(registry_waits(s->registry, device));
    union body own = {.REVOCATION = {.target = REVOKE_ALL, .approval_signature = SPAN_NONE}};
    REFUSED(registry_preview(s->registry, device, KIND_REVOCATION, &own), REFUSAL_FULL);
    admit(s, DEVICE, ROLE_COMPUTE);
    assert_false(registry_waits(s->registry, device)); /* the stewards have given it all that others have */
    scene_free(s);
}

static void test_device_by_its_body(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_MEMBER device = member_of(DEVICE, ROLE_DEVICE, "makers"),
                       mixed = member_of(DEVICE, ROLE_DEVICE | ROLE_COMPUTE, "makers");
    by_stewards(s, &device); /* stewards are no makers */
    assert_false(is_member(s, DEVICE));
    assert_false(registry_may_write(s->registry, device.node));
    REFUSED(scene_apply(s, 0, KIND_MEMBER, &mixed, 0), REFUSAL_MALFORMED);
    admit(s, MAKER, ROLE_MAKER);
    REFUSED(registry_apply(s->registry, scene_record_at(s, node_of(MAKER), 1, KIND_MEMBER, &mixed, 0)),
            REFUSAL_MALFORMED);
    scene_free(s);
}

static void test_no_right_no_device(void **state)
{
    (void)state;
    struct world *with = world;
    world_maker_devices = 0;
    world = world_new();
    struct scene *s = change_none();
    union body b = {.MEMBER = member_of(DEVICE, ROLE_DEVICE, "makers")};
    admit(s, MAKER, ROLE_MAKER);
    REFUSED(registry_preview(s->registry, node_of(MAKER), KIND_MEMBER, &b), REFUSAL_DEVICES);
    REFUSED(registry_apply(s->registry, word_for(s, MAKER, 1, DEVICE, "makers")), REFUSAL_DEVICES);
    assert_false(is_member(s, DEVICE));
    scene_free(s);
    world_free(world);
    world = with;
    world_maker_devices = PLACES;
}

/* --- Whose word ---------------------------------------------------------------------------------------------------------- */

static void test_maker_must_be_one(void **state)
{
    (void)state;
    struct scene *s = change_none();
    name_device(s, MAKER, 1, DEVICE);
    assert_false(is_member(s, DEVICE)); /* by nobody known */
    admit(s, MAKER, ROLE_MAKER);
    assert_true(is_member(s, DEVICE)); /* who is known now */
    admit(s, OTHER_MAKER, ROLE_COMPUTE);
    name_device(s, OTHER_MAKER, 1, DEVICE + 1);
    assert_false(is_member(s, DEVICE + 1));
    scene_free(s);
}

static void test_maker_has_its_own_only(void **state)
{
    (void)state;
    struct scene *s = change_none();
    admit(s, MAKER, ROLE_MAKER);
    ACCEPTED(registry_apply(s->registry, word_for(s, MAKER, 1, DEVICE, "others")));
    assert_false(is_member(s, DEVICE));
    scene_free(s);
}

static void test_device_makes_no_device(void **state)
{
    (void)state;
    struct scene *s = one_device();
    name_device(s, DEVICE, 1, DEVICE + 1);
    name_device(s, DEVICE + 1, 1, DEVICE); /* nor do two make each other */
    assert_false(is_member(s, DEVICE + 1));
    assert_true(is_member(s, DEVICE));
    scene_free(s);
}

static void test_maker_frozen_void_or_in_a_gap(void **state)
{
    (void)state;
    struct scene *s = one_device();
    registry_gap(s->registry, node_of(MAKER), true);
    assert_false(is_member(s, DEVICE));
    registry_gap(s->registry, node_of(MAKER), false);
    assert_true(is_member(s, DEVICE));
    registry_freeze(s->registry, node_of(MAKER), 100); /* above its word, and yet */
    assert_false(is_member(s, DEVICE));
    scene_free(s);
    s = one_device();
    registry_void(s->registry, node_of(MAKER));
    assert_false(is_member(s, DEVICE));
    scene_free(s);
}

static void remove_node(struct scene *s, uint8_t number, uint64_t last_seq)
{
    struct body_REMOVAL b = {node_of(number), last_seq};
    for (uint32_t i = 0; i < STEWARDS_NEEDED; i++) ACCEPTED(scene_apply(s, i, KIND_REMOVAL, &b, 0));
}

static void test_maker_removed(void **state)
{
    (void)state;
    struct scene *s = one_device();
    remove_node(s, MAKER, 100);
    assert_false(is_member(s, DEVICE));
    assert_false(registry_may_write(s->registry, node_of(DEVICE)));
    scene_free(s);
}

static void test_device_removed_by_stewards(void **state)
{
    (void)state;
    struct scene *s = one_device();
    const struct record *first = scene_record_at(s, node_of(DEVICE), 1, KIND_JOB, &s->job, 0);
    const struct record *second = scene_record_at(s, node_of(DEVICE), 2, KIND_JOB, &s->job, 0);
    remove_node(s, DEVICE, 1);
    assert_false(is_member(s, DEVICE));
    assert_int_equal(listed(s, DEVICE), 0);
    assert_true(registry_may_write(s->registry, node_of(DEVICE))); /* what it signed before must be had */
    assert_true(registry_counts(s->registry, first));
    assert_false(registry_counts(s->registry, second));
    assert_int_equal(registry_device_count(s->registry, node_of(MAKER)), 1); /* until the maker revokes */
    scene_free(s);
}

static void test_stewards_go_before_makers(void **state)
{
    (void)state;
    struct scene *s = one_device();
    admit(s, DEVICE, ROLE_COMPUTE);
    const struct member *m = registry_member(s->registry, node_of(DEVICE));
    assert_true(m != NULL && m->admission == NULL && m->roles == ROLE_COMPUTE);
    assert_int_equal(listed(s, DEVICE), 1);
    revoke(s, MAKER, 2, REVOKE_DEVICE, DEVICE);
    assert_true(is_member(s, DEVICE));
    scene_free(s);
}

static void test_smallest_word_of_two_makers(void **state)
{
    (void)state;
    for (uint32_t order = 0; order < 2; order++) {
        struct scene *s = change_none();
        admit(s, MAKER, ROLE_MAKER);
        admit(s, OTHER_MAKER, ROLE_MAKER);
        const struct record *one = word_for(s, MAKER, 1, DEVICE, "makers"),
                            *other = word_for(s, OTHER_MAKER, 1, DEVICE, "makers");
        bool first = memcmp(one->id.bytes, other->id.bytes, 32) < 0;
        ACCEPTED(registry_apply(s->registry, order == 0 ? one : other));
        ACCEPTED(registry_apply(s->registry, order == 0 ? other : one));
        const struct member *m = registry_member(s->registry, node_of(DEVICE));
        assert_ptr_equal(m->admission, first ? one : other);
        revoke(s, first ? MAKER : OTHER_MAKER, 2, REVOKE_DEVICE, DEVICE);
        m = registry_member(s->registry, node_of(DEVICE));
        assert_ptr_equal(m->admission, first ? other : one);
        assert_int_equal(listed(s, DEVICE), 1);
        scene_free(s);
    }
}

/* --- How many, and for how long -------------------------------------------------------------------------------------------- */

static void test_places(void **state)
{
    (void)state;
    struct scene *s = one_device();
    name_device(s, MAKER, 2, DEVICE); /* said again, which changes nothing */
    name_device(s, MAKER, 3, DEVICE + 1);
    name_device(s, MAKER, 4, DEVICE + 2);
    assert_true(is_member(s, DEVICE) && is_member(s, DEVICE + 1) && !is_member(s, DEVICE + 2));
    assert_int_equal(registry_device_count(s->registry, node_of(MAKER)), PLACES);
    revoke(s, MAKER, 5, REVOKE_DEVICE, DEVICE);
    assert_true(!is_member(s, DEVICE) && is_member(s, DEVICE + 1) && is_member(s, DEVICE + 2));
    assert_false(registry_may_write(s->registry, node_of(DEVICE)));
    name_device(s, MAKER, 6, DEVICE); /* behind those that waited */
    assert_false(is_member(s, DEVICE));
    revoke(s, MAKER, 7, REVOKE_DEVICE, DEVICE + 2);
    assert_true(is_member(s, DEVICE));
    scene_free(s);
}

/* What it said first stands until it takes it back; what came in between stays over. */
static void test_named_again(void **state)
{
    (void)state;
    struct scene *s = one_device();
    const struct record *first = registry_member(s->registry, node_of(DEVICE))->admission;
    ACCEPTED(registry_apply(s->registry, word_for(s, MAKER, 2, DEVICE, "others")));
    assert_ptr_equal(registry_member(s->registry, node_of(DEVICE))->admission, first);
    for (uint8_t i = 0; i < 40; i++) {
        revoke(s, MAKER, 3u + 3u * i, REVOKE_DEVICE, DEVICE);
        assert_false(is_member(s, DEVICE));
        name_device(s, MAKER, 4u + 3u * i, DEVICE);
        name_device(s, MAKER, 5u + 3u * i, DEVICE);
        assert_int_equal(registry_member(s->registry, node_of(DEVICE))->admission->header.seq, 4u + 3u * i);
    }
    assert_int_equal(registry_device_count(s->registry, node_of(MAKER)), 1);
    assert_int_equal(listed(s, DEVICE), 1);
    scene_free(s);
}

static void test_each_maker_has_its_own_places(void **state)
{
    (void)state;
    struct scene *s = change_none();
    admit(s, MAKER, ROLE_MAKER);
    admit(s, OTHER_MAKER, ROLE_MAKER);
    for (uint8_t i = 0; i <= PLACES; i++) {
        name_device(s, MAKER, 1u + i, DEVICE + i);
        name_device(s, OTHER_MAKER, 1u + i, 0xc1 + i);
    }
    assert_true(is_member(s, DEVICE + PLACES - 1) && is_member(s, 0xc1 + PLACES - 1));
    assert_true(!is_member(s, DEVICE + PLACES) && !is_member(s, 0xc1 + PLACES));
    revoke(s, OTHER_MAKER, 9, REVOKE_DEVICE, DEVICE); /* not its own */
    assert_true(is_member(s, DEVICE));
    scene_free(s);
}

static void test_revocation_reaches_back_only(void **state)
{
    (void)state;
    struct scene *s = change_none();
    admit(s, MAKER, ROLE_MAKER);
    revoke(s, MAKER, 3, REVOKE_DEVICE, DEVICE); /* on receipt, before what it revokes has its turn */
    name_device(s, MAKER, 1, DEVICE);
    name_device(s, MAKER, 2, DEVICE + 1);
    assert_true(!is_member(s, DEVICE) && is_member(s, DEVICE + 1));
    assert_false(registry_names_device(s->registry, node_of(MAKER), node_of(DEVICE)));
    assert_true(registry_names_device(s->registry, node_of(MAKER), node_of(DEVICE + 1)));
    name_device(s, MAKER, 4, DEVICE);
    assert_true(is_member(s, DEVICE));
    revoke(s, MAKER, 5, REVOKE_DATASET, DEVICE); /* of another sort */
    assert_true(is_member(s, DEVICE));
    revoke(s, MAKER, 6, REVOKE_ALL, 0);
    assert_true(!is_member(s, DEVICE) && !is_member(s, DEVICE + 1));
    assert_int_equal(registry_device_count(s->registry, node_of(MAKER)), 0);
    scene_free(s);
}

static struct verdict preview(struct scene *s, uint8_t maker, uint8_t device, const char *organisation)
{
    union body b = {.MEMBER = member_of(device, ROLE_DEVICE, organisation)};
    return registry_preview(s->registry, node_of(maker), KIND_MEMBER, &b);
}

static void test_preview(void **state)
{
    (void)state;
    struct scene *s = one_device();
    admit(s, OTHER_MAKER, ROLE_COMPUTE);
    ACCEPTED(preview(s, MAKER, DEVICE + 1, "makers"));
    REFUSED(preview(s, MAKER, DEVICE + 1, "others"), REFUSAL_DEVICES);
    REFUSED(preview(s, MAKER, DEVICE, "makers"), REFUSAL_EXISTS);
    REFUSED(preview(s, OTHER_MAKER, DEVICE + 1, "makers"), REFUSAL_ROLE);
    REFUSED(preview(s, DEVICE, DEVICE + 1, "makers"), REFUSAL_ROLE);
    REFUSED(preview(s, 0x55, DEVICE + 1, "makers"), REFUSAL_NOT_MEMBER);
    name_device(s, MAKER, 2, DEVICE + 1);
    REFUSED(preview(s, MAKER, DEVICE + 2, "makers"), REFUSAL_DEVICES);
    revoke(s, MAKER, 3, REVOKE_DEVICE, DEVICE);
    ACCEPTED(preview(s, MAKER, DEVICE + 2, "makers"));
    registry_gap(s->registry, node_of(MAKER), true);
    REFUSED(preview(s, MAKER, DEVICE + 2, "makers"), REFUSAL_GAP);
    scene_free(s);
}

/* --- In any order ---------------------------------------------------------------------------------------------------------- */

enum { STREAMS = 6, STREAM_MAX = 10, DEVICES = 4, SHUFFLES = 40 };
struct stream {
    uint32_t count, at;
    const struct record *record[STREAM_MAX];
};

static uint32_t drawn; /* xorshift: the same shuffles each time */
static uint32_t below(uint32_t n)
{
    drawn ^= drawn << 13;
    drawn ^= drawn >> 17;
    drawn ^= drawn << 5;
    return drawn % n;
}

static void put(struct stream *st, const struct record *r)
{
    assert_true(st->count < STREAM_MAX);
    st->record[st->count++] = r;
}

/* Two makers, admitted by three stewards, and what they say and take back; a removal of one of their devices. */
static void make_streams(struct scene *s, struct stream st[STREAMS])
{
    struct body_MEMBER maker = member_of(MAKER, ROLE_MAKER, "makers"),
                       other = member_of(OTHER_MAKER, ROLE_MAKER, "makers");
    struct body_REMOVAL removal = {node_of(DEVICE + 3), 5};
    for (uint32_t i = 0; i < STEWARDS_NEEDED; i++) {
        put(&st[i], scene_record(s, i, KIND_MEMBER, &maker, 0));
        put(&st[i], scene_record(s, i, KIND_REMOVAL, &removal, 0));
        put(&st[i], scene_record(s, i, KIND_MEMBER, &other, 0));
    }
    for (uint8_t i = 0; i < DEVICES; i++) put(&st[3], word_for(s, MAKER, 1u + i, DEVICE + i, "makers"));
    put(&st[3], revocation_of(s, MAKER, 5, REVOKE_DEVICE, DEVICE));
    put(&st[3], word_for(s, MAKER, 6, DEVICE, "makers"));
    put(&st[3], revocation_of(s, MAKER, 7, REVOKE_DEVICE, DEVICE + 1));
    put(&st[3], word_for(s, MAKER, 8, DEVICE, "others"));
    put(&st[4], word_for(s, OTHER_MAKER, 1, DEVICE + 2, "makers"));
    put(&st[4], revocation_of(s, OTHER_MAKER, 2, REVOKE_ALL, 0));
    put(&st[4], word_for(s, OTHER_MAKER, 3, DEVICE + 3, "makers"));
    put(&st[4], word_for(s, OTHER_MAKER, 4, DEVICE + 1, "makers"));
    put(&st[5], scene_record_at(s, node_of(DEVICE), 1, KIND_JOB, &s->job, 0));
}

static bool acts_early(const struct record *r)
{
    return r->header.kind == KIND_REVOCATION || r->header.kind == KIND_REMOVAL;
}

/* Records of one author in their order, but for those that act on receipt. */
static void apply_shuffled(struct scene *s, struct stream st[STREAMS])
{
    uint32_t left = 0;
    bool early[STREAMS][STREAM_MAX] = {{false}};
    for (uint32_t i = 0; i < STREAMS; i++) left += st[i].count;
    while (left > 0) {
        uint32_t i = below(STREAMS), j = below(STREAM_MAX);
        struct stream *of = &st[i];
        bool ahead = j > of->at && j < of->count && acts_early(of->record[j]) && !early[i][j];
        if (ahead) {
            early[i][j] = true;
            ACCEPTED(registry_apply(s->registry, of->record[j]));
            left--;
        } else if (of->at < of->count) {
            bool done = early[i][of->at];
            if (!done) ACCEPTED(registry_apply(s->registry, of->record[of->at]));
            left -= !done;
            of->at++;
        }
    }
}

static void test_any_order(void **state)
{
    (void)state;
    static const uint8_t expected[DEVICES] = {0, OTHER_MAKER, MAKER, 0}; /* named too late; ...; removed */
    for (uint32_t seed = 1; seed <= SHUFFLES; seed++) {
        struct stream st[STREAMS] = {{0}};
        struct scene *s = change_none();
        drawn = seed * 2654435769u;
        make_streams(s, st);
        apply_shuffled(s, st);
        for (uint8_t i = 0; i < DEVICES; i++) {
            const struct member *m = registry_member(s->registry, node_of(DEVICE + i));
            uint8_t by = m != NULL ? m->admission->header.author.bytes[0] : 0;
            if (by != expected[i])
                fail_msg("shuffle %u: device %u by %02x, not %02x", seed, i, by, expected[i]);
        }
        scene_free(s);
    }
}

static int set_up(void **state)
{
    world_maker_devices = PLACES;
    return change_set_up(state);
}

static int tear_down(void **state)
{
    world_maker_devices = 0;
    return change_tear_down(state);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_is_a_member),
        cmocka_unit_test(test_device_may_little),
        cmocka_unit_test(test_device_by_its_body),
        cmocka_unit_test(test_no_right_no_device),
        cmocka_unit_test(test_maker_must_be_one),
        cmocka_unit_test(test_maker_has_its_own_only),
        cmocka_unit_test(test_device_makes_no_device),
        cmocka_unit_test(test_maker_frozen_void_or_in_a_gap),
        cmocka_unit_test(test_maker_removed),
        cmocka_unit_test(test_device_removed_by_stewards),
        cmocka_unit_test(test_stewards_go_before_makers),
        cmocka_unit_test(test_smallest_word_of_two_makers),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_named_again),
        cmocka_unit_test(test_each_maker_has_its_own_places),
        cmocka_unit_test(test_revocation_reaches_back_only),
        cmocka_unit_test(test_preview),
        cmocka_unit_test(test_any_order),
    };
    return cmocka_run_group_tests_name("proto_registry_device", tests, set_up, tear_down);
}
