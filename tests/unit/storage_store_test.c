/* The contract of store.h, tested against both makers. */
#include "crypto/hash.h"
#include "storage/store.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SMALL_BYTES = 4 << 20 };

struct fixture {
    bool lmdb;
    struct storage_place place;
    struct store *store;
};

static int setup(void **state, bool lmdb)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->lmdb = lmdb;
    storage_place_make(&f->place);
    if (lmdb)
        f->store = storage_place_open(&f->place, SMALL_BYTES);
    else
        assert_int_equal(memory_store_open(&f->store, SMALL_BYTES), OK);
    *state = f;
    return 0;
}

static int setup_lmdb(void **state)
{
    return setup(state, true);
}

static int setup_memory(void **state)
{
    return setup(state, false);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    storage_place_remove(&f->place);
    free(f);
    return 0;
}

static struct store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

static struct store_write put(const char *key, const char *value)
{
    return (struct store_write){STORE_PUT, STORE_LOCAL, span_text(key), span_text(value)};
}

static struct store_write put_new(const char *key, const char *value)
{
    return (struct store_write){STORE_PUT_NEW, STORE_LOCAL, span_text(key), span_text(value)};
}

static struct store_write drop(const char *key)
{
    return (struct store_write){STORE_DELETE, STORE_LOCAL, span_text(key), SPAN_NONE};
}

static void expect(struct store *s, const char *key, const char *value)
{
    enum err want = value ? OK : ERR_NOT_FOUND;
    assert_int_equal(storage_expect(s, STORE_LOCAL, span_text(key), span_text(value ? value : "")), want);
    assert_int_equal(store_has(s, STORE_LOCAL, span_text(key)), want);
}

static void test_put_read_delete(void **state)
{
    struct store *s = store_of(state);
    struct store_write writes[] = {put("a", "one"), put("b", ""), put("a", "two")};
    expect(s, "a", NULL);
    assert_int_equal(store_write_now(s, writes, 3), OK);
    expect(s, "a", "two"); /* in the order given */
    expect(s, "b", "");
    assert_int_equal(store_has(s, STORE_BODY, span_text("a")), ERR_NOT_FOUND); /* spaces are apart */
    struct store_write drops[] = {drop("a"), drop("never there")};
    assert_int_equal(store_write_now(s, drops, 2), OK);
    expect(s, "a", NULL);
    expect(s, "b", "");
}

static void test_put_new_never_replaces(void **state)
{
    struct store *s = store_of(state);
    struct store_write first = put_new("vote", "for A"), other = put_new("vote", "for B");
    assert_int_equal(store_write_now(s, &first, 1), OK);
    assert_int_equal(store_write_now(s, &first, 1), OK); /* the same bytes again are no conflict */
    assert_int_equal(store_write_now(s, &other, 1), ERR_CONFLICT);
    expect(s, "vote", "for A");
    struct store_write freed[] = {drop("vote"), other};
    assert_int_equal(store_write_now(s, freed, 2), OK);
    expect(s, "vote", "for B");
}

static void test_refused_batch_leaves_nothing(void **state)
{
    struct store *s = store_of(state);
    struct store_write before[] = {put("k", "old"), put("gone", "here")};
    assert_int_equal(store_write_now(s, before, 2), OK);
    struct store_write batch[] = {put("k", "new"), drop("gone"), put("more", "x"), put_new("k", "else")};
    assert_int_equal(store_write_now(s, batch, 4), ERR_CONFLICT); /* with a write of its own batch */
    expect(s, "k", "old");
    expect(s, "gone", "here");
    expect(s, "more", NULL);
    struct store_write same[] = {put("k", "new"), put_new("k", "new")};
    assert_int_equal(store_write_now(s, same, 2), OK);
    expect(s, "k", "new");
}

static void blob_round(struct store *s, uint8_t code)
{
    struct storage_blob blob = storage_blob_make(code, SPAN_LITERAL("ciphertext"));
    assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), SPAN_LITERAL("ciphertexT")), ERR_HASH);
    for (size_t i = 0; i < sizeof blob.key; i++) {
        blob.key[i] ^= 0x40;
        assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), ERR_HASH);
        blob.key[i] ^= 0x40;
    }
    assert_int_equal(storage_put(s, STORE_BLOB, span_make(blob.key, 35), blob.value), ERR_HASH);
}

static void test_blobs_have_the_hash_that_names_them(void **state)
{
    blob_round(store_of(state), 0x12);
    blob_round(store_of(state), 0x1e);
}

static void test_records_have_the_hash_that_names_them(void **state)
{
    struct store *s = store_of(state);
    uint8_t value[2 + 5 + 64] = {0, 5, 'h', 'e', 'a', 'd', 'r'};
    struct hash32 id = sha256(SPAN_LITERAL("headr"));
    assert_int_equal(storage_put(s, STORE_RECORD, ID_SPAN(id), SPAN_OF(value)), OK);
    assert_int_equal(storage_expect(s, STORE_RECORD, ID_SPAN(id), SPAN_OF(value)), OK);
    value[3] ^= 1;
    assert_int_equal(storage_put(s, STORE_RECORD, ID_SPAN(id), SPAN_OF(value)), ERR_HASH);
    value[3] ^= 1;
    assert_int_equal(storage_put(s, STORE_RECORD, ID_SPAN(id), span_make(value, 6)), ERR_HASH);
    assert_int_equal(storage_put(s, STORE_RECORD, ID_SPAN(id), span_make(value, 1)), ERR_HASH);
    assert_int_equal(storage_put(s, STORE_RECORD, span_make(id.bytes, 31), SPAN_OF(value)), ERR_HASH);
    value[0] = 0xff; /* a header longer than everything */
    assert_int_equal(storage_put(s, STORE_RECORD, ID_SPAN(id), SPAN_OF(value)), ERR_HASH);
}

static void test_key_limits(void **state)
{
    struct store *s = store_of(state);
    uint8_t key[STORE_KEY_MAX + 1] = {7};
    struct span longest = span_make(key, STORE_KEY_MAX), longer = SPAN_OF(key);
    assert_int_equal(storage_put(s, STORE_PIN, longest, SPAN_NONE), OK);
    assert_int_equal(store_has(s, STORE_PIN, longest), OK);
    assert_int_equal(storage_put(s, STORE_PIN, longer, SPAN_NONE), ERR_TOO_LARGE);
    assert_int_equal(storage_put(s, STORE_PIN, SPAN_NONE, SPAN_NONE), ERR_RANGE);
    assert_int_equal(store_has(s, STORE_PIN, longer), ERR_NOT_FOUND);
    assert_int_equal(store_has(s, STORE_PIN, SPAN_NONE), ERR_NOT_FOUND);
}

static void test_value_limits(void **state)
{
    struct store *s = store_of(state);
    uint8_t *value = calloc(1, BLOB_BYTES_MAX + 1);
    assert_non_null(value);
    struct span key = SPAN_LITERAL("big"), most = span_make(value, BLOB_BYTES_MAX);
    assert_int_equal(storage_put(s, STORE_BODY, key, span_make(value, BLOB_BYTES_MAX + 1)), ERR_TOO_LARGE);
    assert_int_equal(store_has(s, STORE_BODY, key), ERR_NOT_FOUND);
    value[BLOB_BYTES_MAX - 1] = 9;
    assert_int_equal(storage_put(s, STORE_BODY, key, most), OK);
    assert_int_equal(storage_expect(s, STORE_BODY, key, most), OK);
    free(value);
}

static void test_batch_limits(void **state)
{
    struct store *s = store_of(state);
    struct store_write writes[STORE_BATCH_MAX + 1];
    char keys[STORE_BATCH_MAX + 1];
    for (uint32_t i = 0; i <= STORE_BATCH_MAX; i++) {
        keys[i] = (char)(i + 1);
        writes[i] = (struct store_write){STORE_PUT, STORE_CHAIN, span_make(&keys[i], 1), SPAN_NONE};
    }
    assert_int_equal(store_write_now(s, writes, STORE_BATCH_MAX + 1), ERR_TOO_LARGE);
    assert_int_equal(store_has(s, STORE_CHAIN, span_make(keys, 1)), ERR_NOT_FOUND);
    assert_int_equal(store_write_now(s, writes, STORE_BATCH_MAX), OK);
    assert_int_equal(store_write_now(s, NULL, 0), OK); /* a barrier */
    struct store_status status;
    assert_int_equal(store_status(s, &status), OK);
    assert_int_equal(status.entries[STORE_CHAIN], STORE_BATCH_MAX);
    assert_int_equal(status.entries[STORE_LOCAL], 0);
    assert_int_equal(status.batches, 2);
    assert_true(status.used_bytes > 0 && status.used_bytes < status.map_bytes);
}

static void test_read_appends_or_leaves_alone(void **state)
{
    struct store *s = store_of(state);
    uint8_t bytes[8];
    struct buffer out = BUFFER_OF(bytes);
    struct store_write write = put("k", "12345");
    assert_int_equal(store_write_now(s, &write, 1), OK);
    assert_int_equal(store_read(s, STORE_LOCAL, SPAN_LITERAL("k"), &out), OK);
    assert_int_equal(store_read(s, STORE_LOCAL, SPAN_LITERAL("k"), &out), ERR_TOO_LARGE);
    assert_int_equal(out.len, 5);
    assert_int_equal(buffer_done(&out), OK);
    assert_memory_equal(bytes, "12345", 5);
}

struct seen {
    char text[64];
    size_t len;
    char stop; /* at the key that begins with it */
};

static enum err note(void *context, struct span key, struct span value)
{
    struct seen *seen = context;
    if (seen->stop && key.data[0] == (uint8_t)seen->stop) return ERR_CANCELLED;
    assert_true(seen->len + key.len + value.len + 2 < sizeof seen->text);
    memcpy(seen->text + seen->len, key.data, key.len);
    seen->len += key.len;
    seen->text[seen->len++] = '=';
    if (value.len > 0) memcpy(seen->text + seen->len, value.data, value.len);
    seen->len += value.len;
    seen->text[seen->len++] = ' ';
    return OK;
}

static void expect_scan(struct store *s, const char *prefix, bool values, const char *want)
{
    struct seen seen = {{0}, 0, 0};
    if (values)
        assert_int_equal(store_scan(s, STORE_LOCAL, span_text(prefix), note, &seen), OK);
    else
        assert_int_equal(store_scan_keys(s, STORE_LOCAL, span_text(prefix), note, &seen), OK);
    assert_string_equal(seen.text, want);
}

static void test_scan(void **state)
{
    struct store *s = store_of(state);
    struct store_write writes[] = {put("bb", "4"),    put("b", "2"), put("a\xff", "1"),
                                   put("b\x01", "3"), put("c", ""),  put("a", "0")};
    expect_scan(s, "", true, "");
    assert_int_equal(store_write_now(s, writes, 6), OK);
    expect_scan(s, "", true, "a=0 a\xff=1 b=2 b\x01=3 bb=4 c= ");
    expect_scan(s, "b", true, "b=2 b\x01=3 bb=4 ");
    expect_scan(s, "a\xff", true, "a\xff=1 ");
    expect_scan(s, "bc", true, "");
    expect_scan(s, "d", true, "");
    expect_scan(s, "b", false, "b= b\x01= bb= ");
    struct seen seen = {{0}, 0, 'b'};
    assert_int_equal(store_scan(s, STORE_LOCAL, SPAN_NONE, note, &seen), ERR_CANCELLED);
    assert_string_equal(seen.text, "a=0 a\xff=1 ");
    char longer[STORE_KEY_MAX + 2] = {0};
    memset(longer, 'a', STORE_KEY_MAX + 1);
    expect_scan(s, longer, true, "");
}

struct chain {
    struct store *store;
    uint32_t done;
};

/* From inside `done` one may read what is now durable, and submit. */
static void chain_done(void *context, enum err err)
{
    struct chain *chain = context;
    char key = (char)('0' + chain->done);
    assert_int_equal(err, OK);
    assert_int_equal(store_has(chain->store, STORE_LOCAL, span_make(&key, 1)), OK);
    chain->done++;
    key++;
    struct store_write next = {STORE_PUT, STORE_LOCAL, span_make(&key, 1), SPAN_NONE};
    if (chain->done < 4) assert_int_equal(store_submit(chain->store, &next, 1, chain_done, chain), OK);
}

static void test_submit_from_done(void **state)
{
    struct fixture *f = *state;
    struct chain chain = {f->store, 0};
    struct store_write first = put("0", "");
    assert_int_equal(store_submit(f->store, &first, 1, chain_done, &chain), OK);
    for (int i = 0; i < 8; i++) assert_int_equal(store_write_now(f->store, NULL, 0), OK); /* barriers */
    assert_int_equal(chain.done, 4);
}

static void patient_done(void *context, enum err err)
{
    uint32_t *done = context;
    assert_int_equal(err, OK);
    ++*done;
}

/* A patient batch is done, in its turn, when the next one that is not patient is; it is refused as any other. */
static void test_patient_batches_keep_their_turn(void **state)
{
    struct fixture *f = *state;
    uint32_t done = 0;
    struct store_write one = put("k", "one"), two = put("k", "two"), bad = put("", "no key");
    assert_int_equal(store_submit_patient(f->store, &one, 1, patient_done, &done), OK);
    assert_int_equal(store_submit_patient(f->store, &two, 1, patient_done, &done), OK);
    assert_int_equal(store_submit_patient(f->store, &bad, 1, patient_done, &done), ERR_RANGE);
    assert_int_equal(store_write_now(f->store, NULL, 0), OK); /* barrier */
    assert_int_equal(done, 2);
    expect(f->store, "k", "two");
}

/* Fill in batches that each delete something small, too: a refused batch must undo that as well. */
static uint32_t fill(struct store *s, struct span value)
{
    struct store_write mark = put("mark", "still here");
    assert_int_equal(store_write_now(s, &mark, 1), OK);
    for (uint32_t i = 0;; i++) {
        uint8_t key[4];
        store_u32(key, i);
        struct store_write writes[] = {drop("mark"), {STORE_PUT, STORE_BODY, SPAN_OF(key), value}, mark};
        enum err err = store_write_now(s, writes, 3);
        if (err == OK) continue;
        assert_int_equal(err, ERR_FULL);
        assert_int_equal(store_has(s, STORE_BODY, SPAN_OF(key)), ERR_NOT_FOUND);
        expect(s, "mark", "still here");
        return i;
    }
}

static void test_full_store_stays_usable(void **state)
{
    struct store *s = store_of(state);
    static uint8_t value[100000];
    uint32_t count = fill(s, SPAN_OF(value));
    assert_true(count > SMALL_BYTES / sizeof value / 2 && count <= SMALL_BYTES / sizeof value);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key[4];
        store_u32(key, i);
        assert_int_equal(store_has(s, STORE_BODY, SPAN_OF(key)), OK);
        struct store_write write = {STORE_DELETE, STORE_BODY, SPAN_OF(key), SPAN_NONE};
        assert_int_equal(store_write_now(s, &write, 1), OK);
    }
    assert_true(fill(s, SPAN_OF(value)) + 4 > count); /* the room came back */
}

static enum err write_scattered(struct store *s, enum store_op op, uint32_t from)
{
    uint8_t keys[STORE_BATCH_MAX][4];
    struct store_write writes[STORE_BATCH_MAX];
    for (uint32_t i = 0; i < STORE_BATCH_MAX; i++) {
        store_u32(keys[i], (from + i) * 2654435761u); /* odd, so every index has its own key */
        writes[i] = (struct store_write){op, STORE_BODY, SPAN_OF(keys[i]),
                                         SPAN_LITERAL("a small value, as votes are")};
    }
    return store_write_now(s, writes, STORE_BATCH_MAX);
}

/* The worst case for a copy-on-write tree: full of small items, and each delete touches another leaf. */
static void test_full_of_small_items_can_shrink(void **state)
{
    struct store *s = store_of(state);
    uint32_t count = 0;
    enum err err;
    while ((err = write_scattered(s, STORE_PUT, count)) == OK) count += STORE_BATCH_MAX;
    assert_int_equal(err, ERR_FULL);
    assert_true(count > 10000);
    for (uint32_t i = 0; i < count; i += STORE_BATCH_MAX)
        assert_int_equal(write_scattered(s, STORE_DELETE, i), OK);
}

#define BOTH(test)                                                                                           \
    cmocka_unit_test_setup_teardown(test, setup_lmdb, teardown),                                             \
        cmocka_unit_test_setup_teardown(test, setup_memory, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_put_read_delete),
        BOTH(test_put_new_never_replaces),
        BOTH(test_refused_batch_leaves_nothing),
        BOTH(test_blobs_have_the_hash_that_names_them),
        BOTH(test_records_have_the_hash_that_names_them),
        BOTH(test_key_limits),
        BOTH(test_value_limits),
        BOTH(test_batch_limits),
        BOTH(test_read_appends_or_leaves_alone),
        BOTH(test_scan),
        BOTH(test_submit_from_done),
        BOTH(test_patient_batches_keep_their_turn),
        BOTH(test_full_store_stays_usable),
        cmocka_unit_test_setup_teardown(test_full_of_small_items_can_shrink, setup_lmdb, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
