/* store_mark: which stores a key may sign on with. */
#include "node/store_mark.h"
#include "tests/storage_place.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct node_id self = {{7}};
static struct storage_place place;
static char mark_path[80], kept[80];
static struct store_mark mark;
static struct store *store;

static void put_mark(const uint8_t bytes[STORE_MARK_BYTES])
{
    int file = open(mark_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(file, bytes, STORE_MARK_BYTES), STORE_MARK_BYTES);
    assert_int_equal(close(file), 0);
}

static void new_mark(bool restored)
{
    uint8_t bytes[STORE_MARK_BYTES];
    store_mark_new(bytes, self, restored);
    put_mark(bytes);
}

static enum silence start(void)
{
    struct store_status status;
    enum silence s;
    store_mark_open(&mark, mark_path, self);
    const struct lmdb_options options = {
        .path = place.store, .map_bytes = 64 << 20, .committed = store_mark_follow, .context = &mark};
    assert_int_equal(lmdb_store_open(&store, &options), OK);
    assert_int_equal(store_status(store, &status), OK);
    assert_int_equal(store_mark_settle(&mark, &s, &status), OK);
    return s;
}

static void stop(void)
{
    store_close(store);
    store_mark_close(&mark);
}

static void write_some(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t value[4] = {(uint8_t)i, 1, 2, 3};
        const struct store_write w = {STORE_PUT, STORE_LOCAL, SPAN_LITERAL("x"), SPAN_OF(value)};
        assert_int_equal(store_write_now(store, &w, 1), OK);
    }
}

static void expect(enum silence want)
{
    assert_string_equal(silence_name(start()), silence_name(want));
    stop();
}

static void copy(const char *to, const char *from)
{
    char bytes[1 << 16];
    ssize_t len;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(in >= 0 && out >= 0);
    while ((len = read(in, bytes, sizeof bytes)) > 0) assert_int_equal(write(out, bytes, (size_t)len), len);
    assert_int_equal(close(in), 0);
    assert_int_equal(close(out), 0);
}

static int setup(void **state)
{
    (void)state;
    storage_place_make(&place);
    (void)snprintf(mark_path, sizeof mark_path, "%s/store.mark", place.root);
    (void)snprintf(kept, sizeof kept, "%s/kept", place.root);
    new_mark(false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(mark_path);
    (void)unlink(kept);
    storage_place_remove(&place);
    return 0;
}

static void test_goes_on(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(start(), SILENCE_NONE);
        write_some(5);
        stop();
    }
}

/* The power went before the mark was on disk, or another program wrote to the store: it is behind, never ahead. */
static void test_a_mark_behind(void **state)
{
    (void)state;
    assert_int_equal(start(), SILENCE_NONE);
    write_some(3);
    copy(kept, mark_path);
    write_some(3);
    stop();
    copy(mark_path, kept);
    expect(SILENCE_NONE);
}

/* Also a copy made while the node ran, of which it wrote more without a stop. */
static void test_an_older_store(void **state)
{
    (void)state;
    assert_int_equal(start(), SILENCE_NONE);
    write_some(3);
    copy(kept, place.data);
    write_some(1);
    stop();
    copy(place.data, kept);
    expect(SILENCE_RESTORED);
    expect(SILENCE_RESTORED); /* it stays so: the mark was not moved down */
    assert_int_equal(start(), SILENCE_RESTORED);
    write_some(5); /* nor is a store that grew beyond it again another one */
    stop();
    expect(SILENCE_RESTORED);
    copy(place.data, kept);
    expect(SILENCE_RESTORED);
}

static void test_another_store(void **state)
{
    (void)state;
    copy(kept, mark_path);
    assert_int_equal(start(), SILENCE_NONE);
    write_some(1);
    stop();
    assert_int_equal(unlink(place.data), 0); /* the disk is gone */
    expect(SILENCE_LOST);
    copy(mark_path, kept); /* a mark from before the first start, a store that is not new */
    assert_int_equal(start(), SILENCE_NONE);
    write_some(1);
    stop();
    copy(mark_path, kept);
    expect(SILENCE_LOST);
}

static void test_a_mark_that_says_nothing(void **state)
{
    (void)state;
    uint8_t bytes[STORE_MARK_BYTES];
    store_mark_new(bytes, self, false);
    for (size_t at = 0; at < sizeof bytes; at += 7) {
        bytes[at] ^= 1;
        put_mark(bytes);
        bytes[at] ^= 1;
        expect(SILENCE_UNKNOWN);
    }
    put_mark(bytes);
    assert_int_equal(truncate(mark_path, STORE_MARK_BYTES - 1), 0);
    expect(SILENCE_UNKNOWN);
    const struct node_id other = {{8}};
    store_mark_new(bytes, other, false);
    put_mark(bytes);
    expect(SILENCE_UNKNOWN);
    assert_int_equal(unlink(mark_path), 0);
    expect(SILENCE_UNKNOWN);
    new_mark(true);
    expect(SILENCE_RESTORED);
    new_mark(false);
    expect(SILENCE_NONE);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_goes_on), TEST(test_a_mark_behind),
                                       TEST(test_an_older_store), TEST(test_another_store),
                                       TEST(test_a_mark_that_says_nothing)};
    return cmocka_run_group_tests_name("node_store_mark", tests, NULL, NULL);
}
