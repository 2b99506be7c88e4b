/* blob_scope: may this blob be served to a node elected for a run over these manifests? Only a manifest itself, its leaf
 * list, and a chunk listed there: what else the store holds is no business of that run. Reads the store; any thread.
 * Errors of the check: ERR_REFUSED when it belongs to none of them or what would show it is not here; ERR_NO_MEMORY. */
#ifndef PERIGEE_NODE_BLOB_SCOPE_H
#define PERIGEE_NODE_BLOB_SCOPE_H

#include "crypto/cid.h"
#include "storage/store.h"

/* The leaf list that this manifest, the blob, names, and how many chunks it is of. ERR_NO_MEMORY, a parse error. */
MUST_USE enum err blob_scope_leaves(struct hash32 *leaves, uint32_t *chunk_count, struct span manifest);

/* `manifests`: their sha2-256, 32 bytes each. */
MUST_USE enum err blob_scope_check(struct store *store, struct span manifests, const uint8_t cid[CID_BYTES]);

#endif
