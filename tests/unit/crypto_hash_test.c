/* crypto/hash: published vectors, every way to split a stream, and the framing against a second implementation. */
#include "crypto/hash.h"
#include "crypto/secret.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint8_t pattern[102400]; /* BLAKE3's published input: byte i is i mod 251 */

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (uint8_t)(i % 251);
    return crypto_init() == OK ? 0 : 1;
}

static void assert_hash(struct hash32 actual, const char *hex)
{
    uint8_t expected[32];
    assert_int_equal(hex_decode(expected, 32, span_text(hex)), OK);
    assert_memory_equal(actual.bytes, expected, 32);
}

static void sha256_known(void **state)
{
    (void)state; /* FIPS 180-4 examples */
    assert_hash(sha256(SPAN_NONE), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_hash(sha256(SPAN_LITERAL("abc")),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_hash(sha256(SPAN_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void sha512_known(void **state)
{
    uint8_t expected[64], actual[64];
    (void)state;
    assert_int_equal(
        hex_decode(expected, 64,
                   SPAN_LITERAL("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")),
        OK);
    sha512(actual, SPAN_LITERAL("abc"));
    assert_memory_equal(actual, expected, 64);
}

static void blake3_known(void **state)
{
    static const struct {
        size_t len;
        const char *hex;
    } known[] = {
        {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
        {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
        {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
        {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
        {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
        {102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_hash(blake3(span_make(pattern, known[i].len)), known[i].hex);
    assert_hash(blake3(SPAN_LITERAL("abc")),
                "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
}

static void blake3_derive_known(void **state)
{
    static const char context[] = "BLAKE3 2019-12-27 16:29:52 test vectors context";
    struct hash32 derived = blake3_derive(context, SPAN_NONE), plain = blake3(SPAN_NONE);
    (void)state;
    assert_hash(derived, "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d");
    assert_false(ID_EQUAL(derived, plain));
}

static void sha256_stream_splits(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 200; len += 7) {
        struct hash32 whole = sha256(span_make(pattern, len));
        for (size_t cut = 0; cut <= len; cut++) {
            struct sha256_stream s;
            sha256_begin(&s);
            sha256_add(&s, span_make(pattern, cut));
            sha256_add(&s, SPAN_NONE);
            sha256_add(&s, span_make(pattern + cut, len - cut));
            assert_true(ID_EQUAL(sha256_end(&s), whole));
        }
    }
}

static void framed_known(void **state)
{
    (void)state; /* computed with Python's hashlib from PROTOCOL.md */
    assert_hash(HASH_FRAMED("perigee/test/v1", SPAN_LITERAL("ab"), SPAN_NONE, SPAN_LITERAL("c")),
                "d2369b33faf9740a416d9aa01eda3774f63ae6226afedf9e50fb34199f1123e0");
    assert_hash(hash_framed("perigee/test/v1", NULL, 0),
                "9034380c643db46105e7d52f101191eaa705ad44b73636acdb8b747e3f94fd9b");
}

static void framed_separates(void **state)
{
    struct hash32 a = HASH_FRAMED("x", SPAN_LITERAL("ab"), SPAN_LITERAL("c"));
    (void)state;
    assert_false(ID_EQUAL(a, HASH_FRAMED("x", SPAN_LITERAL("a"), SPAN_LITERAL("bc"))));
    assert_false(ID_EQUAL(a, HASH_FRAMED("x", SPAN_LITERAL("abc"))));
    assert_false(ID_EQUAL(a, HASH_FRAMED("x", SPAN_LITERAL("ab"), SPAN_LITERAL("c"), SPAN_NONE)));
    assert_false(ID_EQUAL(a, HASH_FRAMED("y", SPAN_LITERAL("ab"), SPAN_LITERAL("c"))));
    assert_true(ID_EQUAL(a, HASH_FRAMED("x", SPAN_LITERAL("ab"), SPAN_LITERAL("c"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known),         cmocka_unit_test(sha512_known),
        cmocka_unit_test(blake3_known),         cmocka_unit_test(blake3_derive_known),
        cmocka_unit_test(sha256_stream_splits), cmocka_unit_test(framed_known),
        cmocka_unit_test(framed_separates),
    };
    return cmocka_run_group_tests_name("crypto/hash", tests, set_up, NULL);
}
