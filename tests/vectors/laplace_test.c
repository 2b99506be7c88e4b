/* Replay: the sampler gives the draws of laplace.py, a second implementation with unbounded integers, from
 * the same keys, and leaves the stream at the same byte. Where python3 exists the draws themselves are
 * computed again. */
#include "crypto/secret.h"
#include "gpu/noise.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/vectors/laplace_draws.h"

enum { CASE_COUNT = sizeof laplace_cases / sizeof laplace_cases[0], DRAW_COUNT = 64 };

static void cell_keys(void **state)
{
    (void)state;
    for (int i = 0; i < CASE_COUNT; i++) {
        const struct laplace_case *c = &laplace_cases[i];
        uint8_t seed[32];
        uint8_t key[32];
        memset(seed, c->seed_byte, sizeof seed);
        noise_cell_key(key, seed, c->step, c->measure, c->group);
        assert_memory_equal(key, c->key, sizeof key);
    }
}

static void draws(void **state)
{
    (void)state;
    for (int i = 0; i < CASE_COUNT; i++) {
        const struct laplace_case *c = &laplace_cases[i];
        struct stream s;
        stream_open(&s, c->key);
        for (int j = 0; j < DRAW_COUNT; j++) {
            int64_t draw = 0;
            assert_int_equal(noise_laplace(&s, &draw, c->scale_num, c->scale_den), OK);
            assert_true(draw == c->draws[j]);
        }
        assert_true(stream_u64(&s) == c->after);
        stream_close(&s);
    }
}

static void second_implementation(void **state)
{
    char script[] = PERIGEE_SOURCE_DIR "/tests/vectors/laplace.py";
    char header[] = PERIGEE_SOURCE_DIR "/tests/vectors/laplace_draws.h";
    char program[] = "python3";
    char check[] = "--check";
    char *const arguments[] = {program, script, check, header, NULL};
    pid_t child;
    int status = 0;
    (void)state;
    if (posix_spawnp(&child, program, NULL, NULL, arguments, environ) != 0) {
        print_message("SKIPPED: no python3 to run the second implementation\n");
        skip();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cell_keys),
        cmocka_unit_test(draws),
        cmocka_unit_test(second_implementation),
    };
    if (crypto_init() != OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
