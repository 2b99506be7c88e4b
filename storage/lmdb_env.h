/* lmdb_env: one LMDB environment that is ours: its directory, its databases, its schema.
 * Internal to storage/.
 *
 * Rules:
 * - A directory is ours when it is empty, or holds an LMDB environment with our meta database. Anything
 *   else is refused and left as it was. Another schema is ERR_VERSION, and nothing is changed either.
 * - LMDB must not be opened twice in one process, its file locks would be dropped: ERR_BUSY.
 * - Every page that leads to others is checked at open (lmdb_check.h): damage is ERR_CORRUPT, and nothing is changed.
 * - What was created is durable before open returns: the files' directory and its parent are synced.
 *
 * Threads: open and close hold a process-wide lock; the handles are read-only in between. */
#ifndef PERIGEE_STORAGE_LMDB_ENV_H
#define PERIGEE_STORAGE_LMDB_ENV_H

#include "storage/store.h"

#include <lmdb.h>
#include <sys/types.h>

struct lmdb_env {
    MDB_env *env;
    MDB_dbi spaces[STORE_SPACE_COUNT];
    MDB_dbi meta, quarantine;
    struct hash32 incarnation;
    size_t page_bytes, map_bytes;
    const uint8_t *map; /* where page 0 is */
    bool read_only, renew;
    void (*committed)(void *context, uint64_t transaction);
    void *context;
    dev_t device; /* which directory this is, for the list of open ones */
    ino_t inode;
    struct lmdb_env *next_open;
};

MUST_USE enum err lmdb_env_open(struct lmdb_env *e, const struct lmdb_options *options);
void lmdb_env_close(struct lmdb_env *e);

/* What LMDB or the system said, as ours. */
enum err lmdb_env_err(int rc);
/* May LMDB free the pages of what a write transaction found? It frees those that the value's own head names. ERR_CORRUPT: they are
 * not those that were written; the value stays, and nothing can take its place. */
MUST_USE enum err lmdb_env_replaceable(const struct lmdb_env *e, MDB_dbi dbi, struct span value);
/* Bytes a write transaction may take before puts are refused; asked when it has just begun. A part of the map
 * is kept back, because LMDB needs free pages to delete: a full store must still be able to shrink. */
MUST_USE enum err lmdb_env_room(const struct lmdb_env *e, uint64_t *room_bytes);

MDB_val lmdb_env_val(struct span bytes);
struct span lmdb_env_span(MDB_val value);

#endif
