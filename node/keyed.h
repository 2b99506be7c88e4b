/* keyed: the core's keyed work (crypto/work.h) with this node's secrets, away from the loop.
 * A job is copied when it is taken, runs on any worker thread, and leaves its output in the struct; the loop thread then
 * turns it into an event (keyed_pool.h). What key generation leaves are key files (key_shares.h); a share that a release needs
 * is read once and remembered (share_cache.h). Thread-safe: jobs share only immutable keys. */
#ifndef PERIGEE_NODE_KEYED_H
#define PERIGEE_NODE_KEYED_H

#include "crypto/work.h"
#include "node/home.h"

struct keyed {
    struct crypto_job job; /* spans point into `memory` */
    const struct home *home;
    enum err err;
    struct buffer output; /* in `memory` */
    size_t memory_len;
    uint8_t memory[]; /* what was asked, then room for the answer: a box to seal holds shares */
};

struct keyed *keyed_copy(const struct crypto_job *job, const struct home *home); /* NULL: out of memory */
void keyed_run(struct keyed *k, struct identity_keys *authors); /* `authors` is the calling thread's */
void keyed_free(struct keyed *k);                               /* wipes what may be secret */

#endif
