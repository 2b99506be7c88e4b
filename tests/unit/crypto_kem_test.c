/* crypto/kem: a box made by a second implementation, round trips, and everything that must not open. */
#include "crypto/kem.h"
#include "crypto/secret.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CONTEXT SPAN_LITERAL("perigee/test/v1")

static int set_up(void **state)
{
    (void)state;
    return crypto_init() == OK ? 0 : 1;
}

static void box_known(void **state)
{
    struct kem_secret own;
    uint8_t box[64], plain[16];
    (void)state; /* from PROTOCOL.md with Python's cryptography; ephemeral secret 22..22 */
    memset(own.bytes, 0x11, sizeof own.bytes);
    assert_int_equal(
        hex_decode(box, 64,
                   SPAN_LITERAL("0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"
                                "83358edb9eda061ac2c991044bb969b5b3ad0ab293301027dc184820fed8bd29")),
        OK);
    assert_int_equal(kem_open(plain, &own, SPAN_OF(box), CONTEXT), OK);
    assert_memory_equal(plain, "a share of a key", 16);
}

static void round_trips(void **state)
{
    static uint8_t plain[5000], box[5000 + KEM_OVERHEAD_BYTES], back[5001];
    static const size_t lens[] = {0, 1, 15, 16, 17, 32, 1000, 5000};
    struct kem_secret own;
    struct kem_public public;
    (void)state;
    kem_generate(&own, &public);
    random_fill(plain, sizeof plain);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        size_t len = lens[i];
        memset(back, 0xee, sizeof back);
        assert_int_equal(kem_seal(box, &public, span_make(plain, len), CONTEXT), OK);
        assert_int_equal(kem_open(back, &own, span_make(box, len + KEM_OVERHEAD_BYTES), CONTEXT), OK);
        assert_memory_equal(back, plain, len);
        assert_int_equal(back[len], 0xee);
    }
}

static void public_matches(void **state)
{
    struct kem_secret own;
    struct kem_public a, b;
    (void)state;
    kem_generate(&own, &a);
    kem_public_of(&b, &own);
    assert_memory_equal(a.bytes, b.bytes, 32);
}

static void boxes_differ(void **state)
{
    struct kem_secret own;
    struct kem_public public;
    uint8_t a[4 + KEM_OVERHEAD_BYTES], b[4 + KEM_OVERHEAD_BYTES];
    (void)state;
    kem_generate(&own, &public);
    assert_int_equal(kem_seal(a, &public, SPAN_LITERAL("same"), CONTEXT), OK);
    assert_int_equal(kem_seal(b, &public, SPAN_LITERAL("same"), CONTEXT), OK);
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a + 32, b + 32, 20);
}

static void assert_refused(const struct kem_secret *own, struct span box, struct span context,
                           enum err expected)
{
    static const uint8_t zero[64];
    uint8_t plain[64];
    memset(plain, 0xee, sizeof plain);
    assert_int_equal(kem_open(plain, own, box, context), expected);
    if (expected != ERR_TRUNCATED) assert_memory_equal(plain, zero, box.len - KEM_OVERHEAD_BYTES);
}

static void changes_are_refused(void **state)
{
    struct kem_secret own, other;
    struct kem_public public, other_public;
    uint8_t box[20 + KEM_OVERHEAD_BYTES];
    (void)state;
    kem_generate(&own, &public);
    kem_generate(&other, &other_public);
    assert_int_equal(kem_seal(box, &public, SPAN_LITERAL("twenty bytes of text"), CONTEXT), OK);
    for (size_t i = 0; i < sizeof box; i++) {
        if (i == 31) continue; /* its top bit is not part of a coordinate: tested next */
        box[i] ^= 1;
        assert_refused(&own, SPAN_OF(box), CONTEXT, ERR_DECRYPT);
        box[i] ^= 1;
    }
    box[31] ^= 0x80; /* X25519 ignores the bit, but it is bound into the key */
    assert_refused(&own, SPAN_OF(box), CONTEXT, ERR_DECRYPT);
    box[31] ^= 0x80;
    for (size_t len = 0; len < sizeof box; len++)
        assert_refused(&own, span_make(box, len), CONTEXT,
                       len < KEM_OVERHEAD_BYTES ? ERR_TRUNCATED : ERR_DECRYPT);
    assert_refused(&other, SPAN_OF(box), CONTEXT, ERR_DECRYPT);
    assert_refused(&own, SPAN_OF(box), SPAN_NONE, ERR_DECRYPT);
    assert_refused(&own, SPAN_OF(box), SPAN_LITERAL("perigee/test/v2"), ERR_DECRYPT);
}

/* RFC 7748: inputs of small order give zero whatever the secret is. */
static void small_order_is_refused(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct kem_secret own;
    struct kem_public public;
    uint8_t box[8 + KEM_OVERHEAD_BYTES] = {0};
    (void)state;
    kem_generate(&own, &public);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        assert_int_equal(hex_decode(public.bytes, 32, span_text(points[i])), OK);
        assert_int_equal(kem_seal(box, &public, SPAN_LITERAL("12345678"), CONTEXT), ERR_KEY);
        memcpy(box, public.bytes, 32);
        assert_refused(&own, SPAN_OF(box), CONTEXT, ERR_KEY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(box_known),           cmocka_unit_test(round_trips),
        cmocka_unit_test(public_matches),      cmocka_unit_test(boxes_differ),
        cmocka_unit_test(changes_are_refused), cmocka_unit_test(small_order_is_refused),
    };
    return cmocka_run_group_tests_name("crypto/kem", tests, set_up, NULL);
}
