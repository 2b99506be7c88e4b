/* crypto/kdf: RFC 5869's test cases, and SHA-512 expansion against Python's hmac. */
#include "crypto/kdf.h"
#include "crypto/secret.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int set_up(void **state)
{
    (void)state;
    return crypto_init() == OK ? 0 : 1;
}

/* Bytes from, from+1, ... */
static struct span run_of(uint8_t *out, uint8_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) out[i] = (uint8_t)(from + i);
    return span_make(out, len);
}

static void assert_hex(const uint8_t *actual, size_t len, const char *hex)
{
    uint8_t expected[256];
    assert_true(len <= sizeof expected);
    assert_int_equal(hex_decode(expected, len, span_text(hex)), OK);
    assert_memory_equal(actual, expected, len);
}

static void rfc5869_basic(void **state)
{
    uint8_t ikm[22], salt[13], info[10], okm[42];
    (void)state;
    memset(ikm, 0x0b, sizeof ikm);
    hkdf_sha256(okm, sizeof okm, run_of(salt, 0, 13), SPAN_OF(ikm), run_of(info, 0xf0, 10));
    assert_hex(okm, sizeof okm,
               "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

static void rfc5869_long(void **state)
{
    uint8_t ikm[80], salt[80], info[80], okm[82];
    (void)state;
    hkdf_sha256(okm, sizeof okm, run_of(salt, 0x60, 80), run_of(ikm, 0, 80), run_of(info, 0xb0, 80));
    assert_hex(
        okm, sizeof okm,
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

static void rfc5869_empty(void **state)
{
    uint8_t ikm[22], okm[42];
    (void)state;
    memset(ikm, 0x0b, sizeof ikm);
    hkdf_sha256(okm, sizeof okm, SPAN_NONE, SPAN_OF(ikm), SPAN_NONE);
    assert_hex(okm, sizeof okm,
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void expand_sha512_known(void **state)
{
    uint8_t prk[64], okm[128];
    (void)state;
    hkdf_expand_sha512(okm, 76, run_of(prk, 0, 32), SPAN_LITERAL("perigee/body/v1"));
    assert_hex(okm, 76,
               "f5c2dfb131a823501f41896da7b53059091d9be0d0d456993a86d3b2f71ca2257d6dec4407eeacfe1aab68bd8d950"
               "894ca2fcad1"
               "f33e468315116e4d4a3b24d490d07995a9f6c7de040d822c");
    hkdf_expand_sha512(okm, 128, run_of(prk, 0, 64), SPAN_NONE);
    assert_hex(okm, 128,
               "d01b766d4671ca874e759a77050d467b6b9d7911fd4f7c7bbf84fd2a0927e9d738f502d75160668b1f036b1e45773"
               "822ff98926551"
               "972ff55090b77b39fb41c09f9f83e4bddedc1321020eda2d9841b85e47e7381a0ee2139fffac87b38e475674301fe"
               "47cd0d49acd50"
               "fe5b3ae6de17a98bb0c796ae92302a1a87d5d951fed2");
}

/* A shorter output is the beginning of a longer one, up to the limit of 255 blocks and not beyond. */
static void expand_lengths(void **state)
{
    static uint8_t whole[255 * 64], part[255 * 64];
    uint8_t prk[64];
    (void)state;
    hkdf_expand_sha512(whole, sizeof whole, run_of(prk, 9, 64), SPAN_LITERAL("info"));
    for (size_t len = 0; len < 200; len++) {
        memset(part, 0xee, sizeof part);
        hkdf_expand_sha512(part, len, run_of(prk, 9, 64), SPAN_LITERAL("info"));
        assert_memory_equal(part, whole, len);
        assert_int_equal(part[len], 0xee);
    }
    expect_assert_failure(hkdf_expand_sha512(whole, 255 * 64 + 1, SPAN_OF(prk), SPAN_NONE));
    expect_assert_failure(hkdf_sha256(whole, 255 * 32 + 1, SPAN_NONE, SPAN_OF(prk), SPAN_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc5869_basic),  cmocka_unit_test(rfc5869_long),
        cmocka_unit_test(rfc5869_empty),  cmocka_unit_test(expand_sha512_known),
        cmocka_unit_test(expand_lengths),
    };
    return cmocka_run_group_tests_name("crypto/kdf", tests, set_up, NULL);
}
