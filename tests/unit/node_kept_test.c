/* node/kept: what the core keeps goes into the store and comes back the same, or not at all. */
#include "node/kept.h"
#include "proto/base/panic.h"
#include "tests/world.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct world *world;
static struct store *store;

static int begin(void **state)
{
    (void)state;
    world = world_new();
    ASSERT(memory_store_open(&store, UINT64_C(64) << 20) == OK);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    store_close(store);
    world_free(world);
    return 0;
}

static void told(void *context, enum err err)
{
    *(enum err *)context = err;
}

/* What the store says to it. */
static enum err keep(const struct keep *items, uint32_t count, bool patient)
{
    enum err err = ERR_NOT_READY;
    assert_int_equal(kept_submit(store, items, count, patient, told, &err), OK);
    assert_int_equal(err, ERR_NOT_READY); /* not before it is durable */
    memory_store_sync(store);
    return err;
}

static struct buffer pack(uint8_t *memory, size_t cap, const struct record *r)
{
    struct buffer packed = buffer_make(memory, cap);
    record_pack(&packed, r);
    assert_int_equal(buffer_done(&packed), OK);
    return packed;
}

static struct span chain_key(uint8_t key[72], const struct record *r)
{
    memcpy(key, r->header.author.bytes, 32);
    store_u64(key + 32, r->header.seq);
    memcpy(key + 40, r->id.bytes, 32);
    return span_make(key, 72);
}

static void test_records_come_back(void **state)
{
    static uint8_t asked[CAP_BODY_BYTES + 1024], given[CAP_BODY_BYTES + 1024];
    uint8_t key[72];
    (void)state;
    for (uint32_t i = 0; i < world->record_count; i++) {
        const struct record *r = world->record[i];
        const struct buffer packed = pack(asked, sizeof asked, r);
        const struct keep item = {KEEP_RECORD, ID_SPAN(r->id), buffer_span(&packed)};
        struct buffer back = BUFFER_OF(given);
        assert_int_equal(kept_record(store, &back, chain_key(key, r)), ERR_NOT_FOUND);
        assert_int_equal(keep(&item, 1, i % 2 == 0), OK);
        assert_int_equal(kept_record(store, &back, chain_key(key, r)), OK);
        assert_true(span_equal(buffer_span(&back), buffer_span(&packed)));
        assert_int_equal(store_has(store, STORE_CHAIN, chain_key(key, r)), OK);
    }
}

/* Half of an equivocation's pair is kept without its body. */
static void test_a_header_alone_comes_back(void **state)
{
    static uint8_t asked[1024], given[1024];
    uint8_t key[72];
    struct record half = *world->record[0];
    struct buffer back = BUFFER_OF(given);
    (void)state;
    half.body = SPAN_NONE;
    const struct buffer packed = pack(asked, sizeof asked, &half);
    const struct keep item = {KEEP_RECORD, ID_SPAN(half.id), buffer_span(&packed)};
    assert_int_equal(keep(&item, 1, false), OK);
    assert_int_equal(kept_record(store, &back, chain_key(key, &half)), OK);
    assert_true(span_equal(buffer_span(&back), buffer_span(&packed)));
}

static void test_damage_is_refused(void **state)
{
    static uint8_t asked[CAP_BODY_BYTES + 1024], given[CAP_BODY_BYTES + 1024];
    uint8_t key[72];
    const struct record *r = world->record[0];
    const struct buffer packed = pack(asked, sizeof asked, r);
    const struct keep item = {KEEP_RECORD, ID_SPAN(r->id), buffer_span(&packed)};
    const struct store_write other = {STORE_PUT, STORE_BODY, ID_SPAN(r->id), SPAN_LITERAL("another body")};
    struct buffer back = BUFFER_OF(given), small = buffer_make(given, 16);
    (void)state;
    assert_int_equal(keep(&item, 1, false), OK);
    const struct span place = chain_key(key, r);
    assert_int_equal(kept_record(store, &back, span_make(place.data, 71)), ERR_TRUNCATED);
    assert_int_not_equal(kept_record(store, &small, place), OK);
    assert_int_equal(store_write_now(store, &other, 1), OK);
    assert_int_equal(kept_record(store, &back, place), ERR_HASH);
    assert_int_equal(back.len, 0);
}

/* A promise is never replaced, and what comes with it is kept with it or not at all. */
static void test_promises_and_local_values(void **state)
{
    const struct keep first[] = {{KEEP_PROMISE, SPAN_LITERAL("vote"), SPAN_LITERAL("for A")},
                                 {KEEP_LOCAL, SPAN_LITERAL("name"), SPAN_LITERAL("one")}};
    const struct keep other[] = {{KEEP_LOCAL, SPAN_LITERAL("name"), SPAN_LITERAL("two")},
                                 {KEEP_PROMISE, SPAN_LITERAL("vote"), SPAN_LITERAL("for B")}};
    const struct keep gone = {KEEP_LOCAL, SPAN_LITERAL("name"), SPAN_NONE};
    uint8_t bytes[64];
    struct buffer value = BUFFER_OF(bytes);
    (void)state;
    assert_int_equal(keep(first, 2, false), OK);
    assert_int_equal(keep(other, 2, false), ERR_CONFLICT);
    assert_int_equal(store_read(store, STORE_PROMISE, SPAN_LITERAL("vote"), &value), OK);
    struct span said;
    assert_int_equal(kept_promise(&said, SPAN_LITERAL("vote"), buffer_span(&value)), OK);
    assert_true(span_equal_text(said, "for A"));
    value.len = 0;
    assert_int_equal(store_read(store, STORE_LOCAL, SPAN_LITERAL("name"), &value), OK);
    assert_true(span_equal_text(buffer_span(&value), "one"));
    assert_int_equal(keep(&gone, 1, true), OK);
    assert_int_equal(store_has(store, STORE_LOCAL, SPAN_LITERAL("name")), ERR_NOT_FOUND);
}

/* Any changed bit of a promise, in its key or its value, shows. */
static void test_a_damaged_promise_shows(void **state)
{
    static uint8_t key[] = "\x02 of this run and term", stored[64];
    const struct span name = SPAN_OF(key);
    const struct keep item = {KEEP_PROMISE, name, SPAN_LITERAL("a node that was voted for")};
    struct buffer value = BUFFER_OF(stored);
    struct span said;
    (void)state;
    assert_int_equal(keep(&item, 1, false), OK);
    assert_int_equal(store_read(store, STORE_PROMISE, name, &value), OK);
    assert_int_equal(kept_promise(&said, name, buffer_span(&value)), OK);
    assert_true(span_equal(said, item.value));
    for (size_t bit = 0; bit < 8 * (sizeof key + value.len); bit++) {
        uint8_t *at = bit / 8 < sizeof key ? &key[bit / 8] : &stored[bit / 8 - sizeof key];
        *at ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(kept_promise(&said, name, buffer_span(&value)), ERR_HASH);
        *at ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(kept_promise(&said, name, span_make(stored, 31)), ERR_TRUNCATED);
    assert_int_equal(kept_promise(&said, name, span_make(stored, value.len - 1)), ERR_HASH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records_come_back, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_header_alone_comes_back, begin, finish),
        cmocka_unit_test_setup_teardown(test_damage_is_refused, begin, finish),
        cmocka_unit_test_setup_teardown(test_promises_and_local_values, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_damaged_promise_shows, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
