/* lmdb_writer: the one thread that writes, and its bounded queue. Internal to storage/.
 *
 * Rules:
 * - Group commit: whatever waits is applied in one transaction, so many batches share one sync.
 * - Patient batches alone are left for PATIENCE_MS, or until there are many: a commit costs the same pages and the same sync
 *   for one record as for a hundred. Any other batch ends the patience of those before it.
 * - A batch is judged (conflict, room) before anything of it is put, so a refused batch leaves nothing in the
 *   group's transaction. If LMDB or the disk fails instead, the group is aborted and its batches are tried
 *   one by one, so that one that does not fit sinks none of the others.
 * - `done` runs on the writer thread, in order, with no lock held: it may submit again, but not wait.
 * - The queue is bounded in batches and bytes; a batch leaves the count when it is on disk. */
#ifndef PERIGEE_STORAGE_LMDB_WRITER_H
#define PERIGEE_STORAGE_LMDB_WRITER_H

#include "storage/lmdb_env.h"

#include <pthread.h>

enum { WRITER_QUEUE_MAX = 4096, WRITER_QUEUE_BYTES_MAX = 128 << 20 };

struct lmdb_batch;

struct lmdb_writer {
    struct lmdb_env *env;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t work, room;
    struct lmdb_batch *head, **tail;
    uint32_t queued;  /* batches not yet done, those being written included */
    uint32_t hurried; /* batches not yet taken that are not patient */
    size_t queued_bytes;
    uint64_t batches, syncs;
    bool closing;
};

MUST_USE enum err lmdb_writer_start(struct lmdb_writer *w, struct lmdb_env *env);
void lmdb_writer_stop(struct lmdb_writer *w); /* everything queued is written first */

enum writer_haste {
    WRITER_SOON,
    WRITER_PATIENT,
    WRITER_WAIT /* as soon; and waits for room in the queue instead of ERR_FULL */
};
MUST_USE enum err lmdb_writer_submit(struct lmdb_writer *w, const struct store_write *writes, uint32_t count,
                                     store_done done, void *context, enum writer_haste haste);
MUST_USE enum err lmdb_writer_now(struct lmdb_writer *w, const struct store_write *writes, uint32_t count);
/* Move the item aside if it still fails its check then. Best effort: the next read asks again. */
void lmdb_writer_quarantine(struct lmdb_writer *w, enum store_space space, struct span key);
void lmdb_writer_counts(struct lmdb_writer *w, uint64_t *batches, uint64_t *syncs);

#endif
