#include "node/kept.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "proto/promise.h"

#include <string.h>

enum { CHAIN_KEY_BYTES = 32 + 8 + 32, HEADER_VALUE_MAX = 2 + CAP_HEADER_BYTES + 64 };

/* What three writes point into. */
struct record_rows {
    uint8_t header[HEADER_VALUE_MAX], chain[CHAIN_KEY_BYTES];
};
struct promise_row {
    uint8_t value[PROMISE_VALUE_BYTES + 32];
};

static struct hash32 promise_check(struct span key, struct span value)
{
    return HASH_FRAMED("perigee/promise-kept/v1", key, value);
}

static struct store_write promise_write(struct promise_row *row, const struct keep *k)
{
    struct buffer value = BUFFER_OF(row->value);
    struct hash32 check = promise_check(k->key, k->value);
    buffer_put(&value, k->value);
    buffer_put(&value, ID_SPAN(check));
    ASSERT(!value.overflow);
    return (struct store_write){STORE_PUT_NEW, STORE_PROMISE, k->key, buffer_span(&value)};
}

static uint32_t record_writes(struct store_write *out, struct record_rows *rows, const struct keep *k)
{
    struct record r;
    struct buffer value = BUFFER_OF(rows->header), chain = BUFFER_OF(rows->chain);
    struct record_id id;
    ASSERT(k->key.len == sizeof id.bytes);
    memcpy(id.bytes, k->key.data, sizeof id.bytes);
    enum err err = record_unpack_known(&r, k->value, id);
    ASSERT(err == OK);
    buffer_put_u16(&value, (uint16_t)r.header_bytes.len);
    buffer_put(&value, r.header_bytes);
    buffer_put(&value, SPAN_OF(r.signature.bytes));
    buffer_put(&chain, ID_SPAN(r.header.author));
    buffer_put_u64(&chain, r.header.seq);
    buffer_put(&chain, ID_SPAN(r.id));
    out[0] = (struct store_write){STORE_PUT, STORE_RECORD, k->key, buffer_span(&value)};
    out[1] = (struct store_write){STORE_PUT, STORE_BODY, k->key, r.body};
    out[2] = (struct store_write){STORE_PUT, STORE_CHAIN, buffer_span(&chain), SPAN_NONE};
    return 3;
}

enum err kept_submit(struct store *store, const struct keep *items, uint32_t count, bool patient,
                     store_done done, void *context)
{
    struct store_write writes[3 * KEEP_MAX];
    struct record_rows rows[KEEP_MAX];
    struct promise_row promise[KEEP_MAX];
    uint32_t n = 0;
    ASSERT(count <= KEEP_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct keep *k = &items[i];
        switch (k->space) {
        case KEEP_RECORD: n += record_writes(&writes[n], &rows[i], k); break;
        case KEEP_PROMISE: writes[n++] = promise_write(&promise[i], k); break;
        case KEEP_LOCAL:
            writes[n++] = (struct store_write){k->value.len > 0 ? STORE_PUT : STORE_DELETE, STORE_LOCAL,
                                               k->key, k->value};
            break;
        }
    }
    return patient ? store_submit_patient(store, writes, n, done, context)
                   : store_submit(store, writes, n, done, context);
}

enum err kept_promise(struct span *value, struct span key, struct span stored)
{
    struct cursor c = cursor_make(stored);
    uint8_t check[32];
    if (stored.len < sizeof check) return ERR_TRUNCATED;
    TRY(cursor_take(&c, value, stored.len - sizeof check));
    TRY(cursor_copy(&c, check, sizeof check));
    struct hash32 right = promise_check(key, *value);
    return ids_equal(right.bytes, check) ? OK : ERR_HASH;
}

enum err kept_record(struct store *store, struct buffer *packed, struct span chain_key)
{
    uint8_t header[HEADER_VALUE_MAX], body[CAP_BODY_BYTES];
    struct buffer h = BUFFER_OF(header), b = BUFFER_OF(body);
    if (chain_key.len != CHAIN_KEY_BYTES) return ERR_TRUNCATED;
    const struct span id = span_make(chain_key.data + 40, 32);
    TRY(store_read(store, STORE_RECORD, id, &h));
    TRY(store_read(store, STORE_BODY, id, &b));
    struct cursor c = cursor_make(buffer_span(&h));
    uint16_t header_len = 0;
    struct span header_bytes = SPAN_NONE;
    struct signature signature;
    struct record r;
    TRY(cursor_u16(&c, &header_len));
    TRY(cursor_take(&c, &header_bytes, header_len));
    TRY(cursor_copy(&c, signature.bytes, sizeof signature.bytes));
    TRY(record_open(&r, header_bytes, &signature, buffer_span(&b)));
    record_pack(packed, &r);
    return buffer_done(packed);
}
