/* The median of clocks against a naive one, over every small case; and what it is for: in no valid charter of up to ten
 * custodians do f liars move it out of the honest clocks' range, whatever they say and however many are heard. */
#include "proto/skew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { COUNT_MAX = 6, VALUES = 5, CUSTODIANS_MAX = 10, F_MAX = 4 };

/* Without sorting: at most half of them below it, and fewer than half above. */
static int64_t naive_median(const int64_t *clock, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t below = 0, above = 0;
        for (uint32_t j = 0; j < count; j++) {
            below += clock[j] < clock[i];
            above += clock[j] > clock[i];
        }
        if (2 * below <= count && 2 * above < count) return clock[i];
    }
    fail_msg("no value is in the middle");
    return 0;
}

/* The number's digits in base VALUES, some of them extreme. */
static void digits(int64_t *clock, uint32_t count, uint32_t number)
{
    static const int64_t value[VALUES] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    for (uint32_t i = 0; i < count; i++, number /= VALUES) clock[i] = value[number % VALUES];
}

static void test_median(void **state)
{
    (void)state;
    int64_t clock[COUNT_MAX];
    for (uint32_t count = 1, cases = VALUES; count <= COUNT_MAX; count++, cases *= VALUES)
        for (uint32_t number = 0; number < cases; number++) {
            digits(clock, count, number);
            int64_t naive = naive_median(clock, count);
            assert_true(skew_median(clock, count) == naive);
        }
}

/* Honest clocks are a millisecond apart; liars say every mixture of far too little, just too little, something honest, just
 * too much and far too much. */
static void expect_honest(uint32_t honest, uint32_t liars)
{
    const int64_t low = 1000, high = low + honest - 1;
    const int64_t lie[VALUES] = {INT64_MIN, low - 1, low, high + 1, INT64_MAX};
    uint32_t cases = 1;
    for (uint32_t i = 0; i < liars; i++) cases *= VALUES;
    for (uint32_t number = 0; number < cases; number++) {
        int64_t clock[CUSTODIANS_MAX];
        uint32_t rest = number;
        for (uint32_t i = 0; i < liars; i++, rest /= VALUES) clock[i] = lie[rest % VALUES];
        for (uint32_t i = 0; i < honest; i++) clock[liars + i] = low + i;
        int64_t median = skew_median(clock, honest + liars);
        assert_true(median >= low && median <= high);
    }
}

/* q or more clocks, own one included, at most f of them false. */
static void test_liars(void **state)
{
    (void)state;
    uint32_t charters = 0;
    for (uint32_t n = 1; n <= CUSTODIANS_MAX; n++)
        for (uint32_t f = 0; f <= F_MAX; f++)
            for (uint32_t q = 1; q + f <= n; q++) {
                if (2 * q <= n + f) continue;
                charters++;
                for (uint32_t heard = q; heard <= n; heard++)
                    for (uint32_t liars = 0; liars <= f; liars++) expect_honest(heard - liars, liars);
            }
    assert_true(charters > 20);
}

/* One more liar than the charter declares can: the bound is no accident of the cases above. */
static void test_one_liar_more(void **state)
{
    (void)state;
    int64_t clock[3] = {1000, INT64_MAX, INT64_MAX}; /* n 4, f 1, q 3 */
    assert_true(skew_median(clock, 3) == INT64_MAX);
}

/* A clock that runs true keeps its number; a step of the wall clock moves it by as much; before and after the epoch. */
static void test_clock(void **state)
{
    (void)state;
    const uint64_t wall_ms = UINT64_C(1770000000000);
    int64_t then = skew_clock(wall_ms, (struct instant){5000000});
    assert_true(skew_clock(wall_ms + 70, (struct instant){75999999}) == then);
    assert_true(skew_clock(wall_ms + 70 - 3600000, (struct instant){75000000}) == then - 3600000);
    assert_true(skew_clock(0, (struct instant){INT64_MAX}) == -(INT64_MAX / 1000000));
    assert_true(skew_clock(UINT64_C(1) << 53, (struct instant){0}) == INT64_C(1) << 53);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_liars),
        cmocka_unit_test(test_one_liar_more),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests_name("skew_twin", tests, NULL, NULL);
}
