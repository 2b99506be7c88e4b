/* puppet: one production core of a test world under virtual time, with no key and no disk of its own: whatever keyed work it asks
 * for is said to be well at once (a signature is its message twice, a sealed box its plaintext), and what it asks the store to
 * keep is kept, refused or lost when the test says so; but for records of its own, which are kept at once and not over a start. So a step costs microseconds, and tests ask it thousands of things.
 * It starts from all records of the world and what its store holds; the other custodians are its peers, which tell it heads
 * when the test says so. For tests of what a core decides; what keys prove is others' business. */
#ifndef PERIGEE_TESTS_PUPPET_H
#define PERIGEE_TESTS_PUPPET_H

#include "proto/core.h"
#include "tests/world.h"

enum { PUPPET_SENT_MAX = 256, PUPPET_BATCHES_MAX = 64, PUPPET_ROWS_MAX = 1024, PUPPET_QUEUE_MAX = 256 };

struct puppet_row {
    enum keep_space space;
    uint8_t key[64], value[512];
    size_t key_len, value_len;
};
struct puppet_batch {
    uint64_t token;
    uint32_t count;
    struct puppet_row row[KEEP_MAX];
};
/* What it sent: a statement or record (code RECORD), opened, or another message. */
struct puppet_sent {
    struct node_id to;
    enum message code;
    union message_body message;
    struct record record;
    union body body;
};

struct puppet {
    struct world *world;
    struct core_options options; /* set before puppet_start; self and charter are puppet_new's */
    struct core *core;           /* NULL: it does not run */
    struct instant now;
    struct arena *arena;

    struct puppet_batch batch[PUPPET_BATCHES_MAX]; /* asked of the store, oldest first */
    struct puppet_row row[PUPPET_ROWS_MAX];        /* what it holds beside the records */
    uint32_t batch_count, row_count;

    struct puppet_sent sent[PUPPET_SENT_MAX]; /* since puppet_forget */
    uint32_t sent_count, started;             /* started: enclaves, since puppet_forget */
    struct run_id started_run;

    struct event queue[PUPPET_QUEUE_MAX]; /* completions of keyed work */
    uint32_t head, tail;
    struct arena memory; /* of the queue and of what was sent */
};

/* Before puppet_new: one more compute member of the world, without keys; one more run like the world's, in this slot. */
struct node_id puppet_admit(struct world *w, uint32_t number);
const struct record *puppet_request(struct world *w, uint64_t slot);

struct puppet *puppet_new(struct world *w, uint32_t self);
void puppet_free(struct puppet *p);
/* A start from the store, its rows in any order. */
void puppet_start(struct puppet *p, uint64_t *seed);
/* It is killed: of what the store was asked, batch by batch, a random part is kept; kept[i]: was batch i? */
void puppet_crash(struct puppet *p, uint64_t *seed, bool kept[PUPPET_BATCHES_MAX]);
void puppet_stored(struct puppet *p, enum err err); /* the answer to the oldest batch */
void puppet_forget(struct puppet *p);

uint64_t puppet_wall_ms(const struct puppet *p);
void puppet_event(struct puppet *p, struct event event);
void puppet_message(struct puppet *p, struct node_id from, enum message code, const void *message);
/* A statement or an ephemeral record; nobody looks at its signature. */
void puppet_said(struct puppet *p, struct node_id from, enum kind kind, const void *body);
/* The packed form of one, as it is in a box. */
struct span puppet_pack(struct puppet *p, struct node_id from, enum kind kind, const void *body);
/* Every other custodian comes up, if it is not, and holds what is held here. */
void puppet_greet(struct puppet *p);

#endif
