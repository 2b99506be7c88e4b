/* worker: executes the effects of the enclave machine (proto/enclave.h) inside a run's worker process.
 * The machine decides and holds no secret; everything secret of a run lives here: the enclave's two keys, the custodians'
 * shares, data keys, noise seed, and the plaintext, which exists only in memfds, a spool's window, DuckDB's memory and the
 * gate's.
 *
 * Rules:
 * - Small secrets are in locked memory (crypto/secret.h). Inputs are memfds sealed against growing and shrinking; their
 *   size is public and counted against the memory of the run before one is made.
 * - An input that does not fit beside the others stays sealed on the host's disk, a few of its chunks at a time in the clear
 *   (spool.h): its size is bounded by that disk, not by memory.
 * - Each share is checked against the committee's public shares under the label built here; only what is checked is kept.
 * - A chunk is decrypted only if it is the leaf it claims to be, of a leaf list whose root is the manifest's; the op runs
 *   only when every chunk of every input has been decrypted.
 * - What the op runtime says about a failure never leaves: a failure that rows could cause is ERR_REFUSED, and the answer
 *   of COMPUTE, good or bad, is given on a fixed tick, so that its time says little. (A residual: the tick's number.)
 * - WIPE zeroes everything; afterwards every effect is ERR_CANCELLED.
 * - Evidence of this driver is SIMULATED and shows no GPU: the op runs on the CPU (node/sandbox.h).
 * Threads: one at a time; DuckDB uses as many inside as given. Errors: those of the effect, in the reply. */
#ifndef PERIGEE_NODE_WORKER_H
#define PERIGEE_NODE_WORKER_H

#include "proto/enclave.h"

enum {
    WORKER_TICK_MS = 100,
    WORKER_MEMORY_MB_MIN = 384, /* what perigee.yaml may say of a worker, and its command line */
    WORKER_MEMORY_MB_MAX = 1 << 20,
    WORKER_THREAD_COUNT_MAX = 64
};

struct worker;

struct worker_options {
    struct hash32 platform, measurement;
    uint32_t threads;      /* of the op runtime */
    uint64_t memory_bytes; /* plaintext, op runtime and gate together */
    int spool;             /* an empty file of the host's for inputs that do not fit; -1: none */
};

/* What ENCLAVE_EVENT_DONE will carry. */
struct worker_reply {
    enum err err;
    uint8_t *bytes;
    size_t len;
};

MUST_USE enum err worker_new(struct worker **out, const struct worker_options *options);
void worker_free(struct worker *w); /* wipes; NULL is fine */
/* For a process that ends while a computation still runs: keys go, what it reads is the kernel's to take. */
void worker_drop_secrets(struct worker *w);
/* Any effect but FRAME and EXIT. `keys` is enclave_keys() at this moment; it may be NULL before the bundle was replayed. */
void worker_execute(struct worker *w, struct worker_reply *reply, const struct enclave_effect *effect,
                    const struct enclave_keys *keys);
void worker_reply_free(struct worker_reply *reply); /* wipes */

#endif
