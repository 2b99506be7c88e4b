/* backup: a data directory in one file, and back (PROTOCOL.md "Lost and restored disks").
 * Rules: the store is copied as one snapshot, with its node running or not. One whose rows are damaged is
 * copied as well, and told of; one whose pages are is refused. A file is made whole or not at all, and over no other.
 * What was restored has a mark and an incarnation that say so: its key signs nothing again, and a successor takes its place.
 * A file is hostile until its hash is right, and its names are known ones; what it says of itself is no proof of who made it.
 * Threads: any. Errors: with one line for people in `fault`. */
#ifndef PERIGEE_NODE_BACKUP_H
#define PERIGEE_NODE_BACKUP_H

#include "proto/base/ids.h"

#include <stddef.h>
#include <stdint.h>

struct backup_told {
    struct node_id node;
    uint64_t bytes;
    uint32_t entries;
    bool encrypted; /* the keys are under a passphrase */
    enum err
        rows; /* backup_write: OK, or why the rows of the store could not all be read: its copy is made all the same */
    uint64_t defects; /* backup_write: what store_check.h finds wrong in the store, and so in the copy */
};

/* ERR_NOT_FOUND, ERR_VERSION, ERR_REFUSED: no usable data directory at `home`, or no store where its key has signed with one; ERR_CONFLICT: `path` exists; ERR_FULL, ERR_IO. */
MUST_USE enum err backup_write(struct backup_told *out, const char *path, const char *home,
                               uint64_t map_bytes, char *fault, size_t cap);
/* ERR_CORRUPT, ERR_HASH, ERR_VERSION: no backup, or a damaged one; ERR_CONFLICT: `home` exists and is not empty. */
MUST_USE enum err backup_restore(struct backup_told *out, const char *path, const char *home, char *fault,
                                 size_t cap);

#endif
