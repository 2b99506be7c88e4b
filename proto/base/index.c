#include "proto/base/index.h"

#include "proto/base/panic.h"

#include <string.h>

static uint32_t last_slots(uint32_t rows_max)
{
    uint32_t last = INDEX_SLOTS_FIRST;
    ASSERT(rows_max > 0 && rows_max < UINT32_MAX / 8);
    while (last < rows_max * 2) last *= 2;
    return last;
}

size_t index_bytes(uint32_t rows_max)
{
    size_t bytes = rows_bytes(last_slots(rows_max) / 2, sizeof(struct index_entry));
    for (uint32_t slots = INDEX_SLOTS_FIRST; slots <= last_slots(rows_max); slots *= 2)
        bytes += ARENA_BYTES(slots, sizeof(uint32_t));
    return bytes;
}

void index_init_in(struct index *x, struct arena *heap, uint32_t rows_max, uint64_t salt)
{
    *x = (struct index){.mask = INDEX_SLOTS_FIRST - 1, .mask_last = last_slots(rows_max) - 1, .salt = salt};
    rows_init(&x->entry.rows, heap, last_slots(rows_max) / 2);
}

enum err index_init(struct index *x, struct arena *arena, uint32_t rows_max, uint64_t salt)
{
    index_init_in(x, &x->own, rows_max, salt);
    return arena_part(arena, &x->own, index_bytes(rows_max)) != NULL ? OK : ERR_NO_MEMORY;
}

/* The heap has room for it. */
static void take_slots(struct index *x)
{
    x->slot = ARENA_ARRAY(x->entry.rows.heap, uint32_t, x->mask + 1);
    ASSERT(x->slot != NULL);
}

uint64_t index_hash(uint64_t salt, const uint8_t key[32])
{
    uint64_t mixed = salt;
    for (uint32_t i = 0; i < 32; i += 8) { /* all of it: keys of one author differ in the last bytes only */
        mixed = (mixed ^ load_u64(key + i)) * UINT64_C(0x9e3779b97f4a7c15);
        mixed ^= mixed >> 32;
    }
    return mixed;
}

static uint32_t start(const struct index *x, const uint8_t key[32])
{
    return (uint32_t)index_hash(x->salt, key) & x->mask;
}

uint32_t index_find(const struct index *x, const uint8_t key[32])
{
    if (x->count == 0) return INDEX_NONE;
    const uint32_t *slot = x->slot;
    for (uint32_t at = start(x, key);; at = (at + 1) & x->mask) {
        if (slot[at] == 0) return INDEX_NONE;
        const struct index_entry *e = &ROW(x->entry, slot[at] - 1);
        if (memcmp(e->key, key, 32) == 0) return e->row;
    }
}

static void place(struct index *x, uint32_t entry)
{
    uint32_t *slot = x->slot, at = start(x, ROW(x->entry, entry).key);
    while (slot[at] != 0) at = (at + 1) & x->mask;
    slot[at] = entry + 1;
}

static void move_on(struct index *x)
{
    x->mask = x->mask * 2 + 1;
    take_slots(x);
    for (uint32_t i = 0; i < x->count; i++) place(x, i);
}

enum err index_add(struct index *x, const uint8_t key[32], uint32_t row)
{
    ASSERT(row < UINT32_MAX - 1 && index_find(x, key) == INDEX_NONE);
    if (x->count >= x->mask / 2 + 1) {
        if (x->mask == x->mask_last) return ERR_FULL;
        move_on(x);
    }
    if (x->count == 0) take_slots(x);
    ROW(x->entry, x->count) = (struct index_entry){key, row};
    place(x, x->count++);
    return OK;
}
