/* chain: every chained record held, per author, and the order in which it may take effect (DESIGN §4).
 * Rules: a record's turn comes when all earlier ones of its author are held and each names its predecessor; revocations,
 * removals and receipts do not wait for their turn. Two different headers with one (author, seq) are an equivocation: the pair is kept, the
 * author is frozen from that seq on.
 * Room is a matter of the author's chain alone, never of what came first nor of what others sent, so that all nodes hold
 * the same: each author has CAP_AUTHOR_RECORDS places, of which the last sixteenth takes revocations and removals only, and
 * CAP_AUTHOR_BYTES for all other records, counted along the chain. The record that exceeds them is held, where it shows
 * that something is missing, and its turn never comes: whoever signs it ends its own chain. What lies behind a hole is held
 * as far as CAP_AHEAD_BYTES go, the rest comes again in its turn. All memory is taken at the start: one part is this node's
 * own, and the others (of caps.h's `chain_parts`) are for all others together, who fill them only when so many of them say all they may.
 * Ownership: records are copied and stay; an author's pair changes when a lower one comes. Pure. */
#ifndef PERIGEE_PROTO_CHAIN_H
#define PERIGEE_PROTO_CHAIN_H

#include "proto/base/shelf.h"
#include "proto/record.h"

/* Two different headers of one place. */
struct pair {
    struct record half[2]; /* without bodies */
    uint8_t header[2][CAP_HEADER_BYTES];
};
struct author {
    struct node_id node;
    uint64_t applied;      /* all records up to here have had their turn */
    struct record_id head; /* of that record; zero when applied is 0 */
    uint64_t seen;         /* the highest seq held */
    uint64_t
        shown; /* all up to here follow each other and are on the disk: others may rely on it (heads.h) */
    struct record_id shown_head;
    size_t bytes, ahead; /* of records that are not negative: whose turn has come; and of the others */
    uint64_t missing;    /* the highest seq of a record that was held once and is lost; 0: none */
    uint64_t frozen;     /* 0, or the lowest seq with two headers */
    struct pair *pair;   /* the two; NULL: it is not frozen */
    size_t held;         /* memory of all that is held of it */
    bool moved;          /* its last record before a hole is another one (heads.h) */
    bool pair_unkept;    /* the disk has refused its pair, or is asked for another one of it */
    bool pair_asked;
};
enum chain_disk { DISK_LACKS, DISK_ASKED, DISK_HAS };
struct chain_entry {
    uint8_t key[32];
    struct record record;
    bool applied;
    bool examined; /* a receipt: its commits are being or have been checked, or can settle nothing */
    bool awaited;  /* a receipt from before the start: until it has been examined no vote goes to its run */
    enum chain_disk disk;
};
struct chain {
    struct node_id self;
    bool moved;     /* some author is new, or has */
    bool restoring; /* what comes was held before: its author's place in the reading order says nothing */
    struct arena own, others; /* headers and bodies */
    struct shelf *shelf;  /* where they lie instead, with those of others who hold the same; NULL: nowhere */
    uint32_t places_left; /* of others */
    struct arena heap;    /* of the tables and of their indexes, where it has one of its own */
    ROWS(struct author) author;
    ROWS(struct pair) pair;
    ROWS(struct chain_entry) entry;
    uint32_t author_count, pair_count, entry_count;
    struct index authors, entries, ids;
};

/* Where the disk is with a record: asked, or it has said that it has it, or that it has not. */
void chain_disk(struct chain *c, uint32_t row, enum chain_disk disk);
/* The next record from row *at on, round about, that the disk lacks and was not asked for; INDEX_NONE: there is none. */
uint32_t chain_unkept(const struct chain *c, uint32_t *at);
/* The last record that others may be told is held. */
uint64_t chain_shown(struct chain *c, struct author *a, struct record_id *head);

/* A record that has acted on receipt and that no head shows, since it stands behind a hole or what the disk lacks. One of the next
 * CHAIN_LOOKED_AT from a place that is another each turn, spread over all there are; NULL: none of those is one. */
enum { CHAIN_LOOKED_AT = 256 };
const struct record *chain_early(const struct chain *c, const struct author *a, uint64_t turn);

enum chain_offer { CHAIN_NEW, CHAIN_HELD, CHAIN_RIVAL, CHAIN_TOO_FAR, CHAIN_FULL };
enum { CHAIN_RECORD_BYTES = CAP_HEADER_BYTES + CAP_BODY_BYTES }; /* the most that one takes */

size_t chain_bytes(uint32_t parts); /* that it takes */
size_t chain_heap_bytes(
    uint32_t parts); /* of that, of a heap that others fill, too (proto/base/rows.h); NULL: its own */
MUST_USE enum err chain_init_in(struct chain *c, struct arena *arena, struct arena *heap, uint32_t parts,
                                struct node_id self, uint64_t salt);
MUST_USE enum err chain_init(struct chain *c, struct arena *arena, uint32_t parts, struct node_id self,
                             uint64_t salt);
/* Would the author's next record have its turn, if it is of this kind, with a header and a body of these lengths? The answer
 * holds until that chain grows. */
bool chain_room(const struct chain *c, struct node_id author, enum kind kind, size_t header_len,
                size_t body_len);
/* Is that within what an author with small places has (registry_admitted: it has not): CAP_SMALL_RECORDS, CAP_SMALL_BYTES? */
bool chain_room_small(const struct chain *c, struct node_id author, size_t header_len, size_t body_len);
/* Until it ends, what lies ahead of its turn is not counted: whoever was read before those who admitted it has all of its
 * chain ahead. Who holds too much of its own for this memory is CHAIN_FULL. */
void chain_restore(struct chain *c, bool going_on);
/* What would inserting it mean? Cheap; before any signature is checked. */
enum chain_offer chain_offer(const struct chain *c, const struct record *r);
/* Keep a record whose signature holds (offer was CHAIN_NEW, checked again). Returns the kept copy, NULL when full. */
const struct record *chain_insert(struct chain *c, const struct record *r);
/* Would a pair in this place freeze the author? Not when it is frozen there or lower already, nor behind its last place: who
 * signs pairs could walk down from there for ever. */
bool chain_may_freeze(const struct chain *c, struct node_id author, uint64_t seq);
/* Keep two different headers of one place whose signatures hold, held before or not: the author is frozen there. False
 * when chain_may_freeze says no, and when full. */
bool chain_freeze(struct chain *c, const struct record *a, const struct record *b);
/* A record of this place was held once and is lost: the author has a gap until its turn has come. False when there is no
 * place to note it. */
bool chain_miss(struct chain *c, struct node_id author, uint64_t seq);
/* Has all of this chain that counts up to there had its turn? Behind a fork nothing is awaited. */
bool chain_reached(const struct chain *c, struct node_id author, uint64_t seq);
/* Is everything held of this author that what is held of it speaks of? Not with a gap, nor when a record names another
 * predecessor than the one held. What a frozen author signed from there on does not matter. */
bool chain_whole(const struct chain *c, struct node_id author);
/* The last record before the first hole: the last that had its turn, or the next if that is held all the same. 0: none. */
uint64_t chain_tip(const struct chain *c, const struct author *a, struct record_id *head);
/* The next record of this author whose turn has come, marked as applied; NULL when none is. */
const struct record *chain_next(struct chain *c, struct node_id author);
/* Mark a receipt as examined; or, when that came to nothing, as one to be examined. */
void chain_examined(struct chain *c, const struct record *kept, bool yes);
/* Mark a record that acts on receipt; false if it had acted before. */
bool chain_act_early(struct chain *c, const struct record *kept);

const struct author *chain_author(const struct chain *c,
                                  struct node_id author);              /* NULL when nothing is held */
struct author *chain_author_row(struct chain *c, struct node_id node); /* the same one, to be changed */
uint32_t chain_author_number(const struct chain *c,
                             struct node_id node); /* its row; INDEX_NONE: it is none */
const struct record *chain_get(const struct chain *c, struct node_id author, uint64_t seq);
/* Its row, for chain_at; INDEX_NONE: it is not held. */
uint32_t chain_row(const struct chain *c, struct record_id id);
const struct record *chain_at(const struct chain *c, uint32_t row);
const struct record *chain_find(const struct chain *c, struct node_id author, struct record_id id);

#endif
