/* Axes keep order and ends, ticks are round and few, values have short words. */
#include "sim/chance.h"
#include "sim/plot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void keeps_order(const struct plot_axis *a)
{
    struct chance c = chance_stream(1, "plot", 0);
    const bool up = a->to > a->from;
    assert_int_equal(plot_at(a, a->least), a->from);
    assert_int_equal(plot_at(a, a->most), a->to);
    for (uint32_t i = 0; i < 2000; i++) {
        const uint64_t x = chance_within(&c, a->least, a->most), y = chance_within(&c, x, a->most);
        assert_true(up ? plot_at(a, x) <= plot_at(a, y) : plot_at(a, x) >= plot_at(a, y));
    }
    assert_int_equal(plot_at(a, a->most + 1), a->to); /* what lies outside stands at the end */
}

static void axes(void **state)
{
    (void)state;
    for (uint64_t most = 1; most < UINT64_C(1) << 42; most = most * 3 + 1) {
        const struct plot_axis right = plot_axis_linear(most, 100, 3500),
                               up = plot_axis_linear(most, 1750, 150),
                               log = plot_axis_log(1, most > 1 ? most : 2, 100, 3500);
        keeps_order(&right);
        keeps_order(&up);
        keeps_order(&log);
    }
    const struct plot_axis nothing = plot_axis_linear(0, 100, 200);
    assert_int_equal(plot_at(&nothing, 0), 100);
}

static void decades_are_evenly_spaced(void **state)
{
    (void)state;
    const struct plot_axis a = plot_axis_log(1, 1000000, 0, 6000);
    for (uint32_t i = 0, value = 1; i <= 6; i++, value *= 10)
        assert_in_range(plot_at(&a, value), i > 0 ? 1000 * i - 50 : 0, 1000 * i + 50);
}

static void ticks(void **state)
{
    (void)state;
    for (uint64_t most = 1; most < UINT64_C(1) << 42; most = most * 3 + 1) {
        const struct plot_axis a = plot_axis_linear(most, 0, 3600);
        uint32_t count = 0;
        for (uint64_t t = plot_tick_first(&a); t != UINT64_MAX; t = plot_tick_next(&a, t)) {
            assert_true(t <= most);
            count++;
        }
        assert_in_range(count, 2, 6);
    }
    const struct plot_axis log = plot_axis_log(30, 20000, 0, 3600);
    assert_int_equal(plot_tick_first(&log), 100);
    assert_int_equal(plot_tick_next(&log, 100), 1000);
    assert_int_equal(plot_tick_next(&log, 1000), 10000);
    assert_true(plot_tick_next(&log, 10000) == UINT64_MAX);
}

static void words(void **state)
{
    char word[PLOT_WORD_CHARS];
    (void)state;
    assert_string_equal(plot_word_us(word, 999), "999 \302\265s");
    assert_string_equal(plot_word_us(word, 0), "0");
    assert_string_equal(plot_word_us(word, 1000), "1 ms");
    assert_string_equal(plot_word_us(word, 84650000), "84.7 s");
    assert_string_equal(plot_word_us(word, 99950), "100 ms");
    assert_string_equal(plot_word_us(word, 88540), "88.5 ms");
    assert_string_equal(plot_word_us(word, 123500), "124 ms");
    assert_string_equal(plot_word_us(word, 84700000), "84.7 s");
    assert_string_equal(plot_word_bytes(word, 1023), "1023 B");
    assert_string_equal(plot_word_bytes(word, 1536), "1.5 KiB");
    assert_string_equal(plot_word_bytes(word, UINT64_C(7) << 20), "7 MiB");
    assert_string_equal(plot_word_count(word, 0), "0");
    assert_string_equal(plot_word_count(word, 123), "123");
    assert_string_equal(plot_word_count(word, 1234567), "1,234,567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(axes), cmocka_unit_test(decades_are_evenly_spaced),
                                       cmocka_unit_test(ticks), cmocka_unit_test(words)};
    return cmocka_run_group_tests_name("sim_plot", tests, NULL, NULL);
}
