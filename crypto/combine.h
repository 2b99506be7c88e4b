/* combine: Lagrange interpolation in the exponent over threshold shares. For files of crypto/ only.
 * Shares are taken as proven: whoever calls has checked each one. Pure and thread-safe. */
#ifndef PERIGEE_CRYPTO_COMBINE_H
#define PERIGEE_CRYPTO_COMBINE_H

#include "crypto/tdh2.h"

/* out = x base from the first key->t shares; any shares beyond are only checked for index and repetition.
 * ERR_RANGE (key, count or an index), ERR_NOT_READY (fewer than t), ERR_DUPLICATE, ERR_PROOF (d is no group element). */
MUST_USE enum err combine_shares(struct point *out, const struct group_key *key,
                                 const struct dec_share *shares, uint32_t count);
/* 1 <= t <= n <= COMMITTEE_MAX, or ERR_RANGE. */
MUST_USE enum err combine_key_check(const struct group_key *key);

#endif
