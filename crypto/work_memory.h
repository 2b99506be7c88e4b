/* work_memory: what key generation leaves (work.h), kept in memory instead of files: for simulated nodes and tests, whose keys
 * are nobody's. It outlives a node's crash as files would.
 * Rules: as for files, nothing is replaced. One epoch has room; what a second one would save is ERR_CONFLICT.
 * Zeroed is empty. Threads: one. Ownership: the caller's, who keeps it where it is. */
#ifndef PERIGEE_CRYPTO_WORK_MEMORY_H
#define PERIGEE_CRYPTO_WORK_MEMORY_H

#include "crypto/cocktail.h"
#include "crypto/work.h"

struct work_memory_item {
    uint32_t epoch;
    size_t len; /* 0: nothing */
    uint8_t bytes[COCKTAIL_STATE_BYTES];
};
struct work_memory {
    struct work_memory_item state[KEYGEN_PURPOSES], share[KEYGEN_PURPOSES];
};

struct work_keep work_memory_keep(struct work_memory *m);

#endif
