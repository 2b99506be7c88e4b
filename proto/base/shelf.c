#include "proto/base/shelf.h"

#include "proto/base/panic.h"

#include <string.h>

enum { DOCUMENT_MAX = 4 << 20 /* more than any takes */ };

static size_t heap_bytes(uint32_t most)
{
    return rows_bytes(most, sizeof(struct shelf_row)) + index_bytes(most);
}

size_t shelf_bytes(uint32_t most, size_t bytes)
{
    return ARENA_BYTES(1, heap_bytes(most)) + 2 * ARENA_BYTES(1, bytes);
}

enum err shelf_init(struct shelf *s, struct arena *arena, uint32_t most, size_t bytes)
{
    *s = (struct shelf){.most = most};
    const bool room = arena_part(arena, &s->heap, heap_bytes(most)) != NULL &&
                      arena_part(arena, &s->bytes, bytes) != NULL &&
                      arena_part(arena, &s->documents, bytes) != NULL;
    rows_init(&s->row.rows, &s->heap, most);
    index_init_in(&s->index, &s->heap, most, 0);
    return room ? OK : ERR_NO_MEMORY;
}

static struct shelf_row *find(struct shelf *s, const uint8_t key[32])
{
    const uint32_t at = index_find(&s->index, key);
    return at != INDEX_NONE ? &ROW(s->row, at) : NULL;
}

static struct shelf_row *add(struct shelf *s, const uint8_t key[32])
{
    if (s->count == s->most) return NULL;
    struct shelf_row *row = &ROW(s->row, s->count);
    memcpy(row->key, key, sizeof row->key);
    const enum err err = index_add(&s->index, row->key, s->count++);
    ASSERT(err == OK); /* as many places as rows */
    return row;
}

static void copy(uint8_t *to, struct span bytes)
{
    if (bytes.len > 0) memcpy(to, bytes.data, bytes.len);
}

static bool holds(const struct shelf_row *row, struct span first, struct span second)
{
    const uint8_t *held = row->held;
    return row->len == first.len + second.len && span_equal(span_make(held, first.len), first) &&
           span_equal(span_make(held + first.len, second.len), second);
}

const uint8_t *shelf_put(struct shelf *s, const uint8_t id[32], struct span first, struct span second)
{
    if (s == NULL) return NULL;
    const struct shelf_row *held = find(s, id);
    if (held != NULL) return holds(held, first, second) ? held->held : NULL;
    uint8_t *bytes = s->count < s->most ? arena_take(&s->bytes, first.len + second.len, 1) : NULL;
    if (bytes == NULL) return NULL;
    copy(bytes, first);
    copy(bytes + first.len, second);
    struct shelf_row *row = add(s, id);
    row->held = bytes;
    row->len = first.len + second.len;
    return bytes;
}

/* No id ends in so many zeros. */
static void document_key(uint8_t key[32], size_t offset, size_t len, uint32_t kind)
{
    memset(key, 0, 32);
    store_u64(key, offset);
    store_u32(key + 8, (uint32_t)len);
    store_u32(key + 12, kind);
}

const void **shelf_document(struct shelf *s, struct span bytes, uint32_t kind)
{
    uint8_t key[32];
    if (s == NULL || bytes.len == 0) return NULL;
    const uintptr_t begin = (uintptr_t)s->bytes.data, at = (uintptr_t)bytes.data;
    if (at < begin || at >= begin + s->bytes.used) return NULL;
    document_key(key, at - begin, bytes.len, kind);
    struct shelf_row *row = find(s, key);
    if (row == NULL && s->documents.cap - s->documents.used >= DOCUMENT_MAX) row = add(s, key);
    return row != NULL ? &row->held : NULL;
}
