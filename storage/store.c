#include "storage/store_maker.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

#include <string.h>

/* The binary CID (DESIGN §4 "CID"): version 1, raw codec, hash code, digest length. */
enum {
    CID_VERSION = 0x01,
    CID_RAW = 0x55,
    CID_CODE_SHA256 = 0x12,
    CID_CODE_BLAKE3 = 0x1e,
    CID_DIGEST_LEN = 0x20
};

static enum err digest_check(struct hash32 have, const uint8_t *want)
{
    return ids_equal(have.bytes, want) ? OK : ERR_HASH;
}

static enum err blob_check(struct span key, struct span value)
{
    if (key.len != 4 + 32) return ERR_HASH;
    if (key.data[0] != CID_VERSION || key.data[1] != CID_RAW || key.data[3] != CID_DIGEST_LEN)
        return ERR_HASH;
    if (key.data[2] == CID_CODE_SHA256) return digest_check(sha256(value), key.data + 4);
    if (key.data[2] == CID_CODE_BLAKE3) return digest_check(blake3(value), key.data + 4);
    return ERR_HASH;
}

static enum err record_check(struct span key, struct span value)
{
    if (key.len != 32 || value.len < 2) return ERR_HASH;
    size_t header_len = load_u16(value.data);
    if (header_len > value.len - 2) return ERR_HASH;
    return digest_check(sha256(span_make(value.data + 2, header_len)), key.data);
}

enum err store_value_check(enum store_space space, struct span key, struct span value)
{
    if (space == STORE_BLOB) return blob_check(key, value);
    if (space == STORE_RECORD) return record_check(key, value);
    return OK;
}

enum err store_copy_out(struct buffer *out, struct span value)
{
    if (value.len > out->cap - out->len) return ERR_TOO_LARGE;
    buffer_put(out, value);
    return OK;
}

static enum err write_check(const struct store_write *w)
{
    ASSERT(w->space < STORE_SPACE_COUNT);
    if (w->key.len == 0) return ERR_RANGE;
    if (w->key.len > STORE_KEY_MAX) return ERR_TOO_LARGE;
    if (w->op == STORE_DELETE) return OK;
    if (w->value.len > BLOB_BYTES_MAX) return ERR_TOO_LARGE;
    return store_value_check(w->space, w->key, w->value);
}

static enum err batch_check(const struct store_write *writes, uint32_t count)
{
    if (count > STORE_BATCH_MAX) return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) TRY(write_check(&writes[i]));
    return OK;
}

enum err store_submit(struct store *s, const struct store_write *writes, uint32_t count, store_done done,
                      void *context)
{
    TRY(batch_check(writes, count));
    return s->maker->submit(s, writes, count, done, context);
}

enum err store_submit_patient(struct store *s, const struct store_write *writes, uint32_t count,
                              store_done done, void *context)
{
    TRY(batch_check(writes, count));
    return s->maker->submit_patient(s, writes, count, done, context);
}

enum err store_write_now(struct store *s, const struct store_write *writes, uint32_t count)
{
    TRY(batch_check(writes, count));
    return s->maker->write_now(s, writes, count);
}

/* A key no write could have carried is simply not there. */
static bool key_possible(struct span key)
{
    return key.len > 0 && key.len <= STORE_KEY_MAX;
}

enum err store_read(struct store *s, enum store_space space, struct span key, struct buffer *out)
{
    ASSERT(space < STORE_SPACE_COUNT);
    return key_possible(key) ? s->maker->read(s, space, key, out) : ERR_NOT_FOUND;
}

enum err store_has(struct store *s, enum store_space space, struct span key)
{
    ASSERT(space < STORE_SPACE_COUNT);
    return key_possible(key) ? s->maker->has(s, space, key) : ERR_NOT_FOUND;
}

static enum err scan(struct store *s, enum store_space space, struct span prefix, bool with_values,
                     store_visit visit, void *context)
{
    ASSERT(space < STORE_SPACE_COUNT);
    if (prefix.len > STORE_KEY_MAX) return OK;
    return s->maker->scan(s, space, prefix, with_values, visit, context);
}

enum err store_scan(struct store *s, enum store_space space, struct span prefix, store_visit visit,
                    void *context)
{
    return scan(s, space, prefix, true, visit, context);
}

enum err store_scan_keys(struct store *s, enum store_space space, struct span prefix, store_visit visit,
                         void *context)
{
    return scan(s, space, prefix, false, visit, context);
}

enum err store_status(struct store *s, struct store_status *out)
{
    memset(out, 0, sizeof *out);
    return s->maker->status(s, out);
}

void store_close(struct store *s)
{
    if (s) s->maker->close(s);
}
