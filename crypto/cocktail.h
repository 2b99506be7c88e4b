/* cocktail: distributed key generation, COCKTAIL-DKG v0.2.1 with (ristretto255, SHA-512), C2SP cocktail-dkg.md.
 * Three rounds, identifiable abort, no robustness. Every function is a pure computation over its arguments; the state
 * between rounds is one opaque secret blob the caller keeps (durably, before anything of it is sent).
 * Party ids are 1..n in charter order. All n parties must take part. */
#ifndef PERIGEE_CRYPTO_COCKTAIL_H
#define PERIGEE_CRYPTO_COCKTAIL_H

#include "crypto/tdh2.h"

struct cocktail_session {
    uint32_t n, t, own;                          /* own: 1..n */
    struct point party[COMMITTEE_MAX];           /* static public keys in order */
    struct hash32 tag;                           /* session tag: 32 bytes binding consortium, epoch and purpose */
    struct span extension;                       /* transcript extension: charter hash | purpose */
};

enum { COCKTAIL_STATE_BYTES = 4096, COCKTAIL_SHARE_BYTES = 48, COCKTAIL_SIGNATURE_BYTES = 64 };

/* Round 1 message of one party. */
struct cocktail_round1 {
    struct point ephemeral;
    struct point commitment[THRESHOLD_MAX];      /* exactly t */
    uint8_t pop[64];
    uint8_t share[COMMITTEE_MAX][COCKTAIL_SHARE_BYTES]; /* encrypted, for party i+1 */
};

struct cocktail_secret { uint8_t bytes[COCKTAIL_STATE_BYTES]; };

void cocktail_keypair(struct scalar_secret *secret, struct point *out);
/* `seed64` is fresh randomness; the vectors give their own through cocktail_round1_from (test hook in cocktail.c). */
MUST_USE enum err cocktail_begin(struct cocktail_secret *state, struct cocktail_round1 *out,
                                 const struct cocktail_session *s, const struct scalar_secret *own_static);
/* All n round-1 messages in party order. On success: own share, the group key, the transcript hash and own signature
 * over it. On ERR_PROOF/ERR_DECRYPT `*culprit` (1..n) is who sent the bad part. */
MUST_USE enum err cocktail_finish(struct scalar_secret *share, struct group_key *key, uint8_t transcript[64],
                                  uint8_t sig[COCKTAIL_SIGNATURE_BYTES], uint32_t *culprit,
                                  const struct cocktail_secret *state, const struct cocktail_session *s,
                                  const struct scalar_secret *own_static, const struct cocktail_round1 *round1);
/* Check one party's certificate signature over the transcript hash. */
MUST_USE enum err cocktail_check(const struct point *party, const uint8_t transcript[64],
                                 const uint8_t sig[COCKTAIL_SIGNATURE_BYTES]);
/* Recompute group key and transcript hash from public round-1 messages alone (verifiers of a receipt). */
MUST_USE enum err cocktail_public(struct group_key *key, uint8_t transcript[64], const struct cocktail_session *s,
                                  const struct cocktail_round1 *round1);

#endif
