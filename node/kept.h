/* kept: how what the core keeps (proto/event.h struct keep) lies in the store (storage/store.h), there and back.
 * One record is three entries: header and signature by id, body by id, its place in its author's chain. A promise carries a
 * hash over key and value: nothing else would tell that one has changed, and a changed one is a forgotten one.
 * Threads: any. Errors: the store's. */
#ifndef PERIGEE_NODE_KEPT_H
#define PERIGEE_NODE_KEPT_H

#include "proto/event.h"
#include "storage/store.h"

/* One batch, all or nothing; everything is copied. `count` is at most KEEP_MAX. Patient: it can wait for company
 * (store_submit_patient). */
MUST_USE enum err kept_submit(struct store *store, const struct keep *items, uint32_t count, bool patient,
                              store_done done, void *context);
/* The value of a promise, from what lies in STORE_PROMISE under this key; it borrows from that. ERR_TRUNCATED, ERR_HASH:
 * damaged. */
MUST_USE enum err kept_promise(struct span *value, struct span key, struct span stored);
/* Append a record, packed, by the key of its entry in STORE_CHAIN. ERR_TRUNCATED: that is no such key. Errors of reading
 * header and body, and of opening them: the record is damaged. */
MUST_USE enum err kept_record(struct store *store, struct buffer *packed, struct span chain_key);

#endif
