/* unlock: how an enclave comes to the keys of its run's data (PROTOCOL.md "Envelope", "Threshold PRF", "Owner's veto"): what
 * parties give is taken as it is opened, checked one by one, kept, and put together once.
 * Rules:
 * - A custodian's shares count only when each of them verifies against its public share, under the labels of the terms. They
 *   are judged once: afterwards what was taken is gone, kept or not. The same custodian twice counts once.
 * - An owner's half is only kept: whether it is the right one, the body's key commitment will show.
 * - Shares lie in memory of secret.h from the moment they are taken, and nowhere once they have given what they hold.
 * - Which of more than t custodians gave shares changes nothing about what comes out: a failover comes to the same.
 * Zeroed is empty. Threads: one. Ownership: the caller's, who wipes it. */
#ifndef PERIGEE_CRYPTO_UNLOCK_H
#define PERIGEE_CRYPTO_UNLOCK_H

#include "crypto/tdh2.h"

enum { UNLOCK_HALF_BYTES = 32 };

struct unlock {
    bool done;
    /* As they came last, until they are checked; then one per input and the PRF's. NULL: none. */
    uint8_t *taken[COMMITTEE_MAX];
    struct dec_share *share[COMMITTEE_MAX];
    uint8_t *taken_half[CAP_INPUTS], *half[CAP_INPUTS];
};

/* What it comes to; for memory of secret.h. */
struct unlocked {
    uint8_t data_key[CAP_INPUTS][32];
    uint8_t seed[32];   /* of the noise */
    struct hash32 salt; /* of the commitment to the output */
};

bool unlock_is_party(uint32_t party); /* may anybody be called so? */
/* What this party gave: SHARE_BYTES for each input and the PRF, or a half. It takes the place of what it gave before; after
 * unlock_open it is right and of no use, and not kept. ERR_RANGE: no such party, or not so many bytes. ERR_NO_MEMORY. */
MUST_USE enum err unlock_take(struct unlock *u, uint32_t party, struct span given, uint32_t input_count);
/* ERR_NOT_READY: it gave nothing since. ERR_RANGE: no such party. ERR_PROOF. ERR_NO_MEMORY. */
MUST_USE enum err unlock_check(struct unlock *u, uint32_t party, const struct unlock_terms *terms);
/* ERR_NOT_READY: too few shares, or no half where there is a veto. ERR_CONFLICT: it is done already. ERR_DECRYPT. After an error
 * `out` holds nothing whole. */
MUST_USE enum err unlock_open(struct unlock *u, struct unlocked *out, const struct unlock_terms *terms);
/* Shares and halves; that it was done stays known. */
void unlock_wipe(struct unlock *u);

#endif
