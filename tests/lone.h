/* lone: one production core of a test world, restored from all its records, with the production keyed work, which is done at
 * once, and a store that never fails. What it sends is kept; tests bend the knobs, speak to it as its peers, and look.
 * A custodian has compared heads with the others and, unless set otherwise, knows the compute member's platform. */
#ifndef PERIGEE_TESTS_LONE_H
#define PERIGEE_TESTS_LONE_H

#include "proto/core.h"
#include "tests/world.h"

enum { LONE_SENT_MAX = 256, LONE_DIALS_MAX = 16 };

struct lone_sent {
    struct node_id to;
    struct span message;
};

struct lone {
    /* Knobs. */
    enum err shares_err; /* what CRYPTO_SHARES ends with, unless OK */
    uint64_t late_ms;    /* its wall clock is behind the world's by so much */
    /* Called when keyed work is done and the core does not know it yet. */
    void (*meanwhile)(struct lone *l, enum crypto_op op);

    struct world *world;
    uint32_t self;
    struct work_memory kept;
    struct work_keys keys;
    struct arena *arena;
    struct core *core;
    struct instant now;

    struct lone_sent sent[LONE_SENT_MAX];
    uint32_t sent_count, blobs_sent, evidence_checked;
    struct {
        struct node_id node;
        struct span address; /* none: it is hung up */
    } dial[LONE_DIALS_MAX];  /* as it was told to, in order */
    uint32_t dial_count;
    struct span contacts; /* that its store was told to keep */
    char notice[512];     /* the last line for its log */

    struct lone_queue *queue;
};

/* Set before lone_new: its store lacks the vote that it gave in term 1; no advert has come yet. */
extern bool lone_forgets_its_vote, lone_knows_no_platform;
extern bool lone_alone,
    lone_computes; /* the same: no custodian comes up; it offers an enclave, which never says a word */
extern const char *lone_announce; /* the same: where it may be dialled; NULL: nowhere */
/* The same: a local value that its store gives back, under the key "contacts". */
extern struct span lone_contacts;
/* The same: told of every event, before it is stepped and after; NULL: nobody is. */
extern void (*lone_watch)(struct core *core, const struct event *event, bool before);
struct lone *lone_new(struct world *w, uint32_t self);
void lone_free(struct lone *l);
/* A message from this peer, and all that follows from it. */
void lone_message(struct lone *l, struct node_id from, struct span message);
void lone_record(struct lone *l, struct node_id from, const struct record *r);
/* A custodian comes up and holds what is held here. */
void lone_greet(struct lone *l, struct node_id from);
/* The compute member's advert comes. */
void lone_advertise(struct lone *l);
/* The same for any event. */
void lone_event(struct lone *l, struct event event);
/* A tick: it looks at what it holds. */
void lone_look(struct lone *l);
/* Messages of this code that it sent since: the next one from *at on, decoded; false: none. */
bool lone_next(struct lone *l, uint32_t *at, enum message code, union message_body *out, struct node_id *to);

#endif
