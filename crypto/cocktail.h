/* cocktail: distributed key generation, COCKTAIL-DKG v0.2.1 with (ristretto255, SHA-512), C2SP cocktail-dkg.md.
 * Three rounds, identifiable abort, no robustness. Every function is a pure computation over its arguments; the state
 * between rounds is one opaque blob the caller keeps (durably, before anything of it is sent).
 * Party ids are 1..n in charter order. All n parties must take part.
 * Rules: the transcript, and so the certificate, covers session context, n, t, static keys, commitments, proofs of
 * possession, ephemeral keys and extension. It does not cover the encrypted shares: a changed one is seen by its
 * recipient alone, as ERR_DECRYPT, and only the signature on the message that carried it tells who changed it.
 * No key is used before all n certificate signatures are held. */
#ifndef PERIGEE_CRYPTO_COCKTAIL_H
#define PERIGEE_CRYPTO_COCKTAIL_H

#include "crypto/tdh2.h"

struct cocktail_session {
    uint32_t n, t, own;                /* own: 1..n; 0 for a verifier, who takes no part */
    struct point party[COMMITTEE_MAX]; /* static public keys in order */
    struct hash32 tag;                 /* session tag: 32 bytes binding consortium, epoch and purpose */
    struct span extension;             /* transcript extension: charter hash | purpose; borrowed */
};

enum {
    COCKTAIL_STATE_BYTES = 4096,
    COCKTAIL_SHARE_BYTES = 48,
    COCKTAIL_SIGNATURE_BYTES = 64,
    COCKTAIL_EXTENSION_MAX = 256
};

/* Round 1 message of one party. A decoder refuses a message with other than t commitments and n shares, and zeroes the
 * places behind them; anything else there is a bad message of its sender. */
struct cocktail_round1 {
    struct point ephemeral;
    struct point commitment[THRESHOLD_MAX]; /* exactly t */
    uint8_t pop[64];
    uint8_t share[COMMITTEE_MAX][COCKTAIL_SHARE_BYTES]; /* encrypted, for party i+1 */
};

/* Messages as they travel: ephemeral key 32 | t commitments of 32 | proof of possession 64 | n sealed shares of 48. The
 * public part, which a committee record keeps of each, ends before the shares. */
enum cocktail_part { COCKTAIL_WHOLE, COCKTAIL_PUBLIC };
/* n and t are the session's, which has passed one of the functions below. */
void cocktail_round1_write(struct buffer *out, const struct cocktail_round1 *message,
                           const struct cocktail_session *s, enum cocktail_part part);
/* All n messages, one behind the other, and no byte more. ERR_RANGE (n or t), ERR_TRUNCATED, ERR_NOT_CANONICAL. */
MUST_USE enum err cocktail_round1_read(struct cocktail_round1 *out, struct span all,
                                       const struct cocktail_session *s, enum cocktail_part part);

struct cocktail_secret {
    uint8_t bytes[COCKTAIL_STATE_BYTES];
};

struct cocktail_session cocktail_session_make(uint32_t n, uint32_t t, uint32_t own, const struct point *party,
                                              struct hash32 tag, struct span extension);
void cocktail_keypair(struct scalar_secret *secret, struct point *out);
/* The public point of a static key, or of a share: its verification share. ERR_KEY: no scalar but zero. */
MUST_USE enum err cocktail_public_of(struct point *out, const struct scalar_secret *secret);
/* The dealt secrets are wiped before this returns: the state holds the session and the own message, nothing secret. */
MUST_USE enum err cocktail_begin(struct cocktail_secret *state, struct cocktail_round1 *out,
                                 const struct cocktail_session *s, const struct scalar_secret *own_static);
/* The same from 64 * (t+1) uniform secret bytes of the caller's, used for nothing else: vectors and simulation. */
MUST_USE enum err cocktail_begin_from(struct cocktail_secret *state, struct cocktail_round1 *out,
                                      const struct cocktail_session *s,
                                      const struct scalar_secret *own_static, struct span entropy);
/* The own round-1 message again, to repeat it after a restart. ERR_CONFLICT: the state is of another session. */
MUST_USE enum err cocktail_resume(struct cocktail_round1 *out, const struct cocktail_secret *state,
                                  const struct cocktail_session *s);
/* All n round-1 messages in party order. On success: own share, the group key, the transcript hash and own signature
 * over the transcript. On ERR_PROOF/ERR_DECRYPT `*culprit` (1..n) is who sent the bad part; otherwise it is 0.
 * ERR_CONFLICT: round1 does not hold the own message of `state`, or `state` is of another session. */
MUST_USE enum err cocktail_finish(struct scalar_secret *share, struct group_key *key, uint8_t transcript[64],
                                  uint8_t sig[COCKTAIL_SIGNATURE_BYTES], uint32_t *culprit,
                                  const struct cocktail_secret *state, const struct cocktail_session *s,
                                  const struct scalar_secret *own_static,
                                  const struct cocktail_round1 *round1);
/* Check the certificate signature of `party` (1..n). The specification signs the transcript, not its hash, so this takes
 * the public messages it is made of. ERR_SIGNATURE. */
MUST_USE enum err cocktail_check(const struct cocktail_session *s, const struct cocktail_round1 *round1,
                                 uint32_t party, const uint8_t sig[COCKTAIL_SIGNATURE_BYTES]);
/* The same of all n, one signature behind the other. `*culprit` is whose does not hold; 0 with ERR_RANGE: not n of them. */
MUST_USE enum err cocktail_check_all(uint32_t *culprit, const struct cocktail_session *s,
                                     const struct cocktail_round1 *round1, struct span signatures);
/* Does a whole certificate hold: n public round-1 messages, n signatures of their transcript, and the group key 32 | n
 * verification shares of 32 that follow from them? `round1`: COMMITTEE_MAX of them, to work with. `*culprit` as above; 0 for
 * every other error. */
MUST_USE enum err cocktail_certified(uint32_t *culprit, struct cocktail_round1 *round1,
                                     const struct cocktail_session *s, struct span messages,
                                     struct span signatures, struct span key_and_shares);
/* What finishing gives, packed: group key 32 | n verification shares of 32 | transcript hash 64 | own signature 64. */
void cocktail_result_write(struct buffer *out, const struct group_key *key, const uint8_t transcript[64],
                           const uint8_t sig[COCKTAIL_SIGNATURE_BYTES]);
/* Recompute group key and transcript hash from public round-1 messages alone (verifiers of a receipt). The messages'
 * encrypted shares may be missing (zero). ERR_PROOF. */
MUST_USE enum err cocktail_public(struct group_key *key, uint8_t transcript[64],
                                  const struct cocktail_session *s, const struct cocktail_round1 *round1);

#endif
