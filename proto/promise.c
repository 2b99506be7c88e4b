#include "proto/promise.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

#include <string.h>

size_t promises_bytes(uint32_t cap)
{
    return ARENA_BYTES(1, rows_bytes(cap, sizeof(struct promise)) + index_bytes(cap));
}

void promises_init_in(struct promises *p, struct arena *heap, uint32_t cap, uint64_t salt)
{
    *p = (struct promises){.cap = cap};
    rows_init(&p->row.rows, heap, cap);
    index_init_in(&p->index, heap, cap, salt);
}

enum err promises_init(struct promises *p, struct arena *arena, uint32_t cap, uint64_t salt)
{
    promises_init_in(p, &p->own, cap, salt);
    return arena_part(arena, &p->own, promises_bytes(cap)) != NULL ? OK : ERR_NO_MEMORY;
}

void promise_key(uint8_t key[PROMISE_KEY_BYTES], enum promise_kind kind, const uint8_t subject32[32],
                 uint64_t number)
{
    key[0] = (uint8_t)kind;
    memcpy(key + 1, subject32, 32);
    store_u64(key + 33, number);
}

static bool by_term(uint8_t kind)
{
    return kind == PROMISE_VOTE || kind == PROMISE_RELEASE || kind == PROMISE_HOST || kind == PROMISE_WORKER;
}

static uint64_t number_of(const uint8_t key[PROMISE_KEY_BYTES])
{
    return load_u64(key + 33);
}

static struct hash32 name_of(const uint8_t key[PROMISE_KEY_BYTES])
{
    size_t len = by_term(key[0]) ? PROMISE_KEY_BYTES - sizeof(uint64_t) : PROMISE_KEY_BYTES;
    return HASH_FRAMED("perigee/promise/v1", span_make(key, len));
}

static struct promise *find(const struct promises *p, const uint8_t key[PROMISE_KEY_BYTES])
{
    struct hash32 name = name_of(key);
    uint32_t row = index_find(&p->index, name.bytes);
    return row != INDEX_NONE ? &ROW(p->row, row) : NULL;
}

const uint8_t *promise_get(const struct promises *p, enum promise_kind kind, const uint8_t subject32[32],
                           uint64_t number)
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, subject32, number);
    const struct promise *known = find(p, key);
    return known != NULL && number_of(known->key) == number ? known->value : NULL;
}

static enum err add(struct promises *p, const uint8_t key[PROMISE_KEY_BYTES], const uint8_t value[32])
{
    struct hash32 name = name_of(key);
    if (p->count == p->cap) return ERR_FULL;
    struct promise *fresh = &ROW(p->row, p->count);
    memcpy(fresh->name, name.bytes, 32);
    memcpy(fresh->key, key, PROMISE_KEY_BYTES);
    memcpy(fresh->value, value, 32);
    TRY(index_add(&p->index, fresh->name, p->count));
    p->count++;
    return OK;
}

enum err promise_set(struct promises *p, const uint8_t key[PROMISE_KEY_BYTES], const uint8_t value[32])
{
    struct promise *known = find(p, key);
    if (known == NULL) return add(p, key, value);
    if (number_of(key) < number_of(known->key)) return ERR_CONFLICT;
    if (number_of(key) == number_of(known->key))
        return memcmp(known->value, value, 32) == 0 ? OK : ERR_CONFLICT;
    memcpy(known->key, key, PROMISE_KEY_BYTES);
    memcpy(known->value, value, 32);
    return OK;
}

bool promise_superseded(const struct promises *p, const uint8_t key[PROMISE_KEY_BYTES])
{
    const struct promise *known = find(p, key);
    return by_term(key[0]) && known != NULL && number_of(known->key) > number_of(key);
}

static uint64_t term_of(const struct promises *p, enum promise_kind kind, struct run_id run)
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, run.bytes, 0);
    const struct promise *known = find(p, key);
    return known != NULL ? number_of(known->key) : 0;
}

uint64_t promise_term(const struct promises *p, struct run_id run)
{
    uint64_t voted = term_of(p, PROMISE_VOTE, run), released = term_of(p, PROMISE_RELEASE, run);
    return voted > released ? voted : released;
}
