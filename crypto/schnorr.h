/* schnorr: the signatures of COCKTAIL-DKG over ristretto255 with SHA-512 ("Schnorr Signature Scheme" in C2SP
 * cocktail-dkg.md): proofs of possession and certificate signatures. For files of crypto/ only. Deterministic.
 * A message is the plain concatenation of `count` parts. Signing runs in constant time. Pure and thread-safe. */
#ifndef PERIGEE_CRYPTO_SCHNORR_H
#define PERIGEE_CRYPTO_SCHNORR_H

#include "crypto/types.h"
#include "proto/base/span.h"

enum { SCHNORR_BYTES = 64 }; /* R, then z */

/* `key` must be secret32 times B. ERR_KEY in the event, never met, that the nonce is zero; nothing is written then. */
MUST_USE enum err schnorr_sign(uint8_t sig64[SCHNORR_BYTES], const uint8_t secret32[32],
                               const struct point *key, const struct span *message, uint32_t count);
/* Refuses identity and non-canonical R and key, and z at or above q. ERR_SIGNATURE. */
MUST_USE enum err schnorr_check(const uint8_t sig64[SCHNORR_BYTES], const struct point *key,
                                const struct span *message, uint32_t count);

#endif
