/* crypto/noise: a published vector, two live sides, and what a peer may get wrong. */
#include "crypto/kem.h"
#include "crypto/noise.h"
#include "crypto/secret.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char handshake_hash[] = "8cf47d7b3cb5804c0109d48e8bcdbee2cbb65687d8ea2c92994ca361fb86151a"
                                     "d93627b98936cbb32de56e8abb21def3925011ac3e35db9cbeea73ab9a4392c2";
/* The cacophony collection, Noise_XX_25519_ChaChaPoly_BLAKE2b. */
static const struct {
    const char *payload, *ciphertext;
} messages[] = {
    {"4c756477696720766f6e204d69736573",
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573"},
    {"4d757272617920526f746862617264",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088430505b6745ce64a5f33f0e8e3b83f11ce8802"
     "bca507f4f2d8b564dbe277e1966116e132faa2dfd70b8b077b9f94b913df5056ae1319469b824a98d54bbaa82c3255955870"
     "64f978c4b6d104f7596e6f"},
    {"462e20412e20486179656b",
     "99579e1c1ee15e422a57ddd6b16d37087b17558e8369c18991b4b2ca3a824abf904cdcf5458b5431a75af034ca9e9b982de0"
     "39eaaf156775e2d580cd4e5ebae89c3f8cb2594b556d8a8169"},
    {"4361726c204d656e676572", "fc56eea290b3f3a21aac0c70cd5787b5ee99be37d2f4d751329b55"},
    {"4a65616e2d426170746973746520536179",
     "bb31c9da10d5639a4cdb88a12f5c61de41bbc7df09bf75d94f8184fe4157f5c68f"},
    {"457567656e2042f6686d20766f6e2042617765726b",
     "f6199cadb152fb27f82be0a0891ec76a33598ae92a46cab2fb5a8ed5bf48b7f267f8370af7"},
};

struct pair {
    struct noise *initiator, *responder;
    struct kem_secret initiator_static, responder_static;
};

static uint8_t wire_bytes[NOISE_MESSAGE_MAX + 1], payload_bytes[NOISE_MESSAGE_MAX + 1],
    big[NOISE_MESSAGE_MAX + 1];

static int set_up(void **state)
{
    (void)state;
    return crypto_init() == OK ? 0 : 1;
}

static void from_hex(void *out, size_t len, const char *hex)
{
    assert_int_equal(hex_decode(out, len, span_text(hex)), OK);
}

static struct pair pair_make(struct span initiator_prologue, struct span responder_prologue)
{
    struct pair p;
    struct kem_public ignored;
    kem_generate(&p.initiator_static, &ignored);
    kem_generate(&p.responder_static, &ignored);
    assert_int_equal(noise_new(&p.initiator, true, &p.initiator_static, initiator_prologue), OK);
    assert_int_equal(noise_new(&p.responder, false, &p.responder_static, responder_prologue), OK);
    return p;
}

static void pair_free(struct pair *p)
{
    noise_free(p->initiator);
    noise_free(p->responder);
}

/* One handshake message with an empty payload; returns what the reader said. */
static enum err pass(struct noise *from, struct noise *to)
{
    struct buffer wire = BUFFER_OF(wire_bytes), payload = BUFFER_OF(payload_bytes);
    assert_true(noise_writes_next(from));
    assert_int_equal(noise_write(from, &wire, SPAN_NONE), OK);
    return noise_read(to, &payload, buffer_span(&wire));
}

static struct pair pair_connected(void)
{
    struct pair p = pair_make(SPAN_LITERAL("p"), SPAN_LITERAL("p"));
    assert_int_equal(pass(p.initiator, p.responder), OK);
    assert_int_equal(pass(p.responder, p.initiator), OK);
    assert_int_equal(pass(p.initiator, p.responder), OK);
    return p;
}

static void vector_handshake_message(struct noise *from, struct noise *to, size_t i)
{
    struct buffer wire = BUFFER_OF(wire_bytes), payload = BUFFER_OF(payload_bytes);
    uint8_t text[64], expected[128];
    size_t text_len = strlen(messages[i].payload) / 2, expected_len = strlen(messages[i].ciphertext) / 2;
    from_hex(text, text_len, messages[i].payload);
    from_hex(expected, expected_len, messages[i].ciphertext);
    assert_int_equal(noise_write(from, &wire, span_make(text, text_len)), OK);
    assert_int_equal(wire.len, expected_len);
    assert_memory_equal(wire_bytes, expected, expected_len);
    assert_int_equal(noise_read(to, &payload, buffer_span(&wire)), OK);
    assert_int_equal(payload.len, text_len);
    assert_memory_equal(payload_bytes, text, text_len);
}

static void vector_transport_message(struct noise *from, struct noise *to, size_t i)
{
    uint8_t text[64], expected[128];
    size_t text_len = strlen(messages[i].payload) / 2, expected_len = text_len + NOISE_TAG_BYTES;
    from_hex(text, text_len, messages[i].payload);
    from_hex(expected, expected_len, messages[i].ciphertext);
    assert_int_equal(noise_encrypt(from, wire_bytes, span_make(text, text_len)), OK);
    assert_memory_equal(wire_bytes, expected, expected_len);
    assert_int_equal(noise_decrypt(to, payload_bytes, span_make(wire_bytes, expected_len)), OK);
    assert_memory_equal(payload_bytes, text, text_len);
}

static void vector_known(void **state)
{
    struct noise *side[2];
    struct kem_secret key;
    uint8_t hash[64], expected[64];
    (void)state;
    from_hex(key.bytes, 32, "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    assert_int_equal(noise_new(&side[0], true, &key, SPAN_LITERAL("John Galt")), OK);
    from_hex(key.bytes, 32, "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    assert_int_equal(noise_new(&side[1], false, &key, SPAN_LITERAL("John Galt")), OK);
    from_hex(key.bytes, 32, "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
    noise_set_ephemeral(side[0], &key);
    from_hex(key.bytes, 32, "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
    noise_set_ephemeral(side[1], &key);
    for (size_t i = 0; i < 3; i++) vector_handshake_message(side[i % 2], side[1 - i % 2], i);
    from_hex(expected, 64, handshake_hash);
    for (size_t i = 0; i < 2; i++) {
        assert_true(noise_done(side[i]));
        noise_hash(hash, side[i]);
        assert_memory_equal(hash, expected, 64);
    }
    for (size_t i = 3; i < 6; i++) vector_transport_message(side[i % 2], side[1 - i % 2], i);
    noise_free(side[0]);
    noise_free(side[1]);
}

static void statics_are_learnt(void **state)
{
    struct pair p = pair_make(SPAN_NONE, SPAN_NONE);
    struct kem_public expected;
    struct link_public seen;
    (void)state;
    expect_assert_failure(noise_remote(p.initiator));
    assert_int_equal(pass(p.initiator, p.responder), OK);
    assert_int_equal(pass(p.responder, p.initiator), OK);
    kem_public_of(&expected, &p.responder_static);
    seen = noise_remote(p.initiator); /* needed now: message 3 answers it */
    assert_memory_equal(seen.bytes, expected.bytes, 32);
    expect_assert_failure(noise_remote(p.responder));
    assert_false(noise_done(p.initiator));
    assert_int_equal(pass(p.initiator, p.responder), OK);
    kem_public_of(&expected, &p.initiator_static);
    seen = noise_remote(p.responder);
    assert_memory_equal(seen.bytes, expected.bytes, 32);
    seen = noise_remote(p.initiator);
    kem_public_of(&expected, &p.responder_static);
    assert_memory_equal(seen.bytes, expected.bytes, 32);
    pair_free(&p);
}

static void prologue_is_bound(void **state)
{
    struct pair p = pair_make(SPAN_LITERAL("perigee a"), SPAN_LITERAL("perigee b"));
    (void)state;
    assert_int_equal(pass(p.initiator, p.responder), OK);
    assert_int_equal(pass(p.responder, p.initiator), ERR_DECRYPT);
    assert_false(noise_writes_next(p.initiator));
    pair_free(&p);
}

/* Each bit of each handshake message is noticed, at the latest by the next message; the victim is dead then. */
static void changed_handshake_refused(void **state)
{
    (void)state;
    for (size_t message = 0; message < 3; message++) {
        for (size_t at = 0; at < (message == 1 ? 96u : message == 0 ? 32u : 64u); at++) {
            struct pair p = pair_make(SPAN_NONE, SPAN_NONE);
            struct noise *side[2] = {p.initiator, p.responder};
            struct buffer wire = BUFFER_OF(wire_bytes), payload = BUFFER_OF(payload_bytes);
            enum err err;
            for (size_t i = 0; i < message; i++) assert_int_equal(pass(side[i % 2], side[1 - i % 2]), OK);
            assert_int_equal(noise_write(side[message % 2], &wire, SPAN_NONE), OK);
            wire_bytes[at] ^= 1;
            err = noise_read(side[1 - message % 2], &payload, buffer_span(&wire));
            if (message == 0) err = err == OK ? pass(p.responder, p.initiator) : err;
            assert_int_equal(err, ERR_DECRYPT);
            assert_false(noise_done(side[0]) && noise_done(side[1]));
            assert_int_equal(
                noise_read(message == 0 ? side[0] : side[1 - message % 2], &payload, buffer_span(&wire)),
                ERR_REFUSED);
            pair_free(&p);
        }
    }
}

static void zero_key_refused(void **state)
{
    struct pair p = pair_make(SPAN_NONE, SPAN_NONE);
    struct buffer wire = BUFFER_OF(wire_bytes), payload = BUFFER_OF(payload_bytes);
    static const uint8_t zero[32];
    (void)state;
    assert_int_equal(noise_read(p.responder, &payload, SPAN_OF(zero)), OK); /* noticed at the first product */
    assert_int_equal(noise_write(p.responder, &wire, SPAN_NONE), ERR_KEY);
    assert_int_equal(wire.len, 0);
    assert_int_equal(noise_write(p.responder, &wire, SPAN_NONE), ERR_REFUSED);
    pair_free(&p);
}

static void handshake_limits(void **state)
{
    struct pair p = pair_make(SPAN_NONE, SPAN_NONE);
    struct buffer wire = BUFFER_OF(wire_bytes), small = buffer_make(wire_bytes, 40),
                  none = buffer_make(NULL, 0);
    struct buffer payload = BUFFER_OF(payload_bytes);
    (void)state;
    assert_int_equal(noise_write(p.initiator, &wire, span_make(big, NOISE_MESSAGE_MAX - 31)), ERR_TOO_LARGE);
    assert_int_equal(noise_write(p.initiator, &small, span_make(big, 9)), ERR_TOO_LARGE);
    assert_int_equal(noise_write(p.initiator, &wire, span_make(big, NOISE_MESSAGE_MAX - 32)), OK);
    assert_int_equal(wire.len, NOISE_MESSAGE_MAX);
    assert_int_equal(noise_read(p.responder, &payload, span_make(wire_bytes, NOISE_MESSAGE_MAX + 1)),
                     ERR_TOO_LARGE);
    assert_int_equal(noise_read(p.responder, &payload, span_make(wire_bytes, 31)), ERR_TRUNCATED);
    assert_int_equal(noise_read(p.responder, &none, buffer_span(&wire)), ERR_TOO_LARGE);
    assert_int_equal(noise_read(p.responder, &payload, buffer_span(&wire)),
                     OK); /* refusals left it as it was */
    assert_int_equal(payload.len, NOISE_MESSAGE_MAX - 32);
    wire.len = 0;
    assert_int_equal(noise_write(p.responder, &wire, span_make(big, NOISE_MESSAGE_MAX - 96 + 1)),
                     ERR_TOO_LARGE);
    assert_int_equal(noise_write(p.responder, &wire, span_make(big, NOISE_MESSAGE_MAX - 96)), OK);
    payload.len = 0;
    assert_int_equal(noise_read(p.initiator, &payload, span_make(wire_bytes, 95)), ERR_TRUNCATED);
    assert_int_equal(noise_read(p.initiator, &payload, buffer_span(&wire)), OK);
    pair_free(&p);
}

static void turns_are_kept(void **state)
{
    struct pair p = pair_make(SPAN_NONE, SPAN_NONE);
    struct buffer wire = BUFFER_OF(wire_bytes), payload = BUFFER_OF(payload_bytes);
    (void)state;
    assert_int_equal(noise_read(p.initiator, &payload, SPAN_OF(big)), ERR_REFUSED);
    expect_assert_failure(assert_int_equal(noise_write(p.responder, &wire, SPAN_NONE), OK));
    expect_assert_failure(assert_int_equal(noise_encrypt(p.initiator, wire_bytes, SPAN_NONE), OK));
    assert_int_equal(noise_write(p.initiator, &wire, SPAN_NONE), OK);
    expect_assert_failure(noise_set_ephemeral(p.initiator, &p.initiator_static));
    assert_int_equal(noise_read(p.responder, &payload, buffer_span(&wire)), OK);
    assert_int_equal(noise_read(p.responder, &payload, buffer_span(&wire)), ERR_REFUSED);
    assert_int_equal(pass(p.responder, p.initiator), OK);
    assert_int_equal(pass(p.initiator, p.responder), OK);
    assert_int_equal(noise_read(p.responder, &payload, SPAN_OF(big)), ERR_REFUSED);
    assert_false(noise_writes_next(p.initiator));
    pair_free(&p);
}

static void transport_order(void **state)
{
    struct pair p = pair_connected();
    uint8_t first[5 + NOISE_TAG_BYTES], second[5 + NOISE_TAG_BYTES], out[5];
    (void)state;
    assert_int_equal(noise_encrypt(p.initiator, first, SPAN_LITERAL("first")), OK);
    assert_int_equal(noise_encrypt(p.initiator, second, SPAN_LITERAL("secnd")), OK);
    assert_int_equal(noise_decrypt(p.responder, out, SPAN_OF(second)), ERR_DECRYPT); /* out of order */
    assert_int_equal(noise_decrypt(p.initiator, out, SPAN_OF(first)), ERR_DECRYPT);  /* reflected */
    assert_int_equal(noise_decrypt(p.responder, out, SPAN_OF(first)), OK);
    assert_int_equal(noise_decrypt(p.responder, out, SPAN_OF(first)), ERR_DECRYPT); /* replayed */
    assert_int_equal(noise_decrypt(p.responder, out, span_make(second, 20)), ERR_DECRYPT);
    assert_int_equal(noise_decrypt(p.responder, out, span_make(second, 15)), ERR_TRUNCATED);
    assert_int_equal(noise_decrypt(p.responder, out, SPAN_OF(second)), OK);
    assert_memory_equal(out, "secnd", 5);
    pair_free(&p);
}

static void transport_limits(void **state)
{
    struct pair p = pair_connected();
    (void)state;
    assert_int_equal(noise_encrypt(p.responder, wire_bytes, span_make(big, NOISE_MESSAGE_MAX - 15)),
                     ERR_TOO_LARGE);
    assert_int_equal(noise_encrypt(p.responder, wire_bytes, span_make(big, NOISE_MESSAGE_MAX - 16)), OK);
    assert_int_equal(noise_decrypt(p.initiator, payload_bytes, span_make(wire_bytes, NOISE_MESSAGE_MAX + 1)),
                     ERR_TOO_LARGE);
    assert_int_equal(noise_decrypt(p.initiator, payload_bytes, span_make(wire_bytes, NOISE_MESSAGE_MAX)), OK);
    assert_memory_equal(payload_bytes, big, NOISE_MESSAGE_MAX - 16);
    assert_int_equal(noise_encrypt(p.responder, wire_bytes, SPAN_NONE), OK);
    assert_int_equal(noise_decrypt(p.initiator, payload_bytes, span_make(wire_bytes, 16)), OK);
    pair_free(&p);
}

static void sessions_differ(void **state)
{
    struct pair a = pair_connected(), b = pair_connected();
    uint8_t hash_a[64], hash_a2[64], hash_b[64];
    (void)state;
    noise_hash(hash_a, a.initiator);
    noise_hash(hash_a2, a.responder);
    noise_hash(hash_b, b.initiator);
    assert_memory_equal(hash_a, hash_a2, 64);
    assert_memory_not_equal(hash_a, hash_b, 64);
    pair_free(&a);
    pair_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_known),      cmocka_unit_test(statics_are_learnt),
        cmocka_unit_test(prologue_is_bound), cmocka_unit_test(changed_handshake_refused),
        cmocka_unit_test(zero_key_refused),  cmocka_unit_test(handshake_limits),
        cmocka_unit_test(turns_are_kept),    cmocka_unit_test(transport_order),
        cmocka_unit_test(transport_limits),  cmocka_unit_test(sessions_differ),
    };
    return cmocka_run_group_tests_name("crypto/noise", tests, set_up, NULL);
}
