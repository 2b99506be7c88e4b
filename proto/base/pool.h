/* pool: blocks of a few fixed sizes from an arena, with free lists, for work in flight.
 * A block is as large as was asked for, and zeroed when it is given back, so what it held is gone, and reads as zero when taken. NULL means full or
 * larger than the largest class. Pure. */
#ifndef PERIGEE_PROTO_BASE_POOL_H
#define PERIGEE_PROTO_BASE_POOL_H

#include "proto/base/arena.h"

enum { POOL_CLASSES = 6, POOL_BODY_BYTES = 73728 + 16 /* a block for a record with a body of any length */ };
struct pool_block;
struct pool {
    struct arena *arena;
    struct pool_block *free[POOL_CLASSES];
    uint32_t in_use;
};

void pool_init(struct pool *p, struct arena *arena);
void *pool_take(struct pool *p, size_t size);
void pool_give(struct pool *p, void *block); /* NULL is allowed */
/* Memory behind the last block in use, which is the arena's again: the caller sees to it that it reads as zero before anything more is
 * taken. The pool has all of the arena. */
struct span pool_spare(struct pool *p);

#endif
