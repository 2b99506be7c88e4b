/* backlog: what a store's queue had no room for yet, in its order: while a node catches up, more happens to runs in a second than a
 * disk takes. Only for what the core waits for no answer of (histories of runs, the end of a request to join); whatever of that comes behind it waits here, too, so that a later value stays the later. Records never do.
 * Rules: BACKLOG_BYTES_MAX, then ERR_FULL: what finds no room is not known after a restart. Everything is copied. Threads: one. */
#ifndef PERIGEE_NODE_BACKLOG_H
#define PERIGEE_NODE_BACKLOG_H

#include "proto/event.h"
#include "storage/store.h"

enum { BACKLOG_BYTES_MAX = 128 << 20 };

struct backlog_entry;
struct backlog {
    struct backlog_entry *head, **tail;
    size_t bytes;
};

void backlog_init(struct backlog *b);
bool backlog_empty(const struct backlog *b);
MUST_USE enum err backlog_add(struct backlog *b, const struct keep *items, uint32_t count);
/* To the store, as far as its queue has room. `done` is told of each, also of one that the store refuses at once. */
void backlog_give(struct backlog *b, struct store *store, store_done done, void *context);
/* All of it: waits for room. */
void backlog_flush(struct backlog *b, struct store *store, store_done done, void *context);
void backlog_free(struct backlog *b); /* what is left is forgotten */

#endif
