/* Envelopes: which sets of shares open one, and that nothing altered is taken. */
#include "crypto/secret.h"
#include "tests/dealer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t data_key[32] = "the data key of a sealed dataset";

struct fixture {
    struct dealer_key dealer;
    struct label label;
    struct envelope envelope;
    struct dec_share share[COMMITTEE_MAX];
};

static struct label label_of(uint8_t mark)
{
    struct hash32 root = {{mark}}, policy = {{6}};
    struct dt app = {{2}};
    struct compose_hash compose = {{3}};
    struct node_id owner = {{4}};
    struct content_id content = {{5}};
    return label_make(root, app, compose, owner, content, policy);
}

static void fixture_make(struct fixture *f, uint32_t n, uint32_t t)
{
    f->dealer = dealer_make(n, t, 1000 * n + t);
    f->label = label_of(1);
    assert_int_equal(envelope_seal(&f->envelope, &f->dealer.key.y, &f->label, data_key), OK);
    for (uint32_t i = 1; i <= n; i++)
        assert_int_equal(envelope_share(&f->share[i - 1], &f->envelope, &f->dealer.key.y, &f->label, i,
                                        &f->dealer.share[i - 1]),
                         OK);
}

static enum err open_with(const struct fixture *f, const struct dec_share *shares, uint32_t count)
{
    uint8_t opened[32];
    enum err err = envelope_open(opened, &f->envelope, &f->dealer.key, &f->label, shares, count);
    if (err == OK) assert_memory_equal(opened, data_key, 32);
    return err;
}

static uint32_t subset(struct dec_share *out, const struct dec_share *shares, uint32_t mask)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < 32; i++)
        if (mask >> i & 1) out[count++] = shares[i];
    return count;
}

static void test_every_subset(void **state)
{
    (void)state;
    struct fixture f;
    struct dec_share chosen[8];
    for (uint32_t n = 1; n <= 6; n++) {
        for (uint32_t t = 1; t <= n; t++) {
            fixture_make(&f, n, t);
            for (uint32_t mask = 0; mask < 1u << n; mask++) {
                uint32_t count = subset(chosen, f.share, mask);
                assert_int_equal(open_with(&f, chosen, count), count >= t ? OK : ERR_NOT_READY);
            }
        }
    }
}

/* Not the count refuses t-1 shares, the arithmetic does: a key that claims t-1 opens nothing. */
static void test_too_few_shares_hold_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct dec_share chosen[8];
    fixture_make(&f, 7, 4);
    f.dealer.key.t = 3;
    for (uint32_t mask = 0; mask < 1u << 7; mask++)
        if (subset(chosen, f.share, mask) == 3) assert_int_equal(open_with(&f, chosen, 3), ERR_DECRYPT);
}

static void test_shares_check(void **state)
{
    (void)state;
    struct fixture f;
    for (uint32_t n = 1; n <= 7; n++) {
        fixture_make(&f, n, (n + 1) / 2);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(envelope_share_check(&f.share[i], &f.envelope, &f.dealer.key, &f.label), OK);
    }
}

static void test_largest_committee(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_make(&f, COMMITTEE_MAX, COMMITTEE_MAX);
    assert_int_equal(open_with(&f, f.share, COMMITTEE_MAX), OK);
    assert_int_equal(open_with(&f, f.share, COMMITTEE_MAX - 1), ERR_NOT_READY);
}

static void test_indices(void **state)
{
    (void)state;
    struct fixture f;
    struct dec_share bad[3], *s = bad;
    fixture_make(&f, 5, 3);
    const struct group_key *key = &f.dealer.key;
    memcpy(bad, f.share, sizeof bad);
    bad[2] = bad[0];
    assert_int_equal(open_with(&f, bad, 3), ERR_DUPLICATE);
    bad[2].index = 0;
    assert_int_equal(open_with(&f, bad, 3), ERR_RANGE);
    assert_int_equal(envelope_share_check(&s[2], &f.envelope, key, &f.label), ERR_RANGE);
    bad[2].index = 6;
    assert_int_equal(open_with(&f, bad, 3), ERR_RANGE);
    assert_int_equal(envelope_share_check(&s[2], &f.envelope, key, &f.label), ERR_RANGE);
    bad[2] = f.share[2];
    bad[2].index = 4; /* somebody else's place */
    assert_int_equal(envelope_share_check(&s[2], &f.envelope, key, &f.label), ERR_PROOF);
    assert_int_equal(open_with(&f, bad, 3), ERR_DECRYPT);
    assert_int_equal(envelope_share(&s[0], &f.envelope, &key->y, &f.label, 0, &f.dealer.share[0]), ERR_RANGE);
    assert_int_equal(
        envelope_share(&s[0], &f.envelope, &key->y, &f.label, COMMITTEE_MAX + 1, &f.dealer.share[0]),
        ERR_RANGE);
    f.dealer.key.t = 6;
    assert_int_equal(open_with(&f, f.share, 5), ERR_RANGE);
    f.dealer.key.t = 0;
    assert_int_equal(open_with(&f, f.share, 5), ERR_RANGE);
}

/* A repetition behind the first t is refused as well: a caller that counts to t must not be fooled. */
static void test_duplicate_behind_threshold(void **state)
{
    (void)state;
    struct fixture f;
    struct dec_share chosen[4];
    fixture_make(&f, 5, 3);
    memcpy(chosen, f.share, sizeof chosen);
    chosen[3] = chosen[1];
    assert_int_equal(open_with(&f, chosen, 4), ERR_DUPLICATE);
}

static void test_envelope_bits(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f, 3, 2);
    for (uint32_t bit = 0; bit < 8 * ENVELOPE_BYTES; bit++) {
        struct envelope flipped = f.envelope;
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(envelope_check(&flipped, &f.dealer.key.y, &f.label), ERR_PROOF);
    }
    for (uint32_t bit = 0; bit < 8 * ENVELOPE_BYTES; bit += 7) {
        struct envelope flipped = f.envelope;
        struct dec_share out;
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(envelope_share_check(&f.share[0], &flipped, &f.dealer.key, &f.label), ERR_PROOF);
        assert_int_equal(envelope_share(&out, &flipped, &f.dealer.key.y, &f.label, 1, &f.dealer.share[0]),
                         ERR_PROOF);
    }
}

static void test_label_bits(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t opened[32];
    fixture_make(&f, 3, 2);
    for (uint32_t bit = 0; bit < 8 * LABEL_BYTES; bit++) {
        struct label flipped = f.label;
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(envelope_check(&f.envelope, &f.dealer.key.y, &flipped), ERR_PROOF);
        if (bit % 7 != 0) continue;
        assert_int_equal(envelope_share_check(&f.share[0], &f.envelope, &f.dealer.key, &flipped), ERR_PROOF);
        assert_int_equal(envelope_open(opened, &f.envelope, &f.dealer.key, &flipped, f.share, 2),
                         ERR_DECRYPT);
    }
}

static void test_share_bits(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f, 3, 2);
    for (uint32_t bit = 0; bit < 8 * 96; bit++) {
        struct dec_share s = f.share[1];
        uint8_t *at = bit < 256 ? s.d.bytes : bit < 512 ? s.e.bytes : s.f.bytes;
        at[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(envelope_share_check(&s, &f.envelope, &f.dealer.key, &f.label), ERR_PROOF);
    }
}

/* The library underneath takes s + q for s; then every proof would have a second valid form. */
static void test_non_canonical_scalars(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f, 3, 2);
    for (uint32_t field = 2; field < 4; field++) { /* e and f of the envelope */
        struct envelope second = f.envelope;
        dealer_add_order(second.bytes + 32 * field);
        assert_int_equal(envelope_check(&second, &f.dealer.key.y, &f.label), ERR_PROOF);
    }
    struct dec_share s = f.share[0];
    dealer_add_order(s.f.bytes);
    assert_int_equal(envelope_share_check(&s, &f.envelope, &f.dealer.key, &f.label), ERR_PROOF);
    s = f.share[0];
    dealer_add_order(s.e.bytes);
    assert_int_equal(envelope_share_check(&s, &f.envelope, &f.dealer.key, &f.label), ERR_PROOF);
    dealer_add_order(f.dealer.share[0].bytes);
    assert_int_equal(envelope_share(&s, &f.envelope, &f.dealer.key.y, &f.label, 1, &f.dealer.share[0]),
                     ERR_KEY);
    memset(&f.dealer.share[0], 0, 32);
    assert_int_equal(envelope_share(&s, &f.envelope, &f.dealer.key.y, &f.label, 1, &f.dealer.share[0]),
                     ERR_KEY);
}

/* The identity and encodings that decode to no point or to another's point. */
static void test_bad_points(void **state)
{
    (void)state;
    static const struct point bad[] = {
        {{0}},
        {{1}}, /* negative */
        {{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}}, /* p */
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    };
    struct fixture f;
    fixture_make(&f, 3, 2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct envelope e = f.envelope;
        struct dec_share shares[2] = {f.share[0], f.share[1]};
        struct group_key key = f.dealer.key;
        assert_false(group_point_ok(&bad[i]));
        assert_int_equal(envelope_seal(&e, &bad[i], &f.label, data_key), ERR_KEY);
        assert_int_equal(envelope_check(&f.envelope, &bad[i], &f.label), ERR_PROOF);
        memcpy(e.bytes, bad[i].bytes, 32);
        assert_int_equal(envelope_check(&e, &key.y, &f.label), ERR_PROOF);
        e = f.envelope;
        memcpy(e.bytes + 32, bad[i].bytes, 32);
        assert_int_equal(envelope_check(&e, &key.y, &f.label), ERR_PROOF);
        shares[1].d = bad[i];
        assert_int_equal(envelope_share_check(&shares[1], &f.envelope, &key, &f.label), ERR_PROOF);
        assert_int_equal(open_with(&f, shares, 2), ERR_PROOF);
        key.share[0] = bad[i];
        assert_int_equal(envelope_share_check(&f.share[0], &f.envelope, &key, &f.label), ERR_PROOF);
    }
}

/* With e = f = 0 and identities everywhere every equation of the proof would hold. */
static void test_zero_envelope(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f, 3, 2);
    memset(f.envelope.bytes, 0, sizeof f.envelope.bytes);
    assert_int_equal(envelope_check(&f.envelope, &f.dealer.key.y, &f.label), ERR_PROOF);
    struct dec_share zero = {.index = 1};
    assert_int_equal(envelope_share_check(&zero, &f.envelope, &f.dealer.key, &f.label), ERR_PROOF);
}

static void test_foreign_shares(void **state)
{
    (void)state;
    struct fixture f, g;
    fixture_make(&f, 4, 3);
    fixture_make(&g, 4, 3); /* same key, another envelope: sealing is randomised */
    assert_memory_not_equal(f.envelope.bytes, g.envelope.bytes, ENVELOPE_BYTES);
    assert_int_equal(envelope_share_check(&g.share[0], &f.envelope, &f.dealer.key, &f.label), ERR_PROOF);
    f.share[1] = g.share[1];
    assert_int_equal(open_with(&f, f.share, 3), ERR_DECRYPT);
    struct dealer_key other = dealer_make(4, 3, 77);
    assert_int_equal(envelope_check(&f.envelope, &other.key.y, &f.label), ERR_PROOF);
    assert_int_equal(envelope_share_check(&f.share[0], &f.envelope, &other.key, &f.label), ERR_PROOF);
    struct hash32 a = group_key_id(&f.dealer.key.y), b = group_key_id(&other.key.y);
    assert_memory_not_equal(a.bytes, b.bytes, 32);
}

static void test_failed_open_leaves_nothing(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t opened[32], zero[32] = {0};
    fixture_make(&f, 3, 2);
    memset(opened, 0xaa, sizeof opened);
    f.envelope.bytes[ENVELOPE_BYTES - 1] ^= 1;
    assert_int_equal(envelope_open(opened, &f.envelope, &f.dealer.key, &f.label, f.share, 2), ERR_DECRYPT);
    assert_memory_equal(opened, zero, 32);
}

static void test_deterministic(void **state)
{
    (void)state;
    struct fixture f;
    struct dec_share again;
    struct envelope a, b;
    uint8_t entropy[64];
    fixture_make(&f, 3, 2);
    assert_int_equal(envelope_share(&again, &f.envelope, &f.dealer.key.y, &f.label, 2, &f.dealer.share[1]),
                     OK);
    assert_memory_equal(&again, &f.share[1], sizeof again);
    dealer_bytes(entropy, 5, 5);
    assert_int_equal(envelope_seal_from(&a, &f.dealer.key.y, &f.label, data_key, entropy), OK);
    assert_int_equal(envelope_seal_from(&b, &f.dealer.key.y, &f.label, data_key, entropy), OK);
    assert_memory_equal(a.bytes, b.bytes, ENVELOPE_BYTES);
    memset(entropy, 0, sizeof entropy);
    assert_int_equal(envelope_seal_from(&a, &f.dealer.key.y, &f.label, data_key, entropy), ERR_KEY);
}

static void test_label_layout(void **state)
{
    (void)state;
    struct label label = label_of(1);
    assert_int_equal(label.bytes[0], 0);
    assert_int_equal(label.bytes[1], 1);
    for (uint8_t part = 0; part < 6; part++) {
        assert_int_equal(label.bytes[2 + 32 * part], part + 1);
        assert_int_equal(label.bytes[2 + 32 * part + 31], 0);
    }
}

static void test_scalars(void **state)
{
    (void)state;
    uint8_t s[32] = {0}, q[32] = {0};
    dealer_add_order(q);
    assert_true(group_scalar_ok(s));
    assert_false(group_scalar_ok(q));
    q[0]--;
    assert_true(group_scalar_ok(q));
    q[0] += 2;
    assert_false(group_scalar_ok(q));
    memset(s, 0xff, 32);
    assert_false(group_scalar_ok(s));
    uint32_t index[3] = {1, 2, 2};
    struct scalar lambda[3];
    assert_int_equal(group_lagrange(lambda, index, 3), ERR_DUPLICATE);
    index[2] = 0;
    assert_int_equal(group_lagrange(lambda, index, 3), ERR_RANGE);
    assert_int_equal(group_lagrange(lambda, index, 0), ERR_RANGE);
}

/* The coefficients are those that give a known polynomial's value at zero, for few and many indices, near and far ones. */
static void lagrange_gives_zero(const uint32_t *index, uint32_t count)
{
    struct scalar lambda[THRESHOLD_MAX], coefficient[THRESHOLD_MAX];
    uint8_t sum[32] = {0}, value[32], x[32], wide[64];
    for (uint32_t k = 0; k < count; k++) {
        dealer_bytes(wide, 77, k);
        group_reduce(coefficient[k].bytes, wide);
    }
    assert_int_equal(group_lagrange(lambda, index, count), OK);
    for (uint32_t i = 0; i < count; i++) {
        group_scalar_from_u32(x, index[i]);
        memcpy(value, coefficient[count - 1].bytes, 32);
        for (uint32_t k = count - 1; k-- > 0;) group_scalar_mul_add(value, value, x, coefficient[k].bytes);
        group_scalar_mul_add(sum, lambda[i].bytes, value, sum);
        assert_true(group_scalar_ok(lambda[i].bytes));
    }
    assert_memory_equal(sum, coefficient[0].bytes, 32);
}

static void test_lagrange(void **state)
{
    (void)state;
    static const uint32_t far[] = {UINT32_MAX, 1, UINT32_MAX - 1, 2, 0x80000000, 0x7fffffff, 4294967291u, 3};
    uint32_t index[THRESHOLD_MAX];
    for (uint32_t count = 1; count <= THRESHOLD_MAX; count++) {
        for (uint32_t i = 0; i < count; i++) index[i] = i + 1;
        lagrange_gives_zero(index, count);
        for (uint32_t i = 0; i < count; i++) index[i] = THRESHOLD_MAX - i; /* downwards */
        lagrange_gives_zero(index, count);
        for (uint32_t i = 0; i < count; i++) index[i] = 1 + i * UINT32_C(134217689);
        lagrange_gives_zero(index, count);
    }
    for (uint32_t count = 1; count <= sizeof far / sizeof far[0]; count++) lagrange_gives_zero(far, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_subset),   cmocka_unit_test(test_too_few_shares_hold_nothing),
        cmocka_unit_test(test_shares_check),   cmocka_unit_test(test_largest_committee),
        cmocka_unit_test(test_indices),        cmocka_unit_test(test_duplicate_behind_threshold),
        cmocka_unit_test(test_envelope_bits),  cmocka_unit_test(test_label_bits),
        cmocka_unit_test(test_share_bits),     cmocka_unit_test(test_non_canonical_scalars),
        cmocka_unit_test(test_bad_points),     cmocka_unit_test(test_zero_envelope),
        cmocka_unit_test(test_foreign_shares), cmocka_unit_test(test_failed_open_leaves_nothing),
        cmocka_unit_test(test_deterministic),  cmocka_unit_test(test_label_layout),
        cmocka_unit_test(test_scalars),        cmocka_unit_test(test_lagrange),
    };
    if (crypto_init() != OK) return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
