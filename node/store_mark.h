/* store_mark: what a data directory remembers of its store, outside of it (PROTOCOL.md "Lost and restored disks"), so that
 * another store, or an older copy of the same, is noticed before its key signs again.
 * Rules: the number of each transaction is written when it is on disk, unsynced: nothing waits for it, and a mark is never
 * ahead of its store. A mark that met a store which is not its own, or an older one, says restored from then on.
 * It cannot notice a copy of the whole directory, mark included: what peers show does (core_silence.c).
 * Threads: store_mark_follow on the store's writer thread, the rest before and after it runs. Errors: ERR_IO, ERR_FULL,
 * ERR_REFUSED of the file system. */
#ifndef PERIGEE_NODE_STORE_MARK_H
#define PERIGEE_NODE_STORE_MARK_H

#include "proto/silence.h"
#include "storage/store.h"

#include <stdbool.h>

enum { STORE_MARK_BYTES = 8 + 8 + 32 + 32 + 8 + 32 };

struct store_mark {
    int file; /* -1: there is none */
    bool readable, follows;
    struct node_id node;
    struct hash32 incarnation;
    uint64_t transaction;
};

/* The bytes of a mark for a store that is still to be made, or of one for a directory that was restored. */
void store_mark_new(uint8_t out[STORE_MARK_BYTES], struct node_id node, bool restored);
/* Read the mark at `path`: whatever is wrong with it is said by store_mark_settle. */
void store_mark_open(struct store_mark *m, const char *path, struct node_id node);
/* Is this the store that the mark knows, no older? Then the mark follows it from now on. */
MUST_USE enum err store_mark_settle(struct store_mark *m, enum silence *out,
                                    const struct store_status *store);
/* What it would say, changing nothing: for who only looks. */
enum silence store_mark_judge(const struct store_mark *m, const struct store_status *store);
/* The same where there is no store. What is not SILENCE_NONE is said as STORE_MARK_NO_STORE with the store's path. */
enum silence store_mark_judge_none(const char *path, struct node_id node);
#define STORE_MARK_NO_STORE                                                                                  \
    "%s: expected the store that this key has signed with, and there is none in it: stop here and look for " \
    "it, since a start makes an empty one"
void store_mark_follow(void *mark, uint64_t transaction); /* lmdb_options.committed */
void store_mark_close(struct store_mark *m);

#endif
