/* The sampler's distribution: chi-square against the exact probabilities with pooled tails, at a level of
 * 1e-6 and a fixed key, and the proof that the same test sees a scale wrong by 2 %. Published moments. Error
 * bars. Refusals. */
#include "crypto/secret.h"
#include "gpu/noise.h"
#include "proto/base/span.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES = 1000000, BINS_MAX = 400 };

struct scale_case {
    uint64_t num, den;
};

static const struct scale_case scales[] = {{1, 2},  {1, 1}, {2, 1},          {10, 1},
                                           {22, 7}, {7, 3}, {1000000007, 97}};
enum { SCALE_COUNT = sizeof scales / sizeof scales[0] };

static int64_t *samples; /* SCALE_COUNT x SAMPLES */

static const int64_t *samples_of(int scale)
{
    return samples + (size_t)scale * SAMPLES;
}

static long double scale_value(int scale)
{
    return (long double)scales[scale].num / (long double)scales[scale].den;
}

static int draw_samples(void **state)
{
    (void)state;
    samples = malloc(SCALE_COUNT * SAMPLES * sizeof *samples);
    if (samples == NULL) return -1;
    for (int scale = 0; scale < SCALE_COUNT; scale++) {
        uint8_t key[32];
        struct stream s;
        memset(key, 0x40 + scale, sizeof key);
        stream_open(&s, key);
        for (int i = 0; i < SAMPLES; i++) {
            if (noise_laplace(&s, samples + (size_t)scale * SAMPLES + i, scales[scale].num,
                              scales[scale].den) != OK)
                return -1;
        }
        stream_close(&s);
    }
    return 0;
}

static int free_samples(void **state)
{
    (void)state;
    free(samples);
    return 0;
}

/* P(X >= m) for m >= 1. */
static long double upper_tail(long double scale, long double m)
{
    return expl(-m / scale) / (1 + expl(-1 / scale));
}

static long double at_zero(long double scale)
{
    return (1 - expl(-1 / scale)) / (1 + expl(-1 / scale));
}

/* Bins: zero; on each side `side` bins of `width` magnitudes; a tail. The tails expect at least 20 samples
 * each. */
struct bins {
    int64_t width;
    int64_t side;
    uint64_t counts[BINS_MAX];
    long double expected[BINS_MAX];
    int count;
};

static void bins_make(struct bins *b, long double scale)
{
    b->width = scale > 8 ? (int64_t)(scale / 8) : 1;
    b->side = 1;
    while (SAMPLES * upper_tail(scale, (long double)(b->side + 1) * (long double)b->width + 1) >= 20)
        b->side++;
    b->count = (int)(2 * (b->side + 1) + 1);
    assert_true(b->count <= BINS_MAX);
    memset(b->counts, 0, sizeof b->counts);
}

static void bins_expect(struct bins *b, long double scale)
{
    b->expected[0] = SAMPLES * at_zero(scale);
    for (int64_t k = 0; k <= b->side; k++) {
        long double from = upper_tail(scale, (long double)(k * b->width + 1));
        long double to = k < b->side ? upper_tail(scale, (long double)((k + 1) * b->width + 1)) : 0;
        b->expected[1 + 2 * k] = b->expected[2 + 2 * k] = SAMPLES * (from - to);
    }
}

static void bins_fill(struct bins *b, const int64_t *values)
{
    for (int i = 0; i < SAMPLES; i++) {
        int64_t magnitude = values[i] < 0 ? -values[i] : values[i];
        if (magnitude == 0) {
            b->counts[0]++;
            continue;
        }
        int64_t k = (magnitude - 1) / b->width;
        if (k > b->side) k = b->side;
        b->counts[1 + 2 * k + (values[i] < 0 ? 1 : 0)]++;
    }
}

static long double chi_square(const struct bins *b)
{
    long double sum = 0;
    for (int i = 0; i < b->count; i++) {
        long double off = (long double)b->counts[i] - b->expected[i];
        sum += off * off / b->expected[i];
    }
    return sum;
}

/* Wilson and Hilferty: the point a chi-square with k degrees of freedom exceeds with probability 1e-6. */
static long double critical(int degrees)
{
    const long double z = 4.753424308822899L;
    long double k = degrees;
    return k * powl(1 - 2 / (9 * k) + z * sqrtl(2 / (9 * k)), 3);
}

static bool accepted(int scale, long double factor)
{
    static struct bins b;
    bins_make(&b, scale_value(scale));
    bins_expect(&b, scale_value(scale) * factor);
    bins_fill(&b, samples_of(scale));
    long double statistic = chi_square(&b);
    print_message("scale %llu/%llu x %.2Lf: chi-square %.1Lf, critical %.1Lf\n",
                  (unsigned long long)scales[scale].num, (unsigned long long)scales[scale].den, factor,
                  statistic, critical(b.count - 1));
    return statistic <= critical(b.count - 1);
}

static void fits_the_exact_probabilities(void **state)
{
    (void)state;
    for (int scale = 0; scale < SCALE_COUNT; scale++) assert_true(accepted(scale, 1));
}

static void the_test_sees_two_percent(void **state)
{
    (void)state;
    for (int scale = 0; scale < SCALE_COUNT; scale++) {
        assert_false(accepted(scale, 1.02L));
        assert_false(accepted(scale, 0.98L));
    }
}

/* P(0), variance, E|X|, computed elsewhere with 60 digits. */
static void published_moments(void **state)
{
    static const long double oracle[4][3] = {{0.761594155955765L, 0.362030830483155L, 0.275720564771783L},
                                             {0.462117157260010L, 1.841347188415585L, 0.850918128239322L},
                                             {0.244918662403709L, 7.835396178065528L, 1.919034751334944L},
                                             {0.049958374957880L, 199.833416633609L, 9.983352757296L}};
    (void)state;
    for (int scale = 0; scale < 4; scale++) {
        const int64_t *values = samples_of(scale);
        long double zero = oracle[scale][0], variance = oracle[scale][1], mean = oracle[scale][2];
        long double zeros = 0, magnitudes = 0, sum = 0, product = 0;
        for (int i = 0; i < SAMPLES; i++) {
            zeros += values[i] == 0;
            magnitudes += (long double)(values[i] < 0 ? -values[i] : values[i]);
            sum += (long double)values[i];
            if (i > 0) product += (long double)values[i] * (long double)values[i - 1];
        }
        assert_true(fabsl(at_zero(scale_value(scale)) - zero) < 1e-14L);
        assert_true(fabsl(zeros / SAMPLES - zero) < 5 * sqrtl(zero * (1 - zero) / SAMPLES));
        assert_true(fabsl(magnitudes / SAMPLES - mean) < 5 * sqrtl((variance - mean * mean) / SAMPLES));
        assert_true(fabsl(sum / SAMPLES) < 5 * sqrtl(variance / SAMPLES));
        assert_true(fabsl(product / SAMPLES) <
                    5 * variance / sqrtl(SAMPLES)); /* neighbours don't know each other */
    }
}

static void published_tails(void **state)
{
    static const struct {
        int scale;
        long double beyond; /* P(|X| >= 10) */
    } oracle[] = {{1, 6.638002e-5L}, {2, 8.388196e-3L}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        const int64_t *values = samples_of(oracle[i].scale);
        long double p = oracle[i].beyond;
        long double count = 0;
        for (int j = 0; j < SAMPLES; j++) count += values[j] >= 10 || values[j] <= -10;
        assert_true(fabsl(2 * upper_tail(scale_value(oracle[i].scale), 10) - p) < p * 1e-6L);
        assert_true(fabsl(count - SAMPLES * p) < 5 * sqrtl(SAMPLES * p));
    }
    assert_true(fabsl(2 * upper_tail(5, 10) - 1.488239e-1L) < 1e-7L);
}

/* Add up probabilities until there are enough: no logarithm, no border to miss. */
static int64_t bound_by_adding(long double scale, long double probability)
{
    long double sum = at_zero(scale);
    int64_t m = 0;
    while (sum < probability) {
        m++;
        sum += 2 * at_zero(scale) * expl(-(long double)m / scale);
    }
    return m;
}

static void error_bars(void **state)
{
    static const double probabilities[] = {0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 0.999999};
    int64_t m = -1;
    (void)state;
    for (int scale = 0; scale < SCALE_COUNT - 1; scale++) {
        for (size_t p = 0; p < sizeof probabilities / sizeof probabilities[0]; p++) {
            assert_int_equal(noise_laplace_bound(&m, scales[scale].num, scales[scale].den, probabilities[p]),
                             OK);
            assert_true(m == bound_by_adding(scale_value(scale), probabilities[p]));
        }
    }
    /* 1 - P(|X| >= 10) lies between these: the bound is 9, then 10. */
    assert_int_equal(noise_laplace_bound(&m, 1, 1, 1 - 6.6381e-5), OK);
    assert_true(m == 9);
    assert_int_equal(noise_laplace_bound(&m, 1, 1, 1 - 6.6379e-5), OK);
    assert_true(m == 10);
    assert_int_equal(noise_laplace_bound(&m, NOISE_SCALE_MAX, 1, 0.95), OK);
    assert_true(fabsl((long double)m / (long double)NOISE_SCALE_MAX + logl(0.05L)) < 1e-12L);
}

static void refusals(void **state)
{
    uint8_t key[32] = {0};
    struct stream s, before;
    int64_t out = 77;
    (void)state;
    stream_open(&s, key);
    before = s;
    assert_int_equal(noise_laplace(&s, &out, 0, 1), ERR_RANGE);
    assert_int_equal(noise_laplace(&s, &out, 1, 0), ERR_RANGE);
    assert_int_equal(noise_laplace(&s, &out, NOISE_SCALE_MAX + 1, 1), ERR_RANGE);
    assert_int_equal(noise_laplace(&s, &out, 1, NOISE_SCALE_MAX + 1), ERR_RANGE);
    assert_int_equal(noise_laplace(&s, &out, UINT64_MAX, 2), ERR_RANGE);
    assert_true(out == 77);
    assert_memory_equal(&s, &before, sizeof s);
    assert_int_equal(noise_laplace(&s, &out, UINT64_MAX, UINT64_MAX), OK); /* one, in lowest terms */
    assert_int_equal(noise_laplace_bound(&out, 1, 1, 0), ERR_RANGE);
    assert_int_equal(noise_laplace_bound(&out, 1, 1, 1), ERR_RANGE);
    assert_int_equal(noise_laplace_bound(&out, 1, 1, (double)NAN), ERR_RANGE);
    assert_int_equal(noise_laplace_bound(&out, 0, 1, 0.5), ERR_RANGE);
    stream_close(&s);
}

/* Equal rationals draw equally; the largest scales stay in int64. */
static void lowest_terms_and_extremes(void **state)
{
    uint8_t key[32];
    struct stream a, b;
    (void)state;
    memset(key, 0x77, sizeof key);
    stream_open(&a, key);
    stream_open(&b, key);
    for (int i = 0; i < 2000; i++) {
        int64_t x = 0, y = 1;
        assert_int_equal(noise_laplace(&a, &x, 22, 7), OK);
        assert_int_equal(noise_laplace(&b, &y, 22 * UINT64_C(100000000000), 7 * UINT64_C(100000000000)), OK);
        assert_true(x == y);
    }
    bool high_bit = false;
    for (int i = 0; i < 2000; i++) {
        int64_t x = 0, y = 0;
        assert_int_equal(noise_laplace(&a, &x, NOISE_SCALE_MAX, 1), OK);
        assert_int_equal(noise_laplace(&a, &y, 1, NOISE_SCALE_MAX), OK);
        high_bit |= x > (INT64_C(1) << 57);
        assert_true(y == 0);
    }
    assert_true(high_bit);
    stream_close(&a);
    stream_close(&b);
}

/* One draw at scale 3 walked by hand through PROTOCOL.md "Noise streams", with the border of the rejection
 * rule. */
static void walked_by_hand(void **state)
{
    static const uint64_t words[] = {
        UINT64_MAX,     /* uniform(3): 2^64 mod 3 = 1, so exactly this value is rejected */
        UINT64_MAX - 1, /* accepted: u = 2 */
        2,              /* exp_minus(2, 3): uniform(3) >= 2 at k = 1, odd: u stays */
        1,              /* exp_minus(1, 1): k = 1 consumes nothing; k = 2: uniform(2) != 0, even: v = 0 */
        1,              /* uniform(2): negative */
        5,              /* next */
    };
    uint8_t key[32] = {0};
    struct stream s;
    int64_t out = 0;
    (void)state;
    stream_open(&s, key);
    for (int i = 0; i < 6; i++) store_u64_le(s.buffer + 8 * i, words[i]);
    s.used = 0;
    assert_int_equal(noise_laplace(&s, &out, 3, 1), OK);
    assert_true(out == -2);
    assert_true(stream_u64(&s) == 5);
    stream_close(&s);
}

/* Every coordinate of a cell matters. */
static void cells_have_their_own_keys(void **state)
{
    uint8_t seed[32] = {0}, other[32] = {1};
    uint8_t keys[5][32];
    (void)state;
    noise_cell_key(keys[0], seed, 1, 2, 3);
    noise_cell_key(keys[1], seed, 2, 1, 3);
    noise_cell_key(keys[2], seed, 1, 3, 2);
    noise_cell_key(keys[3], seed, 1, 2, 4);
    noise_cell_key(keys[4], other, 1, 2, 3);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++) assert_memory_not_equal(keys[i], keys[j], 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_the_exact_probabilities),
        cmocka_unit_test(the_test_sees_two_percent),
        cmocka_unit_test(published_moments),
        cmocka_unit_test(published_tails),
        cmocka_unit_test(error_bars),
        cmocka_unit_test(refusals),
        cmocka_unit_test(lowest_terms_and_extremes),
        cmocka_unit_test(walked_by_hand),
        cmocka_unit_test(cells_have_their_own_keys),
    };
    if (crypto_init() != OK) return 1;
    return cmocka_run_group_tests(tests, draw_samples, free_samples);
}
