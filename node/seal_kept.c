#include "node/seal_kept.h"

#include "crypto/cid.h"
#include "crypto/hash.h"
#include "proto/manifest.h"

#include <stdlib.h>
#include <string.h>

enum { PIN_BYTES = CID_BYTES + 32, POLICY_KEY_BYTES = 7 + 32 };

static void make_pin_key(uint8_t out[PIN_BYTES], const struct cid *cid, struct dt dt)
{
    memcpy(out, cid->bytes, CID_BYTES);
    memcpy(out + CID_BYTES, dt.bytes, sizeof dt.bytes);
}

static void make_policy_key(uint8_t out[POLICY_KEY_BYTES], struct hash32 manifest)
{
    memcpy(out, "policy/", 7);
    memcpy(out + 7, manifest.bytes, sizeof manifest.bytes);
}

/* --- Bodies --------------------------------------------------------------------------------------------------------- */

/* Pin (STORE_PUT) or unpin and delete (STORE_DELETE) chunks, in batches; each chunk is at most two writes. */
static enum err mark_chunks(struct store *store, struct dt dt, const struct hash32 *leaf,
                            uint32_t chunk_count, enum store_op op)
{
    enum { PER_BATCH = STORE_BATCH_MAX / 2 };
    uint8_t pin[PER_BATCH][PIN_BYTES];
    struct cid cid[PER_BATCH];
    struct store_write write[STORE_BATCH_MAX];
    for (uint32_t first = 0; first < chunk_count; first += PER_BATCH) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < PER_BATCH && first + i < chunk_count; i++) {
            cid[i] = cid_make(CID_BLAKE3, leaf[first + i]);
            make_pin_key(pin[i], &cid[i], dt);
            write[count++] = (struct store_write){op, STORE_PIN, SPAN_OF(pin[i]), SPAN_NONE};
            if (op == STORE_DELETE)
                write[count++] = (struct store_write){op, STORE_BLOB, SPAN_OF(cid[i].bytes), SPAN_NONE};
        }
        TRY(store_write_now(store, write, count));
    }
    return OK;
}

static enum err mark_leaves(struct store *store, struct dt dt, struct span leaves, enum store_op op)
{
    const struct cid cid = cid_make(CID_SHA256, sha256(leaves));
    uint8_t pin[PIN_BYTES];
    make_pin_key(pin, &cid, dt);
    const struct store_write write[2] = {
        {op, STORE_BLOB, SPAN_OF(cid.bytes), op == STORE_PUT ? leaves : SPAN_NONE},
        {op, STORE_PIN, SPAN_OF(pin), SPAN_NONE},
    };
    return store_write_now(store, write, 2);
}

enum err seal_keep_body(struct store *store, struct dt dt, const struct hash32 *leaf, uint32_t count)
{
    TRY(mark_leaves(store, dt, span_make(leaf, (size_t)count * sizeof *leaf), STORE_PUT));
    return mark_chunks(store, dt, leaf, count, STORE_PUT);
}

enum err seal_drop_body(struct store *store, struct dt dt, const struct hash32 *leaf, uint32_t count)
{
    TRY(mark_chunks(store, dt, leaf, count, STORE_DELETE));
    return mark_leaves(store, dt, span_make(leaf, (size_t)count * sizeof *leaf), STORE_DELETE);
}

/* --- Manifests ------------------------------------------------------------------------------------------------------ */

enum err seal_keep_manifest(struct store *store, struct dt dt, struct span manifest, struct span policy)
{
    const struct hash32 hash = sha256(manifest);
    const struct cid cid = cid_make(CID_SHA256, hash);
    uint8_t pin[PIN_BYTES], key[POLICY_KEY_BYTES];
    make_pin_key(pin, &cid, dt);
    make_policy_key(key, hash);
    const struct store_write write[3] = {
        {STORE_PUT, STORE_BLOB, SPAN_OF(cid.bytes), manifest},
        {STORE_PUT, STORE_PIN, SPAN_OF(pin), SPAN_NONE},
        {STORE_PUT, STORE_LOCAL, SPAN_OF(key), policy},
    };
    return store_write_now(store, write, 3);
}

static enum err drop_manifest(struct store *store, struct dt dt, struct hash32 hash)
{
    const struct cid cid = cid_make(CID_SHA256, hash);
    uint8_t pin[PIN_BYTES], key[POLICY_KEY_BYTES];
    make_pin_key(pin, &cid, dt);
    make_policy_key(key, hash);
    const struct store_write write[3] = {
        {STORE_DELETE, STORE_BLOB, SPAN_OF(cid.bytes), SPAN_NONE},
        {STORE_DELETE, STORE_PIN, SPAN_OF(pin), SPAN_NONE},
        {STORE_DELETE, STORE_LOCAL, SPAN_OF(key), SPAN_NONE},
    };
    return store_write_now(store, write, 3);
}

static enum err read_blob(struct buffer *out, struct store *store, struct hash32 hash)
{
    const struct cid cid = cid_make(CID_SHA256, hash);
    out->len = 0;
    return store_read(store, STORE_BLOB, SPAN_OF(cid.bytes), out);
}

static enum err read_manifest(struct seal_kept *out, struct span bytes)
{
    struct manifest *m = NULL;
    const size_t arena_bytes = 40 * bytes.len + 4096;
    void *memory = calloc(1, arena_bytes);
    if (memory == NULL) return ERR_NO_MEMORY;
    struct arena arena = arena_make(memory, arena_bytes);
    enum err err = manifest_parse(&m, &arena, bytes, NULL);
    if (err == OK) {
        out->dt = m->dt;
        out->compose = m->compose;
        out->content = m->content;
        out->leaves = m->leaves;
        out->chunk_count = m->chunk_count;
    }
    free(memory);
    return err;
}

enum err seal_kept_find(struct seal_kept *out, struct store *store, struct hash32 manifest)
{
    uint8_t key[POLICY_KEY_BYTES], *memory = malloc(BLOB_BYTES_MAX);
    struct buffer policy = BUFFER_OF(out->policy), bytes = buffer_make(memory, BLOB_BYTES_MAX);
    if (memory == NULL) return ERR_NO_MEMORY;
    make_policy_key(key, manifest);
    enum err err = store_read(store, STORE_LOCAL, SPAN_OF(key), &policy);
    if (err == OK) err = read_blob(&bytes, store, manifest);
    if (err == OK) err = read_manifest(out, buffer_span(&bytes));
    out->policy_len = policy.len;
    free(memory);
    return err;
}

static enum err drop(struct store *store, const struct seal_kept *kept, struct hash32 manifest)
{
    uint8_t *memory = malloc(BLOB_BYTES_MAX);
    struct hash32 *leaf = calloc(kept->chunk_count, sizeof *leaf);
    struct buffer leaves = buffer_make(memory, BLOB_BYTES_MAX);
    enum err err = memory != NULL && leaf != NULL ? read_blob(&leaves, store, kept->leaves) : ERR_NO_MEMORY;
    if (err == OK && leaves.len != kept->chunk_count * sizeof *leaf) err = ERR_CORRUPT;
    if (err == OK) memcpy(leaf, leaves.data, leaves.len);
    if (err == OK) err = drop_manifest(store, kept->dt, manifest);
    if (err == OK) err = seal_drop_body(store, kept->dt, leaf, kept->chunk_count);
    free(leaf);
    free(memory);
    return err;
}

enum err seal_kept_drop(struct store *store, struct hash32 manifest)
{
    struct seal_kept *kept = malloc(sizeof *kept);
    enum err err = kept != NULL ? seal_kept_find(kept, store, manifest) : ERR_NO_MEMORY;
    if (err == OK) err = drop(store, kept, manifest);
    free(kept);
    return err;
}
