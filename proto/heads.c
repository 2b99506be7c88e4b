#include "proto/heads.h"

#include "proto/base/panic.h"

#include <string.h>

size_t heads_bytes(void)
{
    return ARENA_BYTES(CAP_AUTHORS, sizeof(uint32_t));
}

enum err heads_init(struct heads *h, struct arena *arena, struct chain *chain)
{
    memset(h, 0, sizeof *h);
    h->chain = chain;
    h->row = ARENA_ARRAY(arena, uint32_t, CAP_AUTHORS);
    return h->row != NULL ? OK : ERR_NO_MEMORY;
}

/* --- Prefixes ------------------------------------------------------------------------------------------------------------ */

static uint32_t nibble(const uint8_t *id, uint32_t at)
{
    return at % 2 == 0 ? id[at / 2] >> 4 : id[at / 2] & 15;
}

bool heads_prefix_valid(const struct heads_prefix *p)
{
    if (p->depth > HEADS_DEPTH_MAX) return false;
    for (uint32_t at = p->depth; at < HEADS_DEPTH_MAX; at++)
        if (nibble(p->bits.bytes, at) != 0) return false;
    return true;
}

bool heads_under(const struct heads_prefix *p, struct node_id id)
{
    uint32_t at = 0;
    while (at < p->depth && nibble(id.bytes, at) == nibble(p->bits.bytes, at)) at++;
    return at == p->depth;
}

struct heads_prefix heads_child(const struct heads_prefix *p, uint32_t branch)
{
    struct heads_prefix child = *p;
    ASSERT(p->depth < HEADS_DEPTH_MAX && branch < HEADS_RADIX);
    child.bits.bytes[p->depth / 2] |= (uint8_t)(p->depth % 2 == 0 ? branch << 4 : branch);
    child.depth++;
    return child;
}

static const uint8_t *id_at(const struct heads *h, uint32_t place)
{
    return ROW(h->chain->author, h->row[place]).node.bytes;
}

/* The first place whose id is not below the prefix, or, `after`, is above all ids under it. */
static uint32_t bound(const struct heads *h, const struct heads_prefix *p, bool after)
{
    uint32_t low = 0, high = h->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint8_t *id = id_at(h, middle);
        uint32_t at = 0;
        while (at < p->depth && nibble(id, at) == nibble(p->bits.bytes, at)) at++;
        const bool below = at < p->depth ? nibble(id, at) < nibble(p->bits.bytes, at) : after;
        low = below ? middle + 1 : low;
        high = below ? high : middle;
    }
    return low;
}

uint32_t heads_count(const struct heads *h, const struct heads_prefix *p)
{
    return bound(h, p, true) - bound(h, p, false);
}

/* --- What changed -------------------------------------------------------------------------------------------------------- */

/* Where the hash of a prefix of at most two half bytes is remembered. */
static uint32_t known_at(const uint8_t *id, uint32_t depth)
{
    if (depth == 0) return 0;
    return depth == 1 ? 1 + (id[0] >> 4) : 17 + id[0];
}

static void moved(struct heads *h, const uint8_t *id)
{
    for (uint32_t depth = 0; depth <= 2; depth++) h->known[known_at(id, depth)] = false;
}

static void insert(struct heads *h, uint32_t row)
{
    const uint8_t *id = ROW(h->chain->author, row).node.bytes;
    struct heads_prefix all = {HEADS_DEPTH_MAX, {{0}}};
    memcpy(all.bits.bytes, id, 32);
    const uint32_t place = bound(h, &all, false);
    memmove(h->row + place + 1, h->row + place, (h->count - place) * sizeof *h->row);
    h->row[place] = row;
    h->count++;
    moved(h, id);
}

void heads_update(struct heads *h)
{
    if (!h->chain->moved) return;
    h->chain->moved = false;
    while (h->count < h->chain->author_count) insert(h, h->count);
    for (uint32_t i = 0; i < h->chain->author_count; i++) {
        struct author *a = &ROW(h->chain->author, i);
        if (a->moved) moved(h, a->node.bytes);
        a->moved = false;
    }
}

/* --- Hashes -------------------------------------------------------------------------------------------------------------- */

static void put_item(const struct heads *h, struct buffer *out, uint32_t place)
{
    struct author *a = &ROW(h->chain->author, h->row[place]);
    struct record_id head;
    buffer_put(out, ID_SPAN(a->node));
    buffer_put_u64(out, chain_shown(h->chain, a, &head));
    buffer_put(out, ID_SPAN(head));
}

void heads_put(const struct heads *h, struct buffer *out, const struct heads_prefix *p)
{
    const uint32_t end = bound(h, p, true);
    for (uint32_t place = bound(h, p, false); place < end; place++) put_item(h, out, place);
}

static struct hash32 hash_items(const struct heads *h, const struct heads_prefix *p)
{
    uint8_t items[HEADS_ITEMS * HEADS_ITEM_BYTES];
    struct buffer b = BUFFER_OF(items);
    heads_put(h, &b, p);
    return HASH_FRAMED("perigee/heads/v1", buffer_span(&b));
}

static struct hash32 hash_of(struct heads *h, const struct heads_prefix *p);

static struct hash32 hash_branches(struct heads *h, const struct heads_prefix *p)
{
    struct hash32 branch[HEADS_RADIX];
    for (uint32_t i = 0; i < HEADS_RADIX; i++) {
        const struct heads_prefix child = heads_child(p, i);
        branch[i] = heads_hash(h, &child);
    }
    return HASH_FRAMED("perigee/heads-branch/v1", span_make(branch, sizeof branch));
}

/* Ids that share all their half bytes are one id: a prefix with branches has a depth below the last. */
static struct hash32 hash_of(struct heads *h, const struct heads_prefix *p)
{
    const struct hash32 none = {{0}};
    const uint32_t count = heads_count(h, p);
    if (count == 0) return none;
    return count <= HEADS_ITEMS ? hash_items(h, p) : hash_branches(h, p);
}

struct hash32 heads_hash(struct heads *h, const struct heads_prefix *p)
{
    if (p->depth > 2) return hash_of(h, p);
    const uint32_t at = known_at(p->bits.bytes, p->depth);
    if (!h->known[at]) h->hash[at] = hash_of(h, p);
    h->known[at] = true;
    return h->hash[at];
}
