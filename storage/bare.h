/* bare: LMDB with nothing around it, as the limit that the store's benchmark divides by. One database, one caller, no
 * queue, no check; a put is one transaction and one sync, as the store's is.
 * Threads: one. Ownership: the value that bare_get finds lives until bare_got. Errors: the store's. */
#ifndef PERIGEE_STORAGE_BARE_H
#define PERIGEE_STORAGE_BARE_H

#include "storage/store.h"

struct bare_lmdb;
MUST_USE enum err bare_open(struct bare_lmdb **out, const char *path,
                            uint64_t map_bytes); /* a new directory */
void bare_close(struct bare_lmdb *b);            /* NULL is fine */
MUST_USE enum err bare_put(struct bare_lmdb *b, const struct store_write *writes, uint32_t count);
MUST_USE enum err bare_get(struct bare_lmdb *b, struct span key, struct span *value);
void bare_got(struct bare_lmdb *b);

#endif
