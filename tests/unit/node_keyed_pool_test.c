/* node/keyed_pool: every job comes back once, with its own answer; signature checks in their order; neither kind of work waits
 * behind an endless flood of the other. A flood here ends only when what it must not hold up has come. */
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "node/keyed_pool.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { AUTHORS = 3, JOBS = 700, BAD_EVERY = 7, FLOOD = 64 };

struct check {
    uint8_t part[VERIFY_PART_BYTES];
};

struct bench {
    uv_loop_t loop;
    struct home home;
    struct identity_secret own;
    struct keyed_pool *pool;
    struct check good, bad;
    uint32_t delivered[JOBS];
    uint64_t next;               /* the token that must come next */
    uint32_t checks, signatures; /* delivered */
    bool stop;
};

static void sign_check(struct check *out, const struct identity_secret *secret, uint32_t number)
{
    struct node_id author;
    struct hash32 message = {{0}};
    struct signature signature;
    struct buffer part = BUFFER_OF(out->part);
    store_u32(message.bytes, number);
    assert_int_equal(identity_public(&author, secret), OK);
    assert_int_equal(identity_sign(&signature, secret, message), OK);
    buffer_put(&part, ID_SPAN(author));
    buffer_put(&part, ID_SPAN(message));
    buffer_put(&part, SPAN_OF(signature.bytes));
}

static struct crypto_job check_job(const struct check *c)
{
    return (struct crypto_job){.op = CRYPTO_VERIFY, .parts = SPAN_OF(c->part), .part_count = 1};
}

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL || crypto_init() != OK) return 1;
    identity_generate(&b->own, &b->home.node);
    b->home.identity = &b->own;
    sign_check(&b->good, &b->own, 1);
    b->bad = b->good;
    b->bad.part[VERIFY_PART_BYTES - 1] ^= 1;
    ASSERT(uv_loop_init(&b->loop) == 0);
    ASSERT(keyed_pool_open(&b->pool, &b->loop, &b->home, 2) == OK);
    *state = b;
    return 0;
}

static int finish(void **state)
{
    struct bench *b = *state;
    keyed_pool_close(b->pool);
    ASSERT(uv_run(&b->loop, UV_RUN_DEFAULT) == 0);
    ASSERT(uv_loop_close(&b->loop) == 0);
    free(b);
    return 0;
}

static void run_until_done(struct bench *b)
{
    while (keyed_pool_in_flight(b->pool) > 0) (void)uv_run(&b->loop, UV_RUN_ONCE);
}

/* --- Order and answers ---------------------------------------------------------------------------------------------- */

static void in_order(void *context, uint64_t token, enum err err, struct span output)
{
    struct bench *b = context;
    assert_int_equal(token, b->next++);
    assert_int_equal(err, token % BAD_EVERY == 0 ? ERR_SIGNATURE : OK);
    assert_int_equal(output.len, 0);
    b->delivered[token]++;
}

static void test_checks_come_in_order(void **state)
{
    struct bench *b = *state;
    struct identity_secret secret[AUTHORS];
    struct node_id id;
    struct check check;
    for (uint32_t i = 0; i < AUTHORS; i++) identity_generate(&secret[i], &id);
    for (uint32_t i = 0; i < JOBS; i++) {
        sign_check(&check, &secret[i % AUTHORS], i);
        if (i % BAD_EVERY == 0) check.part[40] ^= 1; /* another message than the one signed */
        const struct crypto_job job = check_job(&check);
        keyed_pool_submit(b->pool, &job, in_order, b, i);
        memset(&check, 0, sizeof check); /* it was copied */
        if (i % 50 == 0) (void)uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    run_until_done(b);
    for (uint32_t i = 0; i < JOBS; i++) assert_int_equal(b->delivered[i], 1);
}

static void signed_right(void *context, uint64_t token, enum err err, struct span output)
{
    struct bench *b = context;
    struct hash32 message = {{0}};
    struct signature signature;
    store_u32(message.bytes, (uint32_t)token);
    assert_int_equal(err, OK);
    assert_int_equal(output.len, sizeof signature.bytes);
    memcpy(signature.bytes, output.data, sizeof signature.bytes);
    assert_int_equal(identity_verify(b->home.node, message, &signature), OK);
    b->delivered[token]++;
}

/* Both kinds at once, each job with its own answer and nothing left at the end. */
static void test_everything_is_delivered(void **state)
{
    struct bench *b = *state;
    b->next = 0;
    for (uint32_t i = 0; i < JOBS; i++) {
        struct crypto_job job = {.op = CRYPTO_SIGN};
        store_u32(job.hash.bytes, i);
        keyed_pool_submit(b->pool, &job, signed_right, b, i);
        job = check_job(i % BAD_EVERY == 0 ? &b->bad : &b->good);
        keyed_pool_submit(b->pool, &job, in_order, b, i);
    }
    assert_int_equal(keyed_pool_in_flight(b->pool), 2 * JOBS);
    run_until_done(b);
    for (uint32_t i = 0; i < JOBS; i++) assert_int_equal(b->delivered[i], 2);
}

/* --- Floods --------------------------------------------------------------------------------------------------------- */

static void check_again(void *context, uint64_t token, enum err err, struct span output)
{
    struct bench *b = context;
    const struct crypto_job job = check_job(&b->good);
    (void)output;
    assert_int_equal(err, OK);
    b->checks++;
    if (!b->stop) keyed_pool_submit(b->pool, &job, check_again, b, token);
}

static void sign_again(void *context, uint64_t token, enum err err, struct span output)
{
    struct bench *b = context;
    const struct crypto_job job = {.op = CRYPTO_SIGN};
    (void)output;
    assert_int_equal(err, OK);
    b->signatures++;
    if (!b->stop) keyed_pool_submit(b->pool, &job, sign_again, b, token);
}

static void stop_flood(void *context, uint64_t token, enum err err, struct span output)
{
    struct bench *b = context;
    (void)token;
    (void)output;
    assert_int_equal(err, OK);
    b->stop = true;
}

static void test_a_signature_beside_a_flood_of_checks(void **state)
{
    struct bench *b = *state;
    const struct crypto_job one = {.op = CRYPTO_SIGN}, many = check_job(&b->good);
    for (uint32_t i = 0; i < FLOOD; i++) keyed_pool_submit(b->pool, &many, check_again, b, i);
    while (b->checks < FLOOD) (void)uv_run(&b->loop, UV_RUN_ONCE);
    keyed_pool_submit(b->pool, &one, stop_flood, b, 0);
    run_until_done(b);
    assert_true(b->stop && b->checks >= 2 * FLOOD);
}

static void test_a_check_beside_a_flood_of_signatures(void **state)
{
    struct bench *b = *state;
    const struct crypto_job one = check_job(&b->good), many = {.op = CRYPTO_SIGN};
    for (uint32_t i = 0; i < FLOOD; i++) keyed_pool_submit(b->pool, &many, sign_again, b, i);
    while (b->signatures < FLOOD) (void)uv_run(&b->loop, UV_RUN_ONCE);
    keyed_pool_submit(b->pool, &one, stop_flood, b, 0);
    run_until_done(b);
    assert_true(b->stop && b->signatures >= 2 * FLOOD);
}

/* --- Misuse and ends ------------------------------------------------------------------------------------------------ */

static void count_check(void *context, uint64_t token, enum err err, struct span output)
{
    (void)token;
    (void)err;
    (void)output;
    ((struct bench *)context)->checks++;
}

static void test_closing_waits_for_nobody(void **state)
{
    struct bench *b = *state;
    const struct crypto_job job = check_job(&b->good);
    keyed_pool_submit(b->pool, &job, count_check, b, 0);
    assert_int_equal(b->checks, 0); /* never from inside the call */
    expect_assert_failure(keyed_pool_close(b->pool));
    run_until_done(b);
    assert_int_equal(b->checks, 1);
}

/* A key that is none is refused each time, also after good ones. */
static void test_bad_keys_are_not_remembered(void **state)
{
    struct bench *b = *state;
    struct check none = b->good;
    memset(none.part, 0xff, 32);
    for (uint32_t i = 0; i < 8; i++) {
        const struct crypto_job job = check_job(i % 2 == 0 ? &none : &b->good);
        keyed_pool_submit(b->pool, &job, i % 2 == 0 ? count_check : stop_flood, b, i);
    }
    run_until_done(b);
    assert_int_equal(b->checks, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_checks_come_in_order, begin, finish),
        cmocka_unit_test_setup_teardown(test_everything_is_delivered, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_signature_beside_a_flood_of_checks, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_check_beside_a_flood_of_signatures, begin, finish),
        cmocka_unit_test_setup_teardown(test_closing_waits_for_nobody, begin, finish),
        cmocka_unit_test_setup_teardown(test_bad_keys_are_not_remembered, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
