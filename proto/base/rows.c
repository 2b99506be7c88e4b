#include "proto/base/rows.h"

#include "proto/base/panic.h"

static uint32_t begin_of(uint32_t block)
{
    return ROWS_FIRST * (((UINT32_C(1) << 2 * block) - 1) / 3);
}

/* The last one is as large as is left. */
static uint32_t rows_of(uint32_t block, uint32_t max)
{
    const uint32_t begin = begin_of(block), full = (uint32_t)ROWS_FIRST << 2 * block;
    return begin >= max ? 0 : max - begin < full ? max - begin : full;
}

size_t rows_bytes(uint32_t max, size_t size)
{
    size_t bytes = 0;
    for (uint32_t block = 0; block < ROWS_BLOCKS; block++) bytes += ARENA_BYTES(rows_of(block, max), size);
    return bytes;
}

void rows_init(struct rows *t, struct arena *heap, uint32_t max)
{
    ASSERT(max <= begin_of(ROWS_BLOCKS));
    *t = (struct rows){.heap = heap, .max = max};
}

uint8_t *rows_take(struct rows *t, uint32_t block, size_t size)
{
    ASSERT(block < ROWS_BLOCKS);
    t->block[block] = arena_take(t->heap, rows_of(block, t->max), size);
    ASSERT(t->block[block] != NULL); /* the heap has room for all of it */
    return t->block[block];
}
