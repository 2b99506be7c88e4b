/* labour: the keyed work of a simulated node with its player's keys, and what it costs in virtual time. Signatures are made and
 * checked by the notary of this world (sim/notary.h), at its level; all else is done for real (crypto/work.h). What is random in it follows from the seed, so that a run repeats.
 * Ownership: the caller's, and what key generation leaves in `kept`, which outlives a crash, as a file would.
 * Single-threaded. */
#ifndef PERIGEE_SIM_LABOUR_H
#define PERIGEE_SIM_LABOUR_H

#include "crypto/work_memory.h"
#include "sim/cast.h"

struct labour {
    const struct cast *cast;
    const struct player *player;
    struct work_memory *kept; /* NULL: it has no part in key generation */
    uint64_t entropy_used;
};

/* As work_do. */
enum err labour_do(struct labour *l, struct buffer *out, const struct crypto_job *job);
/* Nanoseconds on one core, from `perigee bench` (docs/BENCHMARKS.md). */
uint64_t labour_cost_ns(const struct crypto_job *job);

#endif
