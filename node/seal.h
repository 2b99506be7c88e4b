/* seal: a file into a sealed body and its manifest, in the store (DESIGN §8; PROTOCOL.md "Sealed body", "manifest/1").
 *
 * Rules:
 * - Constant memory: SEAL_BATCH_CHUNKS chunks, the sealed ones of a few batches more and one list of leaves, whatever the file's
 *   size. A batch is read and sealed on all threads while the store writes those before it.
 * - A table is checked before a byte of it is sealed: every field against the schema, rows counted; the count becomes
 *   public. DuckDB does it where it is present, otherwise csv.h; Parquet needs DuckDB. Bytes are not looked at.
 * - A dataset registered with an exact number of rows is sealed with that number or not at all.
 * - The file must not change meanwhile: what was checked is what is sealed, or ERR_CONFLICT.
 * - The data key exists in secret memory and nowhere else, and is wiped on every path; plaintext buffers are wiped too.
 * - The manifest is written last (seal_kept.h). What a failure left is deleted; what a crash left has no pin.
 * Errors: as said below, with one line for people. It may quote the file: it is for the owner's eyes.
 * Threads: one sealing per call; starts and ends its own threads. Ownership: options are borrowed for the call. */
#ifndef PERIGEE_NODE_SEAL_H
#define PERIGEE_NODE_SEAL_H

#include "crypto/types.h"
#include "node/meta.h"
#include "proto/ddo.h"
#include "proto/manifest.h"
#include "storage/store.h"

enum {
    SEAL_BATCH_CHUNKS = 8,
    /* The leaf list is one blob. 32 GiB of plaintext. */
    SEAL_CHUNK_COUNT_MAX = (1 << 20) / 32,
};

struct seal_options {
    const char *path;
    struct meta meta;            /* format and reader options */
    const struct schema *schema; /* csv and parquet; its spans are borrowed */
    bool row_count_exact;        /* the dataset promises row_count rows, no more and no fewer */
    uint64_t row_count;
    struct node_id owner;
    struct dt dt, app_id;
    struct compose_hash compose;
    struct span policy; /* canonical policy/1, at most SEAL_POLICY_BYTES_MAX; its hash goes into the label */
    struct point root_key; /* key A of the committee record */
    bool owner_veto;       /* as the policy says: the data key is split */
    struct kem_public owner_kem;
    struct store *store;
    uint32_t thread_count; /* 0: one per processor, at most SEAL_BATCH_CHUNKS */
    /* Called now and then with the bytes "checking" (CSV) and then "sealing" has come to, and at the end of each; may be
     * NULL. */
    void (*progress)(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes);
    void *progress_context;
};

struct seal_result {
    struct content_id content;
    struct hash32 manifest; /* sha2-256 of its bytes: a blob of the store */
    uint64_t plain_bytes, row_count;
    uint32_t chunk_count;
    bool checked_by_duckdb;
};

/* ERR_NOT_FOUND, ERR_TYPE (not a regular file), ERR_TOO_LARGE, ERR_SYNTAX (a field that is not of its column's type: line
 * and column are said), ERR_REFUSED (another number of rows than the exact one), ERR_UNAVAILABLE (Parquet without DuckDB), ERR_CONFLICT (changed while read), ERR_KEY, and the
 * store's. */
MUST_USE enum err seal_file(struct seal_result *out, const struct seal_options *options, char *fault,
                            size_t cap);

/* One .tar (ustar) for transport: manifest.json, leaves.bin, chunks/<CID> in order. Deterministic bytes. Everything is
 * read back from the store, which checks it. ERR_CONFLICT: the file exists. ERR_NOT_FOUND: no such manifest here. */
MUST_USE enum err seal_tar(struct store *store, struct hash32 manifest, const char *path, char *fault,
                           size_t cap);

/* Whether that name can be written, before anything is sealed for it: ERR_CONFLICT (exists), ERR_NOT_FOUND (folder),
 * ERR_REFUSED (permission). */
MUST_USE enum err seal_tar_check(const char *path, char *fault, size_t cap);

/* A bar on a terminal's stderr, nothing in a pipe; for seal_options.progress, context NULL. */
void seal_progress_bar(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes);

#endif
