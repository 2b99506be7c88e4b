/* arena: bump allocation over memory the caller supplies.
 * Rules: the memory must read as zero (the daemon reserves a large sparse mapping, the simulator a small block), so
 * a table of full capacity costs nothing until it is touched. Nothing is freed one by one; a mark and a release give
 * back everything taken since. A NULL result means full; callers turn it into ERR_NO_MEMORY. Single-threaded. */
#ifndef PERIGEE_PROTO_BASE_ARENA_H
#define PERIGEE_PROTO_BASE_ARENA_H

#include "proto/base/span.h"

#include <stddef.h>

struct arena {
    uint8_t *data;
    size_t used;
    size_t cap;
};

/* What taking `count` of `size` bytes takes: for whoever adds up what an arena must hold. */
enum { ARENA_ALIGNMENT = 16 };
#define ARENA_BYTES(count, size)                                                                             \
    (((size_t)(count) * (size) + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT)

struct arena arena_make(void *zeroed, size_t cap);
/* Zeroed memory aligned for any type, or NULL when full. */
void *arena_take(struct arena *a, size_t count, size_t size);
#define ARENA_NEW(arena, type)          ((type *)arena_take((arena), 1, sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_take((arena), (count), sizeof(type)))
/* `part`: an arena of so many bytes within it. Returns it, or NULL when full. */
struct arena *arena_part(struct arena *a, struct arena *part, size_t bytes);
/* A copy of the bytes inside the arena. */
MUST_USE enum err arena_copy(struct arena *a, struct span *out, struct span bytes);
size_t arena_mark(const struct arena *a);
void arena_release(struct arena *a, size_t mark); /* zeroes what it gives back */

#endif
