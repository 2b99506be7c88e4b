/* crypto/cid: names that other tools give the same bytes, and one spelling each. */
#include "crypto/cid.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* From the multiformats tables with Python's hashlib and base64: "hello world" and "abc". */
static const char hello_text[] = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
static const char abc_text[] = "bafkr4ideg6z2yocgkez77nr3outtvdnvjdcvqrs5phnqh7jvtrwnlpm5qu";

static int set_up(void **state)
{
    (void)state;
    return crypto_init() == OK ? 0 : 1;
}

static void texts_known(void **state)
{
    struct cid hello = cid_make(CID_SHA256, sha256(SPAN_LITERAL("hello world")));
    struct cid abc = cid_make(CID_BLAKE3, blake3(SPAN_LITERAL("abc")));
    char text[CID_TEXT_CHARS + 1];
    (void)state;
    cid_text(text, &hello);
    assert_string_equal(text, hello_text);
    cid_text(text, &abc);
    assert_string_equal(text, abc_text);
}

static void parse_round_trip(void **state)
{
    struct hash32 digest = sha256(SPAN_LITERAL("x")), back;
    struct cid cid = cid_make(CID_BLAKE3, digest);
    enum cid_hash hash = CID_SHA256;
    (void)state;
    assert_int_equal(cid_parse(&hash, &back, SPAN_OF(cid.bytes)), OK);
    assert_int_equal(hash, CID_BLAKE3);
    assert_true(ID_EQUAL(back, digest));
}

static void bytes_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum err err;
    } cases[] = {
        {0, 0, ERR_VERSION}, {0, 0x12, ERR_VERSION}, {1, 0x70, ERR_KIND},
        {1, 0x71, ERR_KIND}, {2, 0x13, ERR_KIND},    {2, 0x92, ERR_KIND},
        {3, 31, ERR_RANGE},  {3, 33, ERR_RANGE},     {3, 0xa0, ERR_RANGE},
    };
    uint8_t bytes[CID_BYTES + 1] = {1, 0x55, 0x12, 0x20};
    struct hash32 digest;
    enum cid_hash hash;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t before = bytes[cases[i].at];
        bytes[cases[i].at] = cases[i].value;
        assert_int_equal(cid_parse(&hash, &digest, span_make(bytes, CID_BYTES)), cases[i].err);
        bytes[cases[i].at] = before;
    }
    assert_int_equal(cid_parse(&hash, &digest, span_make(bytes, CID_BYTES)), OK);
    assert_int_equal(cid_parse(&hash, &digest, span_make(bytes, CID_BYTES - 1)), ERR_TRUNCATED);
    assert_int_equal(cid_parse(&hash, &digest, span_make(bytes, CID_BYTES + 1)), ERR_TOO_LARGE);
    assert_int_equal(cid_parse(&hash, &digest, SPAN_NONE), ERR_TRUNCATED);
    expect_assert_failure(cid_make((enum cid_hash)0x13, (struct hash32){{0}}));
}

/* Change every character to every byte: what is still accepted is another CID with that very text. */
static void texts_have_one_spelling(void **state)
{
    char text[CID_TEXT_CHARS + 1];
    uint32_t accepted = 0;
    (void)state;
    for (size_t at = 0; at < CID_TEXT_CHARS; at++) {
        for (int c = 0; c < 256; c++) {
            struct cid cid;
            char again[CID_TEXT_CHARS + 1];
            memcpy(text, hello_text, sizeof text);
            text[at] = (char)c;
            if (cid_from_text(&cid, span_make(text, CID_TEXT_CHARS)) != OK) continue;
            cid_text(again, &cid);
            assert_memory_equal(again, text, CID_TEXT_CHARS);
            accepted++;
        }
    }
    /* Each place accepts what it holds; besides, digit 4 also the other hash, digit 6 and the last have three bits of
     * digest, and the 50 between them five. */
    assert_int_equal(accepted, 5 + 2 + 1 + 8 + 50 * 32 + 8);
}

static void text_lengths_refused(void **state)
{
    char text[CID_TEXT_CHARS + 2];
    struct cid cid;
    (void)state;
    memcpy(text, hello_text, CID_TEXT_CHARS);
    text[CID_TEXT_CHARS] = 'a';
    for (size_t len = 0; len <= CID_TEXT_CHARS + 1; len++)
        assert_int_equal(cid_from_text(&cid, span_make(text, len)), len == CID_TEXT_CHARS ? OK : ERR_SYNTAX);
    text[CID_TEXT_CHARS - 1] = 'f'; /* 'e' and a bit that is not part of the value */
    assert_int_equal(cid_from_text(&cid, span_make(text, CID_TEXT_CHARS)), ERR_NOT_CANONICAL);
}

static void check_compares(void **state)
{
    struct cid cid;
    (void)state;
    assert_int_equal(cid_from_text(&cid, span_text(hello_text)), OK);
    assert_int_equal(cid_check(&cid, SPAN_LITERAL("hello world")), OK);
    assert_int_equal(cid_check(&cid, SPAN_LITERAL("hello worle")), ERR_HASH);
    assert_int_equal(cid_from_text(&cid, span_text(abc_text)), OK);
    assert_int_equal(cid_check(&cid, SPAN_LITERAL("abc")), OK);
    assert_int_equal(cid_check(&cid, SPAN_NONE), ERR_HASH);
    cid.bytes[2] = CID_SHA256; /* the same digest under the other hash */
    assert_int_equal(cid_check(&cid, SPAN_LITERAL("abc")), ERR_HASH);
    cid.bytes[2] = 0;
    assert_int_equal(cid_check(&cid, SPAN_LITERAL("abc")), ERR_KIND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_known),          cmocka_unit_test(parse_round_trip),
        cmocka_unit_test(bytes_refused),        cmocka_unit_test(texts_have_one_spelling),
        cmocka_unit_test(text_lengths_refused), cmocka_unit_test(check_compares),
    };
    return cmocka_run_group_tests_name("crypto/cid", tests, set_up, NULL);
}
