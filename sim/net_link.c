#include "sim/net_link.h"

#include "proto/base/panic.h"

#include <stdlib.h>

void net_links_free(struct net_links *l)
{
    free(l->link);
    *l = (struct net_links){0};
}

static uint32_t full_at(uint32_t capacity)
{
    return capacity - capacity / 8;
}

static uint32_t home_of(const struct net_links *l, uint64_t ends)
{
    ends = (ends ^ (ends >> 29)) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(ends >> 32) & (l->capacity - 1);
}

/* Where the link is, or the empty place where it would be. */
static uint32_t place_of(const struct net_links *l, uint64_t ends)
{
    uint32_t at = home_of(l, ends);
    while (l->link[at].ends && l->link[at].ends != ends) at = (at + 1) & (l->capacity - 1);
    return at;
}

/* Only what is still to come, in a table that is at most half as full as it may be. */
static void rebuild(struct net_links *l, uint64_t now_ns)
{
    struct net_links fresh = {.capacity = l->capacity ? l->capacity : 8};
    for (uint32_t at = 0; at < l->capacity; at++) fresh.count += l->link[at].floor_ns > now_ns;
    if (2 * (uint64_t)fresh.count >= full_at(fresh.capacity)) fresh.capacity *= 2;
    ASSERT(fresh.capacity);
    fresh.link = calloc(fresh.capacity, sizeof *fresh.link);
    ASSERT(fresh.link != NULL);
    for (uint32_t at = 0; at < l->capacity; at++)
        if (l->link[at].floor_ns > now_ns) fresh.link[place_of(&fresh, l->link[at].ends)] = l->link[at];
    free(l->link);
    *l = fresh;
}

static uint64_t ends_of(uint32_t from, uint32_t to)
{
    ASSERT(from != to);
    return (uint64_t)from << 32 | to;
}

uint64_t *net_link_floor(struct net_links *l, uint32_t from, uint32_t to, uint64_t now_ns)
{
    if (l->count >= full_at(l->capacity)) rebuild(l, now_ns);
    struct net_link *link = &l->link[place_of(l, ends_of(from, to))];
    if (!link->ends) {
        *link = (struct net_link){.ends = ends_of(from, to)};
        l->count++;
    }
    return &link->floor_ns;
}

uint64_t net_link_floor_ns(const struct net_links *l, uint32_t from, uint32_t to)
{
    if (!l->count) return 0;
    const struct net_link *link = &l->link[place_of(l, ends_of(from, to))];
    return link->ends ? link->floor_ns : 0;
}

void net_link_forget(struct net_links *l, uint32_t from, uint32_t to)
{
    if (!l->count) return;
    l->link[place_of(l, ends_of(from, to))].floor_ns = 0; /* of an empty place it is 0 already */
}

void net_link_check(const struct net_links *l)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < l->capacity; at++) {
        if (!l->link[at].ends) continue;
        ASSERT(place_of(l, l->link[at].ends) == at);
        count++;
    }
    ASSERT(count == l->count && (!count || count < l->capacity));
}
