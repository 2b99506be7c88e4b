/* index: an open-addressing map from a 32-byte id to a row number. Fixed capacity, no removal. It has
 * an entry for each row, one behind the other as they are added, and slots that name them, in tables each twice as large as the one
 * before. A full table is copied to the next. Memory is taken from a heap as it fills, and is the index's from the start: many
 * small ones lie together.
 * Keys are copied by pointer, not by value: they must stay where they are. Probing starts at the id's own bytes mixed
 * with a per-index salt, so that chosen ids do not collide in every node alike. It stays where it is. Pure. */
#ifndef PERIGEE_PROTO_BASE_INDEX_H
#define PERIGEE_PROTO_BASE_INDEX_H

#include "proto/base/rows.h"

#include <stdint.h>

enum { INDEX_SLOTS_FIRST = 32 };
struct index_entry {
    const uint8_t *key;
    uint32_t row;
};
struct index {
    ROWS(struct index_entry) entry;
    uint32_t *slot; /* the table in use: of each an entry, plus one */
    uint32_t mask, mask_last;
    uint32_t count;
    uint64_t salt;
    struct arena own; /* the heap, where it has one of its own */
};

#define INDEX_NONE UINT32_MAX

size_t index_bytes(uint32_t rows_max); /* that it takes */
MUST_USE enum err index_init(struct index *x, struct arena *arena, uint32_t rows_max, uint64_t salt);
/* From a heap that it shares (rows.h), as it fills. */
void index_init_in(struct index *x, struct arena *heap, uint32_t rows_max, uint64_t salt);
/* Of all of the key. Secret salt, and nobody can choose keys that fall together. */
uint64_t index_hash(uint64_t salt, const uint8_t key[32]);
/* The row of the key, or INDEX_NONE. */
uint32_t index_find(const struct index *x, const uint8_t key[32]);
/* The key must not be present; ERR_FULL at capacity. */
MUST_USE enum err index_add(struct index *x, const uint8_t key[32], uint32_t row);

#endif
