/* scene: everything records say about one run over a test world, and what a custodian is then asked about it, each part
 * changeable before the registry is built.
 * For tests of decisions: a scene as it is made is good in every respect, so a refusal comes from the one change made to
 * it. Records are not signed (registries don't look) and stand at seqs from 100 on, told apart from the world's own.
 * Charter, members, committee and worker set are the world's; op, tokens, workflow, grants, job, endorsements, bindings,
 * approvals and the run are the scene's. Owners are nodes 0 and 1 of the world. Custodian 2 is asked, which has promised
 * nothing yet. */
#ifndef PERIGEE_TESTS_SCENE_H
#define PERIGEE_TESTS_SCENE_H

#include "proto/election.h"
#include "proto/promise.h"
#include "proto/release.h"
#include "tests/world.h"

enum scene_part {
    SCENE_CHARTER = 1 << 0,
    SCENE_COMMITTEE = 1 << 1,
    SCENE_OP = 1 << 2,
    SCENE_WORKFLOW = 1 << 3,
    SCENE_JOB = 1 << 4,
    SCENE_ASSET = 1 << 5, /* of owner 0; the same below */
    SCENE_BINDING = 1 << 6,
    SCENE_GRANT = 1 << 7,
    SCENE_APPROVAL = 1 << 8,
    SCENE_RUN = 1 << 9,
    SCENE_WORKERS = 1 << 10,
};

struct scene {
    struct world *world;
    struct arena *arena;
    struct registry *registry; /* after scene_build */
    uint64_t seq[WORLD_NODES], now_ms;

    /* Parts, with what they are unless changed. */
    uint32_t left_out; /* enum scene_part bits */
    struct op *op;
    struct ddo *ddo[2];
    struct workflow *workflow;
    struct policy policy[2];
    struct body_GRANT grant[2];
    uint64_t grant_expires_ms[2], approval_expires_ms[2], run_expires_ms;
    struct body_JOB job;
    uint32_t endorsers;
    struct content_id content[2];
    struct hash32 manifest[2];
    struct body_APPROVAL approval[2];
    uint32_t requester; /* node */

    /* Made by scene_build; the run's body may be changed before it is asked about. */
    const struct record *asset_record[2], *binding[2], *grant_record[2], *approval_record[2], *job_record;
    const struct record *run_record;
    uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    struct body_RUN run;
    struct run_id run_id;
    struct node_id self;
    struct promises promises;
    struct certificate certificate; /* of custodians 0, 1 and 3 for the compute member */
    struct election_ask vote;
    struct release_ask release;
    struct commit_ask commit;
};

struct scene *scene_new(struct world *w);
void scene_build(struct scene *s); /* every record must be accepted */
void scene_free(struct scene *s);

/* Before scene_build: the op's code is this shipped template. */
void scene_template(struct scene *s, const char *name);

/* The next record of a node of the world, not applied. */
const struct record *scene_record(struct scene *s, uint32_t node, enum kind kind, const void *body,
                                  uint64_t expires_ms);
struct verdict scene_apply(struct scene *s, uint32_t node, enum kind kind, const void *body,
                           uint64_t expires_ms);
/* A record at any place, by anybody. */
const struct record *scene_record_at(struct scene *s, struct node_id author, uint64_t seq, enum kind kind,
                                     const void *body, uint64_t expires_ms);
/* The next asset record of owner 0 or 1: its description, with or without a binding for the scene's workflow. */
struct body_ASSET scene_asset(struct scene *s, uint32_t owner, uint64_t version, bool bind);
void scene_promise(struct scene *s, enum promise_kind kind, const uint8_t subject32[32], uint64_t number,
                   const uint8_t value32[32]);
struct span scene_keep(struct scene *s, struct span bytes);

#endif
