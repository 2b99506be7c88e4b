/* labour: what a worker does beside its machine, which keeps its lease meanwhile: chunks, which a slow disk may hold up, and
 * the computation. One thread does it, in the order in which it was given, until the process ends.
 *
 * Rules: what is given is answered once, whatever becomes of it. Inputs are that thread's until all is answered: before a
 * wipe, labour_end waits for the chunk at work; who computes is not waited for, and its process ends instead
 * (worker_drop_secrets).
 * Threads: the functions here one, that of the machine. Ownership: bytes of chunks are copied; all else that effects borrow,
 * and keys, must outlive the answer. Errors: ERR_NO_MEMORY, in the answer where there is one. */
#ifndef PERIGEE_NODE_WORKER_LABOUR_H
#define PERIGEE_NODE_WORKER_LABOUR_H

#include "node/worker.h"

struct labour;

MUST_USE enum err labour_new(struct labour **out, struct worker *worker);
MUST_USE enum err
labour_start(struct labour *l); /* behind the walls: a thread from before would not be inside */
void labour_give(struct labour *l, const struct enclave_effect *effect, const struct enclave_keys *keys);
int labour_fd(const struct labour *l); /* readable: there is an answer */
/* Nothing that was given and is not begun will be done any more. True: nothing is at work, or it was a chunk, which a disk did not
 * hold up for long; the worker is this thread's again. */
MUST_USE bool labour_end(struct labour *l);
/* Waits for the next answer, which is the caller's then. */
void labour_answer(struct labour *l, uint64_t *token, struct worker_reply *reply);

#endif
