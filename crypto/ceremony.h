/* ceremony: the computations of COCKTAIL-DKG over an explicit context; cocktail.h is the face the node uses.
 * Split off so that the official vectors, whose session tags and payloads have other lengths than ours, run through
 * exactly this code. Names follow C2SP cocktail-dkg.md v0.2.1. Pure; scalars on the stack are wiped. */
#ifndef PERIGEE_CRYPTO_CEREMONY_H
#define PERIGEE_CRYPTO_CEREMONY_H

#include "crypto/cocktail.h"

struct ceremony {
    uint32_t n, t, own;        /* own is 0 for somebody who only verifies */
    const struct point *party; /* n static keys; the caller's */
    struct span extension;     /* the caller's */
    uint8_t context[64];
};

/* Checks sizes and keys, and derives the context from `tag`. ERR_RANGE, ERR_KEY, ERR_DUPLICATE, ERR_TOO_LARGE. */
MUST_USE enum err ceremony_init(struct ceremony *c, uint32_t n, uint32_t t, uint32_t own,
                                const struct point *party, struct span tag, struct span extension);

/* Round 1 of party c->own from t+1 blocks of 64 uniform bytes: coefficients 0..t-1, then the ephemeral key. */
MUST_USE enum err ceremony_deal(struct cocktail_round1 *out, const struct ceremony *c,
                                const uint8_t static32[32], struct span entropy);

/* Key and nonce that protect what `from` sends to `to`. */
struct ceremony_channel {
    uint8_t key[32], nonce[24];
};
MUST_USE enum err ceremony_channel_send(struct ceremony_channel *out, const struct ceremony *c, uint32_t to,
                                        const uint8_t ephemeral32[32], const struct point *ephemeral,
                                        const uint8_t static32[32]);
MUST_USE enum err ceremony_channel_receive(struct ceremony_channel *out, const struct ceremony *c,
                                           uint32_t from, const struct point *ephemeral,
                                           const uint8_t static32[32]);
/* `sealed` has room for plain.len + 16 bytes; `plain` for sealed.len - 16. ERR_DECRYPT, ERR_TRUNCATED. */
void ceremony_seal(uint8_t *sealed, const struct ceremony_channel *channel, struct span plain);
MUST_USE enum err ceremony_open(uint8_t *plain, const struct ceremony_channel *channel, struct span sealed);

/* Everything public about one party's message: exactly t commitments, points, proof of possession. ERR_PROOF. */
MUST_USE enum err ceremony_check(const struct ceremony *c, const struct cocktail_round1 *message);
/* The share of party c->own in the message of party `from`, checked against the commitments. ERR_DECRYPT, ERR_PROOF. */
MUST_USE enum err ceremony_receive(uint8_t share32[32], const struct ceremony *c, uint32_t from,
                                   const struct cocktail_round1 *message, const uint8_t static32[32]);
/* Group key and all verification shares from n checked messages. ERR_PROOF. */
MUST_USE enum err ceremony_key(struct group_key *key, const struct ceremony *c,
                               const struct cocktail_round1 *round1);

/* The transcript T that certificate signatures sign. */
enum {
    CEREMONY_TRANSCRIPT_MAX = 256 + COCKTAIL_EXTENSION_MAX +
                              COMMITTEE_MAX * (32 + THRESHOLD_MAX * 32 + COCKTAIL_SIGNATURE_BYTES + 32)
};
struct ceremony_transcript {
    size_t len;
    uint8_t bytes[CEREMONY_TRANSCRIPT_MAX];
};
void ceremony_transcribe(struct ceremony_transcript *out, const struct ceremony *c,
                         const struct cocktail_round1 *round1);

#endif
