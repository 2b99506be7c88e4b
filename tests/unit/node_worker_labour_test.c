/* What a worker does on its other thread: in order, each answered once, and nothing more after an end. */
#include "crypto/secret.h"
#include "node/worker_labour.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct worker *worker;
static struct labour *labour;

static int setup(void **state)
{
    const struct worker_options options = {
        .threads = 1, .memory_bytes = (uint64_t)WORKER_MEMORY_MB_MIN << 20, .spool = -1};
    (void)state;
    assert_int_equal(crypto_init(), OK);
    assert_int_equal(worker_new(&worker, &options), OK);
    assert_int_equal(labour_new(&labour, worker), OK);
    assert_int_equal(labour_start(labour), OK);
    return 0;
}

/* A chunk of an input that was never begun, from bytes that are gone when it is looked at. */
static void give_chunk(uint64_t token)
{
    uint8_t bytes[64] = {1};
    labour_give(
        labour,
        &(struct enclave_effect){.type = ENCLAVE_INPUT_CHUNK, .token = token, .bytes = SPAN_OF(bytes)}, NULL);
    secret_wipe(bytes, sizeof bytes);
}

static bool is_answered(int wait_ms)
{
    struct pollfd from = {labour_fd(labour), POLLIN, 0};
    return poll(&from, 1, wait_ms) == 1;
}

static void test_in_order_once_each(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 8; round++) {
        for (uint64_t i = 0; i < 8; i++) give_chunk(8 * round + i);
        for (uint64_t i = 0; i < 8; i++) {
            uint64_t token = 0;
            struct worker_reply reply;
            labour_answer(labour, &token, &reply);
            assert_int_equal(token, 8 * round + i);
            assert_int_equal(reply.err, ERR_NOT_READY);
            worker_reply_free(&reply);
        }
        assert_false(is_answered(0));
    }
}

static void test_nothing_after_an_end(void **state)
{
    (void)state;
    assert_true(labour_end(labour));
    give_chunk(1);
    assert_true(labour_end(labour));
    assert_false(is_answered(200));
    worker_free(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_in_order_once_each),
                                       cmocka_unit_test(test_nothing_after_an_end)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
