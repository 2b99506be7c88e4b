/* Buckets that join without a gap, and quantiles that are never below the true ones and at most one part in 32 above. */
#include "sim/chance.h"
#include "sim/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void buckets_join(void **state)
{
    (void)state;
    assert_int_equal(spread_least_of(0), 0);
    for (uint32_t i = 0; i + 1 < SPREAD_BUCKETS; i++) {
        assert_true(spread_most_of(i) + 1 == spread_least_of(i + 1));
        assert_true((spread_most_of(i) - spread_least_of(i)) * SPREAD_PARTS <= spread_least_of(i));
    }
    assert_true(spread_most_of(SPREAD_BUCKETS - 1) == SPREAD_VALUE_MAX);
}

static void each_value_has_its_bucket(void **state)
{
    static struct spread s;
    struct chance c = chance_stream(1, "spread", 0);
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        const uint64_t value = chance_next(&c) >> (22 + chance_below(&c, 42));
        memset(&s, 0, sizeof s);
        spread_add(&s, value);
        uint32_t bucket = 0;
        while (s.bucket[bucket] == 0) bucket++;
        assert_true(spread_least_of(bucket) <= value && value <= spread_most_of(bucket));
    }
    spread_add(&s, UINT64_MAX);
    assert_true(s.most == SPREAD_VALUE_MAX && s.bucket[SPREAD_BUCKETS - 1] == 1);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles_beside_the_true_ones(void **state)
{
    enum { VALUES = 1003 };
    static struct spread s;
    static uint64_t value[VALUES];
    struct chance c = chance_stream(2, "spread", 0);
    (void)state;
    assert_int_equal(spread_quantile(&s, 500000), 0);
    for (uint32_t i = 0; i < VALUES; i++) {
        value[i] = chance_exponential(&c, 70000);
        spread_add(&s, value[i]);
    }
    qsort(value, VALUES, sizeof value[0], by_value);
    for (uint32_t ppm = 1000; ppm <= 1000000; ppm += 1000) {
        const uint64_t truth = value[((uint64_t)ppm * VALUES + 999999) / 1000000 - 1];
        const uint64_t told = spread_quantile(&s, ppm);
        assert_true(told >= truth && told - truth <= truth / 32);
    }
    assert_true(spread_quantile(&s, 1000000) == value[VALUES - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(buckets_join),
                                       cmocka_unit_test(each_value_has_its_bucket),
                                       cmocka_unit_test(quantiles_beside_the_true_ones)};
    return cmocka_run_group_tests_name("sim_spread", tests, NULL, NULL);
}
