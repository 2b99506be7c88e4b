#include "proto/base/arena.h"

#include "proto/base/panic.h"

#include <stdint.h>
#include <string.h>

enum { ALIGNMENT = 16 };

struct arena arena_make(void *zeroed, size_t cap)
{
    ASSERT(zeroed != NULL && (uintptr_t)zeroed % ALIGNMENT == 0);
    return (struct arena){zeroed, 0, cap};
}

void *arena_take(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    ASSERT(a->used <= a->cap && a->used % ALIGNMENT == 0);
    size_t room = (a->cap - a->used) / ALIGNMENT * ALIGNMENT; /* an unaligned tail is never handed out */
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > room) return NULL;
    void *taken = a->data + a->used;
    a->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; /* at most room: that is a multiple too */
    return taken;
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
    ASSERT(mark <= a->used && mark % ALIGNMENT == 0);
    memset(a->data + mark, 0, a->used - mark);
    a->used = mark;
}
