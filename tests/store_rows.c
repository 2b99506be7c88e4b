#include "tests/store_rows.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "tests/storage_place.h"

enum { ROWS_BYTES_MAX = 16 << 20 };

static void put(struct store *s, enum store_space space, struct span key, struct span value)
{
    const struct store_write w = {STORE_PUT, space, key, value};
    enum err err = store_submit(s, &w, 1, NULL, NULL);
    (void)err; /* a key that is none: left out */
    memory_store_sync(s);
}

/* Of those spaces whose keys are hashes. */
static void put_hashed(struct store *s, enum store_space space, struct span value)
{
    if (space == STORE_BLOB) {
        const struct storage_blob blob = storage_blob_make(0x1e, value);
        put(s, space, SPAN_OF(blob.key), value);
    } else if (space == STORE_RECORD && value.len >= 2 && load_u16(value.data) <= value.len - 2) {
        const struct hash32 id = sha256(span_make(value.data + 2, load_u16(value.data)));
        put(s, space, ID_SPAN(id), value);
    }
}

struct store *store_rows_open(struct span rows)
{
    struct store *s;
    struct cursor c = cursor_make(rows);
    struct span key, value;
    uint8_t space, key_len;
    uint16_t value_len;
    ASSERT(memory_store_open(&s, ROWS_BYTES_MAX) == OK);
    while (cursor_u8(&c, &space) == OK && cursor_u8(&c, &key_len) == OK && cursor_u16(&c, &value_len) == OK &&
           cursor_take(&c, &key, key_len) == OK && cursor_take(&c, &value, value_len) == OK) {
        const enum store_space in = (enum store_space)(space % STORE_SPACE_COUNT);
        if (key.len == 0)
            put_hashed(s, in, value);
        else
            put(s, in, key, value);
    }
    return s;
}

void store_rows_put(struct buffer *out, enum store_space space, struct span key, struct span value)
{
    buffer_put_u8(out, (uint8_t)space);
    buffer_put_u8(out, (uint8_t)key.len);
    buffer_put_u16(out, (uint16_t)value.len);
    buffer_put(out, key);
    buffer_put(out, value);
}
