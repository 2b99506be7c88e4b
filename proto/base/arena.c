#include "proto/base/arena.h"

#include "proto/base/panic.h"

#include <stdint.h>
#include <string.h>

struct arena arena_make(void *zeroed, size_t cap)
{
    ASSERT(zeroed != NULL && (uintptr_t)zeroed % ARENA_ALIGNMENT == 0);
    return (struct arena){zeroed, 0, cap};
}

void *arena_take(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    ASSERT(a->used <= a->cap && a->used % ARENA_ALIGNMENT == 0);
    size_t room =
        (a->cap - a->used) / ARENA_ALIGNMENT * ARENA_ALIGNMENT; /* an unaligned tail is never handed out */
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > room) return NULL;
    void *taken = a->data + a->used;
    a->used += ARENA_BYTES(bytes, 1); /* at most room: that is a multiple too */
    return taken;
}

struct arena *arena_part(struct arena *a, struct arena *part, size_t bytes)
{
    void *memory = arena_take(a, bytes, 1);
    if (memory == NULL) return NULL;
    *part = arena_make(memory, bytes);
    return part;
}

enum err arena_copy(struct arena *a, struct span *out, struct span bytes)
{
    uint8_t *copy = arena_take(a, bytes.len, 1);
    if (copy == NULL) return ERR_NO_MEMORY;
    if (bytes.len > 0) memcpy(copy, bytes.data, bytes.len);
    *out = (struct span){copy, bytes.len};
    return OK;
}

size_t arena_mark(const struct arena *a)
{
    return a->used;
}

void arena_release(struct arena *a, size_t mark)
{
    ASSERT(mark <= a->used && mark % ARENA_ALIGNMENT == 0);
    memset(a->data + mark, 0, a->used - mark);
    a->used = mark;
}
