#include "proto/base/pool.h"

#include "proto/base/panic.h"

#include <string.h>

/* The header keeps the block's class and, while free, the next of its list. Sixteen bytes keep what follows aligned. */
struct pool_block {
    struct pool_block *next;
    uint32_t class_index;
    uint32_t size; /* that was asked for; 0: it is free */
};

static const size_t class_bytes[POOL_CLASSES] = {256, 1024, 4096, 16384, 73728, 1 << 20};

void pool_init(struct pool *p, struct arena *arena)
{
    *p = (struct pool){.arena = arena};
}

void *pool_take(struct pool *p, size_t size)
{
    uint32_t i = 0;
    ASSERT(size > 0);
    while (i < POOL_CLASSES && class_bytes[i] < size) i++;
    if (i == POOL_CLASSES) return NULL;
    struct pool_block *block = p->free[i];
    if (block != NULL)
        p->free[i] = block->next;
    else
        block = arena_take(p->arena, 1, sizeof *block + class_bytes[i]);
    if (block == NULL) return NULL;
    block->next = NULL;
    block->class_index = i;
    block->size = (uint32_t)size;
    p->in_use++;
    return block + 1;
}

static size_t block_bytes(const struct pool_block *b)
{
    return ARENA_BYTES(1, sizeof *b + class_bytes[b->class_index]);
}

/* Blocks lie one behind the other as they were taken. */
static size_t end_of_use(const struct pool *p)
{
    size_t end = 0;
    for (size_t at = 0; at < p->arena->used;) {
        const struct pool_block *b = (const struct pool_block *)(p->arena->data + at);
        at += block_bytes(b);
        if (b->size > 0) end = at;
    }
    return end;
}

struct span pool_spare(struct pool *p)
{
    const size_t end = end_of_use(p), used = p->arena->used;
    for (uint32_t i = 0; i < POOL_CLASSES; i++) {
        struct pool_block **at = &p->free[i];
        while (*at != NULL)
            if ((uint8_t *)*at >= p->arena->data + end)
                *at = (*at)->next;
            else
                at = &(*at)->next;
    }
    p->arena->used = end;
    return span_make(p->arena->data + end, used - end);
}

void pool_give(struct pool *p, void *memory)
{
    if (memory == NULL) return;
    struct pool_block *block = (struct pool_block *)memory - 1;
    ASSERT(block->size > 0 && block->class_index < POOL_CLASSES && p->in_use > 0);
    memset(block + 1, 0, block->size);
    block->size = 0;
    block->next = p->free[block->class_index];
    p->free[block->class_index] = block;
    p->in_use--;
}
