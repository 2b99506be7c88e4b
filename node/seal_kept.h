/* seal_kept: what a sealing keeps in the store: chunks, leaf list and manifest as blobs, a pin for each, and the owner's
 * policy, which the manifest names by its hash only and binding needs whole.
 * Rules: pins are owned by the dataset, CID 36 | dt 32. The policy is this node's own state, "policy/" | manifest 32. The
 * manifest, its pin and the policy are one batch, the last: a manifest that is there stands for a whole body.
 * Threads: any; blocks on the store. Errors: the store's. */
#ifndef PERIGEE_NODE_SEAL_KEPT_H
#define PERIGEE_NODE_SEAL_KEPT_H

#include "crypto/types.h"
#include "storage/store.h"

enum { SEAL_POLICY_BYTES_MAX = 4096 };

/* The leaf list with its pin, then the chunks' pins. */
MUST_USE enum err seal_keep_body(struct store *store, struct dt dt, const struct hash32 *leaf,
                                 uint32_t count);
MUST_USE enum err seal_keep_manifest(struct store *store, struct dt dt, struct span manifest,
                                     struct span policy);
/* Unpin and delete chunks [0, count) and their leaf list. */
MUST_USE enum err seal_drop_body(struct store *store, struct dt dt, const struct hash32 *leaf,
                                 uint32_t count);

struct seal_kept {
    struct dt dt;
    struct compose_hash compose;
    struct content_id content;
    struct hash32 leaves;
    uint32_t chunk_count;
    uint8_t policy[SEAL_POLICY_BYTES_MAX];
    size_t policy_len;
};
/* ERR_NOT_FOUND: nothing was sealed here under this manifest. ERR_CORRUPT, ERR_NO_MEMORY. */
MUST_USE enum err seal_kept_find(struct seal_kept *out, struct store *store, struct hash32 manifest);
/* As if it had not been sealed. */
MUST_USE enum err seal_kept_drop(struct store *store, struct hash32 manifest);

#endif
