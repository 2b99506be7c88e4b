/* bench_records: a consortium, and what its members wrote: its charter, then revocations, which are the smallest decisions, of
 * seven members in turn. For benchmarks.
 * Threads: one. Ownership: bench_records_free frees what bench_records_make took. */
#ifndef PERIGEE_NODE_BENCH_RECORDS_H
#define PERIGEE_NODE_BENCH_RECORDS_H

#include "crypto/types.h"
#include "proto/base/ids.h"
#include "proto/base/span.h"
#include "storage/store.h"

struct core_loop;

enum { BENCH_AUTHORS = 7, BENCH_MESSAGE_BYTES = 4096 };

struct bench_author {
    struct identity_secret secret;
    struct node_id id;
    uint64_t seq;
    struct record_id head;
};
struct bench_record {
    uint8_t bytes[BENCH_MESSAGE_BYTES];
    size_t len;
    struct node_id author;
    struct hash32 signed_hash;
    struct signature signature;
};
struct bench_records {
    struct bench_author author[BENCH_AUTHORS]; /* in the order of their ids, as a charter lists them */
    struct consortium_id consortium;
    uint8_t charter_bytes[BENCH_MESSAGE_BYTES];
    struct span charter;
    struct bench_record *message;
    uint32_t count;
    struct core_loop *core;
};

MUST_USE enum err bench_records_make(struct bench_records *out, uint32_t count);
void bench_records_free(struct bench_records *g);
/* From peers until the last is on disk, through a core of nobody's and into this store, which it closes; `rate` is records
 * per second. */
MUST_USE enum err bench_records_ingest(struct bench_records *g, struct store *store, double *rate);

#endif
