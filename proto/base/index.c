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

size_t index_bytes(uint32_t rows_max)
{
    return ARENA_BYTES(slots_after_first(last_slots(rows_max)), sizeof(struct index_slot));
}

enum err index_init(struct index *x, struct arena *arena, uint32_t rows_max, uint64_t salt)
{
    const uint32_t last = last_slots(rows_max);
    struct index_slot *next = ARENA_ARRAY(arena, struct index_slot, slots_after_first(last));
    *x = (struct index){.next = next, .mask = INDEX_SLOTS_FIRST - 1, .mask_last = last - 1, .salt = salt};
    return next != NULL ? OK : ERR_NO_MEMORY;
}

/* The table in use. */
static struct index_slot *slots(const struct index *x)
{
    return x->mask < INDEX_SLOTS_FIRST ? (struct index_slot *)x->first : x->next - (x->mask + 1);
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
    const struct index_slot *slot = slots(x);
    for (uint32_t at = start(x, key);; at = (at + 1) & x->mask) {
        if (slot[at].row_plus_one == 0) return INDEX_NONE;
        if (memcmp(slot[at].key, key, 32) == 0) return slot[at].row_plus_one - 1;
    }
}

static void place(struct index *x, struct index_slot new)
{
    struct index_slot *slot = slots(x);
    uint32_t at = start(x, new.key);
    while (slot[at].row_plus_one != 0) {
        ASSERT(memcmp(slot[at].key, new.key, 32) != 0);
        at = (at + 1) & x->mask;
    }
    slot[at] = new;
}

static void move_on(struct index *x)
{
    const struct index_slot *old = slots(x);
    const uint32_t old_mask = x->mask;
    x->mask = old_mask * 2 + 1;
    x->next += x->mask + 1;
    for (uint32_t i = 0; i <= old_mask; i++)
        if (old[i].row_plus_one != 0) place(x, old[i]);
}

enum err index_add(struct index *x, const uint8_t key[32], uint32_t row)
{
    ASSERT(row < UINT32_MAX - 1);
    if (x->count >= x->mask / 2 + 1) {
        if (x->mask == x->mask_last) return ERR_FULL;
        move_on(x);
    }
    place(x, (struct index_slot){key, row + 1});
    x->count++;
    return OK;
}
