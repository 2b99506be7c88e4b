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

/* Twice the first, and so on up to the last. */
static uint32_t slots_after_first(uint32_t last)
{
    return 2 * last - 2 * INDEX_SLOTS_FIRST;
}

static uint32_t entries_after_first(uint32_t last)
{
    return last / 2 - INDEX_ENTRIES_FIRST;
}

size_t index_bytes(uint32_t rows_max)
{
    const uint32_t last = last_slots(rows_max);
    return ARENA_BYTES(entries_after_first(last), sizeof(struct index_entry)) +
           ARENA_BYTES(slots_after_first(last), sizeof(uint32_t));
}

enum err index_init(struct index *x, struct arena *arena, uint32_t rows_max, uint64_t salt)
{
    const uint32_t last = last_slots(rows_max);
    struct index_entry *entry = ARENA_ARRAY(arena, struct index_entry, entries_after_first(last));
    uint32_t *next = ARENA_ARRAY(arena, uint32_t, slots_after_first(last));
    *x = (struct index){
        .entry = entry, .next = next, .mask = INDEX_SLOTS_FIRST - 1, .mask_last = last - 1, .salt = salt};
    return entry != NULL && next != NULL ? OK : ERR_NO_MEMORY;
}

/* The table in use. */
static uint32_t *slots(const struct index *x)
{
    return x->mask < INDEX_SLOTS_FIRST ? (uint32_t *)x->slot : x->next - (x->mask + 1);
}

static struct index_entry *entry_at(const struct index *x, uint32_t at)
{
    return at < INDEX_ENTRIES_FIRST ? (struct index_entry *)&x->first[at]
                                    : &x->entry[at - INDEX_ENTRIES_FIRST];
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
    const uint32_t *slot = slots(x);
    for (uint32_t at = start(x, key);; at = (at + 1) & x->mask) {
        if (slot[at] == 0) return INDEX_NONE;
        const struct index_entry *e = entry_at(x, slot[at] - 1);
        if (memcmp(e->key, key, 32) == 0) return e->row;
    }
}

static void place(struct index *x, uint32_t entry)
{
    uint32_t *slot = slots(x);
    uint32_t at = start(x, entry_at(x, entry)->key);
    while (slot[at] != 0) at = (at + 1) & x->mask;
    slot[at] = entry + 1;
}

static void move_on(struct index *x)
{
    x->mask = x->mask * 2 + 1;
    x->next += x->mask + 1;
    for (uint32_t i = 0; i < x->count; i++) place(x, i);
}

enum err index_add(struct index *x, const uint8_t key[32], uint32_t row)
{
    ASSERT(row < UINT32_MAX - 1 && index_find(x, key) == INDEX_NONE);
    if (x->count >= x->mask / 2 + 1) {
        if (x->mask == x->mask_last) return ERR_FULL;
        move_on(x);
    }
    *entry_at(x, x->count) = (struct index_entry){key, row};
    place(x, x->count++);
    return OK;
}
