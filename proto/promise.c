#include "proto/promise.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

#include <string.h>

enum err promises_init(struct promises *p, struct arena *arena, uint32_t cap, uint64_t salt)
{
    *p = (struct promises){ARENA_ARRAY(arena, struct promise, cap), 0, cap, {0}};
    if (p->row == NULL) return ERR_NO_MEMORY;
    return index_init(&p->index, arena, cap, salt);
}

void promise_key(uint8_t key[PROMISE_KEY_BYTES], enum promise_kind kind, const uint8_t subject32[32],
                 uint64_t number)
{
    key[0] = (uint8_t)kind;
    memcpy(key + 1, subject32, 32);
    store_u64(key + 33, number);
}

static struct hash32 name_of(const uint8_t key[PROMISE_KEY_BYTES])
{
    return HASH_FRAMED("perigee/promise/v1", span_make(key, PROMISE_KEY_BYTES));
}

const uint8_t *promise_get(const struct promises *p, enum promise_kind kind, const uint8_t subject32[32],
                           uint64_t number)
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, subject32, number);
    struct hash32 name = name_of(key);
    uint32_t row = index_find(&p->index, name.bytes);
    return row != INDEX_NONE ? p->row[row].value : NULL;
}

enum err promise_set(struct promises *p, const uint8_t key[PROMISE_KEY_BYTES], const uint8_t value[32])
{
    struct hash32 name = name_of(key);
    uint32_t row = index_find(&p->index, name.bytes);
    if (row != INDEX_NONE) return memcmp(p->row[row].value, value, 32) == 0 ? OK : ERR_CONFLICT;
    if (p->count == p->cap) return ERR_FULL;
    struct promise *fresh = &p->row[p->count];
    memcpy(fresh->name, name.bytes, 32);
    memcpy(fresh->key, key, PROMISE_KEY_BYTES);
    memcpy(fresh->value, value, 32);
    TRY(index_add(&p->index, fresh->name, p->count));
    p->count++;
    return OK;
}

uint64_t promise_term(const struct promises *p, struct run_id run)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const uint8_t *key = p->row[i].key;
        bool by_term = key[0] == PROMISE_VOTE || key[0] == PROMISE_RELEASE;
        if (!by_term || memcmp(key + 1, run.bytes, 32) != 0) continue;
        uint64_t term = load_u64(key + 33);
        if (term > highest) highest = term;
    }
    return highest;
}
