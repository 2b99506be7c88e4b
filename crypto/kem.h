/* kem: messages sealed to an X25519 key (PROTOCOL.md "Sealed messages").
 * box = ephemeral public (32) | XChaCha20-Poly1305 ciphertext and tag; key and nonce from HKDF-SHA-256 over the
 * shared secret with both public keys and `context` bound; `context` is also the associated data.
 * The all-zero shared secret is refused. Sender authenticity is not given here: what is inside is signed. */
#ifndef PERIGEE_CRYPTO_KEM_H
#define PERIGEE_CRYPTO_KEM_H

#include "crypto/types.h"
#include "proto/base/span.h"

void kem_generate(struct kem_secret *secret, struct kem_public *out);
void kem_public_of(struct kem_public *out, const struct kem_secret *secret);
/* Writes plaintext.len + KEM_OVERHEAD_BYTES bytes. */
MUST_USE enum err kem_seal(uint8_t *box, const struct kem_public *to, struct span plaintext,
                           struct span context);
/* The same with this ephemeral key instead of a fresh one: for simulations, which must repeat. Never twice. */
MUST_USE enum err kem_seal_from(uint8_t *box, const struct kem_public *to, struct span plaintext,
                                struct span context, const struct kem_secret *ephemeral);
/* Writes box.len - KEM_OVERHEAD_BYTES bytes; wipes them on error. ERR_TRUNCATED, ERR_KEY, ERR_DECRYPT. */
MUST_USE enum err kem_open(uint8_t *plaintext, const struct kem_secret *own, struct span box,
                           struct span context);

#endif
