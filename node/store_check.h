/* store_check: is everything in a store what it should be? For `perigee doctor --store`, with no node, or beside one.
 * Looked at: each record's hash, place, body and signature; that each chain names its predecessors, and where it has holes; that
 * rows and indexes agree both ways; that blobs have their hash, and pins their blob; that promises read back, and go together as
 * they are made. LMDB's own pages were checked when the store was opened.
 * Nothing is changed. A store that is written to meanwhile is not one moment's: what was just being written may be said to lack
 * its other half. Threads: any. Errors: those of reading; what is wrong is told, not returned. */
#ifndef PERIGEE_NODE_STORE_CHECK_H
#define PERIGEE_NODE_STORE_CHECK_H

#include "storage/store.h"

/* X(symbol, name, text): what may be wrong, and what to do about it. Whatever only has to be fetched again is no defect. */
#define STORE_DEFECT_TABLE(X)                                                                                \
    X(STORE_DEFECT_RECORD, "record", "a record does not read or has not its hash: it is fetched again")      \
    X(STORE_DEFECT_PLACE, "place", "a record stands in another place than its own")                          \
    X(STORE_DEFECT_SIGNATURE, "signature", "a record's signature does not hold: nothing of it may be used")  \
    X(STORE_DEFECT_BODY, "body", "a record's body is none of its kind")                                      \
    X(STORE_DEFECT_LINK, "link", "a record names another predecessor than the one held")                     \
    X(STORE_DEFECT_ORPHAN, "orphan", "a row that nothing leads to: it is never used")                        \
    X(STORE_DEFECT_BLOB, "blob", "a blob has not its hash: seal that dataset again")                         \
    X(STORE_DEFECT_PIN, "pin", "a blob that should be kept is not there: seal that dataset again")           \
    X(STORE_DEFECT_PROMISE, "promise", "a promise does not read back: this key must not vote again")         \
    X(STORE_DEFECT_CONTRADICTION, "contradiction",                                                           \
      "a promise lacks those made with it: this key must not vote again")

#define STORE_DEFECT_ENUM(symbol, name, text) symbol,
enum store_defect { STORE_DEFECT_TABLE(STORE_DEFECT_ENUM) STORE_DEFECT_COUNT };
#undef STORE_DEFECT_ENUM
const char *store_defect_name(enum store_defect d);
const char *store_defect_text(enum store_defect d);

struct store_health {
    uint64_t records, authors, holes, rivals, bodies, blobs, pins, promises, locals;
    uint64_t defects[STORE_DEFECT_COUNT];
};
/* `found` is told of each defect: the key of the row. */
typedef void (*store_found)(void *context, enum store_defect defect, struct span key);
MUST_USE enum err store_check(struct store_health *out, struct store *store, store_found found,
                              void *context);
uint64_t store_health_defects(const struct store_health *h); /* all of them */

#endif
