/* The published vectors of our Noise protocol: handshake bytes, payloads, channel binding and transport messages, each
 * written by one side and read by the other. The file also holds other hash functions, which are not ours. */
#include "crypto/noise.h"
#include "crypto/secret.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { FILE_BYTES_MAX = 1 << 20, MESSAGES_MIN = 4, BYTES_MAX = 1024 };
static const char vectors_path[] = PERIGEE_SHARED_DIR "/vectors/noise/noise_xx.json";
static const char ours[] = "Noise_XX_25519_ChaChaPoly_BLAKE2b";
static char text[FILE_BYTES_MAX + 1];

/* The file is a known, flat shape: the value after the next "name" and before `end`, moving `at` behind it. */
static bool next_value(struct span *value, char **at, const char *end, const char *name)
{
    char quoted[64], *found, *open, *close;
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", name);
    found = strstr(*at, quoted);
    if (found == NULL || found >= end) return false;
    open = strchr(found + strlen(quoted), '"');
    assert_non_null(open);
    close = strchr(open + 1, '"');
    assert_non_null(close);
    *value = span_make(open + 1, (size_t)(close - open - 1));
    *at = close + 1;
    return true;
}

static struct span next_bytes(uint8_t out[BYTES_MAX], char **at, const char *end, const char *name)
{
    struct span hex = SPAN_NONE;
    assert_true(next_value(&hex, at, end, name));
    assert_true(hex.len / 2 <= BYTES_MAX);
    assert_int_equal(hex_decode(out, hex.len / 2, hex), OK);
    return span_make(out, hex.len / 2);
}

static struct noise *next_side(char **at, const char *end, bool initiator)
{
    uint8_t prologue[BYTES_MAX], bytes[BYTES_MAX];
    struct span bound = next_bytes(prologue, at, end, initiator ? "init_prologue" : "resp_prologue");
    struct kem_secret key;
    struct noise *side;
    assert_int_equal(next_bytes(bytes, at, end, initiator ? "init_static" : "resp_static").len, 32);
    memcpy(key.bytes, bytes, 32);
    assert_int_equal(noise_new(&side, initiator, &key, bound), OK);
    assert_int_equal(next_bytes(bytes, at, end, initiator ? "init_ephemeral" : "resp_ephemeral").len, 32);
    memcpy(key.bytes, bytes, 32);
    noise_set_ephemeral(side, &key);
    return side;
}

static void check_message(struct noise *from, struct noise *to, struct span payload, struct span ciphertext)
{
    uint8_t wire_bytes[BYTES_MAX], back_bytes[BYTES_MAX];
    struct buffer wire = BUFFER_OF(wire_bytes), back = BUFFER_OF(back_bytes);
    if (noise_done(from)) {
        assert_int_equal(ciphertext.len, payload.len + NOISE_TAG_BYTES);
        assert_int_equal(noise_encrypt(from, wire_bytes, payload), OK);
        assert_memory_equal(wire_bytes, ciphertext.data, ciphertext.len);
        assert_int_equal(noise_decrypt(to, back_bytes, ciphertext), OK);
    } else {
        assert_int_equal(noise_write(from, &wire, payload), OK);
        assert_int_equal(wire.len, ciphertext.len);
        assert_memory_equal(wire_bytes, ciphertext.data, ciphertext.len);
        assert_int_equal(noise_read(to, &back, ciphertext), OK);
        assert_int_equal(back.len, payload.len);
    }
    assert_memory_equal(back_bytes, payload.data, payload.len);
}

static void check_hash(const struct noise *side, struct span expected)
{
    uint8_t hash[64];
    noise_hash(hash, side);
    assert_int_equal(expected.len, 64);
    assert_memory_equal(hash, expected.data, 64);
}

static void check_vector(char *at, const char *end)
{
    struct noise *side[2] = {next_side(&at, end, true), next_side(&at, end, false)};
    uint8_t hash_bytes[BYTES_MAX], payload_bytes[BYTES_MAX], cipher_bytes[BYTES_MAX];
    struct span hash = next_bytes(hash_bytes, &at, end, "handshake_hash"), unused;
    size_t count = 0;
    for (char *peek = at; next_value(&unused, &peek, end, "payload"); peek = at, count++) {
        struct span payload = next_bytes(payload_bytes, &at, end, "payload");
        struct span ciphertext = next_bytes(cipher_bytes, &at, end, "ciphertext");
        check_message(side[count % 2], side[1 - count % 2], payload, ciphertext);
    }
    assert_true(count >= MESSAGES_MIN); /* three of the handshake, at least one of transport */
    check_hash(side[0], hash);
    check_hash(side[1], hash);
    noise_free(side[0]);
    noise_free(side[1]);
}

static void all(void **state)
{
    char *at = text, *next;
    struct span name, following;
    uint32_t checked = 0, others = 0;
    (void)state;
    while (next_value(&name, &at, text + strlen(text), "protocol_name")) {
        next = at;
        if (!next_value(&following, &next, text + strlen(text), "protocol_name")) next = text + strlen(text);
        if (span_equal_text(name, ours)) {
            check_vector(at, next);
            checked++;
        } else {
            others++;
        }
    }
    print_message("%u vectors of %s, %u of other protocols left out\n", checked, ours, others);
    assert_true(checked >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all)};
    FILE *file = fopen(vectors_path, "r");
    size_t len;
    if (file == NULL) {
        (void)printf("SKIPPED: %s is not there\n", vectors_path);
        return 77;
    }
    len = fread(text, 1, FILE_BYTES_MAX, file);
    (void)fclose(file);
    text[len] = 0;
    if (len == FILE_BYTES_MAX || crypto_init() != OK) return 1;
    return cmocka_run_group_tests_name("vectors/noise", tests, NULL, NULL);
}
