/* work: does keyed work (types.h, struct crypto_job) with the keys of one node. The daemon, the simulator and the tests call the
 * same function; they differ in what they give it: keys, a place for what key generation leaves, and entropy.
 * Rules:
 * - Secrets that are read or made on the way lie in memory of secret.h, or are wiped before this returns, whatever comes.
 * - What key generation leaves is saved before any message that depends on it is given out, so that a party which starts
 *   again says the same again: state that is there already is resumed. Nothing saved is ever replaced: the same share again
 *   is fine, another one is ERR_CONFLICT.
 * - After an error `out` is empty and what was written to it is wiped; but a refusal may say what it refuses:
 *   CRYPTO_EVIDENCE the name of a field, CRYPTO_KEYGEN_FINISH and _CHECK the byte 1..n of whose part does not hold.
 * - All that a job puts out has defined bytes, padding too: it may go into a trace.
 * Threads: any number, as far as the callbacks go; `authors` belongs to one. Ownership: everything is the caller's.
 * Errors: the job's own, which are what the core is told; those of the callbacks; ERR_NO_MEMORY; ERR_TOO_LARGE: `out` is too
 * small. */
#ifndef PERIGEE_CRYPTO_WORK_H
#define PERIGEE_CRYPTO_WORK_H

#include "crypto/identity.h"
#include "crypto/types.h"
#include "proto/base/caps.h"

enum { WORK_OUTPUT_MAX = CAP_BODY_BYTES + 1024 }; /* of any job that is not larger than a body */

/* What key generation leaves: of each epoch and purpose a state (COCKTAIL_STATE_BYTES), then a share (struct key_share). */
enum work_item { WORK_STATE, WORK_SHARE };
struct work_place {
    enum work_item item;
    uint32_t epoch, purpose;
};

struct work_keep {
    void *context;
    /* Fills `out`, which is in memory of secret.h. ERR_NOT_FOUND: nothing was saved there. ERR_CORRUPT: not `len` bytes. */
    enum err (*load)(void *context, struct work_place place, void *out, size_t len);
    /* Durable when it returns. ERR_CONFLICT: something is there already. */
    enum err (*save)(void *context, struct work_place place, struct span secret);
};

struct work_entropy {
    void *context;
    /* Uniform bytes, used once. `what` tells streams apart: "ephemeral" of a box, "keygen" of a key generation. */
    void (*fill)(void *context, const char *what, void *out, size_t len);
};

/* What a job does not need may be missing. */
struct work_keys {
    const struct identity_secret *identity;
    const struct kem_secret *kem;
    const struct scalar_secret *dkg;
    struct identity_keys *authors; /* remembers whose signatures are checked; NULL: nobody does */
    struct work_keep keep;
    struct work_entropy entropy; /* `fill` NULL: the system's. Else a simulation repeats itself */
};

/* `out` is empty, WORK_OUTPUT_MAX being enough for any job, 64 bytes for CRYPTO_SIGN and none for CRYPTO_VERIFY. */
MUST_USE enum err work_do(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job);

#endif
