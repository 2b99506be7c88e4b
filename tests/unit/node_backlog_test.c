/* backlog: behind a store whose writer is held up, all that its queue has no room for is stored in the end, in order. */
#include "node/backlog.h"
#include "node/kept.h"
#include "tests/storage_place.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 5000, MAP_BYTES = 256 << 20 }; /* more batches than a queue holds */

static struct storage_place place;
static struct store *store;
static struct backlog backlog;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static uint32_t failed;

/* On the writer's thread: it goes on when the test lets it. */
static void wait_at_gate(void *context, enum err err)
{
    (void)context, (void)err;
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
}

static void count_failures(void *context, enum err err)
{
    (void)context;
    failed += err != OK;
}

static int begin(void **state)
{
    (void)state;
    storage_place_make(&place);
    store = storage_place_open(&place, MAP_BYTES);
    backlog_init(&backlog);
    return 0;
}

static int end(void **state)
{
    (void)state;
    backlog_free(&backlog);
    storage_place_remove(&place);
    return 0;
}

/* Each key twice, the later value after the earlier one. */
static uint32_t keep(uint32_t number, uint8_t value)
{
    char key[16];
    (void)snprintf(key, sizeof key, "k%u", number);
    const struct keep k = {KEEP_LOCAL, span_text(key), span_make(&value, 1)};
    if (backlog_empty(&backlog) && kept_submit(store, &k, 1, true, count_failures, NULL) == OK) return 0;
    assert_int_equal(backlog_add(&backlog, &k, 1), OK);
    return 1;
}

static void test_nothing_is_left_out(void **state)
{
    (void)state;
    uint32_t waited = 0;
    (void)pthread_mutex_lock(&gate);
    assert_int_equal(store_submit(store, NULL, 0, wait_at_gate, NULL), OK);
    for (uint8_t value = 1; value <= 2; value++)
        for (uint32_t i = 0; i < KEYS; i++) waited += keep(i, value);
    assert_true(
        waited > 0 &&
        !backlog_empty(&backlog)); /* a queue's full, and what the writer took before the gate, did not */
    backlog_give(&backlog, store, count_failures, NULL); /* no room yet */
    assert_false(backlog_empty(&backlog));
    (void)pthread_mutex_unlock(&gate);
    backlog_flush(&backlog, store, count_failures, NULL);
    assert_true(backlog_empty(&backlog) && backlog.bytes == 0);
    store_close(store);
    assert_int_equal(failed, 0);
    store = storage_place_open(&place, MAP_BYTES);
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        static const uint8_t two = 2;
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(storage_expect(store, STORE_LOCAL, span_text(key), span_make(&two, 1)), OK);
    }
    store_close(store);
}

/* A bound, and nothing of it is taken beyond. */
static void test_it_is_bounded(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    const struct keep k = {KEEP_LOCAL, SPAN_LITERAL("k"), SPAN_OF(bytes)};
    uint32_t count = 0;
    while (backlog_add(&backlog, &k, 1) == OK) count++;
    assert_in_range(count, 1, BACKLOG_BYTES_MAX / sizeof bytes);
    assert_true(backlog.bytes <= BACKLOG_BYTES_MAX);
    store_close(store);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(test_it_is_bounded, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
