#include "proto/base/index.h"

#include "proto/base/panic.h"

#include <string.h>

enum { SLOTS_FIRST = 64 };

static uint32_t last_slots(uint32_t rows_max)
{
    uint32_t last = SLOTS_FIRST;
    ASSERT(rows_max > 0 && rows_max < UINT32_MAX / 8);
    while (last < rows_max * 2) last *= 2;
    return last;
}

size_t index_bytes(uint32_t rows_max)
{
    return ARENA_BYTES(2 * last_slots(rows_max) - SLOTS_FIRST, sizeof(struct index_slot));
}

enum err index_init(struct index *x, struct arena *arena, uint32_t rows_max, uint64_t salt)
{
    uint32_t last = last_slots(rows_max);
    *x = (struct index){ARENA_ARRAY(arena, struct index_slot, 2 * last - SLOTS_FIRST), SLOTS_FIRST - 1,
                        last - 1, 0, salt};
    return x->slot != NULL ? OK : ERR_NO_MEMORY;
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
    for (uint32_t at = start(x, key);; at = (at + 1) & x->mask) {
        const struct index_slot *s = &x->slot[at];
        if (s->row_plus_one == 0) return INDEX_NONE;
        if (memcmp(s->key, key, 32) == 0) return s->row_plus_one - 1;
    }
}

static void place(struct index *x, struct index_slot new)
{
    uint32_t at = start(x, new.key);
    while (x->slot[at].row_plus_one != 0) {
        ASSERT(memcmp(x->slot[at].key, new.key, 32) != 0);
        at = (at + 1) & x->mask;
    }
    x->slot[at] = new;
}

static void move_on(struct index *x)
{
    const struct index old = *x;
    x->slot += old.mask + 1;
    x->mask = old.mask * 2 + 1;
    for (uint32_t i = 0; i <= old.mask; i++)
        if (old.slot[i].row_plus_one != 0) place(x, old.slot[i]);
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
