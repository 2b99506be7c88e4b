/* opening: a run's output as the receipt that settled it seals it to this node, opened and held against what was signed.
 * Anyone can seal a box to a reader, and a `receipt` record is its author's, not the enclave's. So what a box holds counts
 * only when the core receipt, which q custodians committed to, has its commitment, and the core's enclave signed it as the
 * response to this run. Two rounds of keyed work, by whoever has the keys. Loop thread only. */
#ifndef PERIGEE_NODE_OPENING_H
#define PERIGEE_NODE_OPENING_H

#include "node/keyed_pool.h"
#include "proto/enclave.h"

/* Called once; `reading` and what it points into are valid during the call, and NULL unless err is OK.
 * ERR_NOT_FOUND: nothing is sealed to this node. ERR_HASH, ERR_SIGNATURE, ERR_AUTH ...: what is, is not the run's output. */
typedef void (*opening_done)(void *context, enum err err, const struct reading *reading);

struct opening_options {
    struct node_id self;
    /* As daemon_keyed: copies the job, calls done later. */
    void (*keyed)(void *keys, const struct crypto_job *job, keyed_done done, void *context);
    void *keys;
    opening_done done;
    void *context;
};

/* The receipt's bytes are borrowed during the call only. `done` may be called at once. */
void opening_start(const struct opening_options *options, const struct body_RECEIPT *receipt);

#endif
