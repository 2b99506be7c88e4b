/* gossip: to whom a new record goes, and when (PROTOCOL.md "Spreading"): whole to a few links, its id to the others, fetched by who
 * lacks it from who has said to have it. What is not spread so, or is lost on its way, the comparison of heads brings.
 * Knows of a record its id, its length and its class; the records themselves are its holder's (the core's are its chain).
 * Rules: everything a peer can cause is bounded: items, questions open at a link, ids in a message. Nothing is sent unasked to a link
 * that is known to have it. A peer that promised and did not deliver is asked after others.
 * Memory: gossip_bytes, taken at the start; nothing grows. Pure: time is what it was last told, choices follow from the salt.
 * Sources: gossipsub v1.1 and v2.0 (lazy mesh, broken promises count), docs/SIMULATION.md "Spreading" for the constants. */
#ifndef PERIGEE_PROTO_GOSSIP_H
#define PERIGEE_PROTO_GOSSIP_H

#include "proto/base/arena.h"
#include "proto/base/ids.h"

enum {
    GOSSIP_LINKS_MAX = 64,
    GOSSIP_EAGER =
        4, /* links that get a record of others whole while nobody else is known to have it; fewer later */
    GOSSIP_WHOLE_BYTES = 2048, /* longer ones are announced only */
    GOSSIP_BATCH_MS = 20,      /* announcements wait for others */
    GOSSIP_ASK_MS = 250,       /* or three round trips, before another is asked; then two at once */
    GOSSIP_ASK_MOST_MS = 1000,
    GOSSIP_ASK_TURNS = 8,      /* then it is left to the heads */
    GOSSIP_ANNOUNCE_MAX = 512, /* ids in a message */
    GOSSIP_WANT_MAX = 64,      /* ids in a message, and questions open at a link */
};
#define GOSSIP_NOBODY UINT32_MAX

struct gossip;

/* A link is a number below GOSSIP_LINKS_MAX, the holder's choice. Ids are spans of whole 32 bytes. Called within the functions below. */
struct gossip_holder {
    bool (*holds)(void *context, struct record_id id); /* or has it in the making */
    /* As gossip_accepted named it; false: it was not sent. */
    bool (*send)(void *context, uint32_t link, uint64_t record);
    void (*announce)(void *context, uint32_t link, struct span ids);
    void (*want)(void *context, uint32_t link, struct span ids);
    void (*absent)(void *context, uint32_t link, struct span ids);
    void *context;
};

size_t gossip_bytes(uint32_t items);
/* `items`: records that are spreading at once, at most; beyond that the oldest are forgotten. */
MUST_USE enum err gossip_new(struct gossip **out, struct arena *arena, uint32_t items, uint64_t salt,
                             const struct gossip_holder *holder);

void gossip_link_up(struct gossip *g, uint32_t link);
void gossip_link_down(struct gossip *g, uint32_t link);

/* A record came over this link. True: look at it, and say then what became of it; false: it is held, or looked at already. */
MUST_USE bool gossip_arrived(struct gossip *g, uint32_t link, struct record_id id, int64_t now_ns);
/* One came over this link that is held, or is of no use here whoever has it: nothing is looked at. */
void gossip_seen(struct gossip *g, uint32_t link, struct record_id id, int64_t now_ns);
/* Nothing is to be known of it any more. */
void gossip_forget(struct gossip *g, struct record_id id);
/* It is not kept. May another bring it, or is it of no use here now, whoever has it? Then the heads bring it once it is. */
void gossip_dropped(struct gossip *g, struct record_id id, bool again, int64_t now_ns);
/* It is held from now on and to be spread: `record` is the holder's name for it. Urgent ones go whole to all, and their ids after them, one's own go whole to all; one that its
 * author sends to all itself goes whole to nobody. */
enum gossip_class { GOSSIP_NORMAL, GOSSIP_URGENT, GOSSIP_OWN, GOSSIP_BY_AUTHOR };
void gossip_accepted(struct gossip *g, struct record_id id, uint64_t record, size_t bytes,
                     enum gossip_class how, int64_t now_ns);

/* Messages. False: malformed. */
MUST_USE bool gossip_on_announce(struct gossip *g, uint32_t link, struct span ids, int64_t now_ns);
MUST_USE bool gossip_on_want(struct gossip *g, uint32_t link, struct span ids);
MUST_USE bool gossip_on_absent(struct gossip *g, uint32_t link, struct span ids, int64_t now_ns);

/* What is due: batches of announcements, questions without an answer. */
void gossip_tick(struct gossip *g, int64_t now_ns);
int64_t gossip_due(const struct gossip *g); /* INT64_MAX: nothing waits */

#endif
