/* dleq: Chaum-Pedersen proofs that two points have the same discrete logarithm: a = x B and d = x base. For crypto/ only.
 * Strong Fiat-Shamir: the challenge hashes the caller's context and then a, base, d and both commitments, every item
 * length-prefixed, so a proof fits one statement in one place (Bernhard, Pereira, Warinschi, "How not to prove
 * yourself"). The nonce is derived from the secret and the whole statement: no randomness, and proving again after a
 * crash gives the same bytes. Bytes in PROTOCOL.md "Envelope". Pure and thread-safe. */
#ifndef PERIGEE_CRYPTO_DLEQ_H
#define PERIGEE_CRYPTO_DLEQ_H

#include "crypto/types.h"
#include "proto/base/span.h"

enum { DLEQ_CONTEXT_MAX = 640 };

struct dleq_statement {
    struct span
        context; /* framed items, at most DLEQ_CONTEXT_MAX bytes: suite, purpose, and what surrounds the proof */
    struct point a, base, d;
};

/* `x` is canonical and not zero, and the statement true; ERR_KEY otherwise where that is noticed. */
MUST_USE enum err dleq_prove(struct scalar *e, struct scalar *f, const struct dleq_statement *s,
                             const uint8_t x32[32]);
/* ERR_PROOF for a false proof, an identity or non-canonical point, or a scalar at or above q. */
MUST_USE enum err dleq_check(const struct dleq_statement *s, const struct scalar *e, const struct scalar *f);

#endif
