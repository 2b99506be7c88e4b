/* worker_state: what the files worker*.c share. */
#ifndef PERIGEE_NODE_WORKER_STATE_H
#define PERIGEE_NODE_WORKER_STATE_H

#include "crypto/body.h"
#include "crypto/unlock.h"
#include "node/spool.h"
#include "node/worker.h"

/* In locked memory. */
struct worker_secrets {
    struct identity_secret identity;
    struct kem_secret kem;
    struct unlocked run;
};

struct worker_input {
    bool open;
    int fd;              /* what the op runtime reads */
    uint8_t *map;        /* the memfd's bytes; NULL when there are none, and of a spooled input */
    struct spool *spool; /* NULL: it is held in memory */
    struct body_summary summary;
    struct body_key *key;
    struct hash32 *leaf;
    bool *done; /* per chunk */
    uint32_t chunks_left;
};

struct worker {
    struct worker_options options;
    struct worker_secrets *secret;
    bool has_keys, wiped;
    struct unlock unlock;
    struct worker_input input[CAP_INPUTS];
    uint64_t plain_bytes;   /* in memory, of all inputs */
    uint64_t spooled_bytes; /* of the spool's file that are given away */
};

/* Public facts of a body as its manifest states them. */
struct body_summary worker_summary(const struct manifest *m);
/* Room in the reply; NULL when out of memory, and the reply says so. */
uint8_t *worker_reply_room(struct worker_reply *reply, size_t len);
/* Bytes left of the run's memory for the op runtime and the gate once `plain_bytes` of plaintext are held; 0: none. A worker
 * with a spool keeps room for its window. */
uint64_t worker_memory_left(const struct worker *w, uint64_t plain_bytes);

MUST_USE enum err worker_input_begin(struct worker *w, const struct enclave_effect *effect,
                                     const struct enclave_keys *keys);
MUST_USE enum err worker_input_chunk(struct worker *w, const struct enclave_effect *effect);
void worker_input_wipe(struct worker *w);

MUST_USE enum err worker_compute(struct worker *w, struct worker_reply *reply,
                                 const struct workflow *workflow, const struct enclave_keys *keys);

#endif
