/* Bundles: what is collected replays to the same verdict, and every way of bending one is refused. */
#include "proto/approval.h"
#include "proto/bundle.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"
#include "tests/scene.h"

#include "crypto/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static uint8_t memory[1 << 20], other[1 << 20];

static int setup(void **state)
{
    (void)state;
    world_maker_devices = 1;
    world = world_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

static struct span collect(struct registry *r)
{
    struct buffer b = BUFFER_OF(memory);
    assert_int_equal(bundle_collect(&b, r, world->run), OK);
    return buffer_span(&b);
}

static enum err open_bytes(struct bundle **b, struct verdict *v, struct span bytes, uint64_t now_ms)
{
    return bundle_open(b, v, world_arena(world), bytes, world->consortium, now_ms);
}

/* A bundle of the records given, in their order. */
static struct span pack_records(const struct record *const *record, uint32_t count)
{
    static uint8_t packed[CAP_HEADER_BYTES + 64 + CAP_BODY_BYTES + 16];
    struct buffer b = BUFFER_OF(other);
    pack_array(&b, count);
    for (uint32_t i = 0; i < count; i++) {
        struct buffer p = BUFFER_OF(packed);
        record_pack(&p, record[i]);
        pack_bin(&b, buffer_span(&p));
    }
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static uint32_t list(const struct record **record, const struct bundle *b)
{
    for (uint32_t i = 0; i < b->record_count; i++) record[i] = &b->record[i];
    return b->record_count;
}

static struct bundle *whole(void)
{
    struct bundle *b = NULL;
    struct verdict v;
    struct span bytes = collect(world_registry(world, 0));
    assert_int_equal(open_bytes(&b, &v, bytes, world->now_ms), OK);
    return b;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct bundle *b = whole();
    assert_memory_equal(b->run->record->id.bytes, world->run.bytes, 32);
    assert_memory_equal(b->workflow->workflow->hash.bytes, world->compose.bytes, 32);
    assert_int_equal(b->refused, b->record_count);
    assert_int_equal(b->record_count,
                     world->record_count); /* the world holds nothing that a run does not need */
    assert_int_equal(b->check_count, b->record_count + 2);
    struct hash32 hash = HASH_FRAMED("perigee/bundle/v1", b->ids);
    assert_memory_equal(b->hash.bytes, hash.bytes, 32);
    for (uint32_t i = 0; i < b->check_count; i++) {
        const struct signature_check *c = &b->check[i];
        assert_int_equal(identity_verify(c->author, c->message, &c->signature), OK);
        assert_int_equal(c->link, i < b->record_count ? LINK_RECORDS : LINK_APPROVALS);
    }
    assert_memory_equal(b->check[b->record_count].author.bytes, world->node[0].approval.bytes, 32);
}

/* Collected again from what was replayed, it is the same. */
static void test_stable(void **state)
{
    (void)state;
    struct buffer again = BUFFER_OF(other);
    struct bundle *b = whole();
    struct buffer first = BUFFER_OF(memory);
    assert_int_equal(bundle_collect(&first, b->registry, world->run), OK);
    assert_int_equal(bundle_collect(&again, world_registry(world, 0), world->run), OK);
    assert_true(span_equal(buffer_span(&first), buffer_span(&again)));
}

static void test_unknown_run(void **state)
{
    (void)state;
    struct buffer b = BUFFER_OF(memory);
    struct run_id none = {{1}};
    assert_int_equal(bundle_collect(&b, world_registry(world, 0), none), ERR_NOT_FOUND);
    b.cap = 1000;
    assert_int_equal(bundle_collect(&b, world_registry(world, 0), world->run), ERR_TOO_LARGE);
}

/* Another recipe of the same app, as the next version of its token. */
static void publish_another(struct scene *s, uint32_t number)
{
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    char name[32];
    struct buffer b = BUFFER_OF(bytes);
    (void)snprintf(name, sizeof name, "another-%u", number);
    struct workflow w = *s->workflow;
    w.name = span_text(name);
    assert_int_equal(workflow_write(&b, &w), OK);
    struct body_ASSET body = {.dt = world->app,
                              .version = 3 + number,
                              .ddo = registry_asset(s->registry, world->app)->ddo->bytes,
                              .workflow = buffer_span(&b),
                              .policy = SPAN_LITERAL("")};
    assert_int_equal(scene_apply(s, WORLD_ALGORITHM, KIND_ASSET, &body, 0).refusal, REFUSAL_NONE);
}

static uint32_t records_of(struct scene *s)
{
    struct bundle *opened;
    struct verdict v;
    struct buffer b = BUFFER_OF(memory);
    struct arena *arena = world_arena(world);
    assert_int_equal(bundle_collect(&b, s->registry, s->run_id), OK);
    assert_int_equal(bundle_open(&opened, &v, arena, buffer_span(&b), world->consortium, s->now_ms), OK);
    uint32_t count = opened->record_count;
    world_arena_free(arena);
    return count;
}

/* What a study published and bound besides does not weigh on a run: versions that it does not look at stay away. */
static void test_other_versions_stay_away(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    scene_build(s);
    uint32_t before = records_of(s);
    for (uint32_t i = 0; i < 200; i++) publish_another(s, i);
    assert_int_equal(records_of(s), before);
    for (uint32_t i = 0; i < 50; i++) {
        struct body_ASSET version = scene_asset(s, 0, 3 + i, false);
        assert_int_equal(scene_apply(s, 0, KIND_ASSET, &version, 0).refusal, REFUSAL_NONE);
    }
    assert_int_equal(records_of(s), before + 1); /* the newest description */
    struct node_id requester = world->node[WORLD_REQUESTER].id;
    assert_int_equal(bundle_check_room(s->registry, &s->run, requester).refusal, REFUSAL_NONE);
    scene_free(s);
}

/* Only grants that outlive all newer ones can ever be in force. */
static void test_older_grants_stay_away(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    scene_build(s);
    uint32_t before = records_of(s);
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(scene_apply(s, 0, KIND_GRANT, &s->grant[0], 0).refusal, REFUSAL_NONE);
    assert_int_equal(records_of(s), before);
    for (uint32_t i = 1; i <= 3; i++) /* each is in force longer than those after it */
        assert_int_equal(scene_apply(s, 0, KIND_GRANT, &s->grant[0], world->now_ms + 4000 - 1000 * i).refusal,
                         REFUSAL_NONE);
    assert_int_equal(records_of(s), before + 3);
    scene_free(s);
}

static void read_by_device(struct scene *s, struct node_id device)
{
    s->workflow->reader[0] = device;
    s->workflow->reader_count = 1;
    scene_build(s);
}

/* A device that reads: its maker's word, and how its maker is a member. */
static void test_device_reader(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    struct node_id device = {{0xd1}};
    struct body_MEMBER b = {.node = {{0xe1}},
                            .organisation = SPAN_LITERAL("makers"),
                            .jurisdiction = SPAN_LITERAL("EU"),
                            .roles = ROLE_MAKER,
                            .platforms = SPAN_LITERAL("")};
    struct node_id maker = b.node;
    read_by_device(s, device);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(scene_apply(s, i, KIND_MEMBER, &b, 0).refusal, REFUSAL_NONE);
    b.node = device;
    b.roles = ROLE_DEVICE;
    const struct record *word = scene_record_at(s, maker, 1, KIND_MEMBER, &b, 0);
    assert_int_equal(registry_apply(s->registry, word).refusal, REFUSAL_NONE);
    uint32_t with = records_of(s);
    struct scene *other_scene = scene_new(world);
    scene_build(other_scene);
    assert_int_equal(with, records_of(other_scene) + 3 + 1);
    scene_free(other_scene);
    scene_free(s);
}

/* With more grants than a bundle holds, a run is refused before anything of it is spent. */
static void test_too_much_for_a_bundle(void **state)
{
    (void)state;
    struct scene *s = scene_new(world);
    struct buffer b = BUFFER_OF(memory);
    scene_build(s);
    for (uint32_t i = 0; i < BUNDLE_RECORDS_MAX; i++)
        assert_int_equal(
            scene_apply(s, 0, KIND_GRANT, &s->grant[0], world->now_ms + UINT64_C(1000000) - i).refusal,
            REFUSAL_NONE);
    assert_int_equal(bundle_collect(&b, s->registry, s->run_id), ERR_FULL);
    struct verdict v = bundle_check_room(s->registry, &s->run, world->node[WORLD_REQUESTER].id);
    assert_int_equal(v.refusal, REFUSAL_RECEIPT_ROOM);
    scene_free(s);
}

/* Without any one record, some rule fails, unless another of the kind stands in. */
static void test_each_record_is_needed(void **state)
{
    (void)state;
    const struct record *record[BUNDLE_RECORDS_MAX], *rest[BUNDLE_RECORDS_MAX];
    struct bundle *b = whole(), *opened;
    uint32_t count = list(record, b);
    for (uint32_t i = 0; i < count; i++) {
        struct world *spare = world_new();
        struct verdict v;
        uint32_t n = 0;
        for (uint32_t j = 0; j < count; j++)
            if (j != i) rest[n++] = record[j];
        enum err err = bundle_open(&opened, &v, world_arena(spare), pack_records(rest, n), world->consortium,
                                   world->now_ms);
        enum kind kind = record[i]->header.kind;
        /* What its evidence is measured against is looked up later; f custodians' committee records may be missing. */
        bool unused = kind == KIND_WORKERS || kind == KIND_COMMITTEE;
        if (kind == KIND_RUN)
            assert_int_equal(err, ERR_NOT_CANONICAL);
        else if (unused)
            assert_int_equal(err, OK);
        else if (kind == KIND_MEMBER && record[i]->body.data != NULL && v.refusal == REFUSAL_NONE)
            assert_memory_equal(record[i]->body.data + 3, world->node[WORLD_COMPUTE].id.bytes,
                                32); /* authors nothing */
        else
            assert_int_equal(err, ERR_REFUSED);
        world_free(spare);
    }
}

static void test_order_and_repetition(void **state)
{
    (void)state;
    const struct record *record[BUNDLE_RECORDS_MAX];
    struct bundle *b = whole(), *opened;
    struct verdict v;
    uint32_t count = list(record, b);
    record[count] = record[count - 1];
    assert_int_equal(open_bytes(&opened, &v, pack_records(record, count + 1), world->now_ms),
                     ERR_NOT_CANONICAL);
    record[1] = record[0];
    assert_int_equal(open_bytes(&opened, &v, pack_records(record, count), world->now_ms), ERR_DUPLICATE);
    count = list(record, b);
    record[0] = record[count - 2];
    assert_int_equal(open_bytes(&opened, &v, pack_records(record, count), world->now_ms), ERR_NOT_CANONICAL);
    assert_int_equal(open_bytes(&opened, &v, pack_records(record, 0), world->now_ms), ERR_MISSING_FIELD);
    struct span bytes = pack_records(record, count);
    assert_int_equal(open_bytes(&opened, &v, span_make(bytes.data, bytes.len - 1), world->now_ms),
                     ERR_TRUNCATED);
}

static void test_other_consortium(void **state)
{
    (void)state;
    struct consortium_id no = {{7}};
    struct bundle *b;
    struct verdict v;
    struct span bytes = collect(world_registry(world, 0));
    assert_int_equal(bundle_open(&b, &v, world_arena(world), bytes, no, world->now_ms), ERR_CONSORTIUM);
}

static void test_expiry(void **state)
{
    (void)state;
    struct bundle *b;
    struct verdict v;
    struct span bytes = collect(world_registry(world, 0));
    assert_int_equal(open_bytes(&b, &v, bytes, WORLD_START_MS + 86400000), ERR_REFUSED);
    assert_int_equal(v.refusal, REFUSAL_APPROVAL_EXPIRED);
}

/* Later records of the same authors change what is collected, but not what a receipt names: it is gathered by id. */
static void test_gather(void **state)
{
    (void)state;
    struct chain chain;
    struct arena *arena = world_arena(world);
    struct bundle *b = whole();
    assert_int_equal(chain_init(&chain, arena, CAP_CHAIN_PARTS, (struct node_id){{0}}, 1), OK);
    for (uint32_t i = 0; i < world->record_count; i++)
        assert_non_null(chain_insert(&chain, world->record[i]));
    struct buffer out = BUFFER_OF(other);
    assert_int_equal(bundle_gather(&out, arena, &chain, b->ids), OK);
    struct buffer first = BUFFER_OF(memory);
    assert_int_equal(bundle_collect(&first, b->registry, world->run), OK);
    assert_true(span_equal(buffer_span(&first), buffer_span(&out)));
    uint8_t ids[64] = {1};
    out = BUFFER_OF(other);
    assert_int_equal(bundle_gather(&out, arena, &chain, span_make(ids, 32)), ERR_NOT_FOUND);
    assert_int_equal(bundle_gather(&out, arena, &chain, span_make(ids, 31)), ERR_RANGE);
    assert_int_equal(bundle_gather(&out, arena, &chain, SPAN_NONE), ERR_RANGE);
    memset(ids, 1, sizeof ids);
    assert_int_equal(bundle_gather(&out, arena, &chain, span_make(ids, 64)), ERR_DUPLICATE);
}

/* A world of its own, since what is added stays in the owner's chain. */
static struct verdict with_approval(void (*bend)(struct world *w, struct body_APPROVAL *body),
                                    uint32_t author, bool *opened)
{
    const struct record *record[BUNDLE_RECORDS_MAX];
    struct world *w = world_new();
    struct buffer b = BUFFER_OF(memory);
    struct bundle *good = NULL, *bent = NULL;
    struct verdict v;
    assert_int_equal(bundle_collect(&b, world_registry(w, 0), w->run), OK);
    assert_int_equal(bundle_open(&good, &v, world_arena(w), buffer_span(&b), w->consortium, w->now_ms), OK);
    uint32_t count = list(record, good);
    struct body_APPROVAL body = world_approval(w, 0, 1, 2, 0);
    bend(w, &body);
    for (uint32_t i = 0; i < count; i++)
        if (record[i]->id.bytes[0] == w->approval[0]->id.bytes[0] &&
            memcmp(record[i]->id.bytes, w->approval[0]->id.bytes, 32) == 0)
            record[i] = world_record(w, author, KIND_APPROVAL, &body, 0);
    *opened =
        bundle_open(&bent, &v, world_arena(w), pack_records(record, count), w->consortium, w->now_ms) == OK;
    world_free(w);
    return v;
}

static void nothing(struct world *w, struct body_APPROVAL *b)
{
    (void)w;
    (void)b;
}
static void other_text(struct world *w, struct body_APPROVAL *b)
{
    (void)w;
    b->text.bytes[0] ^= 1;
}
static void other_compose(struct world *w, struct body_APPROVAL *b)
{
    (void)w;
    b->compose.bytes[0] ^= 1;
}
static void other_app(struct world *w, struct body_APPROVAL *b)
{
    (void)w;
    b->app.bytes[0] ^= 1;
}
static void later_slot(struct world *w, struct body_APPROVAL *b)
{
    (void)w;
    b->slot_first = 2;
}
static void too_cheap(struct world *w, struct body_APPROVAL *b)
{
    (void)w;
    b->cost--;
}
static void too_many(struct world *w, struct body_APPROVAL *b)
{
    (void)w;
    b->slot_last = 9;
}
static void other_dataset(struct world *w, struct body_APPROVAL *b)
{
    b->dataset = w->dataset[1].dt;
}

static void test_approvals(void **state)
{
    (void)state;
    static const struct {
        void (*bend)(struct world *, struct body_APPROVAL *);
        uint32_t author;
        enum refusal expected;
    } cases[] = {
        {nothing, 0, REFUSAL_NONE},
        {other_text, 0, REFUSAL_NO_APPROVAL},
        {other_compose, 0, REFUSAL_NO_APPROVAL},
        {other_app, 0, REFUSAL_APP},
        {later_slot, 0, REFUSAL_SLOT_RANGE},
        {too_cheap, 0, REFUSAL_COST},
        {too_many, 0, REFUSAL_BUDGET},
        {other_dataset, 0, REFUSAL_NOT_OWNER},
        {nothing, 1, REFUSAL_NOT_OWNER},
        {nothing, WORLD_COMPUTE, REFUSAL_NOT_OWNER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool opened;
        struct verdict v = with_approval(cases[i].bend, cases[i].author, &opened);
        assert_int_equal(v.refusal, cases[i].expected);
        assert_int_equal(opened, cases[i].expected == REFUSAL_NONE);
    }
}

/* The signature covers every field of the body but itself, and owner, consortium and expiry. */
static void test_approval_sign_hash(void **state)
{
    (void)state;
    struct body_APPROVAL base = world_approval(world, 0, 1, 2, 5), b;
    struct hash32 first = approval_sign_hash(world->consortium, world->node[0].id, &base, 5), h;
#define DIFFERS(change)                                                                                      \
    b = base;                                                                                                \
    change;                                                                                                  \
    h = approval_sign_hash(world->consortium, world->node[0].id, &b, 5);                                     \
    assert_memory_not_equal(h.bytes, first.bytes, 32)
    DIFFERS(b.app.bytes[0] ^= 1);
    DIFFERS(b.compose.bytes[0] ^= 1);
    DIFFERS(b.dataset.bytes[0] ^= 1);
    DIFFERS(b.slot_first++);
    DIFFERS(b.slot_last++);
    DIFFERS(b.cost++);
    DIFFERS(b.delta++);
    DIFFERS(b.text.bytes[0] ^= 1);
#undef DIFFERS
    h = approval_sign_hash(world->consortium, world->node[1].id, &base, 5);
    assert_memory_not_equal(h.bytes, first.bytes, 32);
    h = approval_sign_hash(world->consortium, world->node[0].id, &base, 6);
    assert_memory_not_equal(h.bytes, first.bytes, 32);
    struct consortium_id no = {{7}};
    h = approval_sign_hash(no, world->node[0].id, &base, 5);
    assert_memory_not_equal(h.bytes, first.bytes, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_versions_stay_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_grants_stay_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_for_a_bundle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_record_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_and_repetition, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_consortium, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gather, setup, teardown),
        cmocka_unit_test(test_approvals),
        cmocka_unit_test_setup_teardown(test_approval_sign_hash, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
