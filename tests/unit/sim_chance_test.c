/* chance: the generator's published vector, numbers of an independent implementation, bounds that hold for these seeds, and
 * streams that leave each other alone. */
#include "sim/chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT_OF_DRAWS = 1 << 20 };

/* As the authors' xoshiro256starstar.c gives them from the state 1, 2, 3, 4; listed by the Rust crate rand_xoshiro, test
 * `reference` of xoshiro256starstar.rs. */
static void test_published_vector(void **state)
{
    static const uint64_t expected[] = {
        11520,
        0,
        1509978240,
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct chance c = {{1, 2, 3, 4}};
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(chance_next(&c) == expected[i]);
}

/* From an implementation in another language, its exponentials in exact fractions: a world of today is one of tomorrow. */
static void test_same_everywhere(void **state)
{
    static const uint64_t next[] = {UINT64_C(0x5edec4def9e2a98d), UINT64_C(0x797e3449899867e1),
                                    UINT64_C(0xabdf12b67a6eef65), UINT64_C(0xdf0cdf231c9a7ea4)};
    static const uint64_t below[] = {370, 474, 671, 871, 393, 638, 107, 126};
    static const uint64_t half[] = {UINT64_C(3418058873174578374), UINT64_C(4377246108050273264),
                                    UINT64_C(8036233256037597010), UINT64_C(5889563880869849523)};
    static const uint64_t gap[] = {1468075719, 1585464294, 239676258,  3408724065, 154230835,  52362007,
                                   131425840,  1490411988, 2085504840, 2017591,    3911764258, 1592342006};
    uint64_t sum = 0;
    (void)state;
    struct chance c = chance_stream(7, "link", 3);
    for (size_t i = 0; i < 4; i++) assert_true(chance_next(&c) == next[i]);
    c = chance_stream(7, "link", 3);
    for (size_t i = 0; i < 8; i++) assert_true(chance_below(&c, 1000) == below[i]);
    c = chance_stream(7, "link", 3); /* nearly half of all numbers are drawn again */
    for (size_t i = 0; i < 4; i++) assert_true(chance_below(&c, (UINT64_C(1) << 63) + 1) == half[i]);
    c = chance_stream(7, "gap", 0);
    for (size_t i = 0; i < 12; i++) assert_int_equal(chance_exponential(&c, 1000000000), gap[i]);
    c = chance_stream(7, "gap", 0);
    for (uint64_t i = 0; i < 100000; i++) sum += chance_exponential(&c, 1000000000) * (i + 1);
    assert_true(sum == UINT64_C(0x44a4e7263518b491));
}

/* --- Streams ---------------------------------------------------------------------------------------------------------- */

static void test_streams_are_named(void **state)
{
    const struct chance a = chance_stream(1, "disk", 2), again = chance_stream(1, "disk", 2);
    const struct chance others[] = {chance_stream(2, "disk", 2),  chance_stream(1, "disk", 3),
                                    chance_stream(1, "disk2", 2), chance_stream(1, "dis", 2),
                                    chance_stream(1, "", 2),      chance_stream(2, "disk", 1)};
    (void)state;
    assert_memory_equal(&a, &again, sizeof a);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_memory_not_equal(&a, &others[i], sizeof a);
}

/* What a component draws is the same whoever else draws in between. */
static void test_a_component_more_changes_nobody(void **state)
{
    struct chance alone = chance_stream(5, "node", 9), beside = chance_stream(5, "node", 9);
    struct chance neighbour = chance_stream(5, "node", 10), other = chance_stream(5, "clock", 9);
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        for (uint32_t j = 0; j < i % 3; j++) (void)chance_next(&neighbour);
        if (i % 5 == 0) (void)chance_exponential(&other, 1000);
        assert_true(chance_next(&alone) == chance_next(&beside));
    }
}

/* Neighbouring names and indices give numbers of which half of the bits differ: 64 streams, 1000 numbers each. Of 4 million fair
 * bits the ones are within 5 standard deviations (5,060) of half. */
static void test_neighbours_are_unrelated(void **state)
{
    uint64_t ones = 0;
    (void)state;
    for (uint64_t index = 0; index < 64; index++) {
        struct chance a = chance_stream(3, "node", index), b = chance_stream(3, "node", index + 1);
        for (uint32_t i = 0; i < 1000; i++)
            ones += (uint32_t)__builtin_popcountll(chance_next(&a) ^ chance_next(&b));
    }
    assert_in_range(ones, 64 * 1000 * 32 - 5060, 64 * 1000 * 32 + 5060);
}

/* --- Distributions ---------------------------------------------------------------------------------------------------- */

/* 2^20 draws into `limit` cells: each has its share within 5 standard deviations, and chi-squared is within 5 of its own. */
static void expect_uniform(uint32_t limit)
{
    static uint32_t cell[1024];
    struct chance c = chance_stream(11, "cells", limit);
    assert_true(limit <= 1024);
    memset(cell, 0, sizeof cell);
    for (uint32_t i = 0; i < COUNT_OF_DRAWS; i++) {
        const uint64_t x = chance_below(&c, limit);
        assert_true(x < limit);
        cell[x]++;
    }
    const double share = (double)COUNT_OF_DRAWS / limit, free_cells = limit - 1;
    double chi = 0;
    for (uint32_t i = 0; i < limit; i++) {
        const double off = cell[i] - share;
        assert_true(off * off < 25 * share);
        chi += off * off / share;
    }
    assert_true((chi - free_cells) * (chi - free_cells) < 25 * 2 * free_cells);
}

static void test_below_is_uniform(void **state)
{
    struct chance c = chance_stream(1, "one", 0);
    (void)state;
    expect_uniform(2);
    expect_uniform(3);
    expect_uniform(10);
    expect_uniform(1000);
    expect_uniform(1024);
    for (uint32_t i = 0; i < 100; i++) assert_int_equal(chance_below(&c, 1), 0);
    expect_assert_failure((void)chance_below(&c, 0));
}

/* Of three quarters of all numbers a generator that takes remainders would give the first third twice as often. */
static void test_below_favours_nobody(void **state)
{
    const uint64_t quarter = UINT64_C(1) << 62;
    struct chance c = chance_stream(1, "large", 0);
    uint32_t third[3] = {0, 0, 0};
    (void)state;
    for (uint32_t i = 0; i < 300000; i++) third[chance_below(&c, 3 * quarter) / quarter]++;
    for (uint32_t i = 0; i < 3; i++) assert_in_range(third[i], 100000 - 1300, 100000 + 1300);
}

static void test_within_includes_both_ends(void **state)
{
    struct chance c = chance_stream(1, "within", 0);
    uint32_t low = 0, high = 0;
    bool beyond_half = false;
    (void)state;
    for (uint32_t i = 0; i < 4000; i++) {
        const uint64_t x = chance_within(&c, 20, 23);
        assert_in_range(x, 20, 23);
        low += x == 20;
        high += x == 23;
        assert_true(chance_within(&c, UINT64_MAX - 1, UINT64_MAX) >= UINT64_MAX - 1);
        beyond_half |= chance_within(&c, 0, UINT64_MAX) > UINT64_MAX / 2;
    }
    assert_in_range(low, 860, 1140);
    assert_in_range(high, 860, 1140);
    assert_true(beyond_half);
    assert_true(chance_within(&c, 7, 7) == 7);
    expect_assert_failure((void)chance_within(&c, 8, 7));
}

static void test_ppm(void **state)
{
    struct chance c = chance_stream(1, "loss", 0), beside = chance_stream(1, "loss", 0);
    uint32_t lost = 0;
    (void)state;
    for (uint32_t i = 0; i < COUNT_OF_DRAWS; i++) lost += chance_ppm(&c, 10000);
    assert_in_range(lost, 10485 - 510, 10485 + 510); /* of 1 %: 5 standard deviations */
    for (uint32_t i = 0; i < 1000; i++) {
        struct chance copy = c, again = c;
        const uint32_t x = (uint32_t)chance_below(&c, 1000000);
        assert_false(chance_ppm(&copy, x));
        assert_true(chance_ppm(&again, x + 1));
    }
    c = beside;
    for (uint32_t i = 0; i < 1000; i++) { /* the rate changes what is drawn, never how much */
        assert_false(chance_ppm(&c, 0));
        assert_true(chance_ppm(&beside, 1000000));
    }
    assert_memory_equal(&c, &beside, sizeof c);
    expect_assert_failure((void)chance_ppm(&c, 1000001));
}

/* How many of 2^20 gaps are below multiples of the mean: 1 - exp(-x), in millionths. */
static void test_exponential_distribution(void **state)
{
    static const struct {
        uint32_t mean_thousandths, below_ppm;
    } points[] = {{10, 9950},     {100, 95163},   {500, 393469},  {693, 499926},  {1000, 632121},
                  {2000, 864665}, {4000, 981684}, {7000, 999088}, {10000, 999955}};
    enum { POINTS = sizeof points / sizeof points[0] };
    const uint64_t mean = 1000000000;
    struct chance c = chance_stream(2, "gap", 0);
    uint32_t below[POINTS] = {0};
    double sum = 0;
    (void)state;
    for (uint32_t i = 0; i < COUNT_OF_DRAWS; i++) {
        const uint64_t gap = chance_exponential(&c, mean);
        sum += (double)gap;
        for (uint32_t p = 0; p < POINTS; p++) below[p] += gap < points[p].mean_thousandths * (mean / 1000);
    }
    for (uint32_t p = 0; p < POINTS; p++) {
        const double part = points[p].below_ppm * 1e-6, off = below[p] - COUNT_OF_DRAWS * part;
        assert_true(off * off < 25 * COUNT_OF_DRAWS * part * (1 - part) + 1);
    }
    assert_in_range((uint64_t)(sum / COUNT_OF_DRAWS), mean - mean / 200, mean + mean / 200);
}

static void test_exponential_limits(void **state)
{
    struct chance c = chance_stream(2, "limits", 0);
    uint64_t most = 0;
    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(chance_exponential(&c, 0), 0);
        const uint64_t gap = chance_exponential(&c, CHANCE_MEAN_NS_MAX);
        if (gap > most) most = gap;
    }
    assert_true(most > 8 * CHANCE_MEAN_NS_MAX && most < 45 * CHANCE_MEAN_NS_MAX);
    c = (struct chance){{1, 0, 0, 0}}; /* whose first number is 0: the most halvings there are */
    assert_true(chance_exponential(&c, CHANCE_MEAN_NS_MAX) > 43 * CHANCE_MEAN_NS_MAX);
    expect_assert_failure((void)chance_exponential(&c, CHANCE_MEAN_NS_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vector),
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_streams_are_named),
        cmocka_unit_test(test_a_component_more_changes_nobody),
        cmocka_unit_test(test_neighbours_are_unrelated),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_below_favours_nobody),
        cmocka_unit_test(test_within_includes_both_ends),
        cmocka_unit_test(test_ppm),
        cmocka_unit_test(test_exponential_distribution),
        cmocka_unit_test(test_exponential_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
