/* What a long command says of how far it has come. */
#include "node/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void says(const char *expected, struct progress_at at, uint64_t took_ms, bool bar)
{
    char words[160];
    progress_words(words, sizeof words, &at, took_ms, bar);
    assert_string_equal(words, expected);
}

static void words(void **state)
{
    (void)state;
    says("  0 %: 0.0 s of virtual time, 0 events a second", (struct progress_at){0, 0, 0}, 0, false);
    says(" 50 %: 42.3 s of virtual time, 2000 events a second, about 10 s left",
         (struct progress_at){500000, 42345, 20000}, 10000, false);
    says("[############............]  50 %: 42.3 s of virtual time, 2000 events a second, about 10 s left",
         (struct progress_at){500000, 42345, 20000}, 10000, true);
    says("[########################] 100 %: 600.0 s of virtual time, 1 events a second, about 0 s left",
         (struct progress_at){2000000, 600000, 10}, 10000, true);
}

/* Before a hundredth is done, how long the rest takes is not known. */
static void what_is_left(void **state)
{
    (void)state;
    says("  0 %: 1.0 s of virtual time, 5 events a second", (struct progress_at){9999, 1000, 5}, 1000, false);
    says(" 50 %: 1.0 s of virtual time, 4 events a second, about 2 s left",
         (struct progress_at){500000, 1000, 5}, 1001, false);
    says("  1 %: 1.0 s of virtual time, 5 events a second, about 99 s left",
         (struct progress_at){10000, 1000, 5}, 1000, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words), cmocka_unit_test(what_is_left)};
    return cmocka_run_group_tests_name("node_progress", tests, NULL, NULL);
}
