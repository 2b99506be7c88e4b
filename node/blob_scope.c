#include "node/blob_scope.h"

#include "proto/manifest.h"

#include <stdlib.h>
#include <string.h>

static enum err read_named(struct store *store, struct hash32 hash, struct buffer *out)
{
    const struct cid cid = cid_make(CID_SHA256, hash);
    out->len = 0;
    return store_read(store, STORE_BLOB, SPAN_OF(cid.bytes), out);
}

enum err blob_scope_leaves(struct hash32 *leaves, uint32_t *chunk_count, struct span manifest)
{
    struct manifest *m = NULL;
    const size_t arena_bytes = 40 * manifest.len + 4096;
    void *memory = calloc(1, arena_bytes);
    if (memory == NULL) return ERR_NO_MEMORY;
    struct arena arena = arena_make(memory, arena_bytes);
    enum err err = manifest_parse(&m, &arena, manifest, NULL);
    if (err == OK) {
        *leaves = m->leaves;
        *chunk_count = m->chunk_count;
    }
    free(memory);
    return err;
}

static bool lists(struct span leaves, struct hash32 digest)
{
    for (size_t at = 0; at + 32 <= leaves.len; at += 32)
        if (memcmp(leaves.data + at, digest.bytes, 32) == 0) return true;
    return false;
}

/* Is it the leaf list of this manifest or, named by BLAKE3, a chunk in that list? */
static bool belongs(struct store *store, struct hash32 manifest, enum cid_hash how, struct hash32 digest,
                    struct buffer *room)
{
    struct hash32 leaves;
    uint32_t chunk_count;
    if (read_named(store, manifest, room) != OK ||
        blob_scope_leaves(&leaves, &chunk_count, buffer_span(room)) != OK)
        return false;
    if (how == CID_SHA256) return memcmp(leaves.bytes, digest.bytes, 32) == 0;
    return read_named(store, leaves, room) == OK && lists(buffer_span(room), digest);
}

static struct hash32 manifest_at(struct span manifests, size_t at)
{
    struct hash32 hash;
    memcpy(hash.bytes, manifests.data + at, sizeof hash.bytes);
    return hash;
}

enum err blob_scope_check(struct store *store, struct span manifests, const uint8_t cid[CID_BYTES])
{
    enum cid_hash how;
    struct hash32 digest;
    if (cid_parse(&how, &digest, span_make(cid, CID_BYTES)) != OK) return ERR_REFUSED;
    if (how == CID_SHA256 && lists(manifests, digest)) return OK;
    uint8_t *memory = malloc(BLOB_BYTES_MAX);
    if (memory == NULL) return ERR_NO_MEMORY;
    struct buffer room = buffer_make(memory, BLOB_BYTES_MAX);
    bool found = false;
    for (size_t at = 0; at + 32 <= manifests.len && !found; at += 32)
        found = belongs(store, manifest_at(manifests, at), how, digest, &room);
    free(memory);
    return found ? OK : ERR_REFUSED;
}
