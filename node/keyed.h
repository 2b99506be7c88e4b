/* keyed: executes the core's keyed work (proto/event.h struct crypto_job) with this node's secrets.
 * A job is copied when it is taken, runs on any worker thread, and leaves its output in the struct; the loop thread then
 * turns it into an event (keyed_pool.h). Key generation state and shares are key files under <home>/keygen, durable before
 * the job completes; a share already there is never overwritten. Thread-safe: jobs share only immutable keys. */
#ifndef PERIGEE_NODE_KEYED_H
#define PERIGEE_NODE_KEYED_H

#include "crypto/identity.h"
#include "node/home.h"
#include "proto/event.h"

enum { KEYED_OUTPUT_MAX = 65536 + 1024 };

struct keyed {
    struct crypto_job job; /* spans point into `memory` */
    const struct home *home;
    enum err err;
    uint8_t *output; /* output_len bytes, in `memory` */
    size_t output_len, output_cap;
    size_t memory_len;
    uint8_t memory[]; /* what was asked, then room for the answer: a box to seal holds shares */
};

struct keyed *keyed_copy(const struct crypto_job *job, const struct home *home); /* NULL: out of memory */
void keyed_run(struct keyed *k, struct identity_keys *keys); /* `keys` is the calling thread's */
void keyed_free(struct keyed *k);                            /* wipes what may be secret */

#endif
