/* chain: every chained record held, per author, and the order in which it may take effect (DESIGN §4).
 * Rules: a record's turn comes when all earlier ones of its author are held and each names its predecessor; revocations
 * do not wait for their turn. Two different headers with one (author, seq) are an equivocation: the pair is kept, the
 * author is frozen from that seq on. Records far beyond a gap (CAP_SEQ_AHEAD) are refused.
 * Room, in places and in bytes: no author has more than a quarter, so that nobody fills it alone; a quarter is held back for
 * this node's own chain, whatever others send, because a record that was signed must find its place (two in one place
 * would be an equivocation); of an author's quarter and of the whole the last sixteenth takes revocations and removals
 * only. All memory is taken at the start, so that nothing else of the node takes it either.
 * Ownership: records are copied and stay; an author's pair changes when a lower one comes. Pure. */
#ifndef PERIGEE_PROTO_CHAIN_H
#define PERIGEE_PROTO_CHAIN_H

#include "proto/base/index.h"
#include "proto/record.h"

struct author {
    struct node_id node;
    uint64_t applied;      /* all records up to here have had their turn */
    struct record_id head; /* of that record; zero when applied is 0 */
    uint64_t seen;         /* the highest seq held */
    uint32_t held;         /* records */
    size_t bytes;          /* that they take */
    uint64_t missing;      /* the highest seq of a revocation that was too far to be held; 0: none */
    uint64_t frozen;       /* 0, or the lowest seq with two headers */
    struct record pair[2]; /* the two, without bodies */
    uint8_t pair_header[2][CAP_HEADER_BYTES];
};
struct chain_entry {
    uint8_t key[32];
    struct record record;
    bool applied;
    bool examined; /* a receipt: its commits are being or have been checked, or can settle nothing */
};
struct chain {
    struct node_id self;
    struct arena memory; /* of CAP_CHAIN_BYTES: headers and bodies */
    struct author *author;
    struct chain_entry *entry;
    uint32_t author_count, entry_count;
    struct index authors, entries;
};

enum chain_offer { CHAIN_NEW, CHAIN_HELD, CHAIN_RIVAL, CHAIN_TOO_FAR, CHAIN_FULL };

size_t chain_bytes(void); /* that it takes */
MUST_USE enum err chain_init(struct chain *c, struct arena *arena, struct node_id self, uint64_t salt);
/* Is there room for one more record of this author, of this kind, with a header and a body of these lengths? For the own
 * chain the answer holds until the own chain grows. */
bool chain_room(const struct chain *c, struct node_id author, enum kind kind, size_t header_len,
                size_t body_len);
/* Is that within what an author with small places has (registry_admitted: it has not), SMALL_PART of records and bytes? */
bool chain_room_small(const struct chain *c, struct node_id author, size_t header_len, size_t body_len);
/* What would inserting it mean? Cheap; before any signature is checked. */
enum chain_offer chain_offer(const struct chain *c, const struct record *r);
/* Keep a record whose signature holds (offer was CHAIN_NEW, checked again). Returns the kept copy, NULL when full. */
const struct record *chain_insert(struct chain *c, const struct record *r);
/* Would a pair in this place freeze the author? Not when it is frozen there or lower already, nor too far ahead: who signs
 * pairs could walk down from there for ever. */
bool chain_may_freeze(const struct chain *c, struct node_id author, uint64_t seq);
/* Keep two different headers of one place whose signatures hold, held before or not: the author is frozen there. False
 * when chain_may_freeze says no, and when full. */
bool chain_freeze(struct chain *c, const struct record *a, const struct record *b);
/* A record whose signature holds is too far to be held (CHAIN_TOO_FAR): the author has a gap until its turn has come.
 * False when there is no place to note it. */
bool chain_miss(struct chain *c, const struct record *r);
/* Is everything held of this author that what is held of it speaks of? Not with a gap, nor when a record names another
 * predecessor than the one held. What a frozen author signed from there on does not matter. */
bool chain_whole(const struct chain *c, struct node_id author);
/* The next record of this author whose turn has come, marked as applied; NULL when none is. */
const struct record *chain_next(struct chain *c, struct node_id author);
/* Mark a receipt as examined, or not after all. */
void chain_examined(struct chain *c, const struct record *kept, bool examined);
/* Mark a record that acts on receipt; false if it had acted before. */
bool chain_act_early(struct chain *c, const struct record *kept);

const struct author *chain_author(const struct chain *c,
                                  struct node_id author); /* NULL when nothing is held */
const struct record *chain_get(const struct chain *c, struct node_id author, uint64_t seq);
const struct record *chain_find(const struct chain *c, struct node_id author, struct record_id id);

#endif
