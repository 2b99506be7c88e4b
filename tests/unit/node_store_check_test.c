/* store_check: a store as a node leaves it has nothing wrong; each kind of planted damage is found, and said as what it is. */
#include "node/kept.h"
#include "node/store_check.h"
#include "proto/promise.h"
#include "tests/storage_place.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MAP_BYTES = 64 << 20 };
static struct world *world;
static struct storage_place place;
static struct store *store;
static struct storage_blob blob;

static void put(enum store_op op, enum store_space space, struct span key, struct span value)
{
    const struct store_write w = {op, space, key, value};
    assert_int_equal(store_write_now(store, &w, 1), OK);
}

static void keep(const struct keep *k, uint32_t count)
{
    assert_int_equal(kept_submit(store, k, count, false, NULL, NULL), OK);
    assert_int_equal(store_write_now(store, NULL, 0), OK); /* a barrier */
}

static void keep_record(const struct record *r)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer packed = BUFFER_OF(bytes);
    record_pack(&packed, r);
    keep(&(struct keep){KEEP_RECORD, ID_SPAN(r->id), buffer_span(&packed)}, 1);
}

static const struct run_id run = {{0x71}};
static const struct compose_hash compose = {{0x72}};
static uint8_t promise[5][PROMISE_KEY_BYTES];

/* What a custodian promises for one run: its vote, its release, its commit. */
static void keep_promises(void)
{
    static const uint8_t value[32] = {0x73};
    promise_key(promise[0], PROMISE_SLOT, compose.bytes, 1);
    promise_key(promise[1], PROMISE_VOTE, run.bytes, 1);
    promise_key(promise[2], PROMISE_RELEASE, run.bytes, 1);
    promise_key(promise[3], PROMISE_HOST, run.bytes, 1);
    promise_key(promise[4], PROMISE_WORKER, run.bytes, 1);
    keep((const struct keep[]){{KEEP_PROMISE, SPAN_OF(promise[0]), ID_SPAN(run)},
                               {KEEP_PROMISE, SPAN_OF(promise[1]), SPAN_OF(value)}},
         2);
    keep((const struct keep[]){{KEEP_PROMISE, SPAN_OF(promise[2]), SPAN_OF(value)},
                               {KEEP_PROMISE, SPAN_OF(promise[3]), SPAN_OF(value)},
                               {KEEP_PROMISE, SPAN_OF(promise[4]), SPAN_OF(value)}},
         3);
}

static void keep_commit(struct run_id of)
{
    static const uint8_t value[32] = {0x74};
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, PROMISE_COMMIT, of.bytes, 0);
    keep(&(struct keep){KEEP_PROMISE, SPAN_OF(key), SPAN_OF(value)}, 1);
}

static int setup(void **state)
{
    uint8_t pin[37];
    (void)state;
    storage_place_make(&place);
    store = storage_place_open(&place, MAP_BYTES);
    for (uint32_t i = 0; i < world->record_count; i++) keep_record(world->record[i]);
    blob = storage_blob_make(0x1e, SPAN_LITERAL("a chunk of ciphertext"));
    put(STORE_PUT, STORE_BLOB, SPAN_OF(blob.key), blob.value);
    memcpy(pin, blob.key, sizeof blob.key);
    pin[36] = 1;
    put(STORE_PUT, STORE_PIN, SPAN_OF(pin), SPAN_NONE);
    keep_promises();
    keep_commit(run);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    storage_place_remove(&place);
    return 0;
}

static void reopen(void)
{
    store_close(store);
    store = storage_place_open(&place, MAP_BYTES);
}

static struct store_health look(void)
{
    struct store_health h;
    assert_int_equal(store_check(&h, store, NULL, NULL), OK);
    return h;
}

/* So many of this kind and no others, but for `also`. */
static void expect(enum store_defect want, uint64_t count, enum store_defect also)
{
    struct store_health h = look();
    for (uint32_t i = 0; i < STORE_DEFECT_COUNT; i++)
        if (i != also && h.defects[i] != (i == want ? count : 0))
            fail_msg("%u of %s, expected %u", (unsigned)h.defects[i], store_defect_name(i),
                     (unsigned)(i == want ? count : 0));
}

static void chain_key(uint8_t key[72], const struct record *r)
{
    memcpy(key, r->header.author.bytes, 32);
    store_u64(key + 32, r->header.seq);
    memcpy(key + 40, r->id.bytes, 32);
}

/* In the middle of somebody's chain. */
static const struct record *some(void)
{
    uint32_t i = 0;
    while (world->record[i]->header.seq != 2) i++; /* every steward has said more than two things */
    return world->record[i];
}

static void test_a_sound_store(void **state)
{
    (void)state;
    struct store_health h = look();
    assert_int_equal(store_health_defects(&h), 0);
    assert_int_equal(h.records, world->record_count);
    assert_int_equal(h.bodies, world->record_count);
    assert_int_equal(h.authors, WORLD_NODES - 1); /* the compute member has said nothing yet */
    assert_int_equal(h.blobs + h.pins, 2);
    assert_int_equal(h.promises, 6);
    assert_int_equal(h.holes + h.rivals, 0);
}

static void test_records(void **state)
{
    (void)state;
    uint8_t changed[64];
    const struct record *r = some();
    memcpy(changed, r->signature.bytes, 64);
    changed[5] ^= 1;
    assert_in_range(storage_place_patch(&place, SPAN_OF(r->signature.bytes), SPAN_OF(changed)), 1, 64);
    reopen();
    expect(STORE_DEFECT_SIGNATURE, 1, STORE_DEFECT_COUNT);
    assert_in_range(storage_place_patch(&place, SPAN_OF(changed), SPAN_OF(r->signature.bytes)), 1, 64);
    uint8_t body[32];
    memcpy(body, r->body.data + r->body.len - 32, 32);
    memcpy(changed, body, 32);
    changed[31] ^= 1;
    assert_in_range(storage_place_patch(&place, SPAN_OF(body), span_make(changed, 32)), 1, 64);
    reopen();
    assert_in_range(look().defects[STORE_DEFECT_RECORD], 1, 64); /* the same end may stand in others */
}

static void test_lost_rows(void **state)
{
    (void)state;
    uint8_t key[72];
    const struct record *r = some();
    chain_key(key, r);
    put(STORE_DELETE, STORE_CHAIN, SPAN_OF(key), SPAN_NONE);
    expect(STORE_DEFECT_ORPHAN, 1, STORE_DEFECT_COUNT); /* header and body lead to each other only */
    assert_int_equal(look().holes, 1);
    put(STORE_DELETE, STORE_RECORD, ID_SPAN(r->id), SPAN_NONE);
    expect(STORE_DEFECT_ORPHAN, 1, STORE_DEFECT_COUNT);
    put(STORE_PUT, STORE_CHAIN, SPAN_OF(key), SPAN_NONE);
    expect(STORE_DEFECT_RECORD, 1, STORE_DEFECT_ORPHAN);
}

/* A place that is another's, and a chain that does not name what it follows. */
static void test_places(void **state)
{
    (void)state;
    uint8_t key[72];
    const struct record *r = some();
    chain_key(key, r);
    store_u64(key + 32, 4000);
    put(STORE_PUT, STORE_CHAIN, SPAN_OF(key), SPAN_NONE);
    expect(STORE_DEFECT_PLACE, 1, STORE_DEFECT_COUNT);
    put(STORE_DELETE, STORE_CHAIN, SPAN_OF(key), SPAN_NONE);
    put(STORE_PUT, STORE_CHAIN, SPAN_LITERAL("short"), SPAN_NONE);
    expect(STORE_DEFECT_PLACE, 1, STORE_DEFECT_COUNT);
    put(STORE_DELETE, STORE_CHAIN, SPAN_LITERAL("short"), SPAN_NONE);
    struct record_id head = world->node[0].head;
    struct body_JOB body = {.task = SPAN_LITERAL("loose")};
    world->node[0].head.bytes[3] ^= 1;
    keep_record(world_record(world, 0, KIND_JOB, &body, 0));
    expect(STORE_DEFECT_LINK, 1, STORE_DEFECT_COUNT);
    world->node[0].head = head;
    world->node[0].seq--;
    world->record_count--;
}

static void test_blobs(void **state)
{
    (void)state;
    assert_in_range(storage_place_patch(&place, SPAN_LITERAL("a chunk of"), SPAN_LITERAL("a chunk 0f")), 1,
                    2);
    reopen();
    expect(STORE_DEFECT_BLOB, 1,
           STORE_DEFECT_PIN); /* the writer may have put it aside before its pin is looked at */
    put(STORE_DELETE, STORE_BLOB, SPAN_OF(blob.key), SPAN_NONE);
    expect(STORE_DEFECT_PIN, 1, STORE_DEFECT_COUNT);
}

static void test_promises(void **state)
{
    (void)state;
    static const struct run_id other = {{0x75}};
    uint8_t key[PROMISE_KEY_BYTES];
    static const uint8_t value[32] = {0x76};
    promise_key(key, PROMISE_VOTE, other.bytes, 1);
    keep(&(struct keep){KEEP_PROMISE, SPAN_OF(key), SPAN_OF(value)}, 1); /* a vote without a slot */
    expect(STORE_DEFECT_CONTRADICTION, 1, STORE_DEFECT_COUNT);
    keep_commit(other); /* a commit to whom nothing was released */
    expect(STORE_DEFECT_CONTRADICTION, 2, STORE_DEFECT_COUNT);
    put(STORE_DELETE, STORE_PROMISE, SPAN_OF(promise[3]), SPAN_NONE); /* release and worker lack the host */
    expect(STORE_DEFECT_CONTRADICTION, 4, STORE_DEFECT_COUNT);
    put(STORE_PUT, STORE_PROMISE, SPAN_OF(promise[3]),
        SPAN_LITERAL("0123456789012345678901234567890123456789"));
    expect(STORE_DEFECT_PROMISE, 1, STORE_DEFECT_CONTRADICTION);
    put(STORE_PUT, STORE_PROMISE, SPAN_LITERAL("no promise"), SPAN_NONE);
    expect(STORE_DEFECT_PROMISE, 2, STORE_DEFECT_CONTRADICTION);
}

static int begin(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_a_sound_store), TEST(test_records), TEST(test_lost_rows),
                                       TEST(test_places),        TEST(test_blobs),   TEST(test_promises)};
    return cmocka_run_group_tests_name("node_store_check", tests, begin, end);
}
