/* cluster: several cores in one process under virtual time, joined by a network that delays, reorders, loses, repeats and
 * parts, each with a store that keeps only what it has acknowledged. The cores are the production ones, driven by the
 * production pump; keyed work is done for real, in memory.
 * Everything follows from the seed, but for key generation's own randomness, which no decision here depends on.
 * After every step it is asserted that: core_check holds; nobody sends two headers with one seq, over restarts too; no own
 * record and no vote leaves before the store has acknowledged what it depends on; a vote is never for two nodes of one run
 * and term, nor for two runs of one slot.
 * Nodes are those of a test world, in its order, and one more compute member (CLUSTER_SECOND); of the founders those compute
 * that world_computes names. Enclaves are not run unless the options say so: a start is counted in `start`, and its worker says
 * what a test makes it say (cluster_frame).
 * With enclaves the consortium begins as the world has it, CLUSTER_SECOND admitted and nothing requested; enclaves are the
 * production machines, and after every step it is asserted that no two of a run hold leases at once, and that all outputs of a
 * run that ever left one have one commitment. */
#ifndef PERIGEE_TESTS_CLUSTER_H
#define PERIGEE_TESTS_CLUSTER_H

#include "proto/chain.h"
#include "proto/core.h"
#include "tests/world.h"

enum { CLUSTER_SECOND = WORLD_NODES, CLUSTER_NODES = WORLD_NODES + 1, CLUSTER_STARTS_MAX = 64 };

struct cluster_start {
    uint32_t node;
    struct run_id run;
    uint64_t term;
    bool certified; /* the certificate has q votes that verify */
    bool stopped;   /* its node said so */
    uint64_t at_ms;
    enum run_state state; /* with enclaves: the last that it told its node; RUN_RELEASED: it gave a result */
    bool gone;            /* with enclaves */
};

struct cluster_options {
    uint64_t seed;
    uint32_t loss_percent, repeat_percent;
    bool enclaves;
    uint32_t compute_ms; /* what their computation takes */
};

struct cluster;
struct cluster *cluster_new(struct world *w, const struct cluster_options *options);
void cluster_free(struct cluster *c);

/* Knobs, at any time. */
void cluster_link(struct cluster *c, uint32_t a, uint32_t b, bool up);
void cluster_part(struct cluster *c, uint32_t nodes, bool apart); /* bits: these from the others */
void cluster_hold_store(struct cluster *c, uint32_t node, bool hold);
void cluster_fail_store(struct cluster *c, uint32_t node, enum err err); /* the next batches, until OK */
void cluster_crash(struct cluster *c,
                   uint32_t node); /* of what the store had not acknowledged, a random part is kept */
void cluster_restart(struct cluster *c, uint32_t node);
void cluster_set_clock(struct cluster *c, uint32_t node,
                       int64_t ahead_ms); /* its wall clock, over restarts too */
void cluster_noise(struct cluster *c, uint32_t loss_percent, uint32_t repeat_percent);

void cluster_run(struct cluster *c, uint64_t ms);
/* Until the condition holds; false when it does not within so many milliseconds. */
typedef bool cluster_condition(struct cluster *c);
bool cluster_until(struct cluster *c, cluster_condition *condition, uint64_t ms);

/* A command, and its reply (waited for). */
struct verdict cluster_command(struct cluster *c, uint32_t node, const struct command *command,
                               struct hash32 *id);
struct verdict cluster_author(struct cluster *c, uint32_t node, enum kind kind, const void *body,
                              uint64_t expires_ms, struct hash32 *id);
/* Without waiting. */
void cluster_send_command(struct cluster *c, uint32_t node, const struct command *command);
struct verdict cluster_request(struct cluster *c, uint64_t slot, struct run_id *run);

/* A message out of nowhere, as if `from` had sent it: for statements no honest core makes. */
void cluster_inject(struct cluster *c, uint32_t from, uint32_t to, struct span message);
/* A frame from the worker of a run on this node; none: it is gone. */
void cluster_frame(struct cluster *c, uint32_t node, struct run_id run, struct span frame);
/* With enclaves, by the number of its start: its process is killed, or stops until told otherwise. */
void cluster_kill_enclave(struct cluster *c, uint32_t start);
void cluster_pause_enclave(struct cluster *c, uint32_t start, bool pause);
/* The node's process stops, and goes on with all that came meanwhile. */
void cluster_pause(struct cluster *c, uint32_t node, bool pause);
/* A record by this node's key at any place, encoded as a message. */
struct span cluster_forge(struct cluster *c, uint32_t node, uint64_t seq, struct record_id prev,
                          enum kind kind, const void *body);
struct span cluster_forge_of(struct cluster *c, uint32_t node, uint64_t seq, struct record_id prev,
                             enum kind kind, const void *body, uint64_t time_ms); /* of that date */

/* Stages of a consortium, each from the one before. */
void cluster_sign_charter(struct cluster *c);
/* Of who is no founder. */
struct verdict cluster_ask_to_join(struct cluster *c, uint32_t node);
void cluster_admit(struct cluster *c); /* everybody's request, and the stewards' records */
void cluster_generate_keys(struct cluster *c);
void cluster_publish(
    struct cluster *c); /* workers, op, tokens, workflow, grants, job, endorsements, bindings */
void cluster_approve(struct cluster *c, uint32_t owner);
void cluster_form(struct cluster *c); /* all of them */

struct core *cluster_core(struct cluster *c, uint32_t node); /* NULL while crashed */
uint64_t cluster_now_ms(const struct cluster *c);            /* since the start */
uint64_t cluster_wall_ms(const struct cluster *c);
const struct cluster_start *cluster_starts(const struct cluster *c, uint32_t *count);
uint32_t cluster_votes_sent(const struct cluster *c, uint32_t node);
bool cluster_promised(const struct cluster *c, uint32_t node, const uint8_t *key,
                      const uint8_t value[32]); /* durable */
struct node_id cluster_id(const struct cluster *c, uint32_t node);
/* Do all living nodes hold the same applied heads? */
bool cluster_converged(struct cluster *c);

#endif
