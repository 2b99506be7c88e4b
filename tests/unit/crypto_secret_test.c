/* crypto/secret: guarded and locked memory, wiping, comparison, randomness. What must crash or be refused does so in a
 * child process. */
#include "crypto/secret.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static int set_up(void **state)
{
    (void)state;
    return crypto_init() == OK ? 0 : 1;
}

static void init_repeats(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(), OK);
}

static void alloc_gives_zeroed_aligned(void **state)
{
    (void)state;
    for (size_t len = 0; len < 200; len++) {
        uint8_t *secret = secret_alloc(len);
        assert_non_null(secret);
        assert_int_equal((uintptr_t)secret % 16, 0);
        for (size_t i = 0; i < len; i++) assert_int_equal(secret[i], 0);
        memset(secret, 0xa5, len);
        secret_free(secret);
    }
    secret_free(NULL);
    assert_null(secret_alloc(SIZE_MAX));
}

/* The status of a child that runs one of the functions below; 0 means that it came to its end unharmed. */
static int in_child(int (*body)(void))
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO);
        (void)signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the next test, in the child */
        (void)signal(SIGBUS, SIG_DFL);
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int write_inside(void)
{
    volatile uint8_t *secret = secret_alloc(32);
    if (secret == NULL) return 1;
    secret[31] = 1;
    return 0;
}

static int write_past(void)
{
    volatile uint8_t *secret = secret_alloc(32);
    if (secret == NULL) return 0;
    secret[32] = 1;
    return 0;
}

static int read_freed(void)
{
    volatile uint8_t *secret = secret_alloc(32);
    uint8_t seen;
    secret_free((void *)secret);
    seen = *secret;
    return seen & 0;
}

static void guard_pages_stop_overruns(void **state)
{
    (void)state;
    assert_int_equal(in_child(write_inside), 0);
    assert_int_not_equal(in_child(write_past), 0);
    assert_int_not_equal(in_child(read_freed), 0);
}

static int alloc_without_lock(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) return 1;
    if (geteuid() == 0 && setuid(65534) != 0) return 2; /* root may lock beyond any limit */
    return secret_alloc(32) == NULL ? 0 : 3;
}

static void unlockable_is_refused(void **state)
{
    (void)state;
    if (SANITIZED) skip(); /* sanitizers replace mlock by nothing */
    assert_int_equal(in_child(alloc_without_lock), 0);
}

static void wipe_and_equal(void **state)
{
    uint8_t a[33], b[33];
    (void)state;
    random_fill(a, sizeof a);
    memcpy(b, a, sizeof a);
    assert_true(secret_equal(a, b, sizeof a));
    assert_true(secret_equal(a, b, 0));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 0x80;
        assert_false(secret_equal(a, b, sizeof a));
        b[i] ^= 0x80;
    }
    secret_wipe(a, 32);
    for (size_t i = 0; i < 32; i++) assert_int_equal(a[i], 0);
    assert_int_equal(a[32], b[32]);
    secret_wipe(NULL, 0);
}

static void random_varies(void **state)
{
    uint8_t first[64], next[64], seen[64] = {0};
    (void)state;
    random_fill(first, sizeof first);
    for (int round = 0; round < 40; round++) {
        random_fill(next, sizeof next);
        assert_memory_not_equal(first, next, sizeof first);
        for (size_t i = 0; i < sizeof seen; i++) seen[i] |= first[i] ^ next[i];
    }
    for (size_t i = 0; i < sizeof seen; i++)
        assert_int_equal(seen[i], 0xff); /* every bit moved; 2^-31 to fail */
    random_fill(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_repeats),
        cmocka_unit_test(alloc_gives_zeroed_aligned),
        cmocka_unit_test(guard_pages_stop_overruns),
        cmocka_unit_test(unlockable_is_refused),
        cmocka_unit_test(wipe_and_equal),
        cmocka_unit_test(random_varies),
    };
    return cmocka_run_group_tests_name("crypto/secret", tests, set_up, NULL);
}
