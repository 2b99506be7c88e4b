/* blob_reads: blobs read on libuv's thread pool, for peers and for the local enclave. A peer gets only what its manifests
 * reach (blob_scope.h), and has at most BLOB_READS_PER_PEER reads under way, so that one elected node can take neither
 * the pool nor the memory: a host has no more wants than that (caps.h). The local enclave is not counted;
 * its own machine bounds it.
 * Threads: the loop's; the reading alone is on the pool. Ownership: what is asked is copied; `done` borrows. */
#ifndef PERIGEE_NODE_BLOB_READS_H
#define PERIGEE_NODE_BLOB_READS_H

#include "proto/base/caps.h"
#include "proto/base/ids.h"
#include "storage/store.h"

#include <uv.h>

enum { BLOB_READS_PER_PEER = 64, BLOB_READ_HEADROOM = 1 + 36 + 1 };

struct blob_read {
    struct node_id peer; /* zero: for the local enclave */
    struct run_id run;
    uint8_t cid[36];
    enum err err;
    struct buffer bytes; /* BLOB_READ_HEADROOM bytes for a frame's head, then the blob */
};

struct blob_reads;
struct blob_reads_options {
    uv_loop_t *loop;
    struct store *store;
    void *context;
    void (*done)(void *context, struct blob_read *read);
};
MUST_USE enum err blob_reads_open(struct blob_reads **out, const struct blob_reads_options *options);
/* ERR_FULL: the peer waits for too many already. ERR_NO_MEMORY. `done` is not called then. */
MUST_USE enum err blob_reads_ask(struct blob_reads *b, struct node_id peer, struct run_id run,
                                 const uint8_t cid[36], struct span manifests);
uint32_t blob_reads_in_flight(const struct blob_reads *b);
void blob_reads_close(struct blob_reads *b); /* none may be in flight */

#endif
