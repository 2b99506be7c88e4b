/* noise: Noise_XX_25519_ChaChaPoly_BLAKE2b (Noise rev 34) for peer links. Published vectors are tests.
 * Not thread-safe; one object per link. Handshake payloads carry the identity proof (PROTOCOL.md "Link handshake"). */
#ifndef PERIGEE_CRYPTO_NOISE_H
#define PERIGEE_CRYPTO_NOISE_H

#include "crypto/types.h"
#include "proto/base/span.h"

enum { NOISE_MESSAGE_MAX = 65535, NOISE_TAG_BYTES = 16, NOISE_HANDSHAKE_MESSAGES = 3 };

struct noise; /* handshake, then transport; secret memory */

MUST_USE enum err noise_new(struct noise **out, bool initiator, const struct kem_secret *own_static,
                            struct span prologue);
void noise_free(struct noise *n);
/* Test hook: fix the ephemeral key before the first write. */
void noise_set_ephemeral(struct noise *n, const struct kem_secret *ephemeral);
bool noise_done(const struct noise *n); /* handshake complete */
bool noise_writes_next(const struct noise *n);
MUST_USE enum err noise_write(struct noise *n, struct buffer *out, struct span payload);    /* handshake */
MUST_USE enum err noise_read(struct noise *n, struct buffer *payload, struct span message); /* handshake */
struct link_public noise_remote(const struct noise *n);  /* after message 2/3 */
void noise_hash(uint8_t out[64], const struct noise *n); /* channel binding */
/* Transport: out.cap >= plain.len + 16. Each direction rekeys never; 2^64 messages is the limit. */
MUST_USE enum err noise_encrypt(struct noise *n, uint8_t *out, struct span plain);
MUST_USE enum err noise_decrypt(struct noise *n, uint8_t *out, struct span sealed);

#endif
