/* schnorr: see schnorr.h. */
#include "crypto/schnorr.h"

#include "crypto/group.h"
#include "crypto/secret.h"

#include <sodium.h>
#include <string.h>

#define PREFIX "COCKTAIL-DKG-Ristretto255-SHA512-"

/* HashToScalar(prefix | first 32 | second 32 or nothing | message). */
static void hash_to_scalar(uint8_t out32[32], struct span prefix, const uint8_t first32[32],
                           const uint8_t *second32, const struct span *message, uint32_t count)
{
    crypto_hash_sha512_state state;
    uint8_t wide[64];
    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, prefix.data, prefix.len);
    crypto_hash_sha512_update(&state, first32, 32);
    if (second32 != NULL) crypto_hash_sha512_update(&state, second32, 32);
    for (uint32_t i = 0; i < count; i++) crypto_hash_sha512_update(&state, message[i].data, message[i].len);
    crypto_hash_sha512_final(&state, wide);
    group_reduce(out32, wide);
    secret_wipe(&state, sizeof state);
    secret_wipe(wide, sizeof wide);
}

enum err schnorr_sign(uint8_t sig64[SCHNORR_BYTES], const uint8_t secret32[32], const struct point *key,
                      const struct span *message, uint32_t count)
{
    uint8_t nonce[32], challenge[32];
    struct point r;
    hash_to_scalar(nonce, SPAN_LITERAL(PREFIX "NONCE"), secret32, NULL, message, count);
    enum err err = group_base(&r, nonce);
    if (err == OK) {
        hash_to_scalar(challenge, SPAN_LITERAL(PREFIX "H7"), r.bytes, key->bytes, message, count);
        memcpy(sig64, r.bytes, 32);
        group_scalar_mul_add(sig64 + 32, challenge, secret32, nonce);
    }
    secret_wipe(nonce, sizeof nonce);
    return err;
}

enum err schnorr_check(const uint8_t sig64[SCHNORR_BYTES], const struct point *key,
                       const struct span *message, uint32_t count)
{
    struct point r, left, right;
    uint8_t challenge[32];
    memcpy(r.bytes, sig64, 32);
    if (!group_scalar_ok(sig64 + 32) || !group_point_ok(&r) || !group_point_ok(key)) return ERR_SIGNATURE;
    hash_to_scalar(challenge, SPAN_LITERAL(PREFIX "H7"), r.bytes, key->bytes, message, count);
    if (group_base(&left, sig64 + 32) != OK) return ERR_SIGNATURE;
    if (group_mul(&right, challenge, key) != OK) return ERR_SIGNATURE;
    if (group_add(&right, &right, &r) != OK) return ERR_SIGNATURE;
    return memcmp(left.bytes, right.bytes, 32) == 0 ? OK : ERR_SIGNATURE;
}
