/* The ChaCha20 stream against RFC 8439 appendix A.1, and its own promises: no seam between calls, an end, a
 * wipe. */
#include "crypto/secret.h"
#include "crypto/stream.h"
#include "proto/base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Test vectors 1, 2 (key 0, blocks 0 and 1) and 3 (key 0..01, block 1): ours are nonce 0, counting from 0. */
static const char zero_key_blocks[] = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                                      "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
                                      "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
                                      "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";
static const char one_key_block_1[] = "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
                                      "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0";

static void expect_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    uint8_t expected[128];
    assert_int_equal(hex_decode(expected, len, span_text(hex)), OK);
    assert_memory_equal(bytes, expected, len);
}

static void rfc8439(void **state)
{
    uint8_t key[32] = {0};
    uint8_t bytes[128];
    struct stream s;
    (void)state;
    stream_open(&s, key);
    stream_fill(&s, bytes, sizeof bytes);
    expect_hex(bytes, 128, zero_key_blocks);
    stream_close(&s);
    key[31] = 1;
    stream_open(&s, key);
    stream_fill(&s, bytes, sizeof bytes);
    expect_hex(bytes + 64, 64, one_key_block_1);
    stream_close(&s);
}

static void calls_have_no_seams(void **state)
{
    static uint8_t whole[5000];
    uint8_t piece[700];
    uint8_t key[32];
    struct stream s;
    (void)state;
    memset(key, 7, sizeof key);
    stream_open(&s, key);
    stream_fill(&s, whole, sizeof whole);
    stream_close(&s);
    stream_open(&s, key);
    size_t at = 0;
    for (size_t len = 0; at + len <= sizeof whole - 8; len = (len * 5 + 3) % sizeof piece) {
        stream_fill(&s, piece, len);
        assert_memory_equal(piece, whole + at, len);
        at += len;
        assert_int_equal(stream_u64(&s), load_u64_le(whole + at));
        at += 8;
    }
    assert_true(at > sizeof whole / 2);
    stream_close(&s);
}

static void ends_with_the_counter(void **state)
{
    uint8_t key[32] = {0};
    uint8_t last[STREAM_BUFFER_BYTES];
    struct stream s;
    (void)state;
    stream_open(&s, key);
    s.counter = (UINT64_C(1) << 32) - STREAM_BUFFER_BYTES / 64;
    stream_fill(&s, last, sizeof last);
    expect_assert_failure(stream_u64(&s)); /* never back to block 0 */
    stream_close(&s);
}

static void close_wipes(void **state)
{
    uint8_t key[32];
    struct stream s;
    static const struct stream zero;
    (void)state;
    memset(key, 9, sizeof key);
    stream_open(&s, key);
    (void)stream_u64(&s);
    stream_close(&s);
    assert_memory_equal(&s, &zero, sizeof s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8439),
        cmocka_unit_test(calls_have_no_seams),
        cmocka_unit_test(ends_with_the_counter),
        cmocka_unit_test(close_wipes),
    };
    if (crypto_init() != OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
