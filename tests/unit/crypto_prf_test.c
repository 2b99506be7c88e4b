/* The threshold PRF: one value from any t shares, and no share that isn't proven. */
#include "crypto/secret.h"
#include "tests/dealer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct hash32 input = {"the run this noise belongs to..."};

static void shares_make(struct dec_share *out, const struct dealer_key *dealer, struct hash32 at)
{
    for (uint32_t i = 1; i <= dealer->key.n; i++) {
        assert_int_equal(prf_share(&out[i - 1], &dealer->key.y, at, i, &dealer->share[i - 1]), OK);
        assert_int_equal(prf_share_check(&out[i - 1], &dealer->key, at), OK);
    }
}

static void test_every_subset(void **state)
{
    (void)state;
    struct dec_share shares[6], chosen[6];
    for (uint32_t n = 1; n <= 6; n++) {
        for (uint32_t t = 1; t <= n; t++) {
            struct dealer_key dealer = dealer_make(n, t, 10 * n + t);
            uint8_t expected[32], value[32];
            shares_make(shares, &dealer, input);
            assert_int_equal(prf_combine(expected, &dealer.key, input, shares, n), OK);
            for (uint32_t mask = 0; mask < 1u << n; mask++) {
                uint32_t count = 0;
                for (uint32_t i = 0; i < n; i++)
                    if (mask >> i & 1) chosen[count++] = shares[i];
                enum err err = prf_combine(value, &dealer.key, input, chosen, count);
                assert_int_equal(err, count >= t ? OK : ERR_NOT_READY);
                if (err == OK) assert_memory_equal(value, expected, 32);
            }
        }
    }
}

/* The whole secret gives the value too: a 1-of-1 key with x and the same public key. */
static void test_value_is_that_of_the_whole_key(void **state)
{
    (void)state;
    struct dealer_key dealer = dealer_make(5, 3, 9);
    struct group_key whole = {.y = dealer.key.y, .n = 1, .t = 1, .share = {dealer.key.y}};
    struct dec_share shares[5], one;
    uint8_t a[32], b[32];
    shares_make(shares, &dealer, input);
    assert_int_equal(prf_share(&one, &dealer.key.y, input, 1, &dealer.x), OK);
    assert_int_equal(prf_share_check(&one, &whole, input), OK);
    assert_int_equal(prf_combine(a, &whole, input, &one, 1), OK);
    assert_int_equal(prf_combine(b, &dealer.key, input, shares + 2, 3), OK);
    assert_memory_equal(a, b, 32);
}

static void test_fewer_give_another_value(void **state)
{
    (void)state;
    struct dealer_key dealer = dealer_make(4, 3, 11);
    struct dec_share shares[4];
    uint8_t expected[32], guess[32];
    shares_make(shares, &dealer, input);
    assert_int_equal(prf_combine(expected, &dealer.key, input, shares, 3), OK);
    dealer.key.t = 2;
    assert_int_equal(prf_combine(guess, &dealer.key, input, shares, 2), OK);
    assert_memory_not_equal(expected, guess, 32);
}

static void test_share_bits(void **state)
{
    (void)state;
    struct dealer_key dealer = dealer_make(3, 2, 12);
    struct dec_share share;
    assert_int_equal(prf_share(&share, &dealer.key.y, input, 2, &dealer.share[1]), OK);
    for (uint32_t bit = 0; bit < 8 * 96; bit++) {
        struct dec_share s = share;
        uint8_t *at = bit < 256 ? s.d.bytes : bit < 512 ? s.e.bytes : s.f.bytes;
        at[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(prf_share_check(&s, &dealer.key, input), ERR_PROOF);
    }
    for (uint32_t bit = 0; bit < 256; bit++) {
        struct hash32 other = input;
        other.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(prf_share_check(&share, &dealer.key, other), ERR_PROOF);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct dealer_key dealer = dealer_make(3, 2, 13);
    struct dec_share s[3], bad;
    uint8_t out[32];
    shares_make(s, &dealer, input);
    bad = s[0];
    bad.index = 2;
    assert_int_equal(prf_share_check(&bad, &dealer.key, input), ERR_PROOF);
    bad.index = 0;
    assert_int_equal(prf_share_check(&bad, &dealer.key, input), ERR_RANGE);
    bad.index = 4;
    assert_int_equal(prf_share_check(&bad, &dealer.key, input), ERR_RANGE);
    bad = s[0];
    dealer_add_order(bad.f.bytes);
    assert_int_equal(prf_share_check(&bad, &dealer.key, input), ERR_PROOF);
    bad = s[0];
    memset(&bad.d, 0, 32);
    assert_int_equal(prf_share_check(&bad, &dealer.key, input), ERR_PROOF);
    s[1] = s[0];
    assert_int_equal(prf_combine(out, &dealer.key, input, s, 2), ERR_DUPLICATE);
    s[1].index = 0;
    assert_int_equal(prf_combine(out, &dealer.key, input, s, 2), ERR_RANGE);
    assert_int_equal(prf_share(&bad, &dealer.key.y, input, 0, &dealer.share[0]), ERR_RANGE);
    memset(&dealer.share[0], 0, 32);
    assert_int_equal(prf_share(&bad, &dealer.key.y, input, 1, &dealer.share[0]), ERR_KEY);
}

static void test_separation(void **state)
{
    (void)state;
    struct dealer_key a = dealer_make(2, 2, 14), b = dealer_make(2, 2, 15);
    struct dec_share s[2];
    struct hash32 other = {{1}};
    uint8_t value[3][32];
    shares_make(s, &a, input);
    assert_int_equal(prf_combine(value[0], &a.key, input, s, 2), OK);
    shares_make(s, &a, other);
    assert_int_equal(prf_combine(value[1], &a.key, other, s, 2), OK);
    shares_make(s, &b, input);
    assert_int_equal(prf_combine(value[2], &b.key, input, s, 2), OK);
    assert_int_equal(prf_share_check(&s[0], &a.key, input), ERR_PROOF);
    assert_memory_not_equal(value[0], value[1], 32);
    assert_memory_not_equal(value[0], value[2], 32);
}

/* A decryption share is no PRF share, even of one key: the suites differ. */
static void test_suites_do_not_mix(void **state)
{
    (void)state;
    struct dealer_key dealer = dealer_make(2, 2, 16);
    static const struct label label = {{0}};
    struct envelope envelope;
    struct dec_share share;
    uint8_t key[32] = {0};
    assert_int_equal(envelope_seal(&envelope, &dealer.key.y, &label, key), OK);
    assert_int_equal(envelope_share(&share, &envelope, &dealer.key.y, &label, 1, &dealer.share[0]), OK);
    assert_int_equal(prf_share_check(&share, &dealer.key, input), ERR_PROOF);
    assert_int_equal(prf_share(&share, &dealer.key.y, input, 1, &dealer.share[0]), OK);
    assert_int_equal(envelope_share_check(&share, &envelope, &dealer.key, &label), ERR_PROOF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_subset),
        cmocka_unit_test(test_value_is_that_of_the_whole_key),
        cmocka_unit_test(test_fewer_give_another_value),
        cmocka_unit_test(test_share_bits),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_separation),
        cmocka_unit_test(test_suites_do_not_mix),
    };
    if (crypto_init() != OK) return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
