/* heads: what a node holds, as a tree of hashes over the heads of all chains (PROTOCOL.md "Heads"): equal roots are equal holdings,
 * and two that differ find where in as many questions as the tree is deep, whatever the number of authors. A chain's head commits to all of
 * it, so the tree has a leaf an author, not one a record.
 * The tree is not kept: authors stand sorted by id, a prefix is a range of them, and only the hashes of the first two levels are
 * remembered until a chain below them grows.
 * Rules: heads_update after chains have grown, before anything is asked. Memory: heads_bytes, four bytes an author. Pure.
 * Source: Merkle trees for anti-entropy, Demers et al. 1987 and Dynamo 2007; the radix is the reference's. */
#ifndef PERIGEE_PROTO_HEADS_H
#define PERIGEE_PROTO_HEADS_H

#include "proto/chain.h"

enum {
    HEADS_ITEM_BYTES =
        32 + 8 + 32,  /* author, be64 seq, id: of the last record held without a hole before it */
    HEADS_ITEMS = 64, /* under a prefix with more authors there are branches */
    HEADS_RADIX = 16,
    HEADS_DEPTH_MAX = 64,
    HEADS_KNOWN = 1 + 16 + 256,
};

/* The first so many half bytes of an id; the rest is zero. */
struct heads_prefix {
    uint32_t depth;
    struct hash32 bits;
};

struct heads {
    struct chain *chain;
    uint32_t *row; /* of the chain's authors, by id */
    uint32_t count;
    bool known[HEADS_KNOWN];
    struct hash32 hash[HEADS_KNOWN];
};

size_t heads_bytes(void);
MUST_USE enum err heads_init(struct heads *h, struct arena *arena, struct chain *chain);
void heads_update(struct heads *h);

bool heads_prefix_valid(const struct heads_prefix *p);
bool heads_under(const struct heads_prefix *p, struct node_id id);
struct heads_prefix heads_child(const struct heads_prefix *p, uint32_t branch); /* depth < HEADS_DEPTH_MAX */
/* Zero: nothing is held under this prefix. */
struct hash32 heads_hash(struct heads *h, const struct heads_prefix *p);
uint32_t heads_count(const struct heads *h, const struct heads_prefix *p);
/* Items of all authors under this prefix, HEADS_ITEM_BYTES each. */
void heads_put(const struct heads *h, struct buffer *out, const struct heads_prefix *p);

#endif
