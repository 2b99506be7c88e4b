/* store: where records, blobs and durable promises are kept (DESIGN §6).
 * One interface, two makers: LMDB (lmdb_store.c) for the daemon, memory (memory_store.c) for tests and the
 * simulator, which loses un-synced writes on demand.
 *
 * Rules:
 * - One writer thread with group commit: many batches, one sync. A batch is all or nothing; batches apply in
 *   order.
 * - `done` is called once per batch, after its bytes are on disk, or with an error, and then nothing of it is
 *   kept. It runs on the store's writer thread (LMDB) or inside memory_store_sync (memory).
 * - Reads see everything whose `done` has run, never block and run on any thread.
 * - What was read is the reader's to check; blobs and records named by a hash are checked here: a mismatch is
 *   ERR_CORRUPT, the item is counted and quarantined (moved aside by the writer thread, then no longer
 *   found). A scan passes such an item over. In a read-only store it stays where it is.
 * - A full disk or map is ERR_FULL for that batch. The store stays usable and can still shrink: a part of the
 *   map is kept back for deletes. Only when the disk refuses LMDB's own header is everything ERR_IO from then
 *   on, until the store is closed and opened again; what was acknowledged is still there then.
 * - Chunks are at most BLOB_BYTES_MAX. Keys are 1 to STORE_KEY_MAX bytes.
 *
 * Threads: any, but inside `done` and inside a visit only submit, read, has, scan and status may be called.
 * The memory twin belongs to one thread. Ownership: who opened a store closes it, once, when no other call is
 * running. After fork a child must not touch its parent's store. */
#ifndef PERIGEE_STORAGE_STORE_H
#define PERIGEE_STORAGE_STORE_H

#include "proto/base/ids.h"
#include "proto/base/span.h"

enum { STORE_KEY_MAX = 200, BLOB_BYTES_MAX = (1 << 20) + 64, STORE_BATCH_MAX = 64, STORE_SCHEMA_VERSION = 2 };

/* X(symbol, name, checked): checked spaces are keyed by what their value hashes to. */
#define STORE_SPACE_TABLE(X)                                                                                 \
    X(STORE_RECORD, "record", "sha256 of the first header_len bytes; value = u16 header_len | header | sig") \
    X(STORE_BODY, "body", "record id -> body bytes")                                                         \
    X(STORE_CHAIN, "chain", "author 32 | seq be64 | header id 32 -> empty")                                  \
    X(STORE_BLOB, "blob", "binary CID 36 -> bytes")                                                          \
    X(STORE_PIN, "pin", "binary CID 36 | owner of the pin -> empty")                                         \
    X(STORE_PROMISE, "promise",                                                                              \
      "votes, slot votes, releases, commits: kind u8 | key -> value | hash over both")                       \
    X(STORE_LOCAL, "local", "this node's own state: name -> bytes")

#define STORE_SPACE_ENUM(symbol, name, text) symbol,
enum store_space { STORE_SPACE_TABLE(STORE_SPACE_ENUM) STORE_SPACE_COUNT };
#undef STORE_SPACE_ENUM

struct store;

/* PUT_NEW: ERR_CONFLICT if present with other bytes. DELETE of what is not there is no error. */
enum store_op { STORE_PUT, STORE_PUT_NEW, STORE_DELETE };

struct store_write {
    enum store_op op;
    enum store_space space;
    struct span key;
    struct span value;
};

typedef void (*store_done)(void *context, enum err err);

/* Copies what it needs before it returns. Refuses at once (no callback): ERR_TOO_LARGE, ERR_RANGE (empty
 * key), ERR_HASH, ERR_FULL (queue), ERR_NO_MEMORY, ERR_REFUSED (read-only store), ERR_CANCELLED (closing).
 * Through `done`: ERR_CONFLICT, ERR_FULL, ERR_IO, ERR_CORRUPT. Every other batch is untouched by one that
 * fails. `done` may be NULL. A batch of no writes is a barrier: it is done when everything before it is. */
MUST_USE enum err store_submit(struct store *s, const struct store_write *writes, uint32_t count,
                               store_done done, void *context);
/* The same for what can wait: it may stay in the queue for some milliseconds, for company in its sync, but no longer than until
 * the next batch that is not patient. Whoever waits for `done` waits so much longer. */
MUST_USE enum err store_submit_patient(struct store *s, const struct store_write *writes, uint32_t count,
                                       store_done done, void *context);
/* Blocking form for command-line tools: returns when the batch is on disk. Waits for room in the queue. */
MUST_USE enum err store_write_now(struct store *s, const struct store_write *writes, uint32_t count);

/* Copy a value into `out` (appended). ERR_NOT_FOUND, ERR_CORRUPT, ERR_TOO_LARGE when out is too small. */
MUST_USE enum err store_read(struct store *s, enum store_space space, struct span key, struct buffer *out);
/* OK or ERR_NOT_FOUND. The value is not checked. */
MUST_USE enum err store_has(struct store *s, enum store_space space, struct span key);

/* Visit keys with a prefix in byte order. `visit` returns OK to go on, anything else stops the scan and is
 * returned. key and value are valid only inside the call. */
typedef enum err (*store_visit)(void *context, struct span key, struct span value);
MUST_USE enum err store_scan(struct store *s, enum store_space space, struct span prefix, store_visit visit,
                             void *context);
/* The same with empty values: nothing is read or hashed but keys. */
MUST_USE enum err store_scan_keys(struct store *s, enum store_space space, struct span prefix,
                                  store_visit visit, void *context);

struct store_status {
    struct hash32 incarnation; /* random, made with the store; changes on restore */
    uint64_t entries[STORE_SPACE_COUNT];
    uint64_t used_bytes, map_bytes;
    uint64_t quarantined;
    uint64_t transaction;    /* number of the last one on disk; it only rises */
    uint64_t batches, syncs; /* since open; group commit at work: batches / syncs */
};
MUST_USE enum err store_status(struct store *s, struct store_status *out);

/* Waits for queued batches, then closes; what a `done` submits meanwhile is ERR_CANCELLED. NULL: nothing. */
void store_close(struct store *s);

struct lmdb_options {
    const char *path;   /* a directory, created 0700; its parent must exist */
    uint64_t map_bytes; /* sparse reservation; 0 = 1 TiB. The same in every process that opens the store */
    bool read_only;     /* writes are ERR_REFUSED */
    bool every_value;   /* the pages of blobs are checked too: a read of each */
    bool renew;         /* it was copied here: it gets another incarnation. Nobody else has it open */
    /* NULL, or told the number of each transaction of this process once it is on disk, before any `done` of it, on the
     * writer thread. */
    void (*committed)(void *context, uint64_t transaction);
    void *context;
};
/* ERR_VERSION another schema; ERR_REFUSED a directory that holds something else; ERR_NOT_FOUND no parent
 * directory, or read-only and no store; ERR_BUSY this process has it open already, or the lock file is
 * half made and another one holds it; ERR_CORRUPT, ERR_FULL,
 * ERR_NO_MEMORY, ERR_IO. ERR_CORRUPT after the file was cut short or changed: every page that leads to others is checked.
 * Damage to such a page that comes later ends the process: one line on stderr, exit code 1. A blob whose first page was changed is
 * read as any other, and cannot be deleted or moved aside: ERR_CORRUPT for that batch. What was there is not changed by a refusal. Several
 * processes may open one store (the daemon and `perigee seal`). */
MUST_USE enum err lmdb_store_open(struct store **out, const struct lmdb_options *options);
/* The whole store as it is at one moment, written to this file from where it stands on: a data.mdb. While others write. */
MUST_USE enum err lmdb_store_copy(struct store *s, int file);
/* What such a refusal means, for people: what to do about a damaged file, too. */
const char *lmdb_store_open_text(enum err err);
/* What was signed and promised is in it: without it a key is silent. */
#define STORE_DAMAGE_ADVICE                                                                                  \
    "keep it for whoever may repair it, restore the last backup (perigee restore), which reads and serves, " \
    "and let a successor take this node's place (perigee recover --from it). A node that has signed "        \
    "anything and is started without its store signs nothing any more"

/* The in-memory twin, full (ERR_FULL) at bytes_max. Batches wait until memory_store_sync, which lands what is
 * queued at that moment and calls each `done`. A crash throws away what was not synced and calls no `done`:
 * whoever would have heard it is dead too. The store stays open and is what the restarted node finds. */
MUST_USE enum err memory_store_open(struct store **out, uint64_t bytes_max);
void memory_store_sync(struct store *s);
void memory_store_sync_first(struct store *s, uint32_t batches); /* only the first n of the queue */
void memory_store_crash(struct store *s);
/* A torn moment: the first n of the queue reached the disk, but the power went before anyone was told. */
void memory_store_crash_torn(struct store *s, uint32_t batches);
/* Zero until set: the simulator chooses, so that a seed repeats. A lost or restored disk gets another one. */
void memory_store_set_incarnation(struct store *s, struct hash32 incarnation);

#endif
