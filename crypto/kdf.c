#include "crypto/kdf.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <sodium.h>

#include <string.h>

enum { KDF_SHA256_BYTES = 32, KDF_SHA512_BYTES = 64, KDF_ROUNDS_MAX = 255 };

static void kdf_hmac_sha256(uint8_t out[32], struct span key, const struct span *parts, size_t count)
{
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, key.data, key.len);
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0) (void)crypto_auth_hmacsha256_update(&state, parts[i].data, parts[i].len);
    (void)crypto_auth_hmacsha256_final(&state, out);
    secret_wipe(&state, sizeof state);
}

static void kdf_hmac_sha512(uint8_t out[64], struct span key, const struct span *parts, size_t count)
{
    crypto_auth_hmacsha512_state state;
    (void)crypto_auth_hmacsha512_init(&state, key.data, key.len);
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0) (void)crypto_auth_hmacsha512_update(&state, parts[i].data, parts[i].len);
    (void)crypto_auth_hmacsha512_final(&state, out);
    secret_wipe(&state, sizeof state);
}

typedef void kdf_hmac(uint8_t *out, struct span key, const struct span *parts, size_t count);

/* RFC 5869 §2.3: T(i) = HMAC(PRK, T(i-1) | info | i), T(0) empty. */
static void kdf_expand(kdf_hmac *hmac, size_t hash_bytes, uint8_t *out, size_t out_len, struct span prk,
                       struct span info)
{
    uint8_t block[KDF_SHA512_BYTES];
    ASSERT(out_len <= KDF_ROUNDS_MAX * hash_bytes);
    for (size_t done = 0, round = 1; done < out_len; round++) {
        uint8_t counter = (uint8_t)round;
        size_t take = out_len - done < hash_bytes ? out_len - done : hash_bytes;
        struct span before = {block, round == 1 ? 0 : hash_bytes};
        hmac(block, prk, (const struct span[]){before, info, {&counter, 1}}, 3);
        memcpy(out + done, block, take);
        done += take;
    }
    secret_wipe(block, sizeof block);
}

void hkdf_sha256(void *out, size_t out_len, struct span salt, struct span ikm, struct span info)
{
    /* An absent salt is a hash length of zeros, which HMAC pads to the same key as an empty one. */
    static const uint8_t none[KDF_SHA256_BYTES];
    uint8_t prk[KDF_SHA256_BYTES];
    if (salt.len == 0) salt = SPAN_OF(none);
    kdf_hmac_sha256(prk, salt, &ikm, 1);
    kdf_expand(kdf_hmac_sha256, KDF_SHA256_BYTES, out, out_len, SPAN_OF(prk), info);
    secret_wipe(prk, sizeof prk);
}

void hkdf_expand_sha512(void *out, size_t out_len, struct span prk, struct span info)
{
    kdf_expand(kdf_hmac_sha512, KDF_SHA512_BYTES, out, out_len, prk, info);
}
