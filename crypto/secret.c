#include "crypto/secret.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

#include <sodium.h>

#include <string.h>
#include <sys/resource.h>

enum { SECRET_ALIGNMENT = 16, SECRET_CHECK_BYTES = 40960 };

/* Every secret takes a locked page: ask for as much as the system will give without privilege. */
static void secret_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_MEMLOCK,
                    &limit); /* refused: the old limit stands, and secret_alloc says when it is hit */
}

/* The accelerated SHA against libsodium's portable one, at lengths around the block borders. */
static bool secret_check_sha(const uint8_t *pattern)
{
    static const size_t lens[] = {0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1000, 4099};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        uint8_t expected[64], actual[64];
        struct hash32 hash = sha256(span_make(pattern, lens[i]));
        (void)crypto_hash_sha256(expected, pattern, lens[i]);
        if (memcmp(expected, hash.bytes, 32) != 0) return false;
        sha512(actual, span_make(pattern, lens[i]));
        (void)crypto_hash_sha512(expected, pattern, lens[i]);
        if (memcmp(expected, actual, 64) != 0) return false;
    }
    return true;
}

/* BLAKE3 against its published vectors (input byte i is i mod 251). 31744 bytes reach the widest vector code.
 */
static bool secret_check_blake3(const uint8_t *pattern)
{
    static const struct {
        size_t len;
        const char *hex;
    } known[] = {
        {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
        {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
        {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint8_t expected[32];
        struct hash32 actual = blake3(span_make(pattern, known[i].len));
        if (hex_decode(expected, 32, span_text(known[i].hex)) != OK) return false;
        if (memcmp(expected, actual.bytes, 32) != 0) return false;
    }
    return true;
}

enum err crypto_init(void)
{
    static uint8_t pattern[SECRET_CHECK_BYTES];
    uint8_t *block = pattern;
    if (sodium_init() < 0) return ERR_UNAVAILABLE;
    secret_raise_limit();
    for (size_t i = 0; i < SECRET_CHECK_BYTES; i++) block[i] = (uint8_t)(i % 251);
    return secret_check_sha(block) && secret_check_blake3(block) ? OK : ERR_UNAVAILABLE;
}

void *secret_alloc(size_t len)
{
    /* sodium_malloc ends its block at a guard page, so an odd length would give an unaligned pointer. */
    size_t rounded = (len + SECRET_ALIGNMENT - 1) & ~(size_t)(SECRET_ALIGNMENT - 1);
    void *secret;
    if (rounded < len) return NULL;
    if (rounded == 0) rounded = SECRET_ALIGNMENT;
    secret = sodium_malloc(rounded);
    if (secret == NULL) return NULL;
    /* sodium_malloc ignores a failing lock; a key that may reach the swap is not what the caller asked for.
     */
    if (sodium_mlock(secret, rounded) != 0) {
        sodium_free(secret);
        return NULL;
    }
    sodium_memzero(secret, rounded);
    return secret;
}

void secret_free(void *secret)
{
    sodium_free(secret);
}

void secret_wipe(void *secret, size_t len)
{
    if (len > 0) sodium_memzero(secret, len);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void random_fill(void *out, size_t len)
{
    ASSERT(out != NULL || len == 0);
    if (len > 0) randombytes_buf(out, len);
}
