#include "sim/pairs.h"

#include "proto/base/panic.h"

#include <stdbool.h>
#include <stdlib.h>

enum { ENDS_FIRST = 16 };

struct end {
    uint64_t serial, since_ns;
    uint32_t peer;
};
struct ends {
    struct end *end;
    uint32_t count, cap;
};
struct pairs {
    struct ends *of;
    uint32_t node_count;
    uint64_t serial;
};

enum err pairs_new(struct pairs **out, uint32_t node_count)
{
    struct pairs *p = calloc(1, sizeof *p);
    if (p == NULL) return ERR_NO_MEMORY;
    p->node_count = node_count;
    p->of = calloc(node_count, sizeof *p->of);
    if (p->of == NULL) {
        free(p);
        return ERR_NO_MEMORY;
    }
    *out = p;
    return OK;
}

void pairs_free(struct pairs *p)
{
    if (p == NULL) return;
    for (uint32_t i = 0; i < p->node_count; i++) free(p->of[i].end);
    free(p->of);
    free(p);
}

static uint32_t place_of(const struct ends *e, uint32_t peer)
{
    uint32_t i = 0;
    while (i < e->count && e->end[i].peer != peer) i++;
    return i;
}

static const struct end *find(const struct pairs *p, uint32_t a, uint32_t b)
{
    ASSERT(a < p->node_count && b < p->node_count);
    const bool shorter = p->of[a].count <= p->of[b].count;
    const struct ends *e = &p->of[shorter ? a : b];
    const uint32_t at = place_of(e, shorter ? b : a);
    return at < e->count ? &e->end[at] : NULL;
}

uint64_t pairs_serial(const struct pairs *p, uint32_t a, uint32_t b)
{
    const struct end *end = find(p, a, b);
    return end != NULL ? end->serial : 0;
}

uint64_t pairs_since(const struct pairs *p, uint32_t a, uint32_t b)
{
    const struct end *end = find(p, a, b);
    ASSERT(end != NULL);
    return end->since_ns;
}

static void add_end(struct ends *e, struct end end)
{
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? ENDS_FIRST : 2 * e->cap;
        e->end = realloc(e->end, e->cap * sizeof *e->end);
        ASSERT(e->end != NULL);
    }
    e->end[e->count++] = end;
}

void pairs_add(struct pairs *p, uint32_t a, uint32_t b, uint64_t now_ns)
{
    ASSERT(a != b && pairs_serial(p, a, b) == 0);
    p->serial++;
    add_end(&p->of[a], (struct end){p->serial, now_ns, b});
    add_end(&p->of[b], (struct end){p->serial, now_ns, a});
}

static void drop_end(struct ends *e, uint32_t peer)
{
    const uint32_t at = place_of(e, peer);
    ASSERT(at < e->count);
    e->end[at] = e->end[--e->count];
}

void pairs_drop(struct pairs *p, uint32_t a, uint32_t b)
{
    ASSERT(a < p->node_count && b < p->node_count);
    drop_end(&p->of[a], b);
    drop_end(&p->of[b], a);
}

uint32_t pairs_count(const struct pairs *p, uint32_t a)
{
    ASSERT(a < p->node_count);
    return p->of[a].count;
}

uint32_t pairs_at(const struct pairs *p, uint32_t a, uint32_t index)
{
    ASSERT(a < p->node_count && index < p->of[a].count);
    return p->of[a].end[index].peer;
}
