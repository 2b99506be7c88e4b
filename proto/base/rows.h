/* rows: a table that takes memory as it fills. Its rows lie in blocks, the first of ROWS_FIRST rows and each four times as large as the one
 * before, which are taken from a heap when their first row is needed. So the heap of many tables is filled from its beginning with
 * what they hold, and a table with a few rows costs a few rows, not a page of its own. Rows never move, and read as zero at first.
 * Rules: whoever makes the heap gives it rows_bytes (and index_bytes) for each that it serves, beside what else it takes of it at once: then a row is
 * always there. Nothing is given back. A heap, and what has one in it (struct shelf, chain, promises), stays where it was made. Pure. */
#ifndef PERIGEE_PROTO_BASE_ROWS_H
#define PERIGEE_PROTO_BASE_ROWS_H

#include "proto/base/arena.h"
#include "proto/base/panic.h"

#include <stdint.h>

enum { ROWS_FIRST = 4, ROWS_BLOCKS = 10 /* ROWS_FIRST * 4^9 rows and more */ };
struct rows {
    struct arena *heap;
    uint32_t max;
    uint8_t *block[ROWS_BLOCKS]; /* NULL: not needed yet */
};
/* A table of rows of one type; the pointer says which, and is none. */
#define ROWS(type)                                                                                           \
    union {                                                                                                  \
        struct rows rows;                                                                                    \
        type *of;                                                                                            \
    }
#define ROW(table, index) (*(__typeof__((table).of))rows_at(&(table).rows, (index), sizeof *(table).of))

size_t rows_bytes(uint32_t max, size_t size); /* that it may take of the heap */
void rows_init(struct rows *t, struct arena *heap, uint32_t max);
uint8_t *rows_take(struct rows *t, uint32_t block, size_t size);

/* index < max. */
static inline void *rows_at(const struct rows *t, uint32_t index, size_t size)
{
    ASSERT(index < t->max);
    const uint32_t nth = index / ROWS_FIRST * 3 + 1; /* blocks begin at ROWS_FIRST * (4^block - 1) / 3 */
    const uint32_t block = (31 - (uint32_t)__builtin_clz(nth)) / 2;
    const uint32_t begin = ROWS_FIRST * (((UINT32_C(1) << 2 * block) - 1) / 3);
    uint8_t *rows = t->block[block];
    if (rows == NULL) rows = rows_take((struct rows *)(uintptr_t)t, block, size);
    return rows + (size_t)(index - begin) * size;
}

#endif
