/* labour: the keyed work of a simulated node (proto/event.h struct crypto_job), done for real with its player's keys, and what
 * it costs in virtual time. What is random in it follows from the seed, so that a run repeats.
 * Ownership: the caller's; what key generation leaves lives in the struct and outlives a crash, as a file would.
 * Single-threaded. */
#ifndef PERIGEE_SIM_LABOUR_H
#define PERIGEE_SIM_LABOUR_H

#include "crypto/cocktail.h"
#include "proto/event.h"
#include "sim/cast.h"

enum { LABOUR_OUTPUT_MAX = CAP_BODY_BYTES + 1024 };

struct labour {
    const struct cast *cast;
    const struct player *player;
    struct cocktail_secret keygen[2];
    bool keygen_begun[2], share_known[2];
    struct scalar_secret share[2]; /* of key A and key B */
    struct point group[2];
    uint64_t entropy_used;
};

/* Errors are the job's own: they are what the core is told. Output may come with an error: it says what failed. */
enum err labour_do(struct labour *l, struct buffer *out, const struct crypto_job *job);
/* Nanoseconds on one core, from `perigee bench` (docs/BENCHMARKS.md). */
uint64_t labour_cost_ns(const struct crypto_job *job);

#endif
