#include "sim/net_lane.h"

#include "proto/base/panic.h"
#include "sim/net.h"

#include <stdbool.h>
#include <stdlib.h>

void net_lanes_free(struct net_lanes *l)
{
    free(l->span);
    *l = (struct net_lanes){0};
}

static void grow(struct net_lanes *l)
{
    ASSERT(l->capacity < UINT32_MAX / 2);
    l->capacity = l->capacity ? 2 * l->capacity : 64;
    l->span = realloc(l->span, l->capacity * sizeof *l->span);
    ASSERT(l->span != NULL);
    if (!l->count) l->count = 1;
}

static uint32_t fresh(struct net_lanes *l)
{
    uint32_t taken = l->free;
    if (taken) {
        l->free = l->span[taken].next;
        return taken;
    }
    if (l->count == l->capacity) grow(l);
    return l->count++;
}

static void drop(struct net_lanes *l, struct net_lane *lane, uint32_t *at)
{
    uint32_t dropped = *at;
    for (uint32_t i = 0; i < NET_LANE_FINGERS; i++)
        if (lane->finger[i] == dropped) lane->finger[i] = 0;
    *at = l->span[dropped].next;
    l->span[dropped].next = l->free;
    l->free = dropped;
}

/* Behind the last of those in mind that are over by then. */
static uint32_t *start_of(struct net_lanes *l, struct net_lane *lane, uint64_t from_ns)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < NET_LANE_FINGERS; i++) {
        uint32_t at = lane->finger[i];
        if (at && l->span[at].to_ns < from_ns && (!best || l->span[at].to_ns > l->span[best].to_ns))
            best = at;
    }
    return best ? &l->span[best].next : &lane->head;
}

uint64_t net_lane_take(struct net_lanes *l, struct net_lane *lane, uint64_t now_ns, uint64_t from_ns,
                       uint64_t length_ns)
{
    ASSERT(now_ns <= from_ns && from_ns < NET_NEVER && length_ns > 0);
    while (lane->head && l->span[lane->head].to_ns <= now_ns) drop(l, lane, &lane->head);
    uint32_t taken = fresh(l), *at = start_of(l, lane, from_ns);
    while (*at && l->span[*at].to_ns < from_ns) at = &l->span[*at].next;
    struct net_lane_span grown = {.from_ns = from_ns, .to_ns = from_ns + length_ns};
    uint64_t end_ns = grown.to_ns;
    while (*at && l->span[*at].from_ns <= grown.to_ns) { /* all that it meets becomes one span with it */
        const struct net_lane_span *met = &l->span[*at];
        uint64_t longer_ns = met->to_ns - (met->from_ns > from_ns ? met->from_ns : from_ns);
        if (met->from_ns < grown.from_ns) grown.from_ns = met->from_ns;
        if (met->from_ns < grown.to_ns) end_ns += longer_ns; /* not for one that begins where it ends */
        grown.to_ns += longer_ns;
        drop(l, lane, at);
    }
    if (grown.to_ns > NET_NEVER) grown.to_ns = NET_NEVER;
    grown.next = *at;
    l->span[taken] = grown;
    *at = taken;
    lane->finger[lane->turn++ % NET_LANE_FINGERS] = taken;
    return end_ns < NET_NEVER ? end_ns : NET_NEVER;
}

static bool is_in(const struct net_lanes *l, const struct net_lane *lane, uint32_t span)
{
    uint32_t at = lane->head;
    while (at && at != span) at = l->span[at].next;
    return at == span;
}

uint32_t net_lane_check(const struct net_lanes *l, const struct net_lane *lane)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NET_LANE_FINGERS; i++) ASSERT(is_in(l, lane, lane->finger[i]));
    for (uint32_t at = lane->head; at; at = l->span[at].next, count++) {
        const struct net_lane_span *s = &l->span[at];
        ASSERT(at < l->count && count < l->count);
        ASSERT(s->from_ns < s->to_ns && s->to_ns <= NET_NEVER);
        ASSERT(!s->next || s->to_ns < l->span[s->next].from_ns);
    }
    return count;
}

uint32_t net_lane_free_count(const struct net_lanes *l)
{
    uint32_t count = 0;
    for (uint32_t at = l->free; at; at = l->span[at].next) {
        ASSERT(at < l->count && count < l->count);
        count++;
    }
    return count;
}
