/* What only the memory twin promises: it loses what was not synced, on demand and exactly. */
#include "storage/store.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct told {
    uint32_t count;
    enum err last;
    struct store *again; /* submit once more from inside `done` */
};

static void tell(void *context, enum err err)
{
    struct told *told = context;
    struct store_write more = {STORE_PUT, STORE_LOCAL, SPAN_LITERAL("more"), SPAN_NONE};
    told->count++;
    told->last = err;
    if (told->again) assert_int_equal(store_submit(told->again, &more, 1, NULL, NULL), OK);
    told->again = NULL;
}

static void submit(struct store *s, enum store_op op, const char *key, const char *value, struct told *told)
{
    struct store_write write = {op, STORE_LOCAL, span_text(key), span_text(value)};
    assert_int_equal(store_submit(s, &write, 1, tell, told), OK);
}

static int setup(void **state)
{
    struct store *s;
    assert_int_equal(memory_store_open(&s, 1 << 20), OK);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    store_close(*state);
    return 0;
}

static void expect(struct store *s, const char *key, const char *value)
{
    enum err want = value ? OK : ERR_NOT_FOUND;
    assert_int_equal(storage_expect(s, STORE_LOCAL, span_text(key), span_text(value ? value : "")), want);
}

static void test_nothing_is_there_before_the_sync(void **state)
{
    struct told told = {0};
    submit(*state, STORE_PUT, "a", "1", &told);
    expect(*state, "a", NULL);
    assert_int_equal(told.count, 0);
    memory_store_sync(*state);
    expect(*state, "a", "1");
    assert_int_equal(told.count, 1);
    assert_int_equal(told.last, OK);
}

static void test_crash_drops_what_was_not_synced(void **state)
{
    struct told told = {0};
    submit(*state, STORE_PUT, "a", "1", &told);
    submit(*state, STORE_PUT, "b", "2", &told);
    submit(*state, STORE_PUT, "a", "3", &told);
    memory_store_sync_first(*state, 2);
    assert_int_equal(told.count, 2);
    memory_store_crash(*state);
    memory_store_sync(*state);
    assert_int_equal(told.count, 2); /* the third was never heard of again */
    expect(*state, "a", "1");
    expect(*state, "b", "2");
}

static void test_torn_crash_keeps_what_no_one_was_told(void **state)
{
    struct told told = {0};
    submit(*state, STORE_PUT_NEW, "vote", "A", &told);
    submit(*state, STORE_PUT, "b", "2", &told);
    memory_store_crash_torn(*state, 1);
    assert_int_equal(told.count, 0);
    expect(*state, "vote", "A");
    expect(*state, "b", NULL);
    submit(*state, STORE_PUT_NEW, "vote", "B", &told); /* the restarted node may not vote otherwise */
    memory_store_sync(*state);
    assert_int_equal(told.last, ERR_CONFLICT);
    expect(*state, "vote", "A");
}

static void test_sync_lands_only_what_was_queued(void **state)
{
    struct told told = {0, OK, *state};
    submit(*state, STORE_PUT, "a", "1", &told);
    memory_store_sync(*state);
    expect(*state, "more", NULL);
    memory_store_sync(*state);
    expect(*state, "more", "");
}

static void test_queue_is_bounded(void **state)
{
    struct told told = {0};
    struct store_write write = {STORE_PUT, STORE_LOCAL, SPAN_LITERAL("k"), SPAN_NONE};
    uint32_t taken = 0;
    while (store_submit(*state, &write, 1, tell, &told) == OK) taken++;
    assert_int_equal(taken, 4096);
    assert_int_equal(store_submit(*state, &write, 1, tell, &told), ERR_FULL);
    assert_int_equal(store_write_now(*state, &write, 1), OK);
    assert_int_equal(told.count, 4096);
}

static void test_close_syncs(void **state)
{
    struct told told = {0};
    struct store *s;
    (void)state;
    assert_int_equal(memory_store_open(&s, 1 << 20), OK);
    submit(s, STORE_PUT, "a", "1", &told);
    store_close(s);
    assert_int_equal(told.count, 1);
    store_close(NULL);
}

static void test_incarnation_is_chosen(void **state)
{
    struct store_status status;
    struct hash32 chosen = {{9, 8, 7}};
    assert_int_equal(store_status(*state, &status), OK);
    assert_true(ID_IS_ZERO(status.incarnation));
    memory_store_set_incarnation(*state, chosen);
    assert_int_equal(store_status(*state, &status), OK);
    assert_true(ID_EQUAL(status.incarnation, chosen));
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(test_nothing_is_there_before_the_sync),
        ONE(test_crash_drops_what_was_not_synced),
        ONE(test_torn_crash_keeps_what_no_one_was_told),
        ONE(test_sync_lands_only_what_was_queued),
        ONE(test_queue_is_bounded),
        ONE(test_close_syncs),
        ONE(test_incarnation_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
