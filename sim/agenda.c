#include "sim/agenda.h"

#include "proto/base/panic.h"

#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>

enum {
    LEVELS = 8,
    SLOTS = 256, /* of a level */
    BLOCK_ENTRIES = 31,
    READY_MAX = 2048,
    CELL_MAX = 32,      /* closer together than so many in a cell: spread over a finer level first */
    SHIFTS_AN_ENTRY = 8 /* in `ready`, each about a tenth of moving an entry through the wheel */
};

/* 512 bytes of a slot's entries. */
struct block {
    struct agenda_entry entry[BLOCK_ENTRIES];
    uint32_t next, unused[3];
};

struct slot {
    uint64_t count, first_ns; /* first_ns: the earliest time in it */
    uint32_t head, tail;      /* blocks; all but these two are full */
    uint16_t head_taken, tail_used;
};

struct place {
    uint32_t level, digit;
};

struct agenda {
    uint64_t count, entries_max;
    uint64_t now_ns;    /* the time of what was given last */
    uint64_t origin_ns; /* what the levels are counted from: the first of the slot that was opened last */
    uint32_t levels;    /* bit: level with entries */
    uint64_t taken[LEVELS][SLOTS / 64]; /* bit: slot with entries */
    struct slot slot[LEVELS][SLOTS];

    /* The slot whose turn it is, sorted. While it is open no level below its own has entries; once the wheel goes on, its time is past. */
    bool ready_open;
    uint32_t ready_head, ready_end;
    int64_t ready_shifts; /* that are still cheaper than to close it */
    uint64_t ready_until_ns;
    struct agenda_entry ready[READY_MAX];
    uint16_t cell[2 * READY_MAX + 1];

    size_t bytes;
    uint32_t block_count, block_fresh, block_free; /* fresh: never used; free: first of a list, 0 ends it */
    alignas(64) struct block block[];
};
_Static_assert(sizeof(struct block) == 512, "blocks lie on cache lines");

/* --- Blocks ----------------------------------------------------------------------------------------------------------- */

/* The most blocks `entries_max` entries can need: full ones, one begun in every slot, one being emptied while its entries move, one
 * half given away; number 0 is none. */
static uint64_t blocks_needed(uint64_t entries_max)
{
    return entries_max / BLOCK_ENTRIES + LEVELS * SLOTS + 3;
}

static uint32_t block_take(struct agenda *a)
{
    const uint32_t b = a->block_free;
    if (b != 0) {
        a->block_free = a->block[b].next;
        return b;
    }
    ASSERT(a->block_fresh < a->block_count);
    return a->block_fresh++;
}

static void block_give(struct agenda *a, uint32_t b)
{
    a->block[b].next = a->block_free;
    a->block_free = b;
}

/* Asks for the block behind this one while this one is read: blocks lie anywhere. */
static void block_expect(const struct agenda *a, uint64_t b)
{
    const struct block *next = &a->block[a->block[b].next];
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i += 4) __builtin_prefetch(&next->entry[i]);
}

/* How many entries a block has, of a slot that has `left` from there on. */
static uint32_t block_fill(uint64_t left)
{
    return left < BLOCK_ENTRIES ? (uint32_t)left : BLOCK_ENTRIES;
}

/* --- The wheel -------------------------------------------------------------------------------------------------------- */

/* The times that a slot of this level covers, less its first. */
static uint64_t slot_width(uint32_t level)
{
    return (UINT64_C(1) << 8 * level) - 1;
}

static inline void wheel_add(struct agenda *a, struct agenda_entry entry)
{
    const uint32_t level = (63 - (uint32_t)__builtin_clzll((entry.at_ns ^ a->origin_ns) | 1)) / 8;
    const uint32_t digit = entry.at_ns >> 8 * level & (SLOTS - 1);
    struct slot *s = &a->slot[level][digit];
    if (s->count == 0) {
        a->levels |= 1U << level;
        a->taken[level][digit / 64] |= UINT64_C(1) << digit % 64;
        s->head = s->tail = block_take(a);
        s->head_taken = s->tail_used = 0;
        s->first_ns = entry.at_ns;
    } else if (s->tail_used == BLOCK_ENTRIES) {
        const uint32_t b = block_take(a);
        a->block[s->tail].next = b;
        s->tail = b;
        s->tail_used = 0;
    }
    if (entry.at_ns < s->first_ns) s->first_ns = entry.at_ns;
    a->block[s->tail].entry[s->tail_used++] = entry;
    s->count++;
}

/* The slot whose turn is next: what lies in a lower level is earlier. */
static struct place wheel_next(const struct agenda *a)
{
    ASSERT(a->levels != 0);
    const uint32_t level = (uint32_t)__builtin_ctz(a->levels);
    uint32_t word = 0;
    while (a->taken[level][word] == 0) word++;
    return (struct place){level, word * 64 + (uint32_t)__builtin_ctzll(a->taken[level][word])};
}

static void wheel_empty(struct agenda *a, struct place at)
{
    const uint64_t *taken = a->taken[at.level];
    a->slot[at.level][at.digit].count = 0;
    a->taken[at.level][at.digit / 64] &= ~(UINT64_C(1) << at.digit % 64);
    if ((taken[0] | taken[1] | taken[2] | taken[3]) == 0) a->levels &= ~(1U << at.level);
}

/* A slot of level 0 is one instant. */
static void instant_take(struct agenda *a, struct agenda_entry *out, struct place at)
{
    struct slot *s = &a->slot[at.level][at.digit];
    const uint32_t b = s->head;
    *out = a->block[b].entry[s->head_taken++];
    a->now_ns = a->origin_ns = out->at_ns;
    a->count--;
    s->count--;
    if (s->count == 0) {
        wheel_empty(a, at);
        block_give(a, b);
    } else if (s->head_taken == BLOCK_ENTRIES) {
        s->head = a->block[b].next;
        s->head_taken = 0;
        block_give(a, b);
    }
}

/* --- What is ready ---------------------------------------------------------------------------------------------------- */

/* Where each cell of the slot's time begins in `ready`; about as many cells as entries. False: some lie too close together. */
static bool cells_count(struct agenda *a, const struct slot *s, uint64_t width, uint32_t shift)
{
    const uint64_t cells = (width >> shift) + 1;
    memset(a->cell, 0, (cells + 1) * sizeof a->cell[0]);
    for (uint64_t b = s->head, left = s->count; left > 0; b = a->block[b].next) {
        const uint32_t fill = block_fill(left);
        block_expect(a, b);
        for (uint32_t i = 0; i < fill; i++) a->cell[((a->block[b].entry[i].at_ns & width) >> shift) + 1]++;
        left -= fill;
    }
    for (uint64_t i = 1; i <= cells; i++) {
        if (a->cell[i] > CELL_MAX) return false;
        a->cell[i] = (uint16_t)(a->cell[i] + a->cell[i - 1]);
    }
    return true;
}

/* Stable, and quick because nothing is further from its place than its cell is full. */
static void sort_cells(struct agenda_entry *entry, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct agenda_entry moved = entry[i];
        uint32_t to = i;
        for (; to > 0 && entry[to - 1].at_ns > moved.at_ns; to--) entry[to] = entry[to - 1];
        entry[to] = moved;
    }
}

/* The slot, which is no longer in the wheel, sorted. False: it is too crowded for that. */
static bool ready_fill(struct agenda *a, const struct slot *s, uint32_t level)
{
    if (s->count > READY_MAX) return false;
    const uint64_t width = slot_width(level);
    const uint32_t bits = 8 * level, cell_bits = 64 - (uint32_t)__builtin_clzll(s->count);
    const uint32_t shift = bits > cell_bits ? bits - cell_bits : 0;
    if (!cells_count(a, s, width, shift)) return false;
    for (uint64_t b = s->head, next, left = s->count; left > 0; b = next) {
        const uint32_t fill = block_fill(left);
        for (uint32_t i = 0; i < fill; i++) {
            const struct agenda_entry *entry = &a->block[b].entry[i];
            a->ready[a->cell[(entry->at_ns & width) >> shift]++] = *entry;
        }
        left -= fill;
        next = a->block[b].next;
        block_give(a, (uint32_t)b);
    }
    sort_cells(a->ready, (uint32_t)s->count);
    a->ready_open = true;
    a->ready_head = 0;
    a->ready_end = (uint32_t)s->count;
    a->ready_shifts = (int64_t)s->count * SHIFTS_AN_ENTRY;
    a->ready_until_ns = s->first_ns | width;
    return true;
}

/* Its turn has come: nothing is earlier than the earliest in it. */
static void slot_open(struct agenda *a, struct place at)
{
    const struct slot s = a->slot[at.level][at.digit];
    wheel_empty(a, at);
    a->origin_ns = s.first_ns;
    if (ready_fill(a, &s, at.level)) return;
    for (uint64_t b = s.head, next, left = s.count; left > 0; b = next) {
        const uint32_t fill = block_fill(left);
        block_expect(a, b);
        for (uint32_t i = 0; i < fill; i++) wheel_add(a, a->block[b].entry[i]);
        left -= fill;
        next = a->block[b].next;
        block_give(a, (uint32_t)b);
    }
}

/* What is left of it lies in finer levels from now on. */
static void ready_close(struct agenda *a)
{
    a->ready_open = false;
    for (uint32_t i = a->ready_head; i < a->ready_end; i++) wheel_add(a, a->ready[i]);
    a->ready_head = a->ready_end = 0;
}

/* The place behind all that are not later. */
static uint32_t ready_place(const struct agenda *a, uint64_t at_ns)
{
    uint32_t low = a->ready_head, high = a->ready_end;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (a->ready[middle].at_ns > at_ns)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* By moving what is before its place to the front or what is behind it to the back, whichever is less. False: there is no room, or
 * too much has been moved. */
static bool ready_add(struct agenda *a, struct agenda_entry entry)
{
    const uint32_t head = a->ready_head, end = a->ready_end, place = ready_place(a, entry.at_ns);
    const uint32_t before = place - head, behind = end - place;
    const bool front = head > 0 && before < behind;
    if (!front && end == READY_MAX) return false;
    if ((a->ready_shifts -= front ? before : behind) < 0) return false;
    if (front) {
        memmove(&a->ready[head - 1], &a->ready[head], before * sizeof entry);
        a->ready[place - 1] = entry;
        a->ready_head--;
    } else {
        memmove(&a->ready[place + 1], &a->ready[place], behind * sizeof entry);
        a->ready[place] = entry;
        a->ready_end++;
    }
    return true;
}

/* --- The agenda ------------------------------------------------------------------------------------------------------- */

enum err agenda_new(struct agenda **out, uint64_t entries_max)
{
    if (blocks_needed(entries_max) > UINT32_MAX) return ERR_NO_MEMORY;
    const uint32_t block_count = (uint32_t)blocks_needed(entries_max);
    const size_t bytes = sizeof(struct agenda) + (size_t)block_count * sizeof(struct block);
    struct agenda *a =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (a == MAP_FAILED) return ERR_NO_MEMORY;
    a->entries_max = entries_max; /* the rest of the mapping is zero */
    a->bytes = bytes;
    a->block_count = block_count;
    a->block_fresh = 1;
    *out = a;
    return OK;
}

void agenda_free(struct agenda *a)
{
    if (a != NULL) ASSERT(munmap(a, a->bytes) == 0);
}

enum err agenda_add(struct agenda *a, struct agenda_entry entry)
{
    ASSERT(entry.at_ns >= a->now_ns && entry.at_ns != UINT64_MAX);
    if (a->count == a->entries_max) return ERR_FULL;
    a->count++;
    if (a->ready_open && entry.at_ns <= a->ready_until_ns) {
        if (ready_add(a, entry)) return OK;
        ready_close(a);
    }
    wheel_add(a, entry);
    return OK;
}

bool agenda_next(struct agenda *a, struct agenda_entry *out)
{
    if (a->count == 0) return false;
    while (a->ready_head == a->ready_end) {
        const struct place at = wheel_next(a);
        if (at.level == 0) {
            instant_take(a, out, at);
            return true;
        }
        slot_open(a, at);
    }
    *out = a->ready[a->ready_head++];
    a->now_ns = out->at_ns;
    a->count--;
    return true;
}

uint64_t agenda_peek(const struct agenda *a)
{
    if (a->count == 0) return UINT64_MAX;
    if (a->ready_head < a->ready_end) return a->ready[a->ready_head].at_ns;
    const struct place at = wheel_next(a);
    return a->slot[at.level][at.digit].first_ns;
}

uint64_t agenda_count(const struct agenda *a)
{
    return a->count;
}
