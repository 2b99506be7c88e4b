/* keyed_pool: keyed work (keyed.h) on threads of its own, for one libuv loop.
 *
 * Rules, with reasons:
 * - Two queues. Signature checks are many and short; everything else (signing, boxes, shares, evidence, key generation) is
 *   rare and long. Neither may wait behind a flood of the other: a free thread takes what is not a signature check first,
 *   but one thread always stays with signature checks.
 * - A thread takes a batch of signature checks at a time and the loop hears of whatever is finished in one wake-up: locks,
 *   system calls and cache misses are paid for a batch. Waiting checks are spread over the threads before batches grow.
 * - Threads are woken when a batch waits or the loop's turn ends, not for each job.
 * - Signature checks are delivered in the order they came, so that a peer's chain arrives in order; the rest as it ends.
 * - Every job is delivered exactly once, on the loop thread, never from inside the call that submitted it. Nothing is
 *   cancelled: a signature not checked is not a bad one. The core's table of work in flight bounds the queues.
 *
 * Threads: all calls on the loop thread. Ownership: jobs are copied. Out of memory is the end of the program. */
#ifndef PERIGEE_NODE_KEYED_POOL_H
#define PERIGEE_NODE_KEYED_POOL_H

#include "node/keyed.h"

#include <uv.h>

enum { KEYED_BATCH_MAX = 16, KEYED_THREADS_MAX = 64 };

struct keyed_pool;
/* `output` is valid inside the call. */
typedef void (*keyed_done)(void *context, uint64_t token, enum err err, struct span output);

/* At least two threads: one that stays with signature checks, one for the rest. `home` may be NULL where no job needs a key.
 * ERR_NO_MEMORY: threads or memory. */
MUST_USE enum err keyed_pool_open(struct keyed_pool **out, uv_loop_t *loop, const struct home *home,
                                  uint32_t threads);
/* One thread for each core, and one more for jobs that wait for a disk. */
uint32_t keyed_pool_threads(void);
void keyed_pool_submit(struct keyed_pool *p, const struct crypto_job *job, keyed_done done, void *context,
                       uint64_t token);
uint32_t keyed_pool_in_flight(const struct keyed_pool *p); /* submitted and not yet delivered */
/* Only when nothing is in flight: the caller runs the loop until then. The memory goes when the loop has closed the
 * handles; nobody calls again. */
void keyed_pool_close(struct keyed_pool *p);

#endif
